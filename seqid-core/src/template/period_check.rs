//! Which dates a template can print, and which period a printed date lies in: by going through the days.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use super::date_part::{Basis, DatePart, Function, Moment, Source, YearKind, YearTold};
use super::piece::{Piece, PieceKind};
use crate::period::{Calendar, Period, Reset};
use crate::refusal::{Refusal, RefusalCode};
use crate::time::Date;

/// The years that four digits are taken to mean.
const FULL_YEARS: (i32, i32) = (1900, 2999);
/// The years that two digits are taken to mean, each of its own kind: ISO years for ISO weeks.
const TWO_DIGIT_YEARS: (i32, i32) = (1970, 2069);
/// Years that a single digit tells apart.
const ONE_DIGIT_SPAN: i32 = 10;
/// Dates, weeks and weekdays repeat after this many years.
const CYCLE: i16 = 400;

fn earliest() -> Date {
    Date::from_jiff(jiff::civil::date(1, 1, 1))
}

fn latest() -> Date {
    Date::from_jiff(jiff::civil::date(9999, 12, 31))
}

/// A fact about a document's date that its id shows.
pub(super) type Fact = (Source, Function);

/// The facts that the pieces show, each once.
pub(super) fn facts(pieces: &[Piece]) -> Vec<Fact> {
    let mut facts = Vec::new();
    for (source, part) in date_parts(pieces) {
        if !facts.contains(&(source, part.function)) {
            facts.push((source, part.function));
        }
    }
    facts
}

fn date_parts(pieces: &[Piece]) -> impl Iterator<Item = (Source, DatePart)> + '_ {
    pieces.iter().filter_map(|piece| match piece.kind {
        PieceKind::Date(source, part) if source != Source::Now => Some((source, part)),
        _ => None,
    })
}

/// A document's date and the period that it lies in.
#[derive(Clone, Copy)]
struct Day {
    date: Date,
    period: Period,
}

impl Day {
    fn source(self, source: Source) -> Date {
        match source {
            Source::PeriodStart => self.period.first().unwrap_or(self.date),
            Source::PeriodEnd => self.period.last().unwrap_or(self.date),
            Source::Date | Source::Now => self.date,
        }
    }

    fn value(self, (source, function): Fact, calendar: Calendar) -> u16 {
        function.value(calendar, Moment::day(self.source(source)))
    }
}

/// The same days with their periods, each of which is asked for once.
fn with_periods(calendar: Calendar, dates: impl Iterator<Item = Date>) -> impl Iterator<Item = Day> {
    let mut current: Option<Period> = None;
    dates.map(move |date| {
        let period = current
            .filter(|period| period.contains(date))
            .unwrap_or_else(|| calendar.period(date));
        current = Some(period);
        Day { date, period }
    })
}

/// The dates that documents may have: what the definition says, or else what the printed years tell apart,
/// and in any case what can be printed at all. `None` if that is every date.
///
/// # Errors
/// A single digit tells apart ten years only, so that they must be named.
pub(super) fn window(
    pieces: &[Piece],
    calendar: Calendar,
    years: Option<(i16, i16)>,
    told_apart: bool,
) -> Result<Option<(Date, Date)>, Refusal> {
    let told: Vec<(Source, YearTold)> = date_parts(pieces)
        .filter_map(|(source, part)| Some((source, part.year_told()?)))
        .collect();
    let widest = told.iter().map(|(_, told)| told.kind).max();
    let chosen = match (years, widest) {
        (Some((first, last)), _) => Some((i32::from(first), i32::from(last))),
        (None, Some(YearKind::Full)) if told_apart => Some(FULL_YEARS),
        (None, Some(YearKind::Two)) if told_apart => Some(TWO_DIGIT_YEARS),
        (None, Some(YearKind::One)) if told_apart => {
            return Err(window_needed("the format prints one digit of the year"));
        }
        _ => None,
    };
    let span = chosen.map_or(0, |(first, last)| last - first + 1);
    if told_apart && widest == Some(YearKind::One) && span > ONE_DIGIT_SPAN {
        return Err(window_needed(&format!(
            "one digit of the year cannot tell {span} years apart"
        )));
    }
    let mut bounds = Bounds::default();
    for (source, told) in &told {
        let (first, last) = if Some(told.kind) == widest {
            chosen.unwrap_or((1, 9999))
        } else {
            (1, 9999)
        };
        bounds.narrow(
            &YearOf {
                source: *source,
                basis: told.basis,
                calendar,
            },
            (first.max(told.first), last.min(told.last)),
        );
        bounds.first = bounds.first.max(told.not_before.unwrap_or_else(earliest));
    }
    if told.is_empty()
        && let Some(years) = chosen
    {
        bounds.narrow(
            &YearOf {
                source: Source::Date,
                basis: Basis::Calendar,
                calendar,
            },
            years,
        );
    }
    bounds.dates()
}

