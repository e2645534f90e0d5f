use super::draw::event;
use super::range::{range_of, require_granted};
use super::shift::{after, require_member};
use super::{Refusal, Snapshot};
use crate::command::{Command, Void, Voided};
use crate::counter::{CounterState, Run};
use crate::event::{Event, EventKind};
use crate::line::Line;
use crate::mark::NumberState;
use crate::names::Number;
use crate::time::Timestamp;

impl Snapshot {
    /// Declares numbers void: such as were issued, which stay taken, or the next ones, which are jumped over.
    pub(super) fn void(&mut self, command: &Command, void: &Void, now: Timestamp) -> Result<Voided, Refusal> {
        let line = &*void.line;
        let mut state = self.open(line, None)?;
        let run = run_of(line, void)?;
        if void.generation.is_some_and(|meant| meant != state.generation) {
            return Err(not_voidable(run.first, "of another generation"));
        }
        let voided = Voided {
            run,
            generation: state.generation,
            were_issued: run.first.get() < state.next,
            repeated: false,
        };
        if voided.were_issued {
            if self.is_void(line, &state, run) {
                return Ok(Voided {
                    repeated: true,
                    ..voided
                });
            }
            self.require_open_period(line)?;
            self.require_issued(line, &state, run)?;
        } else {
            self.require_open_period(line)?;
            Self::require_unleased(&state)?;
            require_one_range(line, run)?;
            self.go_on_to(command, line, &mut state, run.first, now);
            if run.first.get() != state.next {
                return Err(not_voidable(run.first, "not the next number"));
            }
            state.next = after(run);
            state.last = Some(run.last());
        }
        state.voided += run.count;
        let event = Event {
            reason: Some(void.reason.clone()),
            ..event(EventKind::Voided, &state, line, command, now, Some(run))
        };
        self.mark_run(line, &event, NumberState::Voided);
        state.chain = self.append(event, state.chain);
        self.put_counter(line.key(), state);
        Ok(voided)
    }

    /// Refuses to void numbers of a period that is closed as a whole.
    fn require_open_period(&self, line: &Line) -> Result<(), Refusal> {
        match line.key().period().last() {
            Some(last) => self.sequence(line.key().sequence())?.require_open(last),
            None => Ok(()),
        }
    }

    fn is_void(&self, line: &Line, state: &CounterState, run: Run) -> bool {
        self.marks_within(line.key(), state.generation, run)
            .is_some_and(|mut marks| marks.any(|mark| mark.run == run && mark.state == NumberState::Voided))
    }

    fn require_issued(&self, line: &Line, state: &CounterState, run: Run) -> Result<(), Refusal> {
        if run.last().get() >= state.next {
            let next = Number::new(state.next).unwrap_or(Number::MAX);
            return Err(not_voidable(next, "not issued yet"));
        }
        let marked = self
            .marks_within(line.key(), state.generation, run)
            .and_then(|mut marks| marks.next());
        match marked {
            Some(mark) => Err(not_voidable(mark.run.first.max(run.first), mark.state.as_str())),
            None => Ok(()),
        }
    }
}

fn run_of(line: &Line, void: &Void) -> Result<Run, Refusal> {
    require_member(line, void.first)?;
    let run = Run {
        first: void.first,
        step: line.definition().step(),
        count: void.count,
    };
    let last = u64::from(run.count > 0)
        .checked_mul(run.count.saturating_sub(1))
        .and_then(|steps| steps.checked_mul(run.step))
        .and_then(|distance| distance.checked_add(run.first.get()));
    match last {
        Some(last) if last <= line.max().get() && run.count > 0 => Ok(run),
        _ => Err(Refusal::DoesNotFit {
            remaining: (line.max().get() - run.first.get()) / run.step + 1,
            max: line.max(),
        }),
    }
}

/// Refuses numbers ahead that are not all of one range.
fn require_one_range(line: &Line, run: Run) -> Result<(), Refusal> {
    if line.ranges().is_empty() || range_of(line, run).is_some() {
        return Ok(());
    }
    require_granted(line, run.first)?;
    let mut ranges = line.ranges().iter();
    let range = ranges.find(|range| range.contains(run.first, run.first));
    let max = range.map_or(line.max(), |range| range.last.min(line.max()));
    Err(Refusal::DoesNotFit {
        remaining: (max.get() - run.first.get()) / run.step + 1,
        max,
    })
}

fn not_voidable(number: Number, state: &'static str) -> Refusal {
    Refusal::NotVoidable { number, state }
}
