use async_trait::async_trait;
use seqid_core::command::Command;
use seqid_core::event::Keyed;
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
            let Some(counter) = command.act.counter() else {
                continue;
            };
            if let Some(keyed) = &mut command.key
                && let Ok(key) = IdempotencyKey::new(&format!("{} {}", keyed.key(), counter.period()))
            {
                *keyed = Keyed::new(counter.sequence(), key, keyed.fingerprint());
            }
        }
        truth.apply(batch).await
    }
}
