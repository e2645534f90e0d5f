//! What a batch of commands means: pure, the same for every store.
//!
//! A store opens its transaction, makes a [`Snapshot`], asks what the batch [needs](Snapshot::needs), loads it,
//! loads the [marks](Snapshot::mark_needs) that the loaded counters call for, lets the snapshot
//! [decide](Snapshot::decide) each command, writes what [changed](Snapshot::take_changes), commits, and only then
//! answers. It may do so several times before it commits, with the same snapshot, if what changed is written before
//! more is loaded.
//!
//! Within a batch each command sees what those before it did. Equal keys are twins: the first draws, the others
//! are answered with its event. Chronological draws of a batch are concurrent, so they are taken in the order of
//! their dates.

mod adopt;
mod close;
mod define;
mod draw;
mod hold;
mod lease;
pub(crate) mod range;
mod refusal;
mod shift;
mod table;
mod void;

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap};

pub use adopt::NOT_ADOPTED;
pub use lease::LeaseChange;
pub use refusal::{Closer, Refusal};
pub use table::MarkTable;

use crate::chain::{Authority, Link};
use crate::command::{Act, Command, Kin, Reply, Target};
use crate::counter::{CounterKey, CounterState, Run, SequenceKey};
use crate::event::{Event, KeyName, Subject};
use crate::field::FieldValues;
use crate::lease::{Lease, LeaseId};
use crate::line::Line;
use crate::mark::{Mark, Marks, NumberState};
use crate::names::{Label, Number, Prefix, Tenant};
use crate::prehashed::Prehashed;
use crate::reservation::ReservationId;
use crate::time::{Date, Timestamp};

/// What a store must load before a batch can be decided: each of it once.
#[derive(Debug, Default)]
pub struct Needs {
    /// Sequences, to be found by [`SequenceKey::folded_prefix`].
    pub sequences: Vec<SequenceKey>,
    /// Counters, to be found by scope values folded to lower case.
    pub counters: Vec<CounterKey>,
    /// Idempotency keys.
    pub keys: Vec<KeyName>,
    /// Tenants whose definitions are to be counted.
    pub tenants: Vec<Tenant>,
    /// Sequences whose held numbers and open leases are to be counted, once the counters are loaded: those of all their
    /// other counters. Of [`SequenceKey::whole`] it is those of all sequences of the tenant. Asked for again each time.
    pub held: Vec<SequenceKey>,
}

impl Needs {
    /// Whether everything is there.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.sequences.is_empty()
            && self.counters.is_empty()
            && self.keys.is_empty()
            && self.tenants.is_empty()
            && self.held.is_empty()
    }
}

/// What a store keeps of a sequence, as far as deciding needs it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SequenceState {
    /// The prefix as it was first written.
    pub prefix: Prefix,
    /// The newest version of the definition.
    pub head: u32,
    /// That version as JSON with every default made explicit: two equal definitions have equal text.
    pub spec: std::sync::Arc<str>,
    /// Whether a draw made the definition.
    pub implicit: bool,
    /// Whether the sequence was archived.
    pub archived: bool,
    /// Whether any of its counters has opened.
    pub opened: bool,
    /// The last document date that is closed of this sequence by itself.
    pub closed_through: Option<Date>,
    /// The last one that is closed of its tenant as a whole. No store writes it: whoever loads a sequence puts in the
    /// `closed_through` of [`SequenceKey::whole`], and the ledger keeps it up to date in what is loaded.
    pub tenant_closed_through: Option<Date>,
    /// The head of its chain: of its definitions and what else concerns it as a whole.
    pub chain: Link,
}

/// What a store found under a counter's folded name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// The counter.
    Counter(CounterState),
    /// No counter of this name and period, and none of the sequence whose scope differs by letter case.
    Nothing,
    /// A counter of the sequence whose scope values differ by letter case alone: their canonical text.
    CaseVariant(String),
}

/// How many definitions a tenant has.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TenantCount {
    /// Those that draws made.
    pub implicit: u64,
    /// Those that somebody wrote.
    pub written: u64,
}

