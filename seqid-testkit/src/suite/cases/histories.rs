//! What a number is now, with its whole history, and which reservations are open.

use std::time::Duration;

use super::super::desk::{Desk, counter, counter_on, next};
use super::super::sequence::{by_branch, by_year, format, prefix};

use seqid_core::command::End;
use seqid_core::definition::OnExpiry;
use seqid_core::names::{Reason, Reference};
use seqid_core::numbering::{
    CounterSelector, DrawRequest, NumberHistory, NumberRequest, NumberTarget, OpenReservation, Page,
    ReservationsRequest, ReserveRequest, Reserved, ResetRequest, SettleRequest, SyncRequest, VoidRequest,
    VoidTarget,
};
use seqid_core::{Code, DefinitionSpec, Error, Number, Tenant};

fn number(value: u64) -> Number {
    Number::new(value).expect("a number")
}

fn reason(text: &str) -> Reason {
    Reason::new(text).expect("a reason")
}

async fn asked(desk: &Desk, counter: CounterSelector, value: u64) -> Result<NumberHistory, Error> {
    let target = NumberTarget::Number {
        counter,
        number: number(value),
    };
    desk.numbering.number(NumberRequest::new(target)).await
}

/// A number's state and the kinds of its events: `voided: issued voided`.
async fn told(desk: &Desk, counter: CounterSelector, value: u64) -> String {
    let history = asked(desk, counter, value).await.expect("a number");
    assert_eq!(history.number, number(value));
    let kinds = history.events.iter().map(|recorded| recorded.event.kind.as_str());
    let words: Vec<&str> = std::iter::once(history.standing.as_str()).chain(kinds).collect();
    words.join(" ")
}

async fn reserve(desk: &Desk, draw: DrawRequest, seconds: u64) -> Reserved {
    let request = ReserveRequest::new(draw, Duration::from_secs(seconds));
    desk.numbering.reserve(request).await.expect("held numbers")
}

fn after(desk: &Desk, seconds: u64) {
    use seqid_core::clock::Clock;
    desk.clock
        .set(desk.clock.now().saturating_add(Duration::from_secs(seconds)));
}

pub async fn a_number_tells_what_it_is_and_all_that_happened_to_it(desk: Desk) {
    desk.define("INV", format("INV-{seq}")).await;
    let mut draw = next("INV");
    draw.reference = Some(Reference::new("SO-1").expect("a reference"));
    desk.issued(draw).await;
    let confirmed = reserve(&desk, next("INV"), 60).await;
    desk.numbering
        .settle(SettleRequest::confirm(confirmed.reservation))
        .await
        .expect("it is confirmed");
    reserve(&desk, next("INV"), 10).await;
    reserve(&desk, next("INV").count(2), 600).await;
    let target = VoidTarget::Id {
        tenant: Tenant::default(),
        prefix: None,
        id: "INV-1".into(),
    };
    let void = VoidRequest::new(target, reason("printed twice"));
    desk.numbering.void(void).await.expect("it is voided");
    let reset = ResetRequest::new(counter("INV"), number(8), reason("a leap"));
    desk.numbering.reset(reset).await.expect("it is moved");
    let sync = SyncRequest::new(counter("INV"), number(9));
    desk.numbering.sync(sync).await.expect("it is moved");
    after(&desk, 10);
    let mut words = Vec::new();
    for value in 1..=10 {
        words.push(told(&desk, counter("INV"), value).await);
    }
    assert_eq!(
        words,
        [
            "voided issued voided",
            "issued reserved confirmed",
            // By the clock: no write has recorded it yet.
            "expired reserved",
            "reserved reserved",
            "reserved reserved",
            "skipped skipped",
            "skipped skipped",
            "external external",
            "external external",
            "open",
        ]
    );
    let first = asked(&desk, counter("INV"), 1).await.expect("a number");
    assert_eq!(first.id.as_deref(), Some("INV-1"));
    assert_eq!(first.reason, Some(reason("printed twice")));
    assert_eq!(first.reference.as_ref().map(AsRef::as_ref), Some("SO-1"));
    assert_eq!(
        first.date.map(|date| date.to_string()).as_deref(),
        Some("2026-03-07")
    );
    let fifth = asked(&desk, counter("INV"), 5).await.expect("a number");
    assert_eq!((fifth.id.as_deref(), fifth.reason), (Some("INV-5"), None));
    desk.next("INV").await;
    assert_eq!(told(&desk, counter("INV"), 3).await, "expired reserved expired");
}

pub async fn a_number_that_was_let_go_is_free_until_it_is_drawn_again(desk: Desk) {
    let spec = DefinitionSpec {
        on_expiry: Some(OnExpiry::Reuse),
        ..format("INV-{seq}")
    };
    desk.define("INV", spec).await;
    reserve(&desk, next("INV").count(2), 10).await;
    after(&desk, 10);
    assert_eq!(desk.next("INV").await, "INV-1");
    assert_eq!(
        told(&desk, counter("INV"), 1).await,
        "issued reserved expired issued"
    );
    assert_eq!(told(&desk, counter("INV"), 2).await, "free reserved expired");
}

pub async fn a_number_is_that_of_the_newest_generation_and_has_the_events_of_all(desk: Desk) {
    desk.define("INV", format("INV-{seq}")).await;
    for _ in 0..3 {
        desk.next("INV").await;
    }
    let mut reset = ResetRequest::new(counter("INV"), number(2), reason("a new book"));
    reset.repeats_accepted = true;
    desk.numbering.reset(reset).await.expect("it is moved");
    desk.next("INV").await;
    assert_eq!(told(&desk, counter("INV"), 1).await, "skipped issued restarted");
    assert_eq!(told(&desk, counter("INV"), 2).await, "issued issued issued");
    assert_eq!(told(&desk, counter("INV"), 3).await, "open issued");
}

