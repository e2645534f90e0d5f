//! `seqid-server verify`.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, BufReader, IsTerminal, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use clap::ArgMatches;
use seqid_core::checkpoint::{Checkpoint, InvalidCheckpoint};
use seqid_core::export::{self, Lines};
use seqid_core::verify::{Fault, FaultKind, Report, Verifier};
use serde_json::json;

use crate::config::Config;
use crate::signing::{self, PublicKey};
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

/// How many checkpoints are compared: each takes time in proportion to the counters.
const COMPARED: usize = 64;
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
                outcome.json()
            } else {
                outcome.text()
            };
            say(&mut io::stdout(), text.trim_end());
            ExitCode::from(u8::from(!outcome.report.is_clean()))
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
    let mut verifier = Verifier::new().checkpoints(kept.compared());
    for fault in kept.faults {
        verifier.fault(fault);
    }
    let (source, report, lines) = match &arguments.export {
        Some(path) => {
            let (report, lines) = of_export(path, verifier.ids())?;
            (path.display().to_string(), report, Some(lines))
        }
        None => {
            let (source, report) = of_store(arguments.file.as_deref(), verifier, matches)?;
            (source, report, None)
        }
    };
    Ok(Outcome {
        source,
        report,
        lines,
        given: kept.checkpoints.len(),
        newest: kept
            .checkpoints
            .into_iter()
            .max_by_key(|kept| kept.heads.position),
    })
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

fn of_export(path: &Path, mut verifier: Verifier) -> anyhow::Result<(Report, Lines)> {
    let cannot = || format!("cannot read {}", path.display());
    let file = File::open(path).with_context(cannot)?;
    let size = file.metadata().with_context(cannot)?.len();
    let (mut progress, mut read) = (Progress::new(), 0);
    let lines = export::read(BufReader::new(file), &mut verifier, |bytes| {
        read += bytes;
        progress.show(read, size);
    })
    .with_context(cannot)?;
    ensure!(
        lines.lines > 0 || size == 0 || lines.unfinished,
        "{} holds no lines",
        path.display()
    );
    Ok((verifier.finish(), lines))
}

/// Checkpoints that were kept elsewhere.
#[derive(Debug, Default)]
struct Kept {
    checkpoints: Vec<Checkpoint>,
    /// What is wrong with the checkpoints themselves.
    faults: Vec<Fault>,
}

impl Kept {
    fn read(paths: &[PathBuf], key: Option<&PublicKey>) -> anyhow::Result<Self> {
        let mut kept = Self::default();
        for path in paths {
            kept.read_file(path, key)?;
        }
        Ok(kept)
    }

    fn read_file(&mut self, path: &Path, key: Option<&PublicKey>) -> anyhow::Result<()> {
        let name = path.display();
        let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {name}"))?;
        let mut before: Option<Checkpoint> = None;
        let values = serde_json::Deserializer::from_str(&text).into_iter::<serde_json::Value>();
        for (value, place) in values.zip(1..) {
            let called = format!("checkpoint {place} of {name}");
            let value = value.with_context(|| format!("{called} is not JSON"))?;
            let checkpoint = match Checkpoint::from_json(&value.to_string()) {
                Ok(checkpoint) => checkpoint,
                Err(InvalidCheckpoint::Edited) => {
                    before = None;
                    self.object(&called, None, "its content and its hash do not belong together");
                    continue;
                }
                Err(error) => return Err(error).context(called),
            };
            let position = Some(checkpoint.heads.position);
            if let Some(objection) = signing::objection(&checkpoint, key) {
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
        ensure!(
            before.is_some() || !self.faults.is_empty(),
            "{name} holds no checkpoint"
        );
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

/// What is told.
struct Outcome {
    source: String,
    report: Report,
    lines: Option<Lines>,
    given: usize,
    newest: Option<Checkpoint>,
}

impl Outcome {
    fn text(&self) -> String {
        let Report {
            events,
            counters,
            heads,
            found,
            ..
        } = &self.report;
        let source = &self.source;
        let verdict = match found {
            0 => "nothing is wrong".to_owned(),
            1 => "SOMETHING IS WRONG, 1 fault".to_owned(),
            more => format!("SOMETHING IS WRONG, {more} faults"),
        };
        let mut text = format!(
            "{source}: {verdict}. Checked were {events} events up to position {}; counters: {counters}.\n",
            heads.position
        );
        for (fault, place) in self.report.faults.iter().zip(1..) {
            let _infallible = writeln!(text, "{place}. {fault}");
        }
        if self.report.faults.len() as u64 != *found {
            text += "The others are not listed.\n";
        }
        if let Some(remark) = self.report.remarks.first() {
            let _infallible = writeln!(
                text,
                "Worth a look, and no proof of anything: {remark}. There are {} of these.",
                self.report.remarked
            );
        }
        if let Some(lines) = self.lines {
            if lines.repeated > 0 {
                let _infallible = writeln!(
                    text,
                    "{} lines were delivered twice, which happens after a crash.",
                    lines.repeated
                );
            }
            if lines.unfinished {
                text += "The last line has no end and was not read: it is being written, or its writer was killed.\n";
            }
        }
        text + &self.about_checkpoints()
    }

    fn about_checkpoints(&self) -> String {
        let Some(newest) = &self.newest else {
            return "No checkpoint was given, so it is not shown that nothing was cut off at the end, and that not all was \
                    written anew: keep checkpoints elsewhere and give them with --checkpoint.\n"
                .to_owned();
        };
        format!(
            "Checkpoints: {} given, {} compared, {} agree. The newest is of {} and covers the events up to position {}.\n",
            self.given,
            self.given.min(COMPARED),
            self.report.checkpoints,
            newest.at,
            newest.heads.position
        )
    }

    fn json(&self) -> String {
        let report = &self.report;
        let heads = Checkpoint::new(report.heads, seqid_core::time::Timestamp::from_micros(0));
        let heads = serde_json::to_value(&heads).unwrap_or_default();
        let remarks: Vec<_> = report
            .remarks
            .iter()
            .map(|remark| json!({"position": remark.position, "at": remark.at, "before": remark.before}))
            .collect();
        json!({
            "clean": report.is_clean(),
            "source": self.source,
            "authority": heads["authority"],
            "incarnation": heads["incarnation"],
            "position": heads["position"],
            "events": report.events,
            "counters": report.counters,
            "chains": heads["chains"],
            "heads": heads["heads"],
            "checkpoints": {"given": self.given, "compared": self.given.min(COMPARED), "agree": report.checkpoints},
            "found": report.found,
            "faults": report.faults,
            "remarked": report.remarked,
            "remarks": remarks,
            "repeated_lines": self.lines.map(|lines| lines.repeated),
            "unfinished": self.lines.map(|lines| lines.unfinished),
        })
        .to_string()
    }
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
