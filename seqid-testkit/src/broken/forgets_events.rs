use async_trait::async_trait;
use seqid_core::MemoryStore;
use seqid_core::event::Recorded;
use seqid_core::query::{EventPage, EventQuery};
use seqid_core::store::{AuditLog, StoreError};

use super::Lie;

/// Says ok, and leaves every fifth event out of the audit, and every third out of what is found in it.
#[derive(Debug, Default)]
pub struct ForgetsEvents;

#[async_trait]
impl Lie for ForgetsEvents {
    async fn events(
        &self,
        truth: &MemoryStore,
        after: u64,
        limit: usize,
    ) -> Result<Vec<Recorded>, StoreError> {
        let mut events = truth.events(after, limit).await?;
        events.retain(|recorded| recorded.position % 5 != 0);
        Ok(events)
    }

    async fn query(&self, truth: &MemoryStore, query: &EventQuery) -> Result<EventPage, StoreError> {
        let mut page = truth.query(query).await?;
        page.events.retain(|recorded| recorded.position % 3 != 0);
        Ok(page)
    }
}
