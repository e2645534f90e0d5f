//! What stands around a store keeps its promises.

use std::sync::Arc;

use seqid_core::clock::{ManualClock, Seed};
use seqid_core::names::Label;
use seqid_core::observer::{Observer, Unobserved};
use seqid_core::store::{Capabilities, CounterStore};
use seqid_core::{Coalesced, Leased, Ledger, MemoryStore};
use seqid_testkit::broken::{Broken, Lie};
use seqid_testkit::suite::{Backend, Desk};

fn memory(clock: &Arc<ManualClock>) -> Arc<MemoryStore> {
    Arc::new(MemoryStore::new(clock.clone(), Seed(1)))
}

fn unobserved() -> Arc<dyn Observer> {
    Arc::new(Unobserved)
}

mod coalesced {
    use super::*;

    fn coalesced(clock: Arc<ManualClock>) -> Backend {
        let store = memory(&clock);
        Backend::new(Coalesced::new(Arc::clone(&store), &unobserved()), clock).source(store)
    }

    seqid_testkit::ledger_suite!(coalesced);
    seqid_testkit::outbox_suite!(coalesced);
    // An async factory does as well.
    seqid_testkit::numbering_suite!(async |clock| Desk::issuer(coalesced(clock)));
}

mod coalesced_in_lanes {
    use super::*;

    /// Batches of two counters may be in flight at a time: true of a store in memory, which does not say so.
    #[derive(Debug)]
    struct FourLanes;

    impl Lie for FourLanes {
        fn capabilities(&self, truth: &MemoryStore) -> Capabilities {
            let mut capabilities = truth.capabilities();
            capabilities.lanes = 4;
            capabilities
        }
    }

    fn in_lanes(clock: Arc<ManualClock>) -> Backend {
        let store = Broken::new(FourLanes, Arc::clone(&clock));
        Backend::new(Coalesced::new(store, &unobserved()), clock)
    }

    seqid_testkit::ledger_suite!(in_lanes);
    seqid_testkit::numbering_suite!(|clock| Desk::issuer(in_lanes(clock)));
}

mod leased {
    use super::*;

    fn leased(clock: Arc<ManualClock>) -> Backend {
        let store = memory(&clock);
        let name = Label::new("test").expect("a label");
        let leased = Leased::new(Arc::clone(&store), name, clock.clone(), Seed(3));
        let leased = Arc::new(leased);
        Backend::new(Arc::clone(&leased), clock).source(leased)
    }

    seqid_testkit::ledger_suite!(leased);
    seqid_testkit::outbox_suite!(leased);
    seqid_testkit::numbering_suite!(|clock| Desk::issuer(leased(clock)));
}

mod behind_an_arc {
    use super::*;

    fn shared(clock: Arc<ManualClock>) -> Backend {
        let store: Arc<dyn Ledger> = memory(&clock);
        Backend::new(store, clock)
    }

    seqid_testkit::ledger_suite!(shared);
}

mod in_a_box {
    use super::*;

    fn boxed(clock: Arc<ManualClock>) -> Backend {
        let store: Box<dyn Ledger> = Box::new(memory(&clock));
        Backend::new(store, clock)
    }

    seqid_testkit::ledger_suite!(boxed);
}
