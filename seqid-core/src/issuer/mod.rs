//! The numbering engine: definitions, periods, templates and idempotency over a durable store.

mod adopt;
mod audit;
mod close;
mod definitions;
mod draw;
mod fingerprint;
mod forecast;
mod gaps;
mod held;
mod hold;
mod inquire;
mod number;
mod sequences;
mod shift;
mod successor;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;

use crate::checkpoint::Checkpoint;
use crate::clock::{Clock, Seed, SystemClock};
use crate::command::{Command, Implicit, Reply};
use crate::definition::Defaults;
use crate::error::Error;
use crate::event::Origin;
use crate::names::{Label, Prefix, Tenant};
use crate::numbering::{
    AdoptRequest, Adoption, ArchiveRequest, Archived, AuditRequest, CloseRequest, Closed, CounterSelector,
    DefineRequest, Defined, DefinitionVersion, DrawRequest, GapPage, Held, Issued, Listing, Moved,
    NumberHistory, NumberRequest, Numbering, OpenReservation, Page, ParsedId, Preview, PreviewRequest,
    ReopenRequest, ReservationsRequest, ReserveRequest, Reserved, ResetRequest, Sequence, SettleRequest,
    Status, SyncRequest, VoidRequest, VoidedNumbers,
};
use crate::observer::{Observer, Unobserved};
use crate::query::EventPage;
use crate::reservation::ReservationId;
use crate::store::{Ledger, StoreError};
use crate::time::{Date, Zone};

pub use draw::Apply;
use hold::Reservations;
use sequences::Sequences;

/// When a draw on a prefix that was never defined defines it, with the format `{prefix}-{seq:3}`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ImplicitPolicy {
    /// Always, up to 1,000 in a tenant.
    #[default]
    Always,
    /// As long as the tenant has no definition that somebody wrote.
    UntilFirstDefinition,
    /// Never: such a draw is refused.
    Never,
}

impl ImplicitPolicy {
    pub(crate) const fn act(self) -> Option<Implicit> {
        match self {
            Self::Always => Some(Implicit::Always),
            Self::UntilFirstDefinition => Some(Implicit::UntilFirstDefinition),
            Self::Never => None,
        }
    }
}

/// Issues numbers from a store. Share it by [`Arc`]; it has no tasks and no threads of its own.
///
/// It runs under any executor, as far as its store does.
#[derive(Debug)]
pub struct Issuer {
    store: Arc<dyn Ledger>,
    clock: Arc<dyn Clock>,
    observer: Arc<dyn Observer>,
    implicit: ImplicitPolicy,
    defaults: Defaults,
    sequences: Sequences,
    requests: RequestNames,
    reservations: Reservations,
}

/// Puts an [`Issuer`] together.
#[derive(Debug)]
pub struct IssuerBuilder {
    store: Arc<dyn Ledger>,
    clock: Arc<dyn Clock>,
    observer: Arc<dyn Observer>,
    implicit: ImplicitPolicy,
    zone: Zone,
    seed: Seed,
}

impl IssuerBuilder {
    /// Takes the time from this clock; the machine's otherwise. It should be the store's own.
    #[must_use]
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Tells this observer what happens.
    #[must_use]
    pub fn observer(mut self, observer: Arc<dyn Observer>) -> Self {
        self.observer = observer;
        self
    }

    /// When draws define sequences; [`ImplicitPolicy::Always`] otherwise.
    #[must_use]
    pub const fn implicit(mut self, policy: ImplicitPolicy) -> Self {
        self.implicit = policy;
        self
    }

    /// The zone of definitions that name none; UTC otherwise.
    #[must_use]
    pub fn time_zone(mut self, zone: Zone) -> Self {
        self.zone = zone;
        self
    }

    /// The seed of request names; from the system otherwise.
    #[must_use]
    pub const fn seed(mut self, seed: Seed) -> Self {
        self.seed = seed;
        self
    }

    /// The issuer.
    #[must_use]
    pub fn build(self) -> Issuer {
        Issuer {
            store: self.store,
            clock: self.clock,
            observer: self.observer,
            implicit: self.implicit,
            defaults: Defaults { time_zone: self.zone },
            sequences: Sequences::default(),
            requests: RequestNames {
                seed: self.seed,
                drawn: AtomicU64::new(0),
            },
            reservations: Reservations::new(self.seed),
        }
    }
}

impl Issuer {
    /// An issuer over a store with everything else left at its default.
    #[must_use]
    pub fn new(store: Arc<dyn Ledger>) -> Self {
        Self::builder(store).build()
    }

    /// Begins an issuer over a store.
    #[must_use]
    pub fn builder(store: Arc<dyn Ledger>) -> IssuerBuilder {
        IssuerBuilder {
            store,
            clock: Arc::new(SystemClock),
            observer: Arc::new(Unobserved),
            implicit: ImplicitPolicy::default(),
            zone: Zone::UTC,
            seed: Seed::from_system(),
        }
    }

    /// One command, one answer.
    async fn apply(&self, command: Command) -> Result<Reply, StoreError> {
        let mut replies = self.store.apply(vec![command]).await;
        replies
            .pop()
            .unwrap_or_else(|| Err(StoreError::Unknown(Arc::new(NoAnswer))))
    }

