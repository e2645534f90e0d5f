//! What a batch of commands means: pure, the same for every store.
//!
//! A store opens its transaction, makes a [`Snapshot`], asks what the batch [needs](Snapshot::needs), loads it,
//! lets the snapshot [decide](Snapshot::decide) each command, writes what [changed](Snapshot::take_changes), commits,
//! and only then answers. It may do so several times before it commits, with the same snapshot.
//!
//! Within a batch each command sees what those before it did. Equal keys are twins: the first draws, the others
//! are answered with its event. Chronological draws of a batch are concurrent, so they are taken in the order of
//! their dates.

mod define;
mod draw;
mod refusal;
mod shift;

use std::collections::HashMap;
use std::collections::hash_map::Entry;

pub use refusal::Refusal;

use crate::chain::{Authority, Link};
use crate::command::{Act, Command, Reply};
use crate::counter::{CounterKey, CounterState, SequenceKey};
use crate::event::{Event, KeyName, Subject};
use crate::field::FieldValues;
use crate::names::{Prefix, Tenant};
use crate::prehashed::Prehashed;
use crate::time::Timestamp;

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
}

impl Needs {
    /// Whether everything is there.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.sequences.is_empty()
            && self.counters.is_empty()
            && self.keys.is_empty()
            && self.tenants.is_empty()
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
    /// The head of its chain of definition events.
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

/// What one transaction has read and decided so far.
#[derive(Debug)]
pub struct Snapshot {
    authority: Authority,
    sequences: HashMap<SequenceKey, Option<SequenceState>>,
    counters: Prehashed<CounterKey, Slot>,
    keys: Prehashed<KeyName, Option<Box<Event>>>,
    tenants: HashMap<Tenant, TenantCount>,
    /// Scopes of the counters that opened in this transaction, by sequence and text folded to lower case.
    scopes: HashMap<(SequenceKey, String), FieldValues>,
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
            scopes: HashMap::new(),
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
        if let Some(keyed) = &command.key
            && !self.keys.contains_key(&keyed.name())
        {
            needs.keys.push(keyed.name());
        }
        if let Act::Define(define) = &command.act
            && define.implicit.is_some()
            && !self.tenants.contains_key(&sequence.tenant)
        {
            needs.tenants.push(sequence.tenant.clone());
        }
    }

    /// Puts in what the store found under a sequence's name.
    pub fn load_sequence(&mut self, key: SequenceKey, state: Option<SequenceState>) {
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
        if let Some(event) = self.replay(command)? {
            return Ok(Reply::Replayed(event));
        }
        match &command.act {
            Act::Draw(draw) => self.draw(command, draw, now).map(Reply::Granted),
            Act::Shift(shift) => self.shift(command, shift, now).map(Reply::Shifted),
            Act::Define(define) => self.define(command, define, now).map(Reply::Defined),
        }
    }

    fn replay(&self, command: &Command) -> Result<Option<Box<Event>>, Refusal> {
        let Some(keyed) = &command.key else {
            return Ok(None);
        };
        let Some(Some(event)) = self.keys.get(&keyed.name()) else {
            return Ok(None);
        };
        match &event.key {
            Some(first) if first.fingerprint() == keyed.fingerprint() => Ok(Some(event.clone())),
            _ => Err(Refusal::KeyMismatch),
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
        if state.chain.n == 1 {
            self.note_opened(key);
        }
        let slot = Slot {
            found: Found::Counter(state),
            changed: true,
        };
        match self.counters.entry(key.clone()) {
            Entry::Occupied(mut entry) if entry.get().changed => {
                entry.insert(slot);
            }
            entry => {
                entry.insert_entry(slot);
                self.changes.counters.push(key.clone());
            }
        }
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

/// The subject of a counter's events.
fn subject(key: &CounterKey) -> Subject {
    Subject::Counter(key.clone())
}
