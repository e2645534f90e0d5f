//! What callers are told when the issuer fails as no real one can be made to.

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use axum::body::Body;
use axum::http::Request;
use http_body_util::BodyExt;
use seqid_core::checkpoint::Checkpoint;
use seqid_core::names::Reason;
use seqid_core::numbering::{
    AdoptRequest, Adoption, ArchiveRequest, Archived, AuditRequest, CloseRequest, Closed, CounterSelector,
    DefineRequest, Defined, DefinitionVersion, DrawRequest, GapPage, Held, Issued, Listing, Moved,
    NumberHistory, NumberRequest, OpenReservation, Page, ParsedId, Preview, PreviewRequest, ReopenRequest,
    ReservationsRequest, ReserveRequest, Reserved, ResetRequest, Sequence, SettleRequest, Status,
    SyncRequest, VoidRequest, VoidTarget, VoidedNumbers,
};
use seqid_core::query::EventPage;
use seqid_core::reservation::ReservationId;
use seqid_core::store::{Certainty, StoreError};
use seqid_core::{Error, Issuer, MemoryStore, Number, Numbering, Prefix, Tenant};
use seqid_http::{Service, router};
use tower::ServiceExt;

use crate::Api;

#[derive(Debug, Clone)]
enum Faulty {
    Hangs,
    Panics,
    Fails(Error),
    /// Reads the first part of a gap report and no other.
    Breaks(Arc<dyn Numbering>),
    /// Refuses draws whose deadline is not so far away.
    Expects(Duration),
}

impl Faulty {
    async fn fail<T>(&self) -> Result<T, Error> {
        match self {
            Self::Hangs | Self::Expects(_) => std::future::pending().await,
            Self::Panics => panic!("a bug"),
            Self::Fails(error) => Err(error.clone()),
            Self::Breaks(_) => Err(StoreError::Overloaded.into()),
        }
    }
}

#[async_trait]
impl Numbering for Faulty {
    async fn draw(&self, request: DrawRequest) -> Result<Issued, Error> {
        if let Self::Expects(deadline) = self {
            let left = request.deadline.unwrap() - Instant::now();
            assert!(left <= *deadline && left > *deadline / 2, "{left:?}");
            return Err(StoreError::Late.into());
        }
        self.fail().await
    }
    async fn reserve(&self, request: ReserveRequest) -> Result<Reserved, Error> {
        self.draw(request.draw).await?;
        self.fail().await
    }
    async fn settle(&self, _: SettleRequest) -> Result<Held, Error> {
        self.fail().await
    }
    async fn reservation(&self, _: Tenant, _: ReservationId) -> Result<Held, Error> {
        self.fail().await
    }
    async fn void(&self, _: VoidRequest) -> Result<VoidedNumbers, Error> {
        self.fail().await
    }
    async fn gaps(&self, counter: CounterSelector, page: Page) -> Result<GapPage, Error> {
        match self {
            Self::Breaks(whole) if page.after.is_none() => whole.gaps(counter, page).await,
            _ => self.fail().await,
        }
    }
    async fn reset(&self, _: ResetRequest) -> Result<Moved, Error> {
        self.fail().await
    }
    async fn sync(&self, _: SyncRequest) -> Result<Moved, Error> {
        self.fail().await
    }
    async fn adopt(&self, _: AdoptRequest) -> Result<Adoption, Error> {
        self.fail().await
    }
    async fn number(&self, _: NumberRequest) -> Result<NumberHistory, Error> {
        self.fail().await
    }
    async fn reservations(&self, _: ReservationsRequest) -> Result<Listing<OpenReservation>, Error> {
        self.fail().await
    }
    async fn status(&self, _: CounterSelector) -> Result<Status, Error> {
        self.fail().await
    }
    async fn preview(&self, _: PreviewRequest) -> Result<Preview, Error> {
        self.fail().await
    }
    async fn parse(&self, _: Tenant, _: Option<Prefix>, _: String) -> Result<ParsedId, Error> {
        self.fail().await
    }
    async fn define(&self, _: DefineRequest) -> Result<Defined, Error> {
        self.fail().await
    }
    async fn sequence(&self, _: Tenant, _: Prefix) -> Result<Sequence, Error> {
        self.fail().await
    }
    async fn sequences(&self, _: Tenant, _: Page) -> Result<Listing<Sequence>, Error> {
        self.fail().await
    }
    async fn versions(&self, _: Tenant, _: Prefix, _: Page) -> Result<Listing<DefinitionVersion>, Error> {
        self.fail().await
    }
    async fn archive(&self, _: ArchiveRequest) -> Result<Archived, Error> {
        self.fail().await
    }
    async fn close(&self, _: CloseRequest) -> Result<Closed, Error> {
        self.fail().await
    }
    async fn reopen(&self, _: ReopenRequest) -> Result<Closed, Error> {
        self.fail().await
    }
    async fn counters(&self, _: Tenant, _: Prefix, _: Page) -> Result<Listing<Status>, Error> {
        self.fail().await
    }
    async fn audit(&self, _: AuditRequest) -> Result<EventPage, Error> {
        self.fail().await
    }
    async fn checkpoint(&self) -> Result<Checkpoint, Error> {
        self.fail().await
    }
}

