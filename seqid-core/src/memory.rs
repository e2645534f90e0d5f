//! A store in memory: nothing outlives the process. For tests, and the model that the other stores are held against.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use tokio::sync::Notify;

use crate::chain::Authority;
use crate::checkpoint::{ChainName, Heads, HeadsDigest};
use crate::clock::{Clock, Seed, SystemClock};
use crate::command::{Command, Reply};
use crate::compiled::CompiledDefinitions;
use crate::counter::{CounterKey, CounterState, SequenceKey};
use crate::definition::DefinitionSpec;
use crate::event::{Event, EventKind, KeyName, Recorded, Subject};
use crate::lease::LeaseId;
use crate::ledger::{Found, HeldCount, Linked, MarkTable, SequenceState, Snapshot, TenantCount};
use crate::names::{Number, Tenant};
use crate::query::{EventPage, EventQuery};
use crate::reservation::ReservationId;
use crate::store::{
    AuditLog, Backlog, Capabilities, CounterRecord, CounterStore, DefinitionRecord, DefinitionStore,
    EventSource, LeaseRecord, MarkRecord, ReservationRecord, SequenceRecord, StoreError,
};
use crate::time::Date;

/// See the [module](self).
#[derive(Debug)]
pub struct MemoryStore {
    tables: Mutex<Tables>,
    clock: Arc<dyn Clock>,
    authority: Authority,
    definitions: CompiledDefinitions,
    committed: Notify,
}

#[derive(Debug, Default)]
struct Tables {
    sequences: HashMap<(Tenant, String), SequenceState>,
    counters: HashMap<CounterKey, CounterState>,
    /// Counters in the order in which they opened.
    opened: Vec<CounterKey>,
    events: Vec<Linked>,
    keys: HashMap<KeyName, usize>,
    marks: MarkTable,
    acknowledged: u64,
    closed: bool,
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self::new(Arc::new(SystemClock), Seed::from_system())
    }
}

