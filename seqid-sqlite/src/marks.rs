//! Marks and reservations: the rows of numbers that were not plainly issued. Draws neither read nor write any.

use std::sync::LazyLock;

use rusqlite::{Connection, OptionalExtension, params};
use seqid_core::event::{Event, EventKind};
use seqid_core::ledger::{Linked, MarkChange, MarkNeed, Reservation, Snapshot};
use seqid_core::mark::Mark;
use seqid_core::names::Number;
use seqid_core::reservation::ReservationId;
use seqid_core::store::{MarkRecord, ReservationRecord};
use seqid_core::time::Date;

use crate::error::Fault;
use crate::leases;
use crate::rows::{self, Binder, EventRow, ROWS, insert_sql, signed};

const COLUMNS: &str = "generation, first, step, count, state, date, fields, reservation, expires_at, on_expiry, n, reference, relates_to, epoch";

const INTO_MARK: &str = "INSERT OR REPLACE INTO mark";
const MARK_COLUMNS: [&str; 16] = [
    "counter",
    "generation",
    "first",
    "step",
    "count",
    "state",
    "date",
    "fields",
    "reservation",
    "expires_at",
    "on_expiry",
    "n",
    "position",
    "reference",
    "relates_to",
    "epoch",
];
static SET_MANY: LazyLock<String> = LazyLock::new(|| insert_sql(INTO_MARK, &[], &MARK_COLUMNS, ROWS));
static SET_ONE: LazyLock<String> = LazyLock::new(|| insert_sql(INTO_MARK, &[], &MARK_COLUMNS, 1));
static REMOVE_MANY: LazyLock<String> = LazyLock::new(|| {
    let firsts: Vec<String> = (0..ROWS).map(|at| format!("?{}", at + 3)).collect();
    let firsts = firsts.join(", ");
    format!("DELETE FROM mark WHERE counter = ?1 AND generation = ?2 AND first IN ({firsts})")
});
const REMOVE_ONE: &str = "DELETE FROM mark WHERE counter = ?1 AND generation = ?2 AND first = ?3";

const INTO_RESERVATION: &str = "INSERT OR FAIL INTO reservation";
static BEGIN_MANY: LazyLock<String> =
    LazyLock::new(|| insert_sql(INTO_RESERVATION, &[], &["id", "began"], ROWS));
static BEGIN_ONE: LazyLock<String> = LazyLock::new(|| insert_sql(INTO_RESERVATION, &[], &["id", "began"], 1));
const END: &str = "UPDATE reservation SET ended = ?2 WHERE id = ?1";

/// Puts into a snapshot what a batch needs of a counter that has this row.
pub(crate) fn load(
    connection: &Connection,
    snapshot: &mut Snapshot,
    row: i64,
    need: MarkNeed,
) -> Result<(), Fault> {
    match need {
        MarkNeed::Reservation {
            counter,
            generation,
            first,
            id,
        } => {
            let reservation = match held(connection, row, (generation, first), id)? {
                Some(mark) => Reservation::Held(mark),
                None => ended(connection, &id)?,
            };
            snapshot.load_reservation(counter, id, reservation);
        }
        MarkNeed::Ending { counter, limit } => {
            let filter = "counter = ?1 AND state = 1 ORDER BY expires_at LIMIT ?2";
            let holds = select(connection, filter, params![row, signed(limit as u64)])?;
            snapshot.load_ending(counter, holds);
        }
        MarkNeed::Free {
            counter,
            generation,
            limit,
        } => {
            let filter = "counter = ?1 AND generation = ?2 AND state = 4 ORDER BY first LIMIT ?3";
            let free = select(connection, filter, params![row, generation, signed(limit as u64)])?;
            snapshot.load_free(counter, free);
        }
        MarkNeed::Within {
            counter,
            generation,
            first,
            last,
        } => {
            // Marks do not overlap: of those that begin before the range, only the last can reach into it.
            let before = "counter = ?1 AND generation = ?2 AND first < ?3 ORDER BY first DESC LIMIT 1";
            let mut marks = select(connection, before, params![row, generation, signed(first)])?;
            marks.retain(|mark| mark.run.last().get() >= first);
            let inside = "counter = ?1 AND generation = ?2 AND first BETWEEN ?3 AND ?4 ORDER BY first";
            marks.extend(select(
                connection,
                inside,
                params![row, generation, signed(first), signed(last)],
            )?);
            snapshot.load_within(counter, marks);
        }
        MarkNeed::Leases { counter, id, holder } => {
            let leases = leases::needed(connection, row, id, holder.as_ref())?;
            snapshot.load_leases(counter, leases);
        }
    }
    Ok(())
}

