//! The public face: what an ERP asks for and is answered, whether the numbers come from a linked
//! [`Issuer`](crate::Issuer) or from a service elsewhere.

use std::collections::BTreeMap;
use std::fmt;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use serde_json::Value;

use crate::checkpoint::Checkpoint;
use crate::command::End;
use crate::counter::Run;
use crate::definition::{Definition, DefinitionSpec, Mode};
use crate::error::Error;
use crate::event::{EventKind, Origin, Recorded};
use crate::field::{FieldValues, RawValues};
use crate::mark::NumberState;
use crate::names::{IdempotencyKey, Label, Number, Prefix, Reason, Reference, Tenant};
use crate::period::Period;
use crate::query::{EventPage, EventQuery, Order};
use crate::reservation::ReservationId;
use crate::time::{Date, Timestamp};

/// Sequential numbering.
///
/// # Contract
/// - A number is issued at most once per counter and generation.
/// - `Ok` means done and, with a durable store, safe from a crash.
/// - An error's [code](Error::code) says whether the request may have had effect, and what to do next.
///
/// # Cancel safety
/// A future that is dropped leaves its request either undone or done; an idempotency key tells which.
#[async_trait]
pub trait Numbering: Send + Sync + fmt::Debug {
    /// Draws numbers.
    async fn draw(&self, request: DrawRequest) -> Result<Issued, Error>;

    /// Holds numbers for a while: they are issued when they are confirmed.
    async fn reserve(&self, request: ReserveRequest) -> Result<Reserved, Error>;

    /// Confirms or voids held numbers. Repeating it changes nothing and answers the same.
    async fn settle(&self, request: SettleRequest) -> Result<Held, Error>;

    /// What became of a reservation.
    async fn reservation(&self, tenant: Tenant, reservation: ReservationId) -> Result<Held, Error>;

    /// Declares numbers void: such as were issued, which stay taken, or the next ones.
    async fn void(&self, request: VoidRequest) -> Result<VoidedNumbers, Error>;

    /// Sets what is issued next.
    async fn reset(&self, request: ResetRequest) -> Result<Moved, Error>;

    /// Takes every number up to one as given out by another system. Forward only; repeating it changes nothing.
    async fn sync(&self, request: SyncRequest) -> Result<Moved, Error>;

    /// Takes a list of ids as given out by another system, all of them or none. Repeating it changes nothing.
    async fn adopt(&self, request: AdoptRequest) -> Result<Adoption, Error>;

    /// Where a counter stands. A counter that has not opened stands at its start.
    async fn status(&self, counter: CounterSelector) -> Result<Status, Error>;

    /// The numbers of a counter that were not plainly issued, in order, and why. All others from its start to its last
    /// were.
    async fn gaps(&self, counter: CounterSelector, page: Page) -> Result<GapPage, Error>;

    /// What a number is now, and everything that happened to it.
    async fn number(&self, request: NumberRequest) -> Result<NumberHistory, Error>;

    /// The open reservations of a sequence, by counter and number. A part may have fewer than the limit, or none,
    /// although more follow.
    async fn reservations(&self, request: ReservationsRequest) -> Result<Listing<OpenReservation>, Error>;

    /// The id that a draw would give, or that a definition would make of a number. Consumes nothing.
    async fn preview(&self, request: PreviewRequest) -> Result<Preview, Error>;

    /// Reads an id back. Without a prefix every sequence of the tenant is tried.
    async fn parse(&self, tenant: Tenant, prefix: Option<Prefix>, id: String) -> Result<ParsedId, Error>;

    /// Saves a definition.
    async fn define(&self, request: DefineRequest) -> Result<Defined, Error>;

    /// The definition of a sequence.
    async fn sequence(&self, tenant: Tenant, prefix: Prefix) -> Result<Sequence, Error>;

    /// The sequences of a tenant in order of their prefixes.
    async fn sequences(&self, tenant: Tenant, page: Page) -> Result<Listing<Sequence>, Error>;

    /// The versions of a sequence's definition, the oldest first.
    async fn versions(
        &self,
        tenant: Tenant,
        prefix: Prefix,
        page: Page,
    ) -> Result<Listing<DefinitionVersion>, Error>;

    /// Ends a sequence: it gives no numbers any more and is never defined again. It can be read as before. Refused
    /// while numbers of it are held; repeating it changes nothing and answers the same.
    async fn archive(&self, request: ArchiveRequest) -> Result<Archived, Error>;

    /// Closes document dates: no document of such a date gets a number. Forward only; repeating it changes nothing.
    async fn close(&self, request: CloseRequest) -> Result<Closed, Error>;

    /// Opens document dates again.
    async fn reopen(&self, request: ReopenRequest) -> Result<Closed, Error>;

