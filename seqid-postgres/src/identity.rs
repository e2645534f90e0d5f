//! Is this the database that was written last? A dump that is restored, a copied data folder and a database that went
//! back in time look like any other, and would give out numbers again.

use std::sync::{Mutex, PoisonError};

use seqid_core::chain::{Authority, Link};
use sqlx::{PgConnection, Row};

use crate::config::PostgresConfig;
use crate::connections::open_error;
use crate::error::{OpenError, Restored};
use crate::types::signed;

/// What tells a database from its copies: the server that was initialised once, and the numbers that it gave to the database
/// and to the table of counters. The timeline tells a standby that was promoted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Identity {
    pub(crate) authority: Authority,
    pub(crate) place: Place,
}

/// Where a database lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) system: i64,
    pub(crate) timeline: i32,
    pub(crate) database: i64,
    pub(crate) counters: i64,
}

/// The system identifier is a number of 64 bits without a sign, which is kept as one with it. The timeline is the one that
/// is written to now: that of the last checkpoint lags behind a promotion.
const PLACE: &str = "\
    SELECT (SELECT system_identifier FROM pg_control_system()), \
           ('x' || left(pg_walfile_name(pg_current_wal_insert_lsn()), 8))::bit(32)::integer, \
           (SELECT oid::bigint FROM pg_database WHERE datname = current_database()), \
           'seqid.counter'::regclass::oid::bigint";

/// Reads where a database lies. It must be a primary.
pub(crate) async fn place(connection: &mut PgConnection) -> sqlx::Result<Place> {
    let row = sqlx::query(PLACE).fetch_one(connection).await?;
    Ok(Place {
        system: row.try_get(0)?,
        timeline: row.try_get(1)?,
        database: row.try_get(2)?,
        counters: row.try_get(3)?,
    })
}

/// The last event that this process was answered for.
#[derive(Debug, Default)]
pub(crate) struct Anchor(Mutex<Option<(i64, Link)>>);

impl Anchor {
    /// An event was committed as the head of a chain.
    pub(crate) fn set(&self, chain: i64, head: Link) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some((chain, head));
    }

    fn get(&self) -> Option<(i64, Link)> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Refuses a connection that leads to another database, or to one that lost what this process was answered for.
pub(crate) async fn require_same(
    config: &PostgresConfig,
    connection: &mut PgConnection,
    identity: &Identity,
    anchor: &Anchor,
) -> Result<(), OpenError> {
    let database = |source| open_error(config, source);
    require_primary(config, connection).await?;
    let restored = |how| OpenError::Restored {
        place: config.place(),
        how,
    };
    // Read first: what is committed before it was read is there.
    let anchored = anchor.get();
    let found = place(connection).await.map_err(database)?;
    if found != identity.place {
        return Err(restored(Restored::Copied));
    }
    let Some((chain, head)) = anchored else {
        return Ok(());
    };
    let hash: Option<Vec<u8>> =
        sqlx::query_scalar("SELECT hash FROM seqid.event WHERE chain = $1 AND n = $2")
            .bind(chain)
            .bind(signed(head.n))
            .fetch_optional(connection)
            .await
            .map_err(database)?;
    if hash.is_none_or(|hash| hash != head.hash) {
        return Err(restored(Restored::Behind { position: head.n }));
    }
    Ok(())
}

/// Refuses a standby, and a server that may lose what it committed or is too old.
pub(crate) async fn require_primary(
    config: &PostgresConfig,
    connection: &mut PgConnection,
) -> Result<(), OpenError> {
    let row = sqlx::query(
        "SELECT pg_is_in_recovery(), current_setting('fsync') = 'off', current_setting('server_version'), \
         current_setting('server_version_num')::integer",
    )
    .fetch_one(connection)
    .await
    .map_err(|source| open_error(config, source))?;
    let place = config.place();
    if row.get(0) {
        Err(OpenError::Standby { place })
    } else if row.get(1) {
        Err(OpenError::NotDurable { place })
    } else if row.get::<i32, _>(3) < OpenError::OLDEST {
        let found = row.get(2);
        Err(OpenError::TooOld { place, found })
    } else {
        Ok(())
    }
}
