//! What a batch writes.

use seqid_core::chain::Link;
use seqid_core::counter::{CounterKey, CounterState, SequenceKey};
use seqid_core::event::{Event, EventKind};
use seqid_core::ledger::{Changes, Linked, SequenceState};
use sqlx::postgres::PgBindIterExt;

use crate::batch::Batch;
use crate::encoding::{Day, Instant, signed, signed_len, signed32};
use crate::engine::Month;
use crate::error::Fault;
use crate::load::folded_scope;
use crate::plan;
use crate::rows::{mode_code, status_word};

/// Events and the new states of their counters, with the keys that made them: how many keys were recorded. A key that is
/// too old to count is taken over.
macro_rules! record {
    ($into:literal, $position:literal) => {
        concat!(
            "WITH recorded AS (INSERT INTO ",
            $into,
            "at, sequence, chain, kind, n, generation, epoch, first, step, count, version, mode, date, fields, actor, \
             client, request, reference, relates_to, reason, key, fingerprint, detail, reservation, expires_at, \
             on_expiry, hash) SELECT ",
            $position,
            "u.* FROM unnest($1::timestamptz[], $2::bigint[], $3::bigint[], $4::smallint[], $5::bigint[], \
             $6::integer[], $7::integer[], $8::bigint[], $9::bigint[], $10::bigint[], $11::integer[], \
             $12::smallint[], $13::date[], $14::text[], $15::text[], $16::text[], $17::text[], $18::text[], \
             $19::text[], $20::text[], $21::text[], $22::bytea[], $23::text[], $24::bytea[], $25::timestamptz[], \
             $26::smallint[], $27::bytea[]) u\
             ), moved AS (\
             UPDATE seqid.counter c SET version = u.version, generation = u.generation, epoch = u.epoch, \
             next = u.next, last = u.last, last_date = u.last_date, status = u.status, n = u.n, hash = u.hash, \
             reserved = u.reserved, voided = u.voided, free = u.free, next_expiry = u.next_expiry, leases = u.leases \
             FROM unnest($28::bigint[], $29::integer[], $30::integer[], $31::integer[], $32::bigint[], $33::bigint[], \
             $34::date[], $35::text[], $36::bigint[], $37::bytea[], $38::bigint[], $39::bigint[], $40::bigint[], \
             $41::timestamptz[], $42::integer[]) u (id, version, generation, epoch, next, last, last_date, status, n, \
             hash, reserved, voided, free, next_expiry, leases) WHERE c.id = u.id\
             ), keyed AS (\
             INSERT INTO seqid.idempotency_key AS k (name, chain, n, at) SELECT u.name, u.chain, u.n, $46 \
             FROM unnest($43::bytea[], $44::bigint[], $45::bigint[]) u (name, chain, n) \
             ON CONFLICT (name) DO UPDATE SET chain = excluded.chain, n = excluded.n, at = excluded.at \
             WHERE k.at < $47 RETURNING 1\
             ) SELECT count(*) FROM keyed"
        )
    };
}

const RECORD: &str = record!("seqid.event (position, ", "nextval('seqid.event_position'), ");
/// The events get their positions at the commit.
const RECORD_WAITING: &str = record!("seqid.event_waiting (", "");

const PUT_SEQUENCES: &str = "\
    INSERT INTO seqid.sequence (id, tenant, prefix, prefix_folded, head, implicit, archived, opened, closed_through, \
        n, hash) \
    SELECT * FROM unnest($1::bigint[], $2::text[], $3::text[], $4::text[], $5::integer[], $6::boolean[], \
        $7::boolean[], $8::boolean[], $9::date[], $10::bigint[], $11::bytea[]) \
    ON CONFLICT (id) DO UPDATE SET head = excluded.head, implicit = excluded.implicit, archived = excluded.archived, \
        opened = excluded.opened, closed_through = excluded.closed_through, n = excluded.n, hash = excluded.hash";