    /// The counters of a sequence in the order in which they opened.
    async fn counters(&self, tenant: Tenant, prefix: Prefix, page: Page) -> Result<Listing<Status>, Error>;

    /// A page of the audit: who got which numbers when and why.
    async fn audit(&self, request: AuditRequest) -> Result<EventPage, Error>;

    /// What all chains of the store are now, of every tenant, to be kept elsewhere: see
    /// [`checkpoint`](crate::checkpoint).
    async fn checkpoint(&self) -> Result<Checkpoint, Error>;
}

/// The largest number of numbers that one draw may ask for.
pub const LARGEST_BATCH: u32 = 10_000;

/// A draw.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct DrawRequest {
    /// The tenant.
    pub tenant: Tenant,
    /// The sequence.
    pub prefix: Prefix,
    /// `None` for one number, or a batch of 1 to [`LARGEST_BATCH`], all or none. Under an idempotency key
    /// a draw of one number and a batch of one are different requests.
    pub count: Option<u32>,
    /// The document date; today in the sequence's zone when absent.
    pub date: Option<Date>,
    /// Values of the scope fields.
    pub scope: RawValues,
    /// Values of the free fields.
    pub fields: RawValues,
    /// The caller's key of the document.
    pub reference: Option<Reference>,
    /// The document that this one belongs to or corrects.
    pub relates_to: Option<Reference>,
    /// What a repetition of the request is recognised by.
    pub key: Option<IdempotencyKey>,
    /// Who asks.
    pub origin: Origin,
    /// When the draw must have been sealed into a batch; afterwards it draws nothing.
    pub deadline: Option<Instant>,
}

impl DrawRequest {
    /// One number of the sequence `prefix` of the default tenant.
    #[must_use]
    pub fn new(prefix: Prefix) -> Self {
        Self {
            tenant: Tenant::default(),
            prefix,
            count: None,
            date: None,
            scope: RawValues::new(),
            fields: RawValues::new(),
            reference: None,
            relates_to: None,
            key: None,
            origin: Origin::default(),
            deadline: None,
        }
    }

    /// A batch of so many numbers.
    #[must_use]
    pub fn count(mut self, count: u32) -> Self {
        self.count = Some(count);
        self
    }

    /// For a document of this date.
    #[must_use]
    pub fn date(mut self, date: Date) -> Self {
        self.date = Some(date);
        self
    }

    /// Of the counter with this value of a scope field.
    #[must_use]
    pub fn scope(mut self, name: &str, value: &str) -> Self {
        self.scope.insert(name.into(), value.into());
        self
    }

    /// With this value of a free field.
    #[must_use]
    pub fn field(mut self, name: &str, value: &str) -> Self {
        self.fields.insert(name.into(), value.into());
        self
    }

    /// Under an idempotency key.
    #[must_use]
    pub fn key(mut self, key: IdempotencyKey) -> Self {
        self.key = Some(key);
        self
    }
}

/// Numbers that were issued.
#[derive(Debug, Clone, PartialEq)]
pub struct Issued {
    /// The sequence.
    pub prefix: Prefix,
    /// The rendered texts, one for each number, in order. Never empty.
    pub ids: Vec<String>,
    /// The numbers.
    pub run: Run,
    /// The counter's period.
    pub period: Period,
    /// The document date.
    pub date: Date,
    /// The counter's scope values.
    pub scope: FieldValues,
    /// The counter's generation.
    pub generation: u32,
    /// The sequence's guarantee.
    pub mode: Mode,
    /// The counter's epoch.
    pub epoch: u32,
    /// The definition version that the counter opened with.
    pub definition_version: u32,
    /// The caller's key of the document.
    pub reference: Option<Reference>,
    /// The request's name in the audit.
    pub request_id: Option<Label>,
    /// The instant of issue.
    pub issued_at: Timestamp,
    /// What the caller should look at.
    pub warnings: Vec<Warning>,
    /// Whether this is the answer to an earlier request with the same key.
    pub replayed: bool,
    /// Whether the sequence's numbers are written as text on the wire, being larger than JSON readers can hold.
    pub numbers_as_text: bool,
}

impl Issued {
    /// The first id: the only one unless a batch was drawn.
    #[must_use]
    pub fn id(&self) -> &str {
        self.ids.first().map_or("", String::as_str)
    }
}

/// A reservation to be made.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ReserveRequest {
    /// What is drawn: the ids, the date and the period are fixed now.
    pub draw: DrawRequest,
    /// How long the numbers are held: [`SHORTEST_TTL`](crate::reservation::SHORTEST_TTL) to
    /// [`LONGEST_TTL`](crate::reservation::LONGEST_TTL).
    pub ttl: Duration,
}

impl ReserveRequest {
    /// Holds what a draw would issue.
    #[must_use]
    pub const fn new(draw: DrawRequest, ttl: Duration) -> Self {
        Self { draw, ttl }
    }
}

