//! A wrapper that makes batches of the commands of many callers.

use std::sync::Arc;
use std::time::Instant;

use async_trait::async_trait;

use crate::command::{Command, Reply};
use crate::counter::{CounterKey, CounterState};
use crate::forward;
use crate::intake::Sealed;
use crate::lanes::{Lanes, Serve};
use crate::observer::Observer;
use crate::store::{AuditLog, Capabilities, CounterStore, DefinitionStore, StoreError};

/// A store whose callers' commands go out in batches, one at a time in each of its [lanes](Lanes).
///
/// For stores that answer over a network and a batch at a time.
#[derive(Debug)]
pub struct Coalesced<S> {
    applied: Arc<Applied<S>>,
    lanes: Lanes,
}

impl<S: CounterStore + 'static> Coalesced<S> {
    /// Wraps a store. Starts one task for each of its lanes on the current tokio runtime.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    #[must_use]
    pub fn new(store: S, observer: &Arc<dyn Observer>) -> Self {
        let capabilities = store.capabilities();
        let applied = Arc::new(Applied {
            store,
            observer: Arc::clone(observer),
        });
        Self {
            lanes: Lanes::start(&applied, &capabilities),
            applied,
        }
    }
}

/// A store that is given whole batches.
#[derive(Debug)]
struct Applied<S> {
    store: S,
    observer: Arc<dyn Observer>,
}

#[async_trait]
impl<S: CounterStore + 'static> Serve for Applied<S> {
    async fn serve(&self, batch: Vec<Sealed>) {
        let began = Instant::now();
        let commands = batch.iter().map(|sealed| sealed.command.clone()).collect();
        let answers = self.store.apply(commands).await;
        self.observer.committed(batch.len(), began.elapsed());
        for (sealed, answer) in batch.into_iter().zip(answers) {
            sealed.answer(answer);
        }
    }
}

#[async_trait]
impl<S: CounterStore + 'static> CounterStore for Coalesced<S> {
    fn capabilities(&self) -> Capabilities {
        self.applied.store.capabilities()
    }

    async fn apply(&self, batch: Vec<Command>) -> Vec<Result<Reply, StoreError>> {
        self.lanes.apply(batch).await
    }

    async fn counter(&self, key: &CounterKey) -> Result<Option<CounterState>, StoreError> {
        self.applied.store.counter(key).await
    }

    async fn close(&self) -> Result<(), StoreError> {
        self.lanes.close().await;
        self.applied.store.close().await
    }
}

forward!(impl [S: DefinitionStore] DefinitionStore for Coalesced<S>, self => self.applied.store);

forward!(impl [S: AuditLog] AuditLog for Coalesced<S>, self => self.applied.store);
