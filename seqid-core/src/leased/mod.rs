//! Sequences of mode leased at memory speed: numbers are leased from a durable store in runs, and drawn from those.
//!
//! The numbers of one process rise; those of several are mixed. A run lasts about a tenth of a second. The next one is leased by
//! whoever finds half of a run used up, while others draw. Both together are never longer than the sequence's `largest_gap`: that
//! many numbers are unknown to the auditor after a crash. What was drawn is recorded when a run is used up, and at the end; a
//! clean end gives back what was not needed.
//!
//! Carried out by the store itself, because the audit is to have them one by one: draws under an idempotency key or with a
//! reference, reservations, documents whose ids show free fields or the instant of issue, and batches of more numbers than a
//! run may have.

mod run;
mod stock;

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, MutexGuard, PoisonError};

use async_trait::async_trait;
use sha2::{Digest, Sha256};
use tokio::sync::RwLock;

use crate::clock::{Clock, Seed};
use crate::command::{Act, Command, Draw, EndLease, Granted, LeaseEnd, Reply};
use crate::counter::{CounterKey, CounterState, SequenceKey};
use crate::definition::Mode;
use crate::event::Origin;
use crate::forward;
use crate::lease::{Holder, Lease, LeaseId};
use crate::ledger::Refusal;
use crate::line::Line;
use crate::names::{Label, Number};
use crate::store::{Capabilities, CounterStore, EventSource, LeaseRecord, Ledger, StoreError};
use crate::time::Date;

use run::{LeasedRun, Taken};
use stock::Stock;

/// How many counters and dates have leases at a time. Draws from more are carried out by the store itself.
const MOST: usize = 10_000;
/// How many leases are looked at a time for those of an earlier process.
const PAGE: usize = 1_000;

/// A durable store of which sequences of mode leased are drawn in memory. See the [module](self).
#[derive(Debug)]
pub struct Leased<S> {
    lessee: Lessee<S>,
    stocks: std::sync::Mutex<HashMap<(CounterKey, Date), Arc<Stock>>>,
    /// Shared by whoever leases; alone while something changes that leases stand in the way of. True at the end.
    barrier: RwLock<bool>,
}

impl<S: Ledger> Leased<S> {
    /// Leases from a store under a name that no other process that shares it has at the same time. What an earlier process
    /// of the name had leased is lost when its counter is drawn from: that process is gone.
    #[must_use]
    pub fn new(store: S, name: Label, clock: Arc<dyn Clock>, seed: Seed) -> Self {
        let origin = Origin {
            client: Some(name.clone()),
            ..Origin::default()
        };
        Self {
            lessee: Lessee {
                store,
                holder: Holder::Process(name),
                origin: Arc::new(origin),
                clock,
                seed,
                asked: AtomicU64::new(0),
                mine: std::sync::Mutex::default(),
            },
            stocks: std::sync::Mutex::default(),
            barrier: RwLock::new(false),
        }
    }

    /// The store that is leased from.
    pub const fn store(&self) -> &S {
        &self.lessee.store
    }

