use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use lapin::uri::{AMQPScheme, AMQPUri};
use percent_encoding::percent_decode_str;

use crate::tls::Tls;

/// Which broker, and under which names. Its `Debug` shows no password.
#[derive(Clone)]
#[non_exhaustive]
pub struct AmqpConfig {
    pub(crate) uri: AMQPUri,
    pub(crate) tls: Tls,
    queue: String,
    /// How long to wait for a connection, and for the broker to confirm a batch: 30 seconds unless set. While the broker
    /// says that it takes nothing, it is waited for without a limit.
    pub timeout: Duration,
}

/// Why a configuration cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidConfig {
    /// The URL is not one of AMQP.
    #[error("not a URL such as amqp://user:password@host:5672/virtual-host")]
    Url,
    /// The host is an address of IPv6.
    #[error("the host is an address of IPv6, which is not supported: give it a name")]
    Ipv6,
    /// The URL asks for TLS, which this build does not have.
    #[error("amqps needs a build with TLS, the feature `tls`")]
    NoTls,
    /// The URL names files for TLS, and asks for a connection in the clear.
    #[error("{parameter} is for TLS, which a URL that begins with amqps asks for")]
    NotTls {
        /// The parameter of the URL.
        parameter: &'static str,
    },
    /// A file that the URL names cannot be used.
    #[error("{parameter} names {}: {reason}", path.display())]
    File {
        /// The parameter of the URL.
        parameter: &'static str,
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// Of certificate and key one is missing.
    #[error("certfile and keyfile name a certificate and its key: give both or neither")]
    HalfIdentity,
    /// The URL has a parameter that is not known. To pass over one that is misspelt would be to trust whom it does not name.
    #[error("the URL has the parameter {name:?}; there are {}", AmqpConfig::PARAMETERS.join(", "))]
    Parameter {
        /// Its name.
        name: String,
    },
    /// The name of the queue.
    #[error(
        "must have 1 to {} printable ASCII characters without blanks, and not begin with `amq.`",
        AmqpConfig::LONGEST_QUEUE
    )]
    Queue,
}

impl AmqpConfig {
    /// The name of exchange and queue unless another is given.
    pub const DEFAULT_QUEUE: &str = "seqid.events";
    /// The longest name of a queue: that of its dead letters must be one too.
    pub const LONGEST_QUEUE: usize = 200;

    /// What may stand behind the `?` of a URL: files for TLS, and what is agreed on with the broker.
    const PARAMETERS: [&str; 8] = [
        "cacertfile",
        "certfile",
        "keyfile",
        "frame_max",
        "channel_max",
        "heartbeat",
        "connection_timeout",
        "auth_mechanism",
    ];

    /// The broker of a URL, `amqp://user:password@host:5672/virtual-host`, and the queue of events there.
    ///
    /// With `amqps` the broker's certificate must be of that host, and signed by an authority that the machine trusts or that
    /// stands in the PEM file behind `?cacertfile=`. `&certfile=...&keyfile=...` name what this side shows, if it is asked. These
    /// files are read now.
    ///
    /// # Errors
    /// [`InvalidConfig`] names the rule that is broken.
    pub fn new(url: &str, queue: &str) -> Result<Self, InvalidConfig> {
        let uri: AMQPUri = url.parse().map_err(|_| InvalidConfig::Url)?;
        if names_ipv6(url) {
            return Err(InvalidConfig::Ipv6);
        }
        let is_tls = uri.scheme == AMQPScheme::AMQPS;
        if is_tls && !crate::HAS_TLS {
            return Err(InvalidConfig::NoTls);
        }
        let tls = files(url, is_tls)?;
        let sound = (1..=Self::LONGEST_QUEUE).contains(&queue.len())
            && queue.bytes().all(|byte| byte.is_ascii_graphic())
            && !queue.starts_with("amq.");
        if !sound {
            return Err(InvalidConfig::Queue);
        }
        Ok(Self {
            uri,
            tls,
            queue: queue.to_owned(),
            timeout: Duration::from_secs(30),
        })
    }

    /// Waits so long for a connection, and for confirms.
    #[must_use]
    pub const fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// The topic exchange that events are published to: it has the name of the queue.
    #[must_use]
    pub fn exchange(&self) -> &str {
        &self.queue
    }

    /// The queue that the worker reads.
    #[must_use]
    pub fn queue(&self) -> &str {
        &self.queue
    }