/// What the counters of a sequence have in the hands of others.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct HeldCount {
    /// How many numbers are reserved.
    pub numbers: u64,
    /// How many leases are open.
    pub leases: u64,
}

impl HeldCount {
    /// Counts a counter too.
    pub const fn add(&mut self, state: &CounterState) {
        self.numbers += state.reserved;
        self.leases += state.leases as u64;
    }
}

/// Marks that a store must load before a batch can be decided. Most batches need none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MarkNeed {
    /// What became of a reservation.
    Reservation {
        /// Its counter.
        counter: CounterKey,
        /// The generation of its numbers.
        generation: u32,
        /// The first of its numbers.
        first: Number,
        /// Its name.
        id: ReservationId,
    },
    /// The holds of a counter that end first.
    Ending {
        /// The counter.
        counter: CounterKey,
        /// The most that are asked for.
        limit: usize,
    },
    /// The lowest free numbers of a counter.
    Free {
        /// The counter.
        counter: CounterKey,
        /// Its generation.
        generation: u32,
        /// The most marks that are asked for.
        limit: usize,
    },
    /// All marks of a counter that have a number in a range.
    Within {
        /// The counter.
        counter: CounterKey,
        /// Its generation.
        generation: u32,
        /// The first number.
        first: u64,
        /// The last number.
        last: u64,
    },
    /// The leases of a counter that are open, and the one with a name; for a holder also those that it lost, and the one of the
    /// highest numbers of the last generation, whoever has them.
    Leases {
        /// The counter.
        counter: CounterKey,
        /// The name.
        id: Option<LeaseId>,
        /// The holder's name.
        holder: Option<Label>,
    },
}

impl MarkNeed {
    /// The counter concerned.
    #[must_use]
    pub const fn counter(&self) -> &CounterKey {
        match self {
            Self::Reservation { counter, .. }
            | Self::Ending { counter, .. }
            | Self::Free { counter, .. }
            | Self::Within { counter, .. }
            | Self::Leases { counter, .. } => counter,
        }
    }
}

/// What a store knows of a reservation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reservation {
    /// The numbers are held.
    Held(Mark),
    /// The hold ended with this event.
    Ended(Box<Event>),
    /// No such reservation of that counter.
    Unknown,
}

/// What one transaction has read and decided so far.
#[derive(Debug)]
pub struct Snapshot {
    authority: Authority,
    sequences: HashMap<SequenceKey, Option<SequenceState>>,
    counters: Prehashed<CounterKey, Slot>,
    keys: Prehashed<KeyName, Option<Box<Event>>>,
    tenants: HashMap<Tenant, TenantCount>,
    /// What is held of sequences by counters that are not loaded.
    held: HashMap<SequenceKey, HeldCount>,
    /// What this transaction closed or opened of tenants as a whole. Stores do not know it yet.
    tenants_closed: HashMap<Tenant, Option<Date>>,
    /// Scopes of the counters that opened in this transaction, by sequence and text folded to lower case.
    scopes: HashMap<(SequenceKey, String), FieldValues>,
    /// By the counter too: a hold is looked for where its caller says that it is.
    reservations: HashMap<(CounterKey, ReservationId), Reservation>,
    /// The holds that end first, of counters that have some to let go.
    ending: Prehashed<CounterKey, Vec<Mark>>,
    /// When the first hold ends that began in this transaction.
    begun: Prehashed<CounterKey, Timestamp>,
    /// Free numbers, by the first of each run.
    free: Prehashed<CounterKey, BTreeMap<Number, Mark>>,
    /// Marks that were loaded for a range, or set in this transaction.
    within: Prehashed<CounterKey, Marks>,
    /// Leases that were loaded, or changed in this transaction.
    leases: Prehashed<CounterKey, Vec<Lease>>,
    changes: Changes,
}

#[derive(Debug)]
struct Slot {
    found: Found,
    changed: bool,
}

/// An event with the hash that it has in its chain.
#[derive(Debug, Clone)]
pub struct Linked {
    /// The event.
    pub event: Event,
    /// Its hash.
    pub hash: [u8; 32],
}