/// Numbers that are held.
#[derive(Debug, Clone, PartialEq)]
pub struct Reserved {
    /// What they are confirmed or voided by.
    pub reservation: ReservationId,
    /// When the hold ends by itself.
    pub expires_at: Timestamp,
    /// The numbers, with the ids that they will have.
    pub numbers: Issued,
}

/// How a reservation is to end.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct SettleRequest {
    /// The tenant.
    pub tenant: Tenant,
    /// The reservation.
    pub reservation: ReservationId,
    /// Confirmed or voided.
    pub end: End,
    /// Who asks.
    pub origin: Origin,
}

impl SettleRequest {
    /// Issues the numbers of a reservation of the default tenant.
    #[must_use]
    pub fn confirm(reservation: ReservationId) -> Self {
        let end = End::Confirm {
            date: None,
            reference: None,
        };
        Self::new(reservation, end)
    }

    /// Voids the numbers of a reservation of the default tenant.
    #[must_use]
    pub fn void(reservation: ReservationId, reason: Reason) -> Self {
        Self::new(reservation, End::Void { reason })
    }

    fn new(reservation: ReservationId, end: End) -> Self {
        Self {
            tenant: Tenant::default(),
            reservation,
            end,
            origin: Origin::default(),
        }
    }
}

/// A reservation and its numbers.
#[derive(Debug, Clone, PartialEq)]
pub struct Held {
    /// Its name.
    pub reservation: ReservationId,
    /// What became of it.
    pub state: HoldState,
    /// When it ends, or would have ended, by itself.
    pub expires_at: Timestamp,
    /// Why it was voided.
    pub reason: Option<Reason>,
    /// The numbers. `issued_at` is the instant at which the state was reached.
    pub numbers: Issued,
}

/// What became of a reservation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum HoldState {
    /// The numbers are held.
    Reserved,
    /// They were issued.
    Confirmed,
    /// They were voided.
    Voided,
    /// Nobody settled it in time.
    Expired,
}

impl HoldState {
    /// The word on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Reserved => "reserved",
            Self::Confirmed => "confirmed",
            Self::Voided => "voided",
            Self::Expired => "expired",
        }
    }
}

/// Numbers to be declared void.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct VoidRequest {
    /// Which.
    pub target: VoidTarget,
    /// Why.
    pub reason: Reason,
    /// What a repetition of the request is recognised by.
    pub key: Option<IdempotencyKey>,
    /// Who asks.
    pub origin: Origin,
}

impl VoidRequest {
    /// Voids numbers for a reason.
    #[must_use]
    pub fn new(target: VoidTarget, reason: Reason) -> Self {
        Self {
            target,
            reason,
            key: None,
            origin: Origin::default(),
        }
    }
}

/// Which numbers are voided: such as were issued, or such as begin with the next.
#[derive(Debug, Clone)]
pub enum VoidTarget {
    /// Numbers of a counter.
    Numbers {
        /// The counter.
        counter: CounterSelector,
        /// The first number.
        first: Number,
        /// The last number.
        last: Number,
    },
    /// The number with this text, which must tell its period.
    Id {
        /// The tenant.
        tenant: Tenant,
        /// The sequence; every one of the tenant is tried otherwise.
        prefix: Option<Prefix>,
        /// The text.
        id: String,
    },
}

/// Numbers that are void.
#[derive(Debug, Clone, PartialEq)]
pub struct VoidedNumbers {
    /// The sequence.
    pub prefix: Prefix,
    /// The counter's period.
    pub period: Period,
    /// The counter's scope values.
    pub scope: FieldValues,
    /// The numbers.
    pub run: Run,
    /// The counter's generation.
    pub generation: u32,
    /// Whether they were void before.
    pub repeated: bool,
    /// Whether the sequence's numbers are written as text on the wire.
    pub numbers_as_text: bool,
}

/// What a caller should look at although the request was carried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Warning {
    /// The counter has few numbers left.
    NearEnd,
    /// The last range ends within 30 days of the document date.
    RangeEnds,
    /// The sequence that was asked for has ended, and its successor gave the number.
    Successor,
    /// The definition lets ids repeat.
    Repeats,
    /// The sequence was defined by its first draw.
    ImplicitDefinition,
}

impl Warning {
    /// The word on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NearEnd => "near-end",
            Self::RangeEnds => "range-ends",
            Self::Successor => "successor",
            Self::Repeats => "repeats",
            Self::ImplicitDefinition => "implicit-definition",
        }
    }
}

/// Which counter of a sequence is meant.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct CounterSelector {
    /// The tenant.
    pub tenant: Tenant,
    /// The sequence.
    pub prefix: Prefix,
    /// Values of the scope fields.
    pub scope: RawValues,
    /// When: today when nothing is said.
    pub when: When,
}

