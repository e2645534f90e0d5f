//! One line of integers: what names it, and the state that a store keeps of it.

use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use crate::chain::Link;
use crate::field::FieldValues;
use crate::names::{Number, Prefix, Tenant};
use crate::period::Period;
use crate::time::{Date, Timestamp};

/// A sequence's name: its tenant and its prefix.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SequenceKey {
    /// The isolation boundary.
    pub tenant: Tenant,
    /// The name within it.
    pub prefix: Prefix,
}

impl SequenceKey {
    /// Names the sequence `prefix` of `tenant`.
    #[must_use]
    pub fn new(tenant: Tenant, prefix: Prefix) -> Self {
        Self { tenant, prefix }
    }

    /// All sequences of a tenant, those of the future included. It has no definition and gives no numbers; its chain has
    /// the events that concern all of them.
    #[must_use]
    pub fn whole(tenant: Tenant) -> Self {
        Self::new(tenant, Prefix::whole())
    }

    /// Whether it stands for all sequences of its tenant.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.prefix.is_whole()
    }

    /// Whether it is that sequence, or stands for all of its tenant's.
    #[must_use]
    pub fn covers(&self, other: &SequenceKey) -> bool {
        self == other || (self.is_whole() && self.tenant == other.tenant)
    }

    /// A hash that is the same for equal keys within one process, and for the sequence's counters.
    #[must_use]
    pub fn sequence_hash(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        self.hash(&mut hasher);
        hasher.finish()
    }

    /// The prefix as stores compare it: two prefixes that differ by letter case alone are one.
    #[must_use]
    pub fn folded_prefix(&self) -> String {
        self.prefix.as_str().to_ascii_lowercase()
    }
}

impl fmt::Display for SequenceKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.tenant, self.prefix)
    }
}

/// A counter's name: its sequence, the values of its scope fields and its period. Cheap to clone.
#[derive(Clone)]
pub struct CounterKey(Arc<KeyParts>);

struct KeyParts {
    sequence: SequenceKey,
    scope: FieldValues,
    period: Period,
    hash: u64,
    sequence_hash: u64,
}

impl CounterKey {
    /// Names the counter of `sequence` for these scope values in this period.
    #[must_use]
    pub fn new(sequence: SequenceKey, scope: FieldValues, period: Period) -> Self {
        let mut hasher = DefaultHasher::new();
        sequence.hash(&mut hasher);
        let sequence_hash = hasher.finish();
        (&scope, &period).hash(&mut hasher);
        let hash = hasher.finish();
        Self(Arc::new(KeyParts {
            sequence,
            scope,
            period,
            hash,
            sequence_hash,
        }))
    }

    /// The sequence that the counter belongs to.
    #[must_use]
    pub fn sequence(&self) -> &SequenceKey {
        &self.0.sequence
    }

    /// The values of the scope fields.
    #[must_use]
    pub fn scope(&self) -> &FieldValues {
        &self.0.scope
    }

    /// The reset bucket.
    #[must_use]
    pub fn period(&self) -> &Period {
        &self.0.period
    }

    /// A hash that is the same for equal keys within one process: it chooses a lane.
    #[must_use]
    pub fn lane_hash(&self) -> u64 {
        self.0.hash
    }

    /// A hash that is the same for all counters of a sequence within one process.
    #[must_use]
    pub fn sequence_hash(&self) -> u64 {
        self.0.sequence_hash
    }
}

impl PartialEq for CounterKey {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
            || (self.0.hash == other.0.hash
                && self.0.sequence == other.0.sequence
                && self.0.scope == other.0.scope
                && self.0.period == other.0.period)
    }
}

impl Eq for CounterKey {}

impl Hash for CounterKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.0.hash);
    }
}

impl fmt::Display for CounterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.0.sequence, self.0.period)?;
        if self.0.scope.is_empty() {
            Ok(())
        } else {
            write!(f, " {}", self.0.scope)
        }
    }
}

impl fmt::Debug for CounterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CounterKey({self})")
    }
}

