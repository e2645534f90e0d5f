//! What a verification found.

use std::fmt::{self, Display};

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

use crate::chain::Link;
use crate::checkpoint::{ChainName, Heads};
use crate::event::{Event, Subject};
use crate::hex;
use crate::time::Timestamp;

/// How many remarks a report lists.
const REMARKS: usize = 10;

/// What a verification found.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Report {
    /// How many events there were.
    pub events: u64,
    /// How many counters they belong to.
    pub counters: u64,
    /// The heads of all chains, as a checkpoint of the log's end would have them.
    pub heads: Heads,
    /// How many checkpoints say the same as the events.
    pub checkpoints: u64,
    /// What is wrong, in the order of the log: the first fault of each chain, then what the store says of their heads.
    pub faults: Vec<Fault>,
    /// How many faults were found, those included that are not listed.
    pub found: u64,
    /// What is worth a look and proves nothing: the first of them.
    pub remarks: Vec<Remark>,
    /// How many remarks there are.
    pub remarked: u64,
}

impl Report {
    /// Whether nothing is wrong.
    #[must_use]
    pub const fn is_clean(&self) -> bool {
        self.found == 0
    }
}

/// Something is not as seqid wrote it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// What kind of thing.
    pub kind: FaultKind,
    /// The position of the bad event; of the first that is missing; `None` when it is not about an event.
    pub position: Option<u64>,
    /// The counter or sequence, if it is known.
    pub subject: Option<Subject>,
    /// The event's place in its chain, as it says.
    pub n: Option<u64>,
    /// What should be there.
    pub expected: String,
    /// What is there.
    pub found: String,
}

/// The kinds of faults.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum FaultKind {
    /// A row or line cannot be read.
    Unreadable,
    /// The event is another store's.
    Store,
    /// Positions do not rise, or one is missing.
    Position,
    /// An event of the chain is missing, or is there twice.
    Place,
    /// The event is not the one that was recorded, or another stood before it.
    Hash,
    /// The event's id is not its own.
    EventId,
    /// The event cannot follow the ones before it.
    Numbers,
    /// The ids are not those of the numbers.
    Ids,
    /// What the store says of a counter or sequence is not what the events end with.
    Head,
    /// The events are not those that a checkpoint saw.
    Checkpoint,
    /// The store's other tables contradict the events.
    Table,
}

impl FaultKind {
    /// The word for it in JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unreadable => "unreadable",
            Self::Store => "other-store",
            Self::Position => "position",
            Self::Place => "missing-or-repeated",
            Self::Hash => "hash",
            Self::EventId => "event-id",
            Self::Numbers => "impossible",
            Self::Ids => "ids",
            Self::Head => "head",
            Self::Checkpoint => "checkpoint",
            Self::Table => "table",
        }
    }

    /// What it says, in a few words.
    #[must_use]
    pub const fn meaning(self) -> &'static str {
        match self {
            Self::Unreadable => "the row cannot be read",
            Self::Store => "the event is another store's",
            Self::Position => "an event is missing, or out of its order",
            Self::Place => "an event of this chain is missing, or is there twice",
            Self::Hash => "this event was edited, or its hash was",
            Self::EventId => "the event's id was edited",
            Self::Numbers => "the event cannot follow the ones before it",
            Self::Ids => "the ids are not those of the numbers",
            Self::Head => {
                "the counter or sequence is not what its events say: its row was edited, or events at its end were removed"
            }
            Self::Checkpoint => {
                "the events are not those that the checkpoint saw: the log was cut off or written anew"
            }
            Self::Table => "a table contradicts the events",
        }
    }
}

impl Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(position) = self.position {
            write!(f, "position {position}, ")?;
        }
        if let Some(subject) = &self.subject {
            write!(f, "{}, ", ChainName::from(subject))?;
        }
        if let Some(n) = self.n {
            write!(f, "n {n}, ")?;
        }
        let Self { expected, found, .. } = self;
        write!(f, "{}: expected {expected}, found {found}", self.kind.meaning())
    }
}

