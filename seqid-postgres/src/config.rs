use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use seqid_core::clock::Clock;
use sqlx::postgres::PgConnectOptions;

/// Which database, and what is kept in it for how long. Its `Debug` shows no password.
#[derive(Clone)]
#[non_exhaustive]
pub struct PostgresConfig {
    /// Where the server is and who connects.
    pub connect: PgConnectOptions,
    /// How long an idempotency key is remembered: 30 days unless set, at least a day.
    pub key_retention: Duration,
    /// How many batches may be in flight at a time, each of other counters: as many as there are cores, at most 4, unless
    /// set. Each uses a connection.
    pub lanes: usize,
    /// How many connections read beside them: 4 unless set.
    pub readers: usize,
    /// How long to wait for a connection, and for the answer to one statement: 10 seconds unless set.
    pub timeout: Duration,
    /// Where the last event that was answered for is kept, so that a database that went back in time is noticed after a
    /// restart too. Each instance needs a file of its own.
    pub state_file: Option<PathBuf>,
    /// Tells the time in place of the database.
    pub(crate) clock: Option<Arc<dyn Clock>>,
}

impl PostgresConfig {
    /// The shortest time that keys may be remembered for.
    pub const SHORTEST_KEY_RETENTION: Duration = Duration::from_secs(24 * 60 * 60);

    /// A store in the database of these options.
    #[must_use]
    pub fn new(connect: PgConnectOptions) -> Self {
        Self {
            connect: connect.application_name("seqid"),
            key_retention: 30 * Self::SHORTEST_KEY_RETENTION,
            lanes: Self::default_lanes(),
            readers: 4,
            timeout: Duration::from_secs(10),
            state_file: None,
            clock: None,
        }
    }

    /// Keeps the last event that was answered for in this file.
    #[must_use]
    pub fn state_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.state_file = Some(path.into());
        self
    }

    /// While one batch is at the server, another is decided: with one lane for each core both are at work. More than 4 would
    /// only split the batches.
    fn default_lanes() -> usize {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        cores.clamp(1, 4)
    }

    /// Remembers keys for so long, but at least a day.
    #[must_use]
    pub fn key_retention(mut self, retention: Duration) -> Self {
        self.key_retention = retention.max(Self::SHORTEST_KEY_RETENTION);
        self
    }

    /// Lets so many batches be in flight at a time, at least one.
    #[must_use]
    pub fn lanes(mut self, lanes: usize) -> Self {
        self.lanes = lanes.max(1);
        self
    }

    /// Waits so long for a connection, and for the answer to one statement.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Takes the time from a clock in place of the database's: for tests. All instances must have the same one.
    #[must_use]
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = Some(clock);
        self
    }

    /// The server and database, for people.
    #[must_use]
    pub fn place(&self) -> String {
        let connect = &self.connect;
        let database = connect.get_database().unwrap_or(connect.get_username());
        match connect.get_socket() {
            Some(socket) => format!("{database} at {}", socket.display()),
            None => format!("{database} at {}:{}", connect.get_host(), connect.get_port()),
        }
    }
}

impl FromStr for PostgresConfig {
    type Err = sqlx::Error;

    /// A store in the database of a URL, `postgres://user:password@host:5432/database?sslmode=verify-full`.
    fn from_str(url: &str) -> Result<Self, Self::Err> {
        url.parse().map(Self::new)
    }
}

impl fmt::Debug for PostgresConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresConfig")
            .field("place", &self.place())
            .field("user", &self.connect.get_username())
            .field("key_retention", &self.key_retention)
            .field("lanes", &self.lanes)
            .field("readers", &self.readers)
            .field("timeout", &self.timeout)
            .field("state_file", &self.state_file)
            .finish_non_exhaustive()
    }
}
