//! The read side. Nothing here locks anything or waits for a draw.

use std::sync::Arc;

use seqid_core::chain::{Authority, Link};
use seqid_core::checkpoint::{ChainName, Heads, HeadsDigest};
use seqid_core::compiled::CompiledDefinitions;
use seqid_core::counter::{CounterKey, CounterState, SequenceKey};
use seqid_core::definition::DefinitionSpec;
use seqid_core::event::{Event, Recorded};
use seqid_core::ledger::Linked;
use seqid_core::names::{Number, Tenant};
use seqid_core::reservation::ReservationId;
use seqid_core::store::{CounterRecord, MarkRecord, ReservationRecord, SequenceRecord};
use sqlx::PgConnection;
use sqlx::postgres::{PgBindIterExt, PgRow};

use crate::columns::{MARK_COLUMNS, counter_key, counter_state, event, event_joins, mark};
use crate::encoding::{signed, signed_len, signed32};
use crate::error::Fault;
use crate::load::{folded_scope, place};
use crate::rows::{self, get, unsigned};

/// What a reader renders ids with.
#[derive(Debug)]
pub(crate) struct Rendering {
    pub(crate) authority: Authority,
    pub(crate) definitions: CompiledDefinitions,
    /// Where each incarnation begins, the newest first.
    pub(crate) incarnations: Vec<(u32, u64)>,
}

impl Rendering {
    pub(crate) async fn new(connection: &mut PgConnection, authority: Authority) -> Result<Self, Fault> {
        let rows = sqlx::query(
            "SELECT ordinal::bigint, first_position FROM seqid.incarnation ORDER BY ordinal DESC",
        )
        .fetch_all(connection)
        .await?;
        let incarnation = |row: &PgRow| {
            let ordinal = u32::try_from(unsigned(row, 0)?).unwrap_or(u32::MAX);
            Ok::<_, Fault>((ordinal, unsigned(row, 1)?))
        };
        Ok(Self {
            authority,
            definitions: CompiledDefinitions::default(),
            incarnations: rows.iter().map(incarnation).collect::<Result<_, _>>()?,
        })
    }

    /// The incarnation in which the event at a position was recorded.
    pub(crate) fn incarnation(&self, position: u64) -> u32 {
        let of = self.incarnations.iter().find(|(_, first)| *first <= position);
        of.map_or(1, |(ordinal, _)| *ordinal)
    }

    /// Events with what the store knows of them, their ids rendered.
    pub(crate) async fn recorded(
        &self,
        connection: &mut PgConnection,
        rows: &[PgRow],
    ) -> Result<Vec<Recorded>, Fault> {
        let events: Vec<(u64, Linked)> = rows
            .iter()
            .map(|row| rows::event(row, 0))
            .collect::<Result<_, _>>()?;
        self.load_definitions(connection, &events).await?;
        let recorded = |(position, Linked { event, hash }): (u64, Linked)| {
            let incarnation = self.incarnation(position);
            let Ok(definition) = self.known(event.subject.sequence(), event.version, None);
            let ids = definition.and_then(|definition| event.ids(&definition));
            Recorded::new(self.authority, incarnation, position, hash, event, ids)
        };
        Ok(events.into_iter().map(recorded).collect())
    }

    fn known(
        &self,
        sequence: &SequenceKey,
        version: u32,
        spec: Option<DefinitionSpec>,
    ) -> Result<Option<seqid_core::Definition>, std::convert::Infallible> {
        self.definitions.find(sequence, version, || Ok(spec))
    }

