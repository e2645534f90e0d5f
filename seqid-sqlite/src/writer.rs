//! The one thread that writes. It sleeps when nothing waits, and no timer wakes a draw: a lone call is committed at
//! once, and calls that come during a commit go out together with the next.

use std::error::Error;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rusqlite::{Connection, ErrorCode};
use seqid_core::clock::Clock;
use seqid_core::command::Reply;
use seqid_core::intake::{Intake, Sealed};
use seqid_core::ledger::Refusal;
use seqid_core::observer::Observer;
use seqid_core::store::StoreError;
use tokio::sync::{Notify, oneshot};

use crate::backup;
use crate::batch::{Batch, LARGEST, Tables};
use crate::catch_up::catch_up;
use crate::config::{SqliteConfig, beside};
use crate::database::{self, FileId, Identity, Lock};
use crate::error::{Fault, OpenError, Rescued, Restored};
use crate::index::IndexReader;
use crate::newest::Newest;
use crate::pace::Pace;
use crate::rows::signed;
use crate::sidecar::sync_folder_of;

/// The sidecar is written so often while numbers are drawn, and once more when they stop.
const SIDECAR_EVERY: Duration = Duration::from_millis(250);

/// A file is quiet when so long nothing was committed.
const QUIET: Duration = Duration::from_millis(250);

/// How many rows of counters a transaction writes in a quiet file. A draw waits for no more than these.
const ROWS: usize = 1_000;

/// How long the writer stays awake when nothing waits any more, before it sleeps.
const AWAKE: Duration = Duration::from_micros(50);

/// What the writer shares with the store's callers.
#[derive(Debug)]
pub(crate) struct Shared {
    /// Up to where a relay has delivered.
    pub(crate) acknowledged: AtomicU64,
    /// Told after each commit.
    pub(crate) committed: Notify,
    /// Acknowledgements that wait to be written; `None` once nobody will write them.
    acknowledgements: Mutex<Option<Vec<Acknowledgement>>>,
    /// Another one after the file was opened anew.
    index: Mutex<IndexReader>,
    closed: AtomicBool,
    /// Told when the writer has ended.
    pub(crate) ended: Notify,
    has_ended: AtomicBool,
}

#[derive(Debug)]
struct Acknowledgement {
    position: u64,
    done: oneshot::Sender<Result<(), StoreError>>,
}

impl Shared {
    pub(crate) fn new(acknowledged: u64, index: IndexReader) -> Self {
        Self {
            index: Mutex::new(index),
            acknowledged: AtomicU64::new(acknowledged),
            committed: Notify::new(),
            acknowledgements: Mutex::new(Some(Vec::new())),
            closed: AtomicBool::new(false),
            ended: Notify::new(),
            has_ended: AtomicBool::new(false),
        }
    }

    /// Asks for an acknowledgement to be written with the next commit, unless the writer ends. It must be woken.
    pub(crate) fn acknowledge(&self, position: u64) -> Option<oneshot::Receiver<Result<(), StoreError>>> {
        let (done, written) = oneshot::channel();
        let acknowledgement = Acknowledgement { position, done };
        self.acknowledgements().as_mut()?.push(acknowledgement);
        Some(written)
    }

    fn take_acknowledgements(&self) -> Vec<Acknowledgement> {
        self.acknowledgements()
            .as_mut()
            .map(std::mem::take)
            .unwrap_or_default()
    }

    fn refuse_acknowledgements(&self) {
        *self.acknowledgements() = None;
    }

