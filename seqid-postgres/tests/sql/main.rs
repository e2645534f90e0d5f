//! Numbers that are drawn in SQL, beside those that Rust draws.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that cannot go on has failed"
)]

mod desk;
mod draws;
mod example;
mod ids;
mod links;
mod refusals;
