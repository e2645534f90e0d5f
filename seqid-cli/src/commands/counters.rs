//! `status`, `list`, `reset` and `sync`.

use seqid_core::names::{Number, Reason};
use seqid_core::numbering::{Listing, Moved, Page, ResetRequest, Sequence, Status, SyncRequest};
use seqid_core::{Error, IdempotencyKey, Prefix};

use super::draw;
use crate::desk::Desk;
use crate::failure::{Ended, Failure};
use crate::given::Which;
use crate::printer::Printer;
use crate::{documents, given};

pub(crate) const STATUS: &str = "\
Examples:
  seqid status INV
  seqid status SINV --scope branch=DEL --period FY2026-27
  seqid status INV --json | jq .next_number";

pub(crate) const LIST: &str = "\
Examples:
  seqid list                   the sequences
  seqid list INV               the counters of INV, in the order in which they opened
  seqid list --json | jq -r .prefix";

pub(crate) const RESET: &str = "\
Forward, the numbers between are skipped, which the gap report says. Backward over issued numbers is refused, for they \
would repeat: --accept-repeats begins a new generation, where the service allows it.

Examples:
  seqid reset INV 1000 --reason 'the forms begin with 1000'
  seqid reset INV 1 --period 2026-03 --reason 'training is over' --accept-repeats";

pub(crate) const SYNC: &str = "\
Forward only; repeating it changes nothing. The numbers up to LAST_USED that were not issued here become `external`.

Examples:
  seqid sync INV 1234 --reason 'last invoice of the old system'
  seqid sync SINV 88 --scope branch=DEL --date 2026-04-01";

#[derive(Debug, Clone, clap::Args)]
pub(crate) struct StatusOf {
    /// Sequence
    #[arg(value_name = "PREFIX")]
    prefix: Prefix,

    #[command(flatten)]
    which: Which,
}

impl StatusOf {
    pub(crate) async fn run(self, desk: &Desk, printer: &mut Printer) -> Result<Ended, Failure> {
        let counter = self.which.counter(desk.tenant(), &self.prefix)?;
        let status = desk.numbering().status(counter).await.map_err(desk.failed())?;
        if printer.json() {
            printer.document(&documents::status(&status))?;
        } else {
            print_status(&status, printer)?;
        }
        Ok(Ended::Done)
    }
}

fn print_status(status: &Status, printer: &mut Printer) -> Result<(), Failure> {
    let optional = |value: Option<String>| value.unwrap_or_else(|| "-".to_owned());
    let mut facts = vec![
        ("counter", counter_name(status)),
        ("mode", status.mode.as_str().to_owned()),
        (
            "last number",
            optional(status.last_number.map(|number| number.to_string())),
        ),
        (
            "next number",
            optional(status.next_number.map(|number| number.to_string())),
        ),
        ("next id", optional(status.next_id.clone())),
        ("remaining", format!("{} up to {}", status.remaining, status.max)),
        ("reserved", status.reserved.to_string()),
        ("voided", status.voided.to_string()),
        ("events", status.events.to_string()),
        ("definition", format!("version {}", status.definition_version)),
        (
            "generation",
            format!("{}, epoch {}", status.generation, status.epoch),
        ),
    ];
    if let Some(forecast) = &status.forecast {
        let used = format!(
            "{} in a day, {} in a week, {} in a month",
            forecast.last_day, forecast.last_week, forecast.last_month
        );
        facts.push(("used", used));
        facts.push(("ends on", optional(forecast.ends_on.map(|date| date.to_string()))));
    }
    if !status.opened {
        facts.push(("opened", "not yet".to_owned()));
    }
    if status.archived {
        facts.push(("archived", "it gives no numbers any more".to_owned()));
    }
    printer.facts(&facts)?;
    for warning in &status.warnings {
        printer.remark(draw::meaning(*warning));
    }
    Ok(())
}

/// The sequence, period and scope, for people.
fn counter_name(status: &Status) -> String {
    let scope = status.scope.to_string();
    let parts = [status.prefix.to_string(), status.period.to_string(), scope];
    let parts: Vec<String> = parts.into_iter().filter(|part| !part.is_empty()).collect();
    parts.join(" ")
}

#[derive(Debug, Clone, clap::Args)]
pub(crate) struct List {
    /// Sequence whose counters are listed; the sequences themselves unless given
    #[arg(value_name = "PREFIX")]
    prefix: Option<Prefix>,
}

impl List {
    pub(crate) async fn run(self, desk: &Desk, printer: &mut Printer) -> Result<Ended, Failure> {
        let (numbering, tenant) = (desk.numbering(), || desk.tenant().clone());
        match &self.prefix {
            None => {
                let items = whole(|page| numbering.sequences(tenant(), page)).await;
                let items = items.map_err(desk.failed())?;
                print_all(&items, documents::sequence, &SEQUENCES, sequence_row, printer)?;
            }
            Some(prefix) => {
                let items = whole(|page| numbering.counters(tenant(), prefix.clone(), page)).await;
                let items = items.map_err(desk.failed())?;
                print_all(&items, documents::status, &COUNTERS, counter_row, printer)?;
            }
        }
        Ok(Ended::Done)
    }
}

/// All parts of a list.
pub(crate) async fn whole<T, F>(part: impl Fn(Page) -> F) -> Result<Vec<T>, Error>
where
    F: Future<Output = Result<Listing<T>, Error>>,
{
    let (mut items, mut after) = (Vec::new(), None);
    loop {
        let limit = Page::LARGEST;
        let listing = part(Page { after, limit }).await?;
        items.extend(listing.items);
        after = listing.next;
        if after.is_none() {
            return Ok(items);
        }
    }
}

