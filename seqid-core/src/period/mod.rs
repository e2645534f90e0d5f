//! Periods: the stretches of days within which a counter runs before it starts again.

mod calendar;
mod day;
mod fiscal;
mod reset;

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};

pub use calendar::Calendar;
pub use day::{
    IsoWeek, day_of_year, half_year, quarter, week_clamped, week_from_monday, week_from_sunday, weekday,
};
pub use fiscal::{FiscalLabel, FiscalYear, FiscalYearText};
pub use reset::{InvalidPeriod, MonthDay, Reset};

use crate::time::Date;
use calendar::{number_at, year_of};

/// What the text of a period is made of, besides its kind and days.
#[derive(Debug, Clone, Copy)]
struct Name {
    year: i16,
    spans: bool,
    /// Week, month, quarter, half or fiscal period; 0 for a kind without.
    index: i8,
}

/// A stretch of days within which a counter runs: its kind and its first day.
#[derive(Debug, Clone, Copy)]
pub struct Period {
    kind: Reset,
    days: Option<(Date, Date)>,
    name: Name,
}

impl Period {
    /// The only period of a sequence that never starts again.
    pub const ALL: Period = Period {
        kind: Reset::Never,
        days: None,
        name: Name {
            year: 0,
            spans: false,
            index: 0,
        },
    };

    /// A period as a store kept it: its kind, its first and last day, and its text.
    ///
    /// `None` when the three do not belong together.
    #[must_use]
    pub fn restore(kind: Reset, days: Option<(Date, Date)>, text: &str) -> Option<Self> {
        let (year, spans, index) = match kind {
            Reset::Never | Reset::Day => (0, false, 0),
            Reset::Year => (year_of(text)?, false, 0),
            Reset::Month => (year_of(text)?, false, number_at(text, 5)?),
            Reset::Week | Reset::Quarter | Reset::HalfYear => (year_of(text)?, false, number_at(text, 6)?),
            Reset::FiscalYear | Reset::FiscalQuarter | Reset::FiscalPeriod => {
                let index = text
                    .rsplit_once(['Q', 'P'])
                    .and_then(|(_, digits)| number_at(digits, 0));
                let spans = text.as_bytes().get(7).is_some_and(u8::is_ascii_digit);
                (year_of(text.strip_prefix("FY")?)?, spans, index.unwrap_or(0))
            }
        };
        let period = Self {
            kind,
            days,
            name: Name { year, spans, index },
        };
        (days.is_some() == (kind != Reset::Never) && period.to_string() == text).then_some(period)
    }

    /// A period as it was told elsewhere: its text, and its first and last day.
    ///
    /// `None` when they do not belong together.
    #[must_use]
    pub fn named(text: &str, days: Option<(Date, Date)>) -> Option<Self> {
        Self::restore(kind_of(text), days, text)
    }

    /// The kind of period.
    #[must_use]
    pub const fn kind(&self) -> Reset {
        self.kind
    }

    /// The first day; `None` for `all`.
    #[must_use]
    pub fn first(&self) -> Option<Date> {
        self.days.map(|(first, _)| first)
    }

    /// The last day; `None` for `all`.
    #[must_use]
    pub fn last(&self) -> Option<Date> {
        self.days.map(|(_, last)| last)
    }

    /// Whether the day belongs to the period.
    #[must_use]
    pub fn contains(&self, date: Date) -> bool {
        self.days
            .is_none_or(|(first, last)| (first..=last).contains(&date))
    }
}

/// The kind of period that prints such a text.
fn kind_of(text: &str) -> Reset {
    match text.strip_prefix("FY") {
        Some(fiscal) if fiscal.contains('Q') => Reset::FiscalQuarter,
        Some(fiscal) if fiscal.contains('P') => Reset::FiscalPeriod,
        Some(_) => Reset::FiscalYear,
        None if text == "all" => Reset::Never,
        None if text.contains('W') => Reset::Week,
        None if text.contains('Q') => Reset::Quarter,
        None if text.contains('H') => Reset::HalfYear,
        None => match text.matches('-').count() {
            0 => Reset::Year,
            1 => Reset::Month,
            _ => Reset::Day,
        },
    }
}

