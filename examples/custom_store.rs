//! A store of one's own: load what a batch needs, let the ledger decide, write what changed. Nothing about numbers is
//! written here, and the conformance suite at the end shows that nothing is missing.
//!
//! `cargo run -p seqid-examples --example custom_store`, and `cargo test -p seqid-examples --example custom_store`.

use std::convert::Infallible;
use std::error::Error;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use seqid_core::chain::Authority;
use seqid_core::checkpoint::{ChainName, Heads, HeadsDigest};
use seqid_core::clock::{Clock, SystemClock};
use seqid_core::command::{Command, Reply};
use seqid_core::compiled::CompiledDefinitions;
use seqid_core::counter::{CounterKey, CounterState, SequenceKey};
use seqid_core::definition::DefinitionSpec;
use seqid_core::event::{Event, EventKind, Recorded, Subject};
use seqid_core::lease::LeaseId;
use seqid_core::ledger::{Found, HeldCount, Linked, MarkTable, SequenceState, Snapshot, TenantCount};
use seqid_core::names::{Number, Tenant};
use seqid_core::numbering::DrawRequest;
use seqid_core::query::{EventPage, EventQuery};
use seqid_core::reservation::ReservationId;
use seqid_core::store::{
    AuditLog, Capabilities, CounterRecord, DefinitionRecord, DefinitionStore, LeaseRecord, MarkRecord,
    ReservationRecord, SequenceRecord, StoreError,
};
use seqid_core::time::Date;
use seqid_core::{CounterStore, Issuer, Numbering, Prefix};

/// Tables, as any database would have them.
#[derive(Debug, Default)]
struct Tables {
    sequences: Vec<(SequenceKey, SequenceState)>,
    counters: Vec<(CounterKey, CounterState)>,
    events: Vec<Linked>,
    marks: MarkTable,
    closed: bool,
}

/// A store that keeps its tables behind one lock.
#[derive(Debug)]
struct TableStore {
    tables: Mutex<Tables>,
    clock: Arc<dyn Clock>,
    definitions: CompiledDefinitions,
}

/// The store's name in every event. A real one is drawn at random when the tables are made, and kept in them.
const AUTHORITY: Authority = Authority(*b"custom_store.rs!");

impl TableStore {
    fn new(clock: Arc<dyn Clock>) -> Self {
        Self {
            tables: Mutex::default(),
            clock,
            definitions: CompiledDefinitions::default(),
        }
    }

    /// Ids are not stored: they are rendered with the definition version that the event names.
    fn ids(&self, tables: &Tables, event: &Event) -> Option<(String, String)> {
        let key = event.subject.sequence();
        let (_, state) = tables.sequences.iter().find(|(other, _)| other == key)?;
        let version = usize::try_from(event.version).ok()?.checked_sub(1)?;
        let spec = || {
            Ok::<_, Infallible>(
                tables
                    .record(key, state)
                    .versions
                    .get(version)
                    .map(|v| v.spec.clone()),
            )
        };
        let Ok(definition) = self.definitions.find(key, event.version, spec);
        event.ids(&definition?)
    }

