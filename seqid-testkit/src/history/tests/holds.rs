//! P13, and what P5 says of marks.

use super::*;
use Property::{AccountedFor, Holds};
use RowKind::*;

/// One number that is reserved, and what becomes of it.
fn held(ends: impl IntoIterator<Item = RowKind>) -> History {
    let ends = (2..).zip(ends).map(|(n, kind)| named("r", row(n, kind, 1, 1)));
    let rows: Vec<Row> = std::iter::once(row(1, Reserved, 1, 1)).chain(ends).collect();
    audit(rows, 2)
}

fn told(told: impl IntoIterator<Item = Told>, history: History) -> History {
    let settlements = (0..).zip(told).map(|(id, told)| Settlement {
        id,
        reservation: "r".into(),
        told,
    });
    History {
        settlements: settlements.collect(),
        ..history
    }
}

#[track_caller]
fn fails(history: &History, properties: &[Property], fragment: &str) {
    let sentences = broken(history, properties);
    assert!(
        sentences.iter().any(|sentence| sentence.contains(fragment)),
        "{sentences:?}"
    );
}

fn mark(kind: RowKind, first: u64, count: u64) -> MarkRow {
    MarkRow {
        counter: "INV".into(),
        generation: 1,
        first,
        step: 1,
        count,
        kind,
    }
}

#[test]
fn a_reservation_ends_in_one_of_four_ways_or_not_yet() {
    sound(&held([]));
    for end in [Confirmed, Voided, Expired, Released] {
        sound(&held([end]));
    }
}

#[test]
fn what_was_confirmed_does_not_expire() {
    for (one, other) in [(Confirmed, Expired), (Expired, Confirmed), (Released, Confirmed)] {
        let fragment = format!("reservation r ended as {one:?} and again as {other:?}");
        fails(&held([one, other]), &[AccountedFor, Holds], &fragment);
    }
    fails(
        &held([Confirmed, Confirmed]),
        &[AccountedFor, Holds],
        "and again as Confirmed",
    );
}

#[test]
fn a_late_void_is_no_second_end() {
    let mut history = held([Confirmed]);
    history.rows.push(row(3, Voided, 1, 1));
    sound(&history);
    history.rows[2].reservation = Some("r".into());
    fails(&history, &[Holds], "ended as Confirmed and again as Voided");
}

#[test]
fn a_confirmed_number_is_not_given_out_again() {
    for kind in [Issued, Reserved] {
        let mut history = held([Confirmed]);
        let again = match kind {
            Reserved => named("other", row(3, kind, 1, 1)),
            _ => row(3, kind, 1, 1),
        };
        history.rows.push(again);
        fails(&history, &[AccountedFor], "when it was Confirmed");
    }
    // As its callers see it: two of them have the number.
    let mut history = recorded([issued(1, 0, 9, 1), issued(2, 1, 8, 1)]);
    history.order = Order::Nowhere;
    fails(&history, &[Property::Unique], "number 1");
}

#[test]
fn a_reused_number_is_of_another_reservation() {
    let mut history = held([Released]);
    history.rows.push(named("second", row(3, Reserved, 1, 1)));
    history.rows.push(named("second", row(4, Confirmed, 1, 1)));
    sound(&history);
    history.rows[2].reservation = Some("r".into());
    fails(&history, &[Holds], "reservation r began twice");
    history.rows[2].reservation = Some("second".into());
    // The confirmation of a caller whose hold had ended is not one of the number that is held by now.
    history.rows[3].reservation = Some("r".into());
    fails(&history, &[Holds], "ended as Released and again as Confirmed");
}

#[test]
fn a_reservation_ends_with_the_numbers_that_it_began_with() {
    let with = |begin: Row, end: Row| audit([row(1, Issued, 1, 1), begin, end], 5);
    let begin = row(2, Reserved, 2, 3);
    sound(&with(begin.clone(), row(3, Confirmed, 2, 3)));
    for (first, count) in [(2, 2), (3, 2)] {
        let history = with(begin.clone(), row(3, Confirmed, first, count));
        fails(&history, &[Holds], "with other numbers");
    }
    let mut elsewhere = with(begin, row(3, Noted, 0, 0));
    elsewhere.rows.push(Row {
        counter: "ORD".into(),
        ..row(1, Confirmed, 2, 3)
    });
    fails(&elsewhere, &[AccountedFor, Holds], "with other numbers");
}

