//! Ranges as callers see them: what is left of them, when they end, and how they change.

use std::time::Duration;

use super::super::desk::{Desk, counter, next};
use super::super::sequence::{day, format};

use seqid_core::DefinitionSpec;
use seqid_core::definition::{OnExpiry, RangeSpec};
use seqid_core::numbering::{PreviewRequest, ReserveRequest, Warning};

fn ranges(ranges: impl Into<Vec<RangeSpec>>) -> DefinitionSpec {
    DefinitionSpec {
        ranges: Some(ranges.into()),
        warn_at: Some(2),
        ..format("{prefix}-{seq}")
    }
}

fn until(first: u64, last: u64, date: &str) -> RangeSpec {
    RangeSpec {
        valid_until: Some(day(date)),
        ..RangeSpec::new(first, last)
    }
}

/// The pointers of the refusals of a definition.
async fn refused(desk: &Desk, spec: DefinitionSpec, version: Option<u32>) -> Vec<String> {
    let refused = desk.try_define("INV", spec, version).await.expect_err("refused");
    let refusals = refused.refusals().iter();
    refusals.map(|refusal| refusal.pointer.clone()).collect()
}

pub async fn a_status_tells_what_is_left_of_all_ranges(desk: Desk) {
    let spec = ranges([until(1, 3, "2026-03-31"), RangeSpec::new(11, 13)]);
    let defined = desk.define("INV", spec).await;
    assert_eq!(defined.sequence.first_id.as_deref(), Some("INV-1"));
    assert_eq!(defined.sequence.last_id.as_deref(), Some("INV-13"));
    let told = async || {
        let status = desk.status(counter("INV")).await;
        let preview = desk
            .numbering
            .preview(PreviewRequest::new(super::super::sequence::prefix("INV")));
        let preview = preview.await.expect("a preview");
        assert_eq!(preview.number, status.next_number);
        let next = status.next_number.map(seqid_core::Number::get);
        (next, status.remaining, status.warnings, status.max.get())
    };
    assert_eq!(told().await, (Some(1), 6, vec![], 13));
    for id in ["INV-1", "INV-2", "INV-3"] {
        assert_eq!(desk.next("INV").await, id);
    }
    assert_eq!(told().await, (Some(11), 3, vec![], 13));
    assert_eq!(desk.next("INV").await, "INV-11");
    assert_eq!(told().await, (Some(12), 2, vec![Warning::NearEnd], 13));
    assert_eq!(desk.draw(next("INV").count(3)).await, "batch-does-not-fit");
    assert_eq!(desk.draw(next("INV").count(2)).await, "INV-12..INV-13");
    assert_eq!(told().await, (None, 0, vec![Warning::NearEnd], 13));
    assert_eq!(desk.next("INV").await, "exhausted");
    let spec = ranges([until(1, 3, "2026-03-31"), RangeSpec::new(11, 13)]);
    desk.define("ORD", spec).await;
    assert_eq!(desk.next("ORD").await, "ORD-1");
    desk.set_clock("2026-04-01T00:00:00Z");
    let status = desk.status(counter("ORD")).await;
    assert_eq!(status.next_id.as_deref(), Some("ORD-11"));
    assert_eq!(status.remaining, 3);
}

pub async fn a_free_number_of_a_range_that_ended_is_not_the_next(desk: Desk) {
    let spec = DefinitionSpec {
        on_expiry: Some(OnExpiry::Reuse),
        ..ranges([until(1, 3, "2026-03-31"), RangeSpec::new(11, 13)])
    };
    desk.define("INV", spec).await;
    desk.set_clock("2026-03-31T23:59:58Z");
    let reserved = desk
        .numbering
        .reserve(ReserveRequest::new(next("INV"), Duration::from_secs(5)));
    reserved.await.expect("a reservation");
    desk.set_clock("2026-04-01T12:00:00Z");
    assert_eq!(desk.next("INV").await, "INV-11");
    let status = desk.status(counter("INV")).await;
    let preview = PreviewRequest::new(super::super::sequence::prefix("INV"));
    let preview = desk.numbering.preview(preview).await.expect("a preview");
    assert_eq!(status.next_id.as_deref(), Some("INV-12"));
    assert_eq!(preview.id.as_deref(), Some("INV-12"));
    assert_eq!(desk.next("INV").await, "INV-12");
}

pub async fn the_end_of_the_last_range_is_announced(desk: Desk) {
    let spec = ranges([until(1, 1, "2026-03-08"), until(11, 99, "2026-04-30")]);
    desk.define("INV", spec).await;
    let warnings = async |date| desk.issued(next("INV").date(day(date))).await.warnings;
    assert_eq!(warnings("2026-03-07").await, []);
    assert_eq!(warnings("2026-03-30").await, []);
    assert_eq!(warnings("2026-03-31").await, [Warning::RangeEnds]);
    assert_eq!(warnings("2026-04-30").await, [Warning::RangeEnds]);
}

