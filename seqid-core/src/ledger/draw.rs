use std::sync::Arc;

use super::hold::split;
use super::range::may_have;
use super::{Found, Refusal, Snapshot, subject};
use crate::chain::Link;
use crate::command::{Act, Command, Draw, Granted};
use crate::counter::{CounterKey, CounterState, CounterStatus, Run, SequenceKey};
use crate::definition::Mode;
use crate::event::{Event, EventKind};
use crate::line::Line;
use crate::mark::{Mark, NumberState};
use crate::names::Number;
use crate::reservation::Hold;
use crate::time::{Date, Timestamp};

/// At how many runs of free numbers a draw looks, where the lowest may be of a range that its document cannot have.
pub(super) const FREE_LOOKED_AT: usize = 64;

impl Snapshot {
    /// Gives out the next numbers of a counter, which opens with its first.
    pub(super) fn draw(
        &mut self,
        command: &Command,
        draw: &Draw,
        now: Timestamp,
    ) -> Result<Granted, Refusal> {
        let line = &*draw.line;
        let mut state = self.open(line, Some(line.date()))?;
        let definition = line.definition();
        // A process may hold numbers beside the store, a history alone: its numbers rise.
        if definition.mode() != Mode::Leased {
            Self::require_unleased(&state)?;
        }
        if definition.chronological() {
            match state.last_date {
                Some(last) if line.date() < last => return Err(Refusal::DateBeforeLast { last }),
                _ => state.last_date = Some(line.date()),
            }
        }
        let count = u64::from(draw.count);
        let run = match self.take_free(line, &mut state, count) {
            Some(run) => run,
            None if !line.ranges().is_empty() => self.take_granted(command, line, &mut state, count, now)?,
            None => step(&mut state, line, count)?,
        };
        let hold = draw.hold.map(|new| Hold::begin(new, now));
        let kind = hold.map_or(EventKind::Issued, |_| EventKind::Reserved);
        let event = Event {
            reference: draw.reference.clone(),
            relates_to: draw.relates_to.clone(),
            hold: hold.map(Box::new),
            ..event(kind, &state, line, command, now, Some(run))
        };
        if let Some(hold) = hold {
            let mark = Mark {
                run,
                generation: state.generation,
                epoch: state.epoch,
                state: NumberState::Reserved,
                hold: Some(hold),
                date: event.date,
                fields: event.fields.clone(),
                reference: event.reference.clone(),
                relates_to: event.relates_to.clone(),
                n: event.n,
            };
            self.begin_hold(line.key(), &mut state, hold, mark);
        }
        let granted = Granted {
            run,
            generation: state.generation,
            epoch: state.epoch,
            n: event.n,
            at: event.at,
            expires_at: hold.map(|hold| hold.expires_at),
        };
        state.chain = self.append(event, state.chain);
        self.put_counter(line.key(), state);
        Ok(granted)
    }

    /// The lowest free numbers that hold all of a draw.
    fn take_free(&mut self, line: &Line, state: &mut CounterState, count: u64) -> Option<Run> {
        if state.free == 0 {
            return None;
        }
        let free = self.free.get(line.key())?;
        let (mark, (run, rest)) = free
            .values()
            .filter(|mark| mark.generation == state.generation)
            .filter_map(|mark| Some((mark, split(mark, count)?)))
            .find(|(_, (run, _))| may_have(line, *run))?;
        let first = mark.run.first;
        self.set_mark(line.key(), state.generation, first, None);
        if let Some(rest) = rest {
            self.set_mark(line.key(), state.generation, rest.run.first, Some(rest));
        }
        state.free = state.free.saturating_sub(count);
        Some(run)
    }

    /// The counter's state as this line may change it; a fresh one when the counter has not opened. The date, if there
    /// is one, must not be closed.
    pub(super) fn open(&self, line: &Line, date: Option<Date>) -> Result<CounterState, Refusal> {
        let state = self.open_even_if_frozen(line, date)?;
        match state.status {
            CounterStatus::Frozen => Err(Refusal::Frozen),
            CounterStatus::Open => Ok(state),
        }
    }

