//! `seqid-server verify`.

use std::io::{self, IsTerminal, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::ensure;
use clap::ArgMatches;
use seqid_core::verify::{Report, Verifier};
use seqid_verify::{Kept, Outcome, PublicKey, of_export};

use crate::config::Config;
use crate::{compose, say, with_causes};

/// What the command is for.
pub(crate) const ABOUT: &str = "\
Check that the audit is as it was recorded: that no event was edited, added, removed or moved, that the numbers follow \
from one another, and that the counters are where their events left them.

It reads the data file, which may be served meanwhile, or a file of JSON lines that SEQID_EVENTS_FILE wrote, and changes \
nothing.

Each counter's events are a chain of hashes. Whoever can write the file can also compute the chain anew, cut off its end, \
or put an older file in its place. That shows only against a checkpoint kept elsewhere: --checkpoint.";

pub(crate) const EXAMPLES: &str = "\
Examples:
  seqid-server verify                                     the data file that the configuration names
  seqid-server verify --file backup.db                    a copy
  seqid-server verify --export events.jsonl               an export; no data file is needed
  seqid-server verify --checkpoint kept-elsewhere.jsonl   the data file, held against checkpoints
  curl -s localhost:8080/api/v1/audit/checkpoint          makes a checkpoint; so does SEQID_CHECKPOINT_FILE

Exit codes: 0 nothing is wrong; 1 something is, and the first of it is listed; 2 it could not be read.";

/// How often progress is shown.
const SHOWN: Duration = Duration::from_millis(200);

const CANNOT_READ: u8 = 2;

#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Arguments {
    /// Data file to check, instead of the one that the configuration names
    #[arg(long, value_name = "PATH", conflicts_with = "export")]
    file: Option<PathBuf>,

    /// File of JSON lines to check, instead of a data file
    #[arg(long, value_name = "PATH")]
    export: Option<PathBuf>,

    /// File with checkpoints that were kept elsewhere; may be repeated
    #[arg(long, value_name = "PATH")]
    checkpoint: Vec<PathBuf>,

    /// Ed25519 public key, in PEM, that every checkpoint must be signed with
    #[arg(long, value_name = "PATH", requires = "checkpoint")]
    public_key: Option<PathBuf>,

    /// Print the report as one JSON object
    #[arg(long)]
    json: bool,
}

/// Verifies, and tells what was found.
pub(crate) fn run(arguments: &Arguments, matches: &ArgMatches) -> ExitCode {
    match verify(arguments, matches) {
        Ok(outcome) => {
            let text = if arguments.json {
                outcome.json().to_string()
            } else {
                outcome.text()
            };
            say(&mut io::stdout(), text.trim_end());
            ExitCode::from(u8::from(!outcome.is_clean()))
        }
        Err(error) => {
            say(
                &mut io::stderr(),
                &format!("seqid-server: {}", with_causes(&error)),
            );
            ExitCode::from(CANNOT_READ)
        }
    }
}

fn verify(arguments: &Arguments, matches: &ArgMatches) -> anyhow::Result<Outcome> {
    let key = arguments.public_key.as_deref().map(PublicKey::read).transpose()?;
    let kept = Kept::read(&arguments.checkpoint, key.as_ref())?;
    if let Some(path) = &arguments.export {
        let mut progress = Progress::new();
        let (report, lines) = of_export(path, kept.verifier(), |read, size| progress.show(read, size))?;
        return Ok(Outcome::new(path.display().to_string(), report, kept).lines(lines));
    }
    let (source, report) = of_store(arguments.file.as_deref(), kept.verifier(), matches)?;
    Ok(Outcome::new(source, report, kept))
}

/// The data file that is named, or what the configuration names.
fn of_store(
    file: Option<&Path>,
    verifier: Verifier,
    matches: &ArgMatches,
) -> anyhow::Result<(String, Report)> {
    if let Some(path) = file {
        return Ok((path.display().to_string(), of_file(path, verifier)?));
    }
    let config = Config::read(matches)?;
    let report = match &config.database {
        None => of_file(&config.file(), verifier)?,
        Some(database) => {
            let mut progress = Progress::new();
            let verified = seqid_postgres::verify(database, verifier, |position, last| {
                progress.show(position, last);
            });
            compose::block_on(verified)??
        }
    };
    let source = match &config.database {
        None => config.file().display().to_string(),
        Some(database) => database.place(),
    };
    Ok((source, report))
}

fn of_file(path: &Path, verifier: Verifier) -> anyhow::Result<Report> {
    ensure!(
        path.exists(),
        "there is no data file {}: check SEQID_DATA, or name it with --file",
        path.display()
    );
    let mut progress = Progress::new();
    Ok(seqid_sqlite::verify(path, verifier, |position, last| {
        progress.show(position, last);
    })?)
}

/// A line on the terminal that says how far it has come.
struct Progress {
    shown: Option<Instant>,
    terminal: bool,
}

impl Progress {
    fn new() -> Self {
        Self {
            shown: None,
            terminal: io::stderr().is_terminal(),
        }
    }

    fn show(&mut self, done: u64, all: u64) {
        if !self.terminal || self.shown.is_some_and(|shown| shown.elapsed() < SHOWN) {
            return;
        }
        self.shown = Some(Instant::now());
        let percent = done.saturating_mul(100) / all.max(1);
        let mut stderr = io::stderr();
        let _unread = write!(stderr, "\r{percent} %").and_then(|()| stderr.flush());
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if self.terminal && self.shown.is_some() {
            let _unread = write!(io::stderr(), "\r       \r");
        }
    }
}
