//! Numbers that are held, and how their holds end.

use super::super::backend::Backend;
use super::super::commands::{
    CommandExt, because, confirm, draw, give_up, hold, number, reserve, reset, restart, settle, void,
};
use super::super::sequence::{Sequence, by_branch, by_year, day, format};

use std::time::Duration;

use seqid_core::command::{Act, Command, End};
use seqid_core::counter::CounterState;
use seqid_core::event::{EventKind, Recorded};
use seqid_core::line::Line;
use seqid_core::mark::Mark;
use seqid_core::names::Reference;
use seqid_core::store::ReservationRecord;
use seqid_core::{DefinitionSpec, Number};

/// What is recorded of the `n`th reservation.
async fn record(backend: &Backend, n: u64) -> Option<ReservationRecord> {
    backend
        .ledger
        .reservation(&hold(n))
        .await
        .expect("a reservation can be read")
}

/// The word for what became of the `n`th reservation.
async fn became(backend: &Backend, n: u64) -> &'static str {
    let record = record(backend, n).await.expect("there is such a reservation");
    record.ended.map_or("held", |ended| ended.kind.as_str())
}

/// The batch is answered so, and changes nothing at all.
async fn changes_nothing<const N: usize>(
    backend: &Backend,
    line: &Line,
    batch: [Command; N],
    told: [&str; N],
) {
    let before = seen(backend, line).await;
    assert_eq!(backend.tell(batch).await, told);
    assert_eq!(seen(backend, line).await, before);
}

/// All that a store shows of a counter. That no hold ends before an instant may be noted anew at any write.
async fn seen(backend: &Backend, line: &Line) -> (CounterState, Vec<Recorded>, Vec<Mark>) {
    let mut state = backend.state(line).await;
    state.next_expiry = None;
    (state, backend.events().await, backend.marks(line).await)
}

pub async fn reserving_holds_the_next_number_and_does_not_issue_it(backend: Backend) {
    let line = backend.sequence("INV").await.line();
    let batch = [draw(&line, 1), reserve(&line, 1, 1, 60), draw(&line, 1)];
    assert_eq!(backend.tell(batch).await, ["1", "held 2", "3"]);
    assert_eq!(backend.marked(&line).await, ["reserved 2"]);
    assert_eq!(backend.figures(&line).await, [1, 0, 0]);
    let kinds = backend.events_of(&line).await;
    assert!(kinds.iter().map(|recorded| recorded.event.kind).eq([
        EventKind::Issued,
        EventKind::Reserved,
        EventKind::Issued
    ]));
    assert_eq!(became(&backend, 1).await, "held");
}

pub async fn confirming_issues_the_number_under_the_same_id(backend: Backend) {
    let line = backend.sequence("INV").await.line();
    backend.tell([draw(&line, 1), reserve(&line, 1, 1, 60)]).await;
    assert_eq!(backend.tell_one(confirm(&line, 2, 1)).await, "confirmed 2");
    assert_eq!(became(&backend, 1).await, "confirmed");
    assert!(backend.marked(&line).await.is_empty(), "it is plainly issued");
    assert_eq!(backend.figures(&line).await, [0, 0, 0]);
    let events = backend.events_of(&line).await;
    let [
        _,
        Recorded {
            event: reserved, ids, ..
        },
        Recorded {
            event: confirmed,
            ids: issued,
            ..
        },
    ] = &events[..]
    else {
        panic!("{events:?}")
    };
    assert_eq!(ids, issued);
    assert_eq!((reserved.run, reserved.date), (confirmed.run, confirmed.date));
    assert_eq!(
        (&reserved.hold, reserved.version),
        (&confirmed.hold, confirmed.version)
    );
    assert_eq!(backend.tell_one(draw(&line, 1)).await, "3");
}

