//! P5.

use super::*;
use Property::AccountedFor;
use RowKind::*;

#[track_caller]
fn fails(history: &History, fragment: &str) {
    let sentences = broken(history, &[AccountedFor]);
    assert!(
        sentences.iter().any(|sentence| sentence.contains(fragment)),
        "{sentences:?}"
    );
}

#[test]
fn every_number_below_next_has_a_row() {
    sound(&audit([row(1, Issued, 1, 2), row(2, Issued, 3, 1)], 4));
    fails(
        &audit([row(1, Issued, 1, 2), row(2, Issued, 4, 1)], 5),
        "numbers from 3 to 3",
    );
    fails(&audit([row(1, Issued, 2, 2)], 4), "numbers from 1 to 1");
    fails(&audit([row(1, Issued, 1, 2)], 9), "numbers from 3 to 8");
    fails(&audit([], 3), "numbers from 1 to 2");
}

#[test]
fn a_gap_may_be_skipped_external_or_voided() {
    for kind in [Skipped, External, Voided, Unknown] {
        sound(&audit(
            [row(1, Issued, 1, 2), row(2, kind, 3, 4), row(3, Issued, 7, 1)],
            8,
        ));
    }
}

#[test]
fn no_number_at_or_above_next_has_a_row() {
    fails(
        &audit([row(1, Issued, 1, 5)], 4),
        "number 4 of INV (generation 1) is Issued",
    );
    fails(
        &audit([row(1, Issued, 1, 3), row(2, Issued, 4, 1)], 4),
        "give out 4 next",
    );
}

#[test]
fn a_line_counts_in_its_steps() {
    let by_ten = |n, first, count| Row {
        step: 10,
        ..row(n, Issued, first, count)
    };
    let with_end = |rows: &[Row], next| History {
        ends: vec![CounterEnd {
            start: 5,
            step: 10,
            ..end(next)
        }],
        ..audit(rows, 0)
    };
    sound(&with_end(&[by_ten(1, 5, 2), by_ten(2, 25, 1)], 35));
    fails(
        &with_end(&[by_ten(1, 5, 2), by_ten(2, 35, 1)], 45),
        "numbers from 25 to 25",
    );
    fails(
        &with_end(&[by_ten(1, 5, 2), by_ten(2, 26, 1)], 25),
        "no such numbers as 1 from 26",
    );
    fails(
        &with_end(&[row(1, Issued, 5, 2)], 5),
        "no such numbers as 2 from 5 by 1",
    );
    fails(&with_end(&[by_ten(1, 5, 0)], 5), "no such numbers as 0 from 5");
}

#[test]
fn numbers_beyond_all_bounds_are_no_numbers() {
    fails(&audit([row(1, Issued, u64::MAX, 2)], 1), "no such numbers");
    fails(&audit([row(1, Issued, 0, 1)], 1), "no such numbers as 1 from 0");
    let mut history = audit(
        [Row {
            step: 1 << 63,
            ..row(1, Issued, 1 << 63, 2)
        }],
        0,
    );
    history.ends[0].step = 1 << 63;
    history.ends[0].start = 0;
    fails(&history, "no such numbers");
}

#[test]
fn places_are_dense_from_1() {
    fails(&audit([row(2, Issued, 1, 1)], 2), "lacks the rows from 1 to 1");
    fails(
        &audit([row(1, Issued, 1, 1), row(4, Issued, 2, 1)], 3),
        "lacks the rows from 2 to 3",
    );
    fails(
        &audit([row(0, Issued, 1, 1), row(1, Issued, 2, 1)], 3),
        "a row at place 0",
    );
    fails(
        &audit([row(1, Issued, 1, 1), row(1, Issued, 2, 1)], 3),
        "two rows at place 1",
    );
}

#[test]
fn a_row_that_is_there_twice_is_one_fault() {
    let history = audit(
        [row(1, Issued, 1, 1), row(2, Issued, 2, 1), row(1, Issued, 1, 1)],
        3,
    );
    assert_eq!(broken(&history, &[AccountedFor]).len(), 1);
}

