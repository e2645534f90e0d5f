//! Which range a counter draws from. It goes from one range to the next and never back: when a range is used up, or when
//! it ended by its date and another follows. The numbers between two ranges, and what is left of a range that ended, are
//! skipped. The last range stays, whatever its date, unless the sequence has a successor to go on.

use super::draw::event;
use super::{Refusal, Snapshot};
use crate::command::Command;
use crate::counter::{CounterState, Run};
use crate::definition::NumberRange;
use crate::event::{Event, EventKind};
use crate::line::Line;
use crate::mark::NumberState;
use crate::names::{Number, Reason};
use crate::time::{Date, Timestamp};

/// How many days before the end of the last range draws begin to warn.
const DAYS_TO_APPLY: i32 = 30;

/// Where a counter with ranges goes on.
pub(crate) struct Place {
    /// What lies before it and was not given out, with the reason.
    skipped: Vec<(Run, String)>,
    /// The next number.
    pub(crate) next: Number,
    /// The range that it is of.
    range: NumberRange,
    /// How many numbers are left in the range.
    remaining: u64,
    /// How many are left in it and in those behind it, unless they have ended.
    pub(crate) left: u64,
}

/// Where a counter that stands at `next` goes on; `None` behind the last range.
pub(crate) fn place(line: &Line, next: u64, today: Date) -> Option<Place> {
    let mut skipped = Vec::new();
    let mut at = next;
    let mut ahead = ahead(line, next).peekable();
    while let Some((range, run)) = ahead.next() {
        skipped.extend(between(line, at, run.first.get()).map(|run| (run, "not granted".to_owned())));
        if let Some(until) = range.valid_until.filter(|until| *until < today)
            && (ahead.peek().is_some() || line.has_successor())
        {
            skipped.push((run, format!("range {range} ended on {until}")));
            at = run.next();
            continue;
        }
        let of_range = |(range, run): &(NumberRange, Run)| if range.has_ended(today) { 0 } else { run.count };
        return Some(Place {
            skipped,
            next: run.first,
            range,
            remaining: run.count,
            left: of_range(&(range, run)) + ahead.map(|later| of_range(&later)).sum::<u64>(),
        });
    }
    None
}

/// What a counter gives out after `margin` numbers more than another history of it may have given out until today.
pub(super) fn beyond(line: &Line, next: u64, today: Date, margin: u64) -> u64 {
    // Where all ranges have ended and a successor goes on, a clock that is set back leads back into them.
    let (mut left, mut behind) = (
        margin,
        place(line, next, today).map_or(next, |place| place.next.get()),
    );
    let mut ahead = ahead(line, behind).peekable();
    while let Some((range, run)) = ahead.next()
        && left > 0
    {
        // It may have been jumped over.
        if range.has_ended(today) && ahead.peek().is_some() {
            continue;
        }
        let count = run.count.min(left);
        behind = Run { count, ..run }.next();
        left -= count;
    }
    behind
}

/// The ranges that have numbers of the counter at `next` or behind it, with these numbers.
fn ahead(line: &Line, next: u64) -> impl Iterator<Item = (NumberRange, Run)> {
    let (step, max) = (line.definition().step(), line.max());
    line.ranges().iter().filter_map(move |range| {
        let distance = range.first.get().saturating_sub(next).div_ceil(step);
        let first = next.checked_add(distance.checked_mul(step)?)?;
        let count = range.last.min(max).get().checked_sub(first)? / step + 1;
        let first = Number::new(first).ok()?;
        Some((*range, Run { first, step, count }))
    })
}

/// The numbers from `first` up to before `next`.
fn between(line: &Line, first: u64, next: u64) -> Option<Run> {
    let step = line.definition().step();
    let count = next.checked_sub(first)? / step;
    let first = Number::new(first).ok()?;
    (count > 0).then_some(Run { first, step, count })
}

/// The range that all numbers of a run are of.
pub(crate) fn range_of(line: &Line, run: Run) -> Option<&NumberRange> {
    let mut ranges = line.ranges().iter();
    ranges.find(|range| range.contains(run.first, run.last()))
}

/// Whether a document of the line's date may have these numbers.
pub(crate) fn may_have(line: &Line, run: Run) -> bool {
    line.ranges().is_empty() || range_of(line, run).is_some_and(|range| range.is_valid_on(line.date()))
}

/// Refuses a number that is in no range.
pub(super) fn require_granted(line: &Line, number: Number) -> Result<(), Refusal> {
    let granted = line.ranges().iter().any(|range| range.contains(number, number));
    if granted || line.ranges().is_empty() {
        return Ok(());
    }
    Err(Refusal::NotGranted { number })
}

/// Whether the range of a run is the last, and ends so soon after the document date that another should be applied for.
pub(crate) fn ends_soon(line: &Line, run: Run) -> bool {
    let last = line
        .ranges()
        .last()
        .filter(|range| range.contains(run.first, run.last()));
    last.and_then(|range| range.valid_until)
        .is_some_and(|until| until.days_since_epoch() - line.date().days_since_epoch() <= DAYS_TO_APPLY)
}

impl Snapshot {
    /// The next numbers of a counter with ranges, all of one range that is valid on the document date.
    pub(super) fn take_granted(
        &mut self,
        command: &Command,
        line: &Line,
        state: &mut CounterState,
        count: u64,
        now: Timestamp,
    ) -> Result<Run, Refusal> {
        let max = line
            .ranges()
            .last()
            .map_or(line.max(), |range| range.last.min(line.max()));
        let place = place(line, state.next, line.day_of(now)).ok_or(Refusal::Exhausted { max })?;
        if !place.range.is_valid_on(line.date()) {
            return Err(Refusal::RangeExpired {
                range: place.range,
                date: line.date(),
            });
        }
        if count > place.remaining {
            return Err(Refusal::DoesNotFit {
                remaining: place.remaining,
                max: place.range.last,
            });
        }
        let run = Run {
            first: place.next,
            step: line.definition().step(),
            count,
        };
        self.skip(command, line, state, place.skipped, now);
        state.next = run.next();
        state.last = Some(run.last());
        Ok(run)
    }

    /// Jumps to a number if it is where the counter goes on.
    pub(super) fn go_on_to(
        &mut self,
        command: &Command,
        line: &Line,
        state: &mut CounterState,
        number: Number,
        now: Timestamp,
    ) {
        if let Some(place) = place(line, state.next, line.day_of(now)).filter(|place| place.next == number) {
            self.skip(command, line, state, place.skipped, now);
        }
    }

    /// Jumps over numbers: each run has an event of its own, before that of the command.
    fn skip(
        &mut self,
        command: &Command,
        line: &Line,
        state: &mut CounterState,
        skipped: Vec<(Run, String)>,
        now: Timestamp,
    ) {
        for (run, reason) in skipped {
            let event = Event {
                reason: Reason::new(&reason).ok(),
                key: None,
                ..event(EventKind::Skipped, state, line, command, now, Some(run))
            };
            self.mark_run(line, &event, NumberState::Skipped);
            state.next = run.next();
            state.chain = self.append(event, state.chain);
            self.put_counter(line.key(), state.clone());
        }
    }
}
