//! Reading the tables one row after another for a [`Verifier`].

use seqid_core::chain::Link;
use seqid_core::event::{Recorded, Subject};
use seqid_core::ledger::Linked;
use seqid_core::store::CounterRecord;
use seqid_core::verify::{Fault as Found, FaultKind, Report, SequenceHead, Verifier};
use sqlx::PgConnection;
use sqlx::postgres::PgRow;

use crate::columns::{EVENT_COLUMNS, counter_key, counter_state, event, event_joins};
use crate::config::PostgresConfig;
use crate::connections::{connect, open_error};
use crate::error::{Fault, OpenError};
use crate::read::Rendering;
use crate::rows::{get, unsigned};
use crate::{plan, rows, schema};

/// How many rows are read at a time, and how many events lie between two reports of progress.
const PAGE: usize = 10_000;

/// Verifies a database as of one moment, without writing to it. It may be served meanwhile. `progress` is told the position
/// that was reached, and the last one.
///
/// Holds a transaction for as long as it takes, which keeps PostgreSQL from removing what was deleted since.
///
/// # Errors
/// [`OpenError`] when the database cannot be read, or is none of seqid's. What is wrong with its content is in the report.
pub async fn verify(
    config: &PostgresConfig,
    verifier: Verifier,
    progress: impl FnMut(u64, u64),
) -> Result<Report, OpenError> {
    let mut connection = connect(config).await?;
    schema::require_known(config, &mut connection).await?;
    let report = verify_tables(config, &mut connection, verifier, progress).await;
    report.map_err(|fault| match fault {
        Fault::Postgres(source) => open_error(config, source),
        Fault::Open(error) => error,
        fault => OpenError::Corrupt {
            place: config.place(),
            what: fault.to_string(),
        },
    })
}

