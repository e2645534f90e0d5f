//! Leases: numbers that a holder outside of the store gives out, reports, and returns.
//!
//! A lease moves its counter as a draw does, and marks its numbers `pending`. What is reported loses the mark; what a lost
//! holder had left becomes `unknown`, and may be reported still. While a lease is open nothing changes what its holder relies
//! on: moves of the counter, definitions and closed dates wait until it has ended.

use super::draw::{event, step};
use super::hold::split;
use super::shift::after;
use super::{Refusal, Snapshot};
use crate::command::{Command, EndLease, ExtendLease, Freeze, Granted, LeaseEnd, Report, TakeLease};
use crate::counter::{CounterKey, CounterState, CounterStatus, Run};
use crate::definition::Mode;
use crate::event::{Event, EventKind};
use crate::lease::{Holder, Lease, LeaseId, LeaseState};
use crate::line::Line;
use crate::mark::{Mark, NumberState};
use crate::names::{Number, Reason};
use crate::time::Timestamp;

/// Why numbers behind the ones that a holder issued are skipped.
const NOT_NEEDED: &str = "the holder of the lease did not need it";
/// Why the number of a call that came twice is void.
const SUPERSEDED: &str = "superseded by key";

/// A lease that has changed, to be written.
#[derive(Debug, Clone)]
pub struct LeaseChange {
    /// The counter.
    pub counter: CounterKey,
    /// What there is of the lease now.
    pub lease: Lease,
}

impl Snapshot {
    /// Puts in leases of a counter: those that are open, and the others that were [asked for](super::MarkNeed::Leases).
    pub fn load_leases(&mut self, counter: CounterKey, leases: Vec<Lease>) {
        let known = self.leases.entry(counter).or_default();
        for lease in leases {
            // What this transaction decided is newer.
            if !known.iter().any(|other| other.id == lease.id) {
                known.push(lease);
            }
        }
    }

    fn lease(&self, counter: &CounterKey, id: LeaseId) -> Result<Lease, Refusal> {
        let leases = self.leases.get(counter).into_iter().flatten();
        let mut named = leases.filter(|lease| lease.id == id);
        named.next().cloned().ok_or(Refusal::NoLease(id))
    }

    fn put_lease(&mut self, counter: &CounterKey, lease: Lease) {
        let known = self.leases.entry(counter.clone()).or_default();
        known.retain(|other| other.id != lease.id);
        known.push(lease.clone());
        self.changes.leases.push(LeaseChange {
            counter: counter.clone(),
            lease,
        });
    }

    /// Refuses what a holder must not be surprised by.
    pub(super) fn require_unleased(state: &CounterState) -> Result<(), Refusal> {
        match state.leases {
            0 => Ok(()),
            count => Err(Refusal::OpenLeases { count: count.into() }),
        }
    }

    /// Puts the next numbers of a counter into the hands of a holder.
    pub(super) fn take_lease(
        &mut self,
        command: &Command,
        take: &TakeLease,
        now: Timestamp,
    ) -> Result<Lease, Refusal> {
        let line = &*take.line;
        if let Ok(lease) = self.lease(line.key(), take.id) {
            return if lease.holder == take.holder {
                Ok(lease)
            } else {
                Err(Refusal::LeaseTaken(take.id))
            };
        }
        require_leasable(line, &take.holder)?;
        let mut state = self.open(line, Some(line.date()))?;
        self.require_newest_history(line.key(), take, state.generation)?;
        // Nothing may be left for it: then the lease before stays as it is.
        let remaining = state.remaining(line.definition().step(), line.max());
        if remaining == 0 {
            return Err(Refusal::Exhausted { max: line.max() });
        }
        if let Some(before) = &take.replaces {
            let lost = self.lease(line.key(), before.id)?;
            self.lose(command, line, &mut state, lost, now);
        }
        state.epoch += 1;
        let run = step(&mut state, line, take.count.clamp(1, remaining))?;
        let lease = Lease {
            id: take.id,
            holder: take.holder.clone(),
            generation: state.generation,
            epoch: state.epoch,
            run: Some(run),
            state: LeaseState::Open,
        };
        state.leases += 1;
        let event = leased(command, line, &state, &lease, run, now);
        self.mark_run(line, &event, NumberState::Pending);
        state.chain = self.append(event, state.chain);
        self.put_lease(line.key(), lease.clone());
        self.put_counter(line.key(), state);
        Ok(lease)
    }

