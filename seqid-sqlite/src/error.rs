use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use rusqlite::ErrorCode;
use seqid_core::store::StoreError;

/// Why a file cannot be served. The text says what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The folder cannot be made or written to.
    #[error("cannot write in {path}: check that the folder may be written to and the disk is not full")]
    Folder {
        /// The folder or file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// Another process serves the file.
    #[error("{path} is in use by another seqid process: stop it first, or give this one a folder of its own")]
    Locked {
        /// The database file.
        path: PathBuf,
    },
    /// The file is not a seqid database.
    #[error("{path} is not a seqid database: move it away, or give seqid another folder")]
    Foreign {
        /// The file.
        path: PathBuf,
    },
    /// A newer program wrote the file.
    #[error("{path} has schema {found}, this program knows up to {known}: run the newer version of seqid")]
    NewerSchema {
        /// The file.
        path: PathBuf,
        /// Its schema.
        found: u32,
        /// The newest schema known here.
        known: u32,
    },
    /// The file is not the one that was written last.
    #[error(
        "{path} {how}: numbers that it does not know of may have been given out. Put the right file back, \
             or accept this one with `seqid-server recover --reason ...` (and `--margin N` to jump over N numbers \
             of each counter)"
    )]
    Restored {
        /// The file.
        path: PathBuf,
        /// What shows it.
        how: Restored,
    },
    /// SQLite could not open, read or write the file.
    #[error("cannot read or write {path}")]
    Sqlite {
        /// The file.
        path: PathBuf,
        /// What SQLite said.
        #[source]
        source: rusqlite::Error,
    },
    /// The file holds something that seqid never wrote.
    #[error("{path} holds what seqid never wrote: restore it from a backup")]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// What was found.
        #[source]
        source: Damage,
    },
}

/// How it shows that a file is not the one that was written last.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Restored {
    /// Events that were answered for are not there.
    #[error("went back in time: event {expected} was recorded, the file ends at {found}")]
    Behind {
        /// The last event recorded.
        expected: u64,
        /// The last event found.
        found: u64,
    },
    /// The last event is another one.
    #[error("has another history: event {position} is not the one that was recorded")]
    Diverged {
        /// The event.
        position: u64,
    },
    /// It is a copy of the file, or was moved from another machine.
    #[error("is a copy: it was written on another machine or as another file")]
    Copied,
    /// The sidecar is not there.
    #[error("lacks its sidecar file, which says how far the numbers had come")]
    NoSidecar,
    /// The sidecar is there, the file is not.
    #[error("is missing, though its sidecar file says that {events} events were recorded in it")]
    Missing {
        /// How many events.
        events: u64,
    },
}

/// What is wrong with what a file holds.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("table {table}, row {row}: {what}")]
pub struct Damage {
    /// The table.
    pub table: &'static str,
    /// The row's key.
    pub row: i64,
    /// What is wrong.
    pub what: &'static str,
}

/// What can go wrong within a transaction, before its commit is begun.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Fault {
    #[error(transparent)]
    Sqlite(#[from] rusqlite::Error),
    #[error(transparent)]
    Damage(#[from] Damage),
    #[error("the database file was removed or replaced while it was open{rescued}")]
    Removed { rescued: Rescued },
    #[error("definition version {0} cannot be compiled")]
    Definition(u32),
}

impl Fault {
    /// Whether it lies in a row that one command touches, so that other commands may still be carried out.
    pub(crate) fn is_of_a_row(&self) -> bool {
        match self {
            Self::Damage(_) | Self::Definition(_) => true,
            Self::Sqlite(error) => matches!(
                error,
                rusqlite::Error::FromSqlConversionFailure(..)
                    | rusqlite::Error::InvalidColumnType(..)
                    | rusqlite::Error::IntegralValueOutOfRange(..)
            ),
            Self::Removed { .. } => false,
        }
    }
}

/// Where the content of a removed file was saved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Rescued(pub(crate) Option<PathBuf>);

impl std::fmt::Display for Rescued {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.0 {
            Some(path) => write!(f, "; all that was recorded is saved in {}", path.display()),
            None => Ok(()),
        }
    }
}

/// Whether the disk, or the shared memory beside the file, has no room.
pub(crate) fn is_full(error: &rusqlite::Error) -> bool {
    error.sqlite_error_code() == Some(ErrorCode::DiskFull)
        || error
            .sqlite_error()
            .is_some_and(|error| error.extended_code == rusqlite::ffi::SQLITE_IOERR_SHMSIZE)
}

/// Nothing was committed: what callers are told.
impl From<Fault> for StoreError {
    fn from(fault: Fault) -> Self {
        match &fault {
            Fault::Sqlite(error) if is_full(error) => Self::Full(Arc::new(fault)),
            Fault::Sqlite(error) if error.sqlite_error_code() == Some(ErrorCode::DatabaseCorrupt) => {
                Self::Corrupt(Arc::new(fault))
            }
            _ if fault.is_of_a_row() => Self::Corrupt(Arc::new(fault)),
            _ => Self::Unavailable(Arc::new(fault)),
        }
    }
}

impl From<OpenError> for StoreError {
    fn from(error: OpenError) -> Self {
        match &error {
            OpenError::NewerSchema { found, known, .. } => Self::NewerSchema {
                found: *found,
                known: *known,
            },
            OpenError::Restored { .. } => Self::Restored(Arc::new(error)),
            OpenError::Sqlite { source, .. } if is_full(source) => Self::Full(Arc::new(error)),
            OpenError::Folder { source, .. } if source.kind() == io::ErrorKind::StorageFull => {
                Self::Full(Arc::new(error))
            }
            OpenError::Corrupt { .. } => Self::Corrupt(Arc::new(error)),
            _ => Self::Unavailable(Arc::new(error)),
        }
    }
}