    /// Compiles the definitions of events that were not compiled before.
    async fn load_definitions(
        &self,
        connection: &mut PgConnection,
        events: &[(u64, Linked)],
    ) -> Result<(), Fault> {
        let mut missing: Vec<(&SequenceKey, u32)> = events
            .iter()
            .map(|(_, linked)| (linked.event.subject.sequence(), linked.event.version))
            .collect();
        missing.sort_unstable();
        missing.dedup();
        missing.retain(|(sequence, version)| matches!(self.known(sequence, *version, None), Ok(None)));
        if missing.is_empty() {
            return Ok(());
        }
        let found = sqlx::query(
            "SELECT u.place, d.spec, d.at, d.actor \
             FROM unnest($1::text[], $2::text[], $3::integer[]) WITH ORDINALITY u (tenant, prefix, version, place) \
             JOIN seqid.sequence s ON s.tenant = u.tenant AND s.prefix = u.prefix \
             JOIN seqid.definition d ON d.sequence = s.id AND d.version = u.version",
        )
        .bind(missing.iter().map(|(sequence, _)| sequence.tenant.as_str()).bind_iter())
        .bind(missing.iter().map(|(sequence, _)| sequence.prefix.as_str()).bind_iter())
        .bind(missing.iter().map(|(_, version)| signed32(*version)).bind_iter())
        .fetch_all(connection)
        .await?;
        for row in found {
            if let Some((sequence, version)) = missing.get(place(&row)?) {
                let spec = rows::definition_record(&row, 1)?.spec;
                let Ok(_compiled) = self.known(sequence, *version, Some(spec));
            }
        }
        Ok(())
    }
}

/// A counter's row and state.
pub(crate) async fn counter(
    connection: &mut PgConnection,
    key: &CounterKey,
) -> Result<Option<(i64, CounterState)>, Fault> {
    let found = sqlx::query(concat!(
        "SELECT c.id, ",
        counter_state!(),
        " FROM seqid.counter c JOIN seqid.sequence s ON s.id = c.sequence \
         WHERE s.tenant = $1 AND s.prefix_folded = $2 AND s.prefix = $3 \
         AND c.scope_folded = $4 AND c.scope = $5 AND c.period = $6",
    ))
    .bind(key.sequence().tenant.as_str())
    .bind(key.sequence().folded_prefix())
    .bind(key.sequence().prefix.as_str())
    .bind(folded_scope(key))
    .bind(key.scope().to_string())
    .bind(key.period().to_string())
    .fetch_optional(connection)
    .await?;
    found
        .map(|row| Ok((get(&row, 0)?, rows::counter_state(&row, 1)?)))
        .transpose()
}

/// A sequence's row, by its exact name.
pub(crate) async fn sequence_row(
    connection: &mut PgConnection,
    key: &SequenceKey,
) -> Result<Option<i64>, Fault> {
    let id = sqlx::query_scalar(
        "SELECT id FROM seqid.sequence WHERE tenant = $1 AND prefix_folded = $2 AND prefix = $3",
    )
    .bind(key.tenant.as_str())
    .bind(key.folded_prefix())
    .bind(key.prefix.as_str())
    .fetch_optional(connection)
    .await?;
    Ok(id)
}

/// What a [`SequenceRecord`] has but for its versions: key, row, whether archived and implicit, closed through.
macro_rules! listed {
    () => {
        "SELECT s.tenant, s.prefix, s.id, s.archived, s.implicit, s.closed_through, w.closed_through \
         FROM seqid.sequence s LEFT JOIN seqid.sequence w ON w.tenant = s.tenant AND w.prefix_folded = '*' \
         WHERE s.prefix <> '*' AND s.tenant = $1 "
    };
}

/// A sequence with its versions.
pub(crate) async fn sequence(
    connection: &mut PgConnection,
    key: &SequenceKey,
) -> Result<Option<SequenceRecord>, Fault> {
    let found = sqlx::query(concat!(listed!(), "AND s.prefix_folded = $2 AND s.prefix = $3"))
        .bind(key.tenant.as_str())
        .bind(key.folded_prefix())
        .bind(key.prefix.as_str())
        .fetch_all(&mut *connection)
        .await?;
    Ok(with_versions(connection, &found).await?.pop())
}

/// The sequences of a tenant, in order of their prefixes.
pub(crate) async fn sequences(
    connection: &mut PgConnection,
    tenant: &Tenant,
    after: Option<&str>,
    limit: usize,
) -> Result<Vec<SequenceRecord>, Fault> {
    let found = sqlx::query(concat!(listed!(), "AND s.prefix > $2 ORDER BY s.prefix LIMIT $3"))
        .bind(tenant.as_str())
        .bind(after.unwrap_or_default())
        .bind(signed_len(limit))
        .fetch_all(&mut *connection)
        .await?;
    with_versions(connection, &found).await
}

