use super::run::Run;

/// One event of the audit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// The counter that it belongs to.
    pub counter: String,
    /// Its place among the rows of its counter, from 1.
    pub n: u64,
    /// What happened.
    pub kind: RowKind,
    /// The first number that it is about; of no meaning where the kind is about no numbers.
    pub first: u64,
    /// From one number to the next.
    pub step: u64,
    /// How many numbers it is about.
    pub count: u64,
    /// The generation of the numbers; the new one where the kind raises it.
    pub generation: u32,
    /// The epoch in which it happened.
    pub epoch: u32,
    /// The idempotency key of the call that caused it.
    pub key: Option<String>,
    /// The reservation that it begins or ends.
    pub reservation: Option<String>,
}

/// What a store says, apart from its audit, of numbers that were not plainly issued.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MarkRow {
    /// The counter that they belong to.
    pub counter: String,
    /// Their generation.
    pub generation: u32,
    /// The first of them.
    pub first: u64,
    /// From one to the next.
    pub step: u64,
    /// How many they are.
    pub count: u64,
    /// The kind of row that left them so: [`RowKind::Skipped`] also for what a restart left out.
    pub kind: RowKind,
}

impl MarkRow {
    pub(super) fn run(&self) -> Run {
        Run {
            first: self.first,
            step: self.step,
            count: self.count,
        }
    }
}

impl Row {
    pub(super) fn run(&self) -> Run {
        Run {
            first: self.first,
            step: self.step,
            count: self.count,
        }
    }
}

/// What a row says about its numbers, each of which is open until a row takes it.
///
/// Another kind needs its line in `may_follow`, and a yes or no in the questions below it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RowKind {
    /// Given to a caller. Takes open, released, pending and unknown numbers.
    Issued,
    /// Jumped over, and nobody has them. Takes open, pending and unknown numbers.
    Skipped,
    /// Jumped over because another system has them. Takes open and released numbers.
    External,
    /// Lost with the history that held them: issued or not, until there is evidence. Takes open and released
    /// numbers.
    Unknown,
    /// Given back by a backward reset within the generation, or by a holder: open again. Only skipped, external and
    /// pending numbers, because nobody was ever offered them.
    Returned,
    /// The generation was raised. About no numbers.
    Reset,
    /// The generation was raised, and its numbers before the first to be issued are skipped.
    Restarted,
    /// Something that is about no numbers, such as a new version of a definition.
    Noted,
    /// A documented gap for ever. From any number that was or may have been offered, or straight
    /// from an open one, as for the loser of two draws with one key.
    Voided,
    /// Held for a caller. Takes open and released numbers.
    Reserved,
    /// A reserved number was issued.
    Confirmed,
    /// A reservation ended under the policy `void`: a documented gap for ever.
    Expired,
    /// A reservation ended under the policy `reuse`: accounted for, and free for the next caller.
    Released,
    /// In the hands of a holder, who gives them out. Takes open and released numbers.
    Pending,
    /// Nobody listens to the holder any more. Of the run, what is still pending is unknown; the rest stays as it is.
    Lost,
}

impl RowKind {
    /// Whether a row of this kind may follow on `before`, the kind of the row that holds the number
    /// so far; `None` for an open number.
    pub(super) fn may_follow(self, before: Option<RowKind>) -> bool {
        use RowKind::*;
        match self {
            Issued => matches!(before, None | Some(Released | Unknown | Pending | Lost)),
            Reserved => matches!(before, None | Some(Released)),
            Skipped => matches!(before, None | Some(Unknown | Pending | Lost)),
            External => matches!(before, None | Some(Released)),
            Unknown | Pending => matches!(before, None | Some(Released)),
            Voided => matches!(
                before,
                None | Some(Issued | Reserved | Confirmed | Unknown | Pending | Lost)
            ),
            Confirmed | Expired | Released => before == Some(Reserved),
            Restarted => before.is_none(),
            Returned => matches!(before, Some(Skipped | External | Restarted | Pending | Lost)),
            Reset | Noted | Lost => true,
        }
    }

    /// Whether a call was given the numbers by such a row.
    pub(super) fn grants(self) -> bool {
        matches!(self, RowKind::Issued | RowKind::Reserved)
    }

    pub(super) fn has_numbers(self) -> bool {
        !matches!(self, RowKind::Reset | RowKind::Noted)
    }

    /// Whether such a row ends a reservation, where it names one.
    pub(super) fn ends_a_hold(self) -> bool {
        use RowKind::*;
        matches!(self, Confirmed | Voided | Expired | Released)
    }

    /// The kind of the mark that such a row leaves; `None` where its numbers are plainly issued.
    pub(super) fn mark(self) -> Option<RowKind> {
        use RowKind::*;
        match self {
            Issued | Confirmed | Returned | Reset | Noted => None,
            Restarted => Some(Skipped),
            Lost => Some(Unknown),
            kept => Some(kept),
        }
    }

    /// Whether such a row opens a generation.
    pub(super) fn raises_the_generation(self) -> bool {
        matches!(self, RowKind::Reset | RowKind::Restarted)
    }
}

/// The final state of one line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CounterEnd {
    /// The counter.
    pub counter: String,
    /// The generation.
    pub generation: u32,
    /// The first integer of the line: that of the definition, or where a reset put this generation.
    pub start: u64,
    /// From one integer to the next; 0 is read as 1.
    pub step: u64,
    /// What the next draw would be given.
    pub next: u64,
}
