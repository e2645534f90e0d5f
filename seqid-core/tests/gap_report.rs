//! The counts of a gap report add up, whatever happens to the counter while it is read.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::sync::Arc;
use std::time::Duration;

use seqid_core::clock::{Clock, ManualClock, Seed};
use seqid_core::gap_report::{GapReport, GapSummary};
use seqid_core::mark::NumberState;
use seqid_core::names::Reason;
use seqid_core::numbering::{
    CounterSelector, DefineRequest, DrawRequest, Gap, ReserveRequest, ResetRequest, VoidRequest, VoidTarget,
};
use seqid_core::{Code, DefinitionSpec, Issuer, MemoryStore, Number, Numbering, Prefix};

struct Office {
    issuer: Arc<Issuer>,
    clock: Arc<ManualClock>,
}

impl Office {
    /// A counter with so many numbers issued.
    async fn with(count: u32) -> Self {
        let clock = Arc::new(ManualClock::new("2026-03-07T12:00:00Z".parse().unwrap()));
        let store = Arc::new(MemoryStore::new(clock.clone(), Seed(1)));
        let issuer = Arc::new(Issuer::builder(store).clock(clock.clone()).build());
        let spec: DefinitionSpec =
            serde_json::from_str(r#"{"format":"INV-{seq}","on_expiry":"reuse"}"#).unwrap();
        issuer.define(DefineRequest::new(prefix(), spec)).await.unwrap();
        let office = Self { issuer, clock };
        office.draw(count).await;
        office
    }

    async fn draw(&self, count: u32) {
        let draw = DrawRequest::new(prefix()).count(count);
        self.issuer.draw(draw).await.unwrap();
    }

    async fn void(&self, value: u64) {
        let target = VoidTarget::Numbers {
            counter: CounterSelector::new(prefix()),
            first: number(value),
            last: number(value),
        };
        let reason = Reason::new("x").unwrap();
        self.issuer.void(VoidRequest::new(target, reason)).await.unwrap();
    }

    /// Voids every second number: so many marks.
    async fn void_every_second(&self, marks: u64) {
        for k in 1..=marks {
            self.void(2 * k).await;
        }
    }

    async fn reset(&self, next: u64) {
        let counter = CounterSelector::new(prefix());
        let request = ResetRequest::new(counter, number(next), Reason::new("x").unwrap());
        self.issuer.reset(request).await.unwrap();
    }

    async fn report(&self) -> GapReport {
        GapReport::begin(self.issuer.clone(), CounterSelector::new(prefix()))
            .await
            .unwrap()
    }
}

fn prefix() -> Prefix {
    Prefix::new("INV").unwrap()
}

fn number(value: u64) -> Number {
    Number::new(value).unwrap()
}

async fn read(mut report: GapReport) -> (Vec<Gap>, GapSummary) {
    let mut gaps = Vec::new();
    while let Some(part) = report.next().await.unwrap() {
        gaps.extend(part);
    }
    let summary = *report.summary();
    let marked: u64 = NumberState::ALL.into_iter().map(|state| summary.of(state)).sum();
    assert_eq!(summary.issued + marked, summary.count);
    (gaps, summary)
}

#[tokio::test]
async fn what_is_offered_while_a_report_is_read_is_not_in_it() {
    let office = Office::with(2_000).await;
    office.void_every_second(600).await;
    let report = office.report().await;
    office.draw(10).await;
    office.void(2_005).await;
    office.reset(3_000).await;
    office.void(1_999).await;
    let (gaps, summary) = read(report).await;
    assert_eq!((summary.to, summary.count), (Some(number(2_000)), 2_000));
    assert_eq!((gaps.len(), summary.of(NumberState::Voided)), (601, 601));
}

#[tokio::test]
async fn what_is_left_of_a_free_run_is_not_counted_twice() {
    let office = Office::with(1_100).await;
    office.void_every_second(499).await;
    let ttl = Duration::from_secs(60);
    let reserve = ReserveRequest::new(DrawRequest::new(prefix()).count(3), ttl);
    office.issuer.reserve(reserve).await.unwrap();
    let soon = office.clock.now().saturating_add(Duration::from_secs(61));
    office.clock.set(soon);
    // The write lets the hold go. The free run is the last mark of the first part.
    office.draw(10).await;
    let report = office.report().await;
    office.draw(1).await;
    let (gaps, summary) = read(report).await;
    let free = gaps.last().unwrap();
    assert_eq!((free.state, free.run.count), (NumberState::Free, 3));
    assert_eq!((gaps.len(), summary.of(NumberState::Free)), (500, 3));
}

#[tokio::test]
async fn a_report_of_a_counter_that_was_moved_back_is_refused() {
    let office = Office::with(10).await;
    office.void(3).await;
    office.reset(100).await;
    let mut report = office.report().await;
    office.reset(50).await;
    let error = report.next().await.unwrap_err();
    assert_eq!(error.code(), Code::StoreUnavailable);
}

#[tokio::test]
async fn a_report_stays_with_its_counter_when_the_day_ends() {
    let office = Office::with(1).await;
    let spec: DefinitionSpec =
        serde_json::from_str(r#"{"format":"D{yyyy}{mm}{dd}-{seq}","reset":"day"}"#).unwrap();
    let daily = Prefix::new("DAY").unwrap();
    let define = DefineRequest::new(daily.clone(), spec);
    office.issuer.define(define).await.unwrap();
    office
        .issuer
        .draw(DrawRequest::new(daily.clone()).count(5))
        .await
        .unwrap();
    let mut report = GapReport::begin(office.issuer.clone(), CounterSelector::new(daily))
        .await
        .unwrap();
    let tomorrow = office.clock.now().saturating_add(Duration::from_secs(86_400));
    office.clock.set(tomorrow);
    while report.next().await.unwrap().is_some() {}
    assert_eq!(report.summary().issued, 5);
}
