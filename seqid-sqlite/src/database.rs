//! The file: opening it, telling whether it is the one that was written last, and what it is called.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags, OptionalExtension, params};
use seqid_core::chain::Authority;
use seqid_core::event::EventKind;
use seqid_core::time::Timestamp;

use crate::config::{SqliteConfig, beside};
use crate::error::{Damage, Fault, OpenError, Restored};
use crate::sidecar::{Sidecar, hex, sync_folder_of};
use crate::sweep::TRAIL;

/// Marks the file as ours: "SEQI".
const APPLICATION_ID: i32 = 0x5345_5149;
/// The statements that lead from each schema to the next; the first makes an empty file's.
const MIGRATIONS: [&str; 2] = [include_str!("schema/1.sql"), include_str!("schema/2.sql")];
const MIGRATED: usize = MIGRATIONS.len();
/// How long SQLite waits for a reader that holds the file for a moment.
const BUSY: Duration = Duration::from_secs(5);

/// What the file is called, and where its log ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Identity {
    pub(crate) authority: Authority,
    pub(crate) incarnation: u32,
    pub(crate) last_position: u64,
    pub(crate) last_hash: [u8; 32],
}

impl Identity {
    pub(crate) fn sidecar(&self) -> Sidecar {
        Sidecar {
            authority: self.authority.to_string(),
            incarnation: self.incarnation,
            position: self.last_position,
            hash: hex(&self.last_hash),
        }
    }
}

/// A file by its device and inode.
pub(crate) type FileId = (u64, u64);

/// The lock of the one process that writes, held until it is dropped.
#[derive(Debug)]
pub(crate) struct Lock(File);

impl Drop for Lock {
    fn drop(&mut self) {
        // Closing the file is not enough: a child that is just being spawned has it open until it runs its program.
        let _unlocked = self.0.unlock();
    }
}

/// Makes the folder, and takes the lock. The lock lies on a file of its own, for closing any handle of the database
/// file would drop SQLite's locks on it.
pub(crate) fn lock(config: &SqliteConfig) -> Result<Lock, OpenError> {
    let folder = |path: &Path| {
        let path = path.to_owned();
        move |source: io::Error| OpenError::Folder { path, source }
    };
    if let Some(parent) = config
        .path
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty())
    {
        fs::create_dir_all(parent).map_err(folder(parent))?;
    }
    let path = config.lock_path();
    let file = File::options()
        .create(true)
        .append(true)
        .open(&path)
        .map_err(folder(&path))?;
    match file.try_lock() {
        Ok(()) => Ok(Lock(file)),
        Err(fs::TryLockError::WouldBlock) => Err(OpenError::Locked {
            path: config.path.clone(),
        }),
        Err(fs::TryLockError::Error(source)) => Err(folder(&path)(source)),
    }
}

/// Opens the database for the one writer, making or migrating it. Does not yet say whether it may be served: until it
/// is [settled](settle), closing it leaves the file and its log as they were.
pub(crate) fn open(config: &SqliteConfig, now: Timestamp) -> Result<Connection, OpenError> {
    let sidecar = read_sidecar(config)?;
    if !config.path.exists() && config.sidecar_path().exists() {
        let events = sidecar.map_or(0, |sidecar| sidecar.position);
        return Err(restored(config, Restored::Missing { events }));
    }
    // What a log holds that is not the file's own must not get into the file, nor be lost with it.
    let log = fs::metadata(beside(&config.path, "-wal")).map_or(0, |log| log.len());
    let sqlite = |source| sqlite_error(config, source);
    let connection = Connection::open(&config.path).map_err(sqlite)?;
    connection
        .set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)
        .map_err(sqlite)?;
    connection.busy_timeout(BUSY).map_err(sqlite)?;
    let schema = schema_version(config, &connection)?;
    if schema == 0
        && let Some(expected) = sidecar
            .map(|sidecar| sidecar.position)
            .filter(|events| *events > 0)
    {
        return Err(restored(config, Restored::Behind { expected, found: 0 }));
    }
    tune(&connection).map_err(sqlite)?;
    migrate(config, &connection, schema, now)?;
    if schema == 0 {
        let path = config.path.clone();
        sync_folder_of(&config.path).map_err(|source| OpenError::Folder { path, source })?;
    } else if log > 0 {
        require_own_log(config, &connection, log)?;
    }
    Ok(connection)
}

