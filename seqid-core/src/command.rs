//! What a store is asked to do, and what it answers. Everything that changes a counter is one [`Command`].

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::counter::{CounterKey, Run, SequenceKey};
use crate::definition::{Definition, OnExpiry};
use crate::event::{Event, KeyName, Keyed, Origin};
use crate::lease::{Holder, Lease, LeaseId};
use crate::line::Line;
use crate::names::{Number, Reason, Reference};
use crate::refusal::Refusal as DefinitionRefusal;
use crate::reservation::ReservationId;
use crate::time::{Date, Timestamp};

/// One act, with who asked for it and under which key: atomic on its own, whatever else is in its batch.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Command {
    /// What to do.
    pub act: Act,
    /// Who asked.
    pub origin: Arc<Origin>,
    /// The idempotency key; a repeated one answers [`Reply::Replayed`].
    pub key: Option<Keyed>,
    /// The other sequences of its chain of successors, in which an earlier request under the key may have been
    /// carried out.
    pub kin: Vec<Kin>,
    /// A command that is not sealed into a batch by then draws nothing.
    pub deadline: Option<Instant>,
}

impl Command {
    /// An act without key or deadline.
    #[must_use]
    pub fn new(act: Act, origin: Arc<Origin>) -> Self {
        Self {
            act,
            origin,
            key: None,
            kin: Vec::new(),
            deadline: None,
        }
    }

    /// The same command under an idempotency key.
    #[must_use]
    pub fn with_key(mut self, key: Option<Keyed>) -> Self {
        self.key = key;
        self
    }

    /// The same command, of a sequence in a chain of successors.
    #[must_use]
    pub fn with_kin(mut self, kin: Vec<Kin>) -> Self {
        self.kin = kin;
        self
    }

    /// The same command, to be sealed by a deadline or not at all.
    #[must_use]
    pub fn with_deadline(mut self, deadline: Option<Instant>) -> Self {
        self.deadline = deadline;
        self
    }

    /// Whether the deadline has passed.
    #[must_use]
    pub fn is_late(&self) -> bool {
        self.deadline.is_some_and(|deadline| deadline <= Instant::now())
    }
}

/// Another sequence of a chain of successors, as the caller knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kin {
    /// The sequence.
    pub sequence: SequenceKey,
    /// The newest version of its definition: it says whether the chain goes on.
    pub head: u32,
    /// The name of the request's key in that sequence.
    pub key: Option<KeyName>,
}

/// The acts.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Act {
    /// Give out the next numbers of a counter, all or none.
    Draw(Draw),
    /// Move a counter without giving out a number.
    Shift(Shift),
    /// Save a version of a definition.
    Define(Define),
    /// Confirm or void held numbers.
    Settle(Settle),
    /// Declare numbers void.
    Void(Void),
    /// Let go of holds of a counter that have ended, as every write to it does, and do nothing else.
    Expire(CounterKey),
    /// End a sequence: it gives no numbers any more.
    Archive(Archive),
    /// Close document dates, or open them again.
    Close(Close),
    /// Take numbers that another system gave out, in any counters of a sequence.
    Adopt(Adopt),
    /// Put numbers of a counter into the hands of a holder.
    Lease(TakeLease),
    /// Put the numbers that follow those of a lease into the same hands.
    Extend(ExtendLease),
    /// Record what a holder issued.
    Report(Report),
    /// End a lease.
    EndLease(EndLease),
    /// Let a counter give no numbers until an operator has looked.
    Freeze(Freeze),
}

impl Void {
    /// The last number.
    #[must_use]
    pub fn last(&self) -> u64 {
        let distance = self
            .count
            .saturating_sub(1)
            .saturating_mul(self.line.definition().step());
        self.first.get().saturating_add(distance)
    }
}

