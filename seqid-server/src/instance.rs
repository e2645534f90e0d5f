//! The name of this instance among those that share a database: kept in its data folder, so that it is the same after a start,
//! and what it had leased before is known to be lost.

use std::fs;
use std::io::{ErrorKind, Write};
use std::path::Path;

use anyhow::{Context, bail};
use seqid_core::clock::Seed;
use seqid_core::names::Label;

/// The file's name in the folder.
const FILE: &str = "instance";

/// Reads the name that is kept in a folder, or makes one up.
///
/// # Errors
/// When the file cannot be read or written, or has something else in it.
pub(crate) fn name(folder: &Path, seed: Seed) -> anyhow::Result<Label> {
    let path = folder.join(FILE);
    let kept = match fs::read_to_string(&path) {
        Ok(kept) => kept,
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let name = format!("{:016x}\n", seed.0);
            fs::create_dir_all(folder)
                .and_then(|()| fs::File::create_new(&path))
                .and_then(|mut file| file.write_all(name.as_bytes()).and_then(|()| file.sync_all()))
                .with_context(|| format!("cannot keep the name of this instance in {}", path.display()))?;
            name
        }
        Err(error) => {
            let message = format!("cannot read the name of this instance from {}", path.display());
            return Err(error).context(message);
        }
    };
    let name = kept.trim_end();
    if name.len() != 16 || !name.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        bail!(
            "{} is not the name of an instance, which is 16 hex digits: remove it, and another one is made up",
            path.display()
        );
    }
    Ok(Label::new(name)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_made_up_once() {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        let made = name(&data, Seed(7)).unwrap();
        assert_eq!(made.as_str(), "0000000000000007");
        assert_eq!(name(&data, Seed(8)).unwrap(), made);
    }

    #[test]
    fn another_file_is_not_taken_for_a_name() {
        let folder = tempfile::tempdir().unwrap();
        for text in ["", "seqid", "00000000000000071", "000000000000000g"] {
            fs::write(folder.path().join(FILE), text).unwrap();
            let error = name(folder.path(), Seed(7)).unwrap_err().to_string();
            assert!(error.contains("is not the name of an instance"), "{error}");
        }
    }
}