    /// A handle for single draws from one line, one after another: the fastest way.
    pub fn line(&self, line: &Arc<Line>) -> LeasedLine<'_, S> {
        LeasedLine {
            leased: self,
            line: Arc::clone(line),
            run: None,
        }
    }

    /// Records what was drawn, and gives back what was not: the next draw leases anew. For a process that rests, or that stands
    /// in the way of what another one is to change.
    ///
    /// # Errors
    /// As [`CounterStore::apply`]. What was not recorded or given back is so the next time.
    pub async fn give_back(&self) -> Result<(), StoreError> {
        let _alone = self.barrier.write().await;
        self.flush(|_| true).await
    }

    fn stocks(&self) -> MutexGuard<'_, HashMap<(CounterKey, Date), Arc<Stock>>> {
        self.stocks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The stock of a line, unless there are too many.
    fn stock(&self, line: &Arc<Line>) -> Option<Arc<Stock>> {
        let mut stocks = self.stocks();
        let name = (line.key().clone(), line.date());
        if let Some(stock) = stocks.get(&name) {
            return Some(Arc::clone(stock));
        }
        if stocks.len() >= MOST {
            return None;
        }
        let stock = Arc::new(Stock::new(line));
        stocks.insert(name, Arc::clone(&stock));
        Some(stock)
    }

    /// Leases numbers for a line in place of a run that is used up. `None` where the store is to draw them itself.
    async fn refill(
        &self,
        line: &Arc<Line>,
        count: u64,
        used_up: Option<&Arc<LeasedRun>>,
    ) -> Result<Option<Arc<Stock>>, StoreError> {
        let closed = self.barrier.read().await;
        if *closed {
            return Err(StoreError::Draining);
        }
        let Some(stock) = self.stock(line) else {
            return Ok(None);
        };
        let leased = stock.refill(&self.lessee, line, count, used_up).await?;
        Ok(leased.then_some(stock))
    }

    /// Leases the numbers behind a run, of which half is used up. Others draw meanwhile.
    async fn follow(&self, stock: &Stock, run: &Arc<LeasedRun>) {
        // Whoever changes something that leases stand in the way of takes them back at once.
        let Ok(closed) = self.barrier.try_read() else {
            return;
        };
        if *closed {
            return;
        }
        // Whoever uses the run up is told of an error.
        let _told_later = stock.follow(&self.lessee, run).await;
    }

    /// Draws numbers from memory. `None` where the store is to draw them itself.
    async fn draw(&self, draw: &Draw) -> Result<Option<Taken>, StoreError> {
        let count = u64::from(draw.count);
        let mut stock = self.stock(&draw.line);
        while let Some(found) = stock {
            let run = found.run();
            if let Some(run) = &run
                && run.is_to_be_followed()
            {
                self.follow(&found, run).await;
            }
            if let Some(taken) = run.as_ref().and_then(|run| run.take(count)) {
                return Ok(Some(taken));
            }
            stock = self.refill(&draw.line, count, run.as_ref()).await?;
        }
        Ok(None)
    }

    /// Carries out one command.
    async fn carry_out(&self, command: Command) -> Result<Reply, StoreError> {
        if let Act::Draw(draw) = &command.act
            && is_leased(&command)
        {
            if command.is_late() {
                return Err(StoreError::Late);
            }
            if let Some(Taken {
                run,
                generation,
                epoch,
            }) = self.draw(draw).await?
            {
                return Ok(Reply::Granted(Granted {
                    run,
                    generation,
                    epoch,
                    // Its event comes with the others of its run.
                    n: 0,
                    at: self.lessee.clock.now(),
                    expires_at: None,
                }));
            }
        }
        match self.lessee.forward(command.clone()).await {
            Err(StoreError::Refused(Refusal::OpenLeases { .. })) => {
                let _alone = self.barrier.write().await;
                self.flush(|sequence| command.act.sequence().covers(sequence))
                    .await?;
                self.lessee.forward(command).await
            }
            other => other,
        }
    }

    /// Records what was drawn from sequences, and gives back the rest.
    async fn flush(&self, of: impl Fn(&SequenceKey) -> bool) -> Result<(), StoreError> {
        let covered: Vec<_> = self
            .stocks()
            .extract_if(|(counter, _), _| of(counter.sequence()))
            .collect();
        for (name, stock) in covered {
            if let Err(error) = stock.flush(&self.lessee).await {
                // What it has to tell is told later.
                self.stocks().insert(name, stock);
                return Err(error);
            }
        }
        Ok(())
    }
}

/// Whether a draw may be one of many in an event.
fn is_leased(command: &Command) -> bool {
    let Act::Draw(draw) = &command.act else {
        return false;
    };
    let definition = draw.line.definition();
    definition.mode() == Mode::Leased
        && command.key.is_none()
        && draw.hold.is_none()
        && draw.reference.is_none()
        && draw.relates_to.is_none()
        && draw.line.fields().is_empty()
        && draw.line.ranges().is_empty()
        && !definition.template().uses_now()
}

/// Draws single numbers from one line, as fast as an atomic counter counts.
#[derive(Debug)]
pub struct LeasedLine<'a, S> {
    leased: &'a Leased<S>,
    line: Arc<Line>,
    run: Option<Arc<LeasedRun>>,
}

impl<S: Ledger> LeasedLine<'_, S> {
    /// The next number of the run that is in use, if it is not used up.
    #[inline]
    pub fn try_next(&self) -> Option<Number> {
        self.run.as_ref()?.next()
    }

    /// The next number.
    ///
    /// # Errors
    /// As [`CounterStore::apply`] for a draw. [`Refusal::NotLeasable`] for a line whose draws are not leased.
    ///
    /// # Cancel safety
    /// A future that is dropped draws nothing.
    pub async fn next(&mut self) -> Result<Number, StoreError> {
        loop {
            if let Some(number) = self.try_next() {
                return Ok(number);
            }
            let definition = self.line.definition();
            let leasable = definition.mode() == Mode::Leased && self.line.fields().is_empty();
            let stock = match leasable {
                true => self.leased.refill(&self.line, 1, self.run.as_ref()).await?,
                false => None,
            };
            let mode = definition.mode();
            self.run = stock.ok_or(Refusal::NotLeasable { mode })?.run();
        }
    }
}

