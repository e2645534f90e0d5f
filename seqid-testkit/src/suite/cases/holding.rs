//! Reservations and voids as callers see them.

use std::sync::Arc;
use std::time::Duration;

use super::super::desk::{Desk, counter, counter_on, key, next};
use super::super::sequence::{by_year, day, format};

use seqid_core::clock::{Clock, Seed};
use seqid_core::command::End;
use seqid_core::definition::OnExpiry;
use seqid_core::names::{Reason, Reference};
use seqid_core::numbering::{
    CounterSelector, DrawRequest, Held, HoldState, ReserveRequest, Reserved, ResetRequest, SettleRequest,
    VoidRequest, VoidTarget, VoidedNumbers,
};
use seqid_core::reservation::{LONGEST_TTL, ReservationId, SHORTEST_TTL};
use seqid_core::time::Timestamp;
use seqid_core::{Code, DefinitionSpec, Error, Issuer, Number, Numbering, Tenant};

const MINUTE: Duration = Duration::from_secs(60);

async fn reserved(desk: &Desk, draw: DrawRequest) -> Reserved {
    let reserved = desk.numbering.reserve(ReserveRequest::new(draw, MINUTE)).await;
    reserved.unwrap_or_else(|error| panic!("{error}"))
}

async fn confirm(desk: &Desk, reservation: ReservationId) -> String {
    told(&desk.numbering.settle(SettleRequest::confirm(reservation)).await)
}

async fn give_up(desk: &Desk, reservation: ReservationId) -> String {
    let request = SettleRequest::void(reservation, because("the order was cancelled"));
    told(&desk.numbering.settle(request).await)
}

async fn shown(desk: &Desk, reservation: ReservationId) -> Held {
    let held = desk.numbering.reservation(Tenant::default(), reservation).await;
    held.unwrap_or_else(|error| panic!("{error}"))
}

/// `confirmed INV-001`, or the code of the refusal.
fn told(held: &Result<Held, Error>) -> String {
    match held {
        Ok(held) => {
            let again = if held.numbers.replayed { "again " } else { "" };
            format!("{again}{} {}", held.state.as_str(), held.numbers.ids.join(" "))
        }
        Err(error) => error.code().as_str().into(),
    }
}

async fn void(desk: &Desk, target: VoidTarget) -> String {
    let voided = desk
        .numbering
        .void(VoidRequest::new(target, because("a test")))
        .await;
    match voided {
        Ok(VoidedNumbers { run, repeated, .. }) => {
            let again = if repeated { "again " } else { "" };
            format!("{again}{}..{}", run.first, run.last())
        }
        Err(error) => error.code().as_str().into(),
    }
}

fn numbers(counter: CounterSelector, first: u64, last: u64) -> VoidTarget {
    let [first, last] = [first, last].map(|number| Number::new(number).expect("a number"));
    VoidTarget::Numbers { counter, first, last }
}

fn id(text: &str) -> VoidTarget {
    VoidTarget::Id {
        tenant: Tenant::default(),
        prefix: None,
        id: text.into(),
    }
}

fn because(text: &str) -> Reason {
    Reason::new(text).expect("a reason")
}

fn later(desk: &Desk, duration: Duration) {
    desk.clock.set(desk.clock.now().saturating_add(duration));
}

pub async fn a_reservation_is_confirmed_under_the_id_that_was_promised(desk: Desk) {
    let Reserved {
        reservation,
        expires_at,
        numbers,
    } = reserved(&desk, next("INV")).await;
    assert_eq!(numbers.ids, ["INV-001"]);
    assert_eq!(expires_at, desk.clock.now().saturating_add(MINUTE));
    assert_eq!(desk.next("INV").await, "INV-002");
    let held = shown(&desk, reservation).await;
    assert_eq!((held.state, held.expires_at), (HoldState::Reserved, expires_at));
    assert_eq!(held.numbers.ids, ["INV-001"]);
    assert_eq!(confirm(&desk, reservation).await, "confirmed INV-001");
    let held = shown(&desk, reservation).await;
    assert_eq!(
        (held.state, held.numbers.ids),
        (HoldState::Confirmed, vec!["INV-001".to_owned()])
    );
}

pub async fn a_reserved_batch_has_all_its_ids(desk: Desk) {
    let batch = reserved(&desk, next("INV").count(3)).await;
    assert_eq!(batch.numbers.ids, ["INV-001", "INV-002", "INV-003"]);
    let confirmed = confirm(&desk, batch.reservation).await;
    assert_eq!(confirmed, "confirmed INV-001 INV-002 INV-003");
}