impl CounterSelector {
    /// Today's counter of the sequence `prefix` of the default tenant.
    #[must_use]
    pub fn new(prefix: Prefix) -> Self {
        Self {
            tenant: Tenant::default(),
            prefix,
            scope: RawValues::new(),
            when: When::Today,
        }
    }
}

/// How a counter's period is named.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum When {
    /// The period of today.
    Today,
    /// The period of a date.
    On(Date),
    /// The period with this text, such as `2026-03`.
    In(String),
}

/// A reset.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ResetRequest {
    /// The counter.
    pub counter: CounterSelector,
    /// The next number to be issued.
    pub next: Number,
    /// Whether numbers that were given out may be given out again, in a new generation.
    pub repeats_accepted: bool,
    /// Why.
    pub reason: Reason,
    /// What a repetition of the request is recognised by.
    pub key: Option<IdempotencyKey>,
    /// Who asks.
    pub origin: Origin,
}

impl ResetRequest {
    /// `next` is to be issued next.
    #[must_use]
    pub fn new(counter: CounterSelector, next: Number, reason: Reason) -> Self {
        Self {
            counter,
            next,
            repeats_accepted: false,
            reason,
            key: None,
            origin: Origin::default(),
        }
    }
}

/// A sync.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct SyncRequest {
    /// The counter.
    pub counter: CounterSelector,
    /// The largest number that another system gave out.
    pub last_used: Number,
    /// Why.
    pub reason: Option<Reason>,
    /// What a repetition of the request is recognised by.
    pub key: Option<IdempotencyKey>,
    /// Who asks.
    pub origin: Origin,
}

impl SyncRequest {
    /// Numbers up to `last_used` are taken.
    #[must_use]
    pub fn new(counter: CounterSelector, last_used: Number) -> Self {
        Self {
            counter,
            last_used,
            reason: None,
            key: None,
            origin: Origin::default(),
        }
    }
}

/// The largest number of ids that one [`AdoptRequest`] may have: what is read of them takes 100 MB.
pub const MOST_ADOPTED_IDS: usize = 1_000_000;

/// The largest number of runs of adjacent numbers that one [`AdoptRequest`] may make: they are written in one
/// transaction, and draws wait for its end.
pub const MOST_ADOPTED_RUNS: usize = 100_000;

/// Ids that another system gave out.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct AdoptRequest {
    /// The tenant.
    pub tenant: Tenant,
    /// The sequence.
    pub prefix: Prefix,
    /// The ids, in any order: 1 to [`MOST_ADOPTED_IDS`] of any of the sequence's counters.
    pub ids: Vec<String>,
    /// Why.
    pub reason: Reason,
    /// Whether to check only and adopt nothing.
    pub dry_run: bool,
    /// What a repetition of the request is recognised by.
    pub key: Option<IdempotencyKey>,
    /// Who asks.
    pub origin: Origin,
}

impl AdoptRequest {
    /// Ids of the sequence `prefix` of the default tenant.
    #[must_use]
    pub fn new(prefix: Prefix, ids: Vec<String>, reason: Reason) -> Self {
        Self {
            tenant: Tenant::default(),
            prefix,
            ids,
            reason,
            dry_run: false,
            key: None,
            origin: Origin::default(),
        }
    }
}

/// What became of a list of ids.
#[derive(Debug, Clone, PartialEq)]
pub struct Adoption {
    /// The sequence.
    pub prefix: Prefix,
    /// How many numbers were adopted.
    pub adopted: u64,
    /// How many had been taken from outside before.
    pub already_adopted: u64,
    /// How many numbers lie between and were skipped.
    pub skipped: u64,
    /// The counters that have numbers of the list, by period and scope.
    pub counters: Vec<AdoptedCounter>,
    /// Whether nothing was done, so that this is what would be.
    pub dry_run: bool,
    /// Whether this is the answer to an earlier request with the same key; the next numbers are those of today.
    pub replayed: bool,
    /// Whether the sequence's numbers are written as text on the wire.
    pub numbers_as_text: bool,
}

/// A counter that has adopted numbers.
#[derive(Debug, Clone, PartialEq)]
pub struct AdoptedCounter {
    /// Its period.
    pub period: Period,
    /// Its scope values.
    pub scope: FieldValues,
    /// The smallest number of the list.
    pub first: Number,
    /// The largest number of the list.
    pub last: Number,
    /// How many numbers were adopted.
    pub adopted: u64,
    /// What is issued next; `None` when the counter has ended.
    pub next_number: Option<Number>,
    /// The text of that number today, or on the first day of a period that does not have today.
    pub next_id: Option<String>,
}

