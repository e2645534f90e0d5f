#![doc = include_str!("../README.md")]

mod audit;
mod audit_table;
mod batch;
mod columns;
mod config;
mod connections;
mod encoding;
mod engine;
mod error;
mod housekeeping;
mod identity;
mod leases;
mod load;
mod marks;
mod notices;
mod outbox;
mod plan;
mod read;
mod recover;
mod rows;
mod schema;
mod state_file;
mod store;
mod transaction;
mod turns;

mod verify;
mod waiting;
mod write;

pub use audit_table::{AuditTable, Missing, Recording};
pub use config::PostgresConfig;
pub use error::{OpenError, Restored};
pub use recover::{RecoveryReport, recover};
pub use seqid_core::recovery::Recovery;
pub use sqlx::postgres::{PgConnectOptions, PgSslMode};
pub use store::PostgresStore;
pub use verify::verify;

/// Whether this build can reach a server by TLS: the feature `tls`.
pub const HAS_TLS: bool = cfg!(feature = "tls");
