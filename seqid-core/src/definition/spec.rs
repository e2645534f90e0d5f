//! A definition as it is sent and stored.

use std::fmt;

use serde::de::{self, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::range::RangeSpec;
use crate::charset::CharSet;
use crate::field::FieldDeclaration;
use crate::names::Prefix;
use crate::period::{FiscalLabel, MonthDay, Reset};
use crate::template::Repeats;

/// The largest integer that every JSON reader keeps exactly: 2^53 - 1.
pub const LARGEST_EXACT: u64 = (1 << 53) - 1;

/// What a sequence guarantees about its line of numbers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Every number, in order, accounted for.
    #[default]
    Gapless,
    /// Strictly rising and fast; a bounded gap when the fast store changes hands.
    Ordered,
    /// Unique, at the speed of memory; ranges are handed to processes.
    Leased,
}

impl Mode {
    /// Every mode.
    pub const ALL: [Mode; 3] = [Self::Gapless, Self::Ordered, Self::Leased];

    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Gapless => "gapless",
            Self::Ordered => "ordered",
            Self::Leased => "leased",
        }
    }
}

/// What becomes of the number of a reservation that nobody confirmed in time. The codes are part of the stored form.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum OnExpiry {
    /// It stays unused, as a documented gap.
    #[default]
    Void = 1,
    /// It is given out next, out of chronological order.
    Reuse = 2,
}

impl OnExpiry {
    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Void => "void",
            Self::Reuse => "reuse",
        }
    }

    /// The policy that a store wrote as this number.
    #[must_use]
    pub const fn from_code(code: u8) -> Option<Self> {
        match code {
            1 => Some(Self::Void),
            2 => Some(Self::Reuse),
            _ => None,
        }
    }
}

/// The members of a definition, absent where they were not sent.
///
/// Integers may be sent as texts of decimal digits.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DefinitionSpec {
    /// The template of the ids: `INV-{yyyy}-{seq:5}`.
    pub format: String,
    /// The guarantee. `gapless` unless sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<Mode>,
    /// The first number of every counter. 1 unless sent, or the first of `ranges`; 0 is allowed.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "integer")]
    pub start: Option<u64>,
    /// From one number to the next. 1 unless sent.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "integer")]
    pub step: Option<u64>,
    /// No number is larger. 2^53 - 1 unless sent, or the largest whose id fits `max_length`. Where there are `ranges`
    /// it stays absent unless sent, and no number is larger than their last.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "integer")]
    pub max: Option<u64>,
    /// The only numbers that counters give out, in order. All up to `max` unless sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ranges: Option<Vec<RangeSpec>>,
    /// The sequence that goes on when a counter of this one has ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub successor: Option<Prefix>,
    /// When a new counter begins. `never` unless sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reset: Option<Reset>,
    /// The first day of every fiscal year. `01-01` unless sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fiscal_year_start: Option<MonthDay>,
    /// How `{fy}` names a fiscal year. `span` unless sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fiscal_label: Option<FiscalLabel>,
    /// The IANA zone in which today and `{now:...}` are read. That of the service unless sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time_zone: Option<String>,
    /// The fields that split the sequence into lines with a counter each.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope: Option<Vec<FieldDeclaration>>,
    /// The fields that are printed without choosing the counter.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fields: Option<Vec<FieldDeclaration>>,
    /// First and last year, both included, that a year printed with fewer than four digits can mean.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub window: Option<(i16, i16)>,
    /// No id has more characters.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "integer")]
    pub max_length: Option<u64>,
    /// The characters that an id may have. Any unless sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub charset: Option<CharSet>,
    /// A set of rules to hold: `in-gst`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub profile: Option<String>,
    /// Whether two counters may print one id. `refused` unless sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repeats: Option<Repeats>,
    /// Whether a counter refuses a date before the last it gave a number to. `false` unless sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chronological: Option<bool>,
    /// How many days after today a date may be. No limit unless sent; 0 when `chronological`.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "integer")]
    pub days_ahead: Option<u64>,
    /// What becomes of expired reservations. `void` unless sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_expiry: Option<OnExpiry>,
    /// The most numbers that one fault may skip, where the mode skips any. 10 000 unless sent, or 1 % of
    /// the numbers where that is less.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "integer")]
    pub largest_gap: Option<u64>,
    /// A warning begins when no more than this many numbers are left. 1 000 unless sent, or 10 % of the
    /// numbers where that is less.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "integer")]
    pub warn_at: Option<u64>,
    /// What the sequence is for: at most 500 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// The version of the template language that `format` is written in. 1 is the only one.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "integer")]
    pub language: Option<u64>,
}

impl DefinitionSpec {
    /// A definition that leaves everything but the format to the defaults.
    #[must_use]
    pub fn of_format(format: &str) -> Self {
        Self {
            format: format.to_owned(),
            ..Self::default()
        }
    }

    /// The definition of a sequence that nobody defined: `{prefix}-{seq:3}`.
    #[must_use]
    pub fn implicit() -> Self {
        Self::of_format("{prefix}-{seq:3}")
    }

