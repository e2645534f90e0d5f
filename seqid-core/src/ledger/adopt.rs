//! Adopting the numbers of another system: over all counters everything is checked before anything is written.

use std::collections::{HashMap, HashSet};

use super::draw::{event, scope_name};
use super::shift::{after, require_member};
use super::{MarkNeed, Refusal, Snapshot};
use crate::command::{Adopt, AdoptedNumbers, AdoptedRun, Command};
use crate::counter::{CounterState, Run};
use crate::event::{Event, EventKind, Keyed};
use crate::line::Line;
use crate::mark::{Mark, NumberState};
use crate::names::{Number, Reason};
use crate::time::Timestamp;

/// Why numbers between adopted ones are skipped.
pub const NOT_ADOPTED: &str = "not among the adopted ids";

/// What is to be recorded of one counter.
struct Plan<'a> {
    runs: &'a [AdoptedRun],
    steps: Vec<Step<'a>>,
    repeated: u64,
}

/// Numbers that one event is of, and what they were.
struct Step<'a> {
    line: &'a Line,
    run: Run,
    what: What,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum What {
    /// They lie ahead of the counter and are jumped over.
    Gap,
    /// They lie ahead of the counter.
    Ahead,
    /// They were let go before, and are offered again.
    Free,
}

impl Snapshot {
    /// Takes numbers as given out elsewhere, in all counters or in none.
    pub(super) fn adopt(
        &mut self,
        command: &Command,
        adopt: &Adopt,
        now: Timestamp,
    ) -> Result<Vec<AdoptedNumbers>, Refusal> {
        let mut met = HashSet::new();
        let mut scopes = HashMap::new();
        let mut plans = Vec::new();
        for runs in adopt.counters() {
            let counter = runs[0].line.key();
            if !met.insert(counter) {
                return Err(taken(&runs[0].line, runs[0].run.first, "in the list before"));
            }
            let scope = *scopes.entry(scope_name(counter)).or_insert(counter.scope());
            if scope != counter.scope() {
                return Err(Refusal::CaseVariant {
                    existing: scope.to_string(),
                });
            }
            plans.push(self.plan(runs)?);
        }
        let mut key = command.key.clone();
        plans
            .into_iter()
            .map(|plan| self.carry_out(plan, (command, &mut key), &adopt.reason, now))
            .collect()
    }

    /// The marks that adopting needs.
    pub(super) fn add_adopt_needs(&self, adopt: &Adopt, needs: &mut Vec<MarkNeed>) {
        for runs in adopt.counters() {
            let counter = runs[0].line.key();
            let Some(state) = self.counter_state(counter) else {
                continue;
            };
            let generation = state.generation;
            if state.free > 0 {
                needs.push(MarkNeed::Free {
                    counter: counter.clone(),
                    generation,
                    limit: usize::MAX,
                });
            }
            let first = runs[0].run.first.get();
            let last = runs[runs.len() - 1].run.last().get();
            if first < state.next {
                needs.push(MarkNeed::Within {
                    counter: counter.clone(),
                    generation,
                    first,
                    last: last.min(state.next),
                });
            }
        }
    }

