//! Which period a day belongs to.

use jiff::civil::Weekday;

use super::day::{IsoWeek, half_year, quarter, weekday};
use super::fiscal::FiscalYear;
use super::reset::{MonthDay, Reset};
use super::{Name, Period};
use crate::time::Date;

/// Divides the days into periods.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Calendar {
    reset: Reset,
    fiscal_year_start: MonthDay,
}

impl Calendar {
    /// A calendar of one kind of period.
    #[must_use]
    pub const fn new(reset: Reset, fiscal_year_start: MonthDay) -> Self {
        Self {
            reset,
            fiscal_year_start,
        }
    }

    /// The kind of its periods.
    #[must_use]
    pub const fn reset(self) -> Reset {
        self.reset
    }

    /// The first day of every fiscal year.
    #[must_use]
    pub const fn fiscal_year_start(self) -> MonthDay {
        self.fiscal_year_start
    }

    /// The period that the day belongs to.
    #[must_use]
    pub fn period(self, date: Date) -> Period {
        let (first, last) = match self.reset {
            Reset::Never => return Period::ALL,
            Reset::Day => (date, date),
            Reset::Week => week_of(date),
            Reset::Month => months_of(date, 1),
            Reset::Quarter => months_of(date, 3),
            Reset::HalfYear => months_of(date, 6),
            Reset::Year => months_of(date, 12),
            Reset::FiscalYear => self.fiscal_months(date, 12),
            Reset::FiscalQuarter => self.fiscal_months(date, 3),
            Reset::FiscalPeriod => self.fiscal_months(date, 1),
        };
        Period {
            kind: self.reset,
            days: Some((first, last)),
            name: self.name(date),
        }
    }

    fn name(self, date: Date) -> Name {
        let calendar_year = |index| Name {
            year: date.year(),
            spans: false,
            index,
        };
        match self.reset {
            Reset::Never | Reset::Day => calendar_year(0),
            Reset::Week => {
                let week = IsoWeek::of(date);
                Name {
                    year: week.year,
                    spans: false,
                    index: week.week,
                }
            }
            Reset::Month => calendar_year(date.month()),
            Reset::Quarter => calendar_year(quarter(date)),
            Reset::HalfYear => calendar_year(half_year(date)),
            Reset::Year => calendar_year(0),
            Reset::FiscalYear => self.fiscal_name(date, 0),
            Reset::FiscalQuarter => self.fiscal_name(date, self.fiscal_quarter(date)),
            Reset::FiscalPeriod => self.fiscal_name(date, self.fiscal_period(date)),
        }
    }

    fn fiscal_name(self, date: Date, index: i8) -> Name {
        Name {
            year: self.fiscal_start_year(date),
            spans: self.fiscal_year_spans(),
            index,
        }
    }

    /// Whether a fiscal year ends in another calendar year than it begins in.
    fn fiscal_year_spans(self) -> bool {
        self.fiscal_year_start != MonthDay::JANUARY_1
    }

    /// The fiscal year that the day belongs to.
    #[must_use]
    pub fn fiscal_year(self, date: Date) -> FiscalYear {
        let start_year = self.fiscal_start_year(date);
        FiscalYear {
            start_year,
            end_year: start_year + i16::from(self.fiscal_year_spans()),
            first: self.fiscal_month_start(start_year, 0),
            last: day_before(self.fiscal_month_start(start_year, 12)),
        }
    }

    fn fiscal_start_year(self, date: Date) -> i16 {
        let start = self.fiscal_year_start;
        date.year() - i16::from(MonthDay::of(date) < (start.month, start.day))
    }

    /// The fiscal quarter, 1 to 4, that the day belongs to: three fiscal periods.
    #[must_use]
    pub fn fiscal_quarter(self, date: Date) -> i8 {
        (self.fiscal_period(date) - 1) / 3 + 1
    }

    /// The fiscal period, 1 to 12, that the day belongs to.
    ///
    /// Each begins on the day of the month on which the fiscal year begins, or on the last day of a month that lacks it.
    #[must_use]
    pub fn fiscal_period(self, date: Date) -> i8 {
        let begins = clipped_day(date, self.fiscal_year_start.day);
        let since_start = date.month() - self.fiscal_year_start.month - i8::from(date.day() < begins);
        since_start.rem_euclid(12) + 1
    }

    fn fiscal_months(self, date: Date, length: i8) -> (Date, Date) {
        let start_year = self.fiscal_start_year(date);
        let before = (self.fiscal_period(date) - 1) / length * length;
        let next = self.fiscal_month_start(start_year, before + length);
        (self.fiscal_month_start(start_year, before), day_before(next))
    }

