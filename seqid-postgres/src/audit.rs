//! Finding events page by page. A page is bounded work: a stretch of the log, of a sequence's part of it or of a counter's
//! chain is marked off by an index, and what lies in it is held against the query. Positions of other times are passed over
//! by blocks, and the numbers of a counter are found in its chain, where they rise.

use seqid_core::counter::SequenceKey;
use seqid_core::names::{Number, Prefix};
use seqid_core::query::{EventQuery, Order};
use sqlx::postgres::{PgArguments, PgRow};
use sqlx::query::Query;
use sqlx::{PgConnection, Postgres};

use crate::columns::{event, event_joins};
use crate::encoding::{Instant, signed, signed_len};
use crate::error::Fault;
use crate::read;
use crate::rows::{get, unsigned};

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
    ($from:literal, $of:literal, $order:literal) => {
        concat!(
            "SELECT ",
            event!(),
            " FROM ",
            $from,
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
    ($of:literal, $order:literal) => {
        matching!("seqid.event e", $of, $order)
    };
}

/// The matching events in the ranges of a chain.
macro_rules! of_ranges {
    ($order:literal) => {
        matching!(
            "unnest($17::bigint[], $18::bigint[]) u (first_n, last_n), \
             LATERAL (SELECT * FROM seqid.event WHERE chain = $16 AND n BETWEEN u.first_n AND u.last_n OFFSET 0) e",
            "",
            $order
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

/// How many positions share a row of `seqid.event_block`.
const BLOCK: u64 = 4_096;

/// Ranges of `n` that do not meet, in their order.
#[derive(Debug, Default)]
struct Ranges {
    first: Vec<i64>,
    last: Vec<i64>,
}

impl Ranges {
    fn new(mut ranges: Vec<(i64, i64)>) -> Self {
        ranges.sort_unstable();
        let mut met = Self::default();
        for (first, last) in ranges {
            match met.last.last_mut() {
                Some(end) if first <= *end => *end = last.max(*end),
                _ => {
                    met.first.push(first);
                    met.last.push(last);
                }
            }
        }
        met
    }

    /// How many events are in them.
    fn len(&self) -> u64 {
        let ranges = self.first.iter().zip(&self.last);
        ranges.map(|(first, last)| last.abs_diff(*first) + 1).sum()
    }
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
    if let (Of::Chain(chain), Some((least, most))) = (of, query.numbers) {
        let ranges = ranges_of_numbers(connection, chain, (least, most)).await?;
        if ranges.len() <= EventQuery::WORK {
            return page_of_numbers(connection, query, (chain, &ranges), (low, high), none).await;
        }
        (low, high) = hull(connection, chain, &ranges, (low, high)).await?;
    }
    let mut page = none;
    let mut looked = 0;
    let is_timed = query.from.is_some() || query.to.is_some();
    // Positions that may have events of the time.
    let mut in_time = if is_timed { (1, 0) } else { (1, NEWEST) };
    let mut length = query.limit as u64;
    while low + 1 < high {
        if page.rows.len() == query.limit || looked >= EventQuery::WORK {
            page.next = Some(match query.order {
                Order::OldestFirst => low,
                Order::NewestFirst => high,
            });
            break;
        }
        let near = match query.order {
            Order::OldestFirst => low + 1,
            Order::NewestFirst => high - 1,
        };
        if !(in_time.0..=in_time.1).contains(&near) {
            in_time = match positions_in_time(connection, query, near).await? {
                Some(found) => found,
                None => break,
            };
            // A stretch of a block is most of it.
            length = length.max(BLOCK);
            match query.order {
                Order::OldestFirst => low = low.max(in_time.0 - 1),
                Order::NewestFirst => high = high.min(in_time.1.saturating_add(1)),
            }
            if low + 1 >= high {
                break;
            }
        }
        let (first, last) = match query.order {
            Order::OldestFirst => (low + 1, in_time.1.min(high - 1)),
            Order::NewestFirst => (in_time.0.max(low + 1), high - 1),
        };
        length = length.min(EventQuery::WORK - looked);
        let width = last - first + 1;
        let end = match width <= length {
            true => None,
            false => stretch(connection, query, of, (first - 1, last + 1), length).await?,
        };
        let (first, last) = match (query.order, end) {
            (Order::OldestFirst, Some(end)) => (first, end),
            (Order::NewestFirst, Some(end)) => (end, last),
            (_, None) => (first, last),
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
        looked += length.min(width);
        // If it were not for rare matches, the first stretch would have been enough.
        length = EventQuery::WORK;
    }
    Ok(page)
}

/// The nearest positions from one on, in the order of the page, that may have events of the time that is asked for.
async fn positions_in_time(
    connection: &mut PgConnection,
    query: &EventQuery,
    near: u64,
) -> Result<Option<(u64, u64)>, Fault> {
    let row = sqlx::query(
        "SELECT first, last FROM seqid.positions_in_time($1, $2, $3, $4) WHERE first IS NOT NULL",
    )
    .bind(signed(near))
    .bind(query.order == Order::NewestFirst)
    .bind(query.from.map(Instant))
    .bind(query.to.map(Instant))
    .fetch_optional(connection)
    .await?;
    row.map(|row| Ok((unsigned(&row, 0)?, unsigned(&row, 1)?)))
        .transpose()
}

/// Where the events of a chain are that may have these numbers.
async fn ranges_of_numbers(
    connection: &mut PgConnection,
    chain: i64,
    (least, most): (Number, Number),
) -> Result<Ranges, Fault> {
    let rows =
        sqlx::query("SELECT first_n, last_n FROM seqid.n_of_numbers($1, $2, $3) WHERE last_n IS NOT NULL")
            .bind(chain)
            .bind(signed(least.get()))
            .bind(signed(most.get()))
            .fetch_all(connection)
            .await?;
    let ranges = rows
        .iter()
        .map(|row| Ok::<_, Fault>((get(row, 0)?, get(row, 1)?)));
    Ok(Ranges::new(ranges.collect::<Result<_, _>>()?))
}

/// Bounds of positions that have all of these ranges of a chain between them.
async fn hull(
    connection: &mut PgConnection,
    chain: i64,
    ranges: &Ranges,
    (low, high): (u64, u64),
) -> Result<(u64, u64), Fault> {
    let row = sqlx::query(
        "SELECT min(position), max(position) FROM seqid.event WHERE chain = $1 AND n IN ($2, $3) HAVING count(*) > 0",
    )
    .bind(chain)
    .bind(ranges.first.first())
    .bind(ranges.last.last())
    .fetch_optional(connection)
    .await?;
    let Some(row) = row else { return Ok((low, high)) };
    Ok((
        low.max(unsigned(&row, 0)?.saturating_sub(1)),
        high.min(unsigned(&row, 1)? + 1),
    ))
}

/// The page of a query of numbers whose events are in these ranges.
async fn page_of_numbers(
    connection: &mut PgConnection,
    query: &EventQuery,
    (chain, ranges): (i64, &Ranges),
    (low, high): (u64, u64),
    mut page: Page,
) -> Result<Page, Fault> {
    let sql = match query.order {
        Order::OldestFirst => of_ranges!("ASC"),
        Order::NewestFirst => of_ranges!("DESC"),
    };
    // One more tells whether more follow.
    let mut rows = bound(
        sql,
        query,
        Some(chain),
        (low + 1, high.saturating_sub(1)),
        query.limit + 1,
    )
    .bind(&ranges.first)
    .bind(&ranges.last)
    .fetch_all(connection)
    .await?;
    if rows.len() > query.limit {
        rows.truncate(query.limit);
        page.next = rows.last().map(|row| unsigned(row, 0)).transpose()?;
    }
    page.rows = rows;
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
    let found = bound(sql, query, id, (first, last), limit);
    Ok(found.fetch_all(connection).await?)
}

/// A statement of `matching!` with what it is asked.
fn bound<'q>(
    sql: &'static str,
    query: &'q EventQuery,
    of: Option<i64>,
    (first, last): (u64, u64),
    limit: usize,
) -> Query<'q, Postgres, PgArguments> {
    let kinds = (!query.kinds.is_empty()).then(|| {
        query
            .kinds
            .iter()
            .map(|kind| i16::from(*kind as u8))
            .collect::<Vec<_>>()
    });
    sqlx::query(sql)
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
        .bind(of)
}