/// Refuses a file beside the log of another state of it: an older copy that was put in the place of a file whose
/// process was killed. SQLite takes any log for the file's own, and the two make a mixture that is sound in form.
///
/// What the log does not hold is then as old as the copy. The log holds the newest page of events and the row of
/// `progress`, so that either some of the events before those of the log are missing, or a row does not know of an
/// event that it was written with, or that all rows are said to know of.
fn require_own_log(config: &SqliteConfig, connection: &Connection, log: u64) -> Result<(), OpenError> {
    const MIXED: &str = "the -wal file beside it belongs to another state of the file";
    let sqlite = |source| sqlite_error(config, source);
    let last: i64 = connection
        .query_row("SELECT last_position FROM progress", [], |row| row.get(0))
        .map_err(sqlite)?;
    // No event has a row of fewer bytes. On top come what a page and a batch hold, and how far the copy's rows were
    // behind when it was made: the log may say that they were written since.
    let checked = i64::try_from(log / 64 + 2 * TRAIL)
        .unwrap_or(i64::MAX)
        .saturating_add(4_096);
    let after = last.saturating_sub(checked).max(0);
    let (events, behind): (i64, i64) = connection
        .query_row(
            "WITH tail AS MATERIALIZED (SELECT e.sequence, e.counter, min(n) AS first, max(n) AS last, \
             max(iif(kind <> ?2 OR position <= counters_written, n, 0)) AS known, count(*) AS events \
             FROM event e, progress WHERE position > ?1 GROUP BY e.sequence, e.counter) \
             SELECT coalesce(sum(tail.events), 0), \
             coalesce(sum(CASE WHEN tail.counter IS NULL THEN s.n IS NOT tail.last \
             ELSE c.n IS NULL OR c.n NOT BETWEEN max(known, first - 1) AND tail.last END), 0) \
             FROM tail LEFT JOIN sequence s ON s.id = tail.sequence LEFT JOIN counter c ON c.id = tail.counter",
            params![after, EventKind::Issued as u8],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )
        .map_err(sqlite)?;
    if events == last - after && behind == 0 {
        return Ok(());
    }
    Err(OpenError::Corrupt {
        path: config.path.clone(),
        source: Damage {
            table: "event",
            row: last,
            what: MIXED,
        },
    })
}

/// Refuses a file whose structure is damaged. Reads all of it.
pub(crate) fn require_sound(connection: &Connection) -> rusqlite::Result<()> {
    let verdict: String = connection.query_row("PRAGMA integrity_check(1)", [], |row| row.get(0))?;
    if verdict == "ok" {
        return Ok(());
    }
    let code = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_CORRUPT);
    Err(rusqlite::Error::SqliteFailure(code, Some(verdict)))
}

/// The schema that the file has; 0 for an empty one.
fn schema_version(config: &SqliteConfig, connection: &Connection) -> Result<usize, OpenError> {
    let foreign = || OpenError::Foreign {
        path: config.path.clone(),
    };
    let read = |pragma: &str| connection.query_row(pragma, [], |row| row.get::<_, i64>(0));
    let application = read("PRAGMA application_id").map_err(|source| sqlite_error(config, source))?;
    let tables = read("SELECT count(*) FROM sqlite_schema").map_err(|source| sqlite_error(config, source))?;
    if application == 0 && tables == 0 {
        return Ok(0);
    }
    if application != i64::from(APPLICATION_ID) {
        return Err(foreign());
    }
    let found = read("PRAGMA user_version").map_err(|source| sqlite_error(config, source))?;
    let found = u32::try_from(found).map_err(|_| foreign())?;
    if found as usize > MIGRATIONS.len() {
        let known = u32::try_from(MIGRATIONS.len()).unwrap_or(u32::MAX);
        return Err(OpenError::NewerSchema {
            path: config.path.clone(),
            found,
            known,
        });
    }
    Ok(found as usize)
}

