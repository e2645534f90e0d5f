use async_trait::async_trait;
use seqid_core::MemoryStore;
use seqid_core::command::{Act, Command, Defined, Granted, Reply, Shifted};
use seqid_core::counter::Run;
use seqid_core::ledger::Refusal;
use seqid_core::store::{CounterStore, StoreError};
use seqid_core::time::Timestamp;

use super::{Lie, Replies};

/// Says that it did what it should have refused for a certain reason.
#[derive(Debug, Clone, Copy)]
pub struct NeverRefuses(
    /// The reason.
    pub fn(&Refusal) -> bool,
);

#[async_trait]
impl Lie for NeverRefuses {
    async fn apply(&self, truth: &MemoryStore, batch: Vec<Command>) -> Replies {
        let acts: Vec<Act> = batch.iter().map(|command| command.act.clone()).collect();
        let replies = truth.apply(batch).await;
        let reply = |(act, reply): (Act, Result<Reply, StoreError>)| match reply {
            Err(StoreError::Refused(refusal)) if self.0(&refusal) => Ok(pretended(&act)),
            other => other,
        };
        acts.into_iter().zip(replies).map(reply).collect()
    }
}

fn pretended(act: &Act) -> Reply {
    let at = Timestamp::from_micros(0);
    match act {
        Act::Draw(draw) => {
            let definition = draw.line.definition();
            let run = Run {
                first: definition.start(),
                step: definition.step(),
                count: draw.count.into(),
            };
            Reply::Granted(Granted {
                run,
                generation: 1,
                epoch: 1,
                n: 1,
                expires_at: None,
                at,
            })
        }
        Act::Shift(shift) => {
            let next = shift.line.definition().start().get();
            Reply::Shifted(Shifted {
                old_next: next,
                next,
                generation: 1,
                epoch: 1,
                at,
            })
        }
        _ => Reply::Defined(Defined {
            version: 1,
            saved: true,
        }),
    }
}
