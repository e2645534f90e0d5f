//! One transaction: what waits is decided and written until nothing waits any more, then committed, then answered.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use rusqlite::{Connection, OptionalExtension, params};
use seqid_core::command::{Command, Reply};
use seqid_core::counter::{CounterKey, CounterState, SequenceKey};
use seqid_core::event::{Event, EventKind, KeyName};
use seqid_core::intake::{Intake, Sealed};
use seqid_core::ledger::{Found, Linked, Refusal, SequenceState, Snapshot, TenantCount};
use seqid_core::names::Tenant;
use seqid_core::time::Timestamp;

use crate::database::Identity;
use crate::error::Fault;
use crate::keys::KeyIndex;
use crate::rows::{self, EventRow, signed};

/// A transaction ends at so many commands, or after so long, even if more keep coming: callers should not wait.
pub(crate) const LARGEST: usize = 1_024;
const LONGEST: Duration = Duration::from_millis(2);

/// What the writer keeps of the file while it serves it.
#[derive(Debug)]
pub(crate) struct Tables {
    pub(crate) keys: KeyIndex,
    pub(crate) identity: Identity,
    pub(crate) known: Known,
    /// Keys of events before this are forgotten.
    pub(crate) key_retention: Duration,
}

/// Sequences and counters as this process wrote them last, so that the next batch need not read them: nobody else
/// writes. Bounded; forgotten with the file's other tables after a fault.
#[derive(Debug, Default)]
pub(crate) struct Known {
    sequences: HashMap<SequenceKey, (i64, SequenceState)>,
    counters: HashMap<CounterKey, (i64, CounterState)>,
}

impl Known {
    /// The most sequences, and the most counters, that are remembered.
    const MOST: usize = 10_000;

    fn put_sequence(&mut self, key: &SequenceKey, id: i64, state: &SequenceState) {
        if self.sequences.len() >= Self::MOST {
            self.sequences.clear();
        }
        self.sequences.insert(key.clone(), (id, state.clone()));
    }

    fn put_counter(&mut self, key: &CounterKey, id: i64, state: &CounterState) {
        match self.counters.get_mut(key) {
            Some(known) => *known = (id, state.clone()),
            None => {
                if self.counters.len() >= Self::MOST {
                    self.counters.clear();
                }
                self.counters.insert(key.clone(), (id, state.clone()));
            }
        }
    }
}

/// A transaction that was written and not yet committed.
pub(crate) struct Batch<'a> {
    connection: &'a Connection,
    tables: &'a mut Tables,
    snapshot: Snapshot,
    sequences: HashMap<SequenceKey, i64>,
    counters: HashMap<CounterKey, i64>,
    keys_added: usize,
    /// Events that are decided and not yet inserted.
    unwritten: Vec<EventRow>,
    now: Timestamp,
}

impl<'a> Batch<'a> {
    pub(crate) fn begin(
        connection: &'a Connection,
        tables: &'a mut Tables,
        now: Timestamp,
    ) -> Result<Self, Fault> {
        connection.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
        let snapshot = Snapshot::new(tables.identity.authority);
        Ok(Self {
            connection,
            tables,
            snapshot,
            sequences: HashMap::new(),
            counters: HashMap::new(),
            keys_added: 0,
            unwritten: Vec::new(),
            now,
        })
    }

    /// Carries out what is sealed, then what came meanwhile, until nothing waits.
    pub(crate) fn fill(
        &mut self,
        intake: &Intake,
        sealed: &mut Vec<Sealed>,
    ) -> Result<Vec<Result<Reply, Refusal>>, Fault> {
        let began = Instant::now();
        let mut replies = Vec::with_capacity(sealed.len());
        while replies.len() < sealed.len() {
            let commands: Vec<&Command> = sealed[replies.len()..]
                .iter()
                .map(|sealed| &sealed.command)
                .collect();
            replies.extend(self.apply(&commands)?);
            if sealed.len() < LARGEST && began.elapsed() < LONGEST {
                intake.take(LARGEST - sealed.len(), sealed);
                // Among several callers more are about to come: give way to them once. A lone one is not waited for.
                if sealed.len() == replies.len() && replies.len() > 1 {
                    std::thread::yield_now();
                    intake.take(LARGEST - sealed.len(), sealed);
                }
            }
        }
        Ok(replies)
    }

