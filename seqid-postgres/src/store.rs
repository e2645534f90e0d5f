use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use seqid_core::checkpoint::Heads;
use seqid_core::clock::Clock;
use seqid_core::command::{Command, Reply};
use seqid_core::counter::{CounterKey, CounterState, SequenceKey};
use seqid_core::event::Recorded;
use seqid_core::lanes::Lanes;
use seqid_core::lease::LeaseId;
use seqid_core::names::{Number, Tenant};
use seqid_core::observer::Observer;
use seqid_core::query::{EventPage, EventQuery};
use seqid_core::reservation::ReservationId;
use seqid_core::store::{
    AuditLog, Backlog, Capabilities, CounterRecord, CounterStore, DefinitionStore, EventSource, LeaseRecord,
    MarkRecord, ReservationRecord, SequenceRecord, StoreError,
};

use crate::config::PostgresConfig;
use crate::connections::{Pooled, connect, open_error, within};
use crate::engine::{Engine, Server};
use crate::error::{Fault, OpenError};
use crate::outbox::Outbox;
use crate::read::{self, Rendering};
use crate::{audit, housekeeping, leases, schema};

/// Counters, definitions and audit in a PostgreSQL database, shared with other instances.
///
/// It runs on the tokio runtime on which it was opened. Drop it or [`close`](CounterStore::close) it, which waits for what
/// was begun.
#[derive(Debug)]
pub struct PostgresStore {
    pub(crate) engine: Arc<Engine>,
    lanes: Lanes,
    rendering: Arc<Rendering>,
    outbox: Outbox,
}

impl PostgresStore {
    /// Connects, makes the schema or brings it up to date, and starts serving. Several instances may do so at once.
    ///
    /// # Errors
    /// [`OpenError`] says what to do: the server does not answer, the user may not do what is needed, the database is a
    /// copy, ...
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub async fn open(config: PostgresConfig, observer: Arc<dyn Observer>) -> Result<Self, OpenError> {
        let mut connection = connect(&config).await?;
        let prepared = within(LONGEST_PREPARATION, schema::prepare(&config, &mut connection)).await;
        let (identity, anchor) = prepared.map_err(|_| unanswered(&config))??;
        let rendering = Rendering::new(&mut connection, identity.authority).await;
        let rendering = rendering.map_err(|fault| match fault {
            Fault::Postgres(source) => open_error(&config, source),
            _ => OpenError::Foreign {
                place: config.place(),
            },
        })?;
        let engine = Arc::new(Engine::new(config, identity, anchor, observer));
        housekeeping::start(&engine);
        let server = Arc::new(Server(Arc::clone(&engine)));
        Ok(Self {
            lanes: Lanes::start(&server, &capabilities(&engine.config)),
            outbox: Outbox::default(),
            rendering: Arc::new(rendering),
            engine,
        })
    }

    /// The database's clock, as this process reckons it: an issuer over this store should read it, so that all instances
    /// agree on what day it is.
    #[must_use]
    pub fn clock(&self) -> Arc<dyn Clock> {
        Arc::new(EngineClock(Arc::clone(&self.engine)))
    }

    /// Whether the server answered when it was asked last. While it does not, it is asked again all the time.
    #[must_use]
    pub fn is_available(&self) -> bool {
        !self.engine.is_away()
    }

    async fn reader(&self) -> Result<Pooled, StoreError> {
        Ok(self.engine.readers.get_checked().await?)
    }
}

/// Reads the clock of an engine.
#[derive(Debug)]
struct EngineClock(Arc<Engine>);

impl Clock for EngineClock {
    fn now(&self) -> seqid_core::time::Timestamp {
        self.0.clock.now()
    }
}

/// How long the schema may take to be brought up to date, by this instance and those before it.
const LONGEST_PREPARATION: Duration = Duration::from_secs(120);

fn unanswered(config: &PostgresConfig) -> OpenError {
    OpenError::Unreachable {
        place: config.place(),
        source: sqlx::Error::Io(std::io::ErrorKind::TimedOut.into()),
    }
}

fn capabilities(config: &PostgresConfig) -> Capabilities {
    let mut capabilities = Capabilities::new("postgres").gapless().durable();
    capabilities.lanes = config.lanes;
    capabilities
}

