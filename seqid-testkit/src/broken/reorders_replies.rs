use async_trait::async_trait;
use seqid_core::MemoryStore;
use seqid_core::command::Command;
use seqid_core::store::CounterStore;

use super::{Lie, Replies};

/// Answers the commands of a batch from the last to the first.
#[derive(Debug, Default)]
pub struct ReordersReplies;

#[async_trait]
impl Lie for ReordersReplies {
    async fn apply(&self, truth: &MemoryStore, batch: Vec<Command>) -> Replies {
        let mut replies = truth.apply(batch).await;
        replies.reverse();
        replies
    }
}
