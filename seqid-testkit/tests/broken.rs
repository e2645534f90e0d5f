//! The suite is tested by stores that are broken on purpose: each lie is caught by the cases named here, and an
//! honest store by none.

use std::sync::Arc;

use seqid_core::clock::ManualClock;
use seqid_core::command::Act;
use seqid_core::ledger::Refusal;
use seqid_testkit::broken::*;
use seqid_testkit::suite::{Backend, durable_cases, ledger_cases, outbox_cases};

/// The case finds something wrong with what `factory` makes.
#[track_caller]
fn catches(case: &str, factory: impl Fn(Arc<ManualClock>) -> Backend) {
    let cases = [ledger_cases(), outbox_cases(), durable_cases()].concat();
    let found = cases.into_iter().find(|known| known.name == case);
    let case = found.unwrap_or_else(|| panic!("there is no case {case}"));
    assert!(case.check(factory).is_err(), "{} does not catch it", case.name);
}

#[track_caller]
fn caught<L: Lie>(lie: impl Fn() -> L, by: &[&str]) {
    for case in by {
        catches(case, |clock| Broken::backend(lie(), clock));
    }
}

#[track_caller]
fn caught_default<L: Lie + Default>(by: &[&str]) {
    caught(L::default, by);
}

/// The case catches a store that is never stopped by a reason.
#[track_caller]
fn caught_without(reason: fn(&Refusal) -> bool, by: &[&str]) {
    caught(|| NeverRefuses(reason), by);
}

/// The case catches a store that has forgotten such acts when it is opened again.
#[track_caller]
fn caught_losing(lost: fn(&Act) -> bool, by: &str) {
    catches(by, |clock| Remembered::backend(Memory::Loses(lost), clock));
}

mod honest {
    use super::*;

    fn honest(clock: Arc<ManualClock>) -> Backend {
        Broken::backend(Honest, clock)
    }

    seqid_testkit::ledger_suite!(honest);
    seqid_testkit::outbox_suite!(honest);
}

mod remembered {
    use super::*;

    fn remembered(clock: Arc<ManualClock>) -> Backend {
        Remembered::backend(Memory::Perfect, clock)
    }

    seqid_testkit::ledger_suite!(remembered);
    seqid_testkit::outbox_suite!(remembered);
    seqid_testkit::durable_suite!(remembered);
}

#[test]
fn a_number_that_two_callers_share_is_caught() {
    caught_default::<SharesNumbers>(&["concurrency::concurrent_draws_never_share_a_number"]);
}

#[test]
fn a_write_that_is_lost_in_a_crash_is_caught() {
    for case in [
        "durability::the_last_draw_before_a_crash_is_kept",
        "durability::the_last_definition_before_a_crash_is_kept",
        "durability::numbers_go_on_where_they_ended",
    ] {
        catches(case, |clock| {
            Remembered::backend(Memory::LosesTheLastWrite, clock)
        });
    }
}

#[test]
fn acknowledgements_that_are_lost_are_caught() {
    let case = "durability::acknowledged_events_are_not_taken_again";
    catches(case, |clock| {
        Remembered::backend(Memory::LosesAcknowledgements, clock)
    });
}

#[test]
fn replies_in_another_order_are_caught() {
    caught_default::<ReordersReplies>(&["batches::replies_stand_in_the_order_of_the_commands"]);
}

#[test]
fn an_event_that_is_forgotten_is_caught() {
    caught_default::<ForgetsEvents>(&[
        "queries::events_are_found_by_counter",
        "queries::events_are_found_by_number",
        "chain::each_event_links_to_the_one_before_it",
        "concurrency::concurrent_draws_never_share_a_number",
        "concurrency::concurrent_batches_are_whole",
    ]);
}

#[test]
fn draws_that_are_merged_before_any_is_refused_are_caught() {
    caught_default::<MergesDraws>(&[
        "batches::a_refused_draw_takes_nothing_from_the_next",
        "chain::a_batch_of_many_draws_is_chained_draw_by_draw",
    ]);
}

