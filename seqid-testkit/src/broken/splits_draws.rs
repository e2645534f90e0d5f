use async_trait::async_trait;
use seqid_core::MemoryStore;
use seqid_core::command::{Act, Command, Reply};
use seqid_core::store::{CounterStore, StoreError};

use super::{Lie, Replies};

/// Draws a batch number by number, and lets others in between.
#[derive(Debug, Default)]
pub struct SplitsDraws;

#[async_trait]
impl Lie for SplitsDraws {
    async fn apply(&self, truth: &MemoryStore, batch: Vec<Command>) -> Replies {
        let mut replies = Vec::with_capacity(batch.len());
        for command in batch {
            replies.push(number_by_number(truth, command).await);
        }
        replies
    }
}

async fn number_by_number(truth: &MemoryStore, mut command: Command) -> Result<Reply, StoreError> {
    let Act::Draw(draw) = &mut command.act else {
        return truth.apply(vec![command]).await.remove(0);
    };
    let count = std::mem::replace(&mut draw.count, 1);
    let mut first = truth.apply(vec![command.clone()]).await.remove(0)?;
    command.key = None;
    for _ in 1..count {
        tokio::task::yield_now().await;
        truth.apply(vec![command.clone()]).await.remove(0)?;
    }
    if let Reply::Granted(granted) = &mut first {
        granted.run.count = count.into();
    }
    Ok(first)
}