impl fmt::Display for Period {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Name { year, spans, index } = self.name;
        let fiscal = FiscalYearText { year, spans };
        match (self.kind, self.days) {
            (Reset::Day, Some((first, _))) => write!(f, "{first}"),
            (Reset::Never | Reset::Day, _) => f.write_str("all"),
            (Reset::Week, _) => write!(f, "{year:04}-W{index:02}"),
            (Reset::Month, _) => write!(f, "{year:04}-{index:02}"),
            (Reset::Quarter, _) => write!(f, "{year:04}-Q{index}"),
            (Reset::HalfYear, _) => write!(f, "{year:04}-H{index}"),
            (Reset::Year, _) => write!(f, "{year:04}"),
            (Reset::FiscalYear, _) => write!(f, "FY{fiscal}"),
            (Reset::FiscalQuarter, _) => write!(f, "FY{fiscal}-Q{index}"),
            (Reset::FiscalPeriod, _) => write!(f, "FY{fiscal}-P{index:02}"),
        }
    }
}

impl PartialEq for Period {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Period {}

impl PartialOrd for Period {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Period {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.kind, self.first()).cmp(&(other.kind, other.first()))
    }
}

impl Hash for Period {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (self.kind, self.first()).hash(state);
    }
}

#[cfg(test)]
mod tests {
    use super::calendar::moved;
    use super::*;
    use proptest::prelude::*;

    fn day(text: &str) -> Date {
        text.parse().unwrap()
    }

    fn calendar(reset: &str, start: &str) -> Calendar {
        Calendar::new(reset.parse().unwrap(), start.parse().unwrap())
    }

    #[track_caller]
    fn period(reset: &str, start: &str, date: &str, expected: [&str; 3]) {
        let period = calendar(reset, start).period(day(date));
        let days = [period.first(), period.last()].map(|day| day.map(|d| d.to_string()).unwrap_or_default());
        assert_eq!([period.to_string().as_str(), &days[0], &days[1]], expected);
    }

    #[test]
    fn the_text_of_a_period_tells_its_kind() {
        for reset in Reset::ALL {
            for start in ["01-01", "04-06"] {
                let calendar = Calendar::new(reset, start.parse::<MonthDay>().unwrap());
                let period = calendar.period(day("2026-03-07"));
                let days = period.first().zip(period.last());
                assert_eq!(Period::named(&period.to_string(), days), Some(period));
                assert_eq!(kind_of(&period.to_string()), reset, "{period}");
            }
        }
    }

    #[test]
    fn calendar_periods_have_their_names_and_days() {
        period("never", "01-01", "2026-03-07", ["all", "", ""]);
        period(
            "day",
            "01-01",
            "2026-03-07",
            ["2026-03-07", "2026-03-07", "2026-03-07"],
        );
        period(
            "week",
            "01-01",
            "2026-03-07",
            ["2026-W10", "2026-03-02", "2026-03-08"],
        );
        period(
            "week",
            "01-01",
            "2021-01-03",
            ["2020-W53", "2020-12-28", "2021-01-03"],
        );
        period(
            "month",
            "01-01",
            "2024-02-29",
            ["2024-02", "2024-02-01", "2024-02-29"],
        );
        period(
            "quarter",
            "01-01",
            "2026-03-31",
            ["2026-Q1", "2026-01-01", "2026-03-31"],
        );
        period(
            "half_year",
            "01-01",
            "2026-12-31",
            ["2026-H2", "2026-07-01", "2026-12-31"],
        );
        period(
            "year",
            "01-01",
            "2026-12-31",
            ["2026", "2026-01-01", "2026-12-31"],
        );
    }

