//! Reading ids back: divided by the plan, each piece checked against what could have been written.

use std::collections::HashMap;

use super::date_part::Source;
use super::period_check::{Periods, Reading};
use super::piece::{CheckPiece, CheckedText, FieldPiece, Kin, PieceKind};
use super::{Parsed, Template};
use crate::field::FieldValues;
use crate::names::Number;
use crate::time::Date;

/// What the pieces said so far.
#[derive(Default)]
struct Read<'a> {
    number: Option<Number>,
    fields: Vec<(&'a FieldPiece, &'a str)>,
    dates: Reading,
}

impl Template {
    pub(super) fn read(&self, id: &str) -> Option<Parsed> {
        let read = self.read_pieces(id)?;
        let periods = read.dates.periods(self.calendar, self.window);
        Some(read.parsed(periods)?.0)
    }

    /// Reads many ids, each with a date.
    #[must_use]
    pub fn dated_reader(&self) -> DatedReader<'_> {
        DatedReader {
            template: self,
            found: HashMap::new(),
        }
    }

    fn read_pieces<'a>(&'a self, id: &'a str) -> Option<Read<'a>> {
        let texts = self.plan.divide(id)?;
        let mut read = Read::default();
        for (piece, text) in self.pieces.iter().zip(&texts) {
            read.piece(&piece.kind, text)?;
        }
        self.checks_agree(&texts).then_some(read)
    }

    fn checks_agree(&self, texts: &[&str]) -> bool {
        self.pieces
            .iter()
            .enumerate()
            .all(|(index, piece)| match &piece.kind {
                PieceKind::Check(check) => check.agrees(index, texts),
                _ => true,
            })
    }
}

/// Reads ids together with the first date that a document with each of them can have. The days are gone through once
/// for all texts that show the same of the date.
#[derive(Debug)]
pub struct DatedReader<'a> {
    template: &'a Template,
    found: HashMap<Reading, Periods>,
}

impl DatedReader<'_> {
    /// What an id tells, and the first date of its document; no date where the text shows nothing of it. `None` when
    /// the template never wrote it.
    pub fn read(&mut self, id: &str) -> Option<(Parsed, Option<Date>)> {
        let read = self.template.read_pieces(id)?;
        let periods = match self.found.get(&read.dates) {
            Some(periods) => *periods,
            None => {
                let periods = read.dates.periods(self.template.calendar, self.template.window);
                self.found.insert(read.dates.clone(), periods);
                periods
            }
        };
        read.parsed(periods)
    }
}

impl CheckPiece {
    fn agrees(&self, index: usize, texts: &[&str]) -> bool {
        let input = match &self.input {
            CheckedText::Before => texts[..index].concat(),
            CheckedText::Pieces(named) => named.iter().map(|&named| texts[named]).collect(),
        };
        self.algorithm
            .compute(&input, self.ten)
            .is_ok_and(|check| check.as_str() == texts[index])
    }
}

impl<'a> Read<'a> {
    /// `None` if the piece never has this text, or another piece said otherwise.
    fn piece(&mut self, kind: &'a PieceKind, text: &'a str) -> Option<()> {
        let agrees = match kind {
            PieceKind::Text(expected) => **expected == *text,
            PieceKind::Seq(seq) => {
                let number = seq.read(text)?;
                *self.number.get_or_insert(number) == number
            }
            PieceKind::Date(Source::Now, part) => part.read(text).is_some(),
            PieceKind::Date(source, part) => self.dates.add((*source, part.function), part.read(text)?),
            PieceKind::Field(field) => {
                self.fields.push((field, text));
                field.can_print(text)
            }
            PieceKind::Check(_) => true,
        };
        agrees.then_some(())
    }

    fn parsed(&self, periods: Periods) -> Option<(Parsed, Option<Date>)> {
        let (period, date) = match periods {
            Periods::None => return None,
            Periods::One(period, date) => (Some(period), date),
            Periods::Several => (None, None),
        };
        let (scope, fields) = (self.values(Kin::Scope)?, self.values(Kin::Free)?);
        Some((Parsed::new(self.number?, scope, fields, period), date))
    }

    /// The value of each name: as it is printed unchanged, or else as it is printed first.
    fn values(&self, kin: Kin) -> Option<FieldValues> {
        let printed = || self.fields.iter().filter(|(field, _)| field.kin == kin);
        let mut values: Vec<(&str, &str)> = Vec::new();
        let (unchanged, changed): (Vec<_>, Vec<_>) =
            printed().partition(|(field, _)| field.transforms.is_empty());
        for (field, text) in unchanged.into_iter().chain(changed) {
            let name = field.declaration.name.as_str();
            match values.iter().find(|(known, _)| *known == name) {
                None => values.push((name, text)),
                Some((_, value)) if !self.is_printed_unchanged(name) || field.shown(value) == *text => (),
                Some(_) => return None,
            }
        }
        Some(FieldValues::new(values))
    }

    fn is_printed_unchanged(&self, name: &str) -> bool {
        self.fields
            .iter()
            .any(|(field, _)| field.declaration.name == name && field.transforms.is_empty())
    }
}
