//! Sets of characters, written `A-Z0-9`.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A set of printable characters.
///
/// Written as characters and ranges one after the other, `A-Za-z0-9/-`; a `-` at the beginning or
/// the end stands for itself.
#[derive(Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct CharSet {
    ascii: u128,
    /// Inclusive ranges in ascending order; neither overlapping nor touching. ASCII is part of them.
    ranges: Vec<(char, char)>,
}

impl CharSet {
    /// The set without members.
    pub const EMPTY: CharSet = CharSet {
        ascii: 0,
        ranges: Vec::new(),
    };

    /// The digits 0 to 9.
    #[must_use]
    pub fn digits() -> Self {
        Self::from_ranges(vec![('0', '9')])
    }

    /// Letters and digits of ASCII, the default of a field.
    #[must_use]
    pub fn alphanumeric() -> Self {
        Self::from_ranges(vec![('0', '9'), ('A', 'Z'), ('a', 'z')])
    }

    fn from_ranges(mut ranges: Vec<(char, char)>) -> Self {
        ranges.retain(|(first, last)| first <= last);
        ranges.sort_unstable();
        let mut merged: Vec<(char, char)> = Vec::with_capacity(ranges.len());
        for (first, last) in ranges {
            match merged.last_mut() {
                Some((_, end)) if first <= *end || following(*end) == Some(first) => *end = last.max(*end),
                _ => merged.push((first, last)),
            }
        }
        let ascii = merged
            .iter()
            .flat_map(|&(first, last)| first..=last)
            .take_while(char::is_ascii);
        Self {
            ascii: ascii.fold(0, |bits, c| bits | bit(c)),
            ranges: merged,
        }
    }

    /// Whether the character is a member.
    #[must_use]
    pub fn contains(&self, c: char) -> bool {
        if c.is_ascii() {
            return self.ascii & bit(c) != 0;
        }
        let after = self.ranges.partition_point(|&(first, _)| first <= c);
        after > 0 && c <= self.ranges[after - 1].1
    }

    /// Whether the set has no members.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    /// The members of either set.
    #[must_use]
    pub fn union(&self, other: &Self) -> Self {
        Self::from_ranges([self.ranges.as_slice(), &other.ranges].concat())
    }

    /// The members outside `first` to `last`.
    #[must_use]
    pub fn without_range(&self, first: char, last: char) -> Self {
        let below = preceding(first).map(|end| ('\0', end));
        let above = following(last).map(|start| (start, char::MAX));
        let kept = |(from, to): (char, char)| self.ranges.iter().map(move |&(a, b)| (a.max(from), b.min(to)));
        Self::from_ranges(below.into_iter().chain(above).flat_map(kept).collect())
    }

    /// Whether no character is a member of both sets.
    #[must_use]
    pub fn is_disjoint(&self, other: &Self) -> bool {
        self.first_common(other).is_none()
    }

    /// The first character that is a member of both sets.
    #[must_use]
    pub fn first_common(&self, other: &Self) -> Option<char> {
        let starts = self.ranges.iter().chain(&other.ranges).map(|&(first, _)| first);
        starts.filter(|&c| self.contains(c) && other.contains(c)).min()
    }

    /// The first member that `allowed` does not have.
    #[must_use]
    pub fn first_outside(&self, allowed: &Self) -> Option<char> {
        let after = allowed.ranges.iter().filter_map(|&(_, last)| following(last));
        let starts = self.ranges.iter().map(|&(first, _)| first).chain(after);
        starts.filter(|&c| self.contains(c) && !allowed.contains(c)).min()
    }

    /// Its characters as ranges, first and last each, in order. No two of them touch.
    pub fn ranges(&self) -> impl Iterator<Item = (char, char)> + '_ {
        self.ranges.iter().copied()
    }

    /// The members in ascending order.
    pub fn iter(&self) -> impl Iterator<Item = char> + '_ {
        self.ranges.iter().flat_map(|&(first, last)| first..=last)
    }
}

fn bit(c: char) -> u128 {
    1 << u32::from(c)
}

fn following(c: char) -> Option<char> {
    (c..=char::MAX).nth(1)
}

fn preceding(c: char) -> Option<char> {
    ('\0'..=c).rev().nth(1)
}

impl FromIterator<char> for CharSet {
    fn from_iter<I: IntoIterator<Item = char>>(members: I) -> Self {
        Self::from_ranges(members.into_iter().map(|c| (c, c)).collect())
    }
}

impl fmt::Display for CharSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let without_hyphen = self.ranges.iter().flat_map(|&(first, last)| {
            let split = first <= '-' && '-' <= last;
            let before = if split { (first, ',') } else { (first, last) };
            [Some(before), split.then_some(('.', last))].into_iter().flatten()
        });
        for (first, last) in without_hyphen.filter(|(first, last)| first <= last) {
            match (first..=last).count() {
                1 => write!(f, "{first}")?,
                2 => write!(f, "{first}{last}")?,
                _ => write!(f, "{first}-{last}")?,
            }
        }
        if self.contains('-') {
            f.write_str("-")
        } else {
            Ok(())
        }
    }
}

