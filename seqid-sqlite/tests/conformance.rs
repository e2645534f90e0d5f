//! The rules for every durable store.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::sync::Arc;

use seqid_core::clock::ManualClock;
use seqid_core::observer::Unobserved;
use seqid_sqlite::{SqliteConfig, SqliteStore};
use seqid_testkit::suite::{Backend, Desk};
use tempfile::TempDir;

fn open(folder: Arc<TempDir>, clock: Arc<ManualClock>) -> Backend {
    let config = SqliteConfig::new(folder.path().join("seqid.db"));
    let store = SqliteStore::open(config, clock.clone(), Arc::new(Unobserved));
    let store = Arc::new(store.expect("the file can be opened"));
    Backend::new(Arc::clone(&store), Arc::clone(&clock))
        .source(store)
        .guard(Arc::clone(&folder))
        // A process cannot kill itself and go on: a crash is a store that is dropped here. The tests of faults kill.
        .reopen(move |_| open(folder, clock))
}

fn sqlite(clock: Arc<ManualClock>) -> Backend {
    open(Arc::new(tempfile::tempdir().expect("a folder")), clock)
}

seqid_testkit::ledger_suite!(sqlite);
seqid_testkit::outbox_suite!(sqlite);
seqid_testkit::durable_suite!(sqlite);
// Each life has a file of its own, which is opened again and again.
seqid_testkit::model_suite!(48, sqlite);
seqid_testkit::numbering_suite!(|clock| Desk::issuer(sqlite(clock)));