    /// Decides commands and writes their events.
    pub(crate) fn apply(&mut self, commands: &[&Command]) -> Result<Vec<Result<Reply, Refusal>>, Fault> {
        self.load(commands)?;
        let replies = self.snapshot.decide(commands, self.now);
        self.write_events()?;
        Ok(replies)
    }

    fn load(&mut self, commands: &[&Command]) -> Result<(), Fault> {
        let needs = self.snapshot.needs(commands.iter().copied());
        for key in needs.sequences {
            self.load_sequence(key)?;
        }
        for key in needs.counters {
            self.load_counter(key)?;
        }
        for name in needs.keys {
            let event = self.find_key(name)?;
            self.snapshot.load_key(name, event);
        }
        for tenant in needs.tenants {
            let count = self.count_definitions(&tenant)?;
            self.snapshot.load_tenant(tenant, count);
        }
        Ok(())
    }

    fn load_sequence(&mut self, key: SequenceKey) -> Result<(), Fault> {
        if let Some((id, state)) = self.tables.known.sequences.get(&key) {
            self.sequences.insert(key.clone(), *id);
            self.snapshot.load_sequence(key, Some(state.clone()));
            return Ok(());
        }
        let found = rows::find_sequence(self.connection, &key)?;
        let state = found.map(|(id, state)| {
            if state.prefix == key.prefix {
                self.tables.known.put_sequence(&key, id, &state);
            }
            self.sequences.insert(key.clone(), id);
            state
        });
        self.snapshot.load_sequence(key, state);
        Ok(())
    }

    fn load_counter(&mut self, key: CounterKey) -> Result<(), Fault> {
        if let Some((id, state)) = self.tables.known.counters.get(&key) {
            self.counters.insert(key.clone(), *id);
            self.snapshot.load_counter(key, Found::Counter(state.clone()));
            return Ok(());
        }
        let found = match self.sequences.get(key.sequence()).copied() {
            Some(sequence) => self.find_counter(sequence, &key)?,
            None => Found::Nothing,
        };
        self.snapshot.load_counter(key, found);
        Ok(())
    }

    fn find_counter(&mut self, sequence: i64, key: &CounterKey) -> Result<Found, Fault> {
        let scope = key.scope().to_string();
        let folded = scope.to_lowercase();
        let found = self
            .connection
            .prepare_cached(rows::FIND_COUNTER)?
            .query_row(params![sequence, folded, key.period().to_string()], |row| {
                Ok((
                    row.get::<_, i64>(0)?,
                    row.get::<_, String>(1)?,
                    rows::counter_state(row, 2)?,
                ))
            })
            .optional()?;
        match found {
            Some((id, exact, state)) if exact == scope => {
                self.counters.insert(key.clone(), id);
                Ok(Found::Counter(state))
            }
            Some((_, exact, _)) => Ok(Found::CaseVariant(exact)),
            None if scope.is_empty() => Ok(Found::Nothing),
            None => self.find_case_variant(sequence, &scope, &folded),
        }
    }

    fn find_case_variant(&self, sequence: i64, scope: &str, folded: &str) -> Result<Found, Fault> {
        let exact: Option<String> = self
            .connection
            .prepare_cached("SELECT scope FROM counter WHERE sequence = ?1 AND scope_folded = ?2 LIMIT 1")?
            .query_row(params![sequence, folded], |row| row.get(0))
            .optional()?;
        Ok(exact
            .filter(|exact| exact != scope)
            .map_or(Found::Nothing, Found::CaseVariant))
    }

    fn find_key(&self, name: KeyName) -> Result<Option<Event>, Fault> {
        let oldest = self.oldest_key();
        for position in self.tables.keys.find(self.connection, name)? {
            let found = self
                .connection
                .prepare_cached(rows::FIND_EVENT)?
                .query_row([signed(position)], rows::event)
                .optional()?;
            let Some((_, Linked { event, .. })) = found else {
                continue;
            };
            let is_it = event.key.as_ref().is_some_and(|keyed| keyed.name() == name);
            if is_it && event.at >= oldest {
                return Ok(Some(event));
            }
        }
        Ok(None)
    }

