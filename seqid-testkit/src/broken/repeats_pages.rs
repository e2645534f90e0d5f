use async_trait::async_trait;
use seqid_core::MemoryStore;
use seqid_core::event::Recorded;
use seqid_core::query::{EventPage, EventQuery};
use seqid_core::store::{AuditLog, StoreError};

use super::Lie;

/// Begins a page of events, or of those found, with the last event of the page before.
#[derive(Debug, Default)]
pub struct RepeatsPages;

#[async_trait]
impl Lie for RepeatsPages {
    async fn events(
        &self,
        truth: &MemoryStore,
        after: u64,
        limit: usize,
    ) -> Result<Vec<Recorded>, StoreError> {
        truth.events(after.saturating_sub(1), limit).await
    }

    async fn query(&self, truth: &MemoryStore, query: &EventQuery) -> Result<EventPage, StoreError> {
        let mut page = truth.query(query).await?;
        if let Some(after) = query.after {
            let again = truth.events(after.saturating_sub(1), 1).await?;
            page.events.splice(0..0, again);
            page.events.truncate(query.limit);
        }
        Ok(page)
    }
}
