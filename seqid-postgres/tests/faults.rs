//! What the store does when the server, the network, the database or another session fails it. The faults are real ones.
#![allow(
    clippy::unwrap_used,
    reason = "a test ends where something is not as it must be"
)]

#[path = "faults/bureau.rs"]
mod bureau;
#[path = "faults/commit.rs"]
mod commit;
#[path = "faults/full.rs"]
mod full;
#[path = "faults/kill.rs"]
mod kill;
#[path = "faults/locks.rs"]
mod locks;
#[path = "faults/office.rs"]
mod office;
#[path = "faults/open.rs"]
mod open;
#[path = "faults/restored.rs"]
mod restored;
#[path = "faults/verify.rs"]
mod verify;
