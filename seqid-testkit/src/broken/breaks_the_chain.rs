use async_trait::async_trait;
use seqid_core::MemoryStore;
use seqid_core::event::Recorded;
use seqid_core::store::{AuditLog, StoreError};

use super::Lie;

/// Has an event in the audit that was changed after it had been chained.
#[derive(Debug, Default)]
pub struct BreaksTheChain;

#[async_trait]
impl Lie for BreaksTheChain {
    async fn events(
        &self,
        truth: &MemoryStore,
        after: u64,
        limit: usize,
    ) -> Result<Vec<Recorded>, StoreError> {
        let mut events = truth.events(after, limit).await?;
        for Recorded { position, event, .. } in &mut events {
            if let (3, Some(run)) = (*position, &mut event.run) {
                run.count += 1;
            }
        }
        Ok(events)
    }
}