pub async fn a_reservation_ends_once(desk: Desk) {
    let kept = reserved(&desk, next("INV")).await.reservation;
    assert_eq!(confirm(&desk, kept).await, "confirmed INV-001");
    assert_eq!(confirm(&desk, kept).await, "again confirmed INV-001");
    assert_eq!(give_up(&desk, kept).await, "reservation-confirmed");
    let given_up = reserved(&desk, next("INV")).await.reservation;
    assert_eq!(give_up(&desk, given_up).await, "voided INV-002");
    assert_eq!(give_up(&desk, given_up).await, "again voided INV-002");
    assert_eq!(confirm(&desk, given_up).await, "reservation-voided");
    let held = shown(&desk, given_up).await;
    assert_eq!(held.reason, Some(because("the order was cancelled")));
    let forgotten = reserved(&desk, next("INV")).await.reservation;
    later(&desk, MINUTE);
    assert_eq!(confirm(&desk, forgotten).await, "reservation-expired");
    assert_eq!(confirm(&desk, forgotten).await, "reservation-expired");
    assert_eq!(give_up(&desk, forgotten).await, "reservation-expired");
    assert_eq!(desk.next("INV").await, "INV-004");
}

pub async fn a_reservation_that_has_ended_is_shown_so_before_anybody_writes(desk: Desk) {
    let reservation = reserved(&desk, next("INV")).await.reservation;
    later(&desk, MINUTE);
    let events = desk.events().await;
    let held = shown(&desk, reservation).await;
    assert_eq!((held.state, held.numbers.id()), (HoldState::Expired, "INV-001"));
    assert_eq!(desk.events().await, events);
    desk.next("INV").await;
    assert_eq!(shown(&desk, reservation).await.state, HoldState::Expired);
    assert_eq!(desk.events().await, events + 2);
}

pub async fn an_unknown_reservation_is_not_found(desk: Desk) {
    let unknown = ReservationId::nth(Seed(0), 0, Timestamp::from_micros(0));
    assert_eq!(confirm(&desk, unknown).await, "reservation-not-found");
    let shown = desk.numbering.reservation(Tenant::default(), unknown).await;
    assert_eq!(told(&shown), "reservation-not-found");
}

pub async fn another_tenants_reservation_is_not_found(desk: Desk) {
    let reservation = reserved(&desk, next("INV")).await.reservation;
    let stranger = Tenant::new("stranger").expect("a tenant");
    let of_the_stranger = |mut request: SettleRequest| {
        request.tenant = stranger.clone();
        request
    };
    // Neither while it is held, nor when it has ended.
    for confirmed in ["confirmed INV-001", "again confirmed INV-001"] {
        for request in [
            SettleRequest::confirm(reservation),
            SettleRequest::void(reservation, because("of spite")),
        ] {
            let settled = desk.numbering.settle(of_the_stranger(request)).await;
            assert_eq!(told(&settled), "reservation-not-found");
        }
        let shown = desk.numbering.reservation(stranger.clone(), reservation).await;
        assert_eq!(told(&shown), "reservation-not-found");
        assert_eq!(confirm(&desk, reservation).await, confirmed);
    }
}

pub async fn holds_last_1_second_to_30_days(desk: Desk) {
    let ttl = async |ttl| match desk
        .numbering
        .reserve(ReserveRequest::new(next("INV"), ttl))
        .await
    {
        Ok(reserved) => reserved.numbers.ids.concat(),
        Err(error) => error.code().as_str().into(),
    };
    for refused in [
        Duration::ZERO,
        SHORTEST_TTL - Duration::from_secs(1),
        LONGEST_TTL + Duration::from_secs(1),
    ] {
        assert_eq!(ttl(refused).await, "invalid-request");
    }
    assert_eq!(ttl(SHORTEST_TTL).await, "INV-001");
    assert_eq!(ttl(LONGEST_TTL).await, "INV-002");
    later(&desk, LONGEST_TTL - Duration::from_secs(1));
    desk.next("INV").await;
    assert_eq!(desk.status(counter("INV")).await.reserved, 1);
}

pub async fn a_repeated_request_has_the_same_reservation(desk: Desk) {
    let request = || next("INV").key(key("order 7"));
    let first = reserved(&desk, request()).await;
    let again = reserved(&desk, request()).await;
    assert!(again.numbers.replayed && !first.numbers.replayed);
    assert_eq!(
        (again.reservation, again.expires_at, &again.numbers.ids),
        (first.reservation, first.expires_at, &first.numbers.ids)
    );
    assert_eq!(desk.draw(request()).await, "idempotency-mismatch");
    let longer = ReserveRequest::new(request(), 2 * MINUTE);
    let longer = desk.numbering.reserve(longer).await.map_err(|error| error.code());
    assert_eq!(longer.err(), Some(Code::IdempotencyMismatch));
    assert_eq!(confirm(&desk, again.reservation).await, "confirmed INV-001");
    assert_eq!(desk.next("INV").await, "INV-002");
}

