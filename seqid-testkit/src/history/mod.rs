//! Checks what clients saw, and what the audit says afterwards, against what seqid promises.
//!
//! A fault test lets many clients draw through a [`Recorder`] while it stops processes and cuts
//! connections, then reads the audit and the counters, and asks [`History::check`] whether any store
//! that keeps its promises could have answered so. The checker knows no store: it judges a
//! [`History`] alone, and each [`Violation`] is a defect for certain, whatever the timing was.
//!
//! # Words
//! A **line** is one generation of one counter. Calls that share a key are **attempts** of one
//! **draw**; a call without a key is a draw of its own. Keys are compared across all counters,
//! because a retry after midnight must find the grant of the day before: a history that spans
//! several tenants or prefixes qualifies its keys.
//!
//! # Properties
//! **P1, unique.** No integer of a line is acknowledged to two draws. Replays of one key are one draw.
//!
//! **P2, real time.** A draw that began after another had been answered has the larger numbers, in
//! the same line ([`Order`] says where that is promised). Only one attempt of a draw took the
//! number, and nobody can see which. What is certain:
//! - It was taken *before the earliest answer* that names it, whichever attempt took it, because no
//!   answer can name a number that is not taken yet. So a draw is answered at the smallest `ended`
//!   of its issued attempts. The end of an unknown attempt bounds nothing: its request may still be
//!   travelling, and take effect after the client gave up.
//! - It was taken *after the earliest attempt began* that can have taken it: an issued or an
//!   unknown one. An attempt that was definitely not issued took nothing. To believe that is sound:
//!   where it is a lie, the alarm is still about a broken promise.
//!
//! Draw B must be larger than draw A if the second bound of B lies after the first bound of A. Between
//! those bounds the draws may have happened either way round, so everything else is allowed.
//!
//! **P5, accounted for.** The rows of a counter are numbered 1, 2, 3 and so on, across its
//! generations, without a gap or a repetition. Played in that order, they give every integer of a
//! line from `start` to the last below `next` exactly one final state, and none to any other
//! integer; [`RowKind`] says which state may follow which. A generation opens with a
//! [`RowKind::Reset`], and the counter ends in the newest. A line without a [`CounterEnd`] is held
//! to have no hole between its lowest and its highest integer. Where the store's [marks](MarkRow) are
//! known, they say of each integer what the rows say.
//!
//! **P8, recorded.** What was acknowledged is in the audit for ever, with the same generation and
//! epoch, even if it was voided later. A key whose attempts were all definitely not issued has no
//! row that grants. One unknown attempt excuses a row, whether it was the first or the last; a call
//! without a key cannot be recognised in the audit and is not judged.
//!
//! **P9, one grant.** A key has one request and one grant: all issued answers of a key are equal, it
//! is never issued for two requests, at most one row that grants bears it, and the row of an
//! acknowledged grant bears the key of its call.
//!
//! **P10, whole batch.** A grant has the count that was asked for, as many ids, one row of the audit
//! with the same first, step and count, and no other draw's integer between its own.
//!
//! **P13, holds.** A reservation begins once, ends once at the most, and ends with the numbers that it
//! began with. Whoever is told how it ended is told the same, and what the audit says: what was
//! confirmed did not expire, and what expired is confirmed to nobody. That no number is given out
//! again once it is confirmed is P5, and P1 for the calls.

mod accounted_for;
mod audit;
mod call;
mod draw;
mod holds;
mod one_grant;
mod real_time;
mod recorded;
mod recorder;
mod run;
mod settlement;
mod unique;
mod violation;

#[cfg(test)]
mod tests;

pub use audit::{CounterEnd, MarkRow, Row, RowKind};
pub use call::{Call, Grant, Outcome};
pub use recorder::{Pending, Recorder};
pub use settlement::{Ending, Settlement, Told};
pub use violation::{Fault, Line, Property, RowRef, Violation};

use draw::Draws;
use violation::Report;

/// Calls as their clients saw them, and the audit and the counters as the store has them afterwards.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct History {
    /// Every call that was begun, in any order, those that never came back included.
    pub calls: Vec<Call>,
    /// The whole audit of the counters concerned, in any order.
    pub rows: Vec<Row>,
    /// The final state of each counter; of older generations too, where it is known.
    pub ends: Vec<CounterEnd>,
    /// What the store says of numbers that were not plainly issued; `None` where it was not asked.
    pub marks: Option<Vec<MarkRow>>,
    /// What clients were told when they ended reservations.
    pub settlements: Vec<Settlement>,
    /// Where real-time order is promised.
    pub order: Order,
}

/// Between which draws of a counter real-time order is promised.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Order {
    /// Between all of a generation: gapless mode.
    #[default]
    Generation,
    /// Between those of one epoch of a generation: ordered mode, in which an old primary may use up
    /// its own range while the next one is in use.
    Epoch,
    /// Nowhere: leased mode over several processes, and reservations that are reused.
    Nowhere,
}

impl History {
    /// Looks for whatever breaks a property.
    ///
    /// Takes O(n log n) time and O(n) memory in calls and rows; a large batch costs as much as a
    /// single number.
    ///
    /// # Errors
    /// The violations, by property; of each property at most [`Property::MOST_REPORTED`], so that a
    /// store that is wrong throughout can still be read about.
    pub fn check(&self) -> Result<(), Vec<Violation>> {
        let draws = Draws::of(&self.calls);
        let issues = draws.issues();
        let mut report = Report::default();
        unique::check(&issues, &mut report);
        real_time::check(&issues, self.order, &mut report);
        accounted_for::check(&self.rows, &self.ends, self.marks.as_deref(), &mut report);
        recorded::check(&draws, &issues, &self.rows, &mut report);
        one_grant::check(&draws, &self.rows, &mut report);
        holds::check(&self.rows, &self.settlements, &mut report);
        report.into_result()
    }
}