/// A run of numbers: `first`, `first + step`, ... `count` of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Run {
    /// The first member.
    pub first: Number,
    /// The distance between two members, at least 1.
    pub step: u64,
    /// How many members, at least 1.
    pub count: u64,
}

impl Run {
    /// The last member.
    #[must_use]
    pub fn last(&self) -> Number {
        let last = self
            .first
            .get()
            .saturating_add(self.step.saturating_mul(self.count - 1));
        Number::new(last).unwrap_or(Number::MAX)
    }

    /// What a counter gives out after the last member; [`CounterState::ENDED`] when no larger number exists.
    #[must_use]
    pub fn next(&self) -> u64 {
        self.last()
            .get()
            .saturating_add(self.step)
            .min(CounterState::ENDED)
    }

    /// The members in order.
    pub fn numbers(&self) -> impl ExactSizeIterator<Item = Number> + use<> {
        let Run { first, step, count } = *self;
        (0..usize::try_from(count).unwrap_or(usize::MAX))
            .map(move |k| Number::new(first.get() + step * k as u64).unwrap_or(Number::MAX))
    }
}

/// Whether a counter gives numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum CounterStatus {
    /// It gives numbers.
    Open,
    /// Its history contradicts itself; it gives nothing until an operator has looked.
    Frozen,
}

/// What a store keeps of a counter. Never negative, never forgotten; changed by the ledger alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CounterState {
    /// The definition version that the counter opened with, and keeps.
    pub version: u32,
    /// Raised by a forced backward reset only: numbers may repeat across generations.
    pub generation: u32,
    /// Raised when the counter's history changes hands. Ranges of two epochs never overlap.
    pub epoch: u32,
    /// The next number to be given out; [`CounterState::ENDED`] when no larger one exists.
    pub next: u64,
    /// The largest number of this generation that was ever offered: issued, or taken from outside.
    pub last: Option<Number>,
    /// The latest document date of a chronological sequence.
    pub last_date: Option<Date>,
    /// Whether it gives numbers.
    pub status: CounterStatus,
    /// How many numbers are held.
    pub reserved: u64,
    /// How many numbers were voided, or let go for good.
    pub voided: u64,
    /// How many numbers were let go and are offered again.
    pub free: u64,
    /// No hold ends before this; `None` when there is none.
    pub next_expiry: Option<Timestamp>,
    /// How many leases are open.
    pub leases: u32,
    /// The head of its chain of events.
    pub chain: Link,
}

impl CounterState {
    /// The value of `next` behind the largest number of all.
    pub const ENDED: u64 = Number::MAX.get() + 1;

    /// How many members lie between `next` and `max`.
    #[must_use]
    pub fn remaining(&self, step: u64, max: Number) -> u64 {
        if self.next > max.get() {
            0
        } else {
            (max.get() - self.next) / step + 1
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(next: u64) -> CounterState {
        CounterState {
            version: 1,
            generation: 1,
            epoch: 1,
            next,
            last: None,
            last_date: None,
            status: CounterStatus::Open,
            reserved: 0,
            voided: 0,
            free: 0,
            next_expiry: None,
            leases: 0,
            chain: Link::GENESIS,
        }
    }

    #[test]
    fn what_remains_counts_members_not_integers() {
        let max = Number::new(10).unwrap();
        assert_eq!(state(1).remaining(1, max), 10);
        assert_eq!(state(1).remaining(3, max), 4);
        assert_eq!(state(10).remaining(3, max), 1);
        assert_eq!(state(11).remaining(1, max), 0);
        assert_eq!(state(CounterState::ENDED).remaining(1, Number::MAX), 0);
    }

    #[test]
    fn a_run_knows_its_members() {
        let run = Run {
            first: Number::new(5).unwrap(),
            step: 2,
            count: 3,
        };
        assert_eq!(run.numbers().map(Number::get).collect::<Vec<_>>(), [5, 7, 9]);
        assert_eq!(run.last().get(), 9);
        assert_eq!(run.next(), 11);
        let last = Run {
            first: Number::MAX,
            ..run
        };
        assert_eq!(Run { count: 1, ..last }.next(), CounterState::ENDED);
    }
}
