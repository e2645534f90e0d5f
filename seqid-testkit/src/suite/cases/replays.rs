//! A request that is repeated under its key has its effect once, and the same answer.

use super::super::desk::{Desk, counter, key, next, told};
use super::super::sequence::{by_branch, by_year, day, format};

use seqid_core::field::FieldDeclaration;
use seqid_core::names::{Reason, Reference};
use seqid_core::numbering::{DrawRequest, ResetRequest, SyncRequest};
use seqid_core::period::Reset;
use seqid_core::{DefinitionSpec, Number};

fn number(value: u64) -> Number {
    Number::new(value).expect("a number")
}

async fn same_again(desk: &Desk, request: DrawRequest) {
    let first = desk.issued(request.clone()).await;
    assert!(!first.replayed);
    let mut again = desk.issued(request).await;
    assert!(again.replayed);
    again.replayed = false;
    assert_eq!(again, first);
}

pub async fn a_repeated_request_has_the_same_answer(desk: Desk) {
    same_again(&desk, next("INV").key(key("one"))).await;
    same_again(&desk, next("INV").key(key("batch")).count(5)).await;
    let mut request = next("INV").key(key("full")).date(day("2026-01-01"));
    request.reference = Some(Reference::new("order 7").expect("a reference"));
    same_again(&desk, request).await;
    assert_eq!(desk.next("INV").await, "INV-008");
}

pub async fn a_replay_has_the_text_of_its_time_after_the_definition_changed(desk: Desk) {
    desk.define("INV", format("INV-{seq:3}")).await;
    let request = || next("INV").key(key("k")).count(2);
    assert_eq!(desk.draw(request()).await, "INV-001..INV-002");
    desk.redefine("INV", format("INV/{seq:5}"), 1).await;
    assert_eq!(desk.draw(request()).await, "INV-001..INV-002");
    assert_eq!(desk.next("INV").await, "INV-003", "the counter keeps its format");
}

pub async fn a_replay_has_the_number_of_its_day_after_midnight(desk: Desk) {
    let spec = DefinitionSpec {
        reset: Some(Reset::Day),
        ..format("{yyyy}{mm}{dd}-{seq}")
    };
    desk.define("INV", spec).await;
    let first = desk.issued(next("INV").key(key("k"))).await;
    desk.set_clock("2026-03-08T00:00:00Z");
    let again = desk.issued(next("INV").key(key("k"))).await;
    assert_eq!(again.id(), "20260307-1");
    assert_eq!(
        (again.date, again.period, again.issued_at),
        (first.date, first.period, first.issued_at)
    );
    assert_eq!(desk.next("INV").await, "20260308-1");
}

pub async fn a_replay_has_its_text_although_its_fields_are_gone(desk: Desk) {
    let spec = DefinitionSpec {
        fields: Some(vec![FieldDeclaration::new("customer")]),
        ..format("{customer}-{yyyy}-{seq}")
    };
    desk.define(
        "INV",
        DefinitionSpec {
            reset: Some(Reset::Year),
            ..spec
        },
    )
    .await;
    // Stores keep keys for a day at least, and need not keep them for longer.
    desk.set_clock("2026-12-31T12:00:00Z");
    let request = || next("INV").field("customer", "c7").key(key("k"));
    assert_eq!(desk.draw(request()).await, "c7-2026-1");
    desk.redefine("INV", by_year_after_prefix(), 1).await;
    assert_eq!(desk.draw(request()).await, "c7-2026-1");
    desk.set_clock("2027-01-01T00:00:00Z");
    assert_eq!(desk.draw(request()).await, "c7-2026-1");
}

/// Shares no id with `{customer}-{yyyy}-{seq}`.
fn by_year_after_prefix() -> DefinitionSpec {
    DefinitionSpec {
        reset: Some(Reset::Year),
        ..format("{yyyy}/{seq}")
    }
}

pub async fn another_request_under_a_used_key_is_refused(desk: Desk) {
    desk.define("INV", by_branch()).await;
    let request = || next("INV").scope("branch", "A").key(key("k"));
    assert_eq!(desk.draw(request()).await, "A-1");
    let mut with_reference = request();
    with_reference.reference = Some(Reference::new("order 7").expect("a reference"));
    let others = [
        request().scope("branch", "B"),
        request().date(day("2026-03-07")),
        request().count(1),
        request().count(2),
        with_reference,
    ];
    for other in others {
        assert_eq!(desk.draw(other).await, "idempotency-mismatch");
    }
    assert_eq!(desk.draw(request()).await, "A-1");
    assert_eq!(desk.draw(next("INV").scope("branch", "A")).await, "A-2");
}

pub async fn a_key_may_be_used_in_two_sequences(desk: Desk) {
    assert_eq!(desk.draw(next("A").key(key("k"))).await, "A-001");
    assert_eq!(desk.draw(next("B").key(key("k"))).await, "B-001");
    assert_eq!(desk.draw(next("A").key(key("k"))).await, "A-001");
}

pub async fn a_repeated_move_is_done_once(desk: Desk) {
    let reason = Reason::new("a test").expect("a reason");
    let mut reset = ResetRequest::new(counter("INV"), number(10), reason);
    reset.key = Some(key("reset"));
    assert_eq!(told(&desk.numbering.reset(reset.clone()).await), "1 -> 10");
    assert_eq!(desk.next("INV").await, "INV-010");
    assert_eq!(
        told(&desk.numbering.reset(reset.clone()).await),
        "again 1 -> 10",
        "the answer of that time"
    );
    reset.next = number(50);
    assert_eq!(told(&desk.numbering.reset(reset).await), "idempotency-mismatch");
    let mut sync = SyncRequest::new(counter("INV"), number(99));
    sync.key = Some(key("sync"));
    assert_eq!(told(&desk.numbering.sync(sync.clone()).await), "11 -> 100");
    assert_eq!(told(&desk.numbering.sync(sync).await), "again 11 -> 100");
}

pub async fn concurrent_twins_have_one_answer(desk: Desk) {
    desk.define("INV", by_year()).await;
    let calls: Vec<_> = (0..32)
        .map(|_| {
            let numbering = desk.numbering.clone();
            tokio::spawn(async move { numbering.draw(next("INV").key(key("k")).count(3)).await })
        })
        .collect();
    let mut drawn = 0;
    for call in calls {
        let issued = call.await.expect("an answer").expect("it is issued");
        drawn += u32::from(!issued.replayed);
        assert_eq!(issued.ids, ["2026-1", "2026-2", "2026-3"]);
    }
    assert_eq!(drawn, 1);
}
