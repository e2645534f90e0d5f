//! Reservations against their model: over the store in memory, one that can be reopened, and one behind a queue.

use std::sync::Arc;

use seqid_core::clock::{ManualClock, Seed};
use seqid_core::observer::{Observer, Unobserved};
use seqid_core::{Coalesced, MemoryStore};
use seqid_testkit::suite::Backend;

const LIVES: u32 = 256;

fn store(clock: &Arc<ManualClock>) -> MemoryStore {
    MemoryStore::new(clock.clone(), Seed(1))
}

mod memory {
    use super::*;

    seqid_testkit::model_suite!(LIVES, |clock| Backend::new(store(&clock), clock));
}

mod remembered {
    use super::*;
    use seqid_testkit::broken::{Memory, Remembered};

    seqid_testkit::model_suite!(LIVES, |clock| Remembered::backend(Memory::Perfect, clock));
}

mod coalesced {
    use super::*;

    seqid_testkit::model_suite!(LIVES, |clock| {
        let unobserved: Arc<dyn Observer> = Arc::new(Unobserved);
        Backend::new(Coalesced::new(store(&clock), &unobserved), clock)
    });
}
