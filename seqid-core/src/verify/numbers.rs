//! What an event makes of a counter, and whether it could: the ledger's rules, told from the events alone.

use std::collections::BTreeMap;
use std::fmt::Display;

use super::report::{FaultKind, Wrong, require};
use crate::chain::Link;
use crate::counter::{CounterKey, CounterState, CounterStatus, Run};
use crate::definition::{Definition, NumberRange, OnExpiry};
use crate::event::{Event, EventKind};
use crate::lease::LeaseState;
use crate::names::Number;
use crate::period::Period;
use crate::reservation::Hold;

/// A counter as the events leave it.
#[derive(Debug, Clone)]
pub(super) struct Counter {
    pub(super) state: CounterState,
    /// The runs that are held, and those that were let go and are offered again, by their first numbers. No two of
    /// them have a number in common.
    open: BTreeMap<u64, Open>,
    /// The leases that numbers may still be reported of, by their epochs.
    leases: BTreeMap<u32, Leased>,
    /// The runs of leases that were not reported, by their first numbers, each with its lease's epoch.
    pending: BTreeMap<u64, (Run, u32)>,
}

#[derive(Debug, Clone, Copy)]
struct Leased {
    run: Run,
    state: LeaseState,
}

#[derive(Debug, Clone, Copy)]
struct Open {
    run: Run,
    /// None of numbers that are offered again.
    hold: Option<Hold>,
    /// The counter's epoch when the hold began.
    epoch: u32,
}

/// A counter that opens with an event.
pub(super) fn opened(key: &CounterKey, event: &Event, definition: &Definition) -> Result<Counter, Wrong> {
    if let Some(date) = event.date {
        let text =
            |period: &Period| format!("{period} ({} to {})", text(period.first()), text(period.last()));
        let period = definition.calendar().period(date);
        require(
            FaultKind::Numbers,
            "the period of the date",
            &text(&period),
            &text(key.period()),
        )?;
    }
    let state = CounterState {
        version: event.version,
        generation: 1,
        epoch: 1,
        next: definition.start().get(),
        last: None,
        last_date: None,
        status: CounterStatus::Open,
        reserved: 0,
        voided: 0,
        free: 0,
        next_expiry: None,
        leases: 0,
        chain: Link::GENESIS,
    };
    Ok(Counter {
        state,
        open: BTreeMap::new(),
        leases: BTreeMap::new(),
        pending: BTreeMap::new(),
    })
}

