use std::collections::BTreeMap;

use crate::definition::DefinitionSpec;
use crate::field::{FieldValues, RawValues};
use crate::names::{Number, Prefix, Tenant};
use crate::period::Period;
use crate::time::Date;

/// What would an id look like?
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct PreviewRequest {
    /// The tenant.
    pub tenant: Tenant,
    /// The sequence. For a definition that is not saved: the prefix that it would have.
    pub prefix: Prefix,
    /// A definition that need not be saved; the sequence's own when absent.
    pub definition: Option<DefinitionSpec>,
    /// The number; the next one when absent.
    pub number: Option<Number>,
    /// The document date; today when absent.
    pub date: Option<Date>,
    /// Values of the scope fields.
    pub scope: RawValues,
    /// Values of the free fields.
    pub fields: RawValues,
}

impl PreviewRequest {
    /// The next id of the sequence `prefix` of the default tenant.
    #[must_use]
    pub fn new(prefix: Prefix) -> Self {
        Self {
            tenant: Tenant::default(),
            prefix,
            definition: None,
            number: None,
            date: None,
            scope: RawValues::new(),
            fields: RawValues::new(),
        }
    }
}

/// What an id would look like.
#[derive(Debug, Clone, PartialEq)]
pub struct Preview {
    /// The sequence.
    pub prefix: Prefix,
    /// The text; `None` when the counter has ended.
    pub id: Option<String>,
    /// The number; `None` when the counter has ended.
    pub number: Option<Number>,
    /// The counter's period.
    pub period: Period,
    /// The document date.
    pub date: Date,
    /// The counter's scope values.
    pub scope: FieldValues,
    /// Whether the sequence's numbers are written as text on the wire.
    pub numbers_as_text: bool,
}

/// What an id says.
#[derive(Debug, Clone, PartialEq)]
pub struct ParsedId {
    /// The sequence that it belongs to.
    pub prefix: Prefix,
    /// The number.
    pub number: Number,
    /// The counter's period; `None` when the text does not tell it.
    pub period: Option<Period>,
    /// The counter's scope values.
    pub scope: BTreeMap<String, String>,
    /// The values of free fields that it shows.
    pub fields: BTreeMap<String, String>,
    /// The definition version that reads it.
    pub definition_version: u32,
    /// Whether the sequence's numbers are written as text on the wire.
    pub numbers_as_text: bool,
}
