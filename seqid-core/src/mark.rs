//! What became of the numbers that were not plainly issued: one mark for each run of them. Every number from a
//! counter's start to its last that bears no mark was issued, so that a draw makes none.

use std::collections::BTreeMap;

use crate::counter::Run;
use crate::field::FieldValues;
use crate::names::Reference;
use crate::reservation::{Hold, ReservationId};
use crate::time::{Date, Timestamp};

/// What became of a number. The codes are part of the stored form: never change one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
#[repr(u8)]
pub enum NumberState {
    /// It is held, and will be confirmed, voided, or let go.
    Reserved = 1,
    /// Somebody declared it void. It stays taken.
    Voided = 2,
    /// Its hold ended. It stays taken.
    Expired = 3,
    /// Its hold ended, and it is offered again.
    Free = 4,
    /// A forward reset jumped over it.
    Skipped = 5,
    /// Another system gave it out.
    External = 6,
    /// An operator accepted a store that had gone back in time, or the holder of a lease is gone: whatever became of it.
    Unknown = 7,
    /// The holder of a lease has it, and has not reported yet what became of it.
    Pending = 8,
}

impl NumberState {
    /// Every state.
    pub const ALL: [NumberState; 8] = [
        Self::Reserved,
        Self::Voided,
        Self::Expired,
        Self::Free,
        Self::Skipped,
        Self::External,
        Self::Unknown,
        Self::Pending,
    ];

    /// The word for it, in JSON and on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Reserved => "reserved",
            Self::Voided => "voided",
            Self::Expired => "expired",
            Self::Free => "free",
            Self::Skipped => "skipped",
            Self::External => "external",
            Self::Unknown => "unknown",
            Self::Pending => "pending",
        }
    }

    /// The state that a store wrote as this number.
    #[must_use]
    pub fn from_code(code: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|state| *state as u8 == code)
    }
}

/// A run of numbers that were not plainly issued, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mark {
    /// The numbers. The first names the mark within its counter's generation.
    pub run: Run,
    /// The counter's generation.
    pub generation: u32,
    /// The counter's epoch when the event was recorded.
    pub epoch: u32,
    /// What became of them.
    pub state: NumberState,
    /// The hold, of numbers that are or were reserved.
    pub hold: Option<Hold>,
    /// The document date that goes with the numbers.
    pub date: Option<Date>,
    /// Values of the free fields of their ids.
    pub fields: FieldValues,
    /// The caller's key of the document, of numbers that are or were reserved.
    pub reference: Option<Reference>,
    /// The document that this one belongs to or corrects.
    pub relates_to: Option<Reference>,
    /// The position in the counter's chain of the event that says so.
    pub n: u64,
}

impl Mark {
    /// Whether it is a hold that has ended by `now`.
    #[must_use]
    pub fn is_due(&self, now: Timestamp) -> bool {
        self.state == NumberState::Reserved && self.hold.is_none_or(|hold| hold.expires_at <= now)
    }

    /// What it is at an instant: a hold that has ended counts as expired before a write has seen it.
    #[must_use]
    pub fn state_at(&self, now: Timestamp) -> NumberState {
        if self.is_due(now) {
            NumberState::Expired
        } else {
            self.state
        }
    }
}

/// The marks of one counter, for stores that keep them in memory.
#[derive(Debug, Clone, Default)]
pub struct Marks(BTreeMap<(u32, u64), Mark>);

impl Marks {
    /// Puts a mark in, or takes the one away that begins there.
    pub fn set(&mut self, generation: u32, first: u64, mark: Option<Mark>) {
        match mark {
            Some(mark) => self.0.insert((generation, first), mark),
            None => self.0.remove(&(generation, first)),
        };
    }

    /// The hold of a reservation that begins at `first`.
    #[must_use]
    pub fn held(&self, generation: u32, first: u64, id: ReservationId) -> Option<&Mark> {
        self.0
            .get(&(generation, first))
            .filter(|mark| mark.state == NumberState::Reserved && mark.hold.is_some_and(|hold| hold.id == id))
    }

    /// The holds that end first.
    #[must_use]
    pub fn ending(&self, limit: usize) -> Vec<Mark> {
        let mut holds: Vec<Mark> = self.in_state(NumberState::Reserved).cloned().collect();
        holds.sort_by_key(|mark| mark.hold.map(|hold| hold.expires_at));
        holds.truncate(limit);
        holds
    }

    /// The lowest free numbers of a generation.
    #[must_use]
    pub fn free(&self, generation: u32, limit: usize) -> Vec<Mark> {
        self.in_state(NumberState::Free)
            .filter(|mark| mark.generation == generation)
            .take(limit)
            .cloned()
            .collect()
    }

    /// The marks of a generation that have a number from `first` to `last`, in order.
    pub fn within(&self, generation: u32, first: u64, last: u64) -> impl Iterator<Item = &Mark> {
        self.0
            .range((generation, 0)..=(generation, last))
            .map(|(_, mark)| mark)
            .filter(move |mark| mark.run.last().get() >= first)
    }

    /// Every mark, in the order of generation and number.
    pub fn iter(&self) -> impl Iterator<Item = &Mark> {
        self.0.values()
    }

    fn in_state(&self, state: NumberState) -> impl Iterator<Item = &Mark> {
        self.0.values().filter(move |mark| mark.state == state)
    }
}
