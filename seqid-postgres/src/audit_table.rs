//! The audit outside of the stores: a table of every event that was delivered, whichever store it came from.

use std::borrow::Borrow;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};

use seqid_core::chain::EventId;
use seqid_core::event::{Recorded, Subject};
use seqid_core::store::StoreError;
use sha2::{Digest, Sha256};
use sqlx::{PgConnection, Row};
use tokio::sync::Mutex;

use crate::config::PostgresConfig;
use crate::connections::{connect, open_error, within};
use crate::encoding::{Instant, signed};
use crate::error::{Fault, OpenError};
use crate::identity;
use crate::notices;

/// The newest version of the schema `seqid_audit`.
const KNOWN: u32 = 1;

/// Records events in the schema `seqid_audit` of a database, each once in effect, however often it is delivered and by how many
/// workers at a time. The database need not be that of a store.
pub struct AuditTable {
    config: PostgresConfig,
    connection: Mutex<Option<PgConnection>>,
    is_available: AtomicBool,
}

/// What became of the events of one call. Together they are as many as were given.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Recording {
    /// How many are new.
    pub recorded: usize,
    /// How many were there already.
    pub repeated: usize,
    /// Which ones were not recorded, because another event was under the same id: their places in what was given, rising.
    pub divergent: Vec<usize>,
}

/// Events of a counter that were not delivered, though a later one was.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Missing {
    /// The tenant.
    pub tenant: String,
    /// The prefix.
    pub prefix: String,
    /// The period, if it is a counter and not a sequence as a whole.
    pub period: Option<String>,
    /// The place of the first of them in the counter's chain.
    pub first_n: u64,
    /// The place of the last of them.
    pub last_n: u64,
}

impl AuditTable {
    /// Connects, and makes the schema or brings it up to date. Several may do so at once.
    ///
    /// # Errors
    /// Those of the database say what to do.
    pub async fn open(config: PostgresConfig) -> Result<Self, OpenError> {
        let mut connection = connect(&config).await?;
        identity::require_primary(&config, &mut connection).await?;
        migrate(&config, &mut connection).await?;
        Ok(Self {
            config,
            connection: Mutex::new(Some(connection)),
            is_available: AtomicBool::new(true),
        })
    }

    /// Whether the last call reached the database.
    #[must_use]
    pub fn is_available(&self) -> bool {
        self.is_available.load(Ordering::Relaxed)
    }

    /// Records a batch. Answers once it would survive the loss of power.
    ///
    /// # Errors
    /// All of the batch may be given again, whatever the error was: what was recorded by then is found to be repeated.
    ///
    /// # Cancel safety
    /// As after an error.
    pub async fn record<E: Borrow<Recorded>>(&self, events: &[E]) -> Result<Recording, StoreError> {
        let mut slot = self.connection.lock().await;
        let recorded = self.recorded(&mut slot, events).await;
        self.is_available.store(recorded.is_ok(), Ordering::Relaxed);
        Ok(recorded?)
    }

    /// What is missing, at most `limit` runs of places. Takes a time in proportion to the events.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn missing(&self, limit: usize) -> Result<Vec<Missing>, StoreError> {
        let mut slot = self.connection.lock().await;
        let mut connection = self.connection(&mut slot).await?;
        let rows = sqlx::query(
            "SELECT tenant, prefix, period, first_n, last_n FROM seqid_audit.missing \
             ORDER BY tenant, prefix, period, first_n LIMIT $1",
        )
        .bind(i64::try_from(limit).unwrap_or(i64::MAX))
        .fetch_all(&mut connection)
        .await
        .map_err(Fault::from)?;
        *slot = Some(connection);
        let missing = rows.iter().map(|row| Missing {
            tenant: row.get(0),
            prefix: row.get(1),
            period: row.get(2),
            first_n: row.get::<i64, _>(3).unsigned_abs(),
            last_n: row.get::<i64, _>(4).unsigned_abs(),
        });
        Ok(missing.collect())
    }

    /// Taken out while it is used: after a fault, or when the future is dropped, it is closed.
    async fn connection(&self, slot: &mut Option<PgConnection>) -> Result<PgConnection, Fault> {
        match slot.take() {
            Some(connection) => Ok(connection),
            None => Ok(connect(&self.config).await?),
        }
    }

    async fn recorded<E: Borrow<Recorded>>(
        &self,
        slot: &mut Option<PgConnection>,
        events: &[E],
    ) -> Result<Recording, Fault> {
        let mut recording = Recording::default();
        let mut round: Vec<usize> = (0..events.len()).collect();
        // Of several under one id, the later ones are held against the first.
        while !round.is_empty() {
            let (rows, later) = Rows::of(events, &round)?;
            self.record_rows(slot, &rows, &mut recording).await?;
            round = later;
        }
        recording.divergent.sort_unstable();
        Ok(recording)
    }

    async fn record_rows(
        &self,
        slot: &mut Option<PgConnection>,
        rows: &Rows,
        recording: &mut Recording,
    ) -> Result<(), Fault> {
        let mut connection = self.connection(slot).await?;
        let inserted = within(self.config.timeout, rows.insert(&mut connection)).await??;
        recording.recorded += inserted.len();
        if inserted.len() < rows.ids.len() {
            let compared = rows.compare(&mut connection, &inserted);
            let divergent = within(self.config.timeout, compared).await??;
            recording.repeated += rows.ids.len() - inserted.len() - divergent.len();
            recording.divergent.extend(divergent);
        }
        *slot = Some(connection);
        Ok(())
    }
}

