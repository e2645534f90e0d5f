//! The protocol of fenced counters, checked in every state that two instances, two servers and their faults lead to.
//!
//! `model/README.md` says what the protocol is. `promises.rs` searches for a state in which one of the promises is broken,
//! and finds none; `mutants.rs` leaves out one guard at a time, and finds one each time. The whole takes about half a
//! minute of one core. Farther, with more faults or draws on a path:
//!
//! ```text
//! SEQID_MODEL_FAULTS=2 SEQID_MODEL_DRAWS=2 cargo test -p seqid-redis --test model -- --exact promises::nothing_breaks_after_any_fault --nocapture
//! ```
#![allow(
    clippy::unwrap_used,
    reason = "a test ends where something is not as it must be"
)]
#![allow(clippy::print_stdout, reason = "how much was looked at is a result")]

#[path = "model/actions.rs"]
mod actions;
#[path = "model/faults.rs"]
mod faults;
#[path = "model/ids.rs"]
mod ids;
#[path = "model/instance.rs"]
mod instance;
#[path = "model/mutants.rs"]
mod mutants;
#[path = "model/progress.rs"]
mod progress;
#[path = "model/promises.rs"]
mod promises;
#[path = "model/properties.rs"]
mod properties;
#[path = "model/protocol.rs"]
mod protocol;
#[path = "model/range_store.rs"]
mod range_store;
#[path = "model/redis.rs"]
mod redis;
#[path = "model/search.rs"]
mod search;
#[path = "model/state.rs"]
mod state;
