//! The parts of a date that a template can print: what each takes from a day, and how it is written.

use super::outline::DateText;
use crate::charset::CharSet;
use crate::period::{self, Calendar, IsoWeek};
use crate::time::{Date, Timestamp, Zone};

/// The day that a part is taken from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Source {
    /// The document's date.
    Date,
    /// The first day of the document's period.
    PeriodStart,
    /// The last day of the document's period.
    PeriodEnd,
    /// The instant of issue, in the zone of the sequence.
    Now,
}

/// A day and, for [`Source::Now`], the time on its clock.
#[derive(Debug, Clone, Copy)]
pub(super) struct Moment {
    pub(super) date: Date,
    time: [u16; 3],
}

impl Moment {
    pub(super) fn day(date: Date) -> Self {
        Self { date, time: [0; 3] }
    }

    pub(super) fn at(instant: Timestamp, zone: &Zone) -> Self {
        let local = zone.to_jiff().to_datetime(instant.to_jiff());
        let time = [local.hour(), local.minute(), local.second()]
            .map(i8::unsigned_abs)
            .map(u16::from);
        Self {
            date: zone.date_at(instant),
            time,
        }
    }
}

/// One printed part of a day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct DatePart {
    pub(super) function: Function,
    style: Style,
}

/// What is taken from the day: a small integer. Two parts of one function print the same fact.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Function {
    /// The last digits of a year.
    Year {
        basis: Basis,
        digits: u8,
    },
    /// The year divided by 100.
    Century,
    Month,
    Quarter,
    Half,
    Day,
    DayOfYear,
    Week(WeekRule),
    /// 1 Monday to 7 Sunday.
    Weekday,
    FiscalQuarter,
    FiscalPeriod,
    Hour,
    Minute,
    Second,
}

/// Which year.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Basis {
    Calendar,
    Iso,
    FiscalStart,
    FiscalEnd,
}

/// How weeks are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum WeekRule {
    /// ISO 8601, 1 to 53.
    Iso,
    /// The strftime `%W`: weeks begin on Monday, days before the first are in week 0.
    Monday,
    /// The strftime `%U`: weeks begin on Sunday, days before the first are in week 0.
    Sunday,
    /// The ISO week, or 0 in January and 53 in December where it belongs to the neighbouring year.
    Clamped,
}

/// A count of years other than the common era's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shift {
    None,
    Buddhist,
    Minguo,
    Reiwa,
    Add(i16),
}

impl Shift {
    fn by(self) -> i32 {
        match self {
            Self::None => 0,
            Self::Buddhist => 543,
            Self::Minguo => -1911,
            Self::Reiwa => -2018,
            Self::Add(years) => i32::from(years),
        }
    }

