use std::any::Any;
use std::fmt;
use std::future::{IntoFuture, Ready, ready};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use seqid_core::clock::ManualClock;
use seqid_core::command::{Command, Reply};
use seqid_core::counter::CounterState;
use seqid_core::event::Recorded;
use seqid_core::line::Line;
use seqid_core::mark::Mark;
use seqid_core::store::{EventSource, Ledger, MarkRecord, StoreError};

use super::begin;
use super::commands::{Batch, numbers, told};
use super::sequence::Sequence;
use crate::evidence;

/// How a store ended before it is opened again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// It was closed.
    Closed,
    /// It was left as it was.
    Crashed,
}

type Reopened = Pin<Box<dyn Future<Output = Backend> + Send>>;

/// A store under test, with what belongs to it.
pub struct Backend {
    /// The store.
    pub ledger: Arc<dyn Ledger>,
    /// The same store as a source of events.
    pub source: Option<Arc<dyn EventSource>>,
    /// The clock that the store reads.
    pub clock: Arc<ManualClock>,
    reopen: Option<Box<dyn FnOnce(End) -> Reopened + Send + Sync>>,
    /// Dropped last.
    guards: Vec<Box<dyn Any + Send + Sync>>,
}

impl Backend {
    /// A backend of this store, which must read this clock.
    pub fn new(ledger: impl Ledger + 'static, clock: Arc<ManualClock>) -> Self {
        Self {
            ledger: Arc::new(ledger),
            source: None,
            clock,
            reopen: None,
            guards: Vec::new(),
        }
    }

    /// The same store as a source of events.
    #[must_use]
    pub fn source(mut self, source: impl EventSource + 'static) -> Self {
        self.source = Some(Arc::new(source));
        self
    }

    /// How the store is opened again with what it kept. It has been closed, unless it is to look like a crash,
    /// and every handle to it dropped.
    #[must_use]
    pub fn reopen<R>(mut self, reopen: impl FnOnce(End) -> R + Send + Sync + 'static) -> Self
    where
        R: IntoFuture<Output = Backend, IntoFuture: Send> + Send + 'static,
    {
        self.reopen = Some(Box::new(|end| Box::pin(async move { reopen(end).await })));
        self
    }

    /// Keeps something until the store is gone: a directory that is then deleted, a schema, a container.
    #[must_use]
    pub fn guard(mut self, guard: impl Any + Send + Sync) -> Self {
        self.guards.push(Box::new(guard));
        self
    }
}

impl IntoFuture for Backend {
    type Output = Backend;
    type IntoFuture = Ready<Backend>;

    /// At once: so that a factory need not be `async`.
    fn into_future(self) -> Ready<Backend> {
        ready(self)
    }
}

impl fmt::Debug for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Backend")
            .field("ledger", &self.ledger)
            .finish_non_exhaustive()
    }
}

/// What cases do with a store.
impl Backend {
    /// Applies a batch.
    pub(super) async fn apply(&self, batch: impl Batch) -> Vec<Result<Reply, StoreError>> {
        let batch = batch.commands();
        let commands = batch.len();
        let replies = self.ledger.apply(batch).await;
        assert_eq!(replies.len(), commands, "one reply for each command");
        replies
    }

    /// Applies a batch, and tells its replies in [short words](told).
    pub(super) async fn tell(&self, batch: impl Batch) -> Vec<String> {
        self.apply(batch).await.iter().map(told).collect()
    }

    /// Applies one command, and tells its reply.
    pub(super) async fn tell_one(&self, command: Command) -> String {
        self.tell([command]).await.remove(0)
    }

    /// Saves the newest version of a sequence.
    pub(super) async fn define(&self, sequence: &Sequence) {
        let version = sequence.versions();
        assert_eq!(
            self.tell_one(sequence.define()).await,
            format!("v{version} saved")
        );
    }

    /// A sequence whose ids are `{prefix}-{seq}`, saved.
    pub(super) async fn sequence(&self, prefix: &str) -> Sequence {
        let sequence = Sequence::plain(prefix);
        self.define(&sequence).await;
        sequence
    }

    /// The state of a line's counter, which must have opened.
    pub(super) async fn state(&self, line: &Line) -> CounterState {
        let state = self
            .ledger
            .counter(line.key())
            .await
            .expect("the counter can be read");
        state.unwrap_or_else(|| panic!("{} has not opened", line.key()))
    }

    /// What the counter of a line gives out next.
    pub(super) async fn next(&self, line: &Line) -> u64 {
        self.state(line).await.next
    }

    /// Every event.
    pub(super) async fn events(&self) -> Vec<Recorded> {
        evidence::all_events(&*self.ledger)
            .await
            .expect("the events can be read")
    }

    /// Every event of a line's counter.
    pub(super) async fn events_of(&self, line: &Line) -> Vec<Recorded> {
        let mut events = self.events().await;
        events.retain(|recorded| recorded.event.subject.counter() == Some(line.key()));
        events
    }

    /// The marks of a line's counter, which must stand in their order, each with the event that set it.
    pub(super) async fn marks(&self, line: &Line) -> Vec<Mark> {
        let mut marks: Vec<Mark> = Vec::new();
        loop {
            let after = marks.last().map(|mark| (mark.generation, mark.run.first));
            let page = self
                .ledger
                .marks(line.key(), after, 3)
                .await
                .expect("the marks can be read");
            let whole = page.len() == 3;
            for MarkRecord { mark, event } in page {
                assert_eq!(event.n, mark.n, "{mark:?} is from another event");
                assert_eq!(event.subject.counter(), Some(line.key()));
                let last = marks.last().map(|last| (last.generation, last.run.last()));
                assert!(
                    last < Some((mark.generation, mark.run.first)),
                    "{mark:?} follows {last:?}"
                );
                marks.push(mark);
            }
            if !whole {
                return marks;
            }
        }
    }

    /// The marks of a line's counter as states with their numbers: `reserved 1..3`, of later generations `free 1 g2`.
    pub(super) async fn marked(&self, line: &Line) -> Vec<String> {
        let marks = self.marks(line).await;
        marks
            .iter()
            .map(|mark| format!("{} {}", mark.state.as_str(), numbers(&mark.run, mark.generation)))
            .collect()
    }

    /// How many numbers of a line's counter are reserved, voided and free.
    pub(super) async fn figures(&self, line: &Line) -> [u64; 3] {
        let state = self.state(line).await;
        [state.reserved, state.voided, state.free]
    }

    /// The clock shows so many seconds after the beginning of the case.
    pub(super) fn at(&self, seconds: u64) {
        self.clock
            .set(begin().saturating_add(Duration::from_secs(seconds)));
    }

    pub(super) fn set_clock(&self, now: &str) {
        self.clock.set(now.parse().expect("an instant"));
    }

    pub(super) fn events_source(&self) -> Arc<dyn EventSource> {
        self.source
            .clone()
            .expect("the backend of this suite has a source of events: call Backend::source")
    }

    /// Ends the store and opens it again.
    pub(super) async fn end(self, end: End) -> Backend {
        let Backend {
            ledger,
            source,
            reopen,
            guards,
            ..
        } = self;
        let reopen = reopen.expect("the backend of this suite can be reopened: call Backend::reopen");
        if end == End::Closed {
            ledger.close().await.expect("the store closes");
        }
        drop((ledger, source));
        let reopened = reopen(end).await;
        drop(guards);
        reopened
    }

    pub(super) const fn can_be_reopened(&self) -> bool {
        self.reopen.is_some()
    }
}
