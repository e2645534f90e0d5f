use async_trait::async_trait;
use seqid_core::counter::CounterKey;
use seqid_core::mark::NumberState;
use seqid_core::store::{AuditLog, MarkRecord, StoreError};
use seqid_core::{MemoryStore, Number};

use super::Lie;

/// Says nothing of numbers that were voided or let go.
#[derive(Debug, Default)]
pub struct ForgetsMarks;

#[async_trait]
impl Lie for ForgetsMarks {
    async fn marks(
        &self,
        truth: &MemoryStore,
        counter: &CounterKey,
        after: Option<(u32, Number)>,
        limit: usize,
    ) -> Result<Vec<MarkRecord>, StoreError> {
        let mut marks = truth.marks(counter, after, limit).await?;
        marks.retain(|record| {
            !matches!(
                record.mark.state,
                NumberState::Voided | NumberState::Expired | NumberState::Free
            )
        });
        Ok(marks)
    }
}
