use crate::event::Origin;
use crate::field::FieldValues;
use crate::names::{IdempotencyKey, Number, Prefix, Reason, Tenant};
use crate::period::Period;

/// The largest number of ids that one [`AdoptRequest`] may have: what is read of them takes 100 MB.
pub const MOST_ADOPTED_IDS: usize = 1_000_000;

/// The largest number of runs of adjacent numbers that one [`AdoptRequest`] may make: they are written in one
/// transaction, and draws wait for its end.
pub const MOST_ADOPTED_RUNS: usize = 100_000;

/// Ids that another system gave out.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct AdoptRequest {
    /// The tenant.
    pub tenant: Tenant,
    /// The sequence.
    pub prefix: Prefix,
    /// The ids, in any order: 1 to [`MOST_ADOPTED_IDS`] of any of the sequence's counters.
    pub ids: Vec<String>,
    /// Why.
    pub reason: Reason,
    /// Whether to check only and adopt nothing.
    pub dry_run: bool,
    /// What a repetition of the request is recognised by.
    pub key: Option<IdempotencyKey>,
    /// Who asks.
    pub origin: Origin,
}

impl AdoptRequest {
    /// Ids of the sequence `prefix` of the default tenant.
    #[must_use]
    pub fn new(prefix: Prefix, ids: Vec<String>, reason: Reason) -> Self {
        Self {
            tenant: Tenant::default(),
            prefix,
            ids,
            reason,
            dry_run: false,
            key: None,
            origin: Origin::default(),
        }
    }
}

/// What became of a list of ids.
#[derive(Debug, Clone, PartialEq)]
pub struct Adoption {
    /// The sequence.
    pub prefix: Prefix,
    /// How many numbers were adopted.
    pub adopted: u64,
    /// How many had been taken from outside before.
    pub already_adopted: u64,
    /// How many numbers lie between and were skipped.
    pub skipped: u64,
    /// The counters that have numbers of the list, by period and scope.
    pub counters: Vec<AdoptedCounter>,
    /// Whether nothing was done, so that this is what would be.
    pub dry_run: bool,
    /// Whether this is the answer to an earlier request with the same key; the next numbers are those of today.
    pub replayed: bool,
    /// Whether the sequence's numbers are written as text on the wire.
    pub numbers_as_text: bool,
}

/// A counter that has adopted numbers.
#[derive(Debug, Clone, PartialEq)]
pub struct AdoptedCounter {
    /// Its period.
    pub period: Period,
    /// Its scope values.
    pub scope: FieldValues,
    /// The smallest number of the list.
    pub first: Number,
    /// The largest number of the list.
    pub last: Number,
    /// How many numbers were adopted.
    pub adopted: u64,
    /// What is issued next; `None` when the counter has ended.
    pub next_number: Option<Number>,
    /// The text of that number today, or on the first day of a period that does not have today.
    pub next_id: Option<String>,
}
