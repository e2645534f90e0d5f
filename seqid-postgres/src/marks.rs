//! Marks and reservations: the rows of numbers that were not plainly issued. Draws neither read nor write any.

use std::collections::HashMap;

use seqid_core::command::Command;
use seqid_core::counter::CounterKey;
use seqid_core::event::EventKind;
use seqid_core::lease::LeaseId;
use seqid_core::ledger::{Linked, MarkChange, MarkNeed, Reservation};
use seqid_core::mark::Mark;
use seqid_core::names::{Label, Number};
use seqid_core::reservation::ReservationId;
use sqlx::postgres::PgBindIterExt;

use crate::batch::Batch;
use crate::columns::{event, event_joins, mark};
use crate::encoding::{Day, Instant, signed, signed_len, signed32};
use crate::error::Fault;
use crate::load::place;
use crate::rows;

/// Holds: $1 counters, $2 generations, $3 first numbers, $4 names.
const LOAD_HELD: &str = concat!(
    "SELECT u.place, ",
    mark!(),
    " FROM unnest($1::bigint[], $2::integer[], $3::bigint[], $4::bytea[]) WITH ORDINALITY \
           u (counter, generation, first, reservation, place) \
      JOIN seqid.mark m ON m.counter = u.counter AND m.generation = u.generation AND m.first = u.first \
           AND m.reservation = u.reservation AND m.state = 1"
);

/// The events that ended reservations of these names.
const LOAD_ENDED: &str = concat!(
    "SELECT u.place, ",
    event!(),
    " FROM unnest($1::bytea[]) WITH ORDINALITY u (id, place) JOIN seqid.reservation r ON r.id = u.id \
      JOIN seqid.event e ON e.chain = r.counter AND e.n = r.ended",
    event_joins!()
);

/// The holds of counters that end first: $1 counters, $2 how many.
const LOAD_ENDING: &str = concat!(
    "SELECT u.place, ",
    mark!(),
    " FROM unnest($1::bigint[], $2::bigint[]) WITH ORDINALITY u (counter, most, place), \
      LATERAL (SELECT * FROM seqid.mark m WHERE m.counter = u.counter AND m.state = 1 \
               ORDER BY m.expires_at LIMIT u.most) m \
      ORDER BY u.place, m.expires_at"
);

/// The lowest free numbers of counters: $1 counters, $2 generations, $3 how many.
const LOAD_FREE: &str = concat!(
    "SELECT u.place, ",
    mark!(),
    " FROM unnest($1::bigint[], $2::integer[], $3::bigint[]) WITH ORDINALITY u (counter, generation, most, place), \
      LATERAL (SELECT * FROM seqid.mark m WHERE m.counter = u.counter AND m.generation = u.generation AND m.state = 4 \
               ORDER BY m.first LIMIT u.most) m"
);

/// The marks of ranges: $1 counters, $2 generations, $3 first and $4 last numbers. Marks do not overlap: of those that
/// begin before a range, only the last can reach into it.
const LOAD_WITHIN: &str = concat!(
    "SELECT u.place, ",
    mark!(),
    " FROM unnest($1::bigint[], $2::integer[], $3::bigint[], $4::bigint[]) WITH ORDINALITY \
           u (counter, generation, first, last, place), \
      LATERAL ((SELECT * FROM seqid.mark m WHERE m.counter = u.counter AND m.generation = u.generation \
                AND m.first < u.first ORDER BY m.first DESC LIMIT 1) \
               UNION ALL \
               SELECT * FROM seqid.mark m WHERE m.counter = u.counter AND m.generation = u.generation \
               AND m.first BETWEEN u.first AND u.last) m \
      WHERE m.first + m.step * (m.count - 1) >= u.first"
);

const TAKE_AWAY: &str = "\
    DELETE FROM seqid.mark m USING unnest($1::bigint[], $2::integer[], $3::bigint[]) u (counter, generation, first) \
    WHERE m.counter = u.counter AND m.generation = u.generation AND m.first = u.first";

