//! That numbers only rise, within an epoch of a counter.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, PoisonError};

use seqid_core::counter::{CounterKey, SequenceKey};
use seqid_core::numbering::Issued;
use seqid_core::{Mode, Number, Tenant};

/// The most counters that are watched; behind them the watch begins anew.
const MOST_COUNTERS: usize = 10_000;
/// How many steps of a counter's rise are remembered: more draws than this between the begin and the end of one cannot
/// be told from a fall.
const MOST_STEPS: usize = 64;

/// A draw that began after a number had been answered was given one that is not larger: the service has forgotten numbers
/// that it gave out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{counter} gave out {number} after {highest}: it may have forgotten numbers that were issued")]
pub struct NotRising {
    /// The counter.
    pub counter: String,
    /// The number that was given out.
    pub number: Number,
    /// A larger or equal one that had been answered before.
    pub highest: Number,
}

/// What was answered so far.
#[derive(Debug, Default)]
pub(crate) struct Rising(Mutex<Watch>);

#[derive(Debug, Default)]
struct Watch {
    /// Counts begins and answers.
    tick: u64,
    lines: HashMap<Line, VecDeque<Step>>,
}

/// A counter within which numbers rise.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Line {
    counter: CounterKey,
    generation: u32,
    epoch: u32,
}

/// The largest number that had been answered at a tick.
#[derive(Debug, Clone, Copy)]
struct Step {
    tick: u64,
    highest: Number,
}

/// When a draw began.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Begin(u64);

impl Rising {
    /// A draw begins.
    pub(crate) fn begin(&self) -> Begin {
        Begin(self.watch().next())
    }

    /// A draw was answered.
    pub(crate) fn answered(&self, begin: Begin, tenant: &Tenant, issued: &Issued) -> Result<(), NotRising> {
        // What was given out before may come again in any order, and leases of two instances do not know each other.
        if issued.replayed || issued.mode == Mode::Leased {
            return Ok(());
        }
        let sequence = SequenceKey::new(tenant.clone(), issued.prefix.clone());
        let line = Line {
            counter: CounterKey::new(sequence, issued.scope.clone(), issued.period),
            generation: issued.generation,
            epoch: issued.epoch,
        };
        self.watch()
            .answered(begin, line, issued.run.first, issued.run.last())
    }

    fn watch(&self) -> std::sync::MutexGuard<'_, Watch> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Watch {
    fn next(&mut self) -> u64 {
        self.tick += 1;
        self.tick
    }

    fn answered(&mut self, begin: Begin, line: Line, first: Number, last: Number) -> Result<(), NotRising> {
        let tick = self.next();
        if self.lines.len() >= MOST_COUNTERS && !self.lines.contains_key(&line) {
            self.lines.clear();
        }
        let counter = line.counter.clone();
        let steps = self.lines.entry(line).or_default();
        let before = steps.iter().rev().find(|step| step.tick < begin.0);
        if let Some(Step { highest, .. }) = before.filter(|step| step.highest >= first) {
            return Err(NotRising {
                counter: counter.to_string(),
                number: first,
                highest: *highest,
            });
        }
        if steps.back().is_none_or(|step| step.highest < last) {
            if steps.len() == MOST_STEPS {
                steps.pop_front();
            }
            steps.push_back(Step { tick, highest: last });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use seqid_core::Prefix;
    use seqid_core::field::FieldValues;
    use seqid_core::period::Period;

    fn line(epoch: u32) -> Line {
        let sequence = SequenceKey::new(Tenant::default(), Prefix::new("INV").unwrap());
        Line {
            counter: CounterKey::new(sequence, FieldValues::default(), Period::ALL),
            generation: 1,
            epoch,
        }
    }

    fn begin(watch: &mut Watch) -> Begin {
        Begin(watch.next())
    }

    fn answer(watch: &mut Watch, begin: Begin, epoch: u32, first: u64, last: u64) -> bool {
        let (first, last) = (Number::new(first).unwrap(), Number::new(last).unwrap());
        watch.answered(begin, line(epoch), first, last).is_ok()
    }

    #[test]
    fn draws_under_way_together_may_be_answered_in_any_order() {
        let mut watch = Watch::default();
        let (a, b) = (begin(&mut watch), begin(&mut watch));
        assert!(answer(&mut watch, b, 1, 2, 2));
        assert!(answer(&mut watch, a, 1, 1, 1));
    }

    #[test]
    fn a_draw_that_begins_later_gets_a_larger_number() {
        let mut watch = Watch::default();
        let a = begin(&mut watch);
        assert!(answer(&mut watch, a, 1, 5, 9));
        for (first, rises) in [(5, false), (9, false), (4, false), (10, true)] {
            let later = begin(&mut watch);
            assert_eq!(answer(&mut watch, later, 1, first, first), rises, "{first}");
        }
    }

    #[test]
    fn epochs_and_counters_rise_by_themselves() {
        let mut watch = Watch::default();
        let a = begin(&mut watch);
        assert!(answer(&mut watch, a, 1, 100, 100));
        let b = begin(&mut watch);
        assert!(answer(&mut watch, b, 2, 50, 50));
    }

    #[test]
    fn a_draw_that_lasts_longer_than_is_remembered_is_not_accused() {
        let mut watch = Watch::default();
        let slow = begin(&mut watch);
        for number in 2..200 {
            let quick = begin(&mut watch);
            assert!(answer(&mut watch, quick, 1, number, number));
        }
        assert!(answer(&mut watch, slow, 1, 1, 1));
        let late = begin(&mut watch);
        assert!(!answer(&mut watch, late, 1, 1, 1));
    }

    #[test]
    fn the_watch_is_bounded() {
        let mut watch = Watch::default();
        for epoch in 0..u32::try_from(MOST_COUNTERS).unwrap() + 1 {
            let draw = begin(&mut watch);
            assert!(answer(&mut watch, draw, epoch, 1, 1));
        }
        assert_eq!(watch.lines.len(), 1);
    }
}
