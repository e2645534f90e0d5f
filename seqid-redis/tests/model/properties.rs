//! What must hold in every state, and what must be met somewhere for a search to have meant anything.

use stateright::{Model, Property};

use crate::actions::Action;
use crate::instance::Answer;
use crate::progress;
use crate::protocol::{GAP, Guard, Protocol};
use crate::range_store::{Grant, RangeStore};
use crate::redis::{Role, Server};
use crate::state::State;

// What holds in every state.
pub(crate) const UNIQUE: &str = "no number is acknowledged twice";
pub(crate) const GRANTED: &str = "a number is acknowledged by the store that granted it";
pub(crate) const DISJOINT: &str = "ranges of two epochs are disjoint";
pub(crate) const KEY: &str = "a key is granted once";
pub(crate) const UNISSUED: &str = "no number is declared unissued and acknowledged";
pub(crate) const LARGEST_GAP: &str = "hi - next is at most the largest gap";
pub(crate) const EPOCHS: &str = "a fault costs at most one epoch of each connection";
pub(crate) const PROGRESS: &str = "where a history lives, numbers are drawn";

// What is met somewhere: a search without it has shown little.
pub(crate) const OUTSTANDING: &str = "an acknowledgement is outstanding while a later epoch begins";
pub(crate) const AGAIN: &str = "a key is drawn for again";
pub(crate) const TWO_PRIMARIES: &str = "two primaries serve ranges of their own";
pub(crate) const TAIL: &str = "a tail is proved unissued";

impl Model for Protocol {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        [[0, 0], [0, 1]].map(State::first).into()
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        self.possible(state, actions);
    }

    fn next_state(&self, before: &State, action: Action) -> Option<State> {
        let mut state = self.step(before, action)?;
        state.instances.sort_unstable();
        Some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always(UNIQUE, |_, state: &State| {
                all_stores(state, |store| !store.told.twice)
            }),
            Property::always(GRANTED, |_, state: &State| {
                all_stores(state, |store| !store.told.outside)
            }),
            Property::always(DISJOINT, |_, state: &State| all_stores(state, disjoint)),
            Property::always(KEY, |_, state: &State| {
                all_stores(state, |store| store.told.of_key.count_ones() <= 1)
            }),
            Property::always(UNISSUED, |_, state: &State| all_stores(state, tails_are_unissued)),
            Property::always(LARGEST_GAP, |_, state: &State| {
                state.servers.iter().all(keeps_largest_gap)
            }),
            Property::always(EPOCHS, epochs_are_bounded),
            Property::always(PROGRESS, progress::is_possible),
            Property::sometimes(OUTSTANDING, |_, state: &State| {
                (0..2).any(|instance| is_outstanding(state, instance))
            }),
            Property::sometimes(AGAIN, |_, state: &State| {
                state.stores[0].key.is_some() && draws_for_key(state)
            }),
            Property::sometimes(TWO_PRIMARIES, |_, state: &State| {
                state.servers.iter().all(serves_own_range)
            }),
            Property::sometimes(TAIL, |_, state: &State| {
                state.stores[0].grants.iter().any(has_tail)
            }),
        ]
    }
}

fn all_stores(state: &State, holds: impl Fn(&RangeStore) -> bool) -> bool {
    state.stores.iter().all(holds)
}

fn disjoint(store: &RangeStore) -> bool {
    let apart = |pair: &[Grant]| pair[0].end() <= pair[1].lo;
    store.grants.windows(2).all(apart)
}

/// Without faults one epoch lasts for ever. A fault ends an epoch, and where newcomers need their own, one for each
/// connection that it ends.
fn epochs_are_bounded(protocol: &Protocol, state: &State) -> bool {
    let each = if protocol.guards.has(Guard::Newcomer) {
        2
    } else {
        1
    };
    all_stores(state, |store| {
        store.seen().epoch <= 1 + each * (state.spent.faults + each - 1)
    })
}

fn tails_are_unissued(store: &RangeStore) -> bool {
    let mut told = store.grants.iter().zip(&store.told.tops);
    told.all(|(grant, top)| *top <= grant.end())
}

/// What was edited by hand may say anything.
fn keeps_largest_gap(server: &Server) -> bool {
    server
        .key
        .is_none_or(|key| !key.intact || key.hi.saturating_sub(key.next) <= GAP)
}

fn is_outstanding(state: &State, instance: usize) -> bool {
    match state.instances[instance].answer {
        Some(Answer::Drawn { drawn, .. }) => drawn.epoch < state.store_of(instance).seen().epoch,
        _ => false,
    }
}

fn draws_for_key(state: &State) -> bool {
    let mut answers = state.instances.iter().map(|instance| instance.answer);
    answers.any(|answer| matches!(answer, Some(Answer::Drawn { keyed: true, .. })))
}

fn serves_own_range(server: &Server) -> bool {
    let own = server.key.is_some_and(|key| key.history == server.history);
    server.role == Role::Primary && own
}

fn has_tail(grant: &Grant) -> bool {
    grant.closed.is_some_and(|closed| closed < grant.hi)
}