impl Counter {
    /// Follows an event of a counter that opened with `definition`, may go up to `max`, and gives out numbers of the
    /// `ranges` alone if there are any. Of no use after an error.
    pub(super) fn follow(
        &mut self,
        event: &Event,
        definition: &Definition,
        max: Number,
        ranges: &[NumberRange],
    ) -> Result<(), Wrong> {
        let of_lease = self.is_of_lease(event);
        belongs(&self.state, event, definition, of_lease)?;
        self.granted(event, ranges)?;
        let state = CounterState {
            generation: event.generation,
            epoch: event.epoch.max(self.state.epoch),
            ..self.state.clone()
        };
        if of_lease {
            self.state = self.follow_lease(state, event, definition, max)?;
            return Ok(());
        }
        self.state = match event.kind {
            EventKind::Issued => dated(self.drawn(&state, required(event)?, max)?, event, definition)?,
            EventKind::Reserved => {
                let (run, hold) = (required(event)?, held(event)?);
                let state = dated(self.drawn(&state, run, max)?, event, definition)?;
                self.open.insert(
                    run.first.get(),
                    Open {
                        run,
                        hold: Some(hold),
                        epoch: event.epoch,
                    },
                );
                CounterState {
                    reserved: state.reserved.saturating_add(run.count),
                    ..state
                }
            }
            EventKind::Confirmed => self.ended(state, required(event)?, held(event)?, event)?,
            EventKind::Expired => {
                let (run, hold) = (required(event)?, held(event)?);
                let began = self.open.get(&run.first.get()).map(|open| open.epoch);
                let state = self.ended(state, run, hold, event)?;
                if hold.on_expiry == OnExpiry::Reuse && began == Some(event.epoch) {
                    let epoch = event.epoch;
                    self.open.insert(
                        run.first.get(),
                        Open {
                            run,
                            hold: None,
                            epoch,
                        },
                    );
                    CounterState {
                        free: state.free.saturating_add(run.count),
                        ..state
                    }
                } else {
                    voided(state, run)
                }
            }
            EventKind::Voided => {
                let run = required(event)?;
                let state = match event.hold.as_deref() {
                    Some(hold) => self.ended(state, run, *hold, event)?,
                    None if run.first.get() < state.next => {
                        self.taken(&state, run, definition)?;
                        state
                    }
                    None => given(&state, run, Some(max))?,
                };
                voided(state, run)
            }
            EventKind::External => {
                let run = required(event)?;
                self.split_free(run.first);
                match self.withdrawn(&state, run)? {
                    Some(state) => state,
                    None => given(&state, run, None)?,
                }
            }
            EventKind::Recovered => match event.run {
                Some(run) => self.drawn(&state, run, max)?,
                None => state,
            },
            EventKind::Skipped => {
                let CounterState { next, .. } = given(&state, required(event)?, Some(max))?;
                CounterState { next, ..state }
            }
            EventKind::Returned => returned(&state, required(event)?, definition)?,
            EventKind::Restarted => {
                number("the count of held numbers", 0, state.reserved)?;
                number("the count of open leases", 0, state.leases)?;
                self.open.clear();
                self.leases.clear();
                self.pending.clear();
                restarted(&CounterState { free: 0, ..state }, event.run, definition)?
            }
            EventKind::Frozen => state,
            EventKind::Leased | EventKind::Reported | EventKind::Lost => {
                return Err(wrong("an event of a lease", event.kind.as_str()));
            }
            EventKind::Defined | EventKind::Archived | EventKind::Closed | EventKind::Reopened => {
                return Err(wrong("a kind of event that counters have", event.kind.as_str()));
            }
        };
        Ok(())
    }

    /// Whether an event is about a lease.
    fn is_of_lease(&self, event: &Event) -> bool {
        match event.kind {
            EventKind::Leased | EventKind::Reported | EventKind::Lost => true,
            EventKind::Returned | EventKind::Skipped => event.detail.is_some(),
            // The number of a call that came twice.
            EventKind::Voided => event.run.is_some_and(|run| self.pending_with(run).is_some()),
            _ => false,
        }
    }

    fn pending_with(&self, run: Run) -> Option<(Run, u32)> {
        let (_, (pending, epoch)) = self.pending.range(..=run.first.get()).next_back()?;
        (run.last() <= pending.last()).then_some((*pending, *epoch))
    }

    /// Follows an event of a lease, which its epoch names.
    fn follow_lease(
        &mut self,
        state: CounterState,
        event: &Event,
        definition: &Definition,
        max: Number,
    ) -> Result<CounterState, Wrong> {
        if event.kind == EventKind::Leased {
            let run = required(event)?;
            let state = given(&state, run, Some(max))?;
            return self.leased(state, event.epoch, run);
        }
        let Some(lease) = self.leases.get(&event.epoch).copied() else {
            return Err(wrong("the epoch of a lease", &event.epoch.to_string()));
        };
        let mut state = state;
        match event.kind {
            EventKind::Reported => self.reported(required(event)?, event.epoch)?,
            EventKind::Voided => {
                let run = required(event)?;
                self.reported(run, event.epoch)?;
                state = voided(state, run);
            }
            EventKind::Lost if lease.state == LeaseState::Open => {
                state.leases = state.leases.saturating_sub(1);
                self.end(event.epoch, lease, LeaseState::Lost);
            }
            EventKind::Returned | EventKind::Skipped if lease.state != LeaseState::Closed => {
                if lease.state == LeaseState::Open {
                    state.leases = state.leases.saturating_sub(1);
                }
                self.end(event.epoch, lease, LeaseState::Closed);
                if let Some(tail) = event.run {
                    number("the last number", lease.run.last(), tail.last())?;
                    self.reported(tail, event.epoch)?;
                    let on_top = behind(tail) == state.next;
                    if on_top != (event.kind == EventKind::Returned) {
                        return Err(wrong(
                            "numbers that lie ahead again, or are skipped",
                            &describe(tail),
                        ));
                    }
                    if on_top {
                        state.next = tail.first.get();
                        state.last = predecessor(tail.first, definition);
                    }
                }
            }
            other => return Err(wrong("an event of a lease that is open", other.as_str())),
        }
        Ok(state)
    }

