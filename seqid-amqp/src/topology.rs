//! Exchange, queues and their binding. Whoever comes first makes them, so that no event is published before there is a queue for
//! it, and a queue that was deleted is made again.

use lapin::options::{ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions};
use lapin::protocol::{AMQPErrorKind, AMQPSoftError};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{Connection, ErrorKind, ExchangeKind};

use crate::config::AmqpConfig;
use crate::error::AmqpError;

/// How often the broker delivers a message again before it takes it for one that kills its consumers. A worker never gives a
/// message back while it lives, so that each time stands for a crash or a lost connection.
const DELIVERY_LIMIT: i32 = 100;

/// Declares everything.
pub(crate) async fn declare(connection: &Connection, config: &AmqpConfig) -> Result<(), AmqpError> {
    let durable = ExchangeDeclareOptions {
        durable: true,
        ..ExchangeDeclareOptions::default()
    };
    let channel = connection.create_channel().await?;
    channel
        .exchange_declare(
            config.exchange().into(),
            ExchangeKind::Topic,
            durable,
            FieldTable::default(),
        )
        .await?;
    let dead = config.dead_letter_queue();
    queue(connection, &dead, FieldTable::default()).await?;
    let mut arguments = FieldTable::default();
    let mut text = |name: &str, value: &str| {
        arguments.insert(name.into(), AMQPValue::LongString(value.into()));
    };
    text("x-dead-letter-exchange", "");
    text("x-dead-letter-routing-key", &dead);
    queue(connection, config.queue(), arguments).await?;
    channel
        .queue_bind(
            config.queue().into(),
            config.exchange().into(),
            "#".into(),
            QueueBindOptions::default(),
            FieldTable::default(),
        )
        .await?;
    channel.close(200, "declared".into()).await?;
    Ok(())
}

/// A quorum queue; the queue as it is if an operator made it otherwise; a durable classic one if the broker has no others.
async fn queue(connection: &Connection, name: &str, arguments: FieldTable) -> Result<(), AmqpError> {
    let mut quorum = arguments.clone();
    quorum.insert("x-queue-type".into(), AMQPValue::LongString("quorum".into()));
    if arguments.contains_key("x-dead-letter-exchange") {
        quorum.insert("x-delivery-limit".into(), AMQPValue::LongInt(DELIVERY_LIMIT));
        // A message that the broker puts among the dead letters is not lost on its way. This needs queues that refuse what is
        // too much, which these never do: they have no bound but the broker's.
        quorum.insert(
            "x-dead-letter-strategy".into(),
            AMQPValue::LongString("at-least-once".into()),
        );
        quorum.insert(
            "x-overflow".into(),
            AMQPValue::LongString("reject-publish".into()),
        );
    }
    let passive = QueueDeclareOptions {
        passive: true,
        ..QueueDeclareOptions::default()
    };
    let attempts = [
        (QueueDeclareOptions::durable(), quorum),
        (passive, FieldTable::default()),
        (QueueDeclareOptions::durable(), arguments),
    ];
    let mut refused = None;
    for (options, arguments) in attempts {
        // A refusal closes the channel.
        let channel = connection.create_channel().await?;
        match channel.queue_declare(name.into(), options, arguments).await {
            Ok(_) => {
                channel.close(200, "declared".into()).await?;
                return Ok(());
            }
            Err(error) if is_refusal(&error) => refused = Some(error),
            Err(error) => return Err(error.into()),
        }
    }
    Err(refused.map_or(AmqpError::Cancelled, AmqpError::Broker))
}

/// Whether the broker itself says no to the declaration: the queue is another, or is not there.
fn is_refusal(error: &lapin::Error) -> bool {
    let ErrorKind::ProtocolError(error) = error.kind() else {
        return false;
    };
    matches!(
        error.kind(),
        AMQPErrorKind::Soft(AMQPSoftError::PRECONDITIONFAILED | AMQPSoftError::NOTFOUND)
    )
}
