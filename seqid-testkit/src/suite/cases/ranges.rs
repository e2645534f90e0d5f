//! Ranges: which numbers a counter gives out, on which dates, and how it goes from one to the next.

use std::sync::Arc;

use super::super::backend::Backend;
use super::super::commands::{CommandExt, draw, recover, reserve, reset, restart, sync, void};
use super::super::sequence::{Sequence, day, format, prefix};
use super::chain::verify;
use crate::evidence::Evidence;
use crate::history::Order;

use seqid_core::DefinitionSpec;
use seqid_core::definition::{OnExpiry, RangeSpec};
use seqid_core::line::Line;

/// A range from `first` to `last` for documents up to a date.
fn until(first: u64, last: u64, date: &str) -> RangeSpec {
    RangeSpec {
        valid_until: Some(day(date)),
        ..RangeSpec::new(first, last)
    }
}

fn ranges(ranges: impl Into<Vec<RangeSpec>>) -> DefinitionSpec {
    DefinitionSpec {
        ranges: Some(ranges.into()),
        ..format("{prefix}-{seq}")
    }
}

async fn defined(backend: &Backend, spec: DefinitionSpec) -> Sequence {
    let sequence = Sequence::new("INV", spec);
    backend.define(&sequence).await;
    sequence
}

/// The events of a counter as kinds with their numbers and reasons, when the whole audit holds together.
async fn audit(backend: &Backend, line: &Line) -> Vec<String> {
    verify(&backend.events().await);
    let evidence = Evidence::read(&*backend.ledger)
        .await
        .expect("the audit can be read");
    if let Err(violations) = evidence.against(Vec::new(), Order::Generation).check() {
        panic!("{violations:?}");
    }
    let events = backend.events_of(line).await;
    let told = events.iter().map(|recorded| {
        let event = &recorded.event;
        let run = event.run.expect("numbers");
        let reason = event
            .reason
            .as_ref()
            .map_or(String::new(), |reason| format!(": {reason}"));
        format!("{} {}..{}{reason}", event.kind.as_str(), run.first, run.last())
    });
    told.collect()
}

pub async fn a_counter_goes_from_one_range_to_the_next(backend: Backend) {
    let spec = ranges([RangeSpec::new(5, 6), RangeSpec::new(7, 7), RangeSpec::new(11, 12)]);
    let line = defined(&backend, spec).await.line();
    let batch: Vec<_> = (0..6).map(|_| draw(&line, 1)).collect();
    assert_eq!(
        backend.tell(batch).await,
        ["5", "6", "7", "11", "12", "exhausted at 12"]
    );
    assert_eq!(
        audit(&backend, &line).await,
        [
            "issued 5..5",
            "issued 6..6",
            "issued 7..7",
            "skipped 8..10: not granted",
            "issued 11..11",
            "issued 12..12"
        ]
    );
    assert_eq!(backend.marked(&line).await, ["skipped 8..10"]);
}

pub async fn a_batch_is_all_of_one_range(backend: Backend) {
    let spec = ranges([RangeSpec::new(1, 3), RangeSpec::new(11, 13)]);
    let line = defined(&backend, spec).await.line();
    let batch = [
        draw(&line, 2),
        draw(&line, 2),
        draw(&line, 1),
        draw(&line, 4),
        draw(&line, 3),
    ];
    assert_eq!(
        backend.tell(batch).await,
        ["1..2", "1 left", "3", "3 left", "11..13"]
    );
    assert_eq!(
        audit(&backend, &line).await,
        [
            "issued 1..2",
            "issued 3..3",
            "skipped 4..10: not granted",
            "issued 11..13"
        ]
    );
}

