//! Stores that are broken on purpose: each tells one lie, and the suite must catch it.
//!
//! A [`Lie`] stands between the suite and an honest [`MemoryStore`], and changes what it does not leave as it is.

mod acknowledges_everything;
mod adopts_counter_by_counter;
mod adopts_the_first_counter;
mod answers_strangers;
mod breaks_the_chain;
mod confirms_after_expiry;
mod counts_what_was_delivered;
mod draws_one_more;
mod forgets_closings;
mod forgets_confirmations;
mod forgets_events;
mod forgets_keys_after_the_period;
mod forgets_kin;
mod forgets_marks;
mod forgets_who_asked;
mod holds_for_ever;
mod ignores_deadlines;
mod ignores_keys;
mod listens_after_closing;
mod merges_draws;
mod never_refuses;
mod offers_events_once;
mod refuses_whole_batches;
mod remembered;
mod reorders_replies;
mod repeats_after_reset;
mod repeats_pages;
mod shares_numbers;
mod shows_other_tenants;
mod splits_draws;

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use seqid_core::checkpoint::Heads;
use seqid_core::clock::{ManualClock, Seed};
use seqid_core::command::{Command, Reply};
use seqid_core::counter::{CounterKey, CounterState, SequenceKey};
use seqid_core::event::Recorded;
use seqid_core::lease::LeaseId;
use seqid_core::query::{EventPage, EventQuery};
use seqid_core::reservation::ReservationId;
use seqid_core::store::{
    AuditLog, Backlog, Capabilities, CounterRecord, CounterStore, DefinitionStore, EventSource, LeaseRecord,
    MarkRecord, ReservationRecord, SequenceRecord, StoreError,
};
use seqid_core::{MemoryStore, Number, Tenant};

use crate::suite::Backend;

pub use acknowledges_everything::AcknowledgesEverything;
pub use adopts_counter_by_counter::AdoptsCounterByCounter;
pub use adopts_the_first_counter::AdoptsTheFirstCounter;
pub use answers_strangers::AnswersStrangers;
pub use breaks_the_chain::BreaksTheChain;
pub use confirms_after_expiry::ConfirmsAfterExpiry;
pub use counts_what_was_delivered::CountsWhatWasDelivered;
pub use draws_one_more::DrawsOneMore;
pub use forgets_closings::ForgetsClosings;
pub use forgets_confirmations::ForgetsConfirmations;
pub use forgets_events::ForgetsEvents;
pub use forgets_keys_after_the_period::ForgetsKeysAfterThePeriod;
pub use forgets_kin::ForgetsKin;
pub use forgets_marks::ForgetsMarks;
pub use forgets_who_asked::ForgetsWhoAsked;
pub use holds_for_ever::HoldsForEver;
pub use ignores_deadlines::IgnoresDeadlines;
pub use ignores_keys::IgnoresKeys;
pub use listens_after_closing::ListensAfterClosing;
pub use merges_draws::MergesDraws;
pub use never_refuses::NeverRefuses;
pub use offers_events_once::OffersEventsOnce;
pub use refuses_whole_batches::RefusesWholeBatches;
pub use remembered::{Memory, Remembered};
pub use reorders_replies::ReordersReplies;
pub use repeats_after_reset::RepeatsAfterReset;
pub use repeats_pages::RepeatsPages;
pub use shares_numbers::SharesNumbers;
pub use shows_other_tenants::ShowsOtherTenants;
pub use splits_draws::SplitsDraws;

/// What a store answers to a batch.
type Replies = Vec<Result<Reply, StoreError>>;

/// What a store does differently from an honest one.
#[async_trait]
pub trait Lie: Send + Sync + fmt::Debug + 'static {
    /// Claims what the store can do.
    fn capabilities(&self, truth: &MemoryStore) -> Capabilities {
        truth.capabilities()
    }

    /// Carries out a batch.
    async fn apply(&self, truth: &MemoryStore, batch: Vec<Command>) -> Vec<Result<Reply, StoreError>> {
        truth.apply(batch).await
    }

    /// Closes the store.
    async fn close(&self, truth: &MemoryStore) -> Result<(), StoreError> {
        truth.close().await
    }

    /// Lists the sequences of a tenant.
    async fn sequences(
        &self,
        truth: &MemoryStore,
        tenant: &Tenant,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<SequenceRecord>, StoreError> {
        truth.sequences(tenant, after, limit).await
    }

    /// Lists the marks of a counter.
    async fn marks(
        &self,
        truth: &MemoryStore,
        counter: &CounterKey,
        after: Option<(u32, Number)>,
        limit: usize,
    ) -> Result<Vec<MarkRecord>, StoreError> {
        truth.marks(counter, after, limit).await
    }

    /// Reads the audit.
    async fn events(
        &self,
        truth: &MemoryStore,
        after: u64,
        limit: usize,
    ) -> Result<Vec<Recorded>, StoreError> {
        truth.events(after, limit).await
    }

    /// Searches the audit.
    async fn query(&self, truth: &MemoryStore, query: &EventQuery) -> Result<EventPage, StoreError> {
        truth.query(query).await
    }

    /// Takes events for delivery.
    async fn take(&self, truth: &MemoryStore, limit: usize) -> Result<Vec<Recorded>, StoreError> {
        truth.take(limit).await
    }

    /// Notes that events were delivered.
    async fn acknowledge(&self, truth: &MemoryStore, position: u64) -> Result<(), StoreError> {
        truth.acknowledge(position).await
    }

    /// Says what waits to be delivered.
    async fn backlog(&self, truth: &MemoryStore) -> Result<Backlog, StoreError> {
        truth.backlog().await
    }
}