    fn end(&mut self, epoch: u32, lease: Leased, state: LeaseState) {
        self.leases.insert(epoch, Leased { state, ..lease });
    }

    fn leased(&mut self, mut state: CounterState, epoch: u32, run: Run) -> Result<CounterState, Wrong> {
        match self.leases.get(&epoch).copied() {
            None => {
                state.leases = state.leases.saturating_add(1);
                let state = LeaseState::Open;
                self.leases.insert(epoch, Leased { run, state });
            }
            Some(lease) if lease.state == LeaseState::Open && behind(lease.run) == run.first.get() => {
                let count = lease.run.count.saturating_add(run.count);
                let run = Run { count, ..lease.run };
                self.leases.insert(epoch, Leased { run, ..lease });
            }
            Some(lease) => {
                let expected = format!("numbers behind {}, of a lease that is open", describe(lease.run));
                return Err(wrong(&expected, &describe(run)));
            }
        }
        let before = self.pending.range(..run.first.get()).next_back();
        let joined = before.map(|(_, pending)| *pending);
        match joined.filter(|(pending, of)| *of == epoch && behind(*pending) == run.first.get()) {
            Some((pending, _)) => {
                let count = pending.count.saturating_add(run.count);
                let run = Run { count, ..pending };
                self.pending.insert(run.first.get(), (run, epoch));
            }
            None => {
                self.pending.insert(run.first.get(), (run, epoch));
            }
        }
        Ok(state)
    }

    /// The run is of what the holder of this epoch had not reported.
    fn reported(&mut self, run: Run, epoch: u32) -> Result<(), Wrong> {
        let Some((pending, _)) = self.pending_with(run).filter(|(_, of)| *of == epoch) else {
            return Err(wrong(
                &format!("pending numbers of epoch {epoch}"),
                &describe(run),
            ));
        };
        let distance = run.first.get() - pending.first.get();
        if !distance.is_multiple_of(run.step) {
            return Err(wrong(&format!("some of {}", describe(pending)), &describe(run)));
        }
        self.pending.remove(&pending.first.get());
        let front = distance / run.step;
        if front > 0 {
            let front = Run {
                count: front,
                ..pending
            };
            self.pending.insert(front.first.get(), (front, epoch));
        }
        let left = pending.count.saturating_sub(front).saturating_sub(run.count);
        if left > 0 {
            let first = Number::new(behind(run)).map_err(|_| wrong("a number", &behind(run).to_string()))?;
            let rest = Run {
                first,
                count: left,
                ..pending
            };
            self.pending.insert(first.get(), (rest, epoch));
        }
        Ok(())
    }

    /// Numbers that are given out, or voided ahead, are of one range; those given out of one that is valid on the date.
    fn granted(&self, event: &Event, ranges: &[NumberRange]) -> Result<(), Wrong> {
        let given = matches!(event.kind, EventKind::Issued | EventKind::Reserved);
        let Some(run) = event.run.filter(|_| !ranges.is_empty()) else {
            return Ok(());
        };
        let ahead = event.kind == EventKind::Voided && run.first.get() >= self.state.next;
        if !given && !ahead {
            return Ok(());
        }
        let mut ranges = ranges.iter();
        let range = ranges
            .find(|range| range.contains(run.first, run.last()))
            .ok_or_else(|| wrong("numbers of one range", &describe(run)))?;
        match event.date {
            Some(date) if given && !range.is_valid_on(date) => Err(wrong(
                &format!("a date on which the range {range} is valid"),
                &date.to_string(),
            )),
            _ => Ok(()),
        }
    }

