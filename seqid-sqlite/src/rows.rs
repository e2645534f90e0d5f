//! Between rows and the ledger's types.

use std::sync::{Arc, LazyLock};

use rusqlite::types::Type;
use rusqlite::{CachedStatement, Connection, OptionalExtension, Row, ToSql, params};
use seqid_core::chain::Link;
use seqid_core::counter::{CounterKey, CounterState, CounterStatus, Run, SequenceKey};
use seqid_core::definition::{DefinitionSpec, Mode, OnExpiry};
use seqid_core::event::{Event, EventKind, Fingerprint, Keyed, Origin, Subject};
use seqid_core::field::FieldValues;
use seqid_core::lease::{Holder, Lease, LeaseId, LeaseState};
use seqid_core::ledger::{Linked, SequenceState};
use seqid_core::mark::{Mark, NumberState};
use seqid_core::names::{IdempotencyKey, Number, Prefix, Tenant};
use seqid_core::period::{Period, Reset};
use seqid_core::reservation::{Hold, ReservationId};
use seqid_core::store::DefinitionRecord;
use seqid_core::time::{Date, Timestamp};

use crate::error::{Damage, Fault};

type Result<T> = rusqlite::Result<T>;

/// A column holds what seqid never writes.
fn damaged(column: usize, what: &'static str) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(column, Type::Null, what.into())
}

fn column<T, S>(row: &Row<'_>, at: usize, parse: impl FnOnce(S) -> Option<T>) -> Result<T>
where
    S: rusqlite::types::FromSql,
{
    parse(row.get(at)?).ok_or_else(|| damaged(at, "the value is outside of what seqid writes"))
}

fn optional<T, S>(row: &Row<'_>, at: usize, parse: impl FnOnce(S) -> Option<T>) -> Result<Option<T>>
where
    S: rusqlite::types::FromSql,
{
    match row.get::<_, Option<S>>(at)? {
        Some(value) => parse(value)
            .map(Some)
            .ok_or_else(|| damaged(at, "the value is outside of what seqid writes")),
        None => Ok(None),
    }
}

#[expect(
    clippy::needless_pass_by_value,
    reason = "a column is read as a text of its own"
)]
fn text<T: std::str::FromStr>(text: String) -> Option<T> {
    text.parse().ok()
}

fn number(value: i64) -> Option<Number> {
    Number::new(u64::try_from(value).ok()?).ok()
}

/// SQLite's integers have a sign; no number, position or count of seqid's is above their largest.
pub(crate) fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

fn next_to_sql(next: u64) -> Option<i64> {
    i64::try_from(next).ok()
}

fn link(row: &Row<'_>, at: usize) -> Result<Link> {
    Ok(Link {
        n: column(row, at, |n: i64| n.try_into().ok())?,
        hash: row.get(at + 1)?,
    })
}

pub(crate) fn idempotency_key(row: &Row<'_>, at: usize) -> Result<IdempotencyKey> {
    column(row, at, text)
}

pub(crate) fn sequence_key(row: &Row<'_>, at: usize) -> Result<SequenceKey> {
    Ok(SequenceKey::new(
        column(row, at, text::<Tenant>)?,
        column(row, at + 1, |prefix: String| Prefix::of_event(&prefix).ok())?,
    ))
}

pub(crate) fn optional_date(row: &Row<'_>, at: usize) -> Result<Option<Date>> {
    optional(row, at, Date::from_days_since_epoch)
}

/// The last date that is closed for all sequences of a tenant, ?1.
macro_rules! all_closed_through {
    () => {
        "(SELECT w.closed_through FROM sequence w WHERE w.tenant = ?1 AND w.prefix_folded = '*')"
    };
}
pub(crate) use all_closed_through;

/// The columns of [`counter_state`], of a counter `c`.
macro_rules! counter_state {
    () => {
        "c.version, c.generation, c.epoch, c.next, c.last, c.last_date, c.status, c.n, c.hash, c.reserved, c.voided, \
         c.free, c.next_expiry, c.leases"
    };
}

/// The columns and tables of [`event`].
macro_rules! event {
    () => {
        "e.position, s.tenant, s.prefix, c.scope, c.period, c.period_kind, c.period_first, c.period_last, \
         e.counter, e.kind, e.n, e.generation, e.epoch, e.first, e.step, e.count, e.version, e.mode, e.at, \
         e.date, e.fields, e.actor, e.client, e.request, e.reference, e.relates_to, e.reason, e.key, \
         e.fingerprint, coalesce(e.detail, d.spec), e.hash, e.reservation, e.expires_at, e.on_expiry \
         FROM event e JOIN sequence s ON s.id = e.sequence LEFT JOIN counter c ON c.id = e.counter \
         LEFT JOIN definition d ON e.kind = 6 AND d.sequence = e.sequence AND d.version = e.version"
    };
}