fn print_all<T>(
    items: &[T],
    document: impl Fn(&T) -> serde_json::Value,
    header: &[&str],
    row: impl Fn(&T) -> Vec<String>,
    printer: &mut Printer,
) -> Result<(), Failure> {
    if printer.json() {
        return items
            .iter()
            .try_for_each(|item| printer.document(&document(item)));
    }
    printer.table(header, items.iter().map(row).collect())
}

const SEQUENCES: [&str; 7] = [
    "PREFIX", "VERSION", "FORMAT", "MODE", "FIRST ID", "LAST ID", "STATE",
];

fn sequence_row(sequence: &Sequence) -> Vec<String> {
    let spec = sequence.definition.spec();
    let state = match (sequence.archived, sequence.implicit, sequence.closed_through) {
        (true, ..) => "archived".to_owned(),
        (false, _, Some(date)) => format!("closed through {date}"),
        (false, true, None) => "implicit".to_owned(),
        (false, false, None) => "open".to_owned(),
    };
    vec![
        sequence.prefix.to_string(),
        sequence.version.to_string(),
        spec.format.clone(),
        spec.mode.unwrap_or_default().as_str().to_owned(),
        sequence.first_id.clone().unwrap_or_else(|| "-".to_owned()),
        sequence.last_id.clone().unwrap_or_else(|| "-".to_owned()),
        state,
    ]
}

const COUNTERS: [&str; 8] = [
    "PERIOD",
    "SCOPE",
    "LAST",
    "NEXT",
    "REMAINING",
    "RESERVED",
    "VOIDED",
    "EVENTS",
];

fn counter_row(status: &Status) -> Vec<String> {
    let number = |number: Option<Number>| number.map_or_else(|| "-".to_owned(), |number| number.to_string());
    let scope = status.scope.to_string();
    vec![
        status.period.to_string(),
        if scope.is_empty() { "-".to_owned() } else { scope },
        number(status.last_number),
        number(status.next_number),
        status.remaining.to_string(),
        status.reserved.to_string(),
        status.voided.to_string(),
        status.events.to_string(),
    ]
}

#[derive(Debug, Clone, clap::Args)]
pub(crate) struct ResetTo {
    /// Sequence
    #[arg(value_name = "PREFIX")]
    prefix: Prefix,

    /// What is issued next
    #[arg(value_name = "NEXT", value_parser = given::number)]
    next: Number,

    #[command(flatten)]
    which: Which,

    /// Why, for the auditor
    #[arg(long, value_name = "TEXT")]
    reason: Reason,

    /// Let numbers that were issued be issued again, in a new generation
    #[arg(long)]
    accept_repeats: bool,

    /// Idempotency key
    #[arg(long, value_name = "TEXT")]
    key: Option<IdempotencyKey>,
}

impl ResetTo {
    pub(crate) async fn run(self, desk: &Desk, printer: &mut Printer) -> Result<Ended, Failure> {
        let counter = self.which.counter(desk.tenant(), &self.prefix)?;
        let key = desk.key(self.key.as_ref())?;
        let mut request = ResetRequest::new(counter, self.next, self.reason);
        request.repeats_accepted = self.accept_repeats;
        request.key = Some(key.clone());
        request.origin = desk.origin();
        let moved = desk.numbering().reset(request).await;
        print_moved(&moved.map_err(desk.failed_with(Some(&key)))?, printer)
    }
}

#[derive(Debug, Clone, clap::Args)]
pub(crate) struct SyncTo {
    /// Sequence
    #[arg(value_name = "PREFIX")]
    prefix: Prefix,

    /// The largest number that the other system gave out
    #[arg(value_name = "LAST_USED", value_parser = given::number)]
    last_used: Number,

    #[command(flatten)]
    which: Which,

    /// Why, for the auditor
    #[arg(long, value_name = "TEXT")]
    reason: Option<Reason>,

    /// Idempotency key
    #[arg(long, value_name = "TEXT")]
    key: Option<IdempotencyKey>,
}

impl SyncTo {
    pub(crate) async fn run(self, desk: &Desk, printer: &mut Printer) -> Result<Ended, Failure> {
        let counter = self.which.counter(desk.tenant(), &self.prefix)?;
        let key = desk.key(self.key.as_ref())?;
        let mut request = SyncRequest::new(counter, self.last_used);
        request.reason = self.reason;
        request.key = Some(key.clone());
        request.origin = desk.origin();
        let moved = desk.numbering().sync(request).await;
        print_moved(&moved.map_err(desk.failed_with(Some(&key)))?, printer)
    }
}

fn print_moved(moved: &Moved, printer: &mut Printer) -> Result<Ended, Failure> {
    if printer.json() {
        printer.document(&documents::moved(moved))?;
        return Ok(Ended::Done);
    }
    let number =
        |number: Option<Number>| number.map_or_else(|| "the end".to_owned(), |number| number.to_string());
    let status = &moved.status;
    let (old, new) = (number(moved.old_next_number), number(status.next_number));
    let line = if moved.old_next_number == status.next_number {
        format!("{}: next is {new}, as before", counter_name(status))
    } else {
        format!("{}: next is {new}, was {old}", counter_name(status))
    };
    printer.line(&line)?;
    Ok(Ended::Done)
}
