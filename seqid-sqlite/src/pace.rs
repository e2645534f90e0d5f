//! Whether giving way to callers before a commit brings more of their draws into it.

use std::time::Duration;

/// Callers that need longer than this for each command are slow.
const SLOW: Duration = Duration::from_micros(8);

/// How often slow callers are given way to all the same, to learn whether they still are: once in so many times.
const AGAIN: u32 = 32;

/// How fast commands come while the writer gives way to those who send them.
///
/// Callers in this process are back within a microsecond or two: give way to them, and one commit has the draws of all.
/// A call over the network keeps a processor busy for ten or more. Whoever gives way to many of those gets the processor
/// back when they all wait for him; meanwhile the disk has nothing to do.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Pace {
    /// How long each command took, of late.
    each: Duration,
    passed_over: u32,
}

impl Pace {
    /// Whether to give way now.
    pub(crate) fn gives_way(&mut self) -> bool {
        if self.each < SLOW {
            return true;
        }
        self.passed_over = (self.passed_over + 1) % AGAIN;
        self.passed_over == 0
    }

    /// So many commands came while the writer gave way.
    pub(crate) fn note(&mut self, came: usize, took: Duration) {
        if came == 0 && took < SLOW {
            // Nobody was there to give way to.
            return;
        }
        let each = took / u32::try_from(came.max(1)).unwrap_or(u32::MAX);
        // One long wait says little: the processor may have been another program's.
        self.each = (3 * self.each + each.min(4 * SLOW)) / 4;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(pace: &mut Pace, times: u32, came: usize, each: Duration) {
        for _ in 0..times {
            pace.note(came, each * u32::try_from(came.max(1)).unwrap());
        }
    }

    #[test]
    fn callers_are_fast_until_they_are_known_to_be_slow() {
        let mut pace = Pace::default();
        assert!(pace.gives_way());
        told(&mut pace, 100, 60, SLOW - Duration::from_nanos(100));
        assert!(pace.gives_way());
        told(&mut pace, 100, 3, SLOW + Duration::from_micros(1));
        assert!(!pace.gives_way());
    }

    #[test]
    fn one_long_wait_does_not_make_them_slow() {
        let mut pace = Pace::default();
        told(&mut pace, 100, 30, Duration::from_micros(2));
        pace.note(1, Duration::from_secs(1));
        told(&mut pace, 2, 30, Duration::from_micros(2));
        assert!(pace.gives_way());
    }

    #[test]
    fn nobody_tells_nothing() {
        let mut pace = Pace::default();
        told(&mut pace, 100, 10, Duration::from_micros(20));
        told(&mut pace, 1_000, 0, Duration::from_micros(1));
        assert!(!pace.gives_way());
        told(&mut pace, 100, 10, Duration::from_micros(2));
        told(&mut pace, 100, 0, Duration::from_micros(20));
        assert!(!pace.gives_way(), "somebody was there, and sent nothing");
    }

    #[test]
    fn slow_callers_are_given_way_to_now_and_then_until_they_are_fast() {
        let mut pace = Pace::default();
        told(&mut pace, 100, 10, Duration::from_micros(20));
        for _ in 0..3 {
            let times = (0..AGAIN).filter(|_| pace.gives_way()).count();
            assert_eq!(times, 1);
        }
        let mut turns = 0;
        while !(0..2).all(|_| pace.gives_way()) {
            turns += 1;
            assert!(turns < 10 * AGAIN);
            if pace.gives_way() {
                pace.note(60, Duration::from_micros(90));
            }
        }
    }
}
