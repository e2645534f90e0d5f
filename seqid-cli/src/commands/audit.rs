//! `audit`: a page, a follower, or an export.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::PathBuf;
use std::time::Duration;

use clap::ValueEnum;
use seqid_core::event::{EventKind, Recorded};
use seqid_core::event_table;
use seqid_core::names::{Label, Number, Reference};
use seqid_core::numbering::AuditRequest;
use seqid_core::query::{EventQuery, Order};
use seqid_core::time::Timestamp;
use seqid_core::{Error, Prefix};

use crate::desk::Desk;
use crate::failure::{Ended, Failure};
use crate::given;
use crate::printer::Printer;
use crate::progress::Progress;

pub(crate) const AUDIT: &str = "\
The newest events come first. With --export every event that there is comes, oldest first: an export that ends with exit code 0 \
is whole, and `seqid verify --export` reads it if nothing was filtered out. With --json an event is a line, in either case.

Examples:
  seqid audit                                       what happened last
  seqid audit INV --number 42                       who got number 42
  seqid audit --id INV-2026-00042
  seqid audit --follow --json                       what happens from now on, an event a line
  seqid audit --export ndjson --output audit.jsonl
  seqid audit INV --from 2026-03-01 --to 2026-04-01 --export csv --output march.csv";

/// How often a follower looks for new events.
const LOOK: Duration = Duration::from_secs(1);

#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Audit {
    /// Sequence; * for what concerns all of the tenant at once
    #[arg(value_name = "PREFIX", value_parser = given::prefix_of_event)]
    prefix: Option<Prefix>,

    /// The counter's period, such as 2026-03
    #[arg(long, value_name = "PERIOD", requires = "prefix")]
    period: Option<String>,

    /// Value of a scope field; all of them are named, or none
    #[arg(long, value_name = "NAME=VALUE", value_parser = given::pair, requires = "prefix")]
    scope: Vec<(String, String)>,

    /// An id, in place of a counter and a number
    #[arg(long, value_name = "ID", conflicts_with = "number")]
    id: Option<String>,

    /// A number, or the first of several
    #[arg(long, value_name = "NUMBER", value_parser = given::number)]
    number: Option<Number>,

    /// The last number, of several that begin with --number
    #[arg(long, value_name = "NUMBER", value_parser = given::number, requires = "number")]
    last: Option<Number>,

    /// What happened, such as issued; may be repeated
    #[arg(long, value_name = "WORD", value_delimiter = ',', value_parser = kind)]
    kind: Vec<EventKind>,

    /// Person or account that asked
    #[arg(long, value_name = "NAME")]
    actor: Option<Label>,

    /// Program that asked
    #[arg(long, value_name = "NAME")]
    client: Option<Label>,

    /// Name of the request
    #[arg(long, value_name = "NAME")]
    request: Option<Label>,

    /// Your key of the document
    #[arg(long, value_name = "TEXT")]
    reference: Option<Reference>,

    /// Earliest instant, or a date
    #[arg(long = "from", value_name = "INSTANT", value_parser = given::instant)]
    since: Option<Timestamp>,

    /// The instant behind the latest, or a date
    #[arg(long = "to", value_name = "INSTANT", value_parser = given::instant)]
    until: Option<Timestamp>,

    /// Go on behind this position, in the order that is asked for
    #[arg(long, value_name = "POSITION")]
    after: Option<u64>,

    /// How many events: 1 to 100000; 20 unless given
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..=100_000), conflicts_with_all = ["follow", "export"])]
    limit: Option<u32>,

    /// Show the oldest first
    #[arg(long, conflicts_with_all = ["follow", "export"])]
    oldest_first: bool,

    /// Go on with what is recorded later, until it is interrupted
    #[arg(long, conflicts_with = "export")]
    follow: bool,

    /// Write every event: ndjson or csv
    #[arg(long, value_name = "FORM")]
    export: Option<Form>,

    /// File to write the export to; it must not exist
    #[arg(long, value_name = "PATH", requires = "export")]
    output: Option<PathBuf>,
}

