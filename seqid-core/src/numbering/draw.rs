use std::time::Instant;

use super::Warning;
use crate::counter::Run;
use crate::definition::Mode;
use crate::event::Origin;
use crate::field::{FieldValues, RawValues};
use crate::names::{IdempotencyKey, Label, Prefix, Reference, Tenant};
use crate::period::Period;
use crate::time::{Date, Timestamp};

/// The largest number of numbers that one draw may ask for.
pub const LARGEST_BATCH: u32 = 10_000;

/// A draw.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct DrawRequest {
    /// The tenant.
    pub tenant: Tenant,
    /// The sequence.
    pub prefix: Prefix,
    /// `None` for one number, or a batch of 1 to [`LARGEST_BATCH`], all or none. Under an idempotency key
    /// a draw of one number and a batch of one are different requests.
    pub count: Option<u32>,
    /// The document date; today in the sequence's zone when absent.
    pub date: Option<Date>,
    /// Values of the scope fields.
    pub scope: RawValues,
    /// Values of the free fields.
    pub fields: RawValues,
    /// The caller's key of the document.
    pub reference: Option<Reference>,
    /// The document that this one belongs to or corrects.
    pub relates_to: Option<Reference>,
    /// What a repetition of the request is recognised by.
    pub key: Option<IdempotencyKey>,
    /// Who asks.
    pub origin: Origin,
    /// When the draw must have been sealed into a batch; afterwards it draws nothing.
    pub deadline: Option<Instant>,
}

impl DrawRequest {
    /// One number of the sequence `prefix` of the default tenant.
    #[must_use]
    pub fn new(prefix: Prefix) -> Self {
        Self {
            tenant: Tenant::default(),
            prefix,
            count: None,
            date: None,
            scope: RawValues::new(),
            fields: RawValues::new(),
            reference: None,
            relates_to: None,
            key: None,
            origin: Origin::default(),
            deadline: None,
        }
    }

    /// A batch of so many numbers.
    #[must_use]
    pub fn count(mut self, count: u32) -> Self {
        self.count = Some(count);
        self
    }

    /// For a document of this date.
    #[must_use]
    pub fn date(mut self, date: Date) -> Self {
        self.date = Some(date);
        self
    }

    /// Of the counter with this value of a scope field.
    #[must_use]
    pub fn scope(mut self, name: &str, value: &str) -> Self {
        self.scope.insert(name.into(), value.into());
        self
    }

    /// With this value of a free field.
    #[must_use]
    pub fn field(mut self, name: &str, value: &str) -> Self {
        self.fields.insert(name.into(), value.into());
        self
    }

    /// Under an idempotency key.
    #[must_use]
    pub fn key(mut self, key: IdempotencyKey) -> Self {
        self.key = Some(key);
        self
    }
}

/// Numbers that were issued.
#[derive(Debug, Clone, PartialEq)]
pub struct Issued {
    /// The sequence.
    pub prefix: Prefix,
    /// The rendered texts, one for each number, in order. Never empty.
    pub ids: Vec<String>,
    /// The numbers.
    pub run: Run,
    /// The counter's period.
    pub period: Period,
    /// The document date.
    pub date: Date,
    /// The counter's scope values.
    pub scope: FieldValues,
    /// The counter's generation.
    pub generation: u32,
    /// The sequence's guarantee.
    pub mode: Mode,
    /// The counter's epoch.
    pub epoch: u32,
    /// The definition version that the counter opened with.
    pub definition_version: u32,
    /// The caller's key of the document.
    pub reference: Option<Reference>,
    /// The request's name in the audit.
    pub request_id: Option<Label>,
    /// The instant of issue.
    pub issued_at: Timestamp,
    /// What the caller should look at.
    pub warnings: Vec<Warning>,
    /// Whether this is the answer to an earlier request with the same key.
    pub replayed: bool,
    /// Whether the sequence's numbers are written as text on the wire, being larger than JSON readers can hold.
    pub numbers_as_text: bool,
}

impl Issued {
    /// The first id: the only one unless a batch was drawn.
    #[must_use]
    pub fn id(&self) -> &str {
        self.ids.first().map_or("", String::as_str)
    }
}