#[test]
fn a_gap_is_caught() {
    caught_default::<DrawsOneMore>(&[
        "draws::numbers_begin_at_1_and_follow_one_another",
        "concurrency::concurrent_batches_are_whole",
    ]);
}

#[test]
fn a_batch_with_others_in_between_is_caught() {
    caught_default::<SplitsDraws>(&[
        "batches::a_refused_draw_takes_nothing_from_the_next",
        "cancelling::a_dropped_future_draws_the_whole_batch_or_nothing",
        "concurrency::concurrent_batches_are_whole",
    ]);
}

#[test]
fn a_batch_that_is_refused_for_one_of_its_commands_is_caught() {
    caught_default::<RefusesWholeBatches>(&["batches::a_refused_command_leaves_its_neighbours_alone"]);
}

#[test]
fn keys_that_are_ignored_are_caught() {
    caught_default::<IgnoresKeys>(&[
        "keys::a_repeated_key_is_answered_with_the_first_grant",
        "keys::twins_in_a_batch_draw_once",
        "reservations::twins_in_a_batch_reserve_once",
        "reservations::a_repeated_key_is_answered_with_the_same_reservation",
        "adoption::an_adoption_under_a_key_is_done_once",
        "concurrency::concurrent_twins_draw_once",
    ]);
}

#[test]
fn numbers_that_are_confirmed_after_their_hold_ended_are_caught() {
    caught_default::<ConfirmsAfterExpiry>(&[
        "expiry::a_late_confirmation_is_refused",
        "expiry::a_hold_lasts_to_its_last_instant",
        "expiry::a_late_confirmation_among_many_is_refused",
        "concurrency::concurrent_settlements_end_each_reservation_once",
    ]);
}

#[test]
fn confirmed_numbers_that_are_given_out_again_are_caught() {
    caught_default::<ForgetsConfirmations>(&[
        "expiry::a_confirmed_number_is_not_offered_again",
        "reservations::a_confirmed_reservation_is_not_voided",
        "concurrency::concurrent_settlements_end_each_reservation_once",
        "concurrency::reused_numbers_are_issued_once_to_concurrent_callers",
    ]);
}

#[test]
fn marks_that_are_forgotten_are_caught() {
    caught_default::<ForgetsMarks>(&[
        "expiry::an_expired_number_stays_a_gap",
        "voids::an_issued_number_stays_taken_when_it_is_void",
        "concurrency::concurrent_settlements_end_each_reservation_once",
    ]);
}

#[test]
fn holds_that_never_end_are_caught() {
    caught_default::<HoldsForEver>(&[
        "expiry::an_expired_number_stays_a_gap",
        "expiry::the_lowest_free_number_is_given_out_next",
    ]);
}

#[test]
fn a_reservation_that_strangers_can_end_is_caught() {
    caught_default::<AnswersStrangers>(&[
        "reservations::a_reservation_belongs_to_its_counter",
        "reservations::an_unknown_reservation_is_refused",
    ]);
}

#[test]
fn reservations_that_are_lost_in_a_crash_are_caught() {
    for case in [
        "durability::the_last_confirmation_before_a_crash_is_kept",
        "durability::voids_are_kept",
        "durability::closed_dates_are_kept",
    ] {
        catches(case, |clock| {
            Remembered::backend(Memory::LosesTheLastWrite, clock)
        });
    }
}

#[test]
fn keys_that_are_forgotten_with_the_period_are_caught() {
    caught_default::<ForgetsKeysAfterThePeriod>(&[
        "keys::a_key_is_found_in_another_period",
        "keys::twins_of_two_periods_draw_once",
        "concurrency::concurrent_twins_draw_once",
    ]);
}

#[test]
fn a_key_that_serves_two_requests_is_caught() {
    caught_without(
        |refusal| matches!(refusal, Refusal::KeyMismatch),
        &["keys::another_request_under_a_used_key_is_refused"],
    );
}

