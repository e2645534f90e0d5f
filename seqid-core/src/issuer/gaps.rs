//! The gap report: every number of a counter that was not plainly issued, and why.

use super::Issuer;
use super::definitions::require_limit;
use crate::counter::{CounterKey, SequenceKey};
use crate::error::{Error, InvalidRequest};
use crate::line::Line;
use crate::names::Number;
use crate::numbering::{CounterSelector, Gap, GapPage, Page, Status};
use crate::period::Period;
use crate::store::MarkRecord;
use crate::time::{Date, Timestamp};

impl Issuer {
    pub(super) async fn list_gaps(&self, counter: CounterSelector, page: Page) -> Result<GapPage, Error> {
        require_limit(&page)?;
        let after = page.after.as_deref().map(parse_cursor).transpose()?;
        let key = SequenceKey::new(counter.tenant.clone(), counter.prefix.clone());
        let sequence = self.require(&key).await?;
        let line = self.counter_line(&sequence, &counter, sequence.head().number)?;
        let (status, start, step, next) = self.standing(&sequence, &line).await?;
        let archived = self.record(&key).await?.archived;
        let status = Status { archived, ..status };
        let records = self.store.marks(line.key(), after, page.limit).await?;
        let more = (records.len() == page.limit)
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
            start,
            step,
            offered: next.saturating_sub(start.get()).div_ceil(step),
            status,
            at: now,
            gaps,
            next: more,
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
        let held = mark.hold.is_some();
        let line = |date: Date| self.line_of(sequence, &event, key.clone(), date).ok();
        let mut lines = Vec::new();
        if held {
            lines.extend(mark.date.and_then(line));
        } else if let Some(date) = event.date {
            lines.extend(days_of(key.period(), date).into_iter().filter_map(line));
        }
        Ok(Gap {
            first_id: known_id(&lines, mark.run.first, held),
            last_id: known_id(&lines, mark.run.last(), held),
            state: mark.state_at(now),
            run: mark.run,
            generation: mark.generation,
            reason: event.reason,
            actor: event.origin.actor.clone(),
            request_id: event.origin.request.clone(),
            reference: event.reference,
            reservation: mark.hold.map(|hold| hold.id),
            expires_at: mark.hold.map(|hold| hold.expires_at),
            // Without a hold it is the day by which the counter was named, not that of a document.
            date: mark.date.filter(|_| held),
            at: event.at,
        })
    }
}

/// The id of a number, which must be the same on all lines. Unless the numbers were held, the fields and the day of
/// their documents are not in the mark.
pub(super) fn known_id(lines: &[Line], number: Number, held: bool) -> Option<String> {
    let (first, rest) = lines.split_first()?;
    if !held && !first.definition().fields().is_empty() {
        return None;
    }
    let id = first.known_id(number)?;
    rest.iter()
        .all(|line| line.known_id(number).as_ref() == Some(&id))
        .then_some(id)
}

/// Days of a period that differ in all that an id can show of a day and the period does not fix.
pub(super) fn days_of(period: &Period, date: Date) -> [Date; 3] {
    let later = |from: Date, days: i32| {
        Date::from_days_since_epoch(from.days_since_epoch().saturating_add(days)).unwrap_or(from)
    };
    match (period.first(), period.last()) {
        (Some(first), Some(last)) => [first, later(first, 40).min(last), last],
        _ => [date, later(date, 40), later(date, 398)],
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
