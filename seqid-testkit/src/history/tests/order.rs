//! P1 and P2.

use super::*;
use Property::*;

#[test]
fn a_number_goes_to_one_draw() {
    sound(&recorded([issued(1, 0, 1, 1), issued(2, 2, 3, 2)]));
    broken(&recorded([issued(1, 0, 3, 1), issued(2, 1, 2, 1)]), &[Unique]);
}

#[test]
fn a_number_within_a_batch_goes_to_nobody_else() {
    let history = recorded([issued_batch(1, 0, 9, 1, 3), issued(2, 1, 8, 3)]);
    assert!(broken(&history, &[Unique, AccountedFor])[0].contains("number 3 of INV"));
}

#[test]
fn every_duplicate_within_a_long_batch_is_found() {
    let batch = issued_batch(1, 0, 9, 1, 9);
    let violations = recorded([batch, issued(2, 1, 8, 4), issued(3, 2, 7, 6)])
        .check()
        .unwrap_err();
    let unique: Vec<_> = violations
        .iter()
        .filter(|violation| violation.property() == Unique)
        .collect();
    assert_eq!(unique.len(), 2, "{unique:?}");
}

#[test]
fn replays_are_one_draw() {
    let first = keyed("k", issued(1, 0, 1, 1));
    let replay = keyed("k", issued(2, 4, 5, 1));
    sound(&recorded([first.clone(), issued(3, 2, 3, 2), replay.clone()]));

    let stranger = keyed("other", issued(4, 0, 5, 1));
    broken(&recorded([first, replay, stranger]), &[Unique, OneGrant]);
}

#[test]
fn the_same_number_in_two_counters_is_fine() {
    let mut history = recorded([issued(1, 0, 1, 1)]);
    let other = Call {
        counter: "CN".into(),
        ..issued(2, 2, 3, 1)
    };
    history.rows.push(Row {
        counter: "CN".into(),
        ..row(1, RowKind::Issued, 1, 1)
    });
    history.calls.push(other);
    sound(&history);
}

#[test]
fn a_number_may_repeat_across_generations_and_not_within_one() {
    let again = |generation| regranted(issued(2, 2, 3, 1), |grant| grant.generation = generation);
    let reset = in_generation(2, row(2, RowKind::Reset, 1, 0));
    let mut history = recorded([issued(1, 0, 1, 1), again(2)]);
    history.rows = vec![
        row(1, RowKind::Issued, 1, 1),
        reset,
        in_generation(2, row(3, RowKind::Issued, 1, 1)),
    ];
    sound(&history);

    history.calls[1] = again(1);
    broken(&history, &[Unique, RealTime]);
}

#[test]
fn overlapping_draws_may_be_numbered_either_way_round() {
    sound(&recorded([issued(1, 0, 2, 2), issued(2, 1, 3, 1)]));
    sound(&recorded([issued(1, 0, 5, 2), issued(2, 1, 3, 1)]));
    sound(&recorded([issued(1, 0, 1, 2), issued(2, 1, 2, 1)]));
}

#[test]
fn a_draw_that_began_after_another_was_answered_is_larger() {
    let history = recorded([issued(1, 0, 1, 2), issued(2, 2, 3, 1)]);
    assert_eq!(
        broken(&history, &[RealTime]),
        [
            "P2 real time: in INV (generation 1) number 1 went to a draw that began at tick 2, after 2 was answered at tick 1 (call 1, call 2)"
        ]
    );
}

#[test]
fn a_swap_far_apart_is_found_between_well_ordered_draws() {
    let mut calls: Vec<Call> = (0..100)
        .map(|id| issued(id, 2 * id, 2 * id + 5, id + 1))
        .collect();
    sound(&recorded(calls.clone()));
    (calls[10], calls[90]) = (issued(10, 20, 25, 91), issued(90, 180, 185, 11));
    broken(&recorded(calls), &[RealTime]);
}

#[test]
fn a_batch_is_larger_than_what_came_before_with_its_first_number() {
    broken(
        &recorded([issued(1, 0, 1, 4), issued_batch(2, 2, 3, 1, 3)]),
        &[RealTime],
    );
    broken(
        &recorded([issued_batch(1, 0, 1, 2, 3), issued(2, 2, 3, 1)]),
        &[RealTime],
    );
    sound(&recorded([issued_batch(1, 0, 1, 1, 3), issued(2, 2, 3, 4)]));
}

#[test]
fn a_draw_that_was_not_answered_bounds_nothing() {
    let mut never_back = issued(1, 0, 1, 2);
    never_back.ended = None;
    sound(&recorded([never_back, issued(2, 2, 3, 1)]));
}

#[test]
fn a_replay_is_as_old_as_its_first_attempt() {
    let unknown = keyed("k", unissued(1, 0, 1, Outcome::Unknown));
    let answered = keyed("k", issued(2, 6, 7, 1));
    sound(&recorded([unknown, issued(3, 2, 3, 2), answered.clone()]));

    let refused = keyed("k", unissued(1, 0, 1, Outcome::NotIssued));
    broken(&recorded([refused, issued(3, 2, 3, 2), answered]), &[RealTime]);
}

#[test]
fn a_draw_is_answered_with_its_earliest_answer() {
    let first = keyed("k", issued(1, 0, 1, 2));
    let replay = keyed("k", issued(2, 6, 7, 2));
    broken(
        &recorded([first, issued(3, 2, 3, 1), replay.clone()]),
        &[RealTime],
    );

    let unknown = keyed("k", unissued(1, 0, 1, Outcome::Unknown));
    sound(&recorded([unknown, issued(3, 2, 3, 1), replay]));
}

#[test]
fn order_is_judged_where_it_is_promised() {
    let old_primary = issued(2, 2, 3, 1);
    let new_primary = regranted(issued(1, 0, 1, 2), |grant| grant.epoch = 2);
    let mut history = recorded([new_primary, old_primary.clone()]);
    broken(&history, &[RealTime]);
    history.order = Order::Epoch;
    sound(&history);

    let mut history = recorded([issued(1, 0, 1, 2), old_primary]);
    history.order = Order::Epoch;
    broken(&history, &[RealTime]);
    history.order = Order::Nowhere;
    sound(&history);
}
