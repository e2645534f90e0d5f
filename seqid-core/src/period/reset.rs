//! When a sequence starts again, as definitions say it.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::time::Date;

/// When a sequence starts again.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Reset {
    /// Never: one period for all days.
    #[default]
    Never,
    /// Every day.
    Day,
    /// Every Monday (ISO 8601 weeks).
    Week,
    /// On the first of every month.
    Month,
    /// On the first of January, April, July and October.
    Quarter,
    /// On the first of January and July.
    HalfYear,
    /// On the first of January.
    Year,
    /// On the first day of every fiscal year.
    FiscalYear,
    /// On the first day of every third fiscal period.
    FiscalQuarter,
    /// On the first day of every fiscal period: twelve a year, a month long each.
    FiscalPeriod,
}

impl Reset {
    /// All of them.
    pub const ALL: [Reset; 10] = [
        Self::Never,
        Self::Day,
        Self::Week,
        Self::Month,
        Self::Quarter,
        Self::HalfYear,
        Self::Year,
        Self::FiscalYear,
        Self::FiscalQuarter,
        Self::FiscalPeriod,
    ];

    /// The word in definitions: `fiscal_year`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Never => "never",
            Self::Day => "day",
            Self::Week => "week",
            Self::Month => "month",
            Self::Quarter => "quarter",
            Self::HalfYear => "half_year",
            Self::Year => "year",
            Self::FiscalYear => "fiscal_year",
            Self::FiscalQuarter => "fiscal_quarter",
            Self::FiscalPeriod => "fiscal_period",
        }
    }
}

impl fmt::Display for Reset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Reset {
    type Err = InvalidPeriod;
    fn from_str(text: &str) -> Result<Self, InvalidPeriod> {
        if let Some(calendar) = text.strip_prefix("calendar:") {
            return Err(InvalidPeriod::NamedCalendar(calendar.into()));
        }
        Self::ALL
            .into_iter()
            .find(|r| r.as_str() == text)
            .ok_or_else(|| InvalidPeriod::Reset(text.into()))
    }
}

impl TryFrom<String> for Reset {
    type Error = InvalidPeriod;
    fn try_from(text: String) -> Result<Self, InvalidPeriod> {
        text.parse()
    }
}

impl From<Reset> for String {
    fn from(reset: Reset) -> String {
        reset.as_str().to_owned()
    }
}

/// A day that every year has, `MM-DD`: all but 29 February.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct MonthDay {
    pub(super) month: i8,
    pub(super) day: i8,
}

impl MonthDay {
    /// 1 January.
    pub const JANUARY_1: MonthDay = MonthDay { month: 1, day: 1 };

    /// # Errors
    /// [`InvalidPeriod::MonthDay`] when some year lacks the day.
    pub fn new(month: i8, day: i8) -> Result<Self, InvalidPeriod> {
        // 2023 is not a leap year.
        match Date::new(2023, month, day) {
            Ok(_) => Ok(Self { month, day }),
            Err(_) => Err(InvalidPeriod::MonthDay(format!("{month:02}-{day:02}").into())),
        }
    }

    pub(super) fn of(date: Date) -> (i8, i8) {
        (date.month(), date.day())
    }
}

impl Default for MonthDay {
    fn default() -> Self {
        Self::JANUARY_1
    }
}

impl fmt::Display for MonthDay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02}-{:02}", self.month, self.day)
    }
}

impl FromStr for MonthDay {
    type Err = InvalidPeriod;
    fn from_str(text: &str) -> Result<Self, InvalidPeriod> {
        let invalid = || InvalidPeriod::MonthDay(text.into());
        let date: Date = format!("2023-{text}").parse().map_err(|_| invalid())?;
        Self::new(date.month(), date.day())
    }
}

impl TryFrom<String> for MonthDay {
    type Error = InvalidPeriod;
    fn try_from(text: String) -> Result<Self, InvalidPeriod> {
        text.parse()
    }
}

impl From<MonthDay> for String {
    fn from(day: MonthDay) -> String {
        day.to_string()
    }
}

/// Why a text is not about periods.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidPeriod {
    /// Not a kind of reset.
    #[error(
        "{0:?} is not a reset; one of never, day, week, month, quarter, half_year, year, fiscal_year, fiscal_quarter, fiscal_period"
    )]
    Reset(Box<str>),
    /// A form kept for calendars such as 4-4-5 weeks.
    #[error(
        "calendar:{0} is reserved: named calendars cannot be defined yet; use fiscal_period for fiscal months"
    )]
    NamedCalendar(Box<str>),
    /// Not a day that every year has.
    #[error("{0:?} is not a day of every year, written MM-DD")]
    MonthDay(Box<str>),
}
