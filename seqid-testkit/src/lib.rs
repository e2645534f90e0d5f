#![doc = include_str!("../README.md")]

pub mod broken;
pub mod evidence;
pub mod history;
pub mod programs;
#[cfg(unix)]
pub mod servers;
pub mod suite;
