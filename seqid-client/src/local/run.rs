use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use seqid_core::Number;
use seqid_core::counter::Run;
use seqid_core::numbering::Issued;

/// How long numbers are held at most. A number that is handed out so late is as one whose answer came late.
pub(super) const HELD: Duration = Duration::from_secs(1);
/// All zones begin their days at a multiple of this: what was drawn for today is not handed out beyond one.
const QUARTER_MICROS: i64 = 15 * 60 * 1_000_000;

/// Numbers that were issued to this client, and that none of its callers has got yet.
#[derive(Debug)]
pub(super) struct HeldRun {
    /// The answer, without its ids.
    answer: Issued,
    ids: Vec<String>,
    until: Instant,
    /// How many were taken, or asked for in vain.
    taken: AtomicUsize,
}

impl HeldRun {
    /// No run has so many numbers, and no program asks so often.
    const SEALED: usize = usize::MAX / 2;

    /// The first number of an answer, and the run of the others where there are any. The draw was sent at `begun`, `dated` or for today.
    pub(super) fn divide(answer: Issued, begun: Instant, dated: bool) -> (Issued, Option<Self>) {
        let until = begun + lifetime(&answer, dated);
        let mut whole = Self {
            until,
            ids: Vec::new(),
            answer,
            taken: AtomicUsize::new(1),
        };
        whole.ids = std::mem::take(&mut whole.answer.ids);
        let first = Issued {
            ids: whole.ids.first().cloned().into_iter().collect(),
            run: Run {
                count: 1,
                ..whole.answer.run
            },
            ..whole.answer.clone()
        };
        let others = (whole.ids.len() > 1).then_some(whole);
        (first, others)
    }

    /// Whether it is too late to hand out what is left.
    pub(super) fn is_over(&self, now: Instant) -> bool {
        now >= self.until
    }

    /// The next number, while there is one that may be handed out.
    pub(super) fn take(&self, now: Instant) -> Option<Issued> {
        if self.is_over(now) {
            return None;
        }
        // Each number is of one caller whatever is seen in which order: the rest is told by whoever seals.
        let at = self.taken.fetch_add(1, Ordering::Relaxed);
        let id = self.ids.get(at)?;
        Some(Issued {
            ids: vec![id.clone()],
            run: self.part(at, 1)?,
            ..self.answer.clone()
        })
    }

    /// Hands out no more from now on. Answers what was not taken, as an answer without ids.
    pub(super) fn seal(&self) -> Option<Issued> {
        let taken = self
            .taken
            .swap(Self::SEALED, Ordering::AcqRel)
            .min(self.ids.len());
        let run = self.part(taken, self.ids.len() - taken)?;
        Some(Issued {
            run,
            ..self.answer.clone()
        })
    }

    fn part(&self, from: usize, count: usize) -> Option<Run> {
        let run = self.answer.run;
        let first = run.first.get() + from as u64 * run.step;
        (count > 0).then_some(Run {
            first: Number::new(first).ok()?,
            count: count as u64,
            ..run
        })
    }
}