/// Events as columns, in the order of their ids: whoever inserts at the same time waits for the same row first.
#[derive(Default)]
struct Rows {
    /// Where each was in what was given.
    places: Vec<usize>,
    ids: Vec<Vec<u8>>,
    counters: Vec<Vec<u8>>,
    ns: Vec<i64>,
    authorities: Vec<String>,
    tenants: Vec<String>,
    prefixes: Vec<String>,
    scopes: Vec<Option<String>>,
    periods: Vec<Option<String>>,
    kinds: Vec<&'static str>,
    firsts: Vec<Option<i64>>,
    lasts: Vec<Option<i64>>,
    counts: Vec<Option<i64>>,
    instants: Vec<Instant>,
    events: Vec<String>,
}

impl Rows {
    /// The first under each id of those at these places, and the places of the others.
    fn of<E: Borrow<Recorded>>(events: &[E], places: &[usize]) -> Result<(Self, Vec<usize>), Fault> {
        let mut order: Vec<(EventId, usize)> = places
            .iter()
            .map(|place| (events[*place].borrow().id, *place))
            .collect();
        order.sort_unstable();
        let (mut rows, mut later) = (Self::default(), Vec::new());
        let mut last = None;
        for (id, place) in order {
            if last == Some(id) {
                later.push(place);
            } else {
                rows.push(place, events[place].borrow())?;
                last = Some(id);
            }
        }
        Ok((rows, later))
    }

    fn push(&mut self, place: usize, recorded: &Recorded) -> Result<(), Fault> {
        let event = &recorded.event;
        let sequence = event.subject.sequence();
        let counter = event.subject.counter();
        let text = |error: serde_json::Error| Fault::Postgres(sqlx::Error::Encode(Box::new(error)));
        let scope = counter.map(|key| serde_json::to_string(key.scope()));
        self.places.push(place);
        self.ids.push(recorded.id.0.to_vec());
        self.counters.push(digest(recorded));
        self.ns.push(signed(event.n));
        self.authorities.push(recorded.authority.to_string());
        self.tenants.push(sequence.tenant.as_str().to_owned());
        self.prefixes.push(sequence.prefix.as_str().to_owned());
        self.scopes.push(scope.transpose().map_err(text)?);
        self.periods.push(counter.map(|key| key.period().to_string()));
        self.kinds.push(event.kind.as_str());
        self.firsts.push(event.run.map(|run| signed(run.first.get())));
        self.lasts.push(event.run.map(|run| signed(run.last().get())));
        self.counts.push(event.run.map(|run| signed(run.count)));
        self.instants.push(Instant(event.at));
        self.events.push(serde_json::to_string(recorded).map_err(text)?);
        Ok(())
    }

    /// Inserts what is not there yet; answers the ids of that.
    async fn insert(&self, connection: &mut PgConnection) -> Result<Vec<Vec<u8>>, Fault> {
        let insert = sqlx::query_scalar(
            "INSERT INTO seqid_audit.event (id, counter, n, authority, tenant, prefix, scope, period, kind, first, last, \
             count, at, event) SELECT * FROM unnest($1::bytea[], $2::bytea[], $3::bigint[], $4::text[], $5::text[], \
             $6::text[], $7::text[], $8::text[], $9::text[], $10::bigint[], $11::bigint[], $12::bigint[], \
             $13::timestamptz[], $14::json[]) ON CONFLICT (id) DO NOTHING RETURNING id",
        )
        .bind(&self.ids)
        .bind(&self.counters)
        .bind(&self.ns)
        .bind(&self.authorities)
        .bind(&self.tenants)
        .bind(&self.prefixes)
        .bind(&self.scopes)
        .bind(&self.periods)
        .bind(&self.kinds)
        .bind(&self.firsts)
        .bind(&self.lasts)
        .bind(&self.counts)
        .bind(&self.instants)
        .bind(&self.events)
        .fetch_all(connection);
        // A statement outside of a transaction is committed with its answer.
        match notices::heard(insert).await {
            (inserted, None) => Ok(inserted?),
            (_, Some(warning)) => Err(Fault::Warned(warning)),
        }
    }

