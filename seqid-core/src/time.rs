//! Instants, civil dates and time zones. The calendar library stays behind these three types.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// An instant: microseconds since 1970-01-01T00:00:00Z. Printed as RFC 3339 in UTC with six digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Timestamp(i64);

impl Timestamp {
    /// The instant that lies this many microseconds after the epoch.
    ///
    /// Values outside the years -9999 ..= 9999 are moved to the nearest end.
    #[must_use]
    pub fn from_micros(micros: i64) -> Self {
        Self(micros.clamp(
            jiff::Timestamp::MIN.as_microsecond(),
            jiff::Timestamp::MAX.as_microsecond(),
        ))
    }

    /// Microseconds since the epoch.
    #[must_use]
    pub const fn as_micros(self) -> i64 {
        self.0
    }

    /// This instant moved by a duration; the ends of the representable time are kept.
    #[must_use]
    pub fn saturating_add(self, duration: std::time::Duration) -> Self {
        Self::from_micros(
            self.0
                .saturating_add(i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)),
        )
    }

    /// This instant moved back by a duration; the ends of the representable time are kept.
    #[must_use]
    pub fn saturating_sub(self, duration: std::time::Duration) -> Self {
        Self::from_micros(
            self.0
                .saturating_sub(i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)),
        )
    }

    pub(crate) fn to_jiff(self) -> jiff::Timestamp {
        jiff::Timestamp::from_microsecond(self.0).unwrap_or(jiff::Timestamp::UNIX_EPOCH)
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.6}", self.to_jiff())
    }
}

impl FromStr for Timestamp {
    type Err = InvalidTime;
    fn from_str(text: &str) -> Result<Self, InvalidTime> {
        match text.parse::<jiff::Timestamp>() {
            Ok(instant) => Ok(Self(instant.as_microsecond())),
            Err(_) => Err(InvalidTime::Timestamp(text.into())),
        }
    }
}

impl TryFrom<String> for Timestamp {
    type Error = InvalidTime;
    fn try_from(text: String) -> Result<Self, InvalidTime> {
        text.parse()
    }
}

impl From<Timestamp> for String {
    fn from(instant: Timestamp) -> String {
        instant.to_string()
    }
}

/// A civil date, `YYYY-MM-DD`, years 0001 to 9999.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Date(jiff::civil::Date);

impl Date {
    /// 0001-01-01, the earliest.
    pub const MIN: Date = Date(jiff::civil::Date::constant(1, 1, 1));

    /// # Errors
    /// [`InvalidTime::Date`] when there is no such day, or the year is not 1 to 9999.
    pub fn new(year: i16, month: i8, day: i8) -> Result<Self, InvalidTime> {
        match jiff::civil::Date::new(year, month, day) {
            Ok(date) if year >= 1 => Ok(Self(date)),
            _ => Err(InvalidTime::Date(format!("{year:04}-{month:02}-{day:02}").into())),
        }
    }

    /// The year, 1 to 9999.
    #[must_use]
    pub fn year(self) -> i16 {
        self.0.year()
    }

    /// The month, 1 to 12.
    #[must_use]
    pub fn month(self) -> i8 {
        self.0.month()
    }

    /// The day of the month, 1 to 31.
    #[must_use]
    pub fn day(self) -> i8 {
        self.0.day()
    }

    /// Days since 1970-01-01, negative before it.
    #[must_use]
    pub fn days_since_epoch(self) -> i32 {
        (self.0 - jiff::civil::date(1970, 1, 1)).get_days()
    }

    /// The date that lies this many days after 1970-01-01, or `None` outside the years 1 to 9999.
    #[must_use]
    pub fn from_days_since_epoch(days: i32) -> Option<Self> {
        let date = jiff::civil::date(1970, 1, 1)
            .checked_add(jiff::Span::new().try_days(days).ok()?)
            .ok()?;
        (date.year() >= 1).then_some(Self(date))
    }

    /// The day before, or `None` before the earliest.
    pub(crate) fn yesterday(self) -> Option<Self> {
        Self::from_days_since_epoch(self.days_since_epoch() - 1)
    }

    pub(crate) fn from_jiff(date: jiff::civil::Date) -> Self {
        Self(date)
    }

    pub(crate) fn to_jiff(self) -> jiff::civil::Date {
        self.0
    }
}

impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:02}-{:02}", self.year(), self.month(), self.day())
    }
}

impl FromStr for Date {
    type Err = InvalidTime;
    fn from_str(text: &str) -> Result<Self, InvalidTime> {
        let invalid = || InvalidTime::Date(text.into());
        let bytes = text.as_bytes();
        if bytes.len() > 10 && bytes[4] == b'-' && matches!(bytes[10], b'T' | b't' | b' ') {
            return Err(InvalidTime::TimestampForDate(text.into()));
        }
        let digits = |range: std::ops::Range<usize>| {
            bytes[range].iter().try_fold(0i16, |sum, b| {
                b.is_ascii_digit().then(|| sum * 10 + i16::from(b - b'0'))
            })
        };
        if bytes.len() != 10 || bytes[4] != b'-' || bytes[7] != b'-' {
            return Err(invalid());
        }
        let (Some(year), Some(month), Some(day)) = (digits(0..4), digits(5..7), digits(8..10)) else {
            return Err(invalid());
        };
        let small = |n: i16| i8::try_from(n).map_err(|_| invalid());
        Date::new(year, small(month)?, small(day)?).map_err(|_| invalid())
    }
}

