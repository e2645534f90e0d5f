use std::fs::{self, File};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use rusqlite::Connection;
use seqid_sqlite::SqliteConfig;
use tempfile::TempDir;

use crate::callers::current_thread;
use crate::embedded::Embedded;

/// Where the databases lie: a folder on the disk that is to be measured.
#[derive(Debug)]
pub struct Folder(PathBuf);

impl Folder {
    /// The folder that `SEQID_BENCH_DIR` names, or else this one.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn from_env_or(default: &str) -> Result<Self> {
        let path = std::env::var_os("SEQID_BENCH_DIR").map_or_else(|| default.into(), PathBuf::from);
        fs::create_dir_all(&path).with_context(|| format!("{} cannot be made", path.display()))?;
        Ok(Self(path))
    }

    /// A folder in it that goes when it is dropped.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn scratch(&self) -> Result<TempDir> {
        Ok(tempfile::Builder::new().prefix("seqid-").tempdir_in(&self.0)?)
    }

    /// A database that is filled once and kept for later runs, until the store's schema changes.
    ///
    /// # Errors
    /// Those of `fill`, and of the disk.
    pub fn filled(&self, name: &str, fill: impl FnOnce(&Path) -> Result<()>) -> Result<PathBuf> {
        let folder = self.0.join(format!("{name}-{:016x}", self.schema()?));
        if !folder.exists() {
            let unfinished = self.scratch()?;
            fill(&unfinished.path().join("seqid.db")).with_context(|| format!("{name} cannot be filled"))?;
            fs::rename(unfinished.keep(), &folder)?;
        }
        Ok(folder.join("seqid.db"))
    }

    /// A digest of the schema that the store makes today.
    fn schema(&self) -> Result<u64> {
        let scratch = self.scratch()?;
        let path = scratch.path().join("seqid.db");
        current_thread()?.block_on(Embedded::open(&path)?.close())?;
        let schema: String =
            Connection::open(&path)?.query_row("SELECT group_concat(sql) FROM sqlite_schema", [], |row| {
                row.get(0)
            })?;
        let mut hasher = DefaultHasher::new();
        schema.hash(&mut hasher);
        Ok(hasher.finish())
    }
}

/// Copies the file of a closed store, so that a run may write to it. The store notices copies, and refuses them;
/// this one is told that it lies where it belongs.
///
/// # Errors
/// Those of the disk.
pub fn copy_store(from: &Path, to: &Path) -> Result<()> {
    let sidecar = |path| SqliteConfig::new(path).sidecar_path();
    fs::copy(from, to)?;
    fs::copy(sidecar(from), sidecar(to))?;
    let inode = fs::metadata(to)?.ino().cast_signed();
    Connection::open(to)?.execute("UPDATE incarnation SET inode = ?1", [inode])?;
    // Else the copy would still be on its way to the disk while its commits are measured.
    Ok(File::open(to)?.sync_all()?)
}