/// Reads on a connection of its own, which is kept for the next one if that went well.
macro_rules! read {
    ($store:expr, |$connection:ident| $query:expr) => {{
        let mut pooled = $store.reader().await?;
        let $connection = &mut pooled.connection;
        let result = within($store.engine.config.timeout, $query).await;
        let result = result.and_then(|result| result)?;
        pooled.give_back();
        Ok(result)
    }};
}

#[async_trait]
impl CounterStore for PostgresStore {
    fn capabilities(&self) -> Capabilities {
        capabilities(&self.engine.config)
    }

    async fn apply(&self, batch: Vec<Command>) -> Vec<Result<Reply, StoreError>> {
        self.lanes.apply(batch).await
    }

    async fn counter(&self, key: &CounterKey) -> Result<Option<CounterState>, StoreError> {
        let found: Result<_, StoreError> = read!(self, |connection| read::counter(connection, key));
        Ok(found?.map(|(_, state)| state))
    }

    async fn close(&self) -> Result<(), StoreError> {
        self.lanes.close().await;
        self.outbox.close().await;
        self.engine.close().await;
        Ok(())
    }
}

#[async_trait]
impl DefinitionStore for PostgresStore {
    async fn sequence(&self, key: &SequenceKey) -> Result<Option<SequenceRecord>, StoreError> {
        read!(self, |connection| read::sequence(connection, key))
    }

    async fn sequences(
        &self,
        tenant: &Tenant,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<SequenceRecord>, StoreError> {
        read!(self, |connection| read::sequences(
            connection, tenant, after, limit
        ))
    }
}

#[async_trait]
impl AuditLog for PostgresStore {
    async fn counters(
        &self,
        sequence: &SequenceKey,
        after: u64,
        limit: usize,
    ) -> Result<Vec<CounterRecord>, StoreError> {
        read!(self, |connection| read::counters(
            connection, sequence, after, limit
        ))
    }

    async fn reservation(&self, id: &ReservationId) -> Result<Option<ReservationRecord>, StoreError> {
        read!(self, |connection| read::reservation(connection, id))
    }

    async fn marks(
        &self,
        counter: &CounterKey,
        after: Option<(u32, Number)>,
        limit: usize,
    ) -> Result<Vec<MarkRecord>, StoreError> {
        read!(self, |connection| async {
            match read::counter(connection, counter).await? {
                Some((row, _)) => read::marks(connection, row, after, limit).await,
                None => Ok(Vec::new()),
            }
        })
    }

    async fn leases(
        &self,
        sequence: &SequenceKey,
        after: Option<LeaseId>,
        limit: usize,
    ) -> Result<Vec<LeaseRecord>, StoreError> {
        read!(self, |connection| leases::open(
            connection, sequence, after, limit
        ))
    }

    async fn events(&self, after: u64, limit: usize) -> Result<Vec<Recorded>, StoreError> {
        read!(self, |connection| read::events(
            connection,
            &self.rendering,
            after,
            limit
        ))
    }

    async fn query(&self, query: &EventQuery) -> Result<EventPage, StoreError> {
        read!(self, |connection| async {
            let page = audit::page(connection, query).await?;
            let events = self.rendering.recorded(connection, &page.rows).await?;
            Ok(EventPage {
                events,
                next: page.next,
                last: page.last,
            })
        })
    }

    async fn heads(&self) -> Result<Heads, StoreError> {
        // As long as it takes: there may be a million chains.
        let mut pooled = self.reader().await?;
        let heads = read::heads(&mut pooled.connection, &self.rendering).await?;
        pooled.give_back();
        Ok(heads)
    }
}

#[async_trait]
impl EventSource for PostgresStore {
    async fn take(&self, limit: usize) -> Result<Vec<Recorded>, StoreError> {
        /// Other instances tell nobody of their commits.
        const LOOK_EVERY: Duration = Duration::from_millis(100);
        loop {
            let committed = self.engine.committed.notified();
            tokio::pin!(committed);
            committed.as_mut().enable();
            let taken = self.outbox.take(&self.engine, &self.rendering, limit).await?;
            if !taken.is_empty() {
                return Ok(taken);
            }
            let _either = tokio::time::timeout(LOOK_EVERY, committed).await;
        }
    }

    async fn acknowledge(&self, position: u64) -> Result<(), StoreError> {
        Ok(self.outbox.acknowledge(&self.engine, position).await?)
    }

    async fn backlog(&self) -> Result<Backlog, StoreError> {
        read!(self, |connection| Outbox::backlog(connection))
    }
}
