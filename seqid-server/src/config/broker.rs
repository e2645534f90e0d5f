//! The RabbitMQ broker that events are published to, if one is named.

use seqid_amqp::{AmqpConfig, InvalidConfig};

use super::sources::Sources;

/// The broker that the sources name.
pub(super) fn read(sources: &mut Sources<'_>) -> Option<AmqpConfig> {
    let url = sources.read_secret(
        "rabbitmq_url",
        "a URL such as amqp://user:password@host:5672/virtual-host",
        |url| {
            let named = AmqpConfig::new(url, AmqpConfig::DEFAULT_QUEUE);
            (!matches!(named, Err(InvalidConfig::Url))).then(|| url.to_owned())
        },
    );
    let queue = sources.read(
        "queue_name",
        AmqpConfig::DEFAULT_QUEUE,
        "1 to 200 printable ASCII characters without blanks, not beginning with amq.",
        |queue| {
            AmqpConfig::new("amqp://localhost", queue)
                .map(|_| queue.to_owned())
                .ok()
        },
    );
    match AmqpConfig::new(&url?, &queue) {
        Ok(config) => Some(config),
        Err(error) => {
            sources.refuse(match error {
                InvalidConfig::NoTls => {
                    "RABBITMQ_URL asks for TLS, which this build lacks: build it with the feature \
                     `amqp-tls`, or use amqp in place of amqps"
                        .to_owned()
                }
                error => format!("RABBITMQ_URL: {error}"),
            });
            None
        }
    }
}