/// A counter's row, scope and state, by sequence, folded scope and period.
pub(crate) const FIND_COUNTER: &str = concat!(
    "SELECT c.id, c.scope, ",
    counter_state!(),
    " FROM counter c WHERE c.sequence = ?1 AND c.scope_folded = ?2 AND c.period = ?3"
);

/// A counter's sequence, scope, period and state, by its row.
pub(crate) const READ_COUNTER: &str = concat!(
    "SELECT c.sequence, c.scope, c.period, ",
    counter_state!(),
    " FROM counter c WHERE c.id = ?1"
);

/// The counters of a sequence behind a row: row, name, state.
pub(crate) const LIST_COUNTERS: &str = concat!(
    "SELECT c.id, c.scope, c.period, c.period_kind, c.period_first, c.period_last, ",
    counter_state!(),
    " FROM counter c WHERE c.sequence = ?1 AND c.id > ?2 ORDER BY c.id LIMIT ?3"
);

/// All counters: row, sequence's row, name, state, folded scope.
pub(crate) const ALL_COUNTERS: &str = concat!(
    "SELECT c.id, c.sequence, c.scope, c.period, c.period_kind, c.period_first, c.period_last, ",
    counter_state!(),
    ", c.scope_folded FROM counter c ORDER BY c.id"
);

/// The event at a position.
pub(crate) const FIND_EVENT: &str = concat!("SELECT ", event!(), " WHERE e.position = ?1");

/// The events behind a position.
pub(crate) const LIST_EVENTS: &str = concat!(
    "SELECT ",
    event!(),
    " WHERE e.position > ?1 ORDER BY e.position LIMIT ?2"
);

/// The conditions of a query on events at ?1 to ?2, of which there are at most ?3. The sign before the tenant keeps
/// SQLite from beginning with the sequences.
macro_rules! matching {
    ($order:literal) => {
        concat!(
            "SELECT ",
            event!(),
            " WHERE e.position BETWEEN ?1 AND ?2 AND +s.tenant = ?4 \
             AND (?5 IS NULL OR e.sequence = ?5) AND (?6 IS NULL OR e.counter = ?6) \
             AND (?7 IS NULL OR c.period = ?7) AND (?8 IS NULL OR c.scope = ?8) \
             AND (?9 IS NULL OR (e.first <= ?10 AND e.first + e.step * (e.count - 1) >= ?9)) \
             AND (?11 IS NULL OR e.actor = ?11) AND (?12 IS NULL OR e.client = ?12) \
             AND (?13 IS NULL OR e.request = ?13) AND (?14 IS NULL OR e.reference = ?14) \
             AND (?15 IS NULL OR (?15 >> e.kind) & 1) AND (?16 IS NULL OR e.at >= ?16) AND (?17 IS NULL OR e.at < ?17) \
             ORDER BY e.position ",
            $order,
            " LIMIT ?3"
        )
    };
}

pub(crate) const MATCHING_OLDEST_FIRST: &str = matching!("ASC");
pub(crate) const MATCHING_NEWEST_FIRST: &str = matching!("DESC");

/// A counter's name, from scope, period, kind, first and last day at `at`.
pub(crate) fn counter_key(row: &Row<'_>, at: usize, sequence: SequenceKey) -> Result<CounterKey> {
    let scope: FieldValues = column(row, at, text)?;
    let kind = column(row, at + 2, |kind: String| {
        Reset::ALL.into_iter().find(|reset| reset.as_str() == kind)
    })?;
    let first = optional(row, at + 3, Date::from_days_since_epoch)?;
    let last = optional(row, at + 4, Date::from_days_since_epoch)?;
    let period = column(row, at + 1, |text: String| {
        Period::restore(kind, first.zip(last), &text)
    })?;
    Ok(CounterKey::new(sequence, scope, period))
}

/// A counter's state, from its columns at `at`.
pub(crate) fn counter_state(row: &Row<'_>, at: usize) -> Result<CounterState> {
    let next = optional(row, at + 3, |next: i64| u64::try_from(next).ok())?;
    Ok(CounterState {
        version: row.get(at)?,
        generation: row.get(at + 1)?,
        epoch: row.get(at + 2)?,
        next: next.unwrap_or(CounterState::ENDED),
        last: optional(row, at + 4, number)?,
        last_date: optional(row, at + 5, Date::from_days_since_epoch)?,
        status: column(row, at + 6, |status: String| match status.as_str() {
            "open" => Some(CounterStatus::Open),
            "frozen" => Some(CounterStatus::Frozen),
            _ => None,
        })?,
        chain: link(row, at + 7)?,
        reserved: column(row, at + 9, |count: i64| count.try_into().ok())?,
        voided: column(row, at + 10, |count: i64| count.try_into().ok())?,
        free: column(row, at + 11, |count: i64| count.try_into().ok())?,
        next_expiry: row.get::<_, Option<i64>>(at + 12)?.map(Timestamp::from_micros),
        leases: row.get(at + 13)?,
    })
}

