use async_trait::async_trait;
use seqid_core::MemoryStore;
use seqid_core::command::{Act, Adopt, Command, Reply};
use seqid_core::store::{CounterStore, StoreError};

use super::{Lie, Replies};

/// Adopts the numbers of one counter after the other: those before a refused one stay adopted.
#[derive(Debug, Default)]
pub struct AdoptsCounterByCounter;

#[async_trait]
impl Lie for AdoptsCounterByCounter {
    async fn apply(&self, truth: &MemoryStore, batch: Vec<Command>) -> Replies {
        let mut replies = Vec::with_capacity(batch.len());
        for command in batch {
            replies.push(counter_by_counter(truth, command).await);
        }
        replies
    }
}

async fn counter_by_counter(truth: &MemoryStore, mut command: Command) -> Result<Reply, StoreError> {
    let Act::Adopt(adopt) = command.act.clone() else {
        return truth.apply(vec![command]).await.remove(0);
    };
    let mut numbers = Vec::new();
    for runs in adopt.counters() {
        command.act = Act::Adopt(Adopt {
            runs: runs.to_vec(),
            ..adopt.clone()
        });
        match truth.apply(vec![command.clone()]).await.remove(0)? {
            Reply::Adopted(counters) => numbers.extend(counters),
            other => return Ok(other),
        }
        command.key = None;
    }
    Ok(Reply::Adopted(numbers))
}
