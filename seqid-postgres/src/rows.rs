//! Between rows and the ledger's types.

use std::sync::Arc;

use seqid_core::chain::Link;
use seqid_core::counter::{CounterKey, CounterState, CounterStatus, Run, SequenceKey};
use seqid_core::definition::{DefinitionSpec, Mode, OnExpiry};
use seqid_core::event::{Event, EventKind, Fingerprint, Keyed, Origin, Subject};
use seqid_core::field::FieldValues;
use seqid_core::lease::{Holder, Lease, LeaseId, LeaseState};
use seqid_core::ledger::{Linked, SequenceState};
use seqid_core::mark::{Mark, NumberState};
use seqid_core::names::{Number, Prefix, Tenant};
use seqid_core::period::{Period, Reset};
use seqid_core::reservation::{Hold, ReservationId};
use seqid_core::store::DefinitionRecord;
use seqid_core::time::{Date, Timestamp};
use sqlx::postgres::PgRow;
use sqlx::{Decode, Postgres, Row, Type};

use crate::encoding::{Day, Instant};
use crate::error::{Damage, Fault};

type Result<T> = std::result::Result<T, Fault>;

/// The value of a column, which may be `NULL` if `T` is an option.
pub(crate) fn get<'r, T: Decode<'r, Postgres> + Type<Postgres>>(row: &'r PgRow, at: usize) -> Result<T> {
    row.try_get(at)
        .map_err(|source| Fault::Damage(Damage::of(at, source)))
}

/// What a column's value means; seqid never writes one without meaning.
fn column<'r, T, S>(row: &'r PgRow, at: usize, parse: impl FnOnce(S) -> Option<T>) -> Result<T>
where
    S: Decode<'r, Postgres> + Type<Postgres>,
{
    parse(get(row, at)?).ok_or_else(|| Fault::Damage(Damage::value(row, at)))
}

fn optional<'r, T, S>(row: &'r PgRow, at: usize, parse: impl FnOnce(S) -> Option<T>) -> Result<Option<T>>
where
    S: Decode<'r, Postgres> + Type<Postgres>,
{
    match get::<Option<S>>(row, at)? {
        Some(value) => match parse(value) {
            Some(value) => Ok(Some(value)),
            None => Err(Fault::Damage(Damage::value(row, at))),
        },
        None => Ok(None),
    }
}

fn text<T: std::str::FromStr>(text: &str) -> Option<T> {
    text.parse().ok()
}

fn number(value: i64) -> Option<Number> {
    Number::new(u64::try_from(value).ok()?).ok()
}

/// A count or position.
pub(crate) fn unsigned(row: &PgRow, at: usize) -> Result<u64> {
    column(row, at, |value: i64| value.try_into().ok())
}

fn unsigned32(row: &PgRow, at: usize) -> Result<u32> {
    column(row, at, |value: i32| value.try_into().ok())
}

fn bytes<const N: usize>(row: &PgRow, at: usize) -> Result<[u8; N]> {
    column(row, at, |bytes: &[u8]| bytes.try_into().ok())
}

/// The head of a chain, from n and hash at `at`.
pub(crate) fn link(row: &PgRow, at: usize) -> Result<Link> {
    Ok(Link {
        n: unsigned(row, at)?,
        hash: bytes(row, at + 1)?,
    })
}

pub(crate) fn instant(row: &PgRow, at: usize) -> Result<Timestamp> {
    get::<Instant>(row, at).map(|Instant(instant)| instant)
}

pub(crate) fn optional_date(row: &PgRow, at: usize) -> Result<Option<Date>> {
    Ok(get::<Option<Day>>(row, at)?.map(|Day(date)| date))
}

/// A sequence's name, from tenant and prefix at `at`.
pub(crate) fn sequence_key(row: &PgRow, at: usize) -> Result<SequenceKey> {
    Ok(SequenceKey::new(
        column(row, at, text::<Tenant>)?,
        column(row, at + 1, |prefix: &str| Prefix::of_event(prefix).ok())?,
    ))
}