const SET: &str = "\
    INSERT INTO seqid.mark (counter, generation, epoch, first, step, count, state, date, fields, reservation, \
        expires_at, on_expiry, reference, relates_to, n) \
    SELECT * FROM unnest($1::bigint[], $2::integer[], $3::integer[], $4::bigint[], $5::bigint[], $6::bigint[], \
        $7::smallint[], $8::date[], $9::text[], $10::bytea[], $11::timestamptz[], $12::smallint[], $13::text[], \
        $14::text[], $15::bigint[]) \
    ON CONFLICT (counter, generation, first) DO UPDATE SET \
        epoch = excluded.epoch, step = excluded.step, count = excluded.count, state = excluded.state, \
        date = excluded.date, fields = excluded.fields, reservation = excluded.reservation, \
        expires_at = excluded.expires_at, on_expiry = excluded.on_expiry, reference = excluded.reference, \
        relates_to = excluded.relates_to, n = excluded.n";

const BEGIN_RESERVATIONS: &str = "\
    INSERT INTO seqid.reservation (id, counter, began) \
    SELECT * FROM unnest($1::bytea[], $2::bigint[], $3::bigint[])";

const END_RESERVATIONS: &str = "\
    UPDATE seqid.reservation r SET ended = u.n FROM unnest($1::bytea[], $2::bigint[]) u (id, n) WHERE r.id = u.id";

/// The needs of each kind, with the rows of their counters.
#[derive(Default)]
struct Needed {
    reservations: Vec<(CounterKey, i64, u32, Number, ReservationId)>,
    ending: Vec<(CounterKey, i64, usize)>,
    free: Vec<(CounterKey, i64, u32, usize)>,
    within: Vec<(CounterKey, i64, u32, u64, u64)>,
    leases: Vec<(CounterKey, i64, Option<LeaseId>, Option<Label>)>,
}

