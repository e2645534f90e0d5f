//! Whether the protocol can go on from wherever faults have left it.
//!
//! stateright's `eventually` ignores cycles, and says nothing of what can be reached from *each* state. So progress is
//! an invariant: in every state that has a primary whom the range store does not refuse, an instance that starts
//! now and is left alone has drawn a number within [`PATIENCE`] steps.

use crate::actions::Action;
use crate::instance::{Answer, Instance};
use crate::protocol::{Bounds, Guards, Protocol};
use crate::redis::Role;
use crate::state::State;

/// Connect, then at most twice open, grant and seed, extend and raise, and draw: with room to spare.
const PATIENCE: usize = 16;

pub(crate) fn is_possible(protocol: &Protocol, state: &State) -> bool {
    let free = Protocol {
        bounds: Bounds {
            faults: 0,
            draws: u8::MAX,
            keyed: 0,
            epochs: u8::MAX,
        },
        ..protocol.clone()
    };
    (0..2).all(|server| !lives(state, server) || serves(&free, state.clone(), server))
}

/// A primary that may still be granted ranges, with a key that is not another store's.
fn lives(state: &State, server: u8) -> bool {
    let at = &state.servers[usize::from(server)];
    let store = &state.stores[0];
    at.role == Role::Primary
        && at.key.is_none_or(|key| key.authority == 0)
        && !store.retires(Guards::ALL, at.history, at.generation)
}

/// An instance that starts now, alone. What it has drawn it acknowledges.
fn serves(protocol: &Protocol, mut state: State, server: u8) -> bool {
    state.instances = [Instance::default(); 2];
    for _ in 0..PATIENCE {
        let Some(next) = turn(protocol, &state, server) else {
            return false;
        };
        if matches!(next.instances[0].answer, Some(Answer::Drawn { .. })) {
            return true;
        }
        state = next;
    }
    false
}

/// The first of its choices that changes anything.
fn turn(protocol: &Protocol, state: &State, server: u8) -> Option<State> {
    let epoch = state.stores[0].seen().epoch;
    let at = usize::from(server);
    let choices = [
        Action::Grant(0),
        Action::Draw {
            instance: 0,
            keyed: false,
        },
        Action::Raise {
            server: at,
            store: 0,
            epoch,
        },
        Action::Seed {
            server: at,
            store: 0,
            epoch,
        },
        Action::Extend(0),
        Action::Open(0),
        Action::Connect { instance: 0, server },
    ];
    choices
        .into_iter()
        .find_map(|choice| protocol.step(state, choice))
}