pub async fn a_date_that_the_range_does_not_have_is_refused(desk: Desk) {
    desk.define("INV", ranges([until(1, 9, "2026-03-31")])).await;
    let on = |date| next("INV").date(day(date));
    assert_eq!(desk.draw(on("2026-04-01")).await, "range-expired");
    assert_eq!(desk.draw(on("2026-03-31")).await, "INV-1");
    desk.set_clock("2026-04-01T00:00:00Z");
    assert_eq!(desk.next("INV").await, "range-expired");
    assert_eq!(desk.status(counter("INV")).await.remaining, 0);
}

pub async fn ranges_that_cannot_hold_are_refused_with_their_places(desk: Desk) {
    let many: Vec<_> = (0..101).map(|n| RangeSpec::new(2 * n, 2 * n)).collect();
    let text = |length: usize| Some("x".repeat(length));
    let backward = RangeSpec {
        valid_from: Some(day("2026-04-01")),
        authority: text(256),
        reference: text(0),
        ..until(1, 2, "2026-03-31")
    };
    let cases: [(DefinitionSpec, &[&str]); 10] = [
        (ranges([]), &["/ranges"]),
        (ranges(many), &["/ranges"]),
        (ranges([RangeSpec::new(5, 4)]), &["/ranges/0/last"]),
        (
            ranges([RangeSpec::new(1, 5), RangeSpec::new(5, 9)]),
            &["/ranges/1/first"],
        ),
        (ranges([RangeSpec::new(1, u64::MAX)]), &["/ranges/0/last"]),
        (
            ranges([backward]),
            &[
                "/ranges/0/authority",
                "/ranges/0/reference",
                "/ranges/0/valid_until",
            ],
        ),
        (
            DefinitionSpec {
                step: Some(5),
                ..ranges([RangeSpec::new(1, 11), RangeSpec::new(17, 21)])
            },
            &["/ranges/1/first"],
        ),
        (
            DefinitionSpec {
                start: Some(4),
                ..ranges([RangeSpec::new(1, 11)])
            },
            &["/ranges/0/first"],
        ),
        (
            DefinitionSpec {
                max: Some(10),
                ..ranges([RangeSpec::new(1, 11)])
            },
            &["/max"],
        ),
        (
            DefinitionSpec {
                format: "{seq:2!}".into(),
                ..ranges([RangeSpec::new(1, 9), RangeSpec::new(90, 100)])
            },
            &["/ranges/1/last"],
        ),
    ];
    for (spec, pointers) in cases {
        assert_eq!(refused(&desk, spec, None).await, pointers);
    }
    assert_eq!(desk.events().await, 0);
}

pub async fn a_range_does_not_move_after_the_first_number(desk: Desk) {
    let two = || [RangeSpec::new(1, 3), RangeSpec::new(11, 13)];
    desk.define("INV", ranges([RangeSpec::new(1, 5)])).await;
    desk.redefine("INV", ranges(two()), 1).await;
    assert_eq!(desk.next("INV").await, "INV-1");
    let [first, second] = two();
    let longer = RangeSpec::new(1, 4);
    let later = RangeSpec::new(12, 13);
    let cases: [(DefinitionSpec, &[&str]); 4] = [
        (format("{prefix}-{seq}"), &["/ranges"]),
        (ranges([first.clone()]), &["/ranges"]),
        (ranges([longer, second.clone()]), &["/ranges/0/last"]),
        (ranges([first, later]), &["/ranges/1/first"]),
    ];
    for (spec, pointers) in cases {
        assert_eq!(refused(&desk, spec, Some(2)).await, pointers);
    }
    let dated = until(1, 3, "2026-03-31");
    let changed = ranges([dated, second, RangeSpec::new(21, 23)]);
    assert!(desk.redefine("INV", changed, 2).await.saved);
}

pub async fn a_range_is_added_by_itself(desk: Desk) {
    let defined = desk.define("INV", ranges([RangeSpec::new(1, 1)])).await;
    assert_eq!(desk.next("INV").await, "INV-1");
    assert_eq!(desk.next("INV").await, "exhausted");
    // What is shown can be sent back with one range more: no other member follows from the ranges.
    let mut shown = defined.sequence.definition.spec().clone();
    shown.ranges.get_or_insert_default().push(RangeSpec::new(5, 6));
    desk.redefine("INV", shown, 1).await;
    assert_eq!(desk.next("INV").await, "INV-5");
}

pub async fn a_counter_that_begins_behind_its_start_has_opened(desk: Desk) {
    let spec = |range| DefinitionSpec {
        start: Some(1),
        ..ranges([range])
    };
    desk.define("INV", spec(RangeSpec::new(5, 9))).await;
    assert_eq!(desk.next("INV").await, "INV-5");
    assert_eq!(
        refused(&desk, spec(RangeSpec::new(3, 9)), Some(1)).await,
        ["/ranges/0/first"]
    );
}
