//! Does a log of events hold together? Every chain is computed again, every number is held against the ones before it,
//! and what a store says of its counters against what the events end with.
//!
//! A [`Verifier`] takes the events one by one in the order of their positions. It keeps a state for each counter and
//! sequence, and no event.
//!
//! A chain's first bad event is reported, and nothing behind it in the same chain: what follows cannot be trusted.

mod definitions;
mod numbers;
mod report;
#[cfg(test)]
mod tests;

use std::cmp::Reverse;
use std::collections::HashMap;

pub use report::{Fault, FaultKind, Remark, Report};

use crate::chain::{Authority, EventId, Link};
use crate::checkpoint::{ChainName, Checkpoint, Heads, HeadsDigest};
use crate::counter::{CounterKey, CounterState, SequenceKey};
use crate::event::{Event, EventKind, Recorded, Subject};
use crate::hex;
use crate::time::{Date, Timestamp};

use definitions::Definitions;
use numbers::Counter;
use report::{Findings, Wrong, require};

/// How many incarnations may begin between two events: each is an operator's decision.
const INCARNATIONS: u32 = 1_000;

/// See the [module](self).
#[derive(Debug, Clone)]
pub struct Verifier {
    known: Known,
    chains: HashMap<Subject, Chain>,
    position: u64,
    at: Timestamp,
    events: u64,
    dense: bool,
    complete_to: Option<u64>,
    /// The next to be reached stands last.
    checkpoints: Vec<Checkpoint>,
    agreed: u64,
    findings: Findings,
}

/// What an event is held against, besides its chain.
#[derive(Debug, Clone)]
struct Known {
    authority: Option<Authority>,
    incarnation: u32,
    definitions: Definitions,
    ids: bool,
}

/// What is known of one chain.
#[derive(Debug, Clone)]
struct Chain {
    head: Link,
    broken: bool,
    counter: Option<Counter>,
    expected: Option<Expected>,
}

/// What the store says of a chain's subject.
#[derive(Debug, Clone)]
enum Expected {
    Counter(Box<CounterState>),
    Sequence(SequenceHead),
}

/// What a store keeps of a sequence as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SequenceHead {
    /// The newest version.
    pub version: u32,
    /// Whether it was archived.
    pub archived: bool,
    /// The last document date that is closed of the sequence by itself.
    pub closed_through: Option<Date>,
    /// The head of the chain.
    pub chain: Link,
}

impl Default for Verifier {
    fn default() -> Self {
        Self::new()
    }
}

impl Verifier {
    /// How many faults a report lists unless [`list`](Self::list) says otherwise.
    const LISTED: usize = 100;

    /// A verifier of a log from its first event on.
    #[must_use]
    pub fn new() -> Self {
        Self {
            known: Known {
                authority: None,
                incarnation: 1,
                definitions: Definitions::default(),
                ids: false,
            },
            chains: HashMap::new(),
            position: 0,
            at: Timestamp::from_micros(i64::MIN),
            events: 0,
            dense: false,
            complete_to: None,
            checkpoints: Vec::new(),
            agreed: 0,
            findings: Findings::new(Self::LISTED),
        }
    }

    /// Requires the events to be those of this store; otherwise those of the first event's.
    #[must_use]
    pub const fn store(mut self, authority: Authority) -> Self {
        self.known.authority = Some(authority);
        self
    }

    /// Requires positions without a gap, for stores that leave none.
    #[must_use]
    pub const fn dense(mut self) -> Self {
        self.dense = true;
        self
    }

    /// Requires each event to come with the ids that its definition renders.
    #[must_use]
    pub const fn ids(mut self) -> Self {
        self.known.ids = true;
        self
    }

    /// Lists so many faults; the others are counted.
    #[must_use]
    pub fn list(mut self, faults: usize) -> Self {
        self.findings = Findings::new(faults);
        self
    }

    /// Requires the chains to be what each checkpoint says that they were at its position.
    #[must_use]
    pub fn checkpoints(mut self, checkpoints: impl IntoIterator<Item = Checkpoint>) -> Self {
        self.checkpoints.extend(checkpoints);
        self.checkpoints
            .sort_by_key(|checkpoint| Reverse(checkpoint.heads.position));
        self
    }

