//! The named values that a document brings along: what a definition declares, and what a draw gives.

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};
use std::str::FromStr;
use std::sync::Arc;

use serde::de::{self, MapAccess, Visitor, value::MapAccessDeserializer};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use unicode_normalization::UnicodeNormalization;

use crate::charset::CharSet;

/// Values as a caller sends them, by name.
pub type RawValues = BTreeMap<String, String>;

/// The longest value that a field can allow, in characters.
pub const LONGEST_VALUE: u16 = 128;

const LONGEST_NAME: usize = 32;

/// Words of the template language, which no field can have as its name.
const RESERVED: [&str; 34] = [
    "attr",
    "before",
    "check",
    "d",
    "date",
    "dd",
    "doy",
    "fp",
    "fq",
    "fy",
    "fy_end",
    "fy_start",
    "half",
    "iso_day",
    "iso_week",
    "iso_yy",
    "iso_yyyy",
    "m",
    "mm",
    "now",
    "period",
    "period_end",
    "period_no",
    "period_start",
    "prefix",
    "q",
    "seq",
    "tenant",
    "week",
    "week_clamped",
    "week_sun",
    "y",
    "yy",
    "yyyy",
];

/// Whether the name is a word of the template language.
#[must_use]
pub fn is_reserved(name: &str) -> bool {
    RESERVED.contains(&name)
}

/// Whether the text has the form of a field's name: a lower-case letter, then at most 31 lower-case
/// letters, digits and `_`.
#[must_use]
pub fn is_name(text: &str) -> bool {
    let rest = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    text.starts_with(|c: char| c.is_ascii_lowercase()) && text.len() <= LONGEST_NAME && text.chars().all(rest)
}

/// The case to which values are brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Case {
    /// Upper case.
    Upper,
    /// Lower case.
    Lower,
}

/// A field of a definition: its name and the values it can have.
///
/// In JSON either the name alone, `"branch"`, or an object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(remote = "Self", deny_unknown_fields)]
pub struct FieldDeclaration {
    /// The name, as the format and the draws write it.
    pub name: String,
    /// The characters that values may have. Letters and digits of ASCII unless declared.
    #[serde(default = "CharSet::alphanumeric")]
    pub chars: CharSet,
    /// Fewest characters of a value. 1 unless declared.
    #[serde(default = "one")]
    pub min: u16,
    /// Most characters of a value. 32 unless declared.
    #[serde(default = "thirty_two")]
    pub max: u16,
    /// The case to which values are brought before they are checked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub case: Option<Case>,
    /// Shorter values get zeros in front until they have this many characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pad: Option<u16>,
    /// The only values allowed, when there are any.
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "texts")]
    pub values: Vec<String>,
    /// The value of a draw that gives none.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "optional_text"
    )]
    pub default: Option<String>,
}

fn one() -> u16 {
    1
}

fn thirty_two() -> u16 {
    32
}

impl FieldDeclaration {
    /// The declaration that the short form stands for: 1 to 32 letters and digits.
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            chars: CharSet::alphanumeric(),
            min: one(),
            max: thirty_two(),
            case: None,
            pad: None,
            values: Vec::new(),
            default: None,
        }
    }

    /// The characters of the fewest that a normalised value can have.
    #[must_use]
    pub fn shortest(&self) -> usize {
        let listed = self.values.iter().map(|value| value.chars().count()).min();
        listed.unwrap_or_else(|| usize::from(self.min.max(self.pad.unwrap_or(0))))
    }

    /// The characters of the most that a normalised value can have.
    #[must_use]
    pub fn longest(&self) -> usize {
        let listed = self.values.iter().map(|value| value.chars().count()).max();
        listed.unwrap_or(usize::from(self.max))
    }

    /// The characters that a normalised value can have.
    #[must_use]
    pub fn alphabet(&self) -> CharSet {
        if !self.values.is_empty() {
            return self.values.iter().flat_map(|value| value.chars()).collect();
        }
        match self.case {
            None => self.chars.clone(),
            Some(Case::Upper) => self.chars.without_range('a', 'z'),
            Some(Case::Lower) => self.chars.without_range('A', 'Z'),
        }
    }

    /// The value that decides the counter and is printed: composed (NFC), in the declared case, padded.
    ///
    /// # Errors
    /// [`ValueRefused`] when there is neither a value nor a default, or the value is not one of those declared.
    pub fn normalise(&self, given: Option<&str>) -> Result<String, ValueRefused> {
        let given = given.or(self.default.as_deref());
        let value = self.shaped(given.ok_or_else(|| ValueRefused::Missing {
            field: self.name.clone(),
        })?);
        self.allows(&value)?;
        Ok(value)
    }

    /// The value as [`normalise`](Self::normalise) would bring it into shape, unchecked.
    #[must_use]
    pub fn shaped(&self, value: &str) -> String {
        let composed: String = value.nfc().collect();
        let cased: String = match self.case {
            None => composed,
            Some(Case::Upper) => composed.to_uppercase().nfc().collect(),
            Some(Case::Lower) => composed.to_lowercase().nfc().collect(),
        };
        let missing = usize::from(self.pad.unwrap_or(0)).saturating_sub(cased.chars().count());
        "0".repeat(missing) + &cased
    }

    /// Whether a value in its normal shape is one of those declared.
    ///
    /// # Errors
    /// [`ValueRefused`] says which rule it breaks.
    pub fn allows(&self, value: &str) -> Result<(), ValueRefused> {
        let field = || self.name.clone();
        let len = value.chars().count();
        if len < usize::from(self.min) || len > usize::from(self.max) {
            return Err(ValueRefused::Length {
                field: field(),
                min: self.min,
                max: self.max,
                len,
            });
        }
        if let Some(character) = value.chars().find(|&c| !self.chars.contains(c)) {
            return Err(ValueRefused::Character {
                field: field(),
                character,
                allowed: self.chars.clone(),
            });
        }
        if !self.values.is_empty() && !self.values.iter().any(|listed| listed == value) {
            return Err(ValueRefused::NotListed {
                field: field(),
                value: value.to_owned(),
            });
        }
        Ok(())
    }
}

