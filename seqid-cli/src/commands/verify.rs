//! `verify`: from a file, a database or an export, as `seqid-server verify` does, or from a service that is running.

use std::collections::VecDeque;
use std::path::PathBuf;

use seqid_core::counter::{CounterKey, CounterState, SequenceKey};
use seqid_core::event::{Recorded, Subject};
use seqid_core::numbering::{AuditRequest, Status};
use seqid_core::query::{EventQuery, Order};
use seqid_core::verify::{Fault, FaultKind, Verifier};
use seqid_core::{Error, Numbering, Tenant};
use seqid_postgres::{PgConnectOptions, PostgresConfig};
use seqid_verify::{Kept, Outcome, PublicKey, of_export};
use serde_json::{Value, json};

use super::counters::whole;
use crate::command_line::Shared;
use crate::desk::Desk;
use crate::failure::{Ended, Failure};
use crate::printer::Printer;
use crate::progress::Progress;

pub(crate) const ABOUT: &str = "\
Check that the audit is as it was recorded: that no event was edited, added, removed or moved, that the numbers follow from one \
another, and that the counters are where their events left them. Nothing is changed.

It reads a data file (--file), which may be served meanwhile, a database (--database), an export (--export), or else asks a \
service for every event of its tenants.

Each counter's events are a chain of hashes. Whoever can write the file can also compute the chain anew, cut off its end, or \
put an older file in its place. That shows only against a checkpoint kept elsewhere: --checkpoint.";

pub(crate) const VERIFY: &str = "\
Examples:
  seqid verify                                        what the service on this machine tells
  seqid verify --with-tenant acme                     the tenant default, and acme
  seqid --file seqid-data/seqid.db verify             a data file, or a copy of one
  seqid verify --export audit.jsonl                   an export of `seqid audit --export ndjson`, or SEQID_EVENTS_FILE
  seqid verify --database postgres://seqid@db/seqid   a database; the password is PGPASSWORD's, or that of ~/.pgpass
  seqid verify --checkpoint kept-elsewhere.jsonl --public-key checkpoint-public.pem

Exit codes: 0 nothing is wrong; 1 something is, and the first of it is listed; 2 it could not be read; 3 the service does not answer.";

#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Verify {
    /// Database to check: a URL of PostgreSQL
    #[arg(long, value_name = "URL", conflicts_with = "export")]
    database: Option<PgConnectOptions>,

    /// File of JSON lines to check
    #[arg(long, value_name = "PATH")]
    export: Option<PathBuf>,

    /// File with checkpoints that were kept elsewhere; may be repeated
    #[arg(long, value_name = "PATH")]
    checkpoint: Vec<PathBuf>,

    /// Ed25519 public key, in PEM, that every checkpoint must be signed with
    #[arg(long, value_name = "PATH", requires = "checkpoint")]
    public_key: Option<PathBuf>,

    /// A further tenant of the service; may be repeated. Checkpoints cover all tenants
    #[arg(long, value_name = "NAME", conflicts_with_all = ["database", "export"])]
    with_tenant: Vec<Tenant>,
}

impl Verify {
    /// Verifies what is not asked of a service; `None` where nothing else is named.
    pub(crate) async fn elsewhere(
        &self,
        shared: &Shared,
        printer: &mut Printer,
    ) -> Result<Option<Ended>, Failure> {
        if shared.file.is_some()
            && (self.database.is_some() || self.export.is_some() || !self.with_tenant.is_empty())
        {
            let detail = "--file has a data file checked with all of its tenants: leave --database, --export and --with-tenant out";
            return Err(Failure::usage(detail.to_owned()));
        }
        let kept = self.kept()?;
        let progress = Progress::new("verifying");
        let show = |done, all| progress.show(done, all);
        let outcome = match (&shared.file, &self.database, &self.export) {
            (Some(path), ..) => {
                let source = path.display().to_string();
                if !path.exists() {
                    return Err(Failure::usage(format!("there is no data file {source}")));
                }
                let (path, verifier) = (path.clone(), kept.verifier());
                let report = tokio::task::block_in_place(|| seqid_sqlite::verify(&path, verifier, show));
                Outcome::new(source, report.map_err(|error| Failure::unreadable(&error))?, kept)
            }
            (None, Some(database), _) => {
                let config = PostgresConfig::new(database.clone());
                let report = seqid_postgres::verify(&config, kept.verifier(), show).await;
                Outcome::new(
                    config.place(),
                    report.map_err(|error| Failure::unreadable(&error))?,
                    kept,
                )
            }
            (None, None, Some(path)) => {
                let verified = tokio::task::block_in_place(|| of_export(path, kept.verifier(), show));
                let (report, lines) = verified.map_err(|error| Failure::unreadable(&error))?;
                Outcome::new(path.display().to_string(), report, kept).lines(lines)
            }
            (None, None, None) => return Ok(None),
        };
        drop(progress);
        tell(&outcome, None, printer).map(Some)
    }

