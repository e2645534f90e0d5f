use async_trait::async_trait;
use seqid_core::MemoryStore;
use seqid_core::command::{Act, Command};
use seqid_core::store::{AuditLog, CounterStore};

use super::{Lie, Replies};

/// Finds a reservation by its name alone, whoever asks and for whatever counter.
#[derive(Debug, Default)]
pub struct AnswersStrangers;

#[async_trait]
impl Lie for AnswersStrangers {
    async fn apply(&self, truth: &MemoryStore, mut batch: Vec<Command>) -> Replies {
        for command in &mut batch {
            if let Act::Settle(settle) = &mut command.act
                && let Ok(Some(record)) = truth.reservation(&settle.reservation).await
                && let (Some(counter), Some(run)) = (record.began.subject.counter(), record.began.run)
            {
                settle.counter = counter.clone();
                (settle.generation, settle.first) = (record.began.generation, run.first);
            }
        }
        truth.apply(batch).await
    }
}
