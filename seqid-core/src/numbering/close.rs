use super::Sequence;
use crate::event::Origin;
use crate::names::{IdempotencyKey, Prefix, Reason, Tenant};
use crate::time::Date;

/// A sequence to be ended.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ArchiveRequest {
    /// The tenant.
    pub tenant: Tenant,
    /// The sequence.
    pub prefix: Prefix,
    /// Why.
    pub reason: Reason,
    /// The version that the caller believes to be the newest; any when absent.
    pub if_version: Option<u32>,
    /// Who asks.
    pub origin: Origin,
}

impl ArchiveRequest {
    /// Ends the sequence `prefix` of the default tenant.
    #[must_use]
    pub fn new(prefix: Prefix, reason: Reason) -> Self {
        Self {
            tenant: Tenant::default(),
            prefix,
            reason,
            if_version: None,
            origin: Origin::default(),
        }
    }
}

/// A sequence after [`archive`](super::Numbering::archive).
#[derive(Debug, Clone)]
pub struct Archived {
    /// The sequence as it is now.
    pub sequence: Sequence,
    /// Whether it was archived before.
    pub repeated: bool,
}

/// Document dates to be closed.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct CloseRequest {
    /// The tenant.
    pub tenant: Tenant,
    /// The sequence; all of the tenant, those of the future included, when absent.
    pub prefix: Option<Prefix>,
    /// The last date that is closed.
    pub through: Date,
    /// Why.
    pub reason: Reason,
    /// What a repetition of the request is recognised by.
    pub key: Option<IdempotencyKey>,
    /// Who asks.
    pub origin: Origin,
}

impl CloseRequest {
    /// Closes the dates up to `through` for all sequences of the default tenant.
    #[must_use]
    pub fn new(through: Date, reason: Reason) -> Self {
        Self {
            tenant: Tenant::default(),
            prefix: None,
            through,
            reason,
            key: None,
            origin: Origin::default(),
        }
    }
}

/// Document dates to be opened again.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ReopenRequest {
    /// The tenant.
    pub tenant: Tenant,
    /// The sequence; all of the tenant when absent. What was closed of single sequences stays closed then.
    pub prefix: Option<Prefix>,
    /// The first date that is open.
    pub from: Date,
    /// Why.
    pub reason: Reason,
    /// What a repetition of the request is recognised by.
    pub key: Option<IdempotencyKey>,
    /// Who asks.
    pub origin: Origin,
}

impl ReopenRequest {
    /// Opens the dates from `from` on for all sequences of the default tenant.
    #[must_use]
    pub fn new(from: Date, reason: Reason) -> Self {
        Self {
            tenant: Tenant::default(),
            prefix: None,
            from,
            reason,
            key: None,
            origin: Origin::default(),
        }
    }
}

/// What is closed after [`close`](super::Numbering::close) or [`reopen`](super::Numbering::reopen).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Closed {
    /// The sequence; `None` for all of the tenant.
    pub prefix: Option<Prefix>,
    /// The last document date that is closed, in this sequence or in all; `None` when all are open.
    pub closed_through: Option<Date>,
    /// Whether the request changed it.
    pub changed: bool,
    /// Whether this is the answer to an earlier request with the same key.
    pub replayed: bool,
}