    /// Requires each chain to be what the store says of its counter or sequence, and the store to know every event up to
    /// position `complete_to`. What it says may be older than events behind that.
    pub const fn expect_heads(&mut self, complete_to: u64) {
        self.complete_to = Some(complete_to);
    }

    /// What the store says of a counter. To be told before the events.
    pub fn expect_counter(&mut self, key: CounterKey, state: CounterState) {
        self.expect(Subject::Counter(key), Expected::Counter(Box::new(state)));
    }

    /// What the store says of a sequence as a whole. To be told before the events.
    pub fn expect_sequence(&mut self, key: SequenceKey, head: SequenceHead) {
        self.expect(Subject::Sequence(key), Expected::Sequence(head));
    }

    /// Begins a chain behind one of its events, as when the earlier ones are kept elsewhere: its hashes are verified from
    /// there on, and its numbers are not. Checkpoints from before that event's position are left out. To be told before
    /// the events.
    pub fn begin_behind(&mut self, subject: Subject, link: Link, position: u64) {
        self.chains.entry(subject).or_default().head = link;
        self.checkpoints
            .retain(|checkpoint| checkpoint.heads.position >= position);
    }

    fn expect(&mut self, subject: Subject, expected: Expected) {
        self.chains.entry(subject).or_default().expected = Some(expected);
    }

    /// Reports something that is neither an event nor a head, such as a table's row that no event made.
    pub fn fault(&mut self, fault: Fault) {
        self.findings.add(fault);
    }

    /// The next event.
    pub fn event(&mut self, recorded: &Recorded) {
        let event = &recorded.event;
        // Checkpoints from before the first event are the first event's store's.
        self.known.authority.get_or_insert(recorded.authority);
        self.arrive(recorded.position, Some(event));
        self.notice_time(recorded);
        let chain = self.chains.entry(event.subject.clone()).or_default();
        let head = chain.head.follow(&recorded.authority, event);
        let saved = self.known.definitions.saved();
        let checked = if chain.broken {
            Ok(())
        } else {
            let checked = self.known.check(chain, head, recorded);
            let definitions = &self.known.definitions;
            checked.and_then(|()| chain.meet(head, recorded, self.complete_to, definitions))
        };
        chain.head = head;
        if (chain.broken || checked.is_err()) && self.known.definitions.saved() == saved {
            self.known.definitions.distrust(&event.subject);
        }
        if let Err(wrong) = checked {
            chain.broken = true;
            self.findings.of_event(recorded.position, event, wrong);
        }
    }

    /// The next event, which cannot be read: a member of it is not what seqid writes.
    pub fn unreadable(&mut self, position: u64, subject: Option<Subject>, member: &str, found: String) {
        self.arrive(position, None);
        if let Some(subject) = &subject {
            let chain = self.chains.entry(subject.clone()).or_default();
            if std::mem::replace(&mut chain.broken, true) {
                return;
            }
            self.known.definitions.distrust(subject);
        }
        self.findings.add(Fault {
            kind: FaultKind::Unreadable,
            position: Some(position),
            subject,
            n: None,
            expected: format!("a {member} that seqid writes"),
            found,
        });
    }

    fn arrive(&mut self, position: u64, event: Option<&Event>) {
        self.events += 1;
        while let Some(checkpoint) = self
            .checkpoints
            .pop_if(|checkpoint| checkpoint.heads.position < position)
        {
            self.compare(&checkpoint);
        }
        let next = self.position + 1;
        if position < next || (self.dense && position > next) {
            let missing = position > next;
            self.findings.add(Fault {
                kind: FaultKind::Position,
                position: Some(if missing { next } else { position }),
                subject: event.filter(|_| !missing).map(|event| event.subject.clone()),
                n: event.filter(|_| !missing).map(|event| event.n),
                expected: format!("position {next}{}", if self.dense { "" } else { " or later" }),
                found: format!("position {position}"),
            });
        }
        self.position = self.position.max(position);
    }

