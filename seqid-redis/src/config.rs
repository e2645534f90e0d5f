use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use percent_encoding::percent_decode_str;

use crate::tls::Tls;

/// Which server, and what is kept in it. Its `Debug` shows no password.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct RedisConfig {
    /// Where the primary is, or who knows it.
    pub servers: Servers,
    /// The ACL user: that of Redis itself, `default`, unless set.
    pub user: Option<String>,
    /// The password of the user.
    pub password: Option<String>,
    /// The password of the Sentinels, which is another than that of the servers.
    pub sentinel_password: Option<String>,
    /// By TLS, to servers and Sentinels alike; in the clear unless set.
    pub tls: Option<Tls>,
    /// The number of the database: 0 unless set.
    pub database: u16,
    /// What all keys begin with: `seqid` unless set. Two installations on one server need different ones.
    pub namespace: String,
    /// How long to wait for a connection, and for the answer to one call: 2 seconds unless set. What took longer is unknown.
    pub timeout: Duration,
    /// How many events may wait in the stream of one [bucket](crate::Bucket): 100,000 unless set. Drawing stops there.
    pub largest_stream: u64,
}

/// Where the primary is, or who knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Servers {
    /// One server.
    One(Address),
    /// Sentinels.
    Sentinels {
        /// The Sentinels, asked in this order.
        sentinels: Vec<Address>,
        /// What they call the group of servers.
        service: String,
    },
    /// A cluster.
    Cluster {
        /// Some of its nodes, asked in this order.
        nodes: Vec<Address>,
    },
}

/// Host and port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    /// A name or an address.
    pub host: String,
    /// The port.
    pub port: u16,
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

/// What is wrong with a URL. No part of it that could be a password is shown.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidUrl {
    /// It begins with nothing that is known.
    #[error(
        "it begins with none of redis://, redis-sentinel:// and redis-cluster://, or with rediss in place of redis for TLS"
    )]
    Scheme,
    /// A host is missing, or a port is no port.
    #[error("{text:?} is not a host, or a host with a port")]
    Address {
        /// What stands there.
        text: String,
    },
    /// The URL asks for TLS, which this build does not have.
    #[error("rediss needs a build with TLS, the feature `tls`")]
    NoTls,
    /// What is for TLS is said of a connection in the clear.
    #[error("{name} is for TLS, which a URL that begins with rediss asks for")]
    NotTls {
        /// The parameter.
        name: String,
    },
    /// Of certificate and key one is missing.
    #[error("tls_cert and tls_key name a certificate and its key: give both or neither")]
    HalfIdentity,
    /// Several hosts of one server.
    #[error("redis:// names one server; several are named with redis-sentinel:// or redis-cluster://")]
    Several,
    /// The service is missing.
    #[error("redis-sentinel://host:port/service/0 names the service, which is missing")]
    NoService,
    /// The database is no number.
    #[error("{text:?} is not the number of a database")]
    Database {
        /// What stands there.
        text: String,
    },
    /// A parameter is not known.
    #[error("{name:?} is not known; {known} are", known = InvalidUrl::PARAMETERS)]
    Parameter {
        /// Its name.
        name: String,
    },
    /// A parameter has a value that it cannot have.
    #[error("{name} cannot be what is given")]
    Value {
        /// Its name.
        name: String,
    },
    /// Something is not UTF-8 behind its percent signs.
    #[error("user, password or service are not UTF-8")]
    Encoding,
}

impl InvalidUrl {
    const PARAMETERS: &str =
        "namespace, timeout_ms, largest_stream, sentinel_password, tls_ca, tls_cert and tls_key";
}

impl RedisConfig {
    /// The port of Redis unless one is named.
    pub const PORT: u16 = 6379;
    /// The port of Sentinels unless one is named.
    pub const SENTINEL_PORT: u16 = 26379;

    /// Nobody's server yet: what each setting is unless set.
    #[must_use]
    pub fn new(servers: Servers) -> Self {
        Self {
            servers,
            user: None,
            password: None,
            sentinel_password: None,
            tls: None,
            database: 0,
            namespace: "seqid".to_owned(),
            timeout: Duration::from_secs(2),
            largest_stream: 100_000,
        }
    }