    /// Histories hold a counter's numbers one at a time, and each takes over from the one before. One that has lost numbers goes
    /// on as long as none has had numbers since. Else it comes back only if its cluster has chosen it anew: two that take turns
    /// would use up numbers for ever.
    fn require_newest_history(
        &self,
        counter: &CounterKey,
        take: &TakeLease,
        generation: u32,
    ) -> Result<(), Refusal> {
        let Holder::History { name, topology } = &take.holder else {
            return Ok(());
        };
        let leases = || self.leases.get(counter).into_iter().flatten();
        let open = leases().find(|lease| lease.state == LeaseState::Open);
        if open.map(|lease| lease.id) != take.replaces.as_ref().map(|lease| lease.id) {
            return Err(Refusal::LeaseChanged {
                current: open.cloned().map(Box::new),
            });
        }
        // Where nobody holds anything, the next one may be of another cluster.
        let of_cluster = leases().filter(|lease| match lease.state {
            LeaseState::Open => true,
            LeaseState::Lost => lease.holder.name() == name,
            LeaseState::Closed => false,
        });
        let known = of_cluster.filter_map(|lease| lease.holder.topology()).max();
        if let Some(known) = known.filter(|known| topology < known) {
            return Err(Refusal::OldTopology { known });
        }
        let with_numbers = leases().filter(|lease| lease.generation == generation && lease.run.is_some());
        let followed = with_numbers
            .max_by_key(|lease| lease.epoch)
            .is_some_and(|newest| {
                newest.holder.name() != name && newest.holder.topology() >= Some(*topology)
            });
        let lost = |lease: &Lease| lease.state == LeaseState::Lost && lease.holder.name() == name;
        if followed && leases().any(lost) {
            return Err(Refusal::HistoryGone { name: name.clone() });
        }
        Ok(())
    }

    /// Puts the numbers behind a lease into the same hands.
    pub(super) fn extend_lease(
        &mut self,
        command: &Command,
        extend: &ExtendLease,
        now: Timestamp,
    ) -> Result<Lease, Refusal> {
        let line = &*extend.line;
        let mut state = self.open(line, Some(line.date()))?;
        let mut lease = self.lease(line.key(), extend.id)?;
        let (LeaseState::Open, Some(run)) = (lease.state, lease.run) else {
            return Err(Refusal::LeaseEnded(lease.id));
        };
        if run.last() != extend.last {
            return Ok(lease);
        }
        if after(run) != state.next {
            return Err(Refusal::LeaseBuried(lease.id));
        }
        let remaining = state.remaining(line.definition().step(), line.max());
        if remaining == 0 {
            return Err(Refusal::Exhausted { max: line.max() });
        }
        let more = step(&mut state, line, extend.count.clamp(1, remaining))?;
        lease.run = Some(Run {
            count: run.count + more.count,
            ..run
        });
        let event = leased(command, line, &state, &lease, more, now);
        match self.pending_up_to(line, &lease, run.last()) {
            // One mark for all that a holder has, so that what it issues is of one.
            Some(mark) => {
                let count = mark.run.count + more.count;
                let run = Run { count, ..mark.run };
                self.set_mark(line.key(), mark.generation, run.first, Some(Mark { run, ..mark }));
            }
            None => self.mark_run(line, &event, NumberState::Pending),
        }
        state.chain = self.append(event, state.chain);
        self.put_lease(line.key(), lease.clone());
        self.put_counter(line.key(), state);
        Ok(lease)
    }

    fn pending_up_to(&self, line: &Line, lease: &Lease, last: Number) -> Option<Mark> {
        let run = Run {
            first: last,
            step: line.definition().step(),
            count: 1,
        };
        let mark = self.left_of(line, lease, run)?;
        (mark.run.last() == last).then_some(mark)
    }

    /// The mark of numbers that their holder has not reported and that have all of a run.
    fn left_of(&self, line: &Line, lease: &Lease, run: Run) -> Option<Mark> {
        let mut marks = self.marks_within(line.key(), lease.generation, run)?;
        let mark = marks.find(|mark| mark.run.first <= run.first && run.last() <= mark.run.last())?;
        let left = matches!(mark.state, NumberState::Pending | NumberState::Unknown);
        (left && mark.epoch == lease.epoch).then(|| mark.clone())
    }

