use std::fmt;
use std::sync::{Mutex, PoisonError};

use futures_util::{FutureExt, StreamExt};
use lapin::message::Delivery as Received;
use lapin::options::{BasicAckOptions, BasicConsumeOptions, BasicQosOptions, QueueDeclareOptions};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{Channel, Connection, ConnectionStatus, Consumer};
use seqid_core::event::Recorded;
use tokio::sync::Mutex as AsyncMutex;

use crate::config::AmqpConfig;
use crate::dead_letters::REASON_HEADER;
use crate::error::AmqpError;
use crate::message::{self, Poison};
use crate::publisher::{Outgoing, Publisher, connect, in_time};
use crate::topology;

/// Takes events from the queue, and acknowledges them once they were recorded.
///
/// Several may read one queue: each message goes to one of them, and to another if that one goes away before it has
/// acknowledged. One task takes, records and accepts, in turns. After any failure the connection is dropped and made again by the
/// next call of [`take`](Self::take); what was not accepted by then is delivered again.
pub struct AmqpSource {
    config: AmqpConfig,
    prefetch: u16,
    reader: AsyncMutex<Option<Reader>>,
    /// Dead letters go out by a connection of their own: one that publishes may be blocked, and would then not acknowledge.
    publisher: AsyncMutex<Option<Publisher>>,
    /// Asks how much waits.
    watcher: AsyncMutex<Option<Connection>>,
    status: Mutex<Option<ConnectionStatus>>,
}

struct Reader {
    connection: Connection,
    channel: Channel,
    messages: Consumer,
}

/// A message with what it holds.
#[derive(Debug)]
pub struct Delivery {
    /// The event, or why there is none.
    pub event: Result<Recorded, Poison>,
    /// Whether the broker delivered it before, to whomever.
    pub redelivered: bool,
    message: Received,
}

/// How many messages wait at the broker, those that somebody works on left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Depth {
    /// Events that are to be recorded.
    pub queue: u32,
    /// Messages that could not be.
    pub dead_letters: u32,
}

impl AmqpSource {
    /// A source that is not connected yet. At most `prefetch` messages are here that were not accepted, at least one.
    #[must_use]
    pub fn new(config: AmqpConfig, prefetch: u16) -> Self {
        Self {
            config,
            prefetch: prefetch.max(1),
            reader: AsyncMutex::new(None),
            publisher: AsyncMutex::new(None),
            watcher: AsyncMutex::new(None),
            status: Mutex::new(None),
        }
    }