/// A mark, from its columns at `at`.
pub(crate) fn mark(row: &Row<'_>, at: usize) -> Result<Mark> {
    let run = run(row, at + 1)?.ok_or_else(|| damaged(at + 1, "a mark without numbers"))?;
    Ok(Mark {
        run,
        generation: row.get(at)?,
        state: column(row, at + 4, NumberState::from_code)?,
        date: optional(row, at + 5, Date::from_days_since_epoch)?,
        fields: optional(row, at + 6, text)?.unwrap_or_default(),
        hold: hold(row, at + 7)?,
        n: column(row, at + 10, |n: i64| n.try_into().ok())?,
        reference: optional(row, at + 11, text)?,
        relates_to: optional(row, at + 12, text)?,
        epoch: row.get(at + 13)?,
    })
}

/// A lease, from its columns at `at`.
pub(crate) fn lease(row: &Row<'_>, at: usize) -> Result<Lease> {
    let first = optional(row, at + 3, number)?;
    let last = optional(row, at + 5, number)?;
    let run = first.zip(last).map(|(first, last)| {
        let step = column(row, at + 4, |step: i64| {
            u64::try_from(step).ok().filter(|step| *step > 0)
        })?;
        let count = last
            .get()
            .checked_sub(first.get())
            .ok_or_else(|| damaged(at + 5, "a lease that ends before it begins"))?
            / step
            + 1;
        Ok::<_, rusqlite::Error>(Run { first, step, count })
    });
    let holder = Holder::restore(
        column(row, at + 6, text)?,
        optional(row, at + 7, |topology: i64| topology.try_into().ok())?,
    );
    Ok(Lease {
        id: LeaseId(row.get(at)?),
        holder,
        generation: row.get(at + 1)?,
        epoch: row.get(at + 2)?,
        run: run.transpose()?,
        state: column(row, at + 8, LeaseState::from_code)?,
    })
}

/// A hold, from name, end and policy at `at`.
fn hold(row: &Row<'_>, at: usize) -> Result<Option<Hold>> {
    let Some(id) = row.get(at)? else {
        return Ok(None);
    };
    Ok(Some(Hold {
        id: ReservationId(id),
        expires_at: Timestamp::from_micros(row.get(at + 1)?),
        on_expiry: column(row, at + 2, OnExpiry::from_code)?,
    }))
}

fn status_word(status: CounterStatus) -> &'static str {
    match status {
        CounterStatus::Frozen => "frozen",
        _ => "open",
    }
}

pub(crate) fn insert_counter(
    connection: &Connection,
    sequence: i64,
    key: &CounterKey,
    state: &CounterState,
) -> Result<i64> {
    let scope = key.scope().to_string();
    let period = key.period();
    connection
        .prepare_cached(
            "INSERT INTO counter (sequence, scope, scope_folded, period, period_kind, period_first, period_last, \
             version, generation, epoch, next, last, last_date, status, n, hash, reserved, voided, free, next_expiry, \
             leases) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21)",
        )?
        .insert(params![
            sequence,
            scope,
            scope.to_lowercase(),
            period.to_string(),
            period.kind().as_str(),
            period.first().map(Date::days_since_epoch),
            period.last().map(Date::days_since_epoch),
            state.version,
            state.generation,
            state.epoch,
            next_to_sql(state.next),
            state.last.map(|last| signed(last.get())),
            state.last_date.map(Date::days_since_epoch),
            status_word(state.status),
            signed(state.chain.n),
            state.chain.hash,
            signed(state.reserved),
            signed(state.voided),
            signed(state.free),
            state.next_expiry.map(Timestamp::as_micros),
            state.leases,
        ])
}

pub(crate) fn update_counter(connection: &Connection, id: i64, state: &CounterState) -> Result<()> {
    connection
        .prepare_cached(
            "UPDATE counter SET version = ?2, generation = ?3, epoch = ?4, next = ?5, last = ?6, last_date = ?7, \
             status = ?8, n = ?9, hash = ?10, reserved = ?11, voided = ?12, free = ?13, next_expiry = ?14, \
             leases = ?15 WHERE id = ?1",
        )?
        .execute(params![
            id,
            state.version,
            state.generation,
            state.epoch,
            next_to_sql(state.next),
            state.last.map(|last| signed(last.get())),
            state.last_date.map(Date::days_since_epoch),
            status_word(state.status),
            signed(state.chain.n),
            state.chain.hash,
            signed(state.reserved),
            signed(state.voided),
            signed(state.free),
            state.next_expiry.map(Timestamp::as_micros),
            state.leases,
        ])
        .map(drop)
}

