use std::io;
use std::path::PathBuf;

use seqid_core::checkpoint::InvalidCheckpoint;

/// Why nothing was verified: what was named cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum VerifyError {
    /// A file cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A file is not a public key.
    #[error("{} is not an Ed25519 public key in PEM; `openssl pkey -pubout` makes one", path.display())]
    Key {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: ed25519_dalek::pkcs8::spki::Error,
    },
    /// A checkpoint is not JSON.
    #[error("{checkpoint} is not JSON")]
    Json {
        /// Which one.
        checkpoint: String,
        /// What is wrong with it.
        source: serde_json::Error,
    },
    /// What should be a checkpoint is something else.
    #[error("{checkpoint}")]
    Checkpoint {
        /// Which one.
        checkpoint: String,
        /// What is wrong with it.
        source: InvalidCheckpoint,
    },
    /// A file holds nothing that could be verified.
    #[error("{} holds no {what}", path.display())]
    Empty {
        /// The file.
        path: PathBuf,
        /// What it should hold.
        what: &'static str,
    },
}