pub async fn a_document_date_is_held_against_the_range(backend: Backend) {
    let range = RangeSpec {
        valid_from: Some(day("2026-03-01")),
        ..until(1, 9, "2026-03-31")
    };
    let sequence = defined(&backend, ranges([range])).await;
    let dates = ["2026-02-28", "2026-03-01", "2026-03-31", "2026-04-01"];
    let batch = dates.map(|date| draw(&sequence.on(date), 1));
    assert_eq!(
        backend.tell(batch).await,
        ["1..9 not on 2026-02-28", "1", "2", "1..9 not on 2026-04-01"]
    );
    assert_eq!(
        audit(&backend, &sequence.line()).await,
        ["issued 1..1", "issued 2..2"]
    );
}

pub async fn a_range_that_ended_is_left_for_the_next(backend: Backend) {
    let ended = until(1, 5, "2026-03-31");
    let unused = until(6, 8, "2026-04-15");
    let spec = ranges([ended, unused, RangeSpec::new(21, 30)]);
    let sequence = defined(&backend, spec).await;
    let march = sequence.on("2026-03-31");
    backend.set_clock("2026-03-31T23:59:59Z");
    assert_eq!(backend.tell([draw(&march, 1), draw(&march, 1)]).await, ["1", "2"]);
    backend.set_clock("2026-04-16T00:00:00Z");
    // Not back to the range of its date.
    assert_eq!(backend.tell_one(draw(&march, 1)).await, "21");
    assert_eq!(backend.tell_one(draw(&sequence.on("2026-04-16"), 1)).await, "22");
    assert_eq!(
        audit(&backend, &march).await,
        [
            "issued 1..1",
            "issued 2..2",
            "skipped 3..5: range 1..5 ended on 2026-03-31",
            "skipped 6..8: range 6..8 ended on 2026-04-15",
            "skipped 9..20: not granted",
            "issued 21..21",
            "issued 22..22"
        ]
    );
}

pub async fn a_date_does_not_move_the_counter(backend: Backend) {
    let spec = ranges([until(1, 5, "2026-03-31"), RangeSpec::new(11, 15)]);
    let sequence = defined(&backend, spec).await;
    let batch = [
        draw(&sequence.on("2026-04-01"), 1),
        draw(&sequence.on("2026-03-31"), 1),
    ];
    assert_eq!(backend.tell(batch).await, ["1..5 not on 2026-04-01", "1"]);
    // A clock that is set back does not lead back to the range that was left.
    backend.set_clock("2026-04-01T00:00:00Z");
    assert_eq!(backend.tell_one(draw(&sequence.on("2026-04-01"), 1)).await, "11");
    backend.set_clock("2026-03-07T10:00:00Z");
    assert_eq!(backend.tell_one(draw(&sequence.on("2026-03-07"), 1)).await, "12");
}

pub async fn a_refused_draw_skips_nothing(backend: Backend) {
    let next = RangeSpec {
        valid_from: Some(day("2026-05-01")),
        ..RangeSpec::new(11, 15)
    };
    let sequence = defined(&backend, ranges([until(1, 5, "2026-03-31"), next])).await;
    assert_eq!(backend.tell_one(draw(&sequence.line(), 1)).await, "1");
    backend.set_clock("2026-04-10T00:00:00Z");
    let batch = [
        draw(&sequence.on("2026-04-10"), 1),
        draw(&sequence.on("2026-03-31"), 1),
        draw(&sequence.on("2026-05-01"), 6),
    ];
    assert_eq!(
        backend.tell(batch).await,
        ["11..15 not on 2026-04-10", "11..15 not on 2026-03-31", "5 left"]
    );
    assert_eq!(backend.next(&sequence.line()).await, 2);
    assert_eq!(audit(&backend, &sequence.line()).await, ["issued 1..1"]);
}

pub async fn the_last_range_stays_after_its_end(backend: Backend) {
    let sequence = defined(&backend, ranges([until(1, 3, "2026-03-31")])).await;
    backend.set_clock("2026-04-10T00:00:00Z");
    let (before, after) = (sequence.on("2026-03-31"), sequence.on("2026-04-10"));
    let batch = [
        draw(&after, 1),
        draw(&before, 3),
        draw(&after, 1),
        draw(&before, 1),
    ];
    assert_eq!(
        backend.tell(batch).await,
        [
            "1..3 not on 2026-04-10",
            "1..3",
            "exhausted at 3",
            "exhausted at 3"
        ]
    );
}

