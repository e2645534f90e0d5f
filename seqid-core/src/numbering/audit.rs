use crate::event::EventKind;
use crate::field::RawValues;
use crate::names::{Label, Number, Prefix, Reference, Tenant};
use crate::query::{EventQuery, Order};
use crate::time::Timestamp;

/// Which events of a tenant are asked for, and which page of them. What is absent excludes no event.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct AuditRequest {
    /// The tenant.
    pub tenant: Tenant,
    /// The sequence; [`Prefix::whole`] for what concerns all sequences and none by itself.
    pub prefix: Option<Prefix>,
    /// The counter's period, such as `2026-03`. Needs the sequence.
    pub period: Option<String>,
    /// The counter's scope values. Need the sequence; all scope fields are named, or none.
    pub scope: RawValues,
    /// A rendered id, which names the counter and the number by itself.
    pub id: Option<String>,
    /// The first and the last of the numbers.
    pub numbers: Option<(Number, Number)>,
    /// The person or account that asked.
    pub actor: Option<Label>,
    /// The program that asked.
    pub client: Option<Label>,
    /// The request's name.
    pub request: Option<Label>,
    /// The caller's key of the document.
    pub reference: Option<Reference>,
    /// What happened.
    pub kinds: Vec<EventKind>,
    /// The earliest instant.
    pub from: Option<Timestamp>,
    /// The instant behind the latest.
    pub to: Option<Timestamp>,
    /// The [`next`](crate::query::EventPage::next) of the page before.
    pub after: Option<u64>,
    /// Which events come first.
    pub order: Order,
    /// The most events of the page: 1 to [`EventQuery::LARGEST`].
    pub limit: usize,
}

impl AuditRequest {
    /// The newest 100 events of a tenant.
    #[must_use]
    pub fn new(tenant: Tenant) -> Self {
        Self {
            prefix: None,
            period: None,
            scope: RawValues::new(),
            id: None,
            numbers: None,
            actor: None,
            client: None,
            request: None,
            reference: None,
            kinds: Vec::new(),
            from: None,
            to: None,
            after: None,
            order: Order::default(),
            limit: EventQuery::new(tenant.clone()).limit,
            tenant,
        }
    }
}