#[test]
fn case_variants_that_are_let_through_are_caught() {
    caught_without(
        |refusal| matches!(refusal, Refusal::CaseVariant { .. }),
        &[
            "names::a_prefix_in_other_case_is_refused",
            "names::a_prefix_in_other_case_is_refused_within_one_batch",
            "names::a_scope_in_other_case_is_refused",
            "names::a_scope_in_other_case_is_refused_within_one_batch",
            "names::a_scope_in_other_case_is_refused_in_another_period",
        ],
    );
}

#[test]
fn numbers_behind_the_last_are_caught() {
    caught_without(
        |refusal| matches!(refusal, Refusal::Exhausted { .. } | Refusal::DoesNotFit { .. }),
        &[
            "draws::the_last_number_is_given_out_and_none_after_it",
            "draws::a_batch_that_just_fits_is_given_out",
        ],
    );
}

#[test]
fn an_outdated_definition_that_is_used_is_caught() {
    caught_without(
        |refusal| matches!(refusal, Refusal::DefinitionChanged { .. }),
        &["definitions::a_draw_by_an_older_version_is_sent_back"],
    );
}

#[test]
fn a_definition_that_is_written_over_is_caught() {
    caught_without(
        |refusal| {
            matches!(
                refusal,
                Refusal::VersionRequired { .. } | Refusal::VersionMismatch { .. }
            )
        },
        &[
            "definitions::a_change_names_the_version_that_it_replaces",
            "concurrency::concurrent_definitions_save_one_of_each_version",
        ],
    );
}

#[test]
fn dates_that_go_back_are_caught() {
    caught_without(
        |refusal| matches!(refusal, Refusal::DateBeforeLast { .. }),
        &["chronology::an_earlier_date_than_the_last_is_refused"],
    );
}

#[test]
fn dates_that_the_range_does_not_have_are_caught() {
    caught_without(
        |refusal| matches!(refusal, Refusal::RangeExpired { .. }),
        &[
            "ranges::a_document_date_is_held_against_the_range",
            "ranges::the_last_range_stays_after_its_end",
        ],
    );
}

#[test]
fn a_key_that_is_not_found_along_the_chain_is_caught() {
    caught_default::<ForgetsKin>(&[
        "kin::a_key_is_found_in_another_sequence_of_the_chain",
        "kin::a_chain_that_changed_is_sent_back",
    ]);
}

#[test]
fn a_reset_off_the_line_is_caught() {
    caught_without(
        |refusal| matches!(refusal, Refusal::NotAMember { .. }),
        &["shifts::a_reset_goes_to_members_of_the_line_alone"],
    );
}

#[test]
fn numbers_that_repeat_after_a_reset_are_caught() {
    caught_default::<RepeatsAfterReset>(&[
        "shifts::a_backward_reset_over_issued_numbers_is_refused",
        "shifts::numbers_repeat_only_in_a_new_generation",
        "concurrency::every_fault_of_callers_at_once_leaves_the_audit_whole",
    ]);
}

#[test]
fn an_event_that_was_edited_is_caught() {
    caught_default::<BreaksTheChain>(&[
        "chain::each_event_links_to_the_one_before_it",
        "chain::the_heads_are_those_that_the_events_lead_to",
    ]);
}

#[test]
fn an_origin_that_is_forgotten_is_caught() {
    caught_default::<ForgetsWhoAsked>(&["events::an_event_keeps_all_that_a_draw_says"]);
}

#[test]
fn pages_that_overlap_are_caught() {
    caught_default::<RepeatsPages>(&[
        "events::events_are_read_in_pages",
        "queries::pages_in_either_order_lose_and_repeat_nothing",
    ]);
}

#[test]
fn another_tenants_sequences_in_a_list_are_caught() {
    caught_default::<ShowsOtherTenants>(&["tenants::a_tenant_lists_its_own_sequences_and_counters"]);
}

#[test]
fn numbers_of_closed_dates_are_caught() {
    caught_without(
        |refusal| matches!(refusal, Refusal::PeriodClosed { .. }),
        &[
            "closing::a_date_is_closed_up_to_its_last_day",
            "closing::what_is_closed_can_be_opened_and_drawn_from_again",
            "closing::what_closes_all_closes_each_present_and_future",
            "closing::each_command_of_a_batch_sees_what_was_closed_before_it",
            "closing::a_reservation_of_a_closed_date_is_voided_and_not_confirmed",
            "closing::a_counter_of_a_closed_period_is_not_moved",
        ],
    );
    caught_without(
        |refusal| matches!(refusal, Refusal::AllClosed { .. }),
        &["closing::the_later_of_both_dates_holds"],
    );
}