#[test]
fn a_reservation_begins_before_it_ends() {
    let history = audit([row(1, Issued, 1, 1), row(2, Voided, 1, 1)], 2);
    sound(&history);
    let mut never = history;
    never.rows[1].reservation = Some("r".into());
    fails(&never, &[Holds], "reservation r ended and never began");
}

#[test]
fn numbers_are_held_and_let_go_by_name() {
    for kind in [Reserved, Confirmed, Expired, Released] {
        let mut history = held([kind].into_iter().filter(|kind| *kind != Reserved));
        history.rows.iter_mut().for_each(|row| row.reservation = None);
        fails(&history, &[Holds], "by no reservation");
    }
    let history = audit([named("r", row(1, Issued, 1, 1))], 2);
    fails(
        &history,
        &[Holds],
        "number 1 of INV (generation 1) became Issued by reservation r",
    );
}

#[test]
fn everybody_is_told_what_the_audit_says() {
    let answers = [
        (Ending::Confirmed, Confirmed),
        (Ending::Voided, Voided),
        (Ending::Expired, Expired),
        (Ending::Expired, Released),
    ];
    for (ending, kind) in answers {
        let so = Told::Ended(ending);
        sound(&told([so, Told::Nothing, Told::Unknown, so], held([kind])));
        for (other, _) in answers.into_iter().filter(|(other, _)| *other != ending) {
            let history = told([so, Told::Ended(other)], held([kind]));
            fails(
                &history,
                &[Holds],
                &format!("was told {other:?}, and the audit says {kind:?}"),
            );
        }
        fails(
            &told([so], held([])),
            &[Holds],
            "the audit says that it did not end",
        );
        fails(
            &told([so], audit([], 1)),
            &[Holds],
            "the audit says that it did not end",
        );
    }
    sound(&told([Told::Nothing, Told::Unknown], held([])));
}

#[test]
fn marks_say_what_the_rows_say() {
    let rows = [
        row(1, Issued, 1, 2),
        row(2, Skipped, 3, 4),
        row(3, Issued, 7, 3),
        row(4, Voided, 8, 1),
        row(5, Reserved, 10, 2),
        row(6, Confirmed, 10, 2),
        row(7, Voided, 12, 1),
        row(8, Voided, 13, 1),
    ];
    let with = |marks: &[MarkRow]| History {
        marks: Some(marks.into()),
        ..audit(rows.clone(), 14)
    };
    let right = [mark(Skipped, 3, 4), mark(Voided, 8, 1), mark(Voided, 12, 2)];
    sound(&with(&right));
    let [skipped, void, _] = right.clone();
    // Two marks of neighbours say as much as one.
    sound(&with(&[
        skipped.clone(),
        void.clone(),
        mark(Voided, 12, 1),
        mark(Voided, 13, 1),
    ]));
    for (marks, fragment) in [
        (
            vec![],
            "number 3 of INV (generation 1) is marked issued or open, and by the audit it is Skipped",
        ),
        (
            right[..2].to_vec(),
            "number 12 of INV (generation 1) is marked issued or open",
        ),
        (
            vec![mark(Skipped, 3, 5), void.clone(), mark(Voided, 12, 2)],
            "number 7 of INV (generation 1) is marked Skipped, and by the audit it is issued or open",
        ),
        (
            vec![skipped.clone(), mark(Expired, 8, 1), mark(Voided, 12, 2)],
            "number 8 of INV (generation 1) is marked Expired, and by the audit it is Voided",
        ),
        (
            [&right[..], &[mark(Reserved, 14, 1)]].concat(),
            "number 14 of INV (generation 1) is marked Reserved",
        ),
    ] {
        fails(&with(&marks), &[AccountedFor], fragment);
    }
    let mut other_line = right.to_vec();
    other_line.push(MarkRow {
        counter: "ORD".into(),
        ..void
    });
    fails(&with(&other_line), &[AccountedFor], "number 8 of ORD");
}

#[test]
fn what_a_restart_leaves_out_is_marked_as_skipped() {
    let restarted = in_generation(2, row(2, Restarted, 1, 2));
    let mut history = audit([row(1, Issued, 1, 5), restarted], 3);
    history.ends[0].generation = 2;
    history.marks = Some(vec![MarkRow {
        generation: 2,
        ..mark(Skipped, 1, 2)
    }]);
    sound(&history);
    history.marks = Some(vec![mark(Skipped, 1, 2)]);
    broken(&history, &[AccountedFor]);
}
