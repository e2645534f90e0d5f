//! Histories of a small store that does everything right, and the same with one thing wrong.

use proptest::prelude::*;
use proptest::sample::Index;

use super::mutations::MUTATIONS;
use super::store::history;
use super::*;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn a_store_that_does_everything_right_is_sound(history in history()) {
        sound(&history);
    }

    #[test]
    fn the_order_in_which_a_history_is_written_down_does_not_matter(
        (history, calls, rows) in history().prop_flat_map(|history| {
            let calls = Just(history.calls.clone()).prop_shuffle();
            let rows = Just(history.rows.clone()).prop_shuffle();
            (Just(history), calls, rows)
        })
    ) {
        sound(&History { calls, rows, ..history });
    }

    #[test]
    fn a_single_thing_that_is_wrong_is_found(history in history(), index in any::<Index>()) {
        for (number, mutate) in MUTATIONS.iter().enumerate() {
            let mut mutated = history.clone();
            let Some(property) = mutate(&mut mutated, index) else { continue };
            let violations = mutated.check().err().unwrap_or_default();
            let found = violations.iter().any(|violation| violation.property() == property);
            prop_assert!(found, "mutation {number}: {property} is not among {:?}", sentences(&violations));
        }
    }
}
