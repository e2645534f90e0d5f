use async_trait::async_trait;
use seqid_core::MemoryStore;
use seqid_core::command::Command;
use seqid_core::store::CounterStore;

use super::{Lie, Replies};

/// Draws again for every repetition.
#[derive(Debug, Default)]
pub struct IgnoresKeys;

#[async_trait]
impl Lie for IgnoresKeys {
    async fn apply(&self, truth: &MemoryStore, mut batch: Vec<Command>) -> Replies {
        batch.iter_mut().for_each(|command| command.key = None);
        truth.apply(batch).await
    }
}
