//! What a caller is told when a request was not carried out, classified by what the caller may do next.

use std::time::Duration;

use crate::definition::DateOutOfWindow;
use crate::field::ValueRefused;
use crate::ledger::Refusal;
use crate::names::{InvalidText, Number};
use crate::period::Period;
use crate::refusal::DefinitionRefused;
use crate::store::{Certainty, StoreError};
use crate::template::RenderError;
use crate::time::{Date, InvalidTime};

/// Why a request was not carried out.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A member of the request is not what it must be.
    #[error("{pointer}: {reason}")]
    Invalid {
        /// The member, as a JSON pointer.
        pointer: &'static str,
        /// What is wrong with it.
        reason: InvalidRequest,
    },
    /// Scope or field values do not fit the definition.
    #[error(transparent)]
    Values(#[from] ValueRefused),
    /// The document date is outside of what the sequence's ids can tell apart, or too far ahead.
    #[error("the date {date} is outside of {first} to {last}, the dates that this sequence takes")]
    DateOutOfWindow {
        /// The date.
        date: Date,
        /// The earliest date allowed.
        first: Date,
        /// The latest date allowed.
        last: Date,
    },
    /// An id cannot be written.
    #[error(transparent)]
    Render(#[from] RenderError),
    /// The sequence is not defined.
    #[error("sequence {prefix:?} is not defined: PUT /api/v1/sequences/{prefix} defines it")]
    SequenceNotFound {
        /// The prefix.
        prefix: String,
    },
    /// The counter does not have the number, or has not opened.
    #[error("{counter} has no number {number}")]
    NumberNotFound {
        /// The number.
        number: Number,
        /// The counter.
        counter: String,
    },
    /// The text is not an id of any sequence that was looked at.
    #[error("{id:?} is not an id of {of}")]
    IdNotRecognised {
        /// The text.
        id: String,
        /// What it was compared with.
        of: String,
    },
    /// The text is an id of several sequences.
    #[error("{id:?} may be of {}; name the prefix", .prefixes.join(" or "))]
    AmbiguousId {
        /// The text.
        id: String,
        /// The sequences.
        prefixes: Vec<String>,
    },
    /// The definition cannot hold.
    #[error(transparent)]
    DefinitionRefused(#[from] DefinitionRefused),
    /// Ids cannot be adopted.
    #[error(transparent)]
    AdoptionRefused(#[from] AdoptionRefused),
    /// The caller may not make numbers repeat.
    #[error("this service does not let numbers repeat; its operator can allow it (SEQID_ALLOW_REPEATS)")]
    ForceNotAllowed,
    /// The store or its ledger did not carry it out.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A service elsewhere refused it.
    #[error(transparent)]
    Remote(#[from] RemoteRefusal),
}

/// Why a service elsewhere refused a request, as it told.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{detail}")]
pub struct RemoteRefusal {
    /// The code.
    pub code: Code,
    /// One sentence.
    pub detail: String,
    /// How many numbers are left, where that is why.
    pub remaining: Option<u64>,
}

/// Ids that cannot be adopted. Nothing was adopted.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("{total} of {ids} ids cannot be adopted, so that none was")]
pub struct AdoptionRefused {
    /// The first of them in the order of the list, at most [`AdoptionRefused::SHOWN`].
    pub wrong: Vec<WrongId>,
    /// How many there are.
    pub total: usize,
    /// How many ids were sent.
    pub ids: usize,
}

impl AdoptionRefused {
    /// The most ids that are named.
    pub const SHOWN: usize = 1_000;
}

/// An id that cannot be adopted.
#[derive(Debug, Clone, PartialEq)]
pub struct WrongId {
    /// Its place in the list, from 0.
    pub index: usize,
    /// What is wrong.
    pub reason: WrongIdReason,
}

/// Why an id cannot be adopted.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum WrongIdReason {
    /// The sequence does not write such a text.
    #[error("{id:?} is not an id of sequence {prefix}")]
    NotRecognised {
        /// The text.
        id: String,
        /// The sequence.
        prefix: String,
    },
    /// The text does not tell of which counter its number is.
    #[error("{id:?} does not tell its {what}, which the counter depends on")]
    Ambiguous {
        /// The text.
        id: String,
        /// The period, or the name of a scope field.
        what: String,
    },
    /// The text is that of a version of the definition that its counter does not have.
    #[error(
        "{id:?} is written by version {version} of the definition, but its counter, {period}, has version {opened}"
    )]
    OtherVersion {
        /// The text.
        id: String,
        /// The version that writes it.
        version: u32,
        /// The counter's period.
        period: Period,
        /// The version of the counter, or the one that it would open with.
        opened: u32,
    },
    /// The same text, or the same number of the same counter, stands in the list before.
    #[error("{}", repeated(id, *number, *of))]
    Repeated {
        /// The text.
        id: String,
        /// The number, where the text is another one.
        number: Option<Number>,
        /// The place of the other, from 0.
        of: usize,
    },
    /// The number has another use.
    #[error("{id:?}: the number is {state}")]
    Taken {
        /// The text.
        id: String,
        /// What it is.
        state: &'static str,
    },
    /// The number is larger than the counter may go.
    #[error("{id:?}: {number} is beyond {max}, the last number of its counter")]
    Beyond {
        /// The text.
        id: String,
        /// The number.
        number: Number,
        /// The counter's last number.
        max: Number,
    },
    /// The number is not one of its counter's.
    #[error("{id:?}: {number} is not a number of its counter, which has {start}, {second} and so on")]
    NotAMember {
        /// The text.
        id: String,
        /// The number.
        number: Number,
        /// The counter's first number.
        start: Number,
        /// The counter's second number.
        second: u64,
    },
    /// As a service elsewhere told it.
    #[error("{detail}")]
    Told {
        /// The code.
        code: Code,
        /// One sentence.
        detail: String,
    },
}

fn repeated(id: &str, number: Option<Number>, of: usize) -> String {
    match number {
        Some(number) => format!("{id:?} has the number {number}, as id {} has", of + 1),
        None => format!("{id:?} is id {} again", of + 1),
    }
}

impl WrongIdReason {
    /// The code, the same in every transport.
    #[must_use]
    pub const fn code(&self) -> Code {
        match self {
            Self::NotRecognised { .. } | Self::Ambiguous { .. } | Self::OtherVersion { .. } => {
                Code::IdNotRecognised
            }
            Self::Repeated { .. } | Self::Taken { .. } => Code::IdTaken,
            Self::Beyond { .. } => Code::Exhausted,
            Self::NotAMember { .. } => Code::InvalidRequest,
            Self::Told { code, .. } => *code,
        }
    }
}

/// What is wrong with a member of a request.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidRequest {
    /// A name or text.
    #[error(transparent)]
    Text(#[from] InvalidText),
    /// A date, period or zone.
    #[error(transparent)]
    Time(#[from] InvalidTime),
    /// An integer outside of its bounds.
    #[error("must be {min} to {max}, is {value}")]
    Range {
        /// The smallest value allowed.
        min: u64,
        /// The largest value allowed.
        max: u64,
        /// The value.
        value: u64,
    },
    /// A period that the sequence does not have.
    #[error("{0:?} is not a period of this sequence, which has such as {1:?}")]
    Period(String, String),
    /// A date outside of the period that was named.
    #[error("{0} is not in the period that was named")]
    DateNotInPeriod(Date),
    /// Zero was given as the next number of a counter that starts at 1.
    #[error("0 is not a number of this counter; to restart at 1 send 1")]
    RestartAtZero,
    /// Two members contradict one another.
    #[error("{0}")]
    Contradiction(&'static str),
}

impl Error {
    /// The code, the same in every transport.
    #[must_use]
    pub fn code(&self) -> Code {
        match self {
            Self::Invalid { .. } => Code::InvalidRequest,
            Self::Values(_) => Code::ScopeMismatch,
            Self::DateOutOfWindow { .. } => Code::DateOutOfWindow,
            Self::Render(RenderError::Missing(_)) => Code::ScopeMismatch,
            Self::Render(_) => Code::InvalidRequest,
            Self::SequenceNotFound { .. } => Code::SequenceNotFound,
            Self::NumberNotFound { .. } => Code::NumberNotFound,
            Self::IdNotRecognised { .. } => Code::IdNotRecognised,
            Self::AmbiguousId { .. } => Code::AmbiguousId,
            Self::DefinitionRefused(_) => Code::DefinitionRefused,
            Self::AdoptionRefused(_) => Code::AdoptionRefused,
            Self::ForceNotAllowed => Code::ForceNotAllowed,
            Self::Store(error) => store_code(error),
            Self::Remote(refusal) => refusal.code,
        }
    }

    /// How many numbers are left, where that is why.
    #[must_use]
    pub fn remaining(&self) -> Option<u64> {
        match self {
            Self::Store(StoreError::Refused(Refusal::DoesNotFit { remaining, .. })) => Some(*remaining),
            Self::Store(StoreError::Refused(Refusal::Exhausted { .. })) => Some(0),
            Self::Remote(refusal) => refusal.remaining,
            _ => None,
        }
    }

    /// The refusals of a definition, where that is why.
    #[must_use]
    pub fn refusals(&self) -> &[crate::refusal::Refusal] {
        match self {
            Self::DefinitionRefused(refused)
            | Self::Store(StoreError::Refused(Refusal::DefinitionRefused(refused))) => refused.refusals(),
            _ => &[],
        }
    }

    pub(crate) fn range(pointer: &'static str, min: u64, max: u64, value: u64) -> Self {
        Self::Invalid {
            pointer,
            reason: InvalidRequest::Range { min, max, value },
        }
    }
}

impl From<DateOutOfWindow> for Error {
    fn from(DateOutOfWindow { date, first, last }: DateOutOfWindow) -> Self {
        Self::DateOutOfWindow { date, first, last }
    }
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        Self::Store(refusal.into())
    }
}

fn store_code(error: &StoreError) -> Code {
    match error {
        StoreError::Refused(refusal) => refusal_code(refusal),
        StoreError::Overloaded | StoreError::Undelivered { .. } => Code::Overloaded,
        StoreError::Late => Code::DeadlineBeforeSealing,
        StoreError::Draining => Code::Draining,
        StoreError::Unavailable(_) => Code::StoreUnavailable,
        StoreError::Full(_) => Code::StoreFull,
        StoreError::Restored(_) => Code::RestoredStore,
        StoreError::NewerSchema { .. } => Code::NewerSchema,
        StoreError::Unknown(_) => Code::OutcomeUnknown,
        StoreError::Away { certainty, .. } => match certainty {
            Certainty::NotIssued => Code::StoreUnavailable,
            Certainty::Unknown => Code::OutcomeUnknown,
        },
        StoreError::Corrupt(_) => Code::Internal,
    }
}

fn refusal_code(refusal: &Refusal) -> Code {
    match refusal {
        Refusal::Exhausted { .. } => Code::Exhausted,
        Refusal::DoesNotFit { .. } => Code::BatchDoesNotFit,
        Refusal::RangeExpired { .. } => Code::RangeExpired,
        // The issuer reloads and tries again; a caller sees it only when definitions change faster than draws.
        Refusal::DefinitionChanged { .. } | Refusal::ChainChanged => Code::Overloaded,
        Refusal::DateBeforeLast { .. } => Code::DateBeforeLast,
        Refusal::KeyMismatch => Code::IdempotencyMismatch,
        Refusal::CaseVariant { .. } => Code::CaseVariant,
        Refusal::NotDefined | Refusal::ImplicitEnded | Refusal::TooManyImplicit { .. } => {
            Code::SequenceNotFound
        }
        Refusal::Archived => Code::SequenceArchived,
        Refusal::PeriodClosed { .. } | Refusal::AllClosed { .. } => Code::PeriodClosed,
        Refusal::Frozen => Code::Frozen,
        Refusal::WouldRepeat { .. } => Code::WouldRepeat,
        Refusal::NotAMember { .. } | Refusal::NotGranted { .. } | Refusal::NotKept { .. } => {
            Code::InvalidRequest
        }
        Refusal::NoReservation(_) => Code::ReservationNotFound,
        Refusal::HoldExpired { .. } => Code::ReservationExpired,
        Refusal::HoldVoided { .. } => Code::ReservationVoided,
        Refusal::HoldConfirmed { .. } => Code::ReservationConfirmed,
        Refusal::DateChanged { .. } => Code::DateChanged,
        Refusal::OpenReservations { .. } => Code::HasOpenReservations,
        Refusal::OpenLeases { .. } => Code::BarrierBlocked,
        // Between a store and those who lease from it.
        Refusal::NotLeasable { .. }
        | Refusal::NoLease(_)
        | Refusal::LeaseTaken(_)
        | Refusal::LeaseEnded(_)
        | Refusal::LeaseBuried(_)
        | Refusal::LeaseChanged { .. }
        | Refusal::HistoryGone { .. }
        | Refusal::OldTopology { .. }
        | Refusal::NotPending { .. } => Code::Overloaded,
        Refusal::NotVoidable { .. } => Code::NotVoidable,
        Refusal::Taken { .. } => Code::IdTaken,
        Refusal::VersionMismatch { .. } => Code::VersionMismatch,
        Refusal::VersionRequired { .. } => Code::VersionRequired,
        Refusal::DefinitionRefused(_) => Code::DefinitionRefused,
    }
}

macro_rules! codes {
    ($($code:ident $text:literal $retry:ident $title:literal,)*) => {
        /// The kinds of refusal and failure that a caller can tell apart. The text of each is part of the wire.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum Code {$(
            #[doc = $title]
            $code,
        )*}

        impl Code {
            /// Every code.
            pub const ALL: &[Code] = &[$(Code::$code,)*];

            /// The code on the wire.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {$(Self::$code => $text,)*}
            }

            /// What it means, in a few words.
            #[must_use]
            pub const fn title(self) -> &'static str {
                match self {$(Self::$code => $title,)*}
            }

            /// What the caller may do next.
            #[must_use]
            pub const fn retry(self) -> Retry {
                match self {$(Self::$code => Retry::$retry,)*}
            }
        }
    };
}