impl<'de> Deserialize<'de> for FieldDeclaration {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct NameOrObject;

        impl<'de> Visitor<'de> for NameOrObject {
            type Value = FieldDeclaration;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the name of a field, or an object that declares one")
            }

            fn visit_str<E: de::Error>(self, name: &str) -> Result<FieldDeclaration, E> {
                Ok(FieldDeclaration::new(name))
            }

            fn visit_map<A: MapAccess<'de>>(self, members: A) -> Result<FieldDeclaration, A::Error> {
                FieldDeclaration::deserialize(MapAccessDeserializer::new(members))
            }
        }

        deserializer.deserialize_any(NameOrObject)
    }
}

impl Serialize for FieldDeclaration {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        FieldDeclaration::serialize(self, serializer)
    }
}

/// A value as it is sent: a text, or an integer that stands for its digits.
struct TextOrInteger(String);

impl<'de> Deserialize<'de> for TextOrInteger {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Value;

        impl Visitor<'_> for Value {
            type Value = TextOrInteger;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text or an integer")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<TextOrInteger, E> {
                Ok(TextOrInteger(text.to_owned()))
            }

            fn visit_u64<E: de::Error>(self, integer: u64) -> Result<TextOrInteger, E> {
                Ok(TextOrInteger(integer.to_string()))
            }

            fn visit_i64<E: de::Error>(self, integer: i64) -> Result<TextOrInteger, E> {
                Ok(TextOrInteger(integer.to_string()))
            }
        }

        deserializer.deserialize_any(Value)
    }
}

fn texts<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    let values = Vec::<TextOrInteger>::deserialize(deserializer)?;
    Ok(values.into_iter().map(|value| value.0).collect())
}

fn optional_text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    Ok(Option::<TextOrInteger>::deserialize(deserializer)?.map(|value| value.0))
}

/// Reads values as they are sent: an object whose members are texts or integers.
///
/// For `#[serde(deserialize_with = "...")]` on a member of type [`RawValues`].
///
/// # Errors
/// Those of the deserializer.
pub fn deserialize_raw_values<'de, D: Deserializer<'de>>(deserializer: D) -> Result<RawValues, D::Error> {
    let values = BTreeMap::<String, TextOrInteger>::deserialize(deserializer)?;
    Ok(values.into_iter().map(|(name, value)| (name, value.0)).collect())
}

/// Why the values of a draw are not accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ValueRefused {
    /// The definition declares no such name.
    #[error("{field:?} is not declared; the sequence has {declared}")]
    Undeclared {
        /// The name as sent.
        field: String,
        /// The names that would have been allowed, in words.
        declared: String,
    },
    /// Neither a value nor a default.
    #[error("{field:?} has no value and no default")]
    Missing {
        /// The field.
        field: String,
    },
    /// Too short or too long.
    #[error("{field:?} must have {min} to {max} characters, has {len}")]
    Length {
        /// The field.
        field: String,
        /// Fewest characters allowed.
        min: u16,
        /// Most characters allowed.
        max: u16,
        /// Characters found.
        len: usize,
    },
    /// A character that the field does not allow.
    #[error("{field:?} must not contain {character:?}; allowed are {allowed}")]
    Character {
        /// The field.
        field: String,
        /// The offending character.
        character: char,
        /// What would have been allowed.
        allowed: CharSet,
    },
    /// Not one of the listed values.
    #[error("{value:?} is not one of the values of {field:?}")]
    NotListed {
        /// The field.
        field: String,
        /// The value, normalised.
        value: String,
    },
}

