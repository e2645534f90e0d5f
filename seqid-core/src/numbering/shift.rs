use super::{CounterSelector, Status};
use crate::event::Origin;
use crate::names::{IdempotencyKey, Number, Reason};

/// A reset.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ResetRequest {
    /// The counter.
    pub counter: CounterSelector,
    /// The next number to be issued.
    pub next: Number,
    /// Whether numbers that were given out may be given out again, in a new generation.
    pub repeats_accepted: bool,
    /// Why.
    pub reason: Reason,
    /// What a repetition of the request is recognised by.
    pub key: Option<IdempotencyKey>,
    /// Who asks.
    pub origin: Origin,
}

impl ResetRequest {
    /// `next` is to be issued next.
    #[must_use]
    pub fn new(counter: CounterSelector, next: Number, reason: Reason) -> Self {
        Self {
            counter,
            next,
            repeats_accepted: false,
            reason,
            key: None,
            origin: Origin::default(),
        }
    }
}

/// A sync.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct SyncRequest {
    /// The counter.
    pub counter: CounterSelector,
    /// The largest number that another system gave out.
    pub last_used: Number,
    /// Why.
    pub reason: Option<Reason>,
    /// What a repetition of the request is recognised by.
    pub key: Option<IdempotencyKey>,
    /// Who asks.
    pub origin: Origin,
}

impl SyncRequest {
    /// Numbers up to `last_used` are taken.
    #[must_use]
    pub fn new(counter: CounterSelector, last_used: Number) -> Self {
        Self {
            counter,
            last_used,
            reason: None,
            key: None,
            origin: Origin::default(),
        }
    }
}

/// Where a counter was moved.
#[derive(Debug, Clone, PartialEq)]
pub struct Moved {
    /// What would have been issued next before; `None` when the counter had ended.
    pub old_next_number: Option<Number>,
    /// Where the counter stands now.
    pub status: Status,
    /// Whether this is the answer to an earlier request with the same key.
    pub replayed: bool,
}
