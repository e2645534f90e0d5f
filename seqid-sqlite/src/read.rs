//! Reading beside the writer: a few threads with read-only connections, so that a long page holds up no draw, and no
//! executor's thread waits for a disk.

use std::ops::Deref;
use std::path::Path;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::{Connection, OptionalExtension, Row, params};
use seqid_core::chain::Authority;
use seqid_core::compiled::CompiledDefinitions;
use seqid_core::counter::{CounterKey, CounterState, SequenceKey};
use seqid_core::event::Recorded;
use seqid_core::ledger::Linked;
use seqid_core::names::Tenant;
use seqid_core::store::{Backlog, CounterRecord, SequenceRecord, StoreError};
use seqid_core::time::{Date, Timestamp};
use tokio::sync::oneshot;

use crate::database::{self, FileId};
use crate::error::Fault;
use crate::rows::{self, signed};

/// Short questions need not wait behind one long page.
const THREADS: usize = 2;

type Job = Box<dyn FnOnce(Result<&Reader, StoreError>) + Send>;

/// A connection that reads.
#[derive(Debug)]
pub(crate) struct Reader {
    connection: Connection,
    /// The file that it reads.
    pub(crate) file: Option<FileId>,
}

impl Deref for Reader {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        &self.connection
    }
}

/// See the [module](self).
#[derive(Debug)]
pub(crate) struct Readers {
    jobs: Sender<Job>,
}

impl Readers {
    /// Starts the threads.
    pub(crate) fn start(path: &Path) -> std::io::Result<Self> {
        let (jobs, waiting) = channel::<Job>();
        let waiting = Arc::new(Mutex::new(waiting));
        for _ in 0..THREADS {
            let (path, waiting) = (path.to_owned(), Arc::clone(&waiting));
            std::thread::Builder::new()
                .name("seqid-sqlite-read".into())
                .spawn(move || serve(&path, &waiting))?;
        }
        Ok(Self { jobs })
    }

    /// Runs a query on one of the threads.
    pub(crate) async fn read<T: Send + 'static>(
        &self,
        query: impl FnOnce(&Reader) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (answer, answered) = oneshot::channel();
        let job: Job = Box::new(move |reader| {
            let result = reader.and_then(|reader| query(reader).map_err(StoreError::from));
            let _gone = answer.send(result);
        });
        // The threads end when the store is dropped, or by a panic: no query writes, so nothing happened.
        self.jobs.send(job).map_err(|_| StoreError::Draining)?;
        answered.await.unwrap_or(Err(StoreError::Draining))
    }
}

fn serve(path: &Path, waiting: &Mutex<Receiver<Job>>) {
    let mut open: Option<Reader> = None;
    loop {
        let job = waiting.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(job) = job else { return };
        let file = database::file_at(path);
        if open.as_ref().is_none_or(|reader| reader.file != file) {
            open = None;
            match database::open_reader(path) {
                Ok(connection) => open = Some(Reader { connection, file }),
                Err(error) => {
                    job(Err(Fault::Sqlite(error).into()));
                    continue;
                }
            }
        }
        if let Some(reader) = &open {
            job(Ok(reader));
        }
    }
}

/// A counter's row and the state in it.
pub(crate) fn counter(
    connection: &Connection,
    key: &CounterKey,
) -> Result<Option<(i64, CounterState)>, Fault> {
    let Some(sequence) = sequence_row(connection, key.sequence())? else {
        return Ok(None);
    };
    let scope = key.scope().to_string();
    let found = connection
        .prepare_cached(rows::FIND_COUNTER)?
        .query_row(
            params![sequence, scope.to_lowercase(), key.period().to_string()],
            |row| {
                Ok((
                    row.get(0)?,
                    row.get::<_, String>(1)?,
                    rows::counter_state(row, 2)?,
                ))
            },
        )
        .optional()?;
    Ok(found
        .filter(|(_, exact, _)| *exact == scope)
        .map(|(id, _, state)| (id, state)))
}

/// A sequence's row, by its exact name.
pub(crate) fn sequence_row(connection: &Connection, key: &SequenceKey) -> Result<Option<i64>, Fault> {
    let id = connection
        .prepare_cached("SELECT id FROM sequence WHERE tenant = ?1 AND prefix_folded = ?2 AND prefix = ?3")?
        .query_row(
            params![key.tenant.as_str(), key.folded_prefix(), key.prefix.as_str()],
            |row| row.get(0),
        )
        .optional()?;
    Ok(id)
}

/// A sequence with its versions.
pub(crate) fn sequence(connection: &Connection, key: SequenceKey) -> Result<Option<SequenceRecord>, Fault> {
    let found = connection
        .prepare_cached(concat!(
            "SELECT id, archived, implicit, closed_through, ",
            rows::all_closed_through!(),
            " FROM sequence WHERE tenant = ?1 AND prefix_folded = ?2 AND prefix = ?3 AND prefix <> '*'",
        ))?
        .query_row(
            params![key.tenant.as_str(), key.folded_prefix(), key.prefix.as_str()],
            |row| Listed::read(row, 0),
        )
        .optional()?;
    found.map(|row| record(connection, key, &row)).transpose()
}

/// A row of `sequence`.
struct Listed {
    id: i64,
    archived: bool,
    implicit: bool,
    closed_through: Option<Date>,
    tenant_closed_through: Option<Date>,
}