    fn acknowledgements(&self) -> MutexGuard<'_, Option<Vec<Acknowledgement>>> {
        self.acknowledgements
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// The index of the events that are committed.
    pub(crate) fn index(&self) -> IndexReader {
        self.index.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set_index(&self, index: IndexReader) {
        *self.index.lock().unwrap_or_else(PoisonError::into_inner) = index;
    }

    pub(crate) fn close(&self) {
        self.closed.store(true, Ordering::Release);
    }

    pub(crate) fn has_ended(&self) -> bool {
        self.has_ended.load(Ordering::Acquire)
    }
}

/// The file, open and known to be the right one.
#[derive(Debug)]
pub(crate) struct Engine {
    pub(crate) connection: Connection,
    pub(crate) tables: Tables,
    file: Option<FileId>,
}

impl Engine {
    /// Opens the file and refuses one that is not the one written last. `known` is what this process committed last.
    /// Then all rows are current.
    pub(crate) fn open(
        config: &SqliteConfig,
        clock: &dyn Clock,
        newest: &Arc<Newest>,
        known: Option<&Identity>,
    ) -> Result<Self, OpenError> {
        if let Some(known) = known
            && !config.path.exists()
        {
            let how = Restored::Missing {
                events: known.last_position,
            };
            return Err(OpenError::Restored {
                path: config.path.clone(),
                how,
            });
        }
        let connection = database::open(config, clock.now())?;
        let identity = database::identity(config, &connection)?;
        database::require_newest(config, &connection, &identity)?;
        if let Some(known) = known {
            database::require_follows(config, &connection, &identity, known)?;
        }
        database::settle(config, &connection)?;
        let sidecar = identity.sidecar();
        sidecar.write(config).map_err(|source| OpenError::Folder {
            path: config.sidecar_path(),
            source,
        })?;
        let sqlite = |source| database::sqlite_error(config, source);
        let transaction = connection.unchecked_transaction().map_err(sqlite)?;
        catch_up(&transaction, &identity).map_err(|fault| database::fault_error(config, fault))?;
        transaction.commit().map_err(sqlite)?;
        let tables = Tables::open(config, &connection, identity, Arc::clone(newest)).map_err(sqlite)?;
        Ok(Self {
            connection,
            tables,
            file: database::file_at(&config.path),
        })
    }
}

/// The writer.
#[derive(Debug)]
pub(crate) struct Writer {
    pub(crate) config: SqliteConfig,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) observer: Arc<dyn Observer>,
    pub(crate) intake: Arc<Intake>,
    pub(crate) shared: Arc<Shared>,
    /// `None` after a fault: the file is opened anew before it is written to again.
    engine: Option<Engine>,
    /// What was committed last.
    known: Identity,
    newest: Arc<Newest>,
    pace: Pace,
    served: Instant,
    sidecar_written: Instant,
    sidecar_position: u64,
    _lock: Lock,
}

type Replies = Vec<Result<Reply, StoreError>>;

/// Why a batch has no replies.
enum Failure {
    /// Nothing was committed.
    Undone(Fault),
    /// The commit was begun and failed.
    Unknown(rusqlite::Error),
    /// The file could not be opened anew.
    Closed(OpenError),
}

impl From<Failure> for StoreError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Undone(fault) => fault.into(),
            Failure::Unknown(error) => Self::Unknown(Arc::new(error)),
            Failure::Closed(error) => error.into(),
        }
    }
}

impl Writer {
    pub(crate) fn new(
        config: SqliteConfig,
        clock: Arc<dyn Clock>,
        observer: Arc<dyn Observer>,
        (intake, shared): (Arc<Intake>, Arc<Shared>),
        (engine, lock): (Engine, Lock),
    ) -> Self {
        let known = engine.tables.identity.clone();
        let newest = Arc::clone(&engine.tables.newest);
        Self {
            config,
            clock,
            observer,
            intake,
            shared,
            sidecar_position: known.last_position,
            known,
            newest,
            pace: Pace::default(),
            engine: Some(engine),
            served: Instant::now(),
            sidecar_written: Instant::now(),
            _lock: lock,
        }
    }

    /// Serves until the store is closed and nothing waits.
    pub(crate) fn run(mut self) {
        let mut sealed = Vec::with_capacity(LARGEST);
        loop {
            // Before what waits is taken: nothing comes after it.
            let closed = self.shared.closed.load(Ordering::Acquire);
            self.intake.take(LARGEST, &mut sealed);
            let acknowledgements = self.shared.take_acknowledgements();
            if !sealed.is_empty() || !acknowledgements.is_empty() {
                // A bug must not end the thread: its batch is answered by the seals that are dropped.
                let served = catch_unwind(AssertUnwindSafe(|| self.serve(&mut sealed, acknowledgements)));
                if served.is_err() {
                    self.engine = None;
                    sealed.clear();
                }
                self.served = Instant::now();
                self.write_sidecar_if_due();
            } else if closed {
                break;
            } else {
                self.rest();
            }
        }
        self.finish();
    }

    fn rest(&mut self) {
        // A caller that draws one number after another comes back within this time: waking a thread takes longer.
        let began = Instant::now();
        while began.elapsed() < AWAKE {
            if !self.intake.is_empty() {
                return;
            }
            std::thread::yield_now();
        }
        if self.sidecar_position != self.known.last_position {
            std::thread::park_timeout(SIDECAR_EVERY.saturating_sub(self.sidecar_written.elapsed()));
            self.write_sidecar_if_due();
        } else if self.rows_trail() {
            std::thread::park_timeout(QUIET.saturating_sub(self.served.elapsed()));
            if self.served.elapsed() >= QUIET && self.intake.is_empty() {
                self.write_rows(ROWS);
            }
        } else {
            std::thread::park();
        }
    }

