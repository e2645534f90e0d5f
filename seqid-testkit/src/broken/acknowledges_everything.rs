use async_trait::async_trait;
use seqid_core::MemoryStore;
use seqid_core::store::{AuditLog, EventSource, StoreError};

use super::Lie;

/// Takes an acknowledgement for one of everything there is, delivered or not.
#[derive(Debug, Default)]
pub struct AcknowledgesEverything;

#[async_trait]
impl Lie for AcknowledgesEverything {
    async fn acknowledge(&self, truth: &MemoryStore, position: u64) -> Result<(), StoreError> {
        let rest = truth.events(position, usize::MAX).await?;
        // One is left, or the next call of take would wait for ever.
        let last = rest.iter().rev().nth(1).map_or(position, |last| last.position);
        truth.acknowledge(last).await
    }
}
