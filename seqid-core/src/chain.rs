//! The chain of events: each event's hash covers the one before it, so that an edit, a removal or a
//! change of order shows. One chain per counter, and one per sequence for its definitions.
//!
//! The encoding is length-prefixed and big-endian, so that a database can compute it with its own
//! functions; its test vectors stand in this file. `hash(n) = SHA-256(hash(n - 1) || encoding(event n))`,
//! and the hash before the first event is `SHA-256` of what names the chain.

use std::fmt;

use sha2::{Digest, Sha256};

use crate::event::{Event, Subject};
use crate::names::Number;

/// The head of a chain: how many events it has, and the hash of the last.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Link {
    /// The position of the last event, from 1; 0 when there is none. Dense: completeness is arithmetic on it.
    pub n: u64,
    /// The hash of the last event. All zero before the first, when the chain's name stands in its place.
    pub hash: [u8; 32],
}

impl Link {
    /// A chain without events.
    pub const GENESIS: Link = Link { n: 0, hash: [0; 32] };

    /// The link that `event` makes when it follows this one. `event.n` must be `self.n + 1`.
    #[must_use]
    pub fn follow(&self, authority: &Authority, event: &Event) -> Link {
        let mut hash = Encoder(Sha256::new());
        match self.n {
            0 => hash.name(authority, &event.subject),
            _ => hash.0.update(self.hash),
        }
        hash.event(event);
        Link {
            n: event.n,
            hash: hash.0.finalize().into(),
        }
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.n)?;
        self.hash
            .iter()
            .take(4)
            .try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// The name of one durable store: the only source of its counters' numbers. Made once, never copied to another.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Authority(pub [u8; 16]);

impl fmt::Display for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Authority({self})")
    }
}

/// The name of an event, the same however often it is delivered: 16 bytes, printed as 32 hex digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EventId(pub [u8; 16]);

impl EventId {
    /// The id of an event that `authority` recorded during its `incarnation`.
    #[must_use]
    pub fn of(authority: &Authority, incarnation: u32, event: &Event) -> Self {
        let mut hash = Encoder(Sha256::new());
        hash.name(authority, &event.subject);
        hash.0.update(incarnation.to_be_bytes());
        hash.0.update(event.generation.to_be_bytes());
        hash.0.update(event.epoch.to_be_bytes());
        hash.0.update(event.n.to_be_bytes());
        let digest: [u8; 32] = hash.0.finalize().into();
        let mut id = [0; 16];
        id.copy_from_slice(&digest[..16]);
        Self(id)
    }
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EventId({self})")
    }
}

struct Encoder(Sha256);

impl Encoder {
    /// Begins every chain; another encoding would have another.
    const VERSION: &[u8] = b"seqid chain 1";

    fn name(&mut self, authority: &Authority, subject: &Subject) {
        self.text(Self::VERSION);
        self.0.update(authority.0);
        let sequence = subject.sequence();
        self.text(sequence.tenant.as_str().as_bytes());
        self.text(sequence.prefix.as_str().as_bytes());
        match subject {
            Subject::Sequence(_) => self.absent(),
            Subject::Counter(key) => {
                self.text(key.scope().to_string().as_bytes());
                self.text(key.period().to_string().as_bytes());
            }
        }
    }

    fn event(&mut self, event: &Event) {
        let run = event.run;
        let mut fixed = [0u8; 57];
        let mut at = 0;
        let mut put = |bytes: &[u8]| {
            fixed[at..at + bytes.len()].copy_from_slice(bytes);
            at += bytes.len();
        };
        put(&[event.kind as u8]);
        put(&event.n.to_be_bytes());
        put(&event.generation.to_be_bytes());
        put(&event.epoch.to_be_bytes());
        put(&run.map_or(0, |run| run.first.get()).to_be_bytes());
        put(&run.map_or(0, |run| run.step).to_be_bytes());
        put(&run.map_or(0, |run| run.count).to_be_bytes());
        put(&event.version.to_be_bytes());
        put(&event.at.as_micros().to_be_bytes());
        put(&event
            .date
            .map_or(i32::MIN, crate::time::Date::days_since_epoch)
            .to_be_bytes());
        self.0.update(fixed);
        if event.fields.is_empty() {
            self.absent();
        } else {
            self.text(event.fields.to_string().as_bytes());
        }
        self.optional(event.origin.actor.as_ref());
        self.optional(event.origin.client.as_ref());
        self.optional(event.origin.request.as_ref());
        self.optional(event.reference.as_ref());
        self.optional(event.relates_to.as_ref());
        self.optional(event.reason.as_ref());
        self.optional(event.key.as_ref().map(|keyed| &keyed.key));
        self.optional(event.detail.as_ref());
    }

    fn optional(&mut self, text: Option<&impl AsRef<str>>) {
        match text {
            Some(text) => self.text(text.as_ref().as_bytes()),
            None => self.absent(),
        }
    }

    fn text(&mut self, bytes: &[u8]) {
        // No text that seqid stores comes near 4 GiB.
        self.0
            .update(u32::try_from(bytes.len()).unwrap_or(u32::MAX - 1).to_be_bytes());
        self.0.update(bytes);
    }

    fn absent(&mut self) {
        self.0.update(u32::MAX.to_be_bytes());
    }
}

const _: () = assert!(Number::MAX.get() == i64::MAX as u64);
