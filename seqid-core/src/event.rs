//! One audit record: who got which numbers, when and why.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use sha2::{Digest, Sha256};

use crate::chain::{Authority, EventId};
use crate::counter::{CounterKey, Run, SequenceKey};
use crate::definition::{Definition, Mode};
use crate::field::FieldValues;
use crate::names::{IdempotencyKey, Label, Reason, Reference};
use crate::reservation::Hold;
use crate::time::{Date, Timestamp};

/// What happened. The numbers are part of the stored form and of the chain: never change one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[repr(u8)]
pub enum EventKind {
    /// The run was issued.
    Issued = 1,
    /// A forward reset jumped over the run: it was not issued and will not be.
    Skipped = 2,
    /// A sync jumped over the run: another system gave these numbers out before.
    External = 3,
    /// A backward reset over numbers that nobody was ever offered: the run lies ahead again.
    Returned = 4,
    /// A forced backward reset: a new generation begins, in which numbers may repeat.
    Restarted = 5,
    /// A version of the definition was saved.
    Defined = 6,
    /// An operator accepted a store that had gone back in time; the run was jumped over, whatever became of it.
    Recovered = 7,
    /// The run is held for a while.
    Reserved = 8,
    /// A held run was issued.
    Confirmed = 9,
    /// The run was declared void: a held one, one that had been issued, or one that nobody was offered.
    Voided = 10,
    /// A hold ended: the run is void, or is offered again where the definition says so.
    Expired = 11,
    /// The sequence was archived: it gives no numbers any more, and is never defined again.
    Archived = 12,
    /// Documents of dates up to the event's date get no numbers.
    Closed = 13,
    /// Documents of dates from the event's date on get numbers again.
    Reopened = 14,
    /// The run is in the hands of a holder, which gives its numbers out and reports them later.
    Leased = 15,
    /// A holder issued the run: at the event's instant, before it was recorded.
    Reported = 16,
    /// Nobody listens to the holder of the run any more: what it had not reported by then is unknown.
    Lost = 17,
    /// What was reported of the counter contradicts itself: it gives no numbers until an operator has looked.
    Frozen = 18,
}

impl EventKind {
    /// Every kind.
    pub const ALL: [EventKind; 18] = [
        Self::Issued,
        Self::Skipped,
        Self::External,
        Self::Returned,
        Self::Restarted,
        Self::Defined,
        Self::Recovered,
        Self::Reserved,
        Self::Confirmed,
        Self::Voided,
        Self::Expired,
        Self::Archived,
        Self::Closed,
        Self::Reopened,
        Self::Leased,
        Self::Reported,
        Self::Lost,
        Self::Frozen,
    ];

    /// The word for it, in JSON and on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Issued => "issued",
            Self::Skipped => "skipped",
            Self::External => "external",
            Self::Returned => "returned",
            Self::Restarted => "restarted",
            Self::Defined => "defined",
            Self::Recovered => "recovered",
            Self::Reserved => "reserved",
            Self::Confirmed => "confirmed",
            Self::Voided => "voided",
            Self::Expired => "expired",
            Self::Archived => "archived",
            Self::Closed => "closed",
            Self::Reopened => "reopened",
            Self::Leased => "leased",
            Self::Reported => "reported",
            Self::Lost => "lost",
            Self::Frozen => "frozen",
        }
    }

    /// The kind that a store wrote as this number.
    #[must_use]
    pub fn from_code(code: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| *kind as u8 == code)
    }
}

/// Who asked, and through what.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Origin {
    /// The person or account.
    pub actor: Option<Label>,
    /// The program.
    pub client: Option<Label>,
    /// The request, so that a call whose answer was lost can be looked up.
    pub request: Option<Label>,
}

/// What an event is about: a counter, or a sequence as a whole.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Subject {
    /// A line of integers.
    Counter(CounterKey),
    /// The sequence: its definitions, its closed dates, its end.
    Sequence(SequenceKey),
}

impl Subject {
    /// The sequence that it belongs to.
    #[must_use]
    pub fn sequence(&self) -> &SequenceKey {
        match self {
            Self::Counter(key) => key.sequence(),
            Self::Sequence(key) => key,
        }
    }

    /// The counter, unless it is a sequence as a whole.
    #[must_use]
    pub fn counter(&self) -> Option<&CounterKey> {
        match self {
            Self::Counter(key) => Some(key),
            Self::Sequence(_) => None,
        }
    }
}

/// A digest of a request as it was sent: a key may be used again only with an equal one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fingerprint(pub [u8; 16]);

/// A digest of an idempotency key with its sequence: the key's name among all of a store. The same for ever.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct KeyName(pub [u8; 16]);

