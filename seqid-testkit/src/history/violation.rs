use std::collections::HashMap;
use std::fmt;

use super::audit::{Row, RowKind};
use super::call::Call;
use super::settlement::Ending;

/// What [`History::check`](super::History::check) can find broken; the module says what each promises.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Property {
    /// P1: no number is acknowledged twice.
    Unique,
    /// P2: later draws have larger numbers.
    RealTime,
    /// P5: every integer has one final state in the audit.
    AccountedFor,
    /// P8: what was acknowledged is in the audit, what was refused is not.
    Recorded,
    /// P9: one key, one request, one grant.
    OneGrant,
    /// P10: a batch is one piece.
    WholeBatch,
    /// P13: a reservation ends once, and is said to have ended so by everybody.
    Holds,
}

impl Property {
    /// How many violations of one property a check returns at most.
    pub const MOST_REPORTED: usize = 100;
}

impl fmt::Display for Property {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Property::Unique => "P1 unique",
            Property::RealTime => "P2 real time",
            Property::AccountedFor => "P5 accounted for",
            Property::Recorded => "P8 recorded",
            Property::OneGrant => "P9 one grant",
            Property::WholeBatch => "P10 whole batch",
            Property::Holds => "P13 holds",
        })
    }
}

/// One property broken at one place, as a sentence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// What is wrong.
    pub fault: Fault,
    /// The ids of the calls concerned.
    pub calls: Vec<u64>,
    /// The rows concerned.
    pub rows: Vec<RowRef>,
}

impl Violation {
    /// The property that is broken.
    #[must_use]
    pub fn property(&self) -> Property {
        self.fault.property()
    }
}

impl std::error::Error for Violation {}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.property(), self.fault)?;
        let calls = self.calls.iter().map(|call| format!("call {call}"));
        let rows = self.rows.iter().map(|row| format!("row {row}"));
        let concerned: Vec<String> = calls.chain(rows).collect();
        if concerned.is_empty() {
            Ok(())
        } else {
            write!(f, " ({})", concerned.join(", "))
        }
    }
}

/// What is wrong, without the calls and rows concerned.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the messages say what the fields mean")]
pub enum Fault {
    /// P1.
    #[error("number {number} of {line} was acknowledged to two draws")]
    SharedNumber { line: Line, number: u128 },

    /// P2.
    #[error(
        "in {line} number {later} went to a draw that began at tick {began}, after {earlier} was answered at tick {ended}"
    )]
    OutOfOrder {
        line: Line,
        earlier: u128,
        ended: u64,
        later: u64,
        began: u64,
    },

    /// P5: the places in a counter are not dense.
    #[error("the audit of {counter} lacks the rows from {from} to {to}")]
    MissingRows { counter: String, from: u64, to: u64 },

    /// P5: a row before the first place.
    #[error("the audit of {counter} has a row at place 0, and places begin at 1")]
    NoPlace { counter: String },

    /// P5: two rows have one place.
    #[error("the audit of {counter} has two rows at place {n}")]
    DoubleRow { counter: String, n: u64 },

    /// P5: a generation that no reset opened.
    #[error("generation {generation} of {counter} follows {before} without a reset")]
    NotReset {
        counter: String,
        before: u32,
        generation: u32,
    },

    /// P5: a reset that does not raise the generation.
    #[error("a reset of {counter} goes from generation {before} to {generation}")]
    NotRaised {
        counter: String,
        before: u32,
        generation: u32,
    },

    /// P5: the counter and its audit end in different generations.
    #[error("{counter} ends in generation {counter_has} and its audit in {audit_has}")]
    EndsElsewhere {
        counter: String,
        counter_has: u32,
        audit_has: u32,
    },

    /// P5: a state that may not follow the one before, so that the number has two.
    #[error("number {number} of {line} became {after:?} when it was {}", state(*.before))]
    WrongState {
        line: Line,
        number: u64,
        before: Option<RowKind>,
        after: RowKind,
    },

    /// P5: numbers that the line does not have.
    #[error("{line} has no such numbers as {count} from {first} by {step}")]
    OffLine {
        line: Line,
        first: u64,
        step: u64,
        count: u64,
    },

    /// P5: integers that no row is about.
    #[error("the audit does not account for the numbers from {from} to {to} of {line}")]
    Unaccounted { line: Line, from: u64, to: u64 },

    /// P5: numbers in use that the counter would give out again.
    #[error("number {number} of {line} is {state:?}, but the counter would give out {next} next")]
    BeyondNext {
        line: Line,
        number: u64,
        state: RowKind,
        next: u64,
    },

    /// P5: what the store says of a number apart from its audit.
    #[error("number {number} of {line} is marked {}, and by the audit it is {}", mark(*.marked), mark(*.recorded))]
    OtherMark {
        line: Line,
        number: u64,
        marked: Option<RowKind>,
        recorded: Option<RowKind>,
    },

    /// P8.
    #[error("number {number} of {line} was acknowledged and is not in the audit")]
    Lost { line: Line, number: u128 },

    /// P8.
    #[error(
        "number {first} of {line} was acknowledged in epoch {acknowledged} and recorded in epoch {recorded}"
    )]
    OtherEpoch {
        line: Line,
        first: u64,
        acknowledged: u32,
        recorded: u32,
    },

    /// P8.
    #[error("key {key:?} was definitely not issued in any attempt and is in the audit")]
    IssuedAfterAll { key: String },

    /// P9.
    #[error("key {key:?} was answered with two different grants")]
    TwoGrants { key: String },

    /// P9.
    #[error("key {key:?} was issued for two different requests")]
    TwoRequests { key: String },

    /// P9.
    #[error("the audit grants numbers to key {key:?} twice")]
    TwoRows { key: String },

    /// P9.
    #[error("number {first} of {line} was acknowledged to {} and recorded for {}", name(.acknowledged), name(.recorded))]
    OtherKey {
        line: Line,
        first: u64,
        acknowledged: Option<String>,
        recorded: Option<String>,
    },

    /// P10.
    #[error("{asked} numbers were asked for and {granted} granted")]
    OtherCount { asked: u32, granted: u32 },

    /// P10.
    #[error("{granted} numbers were granted with {ids} ids")]
    OtherIds { granted: u32, ids: usize },

    /// P10.
    #[error("the {count} numbers from {first} of {line} are not one row of the audit")]
    NotOneRow { line: Line, first: u64, count: u32 },

    /// P10.
    #[error("numbers of another draw lie between those from {first} of {line}")]
    Interleaved { line: Line, first: u64 },

    /// P13.
    #[error("reservation {reservation} began twice")]
    ReservedTwice { reservation: String },

    /// P13.
    #[error("reservation {reservation} ended as {one:?} and again as {other:?}")]
    EndedTwice {
        reservation: String,
        one: RowKind,
        other: RowKind,
    },

    /// P13.
    #[error("reservation {reservation} ended and never began")]
    NeverReserved { reservation: String },

    /// P13.
    #[error("reservation {reservation} ended with other numbers than it began with, or before it began")]
    OtherNumbers { reservation: String },

    /// P13.
    #[error("number {first} of {line} became {kind:?} by {}", holder(.reservation))]
    OtherName {
        line: Line,
        first: u64,
        kind: RowKind,
        reservation: Option<String>,
    },

    /// P13.
    #[error(
        "settlement {settlement} of reservation {reservation} was told {told:?}, and the audit says {}",
        end(*.recorded)
    )]
    ToldOtherwise {
        reservation: String,
        settlement: u64,
        told: Ending,
        recorded: Option<RowKind>,
    },
}

