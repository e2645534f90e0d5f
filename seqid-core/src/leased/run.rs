use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crate::counter::Run;
use crate::lease::{Lease, LeaseId};
use crate::names::Number;

/// Leased numbers that are being used up, by any number of threads.
#[derive(Debug)]
pub(super) struct LeasedRun {
    lease: LeaseId,
    generation: u32,
    epoch: u32,
    run: Run,
    /// How many were taken, or asked for in vain.
    taken: AtomicU64,
    /// Whether the numbers behind it were asked for.
    followed: AtomicBool,
}

/// Numbers that were taken out of a lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Taken {
    pub(super) run: Run,
    pub(super) generation: u32,
    pub(super) epoch: u32,
}

impl LeasedRun {
    /// No run has so many numbers, and no process asks so often.
    const SEALED: u64 = 1 << 62;

    /// The numbers of a lease from `first` on.
    pub(super) fn new(lease: &Lease, run: Run) -> Self {
        Self {
            lease: lease.id,
            generation: lease.generation,
            epoch: lease.epoch,
            run,
            taken: AtomicU64::new(0),
            followed: AtomicBool::new(false),
        }
    }

    pub(super) const fn lease(&self) -> LeaseId {
        self.lease
    }

    pub(super) const fn first(&self) -> u64 {
        self.run.first.get()
    }

    pub(super) const fn count(&self) -> u64 {
        self.run.count
    }

    /// The next number, while there is one.
    #[inline]
    pub(super) fn next(&self) -> Option<Number> {
        // Each number is of one caller whatever is seen in which order: the rest is told by whoever seals.
        let before = self.taken.fetch_add(1, Ordering::Relaxed);
        if before < self.run.count {
            Number::new(self.run.first.get() + before * self.run.step).ok()
        } else {
            None
        }
    }

    /// The next `count` numbers, if there are so many.
    pub(super) fn take(&self, count: u64) -> Option<Taken> {
        let fits = |taken: u64| {
            let after = taken.checked_add(count)?;
            (after <= self.run.count).then_some(after)
        };
        let before = self
            .taken
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, fits)
            .ok()?;
        let first = Number::new(self.run.first.get() + before * self.run.step).ok()?;
        let Self {
            generation, epoch, ..
        } = *self;
        Some(Taken {
            run: Run {
                first,
                count,
                ..self.run
            },
            generation,
            epoch,
        })
    }

    /// Whether nothing is left of it.
    pub(super) fn is_used_up(&self) -> bool {
        self.taken.load(Ordering::Relaxed) >= self.run.count
    }

    /// Whether half of it is used up. True for one caller alone, who is to ask for the numbers behind it.
    pub(super) fn is_to_be_followed(&self) -> bool {
        self.taken.load(Ordering::Relaxed) >= self.run.count.div_ceil(2)
            && !self.followed.load(Ordering::Relaxed)
            && !self.followed.swap(true, Ordering::Relaxed)
    }

    /// Gives no more numbers from now on. Answers those that were taken, and those that were not.
    pub(super) fn seal(&self) -> (Option<Run>, Option<Run>) {
        let taken = self
            .taken
            .swap(Self::SEALED, Ordering::AcqRel)
            .min(self.run.count);
        let part = |from: u64, count: u64| {
            let first = Number::new(self.run.first.get() + from * self.run.step).ok()?;
            (count > 0).then_some(Run {
                first,
                count,
                ..self.run
            })
        };
        (part(0, taken), part(taken, self.run.count - taken))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::lease::{Holder, LeaseState};
    use crate::names::Label;

    fn run(first: u64, step: u64, count: u64) -> LeasedRun {
        let run = Run {
            first: Number::new(first).unwrap(),
            step,
            count,
        };
        let lease = Lease {
            id: LeaseId([1; 16]),
            holder: Holder::Process(Label::new("test").unwrap()),
            generation: 1,
            epoch: 2,
            run: Some(run),
            state: LeaseState::Open,
        };
        LeasedRun::new(&lease, run)
    }

    fn numbers(run: Option<Run>) -> Vec<u64> {
        run.into_iter()
            .flat_map(|run| run.numbers())
            .map(Number::get)
            .collect()
    }

    #[test]
    fn numbers_are_taken_in_order_until_there_are_none() {
        let run = run(5, 10, 4);
        assert_eq!(run.next().map(Number::get), Some(5));
        assert_eq!(numbers(run.take(2).map(|taken| taken.run)), [15, 25]);
        assert_eq!(run.take(2), None);
        assert_eq!(run.next().map(Number::get), Some(35));
        assert_eq!(run.next(), None);
        assert_eq!(run.take(1), None);
        let (used, left) = run.seal();
        assert_eq!((numbers(used), left), (vec![5, 15, 25, 35], None));
    }

    #[test]
    fn one_caller_is_told_that_half_is_used_up() {
        let run = run(1, 1, 5);
        run.take(2);
        assert!(!run.is_to_be_followed());
        run.take(1);
        assert!(run.is_to_be_followed());
        run.take(1);
        assert!(!run.is_to_be_followed());
    }

    #[test]
    fn a_sealed_run_gives_nothing() {
        let run = run(1, 1, 10);
        run.take(3);
        let (used, left) = run.seal();
        assert_eq!((numbers(used).len(), numbers(left).len()), (3, 7));
        assert_eq!((run.next(), run.take(1)), (None, None));
    }

    #[test]
    fn threads_never_share_a_number_whenever_it_is_sealed() {
        let run = Arc::new(run(1, 1, 10_000));
        let takers: Vec<_> = (0..4)
            .map(|taker| {
                let run = Arc::clone(&run);
                std::thread::spawn(move || {
                    let mut taken = Vec::new();
                    while let Some(one) = run.take(taker % 3 + 1) {
                        taken.extend(one.run.numbers().map(Number::get));
                        taken.extend(run.next().map(Number::get));
                    }
                    taken
                })
            })
            .collect();
        while run.taken.load(Ordering::Relaxed) < 5_000 {
            std::thread::yield_now();
        }
        let (used, _) = run.seal();
        let mut all: Vec<u64> = takers
            .into_iter()
            .flat_map(|taker| taker.join().unwrap())
            .collect();
        all.sort_unstable();
        assert_eq!(all, numbers(used));
    }
}