/// What a transaction must write, all of it or nothing.
#[derive(Debug, Default)]
pub struct Changes {
    /// Events, in the order in which they happened.
    pub events: Vec<Linked>,
    /// Sequences whose state changed. Their newest definition is the event's `detail`.
    pub sequences: Vec<SequenceKey>,
    /// Counters whose state changed.
    pub counters: Vec<CounterKey>,
    /// Marks that were set or taken away, in order.
    pub marks: Vec<MarkChange>,
    /// Leases that changed: the last of each is what there is of it.
    pub leases: Vec<LeaseChange>,
}

/// A mark that was set, or taken away.
#[derive(Debug, Clone)]
pub struct MarkChange {
    /// The counter.
    pub counter: CounterKey,
    /// The generation of its numbers.
    pub generation: u32,
    /// The first number that it is of.
    pub first: Number,
    /// The mark that is there now.
    pub mark: Option<Mark>,
}

impl Snapshot {
    /// An empty snapshot of the store with this name.
    #[must_use]
    pub fn new(authority: Authority) -> Self {
        Self {
            authority,
            sequences: HashMap::new(),
            counters: Prehashed::default(),
            keys: Prehashed::default(),
            tenants: HashMap::new(),
            held: HashMap::new(),
            tenants_closed: HashMap::new(),
            scopes: HashMap::new(),
            reservations: HashMap::new(),
            ending: Prehashed::default(),
            begun: Prehashed::default(),
            free: Prehashed::default(),
            within: Prehashed::default(),
            leases: Prehashed::default(),
            changes: Changes::default(),
        }
    }