fn select(
    connection: &Connection,
    filter: &str,
    parameters: impl rusqlite::Params,
) -> rusqlite::Result<Vec<Mark>> {
    connection
        .prepare_cached(&format!("SELECT {COLUMNS} FROM mark WHERE {filter}"))?
        .query_map(parameters, |row| rows::mark(row, 0))?
        .collect()
}

fn held(
    connection: &Connection,
    row: i64,
    (generation, first): (u32, Number),
    id: ReservationId,
) -> rusqlite::Result<Option<Mark>> {
    let filter = "counter = ?1 AND generation = ?2 AND first = ?3 AND state = 1 AND reservation = ?4";
    let found = select(
        connection,
        filter,
        params![row, generation, signed(first.get()), id.0],
    )?;
    Ok(found.into_iter().next())
}

fn ended(connection: &Connection, id: &ReservationId) -> Result<Reservation, Fault> {
    let record = reservation(connection, id)?;
    let ended = record.and_then(|record| record.ended);
    Ok(ended.map_or(Reservation::Unknown, |event| Reservation::Ended(Box::new(event))))
}

/// What is recorded of a reservation.
pub(crate) fn reservation(
    connection: &Connection,
    id: &ReservationId,
) -> Result<Option<ReservationRecord>, Fault> {
    let positions = connection
        .prepare_cached("SELECT began, ended FROM reservation WHERE id = ?1")?
        .query_row([id.0], |row| Ok((row.get(0)?, row.get::<_, Option<i64>>(1)?)))
        .optional()?;
    let Some((began, ended)) = positions else {
        return Ok(None);
    };
    Ok(Some(ReservationRecord {
        began: event_at(connection, began)?,
        ended: ended.map(|ended| event_at(connection, ended)).transpose()?,
    }))
}

fn event_at(connection: &Connection, position: i64) -> rusqlite::Result<Event> {
    connection
        .prepare_cached(rows::FIND_EVENT)?
        .query_row([position], rows::event)
        .map(|(_, Linked { event, .. })| event)
}

/// Records which of these events begin or end a reservation.
pub(crate) fn note_reservations(connection: &Connection, events: &[EventRow]) -> rusqlite::Result<()> {
    let (mut begun, mut ended) = (Vec::new(), Vec::new());
    for row in events {
        if let Some(hold) = &row.linked.event.hold {
            let list = match row.linked.event.kind {
                EventKind::Reserved => &mut begun,
                _ => &mut ended,
            };
            list.push((hold.id, row.position));
        }
    }
    insert_all(
        connection,
        &begun,
        [&BEGIN_MANY, &BEGIN_ONE],
        |binder, (id, began)| {
            binder.value(id.0)?;
            binder.value(signed(*began))
        },
    )?;
    let mut end = None;
    for (id, position) in ended {
        rows::prepared(connection, &mut end, END)?.execute(params![id.0, signed(position)])?;
    }
    Ok(())
}

/// Inserts rows, by a statement for many of them and one for those that are left.
fn insert_all<T>(
    connection: &Connection,
    all: &[T],
    [many, one]: [&str; 2],
    bind: impl Fn(&mut Binder<'_, '_>, &T) -> rusqlite::Result<()>,
) -> rusqlite::Result<()> {
    let (whole, rest) = all.as_chunks::<ROWS>();
    let mut statements = [None, None];
    for rows in whole {
        let statement = rows::prepared(connection, &mut statements[0], many)?;
        rows::execute(statement, |binder| {
            rows.iter().try_for_each(|row| bind(binder, row))
        })?;
    }
    for row in rest {
        let statement = rows::prepared(connection, &mut statements[1], one)?;
        rows::execute(statement, |binder| bind(binder, row))?;
    }
    Ok(())
}

/// A changed mark, with the row of its counter and the position of the event that it goes back to.
pub(crate) struct MarkRow<'a> {
    pub(crate) counter: i64,
    pub(crate) change: &'a MarkChange,
    /// `None` for what is left of a mark whose event was recorded before.
    pub(crate) position: Option<u64>,
}

impl MarkRow<'_> {
    fn name(&self) -> (i64, u32, Number) {
        (self.counter, self.change.generation, self.change.first)
    }
}

