#![doc = include_str!("../README.md")]

mod backup;
mod batch;
mod config;
mod database;
mod error;
mod keys;
mod read;
mod recover;
mod rows;
mod sidecar;
mod store;
mod writer;

pub use backup::backup;
pub use config::SqliteConfig;
pub use error::{Damage, OpenError, Restored};
pub use recover::{Recovery, RecoveryReport, recover};
pub use store::SqliteStore;
