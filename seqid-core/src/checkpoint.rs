//! Checkpoints: a few bytes, kept elsewhere, that say what all chains were at a moment.
//!
//! A chain shows that an event was edited, moved or taken out of its middle. That its end was cut off, that a counter
//! was removed as a whole or that everything was written anew shows only against something kept where the store's
//! writer cannot reach it.
//!
//! A [`Checkpoint`] is one line of JSON. Its `heads` is the SHA-256 over the heads of all chains in the order of their
//! names, so that it can be made from the store's tables, and again from the events up to its position alone. Its
//! `hash` is the SHA-256 of the line without the members `hash`, `key` and `signature`, and the next checkpoint
//! names it: none can be left out of a file of them unnoticed.

use std::fmt;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::chain::{Authority, Link};
use crate::event::Subject;
use crate::hex;
use crate::time::Timestamp;

/// The heads of all chains of a store at one position of its log, as a digest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Heads {
    /// The store.
    pub authority: Authority,
    /// Its incarnation.
    pub incarnation: u32,
    /// The position of the last event that the heads know of.
    pub position: u64,
    /// How many chains there are.
    pub chains: u64,
    /// Their digest: see [`HeadsDigest`].
    pub digest: [u8; 32],
}

/// What a chain is called among all of a store. Chains are ordered by the bytes of tenant, prefix, scope and period; that
/// of a sequence's definitions has neither scope nor period, and stands before those of its counters.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ChainName {
    tenant: String,
    prefix: String,
    counter: Option<(String, String)>,
}

impl ChainName {
    /// The name by its texts: tenant, prefix, and a counter's scope and period.
    #[must_use]
    pub const fn new(tenant: String, prefix: String, counter: Option<(String, String)>) -> Self {
        Self {
            tenant,
            prefix,
            counter,
        }
    }
}

impl From<&Subject> for ChainName {
    fn from(subject: &Subject) -> Self {
        let sequence = subject.sequence();
        Self {
            tenant: sequence.tenant.to_string(),
            prefix: sequence.prefix.to_string(),
            counter: subject
                .counter()
                .map(|key| (key.scope().to_string(), key.period().to_string())),
        }
    }
}

impl fmt::Display for ChainName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.tenant, self.prefix)?;
        match &self.counter {
            None => f.write_str(" definitions"),
            Some((scope, period)) if scope.is_empty() => write!(f, " {period}"),
            Some((scope, period)) => write!(f, " {period} {scope}"),
        }
    }
}

/// Digests heads one by one, in the order of their names.
///
/// `SHA-256(text("seqid heads 1") || authority || head || head ...)`, where a head is `text(tenant) || text(prefix) ||
/// text(scope) || text(period) || n || hash` with `ff ff ff ff` in place of scope and period for a sequence's
/// definitions. A text is its length in four bytes and its UTF-8; integers are big-endian, `n` has eight bytes.
#[derive(Debug, Clone)]
pub struct HeadsDigest {
    hash: Sha256,
    chains: u64,
}

impl HeadsDigest {
    const VERSION: &str = "seqid heads 1";

    /// A digest of no heads of a store.
    #[must_use]
    pub fn new(authority: &Authority) -> Self {
        let mut digest = Self {
            hash: Sha256::new(),
            chains: 0,
        };
        digest.text(Self::VERSION);
        digest.hash.update(authority.0);
        digest
    }

    /// Adds a head. Names must rise.
    pub fn add(&mut self, name: &ChainName, head: &Link) {
        self.chains += 1;
        self.text(&name.tenant);
        self.text(&name.prefix);
        match &name.counter {
            Some((scope, period)) => {
                self.text(scope);
                self.text(period);
            }
            None => self.hash.update(u32::MAX.to_be_bytes()),
        }
        self.hash.update(head.n.to_be_bytes());
        self.hash.update(head.hash);
    }

    /// How many heads there were, and their digest.
    #[must_use]
    pub fn finish(self) -> (u64, [u8; 32]) {
        (self.chains, self.hash.finalize().into())
    }

    /// Digests heads that stand in any order.
    #[must_use]
    pub fn of(authority: &Authority, mut heads: Vec<(ChainName, Link)>) -> (u64, [u8; 32]) {
        heads.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
        let mut digest = Self::new(authority);
        for (name, head) in &heads {
            digest.add(name, head);
        }
        digest.finish()
    }

    fn text(&mut self, text: &str) {
        let length = u32::try_from(text.len()).unwrap_or(u32::MAX - 1);
        self.hash.update(length.to_be_bytes());
        self.hash.update(text);
    }
}

