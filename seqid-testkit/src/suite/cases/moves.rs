//! Resets and syncs as callers see them.

use super::super::desk::{Desk, counter, counter_on, next, told};
use super::super::sequence::{by_branch, by_year, day, format};

use seqid_core::names::Reason;
use seqid_core::numbering::{CounterSelector, ResetRequest, SyncRequest};
use seqid_core::{DefinitionSpec, Number};

fn to(counter: CounterSelector, next: u64) -> ResetRequest {
    ResetRequest::new(
        counter,
        Number::new(next).expect("a number"),
        Reason::new("a test").expect("a reason"),
    )
}

async fn reset(desk: &Desk, next: u64) -> String {
    told(&desk.numbering.reset(to(counter("INV"), next)).await)
}

async fn sync(desk: &Desk, last_used: u64) -> String {
    let last_used = Number::new(last_used).expect("a number");
    told(
        &desk
            .numbering
            .sync(SyncRequest::new(counter("INV"), last_used))
            .await,
    )
}

pub async fn a_reset_says_what_is_issued_next(desk: Desk) {
    assert_eq!(reset(&desk, 1_000).await, "1 -> 1000");
    assert_eq!(desk.next("INV").await, "INV-1000");
    let moved = desk
        .numbering
        .reset(to(counter("INV"), 2_000))
        .await
        .expect("it moves");
    assert_eq!(moved.old_next_number.map(Number::get), Some(1_001));
    assert_eq!(moved.status.next_id.as_deref(), Some("INV-2000"));
    assert_eq!(desk.next("INV").await, "INV-2000");
}

pub async fn zero_is_no_number_of_a_counter_that_starts_at_1(desk: Desk) {
    assert_eq!(reset(&desk, 0).await, "invalid-request");
    desk.define(
        "ZERO",
        DefinitionSpec {
            start: Some(0),
            ..format("Z-{seq}")
        },
    )
    .await;
    let zero = desk.numbering.reset(to(counter("ZERO"), 0)).await;
    assert_eq!(told(&zero), "0 -> 0");
}

pub async fn a_reset_goes_to_members_alone(desk: Desk) {
    let spec = DefinitionSpec {
        start: Some(10),
        step: Some(5),
        max: Some(50),
        ..format("INV-{seq}")
    };
    desk.define("INV", spec).await;
    for next in [5, 12, 55] {
        assert_eq!(reset(&desk, next).await, "invalid-request");
    }
    assert_eq!(reset(&desk, 20).await, "10 -> 20");
}

pub async fn numbers_repeat_only_if_that_is_accepted(desk: Desk) {
    assert_eq!(desk.draw(next("INV").count(5)).await, "INV-001..INV-005");
    assert_eq!(reset(&desk, 3).await, "would-repeat");
    let mut forced = to(counter("INV"), 3);
    forced.repeats_accepted = true;
    let moved = desk.numbering.reset(forced).await.expect("it is accepted");
    assert_eq!(
        (moved.status.generation, moved.status.next_number.map(Number::get)),
        (2, Some(3))
    );
    let issued = desk.issued(next("INV")).await;
    assert_eq!((issued.id(), issued.generation), ("INV-003", 2));
}

pub async fn a_sync_goes_forward_alone(desk: Desk) {
    assert_eq!(sync(&desk, 99).await, "1 -> 100");
    assert_eq!(sync(&desk, 99).await, "100 -> 100");
    assert_eq!(sync(&desk, 7).await, "100 -> 100");
    assert_eq!(desk.next("INV").await, "INV-100");
}

pub async fn an_ended_counter_has_no_next_number(desk: Desk) {
    desk.define(
        "INV",
        DefinitionSpec {
            max: Some(9),
            ..format("INV-{seq}")
        },
    )
    .await;
    assert_eq!(sync(&desk, 9).await, "1 -> end");
    assert_eq!(desk.next("INV").await, "exhausted");
}

pub async fn a_move_concerns_one_counter(desk: Desk) {
    let spec = DefinitionSpec {
        format: "{branch}/{yyyy}-{seq}".into(),
        scope: by_branch().scope,
        ..by_year()
    };
    desk.define("INV", spec).await;
    let mut selector = counter_on("INV", "2025-05-01");
    selector.scope.insert("branch".into(), "A".into());
    let moved = desk.numbering.reset(to(selector, 50)).await.expect("it moves");
    assert_eq!(moved.status.next_id.as_deref(), Some("A/2025-50"));
    let of = |branch: &str, date: &str| next("INV").scope("branch", branch).date(day(date));
    for (branch, date, id) in [
        ("A", "2025-12-31", "A/2025-50"),
        ("A", "2026-01-01", "A/2026-1"),
        ("B", "2025-12-31", "B/2025-1"),
    ] {
        assert_eq!(desk.draw(of(branch, date)).await, id);
    }
}

pub async fn a_move_after_the_definition_changed_keeps_the_format(desk: Desk) {
    desk.define("INV", by_year()).await;
    assert_eq!(desk.next("INV").await, "2026-1");
    desk.redefine(
        "INV",
        DefinitionSpec {
            format: "{yyyy}/{seq:3}".into(),
            ..by_year()
        },
        1,
    )
    .await;
    let moved = desk
        .numbering
        .reset(to(counter("INV"), 9))
        .await
        .expect("it moves");
    assert_eq!(moved.status.next_id.as_deref(), Some("2026-9"));
    assert_eq!(desk.next("INV").await, "2026-9");
}
