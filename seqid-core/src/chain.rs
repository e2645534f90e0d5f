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
        let mut encoder = Encoder::new();
        match self.n {
            0 => encoder.name(authority, &event.subject),
            _ => encoder.bytes(&self.hash),
        }
        encoder.event(event);
        Link {
            n: event.n,
            hash: encoder.digest(),
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
        let mut encoder = Encoder::new();
        encoder.name(authority, &event.subject);
        encoder.bytes(&incarnation.to_be_bytes());
        encoder.bytes(&event.generation.to_be_bytes());
        encoder.bytes(&event.epoch.to_be_bytes());
        encoder.bytes(&event.n.to_be_bytes());
        let mut id = [0; 16];
        id.copy_from_slice(&encoder.digest()[..16]);
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

/// Collects the bytes of an encoding: the digest takes few long pieces faster than many short ones.
struct Encoder {
    hash: Sha256,
    piece: [u8; Self::PIECE],
    filled: usize,
}

impl Encoder {
    /// Begins every chain; another encoding would have another.
    const VERSION: &[u8] = b"seqid chain 1";

    /// Room for the event of a plain draw.
    const PIECE: usize = 256;

    fn new() -> Self {
        Self {
            hash: Sha256::new(),
            piece: [0; Self::PIECE],
            filled: 0,
        }
    }

    fn digest(mut self) -> [u8; 32] {
        self.hash.update(&self.piece[..self.filled]);
        self.hash.finalize().into()
    }

    fn name(&mut self, authority: &Authority, subject: &Subject) {
        self.text(Self::VERSION);
        self.bytes(&authority.0);
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
        self.bytes(&[event.kind as u8]);
        self.bytes(&event.n.to_be_bytes());
        self.bytes(&event.generation.to_be_bytes());
        self.bytes(&event.epoch.to_be_bytes());
        self.bytes(&run.map_or(0, |run| run.first.get()).to_be_bytes());
        self.bytes(&run.map_or(0, |run| run.step).to_be_bytes());
        self.bytes(&run.map_or(0, |run| run.count).to_be_bytes());
        self.bytes(&event.version.to_be_bytes());
        self.bytes(&event.at.as_micros().to_be_bytes());
        let date = event.date.map_or(i32::MIN, crate::time::Date::days_since_epoch);
        self.bytes(&date.to_be_bytes());
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
        self.optional(event.key.as_ref().map(|keyed| keyed.key()));
        if let Some(keyed) = &event.key {
            self.bytes(&keyed.fingerprint().0);
        }
        self.optional(event.detail.as_ref());
        match event.hold.as_deref() {
            Some(hold) => {
                let expires_at = hold.expires_at.as_micros().to_be_bytes();
                let policy = [hold.on_expiry as u8];
                self.text(&[&hold.id.0[..], &expires_at, &policy].concat());
            }
            None => self.absent(),
        }
    }

    fn optional(&mut self, text: Option<&impl AsRef<str>>) {
        match text {
            Some(text) => self.text(text.as_ref().as_bytes()),
            None => self.absent(),
        }
    }

    fn text(&mut self, bytes: &[u8]) {
        // No text that seqid stores comes near 4 GiB.
        let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX - 1);
        self.bytes(&length.to_be_bytes());
        self.bytes(bytes);
    }

    fn absent(&mut self) {
        self.bytes(&u32::MAX.to_be_bytes());
    }

    // Inlined, a copy of so many bytes as are known beforehand is a few instructions.
    #[inline]
    fn bytes(&mut self, bytes: &[u8]) {
        match self.piece.get_mut(self.filled..self.filled + bytes.len()) {
            Some(room) => {
                room.copy_from_slice(bytes);
                self.filled += bytes.len();
            }
            None => self.digest_piece_and(bytes),
        }
    }

    #[cold]
    fn digest_piece_and(&mut self, bytes: &[u8]) {
        self.hash.update(&self.piece[..self.filled]);
        self.hash.update(bytes);
        self.filled = 0;
    }
}

