//! Holds: how they begin, and the four ways in which they end.
//!
//! A hold that has ended by the clock counts as expired from the first write to its counter after that, whatever
//! that write is. So nothing waits on a timer, and a process that was down expires late and never wrongly.

use std::sync::Arc;

use super::{Refusal, Reservation, Snapshot, subject};
use crate::command::{Command, End, Expired, NewHold, Settle, Settled};
use crate::counter::{CounterKey, CounterState, Run};
use crate::definition::{Mode, OnExpiry};
use crate::event::{Event, EventKind, Origin};
use crate::mark::{Mark, NumberState};
use crate::names::Number;
use crate::reservation::Hold;
use crate::time::{Date, Timestamp};

/// How many holds one write to a counter lets go at most, so that a draw behind many is not held up.
pub(super) const EXPIRED_AT_ONCE: usize = 64;

impl Hold {
    /// The hold that begins now.
    pub(super) fn begin(new: NewHold, now: Timestamp) -> Self {
        Self {
            id: new.id,
            expires_at: now.saturating_add(new.ttl),
            on_expiry: new.on_expiry,
        }
    }
}

impl Snapshot {
    /// Lets go of the holds of a counter that have ended, and tells how many.
    pub(super) fn expire(&mut self, counter: &CounterKey, now: Timestamp) -> u64 {
        let Some(ending) = self.ending.remove(counter) else {
            return 0;
        };
        let Some(mut state) = self.counter_state(counter).cloned() else {
            return 0;
        };
        let mut let_go = 0;
        let complete = ending.len() < EXPIRED_AT_ONCE;
        let mut rest = ending.into_iter();
        let mut earliest_left = None;
        let mut last_ended = None;
        for mark in rest.by_ref() {
            if !mark.is_due(now) {
                earliest_left = mark.hold.map(|hold| hold.expires_at);
                break;
            }
            last_ended = mark.hold.map(|hold| hold.expires_at);
            self.let_go(counter, &mut state, mark, now);
            let_go += 1;
        }
        // Those that began in this transaction and are not stored yet are not among them.
        let begun = self.begun.get(counter).copied();
        let unseen = if complete { None } else { last_ended };
        state.next_expiry = [earliest_left.or(unseen), begun].into_iter().flatten().min();
        self.put_counter(counter, state);
        let_go
    }

    /// What is left of a counter's holds after so many were let go.
    pub(super) fn expired(&self, counter: &CounterKey, holds: u64, now: Timestamp) -> Expired {
        let next = self.counter_state(counter).and_then(|state| state.next_expiry);
        let more = next.is_some_and(|next| next <= now);
        Expired { holds, more }
    }

    fn let_go(&mut self, counter: &CounterKey, state: &mut CounterState, mark: Mark, now: Timestamp) {
        let Some(hold) = mark.hold else { return };
        let event = held_event(EventKind::Expired, counter, state, &mark, Arc::default(), now);
        state.reserved = state.reserved.saturating_sub(mark.run.count);
        // In an earlier epoch it may have been confirmed without this store knowing.
        let current = mark.generation == state.generation && mark.epoch == state.epoch;
        let reused = hold.on_expiry == OnExpiry::Reuse && current;
        let number_state = if reused {
            state.free += mark.run.count;
            NumberState::Free
        } else {
            state.voided += mark.run.count;
            NumberState::Expired
        };
        let mark = Mark {
            state: number_state,
            n: event.n,
            ..mark
        };
        self.end(counter, state, event, hold, Some(mark));
    }

    /// Confirms or voids held numbers.
    pub(super) fn settle(
        &mut self,
        command: &Command,
        settle: &Settle,
        now: Timestamp,
    ) -> Result<Settled, Refusal> {
        let none = Refusal::NoReservation(settle.reservation);
        let mut state = self.counter_state(&settle.counter).cloned().ok_or(none.clone())?;
        let name = (settle.counter.clone(), settle.reservation);
        let mark = match self.reservations.get(&name) {
            Some(Reservation::Held(mark)) => mark.clone(),
            Some(Reservation::Ended(event)) if event.subject.counter() == Some(&settle.counter) => {
                return repeated(settle, event);
            }
            Some(Reservation::Ended(_)) => return Err(none),
            Some(Reservation::Unknown) | None => return Err(none),
        };
        let Some(hold) = mark.hold else { return Err(none) };
        if mark.is_due(now) {
            // More ended than one write lets go, and this one is among the rest.
            self.let_go(&settle.counter, &mut state, mark, now);
            self.put_counter(&settle.counter, state);
            return Err(Refusal::HoldExpired { at: hold.expires_at });
        }
        if let End::Confirm { .. } = settle.end
            && let Some(Some(sequence)) = self.sequences.get(settle.counter.sequence())
            && let Some(date) = mark.date
        {
            sequence.require_open(date)?;
        }
        let mut event = held_event(
            match settle.end {
                End::Confirm { .. } => EventKind::Confirmed,
                End::Void { .. } => EventKind::Voided,
            },
            &settle.counter,
            &state,
            &mark,
            Arc::clone(&command.origin),
            now,
        );
        state.reserved = state.reserved.saturating_sub(mark.run.count);
        let left = match &settle.end {
            End::Confirm { date, reference } => {
                require_date(mark.date, *date)?;
                if reference.is_some() {
                    event.reference.clone_from(reference);
                }
                None
            }
            End::Void { reason } => {
                event.reason = Some(reason.clone());
                state.voided += mark.run.count;
                Some(Mark {
                    state: NumberState::Voided,
                    n: event.n,
                    ..mark
                })
            }
        };
        let ended = self.end(&settle.counter, &mut state, event, hold, left);
        self.put_counter(&settle.counter, state);
        Ok(Settled {
            event: ended,
            repeated: false,
        })
    }