/// Brings the values of a draw into their normal shape, one for each declaration.
///
/// # Errors
/// [`ValueRefused`] for a name that nothing declares, a missing value, or one that is not allowed.
pub fn resolve(declarations: &[FieldDeclaration], given: &RawValues) -> Result<FieldValues, ValueRefused> {
    if let Some(field) = given
        .keys()
        .find(|name| declarations.iter().all(|d| d.name != **name))
    {
        return Err(ValueRefused::Undeclared {
            field: field.clone(),
            declared: names(declarations),
        });
    }
    let value = |d: &FieldDeclaration| {
        Ok((
            d.name.clone(),
            d.normalise(given.get(&d.name).map(String::as_str))?,
        ))
    };
    declarations
        .iter()
        .map(value)
        .collect::<Result<Vec<_>, _>>()
        .map(FieldValues::new)
}

fn names(declarations: &[FieldDeclaration]) -> String {
    let names: Vec<&str> = declarations.iter().map(|d| d.name.as_str()).collect();
    if names.is_empty() {
        "none".to_owned()
    } else {
        names.join(", ")
    }
}

/// Normalised values by name, in the order of the names.
///
/// Its text, `branch=JKT&dept=A`, is the same for equal values and can serve as a key; in it `%`, `&` and `=`
/// are written `%25`, `%26` and `%3D`. In JSON an object.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FieldValues(Option<Arc<[Pair]>>);

/// A name and its value.
type Pair = (Box<str>, Box<str>);

impl FieldValues {
    /// Collects values by name. Of two with the same name, the later is kept.
    pub fn new<N: Into<String>, V: Into<String>>(values: impl IntoIterator<Item = (N, V)>) -> Self {
        let sorted: RawValues = values
            .into_iter()
            .map(|(name, value)| (name.into(), value.into()))
            .collect();
        let boxed = |(name, value): (String, String)| (name.into_boxed_str(), value.into_boxed_str());
        Self((!sorted.is_empty()).then(|| sorted.into_iter().map(boxed).collect()))
    }

    /// The value of a name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.iter()
            .find(|(known, _)| *known == name)
            .map(|(_, value)| value)
    }

    /// Names and values, in the order of the names.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0
            .iter()
            .flat_map(|values| values.iter())
            .map(|(name, value)| (name.as_ref(), value.as_ref()))
    }

    /// Whether there are no values.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_none()
    }
}

impl fmt::Display for FieldValues {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (name, value)) in self.iter().enumerate() {
            if index > 0 {
                f.write_char('&')?;
            }
            write_escaped(f, name)?;
            f.write_char('=')?;
            write_escaped(f, value)?;
        }
        Ok(())
    }
}

fn write_escaped(f: &mut fmt::Formatter<'_>, text: &str) -> fmt::Result {
    text.chars().try_for_each(|c| match c {
        '%' => f.write_str("%25"),
        '&' => f.write_str("%26"),
        '=' => f.write_str("%3D"),
        other => f.write_char(other),
    })
}

impl FromStr for FieldValues {
    type Err = InvalidFieldValues;
    fn from_str(text: &str) -> Result<Self, InvalidFieldValues> {
        let invalid = || InvalidFieldValues(text.into());
        let pair = |part: &str| {
            let (name, value) = part.split_once('=')?;
            Some((unescaped(name)?, unescaped(value)?))
        };
        let parts = text.split('&').filter(|_| !text.is_empty());
        let values = Self::new(parts.map(pair).collect::<Option<Vec<_>>>().ok_or_else(invalid)?);
        if values.to_string() == text {
            Ok(values)
        } else {
            Err(invalid())
        }
    }
}

fn unescaped(text: &str) -> Option<String> {
    let mut parts = text.split('%');
    let mut plain = parts.next()?.to_owned();
    for part in parts {
        let (code, rest) = part.split_at_checked(2)?;
        plain.push(match code {
            "25" => '%',
            "26" => '&',
            "3D" => '=',
            _ => return None,
        });
        plain.push_str(rest);
    }
    Some(plain)
}

/// A text is not one that [`FieldValues`] prints.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a list of values such as branch=JKT&dept=A")]
pub struct InvalidFieldValues(Box<str>);

impl Serialize for FieldValues {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.iter())
    }
}

impl<'de> Deserialize<'de> for FieldValues {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        RawValues::deserialize(deserializer).map(Self::new)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn declared(json: &str) -> FieldDeclaration {
        serde_json::from_str(json).unwrap()
    }

