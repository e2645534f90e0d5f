//! What the store does when the disk, the file, the clock or the process fails. The faults are real ones.
#![allow(
    clippy::unwrap_used,
    reason = "a test ends where something is not as it must be"
)]

mod backup;
mod child;
mod clock;
mod disk;
mod ending;
mod index;
mod keys;
mod office;
mod older_schema;
mod one_writer;
mod recover;
mod relay;
mod removed;
mod restored;
mod trailing;
mod wrong_file;