pub async fn another_date_or_document_is_another_confirmation(desk: Desk) {
    let mut draw = next("INV").date(day("2026-03-05"));
    draw.reference = Some(Reference::new("order 7").expect("a reference"));
    let reservation = reserved(&desk, draw).await.reservation;
    let on = async |date: &str, document: &str| {
        let mut request = SettleRequest::confirm(reservation);
        request.end = End::Confirm {
            date: Some(day(date)),
            reference: Some(Reference::new(document).expect("a reference")),
        };
        told(&desk.numbering.settle(request).await)
    };
    assert_eq!(on("2026-03-06", "invoice 7").await, "date-changed");
    assert_eq!(on("2026-03-05", "invoice 7").await, "confirmed INV-001");
    assert_eq!(on("2026-03-05", "invoice 7").await, "again confirmed INV-001");
    assert_eq!(on("2026-03-06", "invoice 7").await, "date-changed");
    assert_eq!(on("2026-03-05", "invoice 8").await, "reservation-confirmed");
    let held = shown(&desk, reservation).await;
    assert_eq!(held.numbers.date, day("2026-03-05"));
    let document = held.numbers.reference.map(|reference| reference.to_string());
    assert_eq!(document.as_deref(), Some("invoice 7"));
}

pub async fn a_reservation_keeps_its_id_after_the_definition_changed(desk: Desk) {
    desk.define("INV", by_year()).await;
    let reservation = reserved(&desk, next("INV").date(day("2026-12-31")))
        .await
        .reservation;
    let slashed = DefinitionSpec {
        format: "{yyyy}/{seq:3}".into(),
        ..by_year()
    };
    desk.redefine("INV", slashed, 1).await;
    assert_eq!(desk.draw(next("INV").date(day("2027-01-01"))).await, "2027/001");
    assert_eq!(shown(&desk, reservation).await.numbers.ids, ["2026-1"]);
    assert_eq!(confirm(&desk, reservation).await, "confirmed 2026-1");
}

pub async fn a_hold_keeps_the_policy_that_it_began_with(desk: Desk) {
    let spec = |on_expiry| DefinitionSpec {
        on_expiry: Some(on_expiry),
        ..format("INV-{seq}")
    };
    desk.define("INV", spec(OnExpiry::Reuse)).await;
    reserved(&desk, next("INV")).await;
    desk.redefine("INV", spec(OnExpiry::Void), 1).await;
    reserved(&desk, next("INV")).await;
    later(&desk, MINUTE);
    assert_eq!(desk.next("INV").await, "INV-1");
    assert_eq!(desk.next("INV").await, "INV-3");
    let status = desk.status(counter("INV")).await;
    assert_eq!((status.reserved, status.voided), (0, 1));
}

pub async fn a_reservation_is_settled_through_another_process(desk: Desk) {
    let [kept, given_up] = [
        reserved(&desk, next("INV")).await.reservation,
        reserved(&desk, next("INV")).await.reservation,
    ];
    let clock: Arc<dyn Clock> = desk.clock.clone();
    let other = Issuer::builder(Arc::clone(&desk.ledger)).clock(clock).build();
    let confirmed = other.settle(SettleRequest::confirm(kept)).await;
    assert_eq!(told(&confirmed), "confirmed INV-001");
    // The process that reserved it is told so.
    assert_eq!(give_up(&desk, kept).await, "reservation-confirmed");
    assert_eq!(confirm(&desk, kept).await, "again confirmed INV-001");
    let voided = other.settle(SettleRequest::void(given_up, because("done"))).await;
    assert_eq!(told(&voided), "voided INV-002");
    assert_eq!(confirm(&desk, given_up).await, "reservation-voided");
}

pub async fn a_status_counts_what_is_held_and_void(desk: Desk) {
    let held = [
        reserved(&desk, next("INV").count(3)).await,
        reserved(&desk, next("INV")).await,
        reserved(&desk, next("INV").count(2)).await,
    ]
    .map(|reserved| reserved.reservation);
    let figures = async || {
        let status = desk.status(counter("INV")).await;
        (status.reserved, status.voided)
    };
    assert_eq!(figures().await, (6, 0));
    confirm(&desk, held[1]).await;
    assert_eq!(figures().await, (5, 0));
    give_up(&desk, held[2]).await;
    assert_eq!(figures().await, (3, 2));
    void(&desk, numbers(counter("INV"), 4, 4)).await;
    assert_eq!(figures().await, (3, 3));
    later(&desk, MINUTE);
    desk.next("INV").await;
    assert_eq!(figures().await, (0, 6));
}

