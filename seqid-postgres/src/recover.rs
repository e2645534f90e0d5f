//! What an operator does with a database that went back in time or was copied.

use std::sync::Arc;

use seqid_core::Definition;
use seqid_core::command::Command;
use seqid_core::compiled::CompiledDefinitions;
use seqid_core::counter::SequenceKey;
use seqid_core::line::Version;
use seqid_core::observer::Unobserved;
use seqid_core::recovery::Recovery;
use seqid_core::store::{CounterRecord, DefinitionRecord};
use seqid_core::time::Zone;
use sqlx::{PgConnection, Row};

use crate::batch::{Batch, Locked};
use crate::config::PostgresConfig;
use crate::connections::{connect, open_error};
use crate::encoding::Instant;
use crate::engine::{Engine, How};
use crate::error::{Fault, OpenError};
use crate::identity::{self, Anchor, Identity};
use crate::read;
use crate::{rows, schema};

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
    /// The database.
    pub place: String,
}

/// Accepts a database as it is: begins a new incarnation, and moves every counter to a new epoch and forward by the margin,
/// with an event for each. All in one transaction. All instances must be stopped.
///
/// # Errors
/// [`OpenError`], and nothing is changed.
pub async fn recover(config: &PostgresConfig, recovery: &Recovery) -> Result<RecoveryReport, OpenError> {
    let mut connection = connect(config).await?;
    identity::require_primary(config, &mut connection).await?;
    schema::require_known(config, &mut connection).await?;
    require_alone(config, &mut connection).await?;
    let report = transact(config, &mut connection, recovery).await;
    let report = report.map_err(|fault| match fault {
        Fault::Postgres(source) => open_error(config, source),
        Fault::Open(error) => error,
        fault => OpenError::Corrupt {
            place: config.place(),
            what: fault.to_string(),
        },
    })?;
    if let Some(path) = &config.state_file {
        // What it says is of before: the next start writes it anew.
        match std::fs::remove_file(path) {
            Err(source) if source.kind() != std::io::ErrorKind::NotFound => {
                return Err(OpenError::StateFile {
                    path: path.clone(),
                    source,
                });
            }
            _ => {}
        }
    }
    Ok(report)
}

/// Instances that serve would go on with what they know of the incarnation before.
async fn require_alone(config: &PostgresConfig, connection: &mut PgConnection) -> Result<(), OpenError> {
    let others: i64 = sqlx::query_scalar(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'seqid' \
         AND pid <> pg_backend_pid()",
    )
    .fetch_one(connection)
    .await
    .map_err(|source| open_error(config, source))?;
    if others == 0 {
        return Ok(());
    }
    Err(OpenError::InUse {
        place: config.place(),
        connections: others,
    })
}

async fn transact(
    config: &PostgresConfig,
    connection: &mut PgConnection,
    recovery: &Recovery,
) -> Result<RecoveryReport, Fault> {
    let place = identity::place(connection).await?;
    let authority = schema::authority(config, connection).await?;
    let identity = Identity {
        authority,
        // Only those who serve tell of it.
        incarnation: 0,
        place,
    };
    let engine = Engine::new(config.clone(), identity, Anchor::default(), Arc::new(Unobserved));
    sqlx::raw_sql(sqlx::AssertSqlSafe(How::AllAlone.begin(&[])))
        .execute(&mut *connection)
        .await?;
    let row = sqlx::query(
        "INSERT INTO seqid.incarnation (ordinal, system_identifier, timeline, database, counters, first_position, \
         began_at, actor, reason) \
         SELECT (SELECT max(ordinal) + 1 FROM seqid.incarnation), $1, $2, $3::bigint::oid, $4::bigint::oid, \
         (SELECT last_value + 1 FROM seqid.event_position), clock_timestamp(), $5, $6 RETURNING ordinal, began_at",
    )
    .bind(place.system)
    .bind(place.timeline)
    .bind(place.database)
    .bind(place.counters)
    .bind(recovery.actor.as_ref().map(|actor| actor.as_str()))
    .bind(recovery.reason.as_str())
    .fetch_one(&mut *connection)
    .await?;
    let incarnation: i32 = row.try_get(0)?;
    let Instant(now) = row.try_get(1)?;
    let today = Zone::UTC.date_at(now);
    let definitions = CompiledDefinitions::default();
    let mut counters = 0;
    let mut after = None;
    while let Some(sequence) = next_sequence(connection, after.as_ref()).await? {
        let key = sequence.key.clone();
        let version = |number: u32| version(&definitions, &key, &sequence.versions, number);
        let mut last = 0;
        loop {
            let page: Vec<CounterRecord> = read::counters(connection, &key, last, PAGE).await?;
            let Some(end) = page.last().map(|record| record.position) else {
                break;
            };
            last = end;
            let mut commands = Vec::with_capacity(page.len());
            for record in &page {
                let (head, opened) = (version(sequence.head())?, version(record.state.version)?);
                let command = recovery.new_epoch(&record.key, head, opened, today);
                commands.push(command.map_err(|_| Fault::Missing("definition of a counter"))?);
            }
            let mut batch = Batch::new(&engine, connection, Locked::Wait);
            batch.apply(&commands.iter().collect::<Vec<&Command>>()).await?;
            counters += commands.len() as u64;
        }
        after = Some(key);
    }
    sqlx::raw_sql("COMMIT").execute(connection).await?;
    Ok(RecoveryReport {
        incarnation: u32::try_from(incarnation).unwrap_or_default(),
        counters,
        place: config.place(),
    })
}

/// The next sequence that can give numbers, in the order of tenants and prefixes.
async fn next_sequence(
    connection: &mut PgConnection,
    after: Option<&SequenceKey>,
) -> Result<Option<seqid_core::store::SequenceRecord>, Fault> {
    let row = sqlx::query(
        "SELECT tenant, prefix FROM seqid.sequence WHERE NOT archived AND prefix <> '*' AND (tenant, prefix) > ($1, $2) \
         ORDER BY tenant, prefix LIMIT 1",
    )
    .bind(after.map_or("", |key| key.tenant.as_str()))
    .bind(after.map_or("", |key| key.prefix.as_str()))
    .fetch_optional(&mut *connection)
    .await?;
    let Some(row) = row else { return Ok(None) };
    read::sequence(connection, &rows::sequence_key(&row, 0)?).await
}

fn version(
    definitions: &CompiledDefinitions,
    sequence: &SequenceKey,
    versions: &[DefinitionRecord],
    number: u32,
) -> Result<Version, Fault> {
    let record = usize::try_from(number)
        .ok()
        .and_then(|number| versions.get(number.checked_sub(1)?));
    let found: Result<Option<Definition>, std::convert::Infallible> =
        definitions.find(sequence, number, || Ok(record.map(|record| record.spec.clone())));
    let Ok(definition) = found;
    let definition = definition.ok_or(Fault::Missing("definition"))?;
    Ok(Version { number, definition })
}