    /// Who asks, with a request name made up where none was given.
    fn origin(&self, mut origin: Origin) -> Arc<Origin> {
        origin.request.get_or_insert_with(|| self.requests.next());
        Arc::new(origin)
    }

    /// Today in a zone.
    fn today(&self, zone: &Zone) -> Date {
        zone.date_at(self.clock.now())
    }

    fn observed<T>(&self, result: Result<T, Error>) -> Result<T, Error> {
        result.inspect_err(|error| self.observer.refused(error.code()))
    }
}

/// The store answered fewer commands than it was given.
#[derive(Debug, thiserror::Error)]
#[error("the store gave no answer")]
struct NoAnswer;

/// Makes names for requests that came without: unique in the process, and by the seed among processes.
#[derive(Debug)]
struct RequestNames {
    seed: Seed,
    drawn: AtomicU64,
}

impl RequestNames {
    fn next(&self) -> Label {
        Label::of_request(self.seed, self.drawn.fetch_add(1, Ordering::Relaxed))
    }
}

#[async_trait]
impl Numbering for Issuer {
    async fn draw(&self, mut request: DrawRequest) -> Result<Issued, Error> {
        let result = self.draw_numbers(&mut request).await;
        if let Ok(issued) = &result {
            let count = u32::try_from(issued.run.count).unwrap_or(u32::MAX);
            self.observer.drawn(issued.mode, count, issued.replayed);
        }
        self.observed(result)
    }

    async fn reserve(&self, request: ReserveRequest) -> Result<Reserved, Error> {
        self.observed(self.reserve_numbers(request).await)
    }

    async fn settle(&self, request: SettleRequest) -> Result<Held, Error> {
        self.observed(self.settle_numbers(request).await)
    }

    async fn reservation(&self, tenant: Tenant, reservation: ReservationId) -> Result<Held, Error> {
        self.observed(self.show_reservation(tenant, reservation).await)
    }

    async fn void(&self, request: VoidRequest) -> Result<VoidedNumbers, Error> {
        self.observed(self.void_numbers(request).await)
    }

    async fn reset(&self, request: ResetRequest) -> Result<Moved, Error> {
        self.observed(self.reset_counter(request).await)
    }

    async fn sync(&self, request: SyncRequest) -> Result<Moved, Error> {
        self.observed(self.sync_counter(request).await)
    }

    async fn adopt(&self, request: AdoptRequest) -> Result<Adoption, Error> {
        self.observed(self.adopt_ids(request).await)
    }

    async fn status(&self, counter: CounterSelector) -> Result<Status, Error> {
        self.observed(self.counter_status(counter).await)
    }

    async fn gaps(&self, counter: CounterSelector, page: Page) -> Result<GapPage, Error> {
        self.observed(self.list_gaps(counter, page).await)
    }

    async fn number(&self, request: NumberRequest) -> Result<NumberHistory, Error> {
        self.observed(self.show_number(request).await)
    }

    async fn reservations(&self, request: ReservationsRequest) -> Result<Listing<OpenReservation>, Error> {
        self.observed(self.list_reservations(request).await)
    }

    async fn preview(&self, request: PreviewRequest) -> Result<Preview, Error> {
        self.observed(self.preview_id(request).await)
    }

    async fn parse(&self, tenant: Tenant, prefix: Option<Prefix>, id: String) -> Result<ParsedId, Error> {
        self.observed(self.parse_id(tenant, prefix, id).await)
    }

    async fn define(&self, request: DefineRequest) -> Result<Defined, Error> {
        self.observed(self.define_sequence(request).await)
    }

    async fn sequence(&self, tenant: Tenant, prefix: Prefix) -> Result<Sequence, Error> {
        self.observed(self.show_sequence(tenant, prefix).await)
    }

    async fn sequences(&self, tenant: Tenant, page: Page) -> Result<Listing<Sequence>, Error> {
        self.observed(self.list_sequences(tenant, page).await)
    }

    async fn versions(
        &self,
        tenant: Tenant,
        prefix: Prefix,
        page: Page,
    ) -> Result<Listing<DefinitionVersion>, Error> {
        self.observed(self.list_versions(tenant, prefix, page).await)
    }

    async fn archive(&self, request: ArchiveRequest) -> Result<Archived, Error> {
        self.observed(self.archive_sequence(request).await)
    }

    async fn close(&self, request: CloseRequest) -> Result<Closed, Error> {
        self.observed(self.close_dates(request).await)
    }

    async fn reopen(&self, request: ReopenRequest) -> Result<Closed, Error> {
        self.observed(self.reopen_dates(request).await)
    }

    async fn counters(&self, tenant: Tenant, prefix: Prefix, page: Page) -> Result<Listing<Status>, Error> {
        self.observed(self.list_counters(tenant, prefix, page).await)
    }

    async fn audit(&self, request: AuditRequest) -> Result<EventPage, Error> {
        self.observed(self.read_audit(request).await)
    }

    async fn checkpoint(&self) -> Result<Checkpoint, Error> {
        let heads = self.store.heads().await.map_err(Error::from);
        self.observed(heads.map(|heads| Checkpoint::new(heads, self.clock.now())))
    }
}