    /// A server by what `REDIS_ADDR`, `REDIS_PASSWORD` and `REDIS_DB` say. The address may be a URL too.
    ///
    /// # Errors
    /// What is wrong with the address.
    pub fn from_parts(
        address: &str,
        password: Option<&str>,
        database: Option<u16>,
    ) -> Result<Self, InvalidUrl> {
        let mut config = if address.contains("://") {
            address.parse()?
        } else {
            Self::new(Servers::One(parse_address(address, Self::PORT)?))
        };
        if let Some(password) = password.filter(|password| !password.is_empty()) {
            config.password = Some(password.to_owned());
        }
        config.database = database.unwrap_or(config.database);
        Ok(config)
    }

    /// Begins all keys with this.
    #[must_use]
    pub fn namespace(mut self, namespace: impl Into<String>) -> Self {
        self.namespace = namespace.into();
        self
    }

    /// Waits so long for a connection and for an answer.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Lets so many events wait in a stream.
    #[must_use]
    pub fn largest_stream(mut self, entries: u64) -> Self {
        self.largest_stream = entries;
        self
    }

    /// The server, for people.
    #[must_use]
    pub fn place(&self) -> String {
        match &self.servers {
            Servers::One(address) => address.to_string(),
            Servers::Sentinels { sentinels, service } => {
                let sentinels: Vec<_> = sentinels.iter().map(Address::to_string).collect();
                format!("{service} of {}", sentinels.join(", "))
            }
            Servers::Cluster { nodes } => {
                let nodes: Vec<_> = nodes.iter().map(Address::to_string).collect();
                format!("the cluster of {}", nodes.join(", "))
            }
        }
    }

    fn set(&mut self, name: &str, value: &str) -> Result<(), InvalidUrl> {
        let wrong = || InvalidUrl::Value {
            name: name.to_owned(),
        };
        match name {
            // Braces and colons would change what the hash tag of a key is, and its name.
            "namespace" if !value.is_empty() && !value.contains(['{', '}', ':']) => {
                self.namespace = value.to_owned();
            }
            "timeout_ms" => {
                let ms = value.parse().ok().filter(|ms| *ms > 0).ok_or_else(wrong)?;
                self.timeout = Duration::from_millis(ms);
            }
            "largest_stream" => self.largest_stream = value.parse().map_err(|_| wrong())?,
            "sentinel_password" => self.sentinel_password = Some(value.to_owned()),
            "namespace" => return Err(wrong()),
            "tls_ca" | "tls_cert" | "tls_key" => {
                let tls = self.tls.as_mut().ok_or_else(|| InvalidUrl::NotTls {
                    name: name.to_owned(),
                })?;
                if value.is_empty() {
                    return Err(wrong());
                }
                let file = match name {
                    "tls_ca" => &mut tls.authorities,
                    "tls_cert" => &mut tls.certificate,
                    _ => &mut tls.key,
                };
                *file = Some(value.into());
            }
            _ => {
                return Err(InvalidUrl::Parameter {
                    name: name.to_owned(),
                });
            }
        }
        Ok(())
    }
}

impl FromStr for RedisConfig {
    type Err = InvalidUrl;

