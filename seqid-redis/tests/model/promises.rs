//! The protocol keeps its promises, under every fault at every step, as far as the bounds go.

use crate::faults::Fault;
use crate::properties::{AGAIN, OUTSTANDING, TAIL, TWO_PRIMARIES};
use crate::protocol::{Bounds, Guards, Protocol};
use crate::search::holds;

/// Every pair of faults, in either order and with anything between. Two draws use up a range of
/// [`GAP`](crate::protocol::GAP), and three epochs are the first and one for each fault.
const TWO_FAULTS: Bounds = Bounds {
    faults: 2,
    draws: 2,
    keyed: 0,
    epochs: 3,
};

/// With the third draw, numbers beyond a range are given too.
const ONE_FAULT: Bounds = Bounds {
    faults: 1,
    draws: 3,
    keyed: 0,
    epochs: 3,
};

/// Farther, where the environment says so.
fn bounds(default: Bounds) -> Bounds {
    let set = |name: &str, default| std::env::var(name).map_or(default, |value| value.parse().expect(name));
    Bounds {
        faults: set("SEQID_MODEL_FAULTS", default.faults),
        draws: set("SEQID_MODEL_DRAWS", default.draws),
        ..default
    }
}

#[test]
fn nothing_breaks_after_any_fault() {
    let protocol = Protocol {
        guards: Guards::DEAF,
        faults: Fault::FORWARD,
        bounds: bounds(ONE_FAULT),
    };
    holds(protocol, &[OUTSTANDING, TWO_PRIMARIES, TAIL]);
}

#[test]
fn nothing_breaks_when_servers_change_places() {
    const FAULTS: &[Fault] = &[
        Fault::Failover,
        Fault::Detach,
        Fault::Demote,
        Fault::Crash,
        Fault::NewReplid,
    ];
    let protocol = Protocol {
        guards: Guards::DEAF,
        faults: FAULTS,
        bounds: bounds(TWO_FAULTS),
    };
    holds(protocol, &[OUTSTANDING, TWO_PRIMARIES]);
}

#[test]
fn nothing_breaks_when_keys_are_lost_edited_and_closed() {
    const FAULTS: &[Fault] = &[
        Fault::Flush,
        Fault::Edit,
        Fault::Close,
        Fault::DelayedClose,
        Fault::Crash,
    ];
    let protocol = Protocol {
        guards: Guards::DEAF,
        faults: FAULTS,
        bounds: bounds(TWO_FAULTS),
    };
    holds(protocol, &[OUTSTANDING, TAIL]);
}

#[test]
fn nothing_breaks_when_an_old_dump_is_served_after_a_failover() {
    const FAULTS: &[Fault] = &[Fault::Restart, Fault::Failover];
    let protocol = Protocol {
        guards: Guards::DEAF,
        faults: FAULTS,
        bounds: bounds(TWO_FAULTS),
    };
    holds(protocol, &[OUTSTANDING, TWO_PRIMARIES]);
}

/// Newcomers too, who have heard nothing: a crash makes one.
#[test]
fn nothing_breaks_when_a_key_goes_back_within_its_history() {
    const FAULTS: &[Fault] = &[Fault::RollBack, Fault::Forget, Fault::Crash, Fault::Close];
    let protocol = Protocol {
        guards: Guards::DEAF,
        faults: FAULTS,
        bounds: bounds(TWO_FAULTS),
    };
    holds(protocol, &[OUTSTANDING, TAIL]);
}

#[test]
fn nothing_breaks_after_any_fault_for_those_who_listen() {
    let two_draws = Bounds {
        draws: 2,
        ..ONE_FAULT
    };
    let protocol = Protocol {
        guards: Guards::ALL,
        faults: &Fault::IN_ONE_STORE,
        bounds: bounds(two_draws),
    };
    holds(protocol, &[OUTSTANDING, TWO_PRIMARIES, TAIL]);
}

#[test]
fn nothing_breaks_for_those_who_listen_when_a_process_goes_back() {
    const FAULTS: &[Fault] = &[Fault::Snapshot, Fault::Crash];
    let protocol = Protocol {
        guards: Guards::ALL,
        faults: FAULTS,
        bounds: bounds(TWO_FAULTS),
    };
    holds(protocol, &[OUTSTANDING]);
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