/// What leases are taken with.
#[derive(Debug)]
struct Lessee<S> {
    store: S,
    holder: Holder,
    origin: Arc<Origin>,
    clock: Arc<dyn Clock>,
    seed: Seed,
    asked: AtomicU64,
    /// The leases that this process has.
    mine: std::sync::Mutex<HashSet<LeaseId>>,
}

impl<S: Ledger> Lessee<S> {
    async fn forward(&self, command: Command) -> Result<Reply, StoreError> {
        let mut replies = self.store.apply(vec![command]).await;
        replies
            .pop()
            .unwrap_or_else(|| Err(StoreError::Unknown(Arc::new(NoAnswer))))
    }

    async fn apply(&self, act: Act) -> Result<Reply, StoreError> {
        self.forward(Command::new(act, Arc::clone(&self.origin))).await
    }

    async fn lease(&self, act: Act) -> Result<Lease, StoreError> {
        match self.apply(act).await? {
            Reply::Leased(lease) => Ok(*lease),
            _ => Err(StoreError::Unknown(Arc::new(NoAnswer))),
        }
    }

    fn mine(&self) -> MutexGuard<'_, HashSet<LeaseId>> {
        self.mine.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn remember(&self, id: LeaseId) {
        self.mine().insert(id);
    }

    fn forget(&self, id: LeaseId) {
        self.mine().remove(&id);
    }

    fn next_id(&self) -> LeaseId {
        let mut hash = Sha256::new();
        hash.update(b"seqid lease");
        hash.update(self.seed.0.to_be_bytes());
        hash.update(self.asked.fetch_add(1, Ordering::Relaxed).to_be_bytes());
        hash.update(self.clock.now().as_micros().to_be_bytes());
        let digest: [u8; 32] = hash.finalize().into();
        let mut id = [0; 16];
        id.copy_from_slice(&digest[..16]);
        LeaseId(id)
    }

    /// Loses what an earlier process of the name had leased of a line's counter.
    async fn lose_earlier(&self, line: &Arc<Line>) -> Result<(), StoreError> {
        let mut after = None;
        loop {
            let page = self.store.leases(line.key().sequence(), after, PAGE).await?;
            after = page.last().map(|record| record.lease.id);
            let whole = page.len() == PAGE;
            for LeaseRecord { counter, lease } in page {
                let earlier = lease.holder == self.holder && !self.mine().contains(&lease.id);
                if earlier && counter == *line.key() {
                    let end = EndLease {
                        line: Arc::clone(line),
                        lease,
                        end: LeaseEnd::Lost,
                    };
                    self.apply(Act::EndLease(end)).await?;
                }
            }
            if !whole {
                return Ok(());
            }
        }
    }
}

/// The store's answer was not to the command.
#[derive(Debug, thiserror::Error)]
#[error("the store gave no answer")]
struct NoAnswer;

#[async_trait]
impl<S: Ledger> CounterStore for Leased<S> {
    fn capabilities(&self) -> Capabilities {
        self.lessee.store.capabilities().leased()
    }

    async fn apply(&self, batch: Vec<Command>) -> Vec<Result<Reply, StoreError>> {
        if self.stocks().is_empty() && !batch.iter().any(is_leased) {
            return self.lessee.store.apply(batch).await;
        }
        let mut replies = Vec::with_capacity(batch.len());
        for command in batch {
            replies.push(self.carry_out(command).await);
        }
        replies
    }

    async fn counter(&self, key: &CounterKey) -> Result<Option<CounterState>, StoreError> {
        self.lessee.store.counter(key).await
    }

    async fn close(&self) -> Result<(), StoreError> {
        let mut closed = self.barrier.write().await;
        *closed = true;
        let flushed = self.flush(|_| true).await;
        self.lessee.store.close().await?;
        flushed
    }
}

forward!(impl [S: Ledger] DefinitionStore for Leased<S>, self => self.lessee.store);

forward!(impl [S: Ledger] AuditLog for Leased<S>, self => self.lessee.store);

forward!(impl [S: Ledger + EventSource] EventSource for Leased<S>, self => self.lessee.store);
