//! Names and texts that arrive from outside, each parsed once into a type that cannot be wrong.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::clock::Seed;

/// Why a text is not a valid value of its type.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidText {
    /// Shorter or longer than the type allows.
    #[error("must have {min} to {max} characters, has {len}")]
    Length {
        /// Fewest characters allowed.
        min: usize,
        /// Most characters allowed.
        max: usize,
        /// Characters found.
        len: usize,
    },
    /// A character that the type does not allow.
    #[error("must not contain {character:?} at position {position}; allowed are {allowed}")]
    Character {
        /// The offending character.
        character: char,
        /// Its position, counted in characters from 1.
        position: usize,
        /// What would have been allowed, in words.
        allowed: &'static str,
    },
}

/// A rule for a text: its length in characters, and which characters may stand first and later.
struct Rule {
    max: usize,
    first: fn(char) -> bool,
    rest: fn(char) -> bool,
    allowed: &'static str,
}

impl Rule {
    fn check(&self, text: &str) -> Result<(), InvalidText> {
        let len = text.chars().count();
        if len == 0 || len > self.max {
            return Err(InvalidText::Length {
                min: 1,
                max: self.max,
                len,
            });
        }
        for (index, character) in text.chars().enumerate() {
            let allowed = if index == 0 { self.first } else { self.rest };
            if !allowed(character) {
                return Err(InvalidText::Character {
                    character,
                    position: index + 1,
                    allowed: self.allowed,
                });
            }
        }
        Ok(())
    }
}

fn name_start(c: char) -> bool {
    c.is_ascii_alphanumeric()
}

fn name_rest(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.')
}

fn printable_ascii(c: char) -> bool {
    matches!(c, ' '..='~')
}

fn printable(c: char) -> bool {
    !c.is_control()
}