#[test]
fn archived_sequences_that_give_numbers_are_caught() {
    caught_without(
        |refusal| matches!(refusal, Refusal::Archived),
        &[
            "archiving::an_archived_sequence_gives_nothing",
            "closing::an_archived_sequence_is_neither_closed_nor_opened",
        ],
    );
    caught_without(
        |refusal| matches!(refusal, Refusal::OpenReservations { .. }),
        &[
            "archiving::a_sequence_with_held_numbers_is_not_archived",
            "archiving::archiving_sees_the_holds_of_its_batch",
            "archiving::holds_that_have_ended_stand_in_the_way_until_they_are_let_go",
        ],
    );
}

#[test]
fn closed_dates_of_all_sequences_that_are_forgotten_are_caught() {
    caught_default::<ForgetsClosings>(&[
        "closing::what_closes_all_closes_each_present_and_future",
        "closing::each_command_of_a_batch_sees_what_was_closed_before_it",
        "closing::the_later_of_both_dates_holds",
        "closing::all_sequences_together_are_in_no_list",
    ]);
    caught_losing(
        |act| matches!(act, Act::Close(close) if close.sequence.is_whole()),
        "durability::closed_dates_are_kept",
    );
}

#[test]
fn an_archive_that_is_lost_is_caught() {
    caught_losing(
        |act| matches!(act, Act::Archive(_)),
        "durability::the_end_of_a_sequence_is_kept",
    );
}

#[test]
fn an_adoption_that_is_half_done_is_caught() {
    let case = "adoption::adopting_is_all_or_nothing_over_the_counters";
    caught_default::<AdoptsTheFirstCounter>(&[case]);
    caught_default::<AdoptsCounterByCounter>(&[case]);
}

#[test]
fn numbers_that_are_adopted_although_they_have_another_use_are_caught() {
    caught_without(
        |refusal| matches!(refusal, Refusal::Taken { .. }),
        &[
            "adoption::adopting_is_all_or_nothing_over_the_counters",
            "adoption::numbers_with_another_use_are_not_adopted",
            "adoption::a_list_must_rise_and_name_each_counter_once",
        ],
    );
}

#[test]
fn an_adoption_that_is_lost_is_caught() {
    caught_losing(
        |act| matches!(act, Act::Adopt(_)),
        "adoption::adopted_numbers_are_kept",
    );
}

#[test]
fn late_draws_that_are_carried_out_are_caught() {
    caught_default::<IgnoresDeadlines>(&["cancelling::a_command_past_its_deadline_does_nothing"]);
}

#[test]
fn a_store_that_goes_on_after_closing_is_caught() {
    caught_default::<ListensAfterClosing>(&["cancelling::nothing_is_carried_out_after_closing"]);
}

#[test]
fn events_that_are_acknowledged_undelivered_are_caught() {
    for case in [
        "outbox::a_part_may_be_acknowledged",
        "outbox::what_is_acknowledged_stays_so",
    ] {
        catches(case, |clock| Broken::backend(AcknowledgesEverything, clock));
    }
}

#[test]
fn events_that_are_offered_once_are_caught() {
    caught_default::<OffersEventsOnce>(&["outbox::events_that_were_not_acknowledged_are_taken_again"]);
}

#[test]
fn a_backlog_of_what_was_delivered_is_caught() {
    caught_default::<CountsWhatWasDelivered>(&["outbox::the_backlog_is_what_was_not_acknowledged"]);
}

#[test]
fn a_claim_of_durability_without_a_way_to_reopen_is_caught() {
    catches(
        "claims::a_store_that_claims_to_be_durable_can_be_reopened",
        |clock| {
            Backend::new(
                Remembered::backend(Memory::Perfect, Arc::clone(&clock)).ledger,
                clock,
            )
        },
    );
}