pub async fn a_hold_tells_its_end(backend: Backend) {
    let line = backend.sequence("INV").await.line();
    backend.at(5);
    backend.tell_one(reserve(&line, 1, 1, 60)).await;
    let began = record(&backend, 1).await.expect("a reservation").began;
    let hold = began.hold.clone().expect("a hold");
    assert_eq!(hold.expires_at, began.at.saturating_add(Duration::from_secs(60)));
    assert_eq!(backend.state(&line).await.next_expiry, Some(hold.expires_at));
    assert_eq!(backend.marks(&line).await[0].hold, Some(*hold));
}

pub async fn a_repeated_confirmation_changes_nothing(backend: Backend) {
    let line = backend.sequence("INV").await.line();
    backend
        .tell([reserve(&line, 1, 1, 60), confirm(&line, 1, 1)])
        .await;
    let twice = [confirm(&line, 1, 1), confirm(&line, 1, 1)];
    changes_nothing(&backend, &line, twice, ["again confirmed 1"; 2]).await;
    backend.at(3600);
    changes_nothing(&backend, &line, [confirm(&line, 1, 1)], ["again confirmed 1"]).await;
}

pub async fn a_confirmed_reservation_is_not_voided(backend: Backend) {
    let line = backend.sequence("INV").await.line();
    backend
        .tell([reserve(&line, 1, 1, 60), confirm(&line, 1, 1)])
        .await;
    changes_nothing(&backend, &line, [give_up(&line, 1, 1)], ["confirmed before"]).await;
}

pub async fn a_voided_reservation_is_not_confirmed(backend: Backend) {
    let line = backend.sequence("INV").await.line();
    backend.tell_one(reserve(&line, 2, 1, 60)).await;
    assert_eq!(backend.tell_one(give_up(&line, 1, 1)).await, "given up 1..2");
    assert_eq!(became(&backend, 1).await, "voided");
    assert_eq!(backend.marked(&line).await, ["voided 1..2"]);
    assert_eq!(backend.figures(&line).await, [0, 2, 0]);
    let another = End::Void {
        reason: because("another reason"),
    };
    let batch = [
        confirm(&line, 1, 1),
        give_up(&line, 1, 1),
        settle(&line, 1, 1, another),
    ];
    let told = ["given up before", "again given up 1..2", "given up before"];
    changes_nothing(&backend, &line, batch, told).await;
    assert_eq!(backend.tell_one(draw(&line, 1)).await, "3");
    let record = record(&backend, 1).await.expect("a reservation");
    let reason = record.ended.and_then(|ended| ended.reason);
    assert_eq!(reason, Some(because("given up")));
}

pub async fn numbers_keep_the_date_that_they_were_reserved_for(backend: Backend) {
    let sequence = backend.sequence("INV").await;
    let line = sequence.on("2026-03-05");
    backend.tell_one(reserve(&line, 1, 1, 60)).await;
    let on = |date: &str| {
        let date = Some(day(date));
        settle(
            &line,
            1,
            1,
            End::Confirm {
                date,
                reference: None,
            },
        )
    };
    let fixed = "reserved for 2026-03-05";
    changes_nothing(&backend, &line, [on("2026-03-06")], [fixed]).await;
    assert_eq!(backend.tell_one(on("2026-03-05")).await, "confirmed 1");
    let batch = [on("2026-03-05"), on("2026-03-06"), confirm(&line, 1, 1)];
    changes_nothing(
        &backend,
        &line,
        batch,
        ["again confirmed 1", fixed, "again confirmed 1"],
    )
    .await;
    let dates = backend.events_of(&line).await;
    assert!(
        dates
            .iter()
            .all(|recorded| recorded.event.date == Some(day("2026-03-05")))
    );
}