#[test]
fn a_number_has_one_final_state() {
    fails(
        &audit([row(1, Issued, 1, 2), row(2, Issued, 2, 1)], 3),
        "number 2 of INV (generation 1) became Issued",
    );
    fails(
        &audit([row(1, Issued, 1, 2), row(2, Skipped, 1, 3)], 4),
        "became Skipped when it was Issued",
    );
    fails(
        &audit([row(1, Skipped, 1, 2), row(2, Issued, 1, 1)], 3),
        "became Issued when it was Skipped",
    );
    fails(
        &audit([row(1, Skipped, 2, 2), row(2, Issued, 1, 9)], 10),
        "number 2 of INV",
    );
    fails(
        &audit([row(1, Issued, 1, 2), row(2, External, 2, 2)], 4),
        "became External when it was Issued",
    );
    sound(&audit([row(1, Issued, 1, 3), row(2, Voided, 2, 1)], 4));
    fails(
        &audit(
            [row(1, Issued, 1, 3), row(2, Voided, 2, 1), row(3, Voided, 2, 1)],
            4,
        ),
        "when it was Voided",
    );
}

#[test]
fn what_was_lost_with_its_history_may_be_found() {
    let lost = row(1, Unknown, 1, 9);
    sound(&audit([lost.clone(), row(2, Voided, 3, 2)], 10));
    sound(&audit(
        [lost.clone(), row(2, Issued, 3, 2), row(3, Skipped, 7, 3)],
        10,
    ));
    fails(
        &audit([lost, row(2, Issued, 3, 2), row(3, Skipped, 4, 1)], 10),
        "became Skipped when it was Issued",
    );
}

#[test]
fn returned_numbers_are_open_again() {
    let skipped = [row(1, Issued, 1, 2), row(2, Skipped, 3, 10)];
    let and = |rows: &[Row], next| audit([&skipped, rows].concat(), next);
    let returned = row(3, Returned, 5, 8);
    sound(&and(std::slice::from_ref(&returned), 5));
    sound(&and(
        &[returned.clone(), row(4, Issued, 5, 1), row(5, Issued, 6, 2)],
        8,
    ));
    fails(
        &and(&[returned.clone(), row(4, Issued, 6, 2)], 8),
        "numbers from 5 to 5",
    );
    fails(&and(&[returned], 13), "numbers from 5 to 12");
}

#[test]
fn nothing_that_was_offered_is_returned() {
    fails(
        &audit([row(1, Issued, 1, 4), row(2, Returned, 3, 2)], 3),
        "became Returned when it was Issued",
    );
    fails(
        &audit([row(1, Issued, 1, 4), row(2, Returned, 5, 2)], 5),
        "became Returned when it was open",
    );
    fails(
        &audit([row(1, Voided, 1, 4), row(2, Returned, 3, 2)], 3),
        "became Returned when it was Voided",
    );
}

#[test]
fn what_a_holder_has_is_pending_until_it_is_issued_given_back_or_lost() {
    let pending = row(1, Pending, 1, 4);
    sound(&audit([pending.clone()], 5));
    sound(&audit(
        [pending.clone(), row(2, Issued, 1, 2), row(3, Returned, 3, 2)],
        3,
    ));
    sound(&audit(
        [pending.clone(), row(2, Issued, 1, 2), row(3, Skipped, 3, 2)],
        5,
    ));
    let lost = [pending.clone(), row(2, Issued, 2, 1), row(3, Lost, 1, 4)];
    sound(&audit(lost.clone(), 5));
    let late = |first| audit([&lost[..], &[row(4, Issued, first, 1)]].concat(), 5);
    sound(&late(3));
    fails(&late(2), "became Issued when it was Issued");
    fails(
        &audit([pending.clone(), row(2, Issued, 1, 2), row(3, Returned, 2, 3)], 2),
        "became Returned when it was Issued",
    );
    fails(
        &audit([pending, row(2, Pending, 4, 2)], 6),
        "became Pending when it was Pending",
    );
}

#[test]
fn a_reservation_ends_once() {
    // What is the same of every number. That the parts of one reservation end together is P13.
    let held = |first, count| named(&format!("of {first}"), row(0, Reserved, first, count));
    let numbered = |rows: &[Row], next| {
        let rows: Vec<Row> = (1..).zip(rows).map(|(n, row)| Row { n, ..row.clone() }).collect();
        audit(rows, next)
    };
    let reserved = [held(1, 1), held(2, 1), held(3, 1)];
    let and = |rows: &[Row]| numbered(&[&reserved[..], rows].concat(), 4);
    sound(&and(&[]));
    for kind in [Confirmed, Expired, Voided, Released] {
        let ended = named("of 2", row(0, kind, 2, 1));
        sound(&and(std::slice::from_ref(&ended)));
        let again = named("of 3", row(0, Expired, 2, 1));
        let sentences = broken(&and(&[ended, again]), &[AccountedFor, Property::Holds]);
        assert!(sentences[0].contains("became Expired"), "{sentences:?}");
    }
    let confirmed = named("of 1", row(0, Confirmed, 1, 1));
    let never = broken(&numbered(&[confirmed], 2), &[AccountedFor, Property::Holds]);
    assert!(
        never[0].contains("became Confirmed when it was open"),
        "{never:?}"
    );
    fails(
        &and(&[row(0, Issued, 2, 1)]),
        "became Issued when it was Reserved",
    );
    let released = named("of 2", row(0, Released, 2, 1));
    sound(&and(&[released.clone(), row(0, Issued, 2, 1)]));
    sound(&and(&[
        named("of 2", row(0, Confirmed, 2, 1)),
        row(0, Voided, 2, 1),
    ]));
    let in_part = [held(1, 1), held(3, 1), named("of 1", row(0, Confirmed, 1, 3))];
    let sentences = broken(&numbered(&in_part, 4), &[AccountedFor, Property::Holds]);
    assert!(
        sentences[0].contains("number 2 of INV (generation 1) became Confirmed when it was open"),
        "{sentences:?}"
    );
    let second = |kind| named("the second of 2", row(0, kind, 2, 1));
    sound(&and(&[released, second(Reserved), second(Confirmed)]));
}

