//! The gap report: every number of a counter that was not plainly issued, and why.

use super::Issuer;
use super::definitions::require_limit;
use crate::counter::{CounterKey, Run, SequenceKey};
use crate::error::{Error, InvalidRequest};
use crate::line::Line;
use crate::names::Number;
use crate::numbering::{CounterSelector, Gap, GapPage, Page};
use crate::store::MarkRecord;
use crate::time::Timestamp;

impl Issuer {
    pub(super) async fn list_gaps(&self, counter: CounterSelector, page: Page) -> Result<GapPage, Error> {
        require_limit(&page)?;
        let after = page.after.as_deref().map(parse_cursor).transpose()?;
        let key = SequenceKey::new(counter.tenant.clone(), counter.prefix.clone());
        let sequence = self.require(&key).await?;
        let line = self.counter_line(&sequence, &counter, sequence.head().number)?;
        let status = self.status_of(&sequence, &line).await?;
        let records = self.store.marks(line.key(), after, page.limit).await?;
        let next = (records.len() == page.limit)
            .then(|| records.last().map(cursor))
            .flatten();
        let now = self.clock.now();
        let mut gaps: Vec<Gap> = Vec::with_capacity(records.len());
        for record in records {
            let gap = self.gap(&sequence, line.key(), record, now)?;
            match gaps.last_mut() {
                Some(before) if before.is_followed_by(&gap) => before.extend(gap),
                _ => gaps.push(gap),
            }
        }
        Ok(GapPage {
            start: line.definition().start(),
            status,
            gaps,
            next,
        })
    }

    fn gap(
        &self,
        sequence: &super::sequences::Loaded,
        key: &CounterKey,
        record: MarkRecord,
        now: Timestamp,
    ) -> Result<Gap, Error> {
        let MarkRecord { mark, event } = record;
        let line = match mark.date.or(event.date) {
            Some(date) => self.line_of(sequence, &event, key.clone(), date).ok(),
            None => None,
        };
        let id = |number: Number| line.as_ref().and_then(|line: &Line| line.known_id(number));
        Ok(Gap {
            first_id: id(mark.run.first),
            last_id: id(mark.run.last()),
            state: mark.state_at(now),
            run: mark.run,
            generation: mark.generation,
            reason: event.reason,
            actor: event.origin.actor.clone(),
            request_id: event.origin.request.clone(),
            reference: event.reference,
            reservation: mark.hold.map(|hold| hold.id),
            expires_at: mark.hold.map(|hold| hold.expires_at),
            date: mark.date,
            at: event.at,
        })
    }
}

impl Gap {
    /// Whether another gap says the same of the numbers that follow.
    fn is_followed_by(&self, next: &Self) -> bool {
        let follows = self.run.last().get().checked_add(self.run.step) == Some(next.run.first.get());
        follows
            && self.run.step == next.run.step
            && self.generation == next.generation
            && self.state == next.state
            && self.reservation == next.reservation
            && (&self.reason, &self.actor, &self.reference, &self.date)
                == (&next.reason, &next.actor, &next.reference, &next.date)
    }

    fn extend(&mut self, next: Self) {
        self.run = Run {
            count: self.run.count + next.run.count,
            ..self.run
        };
        self.last_id = next.last_id;
        self.at = next.at;
        self.request_id = next.request_id;
    }
}

fn cursor(record: &MarkRecord) -> String {
    format!("{}.{}", record.mark.generation, record.mark.run.first)
}

fn parse_cursor(text: &str) -> Result<(u32, Number), Error> {
    let parts = text.split_once('.').and_then(|(generation, first)| {
        Some((generation.parse().ok()?, Number::new(first.parse().ok()?).ok()?))
    });
    parts.ok_or(Error::Invalid {
        pointer: "/after",
        reason: InvalidRequest::Contradiction("after must be the `next` of the page before"),
    })
}
