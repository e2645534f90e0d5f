//! The protocol keeps its promises, under every fault at every step, as far as the bounds go.

use crate::properties::{AGAIN, OUTSTANDING, TAIL, TWO_PRIMARIES};
use crate::protocol::{Bounds, Fault, Guards, Protocol};
use crate::search::holds;

/// Two faults make every pair of them, in either order and with anything between. With two draws a range of
/// [`GAP`](crate::protocol::GAP) is used up and must be extended; a third one leaves it.
const TWO_FAULTS: Bounds = Bounds {
    faults: 2,
    draws: 2,
    keyed: 0,
    epochs: 3,
};

const ONE_FAULT: Bounds = Bounds {
    faults: 1,
    draws: 3,
    keyed: 0,
    epochs: 3,
};

fn bounds(default: Bounds) -> Bounds {
    let set = |name: &str, default| std::env::var(name).map_or(default, |value| value.parse().expect(name));
    Bounds {
        faults: set("SEQID_MODEL_FAULTS", default.faults),
        draws: set("SEQID_MODEL_DRAWS", default.draws),
        ..default
    }
}

#[test]
fn nothing_breaks_where_no_history_goes_back() {
    let protocol = Protocol {
        guards: Guards::DEAF,
        faults: Fault::FORWARD,
        bounds: bounds(TWO_FAULTS),
    };
    holds(protocol, &[OUTSTANDING, TWO_PRIMARIES, TAIL]);
}

#[test]
fn nothing_breaks_after_a_used_up_range() {
    let protocol = Protocol {
        guards: Guards::DEAF,
        faults: Fault::FORWARD,
        bounds: bounds(ONE_FAULT),
    };
    holds(protocol, &[OUTSTANDING, TWO_PRIMARIES, TAIL]);
}

#[test]
fn nothing_breaks_for_those_who_listen() {
    let one = Bounds {
        draws: 2,
        ..ONE_FAULT
    };
    let protocol = Protocol {
        guards: Guards::ALL,
        faults: &Fault::IN_ONE_STORE,
        bounds: bounds(one),
    };
    holds(protocol, &[OUTSTANDING, TWO_PRIMARIES, TAIL]);
}

#[test]
fn nothing_breaks_for_those_who_listen_when_data_goes_back_and_is_lost() {
    const FAULTS: &[Fault] = &[Fault::RollBack, Fault::Crash, Fault::Flush, Fault::Close];
    let protocol = Protocol {
        guards: Guards::ALL,
        faults: FAULTS,
        bounds: bounds(TWO_FAULTS),
    };
    holds(protocol, &[OUTSTANDING, TAIL]);
}

#[test]
fn a_key_is_granted_once_whoever_draws_for_it_where() {
    const FAULTS: &[Fault] = &[Fault::Crash, Fault::Flush, Fault::Failover];
    let twice = Bounds {
        keyed: 2,
        ..TWO_FAULTS
    };
    let protocol = Protocol {
        guards: Guards::DEAF,
        faults: FAULTS,
        bounds: bounds(twice),
    };
    holds(protocol, &[OUTSTANDING, AGAIN, TWO_PRIMARIES]);
}

#[test]
fn two_stores_never_mix() {
    const FAULTS: &[Fault] = &[Fault::OtherStore, Fault::Crash, Fault::Flush];
    let protocol = Protocol {
        guards: Guards::DEAF,
        faults: FAULTS,
        bounds: bounds(TWO_FAULTS),
    };
    holds(protocol, &[OUTSTANDING]);
}