impl MemoryStore {
    /// An empty store, named after the seed.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>, seed: Seed) -> Self {
        let mut name = [0; 16];
        name[..8].copy_from_slice(&seed.0.to_be_bytes());
        Self {
            tables: Mutex::default(),
            clock,
            authority: Authority(name),
            definitions: CompiledDefinitions::default(),
            committed: Notify::new(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Tables> {
        self.tables.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn recorded(&self, tables: &Tables, position: usize) -> Recorded {
        let Linked { event, hash } = tables.events[position].clone();
        let spec = || Ok::<_, std::convert::Infallible>(tables.definition(&event).map(|record| record.spec));
        let Ok(definition) = self
            .definitions
            .find(event.subject.sequence(), event.version, spec);
        let ids = definition.and_then(|definition| event.ids(&definition));
        Recorded::new(self.authority, 1, position as u64 + 1, hash, event, ids)
    }

    fn page(&self, after: u64, limit: usize) -> Vec<Recorded> {
        let tables = self.lock();
        let from = usize::try_from(after)
            .unwrap_or(usize::MAX)
            .min(tables.events.len());
        (from..tables.events.len())
            .take(limit)
            .map(|at| self.recorded(&tables, at))
            .collect()
    }
}

impl Tables {
    fn load(&self, snapshot: &mut Snapshot, commands: &[Command]) {
        let needs = snapshot.needs(commands);
        for key in needs.sequences {
            let state = self.sequence(&key);
            snapshot.load_sequence(key, state);
        }
        for key in needs.counters {
            let found = self.find(&key);
            snapshot.load_counter(key, found);
        }
        for name in needs.keys {
            let event = self.keys.get(&name).map(|at| self.events[*at].event.clone());
            snapshot.load_key(name, event);
        }
        for tenant in needs.tenants {
            let mut count = TenantCount::default();
            let of_tenant = self.sequences.iter().filter(|((of, _), _)| *of == tenant);
            for (_, state) in of_tenant.filter(|(_, state)| !state.prefix.is_whole()) {
                *if state.implicit {
                    &mut count.implicit
                } else {
                    &mut count.written
                } += 1;
            }
            snapshot.load_tenant(tenant, count);
        }
        for sequence in needs.held {
            let mut held = HeldCount::default();
            for (key, state) in &self.counters {
                if sequence.covers(key.sequence()) && snapshot.counter_state(key).is_none() {
                    held.add(state);
                }
            }
            snapshot.load_held(sequence, held);
        }
    }

    fn sequence(&self, key: &SequenceKey) -> Option<SequenceState> {
        let state = self.sequences.get(&(key.tenant.clone(), key.folded_prefix()))?;
        Some(SequenceState {
            tenant_closed_through: self.all_closed_through(&key.tenant),
            ..state.clone()
        })
    }

    /// The last date that is closed for all sequences of a tenant.
    fn all_closed_through(&self, tenant: &Tenant) -> Option<Date> {
        let whole = SequenceKey::whole(tenant.clone());
        let state = self.sequences.get(&(whole.tenant.clone(), whole.folded_prefix()));
        state.and_then(|state| state.closed_through)
    }

    fn find(&self, key: &CounterKey) -> Found {
        if let Some(state) = self.counters.get(key) {
            return Found::Counter(state.clone());
        }
        if key.scope().is_empty() {
            return Found::Nothing;
        }
        let folded = key.scope().to_string().to_lowercase();
        let variant = self.opened.iter().find(|other| {
            other.sequence() == key.sequence()
                && other.scope() != key.scope()
                && other.scope().to_string().to_lowercase() == folded
        });
        variant.map_or(Found::Nothing, |other| {
            Found::CaseVariant(other.scope().to_string())
        })
    }

    fn write(&mut self, mut snapshot: Snapshot) {
        let changes = snapshot.take_changes();
        self.marks.write(&changes.events, changes.marks);
        self.marks.write_leases(changes.leases);
        for linked in changes.events {
            if let Some(keyed) = &linked.event.key {
                self.keys.insert(keyed.name(), self.events.len());
            }
            self.events.push(linked);
        }
        for key in &changes.sequences {
            if let Some(state) = snapshot.sequence_state(key) {
                self.sequences
                    .insert((key.tenant.clone(), key.folded_prefix()), state.clone());
            }
        }
        for key in &changes.counters {
            if let Some(state) = snapshot.counter_state(key)
                && self.counters.insert(key.clone(), state.clone()).is_none()
            {
                self.opened.push(key.clone());
            }
        }
    }

    fn record(&self, key: SequenceKey, state: &SequenceState) -> SequenceRecord {
        let versions = self
            .events
            .iter()
            .map(|linked| &linked.event)
            .filter(|event| event.kind == EventKind::Defined && *event.subject.sequence() == key)
            .filter_map(definition_record)
            .collect();
        SequenceRecord {
            archived: state.archived,
            implicit: state.implicit,
            closed_through: state.closed_through,
            tenant_closed_through: self.all_closed_through(&key.tenant),
            key,
            versions,
        }
    }

    fn definition(&self, event: &Event) -> Option<DefinitionRecord> {
        self.events
            .iter()
            .map(|linked| &linked.event)
            .find(|defined| {
                defined.kind == EventKind::Defined
                    && defined.version == event.version
                    && defined.subject.sequence() == event.subject.sequence()
            })
            .and_then(definition_record)
    }
}

fn definition_record(event: &Event) -> Option<DefinitionRecord> {
    let spec = DefinitionSpec::from_json(event.detail.as_deref()?).ok()?;
    Some(DefinitionRecord {
        spec,
        at: event.at,
        actor: event.origin.actor.clone(),
    })
}

#[async_trait]
impl CounterStore for MemoryStore {
    fn capabilities(&self) -> Capabilities {
        Capabilities::new("memory").gapless()
    }

    async fn apply(&self, batch: Vec<Command>) -> Vec<Result<Reply, StoreError>> {
        let mut tables = self.lock();
        if tables.closed {
            return vec![Err(StoreError::Draining); batch.len()];
        }
        let mut snapshot = Snapshot::new(self.authority);
        tables.load(&mut snapshot, &batch);
        let late: Vec<bool> = batch.iter().map(Command::is_late).collect();
        let commands: Vec<&Command> = batch
            .iter()
            .zip(&late)
            .filter(|(_, late)| !**late)
            .map(|(command, _)| command)
            .collect();
        let now = self.clock.now();
        let needs = snapshot.mark_needs(commands.iter().copied(), now);
        tables.marks.load(&mut snapshot, needs);
        let mut replies = snapshot.decide(&commands, now).into_iter();
        tables.write(snapshot);
        drop(tables);
        self.committed.notify_waiters();
        let mut decided = || replies.next().map(|reply| reply.map_err(StoreError::from));
        let reply = |late| {
            if late {
                Some(Err(StoreError::Late))
            } else {
                decided()
            }
        };
        late.into_iter().filter_map(reply).collect()
    }

    async fn counter(&self, key: &CounterKey) -> Result<Option<CounterState>, StoreError> {
        Ok(self.lock().counters.get(key).cloned())
    }

    async fn close(&self) -> Result<(), StoreError> {
        self.lock().closed = true;
        Ok(())
    }
}

#[async_trait]
impl DefinitionStore for MemoryStore {
    async fn sequence(&self, key: &SequenceKey) -> Result<Option<SequenceRecord>, StoreError> {
        let tables = self.lock();
        let state = tables.sequences.get(&(key.tenant.clone(), key.folded_prefix()));
        Ok(state
            .filter(|state| state.prefix == key.prefix && !key.is_whole())
            .map(|state| tables.record(key.clone(), state)))
    }

    async fn sequences(
        &self,
        tenant: &Tenant,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<SequenceRecord>, StoreError> {
        let tables = self.lock();
        let mut of_tenant: Vec<&SequenceState> = tables
            .sequences
            .iter()
            .filter(|((of, _), state)| {
                of == tenant
                    && !state.prefix.is_whole()
                    && after.is_none_or(|after| state.prefix.as_str() > after)
            })
            .map(|(_, state)| state)
            .collect();
        of_tenant.sort_unstable_by(|a, b| a.prefix.cmp(&b.prefix));
        let key = |state: &SequenceState| SequenceKey::new(tenant.clone(), state.prefix.clone());
        Ok(of_tenant
            .into_iter()
            .take(limit)
            .map(|state| tables.record(key(state), state))
            .collect())
    }
}

#[async_trait]
impl AuditLog for MemoryStore {
    async fn counters(
        &self,
        sequence: &SequenceKey,
        after: u64,
        limit: usize,
    ) -> Result<Vec<CounterRecord>, StoreError> {
        let tables = self.lock();
        let from = usize::try_from(after).unwrap_or(usize::MAX);
        let opened = tables
            .opened
            .iter()
            .enumerate()
            .skip(from)
            .filter(|(_, key)| key.sequence() == sequence);
        Ok(opened
            .filter_map(|(at, key)| {
                let state = tables.counters.get(key)?.clone();
                Some(CounterRecord {
                    position: at as u64 + 1,
                    key: key.clone(),
                    state,
                })
            })
            .take(limit)
            .collect())
    }

    async fn reservation(&self, id: &ReservationId) -> Result<Option<ReservationRecord>, StoreError> {
        Ok(self.lock().marks.reservation(id).cloned())
    }

    async fn marks(
        &self,
        counter: &CounterKey,
        after: Option<(u32, Number)>,
        limit: usize,
    ) -> Result<Vec<MarkRecord>, StoreError> {
        let tables = self.lock();
        let log = tables.events.iter().map(|linked| &linked.event);
        Ok(tables.marks.page(counter, after, limit, &log))
    }

    async fn leases(
        &self,
        sequence: &SequenceKey,
        after: Option<LeaseId>,
        limit: usize,
    ) -> Result<Vec<LeaseRecord>, StoreError> {
        Ok(self.lock().marks.open_leases(sequence, after, limit))
    }

    async fn events(&self, after: u64, limit: usize) -> Result<Vec<Recorded>, StoreError> {
        Ok(self.page(after, limit))
    }

    async fn query(&self, query: &EventQuery) -> Result<EventPage, StoreError> {
        let tables = self.lock();
        let index = |position: u64| usize::try_from(position).unwrap_or(usize::MAX) - 1;
        let last = tables.events.len() as u64;
        let event = |position| tables.events.get(index(position)).map(|linked| &linked.event);
        let (found, next) = query.scan(last, event);
        let events = found
            .into_iter()
            .map(|position| self.recorded(&tables, index(position)))
            .collect();
        Ok(EventPage { events, next, last })
    }

    async fn heads(&self) -> Result<Heads, StoreError> {
        let tables = self.lock();
        let counters = tables
            .counters
            .iter()
            .map(|(key, state)| (ChainName::from(&Subject::Counter(key.clone())), state.chain));
        let sequences = tables.sequences.iter().map(|((tenant, _), state)| {
            let key = SequenceKey::new(tenant.clone(), state.prefix.clone());
            (ChainName::from(&Subject::Sequence(key)), state.chain)
        });
        let (chains, digest) = HeadsDigest::of(&self.authority, counters.chain(sequences).collect());
        Ok(Heads {
            authority: self.authority,
            incarnation: 1,
            position: tables.events.len() as u64,
            chains,
            digest,
        })
    }
}

#[async_trait]
impl EventSource for MemoryStore {
    async fn take(&self, limit: usize) -> Result<Vec<Recorded>, StoreError> {
        loop {
            let committed = self.committed.notified();
            tokio::pin!(committed);
            committed.as_mut().enable();
            let acknowledged = self.lock().acknowledged;
            let events = self.page(acknowledged, limit);
            if !events.is_empty() {
                return Ok(events);
            }
            committed.await;
        }
    }

    async fn acknowledge(&self, position: u64) -> Result<(), StoreError> {
        let mut tables = self.lock();
        tables.acknowledged = tables.acknowledged.max(position);
        Ok(())
    }

    async fn backlog(&self) -> Result<Backlog, StoreError> {
        let tables = self.lock();
        let first = usize::try_from(tables.acknowledged).ok();
        let first = first.filter(|first| *first < tables.events.len());
        let oldest = first.map(|first| self.recorded(&tables, first).event.at);
        Ok(Backlog::between(
            tables.acknowledged,
            tables.events.len() as u64,
            oldest,
        ))
    }
}