    /// The run is the beginning of one that is offered again, or lies where the counter stands.
    fn drawn(&mut self, state: &CounterState, run: Run, max: Number) -> Result<CounterState, Wrong> {
        match self.withdrawn(state, run)? {
            Some(state) => Ok(state),
            None => given(state, run, Some(max)),
        }
    }

    /// Makes two of the free run that has this number amid it: adopted numbers may be any of it.
    fn split_free(&mut self, number: Number) {
        let Some((_, open)) = self.open.range_mut(..number.get()).next_back() else {
            return;
        };
        let Run { first, step, count } = open.run;
        let before = (number.get() - first.get()) / step;
        if open.hold.is_some() || before >= count || !(number.get() - first.get()).is_multiple_of(step) {
            return;
        }
        open.run.count = before;
        let rest = Run {
            first: number,
            step,
            count: count - before,
        };
        let rest = Open { run: rest, ..*open };
        self.open.insert(number.get(), rest);
    }

    /// Takes the run from one that is offered again, if such a one begins with it.
    fn withdrawn(&mut self, state: &CounterState, run: Run) -> Result<Option<CounterState>, Wrong> {
        let first = run.first.get();
        let Some(open) = self.open.get(&first).filter(|open| open.hold.is_none()).copied() else {
            return Ok(None);
        };
        let free = open.run;
        if run.count > free.count {
            return Err(wrong(&format!("no more than {}", describe(free)), &describe(run)));
        }
        self.open.remove(&first);
        let count = free.count - run.count;
        if count > 0 {
            let first = Number::new(behind(run)).map_err(|_| wrong("a number", &behind(run).to_string()))?;
            let run = Run { first, count, ..free };
            self.open.insert(first.get(), Open { run, ..open });
        }
        let free = state.free.saturating_sub(run.count);
        Ok(Some(CounterState {
            free,
            ..state.clone()
        }))
    }

    /// The run is held, by this hold, which ends: by the clock or before.
    fn ended(
        &mut self,
        mut state: CounterState,
        run: Run,
        hold: Hold,
        event: &Event,
    ) -> Result<CounterState, Wrong> {
        let open = self.open.remove(&run.first.get());
        let begun = open.and_then(|open| Some((open.run, open.hold?)));
        if begun != Some((run, hold)) {
            let text = |(run, hold): (Run, Hold)| {
                let Hold {
                    id,
                    expires_at,
                    on_expiry,
                } = hold;
                format!(
                    "{}, held by {id} until {expires_at}, then {on_expiry:?}",
                    describe(run)
                )
            };
            let expected = begun.map_or_else(|| "the end of a hold that is open".to_owned(), text);
            return Err(wrong(&expected, &text((run, hold))));
        }
        let by_the_clock = event.kind == EventKind::Expired;
        if by_the_clock != (hold.expires_at <= event.at) {
            let expected = if by_the_clock { "at or after" } else { "before" };
            return Err(wrong(
                &format!("a time {expected} {}", hold.expires_at),
                &event.at.to_string(),
            ));
        }
        state.reserved = state.reserved.saturating_sub(run.count);
        Ok(state)
    }

    /// Somebody was offered all of the run, and it is neither held nor offered again.
    fn taken(&self, state: &CounterState, run: Run, definition: &Definition) -> Result<(), Wrong> {
        let start = definition.start().get();
        let last = run.last();
        if run.first.get() < start || state.last.is_none_or(|offered| last > offered) {
            return Err(wrong(
                &format!("numbers from {start} up to {}", text(state.last)),
                &describe(run),
            ));
        }
        member(run.first.get(), definition)?;
        match self.open.range(..=last.get()).next_back() {
            Some((_, open)) if open.run.last() >= run.first => Err(wrong(
                &format!("none of {}, which are held or free", describe(open.run)),
                &describe(run),
            )),
            _ => Ok(()),
        }
    }

