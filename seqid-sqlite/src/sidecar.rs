//! The sidecar: a small file that remembers how far the numbers had come, so that a database that lost its
//! newest part is noticed. Written after the commit that it speaks of, so that it is never ahead of one.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::config::{SqliteConfig, beside};

/// What the sidecar says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Sidecar {
    /// The store's name, in hex.
    pub(crate) authority: String,
    /// The incarnation that wrote it.
    pub(crate) incarnation: u32,
    /// The position of the last event recorded.
    pub(crate) position: u64,
    /// That event's hash, in hex.
    pub(crate) hash: String,
}

impl Sidecar {
    /// The sidecar of a database, or `None` when there is none that can be read.
    pub(crate) fn read(config: &SqliteConfig) -> io::Result<Option<Self>> {
        match fs::read(config.sidecar_path()) {
            Ok(text) => Ok(serde_json::from_slice(&text).ok()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Puts it on the disk in place of the one before.
    pub(crate) fn write(&self, config: &SqliteConfig) -> io::Result<()> {
        let path = config.sidecar_path();
        let new = beside(&path, "-new");
        let mut file = File::create(&new)?;
        file.write_all(&serde_json::to_vec(self)?)?;
        file.sync_data()?;
        fs::rename(&new, &path)
    }
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes
        .iter()
        .fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
            let _infallible = write!(text, "{byte:02x}");
            text
        })
}

/// Makes the names in a folder durable.
pub(crate) fn sync_folder_of(path: &Path) -> io::Result<()> {
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    File::open(folder)?.sync_all()
}