pub async fn a_confirmation_names_its_document_once(backend: Backend) {
    let line = backend.sequence("INV").await.line();
    backend.tell_one(reserve(&line, 1, 1, 60)).await;
    let of = |document: &str| {
        let reference = Some(Reference::new(document).expect("a reference"));
        settle(
            &line,
            1,
            1,
            End::Confirm {
                date: None,
                reference,
            },
        )
    };
    assert_eq!(backend.tell_one(of("invoice 7")).await, "confirmed 1");
    let batch = [of("invoice 7"), of("invoice 8")];
    changes_nothing(&backend, &line, batch, ["again confirmed 1", "confirmed before"]).await;
    let ended = record(&backend, 1).await.and_then(|record| record.ended);
    let reference = ended.and_then(|ended| ended.reference);
    assert_eq!(reference, Some(Reference::new("invoice 7").expect("a reference")));
}

pub async fn an_unknown_reservation_is_refused(backend: Backend) {
    let line = backend.sequence("INV").await.line();
    assert_eq!(backend.tell_one(confirm(&line, 1, 1)).await, "no reservation");
    assert_eq!(backend.ledger.counter(line.key()).await.expect("a state"), None);
    backend.tell([draw(&line, 1), reserve(&line, 1, 1, 60)]).await;
    for refused in [confirm(&line, 2, 2), confirm(&line, 1, 1), give_up(&line, 1, 2)] {
        changes_nothing(&backend, &line, [refused], ["no reservation"]).await;
    }
    assert_eq!(record(&backend, 2).await, None);
    assert_eq!(backend.tell_one(confirm(&line, 2, 1)).await, "confirmed 2");
}

pub async fn a_reservation_belongs_to_its_counter(backend: Backend) {
    let [ours, theirs] = ["ours", "theirs"].map(|tenant| Sequence::of_tenant(tenant, "INV", format("{seq}")));
    backend.define(&ours).await;
    backend.define(&theirs).await;
    let [ours, theirs] = [ours.line(), theirs.line()];
    backend
        .tell([reserve(&ours, 1, 1, 60), reserve(&theirs, 1, 2, 60)])
        .await;
    for foreign in [confirm(&theirs, 1, 1), give_up(&theirs, 1, 1)] {
        changes_nothing(&backend, &theirs, [foreign], ["no reservation"]).await;
    }
    assert_eq!(backend.tell_one(confirm(&ours, 1, 1)).await, "confirmed 1");
    // Nor is it told how it ended.
    for foreign in [confirm(&theirs, 1, 1), give_up(&theirs, 1, 1)] {
        changes_nothing(&backend, &theirs, [foreign], ["no reservation"]).await;
    }
    assert_eq!(backend.tell_one(confirm(&theirs, 1, 2)).await, "confirmed 1");
}

pub async fn batches_are_held_and_settled_whole(backend: Backend) {
    let line = backend.sequence("INV").await.line();
    let batch = [reserve(&line, 5, 1, 60), draw(&line, 1), reserve(&line, 3, 2, 60)];
    assert_eq!(backend.tell(batch).await, ["held 1..5", "6", "held 7..9"]);
    assert_eq!(backend.marked(&line).await, ["reserved 1..5", "reserved 7..9"]);
    assert_eq!(backend.figures(&line).await, [8, 0, 0]);
    let batch = [give_up(&line, 7, 2), confirm(&line, 1, 1)];
    assert_eq!(backend.tell(batch).await, ["given up 7..9", "confirmed 1..5"]);
    assert_eq!(backend.marked(&line).await, ["voided 7..9"]);
    assert_eq!(backend.figures(&line).await, [0, 3, 0]);
    assert_eq!(backend.events_of(&line).await.len(), 5);
}

pub async fn a_reservation_may_end_in_the_batch_that_began_it(backend: Backend) {
    let line = backend.sequence("INV").await.line();
    let batch = [
        reserve(&line, 1, 1, 60),
        confirm(&line, 1, 1),
        reserve(&line, 1, 2, 60),
        give_up(&line, 2, 2),
        confirm(&line, 2, 2),
        confirm(&line, 1, 1),
        draw(&line, 1),
    ];
    let told = [
        "held 1",
        "confirmed 1",
        "held 2",
        "given up 2",
        "given up before",
        "again confirmed 1",
        "3",
    ];
    assert_eq!(backend.tell(batch).await, told);
    assert_eq!(backend.marked(&line).await, ["voided 2"]);
    assert_eq!(became(&backend, 1).await, "confirmed");
    assert_eq!(became(&backend, 2).await, "voided");
}

