//! Exchange, queues and their binding. Whoever comes first makes them, so that no event is published before there is a queue for
//! it, and a queue that was deleted is made again.

use lapin::options::{ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions};
use lapin::protocol::{AMQPErrorKind, AMQPHardError, AMQPSoftError};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{Connection, ErrorKind, ExchangeKind};

use crate::config::AmqpConfig;
use crate::error::AmqpError;
use crate::publisher;

/// How often the broker delivers a message again before it takes it for one that kills its consumers. A worker never gives a
/// message back while it lives, so that each time stands for a crash or a lost connection.
const DELIVERY_LIMIT: i32 = 100;

/// The queues that a broker offers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Queues {
    Quorum,
    /// Before RabbitMQ 3.8, or where an operator has not let it have others since.
    Classic,
}

/// A new connection to a broker that has everything.
pub(crate) async fn connect(config: &AmqpConfig) -> Result<Connection, AmqpError> {
    match connect_to(config, Queues::Quorum).await {
        // Which has ended the connection.
        Err(error) if lacks_quorum_queues(&error) => connect_to(config, Queues::Classic).await,
        connected => connected,
    }
}

async fn connect_to(config: &AmqpConfig, queues: Queues) -> Result<Connection, AmqpError> {
    let connection = publisher::connect(config).await?;
    declare(&connection, config, queues).await?;
    Ok(connection)
}

/// Declares everything.
async fn declare(connection: &Connection, config: &AmqpConfig, queues: Queues) -> Result<(), AmqpError> {
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
    queue(connection, &dead, queues, FieldTable::default()).await?;
    let mut arguments = FieldTable::default();
    let mut text = |name: &str, value: &str| {
        arguments.insert(name.into(), AMQPValue::LongString(value.into()));
    };
    text("x-dead-letter-exchange", "");
    text("x-dead-letter-routing-key", &dead);
    queue(connection, config.queue(), queues, arguments).await?;
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

/// A durable queue of this type, or the queue as it is if an operator made it otherwise.
async fn queue(
    connection: &Connection,
    name: &str,
    queues: Queues,
    mut arguments: FieldTable,
) -> Result<(), AmqpError> {
    if queues == Queues::Quorum {
        let puts_aside = arguments.contains_key("x-dead-letter-exchange");
        let mut text = |name: &str, value: &str| {
            arguments.insert(name.into(), AMQPValue::LongString(value.into()));
        };
        text("x-queue-type", "quorum");
        if puts_aside {
            // A message that the broker puts among the dead letters is not lost on its way. This needs queues that refuse what
            // is too much, which these never do: they have no bound but the broker's.
            text("x-dead-letter-strategy", "at-least-once");
            text("x-overflow", "reject-publish");
            arguments.insert("x-delivery-limit".into(), AMQPValue::LongInt(DELIVERY_LIMIT));
        }
    }
    let passive = QueueDeclareOptions {
        passive: true,
        ..QueueDeclareOptions::default()
    };
    let attempts = [
        (QueueDeclareOptions::durable(), arguments),
        (passive, FieldTable::default()),
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

/// Whether the broker says no to the declaration, since the queue is another.
fn is_refusal(error: &lapin::Error) -> bool {
    let ErrorKind::ProtocolError(error) = error.kind() else {
        return false;
    };
    *error.kind() == AMQPErrorKind::Soft(AMQPSoftError::PRECONDITIONFAILED)
}

/// Whether the broker has no quorum queues. It says so by an internal error.
fn lacks_quorum_queues(error: &AmqpError) -> bool {
    let AmqpError::Broker(error) = error else {
        return false;
    };
    let ErrorKind::ProtocolError(error) = error.kind() else {
        return false;
    };
    *error.kind() == AMQPErrorKind::Hard(AMQPHardError::INTERNALERROR)
        && error.get_message().as_str().contains("rabbit_quorum_queue")
}
