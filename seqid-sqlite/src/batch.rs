//! One transaction: what waits is decided and written until nothing waits any more, then committed, then answered.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rusqlite::{Connection, OptionalExtension, params};
use seqid_core::command::{Command, Reply};
use seqid_core::counter::{CounterKey, CounterState, SequenceKey};
use seqid_core::event::{Event, EventKind, KeyName};
use seqid_core::intake::{Intake, Sealed};
use seqid_core::ledger::{
    Found, HeldCount, Linked, MarkChange, MarkNeed, Refusal, Reservation, SequenceState, Snapshot,
    TenantCount,
};
use seqid_core::mark::{Mark, NumberState};
use seqid_core::names::{Number, Tenant};
use seqid_core::time::{Date, Timestamp};

use crate::config::SqliteConfig;
use crate::database::{self, Identity};
use crate::error::Fault;
use crate::index::EventIndex;
use crate::keys::KeyIndex;
use crate::leases;
use crate::marks::{self, MarkRow};
use crate::newest::{Committed, Newest, Row};
use crate::pace::Pace;
use crate::rows::{self, Advance, EventRow, signed};
use crate::sweep::Sweep;

/// A transaction ends at so many commands, or after so long, even if more keep coming: callers should not wait.
pub(crate) const LARGEST: usize = 1_024;
const LONGEST: Duration = Duration::from_millis(2);

/// With so many commands a transaction costs each of them little, however fast they come: a few more may be waited for.
const MANY: usize = 128;

/// What the writer keeps of the file while it serves it.
#[derive(Debug)]
pub(crate) struct Tables {
    pub(crate) keys: KeyIndex,
    pub(crate) events: EventIndex,
    pub(crate) identity: Identity,
    pub(crate) newest: Arc<Newest>,
    pub(crate) sweep: Sweep,
    known: Known,
    /// Keys of events before this are forgotten.
    key_retention: Duration,
}

impl Tables {
    /// The tables of a file whose rows are all current.
    pub(crate) fn open(
        config: &SqliteConfig,
        connection: &Connection,
        identity: Identity,
        newest: Arc<Newest>,
    ) -> rusqlite::Result<Self> {
        newest.begin(database::file_at(&config.path), identity.last_position);
        Ok(Self {
            keys: KeyIndex::open(connection)?,
            events: EventIndex::open(connection)?,
            newest,
            sweep: Sweep::new(config.trail, identity.last_position),
            identity,
            known: Known::default(),
            key_retention: config.key_retention,
        })
    }
}

/// Sequences and counters as this process left them last, so that the next batch need not read them: nobody else
/// writes. Bounded; forgotten with the file's other tables after a fault.
#[derive(Debug, Default)]
struct Known {
    sequences: HashMap<SequenceKey, (i64, SequenceState)>,
    counters: HashMap<CounterKey, (i64, CounterState)>,
    /// Rows of many more counters, by a part of their hashes: two counters may share one.
    rows: HashMap<u32, u32>,
    /// Holds that began lately, by the row of the counter, the generation and the first number.
    holds: HashMap<(i64, u32, Number), Mark>,
}

impl Known {
    /// The most sequences, the most counters and the most holds that are remembered.
    const MOST: usize = 10_000;
    /// The most rows of counters that are remembered: 19 MB, as much as the map takes from half of them on.
    const MOST_ROWS: usize = 1_800_000;

    fn put_sequence(&mut self, key: &SequenceKey, id: i64, state: &SequenceState) {
        if self.sequences.len() >= Self::MOST {
            self.sequences.clear();
        }
        self.sequences.insert(key.clone(), (id, state.clone()));
    }

