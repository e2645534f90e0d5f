use async_trait::async_trait;
use seqid_core::MemoryStore;
use seqid_core::event::Recorded;
use seqid_core::store::{EventSource, StoreError};

use super::Lie;

/// Forgets events once they were taken, so that a relay that fails loses them.
#[derive(Debug, Default)]
pub struct OffersEventsOnce;

#[async_trait]
impl Lie for OffersEventsOnce {
    async fn take(&self, truth: &MemoryStore, limit: usize) -> Result<Vec<Recorded>, StoreError> {
        let events = truth.take(limit).await?;
        // One is left, or the next call would wait for ever.
        if let [.., last_but_one, _] = &events[..] {
            truth.acknowledge(last_but_one.position).await?;
        }
        Ok(events)
    }
}
