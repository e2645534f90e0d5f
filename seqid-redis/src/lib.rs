#![doc = include_str!("../README.md")]

mod config;
mod connection;
mod counter_id;
mod discovery;
mod error;
mod fenced;
mod history;
mod scripts;
mod store;
mod stream;
mod tls;
mod unfenced;

pub use config::{Address, InvalidUrl, RedisConfig, Servers};
pub use counter_id::{Bucket, CounterId};
pub use error::{Fault, OpenError, certainty_of};
pub use fenced::{Closed, Draw, Drawn, Fence, Fenced, Grant, Opened, Refused, Seeded};
pub use history::{History, Server};
pub use store::{Figures, RedisStore, RedisStoreError};
pub use stream::{Entry, EntryPage, Events, UnreadableEntry};
pub use tls::{Tls, TlsProblem};
pub use unfenced::{UnfencedStore, UnfencedStoreError};

/// Whether this build can reach servers by TLS.
pub const HAS_TLS: bool = cfg!(feature = "tls");