    /// Records the end of a hold, and what is left of its mark.
    fn end(
        &mut self,
        counter: &CounterKey,
        state: &mut CounterState,
        event: Event,
        hold: Hold,
        left: Option<Mark>,
    ) -> Box<Event> {
        let ended = Box::new(event.clone());
        if let Some(run) = event.run {
            self.set_mark(counter, event.generation, run.first, left);
        }
        self.reservations
            .insert((counter.clone(), hold.id), Reservation::Ended(ended.clone()));
        state.chain = self.append(event, state.chain);
        ended
    }

    /// Remembers a hold that begins.
    pub(super) fn begin_hold(
        &mut self,
        counter: &CounterKey,
        state: &mut CounterState,
        hold: Hold,
        mark: Mark,
    ) {
        state.reserved += mark.run.count;
        let ends = hold.expires_at;
        state.next_expiry = Some(state.next_expiry.map_or(ends, |earliest| earliest.min(ends)));
        self.begun
            .entry(counter.clone())
            .and_modify(|earliest| *earliest = ends.min(*earliest))
            .or_insert(ends);
        self.reservations
            .insert((counter.clone(), hold.id), Reservation::Held(mark.clone()));
        self.set_mark(counter, mark.generation, mark.run.first, Some(mark));
    }
}

/// An event that ends a hold: of the numbers, date and fields that it began with.
fn held_event(
    kind: EventKind,
    counter: &CounterKey,
    state: &CounterState,
    mark: &Mark,
    origin: Arc<Origin>,
    now: Timestamp,
) -> Event {
    Event {
        kind,
        subject: subject(counter),
        n: state.chain.n + 1,
        generation: mark.generation,
        epoch: state.epoch,
        run: Some(mark.run),
        version: state.version,
        mode: Mode::Gapless,
        date: mark.date,
        fields: mark.fields.clone(),
        origin,
        reference: mark.reference.clone(),
        relates_to: mark.relates_to.clone(),
        reason: None,
        key: None,
        hold: mark.hold.map(Box::new),
        detail: None,
        at: now,
    }
}

fn require_date(fixed: Option<Date>, date: Option<Date>) -> Result<(), Refusal> {
    match (fixed, date) {
        (Some(fixed), Some(date)) if date != fixed => Err(Refusal::DateChanged { fixed }),
        _ => Ok(()),
    }
}

/// The answer to an end that came before: to the same request the same, to the opposite a refusal.
fn repeated(settle: &Settle, event: &Event) -> Result<Settled, Refusal> {
    let at = event.at;
    let same = match (&settle.end, event.kind) {
        (End::Confirm { date, reference }, EventKind::Confirmed) => {
            require_date(event.date, *date)?;
            reference.is_none() || event.reference == *reference
        }
        (End::Void { reason }, EventKind::Voided) => event.reason.as_ref() == Some(reason),
        _ => false,
    };
    if same {
        return Ok(Settled {
            event: Box::new(event.clone()),
            repeated: true,
        });
    }
    Err(match event.kind {
        EventKind::Confirmed => Refusal::HoldConfirmed { at },
        EventKind::Voided => Refusal::HoldVoided { at },
        // When it ended, and not when a write saw it: the same to everybody who comes too late.
        _ => Refusal::HoldExpired {
            at: event.hold.as_ref().map_or(at, |hold| hold.expires_at),
        },
    })
}

/// The part of a run of free numbers that is taken, and what is left of it.
pub(super) fn split(mark: &Mark, count: u64) -> Option<(Run, Option<Mark>)> {
    let Run {
        first,
        step,
        count: free,
    } = mark.run;
    if free < count {
        return None;
    }
    let taken = Run { first, step, count };
    if free == count {
        return Some((taken, None));
    }
    let first = Number::new(taken.last().get() + step).ok()?;
    let rest = Mark {
        run: Run {
            first,
            step,
            count: free - count,
        },
        ..mark.clone()
    };
    Some((taken, Some(rest)))
}