impl fmt::Debug for CharSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CharSet({self})")
    }
}

impl FromStr for CharSet {
    type Err = InvalidCharSet;
    fn from_str(text: &str) -> Result<Self, InvalidCharSet> {
        let chars: Vec<char> = text.chars().collect();
        if let Some(&c) = chars.iter().find(|c| c.is_control()) {
            return Err(InvalidCharSet::Control(c));
        }
        let mut ranges = Vec::new();
        let mut rest = chars.as_slice();
        while let [first, tail @ ..] = rest {
            let (last, after) = match tail {
                ['-', last, after @ ..] => (last, after),
                _ => (first, tail),
            };
            if first > last {
                return Err(InvalidCharSet::Backward {
                    first: *first,
                    last: *last,
                });
            }
            ranges.push((*first, *last));
            rest = after;
        }
        if ranges.is_empty() {
            Err(InvalidCharSet::Empty)
        } else {
            Ok(Self::from_ranges(ranges))
        }
    }
}

impl TryFrom<String> for CharSet {
    type Error = InvalidCharSet;
    fn try_from(text: String) -> Result<Self, InvalidCharSet> {
        text.parse()
    }
}

impl From<CharSet> for String {
    fn from(set: CharSet) -> String {
        set.to_string()
    }
}

/// Why a text is not a set of characters.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidCharSet {
    /// No members.
    #[error("a set of characters must have at least one, such as A-Z0-9")]
    Empty,
    /// A range whose end comes before its beginning.
    #[error("the range {first}-{last} runs backward; write {last}-{first}, or put the '-' last")]
    Backward {
        /// The beginning as written.
        first: char,
        /// The end as written.
        last: char,
    },
    /// A control character.
    #[error("{0:?} is a control character")]
    Control(char),
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn set(text: &str) -> CharSet {
        text.parse().unwrap()
    }

    #[track_caller]
    fn prints(written: &str, printed: &str) {
        assert_eq!(set(written).to_string(), printed, "{written:?}");
    }

    #[test]
    fn a_set_prints_in_one_way() {
        prints("A-Z0-9", "0-9A-Z");
        prints("cab", "a-c");
        prints("9870", "07-9");
        prints("A-Za-z0-9/-", "/-9A-Za-z-");
        prints("+-/", "+,./-");
        prints("-", "-");
        prints("äöü", "äöü");
    }

    #[test]
    fn a_backward_range_and_an_empty_set_are_refused() {
        assert_eq!(
            "Z-A".parse::<CharSet>(),
            Err(InvalidCharSet::Backward {
                first: 'Z',
                last: 'A'
            })
        );
        assert_eq!("".parse::<CharSet>(), Err(InvalidCharSet::Empty));
        assert_eq!("a\n".parse::<CharSet>(), Err(InvalidCharSet::Control('\n')));
    }

    #[test]
    fn the_first_character_of_difference_and_of_overlap_is_named() {
        assert_eq!(set("A-Z").first_outside(&set("A-M")), Some('N'));
        assert_eq!(set("A-Z").first_outside(&set("A-Z0-9")), None);
        assert_eq!(set("A-Z0-9").first_common(&set("X-z")), Some('X'));
        assert!(set("A-Z").is_disjoint(&set("a-z0-9")));
    }

    fn any_set() -> impl Strategy<Value = CharSet> {
        let member = prop_oneof![
            3 => proptest::char::range(' ', '~'),
            1 => proptest::char::range('\u{a1}', '\u{ff}'),
            1 => Just('\u{d7ff}'),
            1 => Just('\u{e000}'),
        ];
        proptest::collection::vec(member, 1..12).prop_map(|members| members.into_iter().collect())
    }

    proptest! {
        #[test]
        fn every_set_reads_its_own_text(set in any_set()) {
            prop_assert_eq!(set.to_string().parse::<CharSet>(), Ok(set));
        }

        #[test]
        fn operations_agree_with_membership(a in any_set(), b in any_set(), c in any::<char>()) {
            let union = a.union(&b);
            prop_assert_eq!(union.contains(c), a.contains(c) || b.contains(c));
            prop_assert!(a.iter().chain(b.iter()).all(|c| union.contains(c)));
            prop_assert_eq!(a.without_range('0', '9').contains(c), a.contains(c) && !c.is_ascii_digit());
            prop_assert_eq!(a.ranges().any(|(first, last)| (first..=last).contains(&c)), a.contains(c));
            prop_assert_eq!(a.first_common(&b), a.iter().find(|&c| b.contains(c)));
            prop_assert_eq!(a.first_outside(&b), a.iter().find(|&c| !b.contains(c)));
        }
    }
}