fn window_needed(why: &str) -> Refusal {
    let detail = format!("{why}; choose a window of at most {ONE_DIGIT_SPAN} years, such as [2020, 2029]");
    Refusal::new(RefusalCode::WindowNeeded, "/window", detail)
}

/// A year that never decreases from one day to the next.
pub(super) struct YearOf {
    pub(super) source: Source,
    pub(super) basis: Basis,
    pub(super) calendar: Calendar,
}

impl YearOf {
    pub(super) fn year(&self, date: Date) -> i32 {
        let day = Day {
            date,
            period: self.calendar.period(date),
        };
        self.basis.year(self.calendar, day.source(self.source))
    }
}

struct Bounds {
    first: Date,
    last: Date,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            first: earliest(),
            last: latest(),
        }
    }
}

impl Bounds {
    /// Keeps the days whose year lies in a range.
    fn narrow(&mut self, years: &YearOf, (first, last): (i32, i32)) {
        self.first = self.first.max(first_day(|date| years.year(date) >= first));
        let after = first_day(|date| years.year(date) > last);
        if years.year(after) > last {
            self.last = self.last.min(before(after));
        }
    }

    fn dates(self) -> Result<Option<(Date, Date)>, Refusal> {
        if self.first > self.last {
            let detail = "no date lies in the window and can be printed by every year of the format";
            return Err(Refusal::new(RefusalCode::WindowNeeded, "/window", detail));
        }
        let bounded = (self.first, self.last) != (earliest(), latest());
        Ok(bounded.then_some((self.first, self.last)))
    }
}

/// The first day for which something is true that stays true; the last of all if there is none.
fn first_day(holds: impl Fn(Date) -> bool) -> Date {
    let (mut low, mut high) = (earliest().days_since_epoch(), latest().days_since_epoch());
    while low < high {
        let middle = low + (high - low).div_euclid(2);
        let holds = Date::from_days_since_epoch(middle).is_some_and(&holds);
        if holds { high = middle } else { low = middle + 1 }
    }
    Date::from_days_since_epoch(low).unwrap_or_else(latest)
}

fn before(date: Date) -> Date {
    Date::from_days_since_epoch(date.days_since_epoch() - 1).unwrap_or(date)
}

/// Words of a key that has room for every fact that there is.
const MOST_WORDS: usize = 7;

/// Where each fact lies in a key of 64-bit words.
struct Packing {
    slots: Vec<(Fact, usize, u32)>,
    words: usize,
}

impl Packing {
    fn of(facts: &[Fact]) -> Self {
        let mut slots = Vec::new();
        let (mut word, mut shift) = (0, 0);
        for &fact in facts {
            let bits = u16::BITS - fact.1.last().leading_zeros();
            if shift + bits > u64::BITS {
                (word, shift) = (word + 1, 0);
            }
            slots.push((fact, word, shift));
            shift += bits;
        }
        Self {
            slots,
            words: word + 1,
        }
    }

