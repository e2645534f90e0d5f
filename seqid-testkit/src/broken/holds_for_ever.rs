use std::time::Duration;

use async_trait::async_trait;
use seqid_core::MemoryStore;
use seqid_core::command::{Act, Command};
use seqid_core::store::CounterStore;

use super::{Lie, Replies};

/// Lets go of nothing that is held.
#[derive(Debug, Default)]
pub struct HoldsForEver;

#[async_trait]
impl Lie for HoldsForEver {
    async fn apply(&self, truth: &MemoryStore, mut batch: Vec<Command>) -> Replies {
        for command in &mut batch {
            if let Act::Draw(draw) = &mut command.act
                && let Some(hold) = &mut draw.hold
            {
                hold.ttl = Duration::MAX;
            }
        }
        truth.apply(batch).await
    }
}