impl Act {
    /// The sequence concerned.
    #[must_use]
    pub fn sequence(&self) -> &SequenceKey {
        match self {
            Self::Draw(draw) => draw.line.key().sequence(),
            Self::Shift(shift) => shift.line.key().sequence(),
            Self::Define(define) => &define.sequence,
            Self::Settle(settle) => settle.counter.sequence(),
            Self::Void(void) => void.line.key().sequence(),
            Self::Expire(counter) => counter.sequence(),
            Self::Archive(archive) => &archive.sequence,
            Self::Close(close) => &close.sequence,
            Self::Adopt(adopt) => &adopt.sequence,
            Self::Lease(lease) => lease.line.key().sequence(),
            Self::Extend(extend) => extend.line.key().sequence(),
            Self::Report(report) => report.line.key().sequence(),
            Self::EndLease(end) => end.line.key().sequence(),
            Self::Freeze(freeze) => freeze.line.key().sequence(),
        }
    }

    /// The counter concerned, unless it is the sequence as a whole, or several of its counters.
    #[must_use]
    pub fn counter(&self) -> Option<&CounterKey> {
        match self {
            Self::Draw(draw) => Some(draw.line.key()),
            Self::Shift(shift) => Some(shift.line.key()),
            Self::Define(_) | Self::Archive(_) | Self::Close(_) | Self::Adopt(_) => None,
            Self::Settle(settle) => Some(&settle.counter),
            Self::Void(void) => Some(void.line.key()),
            Self::Expire(counter) => Some(counter),
            Self::Lease(lease) => Some(lease.line.key()),
            Self::Extend(extend) => Some(extend.line.key()),
            Self::Report(report) => Some(report.line.key()),
            Self::EndLease(end) => Some(end.line.key()),
            Self::Freeze(freeze) => Some(freeze.line.key()),
        }
    }

    /// A hash that keeps the commands of one counter together.
    #[must_use]
    pub fn lane_hash(&self) -> u64 {
        self.counter()
            .map_or_else(|| self.sequence_hash(), CounterKey::lane_hash)
    }

    /// A hash that keeps the commands of one sequence together.
    #[must_use]
    pub fn sequence_hash(&self) -> u64 {
        match self.counter() {
            Some(counter) => counter.sequence_hash(),
            None => self.sequence().sequence_hash(),
        }
    }
}

/// Give out the next `count` numbers.
#[derive(Debug, Clone)]
pub struct Draw {
    /// The counter, as the caller's definition version sees it on the document date.
    pub line: Arc<Line>,
    /// How many, at least 1.
    pub count: u32,
    /// The caller's key of the document.
    pub reference: Option<Reference>,
    /// The document that this one belongs to or corrects.
    pub relates_to: Option<Reference>,
    /// To hold the numbers for a while instead of issuing them.
    pub hold: Option<NewHold>,
}

/// A hold that begins when the store decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NewHold {
    /// Its name.
    pub id: ReservationId,
    /// How long it lasts.
    pub ttl: Duration,
    /// What becomes of the numbers when it ends by itself.
    pub on_expiry: OnExpiry,
}

/// End a hold.
#[derive(Debug, Clone)]
pub struct Settle {
    /// The counter.
    pub counter: CounterKey,
    /// The generation that the numbers are of.
    pub generation: u32,
    /// The first of them.
    pub first: Number,
    /// The hold.
    pub reservation: ReservationId,
    /// How it ends.
    pub end: End,
}

/// How a hold ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// The numbers are issued.
    Confirm {
        /// The document date, which must be the one that was fixed when the hold began.
        date: Option<Date>,
        /// The caller's key of the document.
        reference: Option<Reference>,
    },
    /// The numbers are void.
    Void {
        /// Why.
        reason: Reason,
    },
}

/// Declare numbers void: such as were issued, or the next that would be.
#[derive(Debug, Clone)]
pub struct Void {
    /// The counter.
    pub line: Arc<Line>,
    /// The first number.
    pub first: Number,
    /// How many numbers of the counter.
    pub count: u64,
    /// The only generation whose numbers are meant.
    pub generation: Option<u32>,
    /// Why.
    pub reason: Reason,
}

/// Put the next numbers of a counter into the hands of a holder.
#[derive(Debug, Clone)]
pub struct TakeLease {
    /// The counter.
    pub line: Arc<Line>,
    /// The lease's name. If there is such a lease already, that is the answer.
    pub id: LeaseId,
    /// Who gives the numbers out.
    pub holder: Holder,
    /// How many numbers, at least 1. Fewer where fewer are left.
    pub count: u64,
    /// The open lease of a history that this one takes over from, as the caller knows it. It is lost.
    pub replaces: Option<Lease>,
}

