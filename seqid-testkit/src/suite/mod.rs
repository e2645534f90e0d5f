//! The conformance suite: what every store, and everything that hands out numbers, must do.
//!
//! A backend hooks in with a function that makes one, and a macro that makes one `#[test]` of each case:
//!
//! | macro | the function makes a | for |
//! |---|---|---|
//! | [`ledger_suite!`](crate::ledger_suite) | [`Backend`] | every [`Ledger`](seqid_core::Ledger) |
//! | [`outbox_suite!`](crate::outbox_suite) | [`Backend`] with a source | those that are an [`EventSource`](seqid_core::store::EventSource) |
//! | [`durable_suite!`](crate::durable_suite) | [`Backend`] that can be reopened | those that claim to be durable |
//! | [`model_suite!`](crate::model_suite) | [`Backend`] | every [`Ledger`](seqid_core::Ledger): random lives of one counter against a model |
//! | [`numbering_suite!`](crate::numbering_suite) | [`Desk`] | every [`Numbering`](seqid_core::Numbering): an issuer, or a client of a service |
//!
//! The function is given the clock that the backend must use. It may be `async`. Each case has a backend and a
//! tokio runtime of its own.
//!
//! The same cases are in [`ledger_cases`], [`outbox_cases`], [`durable_cases`] and [`numbering_cases`], to be
//! run by a program.

mod backend;
mod commands;
mod desk;
mod model;
mod sequence;

// The name of a case states its rule.
#[allow(missing_docs, reason = "the names of the cases say what they are about")]
mod cases {
    pub mod adoption;
    pub mod archiving;
    pub mod audits;
    pub mod batches;
    pub mod cancelling;
    pub mod chain;
    pub mod chronology;
    pub mod claims;
    pub mod closing;
    pub mod concurrency;
    pub mod counting;
    pub mod definitions;
    pub mod draws;
    pub mod durability;
    pub mod endings;
    pub mod events;
    pub mod expiry;
    pub mod forecasts;
    pub mod granted;
    pub mod histories;
    pub mod holding;
    pub mod inquiries;
    pub mod keys;
    pub mod kin;
    pub mod leases;
    pub mod moves;
    pub mod names;
    pub mod outbox;
    pub mod periods;
    pub mod queries;
    pub mod ranges;
    pub mod replays;
    pub mod reservations;
    pub mod sequences;
    pub mod shifts;
    pub mod successors;
    pub mod tenants;
    pub mod voids;
}

use std::any::Any;
use std::fmt;
use std::future::{Future, IntoFuture};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use seqid_core::clock::ManualClock;
use seqid_core::time::Timestamp;

pub use backend::{Backend, End};
#[doc(hidden)]
pub use cases::*;
pub use desk::Desk;
#[doc(hidden)]
pub use model::check_model;

/// A case that does not come back after this long never will.
const PATIENCE: Duration = Duration::from_secs(120);

/// The time at which every case begins: a Saturday.
const BEGIN: &str = "2026-03-07T10:00:00Z";

fn begin() -> Timestamp {
    BEGIN.parse().expect("an instant")
}

/// One rule of the suite, as it is tried on a `T`.
pub struct Case<T> {
    /// Its property and its rule: `keys::twins_in_a_batch_draw_once`.
    pub name: &'static str,
    #[doc(hidden)]
    pub run: fn(T) -> Pin<Box<dyn Future<Output = ()> + Send>>,
}

impl<T> Case<T> {
    /// Runs the case.
    ///
    /// # Errors
    /// What the case found wrong.
    pub fn check<R: IntoFuture<Output = T>>(
        &self,
        factory: impl FnOnce(Arc<ManualClock>) -> R,
    ) -> Result<(), String> {
        catch_unwind(AssertUnwindSafe(|| run(self.run, factory))).map_err(|panic| said(&*panic))
    }
}

impl<T> Clone for Case<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Case<T> {}

impl<T> fmt::Debug for Case<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Case").field(&self.name).finish()
    }
}

fn said(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().cloned();
    text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()))
        .unwrap_or_default()
}

