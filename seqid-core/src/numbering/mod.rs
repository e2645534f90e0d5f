//! The public face: what an ERP asks for and is answered, whether the numbers come from a linked
//! [`Issuer`](crate::Issuer) or from a service elsewhere.

mod adopt;
mod audit;
mod close;
mod definitions;
mod draw;
mod gaps;
mod hold;
mod inquire;
mod number;
mod shift;
mod status;
mod void;

use std::fmt;

use async_trait::async_trait;

pub use adopt::{AdoptRequest, AdoptedCounter, Adoption, MOST_ADOPTED_IDS, MOST_ADOPTED_RUNS};
pub use audit::AuditRequest;
pub use close::{ArchiveRequest, Archived, CloseRequest, Closed, ReopenRequest};
pub use definitions::{DefineRequest, Defined, DefinitionVersion, MemberChange, Sequence};
pub use draw::{DrawRequest, Issued, LARGEST_BATCH};
pub use gaps::{Gap, GapPage};
pub use hold::{
    Held, HoldState, OpenReservation, ReservationsRequest, ReserveRequest, Reserved, SettleRequest,
};
pub use inquire::{ParsedId, Preview, PreviewRequest};
pub use number::{NumberHistory, NumberRequest, NumberTarget, Standing};
pub use shift::{Moved, ResetRequest, SyncRequest};
pub use status::{Forecast, Status};
pub use void::{VoidRequest, VoidTarget, VoidedNumbers};

use crate::checkpoint::Checkpoint;
use crate::error::Error;
use crate::field::RawValues;
use crate::names::{Prefix, Tenant};
use crate::query::EventPage;
use crate::reservation::ReservationId;
use crate::time::Date;

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
    /// Nothing keeps the numbers from repeating once the store lost a write.
    Unfenced,
}

impl Warning {
    /// Every warning.
    pub const ALL: &[Warning] = &[
        Self::NearEnd,
        Self::RangeEnds,
        Self::Successor,
        Self::Repeats,
        Self::ImplicitDefinition,
        Self::Unfenced,
    ];

    /// The word on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NearEnd => "near-end",
            Self::RangeEnds => "range-ends",
            Self::Successor => "successor",
            Self::Repeats => "repeats",
            Self::ImplicitDefinition => "implicit-definition",
            Self::Unfenced => "unfenced",
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

/// A part of a list.
#[derive(Debug, Clone, PartialEq)]
pub struct Listing<T> {
    /// The items.
    pub items: Vec<T>,
    /// Where the next part begins; `None` at the end.
    pub next: Option<String>,
}
