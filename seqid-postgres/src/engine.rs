//! What serves the lanes: one transaction for what is sealed, from its first lock to its answers.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use seqid_core::clock::{Clock, SystemClock};
use seqid_core::command::{Act, Command};
use seqid_core::counter::{CounterKey, SequenceKey};
use seqid_core::intake::Sealed;
use seqid_core::lanes::Serve;
use seqid_core::observer::Observer;
use seqid_core::store::StoreError;
use seqid_core::time::{Date, Timestamp, Zone};
use sqlx::AssertSqlSafe;
use tokio::sync::Notify;
use tokio::task::JoinSet;

use crate::batch::{Batch, Decided, GROUPS, Locked, Written, groups};
use crate::config::PostgresConfig;
use crate::connections::{Connections, Pooled, Use, within};
use crate::error::Fault;
use crate::identity::{Anchor, Identity};
use crate::notices;
use crate::waiting::Waiting;

/// How many connections wait for locks that others hold.
pub(crate) const WAITING: usize = 4;

/// How often a batch is decided anew because another session used one of its keys at the same time. Each time, that
/// session has committed.
const TRIES: usize = 20;

/// How long a change of a definition waits for the draws of its group before it lets others go first.
const PATIENCE: Duration = Duration::from_millis(200);

/// What all parts of a store share.
#[derive(Debug)]
pub(crate) struct Engine {
    pub(crate) config: PostgresConfig,
    pub(crate) identity: Identity,
    pub(crate) clock: DatabaseClock,
    pub(crate) readers: Arc<Connections>,
    pub(crate) waiting: Waiting,
    /// Told after each commit.
    pub(crate) committed: Notify,
    lanes: Arc<Connections>,
    waiters: Arc<Connections>,
    pub(crate) anchor: Arc<Anchor>,
    observer: Arc<dyn Observer>,
    rows: Mutex<HashMap<CounterKey, i64>>,
    sequences: Mutex<HashMap<SequenceKey, KnownSequence>>,
    months: Mutex<HashSet<Month>>,
    tasks: tokio::sync::Mutex<JoinSet<()>>,
    is_away: AtomicBool,
    /// Has the state file, so that an older state is never written over a newer one.
    state_file: tokio::sync::Mutex<()>,
}

/// A sequence as it was found. A version of a definition never changes, so that its text is not asked for again.
#[derive(Debug, Clone)]
pub(crate) struct KnownSequence {
    pub(crate) id: i64,
    pub(crate) head: u32,
    pub(crate) spec: Arc<str>,
}

impl Engine {
    /// The most rows of counters that are remembered.
    const MOST_ROWS: usize = 100_000;
    /// The most sequences that are remembered.
    const MOST_SEQUENCES: usize = 10_000;

    pub(crate) fn new(
        config: PostgresConfig,
        identity: Identity,
        anchor: Anchor,
        observer: Arc<dyn Observer>,
    ) -> Self {
        let anchor = Arc::new(anchor);
        let connections = |purpose, most| {
            Connections::new(
                purpose,
                config.clone(),
                identity.clone(),
                Arc::clone(&anchor),
                most,
            )
        };
        Self {
            lanes: connections(Use::Batches, config.lanes),
            waiters: connections(Use::Batches, WAITING),
            readers: connections(Use::Reading, config.readers),
            clock: DatabaseClock {
                in_place: config.clock.clone(),
                ahead: AtomicI64::new(0),
            },
            waiting: Waiting::default(),
            committed: Notify::new(),
            rows: Mutex::default(),
            sequences: Mutex::default(),
            months: Mutex::default(),
            tasks: tokio::sync::Mutex::default(),
            is_away: AtomicBool::new(false),
            state_file: tokio::sync::Mutex::default(),
            observer,
            anchor,
            identity,
            config,
        }
    }

    /// The rows of counters, as far as they are remembered.
    pub(crate) fn rows_of(&self, keys: &[CounterKey]) -> Vec<Option<i64>> {
        let rows = lock(&self.rows);
        keys.iter().map(|key| rows.get(key).copied()).collect()
    }

