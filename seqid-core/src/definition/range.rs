//! Ranges: the blocks of numbers that an authority granted, or that a company set aside, one after the other.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::spec::integer;
use crate::names::Number;
use crate::refusal::{Refusal, RefusalCode};
use crate::time::Date;

/// The most ranges of a definition.
const MOST_RANGES: usize = 100;
const LONGEST_TEXT: usize = 255;

/// A range as it is sent and stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RangeSpec {
    /// The first number.
    #[serde(with = "integer::required")]
    pub first: u64,
    /// The last number.
    #[serde(with = "integer::required")]
    pub last: u64,
    /// The first date that a document may have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub valid_from: Option<Date>,
    /// The last date that a document may have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub valid_until: Option<Date>,
    /// Who granted it: 1 to 255 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authority: Option<String>,
    /// Under which document: 1 to 255 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<String>,
}

impl RangeSpec {
    /// A range without dates.
    #[must_use]
    pub const fn new(first: u64, last: u64) -> Self {
        Self {
            first,
            last,
            valid_from: None,
            valid_until: None,
            authority: None,
            reference: None,
        }
    }
}

/// A range that was checked. Written as `1..1000`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NumberRange {
    /// The first number.
    pub first: Number,
    /// The last number.
    pub last: Number,
    /// The first date that a document may have.
    pub valid_from: Option<Date>,
    /// The last date that a document may have.
    pub valid_until: Option<Date>,
}

impl NumberRange {
    /// Whether a document of this date may have a number of the range.
    #[must_use]
    pub fn is_valid_on(&self, date: Date) -> bool {
        self.valid_from.is_none_or(|from| from <= date) && !self.has_ended(date)
    }

    /// Whether the range has ended on this day.
    #[must_use]
    pub fn has_ended(&self, today: Date) -> bool {
        self.valid_until.is_some_and(|until| until < today)
    }

    /// Whether all numbers from `first` to `last` are of the range.
    #[must_use]
    pub fn contains(&self, first: Number, last: Number) -> bool {
        self.first <= first && last <= self.last
    }
}

impl fmt::Display for NumberRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}..{}", self.first, self.last)
    }
}

/// Checks each range for itself, and that they rise. Whether they fit the other members is not decided here.
pub(super) fn checked(ranges: &[RangeSpec], refusals: &mut Vec<Refusal>) -> Vec<NumberRange> {
    let mut invalid = |pointer: String, detail: String| {
        refusals.push(Refusal::new(RefusalCode::InvalidValue, pointer, detail));
    };
    if ranges.is_empty() || ranges.len() > MOST_RANGES {
        let detail = format!(
            "a definition with ranges has 1 to {MOST_RANGES} of them, not {}",
            ranges.len()
        );
        invalid("/ranges".to_owned(), detail);
    }
    let mut checked: Vec<NumberRange> = Vec::new();
    for (index, range) in ranges.iter().take(MOST_RANGES).enumerate() {
        let mut invalid = |member: &str, detail: String| invalid(format!("/ranges/{index}/{member}"), detail);
        let mut number = |member: &str, sent: u64| match Number::new(sent) {
            Ok(number) => Some(number),
            Err(too_large) => {
                invalid(member, too_large.to_string());
                None
            }
        };
        let numbers = (number("first", range.first), number("last", range.last));
        for (member, text) in [("authority", &range.authority), ("reference", &range.reference)] {
            let length = text.as_deref().map_or(1, |text| text.chars().count());
            if !(1..=LONGEST_TEXT).contains(&length) {
                invalid(
                    member,
                    format!("the {member} of a range has 1 to {LONGEST_TEXT} characters, this has {length}"),
                );
            }
        }
        if let (Some(from), Some(until)) = (range.valid_from, range.valid_until)
            && until < from
        {
            invalid(
                "valid_until",
                format!("the range ends on {until}, before it begins on {from}"),
            );
        }
        let (Some(first), Some(last)) = numbers else {
            continue;
        };
        if last < first {
            invalid(
                "last",
                format!("the last number, {last}, is smaller than the first, {first}"),
            );
        } else if let Some(before) = checked.last().filter(|before| first <= before.last) {
            invalid(
                "first",
                format!(
                    "ranges rise and have no number in common: after {before} this must begin above {}, not at {first}",
                    before.last
                ),
            );
        } else {
            checked.push(NumberRange {
                first,
                last,
                valid_from: range.valid_from,
                valid_until: range.valid_until,
            });
        }
    }
    checked
}
