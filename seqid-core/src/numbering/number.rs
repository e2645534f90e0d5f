use super::CounterSelector;
use crate::event::Recorded;
use crate::field::FieldValues;
use crate::mark::NumberState;
use crate::names::{Number, Prefix, Reason, Reference, Tenant};
use crate::period::Period;
use crate::time::Date;

/// Which number is asked about.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct NumberRequest {
    /// The number, in its counter or by its text.
    pub target: NumberTarget,
}

impl NumberRequest {
    /// Asks about a number.
    #[must_use]
    pub const fn new(target: NumberTarget) -> Self {
        Self { target }
    }
}

/// How a number is named.
#[derive(Debug, Clone)]
pub enum NumberTarget {
    /// By its counter.
    Number {
        /// The counter.
        counter: CounterSelector,
        /// The number.
        number: Number,
    },
    /// By its text, which must tell its period.
    Id {
        /// The tenant.
        tenant: Tenant,
        /// The sequence; every one of the tenant is tried otherwise.
        prefix: Option<Prefix>,
        /// The text.
        id: String,
    },
}

/// A number and its history.
#[derive(Debug, Clone, PartialEq)]
pub struct NumberHistory {
    /// The sequence.
    pub prefix: Prefix,
    /// The number.
    pub number: Number,
    /// The text that a document has, or was to have; `None` when no document ever had the number.
    pub id: Option<String>,
    /// The counter's period.
    pub period: Period,
    /// The counter's scope values.
    pub scope: FieldValues,
    /// The counter's newest generation, of which all but the events tell.
    pub generation: u32,
    /// What the number is now.
    pub standing: Standing,
    /// Why it is not plainly issued.
    pub reason: Option<Reason>,
    /// The caller's key of the document.
    pub reference: Option<Reference>,
    /// The document date.
    pub date: Option<Date>,
    /// Its events in all generations, the oldest first.
    pub events: Vec<Recorded>,
    /// Whether the sequence's numbers are written as text on the wire.
    pub numbers_as_text: bool,
}

/// What a number is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Standing {
    /// The counter has not come to it.
    Open,
    /// A document has it.
    Issued,
    /// Something else became of it.
    Marked(NumberState),
}

impl Standing {
    /// The word on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Issued => "issued",
            Self::Marked(state) => state.as_str(),
        }
    }
}