/// How long after the draw was sent its numbers may be handed out. Its instant of issue was later: so what was drawn for
/// today is never handed out after midnight by the service's clock, in whichever zone.
fn lifetime(answer: &Issued, dated: bool) -> Duration {
    if dated {
        return HELD;
    }
    let past = answer.issued_at.as_micros().rem_euclid(QUARTER_MICROS);
    let left = Duration::from_micros((QUARTER_MICROS - past).unsigned_abs());
    left.min(HELD)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use seqid_core::field::FieldValues;
    use seqid_core::period::Period;
    use seqid_core::time::Timestamp;
    use seqid_core::{Mode, Prefix};

    use super::*;

    /// `count` numbers from 5 on, ten apart, that were issued at an instant.
    fn answer(count: u64, issued_at: &str) -> Issued {
        let run = Run {
            first: Number::new(5).unwrap(),
            step: 10,
            count,
        };
        Issued {
            prefix: Prefix::new("INV").unwrap(),
            ids: run
                .numbers()
                .map(|number| format!("INV-{}", number.get()))
                .collect(),
            run,
            period: Period::named("all", None).unwrap(),
            date: "2026-03-31".parse().unwrap(),
            scope: FieldValues::default(),
            generation: 1,
            mode: Mode::Leased,
            epoch: 1,
            definition_version: 1,
            reference: None,
            request_id: None,
            issued_at: issued_at.parse::<Timestamp>().unwrap(),
            warnings: Vec::new(),
            replayed: false,
            numbers_as_text: false,
        }
    }

    const NOON: &str = "2026-03-31T12:07:00Z";

    fn divided(count: u64) -> (Issued, Option<HeldRun>) {
        HeldRun::divide(answer(count, NOON), Instant::now(), true)
    }

    #[test]
    fn the_first_number_is_answered_and_the_others_are_held_in_order() {
        let (first, held) = divided(3);
        assert_eq!(
            (first.id(), first.run.first.get(), first.run.count),
            ("INV-5", 5, 1)
        );
        let (held, now) = (held.unwrap(), Instant::now());
        for number in [15, 25] {
            let taken = held.take(now).unwrap();
            let id = format!("INV-{number}");
            assert_eq!(
                (taken.ids, taken.run.first.get(), taken.run.count),
                (vec![id], number, 1)
            );
        }
        assert_eq!(held.take(now), None);
        assert_eq!(held.seal(), None);
        assert!(divided(1).1.is_none(), "there is nothing to hold");
    }

    #[test]
    fn what_was_not_taken_is_told_once_and_never_handed_out() {
        let held = divided(4).1.unwrap();
        assert_eq!(held.take(Instant::now()).unwrap().run.first.get(), 15);
        let unused = held.seal().unwrap().run;
        assert_eq!((unused.first.get(), unused.step, unused.count), (25, 10, 2));
        assert_eq!((held.take(Instant::now()), held.seal()), (None, None));
    }

    #[test]
    fn threads_never_share_a_number_whenever_it_is_sealed() {
        let held = Arc::new(divided(10_000).1.unwrap());
        let (now, numbers) = (Instant::now(), |taken: Issued| taken.run.first.get());
        let takers: Vec<_> = (0..4)
            .map(|_| {
                let held = Arc::clone(&held);
                std::thread::spawn(move || {
                    std::iter::from_fn(|| held.take(now).map(numbers)).collect::<Vec<_>>()
                })
            })
            .collect();
        while held.taken.load(Ordering::Relaxed) < 3_000 {
            std::thread::yield_now();
        }
        let unused = held.seal();
        let mut all: Vec<u64> = takers
            .into_iter()
            .flat_map(|taker| taker.join().unwrap())
            .collect();
        all.extend(
            unused
                .iter()
                .flat_map(|unused| unused.run.numbers().map(Number::get)),
        );
        all.sort_unstable();
        assert_eq!(all, (1..10_000).map(|at| 5 + 10 * at).collect::<Vec<_>>());
    }

    #[track_caller]
    fn held_for(issued_at: &str, dated: bool, expected: Duration) {
        let begun = Instant::now();
        let held = HeldRun::divide(answer(2, issued_at), begun, dated).1.unwrap();
        let until = begun + expected;
        assert!(held.is_over(until));
        assert_eq!(held.take(until), None);
        assert!(!held.is_over(until - Duration::from_micros(1)));
        assert!(held.take(until - Duration::from_micros(1)).is_some());
    }

    #[test]
    fn numbers_are_held_for_a_second() {
        held_for(NOON, true, HELD);
        held_for(NOON, false, HELD);
    }

    #[test]
    fn what_was_drawn_for_today_is_not_held_beyond_the_midnight_of_any_zone() {
        for minutes in ["14", "29", "44", "59"] {
            let close_to_it = format!("2026-03-31T23:{minutes}:59.900000Z");
            held_for(&close_to_it, false, Duration::from_millis(100));
            held_for(&close_to_it, true, HELD);
        }
        held_for("2026-03-31T18:15:00Z", false, HELD);
    }
}
