use async_trait::async_trait;
use seqid_core::MemoryStore;
use seqid_core::command::{Act, Command, Reply, Shift, Target};
use seqid_core::event::Recorded;
use seqid_core::store::{AuditLog, CounterStore, StoreError};

use super::{Lie, Replies};

/// Lets numbers repeat whenever a reset goes back, and raises no generation for it.
#[derive(Debug, Default)]
pub struct RepeatsAfterReset;

#[async_trait]
impl Lie for RepeatsAfterReset {
    async fn apply(&self, truth: &MemoryStore, mut batch: Vec<Command>) -> Replies {
        for command in &mut batch {
            if let Act::Shift(Shift {
                target: Target::Next { repeats_accepted, .. },
                ..
            }) = &mut command.act
            {
                *repeats_accepted = true;
            }
        }
        let mut replies = truth.apply(batch).await;
        for reply in replies.iter_mut().flatten() {
            match reply {
                Reply::Granted(granted) => granted.generation = 1,
                Reply::Shifted(shifted) => shifted.generation = 1,
                _ => {}
            }
        }
        replies
    }

    async fn events(
        &self,
        truth: &MemoryStore,
        after: u64,
        limit: usize,
    ) -> Result<Vec<Recorded>, StoreError> {
        let mut events = truth.events(after, limit).await?;
        events
            .iter_mut()
            .for_each(|recorded| recorded.event.generation = recorded.event.generation.min(1));
        Ok(events)
    }
}
