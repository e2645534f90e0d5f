//! The protocol of fenced counters, checked in every state that two instances, two servers and their faults lead to.
//!
//! `model/README.md` says what the protocol is. `promises.rs` searches for a state in which one of the promises is broken,
//! and finds none; `mutants.rs` leaves out one guard at a time, and finds one each time. The whole takes about a minute
//! on one core. Farther, with more faults or draws on one path, in optimised code:
//!
//! ```text
//! SEQID_MODEL_FAULTS=3 SEQID_MODEL_DRAWS=3 cargo test --release -p seqid-redis --test model promises -- --nocapture
//! ```
#![allow(
    clippy::unwrap_used,
    reason = "a test ends where something is not as it must be"
)]

#[path = "model/actions.rs"]
mod actions;
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