impl TryFrom<String> for Date {
    type Error = InvalidTime;
    fn try_from(text: String) -> Result<Self, InvalidTime> {
        text.parse()
    }
}

impl From<Date> for String {
    fn from(date: Date) -> String {
        date.to_string()
    }
}

/// A time zone of the IANA database, `Asia/Jakarta`. The database is part of the program.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Zone(jiff::tz::TimeZone);

impl Zone {
    /// Coordinated universal time.
    pub const UTC: Zone = Zone(jiff::tz::TimeZone::UTC);

    /// The zone's IANA name.
    #[must_use]
    pub fn name(&self) -> &str {
        self.0.iana_name().unwrap_or("UTC")
    }

    /// The date that a calendar on the wall shows in this zone at an instant.
    #[must_use]
    pub fn date_at(&self, instant: Timestamp) -> Date {
        Date(self.0.to_datetime(instant.to_jiff()).date())
    }

    pub(crate) fn to_jiff(&self) -> &jiff::tz::TimeZone {
        &self.0
    }
}

impl Default for Zone {
    fn default() -> Self {
        Self::UTC
    }
}

impl fmt::Display for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Zone {
    type Err = InvalidTime;
    fn from_str(name: &str) -> Result<Self, InvalidTime> {
        match jiff::tz::TimeZone::get(name) {
            Ok(zone) if zone.iana_name().is_some() => Ok(Self(zone)),
            _ => Err(InvalidTime::Zone(name.into())),
        }
    }
}

impl TryFrom<String> for Zone {
    type Error = InvalidTime;
    fn try_from(name: String) -> Result<Self, InvalidTime> {
        name.parse()
    }
}

impl From<Zone> for String {
    fn from(zone: Zone) -> String {
        zone.name().to_owned()
    }
}

/// Why a text is not an instant, a date or a zone.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidTime {
    /// Not a date.
    #[error("{0:?} is not a date of the form YYYY-MM-DD")]
    Date(Box<str>),
    /// An instant where a date is wanted: its day depends on the zone, so the caller must choose it.
    #[error("{0:?} is a timestamp; send the document's date alone, as YYYY-MM-DD")]
    TimestampForDate(Box<str>),
    /// Not an instant.
    #[error("{0:?} is not a time of the form 2026-03-07T12:00:00Z")]
    Timestamp(Box<str>),
    /// Not a zone of the IANA database.
    #[error("{0:?} is not a time zone of the IANA database, such as Asia/Jakarta")]
    Zone(Box<str>),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn date(text: &str, valid: bool) {
        match text.parse::<Date>() {
            Ok(date) => assert!(valid && date.to_string() == text, "{text:?} read as {date}"),
            Err(error) => assert!(!valid, "{error}"),
        }
    }

    #[test]
    fn a_date_is_written_in_one_way_only() {
        date("2026-03-07", true);
        date("2024-02-29", true);
        date("0001-01-01", true);
        date("9999-12-31", true);
        for text in [
            "2026-02-29",
            "2026-3-7",
            "20260307",
            "0000-01-01",
            "+026-01-01",
            "2026-13-01",
            "",
            "２026-01-01",
        ] {
            date(text, false);
        }
    }

    #[test]
    fn a_timestamp_in_place_of_a_date_is_refused_with_a_hint() {
        let error = "2026-03-07T01:00:00Z".parse::<Date>().unwrap_err();
        assert!(
            error.to_string().contains("send the document's date alone"),
            "{error}"
        );
    }

    #[test]
    fn an_instant_prints_six_digits_in_utc() {
        let instant = Timestamp::from_micros(1_772_841_600_000_001);
        assert_eq!(instant.to_string(), "2026-03-07T00:00:00.000001Z");
        assert_eq!(instant.to_string().parse(), Ok(instant));
    }

    #[test]
    fn the_day_depends_on_the_zone() {
        let jakarta: Zone = "Asia/Jakarta".parse().unwrap();
        let instant: Timestamp = "2026-12-31T17:00:00Z".parse().unwrap();
        assert_eq!(jakarta.date_at(instant).to_string(), "2027-01-01");
        assert_eq!(Zone::UTC.date_at(instant).to_string(), "2026-12-31");
        assert!("Mars/Olympus".parse::<Zone>().is_err());
    }

    #[test]
    fn days_since_the_epoch_run_both_ways() {
        for text in ["1900-01-01", "1970-01-01", "2026-11-22", "2999-12-31"] {
            let date: Date = text.parse().unwrap();
            assert_eq!(Date::from_days_since_epoch(date.days_since_epoch()), Some(date));
        }
    }
}
