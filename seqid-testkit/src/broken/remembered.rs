use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use seqid_core::MemoryStore;
use seqid_core::clock::{Clock, ManualClock, Seed};
use seqid_core::command::{Act, Command, Reply};
use seqid_core::counter::{CounterKey, CounterState};
use seqid_core::event::Recorded;
use seqid_core::forward;
use seqid_core::store::{Backlog, Capabilities, CounterStore, EventSource, StoreError};
use seqid_core::time::Timestamp;

use crate::suite::{Backend, End};

/// How well a [`Remembered`] store remembers.
#[derive(Debug, Clone, Copy)]
pub enum Memory {
    /// Everything: this one tells no lie.
    Perfect,
    /// All but what was written last before a crash.
    LosesTheLastWrite,
    /// All but which events were delivered.
    LosesAcknowledgements,
    /// All but what was done by such an act.
    Loses(fn(&Act) -> bool),
}

/// A store in memory that can be opened again, as a durable one can: it does all over what it did before.
#[derive(Debug)]
pub struct Remembered {
    store: MemoryStore,
    /// The time of each batch: what is done over must happen at the same time.
    own_clock: Arc<ManualClock>,
    clock: Arc<ManualClock>,
    journal: Arc<Journal>,
    /// Held while a batch is carried out.
    turn: tokio::sync::Mutex<()>,
}

/// What outlives a store.
#[derive(Debug, Default)]
struct Journal {
    batches: Mutex<Vec<(Timestamp, Vec<Command>)>>,
    acknowledged: Mutex<u64>,
}

impl Remembered {
    /// An empty store, ready for the suite.
    #[must_use]
    pub fn backend(memory: Memory, clock: Arc<ManualClock>) -> Backend {
        let store = Self::new(clock, Arc::default());
        store.with_reopening(memory)
    }

    fn with_reopening(self, memory: Memory) -> Backend {
        let (clock, journal) = (Arc::clone(&self.clock), Arc::clone(&self.journal));
        let store = Arc::new(self);
        Backend::new(Arc::clone(&store), Arc::clone(&clock))
            .source(store)
            .reopen(move |end| async move {
                journal.forget(memory, end);
                Self::reopened(clock, journal).await.with_reopening(memory)
            })
    }

    fn new(clock: Arc<ManualClock>, journal: Arc<Journal>) -> Self {
        let own_clock = Arc::new(ManualClock::default());
        let store = MemoryStore::new(Arc::clone(&own_clock) as Arc<dyn Clock>, Seed(7));
        Self {
            store,
            own_clock,
            clock,
            journal,
            turn: tokio::sync::Mutex::default(),
        }
    }

    async fn reopened(clock: Arc<ManualClock>, journal: Arc<Journal>) -> Self {
        let reopened = Self::new(clock, journal);
        let batches = locked(&reopened.journal.batches).clone();
        for (now, batch) in batches {
            reopened.own_clock.set(now);
            reopened.store.apply(batch).await;
        }
        let acknowledged = *locked(&reopened.journal.acknowledged);
        // A store in memory acknowledges whatever it is told.
        let _always = reopened.store.acknowledge(acknowledged).await;
        reopened
    }
}

impl Journal {
    fn forget(&self, memory: Memory, end: End) {
        match memory {
            Memory::LosesTheLastWrite if end == End::Crashed => drop(locked(&self.batches).pop()),
            Memory::LosesAcknowledgements => *locked(&self.acknowledged) = 0,
            Memory::Loses(lost) => locked(&self.batches)
                .iter_mut()
                .for_each(|(_, batch)| batch.retain(|command| !lost(&command.act))),
            Memory::Perfect | Memory::LosesTheLastWrite => {}
        }
    }
}

fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[async_trait]
impl CounterStore for Remembered {
    fn capabilities(&self) -> Capabilities {
        Capabilities::new("remembered").gapless().durable()
    }

    async fn apply(&self, batch: Vec<Command>) -> Vec<Result<Reply, StoreError>> {
        let _turn = self.turn.lock().await;
        let now = self.clock.now();
        self.own_clock.set(now);
        let timely: Vec<Command> = batch
            .iter()
            .filter(|command| !command.is_late())
            .cloned()
            .collect();
        let replies = self.store.apply(batch).await;
        // What comes after closing must not be done over.
        if !replies
            .iter()
            .all(|reply| matches!(reply, Err(StoreError::Draining)))
        {
            let timely = timely
                .into_iter()
                .map(|command| command.with_deadline(None))
                .collect();
            locked(&self.journal.batches).push((now, timely));
        }
        replies
    }

    async fn counter(&self, key: &CounterKey) -> Result<Option<CounterState>, StoreError> {
        self.store.counter(key).await
    }

    async fn close(&self) -> Result<(), StoreError> {
        self.store.close().await
    }
}

forward!(impl [] DefinitionStore for Remembered, self => self.store);

forward!(impl [] AuditLog for Remembered, self => self.store);

#[async_trait]
impl EventSource for Remembered {
    async fn take(&self, limit: usize) -> Result<Vec<Recorded>, StoreError> {
        self.store.take(limit).await
    }

    async fn acknowledge(&self, position: u64) -> Result<(), StoreError> {
        {
            let mut acknowledged = locked(&self.journal.acknowledged);
            *acknowledged = position.max(*acknowledged);
        }
        self.store.acknowledge(position).await
    }

    async fn backlog(&self) -> Result<Backlog, StoreError> {
        self.store.backlog().await
    }
}
