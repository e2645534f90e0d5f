//! Which guards stand, which faults happen, and how far the search goes.

use crate::faults::Fault;

/// The largest gap, and so the size of every range. Two is the least with which a range can be partly used.
pub(crate) const GAP: u8 = 2;

/// A range is extended once no more than this is left: early enough for some of it to be left.
pub(crate) const LOW: u8 = 1;

/// One rule of the protocol that can be left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Guard {
    /// A seed must know the word that its open set.
    P,
    /// Nothing below what was heard in this epoch is taken.
    Floor,
    /// Scripts run on a primary only.
    Role,
    /// A key of another range store is refused.
    Authority,
    /// A key that was edited by hand is refused.
    Checksum,
    /// A history that had its turn gets no other.
    Retirement,
    /// A grant is written over the row that was read before the open, and no other.
    CompareAndSet,
    /// That row is the same in all: epoch and next number. The epoch alone is not enough.
    WholeRow,
    /// A history that had its turn gets another when the topology names it primary anew.
    Renaming,
    /// Seeds, draws and closes belong to one history.
    History,
    /// A closed key says so, and is not extended again.
    ClosedMark,
    /// A key that is not as this process left it is refused.
    Memory,
    /// The word that a seed must know is in the process's memory, and in no key.
    OfferInMemory,
    /// The range store's index alone says which number a key has.
    Referee,
    /// Every change of the counter is announced on every connection, ahead of any later answer.
    Listening,
    /// A connection draws only in epochs that were granted after it began to listen.
    Newcomer,
    /// A `p` that the newest grant has already is a seed to help with, not another grant.
    OneRange,
}

/// A set of [guards](Guard).
#[derive(Clone, Copy, Debug)]
pub(crate) struct Guards(u32);

impl Guards {
    /// Nothing left out: holds under every fault.
    pub(crate) const ALL: Self = Self(u32::MAX);
    /// Nobody listens: holds as long as no process goes back.
    pub(crate) const DEAF: Self = Self::ALL.without(Guard::Listening).without(Guard::Newcomer);

    pub(crate) const fn without(self, guard: Guard) -> Self {
        Self(self.0 & !(1 << guard as u16))
    }

    pub(crate) const fn has(self, guard: Guard) -> bool {
        self.0 & (1 << guard as u16) != 0
    }

    pub(crate) const fn lack(self, guard: Guard) -> bool {
        !self.has(guard)
    }
}

/// How much of everything there is on one path.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    pub(crate) faults: u8,
    pub(crate) draws: u8,
    pub(crate) keyed: u8,
    pub(crate) epochs: u8,
}

/// A protocol in a world.
#[derive(Clone, Debug)]
pub(crate) struct Protocol {
    pub(crate) guards: Guards,
    pub(crate) faults: &'static [Fault],
    pub(crate) bounds: Bounds,
}