async fn with_versions(connection: &mut PgConnection, found: &[PgRow]) -> Result<Vec<SequenceRecord>, Fault> {
    let mut records = Vec::with_capacity(found.len());
    for row in found {
        records.push(SequenceRecord {
            key: rows::sequence_key(row, 0)?,
            archived: get(row, 3)?,
            implicit: get(row, 4)?,
            closed_through: rows::optional_date(row, 5)?,
            tenant_closed_through: rows::optional_date(row, 6)?,
            versions: Vec::new(),
        });
    }
    let ids: Vec<i64> = found.iter().map(|row| get(row, 2)).collect::<Result<_, _>>()?;
    let versions = sqlx::query(
        "SELECT u.place, d.spec, d.at, d.actor FROM unnest($1::bigint[]) WITH ORDINALITY u (id, place) \
         JOIN seqid.definition d ON d.sequence = u.id ORDER BY u.place, d.version",
    )
    .bind(ids)
    .fetch_all(connection)
    .await?;
    for row in versions {
        if let Some(record) = records.get_mut(place(&row)?) {
            record.versions.push(rows::definition_record(&row, 1)?);
        }
    }
    Ok(records)
}

/// The counters of a sequence, in the order in which they opened: their positions are their rows.
pub(crate) async fn counters(
    connection: &mut PgConnection,
    sequence: &SequenceKey,
    after: u64,
    limit: usize,
) -> Result<Vec<CounterRecord>, Fault> {
    let Some(id) = sequence_row(connection, sequence).await? else {
        return Ok(Vec::new());
    };
    let found = sqlx::query(concat!(
        "SELECT c.id, ",
        counter_key!(),
        ", ",
        counter_state!(),
        " FROM seqid.counter c WHERE c.sequence = $1 AND c.id > $2 ORDER BY c.id LIMIT $3",
    ))
    .bind(id)
    .bind(signed(after))
    .bind(signed_len(limit))
    .fetch_all(connection)
    .await?;
    let record = |row: &PgRow| {
        Ok(CounterRecord {
            position: unsigned(row, 0)?,
            key: rows::counter_key(row, 1, sequence.clone())?,
            state: rows::counter_state(row, 6)?,
        })
    };
    found.iter().map(record).collect()
}

/// What is recorded of a reservation.
pub(crate) async fn reservation(
    connection: &mut PgConnection,
    id: &ReservationId,
) -> Result<Option<ReservationRecord>, Fault> {
    let found = sqlx::query(concat!(
        "SELECT ",
        event!(),
        " FROM seqid.reservation r JOIN seqid.event e ON e.chain = r.counter AND e.n IN (r.began, r.ended)",
        event_joins!(),
        " WHERE r.id = $1 ORDER BY e.n",
    ))
    .bind(&id.0[..])
    .fetch_all(connection)
    .await?;
    let mut events = found.iter().map(|row| {
        let (_, Linked { event, .. }) = rows::event(row, 0)?;
        Ok::<Event, Fault>(event)
    });
    let Some(began) = events.next().transpose()? else {
        return Ok(None);
    };
    let ended = events.next().transpose()?;
    Ok(Some(ReservationRecord { began, ended }))
}

/// The marks of a counter in the order of generation and number, with the events that they go back to.
pub(crate) async fn marks(
    connection: &mut PgConnection,
    counter: i64,
    after: Option<(u32, Number)>,
    limit: usize,
) -> Result<Vec<MarkRecord>, Fault> {
    let (generation, first) = after.map_or((0, -1), |(generation, first)| {
        (signed32(generation), signed(first.get()))
    });
    let found = sqlx::query(concat!(
        "SELECT ",
        mark!(),
        ", ",
        event!(),
        " FROM (SELECT * FROM seqid.mark WHERE counter = $1 AND (generation, first) > ($2, $3) \
                ORDER BY generation, first LIMIT $4) m \
          JOIN seqid.event e ON e.chain = m.counter AND e.n = m.n",
        event_joins!(),
        " ORDER BY m.generation, m.first",
    ))
    .bind(counter)
    .bind(generation)
    .bind(first)
    .bind(signed_len(limit))
    .fetch_all(connection)
    .await?;
    let record = |row: &PgRow| {
        let (_, Linked { event, .. }) = rows::event(row, MARK_COLUMNS)?;
        Ok(MarkRecord {
            mark: rows::mark(row, 0)?,
            event,
        })
    };
    found.iter().map(record).collect()
}