    /// Whether it has a connection.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        let status = self.status.lock().unwrap_or_else(PoisonError::into_inner);
        status.as_ref().is_some_and(ConnectionStatus::connected)
    }

    /// The next messages, at most `limit`. Waits until there is one; those that have arrived by then come with it.
    ///
    /// # Errors
    /// When there is no connection, or it failed. The next call makes a new one.
    ///
    /// # Cancel safety
    /// Dropping the future takes nothing.
    pub async fn take(&self, limit: usize) -> Result<Vec<Delivery>, AmqpError> {
        let mut slot = self.reader.lock().await;
        if slot.is_none() {
            self.note(None);
            let reader = in_time(&self.config, self.read()).await?;
            self.note(Some(reader.connection.status().clone()));
            *slot = Some(reader);
        }
        let Some(reader) = slot.as_mut() else {
            return Err(AmqpError::Cancelled);
        };
        let mut taken = Vec::new();
        let mut next = reader.messages.next().await;
        loop {
            match next {
                Some(Ok(message)) => taken.push(Delivery::of(message)),
                // What came before it is on the channel that is gone, and comes again.
                Some(Err(error)) => {
                    *slot = None;
                    return Err(error.into());
                }
                None => {
                    *slot = None;
                    return Err(AmqpError::Cancelled);
                }
            }
            if taken.len() >= limit {
                return Ok(taken);
            }
            match reader.messages.next().now_or_never() {
                Some(message) => next = message,
                None => return Ok(taken),
            }
        }
    }

    /// Declares these messages, and all that were taken before them, dealt with. They are not delivered again.
    ///
    /// # Errors
    /// [`AmqpError::Stale`] when the connection that delivered them is gone: they come again, though they were recorded.
    pub async fn accept(&self, taken: &[Delivery]) -> Result<(), AmqpError> {
        let Some(last) = taken.last() else {
            return Ok(());
        };
        let all = BasicAckOptions { multiple: true };
        let accepted = in_time(&self.config, async { Ok(last.message.acker.ack(all).await?) }).await;
        match accepted {
            Ok(true) => Ok(()),
            Ok(false) => Err(AmqpError::Stale),
            Err(error) => {
                *self.reader.lock().await = None;
                Err(error)
            }
        }
    }

    /// Puts a copy of a message among the dead letters, with the reason. Returns once the broker has it; then the message is to be
    /// accepted. A crash in between leaves two copies.
    ///
    /// # Errors
    /// When the broker did not confirm the copy.
    pub async fn reject(&self, delivery: &Delivery, reason: &str) -> Result<(), AmqpError> {
        let mut slot = self.publisher.lock().await;
        let publisher = match slot.take() {
            Some(publisher) if publisher.status().connected() => publisher,
            _ => Publisher::open(&self.config).await?,
        };
        let message = &delivery.message;
        let mut headers = message.properties.headers().clone().unwrap_or_default();
        headers.insert(REASON_HEADER.into(), AMQPValue::LongString(reason.into()));
        let copy = Outgoing {
            exchange: "".into(),
            key: self.config.dead_letter_queue().into(),
            body: message.data.clone(),
            properties: message
                .properties
                .clone()
                .with_headers(headers)
                .with_delivery_mode(2),
        };
        publisher.publish(&[copy]).await?;
        *slot = Some(publisher);
        Ok(())
    }

    /// How many messages wait.
    ///
    /// # Errors
    /// When there is no connection, or the broker does not answer.
    pub async fn depth(&self) -> Result<Depth, AmqpError> {
        let mut slot = self.watcher.lock().await;
        // Taken out meanwhile: after a failure it is closed.
        let kept = slot.take();
        let asked = async {
            let connection = match kept {
                Some(connection) => connection,
                None => connect(&self.config).await?,
            };
            let channel = connection.create_channel().await?;
            let passive = QueueDeclareOptions {
                passive: true,
                ..QueueDeclareOptions::default()
            };
            let count = async |name: &str| {
                let queue = channel.queue_declare(name.into(), passive, FieldTable::default());
                Ok::<_, AmqpError>(queue.await?.message_count())
            };
            let depth = Depth {
                queue: count(self.config.queue()).await?,
                dead_letters: count(&self.config.dead_letter_queue()).await?,
            };
            channel.close(200, "asked".into()).await?;
            Ok((connection, depth))
        };
        let (connection, depth) = in_time(&self.config, asked).await?;
        *slot = Some(connection);
        Ok(depth)
    }

    /// Ends the connections; [`take`](Self::take) makes new ones. What was taken and not accepted is delivered to others, or again.
    pub async fn close(&self) {
        self.note(None);
        *self.publisher.lock().await = None;
        *self.watcher.lock().await = None;
        if let Some(reader) = self.reader.lock().await.take() {
            let closed = async { Ok(reader.connection.close(200, "stopped".into()).await?) };
            if let Err(error) = in_time(&self.config, closed).await {
                tracing::debug!(
                    error = &error as &dyn std::error::Error,
                    "the connection was gone already"
                );
            }
        }
    }

    async fn read(&self) -> Result<Reader, AmqpError> {
        let connection = topology::connect(&self.config).await?;
        let channel = connection.create_channel().await?;
        channel
            .basic_qos(self.prefetch, BasicQosOptions::default())
            .await?;
        let messages = channel
            .basic_consume(
                self.config.queue().into(),
                "".into(),
                BasicConsumeOptions::default(),
                FieldTable::default(),
            )
            .await?;
        Ok(Reader {
            connection,
            channel,
            messages,
        })
    }

    fn note(&self, status: Option<ConnectionStatus>) {
        *self.status.lock().unwrap_or_else(PoisonError::into_inner) = status;
    }
}

impl Delivery {
    fn of(message: Received) -> Self {
        let name = message.properties.message_id().as_ref().map(ToString::to_string);
        Self {
            event: message::read(&message.data, name.as_deref()),
            redelivered: message.redelivered,
            message,
        }
    }

    /// The body as it came.
    #[must_use]
    pub fn body(&self) -> &[u8] {
        &self.message.data
    }
}

impl fmt::Debug for Reader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reader")
            .field("channel", &self.channel.id())
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for AmqpSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AmqpSource")
            .field("config", &self.config)
            .field("prefetch", &self.prefetch)
            .field("is_connected", &self.is_connected())
            .finish_non_exhaustive()
    }
}
