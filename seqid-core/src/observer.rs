//! What happens, told to whoever counts it.

use std::fmt;
use std::time::Duration;

use crate::counter::CounterKey;
use crate::definition::Mode;
use crate::error::Code;

/// Is told what happens on the draw path. Called often and from many threads: count and return.
pub trait Observer: Send + Sync + fmt::Debug {
    /// A draw was answered with so many numbers of a sequence of this mode. `replayed` when its key was used before.
    fn drawn(&self, mode: Mode, numbers: u32, replayed: bool);

    /// A draw from this counter left so few numbers that its answer warns of it.
    fn near_end(&self, counter: &CounterKey);

    /// A request was refused or failed.
    fn refused(&self, code: Code);

    /// A store committed a batch of so many commands, which took so long from its beginning.
    fn committed(&self, commands: usize, took: Duration);
}

/// Counts nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct Unobserved;

impl Observer for Unobserved {
    fn drawn(&self, _: Mode, _: u32, _: bool) {}
    fn near_end(&self, _: &CounterKey) {}
    fn refused(&self, _: Code) {}
    fn committed(&self, _: usize, _: Duration) {}
}