/// How an export is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Form {
    /// A JSON object a line
    Ndjson,
    /// Comma-separated values with a header row
    Csv,
}

fn kind(word: &str) -> Result<EventKind, String> {
    let kind = EventKind::ALL.into_iter().find(|kind| kind.as_str() == word);
    kind.ok_or_else(|| {
        let words: Vec<_> = EventKind::ALL.iter().map(|kind| kind.as_str()).collect();
        format!("must be one of {}", words.join(", "))
    })
}

impl Audit {
    pub(crate) async fn run(self, desk: &Desk, printer: &mut Printer) -> Result<Ended, Failure> {
        let request = self.request(desk)?;
        match (self.follow, self.export) {
            (true, _) => follow(request, desk, printer).await,
            (false, Some(form)) => self.write(request, form, desk, printer).await,
            (false, None) => self.page(request, desk, printer).await,
        }
    }

    fn request(&self, desk: &Desk) -> Result<AuditRequest, Failure> {
        let mut request = AuditRequest::new(desk.tenant().clone());
        request.prefix = self.prefix.clone();
        request.period = self.period.clone();
        request.scope = given::values("--scope", &self.scope)?;
        request.id = self.id.clone();
        request.numbers = self.number.map(|first| (first, self.last.unwrap_or(first)));
        request.actor = self.actor.clone();
        request.client = self.client.clone();
        request.request = self.request.clone();
        request.reference = self.reference.clone();
        request.kinds = self.kind.clone();
        request.from = self.since;
        request.to = self.until;
        request.after = self.after;
        request.order = if self.oldest_first || self.follow || self.export.is_some() {
            Order::OldestFirst
        } else {
            Order::NewestFirst
        };
        request.limit = EventQuery::LARGEST;
        Ok(request)
    }

    async fn page(
        &self,
        mut request: AuditRequest,
        desk: &Desk,
        printer: &mut Printer,
    ) -> Result<Ended, Failure> {
        let mut left = self.limit.map_or(20, |limit| limit as usize);
        loop {
            request.limit = left.min(EventQuery::LARGEST);
            let page = desk
                .numbering()
                .audit(request.clone())
                .await
                .map_err(desk.failed())?;
            page.events.iter().try_for_each(|event| print(event, printer))?;
            left -= page.events.len().min(left);
            request.after = page.next;
            let Some(next) = page.next else {
                return Ok(Ended::Done);
            };
            if left == 0 {
                if !printer.json() {
                    printer.remark(&format!("there is more: --after {next} goes on"));
                }
                return Ok(Ended::Done);
            }
        }
    }

    async fn write(
        &self,
        request: AuditRequest,
        form: Form,
        desk: &Desk,
        printer: &mut Printer,
    ) -> Result<Ended, Failure> {
        let Some(path) = &self.output else {
            return export(request, form, desk, |text| printer.text(text)).await;
        };
        let unwritten = |error: &std::io::Error| Failure::unwritten(&path.display().to_string(), error);
        let file = File::options().write(true).create_new(true).open(path);
        let file =
            file.map_err(|error| Failure::usage(format!("cannot make {}: {error}", path.display())))?;
        let mut file = BufWriter::new(file);
        let ended = export(request, form, desk, |text| {
            file.write_all(text.as_bytes()).map_err(|error| unwritten(&error))
        })
        .await?;
        let written = file.flush().and_then(|()| file.get_ref().sync_all());
        written.map_err(|error| unwritten(&error))?;
        Ok(ended)
    }
}