    /// What is still to be loaded for these commands.
    #[must_use]
    pub fn needs<'a>(&self, commands: impl IntoIterator<Item = &'a Command>) -> Needs {
        let mut needs = Needs::default();
        for command in commands {
            self.add_needs(command, &mut needs);
        }
        // One caller's batch is mostly one counter, so that the lists are short or all different.
        needs.sequences.sort_unstable();
        needs.sequences.dedup();
        needs.counters.sort_unstable_by_key(CounterKey::lane_hash);
        needs.counters.dedup();
        needs.keys.sort_unstable();
        needs.keys.dedup();
        needs.tenants.sort_unstable();
        needs.tenants.dedup();
        needs.held.sort_unstable();
        needs.held.dedup();
        needs
    }

    fn add_needs(&self, command: &Command, needs: &mut Needs) {
        let sequence = command.act.sequence();
        if !self.sequences.contains_key(sequence) && needs.sequences.last() != Some(sequence) {
            needs.sequences.push(sequence.clone());
        }
        if let Some(key) = command.act.counter()
            && !self.counters.contains_key(key)
            && needs.counters.last() != Some(key)
        {
            needs.counters.push(key.clone());
        }
        if let Act::Adopt(adopt) = &command.act {
            let keys = adopt.counters().map(|runs| runs[0].line.key());
            needs
                .counters
                .extend(keys.filter(|key| !self.counters.contains_key(key)).cloned());
        }
        if let Some(keyed) = &command.key
            && !self.keys.contains_key(&keyed.name())
        {
            needs.keys.push(keyed.name());
        }
        for kin in &command.kin {
            if !self.sequences.contains_key(&kin.sequence) {
                needs.sequences.push(kin.sequence.clone());
            }
            needs
                .keys
                .extend(kin.key.filter(|name| !self.keys.contains_key(name)));
        }
        match &command.act {
            Act::Define(define) => {
                if define.implicit.is_none() {
                    needs.held.push(sequence.clone());
                }
                if define.implicit.is_some() && !self.tenants.contains_key(&sequence.tenant) {
                    needs.tenants.push(sequence.tenant.clone());
                }
                // A new sequence begins with what is closed of all.
                let whole = SequenceKey::whole(sequence.tenant.clone());
                if !self.sequences.contains_key(&whole) {
                    needs.sequences.push(whole);
                }
            }
            Act::Archive(_) | Act::Close(_) => needs.held.push(sequence.clone()),
            _ => {}
        }
    }

    /// Puts in what the store found under a sequence's name.
    pub fn load_sequence(&mut self, key: SequenceKey, mut state: Option<SequenceState>) {
        if !self.tenants_closed.is_empty()
            && let Some(state) = &mut state
            && let Some(through) = self.tenants_closed.get(&key.tenant)
        {
            state.tenant_closed_through = *through;
        }
        self.sequences.insert(key, state);
    }

    /// Puts in what the store found under a counter's name.
    pub fn load_counter(&mut self, key: CounterKey, found: Found) {
        self.counters.insert(
            key,
            Slot {
                found,
                changed: false,
            },
        );
    }

    /// Puts in the event that an idempotency key made, if it is one that still counts.
    pub fn load_key(&mut self, name: KeyName, event: Option<Event>) {
        self.keys.insert(name, event.map(Box::new));
    }

    /// Puts in how many definitions a tenant has.
    pub fn load_tenant(&mut self, tenant: Tenant, count: TenantCount) {
        self.tenants.insert(tenant, count);
    }

    /// Puts in what the counters of a sequence hold that are [not loaded](Self::counter_state).
    pub fn load_held(&mut self, sequence: SequenceKey, count: HeldCount) {
        self.held.insert(sequence, count);
    }

    /// The marks that are still to be loaded for these commands, once their counters are.
    #[must_use]
    pub fn mark_needs<'a>(
        &self,
        commands: impl IntoIterator<Item = &'a Command>,
        now: Timestamp,
    ) -> Vec<MarkNeed> {
        let mut needs = Vec::new();
        for command in commands {
            if let Some(counter) = command.act.counter()
                && let Some(state) = self.counter_state(counter)
            {
                self.add_mark_needs(&command.act, counter, state, now, &mut needs);
            }
            if let Act::Adopt(adopt) = &command.act {
                for runs in adopt.counters() {
                    let counter = runs[0].line.key();
                    if let Some(state) = self.counter_state(counter) {
                        self.add_mark_needs(&command.act, counter, state, now, &mut needs);
                    }
                }
                self.add_adopt_needs(adopt, &mut needs);
            }
        }
        merge_free(&mut needs);
        needs
    }

    fn add_mark_needs(
        &self,
        act: &Act,
        counter: &CounterKey,
        state: &CounterState,
        now: Timestamp,
        needs: &mut Vec<MarkNeed>,
    ) {
        let generation = state.generation;
        if state.next_expiry.is_some_and(|expiry| expiry <= now) {
            let need = MarkNeed::Ending {
                counter: counter.clone(),
                limit: hold::EXPIRED_AT_ONCE,
            };
            if !needs.contains(&need) {
                needs.push(need);
            }
        }
        let within = |first: u64, last: u64| MarkNeed::Within {
            counter: counter.clone(),
            generation,
            first,
            last,
        };
        let leases = |id: Option<LeaseId>, holder: Option<&Label>| MarkNeed::Leases {
            counter: counter.clone(),
            id,
            holder: holder.cloned(),
        };
        match act {
            Act::Draw(draw) if state.free > 0 => needs.push(MarkNeed::Free {
                counter: counter.clone(),
                generation,
                limit: if draw.line.ranges().is_empty() {
                    1
                } else {
                    draw::FREE_LOOKED_AT
                },
            }),
            Act::Settle(settle)
                if !self
                    .reservations
                    .contains_key(&(counter.clone(), settle.reservation)) =>
            {
                needs.push(MarkNeed::Reservation {
                    counter: counter.clone(),
                    generation: settle.generation,
                    first: settle.first,
                    id: settle.reservation,
                });
            }
            Act::Void(void) => needs.push(within(void.first.get(), void.last())),
            Act::Shift(shift) => match shift.target {
                Target::Next { number, .. } if number.get() < state.next => {
                    needs.push(within(number.get(), state.next));
                }
                Target::Beyond(_) | Target::NewEpoch(_) if state.free > 0 => needs.push(MarkNeed::Free {
                    counter: counter.clone(),
                    generation,
                    limit: usize::MAX,
                }),
                Target::NewEpoch(_) if state.leases > 0 => {
                    needs.push(within(0, state.next));
                    needs.push(leases(None, None));
                }
                _ => {}
            },
            Act::Lease(take) => {
                needs.push(leases(Some(take.id), Some(take.holder.name())));
                let replaced = take.replaces.as_ref().and_then(|lease| lease.run);
                needs.extend(replaced.map(|run| within(run.first.get(), run.last().get())));
            }
            Act::Extend(extend) => {
                needs.push(leases(Some(extend.id), None));
                needs.push(within(extend.last.get(), extend.last.get()));
            }
            Act::Report(report) => {
                needs.push(leases(Some(report.lease), None));
                needs.push(within(report.run.first.get(), report.run.last().get()));
            }
            Act::EndLease(end) => {
                needs.push(leases(Some(end.lease.id), None));
                let run = end.lease.run;
                needs.extend(run.map(|run| within(run.first.get(), run.last().get())));
            }
            _ => {}
        }
    }

    /// Puts in what became of a reservation.
    pub fn load_reservation(&mut self, counter: CounterKey, id: ReservationId, reservation: Reservation) {
        self.reservations.insert((counter, id), reservation);
    }

    /// Puts in the holds of a counter that end first, in that order.
    pub fn load_ending(&mut self, counter: CounterKey, holds: Vec<Mark>) {
        self.ending.insert(counter, holds);
    }

    /// Puts in the lowest free numbers of a counter.
    pub fn load_free(&mut self, counter: CounterKey, free: Vec<Mark>) {
        let of_counter = self.free.entry(counter).or_default();
        of_counter.extend(free.into_iter().map(|mark| (mark.run.first, mark)));
    }

    /// Puts in the marks of a range.
    pub fn load_within(&mut self, counter: CounterKey, marks: Vec<Mark>) {
        let of_counter = self.within.entry(counter).or_default();
        for mark in marks {
            of_counter.set(mark.generation, mark.run.first.get(), Some(mark));
        }
    }

    /// Decides commands in their order, chronological draws among themselves in the order of their dates. All
    /// that they [need](Self::needs) must be loaded. The answers stand in the order of the commands.
    ///
    /// # Errors
    /// Each command for itself; a refused one changes nothing.
    pub fn decide(&mut self, commands: &[&Command], now: Timestamp) -> Vec<Result<Reply, Refusal>> {
        self.changes.events.reserve(commands.len());
        match draw::in_order_of_dates(commands) {
            None => commands
                .iter()
                .map(|command| self.decide_one(command, now))
                .collect(),
            Some(order) => {
                let mut replies: Vec<_> = order
                    .into_iter()
                    .map(|at| (at, self.decide_one(commands[at], now)))
                    .collect();
                replies.sort_unstable_by_key(|(at, _)| *at);
                replies.into_iter().map(|(_, reply)| reply).collect()
            }
        }
    }

    fn decide_one(&mut self, command: &Command, now: Timestamp) -> Result<Reply, Refusal> {
        // What was issued is recorded whatever its key did before.
        let is_report = matches!(command.act, Act::Report(_));
        let replayed = self.replay(command);
        if let Some(event) = if is_report { None } else { replayed? } {
            return Ok(Reply::Replayed(event));
        }
        self.require_kin(command)?;
        let mut let_go = 0;
        if let Some(counter) = command.act.counter()
            && !self.ending.is_empty()
        {
            let_go = self.expire(counter, now);
        }
        if let Act::Adopt(adopt) = &command.act
            && !self.ending.is_empty()
        {
            for runs in adopt.counters() {
                self.expire(runs[0].line.key(), now);
            }
        }
        match &command.act {
            Act::Draw(draw) => self.draw(command, draw, now).map(Reply::Granted),
            Act::Shift(shift) => self.shift(command, shift, now).map(Reply::Shifted),
            Act::Define(define) => self.define(command, define, now).map(Reply::Defined),
            Act::Settle(settle) => self.settle(command, settle, now).map(Reply::Settled),
            Act::Void(void) => self.void(command, void, now).map(Reply::Voided),
            Act::Expire(counter) => Ok(Reply::Expired(self.expired(counter, let_go, now))),
            Act::Archive(archive) => self.archive(command, archive, now).map(Reply::Archived),
            Act::Close(close) => self.close(command, close, now).map(Reply::Closed),
            Act::Adopt(adopt) => self.adopt(command, adopt, now).map(Reply::Adopted),
            Act::Lease(take) => self.take_lease(command, take, now).map(leased),
            Act::Extend(extend) => self.extend_lease(command, extend, now).map(leased),
            Act::Report(report) => self.report(command, report, now).map(Reply::Granted),
            Act::EndLease(end) => self.end_lease(command, end, now).map(leased),
            Act::Freeze(freeze) => self.freeze(command, freeze, now).map(|()| Reply::Frozen),
        }
    }

    fn replay(&self, command: &Command) -> Result<Option<Box<Event>>, Refusal> {
        let Some(keyed) = &command.key else {
            return Ok(None);
        };
        let of_kin = command.kin.iter().filter_map(|kin| kin.key);
        let mut names = std::iter::once(keyed.name()).chain(of_kin);
        let Some(event) = names.find_map(|name| self.keys.get(&name)?.as_ref()) else {
            return Ok(None);
        };
        match &event.key {
            Some(first) if first.fingerprint() == keyed.fingerprint() => Ok(Some(event.clone())),
            _ => Err(Refusal::KeyMismatch),
        }
    }

    /// Refuses a command whose caller does not know all of its chain of successors.
    fn require_kin(&self, command: &Command) -> Result<(), Refusal> {
        let holds = |kin: &Kin| {
            let state = self.sequence_state(&kin.sequence);
            state.is_some_and(|state| state.head == kin.head)
        };
        if command.kin.iter().all(holds) {
            Ok(())
        } else {
            Err(Refusal::ChainChanged)
        }
    }

    fn sequence(&self, key: &SequenceKey) -> Result<&SequenceState, Refusal> {
        match self.sequences.get(key) {
            Some(Some(state)) if state.prefix != key.prefix => Err(Refusal::CaseVariant {
                existing: state.prefix.to_string(),
            }),
            Some(Some(state)) if state.archived => Err(Refusal::Archived),
            Some(Some(state)) => Ok(state),
            _ => Err(self.defined_in_other_case(key).unwrap_or(Refusal::NotDefined)),
        }
    }

    /// A sequence that was defined earlier in this transaction is not yet where the store looks for case variants.
    fn defined_in_other_case(&self, key: &SequenceKey) -> Option<Refusal> {
        let prefix = self
            .changes
            .sequences
            .iter()
            .find(|other| {
                other.tenant == key.tenant && other.prefix.as_str().eq_ignore_ascii_case(key.prefix.as_str())
            })?
            .prefix
            .to_string();
        Some(Refusal::CaseVariant { existing: prefix })
    }

    /// Appends an event to its subject's chain.
    fn append(&mut self, event: Event, chain: Link) -> Link {
        let link = chain.follow(&self.authority, &event);
        if let Some(keyed) = &event.key {
            self.keys.insert(keyed.name(), Some(Box::new(event.clone())));
        }
        self.changes.events.push(Linked {
            event,
            hash: link.hash,
        });
        link
    }

    /// Keeps a counter's new state.
    fn put_counter(&mut self, key: &CounterKey, state: CounterState) {
        let slot = Slot {
            found: Found::Counter(state),
            changed: true,
        };
        let before = match self.counters.entry(key.clone()) {
            Entry::Occupied(mut entry) => Some(entry.insert(slot)),
            Entry::Vacant(entry) => {
                entry.insert(slot);
                None
            }
        };
        if before.as_ref().is_none_or(|before| !before.changed) {
            self.changes.counters.push(key.clone());
        }
        if !before.is_some_and(|before| matches!(before.found, Found::Counter(_))) {
            self.note_opened(key);
        }
    }

    /// Sets a mark, or takes one away.
    fn set_mark(&mut self, counter: &CounterKey, generation: u32, first: Number, mark: Option<Mark>) {
        match &mark {
            Some(mark) if mark.state == NumberState::Free => {
                let free = self.free.entry(counter.clone()).or_default();
                free.insert(first, mark.clone());
            }
            _ => {
                if let Some(free) = self.free.get_mut(counter) {
                    free.remove(&first);
                }
            }
        }
        // Also where nothing was loaded: a later command of the batch must see what this one left.
        let within = self.within.entry(counter.clone()).or_default();
        within.set(generation, first.get(), mark.clone());
        self.changes.marks.push(MarkChange {
            counter: counter.clone(),
            generation,
            first,
            mark,
        });
    }

    /// Marks the run of an event that no hold is part of.
    fn mark_run(&mut self, line: &Line, event: &Event, state: NumberState) {
        let Some(run) = event.run else { return };
        let mark = Mark {
            run,
            generation: event.generation,
            epoch: event.epoch,
            state,
            hold: None,
            date: event.date,
            fields: event.fields.clone(),
            reference: None,
            relates_to: None,
            n: event.n,
        };
        self.set_mark(line.key(), event.generation, run.first, Some(mark));
    }

    /// The loaded marks of a generation that have a number of this run.
    fn marks_within(
        &self,
        counter: &CounterKey,
        generation: u32,
        run: Run,
    ) -> Option<impl Iterator<Item = &Mark>> {
        let (first, last) = (run.first.get(), run.last().get());
        Some(self.within.get(counter)?.within(generation, first, last))
    }

    /// A counter's first event opens it, and its sequence if it is the first counter.
    fn note_opened(&mut self, key: &CounterKey) {
        self.note_scope(key);
        if let Some(Some(sequence)) = self.sequences.get_mut(key.sequence())
            && !sequence.opened
        {
            sequence.opened = true;
            self.mark_sequence(key.sequence());
        }
    }

    fn mark_sequence(&mut self, key: &SequenceKey) {
        if !self.changes.sequences.contains(key) {
            self.changes.sequences.push(key.clone());
        }
    }

    /// Takes the events since the last call: a store may write them while more commands come.
    pub fn take_events(&mut self) -> Vec<Linked> {
        std::mem::take(&mut self.changes.events)
    }

    /// Takes the marks since the last call.
    pub fn take_marks(&mut self) -> Vec<MarkChange> {
        std::mem::take(&mut self.changes.marks)
    }

    /// Takes all that is to be written and was not taken yet.
    pub fn take_changes(&mut self) -> Changes {
        std::mem::take(&mut self.changes)
    }

    /// The state of a counter that is loaded and has opened.
    #[must_use]
    pub fn counter_state(&self, key: &CounterKey) -> Option<&CounterState> {
        match &self.counters.get(key)?.found {
            Found::Counter(state) => Some(state),
            _ => None,
        }
    }

    /// The state of a sequence that is loaded and defined.
    #[must_use]
    pub fn sequence_state(&self, key: &SequenceKey) -> Option<&SequenceState> {
        self.sequences.get(key)?.as_ref()
    }
}

/// One need for all commands that take from a counter's free numbers, with as many as each asks for.
fn merge_free(needs: &mut Vec<MarkNeed>) {
    let mut merged: Vec<MarkNeed> = Vec::with_capacity(needs.len());
    for need in needs.drain(..) {
        let MarkNeed::Free {
            counter, limit: more, ..
        } = &need
        else {
            merged.push(need);
            continue;
        };
        let before = merged.iter_mut().find_map(|other| match other {
            MarkNeed::Free {
                counter: other,
                limit,
                ..
            } if other == counter => Some(limit),
            _ => None,
        });
        match before {
            Some(limit) => *limit = limit.saturating_add(*more),
            None => merged.push(need),
        }
    }
    *needs = merged;
}

fn leased(lease: Lease) -> Reply {
    Reply::Leased(Box::new(lease))
}

/// The subject of a counter's events.
fn subject(key: &CounterKey) -> Subject {
    Subject::Counter(key.clone())
}