    /// Whether a store's state is the one that the events lead to. Whether a counter is frozen is the store's own
    /// affair, and `next_expiry` may lie before the end of every hold.
    pub(super) fn same(&self, said: &CounterState) -> Result<(), Wrong> {
        let (head, events) = (FaultKind::Head, &self.state);
        require(head, "the store's next number", &events.next, &said.next)?;
        require(
            head,
            "the store's last number",
            &text(events.last),
            &text(said.last),
        )?;
        require(
            head,
            "the store's generation",
            &events.generation,
            &said.generation,
        )?;
        require(head, "the store's epoch", &events.epoch, &said.epoch)?;
        require(head, "the store's version", &events.version, &said.version)?;
        require(
            head,
            "the store's count of held numbers",
            &events.reserved,
            &said.reserved,
        )?;
        require(
            head,
            "the store's count of void numbers",
            &events.voided,
            &said.voided,
        )?;
        require(
            head,
            "the store's count of open leases",
            &events.leases,
            &said.leases,
        )?;
        require(
            head,
            "the store's count of free numbers",
            &events.free,
            &said.free,
        )?;
        let ends = self.open.values().filter_map(|open| open.hold);
        if let Some(earliest) = ends.map(|hold| hold.expires_at).min()
            && said.next_expiry.is_none_or(|next| next > earliest)
        {
            require(
                head,
                "the store's next end of a hold",
                &earliest.to_string(),
                &text(said.next_expiry),
            )?;
        }
        require(
            head,
            "the store's last date",
            &text(events.last_date),
            &text(said.last_date),
        )
    }
}

fn voided(mut state: CounterState, run: Run) -> CounterState {
    state.voided = state.voided.saturating_add(run.count);
    state
}

/// What is the same for events of every kind.
fn belongs(
    before: &CounterState,
    event: &Event,
    definition: &Definition,
    of_lease: bool,
) -> Result<(), Wrong> {
    number("the definition's version", before.version, event.version)?;
    number("the mode", definition.mode().as_str(), event.mode.as_str())?;
    match (event.date, event.subject.counter()) {
        (Some(date), Some(key)) if key.period().contains(date) => {}
        (date, _) => return Err(wrong("a date in the counter's period", &text(date))),
    }
    if event.detail.is_some() && !of_lease {
        return Err(wrong("no detail", "one"));
    }
    let holds = [
        EventKind::Reserved,
        EventKind::Confirmed,
        EventKind::Voided,
        EventKind::Expired,
    ];
    if event.hold.is_some() && !holds.contains(&event.kind) {
        return Err(wrong("no hold", "one"));
    }
    let restarted = event.kind == EventKind::Restarted;
    let generation = before.generation.saturating_add(restarted.into());
    number("the generation", generation, event.generation)?;
    // Numbers before the next are such as were free: they are withdrawn in the epoch that has begun.
    let ahead = event.run.is_none_or(|run| run.first.get() >= before.next);
    let recovered = event.kind == EventKind::Recovered && ahead;
    let epoch = before.epoch.saturating_add(recovered.into());
    if !of_lease {
        number("the epoch", epoch, event.epoch)?;
    } else if event.epoch > epoch.saturating_add((event.kind == EventKind::Leased).into()) {
        return Err(wrong(
            &format!("an epoch up to {epoch}"),
            &event.epoch.to_string(),
        ));
    }
    let Some(run) = event.run else { return Ok(()) };
    number("the step", definition.step(), run.step)?;
    if end(run).is_none() {
        return Err(wrong("a run of 1 number or more", &describe(run)));
    }
    Ok(())
}

/// Dates of a chronological sequence do not fall.
fn dated(state: CounterState, event: &Event, definition: &Definition) -> Result<CounterState, Wrong> {
    if !definition.chronological() {
        return Ok(state);
    }
    if event.date < state.last_date {
        let expected = format!("no date before {}", text(state.last_date));
        return Err(wrong(&expected, &text(event.date)));
    }
    Ok(CounterState {
        last_date: event.date,
        ..state
    })
}

