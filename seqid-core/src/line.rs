//! One counter as one definition version sees it on one document date: all of a draw that is the same for the
//! next one, prepared once and shared.

use crate::counter::CounterKey;
use crate::definition::{Definition, NumberRange};
use crate::field::FieldValues;
use crate::names::Number;
use crate::template::{Fixed, RenderError};
use crate::time::{Date, Timestamp};

/// A definition with its place in the sequence's history.
#[derive(Debug, Clone)]
pub struct Version {
    /// From 1.
    pub number: u32,
    /// What it says.
    pub definition: Definition,
}

/// See the [module](self).
#[derive(Debug)]
pub struct Line {
    key: CounterKey,
    head: Version,
    opened: Version,
    max: Number,
    date: Date,
    fields: FieldValues,
    text: Fixed,
}

/// What a line is made of.
#[derive(Debug, Clone)]
pub struct LineParts {
    /// The counter.
    pub key: CounterKey,
    /// The newest version of the sequence's definition: it says how far the counter may go.
    pub head: Version,
    /// The version that the counter opened with: it says what its ids look like.
    pub opened: Version,
    /// The document date.
    pub date: Date,
    /// Values of the free fields, normalised.
    pub fields: FieldValues,
}

impl Line {
    /// Prepares a line.
    ///
    /// # Errors
    /// [`RenderError::Missing`] names a free field that the ids show and that has no value.
    pub fn new(parts: LineParts) -> Result<Self, RenderError> {
        let LineParts {
            key,
            head,
            opened,
            date,
            fields,
        } = parts;
        let definition = &opened.definition;
        let text = definition
            .template()
            .fixed(date, key.period(), key.scope(), &fields)?;
        let max = definition
            .max()
            .max(head.definition.max().min(definition.largest_printable()));
        Ok(Self {
            head,
            max,
            date,
            text,
            key,
            opened,
            fields,
        })
    }

    /// The counter.
    #[must_use]
    pub fn key(&self) -> &CounterKey {
        &self.key
    }

    /// The newest version of the sequence's definition.
    #[must_use]
    pub const fn head(&self) -> u32 {
        self.head.number
    }

    /// The version that the counter opened with.
    #[must_use]
    pub const fn opened(&self) -> u32 {
        self.opened.number
    }

    /// The definition that the counter opened with.
    #[must_use]
    pub fn definition(&self) -> &Definition {
        &self.opened.definition
    }

    /// The largest number that the counter may give out.
    #[must_use]
    pub const fn max(&self) -> Number {
        self.max
    }

    /// The only numbers that the counter may give out, as the newest version has them; empty where that is all up to
    /// [`max`](Self::max).
    #[must_use]
    pub fn ranges(&self) -> &[NumberRange] {
        self.head.definition.ranges()
    }

    /// Whether another sequence goes on when the counter has ended.
    #[must_use]
    pub fn has_successor(&self) -> bool {
        self.head.definition.successor().is_some()
    }

    /// The day of an instant, as the newest version's zone has it.
    #[must_use]
    pub fn day_of(&self, now: Timestamp) -> Date {
        self.head.definition.zone().date_at(now)
    }

    /// The document date.
    #[must_use]
    pub const fn date(&self) -> Date {
        self.date
    }

    /// Values of the free fields.
    #[must_use]
    pub fn fields(&self) -> &FieldValues {
        &self.fields
    }

    /// Appends the id of a number to `out`. `now` is the instant of issue.
    ///
    /// # Errors
    /// [`RenderError`] for a number above [`max`](Self::max), and none else.
    pub fn render(&self, number: Number, now: Timestamp, out: &mut String) -> Result<(), RenderError> {
        self.text.render(number, now, out)
    }

    /// The id of a number that is issued at an instant.
    ///
    /// # Errors
    /// As [`render`](Self::render).
    pub fn id(&self, number: Number, now: Timestamp) -> Result<String, RenderError> {
        let mut id = String::with_capacity(32);
        self.render(number, now, &mut id)?;
        Ok(id)
    }

    /// The id of a number, unless ids of this line show the instant of issue.
    #[must_use]
    pub fn known_id(&self, number: Number) -> Option<String> {
        if self.definition().template().uses_now() {
            return None;
        }
        self.id(number, Timestamp::from_micros(0)).ok()
    }
}
