#![doc = include_str!("../README.md")]

mod config;
mod dead_letters;
mod error;
mod message;
mod publisher;
mod sink;
mod source;
mod tls;
mod topology;

pub use config::{AmqpConfig, InvalidConfig};
pub use dead_letters::{DeadLetter, DeadLetters};
pub use error::AmqpError;
pub use message::{Poison, routing_key};
pub use sink::{AmqpSink, SinkState};
pub use source::{AmqpSource, Delivery, Depth};

/// Whether this build can reach a broker by TLS: the feature `tls`.
pub const HAS_TLS: bool = cfg!(feature = "tls");