    /// The first day of the fiscal month that begins `months` months after the fiscal year.
    fn fiscal_month_start(self, start_year: i16, months: i8) -> Date {
        let since_january = i16::from(self.fiscal_year_start.month) - 1 + i16::from(months);
        clipped_date(
            start_year + since_january / 12,
            since_january % 12 + 1,
            self.fiscal_year_start.day,
        )
    }

    /// Reads the text of a period of this calendar; `None` for any other text.
    #[must_use]
    pub fn parse_period(self, text: &str) -> Option<Period> {
        let day = match self.reset {
            Reset::Never => return (text == "all").then_some(Period::ALL),
            Reset::Day => text.parse().ok()?,
            Reset::Week => week_start(year_of(text)?, number_at(text, 6)?)?,
            Reset::Month => month_start(year_of(text)?, number_at(text, 5)?)?,
            Reset::Quarter => month_start(
                year_of(text)?,
                number_at(text, 6)?.checked_mul(3)?.checked_sub(2)?,
            )?,
            Reset::HalfYear => month_start(
                year_of(text)?,
                number_at(text, 6)?.checked_mul(6)?.checked_sub(5)?,
            )?,
            Reset::Year => month_start(year_of(text)?, 1)?,
            Reset::FiscalYear | Reset::FiscalQuarter | Reset::FiscalPeriod => self.fiscal_day(text)?,
        };
        // Only the text that the period prints is its text.
        Some(self.period(day)).filter(|period| period.to_string() == text)
    }

    fn fiscal_day(self, text: &str) -> Option<Date> {
        let year = year_of(text.strip_prefix("FY")?)?;
        let index = |letter| {
            text.rsplit_once(letter)
                .and_then(|(_, digits)| number_at(digits, 0))
        };
        let months = match self.reset {
            Reset::FiscalQuarter => index("-Q")?.checked_sub(1)?.checked_mul(3)?,
            Reset::FiscalPeriod => index("-P")?.checked_sub(1)?,
            _ => 0,
        };
        (0..12)
            .contains(&months)
            .then(|| self.fiscal_month_start(year, months))
    }
}

pub(super) fn year_of(text: &str) -> Option<i16> {
    text.get(..4)?.parse().ok().filter(|year| *year >= 0)
}

pub(super) fn number_at(text: &str, start: usize) -> Option<i8> {
    text.get(start..)?.parse().ok()
}

fn month_start(year: i16, month: i8) -> Option<Date> {
    Date::new(year, month, 1).ok()
}

fn week_start(year: i16, week: i8) -> Option<Date> {
    let date = jiff::civil::ISOWeekDate::new(year, week, Weekday::Monday)
        .ok()?
        .date();
    Date::new(date.year(), date.month(), date.day()).ok()
}

fn week_of(date: Date) -> (Date, Date) {
    let since_monday = i32::from(weekday(date)) - 1;
    (moved(date, -since_monday), moved(date, 6 - since_monday))
}

/// The stretch of `length` months, counted from January, that the day belongs to.
fn months_of(date: Date, length: i8) -> (Date, Date) {
    let first = (date.month() - 1) / length * length + 1;
    let last = i16::from(first + length - 1);
    (
        clipped_date(date.year(), i16::from(first), 1),
        clipped_date(date.year(), last, 31),
    )
}

/// The day, or the last of its month, or the nearest end of the years 1 to 9999.
fn clipped_date(year: i16, month: i16, day: i8) -> Date {
    let first = i8::try_from(month)
        .ok()
        .and_then(|month| Date::new(year, month, 1).ok());
    let end = if year < 1 { first_date() } else { last_date() };
    first.map_or(end, |first| {
        Date::new(year, first.month(), clipped_day(first, day)).unwrap_or(end)
    })
}

/// The day of the month, or the last of the month that `month` lies in.
fn clipped_day(month: Date, day: i8) -> i8 {
    day.min(month.to_jiff().days_in_month())
}

fn first_date() -> Date {
    Date::from_jiff(jiff::civil::date(1, 1, 1))
}

fn last_date() -> Date {
    Date::from_jiff(jiff::civil::date(9999, 12, 31))
}

pub(super) fn moved(date: Date, days: i32) -> Date {
    let end = if days < 0 { first_date() } else { last_date() };
    Date::from_days_since_epoch(date.days_since_epoch() + days).unwrap_or(end)
}

fn day_before(date: Date) -> Date {
    if date == last_date() {
        date
    } else {
        moved(date, -1)
    }
}
