//! How fast a counter is used, and when it ends.

use std::time::Duration;

use super::Issuer;
use crate::counter::CounterKey;
use crate::definition::{Definition, OnExpiry};
use crate::error::Error;
use crate::event::EventKind;
use crate::mark::NumberState;
use crate::names::Number;
use crate::numbering::{Forecast, Status};
use crate::query::{EventQuery, Order};
use crate::time::{Date, Timestamp};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// How many of the first draws of a window are looked at for one that took new numbers and none that had been let go:
/// it is the one with the highest.
const DRAWS: usize = 16;

/// How many pages are read for the first draw of a window. One does, unless clocks were set back.
const PAGES: usize = 4;

/// How many numbers were given out within a time.
#[derive(Debug, Clone, Copy, Default)]
struct Use {
    count: u64,
    within: Duration,
}

/// A counter as a forecast sees it.
#[derive(Debug)]
pub(super) struct Standing<'a> {
    pub(super) key: &'a CounterKey,
    pub(super) definition: &'a Definition,
    pub(super) status: &'a Status,
}

impl Issuer {
    /// What the use of the last day, week and month lets expect.
    pub(super) async fn forecast(&self, standing: Standing<'_>) -> Result<Forecast, Error> {
        let now = self.clock.now();
        let last_day = self.used(&standing, now, DAY).await?;
        let last_week = self.used(&standing, now, 7 * DAY).await?;
        let last_month = self.used(&standing, now, 30 * DAY).await?;
        let days = [last_week, last_month]
            .into_iter()
            .filter_map(|used| used.days_for(standing.status.remaining))
            .min();
        let today = standing.definition.zone().date_at(now);
        let period = standing.key.period();
        let ends_on = days
            .and_then(|days| Date::from_days_since_epoch(today.days_since_epoch().checked_add(days)?))
            .filter(|end| period.last().is_none_or(|last| *end <= last));
        Ok(Forecast {
            last_day: last_day.count,
            last_week: last_week.count,
            last_month: last_month.count,
            ends_on,
        })
    }

    async fn used(&self, standing: &Standing<'_>, now: Timestamp, window: Duration) -> Result<Use, Error> {
        let nothing = Use {
            count: 0,
            within: window,
        };
        let Some(last) = standing.status.last_number else {
            return Ok(nothing);
        };
        let Some((first, at)) = self.first_drawn(standing, now.saturating_sub(window)).await? else {
            return Ok(nothing);
        };
        let Some(distance) = last.get().checked_sub(first.get()) else {
            return Ok(nothing);
        };
        let drawn = distance / standing.definition.step() + 1;
        let count = drawn.saturating_sub(self.jumped(standing, first).await?);
        // A counter that is younger than the window is measured by its age.
        let age = Duration::from_micros(now.as_micros().abs_diff(at.as_micros()));
        let young = first == standing.definition.start();
        let within = if young { age.clamp(DAY, window) } else { window };
        Ok(Use { count, within })
    }

    /// The first number that was drawn since an instant, in the present generation, and when.
    async fn first_drawn(
        &self,
        standing: &Standing<'_>,
        since: Timestamp,
    ) -> Result<Option<(Number, Timestamp)>, Error> {
        let key = standing.key;
        let mut query = EventQuery::new(key.sequence().tenant.clone());
        query.prefix = Some(key.sequence().prefix.clone());
        query.period = Some(key.period().to_string());
        query.scope = Some(key.scope().clone());
        query.kinds = vec![EventKind::Issued, EventKind::Reserved];
        query.from = Some(since);
        query.order = Order::OldestFirst;
        query.limit = match standing.definition.on_expiry() {
            OnExpiry::Void => 1,
            OnExpiry::Reuse => DRAWS,
        };
        for _ in 0..PAGES {
            let page = self.store.query(&query).await?;
            let present = page
                .events
                .iter()
                .map(|recorded| &recorded.event)
                .filter(|event| event.generation == standing.status.generation)
                .filter_map(|event| Some((event.run?.first, event.at)));
            let first = present.max_by_key(|(first, _)| *first);
            if first.is_some() || page.next.is_none() {
                return Ok(first);
            }
            query.after = page.next;
        }
        Ok(None)
    }

    /// How many numbers from `first` on were jumped over.
    async fn jumped(&self, standing: &Standing<'_>, first: Number) -> Result<u64, Error> {
        let generation = standing.status.generation;
        let before = match first.get().checked_sub(1).map(Number::new) {
            Some(Ok(before)) => (generation, before),
            _ => (generation.saturating_sub(1), Number::MAX),
        };
        let limit = crate::numbering::Page::LARGEST;
        let marks = self.store.marks(standing.key, Some(before), limit).await?;
        let jumps = [NumberState::Skipped, NumberState::External, NumberState::Unknown];
        let jumped = marks
            .iter()
            .map(|record| &record.mark)
            .filter(|mark| mark.generation == generation && jumps.contains(&mark.state));
        Ok(jumped.map(|mark| mark.run.count).sum())
    }
}

impl Use {
    /// In how many days so many numbers are used up; `None` when nothing is used.
    fn days_for(self, remaining: u64) -> Option<i32> {
        if remaining == 0 {
            return None;
        }
        let per_day = u128::from(self.count) * DAY.as_micros();
        let days = (u128::from(remaining) * self.within.as_micros()).checked_div(per_day)?;
        i32::try_from(days).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_remains_lasts_as_long_as_the_use_says() {
        let days = |count, within, remaining| Use { count, within }.days_for(remaining);
        assert_eq!(days(10, DAY, 100), Some(10));
        assert_eq!(days(70, 7 * DAY, 100), Some(10));
        assert_eq!(days(70, 7 * DAY, 5), Some(0), "today");
        assert_eq!(days(0, DAY, 100), None);
        assert_eq!(days(10, DAY, 0), None, "it has ended");
        assert_eq!(days(1, 30 * DAY, u64::MAX), None, "beyond all dates");
    }
}