    fn notice_time(&mut self, recorded: &Recorded) {
        if recorded.event.kind == EventKind::Reported {
            // It was issued before it was recorded.
            return;
        }
        let at = recorded.event.at;
        if at < self.at {
            self.findings.remark(Remark {
                position: recorded.position,
                at,
                before: self.at,
            });
        }
        self.at = at;
    }

    /// The heads of all chains as they are now.
    fn heads(&self) -> Heads {
        let authority = self.known.authority.unwrap_or(Authority([0; 16]));
        let heads = self
            .chains
            .iter()
            .filter(|(_, chain)| chain.head.n > 0)
            .map(|(subject, chain)| (ChainName::from(subject), chain.head))
            .collect();
        let (chains, digest) = HeadsDigest::of(&authority, heads);
        Heads {
            authority,
            incarnation: self.known.incarnation,
            position: self.position,
            chains,
            digest,
        }
    }

    fn compare(&mut self, checkpoint: &Checkpoint) {
        self.known.authority.get_or_insert(checkpoint.heads.authority);
        let (was, is) = (checkpoint.heads, self.heads());
        if (was.authority, was.chains, was.digest) == (is.authority, is.chains, is.digest) {
            self.agreed += 1;
        } else {
            self.findings.checkpoint(&was, &is);
        }
    }

    /// A counter as the events so far leave it; `None` where none of it came, and where its chain is broken.
    #[must_use]
    pub fn counter(&self, key: &CounterKey) -> Option<CounterState> {
        let chain = self.chains.get(&Subject::Counter(key.clone()))?;
        let counter = chain.counter.as_ref().filter(|_| !chain.broken)?;
        Some(CounterState {
            chain: chain.head,
            ..counter.state.clone()
        })
    }

    /// What was found. Nothing is added to the log any more.
    #[must_use]
    pub fn finish(mut self) -> Report {
        while let Some(checkpoint) = self.checkpoints.pop() {
            if checkpoint.heads.position > self.position {
                self.findings.cut_off(&checkpoint.heads, self.position);
            } else {
                self.compare(&checkpoint);
            }
        }
        let mut unmet: Vec<(&Subject, &Chain)> =
            self.chains.iter().filter(|(_, chain)| !chain.broken).collect();
        unmet.retain(|(_, chain)| chain.is_behind(self.complete_to.is_some()));
        unmet.sort_by_cached_key(|(subject, _)| ChainName::from(*subject));
        for (subject, chain) in unmet {
            self.findings
                .head(subject, chain.head, chain.expected.as_ref().map(Expected::chain));
        }
        let heads = self.heads();
        let of_counters =
            |(subject, chain): &(&Subject, &Chain)| subject.counter().is_some() && chain.head.n > 0;
        let counters = self.chains.iter().filter(of_counters).count() as u64;
        self.findings.report(self.events, counters, heads, self.agreed)
    }
}

impl Known {
    /// Holds an event against its chain, which it would bring to `head`, and follows it with the chain's counter.
    fn check(&mut self, chain: &mut Chain, head: Link, recorded: &Recorded) -> Result<(), Wrong> {
        let event = &recorded.event;
        let authority = self.authority.unwrap_or(recorded.authority);
        require(FaultKind::Store, "the store", &authority, &recorded.authority)?;
        require(FaultKind::Place, "n", &(chain.head.n + 1), &event.n)?;
        require(
            FaultKind::Hash,
            "the hash",
            &hex::encode(&head.hash),
            &hex::encode(&recorded.hash),
        )?;
        self.check_id(recorded)?;
        match &event.subject {
            Subject::Sequence(key) => self.definitions.follow(key, event)?,
            Subject::Counter(key) => self.follow(chain, key, event)?,
        }
        self.check_ids(recorded)
    }