fn bind_mark(binder: &mut Binder<'_, '_>, row: &MarkRow<'_>, mark: &Mark) -> rusqlite::Result<()> {
    binder.value(row.counter)?;
    binder.value(mark.generation)?;
    binder.value(signed(mark.run.first.get()))?;
    binder.value(signed(mark.run.step))?;
    binder.value(signed(mark.run.count))?;
    binder.value(mark.state as u8)?;
    binder.optional(mark.date.map(Date::days_since_epoch))?;
    binder.optional((!mark.fields.is_empty()).then(|| mark.fields.to_string()))?;
    binder.optional(mark.hold.map(|hold| hold.id.0))?;
    binder.optional(mark.hold.map(|hold| hold.expires_at.as_micros()))?;
    binder.optional(mark.hold.map(|hold| hold.on_expiry as u8))?;
    binder.value(signed(mark.n))?;
    binder.optional(row.position.map(signed))?;
    binder.text(mark.reference.as_ref())?;
    binder.text(mark.relates_to.as_ref())?;
    binder.value(mark.epoch)
}

/// Writes changed marks.
pub(crate) fn write(connection: &Connection, mut changed: Vec<MarkRow<'_>>) -> rusqlite::Result<()> {
    // Of the changes of one mark the last one counts.
    changed.reverse();
    changed.sort_by_key(MarkRow::name);
    changed.dedup_by_key(|row| row.name());
    // Before the marks that they are left of are taken away.
    for row in &mut changed {
        if row.change.mark.is_some() && row.position.is_none() {
            row.position = Some(position_of_whole(connection, row)?);
        }
    }
    let (mut set, mut removed) = (Vec::new(), Vec::new());
    for row in &changed {
        match &row.change.mark {
            Some(mark) => set.push((row, mark)),
            None => removed.push(row.name()),
        }
    }
    remove(connection, &removed)?;
    insert_all(connection, &set, [&SET_MANY, &SET_ONE], |binder, (row, mark)| {
        bind_mark(binder, row, mark)
    })
}

/// Removes the marks of these counters, generations and first numbers, which are sorted.
fn remove(connection: &Connection, marks: &[(i64, u32, Number)]) -> rusqlite::Result<()> {
    let (mut many, mut one) = (None, None);
    for of_generation in marks.chunk_by(|a, b| (a.0, a.1) == (b.0, b.1)) {
        let (whole, rest) = of_generation.as_chunks::<ROWS>();
        for marks in whole {
            let statement = rows::prepared(connection, &mut many, &REMOVE_MANY)?;
            rows::execute(statement, |binder| {
                binder.value(marks[0].0)?;
                binder.value(marks[0].1)?;
                marks
                    .iter()
                    .try_for_each(|(_, _, first)| binder.value(signed(first.get())))
            })?;
        }
        for (counter, generation, first) in rest {
            rows::prepared(connection, &mut one, REMOVE_ONE)?.execute(params![
                counter,
                generation,
                signed(first.get())
            ])?;
        }
    }
    Ok(())
}

/// The position of the mark that another is left of: of those that begin no later, the last.
fn position_of_whole(connection: &Connection, row: &MarkRow<'_>) -> rusqlite::Result<u64> {
    let (generation, first) = (row.change.generation, signed(row.change.first.get()));
    connection
        .prepare_cached(
            "SELECT position FROM mark WHERE counter = ?1 AND generation = ?2 AND first <= ?3 \
             ORDER BY first DESC LIMIT 1",
        )?
        .query_row(params![row.counter, generation, first], |row| {
            row.get::<_, i64>(0).map(i64::cast_unsigned)
        })
}

/// The marks of a counter in the order of generation and number, with the events that they go back to.
pub(crate) fn page(
    connection: &Connection,
    counter: i64,
    after: Option<(u32, Number)>,
    limit: usize,
) -> Result<Vec<MarkRecord>, Fault> {
    let (generation, first) = after.map_or((0, -1), |(generation, first)| (generation, signed(first.get())));
    let marks: Vec<(Mark, i64)> = connection
        .prepare_cached(&format!(
            "SELECT {COLUMNS}, position FROM mark WHERE counter = ?1 AND (generation, first) > (?2, ?3) \
             ORDER BY generation, first LIMIT ?4"
        ))?
        .query_map(params![counter, generation, first, signed(limit as u64)], |row| {
            Ok((rows::mark(row, 0)?, row.get(14)?))
        })?
        .collect::<Result<_, _>>()?;
    let mut records = Vec::with_capacity(marks.len());
    for (mark, position) in marks {
        let event = event_at(connection, position)?;
        records.push(MarkRecord { mark, event });
    }
    Ok(records)
}