impl Serialize for Fault {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let sequence = self.subject.as_ref().map(Subject::sequence);
        let counter = self.subject.as_ref().and_then(Subject::counter);
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("kind", self.kind.as_str())?;
        map.serialize_entry("meaning", self.kind.meaning())?;
        map.serialize_entry("position", &self.position)?;
        map.serialize_entry("tenant", &sequence.map(|sequence| &sequence.tenant))?;
        map.serialize_entry("prefix", &sequence.map(|sequence| &sequence.prefix))?;
        map.serialize_entry("scope", &counter.map(crate::counter::CounterKey::scope))?;
        map.serialize_entry("period", &counter.map(|key| key.period().to_string()))?;
        map.serialize_entry("n", &self.n)?;
        map.serialize_entry("expected", &self.expected)?;
        map.serialize_entry("found", &self.found)?;
        map.end()
    }
}

/// An event is earlier than the one before it: the clock was set back, or two events of different counters changed places.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Remark {
    /// The event.
    pub position: u64,
    /// When it was recorded.
    pub at: Timestamp,
    /// When the one before it was.
    pub before: Timestamp,
}

impl Display for Remark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { position, at, before } = self;
        write!(
            f,
            "position {position} is of {at}, the event before it of {before}: the clock was set back, or events of \
             different counters changed places"
        )
    }
}

/// Why an event is bad.
#[derive(Debug)]
pub(super) struct Wrong {
    pub(super) kind: FaultKind,
    pub(super) expected: String,
    pub(super) found: String,
}

/// `found` must be what is expected of `what`.
pub(super) fn require<T: PartialEq + Display>(
    kind: FaultKind,
    what: &str,
    expected: &T,
    found: &T,
) -> Result<(), Wrong> {
    if expected == found {
        return Ok(());
    }
    Err(Wrong {
        kind,
        expected: format!("{what} {expected}"),
        found: found.to_string(),
    })
}

/// Faults and remarks, the first of them kept.
#[derive(Debug, Clone)]
pub(super) struct Findings {
    listed: usize,
    faults: Vec<Fault>,
    found: u64,
    remarks: Vec<Remark>,
    remarked: u64,
}

impl Findings {
    pub(super) const fn new(listed: usize) -> Self {
        Self {
            listed,
            faults: Vec::new(),
            found: 0,
            remarks: Vec::new(),
            remarked: 0,
        }
    }

    pub(super) fn add(&mut self, fault: Fault) {
        self.found += 1;
        if self.faults.len() < self.listed {
            self.faults.push(fault);
        }
    }

    pub(super) fn remark(&mut self, remark: Remark) {
        self.remarked += 1;
        if self.remarks.len() < REMARKS {
            self.remarks.push(remark);
        }
    }

    pub(super) fn of_event(&mut self, position: u64, event: &Event, wrong: Wrong) {
        self.add(Fault {
            kind: wrong.kind,
            position: Some(position),
            subject: Some(event.subject.clone()),
            n: Some(event.n),
            expected: wrong.expected,
            found: wrong.found,
        });
    }

    /// The store says something of a chain that its events do not.
    pub(super) fn head(&mut self, subject: &Subject, head: Link, said: Option<Link>) {
        let found = match head.n {
            0 => "none".to_owned(),
            n => format!("events up to n {n}"),
        };
        self.add(Fault {
            kind: FaultKind::Head,
            position: None,
            subject: Some(subject.clone()),
            n: said.map(|said| said.n),
            expected: said.map_or("none: the store does not have it".to_owned(), |said| {
                format!("events up to n {}", said.n)
            }),
            found,
        });
    }

    pub(super) fn checkpoint(&mut self, was: &Heads, is: &Heads) {
        let text = |heads: &Heads| {
            let Heads {
                authority,
                chains,
                digest,
                ..
            } = heads;
            format!(
                "{chains} chains of store {authority} with digest {}",
                hex::encode(digest)
            )
        };
        self.add(Fault {
            kind: FaultKind::Checkpoint,
            position: Some(was.position),
            subject: None,
            n: None,
            expected: text(was),
            found: text(is),
        });
    }

    /// The log ends before a checkpoint's position.
    pub(super) fn cut_off(&mut self, was: &Heads, end: u64) {
        self.add(Fault {
            kind: FaultKind::Checkpoint,
            position: Some(was.position),
            subject: None,
            n: None,
            expected: format!("events up to position {}", was.position),
            found: format!("the log ends at position {end}"),
        });
    }

    pub(super) fn report(self, events: u64, counters: u64, heads: Heads, checkpoints: u64) -> Report {
        Report {
            events,
            counters,
            heads,
            checkpoints,
            faults: self.faults,
            found: self.found,
            remarks: self.remarks,
            remarked: self.remarked,
        }
    }
}