impl Listed {
    fn read(row: &Row<'_>, at: usize) -> rusqlite::Result<Self> {
        Ok(Self {
            id: row.get(at)?,
            archived: row.get(at + 1)?,
            implicit: row.get(at + 2)?,
            closed_through: rows::optional_date(row, at + 3)?,
            tenant_closed_through: rows::optional_date(row, at + 4)?,
        })
    }
}

fn record(connection: &Connection, key: SequenceKey, row: &Listed) -> Result<SequenceRecord, Fault> {
    let versions = connection
        .prepare_cached("SELECT spec, at, actor FROM definition WHERE sequence = ?1 ORDER BY version")?
        .query_map([row.id], |row| rows::definition_record(row, 0))?
        .collect::<Result<_, _>>()?;
    Ok(SequenceRecord {
        key,
        archived: row.archived,
        implicit: row.implicit,
        closed_through: row.closed_through,
        tenant_closed_through: row.tenant_closed_through,
        versions,
    })
}

/// The sequences of a tenant, in order of their prefixes.
pub(crate) fn sequences(
    connection: &Connection,
    tenant: &Tenant,
    after: Option<&str>,
    limit: usize,
) -> Result<Vec<SequenceRecord>, Fault> {
    let found: Vec<(SequenceKey, Listed)> = connection
        .prepare_cached(concat!(
            "SELECT tenant, prefix, id, archived, implicit, closed_through, ",
            rows::all_closed_through!(),
            " FROM sequence WHERE tenant = ?1 AND prefix > ?2 AND prefix <> '*' ORDER BY prefix LIMIT ?3",
        ))?
        .query_map(
            params![tenant.as_str(), after.unwrap_or_default(), signed(limit as u64)],
            |row| Ok((rows::sequence_key(row, 0)?, Listed::read(row, 2)?)),
        )?
        .collect::<Result<_, _>>()?;
    found
        .into_iter()
        .map(|(key, row)| record(connection, key, &row))
        .collect()
}

/// The counters of a sequence, in the order in which they opened: their positions are their rows.
pub(crate) fn counters(
    connection: &Connection,
    sequence: &SequenceKey,
    after: u64,
    limit: usize,
) -> Result<Vec<CounterRecord>, Fault> {
    let Some(id) = sequence_row(connection, sequence)? else {
        return Ok(Vec::new());
    };
    let records = connection
        .prepare_cached(rows::LIST_COUNTERS)?
        .query_map(params![id, signed(after), signed(limit as u64)], |row| {
            Ok(CounterRecord {
                position: row.get::<_, i64>(0)?.cast_unsigned(),
                key: rows::counter_key(row, 1, sequence.clone())?,
                state: rows::counter_state(row, 6)?,
            })
        })?
        .collect::<Result<_, _>>()?;
    Ok(records)
}

/// The events behind a position, with their ids rendered.
pub(crate) fn events(
    connection: &Connection,
    authority: Authority,
    definitions: &CompiledDefinitions,
    after: u64,
    limit: usize,
) -> Result<Vec<Recorded>, Fault> {
    let mut statement = connection.prepare_cached(rows::LIST_EVENTS)?;
    let found = statement.query_map(params![signed(after), signed(limit as u64)], rows::event)?;
    let rows = found.collect::<Result<_, _>>()?;
    recorded(connection, authority, definitions, rows)
}

/// What was not acknowledged.
pub(crate) fn backlog(connection: &Connection, acknowledged: u64) -> Result<Backlog, Fault> {
    let found = connection
        .prepare_cached(
            "SELECT last_position, (SELECT at FROM event WHERE position > ?1 ORDER BY position LIMIT 1) FROM progress",
        )?
        .query_row(params![signed(acknowledged)], |row| {
            let (last, oldest): (i64, Option<i64>) = (row.get(0)?, row.get(1)?);
            Ok((last.cast_unsigned(), oldest.map(Timestamp::from_micros)))
        })?;
    Ok(Backlog::between(acknowledged, found.0, found.1))
}

/// Events with what the store knows of them, their ids rendered.
pub(crate) fn recorded(
    connection: &Connection,
    authority: Authority,
    definitions: &CompiledDefinitions,
    rows: Vec<(u64, Linked)>,
) -> Result<Vec<Recorded>, Fault> {
    let incarnations: Vec<(u32, i64)> = connection
        .prepare_cached("SELECT ordinal, first_position FROM incarnation ORDER BY ordinal DESC")?
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<Result<_, _>>()?;
    let mut events = Vec::with_capacity(rows.len());
    for (position, Linked { event, hash }) in rows {
        let of = incarnations.iter().find(|(_, first)| *first <= signed(position));
        let incarnation = of.map_or(1, |(ordinal, _)| *ordinal);
        let definition = definitions.find(event.subject.sequence(), event.version, || {
            version(connection, event.subject.sequence(), event.version)
        })?;
        let ids = definition.and_then(|definition| event.ids(&definition));
        events.push(Recorded::new(authority, incarnation, position, hash, event, ids));
    }
    Ok(events)
}

/// One version of a sequence's definition.
pub(crate) fn version(
    connection: &Connection,
    key: &SequenceKey,
    version: u32,
) -> Result<Option<seqid_core::DefinitionSpec>, Fault> {
    let Some(id) = sequence_row(connection, key)? else {
        return Ok(None);
    };
    let record = connection
        .prepare_cached("SELECT spec, at, actor FROM definition WHERE sequence = ?1 AND version = ?2")?
        .query_row(params![id, version], |row| rows::definition_record(row, 0))
        .optional()?;
    Ok(record.map(|record| record.spec))
}