pub async fn ranges_are_added_behind_the_others(backend: Backend) {
    let first = defined(&backend, ranges([RangeSpec::new(1, 2)])).await;
    assert_eq!(
        backend
            .tell([draw(&first.line(), 2), draw(&first.line(), 1)])
            .await,
        ["1..2", "exhausted at 2"]
    );
    let second = first.changed(ranges([RangeSpec::new(1, 2), until(5, 6, "2026-03-31")]));
    backend.define(&second).await;
    let line = |date| second.opened_with(1, date);
    let batch = [draw(&line("2026-03-31"), 1), draw(&line("2026-04-01"), 1)];
    assert_eq!(backend.tell(batch).await, ["5", "5..6 not on 2026-04-01"]);
    let third = second.changed(ranges([RangeSpec::new(1, 2), until(5, 6, "2026-04-30")]));
    backend.define(&third).await;
    let line = third.opened_with(1, "2026-04-01");
    assert_eq!(backend.tell_one(draw(&line, 1)).await, "6");
    assert_eq!(
        audit(&backend, &line).await,
        [
            "issued 1..2",
            "skipped 3..4: not granted",
            "issued 5..5",
            "issued 6..6"
        ]
    );
}

pub async fn a_counter_that_opened_before_there_were_ranges_goes_on_in_them(backend: Backend) {
    let first = backend.sequence("INV").await;
    assert_eq!(backend.tell_one(draw(&first.line(), 3)).await, "1..3");
    let second = first.changed(DefinitionSpec {
        start: Some(1),
        ..ranges([RangeSpec::new(2, 4), RangeSpec::new(8, 9)])
    });
    backend.define(&second).await;
    let line = second.opened_with(1, "2026-03-07");
    let batch = [draw(&line, 1), draw(&line, 2), draw(&line, 1)];
    assert_eq!(backend.tell(batch).await, ["4", "8..9", "exhausted at 9"]);
    verify(&backend.events().await);
}

pub async fn ranges_end_where_the_ids_have_no_room(backend: Backend) {
    let fixed = DefinitionSpec {
        format: "{seq:1!}".into(),
        ..ranges([RangeSpec::new(1, 2)])
    };
    let first = defined(&backend, fixed).await;
    assert_eq!(backend.tell_one(draw(&first.line(), 2)).await, "1..2");
    let wider = DefinitionSpec {
        format: "{seq:2!}".into(),
        ..ranges([
            RangeSpec::new(1, 2),
            RangeSpec::new(8, 12),
            RangeSpec::new(20, 30),
        ])
    };
    let second = first.changed(wider);
    backend.define(&second).await;
    let line = second.opened_with(1, "2026-03-07");
    let batch = [draw(&line, 3), draw(&line, 2), draw(&line, 1)];
    assert_eq!(backend.tell(batch).await, ["2 left", "8..9", "exhausted at 9"]);
}

pub async fn steps_are_kept_from_range_to_range(backend: Backend) {
    let spec = DefinitionSpec {
        start: Some(3),
        step: Some(5),
        ..ranges([RangeSpec::new(8, 13), RangeSpec::new(28, 28)])
    };
    let line = defined(&backend, spec).await.line();
    let batch = [draw(&line, 2), draw(&line, 1), draw(&line, 1)];
    assert_eq!(backend.tell(batch).await, ["8..13", "28", "exhausted at 28"]);
    assert_eq!(
        audit(&backend, &line).await,
        [
            "skipped 3..3: not granted",
            "issued 8..13",
            "skipped 18..23: not granted",
            "issued 28..28"
        ]
    );
}