    /// Verifies what a service tells.
    pub(crate) async fn service(self, desk: &Desk, printer: &mut Printer) -> Result<Ended, Failure> {
        let kept = self.kept()?;
        let mut tenants = self.with_tenant;
        tenants.push(desk.tenant().clone());
        tenants.sort_by(|a, b| a.as_str().cmp(b.as_str()));
        tenants.dedup();
        let (numbering, failed) = (&**desk.numbering(), desk.failed());
        let own = numbering.checkpoint().await.map_err(&failed)?;
        let mut verifier = kept.verifier().store(own.heads.authority).ids();
        walk(numbering, &tenants, own.heads.position, &mut verifier)
            .await
            .map_err(&failed)?;
        let counters = compare(numbering, &tenants, &mut verifier)
            .await
            .map_err(&failed)?;
        let report = verifier.finish();
        let chains = Chains {
            told: report.heads.chains,
            all: own.heads.chains,
        };
        let agrees = chains.told == chains.all && report.heads.digest == own.heads.digest;
        let outcome = Outcome::new(desk.place().to_owned(), report, kept);
        let of_service = OfService {
            counters,
            chains,
            agrees,
        };
        tell(&outcome, Some(of_service), printer)
    }

    fn kept(&self) -> Result<Kept, Failure> {
        let key = self.public_key.as_deref().map(PublicKey::read).transpose();
        let key = key.map_err(|error| Failure::unreadable(&error))?;
        Kept::read(&self.checkpoint, key.as_ref()).map_err(|error| Failure::unreadable(&error))
    }
}

/// What a service says beside its events.
#[derive(Debug, Clone, Copy)]
struct OfService {
    counters: Compared,
    chains: Chains,
    /// Whether the chains are those of the checkpoint that the service made when it was begun.
    agrees: bool,
}

impl OfService {
    /// Chains that the service has and does not show must be those of tenants that were not named. As many chains that are
    /// others are wrong whatever was named.
    const fn is_clean(self) -> bool {
        self.agrees || self.chains.told < self.chains.all
    }

    fn text(self) -> String {
        let Self {
            counters,
            chains,
            agrees,
        } = self;
        let mut text = format!(
            "Counters that are where their events left them: {}.",
            counters.same
        );
        if counters.moved_on > 0 {
            text += &format!(
                " Not compared, because they moved on meanwhile: {}.",
                counters.moved_on
            );
        }
        text += &match (agrees, chains.all.checked_sub(chains.told)) {
            (true, _) => format!(
                "\nThe service's own checkpoint has the same {} chains.",
                chains.all
            ),
            (false, Some(more @ 1..)) => format!(
                "\nThe service has {more} chains more. They are of tenants that were not named, or were kept back: name \
                 all tenants with --with-tenant."
            ),
            _ => "\nTHE SERVICE'S OWN CHECKPOINT HAS OTHER CHAINS than its events.".to_owned(),
        };
        text
    }

    fn json(self) -> Value {
        json!({
            "counters_compared": self.counters.same,
            "counters_moved_on": self.counters.moved_on,
            "service_chains": self.chains.all,
            "service_agrees": self.agrees,
        })
    }
}

#[derive(Debug, Clone, Copy)]
struct Chains {
    told: u64,
    all: u64,
}

/// Counters whose states were held against their events.
#[derive(Debug, Clone, Copy, Default)]
struct Compared {
    same: u64,
    moved_on: u64,
}

fn tell(outcome: &Outcome, of_service: Option<OfService>, printer: &mut Printer) -> Result<Ended, Failure> {
    let clean = outcome.is_clean() && of_service.is_none_or(OfService::is_clean);
    if printer.json() {
        let mut document = outcome.json();
        document["clean"] = clean.into();
        if let Some(Value::Object(members)) = of_service.map(OfService::json) {
            members
                .into_iter()
                .for_each(|(name, value)| document[name] = value);
        }
        printer.document(&document)?;
    } else {
        let text = outcome.text();
        let (verdict, rest) = text.split_once('\n').unwrap_or((&text, ""));
        printer.verdict(clean, verdict)?;
        printer.text(rest)?;
        if let Some(of_service) = of_service {
            printer.line(&of_service.text())?;
        }
    }
    Ok(if clean { Ended::Done } else { Ended::Refused })
}