    #[track_caller]
    fn normalises(declaration: &str, given: Option<&str>, value: Result<&str, &str>) {
        let result = declared(declaration)
            .normalise(given)
            .map_err(|error| error.to_string());
        assert_eq!(result.as_deref().map_err(String::as_str), value);
    }

    #[test]
    fn the_short_form_is_a_name() {
        assert_eq!(declared(r#""branch""#), FieldDeclaration::new("branch"));
        assert_eq!(declared(r#"{"name":"branch"}"#), FieldDeclaration::new("branch"));
    }

    #[test]
    fn unknown_members_are_refused() {
        let error = serde_json::from_str::<FieldDeclaration>(r#"{"name":"a","length":3}"#).unwrap_err();
        assert!(error.to_string().contains("unknown field `length`"), "{error}");
    }

    #[test]
    fn a_declaration_reads_its_own_json() {
        let json =
            r#"{"name":"b","chars":"A-Z","min":2,"max":4,"case":"upper","values":["AB",12],"default":7}"#;
        let declaration = declared(json);
        assert_eq!(declaration.values, ["AB", "12"]);
        assert_eq!(declaration.default.as_deref(), Some("7"));
        assert_eq!(
            declared(&serde_json::to_string(&declaration).unwrap()),
            declaration
        );
    }

    #[test]
    fn values_are_normalised_before_they_are_checked() {
        normalises(
            r#"{"name":"b","case":"upper","chars":"A-Z"}"#,
            Some("jkt"),
            Ok("JKT"),
        );
        normalises(r#"{"name":"b","chars":"0-9","pad":4}"#, Some("12"), Ok("0012"));
        normalises(r#"{"name":"b","chars":"é"}"#, Some("e\u{301}"), Ok("é"));
        normalises(r#"{"name":"b","default":"HQ"}"#, None, Ok("HQ"));
        normalises(r#"{"name":"b"}"#, None, Err(r#""b" has no value and no default"#));
        normalises(
            r#"{"name":"b","max":2}"#,
            Some("ABC"),
            Err(r#""b" must have 1 to 2 characters, has 3"#),
        );
        normalises(
            r#"{"name":"b","values":["A"]}"#,
            Some("B"),
            Err(r#""B" is not one of the values of "b""#),
        );
        normalises(
            r#"{"name":"b","chars":"A-Z"}"#,
            Some("a"),
            Err(r#""b" must not contain 'a'; allowed are A-Z"#),
        );
    }

    #[test]
    fn an_undeclared_name_is_refused_with_those_that_are_declared() {
        let given = RawValues::from([("brnach".to_owned(), "JKT".to_owned())]);
        let error = resolve(&[FieldDeclaration::new("branch")], &given).unwrap_err();
        assert_eq!(
            error.to_string(),
            r#""brnach" is not declared; the sequence has branch"#
        );
    }

    #[test]
    fn values_are_told_apart_by_name_and_not_by_order() {
        let values = FieldValues::new([("dept", "A"), ("branch", "J&T")]);
        assert_eq!(values.to_string(), "branch=J%26T&dept=A");
        assert_eq!(values, FieldValues::new([("branch", "J&T"), ("dept", "A")]));
        assert_eq!(
            serde_json::to_string(&values).unwrap(),
            r#"{"branch":"J&T","dept":"A"}"#
        );
        assert_eq!(
            FieldValues::new(Vec::<(String, String)>::new()),
            FieldValues::default()
        );
    }

    #[test]
    fn only_the_canonical_text_of_values_is_read() {
        for text in ["b=1&a=1", "a=1&a=1", "a", "a=%2D", "a=%3d", "a=%", "&", "a=b=c"] {
            assert!(text.parse::<FieldValues>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn integers_are_accepted_as_values() {
        let mut json = serde_json::Deserializer::from_str(r#"{"customer":1234,"branch":"JKT"}"#);
        let values = deserialize_raw_values(&mut json).unwrap();
        assert_eq!(values["customer"], "1234");
    }

    #[test]
    fn a_name_has_32_lower_case_characters_at_most() {
        assert!(is_name("cost_centre2") && is_name(&"x".repeat(32)));
        for text in ["", "Branch", "2nd", "_a", "a-b", &"x".repeat(33)] {
            assert!(!is_name(text), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn values_read_their_own_text(values in proptest::collection::btree_map("[a-z]{1,3}", "[a-c%&= é]{0,4}", 0..4)) {
            let values = FieldValues::new(values);
            prop_assert_eq!(values.to_string().parse::<FieldValues>(), Ok(values.clone()));
            let json = serde_json::to_string(&values).unwrap();
            prop_assert_eq!(serde_json::from_str::<FieldValues>(&json).unwrap(), values);
        }
    }
}