/// What all chains of a store were at a moment: see the [module](self).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    /// The heads.
    pub heads: Heads,
    /// When it was made.
    pub at: Timestamp,
    /// The hash of the checkpoint before it in the same file.
    pub previous: Option<[u8; 32]>,
    /// Who vouches for it.
    pub signature: Option<Signature>,
}

/// An Ed25519 signature of a checkpoint's [signed bytes](Checkpoint::signed_bytes).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signature {
    /// The public key.
    pub key: [u8; 32],
    /// The signature.
    pub value: [u8; 64],
}

impl Checkpoint {
    /// A checkpoint without one before it, and without a signature.
    #[must_use]
    pub const fn new(heads: Heads, at: Timestamp) -> Self {
        Self {
            heads,
            at,
            previous: None,
            signature: None,
        }
    }

    /// The bytes that are hashed and signed: the JSON object without the members `hash`, `key` and `signature`.
    #[must_use]
    pub fn signed_bytes(&self) -> Vec<u8> {
        // A structure of texts and integers is always JSON.
        serde_json::to_vec(&self.content()).unwrap_or_default()
    }

    /// What the next checkpoint names it by.
    #[must_use]
    pub fn hash(&self) -> [u8; 32] {
        Sha256::digest(self.signed_bytes()).into()
    }

    /// Reads a line.
    ///
    /// # Errors
    /// [`InvalidCheckpoint`] when it is not one, or not as it was written.
    pub fn from_json(line: &str) -> Result<Self, InvalidCheckpoint> {
        let document: Document = serde_json::from_str(line).map_err(InvalidCheckpoint::Json)?;
        let checkpoint = document.checkpoint()?;
        if hex::encode(&checkpoint.hash()) == document.hash {
            Ok(checkpoint)
        } else {
            Err(InvalidCheckpoint::Edited)
        }
    }

    /// One line, without its end.
    #[must_use]
    pub fn to_json(&self) -> String {
        serde_json::to_string(&self.document()).unwrap_or_default()
    }

    fn content(&self) -> Content {
        let Heads {
            authority,
            incarnation,
            position,
            chains,
            digest,
        } = self.heads;
        Content {
            format: FORMAT.to_owned(),
            authority: authority.to_string(),
            incarnation,
            position,
            at: self.at,
            chains,
            heads: hex::encode(&digest),
            previous: self.previous.map(|hash| hex::encode(&hash)),
        }
    }

    fn document(&self) -> Document {
        let signature = self.signature.as_ref();
        let Content {
            format,
            authority,
            incarnation,
            position,
            at,
            chains,
            heads,
            previous,
        } = self.content();
        Document {
            format,
            authority,
            incarnation,
            position,
            at,
            chains,
            heads,
            previous,
            hash: hex::encode(&self.hash()),
            key: signature.map(|signature| hex::encode(&signature.key)),
            signature: signature.map(|signature| hex::encode(&signature.value)),
        }
    }
}

impl Serialize for Checkpoint {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.document().serialize(serializer)
    }
}

/// Why a line is not a checkpoint.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidCheckpoint {
    /// It is not the JSON of one.
    #[error("is not a checkpoint")]
    Json(#[source] serde_json::Error),
    /// It is of a format that this program does not know.
    #[error("has the format {0:?}, this program knows {FORMAT:?}")]
    Format(String),
    /// A member is not what it must be.
    #[error("has a member {0} that is not as a checkpoint writes it")]
    Member(&'static str),
    /// It was edited.
    #[error("was edited: its hash is not that of its content")]
    Edited,
}

const FORMAT: &str = "seqid checkpoint 1";

/// The members that the hash covers, in their order.
#[derive(Debug, Serialize)]
struct Content {
    format: String,
    authority: String,
    incarnation: u32,
    position: u64,
    at: Timestamp,
    chains: u64,
    heads: String,
    previous: Option<String>,
}

/// All members, in their order. (Flattening would let unknown ones in.)
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    format: String,
    authority: String,
    incarnation: u32,
    position: u64,
    at: Timestamp,
    chains: u64,
    heads: String,
    previous: Option<String>,
    hash: String,
    key: Option<String>,
    signature: Option<String>,
}

