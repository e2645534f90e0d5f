use async_trait::async_trait;
use seqid_core::MemoryStore;
use seqid_core::command::Command;
use seqid_core::store::CounterStore;

use super::{Lie, Replies};

/// Looks for a key in the sequence that is drawn from alone, so that a retry draws again where another sequence of the
/// chain has given the number.
#[derive(Debug, Default)]
pub struct ForgetsKin;

#[async_trait]
impl Lie for ForgetsKin {
    async fn apply(&self, truth: &MemoryStore, mut batch: Vec<Command>) -> Replies {
        batch.iter_mut().for_each(|command| command.kin.clear());
        truth.apply(batch).await
    }
}