    /// Holds those that were there against what is there, and keeps what differs. Answers their places.
    async fn compare(
        &self,
        connection: &mut PgConnection,
        inserted: &[Vec<u8>],
    ) -> Result<Vec<usize>, Fault> {
        let differing: Vec<i64> = sqlx::query_scalar(
            "WITH sent AS (SELECT * FROM unnest($1::bytea[], $2::text[]) WITH ORDINALITY AS sent (id, event, place) \
             WHERE id <> ALL ($3::bytea[])), \
             differing AS (SELECT sent.* FROM sent JOIN seqid_audit.event AS known USING (id) \
             WHERE known.event::text <> sent.event), \
             kept AS (INSERT INTO seqid_audit.divergence (id, event) SELECT id, event::json FROM differing \
             ON CONFLICT DO NOTHING) SELECT place FROM differing ORDER BY place",
        )
        .bind(&self.ids)
        .bind(&self.events)
        .bind(inserted)
        .fetch_all(connection)
        .await?;
        let place = |place: i64| {
            let index = usize::try_from(place - 1).ok()?;
            self.places.get(index).copied()
        };
        Ok(differing.into_iter().filter_map(place).collect())
    }
}

/// The counter or sequence of a store: each part behind its length.
fn digest(recorded: &Recorded) -> Vec<u8> {
    let mut hash = Sha256::new();
    let mut part = |bytes: &[u8]| {
        hash.update((bytes.len() as u64).to_be_bytes());
        hash.update(bytes);
    };
    part(&recorded.authority.0);
    let subject = &recorded.event.subject;
    part(subject.sequence().tenant.as_str().as_bytes());
    part(subject.sequence().prefix.as_str().as_bytes());
    if let Subject::Counter(key) = subject {
        part(key.period().to_string().as_bytes());
        for (name, value) in key.scope().iter() {
            part(name.as_bytes());
            part(value.as_bytes());
        }
    }
    hash.finalize()[..16].to_vec()
}

async fn migrate(config: &PostgresConfig, connection: &mut PgConnection) -> Result<(), OpenError> {
    let database = |source| open_error(config, source);
    // Others wait for the whole of it.
    sqlx::raw_sql("BEGIN; SET LOCAL lock_timeout = '60s'; SELECT pg_advisory_xact_lock(1936027004, 1)")
        .execute(&mut *connection)
        .await
        .map_err(database)?;
    let found: Option<i32> = if is_there(connection).await.map_err(database)? {
        sqlx::query_scalar("SELECT version FROM seqid_audit.schema")
            .fetch_optional(&mut *connection)
            .await
            .map_err(database)?
    } else {
        None
    };
    let found = u32::try_from(found.unwrap_or_default()).unwrap_or_default();
    if found > KNOWN {
        return Err(OpenError::NewerSchema {
            place: config.place(),
            found,
            known: KNOWN,
        });
    }
    if found == 0 {
        for step in [
            "CREATE SCHEMA IF NOT EXISTS seqid_audit; \
             COMMENT ON SCHEMA seqid_audit IS 'seqid: the audit of delivered events. Written by seqid alone.'; \
             CREATE TABLE seqid_audit.schema (version integer NOT NULL); \
             INSERT INTO seqid_audit.schema (version) VALUES (1)",
            include_str!("schema/audit.sql"),
        ] {
            sqlx::raw_sql(step)
                .execute(&mut *connection)
                .await
                .map_err(database)?;
        }
    }
    sqlx::raw_sql("COMMIT")
        .execute(connection)
        .await
        .map(|_| ())
        .map_err(database)
}

async fn is_there(connection: &mut PgConnection) -> sqlx::Result<bool> {
    sqlx::query_scalar("SELECT to_regclass('seqid_audit.schema') IS NOT NULL")
        .fetch_one(connection)
        .await
}

impl fmt::Debug for AuditTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuditTable")
            .field("config", &self.config)
            .field("is_available", &self.is_available())
            .finish_non_exhaustive()
    }
}
