use async_trait::async_trait;
use seqid_core::MemoryStore;
use seqid_core::command::{Act, Command, Reply};
use seqid_core::store::CounterStore;

use super::{Lie, Replies};

/// Takes one number more than it gives out for a batch, and so leaves gaps.
#[derive(Debug, Default)]
pub struct DrawsOneMore;

#[async_trait]
impl Lie for DrawsOneMore {
    async fn apply(&self, truth: &MemoryStore, mut batch: Vec<Command>) -> Replies {
        let mut greedy = vec![false; batch.len()];
        for (command, greedy) in batch.iter_mut().zip(&mut greedy) {
            if let Act::Draw(draw) = &mut command.act
                && (2..u32::MAX).contains(&draw.count)
            {
                draw.count += 1;
                *greedy = true;
            }
        }
        let mut replies = truth.apply(batch).await;
        for (reply, greedy) in replies.iter_mut().zip(greedy) {
            if let (Ok(Reply::Granted(granted)), true) = (reply, greedy) {
                granted.run.count -= 1;
            }
        }
        replies
    }
}
