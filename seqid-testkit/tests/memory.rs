//! The memory store.

use std::sync::Arc;

use seqid_core::MemoryStore;
use seqid_core::clock::{ManualClock, Seed};
use seqid_testkit::suite::{Backend, Desk};

fn memory(clock: Arc<ManualClock>) -> Backend {
    let store = Arc::new(MemoryStore::new(clock.clone(), Seed(1)));
    Backend::new(Arc::clone(&store), clock).source(store)
}

seqid_testkit::ledger_suite!(memory);
seqid_testkit::outbox_suite!(memory);
seqid_testkit::numbering_suite!(|clock| Desk::issuer(memory(clock)));
