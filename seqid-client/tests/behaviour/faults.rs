use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use seqid_client::{Client, NotRising};
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
use seqid_core::store::StoreError;
use seqid_core::{Code, Error, IdempotencyKey, Issuer, Number, Numbering, Prefix, Tenant};

use crate::hall::{Instance, PATIENCE, draw, issuer, next_number, prefix};

/// What goes wrong with a draw.
#[derive(Debug, Clone, Copy)]
enum Fault {
    /// It is refused, and may be sent again.
    Refused,
    /// It is carried out, and its answer is lost.
    Lost,
    /// It is given this number, whatever was given before.
    Falls(u64),
}

/// An issuer with whose draws something goes wrong, in this order; then nothing.
#[derive(Debug)]
struct Faulty {
    issuer: Arc<Issuer>,
    faults: Mutex<VecDeque<Fault>>,
    draws: AtomicUsize,
}

impl Faulty {
    fn new(faults: &[Fault]) -> Arc<Self> {
        Arc::new(Self {
            issuer: issuer(),
            faults: Mutex::new(faults.iter().copied().collect()),
            draws: AtomicUsize::new(0),
        })
    }

    fn draws(&self) -> usize {
        self.draws.load(Ordering::SeqCst)
    }
}

macro_rules! as_the_issuer {
    ($($call:ident($($argument:ident: $type:ty),*) -> $answer:ty;)*) => {
        #[async_trait]
        impl Numbering for Faulty {
            async fn draw(&self, request: DrawRequest) -> Result<Issued, Error> {
                self.draws.fetch_add(1, Ordering::SeqCst);
                let fault = self.faults.lock().unwrap().pop_front();
                match fault {
                    Some(Fault::Refused) => return Err(StoreError::Overloaded.into()),
                    Some(Fault::Lost) => {
                        self.issuer.draw(request).await?;
                        let cause = std::io::Error::other("the answer was lost");
                        return Err(StoreError::Unknown(Arc::new(cause)).into());
                    }
                    Some(Fault::Falls(_)) | None => {}
                }
                let mut issued = self.issuer.draw(request).await?;
                if let Some(Fault::Falls(number)) = fault {
                    issued.run.first = Number::new(number).unwrap();
                }
                Ok(issued)
            }

            $(async fn $call(&self, $($argument: $type),*) -> Result<$answer, Error> {
                self.issuer.$call($($argument),*).await
            })*
        }
    };
}

as_the_issuer! {
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

async fn asked(faulty: &Arc<Faulty>, keys: bool) -> (Instance, Client) {
    let instance = Instance::open(Arc::clone(faulty) as _).await;
    let client = Client::builder()
        .endpoint(instance.url())
        .patience(PATIENCE)
        .keys(keys);
    (instance, client.build().unwrap())
}

#[tokio::test]
async fn what_was_certainly_not_issued_is_sent_again() {
    for keys in [true, false] {
        let faulty = Faulty::new(&[Fault::Refused, Fault::Refused]);
        let (_instance, client) = asked(&faulty, keys).await;
        assert_eq!(draw(&client).await.unwrap(), 1);
        assert_eq!(faulty.draws(), 3);
    }
}

#[tokio::test]
async fn it_is_not_sent_again_for_ever() {
    let faulty = Faulty::new(&[Fault::Refused; 100]);
    let (_instance, client) = asked(&faulty, false).await;
    assert_eq!(draw(&client).await.unwrap_err().code(), Code::Overloaded);
    assert_eq!(faulty.draws(), 5);
}

#[tokio::test]
async fn a_lost_answer_is_asked_for_under_its_key() {
    let faulty = Faulty::new(&[Fault::Lost]);
    let (_instance, client) = asked(&faulty, true).await;
    let issued = client.draw(DrawRequest::new(prefix())).await.unwrap();
    assert_eq!(
        (issued.run.first.get(), issued.replayed),
        (1, false),
        "the caller asked once"
    );
    assert_eq!(faulty.draws(), 2);
    assert_eq!(next_number(&*faulty.issuer).await, Some(2));
}

#[tokio::test]
async fn a_lost_answer_without_a_key_stays_unknown() {
    let faulty = Faulty::new(&[Fault::Lost]);
    let (_instance, client) = asked(&faulty, false).await;
    assert_eq!(draw(&client).await.unwrap_err().code(), Code::OutcomeUnknown);
    assert_eq!(faulty.draws(), 1, "another draw could issue another number");
}

#[tokio::test]
async fn the_key_of_the_caller_is_used_where_there_is_one() {
    let faulty = Faulty::new(&[Fault::Lost]);
    let (_instance, client) = asked(&faulty, false).await;
    let request = || DrawRequest::new(prefix()).key(IdempotencyKey::new("order-1").unwrap());
    let first = client.draw(request()).await.unwrap();
    assert_eq!((first.run.first.get(), first.replayed), (1, true));
    assert_eq!(client.draw(request()).await.unwrap().run, first.run);
}

#[tokio::test]
async fn a_number_that_falls_is_not_handed_out() {
    let faulty = Faulty::new(&[Fault::Falls(5), Fault::Falls(5)]);
    let (_instance, client) = asked(&faulty, false).await;
    assert_eq!(draw(&client).await.unwrap(), 5);
    let error = draw(&client).await.unwrap_err();
    assert_eq!(error.code(), Code::OutcomeUnknown);
    let Error::Store(StoreError::Unknown(cause)) = error else {
        panic!("{error:?}");
    };
    let fall = cause.downcast_ref::<NotRising>().unwrap();
    assert_eq!((fall.number.get(), fall.highest.get()), (5, 5));
}

#[tokio::test]
async fn a_draw_whose_deadline_has_passed_is_not_sent() {
    let faulty = Faulty::new(&[]);
    let (_instance, client) = asked(&faulty, false).await;
    let mut request = DrawRequest::new(prefix());
    request.deadline = Some(Instant::now());
    let refused = client.draw(request).await.unwrap_err();
    assert_eq!(refused.code(), Code::DeadlineBeforeSealing);
    assert_eq!(faulty.draws(), 0);
}

#[tokio::test]
async fn nobody_there_is_told_as_not_issued_and_within_the_patience() {
    let client = Client::builder()
        .endpoint("http://127.0.0.1:1")
        .patience(Duration::from_secs(1))
        .build()
        .unwrap();
    let refused = draw(&client).await.unwrap_err();
    assert_eq!(refused.code(), Code::StoreUnavailable);
    let refused = client.status(CounterSelector::new(prefix())).await.unwrap_err();
    assert_eq!(refused.code(), Code::StoreUnavailable);
}
