#![doc = include_str!("../README.md")]

pub mod chain;
pub mod charset;
pub mod checkpoint;
pub mod clock;
pub mod coalesced;
pub mod command;
pub mod compiled;
pub mod counter;
pub mod definition;
pub mod error;
pub mod event;
pub mod event_table;
pub mod export;
pub mod field;
mod forward;
pub mod gap_report;
mod hex;
pub mod intake;
mod issuer;
pub mod json_lines;
pub mod lanes;
pub mod lease;
pub mod leased;
pub mod ledger;
pub mod line;
pub mod mark;
pub mod memory;
pub mod names;
pub mod numbering;
pub mod observer;
pub mod period;
mod prehashed;
pub mod query;
pub mod recovery;
pub mod refusal;
pub mod relay;
pub mod reservation;
pub mod store;
pub mod template;
pub mod time;
pub mod verify;

/// For [`forward`].
#[doc(hidden)]
pub use async_trait::async_trait;
pub use coalesced::Coalesced;
pub use definition::{Definition, DefinitionSpec, Mode};
pub use error::{Code, Error};
pub use issuer::{Apply, ImplicitPolicy, Issuer, IssuerBuilder};
pub use leased::Leased;
pub use memory::MemoryStore;
pub use names::{IdempotencyKey, Number, Prefix, Tenant};
pub use numbering::Numbering;
pub use store::{AuditSink, CounterStore, Ledger};
pub use template::{FormatTemplate, Template};