/// Put the numbers behind a lease into the same hands.
#[derive(Debug, Clone)]
pub struct ExtendLease {
    /// The counter.
    pub line: Arc<Line>,
    /// The lease.
    pub id: LeaseId,
    /// Its last number, as the caller knows it: if it has another one by now, that is the answer.
    pub last: Number,
    /// How many numbers, at least 1. Fewer where fewer are left.
    pub count: u64,
}

/// Record what a holder issued.
#[derive(Debug, Clone)]
pub struct Report {
    /// The counter, with the document's date and fields.
    pub line: Arc<Line>,
    /// The lease that the numbers are of.
    pub lease: LeaseId,
    /// The numbers.
    pub run: Run,
    /// When they were issued.
    pub at: Timestamp,
    /// The caller's key of the document.
    pub reference: Option<Reference>,
    /// The document that this one belongs to or corrects.
    pub relates_to: Option<Reference>,
}

/// End a lease.
#[derive(Debug, Clone)]
pub struct EndLease {
    /// The counter.
    pub line: Arc<Line>,
    /// The lease, as the caller knows it.
    pub lease: Lease,
    /// What is known of its numbers.
    pub end: LeaseEnd,
}

/// What is known of the numbers of a lease that ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LeaseEnd {
    /// The holder issued none from this number on, and never will. They lie ahead of the counter again, or are skipped where
    /// it has gone on.
    Unused {
        /// The first of them; the number behind the last one if there is none.
        from: u64,
    },
    /// The holder is gone. What it had not reported is unknown until it is.
    Lost,
}

/// Let a counter give no numbers until an operator has looked.
#[derive(Debug, Clone)]
pub struct Freeze {
    /// The counter.
    pub line: Arc<Line>,
    /// What contradicts itself.
    pub reason: Reason,
}

/// End a sequence.
#[derive(Debug, Clone)]
pub struct Archive {
    /// The sequence.
    pub sequence: SequenceKey,
    /// The version that the caller believes to be the newest, if it says so.
    pub expected: Option<u32>,
    /// Why.
    pub reason: Reason,
}

/// Take numbers that another system gave out: all of them or none.
#[derive(Debug, Clone)]
pub struct Adopt {
    /// The sequence.
    pub sequence: SequenceKey,
    /// The numbers: those of a counter next to one another and in rising order.
    pub runs: Vec<AdoptedRun>,
    /// Why.
    pub reason: Reason,
}

/// Close document dates of a sequence, or of all sequences of a tenant, or open them again.
#[derive(Debug, Clone)]
pub struct Close {
    /// The sequence, or [all of the tenant](SequenceKey::whole).
    pub sequence: SequenceKey,
    /// Which dates.
    pub dates: Dates,
    /// Why.
    pub reason: Reason,
}

/// Which document dates are closed or opened. Those that are closed always reach back without end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dates {
    /// Those up to this one, which is included, are closed.
    ClosedThrough(Date),
    /// Those from this one on are open.
    OpenFrom(Date),
}

impl Adopt {
    /// The runs of each counter.
    pub fn counters(&self) -> impl Iterator<Item = &[AdoptedRun]> {
        self.runs.chunk_by(|one, next| one.line.key() == next.line.key())
    }
}

/// Numbers that another system gave out.
#[derive(Debug, Clone)]
pub struct AdoptedRun {
    /// The counter, with a date and fields that give the numbers the ids that they have.
    pub line: Arc<Line>,
    /// The numbers.
    pub run: Run,
}

/// Move a counter.
#[derive(Debug, Clone)]
pub struct Shift {
    /// The counter.
    pub line: Arc<Line>,
    /// Where to.
    pub target: Target,
    /// Why.
    pub reason: Option<Reason>,
}

/// Where a counter is moved to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// This number is the next to be issued. Jumped numbers are skipped; a backward move over numbers that
    /// were offered begins a new generation, and needs `repeats_accepted`.
    Next {
        /// The next number.
        number: Number,
        /// Whether the caller accepts that numbers repeat.
        repeats_accepted: bool,
    },
    /// Every number up to this one is taken by another system. Never moves backward.
    Beyond(Number),
    /// So many numbers are jumped over, or as many as are left, and a new epoch begins: an operator accepted a store
    /// that had gone back in time. Open leases are lost, and a frozen counter gives numbers again.
    NewEpoch(u64),
}