    #[test]
    fn fiscal_periods_have_their_names_and_days() {
        period(
            "fiscal_year",
            "01-01",
            "2026-03-07",
            ["FY2026", "2026-01-01", "2026-12-31"],
        );
        period(
            "fiscal_year",
            "04-01",
            "2026-03-31",
            ["FY2025-26", "2025-04-01", "2026-03-31"],
        );
        period(
            "fiscal_year",
            "04-06",
            "2026-04-05",
            ["FY2025-26", "2025-04-06", "2026-04-05"],
        );
        period(
            "fiscal_year",
            "04-06",
            "2099-04-06",
            ["FY2099-00", "2099-04-06", "2100-04-05"],
        );
        period(
            "fiscal_quarter",
            "04-01",
            "2025-04-01",
            ["FY2025-26-Q1", "2025-04-01", "2025-06-30"],
        );
        period(
            "fiscal_quarter",
            "04-01",
            "2026-03-31",
            ["FY2025-26-Q4", "2026-01-01", "2026-03-31"],
        );
        period(
            "fiscal_period",
            "04-06",
            "2025-06-06",
            ["FY2025-26-P03", "2025-06-06", "2025-07-05"],
        );
        period(
            "fiscal_period",
            "07-01",
            "2026-06-30",
            ["FY2025-26-P12", "2026-06-01", "2026-06-30"],
        );
        period(
            "fiscal_period",
            "03-31",
            "2025-04-30",
            ["FY2025-26-P02", "2025-04-30", "2025-05-30"],
        );
        period(
            "fiscal_period",
            "03-31",
            "2026-02-28",
            ["FY2025-26-P12", "2026-02-28", "2026-03-30"],
        );
    }

    #[test]
    fn the_ends_of_time_are_kept() {
        period(
            "week",
            "01-01",
            "9999-12-31",
            ["9999-W52", "9999-12-27", "9999-12-31"],
        );
        period(
            "fiscal_year",
            "04-01",
            "9999-12-31",
            ["FY9999-00", "9999-04-01", "9999-12-31"],
        );
        period(
            "fiscal_year",
            "04-01",
            "0001-01-01",
            ["FY0000-01", "0001-01-01", "0001-03-31"],
        );
    }

    #[test]
    fn a_fiscal_label_is_a_span_or_one_of_its_years() {
        let year = calendar("fiscal_year", "04-01").fiscal_year(day("2026-03-31"));
        let labels =
            [FiscalLabel::Span, FiscalLabel::Start, FiscalLabel::End].map(|l| year.label(l).to_string());
        assert_eq!(labels, ["2025-26", "2025", "2026"]);
        let year = calendar("fiscal_year", "01-01").fiscal_year(day("2026-03-31"));
        assert_eq!(year.label(FiscalLabel::Span).to_string(), "2026");
    }

    #[test]
    fn equal_periods_are_equal_in_kind_and_first_day() {
        let april = calendar("fiscal_year", "01-01").period(day("2026-04-01"));
        assert_eq!(april, calendar("fiscal_year", "01-01").period(day("2026-01-01")));
        assert_ne!(april, calendar("year", "01-01").period(day("2026-04-01")));
        assert!(april.contains(day("2026-12-31")) && !april.contains(day("2027-01-01")));
    }

    #[test]
    fn only_the_text_of_a_period_is_read() {
        let refused = [
            ("never", ["ALL", "", "2026"]),
            ("week", ["2026-W54", "2026-W00", "2026-W1"]),
            ("week", ["2025-W53", "2026-10", "2026-W+1"]),
            ("month", ["2026-13", "2026-00", "2026-3"]),
            ("quarter", ["2026-Q5", "2026-Q0", "2026-Q99"]),
            ("year", ["26", "2026-", "+026"]),
            ("fiscal_year", ["FY2025", "FY2025-27", "2025-26"]),
            ("fiscal_quarter", ["FY2025-26-Q5", "FY2025-26-P01", "FY2025-26-Q"]),
            (
                "fiscal_period",
                ["FY2025-26-P13", "FY2025-26-P00", "FY2025-26-P1"],
            ),
        ];
        for (reset, texts) in refused {
            for text in texts {
                assert_eq!(
                    calendar(reset, "04-01").parse_period(text),
                    None,
                    "{reset} {text:?}"
                );
            }
        }
    }