    /// What is closed of all sequences of a tenant has changed.
    fn close_all(&mut self, tenant: &Tenant, through: Option<Date>) {
        for (key, (_, state)) in &mut self.sequences {
            if key.tenant == *tenant && !key.is_whole() {
                state.tenant_closed_through = through;
            }
        }
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

impl Known {
    /// Notes what a change leaves of a mark.
    fn note_mark(&mut self, row: i64, change: &MarkChange) {
        let name = (row, change.generation, change.first);
        match &change.mark {
            Some(mark) if mark.state == NumberState::Reserved => {
                if self.holds.len() >= Self::MOST {
                    self.holds.clear();
                }
                self.holds.insert(name, mark.clone());
            }
            _ => {
                self.holds.remove(&name);
            }
        }
    }

    /// The hold that a need asks for, if it is remembered.
    fn hold(&self, row: i64, need: &MarkNeed) -> Option<&Mark> {
        let MarkNeed::Reservation {
            generation,
            first,
            id,
            ..
        } = need
        else {
            return None;
        };
        let mark = self.holds.get(&(row, *generation, *first))?;
        mark.hold.filter(|hold| hold.id == *id).map(|_| mark)
    }

    /// A row that may be the counter's.
    fn row(&self, key: &CounterKey) -> Option<i64> {
        self.rows.get(&name_hash(key)).map(|id| i64::from(*id))
    }

    fn put_row(&mut self, key: &CounterKey, id: i64) {
        let Ok(id) = u32::try_from(id) else {
            return;
        };
        if self.rows.len() >= Self::MOST_ROWS {
            self.rows.clear();
        }
        self.rows.insert(name_hash(key), id);
    }
}

fn name_hash(key: &CounterKey) -> u32 {
    (key.lane_hash() >> 32) as u32
}

/// A counter's row and what is in it, as far as this transaction has to know.
#[derive(Debug)]
struct CounterRow {
    id: i64,
    /// The last event when the counter was loaded or its row inserted.
    n: u64,
    /// Whether it has a `last_date`: a draw that adds the first is not told from others by its event.
    dated: bool,
}

impl CounterRow {
    fn new(id: i64, state: &CounterState) -> Self {
        Self {
            id,
            n: state.chain.n,
            dated: state.last_date.is_some(),
        }
    }
}

/// Where events of counters stand, by the counter's row and the event's number there.
#[derive(Debug, Default)]
struct Positions(Vec<(i64, u64, u64)>);

impl Positions {
    fn of(events: &[EventRow]) -> Self {
        let of_counters = events
            .iter()
            .filter_map(|row| Some((row.counter?, row.linked.event.n, row.position)));
        let mut positions: Vec<_> = of_counters.collect();
        // Sorted already where all are of one counter.
        positions.sort_unstable();
        Self(positions)
    }

    fn find(&self, counter: i64, n: u64) -> Option<u64> {
        let found = self
            .0
            .binary_search_by_key(&(counter, n), |(counter, n, _)| (*counter, *n));
        found.ok().map(|at| self.0[at].2)
    }
}

/// A transaction that was written and not yet committed.
pub(crate) struct Batch<'a> {
    connection: &'a Connection,
    tables: &'a mut Tables,
    snapshot: Snapshot,
    sequences: HashMap<SequenceKey, i64>,
    counters: HashMap<CounterKey, CounterRow>,
    /// Rows of counters that had events other than `issued`, or whose marks changed: these cannot be made up for
    /// later.
    moved: HashSet<i64>,
    written: Vec<Row>,
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
            moved: HashSet::new(),
            written: Vec::new(),
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
        pace: &mut Pace,
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
                // Among several callers more are about to come: give way to them once. A lone one is not waited for, and
                // few that are slow are not.
                let few = replies.len() < MANY;
                if sealed.len() == replies.len() && replies.len() > 1 && (!few || pace.gives_way()) {
                    let gave_way = Instant::now();
                    std::thread::yield_now();
                    intake.take(LARGEST - sealed.len(), sealed);
                    if few {
                        pace.note(sealed.len() - replies.len(), gave_way.elapsed());
                    }
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
        for sequence in needs.held {
            let count = self.count_held(&sequence)?;
            self.snapshot.load_held(sequence, count);
        }
        for need in self.snapshot.mark_needs(commands.iter().copied(), self.now) {
            let Some(CounterRow { id: row, .. }) = self.counters.get(need.counter()) else {
                continue;
            };
            match (self.tables.known.hold(*row, &need), need) {
                (Some(mark), MarkNeed::Reservation { counter, id, .. }) => {
                    let held = Reservation::Held(mark.clone());
                    self.snapshot.load_reservation(counter, id, held);
                }
                (_, need) => marks::load(self.connection, &mut self.snapshot, *row, need)?,
            }
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
            // A name that differs by letter case alone is refused, and has no counters.
            if state.prefix == key.prefix {
                self.tables.known.put_sequence(&key, id, &state);
                self.sequences.insert(key.clone(), id);
            }
            state
        });
        self.snapshot.load_sequence(key, state);
        Ok(())
    }

