#![doc = include_str!("../README.md")]

mod call;
mod client;
mod decode;
mod draws;
mod encode;
mod endpoints;
mod failure;
mod numbering;
mod rising;

pub use client::{Client, ClientBuilder, InvalidEndpoint};
pub use rising::NotRising;