impl Batch<'_> {
    /// Puts in the marks that these commands call for.
    pub(crate) async fn load_marks(&mut self, commands: &[&Command]) -> Result<(), Fault> {
        let needs = self.snapshot.mark_needs(commands.iter().copied(), self.now);
        if needs.is_empty() {
            return Ok(());
        }
        let mut needed = Needed::default();
        for need in needs {
            let Some(row) = self.counters.get(need.counter()).copied() else {
                continue;
            };
            match need {
                MarkNeed::Reservation {
                    counter,
                    generation,
                    first,
                    id,
                } => needed.reservations.push((counter, row, generation, first, id)),
                MarkNeed::Ending { counter, limit } => needed.ending.push((counter, row, limit)),
                MarkNeed::Free {
                    counter,
                    generation,
                    limit,
                } => needed.free.push((counter, row, generation, limit)),
                MarkNeed::Within {
                    counter,
                    generation,
                    first,
                    last,
                } => needed.within.push((counter, row, generation, first, last)),
                MarkNeed::Leases { counter, id, holder } => {
                    needed.leases.push((counter, row, id, holder));
                }
            }
        }
        self.load_reservations(needed.reservations).await?;
        self.load_ending(needed.ending).await?;
        self.load_free(needed.free).await?;
        self.load_within(needed.within).await?;
        self.load_leases(needed.leases).await
    }

    async fn load_reservations(
        &mut self,
        needs: Vec<(CounterKey, i64, u32, Number, ReservationId)>,
    ) -> Result<(), Fault> {
        if needs.is_empty() {
            return Ok(());
        }
        let held = sqlx::query(LOAD_HELD)
            .bind(needs.iter().map(|(_, row, ..)| *row).bind_iter())
            .bind(
                needs
                    .iter()
                    .map(|(_, _, generation, ..)| signed32(*generation))
                    .bind_iter(),
            )
            .bind(
                needs
                    .iter()
                    .map(|(_, _, _, first, _)| signed(first.get()))
                    .bind_iter(),
            )
            .bind(needs.iter().map(|(.., id)| &id.0[..]).bind_iter())
            .fetch_all(&mut *self.connection)
            .await?;
        let mut found: Vec<Option<Reservation>> = vec![None; needs.len()];
        for row in held {
            if let Some(slot) = found.get_mut(place(&row)?) {
                *slot = Some(Reservation::Held(rows::mark(&row, 1)?));
            }
        }
        if found.iter().any(Option::is_none) {
            let ended = sqlx::query(LOAD_ENDED)
                .bind(needs.iter().map(|(.., id)| &id.0[..]).bind_iter())
                .fetch_all(&mut *self.connection)
                .await?;
            for row in ended {
                if let Some(slot @ None) = found.get_mut(place(&row)?) {
                    let (_, Linked { event, .. }) = rows::event(&row, 1)?;
                    *slot = Some(Reservation::Ended(Box::new(event)));
                }
            }
        }
        for ((counter, _, _, _, id), reservation) in needs.into_iter().zip(found) {
            let reservation = reservation.unwrap_or(Reservation::Unknown);
            self.snapshot.load_reservation(counter, id, reservation);
        }
        Ok(())
    }

    async fn load_ending(&mut self, needs: Vec<(CounterKey, i64, usize)>) -> Result<(), Fault> {
        if needs.is_empty() {
            return Ok(());
        }
        let rows = sqlx::query(LOAD_ENDING)
            .bind(needs.iter().map(|(_, row, _)| *row).bind_iter())
            .bind(needs.iter().map(|(.., limit)| signed_len(*limit)).bind_iter())
            .fetch_all(&mut *self.connection)
            .await?;
        let marks = of_each(needs.len(), &rows)?;
        for ((counter, ..), marks) in needs.into_iter().zip(marks) {
            self.snapshot.load_ending(counter, marks);
        }
        Ok(())
    }

    async fn load_free(&mut self, needs: Vec<(CounterKey, i64, u32, usize)>) -> Result<(), Fault> {
        if needs.is_empty() {
            return Ok(());
        }
        let rows = sqlx::query(LOAD_FREE)
            .bind(needs.iter().map(|(_, row, ..)| *row).bind_iter())
            .bind(
                needs
                    .iter()
                    .map(|(_, _, generation, _)| signed32(*generation))
                    .bind_iter(),
            )
            .bind(needs.iter().map(|(.., limit)| signed_len(*limit)).bind_iter())
            .fetch_all(&mut *self.connection)
            .await?;
        let marks = of_each(needs.len(), &rows)?;
        for ((counter, ..), marks) in needs.into_iter().zip(marks) {
            self.snapshot.load_free(counter, marks);
        }
        Ok(())
    }

    async fn load_within(&mut self, needs: Vec<(CounterKey, i64, u32, u64, u64)>) -> Result<(), Fault> {
        if needs.is_empty() {
            return Ok(());
        }
        let rows = sqlx::query(LOAD_WITHIN)
            .bind(needs.iter().map(|(_, row, ..)| *row).bind_iter())
            .bind(
                needs
                    .iter()
                    .map(|(_, _, generation, ..)| signed32(*generation))
                    .bind_iter(),
            )
            .bind(needs.iter().map(|(_, _, _, first, _)| signed(*first)).bind_iter())
            .bind(needs.iter().map(|(.., last)| signed(*last)).bind_iter())
            .fetch_all(&mut *self.connection)
            .await?;
        let marks = of_each(needs.len(), &rows)?;
        for ((counter, ..), marks) in needs.into_iter().zip(marks) {
            self.snapshot.load_within(counter, marks);
        }
        Ok(())
    }

    /// Writes changed marks: the last change of each is what is left.
    pub(crate) async fn write_marks(&mut self, changes: Vec<MarkChange>) -> Result<(), Fault> {
        let mut last: HashMap<(i64, u32, Number), Option<Mark>> = HashMap::with_capacity(changes.len());
        for change in changes {
            let Some(row) = self.counters.get(&change.counter) else {
                return Err(Fault::Missing("counter of a mark"));
            };
            last.insert((*row, change.generation, change.first), change.mark);
        }
        let gone: Vec<(i64, u32, Number)> = last
            .iter()
            .filter(|(_, mark)| mark.is_none())
            .map(|(name, _)| *name)
            .collect();
        if !gone.is_empty() {
            sqlx::query(TAKE_AWAY)
                .bind(gone.iter().map(|(row, ..)| *row).bind_iter())
                .bind(
                    gone.iter()
                        .map(|(_, generation, _)| signed32(*generation))
                        .bind_iter(),
                )
                .bind(gone.iter().map(|(.., first)| signed(first.get())).bind_iter())
                .execute(&mut *self.connection)
                .await?;
        }
        let set: Vec<(i64, Mark)> = last
            .into_iter()
            .filter_map(|((row, ..), mark)| Some((row, mark?)))
            .collect();
        if set.is_empty() {
            return Ok(());
        }
        let marks = || set.iter().map(|(_, mark)| mark);
        sqlx::query(SET)
            .bind(set.iter().map(|(row, _)| *row).bind_iter())
            .bind(marks().map(|mark| signed32(mark.generation)).bind_iter())
            .bind(marks().map(|mark| signed32(mark.epoch)).bind_iter())
            .bind(marks().map(|mark| signed(mark.run.first.get())).bind_iter())
            .bind(marks().map(|mark| signed(mark.run.step)).bind_iter())
            .bind(marks().map(|mark| signed(mark.run.count)).bind_iter())
            .bind(marks().map(|mark| i16::from(mark.state as u8)).bind_iter())
            .bind(marks().map(|mark| mark.date.map(Day)).bind_iter())
            .bind(
                marks()
                    .map(|mark| (!mark.fields.is_empty()).then(|| mark.fields.to_string()))
                    .bind_iter(),
            )
            .bind(marks().map(|mark| mark.hold.map(|hold| hold.id.0)).bind_iter())
            .bind(
                marks()
                    .map(|mark| mark.hold.map(|hold| Instant(hold.expires_at)))
                    .bind_iter(),
            )
            .bind(
                marks()
                    .map(|mark| mark.hold.map(|hold| i16::from(hold.on_expiry as u8)))
                    .bind_iter(),
            )
            .bind(
                marks()
                    .map(|mark| mark.reference.as_ref().map(|text| text.as_str()))
                    .bind_iter(),
            )
            .bind(
                marks()
                    .map(|mark| mark.relates_to.as_ref().map(|text| text.as_str()))
                    .bind_iter(),
            )
            .bind(marks().map(|mark| signed(mark.n)).bind_iter())
            .execute(&mut *self.connection)
            .await?;
        Ok(())
    }

    /// Records which of these events, each with its chain, begin and end reservations.
    pub(crate) async fn write_reservations(&mut self, events: &[(i64, Linked)]) -> Result<(), Fault> {
        let of_holds = events
            .iter()
            .filter_map(|(chain, linked)| Some((linked.event.hold.as_ref()?.id, *chain, &linked.event)));
        let (began, ended): (Vec<_>, Vec<_>) =
            of_holds.partition(|(.., event)| event.kind == EventKind::Reserved);
        if !began.is_empty() {
            sqlx::query(BEGIN_RESERVATIONS)
                .bind(began.iter().map(|(id, ..)| &id.0[..]).bind_iter())
                .bind(began.iter().map(|(_, chain, _)| *chain).bind_iter())
                .bind(began.iter().map(|(.., event)| signed(event.n)).bind_iter())
                .execute(&mut *self.connection)
                .await?;
        }
        if !ended.is_empty() {
            sqlx::query(END_RESERVATIONS)
                .bind(ended.iter().map(|(id, ..)| &id.0[..]).bind_iter())
                .bind(ended.iter().map(|(.., event)| signed(event.n)).bind_iter())
                .execute(&mut *self.connection)
                .await?;
        }
        Ok(())
    }
}

/// The marks of each need, out of rows that say which one they are of.
fn of_each(needs: usize, rows: &[sqlx::postgres::PgRow]) -> Result<Vec<Vec<Mark>>, Fault> {
    let mut marks = vec![Vec::new(); needs];
    for row in rows {
        if let Some(of_need) = marks.get_mut(place(row)?) {
            of_need.push(rows::mark(row, 1)?);
        }
    }
    Ok(marks)
}
