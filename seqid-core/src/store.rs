//! The traits that a store implements. A backend is a [`CounterStore`]; a durable one is a [`Ledger`].

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;

use crate::checkpoint::Heads;
use crate::command::{Command, Reply};
use crate::counter::{CounterKey, CounterState, SequenceKey};
use crate::definition::{DefinitionSpec, Mode};
use crate::event::{Event, EventKind, Recorded};
use crate::forward;
use crate::lease::{Lease, LeaseId};
use crate::ledger::Refusal;
use crate::mark::Mark;
use crate::names::{Label, Number, Tenant};
use crate::query::{EventPage, EventQuery};
use crate::reservation::ReservationId;
use crate::time::{Date, Timestamp};

/// A store of counters.
///
/// # Contract
/// - [`apply`](CounterStore::apply) carries out each command on its own, in the order of the batch: one may be
///   refused while its neighbours take effect. The answer has as many elements as the batch, in its order.
/// - A counter's step, its event and its idempotency record are one atomic write. There is no moment in which
///   one exists without the others.
/// - A durable store answers only after the write would survive the loss of power.
/// - The store decides by [`ledger`](crate::ledger) and by nothing else.
///
/// # Errors
/// The [certainty](StoreError::certainty) of an error tells the caller whether the command may have had effect.
///
/// # Cancel safety
/// A future that is dropped before its commands are sealed into a batch has no effect. Afterwards the commands
/// take effect all the same, and only their answer is lost.
#[async_trait]
pub trait CounterStore: Send + Sync + fmt::Debug {
    /// What the store guarantees. Constant for its life.
    fn capabilities(&self) -> Capabilities;

    /// Carries out a batch.
    async fn apply(&self, batch: Vec<Command>) -> Vec<Result<Reply, StoreError>>;

    /// The state of a counter, or `None` when it has not opened.
    async fn counter(&self, key: &CounterKey) -> Result<Option<CounterState>, StoreError>;

    /// Finishes what is in flight, refuses what comes after, and writes what is still to be written.
    async fn close(&self) -> Result<(), StoreError>;
}

/// The read side of definitions.
#[async_trait]
pub trait DefinitionStore: Send + Sync + fmt::Debug {
    /// A sequence with all versions of its definition, or `None` when it was never defined: so is
    /// [`SequenceKey::whole`], which is in no list either.
    async fn sequence(&self, key: &SequenceKey) -> Result<Option<SequenceRecord>, StoreError>;

    /// The sequences of a tenant in order of their prefixes, at most `limit`, those behind `after`.
    async fn sequences(
        &self,
        tenant: &Tenant,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<SequenceRecord>, StoreError>;
}

/// The read side of counters and events.
#[async_trait]
pub trait AuditLog: Send + Sync + fmt::Debug {
    /// The counters of a sequence in the order in which they opened, at most `limit`, those behind `after`.
    async fn counters(
        &self,
        sequence: &SequenceKey,
        after: u64,
        limit: usize,
    ) -> Result<Vec<CounterRecord>, StoreError>;

    /// What is recorded of a reservation, or `None` when there never was such.
    async fn reservation(&self, id: &ReservationId) -> Result<Option<ReservationRecord>, StoreError>;

    /// The marks of a counter in the order of generation and number, at most `limit`, those behind `after`: a
    /// generation and the first number of a mark.
    async fn marks(
        &self,
        counter: &CounterKey,
        after: Option<(u32, Number)>,
        limit: usize,
    ) -> Result<Vec<MarkRecord>, StoreError>;

    /// The open leases of a sequence, or of all of a tenant's ([`SequenceKey::whole`]), in the order of their names, at most
    /// `limit`, those behind `after`.
    async fn leases(
        &self,
        sequence: &SequenceKey,
        after: Option<LeaseId>,
        limit: usize,
    ) -> Result<Vec<LeaseRecord>, StoreError>;

    /// The events behind position `after`, in the order of their positions, at most `limit`.
    async fn events(&self, after: u64, limit: usize) -> Result<Vec<Recorded>, StoreError>;

    /// A page of the events that [match](EventQuery::matches) a query.
    ///
    /// Going on at [`next`](EventPage::next) meets each event once that was there at the first page, whatever is
    /// recorded meanwhile. One page is bounded work: at most [`EventQuery::WORK`] events are looked at.
    async fn query(&self, query: &EventQuery) -> Result<EventPage, StoreError>;