/// Where a counter was moved.
#[derive(Debug, Clone, PartialEq)]
pub struct Moved {
    /// What would have been issued next before; `None` when the counter had ended.
    pub old_next_number: Option<Number>,
    /// Where the counter stands now.
    pub status: Status,
    /// Whether this is the answer to an earlier request with the same key.
    pub replayed: bool,
}

/// Where a counter stands.
#[derive(Debug, Clone, PartialEq)]
pub struct Status {
    /// The sequence.
    pub prefix: Prefix,
    /// The sequence's guarantee.
    pub mode: Mode,
    /// The counter's period.
    pub period: Period,
    /// The counter's scope values.
    pub scope: FieldValues,
    /// Whether the counter has opened: whether anything ever happened to it.
    pub opened: bool,
    /// The largest number that was given out in this generation.
    pub last_number: Option<Number>,
    /// What is issued next; `None` when the counter has ended.
    pub next_number: Option<Number>,
    /// The text of that number on the date asked for; `None` when the id shows the instant of issue.
    pub next_id: Option<String>,
    /// How many numbers are left.
    pub remaining: u64,
    /// The last number that the counter may give out.
    pub max: Number,
    /// The counter's generation.
    pub generation: u32,
    /// The counter's epoch.
    pub epoch: u32,
    /// The definition version that the counter opened with, or would.
    pub definition_version: u32,
    /// How many numbers are held.
    pub reserved: u64,
    /// How many numbers were voided or let go for good.
    pub voided: u64,
    /// How many events the counter's audit has.
    pub events: u64,
    /// How fast it is used and when it ends; `None` for a counter that has not opened, in lists, and after a move.
    pub forecast: Option<Forecast>,
    /// Whether the sequence was archived: it gives no numbers any more, whatever is left.
    pub archived: bool,
    /// What should be looked at.
    pub warnings: Vec<Warning>,
    /// Whether the sequence's numbers are written as text on the wire.
    pub numbers_as_text: bool,
}

/// How fast a counter is used, and when it ends if that goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Forecast {
    /// How many numbers were issued or reserved in the last 24 hours.
    pub last_day: u64,
    /// In the last 7 days.
    pub last_week: u64,
    /// In the last 30 days.
    pub last_month: u64,
    /// When no number will be left, at the higher rate of the last week and month; `None` when nothing was drawn, or
    /// when the counter's period ends before that.
    pub ends_on: Option<Date>,
}

/// A part of a counter's gap report.
#[derive(Debug, Clone, PartialEq)]
pub struct GapPage {
    /// The counter's first number.
    pub start: Number,
    /// The distance between two numbers of the counter, at least 1.
    pub step: u64,
    /// How many numbers lie from the first to before the next: what became of them is the report.
    pub offered: u64,
    /// Where the counter stands.
    pub status: Status,
    /// When the part was read.
    pub at: Timestamp,
    /// Runs of numbers that were not plainly issued, in the order of generation and number.
    pub gaps: Vec<Gap>,
    /// Where the next part begins; `None` at the end.
    pub next: Option<String>,
}

/// A run of numbers that were not plainly issued, and why.
#[derive(Debug, Clone, PartialEq)]
pub struct Gap {
    /// The numbers.
    pub run: Run,
    /// The counter's generation.
    pub generation: u32,
    /// The text of the first number; `None` where the counter and the number do not tell it: it shows the instant of
    /// issue, or the date or a field of a document that is not known.
    pub first_id: Option<String>,
    /// The text of the last number.
    pub last_id: Option<String>,
    /// What became of them.
    pub state: NumberState,
    /// Why.
    pub reason: Option<Reason>,
    /// Who did it.
    pub actor: Option<Label>,
    /// The request that did it; `None` too where several did the same to adjacent numbers.
    pub request_id: Option<Label>,
    /// The caller's key of the document.
    pub reference: Option<Reference>,
    /// The reservation that the numbers are or were under.
    pub reservation: Option<ReservationId>,
    /// When it ends, or ended.
    pub expires_at: Option<Timestamp>,
    /// The document date, which a reservation fixed.
    pub date: Option<Date>,
    /// When it was recorded; of several records of adjacent numbers the last.
    pub at: Timestamp,
}

impl Gap {
    /// Whether another gap says the same of the numbers that follow.
    #[must_use]
    pub fn is_followed_by(&self, next: &Self) -> bool {
        let follows = self.run.last().get().checked_add(self.run.step) == Some(next.run.first.get());
        follows
            && self.run.step == next.run.step
            && self.generation == next.generation
            && self.state == next.state
            && self.reservation == next.reservation
            && (&self.reason, &self.actor, &self.reference, &self.date)
                == (&next.reason, &next.actor, &next.reference, &next.date)
    }

