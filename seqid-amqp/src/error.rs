use std::time::Duration;

/// What went wrong between this process and the broker. Nothing is lost by any of these: what was not confirmed is published
/// again, and what was not acknowledged is delivered again.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AmqpError {
    /// No connection was made.
    #[error("no RabbitMQ answers at {place}: check the URL, user and password, and that the broker runs")]
    Connect {
        /// Broker and virtual host.
        place: String,
        /// What the library said.
        #[source]
        source: lapin::Error,
    },
    /// The broker did not answer in time.
    #[error("the broker at {place} did not answer within {waited:?}")]
    Silent {
        /// Broker and virtual host.
        place: String,
        /// How long it was waited for.
        waited: Duration,
    },
    /// Connection or channel failed, or the broker refused.
    #[error("the broker refused, or the connection to it failed")]
    Broker(#[from] lapin::Error),
    /// The broker takes no messages: it is short of memory or disk.
    #[error("the broker takes no messages, because it is short of memory or disk")]
    Blocked,
    /// No queue would get the message, so the broker returned it.
    #[error("event {event} with the routing key {key} reaches no queue: bind one to the exchange")]
    Unroutable {
        /// The event's id.
        event: String,
        /// The key that it was published with.
        key: String,
    },
    /// The broker did not store messages.
    #[error("the broker refused {count} of {of} messages")]
    Refused {
        /// How many.
        count: usize,
        /// Of how many.
        of: usize,
    },
    /// The queue was deleted, or its node went away.
    #[error("the broker ended the delivery of messages: the queue was deleted, or is not available")]
    Cancelled,
    /// An event cannot be written as JSON.
    #[error("an event cannot be written as JSON")]
    Encode(#[source] serde_json::Error),
    /// The connection that delivered the messages is gone. They come again.
    #[error("the connection that delivered the messages is gone; they come again")]
    Stale,
}