async fn verify_tables(
    config: &PostgresConfig,
    connection: &mut PgConnection,
    verifier: Verifier,
    progress: impl FnMut(u64, u64),
) -> Result<Report, Fault> {
    sqlx::raw_sql("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
        .execute(&mut *connection)
        .await?;
    let authority = schema::authority(config, connection).await?;
    let rendering = Rendering::new(connection, authority).await?;
    let mut verifier = verifier.store(authority);
    sequences(connection, &mut verifier).await?;
    counters(connection, &mut verifier).await?;
    boundaries(connection, &mut verifier).await?;
    events(connection, &rendering, &mut verifier, progress).await?;
    definitions(connection, &mut verifier).await?;
    plans(connection, &mut verifier).await?;
    sqlx::raw_sql("COMMIT").execute(connection).await?;
    Ok(verifier.finish())
}

/// Declares a cursor, and gives its rows page by page.
async fn each(
    connection: &mut PgConnection,
    declare: &'static str,
    mut row: impl FnMut(&PgRow) -> Result<(), Fault>,
) -> Result<(), Fault> {
    sqlx::query(declare).execute(&mut *connection).await?;
    loop {
        let page = sqlx::query(sqlx::AssertSqlSafe(format!("FETCH FORWARD {PAGE} FROM page")))
            .persistent(false)
            .fetch_all(&mut *connection)
            .await?;
        if page.is_empty() {
            break;
        }
        page.iter().try_for_each(&mut row)?;
    }
    sqlx::raw_sql("CLOSE page").execute(connection).await?;
    Ok(())
}

async fn sequences(connection: &mut PgConnection, verifier: &mut Verifier) -> Result<(), Fault> {
    const ALL: &str = "DECLARE page NO SCROLL CURSOR FOR \
        SELECT s.tenant, s.prefix, s.id, s.head, s.archived, s.closed_through, s.n, s.hash, s.prefix_folded, s.opened, \
        EXISTS (SELECT 1 FROM seqid.counter c WHERE c.sequence = s.id) FROM seqid.sequence s ORDER BY s.id";
    each(connection, ALL, |row| {
        let id: i64 = get(row, 2)?;
        let (key, head) = match (rows::sequence_key(row, 0), sequence_head(row)) {
            (Ok(key), Ok(head)) => (key, head),
            (Err(fault), _) | (_, Err(fault)) => {
                verifier.fault(table(
                    None,
                    "sequence",
                    id,
                    "a row that seqid writes",
                    fault.to_string(),
                ));
                return Ok(());
            }
        };
        let (folded, opened, counters): (String, bool, bool) = (get(row, 8)?, get(row, 9)?, get(row, 10)?);
        let subject = || Some(Subject::Sequence(key.clone()));
        if folded != key.folded_prefix() {
            let expected = format!("prefix_folded {}", key.folded_prefix());
            verifier.fault(table(subject(), "sequence", id, &expected, folded));
        }
        if opened != counters {
            let expected = format!("opened {counters}");
            verifier.fault(table(subject(), "sequence", id, &expected, opened.to_string()));
        }
        verifier.expect_sequence(key, head);
        Ok(())
    })
    .await
}

fn sequence_head(row: &PgRow) -> Result<SequenceHead, Fault> {
    let hash: Vec<u8> = get(row, 7)?;
    Ok(SequenceHead {
        version: u32::try_from(get::<i32>(row, 3)?).unwrap_or_default(),
        archived: get(row, 4)?,
        closed_through: rows::optional_date(row, 5)?,
        chain: Link {
            n: unsigned(row, 6)?,
            hash: hash
                .try_into()
                .map_err(|_| Fault::Missing("hash of a sequence"))?,
        },
    })
}

async fn counters(connection: &mut PgConnection, verifier: &mut Verifier) -> Result<(), Fault> {
    const ALL: &str = concat!(
        "DECLARE page NO SCROLL CURSOR FOR SELECT s.tenant, s.prefix, c.id, ",
        counter_key!(),
        ", ",
        counter_state!(),
        ", c.scope_folded FROM seqid.counter c LEFT JOIN seqid.sequence s ON s.id = c.sequence ORDER BY c.id"
    );
    let counter = |row: &PgRow| {
        Ok::<_, Fault>(CounterRecord {
            position: unsigned(row, 2)?,
            key: rows::counter_key(row, 3, rows::sequence_key(row, 0)?)?,
            state: rows::counter_state(row, 8)?,
        })
    };
    each(connection, ALL, |row| {
        let record = match counter(row) {
            Ok(record) => record,
            Err(fault) => {
                let id: i64 = get(row, 2)?;
                verifier.fault(table(
                    None,
                    "counter",
                    id,
                    "a row that seqid writes",
                    fault.to_string(),
                ));
                return Ok(());
            }
        };
        let (folded, lower): (String, String) =
            (get(row, 22)?, record.key.scope().to_string().to_lowercase());
        if folded != lower {
            let subject = Some(Subject::Counter(record.key.clone()));
            let expected = format!("scope_folded {lower:?}");
            verifier.fault(table(subject, "counter", get(row, 2)?, &expected, folded));
        }
        verifier.expect_counter(record.key, record.state);
        Ok(())
    })
    .await
}

/// Chains whose first events are in months that were detached begin behind these.
async fn boundaries(connection: &mut PgConnection, verifier: &mut Verifier) -> Result<(), Fault> {
    const ALL: &str = concat!(
        "DECLARE page NO SCROLL CURSOR FOR SELECT s.tenant, s.prefix, ",
        counter_key!(),
        ", b.n, b.hash, b.position FROM (SELECT DISTINCT ON (chain) * FROM seqid.boundary ORDER BY chain, n DESC) b \
          JOIN seqid.counter c ON c.id = b.chain JOIN seqid.sequence s ON s.id = c.sequence"
    );
    each(connection, ALL, |row| {
        let key = rows::counter_key(row, 2, rows::sequence_key(row, 0)?)?;
        verifier.begin_behind(Subject::Counter(key), rows::link(row, 7)?, unsigned(row, 9)?);
        Ok(())
    })
    .await
}

async fn events(
    connection: &mut PgConnection,
    rendering: &Rendering,
    verifier: &mut Verifier,
    mut progress: impl FnMut(u64, u64),
) -> Result<(), Fault> {
    // No event is left out for want of a row that it names: it is then reported.
    const ALL: &str = concat!(
        "DECLARE page NO SCROLL CURSOR FOR SELECT ",
        event!(),
        " FROM seqid.event e LEFT JOIN seqid.sequence s ON s.id = e.sequence \
          LEFT JOIN seqid.counter c ON c.id = e.chain AND e.chain <> e.sequence AND c.sequence = e.sequence \
          LEFT JOIN seqid.definition d ON e.kind = 6 AND d.sequence = e.sequence AND d.version = e.version \
          WHERE NOT EXISTS (SELECT 1 FROM seqid.boundary b WHERE b.chain = e.chain AND b.n >= e.n) \
          ORDER BY e.position"
    );
    let row = sqlx::query("SELECT coalesce(max(position), 0) FROM seqid.event")
        .fetch_one(&mut *connection)
        .await?;
    let last = unsigned(&row, 0)?;
    verifier.expect_heads(last);
    let mut read: usize = 0;
    each(connection, ALL, |row| {
        let position = unsigned(row, 0)?;
        match rows::event(row, 0) {
            Ok((_, linked)) => {
                let incarnation = rendering.incarnation(position);
                let authority = rendering.authority;
                let recorded =
                    Recorded::new(authority, incarnation, position, linked.hash, linked.event, None);
                verifier.event(&recorded);
            }
            Err(fault) => verifier.unreadable(position, None, "column", fault.to_string()),
        }
        read += 1;
        if read.is_multiple_of(PAGE) {
            progress(position, last);
        }
        Ok(())
    })
    .await?;
    progress(last, last);
    Ok(())
}

/// Rows of definitions that no event saved.
async fn definitions(connection: &mut PgConnection, verifier: &mut Verifier) -> Result<(), Fault> {
    const UNSAVED: &str = "DECLARE page NO SCROLL CURSOR FOR \
        SELECT d.sequence, d.version FROM seqid.definition d WHERE NOT EXISTS (\
            SELECT 1 FROM seqid.event e WHERE e.chain = d.sequence AND e.kind = 6 AND e.version = d.version) \
        ORDER BY d.sequence, d.version";
    each(connection, UNSAVED, |row| {
        let (sequence, version): (i64, i32) = (get(row, 0)?, get(row, 1)?);
        let expected = "a version that an event saved";
        verifier.fault(table(None, "definition", sequence, expected, version.to_string()));
        Ok(())
    })
    .await
}

/// Plans of definitions that are not what their definitions say: draws in SQL would print other ids.
async fn plans(connection: &mut PgConnection, verifier: &mut Verifier) -> Result<(), Fault> {
    const ALL: &str = concat!(
        "DECLARE page NO SCROLL CURSOR FOR SELECT ",
        event!(),
        ", d.plan::text FROM seqid.event e",
        event_joins!(),
        " WHERE e.kind = 6 AND d.plan IS NOT NULL ORDER BY e.position"
    );
    let json = |text: &str| serde_json::from_str::<serde_json::Value>(text).ok();
    each(connection, ALL, |row| {
        // One that cannot be read was reported.
        let Ok((_, Linked { event, .. })) = rows::event(row, 0) else {
            return Ok(());
        };
        let found: String = get(row, EVENT_COLUMNS)?;
        if json(&plan::of(&event)) != json(&found) {
            let version = i64::from(event.version);
            let expected = "the plan of its definition";
            verifier.fault(table(Some(event.subject), "definition", version, expected, found));
        }
        Ok(())
    })
    .await
}

/// A row that contradicts the events.
fn table(subject: Option<Subject>, table: &str, row: i64, expected: &str, found: String) -> Found {
    Found {
        kind: FaultKind::Table,
        position: None,
        subject,
        n: None,
        expected: format!("in row {row} of {table} {expected}"),
        found,
    }
}