    /// Takes in the numbers of a gap that [follows](Self::is_followed_by).
    pub fn extend(&mut self, next: Self) {
        self.run.count += next.run.count;
        self.last_id = next.last_id;
        self.at = self.at.max(next.at);
        if self.request_id != next.request_id {
            self.request_id = None;
        }
    }
}

/// Which number is asked about.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct NumberRequest {
    /// The number, in its counter or by its text.
    pub target: NumberTarget,
}

impl NumberRequest {
    /// Asks about a number.
    #[must_use]
    pub const fn new(target: NumberTarget) -> Self {
        Self { target }
    }
}

/// How a number is named.
#[derive(Debug, Clone)]
pub enum NumberTarget {
    /// By its counter.
    Number {
        /// The counter.
        counter: CounterSelector,
        /// The number.
        number: Number,
    },
    /// By its text, which must tell its period.
    Id {
        /// The tenant.
        tenant: Tenant,
        /// The sequence; every one of the tenant is tried otherwise.
        prefix: Option<Prefix>,
        /// The text.
        id: String,
    },
}

/// A number and its history.
#[derive(Debug, Clone, PartialEq)]
pub struct NumberHistory {
    /// The sequence.
    pub prefix: Prefix,
    /// The number.
    pub number: Number,
    /// The text that a document has, or was to have; `None` when no document ever had the number.
    pub id: Option<String>,
    /// The counter's period.
    pub period: Period,
    /// The counter's scope values.
    pub scope: FieldValues,
    /// The counter's newest generation, of which all but the events tell.
    pub generation: u32,
    /// What the number is now.
    pub standing: Standing,
    /// Why it is not plainly issued.
    pub reason: Option<Reason>,
    /// The caller's key of the document.
    pub reference: Option<Reference>,
    /// The document date.
    pub date: Option<Date>,
    /// Its events in all generations, the oldest first.
    pub events: Vec<Recorded>,
    /// Whether the sequence's numbers are written as text on the wire.
    pub numbers_as_text: bool,
}

/// What a number is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Standing {
    /// The counter has not come to it.
    Open,
    /// A document has it.
    Issued,
    /// Something else became of it.
    Marked(NumberState),
}

impl Standing {
    /// The word on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Issued => "issued",
            Self::Marked(state) => state.as_str(),
        }
    }
}

/// Which open reservations are asked for.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ReservationsRequest {
    /// The tenant.
    pub tenant: Tenant,
    /// The sequence.
    pub prefix: Prefix,
    /// One counter of the sequence; all of them otherwise.
    pub counter: Option<CounterSelector>,
    /// Which part of the list.
    pub page: Page,
}

impl ReservationsRequest {
    /// The first hundred of all counters of the sequence `prefix` of the default tenant.
    #[must_use]
    pub fn new(prefix: Prefix) -> Self {
        Self {
            tenant: Tenant::default(),
            prefix,
            counter: None,
            page: Page::default(),
        }
    }
}

/// A reservation that nobody has settled, and no write has let go.
#[derive(Debug, Clone, PartialEq)]
pub struct OpenReservation {
    /// Its name.
    pub reservation: ReservationId,
    /// The text of the first number; `None` when it shows the instant of issue.
    pub first_id: Option<String>,
    /// The text of the last number.
    pub last_id: Option<String>,
    /// The numbers.
    pub run: Run,
    /// The generation of the numbers.
    pub generation: u32,
    /// The counter's period.
    pub period: Period,
    /// The counter's scope values.
    pub scope: FieldValues,
    /// When it ends by itself.
    pub expires_at: Timestamp,
    /// Whether it has ended by the clock, so that the next write to its counter lets it go.
    pub due: bool,
    /// The document date.
    pub date: Date,
    /// The caller's key of the document.
    pub reference: Option<Reference>,
    /// Whether the sequence's numbers are written as text on the wire.
    pub numbers_as_text: bool,
}

/// What would an id look like?
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct PreviewRequest {
    /// The tenant.
    pub tenant: Tenant,
    /// The sequence. For a definition that is not saved: the prefix that it would have.
    pub prefix: Prefix,
    /// A definition that need not be saved; the sequence's own when absent.
    pub definition: Option<DefinitionSpec>,
    /// The number; the next one when absent.
    pub number: Option<Number>,
    /// The document date; today when absent.
    pub date: Option<Date>,
    /// Values of the scope fields.
    pub scope: RawValues,
    /// Values of the free fields.
    pub fields: RawValues,
}

impl PreviewRequest {
    /// The next id of the sequence `prefix` of the default tenant.
    #[must_use]
    pub fn new(prefix: Prefix) -> Self {
        Self {
            tenant: Tenant::default(),
            prefix,
            definition: None,
            number: None,
            date: None,
            scope: RawValues::new(),
            fields: RawValues::new(),
        }
    }
}