pub async fn a_number_is_found_by_its_id(desk: Desk) {
    desk.define("INV", by_year()).await;
    desk.issued(next("INV").date("2025-05-01".parse().expect("a date")))
        .await;
    let of_id = |id: &str| {
        let target = NumberTarget::Id {
            tenant: Tenant::default(),
            prefix: None,
            id: id.into(),
        };
        NumberRequest::new(target)
    };
    let found = desk.numbering.number(of_id("2025-1")).await.expect("a number");
    assert_eq!(
        (found.number, found.period.to_string()),
        (number(1), "2025".into())
    );
    let next = desk.numbering.number(of_id("2025-2")).await.expect("a number");
    assert_eq!((next.standing.as_str(), next.events.len()), ("open", 0));
    let other = desk.numbering.number(of_id("2024-1")).await;
    assert_eq!(other.expect_err("no such counter").code(), Code::NumberNotFound);
}

pub async fn a_number_that_its_counter_does_not_have_is_not_found(desk: Desk) {
    let spec = DefinitionSpec {
        step: Some(2),
        max: Some(9),
        ..format("{seq}")
    };
    desk.define("INV", spec).await;
    let code = async |counter, value| match asked(&desk, counter, value).await {
        Ok(found) => found.standing.as_str(),
        Err(error) => error.code().as_str(),
    };
    assert_eq!(
        code(counter("INV"), 1).await,
        "number-not-found",
        "it has not opened"
    );
    desk.next("INV").await;
    let mut codes = Vec::new();
    for value in [0, 1, 2, 9, 11] {
        codes.push(code(counter("INV"), value).await);
    }
    let unknown = "number-not-found";
    assert_eq!(codes, [unknown, "issued", unknown, "open", unknown]);
    assert_eq!(code(counter("NONE"), 1).await, "sequence-not-found");
}

/// A part of the list, and where the next begins.
async fn part(desk: &Desk, request: ReservationsRequest) -> (Vec<OpenReservation>, Option<String>) {
    let listing = desk.numbering.reservations(request).await.expect("a list");
    (listing.items, listing.next)
}

/// Every open reservation, in parts of two.
async fn all(desk: &Desk, of: Option<CounterSelector>) -> Vec<OpenReservation> {
    let mut found = Vec::new();
    let mut after = None;
    loop {
        let mut request = ReservationsRequest::new(prefix("INV"));
        request.counter.clone_from(&of);
        request.page = Page { after, limit: 2 };
        let (items, next) = part(desk, request).await;
        assert!(items.len() <= 2);
        found.extend(items);
        if next.is_none() {
            return found;
        }
        after = next;
    }
}

fn ids(found: &[OpenReservation]) -> Vec<&str> {
    found
        .iter()
        .map(|open| open.first_id.as_deref().unwrap_or("none"))
        .collect()
}

pub async fn open_reservations_are_listed_by_counter_and_number(desk: Desk) {
    desk.define("INV", by_branch()).await;
    let of = |branch: &str| next("INV").scope("branch", branch);
    let mut names = Vec::new();
    for (branch, count) in [("JKT", 1), ("SUB", 2), ("JKT", 3), ("BDG", 1), ("JKT", 1)] {
        names.push(reserve(&desk, of(branch).count(count), 60).await.reservation);
    }
    desk.issued(of("MLG")).await;
    desk.numbering
        .settle(SettleRequest::confirm(names[3]))
        .await
        .expect("it is confirmed");
    let found = all(&desk, None).await;
    assert_eq!(ids(&found), ["JKT-1", "JKT-2", "JKT-5", "SUB-1"]);
    let order: Vec<_> = found.iter().map(|open| open.reservation).collect();
    assert_eq!(order, [names[0], names[2], names[4], names[1]]);
    assert_eq!(
        (found[1].run.count, found[1].last_id.as_deref()),
        (3, Some("JKT-4"))
    );
    let mut of_branch = counter("INV");
    of_branch.scope.insert("branch".into(), "JKT".into());
    assert_eq!(
        ids(&all(&desk, Some(of_branch)).await),
        ["JKT-1", "JKT-2", "JKT-5"]
    );
}

pub async fn a_reservation_that_has_ended_is_due_until_a_write_lets_it_go(desk: Desk) {
    desk.define("INV", by_year()).await;
    reserve(&desk, next("INV"), 10).await;
    let kept = reserve(&desk, next("INV"), 60).await;
    after(&desk, 10);
    let due = |found: &[OpenReservation]| found.iter().map(|open| open.due).collect::<Vec<_>>();
    assert_eq!(due(&all(&desk, None).await), [true, false]);
    desk.next("INV").await;
    let found = all(&desk, Some(counter_on("INV", "2026-05-01"))).await;
    assert_eq!(
        (due(&found), found[0].reservation),
        (vec![false], kept.reservation)
    );
    assert_eq!(found[0].expires_at, kept.expires_at);
    let end = End::Void {
        reason: reason("given up"),
    };
    let mut void = SettleRequest::confirm(kept.reservation);
    void.end = end;
    desk.numbering.settle(void).await.expect("it is voided");
    assert!(all(&desk, None).await.is_empty());
}