    /// Ids name the incarnation, which rises along the log.
    fn check_id(&mut self, recorded: &Recorded) -> Result<(), Wrong> {
        let of = |incarnation| EventId::of(&recorded.authority, incarnation, &recorded.event);
        let here = of(self.incarnation);
        if here == recorded.id {
            return Ok(());
        }
        let later = (self.incarnation + 1..=self.incarnation.saturating_add(INCARNATIONS))
            .find(|incarnation| of(*incarnation) == recorded.id);
        match later {
            Some(incarnation) => {
                self.incarnation = incarnation;
                Ok(())
            }
            None => require(FaultKind::EventId, "the event's id", &here, &recorded.id),
        }
    }

    fn follow(&self, chain: &mut Chain, key: &CounterKey, event: &Event) -> Result<(), Wrong> {
        if self.definitions.distrusted(key.sequence()) {
            chain.counter = None;
            return Ok(());
        }
        self.definitions.admit(key.sequence(), event)?;
        let opened = self.definitions.version(key.sequence(), event.version)?;
        let counter = match &mut chain.counter {
            Some(counter) => counter,
            none if chain.head.n == 0 => none.insert(numbers::opened(key, event, opened)?),
            None => return Ok(()),
        };
        let max = self.definitions.max(key.sequence(), opened);
        counter.follow(event, opened, max, self.definitions.ranges(key.sequence()))
    }

    fn check_ids(&self, recorded: &Recorded) -> Result<(), Wrong> {
        let event = &recorded.event;
        if !self.ids || self.definitions.distrusted(event.subject.sequence()) {
            return Ok(());
        }
        let text = |ids: &Option<(String, String)>| match ids {
            Some((first, last)) => format!("{first:?} to {last:?}"),
            None => "none".to_owned(),
        };
        let ids = match &event.subject {
            Subject::Sequence(_) => None,
            Subject::Counter(key) => event.ids(self.definitions.version(key.sequence(), event.version)?),
        };
        require(FaultKind::Ids, "the ids", &text(&ids), &text(&recorded.ids))
    }
}

impl Default for Chain {
    fn default() -> Self {
        Self {
            head: Link::GENESIS,
            broken: false,
            counter: None,
            expected: None,
        }
    }
}

impl Chain {
    /// Holds what the store says against the state behind an event, which makes `head`.
    fn meet(
        &self,
        head: Link,
        recorded: &Recorded,
        complete_to: Option<u64>,
        definitions: &Definitions,
    ) -> Result<(), Wrong> {
        let Some(expected) = &self.expected else {
            return Ok(());
        };
        let said = expected.chain();
        if said.n < head.n {
            let known = complete_to.is_none_or(|complete_to| recorded.position > complete_to);
            return if known {
                Ok(())
            } else {
                require(
                    FaultKind::Head,
                    "the store's n of the last event",
                    &head.n,
                    &said.n,
                )
            };
        }
        if said.n > head.n {
            return Ok(());
        }
        let (is, was) = (hex::encode(&head.hash), hex::encode(&said.hash));
        require(FaultKind::Head, "the store's hash of the last event", &is, &was)?;
        match (expected, &self.counter) {
            (Expected::Counter(said), Some(counter)) => counter.same(said),
            (Expected::Counter(_), None) => Ok(()),
            (Expected::Sequence(said), _) => {
                let version = &recorded.event.version;
                require(FaultKind::Head, "the store's version", version, &said.version)?;
                let key = recorded.event.subject.sequence();
                let text =
                    |date: Option<Date>| date.map_or_else(|| "none".to_owned(), |date| date.to_string());
                require(
                    FaultKind::Head,
                    "the store's mark of an archived sequence",
                    &definitions.archived(key),
                    &said.archived,
                )?;
                require(
                    FaultKind::Head,
                    "the store's last closed date",
                    &text(definitions.closed_through(key)),
                    &text(said.closed_through),
                )
            }
        }
    }

    /// Whether the store says something of it that the events do not, or says nothing though it says what it knows.
    fn is_behind(&self, heads_are_known: bool) -> bool {
        match &self.expected {
            Some(expected) => expected.chain().n > self.head.n,
            None => heads_are_known,
        }
    }
}

impl Expected {
    fn chain(&self) -> Link {
        match self {
            Self::Counter(state) => state.chain,
            Self::Sequence(head) => head.chain,
        }
    }
}
