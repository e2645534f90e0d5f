use async_trait::async_trait;
use seqid_core::MemoryStore;
use seqid_core::command::{Act, AdoptedNumbers, AdoptedRun, Command, Reply};
use seqid_core::store::CounterStore;

use super::{Lie, Replies};

/// Adopts the numbers of the first counter of a list, and says that it has those of the others.
#[derive(Debug, Default)]
pub struct AdoptsTheFirstCounter;

#[async_trait]
impl Lie for AdoptsTheFirstCounter {
    async fn apply(&self, truth: &MemoryStore, mut batch: Vec<Command>) -> Replies {
        let left: Vec<Vec<AdoptedRun>> = batch.iter_mut().map(leave).collect();
        let mut replies = truth.apply(batch).await;
        for (reply, left) in replies.iter_mut().zip(left) {
            if let Ok(Reply::Adopted(counters)) = reply {
                counters.extend(left.chunk_by(same_counter).map(pretended));
            }
        }
        replies
    }
}

/// Takes the runs of all counters but the first out of an adoption.
fn leave(command: &mut Command) -> Vec<AdoptedRun> {
    let Act::Adopt(adopt) = &mut command.act else {
        return Vec::new();
    };
    let first = adopt.counters().next().map_or(0, <[_]>::len);
    adopt.runs.split_off(first)
}

fn same_counter(one: &AdoptedRun, other: &AdoptedRun) -> bool {
    one.line.key() == other.line.key()
}

/// What an honest store would say of a counter whose numbers begin with these.
fn pretended(runs: &[AdoptedRun]) -> AdoptedNumbers {
    AdoptedNumbers {
        counter: runs[0].line.key().clone(),
        adopted: runs.iter().map(|adopted| adopted.run.count).sum(),
        repeated: 0,
        skipped: 0,
        next: runs[runs.len() - 1].run.next(),
    }
}
