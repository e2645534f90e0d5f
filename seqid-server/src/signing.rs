//! Signing checkpoints: Ed25519 with a private key in a PEM file. `seqid-verify` checks signatures.

use std::path::Path;

use anyhow::Context;
use ed25519_dalek::pkcs8::DecodePrivateKey;
use ed25519_dalek::{Signer, SigningKey};
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