    #[test]
    fn a_named_calendar_is_refused_as_reserved() {
        let error = "calendar:retail".parse::<Reset>().unwrap_err();
        assert!(error.to_string().contains("reserved"), "{error}");
        assert!(
            serde_json::from_str::<Reset>(r#""monthly""#)
                .unwrap_err()
                .to_string()
                .contains("half_year")
        );
        assert_eq!(
            serde_json::from_str::<Reset>(r#""half_year""#).unwrap(),
            Reset::HalfYear
        );
    }

    #[test]
    fn a_fiscal_year_begins_on_a_day_of_every_year() {
        for text in ["02-29", "13-01", "4-1", "04-31", "04/01", ""] {
            assert!(text.parse::<MonthDay>().is_err(), "{text:?}");
        }
        assert_eq!("04-06".parse::<MonthDay>().unwrap().to_string(), "04-06");
    }

    /// Values of CPython 3.11, `date.strftime('%W %U %j')` and `date.isocalendar()`.
    #[test]
    fn weeks_of_the_year_agree_with_strftime() {
        for (date, monday, sunday, of_year) in [
            ("2024-03-07", 10, 9, 67),
            ("2021-01-01", 0, 0, 1),
            ("2023-01-01", 0, 1, 1),
            ("2024-12-31", 53, 52, 366),
        ] {
            let date = day(date);
            assert_eq!(
                (week_from_monday(date), week_from_sunday(date), day_of_year(date)),
                (monday, sunday, of_year)
            );
        }
        assert_eq!(
            IsoWeek::of(day("2021-01-01")),
            IsoWeek {
                year: 2020,
                week: 53,
                weekday: 5
            }
        );
    }

    #[test]
    fn a_clamped_week_stays_in_its_calendar_year() {
        let weeks = [
            "2019-12-31",
            "2020-01-01",
            "2020-01-15",
            "2021-01-01",
            "2021-12-31",
        ]
        .map(day)
        .map(week_clamped);
        assert_eq!(weeks, [53, 1, 3, 0, 52]);
    }

    fn any_date() -> impl Strategy<Value = Date> {
        (-700_000..2_900_000i32).prop_map(|days| Date::from_days_since_epoch(days).unwrap())
    }

    fn any_calendar() -> impl Strategy<Value = Calendar> {
        let start = (1..=12i8, 1..=31i8)
            .prop_filter_map("no such day", |(month, day)| MonthDay::new(month, day).ok());
        (proptest::sample::select(&Reset::ALL[..]), start)
            .prop_map(|(reset, start)| Calendar::new(reset, start))
    }

    proptest! {
        #[test]
        fn a_period_is_the_period_of_its_ends_and_reads_its_text(calendar in any_calendar(), date in any_date()) {
            let period = calendar.period(date);
            prop_assert!(period.contains(date));
            prop_assert_eq!(calendar.parse_period(&period.to_string()), Some(period));
            let (Some(first), Some(last)) = (period.first(), period.last()) else { return Ok(()) };
            prop_assert_eq!(calendar.period(first), period);
            prop_assert_eq!(calendar.period(last), period);
            prop_assert_eq!(calendar.period(first).to_string(), period.to_string());
            prop_assert_eq!(calendar.period(last).to_string(), period.to_string());
        }

        #[test]
        fn the_day_after_a_period_begins_the_next(calendar in any_calendar(), date in any_date()) {
            let period = calendar.period(date);
            if let Some(last) = period.last() {
                let next = calendar.period(moved(last, 1));
                prop_assert_eq!(next.first(), Some(moved(last, 1)));
                prop_assert_ne!(next.to_string(), period.to_string());
            }
        }
    }
}