    /// Digits of a year written in full: the era's own custom, 115 and 08 for 2026.
    pub(super) fn full_digits(self) -> u8 {
        match self {
            Self::Minguo => 3,
            Self::Reiwa => 2,
            _ => 4,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Style {
    /// Zero-padded to a width.
    Padded(usize),
    Year(Shift),
    /// The name of each value, from the function's smallest on.
    Names(&'static [&'static str]),
}

/// How much of its year a part tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum YearKind {
    One,
    Two,
    Full,
}

const ROMAN: &[&str] = &[
    "I", "II", "III", "IV", "V", "VI", "VII", "VIII", "IX", "X", "XI", "XII",
];
const LETTERS: &[&str] = &["A", "B", "C", "D", "E", "F", "G", "H", "I", "J", "K", "L"];
const MONTHS_UPPER: &[&str] = &[
    "JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC",
];
const MONTHS_SHORT: &[&str] = &[
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
];
const MONTHS: &[&str] = &[
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
const WEEKDAYS_SHORT: &[&str] = &["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];
const WEEKDAYS: &[&str] = &[
    "Monday",
    "Tuesday",
    "Wednesday",
    "Thursday",
    "Friday",
    "Saturday",
    "Sunday",
];
const FROM_SUNDAY: &[&str] = &["1", "2", "3", "4", "5", "6", "0"];

/// The date words of the language.
pub(super) const WORDS: &[(&str, DatePart)] = &[
    ("m", DatePart::padded(Function::Month, 1)),
    ("mm", DatePart::padded(Function::Month, 2)),
    ("q", DatePart::padded(Function::Quarter, 1)),
    ("half", DatePart::padded(Function::Half, 1)),
    ("dd", DatePart::padded(Function::Day, 2)),
    ("d", DatePart::padded(Function::Day, 1)),
    ("doy", DatePart::padded(Function::DayOfYear, 3)),
    ("iso_yyyy", DatePart::year(Basis::Iso, 4, Shift::None)),
    ("iso_yy", DatePart::year(Basis::Iso, 2, Shift::None)),
    ("iso_week", DatePart::padded(Function::Week(WeekRule::Iso), 2)),
    ("iso_day", DatePart::padded(Function::Weekday, 1)),
    ("week", DatePart::padded(Function::Week(WeekRule::Monday), 2)),
    ("week_sun", DatePart::padded(Function::Week(WeekRule::Sunday), 2)),
    (
        "week_clamped",
        DatePart::padded(Function::Week(WeekRule::Clamped), 2),
    ),
    ("fq", DatePart::padded(Function::FiscalQuarter, 1)),
    ("fp", DatePart::padded(Function::FiscalPeriod, 2)),
];

/// The options of `{mm|...}`.
pub(super) const MONTH_STYLES: &[(&str, DatePart)] = &[
    ("roman", DatePart::named(Function::Month, ROMAN)),
    ("letter", DatePart::named(Function::Month, LETTERS)),
    ("en", DatePart::named(Function::Month, MONTHS_UPPER)),
];

/// The conversions after `%`; the last three are for the instant of issue alone.
pub(super) const CONVERSIONS: &[(char, DatePart)] = &[
    ('Y', DatePart::year(Basis::Calendar, 4, Shift::None)),
    ('y', DatePart::year(Basis::Calendar, 2, Shift::None)),
    ('C', DatePart::padded(Function::Century, 2)),
    ('m', DatePart::padded(Function::Month, 2)),
    ('d', DatePart::padded(Function::Day, 2)),
    ('j', DatePart::padded(Function::DayOfYear, 3)),
    ('q', DatePart::padded(Function::Quarter, 1)),
    ('G', DatePart::year(Basis::Iso, 4, Shift::None)),
    ('g', DatePart::year(Basis::Iso, 2, Shift::None)),
    ('V', DatePart::padded(Function::Week(WeekRule::Iso), 2)),
    ('u', DatePart::padded(Function::Weekday, 1)),
    ('w', DatePart::named(Function::Weekday, FROM_SUNDAY)),
    ('U', DatePart::padded(Function::Week(WeekRule::Sunday), 2)),
    ('W', DatePart::padded(Function::Week(WeekRule::Monday), 2)),
    ('b', DatePart::named(Function::Month, MONTHS_SHORT)),
    ('B', DatePart::named(Function::Month, MONTHS)),
    ('a', DatePart::named(Function::Weekday, WEEKDAYS_SHORT)),
    ('A', DatePart::named(Function::Weekday, WEEKDAYS)),
    ('H', DatePart::padded(Function::Hour, 2)),
    ('I', DatePart::named(Function::Hour, TWELVE_HOURS)),
    ('M', DatePart::padded(Function::Minute, 2)),
    ('S', DatePart::padded(Function::Second, 2)),
];

const TWELVE_HOURS: &[&str] = &[
    "12", "01", "02", "03", "04", "05", "06", "07", "08", "09", "10", "11", "12", "01", "02", "03", "04",
    "05", "06", "07", "08", "09", "10", "11",
];

impl DatePart {
    pub(super) const fn padded(function: Function, width: usize) -> Self {
        Self {
            function,
            style: Style::Padded(width),
        }
    }

    const fn named(function: Function, names: &'static [&'static str]) -> Self {
        Self {
            function,
            style: Style::Names(names),
        }
    }

    /// The last digits of a year, counted from another year if shifted.
    pub(super) const fn year(basis: Basis, digits: u8, shift: Shift) -> Self {
        Self {
            function: Function::Year { basis, digits },
            style: Style::Year(shift),
        }
    }

    /// How it is written, as data.
    pub(super) fn outline(&self) -> DateText {
        match self.style {
            Style::Padded(width) => DateText::Padded(width),
            Style::Year(shift) => DateText::Year {
                digits: self.function.year_modulus().1,
                add: shift.by(),
            },
            Style::Names(names) => DateText::Names {
                first: self.function.first(),
                names,
            },
        }
    }

    /// Appends the text of a value of this part's function.
    pub(super) fn push(&self, value: u16, out: &mut String) {
        match self.style {
            Style::Padded(width) => push_padded(u32::from(value), width, out),
            Style::Year(shift) => {
                let (modulus, digits) = self.function.year_modulus();
                let shown = (i32::from(value) + shift.by()).rem_euclid(modulus);
                push_padded(shown.unsigned_abs(), digits, out);
            }
            Style::Names(names) => {
                let index = usize::from(value.saturating_sub(self.function.first()));
                out.push_str(names.get(index).unwrap_or(&""));
            }
        }
    }

    /// The value whose text this is. `{now:%I}` has two; the first is given.
    pub(super) fn read(&self, text: &str) -> Option<u16> {
        let value = match self.style {
            Style::Padded(width) => read_padded(text, width)?,
            Style::Year(shift) => {
                let (modulus, digits) = self.function.year_modulus();
                let shown = (text.len() == digits)
                    .then(|| read_padded(text, digits))
                    .flatten()?;
                u16::try_from((i32::from(shown) - shift.by()).rem_euclid(modulus)).ok()?
            }
            Style::Names(names) => {
                let index = names.iter().position(|&name| name == text)?;
                u16::try_from(index).ok()?.checked_add(self.function.first())?
            }
        };
        (self.function.first()..=self.function.last())
            .contains(&value)
            .then_some(value)
    }

    /// The text of one value.
    pub(super) fn text(&self, value: u16) -> String {
        let mut out = String::new();
        self.push(value, &mut out);
        out
    }

    /// The text of every value.
    pub(super) fn texts(&self) -> impl Iterator<Item = String> + '_ {
        (self.function.first()..=self.function.last()).map(|value| self.text(value))
    }

    /// Fewest and most characters.
    pub(super) fn lengths(&self) -> (usize, usize) {
        if let Style::Year(_) = self.style {
            let (_, digits) = self.function.year_modulus();
            return (digits, digits);
        }
        let lengths = || self.texts().map(|text| text.len());
        (lengths().min().unwrap_or(0), lengths().max().unwrap_or(0))
    }

    pub(super) fn alphabet(&self) -> CharSet {
        if let Style::Year(_) = self.style {
            return CharSet::digits();
        }
        self.texts()
            .flat_map(|text| text.chars().collect::<Vec<_>>())
            .collect()
    }

    /// The year's basis, how much of it is told, and the first and last year that can be printed.
    pub(super) fn year_told(&self) -> Option<YearTold> {
        let (Function::Year { basis, digits }, Style::Year(shift)) = (self.function, self.style) else {
            return None;
        };
        let kind = match digits {
            _ if digits == shift.full_digits() => YearKind::Full,
            1 => YearKind::One,
            _ => YearKind::Two,
        };
        let largest = if kind == YearKind::Full {
            self.function.year_modulus().0 - 1
        } else {
            9999
        };
        let not_before = (shift == Shift::Reiwa)
            .then(|| Date::new(2019, 5, 1).ok())
            .flatten();
        Some(YearTold {
            basis,
            kind,
            first: 1 - shift.by(),
            last: largest - shift.by(),
            not_before,
        })
    }
}

/// What a part tells of a year.
#[derive(Debug, Clone, Copy)]
pub(super) struct YearTold {
    pub(super) basis: Basis,
    pub(super) kind: YearKind,
    /// The first year that can be printed.
    pub(super) first: i32,
    /// The last year that can be printed.
    pub(super) last: i32,
    /// The first day of the era.
    pub(super) not_before: Option<Date>,
}

impl Basis {
    /// The year that a day belongs to.
    pub(super) fn year(self, calendar: Calendar, date: Date) -> i32 {
        match self {
            Self::Calendar => i32::from(date.year()),
            Self::Iso => i32::from(IsoWeek::of(date).year),
            Self::FiscalStart => i32::from(calendar.fiscal_year(date).start_year),
            Self::FiscalEnd => i32::from(calendar.fiscal_year(date).end_year),
        }
    }
}

impl Function {
    /// Its name in an outline. Stores keep it: never change one.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Year { basis, .. } => match basis {
                Basis::Calendar => "year",
                Basis::Iso => "iso_year",
                Basis::FiscalStart => "fiscal_year_start",
                Basis::FiscalEnd => "fiscal_year_end",
            },
            Self::Century => "century",
            Self::Month => "month",
            Self::Quarter => "quarter",
            Self::Half => "half",
            Self::Day => "day",
            Self::DayOfYear => "day_of_year",
            Self::Week(rule) => match rule {
                WeekRule::Iso => "week_iso",
                WeekRule::Monday => "week_from_monday",
                WeekRule::Sunday => "week_from_sunday",
                WeekRule::Clamped => "week_clamped",
            },
            Self::Weekday => "weekday",
            Self::FiscalQuarter => "fiscal_quarter",
            Self::FiscalPeriod => "fiscal_period",
            Self::Hour => "hour",
            Self::Minute => "minute",
            Self::Second => "second",
        }
    }

    /// The value of a moment.
    pub(super) fn value(self, calendar: Calendar, moment: Moment) -> u16 {
        let date = moment.date;
        match self {
            Self::Year { basis, .. } => self.last_digits(basis.year(calendar, date)),
            Self::Century => small(date.year() / 100),
            Self::Month => small(date.month()),
            Self::Quarter => small(period::quarter(date)),
            Self::Half => small(period::half_year(date)),
            Self::Day => small(date.day()),
            Self::DayOfYear => small(period::day_of_year(date)),
            Self::Week(rule) => rule.week(date),
            Self::Weekday => small(period::weekday(date)),
            Self::FiscalQuarter => small(calendar.fiscal_quarter(date)),
            Self::FiscalPeriod => small(calendar.fiscal_period(date)),
            Self::Hour => moment.time[0],
            Self::Minute => moment.time[1],
            Self::Second => moment.time[2],
        }
    }

    /// The smallest value.
    pub(super) fn first(self) -> u16 {
        match self {
            Self::Year { .. } | Self::Century | Self::Hour | Self::Minute | Self::Second => 0,
            Self::Week(rule) => u16::from(rule == WeekRule::Iso),
            _ => 1,
        }
    }

    /// The largest value.
    pub(super) fn last(self) -> u16 {
        match self {
            Self::Year { .. } => small(self.year_modulus().0 - 1),
            Self::Century => 99,
            Self::Month => 12,
            Self::Quarter | Self::FiscalQuarter => 4,
            Self::Half => 2,
            Self::Day => 31,
            Self::DayOfYear => 366,
            Self::Week(_) => 53,
            Self::Weekday => 7,
            Self::FiscalPeriod => 13,
            Self::Hour => 23,
            Self::Minute | Self::Second => 59,
        }
    }

    /// The value of a year, if this is taken from one.
    pub(super) fn last_digits(self, year: i32) -> u16 {
        small(year.rem_euclid(self.year_modulus().0))
    }

    /// 10 to the number of digits, and the number of digits.
    fn year_modulus(self) -> (i32, usize) {
        match self {
            Self::Year { digits, .. } => (10i32.pow(u32::from(digits.min(4))), usize::from(digits.min(4))),
            _ => (10_000, 4),
        }
    }
}