    /// Whether rows of counters are behind in a file that can be written to.
    fn rows_trail(&self) -> bool {
        self.engine.as_ref().is_some_and(|engine| {
            engine.tables.sweep.written_to() < self.known.last_position
                && engine.file == database::file_at(&self.config.path)
        })
    }

    /// Writes so many of the rows that trail, in a transaction of their own.
    fn write_rows(&mut self, rows: usize) {
        let write = || self.commit(&[], |batch| batch.write_rows(rows).map(|()| Vec::new()));
        match catch_unwind(AssertUnwindSafe(write)) {
            Ok(Ok(_)) => {}
            Ok(Err(failure)) => {
                let error = StoreError::from(failure);
                tracing::warn!(
                    error = &error as &dyn Error,
                    "rows of counters could not be written"
                );
            }
            Err(_) => self.engine = None,
        }
    }

    fn serve(&mut self, sealed: &mut Vec<Sealed>, acknowledgements: Vec<Acknowledgement>) {
        let began = Instant::now();
        match self.transact(sealed, &acknowledgements) {
            Ok(replies) => {
                self.observer.committed(sealed.len(), began.elapsed());
                for (sealed, reply) in sealed.drain(..).zip(replies) {
                    sealed.answer(reply);
                }
                for acknowledgement in acknowledgements {
                    self.shared
                        .acknowledged
                        .fetch_max(acknowledgement.position, Ordering::AcqRel);
                    let _gone = acknowledgement.done.send(Ok(()));
                }
                self.shared.committed.notify_waiters();
            }
            Err(error) => {
                tracing::error!(error = &error as &dyn Error, "a batch failed");
                for sealed in sealed.drain(..) {
                    sealed.answer(Err(error.clone()));
                }
                for acknowledgement in acknowledgements {
                    let _gone = acknowledgement.done.send(Err(error.clone()));
                }
            }
        }
    }

    /// Carries out a batch in one transaction; one by one, when a damaged row would take its neighbours along.
    fn transact(
        &mut self,
        sealed: &mut Vec<Sealed>,
        acknowledgements: &[Acknowledgement],
    ) -> Result<Replies, StoreError> {
        let intake = Arc::clone(&self.intake);
        let mut pace = self.pace;
        let together = self.commit(acknowledgements, |batch| batch.fill(&intake, sealed, &mut pace));
        self.pace = pace;
        match together {
            Ok(replies) => Ok(replies
                .into_iter()
                .map(|reply| reply.map_err(StoreError::from))
                .collect()),
            Err(Failure::Undone(fault)) if fault.is_of_a_row() && sealed.len() > 1 => {
                tracing::error!(error = &fault as &dyn Error, "a batch is carried out one by one");
                if !acknowledgements.is_empty() {
                    self.commit(acknowledgements, |_| Ok(Vec::new()))?;
                }
                Ok(sealed.iter().map(|sealed| self.carry_out(sealed)).collect())
            }
            Err(failure) => Err(failure.into()),
        }
    }

    fn carry_out(&mut self, sealed: &Sealed) -> Result<Reply, StoreError> {
        let mut replies = self.commit(&[], |batch| batch.apply(&[&sealed.command]))?;
        match replies.pop() {
            Some(reply) => Ok(reply?),
            None => Err(StoreError::Draining),
        }
    }