const INSERT_COUNTERS: &str = "\
    INSERT INTO seqid.counter (id, sequence, scope, scope_folded, period, period_kind, period_first, period_last, \
        version, generation, epoch, next, last, last_date, status, n, hash, reserved, voided, free, next_expiry, \
        leases) \
    SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::text[], $4::text[], $5::text[], $6::text[], $7::date[], \
        $8::date[], $9::integer[], $10::integer[], $11::integer[], $12::bigint[], $13::bigint[], $14::date[], \
        $15::text[], $16::bigint[], $17::bytea[], $18::bigint[], $19::bigint[], $20::bigint[], $21::timestamptz[], \
        $22::integer[])";

const INSERT_DEFINITIONS: &str = "\
    INSERT INTO seqid.definition (sequence, version, spec, plan, at, actor) \
    SELECT u.sequence, u.version, u.spec, u.plan::jsonb, $1, u.actor \
    FROM unnest($2::bigint[], $3::integer[], $4::text[], $5::text[], $6::text[]) \
        u (sequence, version, spec, actor, plan)";

impl Batch<'_> {
    /// Writes all that changed.
    pub(crate) async fn write(&mut self) -> Result<(), Fault> {
        let changes = self.snapshot.take_changes();
        if changes.events.is_empty() {
            return Ok(());
        }
        if !self.is_callers {
            self.add_months(&changes.events).await?;
        }
        self.write_sequences(&changes.sequences).await?;
        let moved = self.insert_counters(&changes.counters).await?;
        let Changes {
            events,
            marks,
            leases,
            ..
        } = changes;
        let events = self.with_chains(events)?;
        self.write_events(&events, &moved).await?;
        self.write_definitions(&events).await?;
        self.write_reservations(&events).await?;
        self.write_turns(&events).await?;
        if !marks.is_empty() {
            self.write_marks(marks).await?;
        }
        self.write_leases(leases).await?;
        Ok(())
    }

    /// Adds the partitions of the events' months that this process does not know: mostly that of today. What a holder
    /// reports is of the month in which it was issued.
    async fn add_months(&mut self, events: &[Linked]) -> Result<(), Fault> {
        let mut known = None;
        for Linked { event, .. } in events {
            if known.replace(event.at) == Some(event.at) {
                continue;
            }
            let month = Month::of(event.at);
            if self.engine.has_month(month) || self.written.months.contains(&month) {
                continue;
            }
            sqlx::query("SELECT seqid.add_month($1)")
                .bind(Day(month.first()))
                .execute(&mut *self.connection)
                .await?;
            self.written.months.push(month);
        }
        Ok(())
    }

    /// Each event with its chain.
    fn with_chains(&self, events: Vec<Linked>) -> Result<Vec<(i64, Linked)>, Fault> {
        let chain = |event: &Event| match event.subject.counter() {
            Some(counter) => self.counters.get(counter),
            None => self.sequences.get(event.subject.sequence()),
        };
        events
            .into_iter()
            .map(|linked| match chain(&linked.event) {
                Some(chain) => Ok((*chain, linked)),
                None => Err(Fault::Missing("chain of an event")),
            })
            .collect()
    }

    async fn write_events(&mut self, events: &[(i64, Linked)], moved: &[CounterKey]) -> Result<(), Fault> {
        let mut moved: Vec<(i64, &CounterState)> = moved
            .iter()
            .filter_map(|key| Some((*self.counters.get(key)?, self.snapshot.counter_state(key)?)))
            .collect();
        // In the order of the index, as they were locked.
        moved.sort_unstable_by_key(|(row, _)| *row);
        let all = || events.iter().map(|(_, linked)| &linked.event);
        let sequences = all().map(|event| self.sequences.get(event.subject.sequence()).copied());
        let mut keyed: Vec<([u8; 16], i64, i64)> = events
            .iter()
            .filter_map(|(chain, linked)| {
                let event = &linked.event;
                Some((event.key.as_ref()?.name().0, *chain, signed(event.n)))
            })
            .collect();
        // Two transactions that wait for one another's keys do so in one order.
        keyed.sort_unstable();
        let states = || moved.iter().map(|(_, state)| *state);
        let oldest = self.now.saturating_sub(self.engine.config.key_retention);
        let sql = if self.is_callers { RECORD_WAITING } else { RECORD };
        let recorded: i64 = sqlx::query_scalar(sql)
            .bind(all().map(|event| Instant(event.at)).bind_iter())
            .bind(sequences.bind_iter())
            .bind(events.iter().map(|(chain, _)| *chain).bind_iter())
            .bind(all().map(|event| i16::from(event.kind as u8)).bind_iter())
            .bind(all().map(|event| signed(event.n)).bind_iter())
            .bind(all().map(|event| signed32(event.generation)).bind_iter())
            .bind(all().map(|event| signed32(event.epoch)).bind_iter())
            .bind(
                all()
                    .map(|event| event.run.map(|run| signed(run.first.get())))
                    .bind_iter(),
            )
            .bind(
                all()
                    .map(|event| event.run.map(|run| signed(run.step)))
                    .bind_iter(),
            )
            .bind(
                all()
                    .map(|event| event.run.map(|run| signed(run.count)))
                    .bind_iter(),
            )
            .bind(all().map(|event| signed32(event.version)).bind_iter())
            .bind(all().map(|event| mode_code(event.mode)).bind_iter())
            .bind(all().map(|event| event.date.map(Day)).bind_iter())
            .bind(column(events, |event| {
                (!event.fields.is_empty()).then(|| event.fields.to_string())
            }))
            .bind(column(events, |event| {
                event.origin.actor.as_ref().map(|text| text.as_str())
            }))
            .bind(column(events, |event| {
                event.origin.client.as_ref().map(|text| text.as_str())
            }))
            .bind(column(events, |event| {
                event.origin.request.as_ref().map(|text| text.as_str())
            }))
            .bind(column(events, |event| {
                event.reference.as_ref().map(|text| text.as_str())
            }))
            .bind(column(events, |event| {
                event.relates_to.as_ref().map(|text| text.as_str())
            }))
            .bind(column(events, |event| {
                event.reason.as_ref().map(|text| text.as_str())
            }))
            .bind(column(events, |event| {
                event.key.as_ref().map(|keyed| keyed.key().as_str())
            }))
            .bind(column(events, |event| {
                event.key.as_ref().map(|keyed| keyed.fingerprint().0)
            }))
            // A definition stands in its own table.
            .bind(column(events, |event| {
                event
                    .detail
                    .as_deref()
                    .filter(|_| event.kind != EventKind::Defined)
            }))
            .bind(column(events, |event| event.hold.as_ref().map(|hold| hold.id.0)))
            .bind(column(events, |event| {
                event.hold.as_ref().map(|hold| Instant(hold.expires_at))
            }))
            .bind(column(events, |event| {
                event.hold.as_ref().map(|hold| i16::from(hold.on_expiry as u8))
            }))
            .bind(events.iter().map(|(_, linked)| &linked.hash[..]).bind_iter())
            .bind(moved.iter().map(|(row, _)| *row).bind_iter())
            .bind(states().map(|state| signed32(state.version)).bind_iter())
            .bind(states().map(|state| signed32(state.generation)).bind_iter())
            .bind(states().map(|state| signed32(state.epoch)).bind_iter())
            .bind(states().map(|state| i64::try_from(state.next).ok()).bind_iter())
            .bind(
                states()
                    .map(|state| state.last.map(|last| signed(last.get())))
                    .bind_iter(),
            )
            .bind(states().map(|state| state.last_date.map(Day)).bind_iter())
            .bind(states().map(|state| status_word(state.status)).bind_iter())
            .bind(states().map(|state| signed(state.chain.n)).bind_iter())
            .bind(states().map(|state| &state.chain.hash[..]).bind_iter())
            .bind(states().map(|state| signed(state.reserved)).bind_iter())
            .bind(states().map(|state| signed(state.voided)).bind_iter())
            .bind(states().map(|state| signed(state.free)).bind_iter())
            .bind(states().map(|state| state.next_expiry.map(Instant)).bind_iter())
            .bind(states().map(|state| signed32(state.leases)).bind_iter())
            .bind(keyed.iter().map(|(name, ..)| *name).bind_iter())
            .bind(keyed.iter().map(|(_, chain, _)| *chain).bind_iter())
            .bind(keyed.iter().map(|(.., n)| *n).bind_iter())
            .bind(Instant(self.now))
            .bind(Instant(oldest))
            .fetch_one(&mut *self.connection)
            .await?;
        self.written.head = events.last().map(|(chain, linked)| {
            let n = linked.event.n;
            (*chain, Link { n, hash: linked.hash })
        });
        if usize::try_from(recorded).unwrap_or_default() == keyed.len() {
            Ok(())
        } else {
            Err(Fault::KeyTaken)
        }
    }

    async fn write_sequences(&mut self, changed: &[SequenceKey]) -> Result<(), Fault> {
        if changed.is_empty() {
            return Ok(());
        }
        let new: Vec<&SequenceKey> = changed
            .iter()
            .filter(|key| !self.sequences.contains_key(*key))
            .collect();
        if !new.is_empty() {
            let ids = self.new_ids(new.len()).await?;
            let rows = new.into_iter().cloned().zip(ids);
            self.sequences.extend(rows);
        }
        let mut rows: Vec<(i64, &SequenceKey, &SequenceState)> = changed
            .iter()
            .filter_map(|key| Some((*self.sequences.get(key)?, key, self.snapshot.sequence_state(key)?)))
            .collect();
        // In one order, for two transactions may open counters of the same sequences.
        rows.sort_unstable_by_key(|(id, ..)| *id);
        let (keys, states) = (
            || rows.iter().map(|(_, key, _)| *key),
            || rows.iter().map(|(.., state)| *state),
        );
        sqlx::query(PUT_SEQUENCES)
            .bind(rows.iter().map(|(id, ..)| *id).bind_iter())
            .bind(keys().map(|key| key.tenant.as_str()).bind_iter())
            .bind(keys().map(|key| key.prefix.as_str()).bind_iter())
            .bind(keys().map(SequenceKey::folded_prefix).bind_iter())
            .bind(states().map(|state| signed32(state.head)).bind_iter())
            .bind(states().map(|state| state.implicit).bind_iter())
            .bind(states().map(|state| state.archived).bind_iter())
            .bind(states().map(|state| state.opened).bind_iter())
            .bind(states().map(|state| state.closed_through.map(Day)).bind_iter())
            .bind(states().map(|state| signed(state.chain.n)).bind_iter())
            .bind(states().map(|state| &state.chain.hash[..]).bind_iter())
            .execute(&mut *self.connection)
            .await?;
        Ok(())
    }

    /// Inserts the counters that opened, and answers the others.
    async fn insert_counters(&mut self, changed: &[CounterKey]) -> Result<Vec<CounterKey>, Fault> {
        let (moved, new): (Vec<&CounterKey>, Vec<&CounterKey>) =
            changed.iter().partition(|key| self.counters.contains_key(*key));
        let moved = moved.into_iter().cloned().collect();
        if new.is_empty() {
            return Ok(moved);
        }
        let ids = self.new_ids(new.len()).await?;
        let new: Vec<(i64, &CounterKey)> = ids.into_iter().zip(new).collect();
        let states: Vec<&CounterState> = new
            .iter()
            .filter_map(|(_, key)| self.snapshot.counter_state(key))
            .collect();
        let keys = || new.iter().map(|(_, key)| *key);
        sqlx::query(INSERT_COUNTERS)
            .bind(new.iter().map(|(id, _)| *id).bind_iter())
            .bind(
                keys()
                    .map(|key| self.sequences.get(key.sequence()).copied())
                    .bind_iter(),
            )
            .bind(keys().map(|key| key.scope().to_string()).bind_iter())
            .bind(keys().map(folded_scope).bind_iter())
            .bind(keys().map(|key| key.period().to_string()).bind_iter())
            .bind(keys().map(|key| key.period().kind().as_str()).bind_iter())
            .bind(keys().map(|key| key.period().first().map(Day)).bind_iter())
            .bind(keys().map(|key| key.period().last().map(Day)).bind_iter())
            .bind(states.iter().map(|state| signed32(state.version)).bind_iter())
            .bind(states.iter().map(|state| signed32(state.generation)).bind_iter())
            .bind(states.iter().map(|state| signed32(state.epoch)).bind_iter())
            .bind(
                states
                    .iter()
                    .map(|state| i64::try_from(state.next).ok())
                    .bind_iter(),
            )
            .bind(
                states
                    .iter()
                    .map(|state| state.last.map(|last| signed(last.get())))
                    .bind_iter(),
            )
            .bind(states.iter().map(|state| state.last_date.map(Day)).bind_iter())
            .bind(states.iter().map(|state| status_word(state.status)).bind_iter())
            .bind(states.iter().map(|state| signed(state.chain.n)).bind_iter())
            .bind(states.iter().map(|state| &state.chain.hash[..]).bind_iter())
            .bind(states.iter().map(|state| signed(state.reserved)).bind_iter())
            .bind(states.iter().map(|state| signed(state.voided)).bind_iter())
            .bind(states.iter().map(|state| signed(state.free)).bind_iter())
            .bind(
                states
                    .iter()
                    .map(|state| state.next_expiry.map(Instant))
                    .bind_iter(),
            )
            .bind(states.iter().map(|state| signed32(state.leases)).bind_iter())
            .execute(&mut *self.connection)
            .await?;
        for (id, key) in new {
            self.counters.insert(key.clone(), id);
            self.written.opened.push((key.clone(), id));
        }
        Ok(moved)
    }

    async fn write_definitions(&mut self, events: &[(i64, Linked)]) -> Result<(), Fault> {
        let defined: Vec<(i64, &Event)> = events
            .iter()
            .map(|(chain, linked)| (*chain, &linked.event))
            .filter(|(_, event)| event.kind == EventKind::Defined)
            .collect();
        if defined.is_empty() {
            return Ok(());
        }
        sqlx::query(INSERT_DEFINITIONS)
            .bind(Instant(self.now))
            .bind(defined.iter().map(|(chain, _)| *chain).bind_iter())
            .bind(
                defined
                    .iter()
                    .map(|(_, event)| signed32(event.version))
                    .bind_iter(),
            )
            .bind(
                defined
                    .iter()
                    .map(|(_, event)| event.detail.as_deref())
                    .bind_iter(),
            )
            .bind(
                defined
                    .iter()
                    .map(|(_, event)| event.origin.actor.as_ref().map(|text| text.as_str()))
                    .bind_iter(),
            )
            .bind(defined.iter().map(|(_, event)| plan::of(event)).bind_iter())
            .execute(&mut *self.connection)
            .await?;
        Ok(())
    }

    async fn new_ids(&mut self, count: usize) -> Result<Vec<i64>, Fault> {
        let ids = sqlx::query_scalar("SELECT nextval('seqid.chain_id') FROM generate_series(1, $1::bigint)")
            .bind(signed_len(count))
            .fetch_all(&mut *self.connection)
            .await?;
        Ok(ids)
    }
}

/// A column of events that most have nothing in: empty where none has.
fn column<'e, T>(events: &'e [(i64, Linked)], value: impl Fn(&'e Event) -> Option<T>) -> Vec<Option<T>> {
    let values = events.iter().map(|(_, linked)| value(&linked.event));
    let values: Vec<Option<T>> = values.collect();
    if values.iter().all(Option::is_none) {
        return Vec::new();
    }
    values
}
