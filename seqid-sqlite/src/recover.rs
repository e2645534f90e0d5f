//! What an operator does with a file that went back in time or was copied.

use std::path::PathBuf;
use std::sync::Arc;

use rusqlite::{Connection, params};
use seqid_core::Definition;
use seqid_core::clock::Clock;
use seqid_core::command::Command;
use seqid_core::compiled::CompiledDefinitions;
use seqid_core::counter::SequenceKey;
use seqid_core::line::Version;
use seqid_core::recovery::Recovery;
use seqid_core::time::Zone;

use crate::batch::{Batch, Tables};
use crate::catch_up::catch_up;
use crate::config::SqliteConfig;
use crate::database::{self, Place};
use crate::error::{Fault, OpenError};
use crate::read;
use crate::rows;

/// How many counters are moved at a time.
const PAGE: usize = 1_000;

/// What was done.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct RecoveryReport {
    /// The incarnation that begins.
    pub incarnation: u32,
    /// How many counters were moved to a new epoch.
    pub counters: u64,
    /// The file.
    pub path: PathBuf,
}

/// Accepts a file as it is: checks it, begins a new incarnation, and moves every counter to a new epoch and forward by
/// the margin, with an event for each. All in one transaction. The service must be stopped.
///
/// # Errors
/// [`OpenError`], and nothing is changed.
pub fn recover(
    config: &SqliteConfig,
    recovery: &Recovery,
    clock: &dyn Clock,
) -> Result<RecoveryReport, OpenError> {
    let _lock = database::lock(config)?;
    let sqlite = |source| database::sqlite_error(config, source);
    if !config.path.exists() {
        let source = std::io::Error::from(std::io::ErrorKind::NotFound);
        return Err(OpenError::Folder {
            path: config.path.clone(),
            source,
        });
    }
    let connection = database::open(config, clock.now())?;
    database::require_sound(&connection).map_err(sqlite)?;
    let identity = database::identity(config, &connection)?;
    let tables = Tables::open(config, &connection, identity, Arc::default());
    let mut tables = tables.map_err(sqlite)?;
    let incarnation = tables.identity.incarnation + 1;
    let counters = transact(config, &connection, &mut tables, recovery, clock).map_err(|fault| {
        let _undone = connection.execute_batch("ROLLBACK");
        database::fault_error(config, fault)
    })?;
    connection.execute_batch("COMMIT").map_err(sqlite)?;
    database::settle(config, &connection)?;
    let sidecar = database::identity(config, &connection)?.sidecar();
    sidecar.write(config).map_err(|source| OpenError::Folder {
        path: config.sidecar_path(),
        source,
    })?;
    Ok(RecoveryReport {
        incarnation,
        counters,
        path: config.path.clone(),
    })
}

fn transact(
    config: &SqliteConfig,
    connection: &Connection,
    tables: &mut Tables,
    recovery: &Recovery,
    clock: &dyn Clock,
) -> Result<u64, Fault> {
    let now = clock.now();
    let (incarnation, first_position) = (tables.identity.incarnation + 1, tables.identity.last_position + 1);
    let identity = tables.identity.clone();
    let mut batch = Batch::begin(connection, tables, now)?;
    catch_up(connection, &identity)?;
    let place = Place::of(config);
    connection.execute(
        "INSERT INTO incarnation (ordinal, machine, inode, first_position, began_at, actor, reason) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        params![
            incarnation,
            place.machine,
            place.inode,
            rows::signed(first_position),
            now.as_micros(),
            recovery.actor.as_ref().map(AsRef::<str>::as_ref),
            recovery.reason.as_str(),
        ],
    )?;
    let definitions = CompiledDefinitions::default();
    let today = Zone::UTC.date_at(now);
    let mut moved = 0;
    for (sequence, head) in sequence_heads(connection)? {
        let mut after = 0;
        loop {
            let page = read::counters(connection, &sequence, after, PAGE)?;
            let Some(last) = page.last() else { break };
            after = last.position;
            let mut commands = Vec::with_capacity(page.len());
            for record in &page {
                let version = |number| version(connection, &definitions, &sequence, number);
                let (head, opened) = (version(head)?, version(record.state.version)?);
                let number = opened.number;
                let command = recovery.new_epoch(&record.key, head, opened, today);
                commands.push(command.map_err(|_| Fault::Definition(number))?);
            }
            moved += commands.len() as u64;
            let commands: Vec<&Command> = commands.iter().collect();
            batch.apply(&commands)?;
        }
    }
    batch.finish()?;
    // The rows were written with the events, as those of all moves are.
    let last = tables.identity.last_position;
    rows::update_progress(connection, last, last)?;
    Ok(moved)
}

/// The sequences that can give numbers.
fn sequence_heads(connection: &Connection) -> Result<Vec<(SequenceKey, u32)>, Fault> {
    let mut statement = connection.prepare(
        "SELECT tenant, prefix, head FROM sequence WHERE archived = 0 AND prefix <> '*' ORDER BY id",
    )?;
    let heads = statement.query_map([], |row| Ok((rows::sequence_key(row, 0)?, row.get(2)?)))?;
    Ok(heads.collect::<Result<_, _>>()?)
}

fn version(
    connection: &Connection,
    definitions: &CompiledDefinitions,
    sequence: &SequenceKey,
    number: u32,
) -> Result<Version, Fault> {
    let found = definitions.find(sequence, number, || read::version(connection, sequence, number))?;
    let definition: Definition = found.ok_or(Fault::Definition(number))?;
    Ok(Version { number, definition })
}
