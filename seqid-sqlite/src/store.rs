use std::path::Path;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use async_trait::async_trait;
use seqid_core::chain::Authority;
use seqid_core::checkpoint::Heads;
use seqid_core::clock::Clock;
use seqid_core::command::{Command, Reply};
use seqid_core::compiled::CompiledDefinitions;
use seqid_core::counter::{CounterKey, CounterState, SequenceKey};
use seqid_core::event::Recorded;
use seqid_core::intake::Intake;
use seqid_core::lease::LeaseId;
use seqid_core::names::{Number, Tenant};
use seqid_core::observer::Observer;
use seqid_core::query::{EventPage, EventQuery};
use seqid_core::reservation::ReservationId;
use seqid_core::store::{
    AuditLog, Backlog, Capabilities, CounterRecord, CounterStore, DefinitionStore, EventSource, LeaseRecord,
    MarkRecord, ReservationRecord, SequenceRecord, StoreError,
};

use crate::audit;
use crate::batch;
use crate::config::SqliteConfig;
use crate::database;
use crate::error::OpenError;
use crate::heads::HeadsReader;
use crate::leases;
use crate::marks;
use crate::newest::Newest;
use crate::read::{self, Readers};
use crate::writer::{Engine, Shared, Writer};

/// Counters, definitions and audit in one SQLite file, served by this process alone.
///
/// It runs under any executor: it has threads of its own. Dropping it finishes what was begun; prefer
/// [`close`](CounterStore::close), which waits without holding up the executor.
#[derive(Debug)]
pub struct SqliteStore {
    config: SqliteConfig,
    authority: Authority,
    intake: Arc<Intake>,
    shared: Arc<Shared>,
    readers: Readers,
    newest: Arc<Newest>,
    heads: HeadsReader,
    definitions: Arc<CompiledDefinitions>,
    writer: Mutex<Option<JoinHandle<()>>>,
}

impl SqliteStore {
    /// Opens the file, making it and its folder when they are not there. Blocks for as long as the disk takes; after a
    /// crash the keys of the last events are read again, 0.7 s for a million, and the rows of counters that lack their
    /// last draws are written, which takes a second or two if there are a million counters.
    ///
    /// # Errors
    /// [`OpenError`] says what to do: another process holds the file, it is not the one that was written last, ...
    pub fn open(
        config: SqliteConfig,
        clock: Arc<dyn Clock>,
        observer: Arc<dyn Observer>,
    ) -> Result<Self, OpenError> {
        let lock = database::lock(&config)?;
        let newest = Arc::new(Newest::default());
        let engine = Engine::open(&config, &*clock, &newest, None)?;
        let acknowledged = engine
            .connection
            .query_row("SELECT acknowledged FROM progress", [], |row| {
                row.get::<_, i64>(0)
            })
            .map_err(|source| database::sqlite_error(&config, source))?;
        let folder = |source| OpenError::Folder {
            path: config.path.clone(),
            source,
        };
        let readers = Readers::start(&config.path).map_err(folder)?;
        let acknowledged = u64::try_from(acknowledged).unwrap_or_default();
        let shared = Arc::new(Shared::new(acknowledged, engine.tables.events.reader()));
        let authority = engine.tables.identity.authority;
        // The thread is woken by its handle, which is there only once it runs.
        let handle: Arc<std::sync::OnceLock<std::thread::Thread>> = Arc::default();
        let wake = Arc::clone(&handle);
        let intake = Arc::new(Intake::new(move || {
            if let Some(thread) = wake.get() {
                thread.unpark();
            }
        }));
        let parts = (Arc::clone(&intake), Arc::clone(&shared));
        let writer = Writer::new(config.clone(), clock, observer, parts, (engine, lock));
        let thread = std::thread::Builder::new()
            .name("seqid-sqlite-write".into())
            .spawn(move || writer.run())
            .map_err(folder)?;
        let _first = handle.set(thread.thread().clone());
        Ok(Self {
            config,
            authority,
            intake,
            shared,
            readers,
            newest,
            heads: HeadsReader::default(),
            definitions: Arc::default(),
            writer: Mutex::new(Some(thread)),
        })
    }

    /// Copies the database to a new file while it is in use: see [`backup`](crate::backup).
    ///
    /// # Errors
    /// When the file exists or cannot be written.
    pub async fn backup(&self, to: &Path) -> Result<(), StoreError> {
        let (config, to) = (self.config.clone(), to.to_owned());
        self.readers
            .read(move |_| Ok(crate::backup(&config, &to)))
            .await??;
        Ok(())
    }

    fn begin_closing(&self) {
        // In this order: the writer ends once it sees the second and what waits is done.
        self.intake.close();
        self.shared.close();
        self.intake.wake();
    }
}

impl Drop for SqliteStore {
    fn drop(&mut self) {
        self.begin_closing();
        let thread = self.writer.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread {
            // The writer catches panics of its own; there is nobody left to tell.
            let _ended = thread.join();
        }
    }
}

#[async_trait]
impl CounterStore for SqliteStore {
    fn capabilities(&self) -> Capabilities {
        let mut capabilities = Capabilities::new("sqlite").gapless().durable();
        capabilities.largest_batch = batch::LARGEST;
        capabilities
    }

