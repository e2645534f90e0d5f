//! The durable store: it loses nothing, and each of its acts is one transaction.

use crate::protocol::{GAP, Guard, Guards, LOW};
use crate::redis::{Drawn, History};

/// One epoch's range.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Grant {
    pub(crate) p: u8,
    pub(crate) history: History,
    pub(crate) generation: u8,
    pub(crate) lo: u8,
    /// The first number beyond what was ever granted to the epoch, extensions included.
    pub(crate) hi: u8,
    /// Numbers from here on are proved unissued in this epoch.
    pub(crate) closed: Option<u8>,
}

/// What an instance asks a range for: the answer of the open script, and what the store said before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Opened {
    pub(crate) p: u8,
    pub(crate) history: History,
    pub(crate) generation: u8,
    pub(crate) seen: Seen,
}

/// The counter's row as an instance has read it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Seen {
    pub(crate) epoch: u8,
    pub(crate) next: u8,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct RangeStore {
    /// Epoch 1 first.
    pub(crate) grants: Vec<Grant>,
    /// The number of the one idempotency key that callers use.
    pub(crate) key: Option<u8>,
    pub(crate) told: Told,
}

/// What callers were told. No part of the protocol: properties look at it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Told {
    /// One bit for each number that was acknowledged.
    numbers: u64,
    /// One bit for each number that was acknowledged for the key.
    pub(crate) of_key: u64,
    pub(crate) twice: bool,
    /// Of each epoch, the first number above those acknowledged; 0 where none was.
    pub(crate) tops: Vec<u8>,
    pub(crate) outside: bool,
}

impl Grant {
    /// The first number that is not the epoch's.
    pub(crate) fn end(&self) -> u8 {
        self.closed.unwrap_or(self.hi)
    }
}

impl RangeStore {
    /// The first number of a counter.
    pub(crate) const START: u8 = 1;

    pub(crate) fn seen(&self) -> Seen {
        Seen {
            epoch: u8::try_from(self.grants.len()).unwrap(),
            next: self.grants.last().map_or(Self::START, Grant::end),
        }
    }

    pub(crate) fn grant_of(&self, epoch: u8) -> Option<&Grant> {
        self.grants.get(usize::from(epoch).checked_sub(1)?)
    }

    /// Whether a history had its turn. Being named primary anew gives it another one.
    pub(crate) fn retires(&self, guards: Guards, history: History, generation: u8) -> bool {
        let Some(last) = self.grants.last() else {
            return false;
        };
        let had = history != last.history && self.grants.iter().any(|grant| grant.history == history);
        let anew = generation > last.generation && guards.has(Guard::Renaming);
        generation < last.generation || (had && !anew && guards.has(Guard::Retirement))
    }

    /// Grants the next range, unless it would be the second for the same `p`: that is a seed to help with.
    pub(crate) fn grant(&mut self, guards: Guards, opened: Opened) -> bool {
        let same_epoch = opened.seen.epoch == self.seen().epoch && guards.lack(Guard::WholeRow);
        let stale = opened.seen != self.seen() && !same_epoch && guards.has(Guard::CompareAndSet);
        let same = |grant: &Grant| grant.p == opened.p && grant.history == opened.history;
        let twin = self.grants.last().is_some_and(same) && guards.has(Guard::OneRange);
        if stale || twin || self.retires(guards, opened.history, opened.generation) {
            return false;
        }
        self.grants.push(Grant {
            p: opened.p,
            history: opened.history,
            generation: opened.generation,
            lo: opened.seen.next,
            hi: opened.seen.next + GAP,
            closed: None,
        });
        self.told.tops.push(0);
        true
    }

    /// Extends the range of the newest epoch, for one who knows that all below `next` is used.
    pub(crate) fn extend(&mut self, epoch: u8, next: u8) -> bool {
        let current = self.seen().epoch == epoch;
        match self.grants.last_mut() {
            Some(grant) if current && grant.closed.is_none() && next + LOW >= grant.hi => {
                grant.hi = next + GAP;
                true
            }
            _ => false,
        }
    }

    /// Records the proof that an epoch's tail is unissued. The next range begins there if the epoch is the newest.
    pub(crate) fn settle(&mut self, epoch: u8, next: u8) {
        let Some(index) = usize::from(epoch).checked_sub(1) else {
            return;
        };
        if let Some(grant) = self.grants.get_mut(index) {
            grant.closed.get_or_insert(next);
        }
    }

    /// Commits a draw with the key. The first commit names the number, whoever comes later is given the same.
    pub(crate) fn commit_keyed(&mut self, guards: Guards, drawn: Drawn) {
        if self.key.is_none() || guards.lack(Guard::Referee) {
            self.key = Some(drawn.number);
            self.told.of_key |= 1 << drawn.number;
            self.acknowledge(drawn);
        }
    }

    /// A caller is told a number.
    pub(crate) fn acknowledge(&mut self, drawn: Drawn) {
        let bit = 1 << drawn.number;
        self.told.twice |= self.told.numbers & bit != 0;
        self.told.numbers |= bit;
        match self.grant_of(drawn.epoch) {
            Some(grant) if grant.lo <= drawn.number => {
                let top = &mut self.told.tops[usize::from(drawn.epoch) - 1];
                *top = (*top).max(drawn.number + 1);
            }
            _ => self.told.outside = true,
        }
    }
}
