//! Numbers that are held for a while: what names a hold, and how long it may last.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use sha2::{Digest, Sha256};

use crate::clock::Seed;
use crate::definition::OnExpiry;
use crate::time::Timestamp;

/// The shortest time for which numbers can be held.
pub const SHORTEST_TTL: Duration = Duration::from_secs(1);
/// The longest time for which numbers can be held.
pub const LONGEST_TTL: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// The name of a reservation: 16 bytes, printed as 32 hex digits. The first half is the instant at which it was made,
/// so that a table of them grows at its end; the other is not to be guessed.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ReservationId(pub [u8; 16]);

impl ReservationId {
    /// The name of the `n`th reservation of a process, made now.
    #[must_use]
    pub fn nth(seed: Seed, n: u64, now: Timestamp) -> Self {
        let mut hash = Sha256::new();
        hash.update(b"seqid reservation");
        hash.update(seed.0.to_be_bytes());
        hash.update(n.to_be_bytes());
        let digest: [u8; 32] = hash.finalize().into();
        let mut id = [0; 16];
        id[..8].copy_from_slice(&now.as_micros().to_be_bytes());
        id[8..].copy_from_slice(&digest[..8]);
        Self(id)
    }
}

impl fmt::Display for ReservationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for ReservationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ReservationId({self})")
    }
}

impl FromStr for ReservationId {
    type Err = InvalidReservationId;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let digits = text.as_bytes();
        let mut id = [0; 16];
        let (pairs, rest) = digits.as_chunks::<2>();
        if pairs.len() != id.len() || !rest.is_empty() {
            return Err(InvalidReservationId);
        }
        for (byte, [high, low]) in id.iter_mut().zip(pairs) {
            *byte = digit(*high)? << 4 | digit(*low)?;
        }
        Ok(Self(id))
    }
}

fn digit(byte: u8) -> Result<u8, InvalidReservationId> {
    match byte {
        b'0'..=b'9' => Ok(byte - b'0'),
        b'a'..=b'f' => Ok(byte - b'a' + 10),
        _ => Err(InvalidReservationId),
    }
}

/// A text that names no reservation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a reservation is named by 32 hex digits in lower case")]
pub struct InvalidReservationId;

/// The hold that an event begins or ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Hold {
    /// Its name.
    pub id: ReservationId,
    /// When it ends unless it is confirmed or voided before.
    pub expires_at: Timestamp,
    /// What becomes of the numbers then.
    pub on_expiry: OnExpiry,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nth(seed: u64, n: u64) -> ReservationId {
        ReservationId::nth(Seed(seed), n, Timestamp::from_micros(1_772_841_600_000_000))
    }

    #[test]
    fn a_name_is_read_back() {
        let id = nth(7, 1);
        assert_eq!(id.to_string().parse(), Ok(id));
        assert_eq!(id.to_string().len(), 32);
        assert_ne!(id, nth(7, 2));
        assert_ne!(id, nth(8, 1));
    }

    #[test]
    fn other_texts_are_no_names() {
        let id = nth(7, 1).to_string();
        for text in [
            "",
            "00",
            &id[1..],
            &format!("{id}0"),
            &id.replace(|c: char| c.is_ascii_digit(), "G"),
        ] {
            assert_eq!(
                text.parse::<ReservationId>(),
                Err(InvalidReservationId),
                "{text:?}"
            );
        }
    }
}