/// Refuses a file that is not one of seqid's, or of another schema than this program reads.
pub(crate) fn require_known_schema(config: &SqliteConfig, connection: &Connection) -> Result<(), OpenError> {
    match schema_version(config, connection)? {
        MIGRATED => Ok(()),
        _ => Err(OpenError::Foreign {
            path: config.path.clone(),
        }),
    }
}

fn tune(connection: &Connection) -> rusqlite::Result<()> {
    // 8 MiB of pages: the system keeps the others. SQLite looks through all of its cache at a commit that moved pages of
    // an index about, so a larger one makes the life of reservations dearer and draws no cheaper. A larger log than the
    // default is no faster.
    connection.execute_batch(
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA cache_size = -8192; \
         PRAGMA foreign_keys = ON; PRAGMA temp_store = MEMORY;",
    )?;
    connection.set_prepared_statement_cache_capacity(64);
    Ok(())
}

fn migrate(
    config: &SqliteConfig,
    connection: &Connection,
    from: usize,
    now: Timestamp,
) -> Result<(), OpenError> {
    let migrate = || -> rusqlite::Result<()> {
        for (version, statements) in MIGRATIONS.iter().enumerate().skip(from) {
            let transaction = connection.unchecked_transaction()?;
            transaction.execute_batch(statements)?;
            if version == 0 {
                name(config, &transaction, now)?;
            }
            transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
            transaction.pragma_update(
                None,
                "user_version",
                i64::try_from(version + 1).unwrap_or(i64::MAX),
            )?;
            transaction.commit()?;
        }
        Ok(())
    };
    migrate().map_err(|source| sqlite_error(config, source))
}

/// Gives a new file its name. SQLite's generator is seeded by the system.
fn name(config: &SqliteConfig, connection: &Connection, now: Timestamp) -> rusqlite::Result<()> {
    connection.execute("INSERT INTO store (id, authority) VALUES (1, randomblob(16))", [])?;
    connection.execute(
        "INSERT INTO progress (id, last_position, counters_written, acknowledged) VALUES (1, 0, 0, 0)",
        [],
    )?;
    let place = Place::of(config);
    connection
        .execute(
            "INSERT INTO incarnation (ordinal, machine, inode, first_position, began_at) VALUES (1, ?1, ?2, 1, ?3)",
            params![place.machine, place.inode, now.as_micros()],
        )
        .map(drop)
}

/// Where a file lies: what a copy of it does not share.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) machine: String,
    pub(crate) inode: i64,
}

impl Place {
    pub(crate) fn of(config: &SqliteConfig) -> Self {
        let machine = fs::read_to_string("/etc/machine-id")
            .unwrap_or_default()
            .trim()
            .to_owned();
        let inode = fs::metadata(&config.path).map_or(0, |metadata| metadata.ino().cast_signed());
        Self { machine, inode }
    }
}

/// The file's name and the end of its log.
pub(crate) fn identity(config: &SqliteConfig, connection: &Connection) -> Result<Identity, OpenError> {
    let read = || -> rusqlite::Result<Identity> {
        let authority = connection.query_row("SELECT authority FROM store", [], |row| row.get(0))?;
        let incarnation =
            connection.query_row("SELECT max(ordinal) FROM incarnation", [], |row| row.get(0))?;
        let last = connection
            .query_row(
                "SELECT position, hash FROM event ORDER BY position DESC LIMIT 1",
                [],
                |row| Ok((row.get::<_, i64>(0)?, row.get(1)?)),
            )
            .optional()?;
        let (position, last_hash) = last.unwrap_or((0, [0; 32]));
        let last_position = u64::try_from(position).unwrap_or_default();
        Ok(Identity {
            authority: Authority(authority),
            incarnation,
            last_position,
            last_hash,
        })
    };
    read().map_err(|source| sqlite_error(config, source))
}