    /// A fact for which there is no room is left out, as if it were not printed.
    fn key<const WORDS: usize>(&self, calendar: Calendar, day: Day) -> [u64; WORDS] {
        let mut key = [0; WORDS];
        for &(fact, word, shift) in &self.slots {
            if let Some(word) = key.get_mut(word) {
                *word |= u64::from(day.value(fact, calendar)) << shift;
            }
        }
        key
    }

    /// The first day that looks like an earlier one of another period, and that one.
    fn first_alike<const WORDS: usize>(
        &self,
        calendar: Calendar,
        days: impl Iterator<Item = Day>,
    ) -> Option<(Date, Date)> {
        let mut seen: HashMap<[u64; WORDS], (Option<Date>, Date), BuildHasherDefault<Mixer>> =
            HashMap::default();
        let mut previous = None;
        for day in days {
            let (key, begin) = (self.key(calendar, day), day.period.first());
            if previous == Some((key, begin)) {
                continue;
            }
            previous = Some((key, begin));
            let &mut (other, earlier) = seen.entry(key).or_insert((begin, day.date));
            if other != begin {
                return Some((earlier, day.date));
            }
        }
        None
    }
}

/// Mixes the words of a key; nobody can choose them so that they collide.
#[derive(Default)]
struct Mixer(u64);

impl Hasher for Mixer {
    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            // 2^64 divided by the golden ratio, as in Fibonacci hashing.
            self.0 = (self.0.rotate_left(26) ^ u64::from_ne_bytes(word)).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        }
    }

    fn finish(&self) -> u64 {
        self.0 ^ (self.0 >> 32)
    }
}

/// Two dates of different periods that are printed alike, if there are any.
pub(super) fn collision(
    facts: &[Fact],
    calendar: Calendar,
    window: Option<(Date, Date)>,
) -> Option<(Date, Date)> {
    if calendar.reset() == Reset::Never {
        return None;
    }
    let (first, last) = window.unwrap_or_else(default_window);
    let cycle = Date::new(first.year().saturating_add(CYCLE + 2), 12, 31).unwrap_or(latest());
    let days = with_periods(calendar, days(first, last.min(cycle)));
    let packing = Packing::of(facts);
    match packing.words {
        1 => packing.first_alike::<1>(calendar, days),
        2 => packing.first_alike::<2>(calendar, days),
        _ => packing.first_alike::<MOST_WORDS>(calendar, days),
    }
}

/// Where no year is printed, any century shows it.
fn default_window() -> (Date, Date) {
    let (first, last) = (Date::new(2000, 1, 1), Date::new(2099, 12, 31));
    (first.unwrap_or(earliest()), last.unwrap_or(latest()))
}

fn days(first: Date, last: Date) -> impl Iterator<Item = Date> {
    let next = |date: &Date| date.to_jiff().tomorrow().ok().map(Date::from_jiff);
    std::iter::successors(Some(first), next).take_while(move |date| *date <= last)
}

/// The facts that were read from an id, with their values.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub(super) struct Reading(Vec<(Fact, u16)>);

/// How many periods a reading leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Periods {
    /// There is no such date.
    None,
    /// With the first of the dates, unless it may be any.
    One(Period, Option<Date>),
    Several,
}

impl Reading {
    /// Adds a fact; false if another token showed it otherwise.
    pub(super) fn add(&mut self, fact: Fact, value: u16) -> bool {
        match self.0.iter().find(|(known, _)| *known == fact) {
            Some((_, known)) => *known == value,
            None => {
                self.0.push((fact, value));
                true
            }
        }
    }

    fn of_the_date(&self, function: Function) -> Option<u16> {
        self.0
            .iter()
            .find(|(fact, _)| *fact == (Source::Date, function))
            .map(|(_, value)| *value)
    }

