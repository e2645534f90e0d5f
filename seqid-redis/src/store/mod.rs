//! Sequences of mode ordered at the speed of memory, over any durable store.
//!
//! A durable store lends ranges of a counter to the history of a Redis server; numbers are drawn there, and recorded in the
//! durable store afterwards, by an event for each draw. A draw under an idempotency key is answered once its event and key are in
//! the durable store. Everything else is carried out by the durable store itself.

mod barrier;
mod counter;
mod drawing;
mod figures;
mod holding;
mod lines;
mod obstacle;
mod record;
mod reports;

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use seqid_core::clock::{Clock, Seed};
use seqid_core::command::{Act, Command, Reply};
use seqid_core::counter::{CounterKey, CounterState};
use seqid_core::definition::Mode;
use seqid_core::event::Origin;
use seqid_core::forward;
use seqid_core::lanes::Lanes;
use seqid_core::ledger::Refusal;
use seqid_core::line::Line;
use seqid_core::names::Label;
use seqid_core::store::{Capabilities, CounterStore, EventSource, Ledger, StoreError};
use tokio::task::JoinHandle;

use crate::config::RedisConfig;
use crate::counter_id::Bucket;
use crate::error::{Fault, OpenError};
use crate::fenced::Fenced;
use crate::history::Server;
use counter::Counter;
use drawing::Pump;
use figures::Counts;
pub use figures::Figures;
use lines::Lines;
use reports::Reports;

/// How many counters are kept in mind. One that is forgotten is found again, with the range that it has.
const MOST: usize = 10_000;
/// How many draws go out together.
const BATCH: usize = 1_024;
/// How often it is looked for what somebody who is gone has left.
const LOOK_ROUND: Duration = Duration::from_secs(10);
/// How long to wait before the second attempt to record; each wait is twice the one before.
const FIRST_WAIT: Duration = Duration::from_millis(50);
const LONGEST_WAIT: Duration = Duration::from_secs(2);

/// A durable store of which sequences of mode ordered are drawn in Redis.
///
/// A draw without an idempotency key is answered before its event is durable, in a range that is; one with a key once both key and
/// event are. What is said of errors and of dropped futures is as in [`CounterStore`]: what Redis may have done and not said is
/// [unknown](StoreError::Unknown).
///
/// Any number of instances may share a durable store and a Redis server: they draw from the same counters.
#[derive(Debug)]
pub struct RedisStore<L> {
    shared: Arc<Shared<L>>,
    /// One for each bucket.
    lanes: Vec<Lanes>,
    tasks: Vec<JoinHandle<()>>,
}