/// What an id would look like.
#[derive(Debug, Clone, PartialEq)]
pub struct Preview {
    /// The sequence.
    pub prefix: Prefix,
    /// The text; `None` when the counter has ended.
    pub id: Option<String>,
    /// The number; `None` when the counter has ended.
    pub number: Option<Number>,
    /// The counter's period.
    pub period: Period,
    /// The document date.
    pub date: Date,
    /// The counter's scope values.
    pub scope: FieldValues,
    /// Whether the sequence's numbers are written as text on the wire.
    pub numbers_as_text: bool,
}

/// What an id says.
#[derive(Debug, Clone, PartialEq)]
pub struct ParsedId {
    /// The sequence that it belongs to.
    pub prefix: Prefix,
    /// The number.
    pub number: Number,
    /// The counter's period; `None` when the text does not tell it.
    pub period: Option<Period>,
    /// The counter's scope values.
    pub scope: BTreeMap<String, String>,
    /// The values of free fields that it shows.
    pub fields: BTreeMap<String, String>,
    /// The definition version that reads it.
    pub definition_version: u32,
    /// Whether the sequence's numbers are written as text on the wire.
    pub numbers_as_text: bool,
}

/// A definition to be saved.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct DefineRequest {
    /// The tenant.
    pub tenant: Tenant,
    /// The sequence.
    pub prefix: Prefix,
    /// The whole definition.
    pub definition: DefinitionSpec,
    /// The version that is changed; `None` for a sequence that is not defined yet.
    pub if_version: Option<u32>,
    /// Whether to check only and save nothing.
    pub dry_run: bool,
    /// Who asks.
    pub origin: Origin,
}

impl DefineRequest {
    /// A new sequence `prefix` of the default tenant.
    #[must_use]
    pub fn new(prefix: Prefix, definition: DefinitionSpec) -> Self {
        Self {
            tenant: Tenant::default(),
            prefix,
            definition,
            if_version: None,
            dry_run: false,
            origin: Origin::default(),
        }
    }
}

/// A definition after [`Numbering::define`].
#[derive(Debug, Clone)]
pub struct Defined {
    /// The sequence as it is now, or would be.
    pub sequence: Sequence,
    /// Whether the sequence is new.
    pub created: bool,
    /// Whether a version was saved; false when an equal one was there, or for a dry run.
    pub saved: bool,
    /// What a reader should know: ids that other sequences of the tenant can print too, say.
    pub remarks: Vec<String>,
}

/// A sequence with its newest definition.
#[derive(Debug, Clone)]
pub struct Sequence {
    /// The name.
    pub prefix: Prefix,
    /// The version of the definition.
    pub version: u32,
    /// The definition.
    pub definition: Definition,
    /// Whether a draw made it.
    pub implicit: bool,
    /// Whether it was archived: it gives no numbers any more.
    pub archived: bool,
    /// The last document date that is closed, in this sequence or in all; `None` when all are open.
    pub closed_through: Option<Date>,
    /// When the version was saved.
    pub changed_at: Timestamp,
    /// Who saved it.
    pub changed_by: Option<Label>,
    /// The first id of today's counter; `None` when a field without a default decides it.
    pub first_id: Option<String>,
    /// The last id of today's counter.
    pub last_id: Option<String>,
}

/// A version of a definition.
#[derive(Debug, Clone, PartialEq)]
pub struct DefinitionVersion {
    /// The version, from 1.
    pub version: u32,
    /// When it was saved.
    pub changed_at: Timestamp,
    /// Who saved it.
    pub changed_by: Option<Label>,
    /// The definition with every default made explicit.
    pub definition: DefinitionSpec,
    /// How it differs from the version before; nothing for the first.
    pub changes: Vec<MemberChange>,
}

/// A member of a definition that differs between two versions.
#[derive(Debug, Clone, PartialEq)]
pub struct MemberChange {
    /// Its name.
    pub member: String,
    /// Its value in the version before; null where it was absent.
    pub before: Value,
    /// Its value now; null where it is absent.
    pub after: Value,
}

/// A sequence to be ended.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ArchiveRequest {
    /// The tenant.
    pub tenant: Tenant,
    /// The sequence.
    pub prefix: Prefix,
    /// Why.
    pub reason: Reason,
    /// The version that the caller believes to be the newest; any when absent.
    pub if_version: Option<u32>,
    /// Who asks.
    pub origin: Origin,
}

impl ArchiveRequest {
    /// Ends the sequence `prefix` of the default tenant.
    #[must_use]
    pub fn new(prefix: Prefix, reason: Reason) -> Self {
        Self {
            tenant: Tenant::default(),
            prefix,
            reason,
            if_version: None,
            origin: Origin::default(),
        }
    }
}

