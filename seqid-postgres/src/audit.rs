//! Finding events page by page. A page is bounded work: a stretch of the log, of a sequence's part of it or of a counter's
//! chain is marked off by an index, and what lies in it is held against the query.

use seqid_core::counter::SequenceKey;
use seqid_core::names::Prefix;
use seqid_core::query::{EventQuery, Order};
use sqlx::PgConnection;
use sqlx::postgres::PgRow;

use crate::columns::{event, event_joins};
use crate::error::Fault;
use crate::read;
use crate::rows::{get, unsigned};
use crate::types::{Instant, signed, signed_len};

/// The rows of a page.
#[derive(Debug, Default)]
pub(crate) struct Page {
    pub(crate) rows: Vec<PgRow>,
    pub(crate) next: Option<u64>,
    pub(crate) last: u64,
}

/// Where a stretch ends that begins behind $1 and ends before $2 at the latest: the position of its $3rd event.
macro_rules! stretch {
    ($of:literal, $order:literal) => {
        concat!(
            "SELECT position FROM seqid.event WHERE position > $1 AND position < $2 ",
            $of,
            " ORDER BY position ",
            $order,
            " OFFSET $3 - 1 LIMIT 1"
        )
    };
}

/// The events of a stretch, from $1 to $2, that match.
macro_rules! matching {
    ($of:literal, $order:literal) => {
        concat!(
            "SELECT ",
            event!(),
            " FROM seqid.event e",
            event_joins!(),
            " WHERE e.position BETWEEN $1 AND $2 ",
            $of,
            " AND s.tenant = $4 \
              AND ($5::text IS NULL OR c.period = $5) AND ($6::text IS NULL OR c.scope = $6) \
              AND ($7::bigint IS NULL OR (e.first <= $8 AND e.first + e.step * (e.count - 1) >= $7)) \
              AND ($9::text IS NULL OR e.actor = $9) AND ($10::text IS NULL OR e.client = $10) \
              AND ($11::text IS NULL OR e.request = $11) AND ($12::text IS NULL OR e.reference = $12) \
              AND ($13::smallint[] IS NULL OR e.kind = ANY($13)) \
              AND ($14::timestamptz IS NULL OR e.at >= $14) AND ($15::timestamptz IS NULL OR e.at < $15) \
              ORDER BY e.position ",
            $order,
            " LIMIT $3"
        )
    };
}

/// The matching events of a chain: the index of chains leads to them, so that the bounds are turned into its terms.
macro_rules! of_chain {
    ($order:literal) => {
        matching!(
            "AND e.chain = $16 AND e.n > (SELECT seqid.n_at($16, $1 - 1)) AND e.n <= (SELECT seqid.n_at($16, $2))",
            $order
        )
    };
}

/// No event comes behind this position.
const NEWEST: u64 = i64::MAX.cast_unsigned();

/// What a query is about, and the row of that.
#[derive(Debug, Clone, Copy)]
enum Of {
    All,
    Sequence(i64),
    Chain(i64),
}

/// The page of a query.
pub(crate) async fn page(connection: &mut PgConnection, query: &EventQuery) -> Result<Page, Fault> {
    let last = read::horizon(connection).await?;
    let none = Page {
        last,
        ..Page::default()
    };
    let of = match &query.prefix {
        None => Of::All,
        Some(prefix) => match subject(connection, query, prefix).await? {
            Some(of) => of,
            None => return Ok(none),
        },
    };
    // Both are excluded. What is newer than the horizon is met from the newest end only: from the other end, an event
    // might come before it later.
    let (mut low, mut high) = match query.order {
        Order::OldestFirst => (query.after.unwrap_or(0).min(last), last + 1),
        Order::NewestFirst => (0, query.after.unwrap_or(u64::MAX).min(NEWEST)),
    };
    let mut page = none;
    let mut looked = 0;
    let mut length = query.limit as u64;
    while low + 1 < high {
        if page.rows.len() == query.limit || looked >= EventQuery::WORK {
            page.next = Some(match query.order {
                Order::OldestFirst => low,
                Order::NewestFirst => high,
            });
            break;
        }
        length = length.min(EventQuery::WORK - looked);
        let end = stretch(connection, query, of, (low, high), length).await?;
        let (first, last) = match (query.order, end) {
            (Order::OldestFirst, Some(end)) => (low + 1, end),
            (Order::NewestFirst, Some(end)) => (end, high - 1),
            (_, None) => (low + 1, high - 1),
        };
        let left = query.limit - page.rows.len();
        let found = matching(connection, query, of, (first, last), left).await?;
        let far = match found.last() {
            Some(row) if found.len() == left => unsigned(row, 0)?,
            _ if query.order == Order::OldestFirst => last,
            _ => first,
        };
        match query.order {
            Order::OldestFirst => low = far,
            Order::NewestFirst => high = far,
        }
        page.rows.extend(found);
        looked += length;
        // If it were not for rare matches, the first stretch would have been enough.
        length = EventQuery::WORK;
    }
    Ok(page)
}

