//! Makes the schema, and brings an older one up to date.

use seqid_core::chain::Authority;
use sqlx::{PgConnection, Row};

use crate::config::PostgresConfig;
use crate::connections::open_error;
use crate::error::OpenError;
use crate::error::Restored;
use crate::identity::{self, Anchor, Identity, Place};
use crate::state_file::State;

/// The steps from each version to the next: the first makes version 1.
const STEPS: [&str; KNOWN as usize] = [concat!(
    include_str!("schema/1.sql"),
    include_str!("schema/draw.sql")
)];

/// The newest version.
const KNOWN: u32 = 1;

/// What marks the schema as seqid's.
const MARK: &str = "seqid: document numbers. Made and changed by seqid alone.";

/// Brings the schema up to date, and answers what the database is and what this instance knows of it. Several instances may
/// do so at once.
pub(crate) async fn prepare(
    config: &PostgresConfig,
    connection: &mut PgConnection,
) -> Result<(Identity, Anchor), OpenError> {
    let state = match &config.state_file {
        Some(path) => State::read(path).map_err(|source| OpenError::StateFile {
            path: path.clone(),
            source,
        })?,
        None => None,
    };
    identity::require_primary(config, connection).await?;
    let prepared = migrate(config, connection, state).await;
    if prepared.is_err() {
        // The connection is closed next, which does the same.
        let _closed_next = sqlx::raw_sql("ROLLBACK").execute(connection).await;
    }
    prepared
}

async fn migrate(
    config: &PostgresConfig,
    connection: &mut PgConnection,
    state: Option<State>,
) -> Result<(Identity, Anchor), OpenError> {
    let database = |source| open_error(config, source);
    // Others wait for the whole of it: making the schema takes longer than a lock is waited for otherwise.
    sqlx::raw_sql("BEGIN; SET LOCAL lock_timeout = '60s'; SELECT pg_advisory_xact_lock(1936027004, 0)")
        .execute(&mut *connection)
        .await
        .map_err(database)?;
    let found = version(config, connection).await?;
    if found > KNOWN {
        return Err(OpenError::NewerSchema {
            place: config.place(),
            found,
            known: KNOWN,
        });
    }
    if found > 0 {
        require_owner(config, connection).await?;
    }
    if found == 0 && state.is_some() {
        // Nothing is made in what may be the wrong database.
        return Err(OpenError::Restored {
            place: config.place(),
            how: Restored::Other,
        });
    }
    for (version, step) in (1..)
        .zip(STEPS)
        .skip(usize::try_from(found).unwrap_or(usize::MAX))
    {
        if version == 1 {
            sqlx::raw_sql(
                "CREATE SCHEMA IF NOT EXISTS seqid; CREATE TABLE seqid.schema (version integer NOT NULL)",
            )
            .execute(&mut *connection)
            .await
            .map_err(database)?;
            sqlx::raw_sql(sqlx::AssertSqlSafe(format!(
                "COMMENT ON SCHEMA seqid IS '{MARK}'"
            )))
            .execute(&mut *connection)
            .await
            .map_err(database)?;
        }
        sqlx::raw_sql(step)
            .execute(&mut *connection)
            .await
            .map_err(database)?;
        sqlx::raw_sql("DELETE FROM seqid.schema")
            .execute(&mut *connection)
            .await
            .map_err(database)?;
        sqlx::query("INSERT INTO seqid.schema (version) VALUES ($1)")
            .bind(version)
            .execute(&mut *connection)
            .await
            .map_err(database)?;
    }
    let identity = identity(config, connection).await?;
    let anchor = identity::require_state(config, connection, &identity, state).await?;
    sqlx::query("UPDATE seqid.store SET key_retention = $1 * interval '1 s' WHERE key_retention <> $1 * interval '1 s'")
        .bind(config.key_retention.as_secs_f64())
        .execute(&mut *connection)
        .await
        .map_err(database)?;
    sqlx::raw_sql("SELECT seqid.add_month(now()::date), seqid.add_month((now() + interval '1 month')::date)")
        .execute(&mut *connection)
        .await
        .map_err(database)?;
    sqlx::raw_sql("COMMIT")
        .execute(&mut *connection)
        .await
        .map_err(database)?;
    Ok((identity, anchor))
}