/// Runs a case on what `factory` makes, in a runtime of its own.
///
/// # Panics
/// When the case finds something wrong, or does not come back.
pub fn run<T, R, C>(case: impl FnOnce(T) -> C, factory: impl FnOnce(Arc<ManualClock>) -> R)
where
    R: IntoFuture<Output = T>,
    C: Future<Output = ()>,
{
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build();
    let runtime = runtime.expect("a runtime can be started");
    let clock = Arc::new(ManualClock::new(begin()));
    runtime.block_on(async {
        let rule = async { case(factory(clock).await).await };
        if tokio::time::timeout(PATIENCE, rule).await.is_err() {
            panic!("the case did not come back");
        }
    });
}

/// Makes the list of the cases of a suite, and the macro that makes tests of them.
macro_rules! suite {
    (
        $d:tt $(#[$meta:meta])* $suite:ident as $name:ident, $cases:ident on $context:ty:
        $($property:ident { $($case:ident)* })*
    ) => {
        /// The cases of the suite.
        #[must_use]
        pub fn $cases() -> &'static [Case<$context>] {
            &[$($(Case {
                name: concat!(stringify!($property), "::", stringify!($case)),
                run: |context| Box::pin(cases::$property::$case(context)),
            },)*)*]
        }

        $(#[$meta])*
        #[macro_export]
        macro_rules! $suite {
            ($d factory:expr) => {
                mod $name {
                    #[allow(unused_imports, reason = "the factory may be a path, or a closure that needs none")]
                    use super::*;
                    $(mod $property {
                        #[allow(unused_imports, reason = "as above")]
                        use super::*;
                        $(#[test]
                        fn $case() {
                            $d crate::suite::run($d crate::suite::$property::$case, $d factory);
                        })*
                    })*
                }
            };
        }
    };
}

suite! { $
    /// Makes one test of each case that every ledger must pass, in a module `ledger`.
    ///
    /// Takes a function, or an async one, from the clock that the store must read to a
    /// [`Backend`](crate::suite::Backend).
    ledger_suite as ledger, ledger_cases on Backend:
    batches {
        replies_stand_in_the_order_of_the_commands
        an_empty_batch_has_no_replies
        a_refused_draw_takes_nothing_from_the_next
        a_refused_command_leaves_its_neighbours_alone
        each_command_sees_what_those_before_it_did
        a_definition_and_its_first_draw_fit_into_one_batch
        acts_of_every_kind_fit_into_one_batch
        a_batch_may_be_as_large_as_is_claimed
    }
    draws {
        numbers_begin_at_1_and_follow_one_another
        a_counter_may_start_at_0
        a_counter_may_take_larger_steps
        the_last_number_is_given_out_and_none_after_it
        a_batch_that_just_fits_is_given_out
        numbers_go_up_to_2_to_the_63_minus_1
        large_steps_do_not_overflow
        a_refused_draw_leaves_no_trace
        a_grant_tells_its_place_in_the_chain_and_its_time
        each_scope_has_a_counter_of_its_own
        each_period_has_a_counter_of_its_own
        the_state_says_what_is_next_and_what_was_last
    }
    keys {
        a_repeated_key_is_answered_with_the_first_grant
        a_replay_leaves_no_event
        twins_in_a_batch_draw_once
        another_request_under_a_used_key_is_refused
        another_request_under_a_key_of_the_batch_is_refused
        a_key_is_found_in_another_period
        twins_of_two_periods_draw_once
        a_key_is_found_after_the_definition_changed
        a_key_is_found_in_another_scope
        a_key_belongs_to_its_sequence
        keys_differ_by_letter_case_and_by_blanks
        a_refused_draw_leaves_its_key_free
        a_move_under_a_key_is_done_once
        old_keys_are_found_among_many
        the_longest_key_is_kept_whole
    }
    names {
        a_prefix_in_other_case_is_refused
        a_prefix_in_other_case_is_refused_within_one_batch
        a_sequence_is_not_found_by_another_case
        a_scope_in_other_case_is_refused
        a_scope_in_other_case_is_refused_within_one_batch
        a_scope_in_other_case_is_refused_in_another_period
        case_variants_of_two_sequences_are_independent
        case_variants_of_two_tenants_are_independent
    }
    tenants {
        a_sequence_of_one_tenant_is_not_defined_for_another
        numbers_of_two_tenants_are_independent
        keys_of_two_tenants_are_independent
        versions_of_two_tenants_are_independent
        a_tenant_lists_its_own_sequences_and_counters
    }
    definitions {
        an_undefined_sequence_gives_nothing
        an_equal_definition_is_kept
        a_change_names_the_version_that_it_replaces
        a_version_of_an_undefined_sequence_cannot_be_replaced
        two_changes_of_one_version_do_not_both_hold
        an_earlier_definition_may_come_back_as_a_new_version
        all_versions_are_kept_as_they_were_saved
        a_draw_by_an_older_version_is_sent_back
        a_counter_keeps_the_version_that_it_opened_with
        a_larger_max_holds_at_once
        objections_hold_once_a_counter_has_opened
        an_implicit_definition_says_so
        implicit_definitions_may_end_with_the_first_written_one
        a_tenant_has_1000_implicit_definitions_at_most
        sequences_are_listed_by_prefix_in_pages
    }
    adoption {
        adopted_numbers_are_external_and_those_between_are_skipped
        adopting_is_all_or_nothing_over_the_counters
        an_adoption_that_is_repeated_changes_nothing
        numbers_with_another_use_are_not_adopted
        a_list_must_rise_and_name_each_counter_once
        a_counter_may_end_with_adopted_numbers_and_takes_none_beyond
        free_numbers_can_be_adopted_and_the_others_stay_free
        an_adoption_under_a_key_is_done_once
        numbers_of_a_new_generation_can_be_adopted_again
        adopting_opens_a_sequence
        scopes_that_differ_by_case_are_not_adopted_together
    }
    shifts {
        a_forward_reset_skips_numbers
        a_reset_opens_a_counter
        a_reset_to_where_the_counter_stands_changes_nothing
        a_backward_reset_over_numbers_that_nobody_was_offered_gives_them_back
        a_backward_reset_over_issued_numbers_is_refused
        numbers_repeat_only_in_a_new_generation
        accepting_repeats_raises_no_generation_where_nothing_repeats
        an_ended_counter_can_be_restarted
        a_reset_goes_to_members_of_the_line_alone
        a_sync_takes_every_number_up_to_the_last_used
        a_repeated_sync_changes_nothing
        a_sync_below_the_start_does_not_open_a_counter
        a_sync_between_members_goes_to_the_next_one
        a_sync_may_end_a_counter
        synced_numbers_are_not_given_back
        the_reason_is_kept
    }
    reservations {
        reserving_holds_the_next_number_and_does_not_issue_it
        confirming_issues_the_number_under_the_same_id
        a_hold_tells_its_end
        a_repeated_confirmation_changes_nothing
        a_confirmed_reservation_is_not_voided
        a_voided_reservation_is_not_confirmed
        numbers_keep_the_date_that_they_were_reserved_for
        a_confirmation_names_its_document_once
        an_unknown_reservation_is_refused
        a_reservation_belongs_to_its_counter
        batches_are_held_and_settled_whole
        a_reservation_may_end_in_the_batch_that_began_it
        a_repeated_key_is_answered_with_the_same_reservation
        twins_in_a_batch_reserve_once
        a_refused_reservation_leaves_no_trace
        counters_have_reservations_of_their_own
        a_reservation_keeps_the_version_that_its_counter_opened_with
        numbers_do_not_repeat_while_some_are_reserved
        marks_are_listed_in_pages
        a_number_is_settled_at_the_end_of_its_counter
    }
    expiry {
        an_expired_number_stays_a_gap
        a_hold_lasts_to_its_last_instant
        the_lowest_free_number_is_given_out_next
        a_number_is_offered_several_times_and_issued_once
        a_confirmed_number_is_not_offered_again
        a_voided_number_is_not_offered_again
        a_late_confirmation_is_refused
        every_write_lets_go
        reading_lets_nothing_go
        another_counters_holds_are_left_alone
        many_holds_that_end_at_once_are_let_go_over_several_writes
        a_late_confirmation_among_many_is_refused
        holds_end_in_the_order_of_their_time
        a_clock_that_is_set_back_expires_nothing_early
        what_was_let_go_stays_so_when_the_clock_is_set_back
        a_batch_takes_free_numbers_that_are_enough_for_all_of_it
        free_numbers_are_given_out_of_a_counter_that_has_ended
        a_new_generation_offers_none_of_the_old
        a_sync_takes_free_numbers_up_to_the_last_used
        a_sync_beyond_the_counter_takes_all_free_numbers
        a_new_epoch_offers_nothing_of_the_one_before
        steps_are_kept_among_free_numbers
        holds_are_let_go_and_nothing_else_is_done
    }
    leases {
        a_lease_moves_its_counter_and_its_numbers_are_pending
        asking_again_leases_nothing_twice
        what_a_holder_reports_is_issued
        the_number_of_a_call_that_came_twice_is_void
        a_lease_goes_on_with_the_numbers_behind_it
        what_is_given_back_on_top_is_given_out_again
        a_lease_that_was_not_needed_leaves_no_trace_of_its_numbers
        a_history_takes_over_and_what_was_left_is_unknown
        a_history_that_was_taken_over_from_comes_back_only_if_it_is_chosen_anew
        two_histories_cannot_take_over_from_one
        nothing_changes_what_a_holder_relies_on
        processes_lease_beside_the_store
        a_lease_is_of_a_mode_that_has_leases
        the_last_numbers_are_leased_and_none_after_them
        a_recovery_loses_every_lease
        open_leases_are_listed
        a_frozen_counter_gives_nothing
    }
    voids {
        an_issued_number_stays_taken_when_it_is_void
        voiding_again_changes_nothing
        a_void_sees_what_its_batch_did
        only_issued_numbers_are_voided
        a_free_number_is_not_voided
        a_confirmed_number_is_voided_like_any_other
        the_next_numbers_are_jumped_over
        a_void_says_whether_the_numbers_were_issued
        a_void_may_open_a_counter
        a_void_is_of_numbers_of_the_counter
        a_void_under_a_key_is_done_once
        moves_leave_marks
        returned_numbers_lose_their_marks
    }
    closing {
        a_date_is_closed_up_to_its_last_day
        closing_goes_forward_and_reopening_back
        what_is_closed_can_be_opened_and_drawn_from_again
        what_closes_all_closes_each_present_and_future
        each_command_of_a_batch_sees_what_was_closed_before_it
        the_later_of_both_dates_holds
        a_reservation_of_a_closed_date_is_voided_and_not_confirmed
        a_counter_of_a_closed_period_is_not_moved
        a_counter_without_end_can_be_moved_whatever_is_closed
        a_key_is_answered_although_its_date_was_closed
        closing_under_a_key_is_done_once
        only_what_is_defined_is_closed
        all_sequences_together_are_in_no_list
        an_archived_sequence_is_neither_closed_nor_opened
    }
    archiving {
        an_archived_sequence_gives_nothing
        archiving_again_changes_nothing
        only_a_sequence_that_is_there_is_archived
        a_sequence_with_held_numbers_is_not_archived
        archiving_sees_the_holds_of_its_batch
        holds_that_have_ended_stand_in_the_way_until_they_are_let_go
        a_key_is_answered_although_its_sequence_was_archived
    }
    ranges {
        a_counter_goes_from_one_range_to_the_next
        a_batch_is_all_of_one_range
        a_document_date_is_held_against_the_range
        a_range_that_ended_is_left_for_the_next
        a_date_does_not_move_the_counter
        a_refused_draw_skips_nothing
        the_last_range_stays_after_its_end
        ranges_are_added_behind_the_others
        a_counter_that_opened_before_there_were_ranges_goes_on_in_them
        ranges_end_where_the_ids_have_no_room
        steps_are_kept_from_range_to_range
        a_reset_goes_into_a_range
        a_sync_goes_anywhere
        numbers_ahead_are_voided_within_their_range
        a_repeated_key_finds_the_draw_and_not_what_it_skipped
        free_numbers_are_given_out_on_dates_of_their_range
        a_new_epoch_is_counted_in_numbers_of_the_ranges
        a_new_epoch_passes_ranges_that_ended_before_a_successor
        a_new_epoch_may_pass_the_largest_number
    }
    kin {
        a_key_is_found_in_another_sequence_of_the_chain
        a_chain_that_changed_is_sent_back
    }
    chronology {
        an_earlier_date_than_the_last_is_refused
        draws_of_a_batch_are_taken_in_the_order_of_their_dates
        twins_of_a_batch_draw_once_in_any_order_of_dates
        a_refused_draw_leaves_the_last_date
        a_replay_needs_no_later_date
        counters_have_last_dates_of_their_own
        other_sequences_take_any_date
    }
    chain {
        each_event_links_to_the_one_before_it
        a_counter_knows_the_head_of_its_chain
        the_heads_are_those_that_the_events_lead_to
        a_batch_of_many_draws_is_chained_draw_by_draw
        each_event_has_an_id_of_its_own
        all_events_name_the_same_store
    }
    events {
        an_event_keeps_all_that_a_draw_says
        a_replay_gives_back_the_event_as_it_was_recorded
        an_event_of_a_definition_holds_the_definition
        ids_are_those_of_the_version_that_the_counter_opened_with
        a_period_is_kept_with_its_days
        events_are_read_in_the_order_in_which_they_happened
        events_are_read_in_pages
        counters_are_listed_in_the_order_in_which_they_opened
    }
    queries {
        without_a_filter_every_event_of_the_tenant_is_found
        a_tenant_finds_none_but_its_own_events
        events_are_found_by_sequence
        events_are_found_by_counter
        events_are_found_by_period_or_scope_alone
        events_are_found_by_number
        numbers_are_found_across_resets_and_generations
        events_are_found_by_who_asked
        events_are_found_by_reference
        events_are_found_by_kind
        events_are_found_by_time
        events_are_found_by_time_although_the_clock_went_back
        filters_hold_together
        pages_in_either_order_lose_and_repeat_nothing
        pages_lose_and_repeat_nothing_while_events_are_added
        a_page_may_begin_anywhere
        a_page_is_bounded_work
        a_page_tells_how_far_the_log_went
    }
    claims {
        capabilities_do_not_change
        a_mode_is_served_if_it_is_claimed_and_refused_if_not
        a_store_that_claims_to_be_durable_can_be_reopened
    }
    cancelling {
        a_command_past_its_deadline_does_nothing
        a_late_command_leaves_its_key_free
        a_command_before_its_deadline_is_carried_out
        a_future_that_was_never_polled_draws_nothing
        a_dropped_future_draws_the_whole_batch_or_nothing
        nothing_is_carried_out_after_closing
        closing_twice_is_closing_once
        what_is_in_flight_when_the_store_closes_is_answered
    }
    concurrency {
        concurrent_draws_never_share_a_number
        concurrent_batches_are_whole
        concurrent_twins_draw_once
        every_fault_of_callers_at_once_leaves_the_audit_whole
        concurrent_definitions_save_one_of_each_version
        concurrent_settlements_end_each_reservation_once
        reused_numbers_are_issued_once_to_concurrent_callers
    }
}

/// Makes tests that hold a ledger against a model of a counter's reservations, in a module `model`: so many random
/// lives for each policy, shrunk to the shortest that fails.
///
/// Takes the number, and what [`ledger_suite!`](crate::ledger_suite) takes. A backend that can be reopened is, now
/// and then.
#[macro_export]
macro_rules! model_suite {
    ($lives:expr, $factory:expr) => {
        mod model {
            #[allow(
                unused_imports,
                reason = "the factory may be a path, or a closure that needs none"
            )]
            use super::*;
            #[test]
            fn reservations_follow_their_model() {
                $crate::suite::check_model($lives, seqid_core::definition::OnExpiry::Void, $factory);
            }
            #[test]
            fn reused_numbers_follow_their_model() {
                $crate::suite::check_model($lives, seqid_core::definition::OnExpiry::Reuse, $factory);
            }
        }
    };
}