/// Writes every event that is there when it begins.
async fn export(
    mut request: AuditRequest,
    form: Form,
    desk: &Desk,
    mut write: impl FnMut(&str) -> Result<(), Failure>,
) -> Result<Ended, Failure> {
    let progress = Progress::new("exporting");
    if form == Form::Csv {
        write(&event_table::header())?;
    }
    let (mut end, mut written, mut text) = (None, 0_u64, String::new());
    loop {
        let page = desk.numbering().audit(request.clone()).await;
        let page = page.map_err(|error| stopped(error, request.after, desk))?;
        let end = *end.get_or_insert(page.last);
        text.clear();
        for event in page.events.iter().take_while(|event| event.position <= end) {
            append(event, form, &mut text)?;
            written += 1;
        }
        write(&text)?;
        progress.show(page.next.unwrap_or(end), end);
        progress.say(format!("{written} events"));
        request.after = page.next;
        if page.next.is_none_or(|next| next >= end) {
            return Ok(Ended::Done);
        }
    }
}

fn append(event: &Recorded, form: Form, text: &mut String) -> Result<(), Failure> {
    let appended = match form {
        Form::Csv => event_table::write_row(event, text),
        Form::Ndjson => serde_json::to_string(event).map(|line| {
            text.push_str(&line);
            text.push('\n');
        }),
    };
    appended.map_err(|error| Failure::unwritten("an event", &error.into()))
}

/// Prints what is there behind `after`, or nothing of it, and then what is recorded later.
async fn follow(mut request: AuditRequest, desk: &Desk, printer: &mut Printer) -> Result<Ended, Failure> {
    if desk.is_embedded() {
        let detail = "--follow waits for what others record, which nobody can while this program has the file: follow a \
            service, or export the file";
        return Err(Failure::usage(detail.to_owned()));
    }
    if request.after.is_none() && request.from.is_none() {
        let newest = AuditRequest::new(desk.tenant().clone());
        let page = desk.numbering().audit(newest).await.map_err(desk.failed())?;
        request.after = Some(page.last);
    }
    loop {
        let page = desk.numbering().audit(request.clone()).await;
        let page = page.map_err(|error| stopped(error, request.after, desk))?;
        page.events.iter().try_for_each(|event| print(event, printer))?;
        printer.flush()?;
        request.after = page.next.or(request.after.max(Some(page.last)));
        if page.next.is_none() {
            tokio::time::sleep(LOOK).await;
        }
    }
}

fn stopped(error: Error, after: Option<u64>, desk: &Desk) -> Failure {
    let failure = desk.failed()(error);
    match after {
        Some(after) => failure.advise(&format!("What came before is printed: --after {after} goes on.")),
        None => failure,
    }
}

fn print(event: &Recorded, printer: &mut Printer) -> Result<(), Failure> {
    if printer.json() {
        let line = serde_json::to_string(event);
        return printer.line(&line.map_err(|error| Failure::unwritten("an event", &error.into()))?);
    }
    printer.line(&line(event))
}

/// An event for people: when, what, of which counter, which numbers, and why.
fn line(recorded: &Recorded) -> String {
    let event = &recorded.event;
    let subject = match event.subject.counter() {
        None => event.subject.sequence().prefix.to_string(),
        Some(key) if key.scope().is_empty() => format!("{} {}", key.sequence().prefix, key.period()),
        Some(key) => format!("{} {} {}", key.sequence().prefix, key.period(), key.scope()),
    };
    let numbers = match (&recorded.ids, event.run) {
        (Some((first, last)), _) if first == last => first.clone(),
        (Some((first, last)), _) => format!("{first} to {last}"),
        (None, Some(run)) if run.count == 1 => run.first.to_string(),
        (None, Some(run)) => format!("{} to {}", run.first, run.last()),
        (None, None) => String::new(),
    };
    let mut line = format!("{} {:9} {subject:12} {numbers}", event.at, event.kind.as_str());
    let mut more = |name: &str, value: Option<String>| {
        if let Some(value) = value {
            line += &format!("  {name}={value}");
        }
    };
    more("reference", event.reference.as_ref().map(ToString::to_string));
    more("actor", event.origin.actor.as_ref().map(ToString::to_string));
    more("client", event.origin.client.as_ref().map(ToString::to_string));
    more(
        "reason",
        event
            .reason
            .as_ref()
            .map(|reason| format!("{:?}", reason.as_str())),
    );
    line.trim_end().to_owned()
}
