//! Where a day stands in its week, quarter and year.

use std::cmp::Ordering;

use crate::time::Date;

/// A day in the calendar of ISO 8601 weeks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct IsoWeek {
    /// The year that the week belongs to.
    pub year: i16,
    /// The week, 1 to 53.
    pub week: i8,
    /// The day, 1 (Monday) to 7 (Sunday).
    pub weekday: i8,
}

impl IsoWeek {
    /// The week of a day.
    #[must_use]
    pub fn of(date: Date) -> Self {
        let week = date.to_jiff().iso_week_date();
        Self {
            year: week.year(),
            week: week.week(),
            weekday: week.weekday().to_monday_one_offset(),
        }
    }
}

/// The day of the week, 1 (Monday) to 7 (Sunday).
#[must_use]
pub fn weekday(date: Date) -> i8 {
    date.to_jiff().weekday().to_monday_one_offset()
}

/// The day of the year, 1 to 366.
#[must_use]
pub fn day_of_year(date: Date) -> i16 {
    date.to_jiff().day_of_year()
}

/// The week of the year, 0 to 53; the first begins on the year's first Monday (`%W` of C's `strftime`).
#[must_use]
pub fn week_from_monday(date: Date) -> i16 {
    (day_of_year(date) + 7 - i16::from(weekday(date))) / 7
}

/// The week of the year, 0 to 53; the first begins on the year's first Sunday (`%U` of C's `strftime`).
#[must_use]
pub fn week_from_sunday(date: Date) -> i16 {
    (day_of_year(date) + 6 - i16::from(weekday(date) % 7)) / 7
}

/// The ISO week, but 0 in January and 53 in December where the week belongs to the neighbouring year.
///
/// Within a calendar year it never runs backward.
#[must_use]
pub fn week_clamped(date: Date) -> i8 {
    let iso = IsoWeek::of(date);
    match iso.year.cmp(&date.year()) {
        Ordering::Less => 0,
        Ordering::Equal => iso.week,
        Ordering::Greater => 53,
    }
}

/// The quarter of the calendar year, 1 to 4.
#[must_use]
pub fn quarter(date: Date) -> i8 {
    (date.month() - 1) / 3 + 1
}

/// The half of the calendar year, 1 or 2.
#[must_use]
pub fn half_year(date: Date) -> i8 {
    (date.month() - 1) / 6 + 1
}
