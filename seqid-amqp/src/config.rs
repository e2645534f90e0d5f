use std::fmt;
use std::time::Duration;

use lapin::uri::{AMQPScheme, AMQPUri};

/// Which broker, and under which names. Its `Debug` shows no password.
#[derive(Clone)]
#[non_exhaustive]
pub struct AmqpConfig {
    pub(crate) uri: AMQPUri,
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
    /// The URL asks for TLS, which this build does not have.
    #[error("amqps needs a build with TLS, the feature `tls`")]
    NoTls,
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

    /// The broker of a URL, `amqp://user:password@host:5672/virtual-host`, and the queue of events there.
    ///
    /// # Errors
    /// [`InvalidConfig`] names the rule that is broken.
    pub fn new(url: &str, queue: &str) -> Result<Self, InvalidConfig> {
        let uri: AMQPUri = url.parse().map_err(|_| InvalidConfig::Url)?;
        if uri.scheme == AMQPScheme::AMQPS && !crate::HAS_TLS {
            return Err(InvalidConfig::NoTls);
        }
        let sound = (1..=Self::LONGEST_QUEUE).contains(&queue.len())
            && queue.bytes().all(|byte| byte.is_ascii_graphic())
            && !queue.starts_with("amq.");
        if !sound {
            return Err(InvalidConfig::Queue);
        }
        Ok(Self {
            uri,
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
        let tls = AmqpConfig::new("amqps://broker", "q").map(|_| ());
        assert_eq!(
            tls,
            if crate::HAS_TLS {
                Ok(())
            } else {
                Err(InvalidConfig::NoTls)
            }
        );
    }
}
