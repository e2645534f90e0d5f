use super::draw::event;
use super::hold::split;
use super::range::{beyond as beyond_ranges, require_granted};
use super::{Refusal, Snapshot};
use crate::command::{Command, Shift, Shifted, Target};
use crate::counter::{CounterState, CounterStatus, Run};
use crate::event::{Event, EventKind};
use crate::line::Line;
use crate::mark::{Mark, NumberState};
use crate::names::Number;
use crate::time::Timestamp;

impl Snapshot {
    /// Moves a counter. Every number that it jumps over, or gives back, is in the event.
    pub(super) fn shift(
        &mut self,
        command: &Command,
        shift: &Shift,
        now: Timestamp,
    ) -> Result<Shifted, Refusal> {
        let line = &*shift.line;
        let date = match shift.target {
            // A counter may stay where it is in a period that is closed as a whole, but must not be moved.
            Target::Next { .. } | Target::Beyond(_) => line.key().period().last(),
            // An operator's decision: without it numbers would repeat when the period is opened again.
            Target::NewEpoch(_) => None,
        };
        let mut state = match shift.target {
            Target::Next { .. } | Target::Beyond(_) => self.open(line, date)?,
            Target::NewEpoch(_) => self.open_even_if_frozen(line, date)?,
        };
        match shift.target {
            Target::Next { .. } | Target::Beyond(_) => Self::require_unleased(&state)?,
            Target::NewEpoch(_) => {
                state.status = CounterStatus::Open;
                self.lose_all(command, line, &mut state, now);
            }
        }
        let old_next = state.next;
        if let Some((kind, run)) = move_to(&mut state, line, shift.target, now)? {
            let event = Event {
                reason: shift.reason.clone(),
                ..event(kind, &state, line, command, now, run)
            };
            self.mark_jump(line, &event);
            state.chain = self.append(event, state.chain);
            self.put_counter(line.key(), state.clone());
        }
        match shift.target {
            Target::Beyond(last) => self.withdraw(command, shift, &mut state, EventKind::External, last, now),
            // The history that was lost may have given them out.
            Target::NewEpoch(_) => {
                self.withdraw(command, shift, &mut state, EventKind::Recovered, Number::MAX, now);
            }
            Target::Next { .. } => {}
        }
        Ok(Shifted {
            old_next,
            next: state.next,
            generation: state.generation,
            epoch: state.epoch,
            at: now,
        })
    }
}

impl Snapshot {
    /// Offers free numbers up to `last` no more: each run of them gets an event.
    fn withdraw(
        &mut self,
        command: &Command,
        shift: &Shift,
        state: &mut CounterState,
        kind: EventKind,
        last: Number,
        now: Timestamp,
    ) {
        let line = &*shift.line;
        let free: Vec<Mark> = match self.free.get(line.key()) {
            Some(free) if state.free > 0 => free.range(..=last).map(|(_, mark)| mark.clone()).collect(),
            _ => return,
        };
        for mark in free {
            let up_to = (last.get() - mark.run.first.get()) / mark.run.step + 1;
            let Some((run, rest)) = split(&mark, up_to.min(mark.run.count)) else {
                continue;
            };
            if let Some(rest) = rest {
                self.set_mark(line.key(), mark.generation, rest.run.first, Some(rest));
            }
            state.free = state.free.saturating_sub(run.count);
            let event = Event {
                reason: shift.reason.clone(),
                key: None,
                ..event(kind, state, line, command, now, Some(run))
            };
            self.mark_jump(line, &event);
            state.chain = self.append(event, state.chain);
        }
        self.put_counter(line.key(), state.clone());
    }

    /// Marks the numbers that a move jumped over, or unmarks those that it gave back.
    fn mark_jump(&mut self, line: &Line, event: &Event) {
        match event.kind {
            EventKind::External => self.mark_run(line, event, NumberState::External),
            EventKind::Recovered => self.mark_run(line, event, NumberState::Unknown),
            EventKind::Returned => self.unmark(line, event),
            _ => self.mark_run(line, event, NumberState::Skipped),
        }
    }