/// A sequence after [`Numbering::archive`].
#[derive(Debug, Clone)]
pub struct Archived {
    /// The sequence as it is now.
    pub sequence: Sequence,
    /// Whether it was archived before.
    pub repeated: bool,
}

/// Document dates to be closed.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct CloseRequest {
    /// The tenant.
    pub tenant: Tenant,
    /// The sequence; all of the tenant, those of the future included, when absent.
    pub prefix: Option<Prefix>,
    /// The last date that is closed.
    pub through: Date,
    /// Why.
    pub reason: Reason,
    /// What a repetition of the request is recognised by.
    pub key: Option<IdempotencyKey>,
    /// Who asks.
    pub origin: Origin,
}

impl CloseRequest {
    /// Closes the dates up to `through` for all sequences of the default tenant.
    #[must_use]
    pub fn new(through: Date, reason: Reason) -> Self {
        Self {
            tenant: Tenant::default(),
            prefix: None,
            through,
            reason,
            key: None,
            origin: Origin::default(),
        }
    }
}

/// Document dates to be opened again.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ReopenRequest {
    /// The tenant.
    pub tenant: Tenant,
    /// The sequence; all of the tenant when absent. What was closed of single sequences stays closed then.
    pub prefix: Option<Prefix>,
    /// The first date that is open.
    pub from: Date,
    /// Why.
    pub reason: Reason,
    /// What a repetition of the request is recognised by.
    pub key: Option<IdempotencyKey>,
    /// Who asks.
    pub origin: Origin,
}

impl ReopenRequest {
    /// Opens the dates from `from` on for all sequences of the default tenant.
    #[must_use]
    pub fn new(from: Date, reason: Reason) -> Self {
        Self {
            tenant: Tenant::default(),
            prefix: None,
            from,
            reason,
            key: None,
            origin: Origin::default(),
        }
    }
}

/// What is closed after [`Numbering::close`] or [`Numbering::reopen`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Closed {
    /// The sequence; `None` for all of the tenant.
    pub prefix: Option<Prefix>,
    /// The last document date that is closed, in this sequence or in all; `None` when all are open.
    pub closed_through: Option<Date>,
    /// Whether the request changed it.
    pub changed: bool,
    /// Whether this is the answer to an earlier request with the same key.
    pub replayed: bool,
}

/// Which part of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// The end of the part before, as [`Listing::next`] gave it.
    pub after: Option<String>,
    /// How many, 1 to [`Page::LARGEST`].
    pub limit: usize,
}

impl Page {
    /// The most that one part of a list holds.
    pub const LARGEST: usize = 1_000;
}

impl Default for Page {
    /// The first hundred.
    fn default() -> Self {
        Self {
            after: None,
            limit: 100,
        }
    }
}

/// Which events of a tenant are asked for, and which page of them. What is absent excludes no event.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct AuditRequest {
    /// The tenant.
    pub tenant: Tenant,
    /// The sequence; [`Prefix::whole`] for what concerns all sequences and none by itself.
    pub prefix: Option<Prefix>,
    /// The counter's period, such as `2026-03`. Needs the sequence.
    pub period: Option<String>,
    /// The counter's scope values. Need the sequence; all scope fields are named, or none.
    pub scope: RawValues,
    /// A rendered id, which names the counter and the number by itself.
    pub id: Option<String>,
    /// The first and the last of the numbers.
    pub numbers: Option<(Number, Number)>,
    /// The person or account that asked.
    pub actor: Option<Label>,
    /// The program that asked.
    pub client: Option<Label>,
    /// The request's name.
    pub request: Option<Label>,
    /// The caller's key of the document.
    pub reference: Option<Reference>,
    /// What happened.
    pub kinds: Vec<EventKind>,
    /// The earliest instant.
    pub from: Option<Timestamp>,
    /// The instant behind the latest.
    pub to: Option<Timestamp>,
    /// The [`next`](EventPage::next) of the page before.
    pub after: Option<u64>,
    /// Which events come first.
    pub order: Order,
    /// The most events of the page: 1 to [`EventQuery::LARGEST`].
    pub limit: usize,
}

impl AuditRequest {
    /// The newest 100 events of a tenant.
    #[must_use]
    pub fn new(tenant: Tenant) -> Self {
        Self {
            prefix: None,
            period: None,
            scope: RawValues::new(),
            id: None,
            numbers: None,
            actor: None,
            client: None,
            request: None,
            reference: None,
            kinds: Vec::new(),
            from: None,
            to: None,
            after: None,
            order: Order::default(),
            limit: EventQuery::new(tenant.clone()).limit,
            tenant,
        }
    }
}

/// A part of a list.
#[derive(Debug, Clone, PartialEq)]
pub struct Listing<T> {
    /// The items.
    pub items: Vec<T>,
    /// Where the next part begins; `None` at the end.
    pub next: Option<String>,
}
