use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use seqid_core::store::StoreError;
use sqlx::Row;
use sqlx::postgres::{PgDatabaseError, PgRow, PgSeverity};

/// Why a database cannot be served. The text says what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// Nobody answers there.
    #[error("no PostgreSQL server answers for {place}: check host and port, and that the server runs")]
    Unreachable {
        /// The database.
        place: String,
        /// What the system said.
        #[source]
        source: sqlx::Error,
    },
    /// The server does not let the user in.
    #[error("{place} does not let user {user} in: check user and password, and pg_hba.conf of the server")]
    Login {
        /// The database.
        place: String,
        /// The user.
        user: String,
        /// What the server said.
        #[source]
        source: sqlx::Error,
    },
    /// The database does not exist.
    #[error("there is no database {place}: make it with `CREATE DATABASE`, or name another")]
    NoDatabase {
        /// The database.
        place: String,
        /// What the server said.
        #[source]
        source: sqlx::Error,
    },
    /// The user may not do what seqid needs.
    #[error(
        "user {user} may not make or use the schema seqid in {place}: as its owner or a superuser run \
         `GRANT CREATE ON DATABASE ... TO {user}`, or connect as the user that made the schema"
    )]
    NotAllowed {
        /// The database.
        place: String,
        /// The user.
        user: String,
        /// What the server said, if it was asked.
        #[source]
        source: Option<sqlx::Error>,
    },
    /// The server takes no writes.
    #[error("{place} is a standby, which cannot be written to: connect to the primary")]
    Standby {
        /// The database.
        place: String,
    },
    /// The server may lose what it committed.
    #[error("{place} has fsync off, so that numbers could be lost and given out again: set `fsync = on`")]
    NotDurable {
        /// The database.
        place: String,
    },
    /// The server is too old.
    #[error("{place} is PostgreSQL {found}; seqid needs {} or newer", OpenError::OLDEST / 10_000)]
    TooOld {
        /// The database.
        place: String,
        /// Its version.
        found: String,
    },
    /// The schema `seqid` is something else.
    #[error("the schema seqid in {place} is not seqid's: rename it, or use another database")]
    Foreign {
        /// The database.
        place: String,
    },
    /// A newer program made the schema.
    #[error("{place} has schema {found}, this program knows up to {known}: run the newer version of seqid")]
    NewerSchema {
        /// The database.
        place: String,
        /// Its schema.
        found: u32,
        /// The newest schema known here.
        known: u32,
    },
    /// The database is not the one that was written last.
    #[error(
        "{place} {how}: numbers that it does not know of may have been given out. Put the right database back, or \
         accept this one with `seqid-server recover --reason ...` (and `--margin N` to jump over N numbers of each \
         counter)"
    )]
    Restored {
        /// The database.
        place: String,
        /// What shows it.
        how: Restored,
    },
    /// The connection cannot be encrypted as was asked for.
    #[error(
        "no encrypted connection to {place}: check `sslmode`, `ssl` of the server and its certificate, and that this \
         program is built with the feature `tls`"
    )]
    Tls {
        /// The database.
        place: String,
        /// What is missing.
        #[source]
        source: sqlx::Error,
    },
    /// There is nothing to recover or to verify.
    #[error("{place} has no numbers of seqid yet: check the name of the database")]
    Empty {
        /// The database.
        place: String,
    },
    /// Instances serve the database.
    #[error("{place} is in use by other seqid instances ({connections} connections): stop them first")]
    InUse {
        /// The database.
        place: String,
        /// How many connections they have.
        connections: i64,
    },
    /// The state file cannot be read or written.
    #[error("cannot read or write {path}, which says how far the numbers had come: check its folder")]
    StateFile {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The database holds something that seqid never wrote.
    #[error("{place} holds what seqid never wrote: {what}. Restore it from a backup")]
    Corrupt {
        /// The database.
        place: String,
        /// What was found.
        what: String,
    },
    /// The server refused or failed otherwise.
    #[error("{place} could not be opened")]
    Database {
        /// The database.
        place: String,
        /// What the server said.
        #[source]
        source: sqlx::Error,
    },
}

/// How it shows that a database is not the one that was written last.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Restored {
    /// It is a copy, or was restored from a dump.
    #[error("is a copy: it was written by another server, or as another database")]
    Copied,
    /// The last event that this process was answered for is not there.
    #[error("went back in time: event {n} of a counter was recorded, and is not there as it was")]
    Behind {
        /// The event's place in its chain.
        n: u64,
    },
    /// It is not the database that was served with the same state file.
    #[error("is another database than the one that was served from here before")]
    Other,
}

