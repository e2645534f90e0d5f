//! `verify`: from a file, a database or an export, as `seqid-server verify` does, or from a service that is running.

mod service;

use std::path::PathBuf;

use seqid_core::Tenant;
use seqid_postgres::{PgConnectOptions, PostgresConfig};
use seqid_verify::{Kept, Outcome, PublicKey, of_export};
use serde_json::Value;

use crate::command_line::Shared;
use crate::desk::Desk;
use crate::failure::{Ended, Failure};
use crate::printer::Printer;
use crate::progress::Progress;
use service::OfService;

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
        let (outcome, of_service) = service::verify(&tenants, kept, desk).await?;
        tell(&outcome, Some(of_service), printer)
    }

    fn kept(&self) -> Result<Kept, Failure> {
        let key = self.public_key.as_deref().map(PublicKey::read).transpose();
        let key = key.map_err(|error| Failure::unreadable(&error))?;
        Kept::read(&self.checkpoint, key.as_ref()).map_err(|error| Failure::unreadable(&error))
    }
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