#[test]
fn a_reset_opens_a_generation() {
    let reset = in_generation(2, row(2, Reset, 1, 0));
    let again = in_generation(2, row(3, Issued, 1, 2));
    let in_second = |next| {
        vec![CounterEnd {
            generation: 2,
            ..end(next)
        }]
    };
    let mut history = History {
        rows: vec![row(1, Issued, 1, 5), reset.clone(), again.clone()],
        ends: in_second(3),
        ..History::default()
    };
    sound(&history);

    history.ends = in_second(4);
    fails(&history, "numbers from 3 to 3 of INV (generation 2)");
    history.ends = vec![end(6)];
    fails(&history, "INV ends in generation 1 and its audit in 2");

    history.ends = in_second(3);
    history.rows = vec![row(1, Issued, 1, 5), in_generation(2, row(2, Issued, 1, 2))];
    fails(&history, "generation 2 of INV follows 1 without a reset");

    history.rows = vec![row(1, Issued, 1, 5), row(2, Reset, 1, 0), again];
    fails(&history, "goes from generation 1 to 1");

    history.rows = vec![row(1, Issued, 1, 5), reset];
    history.ends = in_second(1);
    sound(&history);
}

#[test]
fn a_restart_may_skip_numbers_of_the_generation_that_it_opens() {
    let second = vec![CounterEnd {
        generation: 2,
        ..end(4)
    }];
    let restarted = in_generation(2, row(2, Restarted, 1, 2));
    let again = in_generation(2, row(3, Issued, 3, 1));
    let mut history = History {
        rows: vec![row(1, Issued, 1, 5), restarted.clone(), again.clone()],
        ends: second,
        ..History::default()
    };
    sound(&history);

    history.rows[2].first = 2;
    fails(
        &history,
        "number 2 of INV (generation 2) became Issued when it was Restarted",
    );
    let returned = in_generation(2, row(3, Returned, 2, 1));
    let issued = in_generation(2, row(4, Issued, 2, 2));
    history.rows = vec![row(1, Issued, 1, 5), restarted, returned, issued];
    sound(&history);
}

#[test]
fn a_note_is_about_no_numbers_and_has_its_place() {
    sound(&audit(
        [row(1, Issued, 1, 2), row(2, Noted, 0, 0), row(3, Issued, 3, 1)],
        4,
    ));
    fails(
        &audit([row(1, Issued, 1, 2), row(3, Noted, 0, 0)], 3),
        "lacks the rows from 2 to 2",
    );
}

#[test]
fn an_old_generation_may_be_found_out_about_later() {
    let reset = in_generation(2, row(2, Reset, 1, 0));
    let ends = vec![
        end(6),
        CounterEnd {
            generation: 2,
            ..end(1)
        },
    ];
    let rows = vec![row(1, Unknown, 1, 5), reset, row(3, Issued, 1, 5)];
    sound(&History {
        rows,
        ends,
        ..History::default()
    });
}

#[test]
fn a_line_whose_end_is_not_known_has_no_holes() {
    let without_end = |rows: &[Row]| History {
        rows: rows.into(),
        ..History::default()
    };
    sound(&without_end(&[row(1, Issued, 7, 2), row(2, Issued, 9, 1)]));
    fails(
        &without_end(&[row(1, Issued, 7, 2), row(2, Issued, 10, 1)]),
        "numbers from 9 to 9",
    );
    fails(
        &without_end(&[row(1, Issued, 7, 2), row(2, Issued, 8, 1)]),
        "number 8 of INV",
    );
}