const _: () = assert!(Number::MAX.get() == i64::MAX as u64);

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::counter::{CounterKey, Run, SequenceKey};
    use crate::definition::{Mode, OnExpiry};
    use crate::event::{EventKind, Fingerprint, Keyed, Origin};
    use crate::field::FieldValues;
    use crate::names::{IdempotencyKey, Label, Prefix, Reason, Reference, Tenant};
    use crate::period::{Calendar, MonthDay, Reset};
    use crate::reservation::{Hold, ReservationId};
    use crate::time::{Date, Timestamp};

    const AUTHORITY: Authority = Authority([7; 16]);

    fn plain(n: u64) -> Event {
        let sequence = SequenceKey::new(Tenant::default(), Prefix::new("INV").unwrap());
        let date = Date::new(2026, 3, 7).unwrap();
        let period = Calendar::new(Reset::Year, MonthDay::JANUARY_1).period(date);
        Event {
            kind: EventKind::Issued,
            subject: Subject::Counter(CounterKey::new(
                sequence,
                FieldValues::new([("branch", "JKT")]),
                period,
            )),
            n,
            generation: 1,
            epoch: 1,
            run: Some(Run {
                first: Number::new(41).unwrap(),
                step: 1,
                count: 2,
            }),
            version: 1,
            mode: Mode::Gapless,
            date: Some(date),
            fields: FieldValues::default(),
            origin: Arc::default(),
            reference: None,
            relates_to: None,
            reason: None,
            key: None,
            hold: None,
            detail: None,
            at: Timestamp::from_micros(1_772_841_600_000_001),
        }
    }

    fn full(n: u64) -> Event {
        Event {
            fields: FieldValues::new([("customer", "ACME")]),
            origin: Arc::new(Origin {
                actor: Some(Label::new("alice").unwrap()),
                client: Some(Label::new("erp").unwrap()),
                request: Some(Label::new("req-1").unwrap()),
            }),
            reference: Some(Reference::new("SO-1").unwrap()),
            relates_to: Some(Reference::new("SO-0").unwrap()),
            reason: Some(Reason::new("because").unwrap()),
            key: Some(Keyed::new(
                plain(n).subject.sequence(),
                IdempotencyKey::new("k1").unwrap(),
                Fingerprint([9; 16]),
            )),
            detail: Some("{}".into()),
            hold: Some(Box::new(Hold {
                id: ReservationId([5; 16]),
                expires_at: Timestamp::from_micros(1_772_841_660_000_001),
                on_expiry: OnExpiry::Reuse,
            })),
            ..plain(n)
        }
    }

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// The same bytes, put together by hand as another language would.
    fn by_hand() -> Vec<u8> {
        let text = |text: &str| {
            [
                &u32::try_from(text.len()).unwrap().to_be_bytes()[..],
                text.as_bytes(),
            ]
            .concat()
        };
        let name = [
            text("seqid chain 1"),
            vec![7; 16],
            text("default"),
            text("INV"),
            text("branch=JKT"),
            text("2026"),
        ];
        let event = [
            vec![1],
            1u64.to_be_bytes().to_vec(),
            1u32.to_be_bytes().to_vec(),
            1u32.to_be_bytes().to_vec(),
            41u64.to_be_bytes().to_vec(),
            1u64.to_be_bytes().to_vec(),
            2u64.to_be_bytes().to_vec(),
            1u32.to_be_bytes().to_vec(),
            1_772_841_600_000_001i64.to_be_bytes().to_vec(),
            20_519i32.to_be_bytes().to_vec(),
        ];
        let texts = [
            "customer=ACME",
            "alice",
            "erp",
            "req-1",
            "SO-1",
            "SO-0",
            "because",
            "k1",
        ]
        .map(text);
        let hold = [
            25u32.to_be_bytes().to_vec(),
            vec![5; 16],
            1_772_841_660_000_001i64.to_be_bytes().to_vec(),
            vec![2],
        ];
        let fingerprint = vec![9; 16];
        [
            name.concat(),
            event.concat(),
            texts.concat(),
            fingerprint,
            text("{}"),
            hold.concat(),
        ]
        .concat()
    }

    #[test]
    fn the_encoding_is_the_one_that_is_written_down() {
        let link = Link::GENESIS.follow(&AUTHORITY, &full(1));
        assert_eq!(hex(&link.hash), hex(&Sha256::digest(by_hand())));
    }

    #[test]
    fn vectors_for_other_languages() {
        let first = Link::GENESIS.follow(&AUTHORITY, &plain(1));
        let second = first.follow(&AUTHORITY, &full(2));
        assert_eq!(hex(&first.hash), VECTORS[0]);
        assert_eq!(hex(&second.hash), VECTORS[1]);
        assert_eq!(EventId::of(&AUTHORITY, 1, &plain(1)).to_string(), VECTORS[2]);
    }

    /// Two linked events and the first one's name, computed by another program from the description alone.
    const VECTORS: [&str; 3] = [
        "f475435ec74dfb7cf135f7fbbae6b17c62f8fdf4be9e0faaf8c2d4f9b8c6aed4",
        "2c52d2122fd338b4383dd533e91eec59b83234ded15d250cfc9a759b99d18755",
        "3188a56dfc37e0263f31a1d263317345",
    ];

    #[test]
    fn every_member_counts() {
        let link = |event: &Event| Link::GENESIS.follow(&AUTHORITY, event).hash;
        let original = full(1);
        let changes: Vec<fn(&mut Event)> = vec![
            |event| event.kind = EventKind::Skipped,
            |event| event.n = 2,
            |event| event.generation = 2,
            |event| event.epoch = 2,
            |event| event.run.as_mut().unwrap().first = Number::new(42).unwrap(),
            |event| event.run.as_mut().unwrap().step = 2,
            |event| event.run.as_mut().unwrap().count = 3,
            |event| event.version = 2,
            |event| event.at = Timestamp::from_micros(0),
            |event| event.date = None,
            |event| event.fields = FieldValues::new([("customer", "ACMF")]),
            |event| event.origin = Arc::default(),
            |event| event.reference = None,
            |event| event.relates_to = event.reference.clone(),
            |event| event.reason = None,
            |event| event.key = None,
            |event| {
                let key = IdempotencyKey::new("k1").unwrap();
                let sequence = event.subject.sequence();
                event.key = Some(Keyed::new(sequence, key, Fingerprint([8; 16])));
            },
            |event| event.detail = None,
            |event| event.hold = None,
            |event| event.hold.as_mut().unwrap().id = ReservationId([6; 16]),
            |event| event.hold.as_mut().unwrap().expires_at = Timestamp::from_micros(0),
            |event| event.hold.as_mut().unwrap().on_expiry = OnExpiry::Void,
        ];
        for (at, change) in changes.iter().enumerate() {
            let mut changed = original.clone();
            change(&mut changed);
            assert_ne!(link(&changed), link(&original), "change {at}");
        }
    }

    #[test]
    fn a_text_cannot_move_from_one_member_to_the_next() {
        let mut moved = plain(1);
        moved.reference = Some(Reference::new("SO-1").unwrap());
        let mut other = plain(1);
        other.relates_to = moved.reference.clone();
        let link = |event: &Event| Link::GENESIS.follow(&AUTHORITY, event).hash;
        assert_ne!(link(&moved), link(&other));
    }

    #[test]
    fn an_event_has_another_name_in_another_incarnation() {
        assert_ne!(
            EventId::of(&AUTHORITY, 1, &plain(1)),
            EventId::of(&AUTHORITY, 2, &plain(1))
        );
        assert_eq!(
            EventId::of(&AUTHORITY, 1, &plain(1)),
            EventId::of(&AUTHORITY, 1, &full(1))
        );
    }
}
