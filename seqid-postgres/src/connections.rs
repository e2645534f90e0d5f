//! Connections that are known to lead to the right database. One that failed in any way is closed and never used again.

use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sqlx::{ConnectOptions, Connection, PgConnection};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::config::PostgresConfig;
use crate::error::{Fault, OpenError};
use crate::identity::{self, Anchor, Identity};

/// What every connection is told once. The time zone and the search path are seqid's own, so that no setting of the role
/// or the database changes what a statement means. A transaction whose program hangs is ended by the server.
const SETTINGS: &str = "\
    SET default_transaction_isolation = 'read committed'; \
    SET default_transaction_read_only = off; \
    SET statement_timeout = 0; \
    SET lock_timeout = '1s'; \
    SET idle_in_transaction_session_timeout = '10s'; \
    SET TimeZone = 'UTC'; \
    SET search_path = pg_catalog; \
    SELECT set_config('synchronous_commit', 'on', false) \
    WHERE current_setting('synchronous_commit') IN ('off', 'local')";

/// What connections are told in addition that write batches. Every statement finds a few rows by an index, however large the
/// tables are and whatever is known of them. So one plan serves for all batches: to plan the widest statement anew takes as
/// long as to carry it out, and a plan made for many rows reads a whole table for a few.
const BATCHES: &str =
    "    SET plan_cache_mode = force_generic_plan;     SET enable_seqscan = off;     SET jit = off";

/// What connections are for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Use {
    /// Batches of commands.
    Batches,
    /// Questions of every size.
    Reading,
}

/// A bounded number of connections, made when they are needed.
#[derive(Debug)]
pub(crate) struct Connections {
    config: PostgresConfig,
    purpose: Use,
    identity: Identity,
    anchor: Arc<Anchor>,
    idle: Mutex<Vec<PgConnection>>,
    room: Arc<Semaphore>,
}

impl Connections {
    /// At most `most` connections to the database of this identity.
    pub(crate) fn new(
        purpose: Use,
        config: PostgresConfig,
        identity: Identity,
        anchor: Arc<Anchor>,
        most: usize,
    ) -> Arc<Self> {
        Arc::new(Self {
            config,
            purpose,
            identity,
            anchor,
            idle: Mutex::default(),
            room: Arc::new(Semaphore::new(most)),
        })
    }

    /// A connection that waits for work, or a new one.
    pub(crate) async fn get(self: &Arc<Self>) -> Result<Pooled, Fault> {
        let permit = within(self.config.timeout, Arc::clone(&self.room).acquire_owned()).await?;
        let permit = permit.map_err(|_| sqlx::Error::PoolClosed)?;
        let idle = self.idle().pop();
        let connection = match idle {
            Some(connection) => connection,
            None => self.connect().await?,
        };
        Ok(Pooled {
            connection,
            home: Arc::clone(self),
            _permit: permit,
        })
    }

    /// A new connection, in place of those that wait: the server may have been started anew.
    pub(crate) async fn get_new(self: &Arc<Self>) -> Result<Pooled, Fault> {
        self.idle().clear();
        self.get().await
    }

    /// A connection that answers: one that waited for work is asked first.
    pub(crate) async fn get_checked(self: &Arc<Self>) -> Result<Pooled, Fault> {
        let mut pooled = self.get().await?;
        match within(self.config.timeout, pooled.connection.ping()).await {
            Ok(Ok(())) => Ok(pooled),
            _ => {
                drop(pooled);
                self.get_new().await
            }
        }
    }

    async fn connect(&self) -> Result<PgConnection, Fault> {
        let mut connection = connect(&self.config).await?;
        if self.purpose == Use::Batches {
            let settings = sqlx::raw_sql(BATCHES).execute(&mut connection);
            within(self.config.timeout, settings).await??;
        }
        identity::require_same(&self.config, &mut connection, &self.identity, &self.anchor).await?;
        Ok(connection)
    }

    /// Closes those that wait, and makes no more.
    pub(crate) fn close(&self) {
        self.room.close();
        self.idle().clear();
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.room.is_closed()
    }

    fn idle(&self) -> MutexGuard<'_, Vec<PgConnection>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A connection in use. It is closed when it is dropped, which ends what it was doing.
pub(crate) struct Pooled {
    pub(crate) connection: PgConnection,
    home: Arc<Connections>,
    _permit: OwnedSemaphorePermit,
}

impl Pooled {
    /// Keeps the connection for the next one who needs it. It must be outside of a transaction.
    pub(crate) fn give_back(self) {
        let Self { connection, home, .. } = self;
        if !home.room.is_closed() {
            home.idle().push(connection);
        }
    }
}

/// Connects and applies the settings.
pub(crate) async fn connect(config: &PostgresConfig) -> Result<PgConnection, OpenError> {
    let opened = async {
        let mut connection = config
            .connect
            .clone()
            .statement_cache_capacity(200)
            .connect()
            .await?;
        sqlx::raw_sql(SETTINGS).execute(&mut connection).await?;
        Ok(connection)
    };
    let timed = within(config.timeout, opened).await;
    let silent = std::io::Error::from(std::io::ErrorKind::TimedOut);
    let opened = timed.unwrap_or(Err(sqlx::Error::Io(silent)));
    opened.map_err(|source| open_error(config, source))
}

/// Waits no longer than that.
pub(crate) async fn within<T>(timeout: Duration, future: impl Future<Output = T>) -> Result<T, Fault> {
    let answer = tokio::time::timeout(timeout, future).await;
    answer.map_err(|_| Fault::Silent(timeout))
}

/// What an operator is told of an error that was met while a database was opened.
pub(crate) fn open_error(config: &PostgresConfig, source: sqlx::Error) -> OpenError {
    let (place, user) = (config.place(), config.connect.get_username().to_owned());
    let code = source.as_database_error().and_then(|error| error.code());
    match (code.as_deref(), &source) {
        // invalid_password, invalid_authorization_specification
        (Some("28P01" | "28000"), _) => OpenError::Login { place, user, source },
        // invalid_catalog_name
        (Some("3D000"), _) => OpenError::NoDatabase { place, source },
        // insufficient_privilege
        (Some("42501"), _) => {
            let source = Some(source);
            OpenError::NotAllowed { place, user, source }
        }
        // What the server sends as its certificate, or in place of one.
        (None, sqlx::Error::Io(error)) if error.kind() == std::io::ErrorKind::InvalidData => {
            OpenError::Tls { place, source }
        }
        (None, sqlx::Error::Tls(_)) => OpenError::Tls { place, source },
        (None, sqlx::Error::Io(_)) => OpenError::Unreachable { place, source },
        _ => OpenError::Database { place, source },
    }
}
