use async_trait::async_trait;
use seqid_core::MemoryStore;
use seqid_core::command::Command;
use seqid_core::store::CounterStore;

use super::{Lie, Replies};

/// Carries out what comes too late.
#[derive(Debug, Default)]
pub struct IgnoresDeadlines;

#[async_trait]
impl Lie for IgnoresDeadlines {
    async fn apply(&self, truth: &MemoryStore, mut batch: Vec<Command>) -> Replies {
        batch.iter_mut().for_each(|command| command.deadline = None);
        truth.apply(batch).await
    }
}