macro_rules! text_type {
    ($(#[$doc:meta])* $name:ident, $rule:expr) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(Arc<str>);

        impl $name {
            /// Parses the text.
            ///
            /// # Errors
            /// [`InvalidText`] names the rule that the text breaks.
            pub fn new(text: &str) -> Result<Self, InvalidText> {
                const RULE: Rule = $rule;
                RULE.check(text)?;
                Ok(Self(text.into()))
            }

            /// The text as given.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&self.0, f)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl FromStr for $name {
            type Err = InvalidText;
            fn from_str(text: &str) -> Result<Self, InvalidText> {
                Self::new(text)
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidText;
            fn try_from(text: String) -> Result<Self, InvalidText> {
                Self::new(&text)
            }
        }

        impl From<$name> for String {
            fn from(value: $name) -> String {
                value.0.as_ref().to_owned()
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }
    };
}

text_type!(
    /// The isolation boundary, usually a company: 1 to 64 of letters, digits, `_`, `-`, `.`,
    /// beginning with a letter or digit.
    Tenant,
    Rule {
        max: 64,
        first: name_start,
        rest: name_rest,
        allowed: "letters, digits, '_', '-' and '.', beginning with a letter or digit",
    }
);

impl Prefix {
    /// Stands in the place of a prefix for all sequences of a tenant. No request can name a sequence so.
    const WHOLE: &str = "*";

    /// All sequences of a tenant, as the events that concern them name it: `*`.
    #[must_use]
    pub fn whole() -> Self {
        Self(Self::WHOLE.into())
    }

    /// Whether it stands for all sequences of a tenant.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        &*self.0 == Self::WHOLE
    }

    /// A prefix as events name it: one of a sequence, or `*`.
    ///
    /// # Errors
    /// [`InvalidText`] names the rule that the text breaks.
    pub fn of_event(text: &str) -> Result<Self, InvalidText> {
        if text == Self::WHOLE {
            Ok(Self::whole())
        } else {
            Self::new(text)
        }
    }
}

impl Default for Tenant {
    /// The tenant of a request that names none: `default`.
    fn default() -> Self {
        Self("default".into())
    }
}

text_type!(
    /// The name of a sequence within its tenant: 1 to 64 of letters, digits, `_`, `-`, `.`,
    /// beginning with a letter or digit.
    Prefix,
    Rule {
        max: 64,
        first: name_start,
        rest: name_rest,
        allowed: "letters, digits, '_', '-' and '.', beginning with a letter or digit",
    }
);

text_type!(
    /// A key under which a request may be repeated and has its effect once: 1 to 255 printable
    /// ASCII characters.
    IdempotencyKey,
    Rule { max: 255, first: printable_ascii, rest: printable_ascii, allowed: "printable ASCII characters" }
);

text_type!(
    /// Why somebody did what the audit shows: 1 to 500 printable characters.
    Reason,
    Rule { max: 500, first: printable, rest: printable, allowed: "printable characters" }
);

text_type!(
    /// The caller's own key of a document, kept with its number: 1 to 255 printable characters.
    Reference,
    Rule { max: 255, first: printable, rest: printable, allowed: "printable characters" }
);

text_type!(
    /// Who or what asked: a user, a client program or a request id. 1 to 255 printable ASCII characters.
    Label,
    Rule { max: 255, first: printable_ascii, rest: printable_ascii, allowed: "printable ASCII characters" }
);

impl Label {
    /// The name of the `n`th request of a process: 16 hex digits of its seed, a hyphen, 8 of `n`.
    #[must_use]
    pub fn of_request(seed: Seed, n: u64) -> Self {
        let mut name = [b'-'; 25];
        hex(seed.0, &mut name[..16]);
        hex(n, &mut name[17..]);
        Self(std::str::from_utf8(&name).unwrap_or_default().into())
    }
}

/// The last hex digits of `value`, as many as there is room for.
fn hex(mut value: u64, digits: &mut [u8]) {
    for digit in digits.iter_mut().rev() {
        *digit = b"0123456789abcdef"[(value & 15) as usize];
        value >>= 4;
    }
}

/// One member of a counter's line of integers: 0 to 2^63 - 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "u64", into = "u64")]
pub struct Number(u64);

impl Number {
    /// The smallest number that any counter can hold.
    pub const MIN: Number = Number(0);

    /// The largest number that any counter can hold.
    pub const MAX: Number = Number(i64::MAX as u64);

    /// # Errors
    /// [`NumberTooLarge`] above 2^63 - 1.
    pub const fn new(value: u64) -> Result<Self, NumberTooLarge> {
        if value > Self::MAX.0 {
            Err(NumberTooLarge(value))
        } else {
            Ok(Self(value))
        }
    }

    /// The integer.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl TryFrom<u64> for Number {
    type Error = NumberTooLarge;
    fn try_from(value: u64) -> Result<Self, NumberTooLarge> {
        Self::new(value)
    }
}

impl From<Number> for u64 {
    fn from(number: Number) -> u64 {
        number.0
    }
}

/// An integer above 2^63 - 1 was given as a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0} is larger than 9223372036854775807, the largest number")]
pub struct NumberTooLarge(pub u64);

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn prefix(text: &str, valid: bool) {
        assert_eq!(Prefix::new(text).is_ok(), valid, "{text:?}");
    }

    #[test]
    fn a_prefix_begins_with_a_letter_or_digit_and_has_64_characters_at_most() {
        prefix("INV", true);
        prefix("9.a_b-C", true);
        prefix(&"x".repeat(64), true);
        prefix(&"x".repeat(65), false);
        prefix("", false);
        prefix("-INV", false);
        prefix("INV/2026", false);
        prefix("Ünder", false);
    }

    #[test]
    fn an_idempotency_key_is_1_to_255_printable_ascii_characters() {
        assert!(IdempotencyKey::new(&"k".repeat(255)).is_ok());
        assert!(IdempotencyKey::new(&"k".repeat(256)).is_err());
        assert!(IdempotencyKey::new("").is_err());
        assert!(IdempotencyKey::new("tab\there").is_err());
        assert!(IdempotencyKey::new("é").is_err());
    }

    #[test]
    fn a_number_ends_at_2_to_the_63_minus_1() {
        assert_eq!(Number::new(i64::MAX as u64), Ok(Number::MAX));
        assert_eq!(Number::new(1 << 63), Err(NumberTooLarge(1 << 63)));
    }

    #[test]
    fn an_error_names_the_place() {
        let error = Prefix::new("IN V").unwrap_err();
        assert_eq!(
            error.to_string(),
            "must not contain ' ' at position 3; allowed are letters, digits, '_', '-' and '.', beginning with a letter or digit"
        );
    }
}
