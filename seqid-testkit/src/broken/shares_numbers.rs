use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;
use seqid_core::MemoryStore;
use seqid_core::command::{Command, Granted, Reply};
use seqid_core::counter::CounterKey;
use seqid_core::store::CounterStore;

use super::{Lie, Replies};

/// Answers a draw with the numbers of the one before it, if that was still in flight when it came.
#[derive(Debug, Default)]
pub struct SharesNumbers {
    in_flight: AtomicUsize,
    last: Mutex<Option<(CounterKey, Granted)>>,
}

#[async_trait]
impl Lie for SharesNumbers {
    async fn apply(&self, truth: &MemoryStore, batch: Vec<Command>) -> Replies {
        let others = self.in_flight.fetch_add(1, Ordering::SeqCst);
        tokio::task::yield_now().await;
        let counter = batch.first().and_then(|command| command.act.counter().cloned());
        let mut replies = truth.apply(batch).await;
        if let (Some(counter), [Ok(Reply::Granted(granted))]) = (counter, &mut replies[..]) {
            let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
            match &*last {
                Some((of, stale)) if others > 0 && *of == counter => *granted = *stale,
                _ => *last = Some((counter, *granted)),
            }
        }
        self.in_flight.fetch_sub(1, Ordering::SeqCst);
        replies
    }
}
