#![doc = include_str!("../README.md")]

mod audit;
mod backup;
mod batch;
mod catch_up;
mod config;
mod database;
mod error;
mod heads;
mod index;
mod keys;
mod leases;
mod marks;
mod newest;
mod pace;
mod read;
mod recover;
mod rows;
mod runs;
mod segments;
mod sidecar;
mod store;
mod sweep;
mod verify;
mod writer;

pub use backup::backup;
pub use config::SqliteConfig;
pub use error::{Damage, OpenError, Restored};
pub use recover::{RecoveryReport, recover};
pub use seqid_core::recovery::Recovery;
pub use store::SqliteStore;
pub use verify::verify;
