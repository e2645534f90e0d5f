//! A copy of a database that is in use.

use std::fs::File;
use std::path::Path;

use rusqlite::Connection;
use rusqlite::backup::{Backup, StepResult};

use crate::config::SqliteConfig;
use crate::database;
use crate::error::OpenError;

/// Copies the database to a new file while it may be written to, by this process or another. The copy is whole as of
/// one moment. It is noticed as a copy when it is opened in the place of the original: see [`recover`](crate::recover).
///
/// # Errors
/// [`OpenError`] when the database cannot be read, or the new file exists or cannot be written.
pub fn backup(config: &SqliteConfig, to: &Path) -> Result<(), OpenError> {
    if let Err(source) = File::options().write(true).create_new(true).open(to) {
        return Err(OpenError::Folder {
            path: to.to_owned(),
            source,
        });
    }
    let copied = database::open_reader(&config.path).and_then(|source| {
        copy(&source, to)?;
        database::require_sound(&Connection::open(to)?)
    });
    copied.map_err(|source| {
        // An empty or half-written file would look like a backup.
        let _removed = std::fs::remove_file(to);
        database::sqlite_error(config, source)
    })
}

/// Copies what a connection sees into a file, in one step, so that no writer makes it begin again.
pub(crate) fn copy(source: &Connection, to: &Path) -> rusqlite::Result<()> {
    let mut target = Connection::open(to)?;
    let copy = Backup::new(source, &mut target)?;
    loop {
        match copy.step(-1)? {
            StepResult::Done => break,
            _ => std::thread::sleep(std::time::Duration::from_millis(10)),
        }
    }
    Ok(())
}