    /// What is to be done in one counter; a refusal if anything is in the way.
    fn plan<'a>(&self, runs: &'a [AdoptedRun]) -> Result<Plan<'a>, Refusal> {
        let mut plan = Plan {
            runs,
            steps: Vec::new(),
            repeated: 0,
        };
        let mut next = 0;
        let mut last = None;
        for AdoptedRun { line, run } in runs {
            let state = self.open(line, line.key().period().last())?;
            Self::require_unleased(&state)?;
            require_members(line, *run)?;
            if last.is_some_and(|last| run.first <= last) {
                return Err(taken(line, run.first, "in the list before"));
            }
            last = Some(run.last());
            next = state.next.max(next);
            let before = match state.next.checked_sub(run.first.get()) {
                Some(distance) => distance.div_ceil(run.step).min(run.count),
                None => 0,
            };
            if before > 0 {
                self.plan_behind(
                    line,
                    &state,
                    Run {
                        count: before,
                        ..*run
                    },
                    &mut plan,
                )?;
            }
            let Some(ahead) = without(*run, before) else {
                continue;
            };
            if let Some(run) = between(next, ahead) {
                plan.steps.push(Step {
                    line,
                    run,
                    what: What::Gap,
                });
            }
            next = after(ahead);
            plan.steps.push(Step {
                line,
                run: ahead,
                what: What::Ahead,
            });
        }
        Ok(plan)
    }

    /// Numbers that the counter has passed: those that are external are so already, and free ones can be taken.
    fn plan_behind<'a>(
        &self,
        line: &'a Line,
        state: &CounterState,
        run: Run,
        plan: &mut Plan<'a>,
    ) -> Result<(), Refusal> {
        let mut rest = Some(run);
        let marks = self.marks_within(line.key(), state.generation, run);
        for mark in marks.into_iter().flatten() {
            let Some(left) = rest else { break };
            if mark.run.first > left.first {
                break;
            }
            let count = ((mark.run.last().get() - left.first.get()) / left.step + 1).min(left.count);
            match mark.state {
                NumberState::External => plan.repeated += count,
                NumberState::Free => plan.steps.push(Step {
                    line,
                    run: Run { count, ..left },
                    what: What::Free,
                }),
                other => return Err(taken(line, left.first, other.as_str())),
            }
            rest = without(left, count);
        }
        match rest {
            Some(left) => Err(taken(line, left.first, "issued")),
            None => Ok(()),
        }
    }

    fn carry_out(
        &mut self,
        plan: Plan<'_>,
        (command, key): (&Command, &mut Option<Keyed>),
        reason: &Reason,
        now: Timestamp,
    ) -> Result<AdoptedNumbers, Refusal> {
        let counter = plan.runs[0].line.key();
        let line = &plan.runs[0].line;
        let mut state = self.open(line, line.key().period().last())?;
        let (mut adopted, mut skipped) = (0, 0);
        let changed = !plan.steps.is_empty();
        for Step { line, run, what } in plan.steps {
            let (kind, mark, reason) = match what {
                What::Gap => (
                    EventKind::Skipped,
                    NumberState::Skipped,
                    Reason::new(NOT_ADOPTED).ok(),
                ),
                What::Ahead | What::Free => {
                    (EventKind::External, NumberState::External, Some(reason.clone()))
                }
            };
            match what {
                What::Gap => {
                    state.next = after(run);
                    skipped += run.count;
                }
                What::Ahead => {
                    state.next = after(run);
                    state.last = Some(run.last());
                    adopted += run.count;
                }
                What::Free => {
                    self.cut_free(line, &mut state, run);
                    adopted += run.count;
                }
            }
            let event = Event {
                reason,
                key: key.take(),
                ..event(kind, &state, line, command, now, Some(run))
            };
            self.mark_run(line, &event, mark);
            state.chain = self.append(event, state.chain);
        }
        let next = state.next;
        if changed {
            self.put_counter(counter, state);
        }
        Ok(AdoptedNumbers {
            counter: counter.clone(),
            adopted,
            repeated: plan.repeated,
            skipped,
            next,
        })
    }

    /// Takes a run out of the free one that it is part of: what lies before it and behind it stays free.
    fn cut_free(&mut self, line: &Line, state: &mut CounterState, run: Run) {
        let mark = self
            .marks_within(line.key(), state.generation, run)
            .and_then(|mut marks| marks.next())
            .cloned();
        let Some(mark) = mark else { return };
        let front = (run.first.get() - mark.run.first.get()) / run.step;
        let part = |run| Mark { run, ..mark.clone() };
        if front > 0 {
            let front = part(Run {
                count: front,
                ..mark.run
            });
            self.set_mark(line.key(), state.generation, mark.run.first, Some(front));
        }
        if let Some(behind) = without(mark.run, front + run.count) {
            self.set_mark(line.key(), state.generation, behind.first, Some(part(behind)));
        }
        state.free = state.free.saturating_sub(run.count);
    }
}

/// A run without its first `count` members.
fn without(run: Run, count: u64) -> Option<Run> {
    let left = run.count.checked_sub(count).filter(|left| *left > 0)?;
    let first = Number::new(run.first.get().checked_add(run.step.checked_mul(count)?)?).ok()?;
    Some(Run {
        first,
        count: left,
        ..run
    })
}

/// The numbers from `next` to before a run.
fn between(next: u64, run: Run) -> Option<Run> {
    let count = run.first.get().checked_sub(next)? / run.step;
    let first = Number::new(next).ok()?;
    (count > 0).then_some(Run { first, count, ..run })
}

fn require_members(line: &Line, run: Run) -> Result<(), Refusal> {
    require_member(line, run.first)?;
    if run.step != line.definition().step() || run.count == 0 {
        return Err(taken(line, run.first, "in a run with another step"));
    }
    let remaining = (line.max().get() - run.first.get()) / run.step + 1;
    if run.count > remaining {
        return Err(Refusal::DoesNotFit {
            remaining,
            max: line.max(),
        });
    }
    Ok(())
}

fn taken(line: &Line, number: Number, state: &'static str) -> Refusal {
    Refusal::Taken {
        number,
        period: *line.key().period(),
        state,
    }
}
