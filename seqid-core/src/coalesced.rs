//! A wrapper that makes batches of the commands of many callers.

use std::sync::Arc;
use std::time::Instant;

use async_trait::async_trait;

use crate::checkpoint::Heads;
use crate::command::{Command, Reply};
use crate::counter::{CounterKey, CounterState, SequenceKey};
use crate::event::Recorded;
use crate::intake::Sealed;
use crate::lanes::{Lanes, Serve};
use crate::lease::LeaseId;
use crate::names::{Number, Tenant};
use crate::observer::Observer;
use crate::query::{EventPage, EventQuery};
use crate::reservation::ReservationId;
use crate::store::{
    AuditLog, Capabilities, CounterRecord, CounterStore, DefinitionStore, LeaseRecord, MarkRecord,
    ReservationRecord, SequenceRecord, StoreError,
};

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

#[async_trait]
impl<S: DefinitionStore> DefinitionStore for Coalesced<S> {
    async fn sequence(&self, key: &SequenceKey) -> Result<Option<SequenceRecord>, StoreError> {
        self.applied.store.sequence(key).await
    }

    async fn sequences(
        &self,
        tenant: &Tenant,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<SequenceRecord>, StoreError> {
        self.applied.store.sequences(tenant, after, limit).await
    }
}

#[async_trait]
impl<S: AuditLog> AuditLog for Coalesced<S> {
    async fn counters(
        &self,
        sequence: &SequenceKey,
        after: u64,
        limit: usize,
    ) -> Result<Vec<CounterRecord>, StoreError> {
        self.applied.store.counters(sequence, after, limit).await
    }

    async fn reservation(&self, id: &ReservationId) -> Result<Option<ReservationRecord>, StoreError> {
        self.applied.store.reservation(id).await
    }

    async fn marks(
        &self,
        counter: &CounterKey,
        after: Option<(u32, Number)>,
        limit: usize,
    ) -> Result<Vec<MarkRecord>, StoreError> {
        self.applied.store.marks(counter, after, limit).await
    }

    async fn leases(
        &self,
        sequence: &SequenceKey,
        after: Option<LeaseId>,
        limit: usize,
    ) -> Result<Vec<LeaseRecord>, StoreError> {
        self.applied.store.leases(sequence, after, limit).await
    }

    async fn events(&self, after: u64, limit: usize) -> Result<Vec<Recorded>, StoreError> {
        self.applied.store.events(after, limit).await
    }

    async fn query(&self, query: &EventQuery) -> Result<EventPage, StoreError> {
        self.applied.store.query(query).await
    }

    async fn heads(&self) -> Result<Heads, StoreError> {
        self.applied.store.heads().await
    }
}
