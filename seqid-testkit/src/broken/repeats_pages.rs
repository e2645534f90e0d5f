use async_trait::async_trait;
use seqid_core::MemoryStore;
use seqid_core::event::Recorded;
use seqid_core::store::{AuditLog, StoreError};

use super::Lie;

/// Begins a page of events with the last event of the page before.
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
}