impl Document {
    fn checkpoint(&self) -> Result<Checkpoint, InvalidCheckpoint> {
        use InvalidCheckpoint::Member;
        if self.format != FORMAT {
            return Err(InvalidCheckpoint::Format(self.format.clone()));
        }
        let previous = match &self.previous {
            Some(hash) => Some(hex::decode(hash).ok_or(Member("previous"))?),
            None => None,
        };
        let signature = match (&self.key, &self.signature) {
            (None, None) => None,
            (Some(key), Some(value)) => Some(Signature {
                key: hex::decode(key).ok_or(Member("key"))?,
                value: hex::decode(value).ok_or(Member("signature"))?,
            }),
            (None, _) => return Err(Member("key")),
            (_, None) => return Err(Member("signature")),
        };
        Ok(Checkpoint {
            heads: Heads {
                authority: Authority(hex::decode(&self.authority).ok_or(Member("authority"))?),
                incarnation: self.incarnation,
                position: self.position,
                chains: self.chains,
                digest: hex::decode(&self.heads).ok_or(Member("heads"))?,
            },
            at: self.at,
            previous,
            signature,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AUTHORITY: Authority = Authority([7; 16]);

    fn heads() -> Vec<(ChainName, Link)> {
        let name = |counter: Option<(&str, &str)>| {
            let counter = counter.map(|(scope, period)| (scope.to_owned(), period.to_owned()));
            ChainName::new("default".into(), "INV".into(), counter)
        };
        vec![
            (name(Some(("branch=JKT", "2026"))), Link { n: 2, hash: [2; 32] }),
            (name(None), Link { n: 1, hash: [1; 32] }),
        ]
    }

    fn checkpoint() -> Checkpoint {
        let (chains, digest) = HeadsDigest::of(&AUTHORITY, heads());
        Checkpoint::new(
            Heads {
                authority: AUTHORITY,
                incarnation: 1,
                position: 3,
                chains,
                digest,
            },
            Timestamp::from_micros(1_772_841_600_000_001),
        )
    }

    /// Computed by another program from the description alone.
    const DIGEST: &str = "f4d05785f21748cb64f16751e051b14976c268abf6bd2da9b7a87666e6c89d86";
    const HASH: &str = "ffd0c21490c8aad6f34c07eee9289c4160eee2ac8e6a4f95e2cc43c5bb989609";

    #[test]
    fn vectors_for_other_languages() {
        let checkpoint = checkpoint();
        assert_eq!(hex::encode(&checkpoint.heads.digest), DIGEST);
        assert_eq!(hex::encode(&checkpoint.hash()), HASH);
    }

    #[test]
    fn the_line_is_the_one_that_is_written_down() {
        let text = format!(
            r#"{{"format":"seqid checkpoint 1","authority":"07070707070707070707070707070707","incarnation":1,"position":3,"at":"2026-03-07T00:00:00.000001Z","chains":2,"heads":"{DIGEST}","previous":null"#
        );
        assert_eq!(
            String::from_utf8(checkpoint().signed_bytes()).unwrap(),
            format!("{text}}}")
        );
        assert_eq!(
            checkpoint().to_json(),
            format!(r#"{text},"hash":"{HASH}","key":null,"signature":null}}"#)
        );
    }

    #[test]
    fn a_checkpoint_is_read_as_it_was_written() {
        let mut signed = checkpoint();
        signed.previous = Some([3; 32]);
        signed.signature = Some(Signature {
            key: [4; 32],
            value: [5; 64],
        });
        for checkpoint in [checkpoint(), signed] {
            assert_eq!(Checkpoint::from_json(&checkpoint.to_json()).unwrap(), checkpoint);
        }
    }

    #[test]
    fn an_edited_line_is_refused() {
        let line = checkpoint().to_json();
        for (from, to) in [
            (r#""position":3"#, r#""position":4"#),
            (r#""incarnation":1"#, r#""incarnation":2"#),
            (r#""chains":2"#, r#""chains":3"#),
            ("0707", "0708"),
            ("00:00:00", "00:00:01"),
            (r#""previous":null"#, r#""previous":"00""#),
            (r#""key":null"#, r#""key":"00""#),
            ("checkpoint 1", "checkpoint 2"),
            (r#""chains""#, r#""other":1,"chains""#),
        ] {
            assert!(line.contains(from), "{from}");
            Checkpoint::from_json(&line.replacen(from, to, 1)).expect_err(from);
        }
    }

    #[test]
    fn the_order_of_the_names_is_that_of_their_bytes() {
        let name = |prefix: &str, counter: Option<(&str, &str)>| {
            let counter = counter.map(|(scope, period)| (scope.to_owned(), period.to_owned()));
            ChainName::new("default".into(), prefix.into(), counter)
        };
        let sorted = [
            name("A", None),
            name("A", Some(("", "2026"))),
            name("A", Some(("", "2027"))),
            name("A", Some(("branch=JKT", "2026"))),
            name("A-B", None),
            name("B", None),
            name("a", None),
        ];
        assert!(sorted.is_sorted());
    }
}
