#![doc = include_str!("../README.md")]

pub mod broken;
pub mod evidence;
pub mod history;
#[cfg(unix)]
pub mod servers;
pub mod suite;
