//! Searches: breadth first, on one thread, so that what is found is short and the same each time.

use std::collections::BTreeSet;

use stateright::{Checker, HasDiscoveries, Model};

use crate::actions::Action;
use crate::protocol::Protocol;

/// Looks at every state within the bounds. All properties must hold, and what `met` names must have been met.
#[track_caller]
pub(crate) fn holds(protocol: Protocol, met: &[&str]) {
    let bounds = protocol.bounds;
    let search = protocol
        .checker()
        .finish_when(HasDiscoveries::AnyFailures)
        .spawn_bfs()
        .join();
    println!(
        "{bounds:?}: {} states, {} steps between them, at most {} from the first",
        search.unique_state_count(),
        search.state_count(),
        search.max_depth() - 1,
    );
    let found = search.discoveries();
    for (name, path) in &found {
        let failure = search.discovery_classification(name).to_string() == "counterexample";
        assert!(!failure, "not so: {name}\n{:#?}", path.clone().into_actions());
    }
    for name in met {
        assert!(found.contains_key(name), "never met: {name}");
    }
}

/// The steps of a shortest path to where a property does not hold.
#[track_caller]
pub(crate) fn shortest_to_break(protocol: &Protocol, property: &'static str) -> Vec<Action> {
    let mut shortest = path(protocol, property, usize::MAX).expect(property);
    while let Some(shorter) = path(protocol, property, shortest.len()) {
        shortest = shorter;
    }
    shortest
}

/// A path of fewer steps than `limit`. A search ends some hundred states after its first discovery and keeps the last.
fn path(protocol: &Protocol, property: &'static str, limit: usize) -> Option<Vec<Action>> {
    let search = protocol
        .clone()
        .checker()
        .finish_when(HasDiscoveries::AnyOf(BTreeSet::from([property])))
        .target_max_depth(limit.saturating_add(1))
        .spawn_bfs()
        .join();
    Some(search.discovery(property)?.into_actions())
}
