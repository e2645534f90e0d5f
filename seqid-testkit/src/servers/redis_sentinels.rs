use super::ServerError;
use super::certificates::{Certificates, Shown};
use super::ports::HOST;
use super::redis::{PASSWORD, RedisServer, url_of};

/// A primary and two replicas, watched over by three Sentinels that need two votes and half a second to call a server
/// down.
#[derive(Debug)]
pub struct RedisSentinels {
    /// The servers; the first is the primary until a failover.
    pub servers: [RedisServer; 3],
    /// The Sentinels.
    pub sentinels: [RedisServer; 3],
    certificates: Option<Certificates>,
}

impl RedisSentinels {
    /// What the Sentinels call the group.
    pub const SERVICE: &str = "numbers";

    /// Starts them, and waits until all know each other.
    ///
    /// # Errors
    ///
    /// As [`RedisServer::start`].
    pub fn start() -> Result<Self, ServerError> {
        Self::start_by(None)
    }

    /// As [`start`](Self::start), all of them speaking TLS alone.
    ///
    /// # Errors
    ///
    /// As [`RedisServer::start`].
    pub fn start_tls(certificates: &Certificates) -> Result<Self, ServerError> {
        Self::start_by(Some(certificates))
    }

    fn start_by(certificates: Option<&Certificates>) -> Result<Self, ServerError> {
        let server = |settings: &[(&str, &str)]| match certificates {
            Some(certificates) => RedisServer::start_tls(certificates, Shown::Sound, settings),
            None => RedisServer::start_with(settings),
        };
        let primary = server(&[])?;
        let port = primary.port().to_string();
        let of = format!("{HOST} {port}");
        let replica = || server(&[("replicaof", &of)]);
        let monitor = format!("monitor {} {HOST} {port} 2", Self::SERVICE);
        let with = |what: &str, value: &str| format!("{what} {} {value}", Self::SERVICE);
        let settings = [
            monitor,
            with("auth-pass", PASSWORD),
            with("down-after-milliseconds", "500"),
            with("failover-timeout", "5000"),
        ];
        let settings = settings.each_ref().map(|text| ("sentinel", text.as_str()));
        let sentinel = || RedisServer::start_sentinel(&settings, certificates);
        let group = Self {
            servers: [primary, replica()?, replica()?],
            sentinels: [sentinel()?, sentinel()?, sentinel()?],
            certificates: certificates.cloned(),
        };
        group.wait_until_known()?;
        Ok(group)
    }

    /// Where drivers connect to, password included.
    pub fn url(&self) -> String {
        let sentinels = self
            .sentinels
            .each_ref()
            .map(|sentinel| format!("{HOST}:{}", sentinel.port()));
        let service = Self::SERVICE;
        let place = format!("-sentinel://:{PASSWORD}@{}/{service}/0", sentinels.join(","));
        url_of("redis", &place, self.certificates.as_ref())
    }

    /// Which of the servers the Sentinel takes for the primary.
    ///
    /// # Errors
    ///
    /// When it does not answer.
    pub fn primary_by(&self, sentinel: usize) -> Result<Option<usize>, ServerError> {
        let answer = self.sentinels[sentinel].cli(&["SENTINEL", "get-master-addr-by-name", Self::SERVICE])?;
        let port = answer.lines().nth(1).and_then(|port| port.parse::<u16>().ok());
        Ok(self.servers.iter().position(|server| Some(server.port()) == port))
    }

    /// Waits until all Sentinels take another server than this one for the primary, and answers which.
    ///
    /// # Errors
    ///
    /// When that takes more than a minute.
    pub fn wait_for_other_than(&self, former: usize) -> Result<usize, ServerError> {
        let mut found = None;
        self.sentinels[0].until("a failover", || {
            let mut primaries = (0..3).map(|sentinel| self.primary_by(sentinel));
            let first = primaries.next().transpose()?.flatten();
            found = first.filter(|primary| *primary != former);
            let mut agree = found.is_some();
            for primary in primaries {
                agree &= primary? == found;
            }
            let Some(primary) = found.filter(|_| agree) else {
                return Ok(false);
            };
            Ok(self.servers[primary].info("role")? == "master")
        })?;
        Ok(found.unwrap_or(former))
    }

    fn wait_until_known(&self) -> Result<(), ServerError> {
        for sentinel in &self.sentinels {
            sentinel.until("the Sentinels to know each other", || {
                let text = sentinel.cli(&["INFO", "sentinel"])?;
                Ok(text.contains("slaves=2,sentinels=3") && text.contains("status=ok"))
            })?;
        }
        self.servers[0].until("the replicas", || {
            let text = self.servers[0].cli(&["INFO", "replication"])?;
            Ok(text.matches("state=online").count() == 2)
        })
    }
}