    /// The names of the members that differ.
    #[must_use]
    pub fn changes(&self, other: &Self) -> Vec<&'static str> {
        let mut changed = Vec::new();
        macro_rules! compare {
            ($($member:ident),*) => {
                $(if self.$member != other.$member { changed.push(stringify!($member)); })*
            };
        }
        compare!(
            format,
            mode,
            start,
            step,
            max,
            ranges,
            successor,
            reset,
            fiscal_year_start,
            fiscal_label,
            time_zone,
            scope,
            fields,
            window,
            max_length,
            charset,
            profile,
            repeats,
            chronological,
            days_ahead,
            on_expiry,
            largest_gap,
            warn_at,
            description,
            language
        );
        changed
    }
}

impl Serialize for Repeats {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(match self {
            Self::Refused => "refused",
            Self::Accepted => "accepted",
        })
    }
}

impl<'de> Deserialize<'de> for Repeats {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match String::deserialize(deserializer)?.as_str() {
            "refused" => Ok(Self::Refused),
            "accepted" => Ok(Self::Accepted),
            other => Err(de::Error::unknown_variant(other, &["refused", "accepted"])),
        }
    }
}

/// Integers that may be sent as texts, and are sent as texts where a JSON reader could round them.
pub(super) mod integer {
    use super::{Deserializer, LARGEST_EXACT, Serializer, Visitor, de, fmt};

    #[expect(clippy::ref_option, reason = "the signature that serde calls")]
    pub(super) fn serialize<S: Serializer>(value: &Option<u64>, serializer: S) -> Result<S::Ok, S::Error> {
        match value {
            None => serializer.serialize_none(),
            Some(integer) if *integer <= LARGEST_EXACT => serializer.serialize_u64(*integer),
            Some(integer) => serializer.collect_str(integer),
        }
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
        deserializer.deserialize_any(IntegerOrText)
    }

    /// The same where none is not allowed.
    pub(in crate::definition) mod required {
        use super::{Deserializer, Serializer, de};

        #[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature that serde calls")]
        pub(in crate::definition) fn serialize<S: Serializer>(
            value: &u64,
            serializer: S,
        ) -> Result<S::Ok, S::Error> {
            super::serialize(&Some(*value), serializer)
        }

        pub(in crate::definition) fn deserialize<'de, D: Deserializer<'de>>(
            deserializer: D,
        ) -> Result<u64, D::Error> {
            super::deserialize(deserializer)?
                .ok_or_else(|| de::Error::invalid_type(de::Unexpected::Unit, &super::IntegerOrText))
        }
    }

    struct IntegerOrText;

    impl Visitor<'_> for IntegerOrText {
        type Value = Option<u64>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an integer of at least 0, or its digits as a text")
        }

        fn visit_unit<E: de::Error>(self) -> Result<Option<u64>, E> {
            Ok(None)
        }

        fn visit_none<E: de::Error>(self) -> Result<Option<u64>, E> {
            Ok(None)
        }

        fn visit_u64<E: de::Error>(self, integer: u64) -> Result<Option<u64>, E> {
            Ok(Some(integer))
        }

        fn visit_i64<E: de::Error>(self, integer: i64) -> Result<Option<u64>, E> {
            let unexpected = |_| E::invalid_value(de::Unexpected::Signed(integer), &self);
            u64::try_from(integer).map(Some).map_err(unexpected)
        }

        fn visit_str<E: de::Error>(self, text: &str) -> Result<Option<u64>, E> {
            let digits = text.bytes().all(|b| b.is_ascii_digit()).then_some(text);
            let integer = digits.and_then(|digits| digits.parse().ok());
            integer
                .map(Some)
                .ok_or_else(|| E::invalid_value(de::Unexpected::Str(text), &self))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(json: &str) -> DefinitionSpec {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn integers_are_read_from_texts_and_printed_as_texts_where_they_could_be_rounded() {
        let read = spec(r#"{"format":"{seq}","start":"0","max":"9223372036854775807","step":null}"#);
        assert_eq!(
            (read.start, read.max, read.step),
            (Some(0), Some(i64::MAX as u64), None)
        );
        assert_eq!(
            serde_json::to_string(&read).unwrap(),
            r#"{"format":"{seq}","start":0,"max":"9223372036854775807"}"#
        );
    }

    #[test]
    fn what_is_not_an_integer_is_refused() {
        for max in [
            "-1",
            "1.5",
            r#""1e3""#,
            r#""+1""#,
            r#""""#,
            "true",
            r#""99999999999999999999""#,
        ] {
            let json = format!(r#"{{"format":"{{seq}}","max":{max}}}"#);
            assert!(serde_json::from_str::<DefinitionSpec>(&json).is_err(), "{json}");
        }
    }

    #[test]
    fn unknown_members_and_a_missing_format_are_refused() {
        assert!(serde_json::from_str::<DefinitionSpec>(r#"{"format":"{seq}","pad":5}"#).is_err());
        assert!(serde_json::from_str::<DefinitionSpec>("{}").is_err());
    }

    #[test]
    fn changes_are_named() {
        let old = spec(r#"{"format":"{seq}","max":99}"#);
        let new = spec(r#"{"format":"{seq:2}","max":99,"mode":"ordered"}"#);
        assert_eq!(old.changes(&new), ["format", "mode"]);
        assert!(old.changes(&old).is_empty());
    }
}