    /// The same for what an operator does.
    pub(super) fn open_even_if_frozen(
        &self,
        line: &Line,
        date: Option<Date>,
    ) -> Result<CounterState, Refusal> {
        let sequence = self.sequence(line.key().sequence())?;
        if let Some(date) = date {
            sequence.require_open(date)?;
        }
        let found = self
            .counters
            .get(line.key())
            .map_or(&Found::Nothing, |slot| &slot.found);
        let opened = match found {
            Found::CaseVariant(existing) => {
                return Err(Refusal::CaseVariant {
                    existing: existing.clone(),
                });
            }
            Found::Counter(state) => state.version,
            Found::Nothing => {
                self.refuse_scope_opened_in_other_case(line)?;
                sequence.head
            }
        };
        if line.head() != sequence.head || line.opened() != opened {
            return Err(Refusal::DefinitionChanged {
                head: sequence.head,
                opened,
            });
        }
        Ok(match found {
            Found::Counter(state) => state.clone(),
            _ => fresh(line),
        })
    }
}

impl Snapshot {
    /// A counter that opened earlier in this transaction is not yet where the store looks for case variants.
    fn refuse_scope_opened_in_other_case(&self, line: &Line) -> Result<(), Refusal> {
        match self.scopes.get(&scope_name(line.key())) {
            Some(scope) if scope != line.key().scope() => Err(Refusal::CaseVariant {
                existing: scope.to_string(),
            }),
            _ => Ok(()),
        }
    }

    /// Remembers the scope of a counter that opens.
    pub(super) fn note_scope(&mut self, key: &CounterKey) {
        if !key.scope().is_empty() {
            self.scopes.insert(scope_name(key), key.scope().clone());
        }
    }
}

/// The name by which scopes that differ by letter case alone are one.
pub(super) fn scope_name(key: &CounterKey) -> (SequenceKey, String) {
    (key.sequence().clone(), key.scope().to_string().to_lowercase())
}

fn fresh(line: &Line) -> CounterState {
    CounterState {
        version: line.opened(),
        generation: 1,
        epoch: 1,
        next: line.definition().start().get(),
        last: None,
        last_date: None,
        status: CounterStatus::Open,
        reserved: 0,
        voided: 0,
        free: 0,
        next_expiry: None,
        leases: 0,
        chain: Link::GENESIS,
    }
}

pub(super) fn step(state: &mut CounterState, line: &Line, count: u64) -> Result<Run, Refusal> {
    let (step, max) = (line.definition().step(), line.max());
    let remaining = state.remaining(step, max);
    if remaining == 0 {
        return Err(Refusal::Exhausted { max });
    }
    if count > remaining {
        return Err(Refusal::DoesNotFit { remaining, max });
    }
    let first = Number::new(state.next).map_err(|_| Refusal::Exhausted { max })?;
    let run = Run { first, step, count };
    state.next = run.last().get().saturating_add(step).min(CounterState::ENDED);
    state.last = Some(run.last());
    Ok(run)
}

/// An event of a counter, the next of its chain.
pub(super) fn event(
    kind: EventKind,
    state: &CounterState,
    line: &Line,
    command: &Command,
    now: Timestamp,
    run: Option<Run>,
) -> Event {
    Event {
        kind,
        subject: subject(line.key()),
        n: state.chain.n + 1,
        generation: state.generation,
        epoch: state.epoch,
        run,
        version: line.opened(),
        mode: line.definition().mode(),
        date: Some(line.date()),
        fields: line.fields().clone(),
        origin: Arc::clone(&command.origin),
        reference: None,
        relates_to: None,
        reason: None,
        key: command.key.clone(),
        hold: None,
        detail: None,
        at: now,
    }
}

/// The order in which commands are decided, when it is not the order in which they came: draws of chronological
/// sequences are sorted by date among the places that they hold.
pub(super) fn in_order_of_dates(commands: &[&Command]) -> Option<Vec<usize>> {
    let places: Vec<usize> = (0..commands.len())
        .filter(|at| date_of(commands[*at]).is_some())
        .collect();
    if places.is_sorted_by_key(|at| date_of(commands[*at])) {
        return None;
    }
    let mut sorted = places.clone();
    sorted.sort_by_key(|at| date_of(commands[*at]));
    let mut order: Vec<usize> = (0..commands.len()).collect();
    for (place, at) in places.into_iter().zip(sorted) {
        order[place] = at;
    }
    Some(order)
}

fn date_of(command: &Command) -> Option<crate::time::Date> {
    match &command.act {
        Act::Draw(draw) if draw.line.definition().chronological() => Some(draw.line.date()),
        _ => None,
    }
}
