#![doc = include_str!("../README.md")]

pub mod broken;
pub mod evidence;
pub mod history;
pub mod suite;
