//! Templates: how an id is written, read back, and proved to name one document only.
//!
//! `INV-{yyyy}-{seq:5}` is compiled once, with everything that its sequence fixes, and refused unless it can
//! be read in one way, prints the period and every scope value, and fits its bounds.

pub mod check_digit;
mod date_part;
mod grammar;
mod outline;
mod parse;
mod period_check;
mod piece;
mod plan;
mod render;
mod resolve;
mod seq;

pub mod analysis;
pub mod overlap;

use std::fmt;

pub use outline::{DateText, Day, Part, Shown};
pub use parse::DatedReader;
pub use render::{Fixed, RenderError};

use crate::charset::CharSet;
use crate::field::{FieldDeclaration, FieldValues};
use crate::names::{Number, Prefix, Tenant};
use crate::period::{Calendar, FiscalLabel, Period};
use crate::refusal::Refusal;
use crate::time::{Date, Timestamp, Zone};

use piece::{Piece, PieceKind};
use plan::Plan;

/// What decides an id.
#[derive(Debug, Clone, Copy)]
pub struct Values<'a> {
    /// The tenant.
    pub tenant: &'a Tenant,
    /// The prefix.
    pub prefix: &'a Prefix,
    /// The document's date.
    pub date: Date,
    /// The period that the date belongs to.
    pub period: &'a Period,
    /// The values that chose the counter.
    pub scope: &'a FieldValues,
    /// The other values.
    pub fields: &'a FieldValues,
    /// The number.
    pub number: Number,
    /// The instant of issue.
    pub now: Timestamp,
}

/// What an id tells about its document.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Parsed {
    /// The number.
    pub number: Number,
    /// The values that chose the counter, as far as they are printed.
    pub scope: FieldValues,
    /// The other values that are printed. Those that are printed changed, in capitals or shortened, are given
    /// as they are printed.
    pub fields: FieldValues,
    /// The period, if the text determines it.
    pub period: Option<Period>,
}

impl Parsed {
    /// What was read.
    #[must_use]
    pub fn new(number: Number, scope: FieldValues, fields: FieldValues, period: Option<Period>) -> Self {
        Self {
            number,
            scope,
            fields,
            period,
        }
    }
}

/// What the text of an id determines, by the word of the template that writes it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Determines {
    /// Two counters whose periods differ never print the same text.
    pub period: bool,
    /// The scope names for which two counters with different values never print the same text.
    pub scope: Vec<String>,
    /// Two numbers of one counter never print the same text.
    pub number: bool,
}

/// A way to write ids.
///
/// # Contract
/// `render` MUST give the same text for the same values, and different texts wherever `determines` says so.
/// `parse` MUST accept every text that `render` wrote and no other that it could not have written.
pub trait FormatTemplate: Send + Sync + fmt::Debug {
    /// Appends the id; allocates nothing but what `out` needs to grow.
    ///
    /// # Errors
    /// [`RenderError`] when a value has no text; `out` is as it was.
    fn render(&self, values: &Values<'_>, out: &mut String) -> Result<(), RenderError>;

    /// Reads an id back; `None` when this template never wrote it.
    fn parse(&self, id: &str) -> Option<Parsed>;

    /// The characters of the longest id whose number is not above `max`; `None` if there is no bound.
    fn longest(&self, max: Number) -> Option<usize>;

    /// The characters that an id can have.
    fn alphabet(&self) -> CharSet;

    /// What the text determines.
    fn determines(&self) -> Determines;
}

/// Whether a definition may print one id for two documents.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Repeats {
    /// It is refused then.
    #[default]
    Refused,
    /// It was asked for: neither the period nor the scope need be printed.
    Accepted,
}

/// Everything fixed that a template's words refer to.
#[derive(Debug, Clone)]
pub struct Language<'a> {
    /// What `{tenant}` prints.
    pub tenant: &'a Tenant,
    /// What `{prefix}` prints.
    pub prefix: &'a Prefix,
    /// The fields that choose the counter.
    pub scope: &'a [FieldDeclaration],
    /// The other fields.
    pub fields: &'a [FieldDeclaration],
    /// The periods.
    pub calendar: Calendar,
    /// What `{fy}` prints.
    pub fiscal_label: FiscalLabel,
    /// The zone of `{now:...}`.
    pub zone: &'a Zone,
    /// The first and last year that documents may have; by default what the printed years can tell apart.
    pub window: Option<(i16, i16)>,
    /// The largest number, if it was chosen; otherwise it becomes the largest that fits.
    pub max: Option<Number>,
    /// The most characters that an id may have.
    pub max_length: Option<usize>,
    /// The characters that an id may have.
    pub charset: Option<&'a CharSet>,
    /// Whether one id for two documents is accepted.
    pub repeats: Repeats,
}

impl<'a> Language<'a> {
    /// The words of a sequence without fields, bounds or a window.
    #[must_use]
    pub fn new(tenant: &'a Tenant, prefix: &'a Prefix, zone: &'a Zone, calendar: Calendar) -> Self {
        Self {
            tenant,
            prefix,
            scope: &[],
            fields: &[],
            calendar,
            fiscal_label: FiscalLabel::default(),
            zone,
            window: None,
            max: None,
            max_length: None,
            charset: None,
            repeats: Repeats::Refused,
        }
    }
}

/// A compiled template of the language.
#[derive(Debug, Clone)]
pub struct Template {
    pieces: Vec<Piece>,
    plan: Plan,
    calendar: Calendar,
    zone: Zone,
    window: Option<(Date, Date)>,
    scope: Vec<FieldDeclaration>,
    fields: Vec<FieldDeclaration>,
    determines: Determines,
}

impl Template {
    /// Reads a template and proves that its ids can be told apart.
    ///
    /// # Errors
    /// Every reason against it, each with an example.
    pub fn compile(text: &str, language: &Language<'_>) -> Result<Self, Vec<Refusal>> {
        let parts = grammar::parse(text).map_err(|refusal| vec![refusal])?;
        let pieces = resolve::pieces(&parts, language)?;
        analysis::checked(pieces, language)
    }

    /// The first and last date that a document may have, or `None` if every date can be printed.
    #[must_use]
    pub fn window(&self) -> Option<(Date, Date)> {
        self.window
    }

    /// The largest number whose id has at most so many characters; `None` if not even 0 has.
    #[must_use]
    pub fn capacity(&self, max_length: Option<usize>) -> Option<Number> {
        piece::capacity(&self.pieces, max_length)
    }

    /// What its ids are made of, in their order: all that another program needs to write the same ones.
    #[must_use]
    pub fn outline(&self) -> Vec<Part> {
        self.pieces.iter().map(Part::from).collect()
    }

    /// Whether ids depend on the instant of issue, so that they cannot be known before.
    #[must_use]
    pub fn uses_now(&self) -> bool {
        self.pieces
            .iter()
            .any(|piece| matches!(piece.kind, PieceKind::Date(date_part::Source::Now, _)))
    }
}

impl FormatTemplate for Template {
    fn render(&self, values: &Values<'_>, out: &mut String) -> Result<(), RenderError> {
        self.render_values(values, out)
    }

    fn parse(&self, id: &str) -> Option<Parsed> {
        self.read(id)
    }

    fn longest(&self, max: Number) -> Option<usize> {
        Some(piece::longest(&self.pieces, max))
    }

    fn alphabet(&self) -> CharSet {
        piece::alphabet(&self.pieces)
    }

    fn determines(&self) -> Determines {
        self.determines.clone()
    }
}

#[cfg(test)]
mod tests;