/// Writes what `issued` events change of a counter, unless its row is newer.
pub(crate) fn advance_counter(connection: &Connection, id: i64, advance: &Advance) -> Result<()> {
    connection
        .prepare_cached(
            "UPDATE counter SET next = ?2, last = ?3, last_date = iif(last_date IS NULL, NULL, ?4), n = ?5, hash = ?6 \
             WHERE id = ?1 AND n < ?5",
        )?
        .execute(params![
            id,
            next_to_sql(advance.next),
            advance.last.map(|last| signed(last.get())),
            advance.date.map(Date::days_since_epoch),
            signed(advance.chain.n),
            advance.chain.hash,
        ])
        .map(drop)
}

/// What `issued` events change of a counter.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Advance {
    next: u64,
    last: Option<Number>,
    date: Option<Date>,
    chain: Link,
}

impl Advance {
    /// The last event that it knows of.
    pub(crate) fn n(&self) -> u64 {
        self.chain.n
    }

    /// Brings a state up to it, unless that is newer.
    pub(crate) fn refresh(&self, state: &mut CounterState) {
        if self.chain.n > state.chain.n {
            state.next = self.next;
            state.last = self.last;
            state.last_date = self.date;
            state.chain = self.chain;
        }
    }
}

impl From<&CounterState> for Advance {
    fn from(state: &CounterState) -> Self {
        Self {
            next: state.next,
            last: state.last,
            date: state.last_date,
            chain: state.chain,
        }
    }
}

/// What the last event of a counter says of its state.
#[derive(Debug)]
pub(crate) struct CounterEvent {
    pub(crate) kind: EventKind,
    pub(crate) n: u64,
    run: Option<Run>,
    date: Option<Date>,
    hash: [u8; 32],
}

impl CounterEvent {
    /// What the event changed, if it is an `issued` one.
    pub(crate) fn advance(&self) -> Option<Advance> {
        let run = self.run.filter(|_| self.kind == EventKind::Issued)?;
        Some(Advance {
            next: run.next(),
            last: Some(run.last()),
            date: self.date,
            chain: Link {
                n: self.n,
                hash: self.hash,
            },
        })
    }
}

/// The events of counters behind a position, for [`counter_event`].
pub(crate) const LIST_COUNTER_EVENTS: &str = "SELECT counter, kind, n, first, step, count, date, hash FROM event \
    WHERE position > ?1 AND counter IS NOT NULL ORDER BY position";

/// An event with its counter's row.
pub(crate) fn counter_event(row: &Row<'_>) -> Result<(i64, CounterEvent)> {
    let event = CounterEvent {
        kind: column(row, 1, EventKind::from_code)?,
        n: column(row, 2, |n: i64| n.try_into().ok())?,
        run: run(row, 3)?,
        date: optional(row, 6, Date::from_days_since_epoch)?,
        hash: row.get(7)?,
    };
    Ok((row.get(0)?, event))
}

/// Up to which event every counter's row is written.
pub(crate) fn counters_written(connection: &Connection) -> Result<u64> {
    connection.query_row("SELECT counters_written FROM progress", [], |row| {
        column(row, 0, |position: i64| position.try_into().ok())
    })
}

pub(crate) fn update_progress(
    connection: &Connection,
    last_position: u64,
    counters_written: u64,
) -> Result<()> {
    connection
        .prepare_cached("UPDATE progress SET last_position = ?1, counters_written = ?2")?
        .execute([signed(last_position), signed(counters_written)])
        .map(drop)
}

/// A sequence by its folded name: its row and what deciding needs.
pub(crate) fn find_sequence(
    connection: &Connection,
    key: &SequenceKey,
) -> Result<Option<(i64, SequenceState)>> {
    connection
        .prepare_cached(
            concat!(
                "SELECT s.id, s.prefix, s.head, coalesce(d.spec, ''), s.implicit, s.archived, s.opened, s.n, s.hash, \
                 s.closed_through, ",
                all_closed_through!(),
                " FROM sequence s LEFT JOIN definition d ON d.sequence = s.id AND d.version = s.head \
                 WHERE s.tenant = ?1 AND s.prefix_folded = ?2 AND (d.spec IS NOT NULL OR s.prefix = '*')",
            ),
        )?
        .query_row(params![key.tenant.as_str(), key.folded_prefix()], |row| {
            let state = SequenceState {
                prefix: column(row, 1, |prefix: String| Prefix::of_event(&prefix).ok())?,
                head: row.get(2)?,
                spec: row.get::<_, String>(3)?.into(),
                implicit: row.get(4)?,
                archived: row.get(5)?,
                opened: row.get(6)?,
                closed_through: optional_date(row, 9)?,
                tenant_closed_through: optional_date(row, 10)?,
                chain: link(row, 7)?,
            };
            Ok((row.get(0)?, state))
        })
        .optional()
}

