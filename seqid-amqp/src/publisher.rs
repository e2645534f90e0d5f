//! A connection with a channel that confirms. It is used until the first failure, and never again.

use std::time::Duration;

use lapin::options::{BasicPublishOptions, ConfirmSelectOptions};
use lapin::types::ShortString;
use lapin::{BasicProperties, Channel, Confirmation, Connection, ConnectionProperties, ConnectionStatus};
use tokio::time::timeout;

use crate::config::AmqpConfig;
use crate::error::AmqpError;
use crate::topology;

/// See the [module](self).
pub(crate) struct Publisher {
    connection: Connection,
    channel: Channel,
    place: String,
    patience: Duration,
}

/// A message on its way out.
#[derive(Debug)]
pub(crate) struct Outgoing {
    pub(crate) exchange: ShortString,
    pub(crate) key: ShortString,
    pub(crate) body: Vec<u8>,
    pub(crate) properties: BasicProperties,
}

impl Publisher {
    /// Connects and makes the exchange and the queues.
    pub(crate) async fn open(config: &AmqpConfig) -> Result<Self, AmqpError> {
        let opened = async {
            let connection = topology::connect(config).await?;
            let channel = connection.create_channel().await?;
            channel.confirm_select(ConfirmSelectOptions::default()).await?;
            Ok(Self {
                connection,
                channel,
                place: config.place(),
                patience: config.timeout,
            })
        };
        in_time(config, opened).await
    }

    pub(crate) fn status(&self) -> ConnectionStatus {
        self.connection.status().clone()
    }

    /// Publishes a window of messages, and returns once the broker has stored each of them in a queue.
    pub(crate) async fn publish(&self, messages: &[Outgoing]) -> Result<(), AmqpError> {
        if self.connection.status().blocked() {
            return Err(AmqpError::Blocked);
        }
        let mut published = std::pin::pin!(self.confirmed(messages));
        let mut said = false;
        loop {
            match timeout(self.patience, &mut published).await {
                Ok(ended) => return ended,
                // What was sent is in the broker's hands: to send it again would only make it twice.
                Err(_) if self.connection.status().blocked() => {
                    if !said {
                        tracing::warn!(broker = self.place, "{}; it is waited for", AmqpError::Blocked);
                        said = true;
                    }
                }
                Err(_) => return Err(silent(&self.place, self.patience)),
            }
        }
    }

    async fn confirmed(&self, messages: &[Outgoing]) -> Result<(), AmqpError> {
        let mandatory = BasicPublishOptions {
            mandatory: true,
            ..BasicPublishOptions::default()
        };
        let mut confirms = Vec::with_capacity(messages.len());
        for message in messages {
            let confirm = self.channel.basic_publish(
                message.exchange.clone(),
                message.key.clone(),
                mandatory,
                &message.body,
                message.properties.clone(),
            );
            confirms.push(confirm.await?);
        }
        let (mut refused, mut returned) = (0, None);
        for confirm in confirms {
            // A returned message comes with the confirm that follows it, which need not be its own.
            match confirm.await? {
                Confirmation::Ack(message) => returned = returned.or(message),
                Confirmation::Nack(message) => {
                    refused += 1;
                    returned = returned.or(message);
                }
                Confirmation::NotRequested => refused += 1,
            }
        }
        if let Some(message) = returned {
            let id = message.properties.message_id().as_ref();
            return Err(AmqpError::Unroutable {
                event: id.map(ToString::to_string).unwrap_or_default(),
                key: message.routing_key.to_string(),
            });
        }
        if refused > 0 {
            let of = messages.len();
            return Err(AmqpError::Refused { count: refused, of });
        }
        Ok(())
    }
}

/// A new connection, which recovers nothing by itself.
pub(crate) async fn connect(config: &AmqpConfig) -> Result<Connection, AmqpError> {
    let properties = ConnectionProperties::default().with_connection_name("seqid".into());
    let connected = async {
        let runtime = lapin::runtime::default_runtime()?;
        let tls = config.tls.for_connection();
        Connection::connect_uri_with_config(config.uri.clone(), properties, tls, runtime).await
    };
    connected.await.map_err(|source| AmqpError::Connect {
        place: config.place(),
        source,
    })
}

/// Waits no longer than the configuration says.
pub(crate) async fn in_time<T>(
    config: &AmqpConfig,
    future: impl Future<Output = Result<T, AmqpError>>,
) -> Result<T, AmqpError> {
    match timeout(config.timeout, future).await {
        Ok(ended) => ended,
        Err(_) => Err(silent(&config.place(), config.timeout)),
    }
}

fn silent(place: &str, waited: Duration) -> AmqpError {
    let place = place.to_owned();
    AmqpError::Silent { place, waited }
}
