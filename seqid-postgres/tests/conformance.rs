//! The rules for every durable store.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::pin::Pin;
use std::sync::Arc;

use seqid_core::clock::ManualClock;
use seqid_core::observer::Unobserved;
use seqid_postgres::{PostgresConfig, PostgresStore};
use seqid_testkit::servers::{Database, PostgresServer};
use seqid_testkit::suite::{Backend, Desk};

fn open(database: Arc<Database>, clock: Arc<ManualClock>) -> Pin<Box<dyn Future<Output = Backend> + Send>> {
    Box::pin(async move {
        let config: PostgresConfig = database.url().parse().unwrap();
        let store = PostgresStore::open(config.clock(clock.clone()), Arc::new(Unobserved)).await;
        let store = Arc::new(store.expect("the database can be opened"));
        Backend::new(Arc::clone(&store), Arc::clone(&clock))
            .source(store)
            .guard(Arc::clone(&database))
            // A process cannot kill itself and go on: a crash is a store that is dropped here. The tests of faults kill.
            .reopen(move |_| open(database, clock))
    })
}

async fn postgres(clock: Arc<ManualClock>) -> Backend {
    let database = PostgresServer::shared().database().expect("a database");
    open(Arc::new(database), clock).await
}

seqid_testkit::ledger_suite!(postgres);
seqid_testkit::outbox_suite!(postgres);
seqid_testkit::durable_suite!(postgres);
// Each life has a database of its own, which is opened again and again.
seqid_testkit::model_suite!(8, postgres);
seqid_testkit::numbering_suite!(|clock| async { Desk::issuer(postgres(clock).await) });