    async fn apply(&self, batch: Vec<Command>) -> Vec<Result<Reply, StoreError>> {
        self.intake.submit(batch).await
    }

    async fn counter(&self, key: &CounterKey) -> Result<Option<CounterState>, StoreError> {
        let (key, newest) = (key.clone(), Arc::clone(&self.newest));
        self.readers
            .read(move |reader| {
                let view = newest.view(reader.file);
                let mut found = read::counter(reader, &key)?;
                if let Some((id, state)) = &mut found {
                    view.refresh(*id, state);
                }
                Ok(found.map(|(_, state)| state))
            })
            .await
    }

    async fn close(&self) -> Result<(), StoreError> {
        self.begin_closing();
        loop {
            let ended = self.shared.ended.notified();
            tokio::pin!(ended);
            ended.as_mut().enable();
            if self.shared.has_ended() {
                return Ok(());
            }
            ended.await;
        }
    }
}

#[async_trait]
impl DefinitionStore for SqliteStore {
    async fn sequence(&self, key: &SequenceKey) -> Result<Option<SequenceRecord>, StoreError> {
        let key = key.clone();
        self.readers
            .read(move |connection| read::sequence(connection, key))
            .await
    }

    async fn sequences(
        &self,
        tenant: &Tenant,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<SequenceRecord>, StoreError> {
        let (tenant, after) = (tenant.clone(), after.map(ToOwned::to_owned));
        self.readers
            .read(move |connection| read::sequences(connection, &tenant, after.as_deref(), limit))
            .await
    }
}

#[async_trait]
impl AuditLog for SqliteStore {
    async fn counters(
        &self,
        sequence: &SequenceKey,
        after: u64,
        limit: usize,
    ) -> Result<Vec<CounterRecord>, StoreError> {
        let (sequence, newest) = (sequence.clone(), Arc::clone(&self.newest));
        self.readers
            .read(move |reader| {
                let view = newest.view(reader.file);
                let mut records = read::counters(reader, &sequence, after, limit)?;
                for record in &mut records {
                    let id = record.position.cast_signed();
                    view.refresh(id, &mut record.state);
                }
                Ok(records)
            })
            .await
    }

    async fn reservation(&self, id: &ReservationId) -> Result<Option<ReservationRecord>, StoreError> {
        let id = *id;
        self.readers
            .read(move |reader| marks::reservation(reader, &id))
            .await
    }

    async fn marks(
        &self,
        counter: &CounterKey,
        after: Option<(u32, Number)>,
        limit: usize,
    ) -> Result<Vec<MarkRecord>, StoreError> {
        let key = counter.clone();
        self.readers
            .read(move |reader| match read::counter(reader, &key)? {
                Some((row, _)) => marks::page(reader, row, after, limit),
                None => Ok(Vec::new()),
            })
            .await
    }

    async fn leases(
        &self,
        sequence: &SequenceKey,
        after: Option<LeaseId>,
        limit: usize,
    ) -> Result<Vec<LeaseRecord>, StoreError> {
        let sequence = sequence.clone();
        self.readers
            .read(move |reader| leases::open(reader, &sequence, after, limit))
            .await
    }

    async fn events(&self, after: u64, limit: usize) -> Result<Vec<Recorded>, StoreError> {
        let (authority, definitions) = (self.authority, Arc::clone(&self.definitions));
        self.readers
            .read(move |connection| read::events(connection, authority, &definitions, after, limit))
            .await
    }

    async fn query(&self, query: &EventQuery) -> Result<EventPage, StoreError> {
        let (authority, definitions) = (self.authority, Arc::clone(&self.definitions));
        let (query, shared) = (query.clone(), Arc::clone(&self.shared));
        self.readers
            .read(move |connection| {
                let (page, last) = audit::page(connection, &shared.index(), &query)?;
                let events = read::recorded(connection, authority, &definitions, page.rows)?;
                Ok(EventPage {
                    events,
                    next: page.next,
                    last,
                })
            })
            .await
    }

    async fn heads(&self) -> Result<Heads, StoreError> {
        self.heads.read(&self.config.path, self.authority).await
    }
}

#[async_trait]
impl EventSource for SqliteStore {
    async fn take(&self, limit: usize) -> Result<Vec<Recorded>, StoreError> {
        loop {
            let committed = self.shared.committed.notified();
            tokio::pin!(committed);
            committed.as_mut().enable();
            let events = self
                .events(self.shared.acknowledged.load(Ordering::Acquire), limit)
                .await?;
            if !events.is_empty() {
                return Ok(events);
            }
            committed.await;
        }
    }

    async fn acknowledge(&self, position: u64) -> Result<(), StoreError> {
        let Some(written) = self.shared.acknowledge(position) else {
            return Err(StoreError::Draining);
        };
        self.intake.wake();
        written.await.unwrap_or(Err(StoreError::Draining))
    }

    async fn backlog(&self) -> Result<Backlog, StoreError> {
        let acknowledged = self.shared.acknowledged.load(Ordering::Acquire);
        self.readers
            .read(move |connection| read::backlog(connection, acknowledged))
            .await
    }
}