suite! { $
    /// Makes one test of each case about delivering events, in a module `outbox`.
    ///
    /// Takes what [`ledger_suite!`](crate::ledger_suite) takes; the backend must have a source.
    outbox_suite as outbox, outbox_cases on Backend:
    outbox {
        events_are_taken_in_order_and_whole
        events_that_were_not_acknowledged_are_taken_again
        every_event_is_delivered
        a_part_may_be_acknowledged
        what_is_acknowledged_stays_so
        an_acknowledged_event_stays_in_the_audit
        the_backlog_is_what_was_not_acknowledged
        taking_waits_for_the_next_event
        a_dropped_take_takes_nothing
    }
}

suite! { $
    /// Makes one test of each case about what outlives the process, in a module `durable`.
    ///
    /// Takes what [`ledger_suite!`](crate::ledger_suite) takes; the backend must have a source, and
    /// say how it is reopened.
    durable_suite as durable, durable_cases on Backend:
    durability {
        durability_is_claimed
        numbers_go_on_where_they_ended
        the_last_draw_before_a_crash_is_kept
        the_last_definition_before_a_crash_is_kept
        events_are_kept_and_their_chains_go_on
        states_and_listings_are_kept
        keys_are_kept
        generations_are_kept
        names_are_kept_with_their_case
        last_dates_are_kept
        the_end_of_a_counter_is_kept
        a_refused_command_leaves_nothing_behind
        reservations_are_kept
        the_last_confirmation_before_a_crash_is_kept
        holds_that_ended_while_the_store_was_down_are_let_go
        free_numbers_are_kept
        voids_are_kept
        closed_dates_are_kept
        the_end_of_a_sequence_is_kept
        acknowledged_events_are_not_taken_again
        a_counter_goes_on_in_its_range
        a_key_is_found_in_another_sequence_of_the_chain
    }
    adoption {
        adopted_numbers_are_kept
    }
}

