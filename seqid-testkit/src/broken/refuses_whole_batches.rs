use async_trait::async_trait;
use seqid_core::MemoryStore;
use seqid_core::command::Command;
use seqid_core::store::CounterStore;

use super::{Lie, Replies};

/// Answers every command of a batch with the first refusal among them.
#[derive(Debug, Default)]
pub struct RefusesWholeBatches;

#[async_trait]
impl Lie for RefusesWholeBatches {
    async fn apply(&self, truth: &MemoryStore, batch: Vec<Command>) -> Replies {
        let commands = batch.len();
        let mut replies = Vec::with_capacity(commands);
        for command in batch {
            replies.extend(truth.apply(vec![command]).await);
            if let Some(Err(error)) = replies.last() {
                return vec![Err(error.clone()); commands];
            }
        }
        replies
    }
}