pub async fn a_reset_goes_into_a_range(backend: Backend) {
    let spec = DefinitionSpec {
        max: Some(99),
        ..ranges([RangeSpec::new(1, 5), RangeSpec::new(11, 15)])
    };
    let line = defined(&backend, spec).await.line();
    let batch = [
        reset(&line, 6),
        reset(&line, 16),
        reset(&line, 12),
        draw(&line, 1),
        restart(&line, 7),
        restart(&line, 5),
        draw(&line, 1),
        draw(&line, 1),
    ];
    assert_eq!(
        backend.tell(batch).await,
        [
            "6 is not granted",
            "16 is not granted",
            "1 -> 12",
            "12",
            "7 is not granted",
            "13 -> 5 g2",
            "5 g2",
            "11 g2"
        ]
    );
    verify(&backend.events().await);
}

pub async fn a_sync_goes_anywhere(backend: Backend) {
    let spec = DefinitionSpec {
        max: Some(99),
        ..ranges([RangeSpec::new(1, 5), RangeSpec::new(11, 15)])
    };
    let line = defined(&backend, spec).await.line();
    let batch = [sync(&line, 7), draw(&line, 1), sync(&line, 50), draw(&line, 1)];
    assert_eq!(
        backend.tell(batch).await,
        ["1 -> 8", "11", "12 -> 51", "exhausted at 15"]
    );
    assert_eq!(
        audit(&backend, &line).await,
        [
            "external 1..7",
            "skipped 8..10: not granted",
            "issued 11..11",
            "external 12..50"
        ]
    );
}

pub async fn numbers_ahead_are_voided_within_their_range(backend: Backend) {
    let spec = ranges([until(1, 5, "2026-03-31"), RangeSpec::new(11, 15)]);
    let line = defined(&backend, spec).await.line();
    let batch = [
        void(&line, 1, 6),
        void(&line, 6, 1),
        void(&line, 1, 2),
        void(&line, 11, 1),
    ];
    assert_eq!(
        backend.tell(batch).await,
        [
            "5 left",
            "6 is not granted",
            "void 1..2",
            "11 is not the next number"
        ]
    );
    // What is left of a range that ended may be voided, or left out.
    backend.set_clock("2026-04-01T00:00:00Z");
    let batch = [void(&line, 3, 1), void(&line, 11, 2), draw(&line, 1)];
    assert_eq!(backend.tell(batch).await, ["void 3", "void 11..12", "13"]);
    assert_eq!(
        audit(&backend, &line).await,
        [
            "voided 1..2: void",
            "voided 3..3: void",
            "skipped 4..5: range 1..5 ended on 2026-03-31",
            "skipped 6..10: not granted",
            "voided 11..12: void",
            "issued 13..13"
        ]
    );
}

pub async fn a_repeated_key_finds_the_draw_and_not_what_it_skipped(backend: Backend) {
    let spec = ranges([until(1, 5, "2026-03-31"), RangeSpec::new(11, 15)]);
    let sequence = defined(&backend, spec).await;
    let line = sequence.line();
    backend.set_clock("2026-04-01T00:00:00Z");
    // The first event of a counter that opens is one that skips.
    let keyed = || draw(&line, 2).under("one");
    assert_eq!(backend.tell([keyed(), keyed()]).await, ["11..12", "again 11..12"]);
    assert_eq!(backend.tell_one(keyed()).await, "again 11..12");
    let granted = backend.apply([draw(&line, 1)]).await.remove(0).expect("a grant");
    let seqid_core::command::Reply::Granted(granted) = granted else {
        panic!("{granted:?}")
    };
    let events = backend.events_of(&line).await;
    assert_eq!(granted.n, events.len() as u64);
    let keys: Vec<_> = events
        .iter()
        .map(|recorded| recorded.event.key.is_some())
        .collect();
    assert_eq!(keys, [false, false, true, false]);
    assert_eq!(backend.state(&line).await.chain.n, 4);
}

