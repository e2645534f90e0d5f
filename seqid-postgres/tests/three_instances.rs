//! The rules for every store, where each call goes to another of three instances on one database.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use seqid_core::clock::ManualClock;
use seqid_core::command::{Command, Reply};
use seqid_core::counter::{CounterKey, CounterState};
use seqid_core::event::Recorded;
use seqid_core::forward;
use seqid_core::observer::Unobserved;
use seqid_core::store::{Backlog, Capabilities, CounterStore, EventSource, StoreError};
use seqid_postgres::{PostgresConfig, PostgresStore};
use seqid_testkit::servers::{Database, PostgresServer};
use seqid_testkit::suite::{Backend, Desk};

/// Three instances, asked in turn.
#[derive(Debug)]
struct InTurn {
    instances: [PostgresStore; 3],
    asked: AtomicUsize,
}

impl InTurn {
    fn next(&self) -> &PostgresStore {
        let asked = self.asked.fetch_add(1, Ordering::Relaxed);
        &self.instances[asked % self.instances.len()]
    }
}

#[async_trait]
impl CounterStore for InTurn {
    fn capabilities(&self) -> Capabilities {
        self.next().capabilities()
    }

    async fn apply(&self, batch: Vec<Command>) -> Vec<Result<Reply, StoreError>> {
        self.next().apply(batch).await
    }

    async fn counter(&self, key: &CounterKey) -> Result<Option<CounterState>, StoreError> {
        self.next().counter(key).await
    }

    async fn close(&self) -> Result<(), StoreError> {
        for instance in &self.instances {
            instance.close().await?;
        }
        Ok(())
    }
}

forward!(impl [] DefinitionStore for InTurn, self => *self.next());

forward!(impl [] AuditLog for InTurn, self => *self.next());

/// Only one instance drains the outbox at a time.
#[async_trait]
impl EventSource for InTurn {
    async fn take(&self, limit: usize) -> Result<Vec<Recorded>, StoreError> {
        self.instances[0].take(limit).await
    }

    async fn acknowledge(&self, position: u64) -> Result<(), StoreError> {
        self.instances[1].acknowledge(position).await
    }

    async fn backlog(&self) -> Result<Backlog, StoreError> {
        self.instances[2].backlog().await
    }
}

fn open(database: Arc<Database>, clock: Arc<ManualClock>) -> Pin<Box<dyn Future<Output = Backend> + Send>> {
    Box::pin(async move {
        let instance = || async {
            let config: PostgresConfig = database.url().parse().unwrap();
            let store = PostgresStore::open(config.clock(clock.clone()), Arc::new(Unobserved)).await;
            store.expect("the database can be opened")
        };
        let (first, second, third) = tokio::join!(instance(), instance(), instance());
        let store = Arc::new(InTurn {
            instances: [first, second, third],
            asked: AtomicUsize::new(0),
        });
        Backend::new(Arc::clone(&store), Arc::clone(&clock))
            .source(store)
            .guard(Arc::clone(&database))
            .reopen(move |_| open(database, clock))
    })
}

async fn three(clock: Arc<ManualClock>) -> Backend {
    let database = PostgresServer::shared().database().expect("a database");
    open(Arc::new(database), clock).await
}

seqid_testkit::ledger_suite!(three);
seqid_testkit::outbox_suite!(three);
seqid_testkit::durable_suite!(three);
seqid_testkit::numbering_suite!(|clock| async { Desk::issuer(three(clock).await) });
