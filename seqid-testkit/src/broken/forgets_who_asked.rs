use std::sync::Arc;

use async_trait::async_trait;
use seqid_core::MemoryStore;
use seqid_core::command::Command;
use seqid_core::store::CounterStore;

use super::{Lie, Replies};

/// Keeps what happened, and not who asked for it.
#[derive(Debug, Default)]
pub struct ForgetsWhoAsked;

#[async_trait]
impl Lie for ForgetsWhoAsked {
    async fn apply(&self, truth: &MemoryStore, mut batch: Vec<Command>) -> Replies {
        batch
            .iter_mut()
            .for_each(|command| command.origin = Arc::default());
        truth.apply(batch).await
    }
}
