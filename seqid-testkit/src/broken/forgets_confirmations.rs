use async_trait::async_trait;
use seqid_core::MemoryStore;
use seqid_core::command::{Act, Command, End, Reply, Settled};
use seqid_core::event::EventKind;
use seqid_core::store::{AuditLog, CounterStore, StoreError};

use super::{Lie, Replies};

/// Says that numbers are issued, and leaves them reserved: where they are reused, another gets them later.
#[derive(Debug, Default)]
pub struct ForgetsConfirmations;

#[async_trait]
impl Lie for ForgetsConfirmations {
    async fn apply(&self, truth: &MemoryStore, batch: Vec<Command>) -> Replies {
        let mut replies = Vec::with_capacity(batch.len());
        for command in batch {
            replies.push(match pretended(truth, &command.act).await {
                Some(reply) => Ok(reply),
                None => truth
                    .apply(vec![command])
                    .await
                    .pop()
                    .unwrap_or(Err(StoreError::Overloaded)),
            });
        }
        replies
    }
}

/// What an honest store would say of a confirmation that it carried out.
async fn pretended(truth: &MemoryStore, act: &Act) -> Option<Reply> {
    let Act::Settle(settle) = act else { return None };
    let End::Confirm { .. } = settle.end else {
        return None;
    };
    let record = truth.reservation(&settle.reservation).await.ok()??;
    if record.ended.is_some() {
        return None;
    }
    let mut event = record.began;
    event.kind = EventKind::Confirmed;
    Some(Reply::Settled(Settled {
        event: Box::new(event),
        repeated: false,
    }))
}
