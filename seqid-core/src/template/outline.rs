//! A compiled template as data, for programs that write ids where this crate does not run, such as a database.

use serde::Serialize;

use super::date_part::Source;
use super::grammar::Transform;
use super::piece::{CheckPiece, CheckedText, FieldPiece, Kin, Piece, PieceKind};
use super::seq::SeqFormat;

/// One part of an id: its text is that of its parts, one after another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Part {
    /// The same text in every id.
    Text(String),
    /// The number. The first digit is zero; it stands in front of numbers with fewer digits than `width`.
    Seq {
        /// The digits in ascending order: as many as the base.
        digits: String,
        /// The fewest digits.
        width: usize,
    },
    /// A part of a day.
    Date {
        /// Which day.
        day: Day,
        /// What is taken from it, a small integer: `month`, `iso_year`, `fiscal_period`.
        value: &'static str,
        /// How it is written.
        text: DateText,
    },
    /// The value of a field.
    Field {
        /// Whether it is one that chooses the counter.
        scope: bool,
        /// Its name.
        name: String,
        /// What is done to the value: first all cuts in this order, then all changes of case in this order.
        transforms: Vec<Shown>,
    },
    /// A check digit.
    Check {
        /// The algorithm's name, as templates have it.
        algorithm: &'static str,
        /// What is written for the value ten.
        ten: char,
        /// The parts that it is computed from, counted from 0; `None` for the text of all parts before it.
        over: Option<Vec<usize>>,
    },
}

/// The day that a part is taken from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Day {
    /// The document's date.
    Date,
    /// The first day of its period; its date where the sequence never starts again.
    PeriodStart,
    /// The last day of its period; its date where the sequence never starts again.
    PeriodEnd,
    /// The instant of issue in the zone of the definition, a time of day included.
    Now,
}

/// How a value that was taken from a day is written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum DateText {
    /// In decimal, with zeros in front up to this width.
    Padded(usize),
    /// The last digits of a year, after so many years were added. Never negative: 10 to the power of `digits` is added then.
    Year {
        /// How many digits.
        digits: usize,
        /// The years.
        add: i32,
    },
    /// By name.
    Names {
        /// The value of the first name.
        first: u16,
        /// The names of the values from there on.
        names: &'static [&'static str],
    },
}

/// What is done to a field's value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Shown {
    /// In capitals, character by character; one whose capital is more than one character stays as it is.
    Upper,
    /// In small letters, in the same way.
    Lower,
    /// Only so many characters from the beginning.
    First(usize),
    /// Only so many characters from the end.
    Last(usize),
}

impl From<&Piece> for Part {
    fn from(piece: &Piece) -> Self {
        match &piece.kind {
            PieceKind::Text(text) => Self::Text(text.to_string()),
            PieceKind::Seq(seq) => Self::of_seq(seq),
            PieceKind::Date(source, part) => Self::Date {
                day: (*source).into(),
                value: part.function.as_str(),
                text: part.outline(),
            },
            PieceKind::Field(field) => Self::of_field(field),
            PieceKind::Check(check) => Self::of_check(check),
        }
    }
}

impl Part {
    fn of_seq(seq: &SeqFormat) -> Self {
        Self::Seq {
            digits: seq.digits().to_owned(),
            width: seq.shortest(),
        }
    }

    fn of_field(field: &FieldPiece) -> Self {
        let shown = |transform: &Transform| match *transform {
            Transform::Upper => Shown::Upper,
            Transform::Lower => Shown::Lower,
            Transform::First(count) => Shown::First(count),
            Transform::Last(count) => Shown::Last(count),
        };
        Self::Field {
            scope: field.kin == Kin::Scope,
            name: field.declaration.name.clone(),
            transforms: field.transforms.iter().map(shown).collect(),
        }
    }

    fn of_check(check: &CheckPiece) -> Self {
        Self::Check {
            algorithm: check.algorithm.as_str(),
            ten: check.ten.as_char(),
            over: match &check.input {
                CheckedText::Before => None,
                CheckedText::Pieces(pieces) => Some(pieces.clone()),
            },
        }
    }
}

impl From<Source> for Day {
    fn from(source: Source) -> Self {
        match source {
            Source::Date => Self::Date,
            Source::PeriodStart => Self::PeriodStart,
            Source::PeriodEnd => Self::PeriodEnd,
            Source::Now => Self::Now,
        }
    }
}
