//! Is this the database that was written last? A dump that is restored, a copied data folder and a database that went
//! back in time look like any other, and would give out numbers again.

use std::sync::{Mutex, MutexGuard, PoisonError};

use seqid_core::chain::{Authority, Link};
use sqlx::{PgConnection, Row};

use crate::config::PostgresConfig;
use crate::connections::open_error;
use crate::encoding::signed;
use crate::error::{OpenError, Restored};
use crate::state_file::State;

/// What tells a database from its copies: the server that was initialised once, and the numbers that it gave to the database
/// and to the table of counters. The timeline tells a standby that was promoted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Identity {
    pub(crate) authority: Authority,
    pub(crate) incarnation: u32,
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

/// An event that must be there: the last one that this instance was answered for, in this run or the one before, or that it
/// has seen of another since.
#[derive(Debug, Default)]
pub(crate) struct Anchor(Mutex<Anchored>);

#[derive(Debug, Default)]
struct Anchored {
    last: Option<(i64, Link)>,
    /// How often it was set.
    times: u64,
    /// It is not in the state file yet.
    is_unwritten: bool,
}

impl Anchored {
    fn set(&mut self, chain: i64, head: Link) {
        self.last = Some((chain, head));
        self.times += 1;
        self.is_unwritten = true;
    }
}

impl Anchor {
    /// One that was kept in a state file.
    pub(crate) fn kept(chain: i64, head: Link) -> Self {
        Self(Mutex::new(Anchored {
            last: Some((chain, head)),
            times: 0,
            is_unwritten: false,
        }))
    }

    /// An event was committed as the head of a chain.
    pub(crate) fn set(&self, chain: i64, head: Link) {
        self.lock().set(chain, head);
    }

    /// How often it was set.
    pub(crate) fn times(&self) -> u64 {
        self.lock().times
    }

    /// An event was seen that another instance recorded; what this one was answered for meanwhile is newer.
    pub(crate) fn see(&self, times: u64, chain: i64, head: Link) {
        let mut anchored = self.lock();
        if anchored.times == times && anchored.last != Some((chain, head)) {
            anchored.set(chain, head);
        }
    }

    /// What the state file is to say, if it does not say so yet.
    pub(crate) fn take_unwritten(&self, identity: &Identity) -> Option<State> {
        let mut anchored = self.lock();
        let is_unwritten = std::mem::take(&mut anchored.is_unwritten);
        let (chain, head) = anchored.last.filter(|_| is_unwritten)?;
        Some(State {
            authority: identity.authority,
            incarnation: identity.incarnation,
            chain,
            head,
        })
    }

    /// The state file does not say what it is to say.
    pub(crate) fn set_unwritten(&self) {
        self.lock().is_unwritten = true;
    }

    fn get(&self) -> Option<(i64, Link)> {
        self.lock().last
    }

    fn lock(&self) -> MutexGuard<'_, Anchored> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
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
    if is_there(connection, chain, head).await.map_err(database)? {
        Ok(())
    } else {
        Err(restored(Restored::Behind { n: head.n }))
    }
}

/// Whether an event is there as it was. Of months that were detached, the last of each chain is known.
async fn is_there(connection: &mut PgConnection, chain: i64, head: Link) -> sqlx::Result<bool> {
    sqlx::query_scalar(
        "SELECT EXISTS (SELECT 1 FROM seqid.event WHERE chain = $1 AND n = $2 AND hash = $3) \
             OR EXISTS (SELECT 1 FROM seqid.boundary WHERE chain = $1 AND (n > $2 OR (n = $2 AND hash = $3)))",
    )
    .bind(chain)
    .bind(signed(head.n))
    .bind(&head.hash[..])
    .fetch_one(connection)
    .await
}

/// Holds a database against the state file of this instance.
pub(crate) async fn require_state(
    config: &PostgresConfig,
    connection: &mut PgConnection,
    identity: &Identity,
    state: Option<State>,
) -> Result<Anchor, OpenError> {
    let restored = |how| OpenError::Restored {
        place: config.place(),
        how,
    };
    let Some(state) = state else {
        return Ok(Anchor::default());
    };
    if state.authority != identity.authority {
        return Err(restored(Restored::Other));
    }
    // An operator has accepted the database since.
    if state.incarnation < identity.incarnation {
        return Ok(Anchor::default());
    }
    let found = is_there(connection, state.chain, state.head).await;
    if state.incarnation == identity.incarnation && found.map_err(|source| open_error(config, source))? {
        Ok(Anchor::kept(state.chain, state.head))
    } else {
        Err(restored(Restored::Behind { n: state.head.n }))
    }
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