pub async fn free_numbers_are_given_out_on_dates_of_their_range(backend: Backend) {
    let spec = DefinitionSpec {
        on_expiry: Some(OnExpiry::Reuse),
        ..ranges([until(1, 2, "2026-03-31"), RangeSpec::new(11, 15)])
    };
    let sequence = defined(&backend, spec).await;
    let (march, april) = (sequence.on("2026-03-31"), sequence.on("2026-04-01"));
    let batch = [
        reserve(&march, 1, 1, 10),
        reserve(&march, 1, 2, 90),
        reserve(&april, 1, 3, 10),
    ];
    assert_eq!(backend.tell(batch).await, ["held 1", "held 2", "held 11"]);
    backend.at(20);
    assert_eq!(
        backend
            .tell([draw(&april, 1), draw(&april, 1), draw(&march, 1)])
            .await,
        ["11", "12", "1"]
    );
    verify(&backend.events().await);
    let line: Arc<Line> = sequence.line();
    assert_eq!(backend.figures(&line).await, [1, 0, 0]);
}

pub async fn a_new_epoch_passes_ranges_that_ended_before_a_successor(backend: Backend) {
    let spec = DefinitionSpec {
        successor: Some(prefix("ORD")),
        ..ranges([until(1, 9, "2026-03-31")])
    };
    let sequence = defined(&backend, spec).await;
    let march = sequence.on("2026-03-31");
    assert_eq!(backend.tell_one(draw(&march, 1)).await, "1");
    backend.set_clock("2026-04-01T00:00:00Z");
    let batch = [draw(&march, 1), recover(&march, 5)];
    assert_eq!(backend.tell(batch).await, ["exhausted at 9", "2 -> 7"]);
    // A clock that is set back leads back into the range, and not to what the lost history gave out.
    backend.set_clock("2026-03-31T23:59:59Z");
    assert_eq!(backend.tell_one(draw(&march, 1)).await, "7");
    verify(&backend.events().await);
}

pub async fn a_new_epoch_may_pass_the_largest_number(backend: Backend) {
    let max = seqid_core::Number::MAX.get();
    let spec = DefinitionSpec {
        start: Some(max - 7),
        step: Some(3),
        ..ranges([RangeSpec::new(max - 7, max - 1)])
    };
    let line = defined(&backend, spec).await.line();
    backend.tell_one(draw(&line, 1)).await;
    backend.tell_one(recover(&line, 9)).await;
    let told = backend.tell_one(draw(&line, 1)).await;
    assert!(told.starts_with("exhausted"), "{told}");
}

pub async fn a_new_epoch_is_counted_in_numbers_of_the_ranges(backend: Backend) {
    let spec = ranges([
        until(1, 5, "2026-03-31"),
        RangeSpec::new(11, 15),
        RangeSpec::new(21, 25),
    ]);
    let line = defined(&backend, spec).await.line();
    let batch = [draw(&line, 2), recover(&line, 4), draw(&line, 1)];
    assert_eq!(backend.tell(batch).await, ["1..2", "3 -> 12", "12"]);
    // The history that was lost may have left the first range.
    let line = Sequence::new("ORD", line_spec()).line();
    backend.define(&Sequence::new("ORD", line_spec())).await;
    assert_eq!(backend.tell_one(draw(&line, 2)).await, "1..2");
    backend.set_clock("2026-04-01T00:00:00Z");
    let batch = [
        recover(&line, 2),
        draw(&line, 1),
        recover(&line, 100),
        draw(&line, 1),
    ];
    assert_eq!(
        backend.tell(batch).await,
        ["3 -> 13", "13", "14 -> 26", "exhausted at 25"]
    );
    verify(&backend.events().await);
}

fn line_spec() -> DefinitionSpec {
    ranges([
        until(1, 5, "2026-03-31"),
        RangeSpec::new(11, 15),
        RangeSpec::new(21, 25),
    ])
}
