#![doc = include_str!("../README.md")]

mod error;
mod export;
mod kept;
mod outcome;
mod signature;

pub use error::VerifyError;
pub use export::of_export;
pub use kept::Kept;
pub use outcome::Outcome;
pub use signature::PublicKey;