    pub(crate) fn remember_row(&self, key: &CounterKey, id: i64) {
        let mut rows = lock(&self.rows);
        if rows.len() >= Self::MOST_ROWS {
            rows.clear();
        }
        rows.insert(key.clone(), id);
    }

    /// These counters have no rows, whatever was remembered.
    pub(crate) fn forget_rows(&self, keys: &[&CounterKey]) {
        let mut rows = lock(&self.rows);
        for key in keys {
            rows.remove(key);
        }
    }

    /// Sequences, as far as they are remembered. They may have changed since.
    pub(crate) fn sequences_of(&self, keys: &[SequenceKey]) -> Vec<Option<KnownSequence>> {
        let sequences = lock(&self.sequences);
        keys.iter().map(|key| sequences.get(key).cloned()).collect()
    }

    pub(crate) fn remember_sequence(&self, key: &SequenceKey, known: KnownSequence) {
        let mut sequences = lock(&self.sequences);
        if sequences.len() >= Self::MOST_SEQUENCES {
            sequences.clear();
        }
        sequences.insert(key.clone(), known);
    }

    /// Whether the partition of a month is known to be there.
    pub(crate) fn has_month(&self, month: Month) -> bool {
        lock(&self.months).contains(&month)
    }

    /// Whether the server did not answer when it was asked last.
    pub(crate) fn is_away(&self) -> bool {
        self.is_away.load(Ordering::Relaxed)
    }

    /// Takes note of whether the server answered.
    pub(crate) fn note(&self, fault: Option<&Fault>) {
        let is_away = fault.is_some_and(Fault::is_of_the_connection);
        self.is_away.store(is_away, Ordering::Relaxed);
    }