/// What a caller may do after an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Retry {
    /// Nothing: the same request would fail again.
    No,
    /// Send the same request again after a while: nothing was issued.
    SameRequest,
    /// Send the same request again, but only under the same idempotency key: it may have been carried out.
    SameKey,
}

impl Retry {
    /// The word on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::No => "no",
            Self::SameRequest => "same_request",
            Self::SameKey => "same_key",
        }
    }
}

codes! {
    MalformedBody "malformed-body" No "The body is not JSON",
    InvalidRequest "invalid-request" No "A member of the request is wrong",
    ScopeMismatch "scope-mismatch" No "Scope or field values do not fit the definition",
    DateOutOfWindow "date-out-of-window" No "The date is outside of what this sequence takes",
    TenantMismatch "tenant-mismatch" No "Header and body name different tenants",
    Unauthenticated "unauthenticated" No "The caller is not known",
    Forbidden "forbidden" No "The caller may not do this",
    ForceNotAllowed "force-not-allowed" No "Numbers may not be made to repeat here",
    RouteNotFound "route-not-found" No "There is no such path",
    SequenceNotFound "sequence-not-found" No "The sequence is not defined",
    CounterNotFound "counter-not-found" No "The counter has not opened",
    ReservationNotFound "reservation-not-found" No "There is no such reservation",
    NumberNotFound "number-not-found" No "The number was never given out",
    IdNotRecognised "id-not-recognised" No "The text is not an id",
    MethodNotAllowed "method-not-allowed" No "The path does not take this method",
    NotAcceptable "not-acceptable" No "The answer cannot be given in this form",
    BodyTooLarge "body-too-large" No "The body is too large",
    UnsupportedMediaType "unsupported-media-type" No "The body must be JSON",
    Exhausted "exhausted" No "The counter has no number left",
    BatchDoesNotFit "batch-does-not-fit" No "The counter has fewer numbers left than were asked for",
    RangeExpired "range-expired" No "The range that the counter has come to is not valid on the date",
    WouldRepeat "would-repeat" No "Numbers would repeat",
    PeriodClosed "period-closed" No "The document date is closed",
    DateBeforeLast "date-before-last" No "A later document has its number already",
    DateChanged "date-changed" No "The date was fixed when the numbers were reserved",
    HasOpenReservations "has-open-reservations" No "Numbers are reserved",
    ReservationExpired "reservation-expired" No "The reservation has ended",
    ReservationVoided "reservation-voided" No "The reservation was voided",
    ReservationConfirmed "reservation-confirmed" No "The reservation was confirmed",
    NotVoidable "not-voidable" No "The number cannot be voided",
    IdTaken "id-taken" No "The number has another use",
    AdoptionRefused "adoption-refused" No "The ids cannot be adopted",
    SequenceArchived "sequence-archived" No "The sequence was archived",
    Frozen "frozen" No "The counter is frozen",
    BarrierBlocked "barrier-blocked" No "Numbers are in the hands of holders that have not given them back",
    CaseVariant "case-variant" No "The name differs from an existing one by letter case alone",
    AmbiguousId "ambiguous-id" No "The text is an id of several sequences",
    VersionMismatch "version-mismatch" No "The definition has another version",
    VersionRequired "version-required" No "The definition exists: say which version is changed",
    IdempotencyMismatch "idempotency-mismatch" No "The idempotency key was used with another request",
    DefinitionRefused "definition-refused" No "The definition cannot hold",
    RateLimited "rate-limited" SameRequest "Too many requests",
    Overloaded "overloaded" SameRequest "Too much is waiting",
    StoreUnavailable "store-unavailable" SameRequest "The store is not available",
    Draining "draining" SameRequest "The service is stopping",
    DeadlineBeforeSealing "deadline-before-sealing" SameRequest "The deadline passed while the request waited",
    RestoredStore "restored-store" No "The store went back in time",
    NewerSchema "newer-schema" No "The store was written by a newer version",
    StoreFull "store-full" No "The store is full",
    OutcomeUnknown "outcome-unknown" SameKey "The request may have been carried out",
    Internal "internal" SameKey "An unexpected fault",
}

