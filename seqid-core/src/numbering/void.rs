use super::CounterSelector;
use crate::counter::Run;
use crate::event::Origin;
use crate::field::FieldValues;
use crate::names::{IdempotencyKey, Number, Prefix, Reason, Tenant};
use crate::period::Period;

/// Numbers to be declared void.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct VoidRequest {
    /// Which.
    pub target: VoidTarget,
    /// The counter's generation as the numbers' holder knows it: another one's numbers are refused. The newest if `None`.
    pub generation: Option<u32>,
    /// Why.
    pub reason: Reason,
    /// What a repetition of the request is recognised by.
    pub key: Option<IdempotencyKey>,
    /// Who asks.
    pub origin: Origin,
}

impl VoidRequest {
    /// Voids numbers for a reason.
    #[must_use]
    pub fn new(target: VoidTarget, reason: Reason) -> Self {
        Self {
            target,
            generation: None,
            reason,
            key: None,
            origin: Origin::default(),
        }
    }
}

/// Which numbers are voided: such as were issued, or such as begin with the next.
#[derive(Debug, Clone)]
pub enum VoidTarget {
    /// Numbers of a counter.
    Numbers {
        /// The counter.
        counter: CounterSelector,
        /// The first number.
        first: Number,
        /// The last number.
        last: Number,
    },
    /// The number with this text, which must tell its period.
    Id {
        /// The tenant.
        tenant: Tenant,
        /// The sequence; every one of the tenant is tried otherwise.
        prefix: Option<Prefix>,
        /// The text.
        id: String,
    },
}

/// Numbers that are void.
#[derive(Debug, Clone, PartialEq)]
pub struct VoidedNumbers {
    /// The sequence.
    pub prefix: Prefix,
    /// The counter's period.
    pub period: Period,
    /// The counter's scope values.
    pub scope: FieldValues,
    /// The numbers.
    pub run: Run,
    /// The counter's generation.
    pub generation: u32,
    /// Whether they were void before.
    pub repeated: bool,
    /// Whether the sequence's numbers are written as text on the wire.
    pub numbers_as_text: bool,
}