pub async fn a_repeated_key_is_answered_with_the_same_reservation(backend: Backend) {
    let line = backend.sequence("INV").await.line();
    assert_eq!(
        backend.tell_one(reserve(&line, 2, 1, 60).under("k")).await,
        "held 1..2"
    );
    // The second attempt made up a name of its own.
    let again = [reserve(&line, 2, 2, 60).under("k")];
    changes_nothing(&backend, &line, again, ["again held 1..2"]).await;
    assert_eq!(record(&backend, 2).await, None);
    let another = [draw(&line, 2).under("k")];
    changes_nothing(&backend, &line, another, ["key mismatch"]).await;
    backend.tell_one(confirm(&line, 1, 1)).await;
    let again = [reserve(&line, 2, 3, 60).under("k")];
    changes_nothing(&backend, &line, again, ["again held 1..2"]).await;
}

pub async fn twins_in_a_batch_reserve_once(backend: Backend) {
    let line = backend.sequence("INV").await.line();
    let batch = [
        reserve(&line, 1, 1, 60).under("k"),
        reserve(&line, 1, 2, 60).under("k"),
        draw(&line, 1),
        reserve(&line, 1, 3, 60).under("k"),
    ];
    assert_eq!(
        backend.tell(batch).await,
        ["held 1", "again held 1", "2", "again held 1"]
    );
    assert_eq!(backend.figures(&line).await, [1, 0, 0]);
    let known = [
        record(&backend, 1).await.is_some(),
        record(&backend, 2).await.is_some(),
        record(&backend, 3).await.is_some(),
    ];
    assert_eq!(known, [true, false, false]);
}

pub async fn a_refused_reservation_leaves_no_trace(backend: Backend) {
    let spec = DefinitionSpec {
        max: Some(2),
        ..format("{seq}")
    };
    let sequence = Sequence::new("INV", spec);
    backend.define(&sequence).await;
    let line = sequence.line();
    assert_eq!(backend.tell_one(reserve(&line, 3, 1, 60)).await, "2 left");
    assert_eq!(record(&backend, 1).await, None);
    assert_eq!(backend.ledger.counter(line.key()).await.expect("a state"), None);
    assert_eq!(backend.tell_one(reserve(&line, 2, 1, 60)).await, "held 1..2");
    let refused = [reserve(&line, 1, 2, 60)];
    changes_nothing(&backend, &line, refused, ["exhausted at 2"]).await;
}

pub async fn counters_have_reservations_of_their_own(backend: Backend) {
    let branches = Sequence::new("BRANCH", by_branch());
    let years = Sequence::new("YEAR", by_year());
    backend.define(&branches).await;
    backend.define(&years).await;
    let lines = [
        branches.of_branch("JKT"),
        branches.of_branch("SUB"),
        years.on("2026-12-31"),
        years.on("2027-01-01"),
    ];
    for (n, line) in (1..).zip(&lines) {
        assert_eq!(backend.tell_one(reserve(line, 1, n, 60)).await, "held 1");
    }
    assert_eq!(backend.tell_one(confirm(&lines[1], 1, 1)).await, "no reservation");
    assert_eq!(backend.tell_one(confirm(&lines[2], 1, 3)).await, "confirmed 1");
    assert_eq!(backend.tell_one(give_up(&lines[1], 1, 2)).await, "given up 1");
    let expected = [&["reserved 1"][..], &["voided 1"], &[], &["reserved 1"]];
    for (line, expected) in lines.iter().zip(expected) {
        assert_eq!(backend.marked(line).await, expected);
    }
}