impl Code {
    /// Whether the request may have had effect.
    #[must_use]
    pub const fn certainty(self) -> Certainty {
        match self.retry() {
            Retry::SameKey => Certainty::Unknown,
            _ => Certainty::NotIssued,
        }
    }
}

impl Code {
    /// How long a client should wait before it sends the same request again; `None` where it should not.
    #[must_use]
    pub const fn retry_after(self) -> Option<Duration> {
        match (self.retry(), self) {
            (Retry::SameRequest, Self::Overloaded | Self::DeadlineBeforeSealing) => Some(SHORT_WAIT),
            (Retry::SameRequest, _) => Some(LONG_WAIT),
            _ => None,
        }
    }
}

/// How long a client should wait before it repeats a request that met a full queue.
const SHORT_WAIT: Duration = Duration::from_millis(100);
/// The same when something must come back first.
pub(crate) const LONG_WAIT: Duration = Duration::from_secs(1);

impl Certainty {
    /// The word on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NotIssued => "not_issued",
            Self::Unknown => "unknown",
        }
    }
}

impl From<crate::names::NumberTooLarge> for InvalidRequest {
    fn from(error: crate::names::NumberTooLarge) -> Self {
        Self::Range {
            min: 0,
            max: Number::MAX.get(),
            value: error.0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_its_own_text() {
        let texts: std::collections::HashSet<_> = Code::ALL.iter().map(|code| code.as_str()).collect();
        assert_eq!(texts.len(), Code::ALL.len());
    }

    #[test]
    fn only_what_may_have_had_effect_is_unknown() {
        let unknown: Vec<_> = Code::ALL
            .iter()
            .filter(|code| code.certainty() == Certainty::Unknown)
            .map(|code| code.as_str())
            .collect();
        assert_eq!(unknown, ["outcome-unknown", "internal"]);
    }
}
