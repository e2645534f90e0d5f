use std::sync::Arc;

use async_trait::async_trait;
use seqid_core::command::{Act, Command, Draw, Granted, Reply};
use seqid_core::counter::Run;
use seqid_core::store::CounterStore;
use seqid_core::{MemoryStore, Number};

use super::{Lie, Replies};

/// Makes one draw of all draws of a batch on one line, and refuses all of them if their sum does not fit.
#[derive(Debug, Default)]
pub struct MergesDraws;

#[async_trait]
impl Lie for MergesDraws {
    async fn apply(&self, truth: &MemoryStore, batch: Vec<Command>) -> Replies {
        let draws: Vec<Draw> = batch
            .iter()
            .filter_map(|command| match &command.act {
                Act::Draw(draw) if command.key.is_none() => Some(draw.clone()),
                _ => None,
            })
            .collect();
        let Some(first) = draws.first().filter(|first| {
            draws.len() == batch.len() && draws.iter().all(|draw| Arc::ptr_eq(&draw.line, &first.line))
        }) else {
            return truth.apply(batch).await;
        };
        let sum = draws
            .iter()
            .fold(0_u32, |sum, draw| sum.saturating_add(draw.count));
        let merged = Command::new(
            Act::Draw(Draw {
                count: sum,
                ..first.clone()
            }),
            Arc::clone(&batch[0].origin),
        );
        match truth.apply(vec![merged]).await.remove(0) {
            Ok(Reply::Granted(granted)) => divided(granted, &draws),
            other => vec![other; batch.len()],
        }
    }
}

fn divided(granted: Granted, draws: &[Draw]) -> Replies {
    let mut numbers = granted.run.numbers();
    let part = |draw: &Draw| {
        let first = numbers.next().unwrap_or(Number::MAX);
        for _ in 1..draw.count {
            numbers.next();
        }
        let run = Run {
            first,
            count: draw.count.into(),
            ..granted.run
        };
        Ok(Reply::Granted(Granted { run, ..granted }))
    };
    draws.iter().map(part).collect()
}