    fn lock(&self) -> MutexGuard<'_, Tables> {
        self.tables.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Tables {
    fn load(&self, snapshot: &mut Snapshot, commands: &[&Command]) {
        let needs = snapshot.needs(commands.iter().copied());
        for key in needs.sequences {
            let state = self.sequences.iter().find(|(other, _)| {
                other.tenant == key.tenant && other.folded_prefix() == key.folded_prefix()
            });
            let state = state.map(|(_, state)| SequenceState {
                tenant_closed_through: self.all_closed_through(&key.tenant),
                ..state.clone()
            });
            snapshot.load_sequence(key, state);
        }
        for key in needs.counters {
            let found = self.find(&key);
            snapshot.load_counter(key, found);
        }
        for name in needs.keys {
            let event = self
                .events
                .iter()
                .map(|linked| &linked.event)
                .find(|event| event.key.as_ref().is_some_and(|keyed| keyed.name() == name));
            snapshot.load_key(name, event.cloned());
        }
        for tenant in needs.tenants {
            let of_tenant = || {
                let of_tenant = self.sequences.iter().filter(|(key, _)| key.tenant == tenant);
                of_tenant.filter(|(key, _)| !key.is_whole())
            };
            let implicit = of_tenant().filter(|(_, state)| state.implicit).count() as u64;
            let written = of_tenant().count() as u64 - implicit;
            snapshot.load_tenant(tenant, TenantCount { implicit, written });
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

    /// The last date that is closed for all sequences of a tenant.
    fn all_closed_through(&self, tenant: &Tenant) -> Option<Date> {
        let whole = SequenceKey::whole(tenant.clone());
        let (_, state) = self.sequences.iter().find(|(key, _)| *key == whole)?;
        state.closed_through
    }

    fn find(&self, key: &CounterKey) -> Found {
        let folded = |key: &CounterKey| key.scope().to_string().to_lowercase();
        if let Some((_, state)) = self.counters.iter().find(|(other, _)| other == key) {
            return Found::Counter(state.clone());
        }
        let variant = self.counters.iter().map(|(other, _)| other).find(|other| {
            other.sequence() == key.sequence() && other.scope() != key.scope() && folded(other) == folded(key)
        });
        variant.map_or(Found::Nothing, |other| {
            Found::CaseVariant(other.scope().to_string())
        })
    }

    fn write(&mut self, snapshot: &mut Snapshot) {
        let changes = snapshot.take_changes();
        for key in changes.sequences {
            if let Some(state) = snapshot.sequence_state(&key) {
                put(&mut self.sequences, key, state.clone());
            }
        }
        for key in changes.counters {
            if let Some(state) = snapshot.counter_state(&key) {
                put(&mut self.counters, key, state.clone());
            }
        }
        self.marks.write(&changes.events, changes.marks);
        self.marks.write_leases(changes.leases);
        self.events.extend(changes.events);
    }

    fn record(&self, key: &SequenceKey, state: &SequenceState) -> SequenceRecord {
        let of_key = |linked: &&Linked| {
            linked.event.kind == EventKind::Defined && linked.event.subject.sequence() == key
        };
        let version = |linked: &Linked| {
            let spec = DefinitionSpec::from_json(linked.event.detail.as_deref()?).ok()?;
            Some(DefinitionRecord {
                spec,
                at: linked.event.at,
                actor: linked.event.origin.actor.clone(),
            })
        };
        let versions = self.events.iter().filter(of_key).filter_map(version).collect();
        SequenceRecord {
            key: key.clone(),
            archived: state.archived,
            implicit: state.implicit,
            closed_through: state.closed_through,
            tenant_closed_through: self.all_closed_through(&key.tenant),
            versions,
        }
    }
}

fn put<K: PartialEq, V>(table: &mut Vec<(K, V)>, key: K, value: V) {
    match table.iter_mut().find(|(other, _)| *other == key) {
        Some((_, old)) => *old = value,
        None => table.push((key, value)),
    }
}

#[async_trait]
impl CounterStore for TableStore {
    fn capabilities(&self) -> Capabilities {
        Capabilities::new("tables").gapless()
    }

    async fn apply(&self, batch: Vec<Command>) -> Vec<Result<Reply, StoreError>> {
        let mut tables = self.lock();
        if tables.closed {
            return vec![Err(StoreError::Draining); batch.len()];
        }
        let late: Vec<bool> = batch.iter().map(Command::is_late).collect();
        let in_time: Vec<&Command> = batch
            .iter()
            .zip(&late)
            .filter(|(_, late)| !**late)
            .map(|(command, _)| command)
            .collect();

        let mut snapshot = Snapshot::new(AUTHORITY);
        let now = self.clock.now();
        tables.load(&mut snapshot, &in_time);
        let needs = snapshot.mark_needs(in_time.iter().copied(), now);
        tables.marks.load(&mut snapshot, needs);
        let mut replies = snapshot.decide(&in_time, now).into_iter();
        tables.write(&mut snapshot);

        let mut decided = || replies.next().map(|reply| reply.map_err(StoreError::from));
        late.into_iter()
            .filter_map(|late| {
                if late {
                    Some(Err(StoreError::Late))
                } else {
                    decided()
                }
            })
            .collect()
    }

    async fn counter(&self, key: &CounterKey) -> Result<Option<CounterState>, StoreError> {
        Ok(self
            .lock()
            .counters
            .iter()
            .find(|(other, _)| other == key)
            .map(|(_, state)| state.clone()))
    }

    async fn close(&self) -> Result<(), StoreError> {
        self.lock().closed = true;
        Ok(())
    }
}

#[async_trait]
impl DefinitionStore for TableStore {
    async fn sequence(&self, key: &SequenceKey) -> Result<Option<SequenceRecord>, StoreError> {
        let tables = self.lock();
        let found = tables.sequences.iter().find(|(other, _)| other == key);
        let found = found.filter(|(key, _)| !key.is_whole());
        Ok(found.map(|(key, state)| tables.record(key, state)))
    }

    async fn sequences(
        &self,
        tenant: &Tenant,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<SequenceRecord>, StoreError> {
        let tables = self.lock();
        let mut found: Vec<_> = tables
            .sequences
            .iter()
            .filter(|(key, _)| key.tenant == *tenant && !key.is_whole())
            .collect();
        found.retain(|(key, _)| after.is_none_or(|after| key.prefix.as_str() > after));
        found.sort_by(|(a, _), (b, _)| a.prefix.cmp(&b.prefix));
        Ok(found
            .into_iter()
            .take(limit)
            .map(|(key, state)| tables.record(key, state))
            .collect())
    }
}

#[async_trait]
impl AuditLog for TableStore {
    async fn counters(
        &self,
        sequence: &SequenceKey,
        after: u64,
        limit: usize,
    ) -> Result<Vec<CounterRecord>, StoreError> {
        let tables = self.lock();
        let opened = (1..)
            .zip(&tables.counters)
            .filter(|(_, (key, _))| key.sequence() == sequence);
        Ok(opened
            .filter(|(position, _)| *position > after)
            .map(|(position, (key, state))| CounterRecord {
                position,
                key: key.clone(),
                state: state.clone(),
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
        let tables = self.lock();
        let behind = (1..)
            .zip(&tables.events)
            .filter(|(position, _)| *position > after)
            .take(limit);
        Ok(behind
            .map(|(position, Linked { event, hash })| {
                Recorded::new(
                    AUTHORITY,
                    1,
                    position,
                    *hash,
                    event.clone(),
                    self.ids(&tables, event),
                )
            })
            .collect())
    }

    async fn query(&self, query: &EventQuery) -> Result<EventPage, StoreError> {
        let tables = self.lock();
        let at = |position: u64| tables.events.get(usize::try_from(position).ok()?.checked_sub(1)?);
        let last = tables.events.len() as u64;
        let (found, next) = query.scan(last, |position| at(position).map(|linked| &linked.event));
        let recorded = |position| {
            let Linked { event, hash } = at(position)?.clone();
            let ids = self.ids(&tables, &event);
            Some(Recorded::new(AUTHORITY, 1, position, hash, event, ids))
        };
        let events = found.into_iter().filter_map(recorded).collect();
        Ok(EventPage { events, next, last })
    }

    async fn heads(&self) -> Result<Heads, StoreError> {
        let tables = self.lock();
        let counters = tables
            .counters
            .iter()
            .map(|(key, state)| (Subject::Counter(key.clone()), state.chain));
        let sequences = tables
            .sequences
            .iter()
            .map(|(key, state)| (Subject::Sequence(key.clone()), state.chain));
        let heads = counters
            .chain(sequences)
            .map(|(subject, chain)| (ChainName::from(&subject), chain));
        let (chains, digest) = HeadsDigest::of(&AUTHORITY, heads.collect());
        Ok(Heads {
            authority: AUTHORITY,
            incarnation: 1,
            position: tables.events.len() as u64,
            chains,
            digest,
        })
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let issuer = Issuer::new(Arc::new(TableStore::new(Arc::new(SystemClock))));
    for _ in 0..3 {
        println!(
            "{}",
            issuer.draw(DrawRequest::new(Prefix::new("INV")?)).await?.id()
        );
    }
    Ok(())
}

#[cfg(test)]
mod conformance {
    use seqid_core::clock::ManualClock;
    use seqid_testkit::suite::{Backend, Desk};

    use super::*;

    fn tables(clock: Arc<ManualClock>) -> Backend {
        Backend::new(TableStore::new(clock.clone()), clock)
    }

    seqid_testkit::ledger_suite!(tables);
    seqid_testkit::numbering_suite!(|clock| Desk::issuer(tables(clock)));
}
