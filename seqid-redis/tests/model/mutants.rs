//! Each guard is needed: without it a promise is broken, and the search finds how.

use crate::faults::Fault;
use crate::properties::{DISJOINT, EPOCHS, GRANTED, KEY, PROGRESS, UNIQUE, UNISSUED};
use crate::protocol::{Bounds, Guard, Guards, Protocol};
use crate::search::shortest_to_break;

/// What a promoted replica and a restarted server are told apart by twice: by their history, and by what they remember.
const FORGETFUL: Guards = Guards::DEAF.without(Guard::Memory);

/// As many faults as are named: each at most as often as all of them together.
#[track_caller]
fn is_needed(guards: Guards, guard: Guard, faults: &'static [Fault], promise: &'static str) {
    let bounds = Bounds {
        faults: u8::try_from(faults.len()).unwrap(),
        draws: 3,
        keyed: if promise == KEY { 2 } else { 0 },
        epochs: 4,
    };
    let guards = guards.without(guard);
    let protocol = Protocol {
        guards,
        faults,
        bounds,
    };
    let path = shortest_to_break(&protocol, promise);
    println!(
        "without {guard:?} it is not so that {promise}, {} steps: {path:?}",
        path.len()
    );
}

#[test]
fn without_p_a_helping_seed_after_a_flush_gives_a_range_twice() {
    is_needed(Guards::DEAF, Guard::P, &[Fault::Flush], UNIQUE);
}

#[test]
fn without_a_floor_a_process_that_went_back_gives_numbers_twice() {
    is_needed(Guards::ALL, Guard::Floor, &[Fault::Snapshot], UNIQUE);
}

#[test]
fn without_a_role_a_replica_uses_up_epochs() {
    is_needed(Guards::DEAF, Guard::Role, &[], EPOCHS);
}

#[test]
fn without_an_authority_two_stores_share_a_key() {
    is_needed(Guards::DEAF, Guard::Authority, &[Fault::OtherStore], GRANTED);
}

#[test]
fn without_a_checksum_an_edited_key_gives_numbers_twice() {
    is_needed(Guards::DEAF, Guard::Checksum, &[Fault::Edit], UNIQUE);
}

#[test]
fn without_retirement_two_primaries_use_up_epochs_for_ever() {
    is_needed(Guards::DEAF, Guard::Retirement, &[Fault::Detach], EPOCHS);
}

#[test]
fn without_compare_and_set_ranges_overlap() {
    is_needed(Guards::DEAF, Guard::CompareAndSet, &[Fault::Flush], DISJOINT);
}

#[test]
fn comparing_the_epoch_alone_lets_ranges_overlap() {
    is_needed(Guards::DEAF, Guard::WholeRow, &[Fault::Detach], DISJOINT);
}

#[test]
fn without_a_history_a_promoted_replica_gives_the_lost_tail_again() {
    is_needed(FORGETFUL, Guard::History, &[Fault::Failover], UNIQUE);
}

#[test]
fn without_a_memory_a_key_that_was_put_back_gives_numbers_twice() {
    is_needed(Guards::DEAF, Guard::Memory, &[Fault::RollBack], UNIQUE);
}

#[test]
fn an_offer_in_a_key_comes_back_with_it_and_is_answered_twice() {
    is_needed(Guards::DEAF, Guard::OfferInMemory, &[Fault::RollBack], UNIQUE);
}

#[test]
fn without_a_closed_mark_a_late_extension_opens_what_was_closed() {
    is_needed(Guards::DEAF, Guard::ClosedMark, &[Fault::Close], UNISSUED);
}

#[test]
fn without_a_memory_an_unchanged_run_id_does_not_prove_a_tail_unissued() {
    const THERE_AND_BACK: &[Fault] = &[Fault::Detach, Fault::Demote, Fault::Detach, Fault::Close];
    is_needed(Guards::DEAF, Guard::Memory, THERE_AND_BACK, UNISSUED);
}

#[test]
fn without_a_referee_a_key_is_granted_twice() {
    is_needed(Guards::DEAF, Guard::Referee, &[], KEY);
}

#[test]
fn without_one_range_for_each_p_a_helper_uses_up_epochs() {
    is_needed(Guards::DEAF, Guard::OneRange, &[], EPOCHS);
}

#[test]
fn a_history_that_is_retired_for_ever_may_be_the_last_one() {
    is_needed(
        Guards::DEAF,
        Guard::Renaming,
        &[Fault::Failover, Fault::Failover],
        PROGRESS,
    );
}

#[test]
fn one_who_does_not_listen_draws_again_what_others_have_drawn() {
    is_needed(Guards::ALL, Guard::Listening, &[Fault::Snapshot], UNIQUE);
}

#[test]
fn a_newcomer_draws_again_what_others_had_drawn() {
    is_needed(
        Guards::ALL,
        Guard::Newcomer,
        &[Fault::Snapshot, Fault::Crash],
        UNIQUE,
    );
}