    /// The periods of the dates for which every fact is as it was read.
    pub(super) fn periods(&self, calendar: Calendar, window: Option<(Date, Date)>) -> Periods {
        if calendar.reset() == Reset::Never && self.0.is_empty() {
            return Periods::One(Period::ALL, None);
        }
        let mut found = Periods::None;
        let within = |date: &Date| window.is_none_or(|(first, last)| (first..=last).contains(date));
        let dates = self
            .years(window)
            .flat_map(|year| self.days_of(year))
            .filter(within);
        for day in with_periods(calendar, dates) {
            if !self
                .0
                .iter()
                .all(|&(fact, read)| day.value(fact, calendar) == read)
            {
                continue;
            }
            match found {
                Periods::None => found = Periods::One(day.period, Some(day.date)),
                Periods::One(other, _) if other != day.period => return Periods::Several,
                _ => (),
            }
            if day.period == Period::ALL {
                break;
            }
        }
        found
    }

    /// The years that the days can lie in. Years of another kind are at most two apart from the date's.
    fn years(&self, window: Option<(Date, Date)>) -> impl Iterator<Item = i16> {
        let (first, last) = window.map_or((1, 9999), |(first, last)| (first.year(), last.year()));
        let full = self.0.iter().find_map(|&((_, function), value)| {
            matches!(function, Function::Year { digits: 4, .. }).then_some(i16::try_from(value).unwrap_or(1))
        });
        let (low, high) = match (full, window) {
            (Some(year), _) => (year.saturating_sub(2), year.saturating_add(2)),
            (None, None) => (2000, 2000 + CYCLE - 1),
            (None, Some(_)) => (first, last),
        };
        (low.max(first)..=high.min(last)).filter(|&year| self.allows_year(year))
    }

    fn allows_year(&self, year: i16) -> bool {
        self.0.iter().all(|&((source, function), value)| {
            let Function::Year { basis, digits } = function else {
                return true;
            };
            let apart = match (source, basis) {
                (Source::Date, Basis::Calendar) => 0,
                (Source::Date, _) => 1,
                _ => 2,
            };
            let modulus = 10i16.pow(u32::from(digits.min(4)));
            (-apart..=apart).any(|years: i16| (year + years).rem_euclid(modulus).unsigned_abs() == value)
        })
    }

    fn days_of(&self, year: i16) -> impl Iterator<Item = Date> {
        let (month, day) = (self.of_the_date(Function::Month), self.of_the_date(Function::Day));
        let only = |read: Option<u16>, n: i8| read.is_none_or(|read| i16::from(n).unsigned_abs() == read);
        (1..=12i8)
            .filter(move |&n| only(month, n))
            .flat_map(|month| (1..=31i8).map(move |day| (month, day)))
            .filter(move |&(_, n)| only(day, n))
            .filter_map(move |(month, day)| Date::new(year, month, day).ok())
    }
}

#[cfg(test)]
mod tests {
    use super::super::date_part::{CONVERSIONS, WORDS};
    use super::*;

    #[test]
    fn a_key_has_room_for_every_fact() {
        let of_words = WORDS.iter().map(|(_, part)| (Source::Date, part.function));
        let years = |basis, digits: &'static [u8]| {
            digits
                .iter()
                .map(move |&digits| (Source::Date, Function::Year { basis, digits }))
        };
        let calendar_years = years(Basis::Calendar, &[1, 2, 3, 4]);
        let fiscal_years = years(Basis::FiscalStart, &[2, 4]).chain(years(Basis::FiscalEnd, &[2, 4]));
        let of_conversions = CONVERSIONS.iter().flat_map(|(_, part)| {
            [Source::Date, Source::PeriodStart, Source::PeriodEnd].map(|source| (source, part.function))
        });
        let of_the_clock =
            |function| matches!(function, Function::Hour | Function::Minute | Function::Second);
        let mut facts: Vec<Fact> = Vec::new();
        for fact in of_words
            .chain(calendar_years)
            .chain(fiscal_years)
            .chain(of_conversions)
        {
            if !of_the_clock(fact.1) && !facts.contains(&fact) {
                facts.push(fact);
            }
        }
        assert!(Packing::of(&facts).words <= MOST_WORDS);
    }
}
