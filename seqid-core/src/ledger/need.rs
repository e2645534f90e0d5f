//! The marks that a batch calls for.

use crate::counter::CounterKey;
use crate::lease::LeaseId;
use crate::names::{Label, Number};
use crate::reservation::ReservationId;

/// How many needs before one are looked at for one that it may be merged with.
const NEAR: usize = 16;

/// Marks that a store must load before a batch can be decided. Most batches need none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MarkNeed {
    /// What became of a reservation.
    Reservation {
        /// Its counter.
        counter: CounterKey,
        /// The generation of its numbers.
        generation: u32,
        /// The first of its numbers.
        first: Number,
        /// Its name.
        id: ReservationId,
    },
    /// The holds of a counter that end first.
    Ending {
        /// The counter.
        counter: CounterKey,
        /// The most that are asked for.
        limit: usize,
    },
    /// The lowest free numbers of a counter.
    Free {
        /// The counter.
        counter: CounterKey,
        /// Its generation.
        generation: u32,
        /// The most marks that are asked for.
        limit: usize,
    },
    /// All marks of a counter that have a number in a range.
    Within {
        /// The counter.
        counter: CounterKey,
        /// Its generation.
        generation: u32,
        /// The first number.
        first: u64,
        /// The last number.
        last: u64,
    },
    /// The leases of a counter that are open, and the one with a name; for a holder also those that it lost, and the one of the
    /// highest numbers of the last generation, whoever has them.
    Leases {
        /// The counter.
        counter: CounterKey,
        /// The name.
        id: Option<LeaseId>,
        /// The holder's name.
        holder: Option<Label>,
    },
}

impl MarkNeed {
    /// The counter concerned.
    #[must_use]
    pub const fn counter(&self) -> &CounterKey {
        match self {
            Self::Reservation { counter, .. }
            | Self::Ending { counter, .. }
            | Self::Free { counter, .. }
            | Self::Within { counter, .. }
            | Self::Leases { counter, .. } => counter,
        }
    }

    /// Asks for what another need asks for as well, if both are of one kind and beside each other.
    fn takes_in(&mut self, other: &Self) -> bool {
        if self.counter() != other.counter() {
            return false;
        }
        match (&mut *self, other) {
            (Self::Free { limit, .. }, Self::Free { limit: more, .. }) => {
                *limit = limit.saturating_add(*more);
                true
            }
            (
                Self::Within {
                    generation,
                    first,
                    last,
                    ..
                },
                Self::Within {
                    generation: of_other,
                    first: begins,
                    last: ends,
                    ..
                },
            ) => {
                let beside = generation == of_other && (*first..=last.saturating_add(1)).contains(begins);
                if beside {
                    *last = (*last).max(*ends);
                }
                beside
            }
            (Self::Leases { .. }, Self::Leases { .. }) => self == other,
            _ => false,
        }
    }
}

/// One need for what several commands ask for.
pub(super) fn merge(needs: Vec<MarkNeed>) -> Vec<MarkNeed> {
    let mut merged: Vec<MarkNeed> = Vec::with_capacity(needs.len());
    for need in needs {
        // Numbers that are reported one after another stand beside each other; free numbers are taken by count, which
        // must be the sum of all.
        let near = match need {
            MarkNeed::Free { .. } => usize::MAX,
            _ => NEAR,
        };
        if !merged
            .iter_mut()
            .rev()
            .take(near)
            .any(|before| before.takes_in(&need))
        {
            merged.push(need);
        }
    }
    merged
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::counter::SequenceKey;
    use crate::period::Period;
    use crate::{Prefix, Tenant};

    fn counter(prefix: &str) -> CounterKey {
        let sequence = SequenceKey::new(Tenant::default(), Prefix::new(prefix).unwrap());
        CounterKey::new(sequence, Default::default(), Period::ALL)
    }

    fn within(prefix: &str, generation: u32, first: u64, last: u64) -> MarkNeed {
        MarkNeed::Within {
            counter: counter(prefix),
            generation,
            first,
            last,
        }
    }

    fn free(prefix: &str, limit: usize) -> MarkNeed {
        MarkNeed::Free {
            counter: counter(prefix),
            generation: 1,
            limit,
        }
    }

    fn leases(prefix: &str, id: u8) -> MarkNeed {
        MarkNeed::Leases {
            counter: counter(prefix),
            id: Some(LeaseId([id; 16])),
            holder: None,
        }
    }

    #[test]
    fn reports_of_numbers_beside_each_other_are_one_need() {
        let report = |first, last| [leases("INV", 1), within("INV", 1, first, last)];
        let needs = [report(1, 1), report(2, 5), report(6, 6)].concat();
        assert_eq!(merge(needs), [leases("INV", 1), within("INV", 1, 1, 6)]);
    }

    #[test]
    fn ranges_are_merged_if_no_number_lies_between_them_and_they_are_of_one_generation() {
        for (other, expected) in [
            (within("INV", 1, 10, 19), vec![within("INV", 1, 10, 20)]),
            (within("INV", 1, 21, 30), vec![within("INV", 1, 10, 30)]),
            (within("INV", 1, 12, 13), vec![within("INV", 1, 10, 20)]),
            (
                within("INV", 1, 22, 30),
                vec![within("INV", 1, 10, 20), within("INV", 1, 22, 30)],
            ),
            (
                within("INV", 1, 5, 15),
                vec![within("INV", 1, 10, 20), within("INV", 1, 5, 15)],
            ),
            (
                within("INV", 2, 21, 30),
                vec![within("INV", 1, 10, 20), within("INV", 2, 21, 30)],
            ),
            (
                within("ORD", 1, 21, 30),
                vec![within("INV", 1, 10, 20), within("ORD", 1, 21, 30)],
            ),
        ] {
            assert_eq!(merge(vec![within("INV", 1, 10, 20), other]), expected);
        }
        let to_the_end = within("INV", 1, 10, u64::MAX);
        assert_eq!(
            merge(vec![to_the_end.clone(), within("INV", 1, 11, 12)]),
            [to_the_end]
        );
    }

    #[test]
    fn free_numbers_are_asked_for_once_however_far_apart_the_draws_are() {
        let mut needs = vec![free("INV", 1)];
        needs.extend((0..100).map(|at| within("ORD", 1, 10 * at, 10 * at)));
        needs.extend([free("INV", 2), free("ORD", 1)]);
        let merged = merge(needs);
        assert_eq!(merged.len(), 102);
        assert_eq!((&merged[0], &merged[101]), (&free("INV", 3), &free("ORD", 1)));
    }

    #[test]
    fn leases_with_other_names_or_of_other_counters_are_needs_of_their_own() {
        let needs = vec![
            leases("INV", 1),
            leases("INV", 2),
            leases("ORD", 1),
            leases("INV", 1),
        ];
        assert_eq!(merge(needs.clone()), needs[..3]);
    }
}