    /// Reads `redis://user:password@host:6379/0` or `redis-sentinel://user:password@host:26379,host:26379/service/0` or
    /// `redis-cluster://user:password@host:6379,host:6379`, each with `rediss` in place of `redis` for TLS, and with
    /// `?namespace=...&timeout_ms=...&largest_stream=...&sentinel_password=...&tls_ca=...&tls_cert=...&tls_key=...` behind it if
    /// wanted.
    fn from_str(url: &str) -> Result<Self, InvalidUrl> {
        let (scheme, rest) = url.split_once("://").ok_or(InvalidUrl::Scheme)?;
        let (scheme, tls) = match scheme {
            "rediss" => ("redis", true),
            "rediss-sentinel" => ("redis-sentinel", true),
            "rediss-cluster" => ("redis-cluster", true),
            scheme => (scheme, false),
        };
        // The login first: a password may have any character but percent signs as it is.
        let (login, rest) = rest.rsplit_once('@').unwrap_or(("", rest));
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (hosts, path) = rest.split_once('/').unwrap_or((rest, ""));
        let (servers, database) = match scheme {
            "redis" if hosts.contains(',') => return Err(InvalidUrl::Several),
            "redis" => (Servers::One(parse_address(hosts, Self::PORT)?), path),
            "redis-sentinel" => {
                let (service, database) = path.split_once('/').unwrap_or((path, ""));
                (sentinels(hosts, service)?, database)
            }
            // Clusters have no other database.
            "redis-cluster" if path.trim_matches('0').is_empty() => {
                let nodes = parse_addresses(hosts, Self::PORT)?;
                (Servers::Cluster { nodes }, "")
            }
            "redis-cluster" => {
                return Err(InvalidUrl::Database {
                    text: path.to_owned(),
                });
            }
            _ => return Err(InvalidUrl::Scheme),
        };
        if tls && !crate::HAS_TLS {
            return Err(InvalidUrl::NoTls);
        }
        let mut config = Self::new(servers);
        config.tls = tls.then(Tls::default);
        let (user, password) = login.split_once(':').unwrap_or((login, ""));
        config.user = decoded(user)?;
        config.password = decoded(password)?;
        if !database.is_empty() {
            config.database = database.parse().map_err(|_| InvalidUrl::Database {
                text: database.to_owned(),
            })?;
        }
        for parameter in query.split('&').filter(|parameter| !parameter.is_empty()) {
            let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
            config.set(name, &decoded(value)?.unwrap_or_default())?;
        }
        if let Some(Tls { certificate, key, .. }) = &config.tls
            && certificate.is_some() != key.is_some()
        {
            return Err(InvalidUrl::HalfIdentity);
        }
        Ok(config)
    }
}

impl fmt::Debug for RedisConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisConfig")
            .field("servers", &self.servers)
            .field("user", &self.user)
            .field("tls", &self.tls)
            .field("database", &self.database)
            .field("namespace", &self.namespace)
            .field("timeout", &self.timeout)
            .field("largest_stream", &self.largest_stream)
            .finish_non_exhaustive()
    }
}

fn sentinels(hosts: &str, service: &str) -> Result<Servers, InvalidUrl> {
    Ok(Servers::Sentinels {
        sentinels: parse_addresses(hosts, RedisConfig::SENTINEL_PORT)?,
        service: decoded(service)?.ok_or(InvalidUrl::NoService)?,
    })
}

fn parse_addresses(hosts: &str, usual_port: u16) -> Result<Vec<Address>, InvalidUrl> {
    hosts
        .split(',')
        .map(|host| parse_address(host, usual_port))
        .collect()
}

fn parse_address(text: &str, usual_port: u16) -> Result<Address, InvalidUrl> {
    let wrong = || InvalidUrl::Address {
        text: text.to_owned(),
    };
    // A colon within brackets is part of an IPv6 address.
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, port.parse().map_err(|_| wrong())?),
        _ => (text, usual_port),
    };
    let host = match host.strip_prefix('[') {
        Some(host) => host.strip_suffix(']').ok_or_else(wrong)?,
        None if host.contains(':') => return Err(wrong()),
        None => host,
    };
    if host.is_empty() {
        return Err(wrong());
    }
    Ok(Address {
        host: host.to_owned(),
        port,
    })
}

