//! Signing checkpoints, and checking their signatures: Ed25519 with keys in PEM files.

use std::path::Path;

use anyhow::Context;
use ed25519_dalek::pkcs8::{DecodePrivateKey, DecodePublicKey};
use ed25519_dalek::{Signer, SigningKey, VerifyingKey};
use seqid_core::checkpoint::{Checkpoint, Signature};

/// The key that this service signs with.
#[derive(Clone)]
pub(crate) struct CheckpointKey(SigningKey);

impl CheckpointKey {
    /// Reads a private key.
    ///
    /// # Errors
    /// Says how to make one.
    pub(crate) fn read(path: &Path) -> anyhow::Result<Self> {
        let pem = std::fs::read_to_string(path)
            .with_context(|| format!("cannot read {}: check SEQID_CHECKPOINT_KEY", path.display()))?;
        let key = SigningKey::from_pkcs8_pem(&pem).with_context(|| {
            format!(
                "{} is not an Ed25519 key in PKCS#8 PEM; `openssl genpkey -algorithm ed25519 -out {0}` makes one",
                path.display()
            )
        })?;
        Ok(Self(key))
    }

    /// The same checkpoint, signed.
    pub(crate) fn sign(&self, mut checkpoint: Checkpoint) -> Checkpoint {
        checkpoint.signature = Some(Signature {
            key: self.0.verifying_key().to_bytes(),
            value: self.0.sign(&checkpoint.signed_bytes()).to_bytes(),
        });
        checkpoint
    }
}

impl std::fmt::Debug for CheckpointKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("CheckpointKey")
    }
}

/// The key that checkpoints must be signed with.
#[derive(Debug, Clone)]
pub(crate) struct PublicKey(VerifyingKey);

impl PublicKey {
    /// Reads a public key.
    ///
    /// # Errors
    /// When the file holds none.
    pub(crate) fn read(path: &Path) -> anyhow::Result<Self> {
        let name = path.display();
        let pem = std::fs::read_to_string(path).with_context(|| format!("cannot read {name}"))?;
        let key = VerifyingKey::from_public_key_pem(&pem).with_context(|| {
            format!("{name} is not an Ed25519 public key in PEM; `openssl pkey -pubout` makes one")
        })?;
        Ok(Self(key))
    }
}

/// Why a checkpoint's signature is not accepted; `None` when it is. Without a key, one that is there must be right.
pub(crate) fn objection(checkpoint: &Checkpoint, required: Option<&PublicKey>) -> Option<&'static str> {
    let Some(Signature { key, value }) = &checkpoint.signature else {
        return required.map(|_| "it is not signed");
    };
    if required.is_some_and(|PublicKey(required)| required.as_bytes() != key) {
        return Some("it is signed with another key");
    }
    let signature = ed25519_dalek::Signature::from_bytes(value);
    let right = VerifyingKey::from_bytes(key)
        .and_then(|key| key.verify_strict(&checkpoint.signed_bytes(), &signature))
        .is_ok();
    (!right).then_some("its signature is wrong")
}

#[cfg(test)]
mod tests {
    use seqid_core::chain::Authority;
    use seqid_core::checkpoint::Heads;
    use seqid_core::time::Timestamp;

    use super::*;

    fn checkpoint(position: u64) -> Checkpoint {
        let heads = Heads {
            authority: Authority([1; 16]),
            incarnation: 1,
            position,
            chains: 1,
            digest: [2; 32],
        };
        Checkpoint::new(heads, Timestamp::from_micros(0))
    }

    #[test]
    fn only_the_signature_of_the_content_is_accepted() {
        let key = |byte| CheckpointKey(SigningKey::from_bytes(&[byte; 32]));
        let public = |key: &CheckpointKey| PublicKey(key.0.verifying_key());
        let (ours, theirs) = (key(1), key(2));
        let signed = ours.sign(checkpoint(1));
        assert_eq!(objection(&signed, Some(&public(&ours))), None);
        assert_eq!(objection(&signed, None), None);
        assert!(objection(&signed, Some(&public(&theirs))).is_some());
        assert_eq!(objection(&checkpoint(1), None), None);
        assert!(objection(&checkpoint(1), Some(&public(&ours))).is_some());
        let moved = Checkpoint {
            signature: signed.signature,
            ..checkpoint(2)
        };
        assert!(objection(&moved, Some(&public(&ours))).is_some());
        assert!(objection(&moved, None).is_some());
    }
}