/// Why a [`RedisStore`] could not be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RedisStoreError {
    /// Redis cannot be drawn from.
    #[error(transparent)]
    Redis(#[from] OpenError),
    /// The durable store does not say who it is.
    #[error("the durable store cannot be read")]
    Ledger(#[from] StoreError),
}

/// What all tasks of an instance share.
#[derive(Debug)]
struct Shared<L> {
    ledger: L,
    fenced: Fenced,
    clock: Arc<dyn Clock>,
    /// Who asks for ranges.
    origin: Arc<Origin>,
    counters: Mutex<HashMap<CounterKey, Arc<Counter>>>,
    reports: Reports,
    lines: Lines,
    /// One at a time fetches ranges back.
    barrier: tokio::sync::Mutex<()>,
    closed: AtomicBool,
    figures: Counts,
}

impl<L: Ledger + 'static> RedisStore<L> {
    /// Draws ordered numbers of a durable store in Redis. The seed must be another in each process; the name stands in the audit
    /// beside what this instance asks the durable store for.
    ///
    /// # Errors
    /// What keeps Redis from being drawn from, with what to do; and those of the durable store.
    pub async fn open(
        ledger: L,
        config: RedisConfig,
        name: Label,
        clock: Arc<dyn Clock>,
        seed: Seed,
    ) -> Result<Self, RedisStoreError> {
        let first = ledger.events(0, 1).await?;
        let authority = match first.first() {
            Some(recorded) => recorded.authority,
            // Without events there is next to nothing to read.
            None => ledger.heads().await?.authority,
        };
        let fenced = Fenced::connect(config, authority, seed).await?;
        let origin = Origin {
            client: Some(name),
            ..Origin::default()
        };
        let shared = Arc::new(Shared {
            ledger,
            fenced,
            clock,
            origin: Arc::new(origin),
            counters: Mutex::default(),
            reports: Reports::default(),
            lines: Lines::default(),
            barrier: tokio::sync::Mutex::default(),
            closed: AtomicBool::new(false),
            figures: Counts::default(),
        });
        let mut one_lane = Capabilities::new("redis");
        one_lane.largest_batch = BATCH;
        let lanes = Bucket::all().map(|bucket| {
            let shared = Arc::clone(&shared);
            Lanes::start(&Arc::new(Pump { shared, bucket }), &one_lane)
        });
        Ok(Self {
            lanes: lanes.collect(),
            tasks: vec![
                tokio::spawn(keep_reporting(Arc::clone(&shared))),
                tokio::spawn(look_round(Arc::clone(&shared))),
            ],
            shared,
        })
    }

    /// The durable store.
    pub fn store(&self) -> &L {
        &self.shared.ledger
    }

    /// The server that the first bucket is on, once there is one that can be drawn from.
    ///
    /// # Errors
    /// When the runtime is ending.
    pub async fn server(&self) -> Result<Server, Fault> {
        let first = Bucket::all().next().ok_or_else(|| Fault::Unreadable {
            answer: String::new(),
        })?;
        self.shared.fenced.server(first).await
    }

    /// Why ordered numbers cannot be drawn now, if so. Asks nobody.
    #[must_use]
    pub fn obstacle(&self) -> Option<Fault> {
        Bucket::all().find_map(|bucket| self.shared.fenced.obstacle(bucket))
    }

    /// What became of ranges and events since the start, and how they stand. Asks nobody.
    #[must_use]
    pub fn figures(&self) -> Figures {
        self.shared.figures()
    }

    /// Records what was drawn, and gives back the ranges that this instance draws from: the next draw lends one anew.
    ///
    /// # Errors
    /// As [`CounterStore::apply`]. What was not recorded or given back is so the next time.
    pub async fn give_back(&self) -> Result<(), StoreError> {
        self.shared.give_back().await
    }

    /// Records what streams have of others, written at least so long ago.
    ///
    /// # Errors
    /// As [`CounterStore::apply`]. What was not recorded stays where it is.
    pub async fn take_over(&self, age: Duration) -> Result<usize, StoreError> {
        let mut taken = 0;
        for bucket in Bucket::all() {
            taken += self.shared.take_over(bucket, age, None).await?;
        }
        Ok(taken)
    }

    /// Carries out commands in their order. Draws that may join are drawn together.
    async fn carry_out_each(&self, batch: Vec<Command>) -> Vec<Result<Reply, StoreError>> {
        let mut replies = Vec::with_capacity(batch.len());
        let mut plain: Vec<Command> = Vec::new();
        for command in batch {
            let same = |first: &Command| first.act.sequence() == command.act.sequence();
            if !may_join(&command) || !plain.first().is_none_or(same) {
                replies.extend(self.draw(std::mem::take(&mut plain)).await);
            }
            if may_join(&command) {
                plain.push(command);
            } else {
                replies.push(self.carry_out(command).await);
            }
        }
        replies.extend(self.draw(plain).await);
        replies
    }

    async fn carry_out(&self, command: Command) -> Result<Reply, StoreError> {
        if !is_drawn_here(&command) {
            return self.shared.pass_on(command).await;
        }
        // It may have been carried out before; and a counter without a range is as well drawn from where it is.
        match self.shared.tell(command.clone()).await {
            Err(StoreError::Refused(Refusal::OpenLeases { .. })) => {}
            answer => return answer,
        }
        self.draw(vec![command])
            .await
            .pop()
            .unwrap_or_else(|| Err(obstacle::Obstacle::NoAnswer.into()))
    }

    /// Draws from counters of one sequence.
    async fn draw(&self, batch: Vec<Command>) -> Vec<Result<Reply, StoreError>> {
        if self.shared.closed.load(Ordering::SeqCst) {
            return vec![Err(StoreError::Draining); batch.len()];
        }
        let Some(first) = batch.first() else {
            return Vec::new();
        };
        let bucket = Bucket::of(first.act.sequence());
        self.lanes[bucket.index()].apply(batch).await
    }
}

impl<L> Drop for RedisStore<L> {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

impl<L> Shared<L> {
    /// What is known of a counter.
    fn counter(&self, key: &CounterKey) -> Arc<Counter> {
        let mut counters = self.counters.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(counter) = counters.get(key) {
            return Arc::clone(counter);
        }
        if counters.len() >= MOST {
            // Their ranges stay lent, and are found again.
            counters.retain(|_, counter| !counter.is_idle() || Arc::strong_count(counter) > 1);
        }
        let counter = Counter::new(key.clone());
        counters.insert(key.clone(), Arc::clone(&counter));
        counter
    }

    /// How many entries may wait while callers draw fast. Streams are shared with other instances.
    fn most_gathered(&self) -> usize {
        usize::try_from(self.fenced.config().largest_stream / 4).unwrap_or(usize::MAX)
    }

