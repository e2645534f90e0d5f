use async_trait::async_trait;
use seqid_core::command::Command;
use seqid_core::store::CounterStore;
use seqid_core::{IdempotencyKey, MemoryStore};

use super::{Lie, Replies};

/// Looks for keys in the period of the repetition, so that a retry after midnight draws again.
#[derive(Debug, Default)]
pub struct ForgetsKeysAfterThePeriod;

#[async_trait]
impl Lie for ForgetsKeysAfterThePeriod {
    async fn apply(&self, truth: &MemoryStore, mut batch: Vec<Command>) -> Replies {
        for command in &mut batch {
            let period = command.act.counter().map(|counter| counter.period().to_string());
            if let (Some(keyed), Some(period)) = (&mut command.key, period)
                && let Ok(key) = IdempotencyKey::new(&format!("{} {period}", keyed.key))
            {
                keyed.key = key;
            }
        }
        truth.apply(batch).await
    }
}