/// The position up to which every event is there that ever will be.
pub(crate) async fn horizon(connection: &mut PgConnection) -> Result<u64, Fault> {
    let row = sqlx::query("SELECT seqid.horizon()")
        .fetch_one(connection)
        .await?;
    unsigned(&row, 0)
}

/// The events behind a position, as far as none can come before them any more.
pub(crate) async fn events(
    connection: &mut PgConnection,
    rendering: &Arc<Rendering>,
    after: u64,
    limit: usize,
) -> Result<Vec<Recorded>, Fault> {
    let horizon = horizon(connection).await?;
    let found = sqlx::query(concat!(
        "SELECT ",
        event!(),
        " FROM (SELECT * FROM seqid.event WHERE position > $1 AND position <= $2 ORDER BY position LIMIT $3) e",
        event_joins!(),
        " ORDER BY e.position",
    ))
    .bind(signed(after))
    .bind(signed(horizon))
    .bind(signed_len(limit))
    .fetch_all(&mut *connection)
    .await?;
    rendering.recorded(connection, &found).await
}

/// All chains in the order of their names, as they were at position $1.
const DECLARE_HEADS: &str = "\
    DECLARE heads NO SCROLL CURSOR FOR \
    WITH newer AS MATERIALIZED (SELECT chain, min(n) - 1 AS n FROM seqid.event WHERE position > $1 GROUP BY chain), \
    head AS (\
        SELECT s.tenant, s.prefix, NULL AS scope, NULL AS period, s.id, s.n, s.hash FROM seqid.sequence s \
        UNION ALL \
        SELECT s.tenant, s.prefix, c.scope, c.period, c.id, c.n, c.hash \
        FROM seqid.counter c JOIN seqid.sequence s ON s.id = c.sequence) \
    SELECT h.tenant, h.prefix, h.scope, h.period, coalesce(newer.n, h.n), \
           CASE WHEN newer.n IS NULL THEN h.hash \
                ELSE (SELECT e.hash FROM seqid.event e WHERE e.chain = h.id AND e.n = newer.n) END \
    FROM head h LEFT JOIN newer ON newer.chain = h.id \
    WHERE coalesce(newer.n, h.n) > 0 \
    ORDER BY h.tenant, h.prefix, h.scope NULLS FIRST, h.period";

/// The heads of all chains at one position. The connection is closed if it fails.
pub(crate) async fn heads(connection: &mut PgConnection, rendering: &Rendering) -> Result<Heads, Fault> {
    let horizon = horizon(connection).await?;
    sqlx::raw_sql("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
        .execute(&mut *connection)
        .await?;
    let position = sqlx::query("SELECT coalesce(max(position), 0) FROM seqid.event WHERE position <= $1")
        .bind(signed(horizon))
        .fetch_one(&mut *connection)
        .await?;
    let position = unsigned(&position, 0)?;
    sqlx::query(DECLARE_HEADS)
        .bind(signed(position))
        .execute(&mut *connection)
        .await?;
    let mut digest = HeadsDigest::new(&rendering.authority);
    loop {
        let found = sqlx::query("FETCH FORWARD 5000 FROM heads")
            .fetch_all(&mut *connection)
            .await?;
        if found.is_empty() {
            break;
        }
        for row in &found {
            let counter = get::<Option<String>>(row, 2)?.zip(get(row, 3)?);
            let name = ChainName::new(get(row, 0)?, get(row, 1)?, counter);
            let hash: Vec<u8> = get(row, 5)?;
            let hash = hash.try_into().map_err(|_| Fault::Missing("hash of a head"))?;
            digest.add(
                &name,
                &Link {
                    n: unsigned(row, 4)?,
                    hash,
                },
            );
        }
    }
    sqlx::raw_sql("COMMIT").execute(connection).await?;
    let (chains, digest) = digest.finish();
    Ok(Heads {
        authority: rendering.authority,
        incarnation: rendering.incarnations.first().map_or(1, |(ordinal, _)| *ordinal),
        position,
        chains,
        digest,
    })
}
