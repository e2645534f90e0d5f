//! Values in the form in which PostgreSQL sends and takes them. Numbers and counts of seqid fit its 64 bits with a sign.

use seqid_core::time::{Date, Timestamp};
use sqlx::encode::{Encode, IsNull};
use sqlx::error::BoxDynError;
use sqlx::postgres::types::Oid;
use sqlx::postgres::{PgArgumentBuffer, PgHasArrayType, PgTypeInfo, PgValueFormat, PgValueRef};
use sqlx::{Decode, Postgres, Type};

/// Microseconds from 1970, where seqid begins to count, to 2000, where PostgreSQL does.
const EPOCH_MICROS: i64 = 946_684_800_000_000;
/// The same in days.
const EPOCH_DAYS: i32 = 10_957;

/// A `timestamptz`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Instant(pub(crate) Timestamp);

/// A `date`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Day(pub(crate) Date);

/// A type that PostgreSQL knows by these numbers, alone and as an array.
macro_rules! built_in {
    ($type:ty, $oid:literal, $array:literal) => {
        impl Type<Postgres> for $type {
            fn type_info() -> PgTypeInfo {
                PgTypeInfo::with_oid(Oid($oid))
            }
        }

        impl PgHasArrayType for $type {
            fn array_type_info() -> PgTypeInfo {
                PgTypeInfo::with_oid(Oid($array))
            }
        }
    };
}

built_in!(Instant, 1184, 1185);
built_in!(Day, 1082, 1182);

impl Encode<'_, Postgres> for Instant {
    fn encode_by_ref(&self, buffer: &mut PgArgumentBuffer) -> Result<IsNull, BoxDynError> {
        (self.0.as_micros() - EPOCH_MICROS).encode_by_ref(buffer)
    }
}

impl Decode<'_, Postgres> for Instant {
    fn decode(value: PgValueRef<'_>) -> Result<Self, BoxDynError> {
        let micros: i64 = Decode::<Postgres>::decode(binary(value)?)?;
        Ok(Self(Timestamp::from_micros(micros.saturating_add(EPOCH_MICROS))))
    }
}

impl Encode<'_, Postgres> for Day {
    fn encode_by_ref(&self, buffer: &mut PgArgumentBuffer) -> Result<IsNull, BoxDynError> {
        (self.0.days_since_epoch() - EPOCH_DAYS).encode_by_ref(buffer)
    }
}

impl Decode<'_, Postgres> for Day {
    fn decode(value: PgValueRef<'_>) -> Result<Self, BoxDynError> {
        let days: i32 = Decode::<Postgres>::decode(binary(value)?)?;
        let date = Date::from_days_since_epoch(days.saturating_add(EPOCH_DAYS));
        date.map(Self)
            .ok_or_else(|| "a date outside of the years 1 to 9999".into())
    }
}

fn binary(value: PgValueRef<'_>) -> Result<PgValueRef<'_>, BoxDynError> {
    match value.format() {
        PgValueFormat::Binary => Ok(value),
        PgValueFormat::Text => Err("instants and dates are read by prepared statements only".into()),
    }
}

/// An unsigned number as PostgreSQL has it. None that seqid writes is above the largest with a sign.
pub(crate) fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// The same for 32 bits.
pub(crate) fn signed32(value: u32) -> i32 {
    i32::try_from(value).unwrap_or(i32::MAX)
}

/// A limit or length.
pub(crate) fn signed_len(value: usize) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}