/// Refuses a file that lost events, that is a copy, or whose sidecar is gone.
pub(crate) fn require_newest(
    config: &SqliteConfig,
    connection: &Connection,
    identity: &Identity,
) -> Result<(), OpenError> {
    let place: (String, i64) = connection
        .query_row(
            "SELECT machine, inode FROM incarnation ORDER BY ordinal DESC LIMIT 1",
            [],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )
        .map_err(|source| sqlite_error(config, source))?;
    let here = Place::of(config);
    if place != (here.machine, here.inode) {
        return Err(restored(config, Restored::Copied));
    }
    let Some(sidecar) = read_sidecar(config)? else {
        if identity.last_position == 0 {
            return Ok(());
        }
        return Err(restored(config, Restored::NoSidecar));
    };
    match beyond(connection, identity, &sidecar).map_err(|source| sqlite_error(config, source))? {
        Some(how) => Err(restored(config, how)),
        None => Ok(()),
    }
}

fn beyond(
    connection: &Connection,
    identity: &Identity,
    sidecar: &Sidecar,
) -> rusqlite::Result<Option<Restored>> {
    let position = sidecar.position;
    if sidecar.authority != identity.authority.to_string() {
        return Ok(Some(Restored::Diverged { position }));
    }
    if position > identity.last_position || sidecar.incarnation > identity.incarnation {
        return Ok(Some(Restored::Behind {
            expected: position,
            found: identity.last_position,
        }));
    }
    if position == 0 {
        return Ok(None);
    }
    let hash: Option<[u8; 32]> = connection
        .query_row(
            "SELECT hash FROM event WHERE position = ?1",
            [position.cast_signed()],
            |row| row.get(0),
        )
        .optional()?;
    let same = hash.is_some_and(|hash| hex(&hash) == sidecar.hash);
    Ok((!same).then_some(Restored::Diverged { position }))
}

/// Moves what the log of the last run holds into the file and waits for the disk, before anything new is answered.
pub(crate) fn settle(config: &SqliteConfig, connection: &Connection) -> Result<(), OpenError> {
    connection
        .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))
        .and_then(|()| connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, false))
        .map(drop)
        .map_err(|source| sqlite_error(config, source))
}

/// Opens the database for reading beside the writer.
pub(crate) fn open_reader(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    // The log is the writer's: by its name, a reader of a file that was removed would delete that of the next one.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    connection.busy_timeout(BUSY)?;
    connection.set_prepared_statement_cache_capacity(32);
    Ok(connection)
}

/// The file that a path names.
pub(crate) fn file_at(path: &Path) -> Option<FileId> {
    let metadata = fs::metadata(path).ok()?;
    Some((metadata.dev(), metadata.ino()))
}

fn read_sidecar(config: &SqliteConfig) -> Result<Option<Sidecar>, OpenError> {
    Sidecar::read(config).map_err(|source| OpenError::Folder {
        path: config.sidecar_path(),
        source,
    })
}

fn restored(config: &SqliteConfig, how: Restored) -> OpenError {
    OpenError::Restored {
        path: config.path.clone(),
        how,
    }
}

/// What SQLite said, with the file's name.
pub(crate) fn sqlite_error(config: &SqliteConfig, source: rusqlite::Error) -> OpenError {
    let path = config.path.clone();
    match source.sqlite_error_code() {
        Some(rusqlite::ErrorCode::NotADatabase) => OpenError::Foreign { path },
        Some(rusqlite::ErrorCode::DatabaseCorrupt) => OpenError::Corrupt {
            path,
            source: Damage {
                table: "(pages)",
                row: 0,
                what: "SQLite finds the file malformed",
            },
        },
        _ => OpenError::Sqlite { path, source },
    }
}

/// What went wrong within a transaction, with the file's name.
pub(crate) fn fault_error(config: &SqliteConfig, fault: Fault) -> OpenError {
    match fault {
        Fault::Sqlite(source) => sqlite_error(config, source),
        Fault::Damage(source) => OpenError::Corrupt {
            path: config.path.clone(),
            source,
        },
        other => sqlite_error(config, rusqlite::Error::ToSqlConversionFailure(Box::new(other))),
    }
}

/// Refuses a file, opened anew, that lacks what this process committed to it.
pub(crate) fn require_follows(
    config: &SqliteConfig,
    connection: &Connection,
    identity: &Identity,
    known: &Identity,
) -> Result<(), OpenError> {
    match beyond(connection, identity, &known.sidecar()).map_err(|source| sqlite_error(config, source))? {
        Some(how) => Err(restored(config, how)),
        None => Ok(()),
    }
}