/// Without its percent signs; `None` when it is empty.
fn decoded(text: &str) -> Result<Option<String>, InvalidUrl> {
    let text = percent_decode_str(text)
        .decode_utf8()
        .map_err(|_| InvalidUrl::Encoding)?;
    Ok(Some(text.into_owned()).filter(|text| !text.is_empty()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(url: &str) -> RedisConfig {
        url.parse().unwrap()
    }

    #[track_caller]
    fn refused(url: &str, error: &InvalidUrl) {
        assert_eq!(url.parse::<RedisConfig>().as_ref().err(), Some(error), "{url}");
    }

    #[test]
    fn a_url_names_server_user_password_and_database() {
        let found =
            config("redis://erp:s%40cret@db.example:6380/3?namespace=a&timeout_ms=500&largest_stream=7");
        assert_eq!(found.place(), "db.example:6380");
        assert_eq!(found.user.as_deref(), Some("erp"));
        assert_eq!(found.password.as_deref(), Some("s@cret"));
        assert_eq!(found.database, 3);
        assert_eq!(found.namespace, "a");
        assert_eq!(found.timeout, Duration::from_millis(500));
        assert_eq!(found.largest_stream, 7);

        let found = config("redis://localhost");
        assert_eq!(
            (found.place().as_str(), found.user, found.password),
            ("localhost:6379", None, None)
        );
        assert_eq!(config("redis://:p@[::1]:7").place(), "[::1]:7");
    }

    #[test]
    fn a_url_of_sentinels_names_them_and_the_service() {
        let found = config("redis-sentinel://:p@one,two:7/orders/2?sentinel_password=q");
        assert_eq!(found.place(), "orders of one:26379, two:7");
        assert_eq!(
            (found.database, found.sentinel_password.as_deref()),
            (2, Some("q"))
        );
    }

    #[test]
    fn a_url_of_a_cluster_names_some_nodes() {
        let found = config("redis-cluster://:p@one,two:7/0");
        assert_eq!(found.place(), "the cluster of one:6379, two:7");
        refused(
            "redis-cluster://one/1",
            &InvalidUrl::Database { text: "1".into() },
        );
    }

    #[test]
    fn what_is_not_known_is_refused() {
        refused("localhost:6379", &InvalidUrl::Scheme);
        refused("amqp://localhost", &InvalidUrl::Scheme);
        refused("redis://one,two", &InvalidUrl::Several);
        refused("redis-sentinel://one,two", &InvalidUrl::NoService);
        refused(
            "redis://localhost/first",
            &InvalidUrl::Database { text: "first".into() },
        );
        refused(
            "redis://localhost?shards=3",
            &InvalidUrl::Parameter {
                name: "shards".into(),
            },
        );
        refused(
            "redis://localhost?namespace={a}",
            &InvalidUrl::Value {
                name: "namespace".into(),
            },
        );
        refused(
            "redis://localhost?timeout_ms=0",
            &InvalidUrl::Value {
                name: "timeout_ms".into(),
            },
        );
        for address in ["", "host:port", "::1", "[::1", ":6379"] {
            refused(
                &format!("redis://{address}"),
                &InvalidUrl::Address { text: address.into() },
            );
        }
        refused("redis://:%ff@localhost", &InvalidUrl::Encoding);
    }

    #[test]
    fn rediss_asks_for_tls_and_says_which_files() {
        if !crate::HAS_TLS {
            return refused("rediss://one", &InvalidUrl::NoTls);
        }
        assert_eq!(config("redis://one").tls, None);
        assert_eq!(config("rediss-cluster://one,two").tls, Some(Tls::default()));
        let files = "tls_ca=/etc/ca.pem&tls_cert=/etc/a%26b.pem&tls_key=key.pem";
        let found = config(&format!("rediss-sentinel://:p@one/orders/2?{files}"));
        assert_eq!(
            (found.place().as_str(), found.database),
            ("orders of one:26379", 2)
        );
        let tls = found.tls.unwrap();
        let named = [tls.authorities, tls.certificate, tls.key].map(Option::unwrap);
        assert_eq!(
            named,
            ["/etc/ca.pem", "/etc/a&b.pem", "key.pem"].map(Into::<std::path::PathBuf>::into)
        );
        for half in ["tls_cert=a", "tls_key=a"] {
            refused(&format!("rediss://one?{half}"), &InvalidUrl::HalfIdentity);
        }
        refused(
            "rediss://one?tls_ca=",
            &InvalidUrl::Value {
                name: "tls_ca".into(),
            },
        );
    }

    #[test]
    fn files_of_tls_are_of_no_use_in_the_clear() {
        for name in ["tls_ca", "tls_cert", "tls_key"] {
            refused(
                &format!("redis://one?{name}=a"),
                &InvalidUrl::NotTls { name: name.into() },
            );
        }
    }

    #[test]
    fn the_parts_are_taken_as_they_are() {
        let found = RedisConfig::from_parts("cache:7000", Some("p%41"), Some(4)).unwrap();
        assert_eq!(
            (found.place().as_str(), found.password.as_deref()),
            ("cache:7000", Some("p%41"))
        );
        assert_eq!(found.database, 4);
        let found = RedisConfig::from_parts("redis://:url@cache/2", Some("part"), None).unwrap();
        assert_eq!((found.password.as_deref(), found.database), (Some("part"), 2));
        assert_eq!(
            RedisConfig::from_parts("cache", Some(""), None).unwrap().password,
            None
        );
    }

    #[test]
    fn no_password_is_printed() {
        let found = config("redis-sentinel://u:secret@one/orders?sentinel_password=secret");
        assert!(!format!("{found:?}").contains("secret"));
    }
}
