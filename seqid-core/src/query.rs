//! What can be asked of the audit, and how its events are read page by page.

use crate::event::{Event, EventKind, Recorded};
use crate::field::FieldValues;
use crate::names::{Label, Number, Prefix, Reference, Tenant};
use crate::time::Timestamp;

/// Which events of a tenant are meant, and which page of them. What is `None` or empty excludes no event.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct EventQuery {
    /// The tenant.
    pub tenant: Tenant,
    /// The sequence.
    pub prefix: Option<Prefix>,
    /// The text of the counter's period.
    pub period: Option<String>,
    /// The counter's scope values, all of them. With sequence and period they name one counter.
    pub scope: Option<FieldValues>,
    /// The event's run has one of these numbers: the first and the last.
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
    /// The page begins behind this position, in its order.
    pub after: Option<u64>,
    /// The order of the page.
    pub order: Order,
    /// The most events of the page: 1 to [`EventQuery::LARGEST`].
    pub limit: usize,
}

/// Which events come first.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Order {
    /// Those that were recorded last.
    #[default]
    NewestFirst,
    /// Those that were recorded first.
    OldestFirst,
}

/// A part of the events that were asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventPage {
    /// The events. There may be fewer than the limit, or none, although more follow.
    pub events: Vec<Recorded>,
    /// What the next page begins after; `None` at the end.
    pub next: Option<u64>,
    /// The position of the newest event of the store when the page was read: at the end of the oldest first, what
    /// comes later lies behind it.
    pub last: u64,
}

impl EventQuery {
    /// The most events of one page.
    pub const LARGEST: usize = 1_000;

    /// How many events a store looks at for one page. It answers what it found until then, and where to go on.
    pub const WORK: u64 = 20_000;

    /// The newest 100 events of a tenant.
    #[must_use]
    pub fn new(tenant: Tenant) -> Self {
        Self {
            tenant,
            prefix: None,
            period: None,
            scope: None,
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
            limit: 100,
        }
    }

    /// Whether an event is meant, wherever it stands.
    #[must_use]
    pub fn matches(&self, event: &Event) -> bool {
        fn is<T: PartialEq>(asked: Option<&T>, found: Option<&T>) -> bool {
            asked.is_none() || asked == found
        }
        let (sequence, counter) = (event.subject.sequence(), event.subject.counter());
        let of_counter = || {
            self.scope
                .as_ref()
                .is_none_or(|scope| counter.is_some_and(|key| key.scope() == scope))
                && self
                    .period
                    .as_ref()
                    .is_none_or(|period| counter.is_some_and(|key| key.period().to_string() == *period))
        };
        let has_number = |(first, last): (Number, Number)| {
            event
                .run
                .is_some_and(|run| run.first <= last && run.last() >= first)
        };
        let origin = &event.origin;
        sequence.tenant == self.tenant
            && is(self.prefix.as_ref(), Some(&sequence.prefix))
            && of_counter()
            && self.numbers.is_none_or(has_number)
            && is(self.actor.as_ref(), origin.actor.as_ref())
            && is(self.client.as_ref(), origin.client.as_ref())
            && is(self.request.as_ref(), origin.request.as_ref())
            && is(self.reference.as_ref(), event.reference.as_ref())
            && (self.kinds.is_empty() || self.kinds.contains(&event.kind))
            && self.from.is_none_or(|from| from <= event.at)
            && self.to.is_none_or(|to| event.at < to)
    }

    /// The positions of a page, and what the next one begins after, of a log that has its events at 1 to `last`.
    ///
    /// Looks at one event after the other: for stores without an index.
    pub fn scan<'e>(
        &self,
        last: u64,
        mut event: impl FnMut(u64) -> Option<&'e Event>,
    ) -> (Vec<u64>, Option<u64>) {
        let mut found = Vec::new();
        let mut looked = 0;
        let mut at = self.after;
        while let Some(position) = self.order.following(at, last) {
            if found.len() == self.limit || looked == Self::WORK {
                return (found, at);
            }
            if event(position).is_some_and(|event| self.matches(event)) {
                found.push(position);
            }
            looked += 1;
            at = Some(position);
        }
        (found, None)
    }
}

impl Order {
    /// The position that follows on another, or the first, of a log that has its events at 1 to `last`.
    #[must_use]
    pub fn following(self, at: Option<u64>, last: u64) -> Option<u64> {
        let next = match self {
            Self::OldestFirst => at.unwrap_or(0).checked_add(1)?,
            Self::NewestFirst => at.map_or(last, |at| at.saturating_sub(1).min(last)),
        };
        (1..=last).contains(&next).then_some(next)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn order(order: Order, at: Option<u64>, last: u64, expected: Option<u64>) {
        assert_eq!(order.following(at, last), expected);
    }

    #[test]
    fn positions_follow_one_another_to_either_end() {
        use Order::{NewestFirst, OldestFirst};
        order(OldestFirst, None, 3, Some(1));
        order(OldestFirst, Some(2), 3, Some(3));
        order(OldestFirst, Some(3), 3, None);
        order(OldestFirst, Some(u64::MAX), 3, None);
        order(OldestFirst, None, 0, None);
        order(NewestFirst, None, 3, Some(3));
        order(NewestFirst, Some(2), 3, Some(1));
        order(NewestFirst, Some(1), 3, None);
        order(NewestFirst, Some(0), 3, None);
        order(NewestFirst, Some(u64::MAX), 3, Some(3));
        order(NewestFirst, None, 0, None);
    }
}