    /// The queue of messages that could not be recorded.
    #[must_use]
    pub fn dead_letter_queue(&self) -> String {
        format!("{}.dead", self.queue)
    }

    /// Broker and virtual host, for people.
    #[must_use]
    pub fn place(&self) -> String {
        let authority = &self.uri.authority;
        format!(
            "{}:{}, virtual host {}",
            authority.host, authority.port, self.uri.vhost
        )
    }
}

/// The library takes such a host for none, and this machine in its place.
fn names_ipv6(url: &str) -> bool {
    let (_, rest) = url.split_once("://").unwrap_or(("", url));
    let authority = rest.split(['/', '?', '#']).next().unwrap_or(rest);
    let (_, host) = authority.rsplit_once('@').unwrap_or(("", authority));
    host.starts_with('[')
}

/// Reads the files that the parameters of a URL name.
fn files(url: &str, is_tls: bool) -> Result<Tls, InvalidConfig> {
    let mut tls = Tls::default();
    let (_, query) = url.split_once('?').unwrap_or((url, ""));
    for parameter in query.split('&').filter(|parameter| !parameter.is_empty()) {
        let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        if !AmqpConfig::PARAMETERS.contains(&name) {
            return Err(InvalidConfig::Parameter {
                name: name.to_owned(),
            });
        }
        let Some(parameter) = Tls::PARAMETERS.into_iter().find(|known| *known == name) else {
            continue;
        };
        if !is_tls {
            return Err(InvalidConfig::NotTls { parameter });
        }
        let path = percent_decode_str(value).decode_utf8();
        tls.read(parameter, &path.map_err(|_| InvalidConfig::Url)?)?;
    }
    if tls.is_whole() {
        Ok(tls)
    } else {
        Err(InvalidConfig::HalfIdentity)
    }
}

impl fmt::Debug for AmqpConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AmqpConfig")
            .field("place", &self.place())
            .field("user", &self.uri.authority.userinfo.username)
            .field("queue", &self.queue)
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const URL: &str = "amqp://erp:secret@broker:5673/books";

    #[track_caller]
    fn refused(url: &str, queue: &str, why: &InvalidConfig) {
        assert_eq!(
            AmqpConfig::new(url, queue).err().as_ref(),
            Some(why),
            "{url} {queue}"
        );
    }

    #[test]
    fn names_follow_from_the_queue() {
        let config = AmqpConfig::new(URL, "erp.numbers").unwrap();
        assert_eq!(config.exchange(), "erp.numbers");
        assert_eq!(config.queue(), "erp.numbers");
        assert_eq!(config.dead_letter_queue(), "erp.numbers.dead");
        assert_eq!(config.place(), "broker:5673, virtual host books");
    }

    #[test]
    fn debug_shows_no_password() {
        let text = format!("{:?}", AmqpConfig::new(URL, AmqpConfig::DEFAULT_QUEUE).unwrap());
        assert!(text.contains("erp") && !text.contains("secret"), "{text}");
    }

    #[test]
    fn what_cannot_be_used_is_refused() {
        refused("http://broker", "q", &InvalidConfig::Url);
        refused("broker", "q", &InvalidConfig::Url);
        let longest = "q".repeat(AmqpConfig::LONGEST_QUEUE);
        assert!(AmqpConfig::new(URL, &longest).is_ok());
        for queue in ["", "a b", "amq.events", "é", &format!("{longest}q")] {
            refused(URL, queue, &InvalidConfig::Queue);
        }
        for url in ["amqp://[::1]:5672/", "amqp://a:b@[2001:db8::1]/%2f"] {
            refused(url, "q", &InvalidConfig::Ipv6);
        }
        let name = "verify".to_owned();
        refused(
            "amqp://broker?verify=none",
            "q",
            &InvalidConfig::Parameter { name },
        );
        assert!(AmqpConfig::new("amqp://broker?heartbeat=5&frame_max=8192", "q").is_ok());
    }

    #[test]
    fn tls_needs_a_build_with_it() {
        let tls = AmqpConfig::new("amqps://broker", "q").map(|_| ());
        let expected = if crate::HAS_TLS {
            Ok(())
        } else {
            Err(InvalidConfig::NoTls)
        };
        assert_eq!(tls, expected);
    }

    #[test]
    fn files_of_tls_are_of_no_use_in_the_clear() {
        for parameter in Tls::PARAMETERS {
            let url = format!("amqp://broker?{parameter}=a.pem");
            refused(&url, "q", &InvalidConfig::NotTls { parameter });
        }
    }
}