    /// One transaction from begin to commit. After any fault the file is opened anew.
    fn commit(
        &mut self,
        acknowledgements: &[Acknowledgement],
        fill: impl FnOnce(&mut Batch<'_>) -> Result<Vec<Result<Reply, Refusal>>, Fault>,
    ) -> Result<Vec<Result<Reply, Refusal>>, Failure> {
        let mut engine = match self.engine.take() {
            Some(engine) => engine,
            None => self.reopen().map_err(Failure::Closed)?,
        };
        let replies = self.attempt(&mut engine, acknowledgements, fill)?;
        self.known.clone_from(&engine.tables.identity);
        engine.tables.events.show(self.known.last_position);
        self.engine = Some(engine);
        Ok(replies)
    }

    fn reopen(&self) -> Result<Engine, OpenError> {
        let engine = Engine::open(&self.config, &*self.clock, &self.newest, Some(&self.known))?;
        self.shared.set_index(engine.tables.events.reader());
        Ok(engine)
    }

    fn attempt(
        &self,
        engine: &mut Engine,
        acknowledgements: &[Acknowledgement],
        fill: impl FnOnce(&mut Batch<'_>) -> Result<Vec<Result<Reply, Refusal>>, Fault>,
    ) -> Result<Vec<Result<Reply, Refusal>>, Failure> {
        let connection = &engine.connection;
        let written = (|| {
            let mut batch = Batch::begin(connection, &mut engine.tables, self.clock.now())?;
            let replies = fill(&mut batch)?;
            let committed = batch.finish()?;
            if let Some(position) = acknowledgements
                .iter()
                .map(|acknowledgement| acknowledgement.position)
                .max()
            {
                connection
                    .prepare_cached("UPDATE progress SET acknowledged = max(acknowledged, ?1)")?
                    .execute([signed(position)])?;
            }
            self.require_same_file(engine.file, connection)?;
            Ok((replies, committed))
        })();
        let (replies, committed) = written.map_err(|fault| {
            // A failed roll-back leaves a connection that is closed next, which rolls back.
            let _closed_next = connection.execute_batch("ROLLBACK");
            Failure::Undone(fault)
        })?;
        connection
            .prepare_cached("COMMIT")
            .and_then(|mut commit| commit.execute([]))
            .map_err(|error| match error.sqlite_error_code() {
                // What marks a commit in the log is written last: without room for it there is none.
                Some(ErrorCode::DiskFull) => Failure::Undone(error.into()),
                _ => Failure::Unknown(error),
            })?;
        self.newest.commit(committed);
        Ok(replies)
    }

    /// An unlinked file would go on taking commits that nobody can ever read again.
    fn require_same_file(&self, file: Option<FileId>, connection: &Connection) -> Result<(), Fault> {
        if database::file_at(&self.config.path) == file {
            return Ok(());
        }
        // The batch in flight is not answered, and must not be in what is saved.
        let _nothing_begun = connection.execute_batch("ROLLBACK");
        Err(Fault::Removed {
            rescued: self.rescue(connection),
        })
    }

    /// Saves what the removed file held, even if its folder is gone.
    fn rescue(&self, connection: &Connection) -> Rescued {
        let path = beside(
            &self.config.path,
            &format!("-rescued-{}", self.known.last_position),
        );
        if path.exists() {
            return Rescued(Some(path));
        }
        match self.save(connection, &path) {
            Ok(()) => Rescued(Some(path)),
            Err(error) => {
                tracing::error!(error = &*error, "the removed database could not be saved");
                Rescued(None)
            }
        }
    }

    fn save(&self, connection: &Connection, path: &Path) -> Result<(), Box<dyn Error>> {
        let half = beside(path, "-half");
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        // Without it, a restart would begin at the first number.
        if !self.config.sidecar_path().exists() {
            self.known.sidecar().write(&self.config)?;
        }
        if half.exists() {
            fs::remove_file(&half)?;
        }
        backup::copy(connection, &half)?;
        fs::rename(&half, path)?;
        sync_folder_of(path)?;
        Ok(())
    }

    fn write_sidecar_if_due(&mut self) {
        if self.sidecar_written.elapsed() >= SIDECAR_EVERY {
            self.write_sidecar();
        }
    }

    fn write_sidecar(&mut self) {
        if self.sidecar_position == self.known.last_position {
            return;
        }
        self.sidecar_written = Instant::now();
        match self.known.sidecar().write(&self.config) {
            Ok(()) => self.sidecar_position = self.known.last_position,
            Err(error) => tracing::warn!(%error, "the sidecar could not be written"),
        }
    }

    fn finish(mut self) {
        self.intake.refuse_all(&StoreError::Draining);
        self.shared.refuse_acknowledgements();
        while self.rows_trail() {
            self.write_rows(usize::MAX);
        }
        self.write_sidecar();
        if let Some(engine) = self.engine.take() {
            self.leave(&engine);
        }
        let shared = Arc::clone(&self.shared);
        drop(self);
        shared.has_ended.store(true, Ordering::Release);
        shared.ended.notify_waiters();
    }

    fn leave(&self, engine: &Engine) {
        if let Err(error) = self.require_same_file(engine.file, &engine.connection) {
            tracing::error!(error = &error as &dyn Error, "the store closes without its file");
        } else if let Err(error) = database::settle(&self.config, &engine.connection) {
            tracing::warn!(
                error = &error as &dyn Error,
                "the log could not be moved into the file"
            );
        }
    }
}