    fn all_counters(&self) -> Vec<Arc<Counter>> {
        let counters = self.counters.lock().unwrap_or_else(PoisonError::into_inner);
        counters.values().cloned().collect()
    }
}

/// Whether a draw may be carried out in Redis.
fn is_drawn_here(command: &Command) -> bool {
    let Act::Draw(draw) = &command.act else {
        return false;
    };
    let definition = draw.line.definition();
    definition.mode() == Mode::Ordered
        && draw.hold.is_none()
        && draw.line.ranges().is_empty()
        && !definition.chronological()
        && u64::from(draw.count) <= definition.largest_gap()
        // A key of a chain of successors is one of all of them.
        && (command.key.is_none() || command.kin.is_empty())
}

/// Whether a draw in Redis needs nothing of the durable store.
fn may_join(command: &Command) -> bool {
    command.key.is_none() && is_drawn_here(command)
}

/// Whether commands are draws of one sequence that may all go out together.
fn is_joint_draw(batch: &[Command]) -> bool {
    let [first, others @ ..] = batch else {
        return false;
    };
    let joins = |other: &Command| may_join(other) && other.act.sequence() == first.act.sequence();
    may_join(first) && others.iter().all(joins)
}

/// Whether a command has nothing to do with ordered numbers: the durable store decides it as it comes.
fn is_elsewhere(command: &Command) -> bool {
    let is_ordered = |line: &Line| line.definition().mode() == Mode::Ordered;
    match &command.act {
        Act::Draw(draw) => !is_ordered(&draw.line),
        Act::Shift(shift) => !is_ordered(&shift.line),
        Act::Void(void) => !is_ordered(&void.line),
        Act::Adopt(adopt) => !adopt.runs.iter().any(|run| is_ordered(&run.line)),
        Act::Define(define) => define.definition.mode() != Mode::Ordered,
        // What is held for a while is not ordered.
        Act::Settle(_) | Act::Expire(_) => true,
        _ => false,
    }
}

async fn keep_reporting<L: Ledger + 'static>(shared: Arc<Shared<L>>) {
    let mut wait = FIRST_WAIT;
    loop {
        match shared.report_all().await {
            Ok(()) => {
                wait = FIRST_WAIT;
                shared.reports.awake().await;
                shared.reports.gather(shared.most_gathered()).await;
            }
            Err(error) => {
                tracing::warn!(%error, waiting = shared.reports.waiting(), "draws could not be recorded yet");
                tokio::time::sleep(wait).await;
                wait = (2 * wait).min(LONGEST_WAIT);
            }
        }
    }
}

async fn look_round<L: Ledger + 'static>(shared: Arc<Shared<L>>) {
    loop {
        for bucket in Bucket::all() {
            if shared.fenced.obstacle(bucket).is_some() {
                continue;
            }
            match shared.take_over(bucket, reports::ABANDONED, None).await {
                Ok(0) => {}
                Ok(entries) => tracing::info!(%bucket, entries, "recorded what others had drawn"),
                Err(error) => tracing::warn!(%bucket, %error, "what others drew could not be recorded yet"),
            }
            shared.count_entries(bucket).await;
        }
        tokio::time::sleep(LOOK_ROUND).await;
    }
}

#[async_trait]
impl<L: Ledger + 'static> CounterStore for RedisStore<L> {
    fn capabilities(&self) -> Capabilities {
        self.shared.ledger.capabilities()
    }

    async fn apply(&self, batch: Vec<Command>) -> Vec<Result<Reply, StoreError>> {
        if is_joint_draw(&batch) {
            return self.draw(batch).await;
        }
        if batch.iter().all(is_elsewhere) {
            return self.shared.ledger.apply(batch).await;
        }
        // Boxed: a future is as large as its largest path, and is moved for each draw.
        Box::pin(self.carry_out_each(batch)).await
    }

    async fn counter(&self, key: &CounterKey) -> Result<Option<CounterState>, StoreError> {
        self.shared.ledger.counter(key).await
    }

    async fn close(&self) -> Result<(), StoreError> {
        self.shared.closed.store(true, Ordering::SeqCst);
        for lane in &self.lanes {
            lane.close().await;
        }
        if let Err(error) = self.shared.give_back().await {
            // Without Redis they stay lent: whoever comes next goes on with them.
            tracing::warn!(%error, "ranges were not given back");
        }
        let recorded = self.shared.report_all().await;
        self.shared.ledger.close().await?;
        recorded
    }
}

forward!(impl [L: Ledger + 'static] DefinitionStore for RedisStore<L>, self => self.shared.ledger);

forward!(impl [L: Ledger + 'static] AuditLog for RedisStore<L>, self => self.shared.ledger);

forward!(impl [L: Ledger + EventSource + 'static] EventSource for RedisStore<L>, self => self.shared.ledger);
