//! One number: what it is now, and everything that happened to it.

use super::Issuer;
use super::gaps::{days_of, known_id};
use super::sequences::Loaded;
use crate::counter::{CounterKey, SequenceKey};
use crate::definition::OnExpiry;
use crate::error::Error;
use crate::event::{Event, EventKind, Recorded};
use crate::mark::NumberState;
use crate::names::Number;
use crate::numbering::{NumberHistory, NumberRequest, NumberTarget, Standing, VoidTarget};
use crate::query::{EventQuery, Order};
use crate::time::Timestamp;

impl Issuer {
    pub(super) async fn show_number(&self, request: NumberRequest) -> Result<NumberHistory, Error> {
        let target = match request.target {
            NumberTarget::Number { counter, number } => VoidTarget::Numbers {
                counter,
                first: number,
                last: number,
            },
            NumberTarget::Id { tenant, prefix, id } => VoidTarget::Id { tenant, prefix, id },
        };
        let (counter, number, _) = self.named_numbers(target).await?;
        let key = SequenceKey::new(counter.tenant.clone(), counter.prefix.clone());
        let sequence = self.require(&key).await?;
        let line = self.counter_line(&sequence, &counter, sequence.head().number)?;
        let (status, start, step, next) = self.standing(&sequence, &line).await?;
        let key = line.key();
        let is_member = number >= start && (number.get() - start.get()).is_multiple_of(step);
        if !status.opened || !is_member || (number > status.max && number.get() >= next) {
            return Err(Error::NumberNotFound {
                number,
                counter: key.to_string(),
            });
        }
        let events = self.events_of_number(key, number).await?;
        let now = self.clock.now();
        let of_generation = || {
            let events = events.iter().map(|recorded| &recorded.event);
            events.rev().filter(|event| event.generation == status.generation)
        };
        let standing = if number.get() >= next {
            Standing::Open
        } else {
            of_generation()
                .next()
                .map_or(Standing::Issued, |event| standing(event, &events, now))
        };
        let document = of_generation().find(|event| is_of_document(event.kind));
        Ok(NumberHistory {
            prefix: sequence.key.prefix.clone(),
            number,
            id: match document {
                Some(event) => self.id_of(&sequence, key, event, number),
                None => {
                    let last = of_generation().next();
                    last.and_then(|event| self.id_by_counter(&sequence, key, event, number))
                }
            },
            period: *key.period(),
            scope: key.scope().clone(),
            generation: status.generation,
            standing,
            reason: match standing {
                Standing::Open | Standing::Issued => None,
                Standing::Marked(_) => of_generation().next().and_then(|event| event.reason.clone()),
            },
            reference: of_generation().find_map(|event| event.reference.clone()),
            date: document.and_then(|event| event.date),
            events,
            numbers_as_text: status.numbers_as_text,
        })
    }

    /// Every event of a number, the oldest first.
    async fn events_of_number(&self, key: &CounterKey, number: Number) -> Result<Vec<Recorded>, Error> {
        let mut query = EventQuery::new(key.sequence().tenant.clone());
        query.prefix = Some(key.sequence().prefix.clone());
        query.period = Some(key.period().to_string());
        query.scope = Some(key.scope().clone());
        query.numbers = Some((number, number));
        (query.order, query.limit) = (Order::OldestFirst, EventQuery::LARGEST);
        let mut events = Vec::new();
        loop {
            let page = self.store.query(&query).await?;
            events.extend(page.events);
            match page.next {
                Some(next) => query.after = Some(next),
                None => return Ok(events),
            }
        }
    }

    fn id_of(&self, sequence: &Loaded, key: &CounterKey, event: &Event, number: Number) -> Option<String> {
        let line = self.line_of(sequence, event, key.clone(), event.date?).ok()?;
        line.id(number, event.at).ok()
    }

    /// The id of a number without a document, where counter and number tell it.
    fn id_by_counter(
        &self,
        sequence: &Loaded,
        key: &CounterKey,
        event: &Event,
        number: Number,
    ) -> Option<String> {
        let days = days_of(key.period(), event.date?).into_iter();
        let line = |date| self.line_of(sequence, event, key.clone(), date).ok();
        known_id(&days.filter_map(line).collect::<Vec<_>>(), number, false)
    }
}

/// Whether a document has, or was to have, the number and its id.
const fn is_of_document(kind: EventKind) -> bool {
    matches!(
        kind,
        EventKind::Issued | EventKind::Reserved | EventKind::Confirmed | EventKind::Reported
    )
}

/// What a number is by its last event.
fn standing(event: &Event, events: &[Recorded], now: Timestamp) -> Standing {
    Standing::Marked(match event.kind {
        EventKind::Issued | EventKind::Confirmed | EventKind::Reported => return Standing::Issued,
        EventKind::Returned => return Standing::Open,
        EventKind::Reserved => match &event.hold {
            Some(hold) if hold.expires_at <= now => NumberState::Expired,
            _ => NumberState::Reserved,
        },
        EventKind::Voided => NumberState::Voided,
        EventKind::Expired if is_free(event, events) => NumberState::Free,
        EventKind::Expired => NumberState::Expired,
        EventKind::External => NumberState::External,
        EventKind::Leased => NumberState::Pending,
        EventKind::Recovered | EventKind::Lost => NumberState::Unknown,
        _ => NumberState::Skipped,
    })
}

/// Whether the numbers of a hold that ended are offered again: not when an epoch began meanwhile.
fn is_free(ended: &Event, events: &[Recorded]) -> bool {
    let Some(hold) = &ended.hold else { return false };
    let began = events.iter().map(|recorded| &recorded.event).find(|event| {
        event.kind == EventKind::Reserved && event.hold.as_ref().is_some_and(|begun| begun.id == hold.id)
    });
    hold.on_expiry == OnExpiry::Reuse && began.is_some_and(|began| began.epoch == ended.epoch)
}
