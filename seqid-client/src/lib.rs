#![doc = include_str!("../README.md")]

mod call;
mod client;
mod decode;
mod draws;
mod encode;
mod endpoints;
mod failure;
mod local;
mod numbering;
mod rising;
mod tls;

pub use client::{Client, ClientBuilder, InvalidClient};
pub use rising::NotRising;
pub use tls::HAS_TLS;
