use async_trait::async_trait;
use seqid_core::MemoryStore;
use seqid_core::command::{Act, Command, Reply, Settled};
use seqid_core::event::EventKind;
use seqid_core::ledger::Refusal;
use seqid_core::store::{AuditLog, CounterStore, StoreError};

use super::{Lie, Replies};

/// Says that numbers were issued although their hold had ended.
#[derive(Debug, Default)]
pub struct ConfirmsAfterExpiry;

#[async_trait]
impl Lie for ConfirmsAfterExpiry {
    async fn apply(&self, truth: &MemoryStore, batch: Vec<Command>) -> Replies {
        let acts: Vec<Act> = batch.iter().map(|command| command.act.clone()).collect();
        let mut replies = truth.apply(batch).await;
        for (act, reply) in acts.iter().zip(&mut replies) {
            if let (Act::Settle(settle), Err(StoreError::Refused(Refusal::HoldExpired { .. }))) =
                (act, &reply)
                && let Ok(Some(record)) = truth.reservation(&settle.reservation).await
            {
                let mut event = record.began;
                event.kind = EventKind::Confirmed;
                *reply = Ok(Reply::Settled(Settled {
                    event: Box::new(event),
                    repeated: false,
                }));
            }
        }
        replies
    }
}