/// Gives the events of the tenants to a verifier, in the order of the store's log, up to a position.
async fn walk(
    numbering: &dyn Numbering,
    tenants: &[Tenant],
    end: u64,
    verifier: &mut Verifier,
) -> Result<(), Error> {
    let progress = Progress::new("verifying");
    let mut logs: Vec<Log> = tenants
        .iter()
        .map(|tenant| Log::new(tenant.clone(), end))
        .collect();
    loop {
        for log in &mut logs {
            log.read(numbering).await?;
        }
        let next = logs
            .iter_mut()
            .filter(|log| !log.events.is_empty())
            .min_by_key(|log| log.position());
        let Some(event) = next.and_then(|log| log.events.pop_front()) else {
            return Ok(());
        };
        verifier.event(&event);
        progress.show(event.position, end);
    }
}

/// The events of one tenant, read as they are taken.
struct Log {
    request: Option<AuditRequest>,
    events: VecDeque<Recorded>,
    end: u64,
}

impl Log {
    fn new(tenant: Tenant, end: u64) -> Self {
        let mut request = AuditRequest::new(tenant);
        request.order = Order::OldestFirst;
        request.limit = EventQuery::LARGEST;
        Self {
            request: Some(request),
            events: VecDeque::new(),
            end,
        }
    }

    fn position(&self) -> Option<u64> {
        self.events.front().map(|event| event.position)
    }

    /// Reads on where there is no event left.
    async fn read(&mut self, numbering: &dyn Numbering) -> Result<(), Error> {
        while self.events.is_empty()
            && let Some(request) = &mut self.request
        {
            let page = numbering.audit(request.clone()).await?;
            request.after = page.next;
            if page.next.is_none_or(|next| next >= self.end) {
                self.request = None;
            }
            let end = self.end;
            self.events
                .extend(page.events.into_iter().filter(|event| event.position <= end));
        }
        Ok(())
    }
}

/// Holds what the service says of every counter against its events.
async fn compare(
    numbering: &dyn Numbering,
    tenants: &[Tenant],
    verifier: &mut Verifier,
) -> Result<Compared, Error> {
    let mut compared = Compared::default();
    for tenant in tenants {
        for sequence in whole(|page| numbering.sequences(tenant.clone(), page)).await? {
            let key = SequenceKey::new(tenant.clone(), sequence.prefix.clone());
            let has_ranges = sequence.definition.spec().ranges.is_some();
            for status in
                whole(|page| numbering.counters(tenant.clone(), sequence.prefix.clone(), page)).await?
            {
                let counter = CounterKey::new(key.clone(), status.scope.clone(), status.period);
                let Some(state) = verifier.counter(&counter) else {
                    // One that opened meanwhile, or whose chain is broken, which is reported already.
                    compared.moved_on += 1;
                    continue;
                };
                if status.events > state.chain.n {
                    compared.moved_on += 1;
                    continue;
                }
                match difference(&status, &state, has_ranges) {
                    None => compared.same += 1,
                    Some((expected, found)) => verifier.fault(Fault {
                        kind: FaultKind::Head,
                        position: None,
                        subject: Some(Subject::Counter(counter)),
                        n: Some(status.events),
                        expected,
                        found,
                    }),
                }
            }
        }
    }
    Ok(compared)
}

/// The first thing that a counter's state and its events disagree on.
fn difference(status: &Status, state: &CounterState, has_ranges: bool) -> Option<(String, String)> {
    let text = |number: Option<u64>| number.map_or_else(|| "none".to_owned(), |number| number.to_string());
    let last = |number: Option<seqid_core::Number>| text(number.map(u64::from));
    let mut pairs = vec![
        ("events", state.chain.n.to_string(), status.events.to_string()),
        ("the last number", last(state.last), last(status.last_number)),
        (
            "the generation",
            state.generation.to_string(),
            status.generation.to_string(),
        ),
        ("the epoch", state.epoch.to_string(), status.epoch.to_string()),
        (
            "the version",
            state.version.to_string(),
            status.definition_version.to_string(),
        ),
        (
            "the count of held numbers",
            state.reserved.to_string(),
            status.reserved.to_string(),
        ),
        (
            "the count of void numbers",
            state.voided.to_string(),
            status.voided.to_string(),
        ),
    ];
    // A free number, or the next range, is next where the counter itself stands elsewhere.
    if state.free == 0 && !has_ranges {
        let next = Some(state.next).filter(|next| *next <= status.max.get());
        pairs.push(("the next number", text(next), last(status.next_number)));
    }
    pairs
        .into_iter()
        .find(|(_, expected, found)| expected != found)
        .map(|(what, expected, found)| (format!("{what} {expected}"), found))
}