/// A counter's name.
pub(crate) fn counter_key(row: &PgRow, at: usize, sequence: SequenceKey) -> Result<CounterKey> {
    let scope: FieldValues = column(row, at, text)?;
    let kind = column(row, at + 2, |kind: &str| {
        Reset::ALL.into_iter().find(|reset| reset.as_str() == kind)
    })?;
    let (first, last) = (optional_date(row, at + 3)?, optional_date(row, at + 4)?);
    let period = column(row, at + 1, |text: &str| {
        Period::restore(kind, first.zip(last), text)
    })?;
    Ok(CounterKey::new(sequence, scope, period))
}

/// A counter's state.
pub(crate) fn counter_state(row: &PgRow, at: usize) -> Result<CounterState> {
    let next = optional(row, at + 3, |next: i64| u64::try_from(next).ok())?;
    Ok(CounterState {
        version: unsigned32(row, at)?,
        generation: unsigned32(row, at + 1)?,
        epoch: unsigned32(row, at + 2)?,
        next: next.unwrap_or(CounterState::ENDED),
        last: optional(row, at + 4, number)?,
        last_date: optional_date(row, at + 5)?,
        status: column(row, at + 6, |status: &str| match status {
            "open" => Some(CounterStatus::Open),
            "frozen" => Some(CounterStatus::Frozen),
            _ => None,
        })?,
        chain: link(row, at + 7)?,
        reserved: unsigned(row, at + 9)?,
        voided: unsigned(row, at + 10)?,
        free: unsigned(row, at + 11)?,
        next_expiry: get::<Option<Instant>>(row, at + 12)?.map(|Instant(instant)| instant),
        leases: unsigned32(row, at + 13)?,
    })
}

pub(crate) fn status_word(status: CounterStatus) -> &'static str {
    match status {
        CounterStatus::Frozen => "frozen",
        _ => "open",
    }
}

/// A sequence's state.
pub(crate) fn sequence_state(row: &PgRow, at: usize) -> Result<SequenceState> {
    Ok(SequenceState {
        prefix: column(row, at, |prefix: &str| Prefix::of_event(prefix).ok())?,
        head: unsigned32(row, at + 1)?,
        spec: get::<Option<&str>>(row, at + 2)?.unwrap_or_default().into(),
        implicit: get(row, at + 3)?,
        archived: get(row, at + 4)?,
        opened: get(row, at + 5)?,
        closed_through: optional_date(row, at + 6)?,
        tenant_closed_through: optional_date(row, at + 7)?,
        chain: link(row, at + 8)?,
    })
}

/// A mark.
pub(crate) fn mark(row: &PgRow, at: usize) -> Result<Mark> {
    Ok(Mark {
        generation: unsigned32(row, at)?,
        epoch: unsigned32(row, at + 1)?,
        run: run(row, at + 2)?.ok_or_else(|| Fault::Damage(Damage::value(row, at + 2)))?,
        state: column(row, at + 5, |state: i16| {
            NumberState::from_code(state.try_into().ok()?)
        })?,
        date: optional_date(row, at + 6)?,
        fields: optional(row, at + 7, text)?.unwrap_or_default(),
        hold: hold(row, at + 8)?,
        reference: optional(row, at + 11, text)?,
        relates_to: optional(row, at + 12, text)?,
        n: unsigned(row, at + 13)?,
    })
}

/// A lease.
pub(crate) fn lease(row: &PgRow, at: usize) -> Result<Lease> {
    let first = optional(row, at + 3, number)?;
    let last = optional(row, at + 5, number)?;
    let run = match first.zip(last) {
        Some((first, last)) => {
            let step = column(row, at + 4, |step: i64| {
                u64::try_from(step).ok().filter(|step| *step > 0)
            })?;
            let between = last.get().checked_sub(first.get());
            let between = between.ok_or_else(|| Fault::Damage(Damage::value(row, at + 5)))?;
            let count = between / step + 1;
            Some(Run { first, step, count })
        }
        None => None,
    };
    let holder = Holder::restore(
        column(row, at + 6, text)?,
        optional(row, at + 7, |topology: i64| topology.try_into().ok())?,
    );
    Ok(Lease {
        id: LeaseId(bytes(row, at)?),
        holder,
        generation: unsigned32(row, at + 1)?,
        epoch: unsigned32(row, at + 2)?,
        run,
        state: column(row, at + 8, |state: i16| {
            LeaseState::from_code(state.try_into().ok()?)
        })?,
    })
}