    /// The heads of all chains as of one moment, though drawing goes on: what a checkpoint keeps. Takes a time in
    /// proportion to the counters.
    async fn heads(&self) -> Result<Heads, StoreError>;
}

/// A durable store: counters, definitions and audit in one.
pub trait Ledger: CounterStore + DefinitionStore + AuditLog {}

impl<T: CounterStore + DefinitionStore + AuditLog + ?Sized> Ledger for T {}

/// What a store guarantees. The conformance suite tests what is claimed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Capabilities {
    /// The store's name in logs and metrics.
    pub name: &'static str,
    /// It can serve sequences of mode gapless.
    pub gapless: bool,
    /// It can serve sequences of mode ordered.
    pub ordered: bool,
    /// It can serve sequences of mode leased.
    pub leased: bool,
    /// What it answered is still there after a crash.
    pub durable: bool,
    /// Nothing keeps its numbers from repeating once it lost a write, and it keeps no audit. Each answer warns of it.
    pub unfenced: bool,
    /// The most commands of one call of [`CounterStore::apply`].
    pub largest_batch: usize,
    /// How many batches may be in flight at a time; those of one counter always follow one another.
    pub lanes: usize,
}

impl Capabilities {
    /// A store of this name that claims nothing yet and takes one batch of 1,024 at a time.
    #[must_use]
    pub const fn new(name: &'static str) -> Self {
        Self {
            name,
            gapless: false,
            ordered: false,
            leased: false,
            durable: false,
            unfenced: false,
            largest_batch: 1024,
            lanes: 1,
        }
    }

    /// Claims the modes gapless and ordered.
    #[must_use]
    pub const fn gapless(mut self) -> Self {
        self.gapless = true;
        self.ordered = true;
        self
    }

    /// Claims the mode leased.
    #[must_use]
    pub const fn leased(mut self) -> Self {
        self.leased = true;
        self
    }

    /// Claims the mode ordered as long as no write is lost, and no audit.
    #[must_use]
    pub const fn unfenced(mut self) -> Self {
        self.ordered = true;
        self.unfenced = true;
        self
    }

    /// Claims durability.
    #[must_use]
    pub const fn durable(mut self) -> Self {
        self.durable = true;
        self
    }

    /// Whether it can serve sequences of this mode.
    #[must_use]
    pub const fn serves(&self, mode: Mode) -> bool {
        match mode {
            Mode::Gapless => self.gapless,
            Mode::Ordered => self.ordered,
            Mode::Leased => self.leased,
        }
    }
}

/// A sequence as it is stored.
#[derive(Debug, Clone, PartialEq)]
pub struct SequenceRecord {
    /// Its name.
    pub key: SequenceKey,
    /// Whether it was archived: it gives no numbers and is never defined again.
    pub archived: bool,
    /// Whether a draw made its definition.
    pub implicit: bool,
    /// The last document date that is closed of this sequence by itself.
    pub closed_through: Option<Date>,
    /// The last document date that is closed of its tenant as a whole.
    pub tenant_closed_through: Option<Date>,
    /// All versions, the newest last; never empty. The version is the position, from 1.
    pub versions: Vec<DefinitionRecord>,
}

impl SequenceRecord {
    /// The last document date that is closed, whatever closed it.
    #[must_use]
    pub fn last_closed(&self) -> Option<Date> {
        self.closed_through.max(self.tenant_closed_through)
    }

    /// The newest version.
    #[must_use]
    pub fn head(&self) -> u32 {
        u32::try_from(self.versions.len()).unwrap_or(u32::MAX)
    }
}

/// One saved version of a definition.
#[derive(Debug, Clone, PartialEq)]
pub struct DefinitionRecord {
    /// The definition with every default made explicit.
    pub spec: DefinitionSpec,
    /// When it was saved.
    pub at: Timestamp,
    /// Who saved it.
    pub actor: Option<Label>,
}

/// A counter as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CounterRecord {
    /// Its place in the listing.
    pub position: u64,
    /// Its name.
    pub key: CounterKey,
    /// Its state.
    pub state: CounterState,
}

/// The events that begin and end a reservation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReservationRecord {
    /// Its numbers are held.
    pub began: Event,
    /// They are confirmed, voided or let go; `None` while they are held.
    pub ended: Option<Event>,
}

/// A mark with the event that set it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MarkRecord {
    /// The mark.
    pub mark: Mark,
    /// The event.
    pub event: Event,
}

/// A lease with its counter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeaseRecord {
    /// The counter.
    pub counter: CounterKey,
    /// The lease.
    pub lease: Lease,
}

/// Where a relay takes events from: the events that were not yet acknowledged.
#[async_trait]
pub trait EventSource: Send + Sync + fmt::Debug {
    /// The next events, at most `limit`. Waits until there is one. Until they are acknowledged, each call
    /// answers the same again.
    ///
    /// # Cancel safety
    /// Dropping the future takes nothing.
    async fn take(&self, limit: usize) -> Result<Vec<Recorded>, StoreError>;

    /// Declares every event up to this position delivered. They are not taken again, even after a crash.
    async fn acknowledge(&self, position: u64) -> Result<(), StoreError>;

    /// What waits to be delivered. Takes no longer when more waits, and waits for nobody.
    async fn backlog(&self) -> Result<Backlog, StoreError>;
}

/// The events that were recorded and not [acknowledged](EventSource::acknowledge).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Backlog {
    /// How many there are. Never fewer than there are; where positions are left free by transactions that failed, these count too.
    pub events: u64,
    /// When the first of them happened; `None` when there is none.
    pub oldest: Option<Timestamp>,
}