    fn load_counter(&mut self, key: CounterKey) -> Result<(), Fault> {
        if let Some((id, state)) = self.tables.known.counters.get(&key) {
            self.counters.insert(key.clone(), CounterRow::new(*id, state));
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
        let (scope, period) = (key.scope().to_string(), key.period().to_string());
        if let Some(id) = self.tables.known.row(key)
            && let Some(state) = self.read_counter(id, (sequence, &scope, &period))?
        {
            return Ok(self.found(key, id, state));
        }
        let folded = scope.to_lowercase();
        let found = self
            .connection
            .prepare_cached(rows::FIND_COUNTER)?
            .query_row(params![sequence, folded, period], |row| {
                Ok((
                    row.get::<_, i64>(0)?,
                    row.get::<_, String>(1)?,
                    rows::counter_state(row, 2)?,
                ))
            })
            .optional()?;
        match found {
            Some((id, exact, state)) if exact == scope => {
                self.tables.known.put_row(key, id);
                Ok(self.found(key, id, state))
            }
            Some((_, exact, _)) => Ok(Found::CaseVariant(exact)),
            None if scope.is_empty() => Ok(Found::Nothing),
            None => self.find_case_variant(sequence, &scope, &folded),
        }
    }

    /// A counter that is said to be in this row, if it is.
    fn read_counter(&self, id: i64, name: (i64, &str, &str)) -> Result<Option<CounterState>, Fault> {
        let mut statement = self.connection.prepare_cached(rows::READ_COUNTER)?;
        let mut found = statement.query([id])?;
        let Some(row) = found.next()? else {
            return Ok(None);
        };
        let text = |at| row.get_ref(at)?.as_str().map_err(rusqlite::Error::from);
        if (row.get(0)?, text(1)?, text(2)?) != name {
            return Ok(None);
        }
        Ok(Some(rows::counter_state(row, 3)?))
    }

    fn found(&mut self, key: &CounterKey, id: i64, mut state: CounterState) -> Found {
        self.tables.newest.refresh(id, &mut state);
        self.counters.insert(key.clone(), CounterRow::new(id, &state));
        Found::Counter(state)
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
                .prepare_cached(
                    "SELECT count(*) FROM sequence WHERE tenant = ?1 AND implicit = ?2 AND prefix <> '*'",
                )?
                .query_row(params![tenant.as_str(), implicit], |row| row.get::<_, i64>(0))
        };
        let unsigned = |count: i64| u64::try_from(count).unwrap_or_default();
        Ok(TenantCount {
            implicit: unsigned(count(true)?),
            written: unsigned(count(false)?),
        })
    }

