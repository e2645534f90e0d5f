//! The gRPC interface, called through real connections.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod audit;
mod bounds;
mod desk;
mod draws;
mod faults;
mod gate;
mod health;
mod sequences;
mod streams;