/// The version of the schema, 0 if there is none.
async fn version(config: &PostgresConfig, connection: &mut PgConnection) -> Result<u32, OpenError> {
    let database = |source| open_error(config, source);
    let row = sqlx::query(
        "SELECT EXISTS (SELECT 1 FROM pg_class WHERE relnamespace = n.oid), obj_description(n.oid, 'pg_namespace'), \
         has_schema_privilege(n.oid, 'USAGE') FROM pg_namespace n WHERE nspname = 'seqid'",
    )
    .fetch_optional(&mut *connection)
    .await
    .map_err(database)?;
    let Some(row) = row else { return Ok(0) };
    let (used, mark, allowed): (bool, Option<String>, bool) = (row.get(0), row.get(1), row.get(2));
    match mark {
        Some(mark) if mark == MARK => {}
        None if !used => return Ok(0),
        _ => {
            return Err(OpenError::Foreign {
                place: config.place(),
            });
        }
    }
    if !allowed {
        return Err(not_allowed(config, None));
    }
    let version: i32 = sqlx::query_scalar("SELECT version FROM seqid.schema")
        .fetch_one(connection)
        .await
        .map_err(database)?;
    Ok(u32::try_from(version).unwrap_or_default())
}

/// Refuses a user who could not add the partition of the next month: only the owner of a table may.
async fn require_owner(config: &PostgresConfig, connection: &mut PgConnection) -> Result<(), OpenError> {
    let owns: bool = sqlx::query_scalar(
        "SELECT pg_has_role(relowner, 'USAGE') FROM pg_class WHERE oid = 'seqid.event'::regclass",
    )
    .fetch_one(connection)
    .await
    .map_err(|source| open_error(config, source))?;
    if owns {
        Ok(())
    } else {
        Err(not_allowed(config, None))
    }
}

fn not_allowed(config: &PostgresConfig, source: Option<sqlx::Error>) -> OpenError {
    OpenError::NotAllowed {
        place: config.place(),
        user: config.connect.get_username().to_owned(),
        source,
    }
}

/// Refuses a database whose schema this program did not bring up to date.
pub(crate) async fn require_known(
    config: &PostgresConfig,
    connection: &mut PgConnection,
) -> Result<(), OpenError> {
    let place = || config.place();
    match version(config, connection).await? {
        KNOWN => Ok(()),
        0 => Err(OpenError::Empty { place: place() }),
        found => Err(OpenError::NewerSchema {
            place: place(),
            found,
            known: KNOWN,
        }),
    }
}

/// The name of the store.
pub(crate) async fn authority(
    config: &PostgresConfig,
    connection: &mut PgConnection,
) -> Result<Authority, OpenError> {
    let authority: Vec<u8> = sqlx::query_scalar("SELECT authority FROM seqid.store")
        .fetch_one(connection)
        .await
        .map_err(|source| open_error(config, source))?;
    let foreign = |_| OpenError::Foreign {
        place: config.place(),
    };
    authority.try_into().map(Authority).map_err(foreign)
}

/// What the database is. A new one gets its name here.
async fn identity(config: &PostgresConfig, connection: &mut PgConnection) -> Result<Identity, OpenError> {
    let database = |source| open_error(config, source);
    let place = identity::place(connection).await.map_err(database)?;
    let authority: Option<Vec<u8>> = sqlx::query_scalar("SELECT authority FROM seqid.store")
        .fetch_optional(&mut *connection)
        .await
        .map_err(database)?;
    let Some(authority) = authority else {
        return begin(connection, place).await.map_err(database);
    };
    let row = sqlx::query(
        "SELECT system_identifier, timeline, database::bigint, counters::bigint, ordinal FROM seqid.incarnation \
         ORDER BY ordinal DESC LIMIT 1",
    )
    .fetch_one(connection)
    .await
    .map_err(database)?;
    let written = Place {
        system: row.get(0),
        timeline: row.get(1),
        database: row.get(2),
        counters: row.get(3),
    };
    if written != place {
        return Err(OpenError::Restored {
            place: config.place(),
            how: Restored::Copied,
        });
    }
    let authority = <[u8; 16]>::try_from(authority).map_err(|_| OpenError::Foreign {
        place: config.place(),
    })?;
    Ok(Identity {
        authority: Authority(authority),
        incarnation: u32::try_from(row.get::<i32, _>(4)).unwrap_or_default(),
        place,
    })
}

async fn begin(connection: &mut PgConnection, place: Place) -> sqlx::Result<Identity> {
    let authority: Vec<u8> = sqlx::query_scalar(
        "INSERT INTO seqid.store (id, authority) VALUES (1, decode(replace(gen_random_uuid()::text, '-', ''), 'hex')) \
         RETURNING authority",
    )
    .fetch_one(&mut *connection)
    .await?;
    sqlx::query(
        "INSERT INTO seqid.incarnation (ordinal, system_identifier, timeline, database, counters, first_position, \
         began_at) VALUES (1, $1, $2, $3::bigint::oid, $4::bigint::oid, 1, clock_timestamp())",
    )
    .bind(place.system)
    .bind(place.timeline)
    .bind(place.database)
    .bind(place.counters)
    .execute(connection)
    .await?;
    let authority = <[u8; 16]>::try_from(authority).map_err(|_| sqlx::Error::RowNotFound)?;
    Ok(Identity {
        authority: Authority(authority),
        incarnation: 1,
        place,
    })
}