suite! { $
    /// Makes one test of each case that everything that hands out numbers must pass, in a module `numbering`.
    ///
    /// Takes a function, or an async one, from the clock to a [`Desk`](crate::suite::Desk).
    numbering_suite as numbering, numbering_cases on Desk:
    counting {
        an_undefined_sequence_is_defined_by_its_first_draw
        an_answer_says_what_was_issued
        a_request_without_a_name_gets_one
        a_batch_has_1_to_10_000_numbers
        a_batch_that_does_not_fit_draws_nothing
        the_near_end_is_announced
        scopes_have_counters_of_their_own
        values_that_do_not_fit_are_refused
        values_are_brought_into_their_shape_first
        prefixes_that_differ_by_case_are_not_two
        tenants_have_sequences_of_their_own
        numbers_above_2_to_the_53_are_exact
        concurrent_callers_get_numbers_of_their_own
    }
    adoption {
        ids_of_several_periods_are_adopted_together
        a_counter_that_begins_with_a_gap_has_opened
        ids_that_show_more_than_their_period_keep_their_text
        consecutive_ids_make_one_event
        ids_of_several_scopes_and_fields_are_adopted_together
        wrong_ids_are_all_named_and_nothing_is_adopted
        ids_that_do_not_tell_their_counter_are_not_adopted
        ids_of_an_older_format_are_adopted_where_their_counter_has_it
        a_dry_run_tells_what_would_be_and_does_nothing
        an_adoption_under_a_key_is_answered_alike
        draws_beside_an_adoption_get_numbers_of_their_own
    }
    histories {
        a_number_tells_what_it_is_and_all_that_happened_to_it
        a_number_that_was_let_go_is_free_until_it_is_drawn_again
        a_number_is_that_of_the_newest_generation_and_has_the_events_of_all
        a_number_is_found_by_its_id
        a_number_that_its_counter_does_not_have_is_not_found
        open_reservations_are_listed_by_counter_and_number
        a_reservation_that_has_ended_is_due_until_a_write_lets_it_go
    }
    replays {
        a_repeated_request_has_the_same_answer
        a_replay_has_the_text_of_its_time_after_the_definition_changed
        a_replay_has_the_number_of_its_day_after_midnight
        a_replay_has_its_text_although_its_fields_are_gone
        another_request_under_a_used_key_is_refused
        a_key_may_be_used_in_two_sequences
        a_repeated_move_is_done_once
        concurrent_twins_have_one_answer
    }
    sequences {
        a_new_definition_is_created
        an_equal_definition_makes_no_version
        a_change_names_the_version_that_it_replaces
        a_definition_that_cannot_hold_is_refused_with_every_reason
        a_dry_run_saves_nothing
        a_format_holds_from_the_next_counter
        a_counter_keeps_the_fields_that_it_opened_with
        what_numbers_mean_cannot_change_after_the_first
        before_the_first_number_everything_may_change
        a_format_that_could_repeat_older_ids_is_refused
        an_implicit_definition_can_be_replaced
        a_definition_is_shown_as_it_was_saved
        a_mode_that_the_store_cannot_serve_is_refused
        sequences_are_listed_in_pages
    }
    periods {
        a_year_begins_by_the_document_date
        today_is_that_of_the_zone
        a_clock_that_goes_back_opens_the_old_counter_again
        a_fiscal_year_begins_on_its_first_day
        a_leap_day_is_a_day
        months_and_quarters_begin_on_their_first_day
        a_week_belongs_to_one_year
        a_counter_is_named_by_date_or_by_period
        dates_that_would_print_alike_are_refused
        a_chronological_sequence_takes_no_earlier_date
    }
    inquiries {
        questions_consume_nothing
        questions_define_nothing
        a_status_tells_where_the_counter_stands
        a_definition_is_previewed_unsaved
        the_preview_of_an_open_counter_has_the_format_that_it_keeps
        every_id_is_read_back
        ids_of_every_version_are_read_back
        what_is_not_an_id_is_not_recognised
        an_id_of_two_sequences_is_ambiguous
        counters_are_listed_with_their_status
    }
    forecasts {
        an_unopened_counter_has_no_forecast
        what_was_used_lately_says_when_a_counter_ends
        the_last_instant_of_a_window_counts
        a_counter_that_outlasts_its_period_does_not_end
        numbers_that_were_jumped_over_are_not_use
        an_ended_counter_has_no_end_to_come
        numbers_that_were_let_go_are_left_and_come_next
    }
    granted {
        a_status_tells_what_is_left_of_all_ranges
        a_free_number_of_a_range_that_ended_is_not_the_next
        the_end_of_the_last_range_is_announced
        a_date_that_the_range_does_not_have_is_refused
        ranges_that_cannot_hold_are_refused_with_their_places
        a_range_does_not_move_after_the_first_number
        a_range_is_added_by_itself
        a_counter_that_begins_behind_its_start_has_opened
    }
    successors {
        an_ended_sequence_is_followed_by_its_successor
        a_batch_that_does_not_fit_stays_where_it_is
        a_range_that_ended_is_followed_by_the_successor
        a_retry_finds_the_number_of_the_successor
        a_retry_finds_the_number_of_a_successor_that_was_replaced
        a_retry_finds_the_number_of_the_first_although_it_has_ended
        a_key_of_the_successor_is_not_used_twice
        a_new_period_begins_with_the_first_sequence_again
        numbers_are_reserved_of_the_successor
        concurrent_retries_have_one_number
        a_successor_that_does_not_fit_is_refused
        the_end_stays_where_a_successor_goes_on
        a_successor_of_a_successor_fits_the_first_too
        a_successor_does_not_change_into_one_that_does_not_fit
    }
    audits {
        the_newest_events_come_first
        a_number_has_its_history
        an_id_has_its_history
        an_id_of_a_period_and_a_scope_has_its_history
        the_whole_audit_is_read_in_pages
        what_was_defined_is_in_the_audit
        an_audit_of_an_undefined_sequence_is_refused
        bounds_that_cannot_hold_are_refused
        a_period_that_the_sequence_does_not_have_is_refused
        scope_values_that_do_not_fit_are_refused
        tenants_have_audits_of_their_own
    }
    moves {
        a_reset_says_what_is_issued_next
        zero_is_no_number_of_a_counter_that_starts_at_1
        a_reset_goes_to_members_alone
        numbers_repeat_only_if_that_is_accepted
        a_sync_goes_forward_alone
        an_ended_counter_has_no_next_number
        a_move_concerns_one_counter
        a_move_after_the_definition_changed_keeps_the_format
    }
    endings {
        versions_tell_what_changed
        versions_are_listed_in_pages
        an_archived_sequence_can_be_read_and_gives_nothing
        a_sequence_with_reservations_is_archived_when_they_have_ended
        many_holds_that_have_ended_do_not_stand_in_the_way
        an_archived_sequence_is_not_defined_by_a_draw
        archiving_may_name_the_version
        closed_dates_are_refused_and_opened_again
        all_sequences_are_closed_and_opened_together
        a_close_under_a_key_is_done_once
    }
    holding {
        a_reservation_is_confirmed_under_the_id_that_was_promised
        a_reserved_batch_has_all_its_ids
        a_reservation_ends_once
        a_reservation_that_has_ended_is_shown_so_before_anybody_writes
        an_unknown_reservation_is_not_found
        another_tenants_reservation_is_not_found
        holds_last_1_second_to_30_days
        a_repeated_request_has_the_same_reservation
        another_date_or_document_is_another_confirmation
        a_reservation_keeps_its_id_after_the_definition_changed
        a_hold_keeps_the_policy_that_it_began_with
        a_reservation_is_settled_through_another_process
        a_status_counts_what_is_held_and_void
        issued_numbers_are_voided_by_number_or_by_id
        numbers_of_another_generation_are_not_voided
        an_id_that_does_not_tell_its_period_names_no_number
        the_next_numbers_are_voided_before_anybody_has_them
        a_void_after_the_definition_changed_finds_its_counter
        a_repeated_void_under_a_key_is_done_once
    }
}
