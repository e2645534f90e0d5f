use async_trait::async_trait;
use seqid_core::MemoryStore;
use seqid_core::store::{AuditLog, Backlog, StoreError};

use super::Lie;

/// Takes every event for one that waits, so that a bound on those is reached though all were delivered.
#[derive(Debug, Default)]
pub struct CountsWhatWasDelivered;

#[async_trait]
impl Lie for CountsWhatWasDelivered {
    async fn backlog(&self, truth: &MemoryStore) -> Result<Backlog, StoreError> {
        let events = truth.events(0, usize::MAX).await?;
        Ok(Backlog {
            events: events.len() as u64,
            oldest: events.first().map(|event| event.event.at),
        })
    }
}
