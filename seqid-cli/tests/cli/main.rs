//! The real command, run against a service behind real connections and against a file.
#![allow(
    clippy::unwrap_used,
    unreachable_pub,
    reason = "a test that cannot go on has failed"
)]

mod audit;
mod bench;
mod counters;
mod draws;
mod generated;
mod guide;
mod outcomes;
mod running;
mod same_as_rest;
mod terminal;
mod tls;
mod verify;
