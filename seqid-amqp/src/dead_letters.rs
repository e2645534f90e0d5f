//! Messages that could not be recorded, and what an operator does with them.

use lapin::message::BasicGetMessage;
use lapin::options::{BasicAckOptions, BasicGetOptions, QueueDeclareOptions};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{Channel, Connection};

use crate::config::AmqpConfig;
use crate::error::AmqpError;
use crate::publisher::{Outgoing, Publisher, in_time};
use crate::topology;

/// The header with the reason.
pub(crate) const REASON_HEADER: &str = "seqid-reason";

/// A message that could not be recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct DeadLetter {
    /// The name that it was published with: the event's id, if it is an event.
    pub id: Option<String>,
    /// Why it is here.
    pub reason: String,
    /// The body.
    pub body: Vec<u8>,
}

/// The queue of dead letters of a broker.
#[derive(Debug, Clone)]
pub struct DeadLetters(AmqpConfig);

impl DeadLetters {
    /// Those of this configuration's queue.
    #[must_use]
    pub const fn new(config: AmqpConfig) -> Self {
        Self(config)
    }

    /// The oldest ones, at most `limit`. They stay where they are; while this call has them, nobody else sees them.
    ///
    /// # Errors
    /// When the broker does not answer.
    pub async fn list(&self, limit: usize) -> Result<Vec<DeadLetter>, AmqpError> {
        in_time(&self.0, async {
            let (connection, channel) = self.open().await?;
            let mut letters = Vec::new();
            while letters.len() < limit
                && let Some(message) = self.next(&channel).await?
            {
                letters.push(DeadLetter::of(&message));
            }
            // They were not acknowledged, so that the broker takes them back into the queue.
            connection.close(200, "listed".into()).await?;
            Ok(letters)
        })
        .await
    }

    /// Puts the oldest ones, at most `limit`, back into the queue of events, or the one with this id alone. Answers how many.
    /// Those that arrive meanwhile stay. A letter leaves its queue once it is in the other.
    ///
    /// # Errors
    /// When the broker does not answer or does not confirm. What was put back by then stays so.
    pub async fn replay(&self, limit: usize, id: Option<&str>) -> Result<usize, AmqpError> {
        let (connection, channel) = in_time(&self.0, self.open()).await?;
        let publisher = Publisher::open(&self.0).await?;
        let passive = QueueDeclareOptions {
            passive: true,
            ..QueueDeclareOptions::default()
        };
        let dead = self.0.dead_letter_queue();
        let waiting = channel
            .queue_declare(dead.as_str().into(), passive, FieldTable::default())
            .await?
            .message_count();
        let mut replayed = 0;
        for _ in 0..waiting {
            if replayed == limit {
                break;
            }
            let Some(message) = in_time(&self.0, self.next(&channel)).await? else {
                break;
            };
            let letter = DeadLetter::of(&message);
            if id.is_some() && letter.id.as_deref() != id {
                continue;
            }
            let again = Outgoing {
                exchange: "".into(),
                key: self.0.queue().into(),
                body: letter.body,
                properties: without_the_reason(&message),
            };
            publisher.publish(&[again]).await?;
            message.delivery.acker.ack(BasicAckOptions::default()).await?;
            replayed += 1;
        }
        connection.close(200, "replayed".into()).await?;
        Ok(replayed)
    }

    async fn open(&self) -> Result<(Connection, Channel), AmqpError> {
        let connection = topology::connect(&self.0).await?;
        let channel = connection.create_channel().await?;
        Ok((connection, channel))
    }

    async fn next(&self, channel: &Channel) -> Result<Option<BasicGetMessage>, AmqpError> {
        let queue = self.0.dead_letter_queue();
        Ok(channel
            .basic_get(queue.as_str().into(), BasicGetOptions::default())
            .await?)
    }
}

impl DeadLetter {
    fn of(message: &BasicGetMessage) -> Self {
        let delivery = &message.delivery;
        let header = |name: &str| {
            let headers = delivery.properties.headers().as_ref()?;
            match headers.inner().get(name)? {
                AMQPValue::LongString(text) => Some(text.to_string()),
                _ => None,
            }
        };
        // The broker itself puts a message here that it has delivered too often.
        let reason = header(REASON_HEADER)
            .or_else(|| header("x-first-death-reason").map(|reason| format!("the broker: {reason}")));
        Self {
            id: delivery.properties.message_id().as_ref().map(ToString::to_string),
            reason: reason.unwrap_or_else(|| "not said".to_owned()),
            body: delivery.data.clone(),
        }
    }
}

/// A replayed message is as it was published.
fn without_the_reason(message: &BasicGetMessage) -> lapin::BasicProperties {
    let properties = message.delivery.properties.clone();
    let mut headers = FieldTable::default();
    for (name, value) in properties.headers().iter().flat_map(|headers| headers.inner()) {
        if name.as_str() != REASON_HEADER && !name.as_str().starts_with("x-") {
            headers.insert(name.clone(), value.clone());
        }
    }
    properties.with_headers(headers).with_delivery_mode(2)
}