pub(crate) fn insert_sequence(
    connection: &Connection,
    key: &SequenceKey,
    state: &SequenceState,
) -> Result<i64> {
    connection
        .prepare_cached(
            "INSERT INTO sequence (tenant, prefix, prefix_folded, head, implicit, archived, opened, n, hash, \
             closed_through) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
        )?
        .insert(params![
            key.tenant.as_str(),
            key.prefix.as_str(),
            key.folded_prefix(),
            state.head,
            state.implicit,
            state.archived,
            state.opened,
            signed(state.chain.n),
            state.chain.hash,
            state.closed_through.map(Date::days_since_epoch),
        ])
}

pub(crate) fn update_sequence(connection: &Connection, id: i64, state: &SequenceState) -> Result<()> {
    connection
        .prepare_cached(
            "UPDATE sequence SET head = ?2, implicit = ?3, archived = ?4, opened = ?5, n = ?6, hash = ?7, \
             closed_through = ?8 WHERE id = ?1",
        )?
        .execute(params![
            id,
            state.head,
            state.implicit,
            state.archived,
            state.opened,
            signed(state.chain.n),
            state.chain.hash,
            state.closed_through.map(Date::days_since_epoch),
        ])
        .map(drop)
}

pub(crate) fn insert_definition(connection: &Connection, sequence: i64, event: &Event) -> Result<()> {
    connection
        .prepare_cached(
            "INSERT INTO definition (sequence, version, spec, at, actor) VALUES (?1, ?2, ?3, ?4, ?5)",
        )?
        .execute(params![
            sequence,
            event.version,
            event.detail.as_deref(),
            event.at.as_micros(),
            event.origin.actor.as_ref().map(AsRef::as_ref) as Option<&str>,
        ])
        .map(drop)
}

/// A definition version, from spec, at, actor at `at`.
pub(crate) fn definition_record(row: &Row<'_>, at: usize) -> Result<DefinitionRecord> {
    Ok(DefinitionRecord {
        spec: column(row, at, |json: String| DefinitionSpec::from_json(&json).ok())?,
        at: Timestamp::from_micros(row.get(at + 1)?),
        actor: optional(row, at + 2, text)?,
    })
}

fn mode_code(mode: Mode) -> u8 {
    match mode {
        Mode::Gapless => 1,
        Mode::Ordered => 2,
        Mode::Leased => 3,
    }
}

pub(crate) fn mode_of(code: u8) -> Option<Mode> {
    [Mode::Gapless, Mode::Ordered, Mode::Leased]
        .into_iter()
        .find(|mode| mode_code(*mode) == code)
}

/// How many rows one statement inserts: a statement costs about as much as the row that it writes.
pub(crate) const ROWS: usize = 16;

/// The columns of an event, the position first. No statement has a value for that one: SQLite gives a new row the
/// number behind the largest, without looking whether it is there, and which it gave is checked.
pub(crate) const EVENT_COLUMNS: [&str; 28] = [
    "position",
    "sequence",
    "counter",
    "kind",
    "n",
    "generation",
    "epoch",
    "first",
    "step",
    "count",
    "version",
    "mode",
    "at",
    "date",
    "fields",
    "actor",
    "client",
    "request",
    "reference",
    "relates_to",
    "reason",
    "key",
    "fingerprint",
    "detail",
    "reservation",
    "expires_at",
    "on_expiry",
    "hash",
];

/// Statements that insert events, the fewer parameters the more the events have in common. The columns that a shape
/// does not have are null.
#[derive(Debug, Clone, Copy)]
enum Shape {
    /// Of one kind and counter, each of as many numbers, and nothing said of them but the request.
    Plain,
    /// The same of any kinds, but begins and ends of holds.
    Held,
    /// Of one kind and sequence, with values in the columns that most have some in.
    Alike,
    /// Any.
    Any,
}

static PLAIN: LazyLock<String> = LazyLock::new(|| {
    let shared = [&SHARED[..], &["counter", "count", "kind"]].concat();
    insert_sql(INTO_EVENT, &shared, &["n", "first", "request", "hash"], ROWS)
});
static HELD: LazyLock<String> = LazyLock::new(|| {
    let shared = [&SHARED[..], &["counter", "count", "on_expiry"]].concat();
    let own = [
        "kind",
        "n",
        "first",
        "request",
        "reservation",
        "expires_at",
        "hash",
    ];
    insert_sql(INTO_EVENT, &shared, &own, ROWS)
});
static ALIKE: LazyLock<String> = LazyLock::new(|| {
    let own = [
        "counter",
        "n",
        "first",
        "count",
        "actor",
        "client",
        "request",
        "reference",
        "key",
        "fingerprint",
        "hash",
    ];
    insert_sql(INTO_EVENT, &[&SHARED[..], &["kind"]].concat(), &own, ROWS)
});
static ANY: LazyLock<String> = LazyLock::new(|| insert_sql(INTO_EVENT, &[], &EVENT_COLUMNS[1..], ROWS));
static ONE: LazyLock<String> = LazyLock::new(|| insert_sql(INTO_EVENT, &[], &EVENT_COLUMNS[1..], 1));

