/// The integers first, first + step, and so on, `count` of them.
///
/// Comes from stores under test, so nothing is taken for granted: a count of 0 is read as 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Run {
    pub(super) first: u64,
    pub(super) step: u64,
    pub(super) count: u64,
}

impl Run {
    /// The last integer, which may be larger than any number.
    pub(super) fn last(self) -> u128 {
        u128::from(self.first) + u128::from(self.count.saturating_sub(1)) * u128::from(self.step)
    }

    /// Two runs with the same rails share an integer exactly if they overlap.
    pub(super) fn rails(self) -> (u64, u64) {
        (self.step, self.first.checked_rem(self.step).unwrap_or(self.first))
    }

    pub(super) fn contains(self, number: u128) -> bool {
        let Some(offset) = number.checked_sub(self.first.into()) else {
            return false;
        };
        number <= self.last() && offset.checked_rem(self.step.into()).unwrap_or(offset) == 0
    }

    /// An integer of both runs.
    pub(super) fn shared_with(self, other: Run) -> Option<u128> {
        if self.rails() == other.rails() {
            let candidate = self.first.max(other.first).into();
            return (self.contains(candidate) && other.contains(candidate)).then_some(candidate);
        }
        // Runs with unlike rails do not meet in one line unless it is broken, so this may be slow.
        let (few, many) = if self.count <= other.count {
            (self, other)
        } else {
            (other, self)
        };
        few.numbers().find(|&number| many.contains(number))
    }

    fn numbers(self) -> impl Iterator<Item = u128> {
        (0..u128::from(self.count.max(1)))
            .map(move |index| u128::from(self.first) + index * u128::from(self.step))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn shared(a: (u64, u64, u32), b: (u64, u64, u32), number: Option<u128>) {
        let run = |(first, step, count): (u64, u64, u32)| Run {
            first,
            step,
            count: count.into(),
        };
        assert_eq!(run(a).shared_with(run(b)), number);
        assert_eq!(run(b).shared_with(run(a)), number);
    }

    #[test]
    fn runs_share_an_integer_only_where_both_step_on_it() {
        shared((1, 1, 3), (3, 1, 1), Some(3));
        shared((1, 1, 3), (4, 1, 1), None);
        shared((1, 2, 3), (2, 2, 3), None);
        shared((1, 2, 3), (3, 2, 9), Some(3));
        shared((1, 2, 4), (1, 3, 3), Some(1));
        shared((3, 2, 4), (1, 3, 3), Some(7));
        shared((5, 0, 3), (4, 1, 2), Some(5));
        shared(
            (u64::MAX, u64::MAX, u32::MAX),
            (u64::MAX, 1, 1),
            Some(u64::MAX.into()),
        );
    }
}
