//! Checking the signatures of checkpoints: Ed25519 with a public key in a PEM file.

use std::path::Path;

use ed25519_dalek::VerifyingKey;
use ed25519_dalek::pkcs8::DecodePublicKey;
use seqid_core::checkpoint::{Checkpoint, Signature};

use crate::error::VerifyError;

/// The key that checkpoints must be signed with.
#[derive(Debug, Clone)]
pub struct PublicKey(VerifyingKey);

impl PublicKey {
    /// Reads a public key.
    ///
    /// # Errors
    /// When the file cannot be read or holds none.
    pub fn read(path: &Path) -> Result<Self, VerifyError> {
        let path_buf = || path.to_owned();
        let pem = std::fs::read_to_string(path).map_err(|source| VerifyError::Read {
            path: path_buf(),
            source,
        })?;
        let key = VerifyingKey::from_public_key_pem(&pem).map_err(|source| VerifyError::Key {
            path: path_buf(),
            source,
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
    use ed25519_dalek::{Signer, SigningKey};
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

    fn signed(key: &SigningKey, mut checkpoint: Checkpoint) -> Checkpoint {
        checkpoint.signature = Some(Signature {
            key: key.verifying_key().to_bytes(),
            value: key.sign(&checkpoint.signed_bytes()).to_bytes(),
        });
        checkpoint
    }

    #[test]
    fn only_the_signature_of_the_content_is_accepted() {
        let key = |byte| SigningKey::from_bytes(&[byte; 32]);
        let public = |key: &SigningKey| PublicKey(key.verifying_key());
        let (ours, theirs) = (key(1), key(2));
        let signed = signed(&ours, checkpoint(1));
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