/// What [`Binder::shared`] binds once for all rows of a statement.
const SHARED: [&str; 8] = [
    "sequence",
    "generation",
    "epoch",
    "step",
    "version",
    "mode",
    "at",
    "date",
];

/// Whatever fails, the transaction is rolled back: SQLite need not keep what would undo a statement by itself.
const INTO_EVENT: &str = "INSERT OR FAIL INTO event";

/// A statement that inserts rows. The first parameters are the shared columns; those of each row follow.
pub(crate) fn insert_sql(into: &str, shared: &[&str], own: &[&str], rows: usize) -> String {
    let columns: Vec<&str> = shared.iter().chain(own).copied().collect();
    let row = |row: usize| {
        let own = (0..own.len()).map(|at| shared.len() + row * own.len() + at);
        let parameters: Vec<String> = (0..shared.len())
            .chain(own)
            .map(|at| format!("?{}", at + 1))
            .collect();
        format!("({})", parameters.join(", "))
    };
    let rows: Vec<String> = (0..rows).map(row).collect();
    format!("{into} ({}) VALUES {}", columns.join(", "), rows.join(", "))
}

impl Shape {
    fn of(rows: &[EventRow; ROWS]) -> Self {
        if have_in_common(rows, EventRow::plain) {
            Self::Plain
        } else if have_in_common(rows, EventRow::held) {
            Self::Held
        } else if have_in_common(rows, EventRow::alike) {
            Self::Alike
        } else {
            Self::Any
        }
    }

    fn sql(self) -> &'static str {
        match self {
            Self::Plain => &PLAIN,
            Self::Held => &HELD,
            Self::Alike => &ALIKE,
            Self::Any => &ANY,
        }
    }

    fn bind(self, binder: &mut Binder<'_, '_>, rows: &[EventRow; ROWS]) -> Result<()> {
        match self {
            Self::Plain => {
                binder.shared_of_plain(&rows[0])?;
                rows.iter().try_for_each(|row| binder.plain(row))
            }
            Self::Held => {
                binder.shared_of_held(&rows[0])?;
                rows.iter().try_for_each(|row| binder.held(row))
            }
            Self::Alike => {
                binder.shared_of_alike(&rows[0])?;
                rows.iter().try_for_each(|row| binder.alike(row))
            }
            Self::Any => rows.iter().try_for_each(|row| binder.any(row)),
        }
    }
}

/// Whether all rows have the same of what `of` finds in a row, and it finds something.
fn have_in_common<T: PartialEq>(rows: &[EventRow; ROWS], of: impl Fn(&EventRow) -> Option<T>) -> bool {
    let first = of(&rows[0]);
    first.is_some() && rows[1..].iter().all(|row| of(row) == first)
}

/// An event with the rows that it belongs to.
#[derive(Debug)]
pub(crate) struct EventRow {
    pub(crate) position: u64,
    pub(crate) sequence: i64,
    pub(crate) counter: Option<i64>,
    pub(crate) linked: Linked,
}

impl EventRow {
    /// What all shapes but the last have in common; `None` for an event with a value in a column that none of them has.
    fn shared(&self) -> Option<impl PartialEq + use<>> {
        let event = &self.linked.event;
        let rare = !event.fields.is_empty()
            || event.relates_to.is_some()
            || event.reason.is_some()
            || event.detail.is_some();
        (!rare).then_some((
            self.sequence,
            event.generation,
            event.epoch,
            event.run.map(|run| run.step),
            event.version,
            event.mode,
            event.at,
            event.date,
        ))
    }

    /// The same of events that nothing but the request is said of.
    fn shared_unsaid(&self) -> Option<impl PartialEq + use<>> {
        let event = &self.linked.event;
        let said = event.origin.actor.is_some()
            || event.origin.client.is_some()
            || event.reference.is_some()
            || event.key.is_some();
        let count = event.run.map(|run| run.count);
        (!said).then_some((self.shared()?, self.counter, count))
    }

    fn plain(&self) -> Option<impl PartialEq + use<>> {
        let event = &self.linked.event;
        let unsaid = self.shared_unsaid()?;
        event.hold.is_none().then_some((unsaid, event.kind))
    }

    fn held(&self) -> Option<impl PartialEq + use<>> {
        let hold = self.linked.event.hold.as_deref()?;
        Some((self.shared_unsaid()?, hold.on_expiry))
    }

    fn alike(&self) -> Option<impl PartialEq + use<>> {
        let event = &self.linked.event;
        event.hold.is_none().then_some((self.shared()?, event.kind))
    }
}

