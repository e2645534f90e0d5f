use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::sweep::TRAIL;

/// Where the file lies, and what is kept for how long.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct SqliteConfig {
    /// The database file. Its folder is made when it does not exist; it must be on a local disk.
    pub path: PathBuf,
    /// How long an idempotency key is remembered: 30 days unless set, at least a day.
    pub key_retention: Duration,
    /// See [`sweep`](crate::sweep): another value is for tests.
    pub(crate) trail: u64,
}

impl SqliteConfig {
    /// The shortest time that keys may be remembered for.
    pub const SHORTEST_KEY_RETENTION: Duration = Duration::from_secs(24 * 60 * 60);

    /// A store in this file.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            key_retention: 30 * Self::SHORTEST_KEY_RETENTION,
            trail: TRAIL,
        }
    }

    /// Remembers keys for so long, but at least a day.
    #[must_use]
    pub fn key_retention(mut self, retention: Duration) -> Self {
        self.key_retention = retention.max(Self::SHORTEST_KEY_RETENTION);
        self
    }

    /// The file that holds the lock of the one process that writes.
    #[must_use]
    pub fn lock_path(&self) -> PathBuf {
        beside(&self.path, "-lock")
    }

    /// The file that remembers the last link of the chain.
    #[must_use]
    pub fn sidecar_path(&self) -> PathBuf {
        beside(&self.path, "-sidecar")
    }
}

/// The path with something appended to its file name.
pub(crate) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}
