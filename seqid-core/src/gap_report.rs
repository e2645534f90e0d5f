//! The gap report of one counter, read part by part in bounded memory: adjacent runs are put together across parts,
//! and the counts add up however the counter moves meanwhile.

use std::sync::Arc;

use crate::counter::Run;
use crate::error::Error;
use crate::mark::NumberState;
use crate::names::Number;
use crate::numbering::{CounterSelector, Gap, GapPage, Numbering, Page, Status, When};
use crate::store::StoreError;
use crate::time::Timestamp;

/// How many marks are read at a time.
const PAGE: usize = 500;

/// The report of a counter as it stood when the report was begun: numbers that were offered later are left out.
#[derive(Debug)]
pub struct GapReport {
    numbering: Arc<dyn Numbering>,
    counter: CounterSelector,
    head: Head,
    part: Part,
    /// The last gap that was read: the next part may go on with it.
    held_back: Option<Gap>,
    /// The last number of the current generation that is accounted for.
    covered: Option<Number>,
    summary: GapSummary,
}

/// What is known from the beginning.
#[derive(Debug, Clone, PartialEq)]
pub struct Head {
    /// The counter's first number.
    pub start: Number,
    /// The distance between two numbers of the counter.
    pub step: u64,
    /// Where the counter stood.
    pub status: Status,
    /// When.
    pub at: Timestamp,
}

/// What became of all numbers of the current generation, from the first to before the next. The counts of the states
/// and of the numbers issued add up to `count`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GapSummary {
    /// The first number.
    pub from: Number,
    /// The last number that was offered; `None` before the first.
    pub to: Option<Number>,
    /// How many there are.
    pub count: u64,
    /// How many bear no mark: they were issued.
    pub issued: u64,
    marked: [u64; NumberState::ALL.len()],
}

impl GapSummary {
    /// How many numbers are in a state.
    #[must_use]
    pub const fn of(&self, state: NumberState) -> u64 {
        // The codes are 1, 2, 3 and so on.
        self.marked[state as usize - 1]
    }
}

/// The part that is to be handed out next.
#[derive(Debug)]
enum Part {
    Read(Box<GapPage>),
    After(String),
    End,
}

impl GapReport {
    /// Reads the first part of a counter's report.
    ///
    /// # Errors
    /// Those of [`Numbering::gaps`].
    pub async fn begin(numbering: Arc<dyn Numbering>, mut counter: CounterSelector) -> Result<Self, Error> {
        let page = numbering.gaps(counter.clone(), next_page(None)).await?;
        // Today is another day when the last part is read.
        counter.when = When::In(page.status.period.to_string());
        let head = Head {
            start: page.start,
            step: page.step,
            status: page.status.clone(),
            at: page.at,
        };
        let offered = (page.offered > 0).then_some(Run {
            first: page.start,
            step: page.step,
            count: page.offered,
        });
        let summary = GapSummary {
            from: page.start,
            to: offered.map(|run| run.last()),
            count: page.offered,
            issued: page.offered,
            marked: [0; NumberState::ALL.len()],
        };
        Ok(Self {
            numbering,
            counter,
            head,
            part: Part::Read(Box::new(page)),
            held_back: None,
            covered: None,
            summary,
        })
    }

    /// What is known from the beginning.
    #[must_use]
    pub const fn head(&self) -> &Head {
        &self.head
    }

    /// What became of the numbers: the whole truth once [`next`](Self::next) has given `None`.
    #[must_use]
    pub const fn summary(&self) -> &GapSummary {
        &self.summary
    }

    /// The gaps of the next part, which may be none; `None` at the end.
    ///
    /// # Errors
    /// Those of [`Numbering::gaps`]; [`StoreError::Unavailable`] when the counter was moved back meanwhile, so that
    /// the parts do not belong together.
    pub async fn next(&mut self) -> Result<Option<Vec<Gap>>, Error> {
        let page = match std::mem::replace(&mut self.part, Part::End) {
            Part::Read(page) => *page,
            Part::After(after) => {
                let page = next_page(Some(after));
                self.numbering.gaps(self.counter.clone(), page).await?
            }
            Part::End => return Ok(None),
        };
        let mut gaps = Vec::with_capacity(page.gaps.len() + 1);
        gaps.extend(self.held_back.take());
        for gap in page.gaps {
            if !self.account_for(&gap)? {
                continue;
            }
            match gaps.last_mut() {
                Some(before) if before.is_followed_by(&gap) => before.extend(gap),
                _ => gaps.push(gap),
            }
        }
        match page.next {
            Some(after) => {
                self.held_back = gaps.pop();
                self.part = Part::After(after);
            }
            None => self.require_not_moved_back().await?,
        }
        Ok(Some(gaps))
    }

    /// Counts a gap; answers whether it belongs to the report.
    fn account_for(&mut self, gap: &Gap) -> Result<bool, Error> {
        let generation = self.head.status.generation;
        if gap.generation != generation {
            return Ok(gap.generation < generation);
        }
        let (first, last) = (gap.run.first, gap.run.last());
        if self.summary.to.is_none_or(|to| first > to) || self.covered.is_some_and(|covered| last <= covered)
        {
            // Offered since; or what is left of a run that was read already.
            return Ok(false);
        }
        let torn = self.summary.to.is_some_and(|to| last > to)
            || self.covered.is_some_and(|covered| first <= covered);
        let left = self.summary.issued.checked_sub(gap.run.count);
        let (Some(left), false) = (left, torn) else {
            return Err(moved_back());
        };
        self.covered = Some(last);
        self.summary.issued = left;
        self.summary.marked[gap.state as usize - 1] += gap.run.count;
        Ok(true)
    }

    /// Numbers that were given back while the report was read have no marks any more, and would count as issued.
    async fn require_not_moved_back(&self) -> Result<(), Error> {
        let (then, now) = (
            &self.head.status,
            self.numbering.status(self.counter.clone()).await?,
        );
        let back = match (then.next_number, now.next_number) {
            (Some(then), Some(now)) => now < then,
            (None, Some(now)) => self.summary.to.is_some_and(|to| now <= to),
            (_, None) => false,
        };
        if back || now.generation != then.generation {
            return Err(moved_back());
        }
        Ok(())
    }
}

fn next_page(after: Option<String>) -> Page {
    Page { after, limit: PAGE }
}

fn moved_back() -> Error {
    StoreError::Unavailable(Arc::new(MovedBack)).into()
}

#[derive(Debug, thiserror::Error)]
#[error("the counter was moved back while its report was read")]
struct MovedBack;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_codes_of_the_states_are_places_in_the_summary() {
        for (place, state) in NumberState::ALL.into_iter().enumerate() {
            assert_eq!(state as usize, place + 1);
        }
    }
}
