use super::Status;
use crate::counter::Run;
use crate::mark::NumberState;
use crate::names::{Label, Number, Reason, Reference};
use crate::reservation::ReservationId;
use crate::time::{Date, Timestamp};

/// A part of a counter's gap report.
#[derive(Debug, Clone, PartialEq)]
pub struct GapPage {
    /// The counter's first number.
    pub start: Number,
    /// The distance between two numbers of the counter, at least 1.
    pub step: u64,
    /// How many numbers lie from the first to before the next: what became of them is the report.
    pub offered: u64,
    /// Where the counter stands.
    pub status: Status,
    /// When the part was read.
    pub at: Timestamp,
    /// Runs of numbers that were not plainly issued, in the order of generation and number.
    pub gaps: Vec<Gap>,
    /// Where the next part begins; `None` at the end.
    pub next: Option<String>,
}

/// A run of numbers that were not plainly issued, and why.
#[derive(Debug, Clone, PartialEq)]
pub struct Gap {
    /// The numbers.
    pub run: Run,
    /// The counter's generation.
    pub generation: u32,
    /// The text of the first number; `None` where the counter and the number do not tell it: it shows the instant of
    /// issue, or the date or a field of a document that is not known.
    pub first_id: Option<String>,
    /// The text of the last number.
    pub last_id: Option<String>,
    /// What became of them.
    pub state: NumberState,
    /// Why.
    pub reason: Option<Reason>,
    /// Who did it.
    pub actor: Option<Label>,
    /// The request that did it; `None` too where several did the same to adjacent numbers.
    pub request_id: Option<Label>,
    /// The caller's key of the document.
    pub reference: Option<Reference>,
    /// The reservation that the numbers are or were under.
    pub reservation: Option<ReservationId>,
    /// When it ends, or ended.
    pub expires_at: Option<Timestamp>,
    /// The document date, which a reservation fixed.
    pub date: Option<Date>,
    /// When it was recorded; of several records of adjacent numbers the last.
    pub at: Timestamp,
}

impl Gap {
    /// Whether another gap says the same of the numbers that follow.
    #[must_use]
    pub fn is_followed_by(&self, next: &Self) -> bool {
        let follows = self.run.last().get().checked_add(self.run.step) == Some(next.run.first.get());
        follows
            && self.run.step == next.run.step
            && self.generation == next.generation
            && self.state == next.state
            && self.reservation == next.reservation
            && (&self.reason, &self.actor, &self.reference, &self.date)
                == (&next.reason, &next.actor, &next.reference, &next.date)
    }

    /// Takes in the numbers of a gap that [follows](Self::is_followed_by).
    pub fn extend(&mut self, next: Self) {
        self.run.count += next.run.count;
        self.last_id = next.last_id;
        self.at = self.at.max(next.at);
        if self.request_id != next.request_id {
            self.request_id = None;
        }
    }
}
