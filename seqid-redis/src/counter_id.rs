use std::fmt;
use std::sync::Arc;

use seqid_core::counter::{CounterKey, SequenceKey};
use sha2::{Digest, Sha256};

/// All counters of some sequences. One script reaches all of them, and they share a stream of events.
///
/// Where keys are spread over several servers, those of a bucket stay together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Bucket(u8);

impl Bucket {
    /// How many there are: a batch is of one bucket, so more would make batches smaller, and each has a stream to be looked after;
    /// fewer could not be spread evenly over the primaries of a cluster. It is part of where keys are, and never changes.
    pub const COUNT: u8 = 16;

    /// The bucket of a sequence: its tenant and prefix alone decide, never scope or period.
    #[must_use]
    pub fn of(sequence: &SequenceKey) -> Self {
        let (tenant, prefix) = (sequence.tenant.as_str(), sequence.prefix.as_str());
        let bytes = tenant.bytes().chain([b'/']).chain(prefix.bytes());
        // FNV-1a, for each draw asks.
        let hash = bytes.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte.to_ascii_lowercase())).wrapping_mul(0x0100_0000_01b3)
        });
        let [first, .., last] = hash.to_be_bytes();
        Self((first ^ last) % Self::COUNT)
    }

    /// Every bucket.
    pub fn all() -> impl Iterator<Item = Self> {
        (0..Self::COUNT).map(Self)
    }

    pub(crate) fn index(self) -> usize {
        self.0.into()
    }

    /// What is there once the bucket may be used, and holds the authority.
    pub(crate) fn marker(self, namespace: &str) -> String {
        format!("{namespace}:{{{self}}}:bucket")
    }

    /// The stream of its events.
    pub(crate) fn stream(self, namespace: &str) -> String {
        format!("{namespace}:{{{self}}}:events")
    }
}

impl fmt::Display for Bucket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02}", self.0)
    }
}

/// A counter of one generation as Redis knows it. Cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct CounterId {
    bucket: Bucket,
    name: Arc<str>,
}

impl CounterId {
    /// Names a generation of a counter: another generation has a key of its own, so that nothing which was sent for the one
    /// before reaches it.
    #[must_use]
    pub fn new(counter: &CounterKey, generation: u32) -> Self {
        let sequence = counter.sequence();
        let digest = digest(&[
            sequence.tenant.as_str(),
            &sequence.folded_prefix(),
            &counter.scope().to_string(),
            &counter.period().to_string(),
            &generation.to_string(),
        ]);
        Self {
            bucket: Bucket::of(sequence),
            name: digest[..16]
                .iter()
                .map(|byte| format!("{byte:02x}"))
                .collect::<String>()
                .into(),
        }
    }

    /// Its bucket.
    #[must_use]
    pub fn bucket(&self) -> Bucket {
        self.bucket
    }

    /// 32 hex digits, by which [events](crate::Entry) name it too.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn key(&self, namespace: &str) -> String {
        format!("{namespace}:{{{}}}:c:{}", self.bucket, self.name)
    }
}

/// Each part with its length before it, so that no two lists of parts are one text.
fn digest(parts: &[&str]) -> [u8; 32] {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part.as_bytes());
    }
    hash.finalize().into()
}

#[cfg(test)]
mod tests {
    use seqid_core::field::FieldValues;
    use seqid_core::period::Period;
    use seqid_core::{Prefix, Tenant};

    use super::*;

    fn counter(prefix: &str, branch: &str, generation: u32) -> CounterId {
        let sequence = SequenceKey::new(Tenant::default(), Prefix::new(prefix).unwrap());
        let scope = FieldValues::new([("branch", branch)]);
        CounterId::new(&CounterKey::new(sequence, scope, Period::ALL), generation)
    }

    #[test]
    fn all_counters_of_a_sequence_are_in_one_bucket() {
        let one = counter("INV", "JKT", 1);
        for other in [counter("INV", "SBY", 1), counter("inv", "JKT", 2)] {
            assert_eq!(one.bucket(), other.bucket());
            assert_ne!(one, other);
        }
        assert_eq!(one, counter("inv", "JKT", 1));
    }

    #[test]
    fn sequences_spread_evenly_over_the_buckets() {
        for name in ["INV", "invoice-eu-", "A.B-"] {
            let mut counts = [0; Bucket::COUNT as usize];
            for number in 0..1_600 {
                counts[counter(&format!("{name}{number}"), "JKT", 1).bucket().index()] += 1;
            }
            let even = |count: &i32| (70..=130).contains(count);
            assert!(counts.iter().all(even), "{name}: {counts:?}");
        }
    }

    #[test]
    fn where_a_counter_lies_never_changes() {
        let id = counter("INV", "JKT", 1);
        assert_eq!(
            id.key("seqid"),
            format!("seqid:{{{}}}:c:{}", id.bucket(), id.name())
        );
        assert_eq!(id.key("seqid"), "seqid:{04}:c:9a49248f5eddbdfe82cdeb6a9d675be3");
    }
}
