#![doc = include_str!("../README.md")]

pub mod chain;
pub mod charset;
pub mod clock;
pub mod coalesced;
pub mod command;
pub mod compiled;
pub mod counter;
pub mod definition;
pub mod error;
pub mod event;
pub mod field;
pub mod intake;
mod issuer;
pub mod json_lines;
pub mod ledger;
pub mod line;
pub mod memory;
pub mod names;
pub mod numbering;
pub mod observer;
pub mod period;
mod prehashed;
pub mod refusal;
pub mod relay;
pub mod store;
pub mod template;
pub mod time;

pub use coalesced::Coalesced;
pub use definition::{Definition, DefinitionSpec, Mode};
pub use error::{Code, Error};
pub use issuer::{ImplicitPolicy, Issuer, IssuerBuilder};
pub use memory::MemoryStore;
pub use names::{IdempotencyKey, Number, Prefix, Tenant};
pub use numbering::Numbering;
pub use store::{AuditSink, CounterStore, Ledger};
pub use template::{FormatTemplate, Template};
