use std::fmt;
use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;
use lapin::ConnectionStatus;
use seqid_core::event::Recorded;
use seqid_core::store::{AuditSink, SinkError};
use tokio::sync::Mutex as AsyncMutex;

use crate::config::AmqpConfig;
use crate::error::AmqpError;
use crate::message::{body, properties, routing_key};
use crate::publisher::{Outgoing, Publisher};

/// Publishes events to a topic exchange, and answers once the broker has confirmed that each is in a queue.
///
/// It connects when it is first needed. After any failure the connection is dropped, and the events of the failed call are to be
/// offered again: they are published again under the same message ids. A message that reaches no queue is an error. While the
/// broker says that it takes nothing, the call waits; nothing is kept here but the events of that call.
pub struct AmqpSink {
    config: AmqpConfig,
    publisher: AsyncMutex<Option<Publisher>>,
    status: Mutex<Option<ConnectionStatus>>,
}

/// How a sink stands with its broker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SinkState {
    /// There is no connection.
    Away,
    /// The broker takes messages.
    Connected,
    /// The broker takes no messages: it is short of memory or disk.
    Blocked,
}

impl AmqpSink {
    /// A sink that is not connected yet.
    #[must_use]
    pub fn new(config: AmqpConfig) -> Self {
        Self {
            config,
            publisher: AsyncMutex::new(None),
            status: Mutex::new(None),
        }
    }

    /// How it stands with its broker now.
    #[must_use]
    pub fn state(&self) -> SinkState {
        match &*self.status.lock().unwrap_or_else(PoisonError::into_inner) {
            Some(status) if !status.connected() => SinkState::Away,
            Some(status) if status.blocked() => SinkState::Blocked,
            Some(_) => SinkState::Connected,
            None => SinkState::Away,
        }
    }

    fn note(&self, status: Option<ConnectionStatus>) {
        *self.status.lock().unwrap_or_else(PoisonError::into_inner) = status;
    }

    async fn publish(&self, messages: &[Outgoing]) -> Result<(), AmqpError> {
        let mut slot = self.publisher.lock().await;
        // Taken out meanwhile: after a failure, or when this future is dropped, the connection is closed.
        let publisher = match slot.take() {
            Some(publisher) => publisher,
            None => {
                self.note(None);
                Publisher::open(&self.config).await?
            }
        };
        self.note(Some(publisher.status()));
        let ended = publisher.publish(messages).await;
        if matches!(ended, Ok(()) | Err(AmqpError::Blocked)) {
            *slot = Some(publisher);
        } else {
            self.note(None);
        }
        ended
    }
}

#[async_trait]
impl AuditSink for AmqpSink {
    async fn record(&self, events: &[Recorded]) -> Result<(), SinkError> {
        let mut messages = Vec::with_capacity(events.len());
        for event in events {
            messages.push(Outgoing {
                exchange: self.config.exchange().into(),
                key: routing_key(event).into(),
                body: body(event).map_err(|error| SinkError::new(AmqpError::Encode(error)))?,
                properties: properties(event),
            });
        }
        self.publish(&messages).await.map_err(SinkError::new)
    }
}

impl fmt::Debug for AmqpSink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AmqpSink")
            .field("config", &self.config)
            .field("state", &self.state())
            .finish_non_exhaustive()
    }
}
