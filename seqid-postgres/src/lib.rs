#![doc = include_str!("../README.md")]

mod audit;
mod batch;
mod columns;
mod config;
mod connections;
mod engine;
mod error;
mod identity;
mod load;
mod marks;
mod outbox;
mod read;
mod rows;
mod schema;
mod store;
mod types;
mod waiting;
mod write;

pub use config::PostgresConfig;
pub use error::{OpenError, Restored};
pub use store::PostgresStore;
