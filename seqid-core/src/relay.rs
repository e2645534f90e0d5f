//! The pump from a store's outbox to a sink. At least once, in order; what is acknowledged stays so.

use std::sync::Arc;
use std::time::Duration;

use crate::store::{AuditSink, Cause, EventSource, SinkError, StoreError};

/// How many events go to the sink at a time.
const BATCH: usize = 1_000;
/// The first pause after a failure; each further failure doubles it.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// The longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// See the [module](self).
#[derive(Debug)]
pub struct Relay<Source, Sink> {
    source: Source,
    sink: Sink,
}

/// Why a round of a relay failed. Its events are offered again.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum RelayError {
    /// The store did not give or did not acknowledge events.
    #[error("the outbox cannot be read")]
    Source(#[from] StoreError),
    /// The sink did not take them.
    #[error(transparent)]
    Sink(#[from] SinkError),
}

impl<Source: EventSource, Sink: AuditSink> Relay<Source, Sink> {
    /// A relay between the two.
    #[must_use]
    pub const fn new(source: Source, sink: Sink) -> Self {
        Self { source, sink }
    }

    /// Waits for events and delivers one batch of them; answers how many.
    ///
    /// # Errors
    /// Events that were not acknowledged come again in the next round, with the same ids.
    ///
    /// # Cancel safety
    /// Dropping the future loses nothing; a batch may then be delivered again.
    pub async fn deliver(&self) -> Result<usize, RelayError> {
        let events = self.source.take(BATCH).await?;
        let Some(last) = events.last().map(|event| event.position) else {
            return Ok(0);
        };
        self.sink.record(&events).await?;
        self.source.acknowledge(last).await?;
        Ok(events.len())
    }

    /// Delivers for ever; pauses after a failure, and tells `on_error` of it. Stop it by dropping the future.
    pub async fn run(&self, on_error: impl Fn(&RelayError)) {
        let mut pause = FIRST_PAUSE;
        loop {
            match self.deliver().await {
                Ok(_) => pause = FIRST_PAUSE,
                Err(error) => {
                    on_error(&error);
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(LONGEST_PAUSE);
                }
            }
        }
    }
}

impl SinkError {
    /// A sink's failure with its cause.
    #[must_use]
    pub fn new(cause: impl std::error::Error + Send + Sync + 'static) -> Self {
        Self(Arc::new(cause) as Cause)
    }
}
