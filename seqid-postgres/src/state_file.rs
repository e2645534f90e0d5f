//! The file in which an instance keeps the last event that it was answered for, so that a database that went back in time
//! is noticed after a restart too.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

use seqid_core::chain::{Authority, Link};

/// What the file says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct State {
    /// The store.
    pub(crate) authority: Authority,
    /// Its incarnation: an operator accepted the database when a later one began.
    pub(crate) incarnation: u32,
    /// The event's chain.
    pub(crate) chain: i64,
    /// The chain's head at that event.
    pub(crate) head: Link,
}

impl State {
    /// Reads a file. `None` if there is none.
    ///
    /// # Errors
    /// When it cannot be read, or says something else than this program writes.
    pub(crate) fn read(path: &Path) -> io::Result<Option<Self>> {
        match fs::read_to_string(path) {
            Ok(text) => {
                let damaged =
                    || io::Error::new(io::ErrorKind::InvalidData, "the file is not a state of seqid");
                Self::parse(&text).map(Some).ok_or_else(damaged)
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn parse(text: &str) -> Option<Self> {
        let mut words = text.split_ascii_whitespace();
        let mut word = || words.next();
        (word()? == "seqid-postgres-state-1").then_some(())?;
        let state = Self {
            authority: Authority(bytes(word()?)?),
            incarnation: word()?.parse().ok()?,
            chain: word()?.parse().ok()?,
            head: Link {
                n: word()?.parse().ok()?,
                hash: bytes(word()?)?,
            },
        };
        word().is_none().then_some(state)
    }

    /// Writes a file anew: it is whole, whatever happens meanwhile.
    ///
    /// # Errors
    /// Those of the disk.
    pub(crate) fn write(&self, path: &Path) -> io::Result<()> {
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        let half = path.with_added_extension("half");
        let mut file = File::create(&half)?;
        let Link { n, hash } = self.head;
        let hash: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
        let (authority, incarnation, chain) = (self.authority, self.incarnation, self.chain);
        writeln!(
            file,
            "seqid-postgres-state-1 {authority} {incarnation} {chain} {n} {hash}"
        )?;
        file.sync_all()?;
        fs::rename(&half, path)
    }
}

fn bytes<const N: usize>(digits: &str) -> Option<[u8; N]> {
    let (pairs, rest) = digits.as_bytes().as_chunks::<2>();
    if pairs.len() != N || !rest.is_empty() {
        return None;
    }
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(pairs) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_is_read_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("new").join("state");
        assert_eq!(State::read(&path).unwrap(), None);
        let state = State {
            authority: Authority([7; 16]),
            incarnation: 2,
            chain: 12,
            head: Link {
                n: 40,
                hash: [0xa5; 32],
            },
        };
        state.write(&path).unwrap();
        assert_eq!(State::read(&path).unwrap(), Some(state));
    }

    #[test]
    fn what_is_no_state_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state");
        let authority = "07".repeat(16);
        let hash = "a5".repeat(32);
        let good = format!("seqid-postgres-state-1 {authority} 2 12 40 {hash}");
        for (text, is_good) in [
            (good.clone(), true),
            (String::new(), false),
            (good.replace("state-1", "state-2"), false),
            (good.replace("07", "0g"), false),
            (good.replace("a5a5", "a5"), false),
            (format!("{good} more"), false),
        ] {
            fs::write(&path, &text).unwrap();
            assert_eq!(State::read(&path).is_ok(), is_good, "{text}");
        }
    }
}