fn mark(kind: Option<RowKind>) -> String {
    kind.map_or_else(|| "issued or open".to_owned(), |kind| format!("{kind:?}"))
}

fn end(kind: Option<RowKind>) -> String {
    kind.map_or_else(|| "that it did not end".to_owned(), |kind| format!("{kind:?}"))
}

fn holder(reservation: &Option<String>) -> String {
    reservation.as_ref().map_or_else(
        || "no reservation".to_owned(),
        |name| format!("reservation {name}"),
    )
}

fn state(kind: Option<RowKind>) -> String {
    kind.map_or_else(|| "open".to_owned(), |kind| format!("{kind:?}"))
}

fn name(key: &Option<String>) -> String {
    key.as_ref()
        .map_or_else(|| "no key".to_owned(), |key| format!("key {key:?}"))
}

impl Fault {
    /// The property that is broken.
    #[must_use]
    pub fn property(&self) -> Property {
        match self {
            Fault::SharedNumber { .. } => Property::Unique,
            Fault::OutOfOrder { .. } => Property::RealTime,
            Fault::MissingRows { .. }
            | Fault::NoPlace { .. }
            | Fault::DoubleRow { .. }
            | Fault::NotReset { .. }
            | Fault::NotRaised { .. }
            | Fault::EndsElsewhere { .. }
            | Fault::WrongState { .. }
            | Fault::OffLine { .. }
            | Fault::Unaccounted { .. }
            | Fault::BeyondNext { .. }
            | Fault::OtherMark { .. } => Property::AccountedFor,
            Fault::Lost { .. } | Fault::OtherEpoch { .. } | Fault::IssuedAfterAll { .. } => {
                Property::Recorded
            }
            Fault::TwoGrants { .. }
            | Fault::TwoRequests { .. }
            | Fault::TwoRows { .. }
            | Fault::OtherKey { .. } => Property::OneGrant,
            Fault::OtherCount { .. }
            | Fault::OtherIds { .. }
            | Fault::NotOneRow { .. }
            | Fault::Interleaved { .. } => Property::WholeBatch,
            Fault::ReservedTwice { .. }
            | Fault::EndedTwice { .. }
            | Fault::NeverReserved { .. }
            | Fault::OtherNumbers { .. }
            | Fault::OtherName { .. }
            | Fault::ToldOtherwise { .. } => Property::Holds,
        }
    }
}

/// One generation of one counter.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Line {
    /// The counter.
    pub counter: String,
    /// The generation.
    pub generation: u32,
}

impl Line {
    pub(super) fn new(counter: &str, generation: u32) -> Self {
        Self {
            counter: counter.to_owned(),
            generation,
        }
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (generation {})", self.counter, self.generation)
    }
}

/// The name of a row: its counter and its place there.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct RowRef {
    /// The counter.
    pub counter: String,
    /// The place among the rows of the counter.
    pub n: u64,
}

impl fmt::Display for RowRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}#{}", self.counter, self.n)
    }
}

/// Collects violations, up to a bound for each property.
#[derive(Debug, Default)]
pub(super) struct Report {
    violations: Vec<Violation>,
    found: HashMap<Property, usize>,
}

impl Report {
    pub(super) fn add(&mut self, fault: Fault, calls: &[&Call], rows: &[&Row]) {
        let found = self.found.entry(fault.property()).or_default();
        *found += 1;
        if *found > Property::MOST_REPORTED {
            return;
        }
        self.violations.push(Violation {
            fault,
            calls: calls.iter().map(|call| call.id).collect(),
            rows: rows
                .iter()
                .map(|row| RowRef {
                    counter: row.counter.clone(),
                    n: row.n,
                })
                .collect(),
        });
    }

    pub(super) fn into_result(mut self) -> Result<(), Vec<Violation>> {
        self.violations.sort_by_key(Violation::property);
        if self.violations.is_empty() {
            Ok(())
        } else {
            Err(self.violations)
        }
    }
}
