//! Checkpoints that the service appends to a file, each naming the one before it.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, anyhow};
use seqid_core::checkpoint::Checkpoint;
use seqid_core::clock::{Clock, SystemClock};
use seqid_core::store::AuditLog;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::shutdown::stopped;
use crate::signing::CheckpointKey;

/// No line is as long.
const LONGEST: u64 = 4_096;

/// Where checkpoints are appended, and how often.
#[derive(Debug)]
pub(crate) struct CheckpointFile {
    path: PathBuf,
    file: File,
    last: Option<Checkpoint>,
    every: Duration,
    key: Option<CheckpointKey>,
}

impl CheckpointFile {
    /// Opens a file for appending, and makes it when there is none. A half-written last line is cut off.
    ///
    /// # Errors
    /// When the file cannot be used, or ends with something else than a checkpoint.
    pub(crate) fn open(path: &Path, every: Duration, key: Option<CheckpointKey>) -> anyhow::Result<Self> {
        let opened = || -> io::Result<(File, String)> {
            let mut file = File::options().read(true).append(true).create(true).open(path)?;
            let line = last_line(&mut file)?;
            Ok((file, line))
        };
        let (file, line) = opened().with_context(|| {
            format!(
                "cannot append to {}: check SEQID_CHECKPOINT_FILE and its folder",
                path.display()
            )
        })?;
        let last = match line.as_str() {
            "" => None,
            line => Some(Checkpoint::from_json(line).map_err(|error| {
                anyhow!(error).context(format!(
                    "the last line of {}, the file of checkpoints: move the file away if it is another",
                    path.display()
                ))
            })?),
        };
        Ok(Self {
            path: path.to_owned(),
            file,
            last,
            every,
            key,
        })
    }

    /// Appends one now, then as often as it should, and once more when it is stopped.
    pub(crate) fn start(self, store: Arc<dyn AuditLog>) -> Writing {
        let (stop, stopping) = watch::channel(false);
        let running = tokio::spawn(self.run(store, stopping));
        Writing { running, stop }
    }

    async fn run(mut self, store: Arc<dyn AuditLog>, mut stopping: watch::Receiver<bool>) {
        loop {
            if let Err(error) = self.append(&*store).await {
                let path = self.path.display();
                tracing::warn!(error = format!("{error:#}"), %path, "no checkpoint was written; it is tried again");
            }
            if *stopping.borrow() {
                return;
            }
            tokio::select! {
                () = tokio::time::sleep(self.every) => {}
                () = stopped(&mut stopping) => {}
            }
        }
    }

    async fn append(&mut self, store: &dyn AuditLog) -> anyhow::Result<()> {
        let heads = store.heads().await?;
        if self.last.as_ref().is_some_and(|last| last.heads == heads) {
            return Ok(());
        }
        let new = Checkpoint {
            previous: self.last.as_ref().map(Checkpoint::hash),
            ..Checkpoint::new(heads, SystemClock.now())
        };
        let new = match &self.key {
            Some(key) => key.sign(new),
            None => new,
        };
        let line = new.to_json() + "\n";
        let mut file = self.file.try_clone()?;
        tokio::task::spawn_blocking(move || {
            let before = file.metadata()?.len();
            // Half a line would spoil the next one.
            file.write_all(line.as_bytes())
                .and_then(|()| file.sync_data())
                .inspect_err(|_| drop(file.set_len(before)))
        })
        .await??;
        tracing::info!(checkpoint = new.to_json(), "checkpoint");
        self.last = Some(new);
        Ok(())
    }
}

/// The last whole line, behind which the file is cut off.
fn last_line(file: &mut File) -> io::Result<String> {
    let end = file.seek(SeekFrom::End(0))?;
    let start = end.saturating_sub(2 * LONGEST);
    file.seek(SeekFrom::Start(start))?;
    let mut tail = Vec::new();
    file.read_to_end(&mut tail)?;
    let whole = tail
        .iter()
        .rposition(|byte| *byte == b'\n')
        .map_or(0, |at| at + 1);
    if whole > 0 || start == 0 {
        file.set_len(start + whole as u64)?;
    }
    let lines = tail.get(..whole.saturating_sub(1)).unwrap_or_default();
    let line = lines.rsplit(|byte| *byte == b'\n').next().unwrap_or_default();
    String::from_utf8(line.to_vec()).map_err(io::Error::other)
}

/// Checkpoints on their way.
#[derive(Debug)]
pub(crate) struct Writing {
    running: JoinHandle<()>,
    stop: watch::Sender<bool>,
}

impl Writing {
    /// Appends a last one, once nothing is written to the store any more. Gives up after `patience`.
    pub(crate) async fn finish(mut self, patience: Duration) {
        self.stop.send_replace(true);
        if tokio::time::timeout(patience, &mut self.running).await.is_err() {
            self.running.abort();
            tracing::warn!("the last checkpoint was not written; the next start writes one");
        }
    }
}

#[cfg(test)]
mod tests {
    use seqid_core::numbering::DrawRequest;
    use seqid_core::{Issuer, MemoryStore, Numbering, Prefix};

    use super::*;

    async fn draw(store: &Arc<MemoryStore>) {
        let issuer = Issuer::new(Arc::clone(store) as _);
        issuer
            .draw(DrawRequest::new(Prefix::new("INV").unwrap()))
            .await
            .unwrap();
    }

    fn lines(path: &Path) -> Vec<Checkpoint> {
        let text = std::fs::read_to_string(path).unwrap();
        text.lines()
            .map(|line| Checkpoint::from_json(line).unwrap())
            .collect()
    }

    #[tokio::test]
    async fn each_names_the_one_before_it_across_a_restart_and_none_is_written_when_nothing_changed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("checkpoints.jsonl");
        let store = Arc::new(MemoryStore::default());
        for round in 0..3 {
            let open = || CheckpointFile::open(&path, Duration::from_secs(3_600), None).unwrap();
            let writing = open().start(Arc::clone(&store) as _);
            draw(&store).await;
            writing.finish(Duration::from_secs(60)).await;
            open()
                .start(Arc::clone(&store) as _)
                .finish(Duration::from_secs(60))
                .await;
            let written = lines(&path);
            assert_eq!(
                written.last().unwrap().heads,
                store.heads().await.unwrap(),
                "{round}"
            );
            for pair in written.windows(2) {
                assert_eq!(pair[1].previous, Some(pair[0].hash()));
                assert_ne!(pair[1].heads, pair[0].heads);
            }
        }
    }

    #[tokio::test]
    async fn half_a_line_is_cut_off() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("checkpoints.jsonl");
        let store = Arc::new(MemoryStore::default());
        draw(&store).await;
        let open = || CheckpointFile::open(&path, Duration::from_secs(3_600), None).unwrap();
        open()
            .start(Arc::clone(&store) as _)
            .finish(Duration::from_secs(60))
            .await;
        let mut file = File::options().append(true).open(&path).unwrap();
        file.write_all(br#"{"format":"seqid"#).unwrap();
        draw(&store).await;
        open()
            .start(Arc::clone(&store) as _)
            .finish(Duration::from_secs(60))
            .await;
        assert_eq!(lines(&path).len(), 2);
    }

    #[test]
    fn a_file_of_something_else_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notes.txt");
        std::fs::write(&path, "a\nb\n").unwrap();
        assert!(CheckpointFile::open(&path, Duration::from_secs(1), None).is_err());
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "a\nb\n");
    }
}
