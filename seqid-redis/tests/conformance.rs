//! The rules for every store, with a Redis server beside the durable one.
#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use seqid_core::MemoryStore;
use seqid_core::clock::{ManualClock, Seed};
use seqid_core::names::Label;
use seqid_core::store::{EventSource, Ledger};
use seqid_redis::{RedisConfig, RedisStore};
use seqid_testkit::servers::RedisServer;
use seqid_testkit::suite::{Backend, Desk};

/// Over a durable store, with keys of its own on the shared server.
async fn over<L: Ledger + EventSource + 'static>(store: L, clock: &Arc<ManualClock>) -> Arc<RedisStore<L>> {
    static OPENED: AtomicU64 = AtomicU64::new(0);
    let config: RedisConfig = RedisServer::shared().url().parse().unwrap();
    let config = config
        .timeout(Duration::from_secs(60))
        .namespace(format!("case-{}", OPENED.fetch_add(1, Ordering::Relaxed)));
    let name = Label::new("test").unwrap();
    let store = RedisStore::open(store, config, name, clock.clone() as _, Seed::from_system());
    Arc::new(store.await.unwrap())
}

mod over_memory {
    use super::*;

    async fn memory(clock: Arc<ManualClock>) -> Backend {
        let store = Arc::new(MemoryStore::new(clock.clone(), Seed(1)));
        let store = over(store, &clock).await;
        Backend::new(Arc::clone(&store), clock).source(store)
    }

    seqid_testkit::ledger_suite!(memory);
    seqid_testkit::outbox_suite!(memory);
    seqid_testkit::model_suite!(16, memory);
    seqid_testkit::numbering_suite!(async |clock| Desk::issuer(memory(clock).await));
}

mod over_sqlite {
    use super::*;

    use std::pin::Pin;

    use seqid_core::observer::Unobserved;
    use seqid_sqlite::{OpenError, SqliteConfig, SqliteStore};
    use tempfile::TempDir;

    fn open(folder: Arc<TempDir>, clock: Arc<ManualClock>) -> Pin<Box<dyn Future<Output = Backend> + Send>> {
        Box::pin(async move {
            let config = SqliteConfig::new(folder.path().join("seqid.db"));
            // The tasks of the store before let go of the file when they are next looked at.
            let store = loop {
                match SqliteStore::open(config.clone(), clock.clone(), Arc::new(Unobserved)) {
                    Err(OpenError::Locked { .. }) => tokio::time::sleep(Duration::from_millis(1)).await,
                    opened => break opened.unwrap(),
                }
            };
            let store = over(store, &clock).await;
            Backend::new(Arc::clone(&store), Arc::clone(&clock))
                .source(store)
                .guard(Arc::clone(&folder))
                .reopen(move |_| open(folder, clock))
        })
    }

    async fn sqlite(clock: Arc<ManualClock>) -> Backend {
        open(Arc::new(tempfile::tempdir().unwrap()), clock).await
    }

    seqid_testkit::durable_suite!(sqlite);
}