/// A hold, from name, end and policy at `at`.
fn hold(row: &PgRow, at: usize) -> Result<Option<Hold>> {
    let Some(id) = optional(row, at, |id: &[u8]| id.try_into().ok())? else {
        return Ok(None);
    };
    Ok(Some(Hold {
        id: ReservationId(id),
        expires_at: instant(row, at + 1)?,
        on_expiry: column(row, at + 2, |code: i16| {
            OnExpiry::from_code(code.try_into().ok()?)
        })?,
    }))
}

/// The numbers of an event or mark, from first, step and count at `at`.
fn run(row: &PgRow, at: usize) -> Result<Option<Run>> {
    let Some(first) = optional(row, at, number)? else {
        return Ok(None);
    };
    Ok(Some(Run {
        first,
        step: unsigned(row, at + 1)?,
        count: unsigned(row, at + 2)?,
    }))
}

/// A definition version, from spec, at, actor at `at`.
pub(crate) fn definition_record(row: &PgRow, at: usize) -> Result<DefinitionRecord> {
    Ok(DefinitionRecord {
        spec: column(row, at, |json: &str| DefinitionSpec::from_json(json).ok())?,
        at: instant(row, at + 1)?,
        actor: optional(row, at + 2, text)?,
    })
}

pub(crate) fn mode_code(mode: Mode) -> i16 {
    match mode {
        Mode::Gapless => 1,
        Mode::Ordered => 2,
        Mode::Leased => 3,
    }
}

fn mode_of(code: i16) -> Option<Mode> {
    [Mode::Gapless, Mode::Ordered, Mode::Leased]
        .into_iter()
        .find(|mode| mode_code(*mode) == code)
}

/// An event with its position and hash.
pub(crate) fn event(row: &PgRow, at: usize) -> Result<(u64, Linked)> {
    let sequence = sequence_key(row, at + 1)?;
    let subject = if get(row, at + 3)? {
        Subject::Counter(counter_key(row, at + 4, sequence)?)
    } else {
        Subject::Sequence(sequence)
    };
    let key = match optional(row, at + 27, text)? {
        Some(key) => {
            let fingerprint = Fingerprint(bytes(row, at + 28)?);
            Some(Keyed::new(subject.sequence(), key, fingerprint))
        }
        None => None,
    };
    let event = Event {
        kind: column(row, at + 9, |code: i16| {
            EventKind::from_code(code.try_into().ok()?)
        })?,
        subject,
        n: unsigned(row, at + 10)?,
        generation: unsigned32(row, at + 11)?,
        epoch: unsigned32(row, at + 12)?,
        run: run(row, at + 13)?,
        version: unsigned32(row, at + 16)?,
        mode: column(row, at + 17, mode_of)?,
        at: instant(row, at + 18)?,
        date: optional_date(row, at + 19)?,
        fields: optional(row, at + 20, text)?.unwrap_or_default(),
        origin: Arc::new(Origin {
            actor: optional(row, at + 21, text)?,
            client: optional(row, at + 22, text)?,
            request: optional(row, at + 23, text)?,
        }),
        reference: optional(row, at + 24, text)?,
        relates_to: optional(row, at + 25, text)?,
        reason: optional(row, at + 26, text)?,
        key,
        detail: get::<Option<&str>>(row, at + 29)?.map(Into::into),
        hold: hold(row, at + 30)?.map(Box::new),
    };
    let linked = Linked {
        event,
        hash: bytes(row, at + 33)?,
    };
    Ok((unsigned(row, at)?, linked))
}