    /// The numbers of the event lie ahead again: of a run that was skipped across its first one, the part before is
    /// left.
    fn unmark(&mut self, line: &Line, event: &Event) {
        let Some(run) = event.run else { return };
        let marks: Vec<Mark> = self
            .marks_within(line.key(), event.generation, run)
            .into_iter()
            .flatten()
            .cloned()
            .collect();
        for mark in marks {
            let before = run.first.get().saturating_sub(mark.run.first.get()) / mark.run.step;
            let left = (before > 0).then(|| Mark {
                run: Run {
                    count: before,
                    ..mark.run
                },
                ..mark.clone()
            });
            self.set_mark(line.key(), mark.generation, mark.run.first, left);
        }
    }
}

/// What is issued next after a run.
pub(super) fn after(run: Run) -> u64 {
    run.last().get().saturating_add(run.step).min(CounterState::ENDED)
}

type Jump = Option<(EventKind, Option<Run>)>;

fn move_to(state: &mut CounterState, line: &Line, target: Target, now: Timestamp) -> Result<Jump, Refusal> {
    match target {
        Target::Beyond(last_used) => Ok(beyond(state, line, last_used)),
        Target::NewEpoch(margin) => Ok(Some((EventKind::Recovered, new_epoch(state, line, margin, now)))),
        Target::Next {
            number,
            repeats_accepted,
        } => next_is(state, line, number, repeats_accepted),
    }
}

/// Takes every number up to `last_used` as given out elsewhere.
fn beyond(state: &mut CounterState, line: &Line, last_used: Number) -> Jump {
    if last_used.get() < state.next {
        return None;
    }
    let step = line.definition().step();
    let count = (last_used.get() - state.next) / step + 1;
    let run = Run {
        first: Number::new(state.next).ok()?,
        step,
        count,
    };
    state.next = after(run);
    state.last = Some(run.last());
    Some((EventKind::External, Some(run)))
}

fn new_epoch(state: &mut CounterState, line: &Line, margin: u64, now: Timestamp) -> Option<Run> {
    let step = line.definition().step();
    state.epoch += 1;
    let count = if line.ranges().is_empty() {
        margin.min(state.remaining(step, line.max()))
    } else {
        // Behind the largest number of all, less than a step may be left.
        (beyond_ranges(line, state.next, line.day_of(now), margin) - state.next).div_ceil(step)
    };
    let run = Run {
        first: Number::new(state.next).ok()?,
        step,
        count,
    };
    if count == 0 {
        return None;
    }
    state.next = after(run);
    state.last = Some(run.last());
    Some(run)
}

fn next_is(
    state: &mut CounterState,
    line: &Line,
    number: Number,
    repeats_accepted: bool,
) -> Result<Jump, Refusal> {
    let step = line.definition().step();
    require_member(line, number)?;
    require_granted(line, number)?;
    let target = number.get();
    let between = |from: u64, to: u64| {
        Number::new(from).ok().map(|first| Run {
            first,
            step,
            count: (to - from) / step,
        })
    };
    if target == state.next {
        return Ok(None);
    }
    if target > state.next {
        let run = between(state.next, target);
        state.next = target;
        return Ok(Some((EventKind::Skipped, run)));
    }
    match state.last {
        Some(last) if target <= last.get() => {
            if !repeats_accepted {
                return Err(Refusal::WouldRepeat { last });
            }
            if state.reserved > 0 {
                return Err(Refusal::OpenReservations {
                    count: state.reserved,
                });
            }
            state.generation += 1;
            state.next = target;
            state.last = None;
            state.free = 0;
            let start = line.definition().start().get();
            let skipped = if target > start {
                between(start, target)
            } else {
                None
            };
            Ok(Some((EventKind::Restarted, skipped)))
        }
        _ => {
            let run = between(target, state.next);
            state.next = target;
            Ok(Some((EventKind::Returned, run)))
        }
    }
}

pub(super) fn require_member(line: &Line, number: Number) -> Result<(), Refusal> {
    let definition = line.definition();
    let (start, step, max) = (definition.start(), definition.step(), line.max());
    if number >= start && number <= max && (number.get() - start.get()).is_multiple_of(step) {
        return Ok(());
    }
    let second = Number::new(start.get().saturating_add(step)).unwrap_or(Number::MAX);
    Err(Refusal::NotAMember {
        number,
        start,
        second,
        max,
    })
}