    fn oldest_key(&self) -> Timestamp {
        self.now.saturating_sub(self.tables.key_retention)
    }

    fn count_definitions(&self, tenant: &Tenant) -> Result<TenantCount, Fault> {
        let count = |implicit: bool| {
            self.connection
                .prepare_cached("SELECT count(*) FROM sequence WHERE tenant = ?1 AND implicit = ?2")?
                .query_row(params![tenant.as_str(), implicit], |row| row.get::<_, i64>(0))
        };
        let unsigned = |count: i64| u64::try_from(count).unwrap_or_default();
        Ok(TenantCount {
            implicit: unsigned(count(true)?),
            written: unsigned(count(false)?),
        })
    }

    fn write_events(&mut self) -> Result<(), Fault> {
        let events = self.snapshot.take_events();
        self.unwritten.reserve(events.len());
        for linked in events {
            let (sequence, counter) = match self.unwritten.last() {
                // Most events of a batch are of the counter of the one before.
                Some(before) if before.linked.event.subject == linked.event.subject => {
                    (before.sequence, before.counter)
                }
                _ => self.rows_of(&linked.event)?,
            };
            if linked.event.kind == EventKind::Defined {
                rows::insert_definition(self.connection, sequence, &linked.event)?;
            }
            let position = self.tables.identity.last_position + 1;
            self.tables.identity.last_position = position;
            self.tables.identity.last_hash = linked.hash;
            self.index_key(&linked.event, position);
            self.unwritten.push(EventRow {
                position,
                sequence,
                counter,
                linked,
            });
        }
        rows::insert_whole(self.connection, &mut self.unwritten)?;
        Ok(())
    }

    fn rows_of(&mut self, event: &Event) -> Result<(i64, Option<i64>), Fault> {
        let sequence = self.sequence_row(event.subject.sequence())?;
        let counter = match event.subject.counter() {
            Some(key) => Some(self.counter_row(sequence, key)?),
            None => None,
        };
        Ok((sequence, counter))
    }

    fn index_key(&mut self, event: &Event, position: u64) {
        if let Some(keyed) = &event.key {
            self.tables
                .keys
                .insert(keyed.name(), position, event.at.as_micros());
            self.keys_added += 1;
        }
    }

    fn sequence_row(&mut self, key: &SequenceKey) -> Result<i64, Fault> {
        if let Some(id) = self.sequences.get(key) {
            return Ok(*id);
        }
        let Some(state) = self.snapshot.sequence_state(key) else {
            return Err(Fault::Sqlite(rusqlite::Error::QueryReturnedNoRows));
        };
        let id = rows::insert_sequence(self.connection, key, state)?;
        self.sequences.insert(key.clone(), id);
        Ok(id)
    }

    fn counter_row(&mut self, sequence: i64, key: &CounterKey) -> Result<i64, Fault> {
        if let Some(id) = self.counters.get(key) {
            return Ok(*id);
        }
        let Some(state) = self.snapshot.counter_state(key) else {
            return Err(Fault::Sqlite(rusqlite::Error::QueryReturnedNoRows));
        };
        let id = rows::insert_counter(self.connection, sequence, key, state)?;
        self.counters.insert(key.clone(), id);
        Ok(id)
    }

    /// Writes the new states. The transaction is then ready to be committed.
    pub(crate) fn finish(mut self) -> Result<(), Fault> {
        rows::insert_rest(self.connection, &self.unwritten)?;
        let changes = self.snapshot.take_changes();
        for key in &changes.sequences {
            let id = self.sequence_row(key)?;
            if let Some(state) = self.snapshot.sequence_state(key) {
                rows::update_sequence(self.connection, id, state)?;
                self.tables.known.put_sequence(key, id, state);
            }
        }
        for key in &changes.counters {
            if let (Some(id), Some(state)) = (self.counters.get(key), self.snapshot.counter_state(key)) {
                rows::update_counter(self.connection, *id, state)?;
                self.tables.known.put_counter(key, *id, state);
            }
        }
        let (position, oldest) = (self.tables.identity.last_position, self.oldest_key().as_micros());
        self.tables
            .keys
            .write_slice(self.connection, self.keys_added, position, oldest)?;
        Ok(())
    }
}
