use crate::definition::{Mode, NumberRange};
use crate::lease::{Lease, LeaseId};
use crate::names::{Label, Number};
use crate::period::Period;
use crate::refusal::DefinitionRefused;
use crate::reservation::ReservationId;
use crate::time::{Date, Timestamp};

/// What was closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Closer {
    /// The sequence.
    Sequence,
    /// The tenant as a whole.
    Tenant,
}

impl Closer {
    const fn words(self) -> &'static str {
        match self {
            Self::Sequence => " in this sequence",
            Self::Tenant => " in all sequences",
        }
    }
}

/// Why the ledger does not carry out a command. Nothing was changed.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// The counter has no number left.
    #[error("the counter ended at {max}")]
    Exhausted {
        /// The largest number that it may give out.
        max: Number,
    },
    /// The counter has fewer numbers left than were asked for.
    #[error("only {remaining} numbers remain up to {max}")]
    DoesNotFit {
        /// How many are left.
        remaining: u64,
        /// The largest number that it may give out.
        max: Number,
    },
    /// A document of this date cannot have a number of the range that the counter has come to, and it does not go back.
    #[error("the counter is at the range {range}, {}: it has no number for a document of {date}", valid(.range))]
    RangeExpired {
        /// The range.
        range: NumberRange,
        /// The document date.
        date: Date,
    },
    /// The target is in none of the ranges.
    #[error("{number} is in none of the ranges of this sequence")]
    NotGranted {
        /// The target.
        number: Number,
    },
    /// The caller's definition is not the one that holds. To be reloaded, and tried again.
    #[error("the definition is at version {head}")]
    DefinitionChanged {
        /// The newest version.
        head: u32,
        /// The version that the counter opened with.
        opened: u32,
    },
    /// The caller's definition of another sequence of the chain of successors is not the one that holds. To be
    /// reloaded, and tried again.
    #[error("the definition of a successor has changed")]
    ChainChanged,
    /// The document date lies before that of an earlier document of a chronological sequence.
    #[error("the last document has the later date {last}")]
    DateBeforeLast {
        /// The latest date.
        last: Date,
    },
    /// The key was used with another request.
    #[error("the idempotency key was used with another request")]
    KeyMismatch,
    /// A name differs from an existing one by letter case alone.
    #[error("differs by letter case alone from {existing:?}, which exists")]
    CaseVariant {
        /// The existing name.
        existing: String,
    },
    /// The sequence is not defined.
    #[error("the sequence is not defined")]
    NotDefined,
    /// The sequence was archived.
    #[error("the sequence was archived")]
    Archived,
    /// Documents of that date are closed, and what was asked would change their numbers.
    #[error("documents of dates up to {through} are closed{}", by.words())]
    PeriodClosed {
        /// The last date that is closed.
        through: Date,
        /// What was closed.
        by: Closer,
    },
    /// The dates that a sequence is to open are closed for all sequences.
    #[error("all sequences are closed through {through}: reopen them all, without a prefix")]
    AllClosed {
        /// The last date that is closed for all.
        through: Date,
    },
    /// The counter is frozen.
    #[error("the counter is frozen until an operator has looked at it")]
    Frozen,
    /// A backward reset would repeat numbers.
    #[error("numbers up to {last} were given out and would repeat")]
    WouldRepeat {
        /// The largest number that was offered.
        last: Number,
    },
    /// The target is not a member of the counter's line.
    #[error("{number} is not a number of this counter: it has {start}, {second} and so on up to {max}")]
    NotAMember {
        /// The target.
        number: Number,
        /// The counter's first number.
        start: Number,
        /// The counter's second number.
        second: Number,
        /// The counter's last number.
        max: Number,
    },
    /// There is no such reservation.
    #[error("there is no reservation {0}")]
    NoReservation(ReservationId),
    /// The hold has ended.
    #[error("the reservation ended at {at}")]
    HoldExpired {
        /// When.
        at: Timestamp,
    },
    /// The numbers were voided.
    #[error("the reservation was voided at {at}")]
    HoldVoided {
        /// When.
        at: Timestamp,
    },
    /// The numbers were issued.
    #[error("the reservation was confirmed at {at}")]
    HoldConfirmed {
        /// When.
        at: Timestamp,
    },
    /// Held numbers have the date that was fixed when the hold began.
    #[error("the numbers were reserved for a document of {fixed}; their ids and period cannot change")]
    DateChanged {
        /// The date.
        fixed: Date,
    },
    /// Numbers are held, and what was asked would lose track of them.
    #[error("{count} numbers are reserved: confirm or void them first")]
    OpenReservations {
        /// How many.
        count: u64,
    },
    /// Numbers are in the hands of holders, which what was asked would surprise.
    #[error("numbers are leased, {count} times, and were not given back: stop the instances that have them")]
    OpenLeases {
        /// How many.
        count: u64,
    },
    /// The sequence's numbers cannot be leased to such a holder.
    #[error("a sequence of mode {} does not lease its numbers so", mode.as_str())]
    NotLeasable {
        /// The mode.
        mode: Mode,
    },
    /// There is no such lease.
    #[error("there is no lease {0}")]
    NoLease(LeaseId),
    /// Another holder has a lease of that name.
    #[error("another holder has the lease {0}")]
    LeaseTaken(LeaseId),
    /// The lease has ended.
    #[error("the lease {0} has ended")]
    LeaseEnded(LeaseId),
    /// Numbers behind the lease were given out: another lease must be taken.
    #[error("the counter has gone on behind the lease {0}")]
    LeaseBuried(LeaseId),
    /// The lease is not what the caller believes it to be.
    #[error("the lease that is open is another one")]
    LeaseChanged {
        /// The one that there is.
        current: Option<Box<Lease>>,
    },
    /// Another history has taken over from this one.
    #[error("another history has taken over from {name}")]
    HistoryGone {
        /// The history.
        name: Label,
    },
    /// The caller's view of its server's cluster is out of date.
    #[error("the topology is out of date: {known} is known")]
    OldTopology {
        /// The newest that is known.
        known: u64,
    },
    /// The number is not one whose holder was still to say what became of it.
    #[error("{number} is not pending in this lease")]
    NotPending {
        /// The number.
        number: Number,
    },
    /// A number that is to be voided was neither issued, nor is it the next.
    #[error("{number} is {state}, and cannot be voided")]
    NotVoidable {
        /// The number.
        number: Number,
        /// What it is.
        state: &'static str,
    },
    /// A number that is to be adopted has another use.
    #[error("{number} of {period} is {state}, and cannot be adopted")]
    Taken {
        /// The number.
        number: Number,
        /// The period of its counter.
        period: Period,
        /// What it is.
        state: &'static str,
    },
    /// The definition that the caller changes is not the newest.
    #[error("the definition is at version {head}")]
    VersionMismatch {
        /// The newest version.
        head: u32,
    },
    /// The sequence is defined, and the caller did not say which version it changes.
    #[error("the sequence is defined already, at version {head}")]
    VersionRequired {
        /// The newest version.
        head: u32,
    },
    /// The change is not possible any more.
    #[error(transparent)]
    DefinitionRefused(DefinitionRefused),
    /// It needs what the store does not keep.
    #[error("this service keeps no {what}: it draws in Redis without a durable store behind it")]
    NotKept {
        /// What it needs.
        what: &'static str,
    },
    /// No implicit definition is made: the tenant has definitions that somebody wrote.
    #[error("the sequence is not defined, and this tenant's sequences are defined by hand")]
    ImplicitEnded,
    /// No implicit definition is made: the tenant has as many as it may have.
    #[error("the sequence is not defined, and the tenant has {limit} implicit definitions already")]
    TooManyImplicit {
        /// The most that a tenant may have.
        limit: u64,
    },
}

fn valid(range: &NumberRange) -> String {
    match (range.valid_from, range.valid_until) {
        (Some(from), Some(until)) => format!("valid from {from} until {until}"),
        (Some(from), None) => format!("valid from {from}"),
        (None, Some(until)) => format!("valid until {until}"),
        (None, None) => "always valid".to_owned(),
    }
}