    /// Records what a holder issued.
    pub(super) fn report(
        &mut self,
        command: &Command,
        report: &Report,
        now: Timestamp,
    ) -> Result<Granted, Refusal> {
        let line = &*report.line;
        let mut state = self.open(line, None)?;
        let lease = self.lease(line.key(), report.lease)?;
        let Some(mark) = self.left_of(line, &lease, report.run) else {
            return Err(Refusal::NotPending {
                number: report.run.first,
            });
        };
        let superseded = command.key.as_ref().is_some_and(|keyed| {
            let earlier = self.keys.get(&keyed.name());
            earlier.is_some_and(Option::is_some)
        });
        let kind = if superseded {
            EventKind::Voided
        } else {
            EventKind::Reported
        };
        let event = Event {
            generation: lease.generation,
            epoch: lease.epoch,
            reference: report.reference.clone(),
            relates_to: report.relates_to.clone(),
            key: command.key.clone().filter(|_| !superseded),
            reason: superseded.then(|| Reason::new(SUPERSEDED).ok()).flatten(),
            at: if superseded { now } else { report.at },
            ..event(kind, &state, line, command, now, Some(report.run))
        };
        self.cut(line.key(), &mark, report.run);
        if superseded {
            state.voided += report.run.count;
            self.mark_run(line, &event, NumberState::Voided);
        }
        let granted = Granted {
            run: report.run,
            generation: lease.generation,
            epoch: lease.epoch,
            n: event.n,
            at: event.at,
            expires_at: None,
        };
        state.chain = self.append(event, state.chain);
        self.put_counter(line.key(), state);
        Ok(granted)
    }

    /// Takes a run out of the middle of a mark.
    fn cut(&mut self, counter: &CounterKey, mark: &Mark, run: Run) {
        let front = (run.first.get() - mark.run.first.get()) / mark.run.step;
        let left = (front > 0).then(|| Mark {
            run: Run {
                count: front,
                ..mark.run
            },
            ..mark.clone()
        });
        self.set_mark(counter, mark.generation, mark.run.first, left);
        if let Some((_, Some(rest))) = split(mark, front + run.count) {
            self.set_mark(counter, mark.generation, rest.run.first, Some(rest));
        }
    }

    /// Ends a lease.
    pub(super) fn end_lease(
        &mut self,
        command: &Command,
        end: &EndLease,
        now: Timestamp,
    ) -> Result<Lease, Refusal> {
        let line = &*end.line;
        let lease = self.lease(line.key(), end.lease.id)?;
        let mut state = self.open(line, None)?;
        let ended = match (end.end, lease.state) {
            (_, LeaseState::Closed) | (LeaseEnd::Lost, LeaseState::Lost) => return Ok(lease),
            (LeaseEnd::Lost, LeaseState::Open) => self.lose(command, line, &mut state, lease, now),
            (LeaseEnd::Unused { from }, LeaseState::Open | LeaseState::Lost) => {
                if lease.run != end.lease.run {
                    return Err(Refusal::LeaseChanged {
                        current: Some(Box::new(lease)),
                    });
                }
                self.give_back(command, line, (&mut state, lease), from, now)?
            }
        };
        self.put_counter(line.key(), state);
        Ok(ended)
    }

    /// Nobody listens to the holder any more: what it has not reported is unknown.
    fn lose(
        &mut self,
        command: &Command,
        line: &Line,
        state: &mut CounterState,
        mut lease: Lease,
        now: Timestamp,
    ) -> Lease {
        state.leases = state.leases.saturating_sub(1);
        lease.state = LeaseState::Lost;
        let event = Event {
            generation: lease.generation,
            epoch: lease.epoch,
            detail: Some(lease.to_json().into()),
            key: None,
            ..event(EventKind::Lost, state, line, command, now, lease.run)
        };
        let marks = lease
            .run
            .and_then(|run| self.marks_within(line.key(), lease.generation, run));
        let pending = |mark: &&Mark| mark.state == NumberState::Pending && mark.epoch == lease.epoch;
        let left: Vec<Mark> = marks.into_iter().flatten().filter(pending).cloned().collect();
        for mark in left {
            let unknown = Mark {
                state: NumberState::Unknown,
                n: event.n,
                ..mark
            };
            self.set_mark(line.key(), unknown.generation, unknown.run.first, Some(unknown));
        }
        state.chain = self.append(event, state.chain);
        self.put_lease(line.key(), lease.clone());
        lease
    }

    /// Loses every open lease: an operator accepted a store that had gone back in time.
    pub(super) fn lose_all(
        &mut self,
        command: &Command,
        line: &Line,
        state: &mut CounterState,
        now: Timestamp,
    ) {
        let leases = self.leases.get(line.key()).into_iter().flatten();
        let open: Vec<Lease> = leases
            .filter(|lease| lease.state == LeaseState::Open)
            .cloned()
            .collect();
        for lease in open {
            self.lose(command, line, state, lease, now);
        }
    }

