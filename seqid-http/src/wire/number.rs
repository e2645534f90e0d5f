use seqid_core::Prefix;
use seqid_core::event::Recorded;
use seqid_core::field::FieldValues;
use seqid_core::names::{Reason, Reference};
use seqid_core::numbering::NumberHistory;
use seqid_core::period::Period;
use seqid_core::time::Date;
use serde::Serialize;
use utoipa::ToSchema;

use super::{Figure, Shown};
use crate::audit::EventDocument;

/// A number and its history.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = NumberHistory)]
pub(crate) struct NumberAnswer {
    /// The sequence.
    #[schema(value_type = String, examples("INV"))]
    prefix: Shown<Prefix>,
    /// The number.
    number: Figure,
    /// The text that a document has, or was to have; null when none ever had the number.
    #[schema(required)]
    id: Option<String>,
    /// The counter's period.
    #[schema(value_type = String, examples("all"))]
    period: Shown<Period>,
    /// The counter's scope values, normalised.
    #[schema(value_type = BTreeMap<String, String>)]
    scope: FieldValues,
    /// The counter's newest generation: all but the events tell of it.
    generation: u32,
    /// What the number is now: `open` (the counter has not come to it), `issued`, `reserved`, `voided`, `expired`,
    /// `free`, `skipped`, `external` or `unknown`. New ones may be added.
    #[schema(examples("issued"))]
    state: &'static str,
    /// Why it is not plainly issued.
    #[schema(value_type = Option<String>, required)]
    reason: Option<Shown<Reason>>,
    /// Your key of the document.
    #[schema(value_type = Option<String>, required)]
    reference: Option<Shown<Reference>>,
    /// The document date.
    #[schema(value_type = Option<String>, format = Date, required)]
    date: Option<Shown<Date>>,
    /// What happened to it in all generations, the oldest first.
    #[schema(value_type = Vec<EventDocument>)]
    events: Vec<Recorded>,
}

impl From<NumberHistory> for NumberAnswer {
    fn from(number: NumberHistory) -> Self {
        Self {
            prefix: Shown(number.prefix),
            number: Figure::new(number.number, number.numbers_as_text),
            id: number.id,
            period: Shown(number.period),
            scope: number.scope,
            generation: number.generation,
            state: number.standing.as_str(),
            reason: number.reason.map(Shown),
            reference: number.reference.map(Shown),
            date: number.date.map(Shown),
            events: number.events,
        }
    }
}