pub async fn issued_numbers_are_voided_by_number_or_by_id(desk: Desk) {
    desk.define("INV", by_year()).await;
    desk.draw(next("INV").count(4)).await;
    desk.draw(next("INV").date(day("2025-05-01"))).await;
    assert_eq!(void(&desk, id("2026-2")).await, "2..2");
    assert_eq!(void(&desk, id("2026-2")).await, "again 2..2");
    assert_eq!(
        void(&desk, numbers(counter_on("INV", "2026-05-05"), 3, 4)).await,
        "3..4"
    );
    assert_eq!(void(&desk, numbers(counter("INV"), 2, 3)).await, "not-voidable");
    assert_eq!(void(&desk, id("2025-1")).await, "1..1");
    assert_eq!(void(&desk, id("2026-9")).await, "not-voidable");
    assert_eq!(void(&desk, id("something")).await, "id-not-recognised");
    assert_eq!(
        void(&desk, numbers(counter("INV"), 4, 3)).await,
        "invalid-request"
    );
    assert_eq!(desk.next("INV").await, "2026-5");
}

pub async fn numbers_of_another_generation_are_not_voided(desk: Desk) {
    desk.draw(next("INV").count(4)).await;
    let void_of = async |generation, last, name| {
        let mut request = VoidRequest::new(numbers(counter("INV"), 2, last), because("a test"));
        request.generation = Some(generation);
        request.key = Some(key(name));
        desk.numbering.void(request).await.map(|voided| voided.generation)
    };
    let code = |voided: Result<u32, Error>| voided.map_err(|error| error.code());
    assert_eq!(code(void_of(2, 2, "a").await), Err(Code::NotVoidable));
    assert_eq!(
        code(void_of(1, 2, "a").await),
        Ok(1),
        "a refusal is not remembered"
    );
    let first = Number::new(1).expect("a number");
    let mut again = ResetRequest::new(counter("INV"), first, because("a test"));
    again.repeats_accepted = true;
    desk.numbering.reset(again).await.expect("it is reset");
    desk.draw(next("INV").count(4)).await;
    assert_eq!(code(void_of(1, 3, "b").await), Err(Code::NotVoidable));
    assert_eq!(code(void_of(1, 2, "a").await), Ok(1), "it was done");
    assert_eq!(code(void_of(2, 2, "a").await), Err(Code::IdempotencyMismatch));
    assert_eq!(desk.status(counter("INV")).await.voided, 1, "of both generations");
    assert_eq!(code(void_of(2, 3, "c").await), Ok(2));
    assert_eq!(desk.status(counter("INV")).await.voided, 3);
}

pub async fn an_id_that_does_not_tell_its_period_names_no_number(desk: Desk) {
    let spec = DefinitionSpec {
        repeats: Some(seqid_core::template::Repeats::Accepted),
        reset: by_year().reset,
        ..format("INV-{seq}")
    };
    desk.define("INV", spec).await;
    desk.next("INV").await;
    assert_eq!(void(&desk, id("INV-1")).await, "invalid-request");
    assert_eq!(void(&desk, numbers(counter("INV"), 1, 1)).await, "1..1");
}

pub async fn the_next_numbers_are_voided_before_anybody_has_them(desk: Desk) {
    desk.next("INV").await;
    assert_eq!(void(&desk, numbers(counter("INV"), 2, 5)).await, "2..5");
    assert_eq!(desk.next("INV").await, "INV-006");
    assert_eq!(void(&desk, numbers(counter("INV"), 8, 8)).await, "not-voidable");
    let status = desk.status(counter("INV")).await;
    assert_eq!((status.voided, status.last_number.map(Number::get)), (4, Some(6)));
}

pub async fn a_void_after_the_definition_changed_finds_its_counter(desk: Desk) {
    desk.define("INV", by_year()).await;
    desk.draw(next("INV").count(2)).await;
    let slashed = DefinitionSpec {
        format: "{yyyy}/{seq:3}".into(),
        ..by_year()
    };
    desk.redefine("INV", slashed, 1).await;
    assert_eq!(void(&desk, id("2026-2")).await, "2..2");
    assert_eq!(desk.next("INV").await, "2026-3");
}

pub async fn a_repeated_void_under_a_key_is_done_once(desk: Desk) {
    desk.next("INV").await;
    let jump = |last| {
        let mut request = VoidRequest::new(numbers(counter("INV"), 2, last), because("a test"));
        request.key = Some(key("k"));
        request
    };
    let first = desk.numbering.void(jump(3)).await.expect("it is voided");
    let again = desk.numbering.void(jump(3)).await.expect("it is voided");
    assert_eq!((first.run, first.repeated), (again.run, !again.repeated));
    let other = desk.numbering.void(jump(4)).await.map_err(|error| error.code());
    assert_eq!(other.err(), Some(Code::IdempotencyMismatch));
    assert_eq!(desk.next("INV").await, "INV-004");
}