/// Tells no lie: what the suite does not catch.
#[derive(Debug, Clone, Copy, Default)]
pub struct Honest;

impl Lie for Honest {}

/// A store that tells a lie.
#[derive(Debug)]
pub struct Broken<L> {
    truth: MemoryStore,
    lie: L,
}

impl<L: Lie> Broken<L> {
    /// An empty store.
    #[must_use]
    pub fn new(lie: L, clock: Arc<ManualClock>) -> Self {
        Self {
            truth: MemoryStore::new(clock, Seed(7)),
            lie,
        }
    }

    /// An empty store, ready for the suite.
    #[must_use]
    pub fn backend(lie: L, clock: Arc<ManualClock>) -> Backend {
        let store = Arc::new(Self::new(lie, Arc::clone(&clock)));
        Backend::new(Arc::clone(&store), clock).source(store)
    }
}

#[async_trait]
impl<L: Lie> CounterStore for Broken<L> {
    fn capabilities(&self) -> Capabilities {
        self.lie.capabilities(&self.truth)
    }

    async fn apply(&self, batch: Vec<Command>) -> Replies {
        self.lie.apply(&self.truth, batch).await
    }

    async fn counter(&self, key: &CounterKey) -> Result<Option<CounterState>, StoreError> {
        self.truth.counter(key).await
    }

    async fn close(&self) -> Result<(), StoreError> {
        self.lie.close(&self.truth).await
    }
}

#[async_trait]
impl<L: Lie> DefinitionStore for Broken<L> {
    async fn sequence(&self, key: &SequenceKey) -> Result<Option<SequenceRecord>, StoreError> {
        self.truth.sequence(key).await
    }

    async fn sequences(
        &self,
        tenant: &Tenant,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<SequenceRecord>, StoreError> {
        self.lie.sequences(&self.truth, tenant, after, limit).await
    }
}

#[async_trait]
impl<L: Lie> AuditLog for Broken<L> {
    async fn counters(
        &self,
        sequence: &SequenceKey,
        after: u64,
        limit: usize,
    ) -> Result<Vec<CounterRecord>, StoreError> {
        self.truth.counters(sequence, after, limit).await
    }

    async fn reservation(&self, id: &ReservationId) -> Result<Option<ReservationRecord>, StoreError> {
        self.truth.reservation(id).await
    }

    async fn marks(
        &self,
        counter: &CounterKey,
        after: Option<(u32, Number)>,
        limit: usize,
    ) -> Result<Vec<MarkRecord>, StoreError> {
        self.lie.marks(&self.truth, counter, after, limit).await
    }

    async fn leases(
        &self,
        sequence: &SequenceKey,
        after: Option<LeaseId>,
        limit: usize,
    ) -> Result<Vec<LeaseRecord>, StoreError> {
        self.truth.leases(sequence, after, limit).await
    }

    async fn events(&self, after: u64, limit: usize) -> Result<Vec<Recorded>, StoreError> {
        self.lie.events(&self.truth, after, limit).await
    }

    async fn query(&self, query: &EventQuery) -> Result<EventPage, StoreError> {
        self.lie.query(&self.truth, query).await
    }

    async fn heads(&self) -> Result<Heads, StoreError> {
        self.truth.heads().await
    }
}

#[async_trait]
impl<L: Lie> EventSource for Broken<L> {
    async fn take(&self, limit: usize) -> Result<Vec<Recorded>, StoreError> {
        self.lie.take(&self.truth, limit).await
    }

    async fn acknowledge(&self, position: u64) -> Result<(), StoreError> {
        self.lie.acknowledge(&self.truth, position).await
    }

    async fn backlog(&self) -> Result<Backlog, StoreError> {
        self.lie.backlog(&self.truth).await
    }
}