    /// Starts a task that [`close`](Self::close) waits for.
    pub(crate) async fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let mut tasks = self.tasks.lock().await;
        while tasks.try_join_next().is_some() {}
        tasks.spawn(task);
    }

    /// Waits for what was begun, and closes all connections.
    pub(crate) async fn close(&self) {
        let mut tasks = std::mem::take(&mut *self.tasks.lock().await);
        while tasks.join_next().await.is_some() {}
        for connections in [&self.lanes, &self.waiters, &self.readers] {
            connections.close();
        }
        self.write_state().await;
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.lanes.is_closed()
    }

    /// Writes the state file, unless it says already what is to be said.
    pub(crate) async fn write_state(&self) {
        let Some(path) = self.config.state_file.clone() else {
            return;
        };
        let _alone = self.state_file.lock().await;
        let Some(state) = self.anchor.take_unwritten(&self.identity) else {
            return;
        };
        let written = tokio::task::spawn_blocking(move || state.write(&path)).await;
        if let Ok(Err(error)) = written {
            self.anchor.set_unwritten();
            tracing::warn!(%error, "the state file could not be written");
        }
    }

    /// Carries out draws and the like, together. Those of counters that others have locked are left for later.
    async fn serve_together(self: &Arc<Self>, batch: Vec<Sealed>) {
        let batch = Waiting::join(self, batch).await;
        if batch.is_empty() {
            return;
        }
        let began = Instant::now();
        let commands: Vec<&Command> = batch.iter().map(|sealed| &sealed.command).collect();
        let decided = self.transact(&commands, How::Together).await;
        self.observer.committed(batch.len(), began.elapsed());
        match decided {
            Ok(decided) => self.answer(batch, decided).await,
            // A change of a definition that takes long, or an idempotency key of a transaction that is open.
            Err(Failure::Undone(fault)) if fault.is_of_a_lock() => {
                for sealed in batch {
                    Waiting::defer(self, sealed).await;
                }
            }
            Err(Failure::Undone(fault)) if fault.is_of_a_row() && batch.len() > 1 => {
                tracing::warn!(
                    error = &fault as &dyn std::error::Error,
                    "a batch is carried out one by one"
                );
                for sealed in batch {
                    Box::pin(self.serve_together(vec![sealed])).await;
                }
            }
            Err(failure) => refuse(batch, failure),
        }
    }

    async fn answer(self: &Arc<Self>, batch: Vec<Sealed>, decided: Vec<Decided>) {
        for (sealed, reply) in batch.into_iter().zip(decided) {
            match reply {
                Some(reply) => sealed.answer(reply.map_err(StoreError::from)),
                None => Waiting::defer(self, sealed).await,
            }
        }
    }

    /// Carries out one command that must have its sequence, or several counters, to itself.
    async fn serve_alone(&self, sealed: Sealed) {
        let began = Instant::now();
        let reply = loop {
            let decided = self
                .transact(&[&sealed.command], How::alone(&sealed.command))
                .await;
            match decided {
                Ok(mut decided) => match decided.pop().flatten() {
                    Some(reply) => break reply.map_err(StoreError::from),
                    None => break Err(StoreError::Draining),
                },
                Err(Failure::Undone(fault)) if fault.is_of_a_lock() => {
                    if sealed.command.is_late() {
                        break Err(StoreError::Late);
                    }
                    if began.elapsed() >= self.config.timeout {
                        break Err(fault.into());
                    }
                    tokio::time::sleep(PATIENCE / 4).await;
                }
                Err(failure) => break Err(failure.into()),
            }
        };
        self.observer.committed(1, began.elapsed());
        sealed.answer(reply);
    }

    /// One transaction for these commands, answered after its commit.
    pub(crate) async fn transact(&self, commands: &[&Command], how: How) -> Result<Vec<Decided>, Failure> {
        let mut tries = 0;
        loop {
            tries += 1;
            match self.attempt(commands, how).await {
                Err(Failure::Undone(Fault::KeyTaken)) if tries < TRIES => {}
                decided => return decided,
            }
        }
    }

    async fn attempt(&self, commands: &[&Command], how: How) -> Result<Vec<Decided>, Failure> {
        let connections = match how {
            How::Together => &self.lanes,
            _ => &self.waiters,
        };
        let mut pooled = self
            .begin(connections, how.begin(commands))
            .await
            .map_err(Failure::Undone)?;
        let mut batch = Batch::new(self, &mut pooled.connection, how.locked());
        let applied = within(self.config.timeout, batch.apply(commands)).await;
        let written = batch.written();
        match applied.and_then(|applied| applied) {
            Ok(decided) => self.finish(pooled, written).await.map(|()| decided),
            Err(fault) => Err(self.give_up(pooled, fault).await),
        }
    }

    /// Waits until a counter is free, then takes the commands to carry out.
    pub(crate) async fn transact_patiently(
        &self,
        counter: &CounterKey,
        take: impl FnOnce() -> Vec<Command> + Send,
    ) -> Result<Turn, Failure> {
        let how = How::Patiently;
        let begin = how.begin_with(&groups([counter.sequence()]));
        let mut pooled = self.begin(&self.waiters, begin).await.map_err(Failure::Undone)?;
        let mut batch = Batch::new(self, &mut pooled.connection, how.locked());
        let locked = within(self.config.timeout, batch.wait_for(counter)).await;
        if let Err(fault) = locked.and_then(|locked| locked) {
            return Err(self.give_up(pooled, fault).await);
        }
        let events = |batch: &Batch| {
            batch
                .snapshot
                .counter_state(counter)
                .map_or(0, |state| state.chain.n)
        };
        let found = events(&batch);
        let commands = take();
        let commands: Vec<&Command> = commands.iter().collect();
        let began = Instant::now();
        let applied = within(self.config.timeout, async {
            batch.enter_kin(&commands).await?;
            batch.apply(&commands).await
        });
        let applied = applied.await;
        let left = events(&batch);
        let written = batch.written();
        let decided = match applied.and_then(|applied| applied) {
            Ok(decided) => self.finish(pooled, written).await.map(|()| decided),
            Err(fault) => Err(self.give_up(pooled, fault).await),
        };
        self.observer.committed(commands.len(), began.elapsed());
        let decided = match decided {
            Err(Failure::Undone(Fault::KeyTaken)) => self.transact(&commands, how).await,
            decided => decided,
        };
        decided.map(|decided| Turn { found, left, decided })
    }

    /// Commits, and takes note of what is there now.
    async fn finish(&self, mut pooled: Pooled, written: Written) -> Result<(), Failure> {
        self.commit(&mut pooled).await?;
        pooled.give_back();
        self.note(None);
        for (key, id) in &written.opened {
            self.remember_row(key, *id);
        }
        lock(&self.months).extend(written.months);
        if let Some((chain, head)) = written.head {
            self.anchor.set(chain, head);
            self.committed.notify_waiters();
        }
        Ok(())
    }

    async fn give_up(&self, pooled: Pooled, fault: Fault) -> Failure {
        self.roll_back(pooled, &fault).await;
        Failure::Undone(fault)
    }

    /// Begins a transaction. A connection that died while it waited for work is replaced once: nothing was sent on it.
    async fn begin(&self, connections: &Arc<Connections>, sql: String) -> Result<Pooled, Fault> {
        let mut pooled = connections
            .get()
            .await
            .inspect_err(|fault| self.note(Some(fault)))?;
        match self.execute(&mut pooled, sql.clone()).await {
            Ok(()) => return Ok(pooled),
            Err(fault) if fault.is_of_the_connection() => drop(pooled),
            Err(fault) => {
                self.roll_back(pooled, &fault).await;
                return Err(fault);
            }
        }
        let mut pooled = connections
            .get_new()
            .await
            .inspect_err(|fault| self.note(Some(fault)))?;
        match self.execute(&mut pooled, sql).await {
            Ok(()) => Ok(pooled),
            Err(fault) => {
                self.roll_back(pooled, &fault).await;
                Err(fault)
            }
        }
    }

    /// Commits. Once COMMIT is sent, only the server's own word that it aborted makes the outcome known, or its answer
    /// without a warning.
    async fn commit(&self, pooled: &mut Pooled) -> Result<(), Failure> {
        let (committed, warning) = notices::heard(self.execute(pooled, "COMMIT".to_owned())).await;
        match committed {
            Ok(()) => match warning {
                None => Ok(()),
                Some(text) => Err(Failure::Unknown(Fault::Warned(text))),
            },
            Err(fault) if fault.is_abort() => Err(Failure::Undone(fault)),
            Err(fault) => Err(Failure::Unknown(fault)),
        }
    }

    async fn roll_back(&self, mut pooled: Pooled, fault: &Fault) {
        self.note(Some(fault));
        if !fault.is_of_the_connection() && self.execute(&mut pooled, "ROLLBACK".to_owned()).await.is_ok() {
            pooled.give_back();
        }
    }

    async fn execute(&self, pooled: &mut Pooled, sql: String) -> Result<(), Fault> {
        let statement = sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut pooled.connection);
        within(self.config.timeout, statement).await??;
        Ok(())
    }
}