/// Inserts events, in whole statements' worth: up to `ROWS - 1` of them are left for the next call.
pub(crate) fn insert_whole(
    connection: &Connection,
    events: &mut Vec<EventRow>,
) -> std::result::Result<(), Fault> {
    let (whole, _) = events.as_chunks::<ROWS>();
    let mut statements = [const { None }; 4];
    for rows in whole {
        let shape = Shape::of(rows);
        let statement = prepared(connection, &mut statements[shape as usize], shape.sql())?;
        execute(statement, |binder| shape.bind(binder, rows))?;
        require_position(connection, &rows[ROWS - 1])?;
    }
    let inserted = whole.len() * ROWS;
    events.drain(..inserted);
    Ok(())
}

/// Inserts the events that [`insert_whole`] left.
pub(crate) fn insert_rest(connection: &Connection, events: &[EventRow]) -> std::result::Result<(), Fault> {
    let mut one = None;
    events.iter().try_for_each(|row| {
        let statement = prepared(connection, &mut one, &ONE)?;
        execute(statement, |binder| binder.any(row))?;
        require_position(connection, row)
    })
}

/// The event that was inserted last must be where the log says that it is.
fn require_position(connection: &Connection, row: &EventRow) -> std::result::Result<(), Fault> {
    let position = connection.last_insert_rowid();
    if position == signed(row.position) {
        return Ok(());
    }
    Err(Fault::Damage(Damage {
        table: "event",
        row: position,
        what: "the log does not end where the events end",
    }))
}

/// A statement, prepared once for many rows: it is found in the connection's cache by its text.
pub(crate) fn prepared<'a, 'c>(
    connection: &'c Connection,
    statement: &'a mut Option<CachedStatement<'c>>,
    sql: &str,
) -> Result<&'a mut CachedStatement<'c>> {
    Ok(match statement {
        Some(statement) => statement,
        none => none.insert(connection.prepare_cached(sql)?),
    })
}

/// Executes a statement with what is bound.
pub(crate) fn execute(
    statement: &mut CachedStatement<'_>,
    bind: impl FnOnce(&mut Binder<'_, '_>) -> Result<()>,
) -> Result<()> {
    // What is not bound is null.
    statement.clear_bindings();
    bind(&mut Binder { statement, at: 0 })?;
    statement.raw_execute().map(drop)
}

/// Binds one parameter after another.
pub(crate) struct Binder<'a, 'c> {
    statement: &'a mut CachedStatement<'c>,
    at: usize,
}

impl Binder<'_, '_> {
    pub(crate) fn value(&mut self, value: impl ToSql) -> Result<()> {
        self.at += 1;
        self.statement.raw_bind_parameter(self.at, value)
    }

    pub(crate) fn optional(&mut self, value: Option<impl ToSql>) -> Result<()> {
        match value {
            Some(value) => self.value(value),
            None => {
                self.at += 1;
                Ok(())
            }
        }
    }

    pub(crate) fn text(&mut self, text: Option<&impl AsRef<str>>) -> Result<()> {
        self.optional(text.map(AsRef::as_ref))
    }

    fn shared(&mut self, row: &EventRow) -> Result<()> {
        let event = &row.linked.event;
        self.value(row.sequence)?;
        self.value(event.generation)?;
        self.value(event.epoch)?;
        self.optional(event.run.map(|run| signed(run.step)))?;
        self.value(event.version)?;
        self.value(mode_code(event.mode))?;
        self.value(event.at.as_micros())?;
        self.optional(event.date.map(Date::days_since_epoch))
    }

    fn shared_of_plain(&mut self, row: &EventRow) -> Result<()> {
        let event = &row.linked.event;
        self.shared(row)?;
        self.optional(row.counter)?;
        self.optional(event.run.map(|run| signed(run.count)))?;
        self.value(event.kind as u8)
    }

    fn plain(&mut self, row: &EventRow) -> Result<()> {
        let Linked { event, hash } = &row.linked;
        self.value(signed(event.n))?;
        self.optional(event.run.map(|run| signed(run.first.get())))?;
        self.text(event.origin.request.as_ref())?;
        self.value(hash)
    }

    fn shared_of_held(&mut self, row: &EventRow) -> Result<()> {
        let event = &row.linked.event;
        self.shared(row)?;
        self.optional(row.counter)?;
        self.optional(event.run.map(|run| signed(run.count)))?;
        self.optional(event.hold.as_deref().map(|hold| hold.on_expiry as u8))
    }

    fn held(&mut self, row: &EventRow) -> Result<()> {
        let Linked { event, hash } = &row.linked;
        let hold = event.hold.as_deref();
        self.value(event.kind as u8)?;
        self.value(signed(event.n))?;
        self.optional(event.run.map(|run| signed(run.first.get())))?;
        self.text(event.origin.request.as_ref())?;
        self.optional(hold.map(|hold| hold.id.0))?;
        self.optional(hold.map(|hold| hold.expires_at.as_micros()))?;
        self.value(hash)
    }

