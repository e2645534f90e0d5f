//! Writing ids. Nothing here allocates but the caller's text as it grows.

use super::check_digit::{CheckAlgorithm, CheckInput, Ten};
use super::date_part::{DatePart, Moment, Source};
use super::piece::{CheckedText, FieldPiece, Kin, PieceKind};
use super::seq::SeqFormat;
use super::{Template, Values};
use crate::field::FieldValues;
use crate::names::Number;
use crate::period::{Calendar, Period};
use crate::time::{Date, Timestamp, Zone};

/// Why values have no text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RenderError {
    /// A field that the template prints was not given.
    #[error("{0:?} has no value")]
    Missing(Box<str>),
    /// The number needs more digits than `{seq:5!}` allows.
    #[error("the number {number} is above {capacity}, the largest that the format can print")]
    NumberTooLarge {
        /// The number.
        number: Number,
        /// The largest that has a text.
        capacity: Number,
    },
    /// A check digit cannot be computed.
    #[error("a check digit cannot be computed")]
    Check(#[from] CheckInput),
}

/// Whatever part of an id does not depend on its number or on the instant of issue, already written.
///
/// Made by [`Template::fixed`] for one counter and date; cheap to use for each of its numbers.
#[derive(Debug, Clone)]
pub struct Fixed {
    pieces: Vec<FixedPiece>,
    /// Bytes that an id needs unless its number outgrows the width.
    room: usize,
    calendar: Calendar,
    zone: Zone,
}

#[derive(Debug, Clone)]
enum FixedPiece {
    Text(Box<str>),
    Seq(SeqFormat, Number),
    Now(DatePart),
    Check {
        algorithm: CheckAlgorithm,
        ten: Ten,
        input: FixedInput,
    },
}

impl FixedPiece {
    fn room(&self) -> usize {
        match self {
            Self::Text(text) => text.len(),
            Self::Seq(seq, _) => seq.shortest(),
            Self::Now(part) => part.lengths().1,
            Self::Check { algorithm, .. } => algorithm.length(),
        }
    }
}

#[derive(Debug, Clone)]
enum FixedInput {
    Before,
    Pieces(Vec<FixedPiece>),
}

impl Fixed {
    /// Appends the id of a number that is issued at an instant.
    ///
    /// # Errors
    /// [`RenderError::NumberTooLarge`]; `out` is as it was.
    #[inline]
    pub fn render(&self, number: Number, now: Timestamp, out: &mut String) -> Result<(), RenderError> {
        let start = out.len();
        out.reserve(self.room);
        for piece in &self.pieces {
            match piece {
                FixedPiece::Text(text) => out.push_str(text),
                FixedPiece::Seq(seq, capacity) if number <= *capacity => seq.push(number, out),
                _ => self
                    .push(piece, (number, now), start, out)
                    .inspect_err(|_| out.truncate(start))?,
            }
        }
        Ok(())
    }

    fn push(
        &self,
        piece: &FixedPiece,
        issued: (Number, Timestamp),
        start: usize,
        out: &mut String,
    ) -> Result<(), RenderError> {
        let (number, now) = issued;
        match piece {
            FixedPiece::Text(text) => out.push_str(text),
            FixedPiece::Seq(_, capacity) if number > *capacity => {
                return Err(RenderError::NumberTooLarge {
                    number,
                    capacity: *capacity,
                });
            }
            FixedPiece::Seq(seq, _) => seq.push(number, out),
            FixedPiece::Now(part) => push_now(*part, self.calendar, Moment::at(now, &self.zone), out),
            FixedPiece::Check {
                algorithm,
                ten,
                input: FixedInput::Before,
            } => {
                push_check(*algorithm, *ten, start, out)?;
            }
            FixedPiece::Check {
                algorithm,
                ten,
                input: FixedInput::Pieces(pieces),
            } => {
                let end = out.len();
                pieces
                    .iter()
                    .try_for_each(|piece| self.push(piece, issued, end, out))?;
                replace_by_check(*algorithm, *ten, end, out)?;
            }
        }
        Ok(())
    }
}

fn push_now(part: DatePart, calendar: Calendar, moment: Moment, out: &mut String) {
    part.push(part.function.value(calendar, moment), out);
}

/// Replaces what stands from `end` on by its check digits.
fn replace_by_check(
    algorithm: CheckAlgorithm,
    ten: Ten,
    end: usize,
    out: &mut String,
) -> Result<(), RenderError> {
    let check = algorithm.compute(&out[end..], ten)?;
    out.truncate(end);
    out.push_str(check.as_str());
    Ok(())
}

fn push_check(
    algorithm: CheckAlgorithm,
    ten: Ten,
    start: usize,
    out: &mut String,
) -> Result<(), RenderError> {
    let check = algorithm.compute(&out[start..], ten)?;
    out.push_str(check.as_str());
    Ok(())
}