impl Backlog {
    /// Those behind the position `acknowledged` up to the position `last`, of which `oldest` is the first.
    #[must_use]
    pub const fn between(acknowledged: u64, last: u64, oldest: Option<Timestamp>) -> Self {
        let events = match oldest {
            None => 0,
            Some(_) => last.saturating_sub(acknowledged),
        };
        Self { events, oldest }
    }
}

/// Where a relay puts events.
#[async_trait]
pub trait AuditSink: Send + Sync + fmt::Debug {
    /// Records events. Answers once they would survive a crash of the sink. An event may come more than once,
    /// always with the same [id](Recorded::id), and is in effect once.
    async fn record(&self, events: &[Recorded]) -> Result<(), SinkError>;
}

/// A sink did not take the events; they will be offered again.
#[derive(Debug, Clone, thiserror::Error)]
#[error("the event sink did not take the events")]
pub struct SinkError(#[source] pub Cause);

/// The error that lies beneath another, shared by all calls that it struck.
pub type Cause = Arc<dyn std::error::Error + Send + Sync>;

/// Why a store did not carry out a command.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The ledger refused it.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// Too much is waiting.
    #[error("the store's queue is full")]
    Overloaded,
    /// Too many events wait to be delivered, so that nothing is drawn.
    #[error(
        "{waiting} events wait to be delivered, and no more than {most} may: nothing is drawn until they are"
    )]
    Undelivered {
        /// How many wait.
        waiting: u64,
        /// How many may.
        most: u64,
    },
    /// The command's deadline passed while it waited.
    #[error("the deadline passed before the draw was sealed into a batch")]
    Late,
    /// The store is closing.
    #[error("the store is closing")]
    Draining,
    /// The store cannot be reached or cannot write. Nothing was done.
    #[error("the store is not available")]
    Unavailable(#[source] Cause),
    /// A part of the store that has a name of its own cannot be reached, or did not say what became of the command.
    #[error("{}", away(part, *certainty))]
    Away {
        /// What callers know it by: `Redis`.
        part: &'static str,
        /// Whether the command may have had effect.
        certainty: Certainty,
        /// Why.
        #[source]
        cause: Cause,
    },
    /// The store has no room left. Nothing was done.
    #[error("the store is full")]
    Full(#[source] Cause),
    /// The store went back in time, or is a copy; an operator must decide.
    #[error("the store is not the one that was written last")]
    Restored(#[source] Cause),
    /// A newer program wrote the store.
    #[error("the store has schema {found}, this program knows {known}")]
    NewerSchema {
        /// The store's version.
        found: u32,
        /// The newest version known here.
        known: u32,
    },
    /// The write was begun and its end is not known.
    #[error("the outcome is not known")]
    Unknown(#[source] Cause),
    /// The store holds something that it should not, or a bug was met. Nothing was done.
    #[error("the store's content cannot be read")]
    Corrupt(#[source] Cause),
}

/// What callers are told of a part that is away, and when to come again.
fn away(part: &str, certainty: Certainty) -> String {
    match certainty {
        Certainty::NotIssued => format!(
            "{part} is not available: nothing was issued, and the same request may be sent again after {} s",
            crate::error::LONG_WAIT.as_secs()
        ),
        Certainty::Unknown => format!(
            "{part} did not say what became of the request: it may have issued numbers, so send it again under its \
             idempotency key alone; without one, look for its request id in the audit"
        ),
    }
}

/// What is known of a command that was answered with an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Certainty {
    /// It had no effect and never will.
    NotIssued,
    /// It may have had its effect; only its idempotency key can tell.
    Unknown,
}

impl StoreError {
    /// Whether the command may have had effect.
    #[must_use]
    pub const fn certainty(&self) -> Certainty {
        match self {
            Self::Unknown(_) => Certainty::Unknown,
            Self::Away { certainty, .. } => *certainty,
            _ => Certainty::NotIssued,
        }
    }
}

/// Delegates all traits to what an `Arc` or `Box` points to.
macro_rules! through_pointers {
    ($($pointer:ident),*) => {$(
        forward!(impl [T: CounterStore + ?Sized] CounterStore for $pointer<T>, self => **self);
        forward!(impl [T: DefinitionStore + ?Sized] DefinitionStore for $pointer<T>, self => **self);
        forward!(impl [T: AuditLog + ?Sized] AuditLog for $pointer<T>, self => **self);
        forward!(impl [T: EventSource + ?Sized] EventSource for $pointer<T>, self => **self);
        forward!(impl [T: AuditSink + ?Sized] AuditSink for $pointer<T>, self => **self);
    )*};
}

through_pointers!(Arc, Box);

impl EventKind {
    /// Whether the event's run has rendered ids that somebody outside may hold.
    #[must_use]
    pub const fn has_ids(self) -> bool {
        !matches!(
            self,
            Self::Defined | Self::Archived | Self::Closed | Self::Reopened
        )
    }
}