impl WeekRule {
    fn week(self, date: Date) -> u16 {
        match self {
            Self::Iso => small(IsoWeek::of(date).week),
            Self::Monday => small(period::week_from_monday(date)),
            Self::Sunday => small(period::week_from_sunday(date)),
            Self::Clamped => small(period::week_clamped(date)),
        }
    }
}

fn small(value: impl TryInto<u16>) -> u16 {
    value.try_into().unwrap_or(0)
}

fn push_padded(mut value: u32, width: usize, out: &mut String) {
    let mut buffer = [b'0'; 10];
    let mut first = buffer.len();
    while value > 0 {
        first -= 1;
        buffer[first] = b'0' + (value % 10) as u8;
        value /= 10;
    }
    if let Ok(text) = std::str::from_utf8(&buffer[first.min(buffer.len() - width)..]) {
        out.push_str(text);
    }
}

/// A number as `push_padded` writes it.
fn read_padded(text: &str, width: usize) -> Option<u16> {
    let canonical = text.len() == width || (text.len() > width && !text.starts_with('0'));
    if !canonical || text.len() > 4 || !text.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    text.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn conversion(letter: char) -> DatePart {
        CONVERSIONS.iter().find(|(c, _)| *c == letter).unwrap().1
    }

    #[track_caller]
    fn prints(part: DatePart, date: &str, expected: &str) {
        let date: Date = date.parse().unwrap();
        let value = part.function.value(Calendar::default(), Moment::day(date));
        assert_eq!(part.text(value), expected, "{part:?} of {date}");
        assert_eq!(part.read(expected), Some(value));
    }

    #[test]
    fn conversions_print_what_strftime_prints() {
        for (letter, expected) in [
            ('Y', "2024"),
            ('y', "24"),
            ('C', "20"),
            ('m', "03"),
            ('d', "07"),
            ('j', "067"),
            ('q', "1"),
            ('G', "2024"),
            ('g', "24"),
            ('V', "10"),
            ('u', "4"),
            ('w', "4"),
            ('U', "09"),
            ('W', "10"),
            ('b', "Mar"),
            ('B', "March"),
            ('a', "Thu"),
            ('A', "Thursday"),
        ] {
            prints(conversion(letter), "2024-03-07", expected);
        }
        prints(conversion('w'), "2024-03-10", "0");
    }

    /// The values of `date -d ... +%U/%W`.
    #[test]
    fn weeks_count_from_the_first_monday_or_sunday() {
        for (date, monday, sunday) in [
            ("2021-01-01", "00", "00"),
            ("2023-01-01", "00", "01"),
            ("2024-01-01", "01", "00"),
            ("2024-12-31", "53", "52"),
        ] {
            prints(conversion('W'), date, monday);
            prints(conversion('U'), date, sunday);
        }
    }

    #[test]
    fn a_clamped_week_stays_in_its_calendar_year() {
        let part = DatePart::padded(Function::Week(WeekRule::Clamped), 2);
        for (date, week) in [
            ("2019-12-31", "53"),
            ("2020-01-01", "01"),
            ("2020-01-15", "03"),
            ("2021-01-01", "00"),
            ("2021-12-31", "52"),
        ] {
            prints(part, date, week);
        }
    }

    #[test]
    fn eras_print_their_own_years() {
        prints(
            DatePart::year(Basis::Calendar, 4, Shift::Buddhist),
            "2026-01-01",
            "2569",
        );
        prints(
            DatePart::year(Basis::Calendar, 3, Shift::Minguo),
            "2026-01-01",
            "115",
        );
        prints(
            DatePart::year(Basis::Calendar, 2, Shift::Minguo),
            "2026-01-01",
            "15",
        );
        prints(
            DatePart::year(Basis::Calendar, 2, Shift::Reiwa),
            "2026-01-01",
            "08",
        );
        prints(
            DatePart::year(Basis::Calendar, 4, Shift::Add(-1911)),
            "2026-01-01",
            "0115",
        );
    }

    #[test]
    fn only_the_text_that_is_written_is_read() {
        let month = DatePart::padded(Function::Month, 1);
        assert_eq!(month.read("12"), Some(12));
        for text in ["0", "03", "13", "", "x"] {
            assert_eq!(month.read(text), None, "{text:?}");
        }
        assert_eq!(MONTH_STYLES[0].1.read("IIII"), None);
    }
}