impl Template {
    /// Writes everything but the number, the instant of issue and the check digits.
    ///
    /// # Errors
    /// [`RenderError::Missing`] names a field that the template prints and that has no value.
    pub fn fixed(
        &self,
        date: Date,
        period: &Period,
        scope: &FieldValues,
        fields: &FieldValues,
    ) -> Result<Fixed, RenderError> {
        let document = Document {
            date,
            period,
            scope,
            fields,
        };
        let mut pieces: Vec<FixedPiece> = Vec::new();
        for index in 0..self.pieces.len() {
            match (self.fixed_piece(index, &document)?, pieces.last_mut()) {
                (FixedPiece::Text(text), Some(FixedPiece::Text(before))) => {
                    *before = [&**before, &*text].concat().into();
                }
                (piece, _) => pieces.push(piece),
            }
        }
        let room = pieces.iter().map(FixedPiece::room).sum();
        Ok(Fixed {
            pieces,
            room,
            calendar: self.calendar,
            zone: self.zone.clone(),
        })
    }

    fn fixed_piece(&self, index: usize, document: &Document<'_>) -> Result<FixedPiece, RenderError> {
        Ok(match &self.pieces[index].kind {
            PieceKind::Seq(seq) => FixedPiece::Seq(seq.clone(), seq.capacity()),
            PieceKind::Date(Source::Now, part) => FixedPiece::Now(*part),
            PieceKind::Check(check) => {
                let input = match &check.input {
                    CheckedText::Before => FixedInput::Before,
                    CheckedText::Pieces(named) => {
                        let piece = |&named: &usize| self.fixed_piece(named, document);
                        FixedInput::Pieces(named.iter().map(piece).collect::<Result<_, _>>()?)
                    }
                };
                FixedPiece::Check {
                    algorithm: check.algorithm,
                    ten: check.ten,
                    input,
                }
            }
            PieceKind::Text(text) => FixedPiece::Text(text.clone()),
            PieceKind::Date(source, part) => {
                let mut text = String::new();
                self.push_date(*source, *part, document, &mut text);
                FixedPiece::Text(text.into())
            }
            PieceKind::Field(field) => {
                let mut text = String::new();
                push_field(field, document, &mut text)?;
                FixedPiece::Text(text.into())
            }
        })
    }

    pub(super) fn render_values(&self, values: &Values<'_>, out: &mut String) -> Result<(), RenderError> {
        let start = out.len();
        let indices = 0..self.pieces.len();
        let written = indices
            .into_iter()
            .try_for_each(|index| self.push_piece(index, values, start, out));
        if written.is_err() {
            out.truncate(start);
        }
        written
    }

    fn push_piece(
        &self,
        index: usize,
        values: &Values<'_>,
        start: usize,
        out: &mut String,
    ) -> Result<(), RenderError> {
        let &Values {
            date,
            period,
            scope,
            fields,
            number,
            now,
            ..
        } = values;
        let document = Document {
            date,
            period,
            scope,
            fields,
        };
        match &self.pieces[index].kind {
            PieceKind::Text(text) => out.push_str(text),
            PieceKind::Seq(seq) if number > seq.capacity() => {
                return Err(RenderError::NumberTooLarge {
                    number,
                    capacity: seq.capacity(),
                });
            }
            PieceKind::Seq(seq) => seq.push(number, out),
            PieceKind::Date(Source::Now, part) => {
                push_now(*part, self.calendar, Moment::at(now, &self.zone), out);
            }
            PieceKind::Date(source, part) => self.push_date(*source, *part, &document, out),
            PieceKind::Field(field) => push_field(field, &document, out)?,
            PieceKind::Check(check) => match &check.input {
                CheckedText::Before => push_check(check.algorithm, check.ten, start, out)?,
                CheckedText::Pieces(named) => {
                    let end = out.len();
                    named
                        .iter()
                        .try_for_each(|&named| self.push_piece(named, values, end, out))?;
                    replace_by_check(check.algorithm, check.ten, end, out)?;
                }
            },
        }
        Ok(())
    }

    fn push_date(&self, source: Source, part: DatePart, document: &Document<'_>, out: &mut String) {
        let day = match source {
            Source::PeriodStart => document.period.first().unwrap_or(document.date),
            Source::PeriodEnd => document.period.last().unwrap_or(document.date),
            Source::Date | Source::Now => document.date,
        };
        part.push(part.function.value(self.calendar, Moment::day(day)), out);
    }
}

/// What decides an id besides its number and the instant of issue.
struct Document<'a> {
    date: Date,
    period: &'a Period,
    scope: &'a FieldValues,
    fields: &'a FieldValues,
}

fn push_field(field: &FieldPiece, document: &Document<'_>, out: &mut String) -> Result<(), RenderError> {
    let name = &field.declaration.name;
    let values = match field.kin {
        Kin::Scope => document.scope,
        Kin::Free => document.fields,
    };
    let value = values
        .get(name)
        .ok_or_else(|| RenderError::Missing(name.as_str().into()))?;
    field.push(value, out);
    Ok(())
}