pub async fn a_reservation_keeps_the_version_that_its_counter_opened_with(backend: Backend) {
    let first = backend.sequence("INV").await;
    let line = first.line();
    backend.tell_one(reserve(&line, 1, 1, 60)).await;
    backend.define(&first.changed(format("INV/{seq}"))).await;
    assert_eq!(backend.tell_one(confirm(&line, 1, 1)).await, "confirmed 1");
    let events = backend.events_of(&line).await;
    let ids: Vec<_> = events
        .iter()
        .filter_map(|recorded| recorded.ids.clone())
        .collect();
    assert_eq!(ids, vec![("INV-1".to_owned(), "INV-1".to_owned()); 2]);
}

pub async fn numbers_do_not_repeat_while_some_are_reserved(backend: Backend) {
    let line = backend.sequence("INV").await.line();
    backend
        .tell([draw(&line, 2), reserve(&line, 2, 1, 60), draw(&line, 1)])
        .await;
    changes_nothing(&backend, &line, [restart(&line, 1)], ["2 reserved"]).await;
    assert_eq!(backend.tell_one(confirm(&line, 3, 1)).await, "confirmed 3..4");
    let batch = [restart(&line, 1), reserve(&line, 1, 2, 60)];
    assert_eq!(backend.tell(batch).await, ["6 -> 1 g2", "held 1 g2"]);
    // The reservation is of the new generation, and a number of the old one is not it.
    assert_eq!(backend.tell_one(confirm(&line, 1, 2)).await, "no reservation");
    let mut right = confirm(&line, 1, 2);
    if let Act::Settle(settle) = &mut right.act {
        settle.generation = 2;
    }
    assert_eq!(backend.tell_one(right).await, "confirmed 1 g2");
    assert_eq!(
        backend.tell_one(confirm(&line, 3, 1)).await,
        "again confirmed 3..4"
    );
}

pub async fn marks_are_listed_in_pages(backend: Backend) {
    let line = backend.sequence("INV").await.line();
    let mut batch = Vec::new();
    for n in 0..10 {
        batch.extend([draw(&line, 2), reserve(&line, 1 + u32::from(n % 2 == 1), n, 60)]);
    }
    backend.tell(batch).await;
    backend.tell([void(&line, 2, 1), void(&line, 1, 1)]).await;
    let firsts = |marks: &[seqid_core::store::MarkRecord]| -> Vec<u64> {
        marks.iter().map(|record| record.mark.run.first.get()).collect()
    };
    let page = async |after: Option<u64>, limit| {
        let after = after.map(|after| (1, number(after)));
        let marks = backend.ledger.marks(line.key(), after, limit).await;
        firsts(&marks.expect("the marks can be read"))
    };
    let all = [1, 2, 3, 6, 10, 13, 17, 20, 24, 27, 31, 34];
    assert_eq!(page(None, 100).await, all);
    assert_eq!(page(None, 4).await, all[..4]);
    assert_eq!(page(Some(6), 4).await, all[4..8]);
    assert_eq!(page(Some(7), 4).await, all[4..8]);
    assert_eq!(page(Some(34), 4).await, [0; 0]);
    let other = backend.sequence("ORD").await.line();
    let none = backend.ledger.marks(other.key(), None, 9).await;
    assert!(none.expect("the marks can be read").is_empty());
}

pub async fn a_number_is_settled_at_the_end_of_its_counter(backend: Backend) {
    let last = Number::MAX.get();
    let spec = DefinitionSpec {
        max: Some(last),
        ..format("{seq}")
    };
    let sequence = Sequence::new("INV", spec);
    backend.define(&sequence).await;
    let line = sequence.line();
    backend.tell_one(reset(&line, last - 1)).await;
    let batch = [
        reserve(&line, 2, 1, 60),
        draw(&line, 1),
        confirm(&line, last - 1, 1),
    ];
    let told = backend.tell(batch).await;
    assert_eq!(told[0], format!("held {}..{last}", last - 1));
    assert!(told[1].starts_with("exhausted"), "{}", told[1]);
    assert_eq!(told[2], format!("confirmed {}..{last}", last - 1));
}
