//! A numbering whose draws wait until they are let through.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use seqid_core::checkpoint::Checkpoint;
use seqid_core::numbering::{
    AdoptRequest, Adoption, ArchiveRequest, Archived, AuditRequest, CloseRequest, Closed, CounterSelector,
    DefineRequest, Defined, DefinitionVersion, DrawRequest, GapPage, Held, Issued, Listing, Moved,
    NumberHistory, NumberRequest, OpenReservation, Page, ParsedId, Preview, PreviewRequest, ReopenRequest,
    ReservationsRequest, ReserveRequest, Reserved, ResetRequest, Sequence, SettleRequest, Status,
    SyncRequest, VoidRequest, VoidedNumbers,
};
use seqid_core::query::EventPage;
use seqid_core::reservation::ReservationId;
use seqid_core::{Error, Issuer, MemoryStore, Numbering, Prefix, Tenant};
use tokio::sync::{Semaphore, watch};

#[derive(Debug)]
pub(crate) struct Gate {
    issuer: Issuer,
    open: Semaphore,
    /// How many draws wait here.
    waiting: watch::Sender<usize>,
    drawn: AtomicUsize,
}

impl Gate {
    pub(crate) fn closed() -> Arc<Self> {
        Arc::new(Self {
            issuer: Issuer::new(Arc::new(MemoryStore::default())),
            open: Semaphore::new(0),
            waiting: watch::Sender::new(0),
            drawn: AtomicUsize::new(0),
        })
    }

    pub(crate) fn open(&self) {
        self.open.add_permits(Semaphore::MAX_PERMITS / 2);
    }

    pub(crate) fn drawn(&self) -> usize {
        self.drawn.load(Ordering::SeqCst)
    }

    /// Waits until so many draws wait.
    pub(crate) async fn until(&self, waiting: usize) {
        self.waiting
            .subscribe()
            .wait_for(|now| *now == waiting)
            .await
            .unwrap();
    }
}

/// Waits at the gate while it lives.
struct Waits<'a>(&'a watch::Sender<usize>);

impl<'a> Waits<'a> {
    fn at(waiting: &'a watch::Sender<usize>) -> Self {
        waiting.send_modify(|waiting| *waiting += 1);
        Self(waiting)
    }
}

impl Drop for Waits<'_> {
    fn drop(&mut self) {
        self.0.send_modify(|waiting| *waiting -= 1);
    }
}

macro_rules! behind {
    ($($call:ident($($argument:ident: $type:ty),*) -> $answer:ty;)*) => {
        #[async_trait]
        impl Numbering for Gate {
            async fn draw(&self, request: DrawRequest) -> Result<Issued, Error> {
                let waits = Waits::at(&self.waiting);
                self.open.acquire().await.expect("it is never closed for good").forget();
                drop(waits);
                self.drawn.fetch_add(1, Ordering::SeqCst);
                self.issuer.draw(request).await
            }

            $(async fn $call(&self, $($argument: $type),*) -> Result<$answer, Error> {
                self.issuer.$call($($argument),*).await
            })*
        }
    };
}

behind! {
    reserve(request: ReserveRequest) -> Reserved;
    settle(request: SettleRequest) -> Held;
    reservation(tenant: Tenant, reservation: ReservationId) -> Held;
    void(request: VoidRequest) -> VoidedNumbers;
    reset(request: ResetRequest) -> Moved;
    sync(request: SyncRequest) -> Moved;
    adopt(request: AdoptRequest) -> Adoption;
    status(counter: CounterSelector) -> Status;
    gaps(counter: CounterSelector, page: Page) -> GapPage;
    number(request: NumberRequest) -> NumberHistory;
    reservations(request: ReservationsRequest) -> Listing<OpenReservation>;
    preview(request: PreviewRequest) -> Preview;
    parse(tenant: Tenant, prefix: Option<Prefix>, id: String) -> ParsedId;
    define(request: DefineRequest) -> Defined;
    sequence(tenant: Tenant, prefix: Prefix) -> Sequence;
    sequences(tenant: Tenant, page: Page) -> Listing<Sequence>;
    versions(tenant: Tenant, prefix: Prefix, page: Page) -> Listing<DefinitionVersion>;
    archive(request: ArchiveRequest) -> Archived;
    close(request: CloseRequest) -> Closed;
    reopen(request: ReopenRequest) -> Closed;
    counters(tenant: Tenant, prefix: Prefix, page: Page) -> Listing<Status>;
    audit(request: AuditRequest) -> EventPage;
    checkpoint() -> Checkpoint;
}