fn faulty(fault: Faulty) -> Api {
    Api(router(Service::new(Arc::new(fault))))
}

fn failing(error: impl Into<Error>) -> Api {
    faulty(Faulty::Fails(error.into()))
}

const WRITES: [(&str, &str, &str); 13] = [
    ("POST", "/api/v1/next", r#"{"prefix":"INV"}"#),
    ("POST", "/api/v1/batch", r#"{"prefix":"INV","count":2}"#),
    ("POST", "/api/v1/reserve", r#"{"prefix":"INV"}"#),
    (
        "POST",
        "/api/v1/reservations/00000000000000000000000000000001/confirm",
        "",
    ),
    (
        "POST",
        "/api/v1/reservations/00000000000000000000000000000001/void",
        r#"{"reason":"x"}"#,
    ),
    (
        "POST",
        "/api/v1/void",
        r#"{"prefix":"INV","number":1,"reason":"x"}"#,
    ),
    (
        "POST",
        "/api/v1/reset",
        r#"{"prefix":"INV","new_value":2,"reason":"x"}"#,
    ),
    ("POST", "/api/v1/sync", r#"{"prefix":"INV","last_used":2}"#),
    ("PUT", "/api/v1/sequences/INV", r#"{"format":"INV-{seq}"}"#),
    ("POST", "/api/v1/sequences/INV/archive", r#"{"reason":"x"}"#),
    ("DELETE", "/api/v1/sequences/INV?reason=x", ""),
    (
        "POST",
        "/api/v1/close",
        r#"{"through":"2026-03-31","reason":"x"}"#,
    ),
    ("POST", "/api/v1/reopen", r#"{"from":"2026-03-01","reason":"x"}"#),
];

const READS: [(&str, &str, &str); 11] = [
    ("GET", "/api/v1/reservations/00000000000000000000000000000001", ""),
    ("GET", "/api/v1/status/INV", ""),
    ("GET", "/api/v1/counters?prefix=INV", ""),
    ("GET", "/api/v1/gaps/INV", ""),
    ("GET", "/api/v1/gaps/INV/summary", ""),
    ("GET", "/api/v1/sequences", ""),
    ("GET", "/api/v1/sequences/INV", ""),
    ("GET", "/api/v1/sequences/INV/versions", ""),
    ("PATCH", "/api/v1/sequences/INV", "{}"),
    ("POST", "/api/v1/preview", r#"{"prefix":"INV"}"#),
    ("POST", "/api/v1/parse", r#"{"id":"INV-001"}"#),
];

#[tokio::test(start_paused = true)]
async fn a_write_that_hangs_is_of_unknown_outcome_after_the_deadline_and_a_second() {
    for (method, path, body) in WRITES {
        let started = tokio::time::Instant::now();
        let answer = faulty(Faulty::Hangs)
            .call(method, path, &[crate::JSON], body)
            .await;
        let problem = answer.problem(504, "outcome-unknown");
        assert_eq!([&problem["outcome"], &problem["retry"]], ["unknown", "same_key"]);
        let waited = started.elapsed();
        assert!(
            waited >= Duration::from_secs(11) && waited < Duration::from_secs(12),
            "{path}: {waited:?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_read_that_hangs_had_no_effect() {
    for (method, path, body) in READS {
        let answer = faulty(Faulty::Hangs)
            .call(method, path, &[crate::JSON], body)
            .await;
        assert_eq!(
            answer.problem(503, "store-unavailable")["outcome"],
            "not_issued",
            "{path}"
        );
    }
}

#[tokio::test]
async fn a_panic_is_an_internal_fault_whose_outcome_is_unknown() {
    for (method, path, body) in WRITES {
        let answer = faulty(Faulty::Panics)
            .call(method, path, &[crate::JSON], body)
            .await;
        assert_eq!(answer.problem(500, "internal")["outcome"], "unknown");
        assert!(!answer.text().contains("a bug"));
    }
}

#[tokio::test]
async fn a_report_whose_rest_cannot_be_read_is_cut_and_not_ended() {
    let issuer = Issuer::new(Arc::new(MemoryStore::default()));
    let prefix = Prefix::new("INV").unwrap();
    issuer
        .draw(DrawRequest::new(prefix.clone()).count(2_000))
        .await
        .unwrap();
    for number in (2..=2_000).step_by(2) {
        let number = Number::new(number).unwrap();
        let target = VoidTarget::Numbers {
            counter: CounterSelector::new(prefix.clone()),
            first: number,
            last: number,
        };
        let reason = Reason::new("x").unwrap();
        issuer.void(VoidRequest::new(target, reason)).await.unwrap();
    }
    let Api(router) = faulty(Faulty::Breaks(Arc::new(issuer)));
    for format in ["json", "csv", "html"] {
        let request = Request::get(format!("/api/v1/gaps/INV?format={format}"));
        let answer = router
            .clone()
            .oneshot(request.body(Body::empty()).unwrap())
            .await
            .unwrap();
        assert_eq!(answer.status().as_u16(), 200);
        let mut body = answer.into_body();
        let first = body.frame().await.unwrap().unwrap().into_data().unwrap();
        assert!(first.len() > 10_000, "{format}");
        assert!(body.frame().await.unwrap().is_err(), "{format}");
    }
}

#[tokio::test]
async fn a_draw_carries_the_deadline_of_the_service() {
    let deadline = Duration::from_secs(60);
    let service = Service::new(Arc::new(Faulty::Expects(deadline))).deadline(deadline);
    let api = Api(router(service));
    for path in ["/api/v1/next", "/api/v1/reserve"] {
        api.post(path, r#"{"prefix":"INV"}"#)
            .await
            .problem(503, "deadline-before-sealing");
    }
}

#[tokio::test]
async fn a_store_error_says_what_to_do_next() {
    let cause = || -> seqid_core::store::Cause { Arc::new(std::io::Error::other("secret")) };
    for (error, status, code, retry) in [
        (StoreError::Overloaded, 503, "overloaded", "same_request"),
        (StoreError::Draining, 503, "draining", "same_request"),
        (
            StoreError::Unavailable(cause()),
            503,
            "store-unavailable",
            "same_request",
        ),
        (StoreError::Full(cause()), 503, "store-full", "no"),
        (StoreError::Restored(cause()), 503, "restored-store", "no"),
        (StoreError::Unknown(cause()), 504, "outcome-unknown", "same_key"),
        (StoreError::Corrupt(cause()), 500, "internal", "same_key"),
    ] {
        let answer = failing(error).post("/api/v1/next", r#"{"prefix":"INV"}"#).await;
        assert_eq!(answer.problem(status, code)["retry"], retry);
        assert_eq!(
            !answer.header("retry-after").is_empty(),
            retry == "same_request",
            "{code}"
        );
        assert!(!answer.text().contains("secret"), "{code}");
    }
}

#[tokio::test]
async fn a_part_that_is_away_is_named_with_what_to_do_next() {
    for (certainty, status, code, detail) in [
        (
            Certainty::NotIssued,
            503,
            "store-unavailable",
            "Redis is not available: nothing was issued, and the same request may be sent again after 1 s",
        ),
        (
            Certainty::Unknown,
            504,
            "outcome-unknown",
            "Redis did not say what became of the request: it may have issued numbers, so send it again under its \
             idempotency key alone; without one, look for its request id in the audit",
        ),
    ] {
        let error = StoreError::Away {
            part: "Redis",
            certainty,
            cause: Arc::new(std::io::Error::other("secret")),
        };
        let answer = failing(error).post("/api/v1/next", r#"{"prefix":"INV"}"#).await;
        let problem = answer.problem(status, code);
        assert_eq!(problem["detail"], detail);
        assert_eq!(problem["outcome"], certainty.as_str());
        assert_eq!(
            problem["retry_after_ms"] == 1000,
            certainty == Certainty::NotIssued
        );
        assert!(!answer.text().contains("secret"), "{code}");
    }
}

/// A body that never comes.
fn stalled() -> axum::body::Body {
    struct Stalled;
    impl http_body::Body for Stalled {
        type Data = axum::body::Bytes;
        type Error = std::convert::Infallible;
        fn poll_frame(
            self: std::pin::Pin<&mut Self>,
            _: &mut std::task::Context<'_>,
        ) -> std::task::Poll<Option<Result<http_body::Frame<Self::Data>, Self::Error>>> {
            std::task::Poll::Pending
        }
    }
    axum::body::Body::new(Stalled)
}

#[tokio::test(start_paused = true)]
async fn a_body_that_does_not_arrive_is_refused_at_the_deadline() {
    let request = axum::http::Request::post("/api/v1/next").header("content-type", "application/json");
    let answer = crate::api().send(request.body(stalled()).unwrap()).await;
    answer.problem(400, "malformed-body");
}