/// The sequence or counter of a query, if there is one.
async fn subject(
    connection: &mut PgConnection,
    query: &EventQuery,
    prefix: &Prefix,
) -> Result<Option<Of>, Fault> {
    let key = SequenceKey::new(query.tenant.clone(), prefix.clone());
    let Some(sequence) = read::sequence_row(connection, &key).await? else {
        return Ok(None);
    };
    let (Some(period), Some(scope)) = (&query.period, &query.scope) else {
        return Ok(Some(Of::Sequence(sequence)));
    };
    let scope = scope.to_string();
    let found = sqlx::query(
        "SELECT id FROM seqid.counter WHERE sequence = $1 AND scope_folded = $2 AND scope = $3 AND period = $4",
    )
    .bind(sequence)
    .bind(scope.to_lowercase())
    .bind(&scope)
    .bind(period)
    .fetch_optional(connection)
    .await?;
    found.map(|row| get(&row, 0).map(Of::Chain)).transpose()
}

/// Where the stretch ends that has so many events; `None` if fewer are left.
async fn stretch(
    connection: &mut PgConnection,
    query: &EventQuery,
    of: Of,
    (low, high): (u64, u64),
    length: u64,
) -> Result<Option<u64>, Fault> {
    use Order::{NewestFirst, OldestFirst};
    let (sql, id) = match (of, query.order) {
        (Of::Chain(id), order) => return stretch_of_chain(connection, id, order, (low, high), length).await,
        (Of::All, OldestFirst) => (stretch!("AND $4::bigint IS NULL", "ASC"), None),
        (Of::All, NewestFirst) => (stretch!("AND $4::bigint IS NULL", "DESC"), None),
        (Of::Sequence(id), OldestFirst) => (stretch!("AND sequence = $4", "ASC"), Some(id)),
        (Of::Sequence(id), NewestFirst) => (stretch!("AND sequence = $4", "DESC"), Some(id)),
    };
    let end = sqlx::query(sql)
        .bind(signed(low))
        .bind(signed(high))
        .bind(signed(length))
        .bind(id)
        .fetch_optional(connection)
        .await?;
    end.map(|row| unsigned(&row, 0)).transpose()
}

/// The events of a chain are counted: no index needs to be walked.
async fn stretch_of_chain(
    connection: &mut PgConnection,
    chain: i64,
    order: Order,
    (low, high): (u64, u64),
    length: u64,
) -> Result<Option<u64>, Fault> {
    let n = match order {
        Order::OldestFirst => "seqid.n_at($1, $2) + $4",
        Order::NewestFirst => "seqid.n_at($1, $3 - 1) - $4 + 1",
    };
    let sql = format!(
        "SELECT position FROM seqid.event WHERE chain = $1 AND position > $2 AND position < $3 AND n = (SELECT {n})"
    );
    let end = sqlx::query(sqlx::AssertSqlSafe(sql))
        .bind(chain)
        .bind(signed(low))
        .bind(signed(high))
        .bind(signed(length))
        .fetch_optional(connection)
        .await?;
    end.map(|row| unsigned(&row, 0)).transpose()
}

async fn matching(
    connection: &mut PgConnection,
    query: &EventQuery,
    of: Of,
    (first, last): (u64, u64),
    limit: usize,
) -> Result<Vec<PgRow>, Fault> {
    use Order::{NewestFirst, OldestFirst};
    let (sql, id) = match (of, query.order) {
        (Of::All, OldestFirst) => (matching!("AND $16::bigint IS NULL", "ASC"), None),
        (Of::All, NewestFirst) => (matching!("AND $16::bigint IS NULL", "DESC"), None),
        (Of::Sequence(id), OldestFirst) => (matching!("AND e.sequence = $16", "ASC"), Some(id)),
        (Of::Sequence(id), NewestFirst) => (matching!("AND e.sequence = $16", "DESC"), Some(id)),
        (Of::Chain(id), OldestFirst) => (of_chain!("ASC"), Some(id)),
        (Of::Chain(id), NewestFirst) => (of_chain!("DESC"), Some(id)),
    };
    let kinds = (!query.kinds.is_empty()).then(|| {
        query
            .kinds
            .iter()
            .map(|kind| i16::from(*kind as u8))
            .collect::<Vec<_>>()
    });
    let found = sqlx::query(sql)
        .bind(signed(first))
        .bind(signed(last))
        .bind(signed_len(limit))
        .bind(query.tenant.as_str())
        .bind(&query.period)
        .bind(query.scope.as_ref().map(ToString::to_string))
        .bind(query.numbers.map(|(first, _)| signed(first.get())))
        .bind(query.numbers.map(|(_, last)| signed(last.get())))
        .bind(query.actor.as_ref().map(|label| label.as_str()))
        .bind(query.client.as_ref().map(|label| label.as_str()))
        .bind(query.request.as_ref().map(|label| label.as_str()))
        .bind(query.reference.as_ref().map(|reference| reference.as_str()))
        .bind(kinds)
        .bind(query.from.map(Instant))
        .bind(query.to.map(Instant))
        .bind(id)
        .fetch_all(connection)
        .await?;
    Ok(found)
}