    /// What the counters of a sequence, or of all of a tenant's, hold that this transaction has not loaded: it has not
    /// written to them, and rows trail by `issued` events alone.
    fn count_held(&self, sequence: &SequenceKey) -> Result<HeldCount, Fault> {
        let loaded: HashSet<i64> = self.counters.values().map(|row| row.id).collect();
        let sql = if sequence.is_whole() {
            "SELECT c.id, 0, c.leases FROM counter c JOIN sequence s ON s.id = c.sequence \
             WHERE s.tenant = ?1 AND c.leases > 0 AND ?2 <> ''"
        } else {
            "SELECT c.id, c.reserved, c.leases FROM counter c JOIN sequence s ON s.id = c.sequence \
             WHERE s.tenant = ?1 AND s.prefix = ?2 AND (c.reserved > 0 OR c.leases > 0)"
        };
        let mut statement = self.connection.prepare_cached(sql)?;
        let name = params![sequence.tenant.as_str(), sequence.prefix.as_str()];
        let rows = statement.query_map(name, |row| {
            Ok((row.get(0)?, row.get::<_, i64>(1)?, row.get::<_, u32>(2)?))
        })?;
        let mut held = HeldCount::default();
        for row in rows {
            let (counter, reserved, leases) = row?;
            if !loaded.contains(&counter) {
                held.numbers += u64::try_from(reserved).unwrap_or_default();
                held.leases += u64::from(leases);
            }
        }
        Ok(held)
    }

    fn write_events(&mut self) -> Result<(), Fault> {
        let events = self.snapshot.take_events();
        let marks = self.snapshot.take_marks();
        let left = self.unwritten.len();
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
            self.tables
                .events
                .insert(position, sequence, counter, &linked.event);
            if linked.event.kind != EventKind::Issued {
                self.moved.extend(counter);
            }
            self.unwritten.push(EventRow {
                position,
                sequence,
                counter,
                linked,
            });
        }
        let events = &self.unwritten[left..];
        marks::note_reservations(self.connection, events)?;
        let positions = if marks.is_empty() {
            Positions::default()
        } else {
            Positions::of(events)
        };
        rows::insert_whole(self.connection, &mut self.unwritten)?;
        self.write_marks(&marks, &positions)
    }

    fn write_marks(&mut self, changes: &[MarkChange], positions: &Positions) -> Result<(), Fault> {
        let mut changed = Vec::with_capacity(changes.len());
        for change in changes {
            let Some(row) = self.counters.get(&change.counter) else {
                return Err(Fault::Sqlite(rusqlite::Error::QueryReturnedNoRows));
            };
            let n = change.mark.as_ref().map(|mark| mark.n);
            self.moved.insert(row.id);
            self.tables.known.note_mark(row.id, change);
            changed.push(MarkRow {
                counter: row.id,
                change,
                position: n.and_then(|n| positions.find(row.id, n)),
            });
        }
        marks::write(self.connection, changed)?;
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
        if let Some(row) = self.counters.get(key) {
            return Ok(row.id);
        }
        let Some(state) = self.snapshot.counter_state(key) else {
            return Err(Fault::Sqlite(rusqlite::Error::QueryReturnedNoRows));
        };
        let id = rows::insert_counter(self.connection, sequence, key, state)?;
        self.counters.insert(key.clone(), CounterRow::new(id, state));
        self.tables.known.put_row(key, id);
        Ok(id)
    }

    /// Writes so many of the rows that trail.
    pub(crate) fn write_rows(&mut self, rows: usize) -> Result<(), Fault> {
        let Tables { sweep, newest, .. } = &mut *self.tables;
        self.written.extend(sweep.write(self.connection, newest, rows)?);
        Ok(())
    }

    /// Writes the new states, and rows of older ones that are due. The transaction is then ready to be committed.
    pub(crate) fn finish(mut self) -> Result<Committed, Fault> {
        rows::insert_rest(self.connection, &self.unwritten)?;
        let changes = self.snapshot.take_changes();
        for key in &changes.sequences {
            let id = self.sequence_row(key)?;
            if let Some(state) = self.snapshot.sequence_state(key) {
                rows::update_sequence(self.connection, id, state)?;
                if key.is_whole() {
                    self.tables.known.close_all(&key.tenant, state.closed_through);
                }
                self.tables.known.put_sequence(key, id, state);
            }
        }
        leases::write(self.connection, &changes.leases, |key| {
            self.counters.get(key).map(|row| row.id)
        })?;
        let trailing = self.write_counters(&changes.counters)?;
        let position = self.tables.identity.last_position;
        let Tables { sweep, newest, .. } = &mut *self.tables;
        self.written
            .extend(sweep.write_due(self.connection, newest, position)?);
        rows::update_progress(self.connection, position, sweep.written_to())?;
        let oldest = self.oldest_key().as_micros();
        self.tables
            .keys
            .write_slice(self.connection, self.keys_added, position, oldest)?;
        self.tables.events.write_slice(self.connection)?;
        Ok(Committed {
            position,
            trailing,
            written: self.written,
        })
    }

    /// Writes the rows of counters whose change does not follow from `issued` events alone. Answers the states of the
    /// others.
    fn write_counters(&mut self, changed: &[CounterKey]) -> Result<Vec<(i64, Advance)>, Fault> {
        let mut trailing = Vec::with_capacity(changed.len());
        for key in changed {
            let (Some(row), Some(state)) = (self.counters.get(key), self.snapshot.counter_state(key)) else {
                continue;
            };
            if self.moved.contains(&row.id) || row.dated != state.last_date.is_some() {
                rows::update_counter(self.connection, row.id, state)?;
                self.written.push((row.id, state.chain.n));
            } else if row.n < state.chain.n {
                trailing.push((row.id, Advance::from(state)));
            }
            self.tables.known.put_counter(key, row.id, state);
        }
        Ok(trailing)
    }
}