impl OpenError {
    /// The oldest server that is served, as `server_version_num` has it.
    pub(crate) const OLDEST: i32 = 130_000;
}

/// What is wrong with what a row holds.
#[derive(Debug, thiserror::Error)]
#[error("column {column} holds what seqid never writes{}", self.source.as_ref().map(|source| format!(": {source}")).unwrap_or_default())]
pub(crate) struct Damage {
    column: String,
    source: Option<sqlx::Error>,
}

impl Damage {
    pub(crate) fn of(column: usize, source: sqlx::Error) -> Self {
        Self {
            column: column.to_string(),
            source: Some(source),
        }
    }

    pub(crate) fn value(row: &PgRow, at: usize) -> Self {
        use sqlx::Column;
        let name = row.columns().get(at).map(|column| column.name().to_owned());
        Self {
            column: name.unwrap_or_else(|| at.to_string()),
            source: None,
        }
    }
}

/// What can go wrong before a commit is sent.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Fault {
    #[error(transparent)]
    Postgres(#[from] sqlx::Error),
    #[error(transparent)]
    Damage(Damage),
    #[error("the server did not answer within {0:?}")]
    Silent(Duration),
    #[error(transparent)]
    Open(#[from] OpenError),
    /// Another transaction recorded the same idempotency key meanwhile: this one must be decided anew.
    #[error("another session used the same idempotency key at the same time")]
    KeyTaken,
    #[error("a row that must be there is not: {0}")]
    Missing(&'static str),
    #[error("the transaction is one on another database than the store's")]
    OtherDatabase,
    /// The server committed, and warned: it may yet lose what it committed.
    #[error("the server warned at COMMIT: {0}")]
    Warned(String),
}

impl Fault {
    /// What the server said.
    fn said(&self) -> Option<&PgDatabaseError> {
        match self {
            Self::Postgres(sqlx::Error::Database(error)) => error.try_downcast_ref(),
            _ => None,
        }
    }

    fn code(&self) -> Option<&str> {
        self.said().map(PgDatabaseError::code)
    }

    /// Whether the server itself says that it aborted the transaction: it goes on serving the connection.
    pub(crate) fn is_abort(&self) -> bool {
        self.said()
            .is_some_and(|error| error.severity() == PgSeverity::Error)
    }

    /// Whether somebody else's lock was in the way for too long, or for ever.
    pub(crate) fn is_of_a_lock(&self) -> bool {
        matches!(self.code(), Some("55P03" | "40P01"))
    }

    /// Whether the connection is of no use any more.
    pub(crate) fn is_of_the_connection(&self) -> bool {
        match self {
            Self::Postgres(sqlx::Error::Database(_)) => !self.is_abort(),
            Self::Postgres(_) | Self::Silent(_) | Self::Open(_) => true,
            Self::Damage(_) | Self::KeyTaken | Self::Missing(_) | Self::OtherDatabase | Self::Warned(_) => {
                false
            }
        }
    }

    /// Whether it lies in a row that one command touches, so that other commands may still be carried out.
    pub(crate) fn is_of_a_row(&self) -> bool {
        matches!(self, Self::Damage(_) | Self::Missing(_))
    }
}

/// Nothing was committed: what callers are told.
impl From<Fault> for StoreError {
    fn from(fault: Fault) -> Self {
        match &fault {
            Fault::Damage(_) | Fault::Missing(_) => Self::Corrupt(Arc::new(fault)),
            Fault::Open(OpenError::NewerSchema { found, known, .. }) => Self::NewerSchema {
                found: *found,
                known: *known,
            },
            Fault::Open(OpenError::Restored { .. }) => Self::Restored(Arc::new(fault)),
            Fault::Postgres(sqlx::Error::PoolClosed) => Self::Draining,
            _ => match fault.code() {
                // disk_full, and what stands for it when a file cannot grow.
                Some("53100") => Self::Full(Arc::new(fault)),
                // data_corrupted, index_corrupted
                Some("XX001" | "XX002") => Self::Corrupt(Arc::new(fault)),
                _ => Self::Unavailable(Arc::new(fault)),
            },
        }
    }
}