    fn shared_of_alike(&mut self, row: &EventRow) -> Result<()> {
        self.shared(row)?;
        self.value(row.linked.event.kind as u8)
    }

    fn alike(&mut self, row: &EventRow) -> Result<()> {
        let Linked { event, hash } = &row.linked;
        self.optional(row.counter)?;
        self.value(signed(event.n))?;
        self.optional(event.run.map(|run| signed(run.first.get())))?;
        self.optional(event.run.map(|run| signed(run.count)))?;
        self.text(event.origin.actor.as_ref())?;
        self.text(event.origin.client.as_ref())?;
        self.text(event.origin.request.as_ref())?;
        self.text(event.reference.as_ref())?;
        self.text(event.key.as_ref().map(|keyed| keyed.key()))?;
        self.optional(event.key.as_ref().map(|keyed| keyed.fingerprint().0))?;
        self.value(hash)
    }

    fn any(&mut self, row: &EventRow) -> Result<()> {
        let Linked { event, hash } = &row.linked;
        let run = event.run;
        self.value(row.sequence)?;
        self.optional(row.counter)?;
        self.value(event.kind as u8)?;
        self.value(signed(event.n))?;
        self.value(event.generation)?;
        self.value(event.epoch)?;
        self.optional(run.map(|run| signed(run.first.get())))?;
        self.optional(run.map(|run| signed(run.step)))?;
        self.optional(run.map(|run| signed(run.count)))?;
        self.value(event.version)?;
        self.value(mode_code(event.mode))?;
        self.value(event.at.as_micros())?;
        self.optional(event.date.map(Date::days_since_epoch))?;
        self.optional((!event.fields.is_empty()).then(|| event.fields.to_string()))?;
        self.text(event.origin.actor.as_ref())?;
        self.text(event.origin.client.as_ref())?;
        self.text(event.origin.request.as_ref())?;
        self.text(event.reference.as_ref())?;
        self.text(event.relates_to.as_ref())?;
        self.text(event.reason.as_ref())?;
        self.text(event.key.as_ref().map(|keyed| keyed.key()))?;
        self.optional(event.key.as_ref().map(|keyed| keyed.fingerprint().0))?;
        // A definition stands in its own table.
        self.text(event.detail.as_ref().filter(|_| event.kind != EventKind::Defined))?;
        let hold = event.hold.as_deref();
        self.optional(hold.map(|hold| hold.id.0))?;
        self.optional(hold.map(|hold| hold.expires_at.as_micros()))?;
        self.optional(hold.map(|hold| hold.on_expiry as u8))?;
        self.value(hash)
    }
}

/// The numbers of an event, from first, step and count at `at`.
fn run(row: &Row<'_>, at: usize) -> Result<Option<Run>> {
    let Some(first) = row.get::<_, Option<i64>>(at)? else {
        return Ok(None);
    };
    Ok(Some(Run {
        first: number(first).ok_or_else(|| damaged(at, "not a number"))?,
        step: column(row, at + 1, |step: i64| step.try_into().ok())?,
        count: column(row, at + 2, |count: i64| count.try_into().ok())?,
    }))
}

/// An event with its position and hash.
pub(crate) fn event(row: &Row<'_>) -> Result<(u64, Linked)> {
    let sequence = sequence_key(row, 1)?;
    let subject = match row.get::<_, Option<i64>>(8)? {
        Some(_) => Subject::Counter(counter_key(row, 3, sequence)?),
        None => Subject::Sequence(sequence),
    };
    let key = match optional(row, 27, text)? {
        Some(key) => Some(Keyed::new(subject.sequence(), key, Fingerprint(row.get(28)?))),
        None => None,
    };
    let parts = Event {
        kind: column(row, 9, EventKind::from_code)?,
        subject,
        n: column(row, 10, |n: i64| n.try_into().ok())?,
        generation: row.get(11)?,
        epoch: row.get(12)?,
        run: run(row, 13)?,
        version: row.get(16)?,
        mode: column(row, 17, mode_of)?,
        date: optional(row, 19, Date::from_days_since_epoch)?,
        fields: optional(row, 20, text)?.unwrap_or_default(),
        origin: Arc::new(Origin {
            actor: optional(row, 21, text)?,
            client: optional(row, 22, text)?,
            request: optional(row, 23, text)?,
        }),
        reference: optional(row, 24, text)?,
        relates_to: optional(row, 25, text)?,
        reason: optional(row, 26, text)?,
        key,
        hold: hold(row, 31)?.map(Box::new),
        detail: row.get::<_, Option<String>>(29)?.map(Into::into),
        at: Timestamp::from_micros(row.get(18)?),
    };
    let position = column(row, 0, |position: i64| position.try_into().ok())?;
    Ok((
        position,
        Linked {
            event: parts,
            hash: row.get(30)?,
        },
    ))
}