impl KeyName {
    /// The first 16 bytes of the SHA-256 of tenant, prefix and key, each behind its length.
    #[must_use]
    pub fn of(sequence: &SequenceKey, key: &IdempotencyKey) -> Self {
        let mut hash = Sha256::new();
        for part in [sequence.tenant.as_str(), sequence.prefix.as_str(), key.as_str()] {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        }
        let digest: [u8; 32] = hash.finalize().into();
        let mut first = [0; 16];
        first.copy_from_slice(&digest[..16]);
        Self(first)
    }

    /// Its first half: enough for a table whose hits are confirmed.
    #[must_use]
    pub fn hash(&self) -> u64 {
        let mut half = [0; 8];
        half.copy_from_slice(&self.0[..8]);
        u64::from_be_bytes(half)
    }
}

impl Hash for KeyName {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(Self::hash(self));
    }
}

/// An idempotency key with the digest of the request that it came with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Keyed {
    key: IdempotencyKey,
    fingerprint: Fingerprint,
    name: KeyName,
}

impl Keyed {
    /// A key of a sequence. Its name is made here, by the caller, so that the one thread that writes need not.
    #[must_use]
    pub fn new(sequence: &SequenceKey, key: IdempotencyKey, fingerprint: Fingerprint) -> Self {
        let name = KeyName::of(sequence, &key);
        Self {
            key,
            fingerprint,
            name,
        }
    }

    /// The key, unique within its sequence.
    #[must_use]
    pub const fn key(&self) -> &IdempotencyKey {
        &self.key
    }

    /// The request's digest.
    #[must_use]
    pub const fn fingerprint(&self) -> Fingerprint {
        self.fingerprint
    }

    /// The key's name.
    #[must_use]
    pub const fn name(&self) -> KeyName {
        self.name
    }
}

/// One audit record, as the ledger decides it and a store keeps it for ever.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// What happened.
    pub kind: EventKind,
    /// The counter or sequence that it happened to.
    pub subject: Subject,
    /// Its position in the subject's chain, from 1 without a gap.
    pub n: u64,
    /// The counter's generation; 0 for a sequence.
    pub generation: u32,
    /// The counter's epoch; 0 for a sequence.
    pub epoch: u32,
    /// The numbers concerned.
    pub run: Option<Run>,
    /// The definition version that the ids are rendered with.
    pub version: u32,
    /// The guarantee under which the numbers were given.
    pub mode: Mode,
    /// The document date; of a sequence, the date through which it is closed, or from which it is open again.
    pub date: Option<Date>,
    /// Values of the free fields of the id.
    pub fields: FieldValues,
    /// Who asked.
    pub origin: Arc<Origin>,
    /// The caller's key of the document.
    pub reference: Option<Reference>,
    /// The document that this one belongs to or corrects.
    pub relates_to: Option<Reference>,
    /// Why.
    pub reason: Option<Reason>,
    /// The idempotency key of the request.
    pub key: Option<Keyed>,
    /// The hold that it begins or ends.
    pub hold: Option<Box<Hold>>,
    /// What does not fit elsewhere, as JSON: for `defined`, the definition; for what concerns a lease, the lease.
    pub detail: Option<Arc<str>>,
    /// When the store decided it.
    pub at: Timestamp,
}

/// An event with its place in the store that recorded it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Recorded {
    /// The event's name, equal at each delivery.
    pub id: EventId,
    /// The store that recorded it.
    pub authority: Authority,
    /// Its place in the store's log: rises from event to event, may leave gaps.
    pub position: u64,
    /// The event.
    pub event: Event,
    /// The event's hash in its chain.
    pub hash: [u8; 32],
    /// The text of the run's first and last number, for kinds that concern rendered numbers.
    pub ids: Option<(String, String)>,
}

impl Recorded {
    /// Puts an event together with what its store knows of it.
    #[must_use]
    pub fn new(
        authority: Authority,
        incarnation: u32,
        position: u64,
        hash: [u8; 32],
        event: Event,
        ids: Option<(String, String)>,
    ) -> Self {
        Self {
            id: EventId::of(&authority, incarnation, &event),
            authority,
            position,
            event,
            hash,
            ids,
        }
    }
}

impl Event {
    /// The text of the run's first and last number, as this definition writes them.
    ///
    /// It must be the version that the event names. `None` for an event without numbers that were issued.
    #[must_use]
    pub fn ids(&self, definition: &Definition) -> Option<(String, String)> {
        let (run, key) = (self.run?, self.subject.counter()?);
        let text = definition
            .template()
            .fixed(self.date?, key.period(), key.scope(), &self.fields)
            .ok()?;
        let id = |number| {
            let mut id = String::new();
            text.render(number, self.at, &mut id).ok().map(|()| id)
        };
        Some((id(run.first)?, id(run.last())?))
    }
}