    /// Takes back the numbers of a lease from one on.
    fn give_back(
        &mut self,
        command: &Command,
        line: &Line,
        (state, mut lease): (&mut CounterState, Lease),
        from: u64,
        now: Timestamp,
    ) -> Result<Lease, Refusal> {
        let Some(run) = lease.run else {
            return Err(Refusal::LeaseEnded(lease.id));
        };
        let tail = tail(run, from)?;
        if let Some(tail) = tail {
            let Some(mark) = self.left_of(line, &lease, tail) else {
                return Err(Refusal::NotPending { number: tail.first });
            };
            self.cut(line.key(), &mark, tail);
        }
        if lease.state == LeaseState::Open {
            state.leases = state.leases.saturating_sub(1);
        }
        lease.state = LeaseState::Closed;
        let on_top = after(run) == state.next && state.generation == lease.generation;
        if on_top {
            lease.run = before(run, from);
        }
        let kind = match tail {
            Some(_) if !on_top => EventKind::Skipped,
            _ => EventKind::Returned,
        };
        let event = Event {
            generation: lease.generation,
            epoch: lease.epoch,
            detail: Some(lease.to_json().into()),
            reason: Reason::new(NOT_NEEDED).ok().filter(|_| tail.is_some()),
            ..event(kind, state, line, command, now, tail)
        };
        if tail.is_some() && on_top {
            state.next = from;
            state.last = predecessor(line, from);
        } else if tail.is_some() {
            self.mark_run(line, &event, NumberState::Skipped);
        }
        state.chain = self.append(event, state.chain);
        self.put_lease(line.key(), lease.clone());
        Ok(lease)
    }

    /// Lets a counter give no numbers any more.
    pub(super) fn freeze(
        &mut self,
        command: &Command,
        freeze: &Freeze,
        now: Timestamp,
    ) -> Result<(), Refusal> {
        let line = &*freeze.line;
        let mut state = match self.open(line, None) {
            Err(Refusal::Frozen) => return Ok(()),
            other => other?,
        };
        let event = Event {
            reason: Some(freeze.reason.clone()),
            ..event(EventKind::Frozen, &state, line, command, now, None)
        };
        state.status = CounterStatus::Frozen;
        state.chain = self.append(event, state.chain);
        self.put_counter(line.key(), state);
        Ok(())
    }
}

/// Numbers are leased where the sequence's mode says that they may be, and in one range.
fn require_leasable(line: &Line, holder: &Holder) -> Result<(), Refusal> {
    let mode = line.definition().mode();
    let fits = match holder {
        Holder::Process(_) => mode == Mode::Leased,
        Holder::History { .. } => mode == Mode::Ordered,
    };
    if fits && line.ranges().is_empty() && !line.definition().chronological() {
        Ok(())
    } else {
        Err(Refusal::NotLeasable { mode })
    }
}

fn leased(
    command: &Command,
    line: &Line,
    state: &CounterState,
    lease: &Lease,
    run: Run,
    now: Timestamp,
) -> Event {
    Event {
        epoch: lease.epoch,
        detail: Some(lease.to_json().into()),
        ..event(EventKind::Leased, state, line, command, now, Some(run))
    }
}

/// The members of a run from one on; `None` if that is the number behind the last.
fn tail(run: Run, from: u64) -> Result<Option<Run>, Refusal> {
    if from == after(run) {
        return Ok(None);
    }
    let first = Number::new(from).map_err(|_| Refusal::NotPending { number: run.last() })?;
    let outside = first < run.first || first > run.last();
    if outside || !(from - run.first.get()).is_multiple_of(run.step) {
        return Err(Refusal::NotPending { number: first });
    }
    let count = (run.last().get() - from) / run.step + 1;
    Ok(Some(Run { first, count, ..run }))
}

/// The members of a run before one.
fn before(run: Run, from: u64) -> Option<Run> {
    let count = ((from - run.first.get()) / run.step).min(run.count);
    (count > 0).then_some(Run { count, ..run })
}

/// The largest number before one that a counter has come back to.
fn predecessor(line: &Line, next: u64) -> Option<Number> {
    let definition = line.definition();
    let before = next.checked_sub(definition.step())?;
    (before >= definition.start().get())
        .then(|| Number::new(before).ok())
        .flatten()
}