#[cfg(test)]
mod tests {
    use seqid_core::clock::{Clock, SystemClock};
    use seqid_core::numbering::DrawRequest;
    use seqid_core::observer::Unobserved;
    use seqid_core::store::{AuditLog, CounterStore};
    use seqid_core::{Issuer, Numbering, Prefix};

    use super::*;
    use crate::SqliteStore;
    use crate::writer::Engine;

    #[test]
    fn a_row_that_is_another_counters_is_not_taken_for_the_counters() {
        let folder = tempfile::tempdir().unwrap();
        let config = SqliteConfig::new(folder.path().join("seqid.db"));
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let found: Vec<(CounterKey, i64, CounterState)> = runtime.block_on(async {
            let store = SqliteStore::open(config.clone(), Arc::new(SystemClock), Arc::new(Unobserved));
            let store = Arc::new(store.unwrap());
            let issuer = Issuer::new(Arc::new(Arc::clone(&store)));
            let mut found = Vec::new();
            for (prefix, draws) in [("INV", 1), ("ORD", 2)] {
                let prefix = Prefix::new(prefix).unwrap();
                for _ in 0..draws {
                    issuer.draw(DrawRequest::new(prefix.clone())).await.unwrap();
                }
                let sequence = SequenceKey::new(Tenant::default(), prefix);
                let record = store.counters(&sequence, 0, 10).await.unwrap().remove(0);
                found.push((record.key, record.position.cast_signed(), record.state));
            }
            store.close().await.unwrap();
            found
        });
        let mut engine = Engine::open(&config, &SystemClock, &Arc::default(), None).unwrap();
        let [(key, id, state), (_, other, _)] = &found[..] else {
            panic!("{found:?}")
        };
        for forged in [*other, 999, *id] {
            engine.tables.known.put_row(key, forged);
            let mut batch = Batch::begin(&engine.connection, &mut engine.tables, SystemClock.now()).unwrap();
            batch.load_sequence(key.sequence().clone()).unwrap();
            let sequence = batch.sequences[key.sequence()];
            let loaded = batch.find_counter(sequence, key).unwrap();
            assert_eq!(loaded, Found::Counter(state.clone()), "from row {forged}");
            assert_eq!(batch.counters[key].id, *id);
            assert_eq!(engine.tables.known.row(key), Some(*id));
            engine.connection.execute_batch("ROLLBACK").unwrap();
        }
    }
}