/// The run lies where the counter stands, and is offered or taken.
fn given(state: &CounterState, run: Run, max: Option<Number>) -> Result<CounterState, Wrong> {
    begins_at(state.next, run)?;
    if let Some(max) = max {
        within(run, max)?;
    }
    Ok(CounterState {
        next: behind(run),
        last: Some(run.last()),
        ..state.clone()
    })
}

/// The run lies before the counter, and nobody was offered any of it.
fn returned(state: &CounterState, run: Run, definition: &Definition) -> Result<CounterState, Wrong> {
    let first = run.first.get();
    let floor = match state.last {
        Some(last) => last.get().saturating_add(definition.step()),
        None => definition.start().get(),
    };
    if first < floor || first >= state.next {
        return Err(wrong(
            &format!("a run from {floor} or later up to before {}", state.next),
            &describe(run),
        ));
    }
    member(first, definition)?;
    number("the count", (state.next - first) / definition.step(), run.count)?;
    Ok(CounterState {
        next: first,
        ..state.clone()
    })
}

/// The counter begins again at its start, behind the run that it leaves out.
fn restarted(state: &CounterState, run: Option<Run>, definition: &Definition) -> Result<CounterState, Wrong> {
    let start = definition.start().get();
    let next = match run {
        Some(run) => {
            begins_at(start, run)?;
            behind(run)
        }
        None => start,
    };
    match state.last {
        Some(last) if next <= last.get() => Ok(CounterState {
            next,
            last: None,
            ..state.clone()
        }),
        last => Err(wrong(
            &format!("to begin again at the last number or before it: {}", text(last)),
            &next.to_string(),
        )),
    }
}

fn begins_at(next: u64, run: Run) -> Result<(), Wrong> {
    number("the first number", next, run.first.get())
}

fn within(run: Run, max: Number) -> Result<(), Wrong> {
    if run.last() <= max {
        return Ok(());
    }
    Err(wrong(&format!("numbers up to {max}"), &describe(run)))
}

fn member(number: u64, definition: &Definition) -> Result<(), Wrong> {
    let (start, step) = (definition.start().get(), definition.step());
    if (number - start).is_multiple_of(step) {
        return Ok(());
    }
    Err(wrong(
        &format!("a number of {start}, {}, ...", start.saturating_add(step)),
        &number.to_string(),
    ))
}

/// The number of the counter before one.
fn predecessor(number: Number, definition: &Definition) -> Option<Number> {
    let before = number.get().checked_sub(definition.step())?;
    (before >= definition.start().get())
        .then(|| Number::new(before).ok())
        .flatten()
}

/// The number behind a run.
fn behind(run: Run) -> u64 {
    run.last().get().saturating_add(run.step).min(CounterState::ENDED)
}

/// The last number of a run, if it is one.
fn end(run: Run) -> Option<Number> {
    let last = run.step.checked_mul(run.count.checked_sub(1)?)?;
    Number::new(run.first.get().checked_add(last)?).ok()
}

fn required(event: &Event) -> Result<Run, Wrong> {
    event.run.ok_or_else(|| wrong("numbers", "none"))
}

fn held(event: &Event) -> Result<Hold, Wrong> {
    event
        .hold
        .as_deref()
        .copied()
        .ok_or_else(|| wrong("a hold", "none"))
}

fn number<T: PartialEq + Copy + Display>(what: &str, expected: T, found: T) -> Result<(), Wrong> {
    require(FaultKind::Numbers, what, &expected, &found)
}

fn wrong(expected: &str, found: &str) -> Wrong {
    Wrong {
        kind: FaultKind::Numbers,
        expected: expected.to_owned(),
        found: found.to_owned(),
    }
}

fn describe(Run { first, step, count }: Run) -> String {
    format!("{count} numbers from {first} in steps of {step}")
}

fn text(value: Option<impl Display>) -> String {
    value.map_or_else(|| "none".to_owned(), |value| value.to_string())
}
