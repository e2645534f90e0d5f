use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use seqid_core::checkpoint::{Checkpoint, InvalidCheckpoint};
use seqid_core::verify::{Fault, FaultKind, Verifier};

use crate::error::VerifyError;
use crate::signature::{PublicKey, objection};

/// How many checkpoints are compared: each takes time in proportion to the counters.
pub(crate) const COMPARED: usize = 64;

/// Checkpoints that were kept elsewhere.
#[derive(Debug, Default)]
pub struct Kept {
    checkpoints: Vec<Checkpoint>,
    /// What is wrong with the checkpoints themselves.
    faults: Vec<Fault>,
}

impl Kept {
    /// Reads files of checkpoints. Each must be signed with `key`, if there is one; a signature that is there must be right.
    ///
    /// # Errors
    /// When a file cannot be read, or holds something else or nothing. A checkpoint that was edited, moved or signed by
    /// somebody else is a fault in the report.
    pub fn read(paths: &[PathBuf], key: Option<&PublicKey>) -> Result<Self, VerifyError> {
        let mut kept = Self::default();
        for path in paths {
            kept.read_file(path, key)?;
        }
        Ok(kept)
    }

    /// A verifier that holds the events against these checkpoints.
    #[must_use]
    pub fn verifier(&self) -> Verifier {
        let mut verifier = Verifier::new().checkpoints(self.compared());
        for fault in &self.faults {
            verifier.fault(fault.clone());
        }
        verifier
    }

    /// How many there are.
    pub(crate) fn given(&self) -> usize {
        self.checkpoints.len()
    }

    /// The one that covers the most.
    pub(crate) fn newest(&self) -> Option<&Checkpoint> {
        self.checkpoints.iter().max_by_key(|kept| kept.heads.position)
    }

    fn read_file(&mut self, path: &Path, key: Option<&PublicKey>) -> Result<(), VerifyError> {
        let text = std::fs::read_to_string(path).map_err(|source| VerifyError::Read {
            path: path.to_owned(),
            source,
        })?;
        let mut before: Option<Checkpoint> = None;
        let values = serde_json::Deserializer::from_str(&text).into_iter::<serde_json::Value>();
        for (value, place) in values.zip(1..) {
            let called = format!("checkpoint {place} of {}", path.display());
            let value = value.map_err(|source| VerifyError::Json {
                checkpoint: called.clone(),
                source,
            })?;
            let checkpoint = match Checkpoint::from_json(&value.to_string()) {
                Ok(checkpoint) => checkpoint,
                Err(InvalidCheckpoint::Edited) => {
                    before = None;
                    self.object(&called, None, "its content and its hash do not belong together");
                    continue;
                }
                Err(source) => {
                    return Err(VerifyError::Checkpoint {
                        checkpoint: called,
                        source,
                    });
                }
            };
            let position = Some(checkpoint.heads.position);
            if let Some(objection) = objection(&checkpoint, key) {
                self.object(&called, position, objection);
            }
            if let (Some(before), Some(previous)) = (&before, checkpoint.previous)
                && before.hash() != previous
            {
                self.object(
                    &called,
                    position,
                    "it names another before it: one was removed, or moved",
                );
            }
            before = Some(checkpoint.clone());
            self.checkpoints.push(checkpoint);
        }
        if before.is_none() && self.faults.is_empty() {
            return Err(VerifyError::Empty {
                path: path.to_owned(),
                what: "checkpoint",
            });
        }
        Ok(())
    }

    fn object(&mut self, called: &str, position: Option<u64>, objection: &str) {
        self.faults.push(Fault {
            kind: FaultKind::Checkpoint,
            position,
            subject: None,
            n: None,
            expected: format!("{called} as it was written"),
            found: objection.to_owned(),
        });
    }

    /// Those that are held against the events: all, or as many as are worth the time, the newest among them. Each covers
    /// all that those before it do.
    fn compared(&self) -> Vec<Checkpoint> {
        let mut sorted: Vec<&Checkpoint> = self.checkpoints.iter().collect();
        sorted.sort_by_key(|checkpoint| checkpoint.heads.position);
        let Some(last) = sorted.len().checked_sub(1) else {
            return Vec::new();
        };
        let places: BTreeSet<usize> = (0..COMPARED).map(|at| last * at / (COMPARED - 1)).collect();
        places.into_iter().map(|at| sorted[at].clone()).collect()
    }
}