/// Save a definition.
#[derive(Debug, Clone)]
pub struct Define {
    /// The sequence.
    pub sequence: SequenceKey,
    /// The definition, checked.
    pub definition: Definition,
    /// What the caller believes to be there.
    pub expected: Expected,
    /// What stands against the change once a counter of the sequence has opened.
    pub objections: Vec<DefinitionRefusal>,
    /// Whether it is made because a draw found none.
    pub implicit: Option<Implicit>,
}

/// What the caller of a definition change believes to be there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expected {
    /// No definition, or one equal to the new.
    Nothing,
    /// This version.
    Version(u32),
}

/// When a draw on an undefined prefix defines it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Implicit {
    /// Always.
    Always,
    /// As long as the tenant has no definition that somebody wrote.
    UntilFirstDefinition,
}

/// What became of a command that was carried out.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reply {
    /// Numbers were given out.
    Granted(Granted),
    /// A counter was moved, or already stood there.
    Shifted(Shifted),
    /// A definition was saved, or was there already.
    Defined(Defined),
    /// A hold was ended, now or before in the same way.
    Settled(Settled),
    /// Numbers were declared void, now or before.
    Voided(Voided),
    /// Holds that had ended were let go.
    Expired(Expired),
    /// The sequence is archived, now or before.
    Archived(Archived),
    /// Dates were closed or opened, or were so already.
    Closed(Closed),
    /// Numbers of another system were taken, now or before.
    Adopted(Vec<AdoptedNumbers>),
    /// A lease was taken, extended or ended, now or before: this is what there is of it now.
    Leased(Box<Lease>),
    /// The counter is frozen, now or before.
    Frozen,
    /// The key was used before with an equal request: this is the event of that time. Nothing was done.
    Replayed(Box<Event>),
}

/// Numbers that were given out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Granted {
    /// The numbers.
    pub run: Run,
    /// The counter's generation.
    pub generation: u32,
    /// The counter's epoch.
    pub epoch: u32,
    /// The event's position in the counter's chain.
    pub n: u64,
    /// When the store decided it.
    pub at: Timestamp,
    /// When the hold ends, of numbers that are held.
    pub expires_at: Option<Timestamp>,
}

/// How a hold ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settled {
    /// The event that says so.
    pub event: Box<Event>,
    /// Whether it was ended in this way before.
    pub repeated: bool,
}

/// Numbers that are void.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Voided {
    /// The numbers.
    pub run: Run,
    /// The counter's generation.
    pub generation: u32,
    /// Whether they had been issued.
    pub were_issued: bool,
    /// Whether they were void before.
    pub repeated: bool,
}

/// What was let go of a counter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Expired {
    /// How many holds.
    pub holds: u64,
    /// Whether others may have ended that were not let go yet.
    pub more: bool,
}

/// A sequence that is archived.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Archived {
    /// Whether it was archived before.
    pub repeated: bool,
}

/// Which document dates are closed after a [`Close`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Closed {
    /// Those up to this one, by what was closed of the sequence or of its tenant as a whole; `None` when all are open.
    pub through: Option<Date>,
    /// Whether that was changed just now.
    pub changed: bool,
}

/// The numbers of one counter that were adopted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AdoptedNumbers {
    /// The counter.
    pub counter: CounterKey,
    /// How many were taken just now.
    pub adopted: u64,
    /// How many were external before.
    pub repeated: u64,
    /// How many were skipped, lying between.
    pub skipped: u64,
    /// What is issued next now.
    pub next: u64,
}

/// Where a counter was moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shifted {
    /// What was to be issued next before.
    pub old_next: u64,
    /// What is issued next now.
    pub next: u64,
    /// The counter's generation now.
    pub generation: u32,
    /// The counter's epoch.
    pub epoch: u32,
    /// When the store decided it.
    pub at: Timestamp,
}

/// The definition that holds after a [`Define`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Defined {
    /// Its version.
    pub version: u32,
    /// Whether it was saved just now; false when an equal one was there.
    pub saved: bool,
}
