//! Real servers for tests: private, started by the test itself, and gone when its process has ended, whichever way.
//!
//! Everything here blocks its thread, and is for unix systems with `sh`, `ps` and `pkill`.

mod database;
mod error;
mod guardian;
mod postgres;
mod processes;

pub use database::Database;
pub use error::ServerError;
pub use postgres::PostgresServer;