/// How a transaction shares the database with others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum How {
    /// It skips counters that others have locked.
    Together,
    /// It waits for counters that others have locked.
    Patiently,
    /// It has its group of sequences to itself.
    Alone,
    /// It has all sequences to itself.
    AllAlone,
}

impl How {
    /// How a command is carried out that is in no batch.
    fn alone(command: &Command) -> Self {
        match &command.act {
            Act::Close(close) if close.sequence.is_whole() => Self::AllAlone,
            Act::Define(_) | Act::Archive(_) | Act::Close(_) => Self::Alone,
            _ => Self::Patiently,
        }
    }

    fn locked(self) -> Locked {
        match self {
            Self::Together => Locked::Skip,
            _ => Locked::Wait,
        }
    }

    /// The first statements of a transaction for these commands.
    pub(crate) fn begin(self, commands: &[&Command]) -> String {
        if self == Self::AllAlone {
            let all: Vec<i32> = (0..GROUPS).collect();
            return self.begin_with(&all);
        }
        let sequences = commands.iter().map(|command| command.act.sequence());
        let kin = commands.iter().flat_map(|command| &command.kin);
        self.begin_with(&groups(sequences.chain(kin.map(|kin| &kin.sequence))))
    }

    /// The first statements of a transaction in these groups. Their numbers are all that comes from outside.
    fn begin_with(self, groups: &[i32]) -> String {
        let function = match self {
            Self::Together | Self::Patiently => "enter",
            Self::Alone | Self::AllAlone => "enter_alone",
        };
        let patience = match self {
            Self::Together => String::new(),
            _ => format!("SET LOCAL lock_timeout = {}; ", PATIENCE.as_millis()),
        };
        let list: Vec<String> = groups.iter().map(ToString::to_string).collect();
        format!(
            "BEGIN; {patience}SELECT seqid.{function}('{{{}}}')",
            list.join(",")
        )
    }
}

