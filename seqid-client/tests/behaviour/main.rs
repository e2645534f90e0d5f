//! What the client does beside asking: it shares one stream, sends again what is safe, and watches that numbers rise.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod faults;
mod guide;
mod hall;
mod instances;
mod local_leases;
mod numbering;
mod tls;