/// A transaction on a counter that was waited for.
#[derive(Debug)]
pub(crate) struct Turn {
    /// How many events the counter had when its row was locked.
    pub(crate) found: u64,
    /// How many it had in the end, as far as is known.
    pub(crate) left: u64,
    pub(crate) decided: Vec<Decided>,
}

/// Why a transaction has no replies.
#[derive(Debug)]
pub(crate) enum Failure {
    /// Nothing was committed.
    Undone(Fault),
    /// The commit was sent.
    Unknown(Fault),
}

impl From<Failure> for StoreError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Undone(fault) => fault.into(),
            Failure::Unknown(fault) => Self::Unknown(Arc::new(fault)),
        }
    }
}

/// Answers a whole batch with an error.
pub(crate) fn refuse(batch: Vec<Sealed>, failure: Failure) {
    let error = StoreError::from(failure);
    tracing::error!(error = &error as &dyn std::error::Error, "a batch failed");
    for sealed in batch {
        sealed.answer(Err(error.clone()));
    }
}

/// The engine as the lanes see it.
#[derive(Debug)]
pub(crate) struct Server(pub(crate) Arc<Engine>);

#[async_trait]
impl Serve for Server {
    async fn serve(&self, mut batch: Vec<Sealed>) {
        let first_alone = batch
            .iter()
            .position(|sealed| sealed.command.act.counter().is_none());
        let rest = first_alone.map(|at| batch.split_off(at));
        if !batch.is_empty() {
            self.0.serve_together(batch).await;
        }
        // What comes behind such a command must not overtake it, and it may wait for long: the lane goes on.
        if let Some(rest) = rest {
            let engine = Arc::clone(&self.0);
            self.0.spawn(serve_in_order(engine, rest)).await;
        }
    }
}

async fn serve_in_order(engine: Arc<Engine>, batch: Vec<Sealed>) {
    let mut together = Vec::new();
    for sealed in batch {
        if sealed.command.act.counter().is_some() {
            together.push(sealed);
            continue;
        }
        if !together.is_empty() {
            engine.serve_together(std::mem::take(&mut together)).await;
        }
        engine.serve_alone(sealed).await;
    }
    if !together.is_empty() {
        engine.serve_together(together).await;
    }
}

/// The database's clock, as this process reckons it between two transactions.
pub(crate) struct DatabaseClock {
    in_place: Option<Arc<dyn Clock>>,
    /// By how many microseconds the database's is ahead of the machine's.
    ahead: AtomicI64,
}

impl DatabaseClock {
    /// Takes note of the time that the database tells, and answers the time that counts.
    pub(crate) fn record(&self, told: Timestamp) -> Timestamp {
        if let Some(clock) = &self.in_place {
            return clock.now();
        }
        let ahead = told.as_micros() - SystemClock.now().as_micros();
        self.ahead.store(ahead, Ordering::Relaxed);
        told
    }
}

impl Clock for DatabaseClock {
    fn now(&self) -> Timestamp {
        match &self.in_place {
            Some(clock) => clock.now(),
            None => {
                let now = SystemClock.now().as_micros();
                Timestamp::from_micros(now.saturating_add(self.ahead.load(Ordering::Relaxed)))
            }
        }
    }
}

impl fmt::Debug for DatabaseClock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("DatabaseClock").field(&self.now()).finish()
    }
}

/// A month in UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Month(i16, i8);

impl Month {
    pub(crate) fn of(instant: Timestamp) -> Self {
        let date = Zone::UTC.date_at(instant);
        Self(date.year(), date.month())
    }

    /// Its first day.
    pub(crate) fn first(self) -> Date {
        Date::new(self.0, self.1, 1).unwrap_or(Date::MIN)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
