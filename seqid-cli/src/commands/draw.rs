//! `next`, `batch` and `reserve`.

use std::time::Duration;

use seqid_core::names::Reference;
use seqid_core::numbering::{DrawRequest, Issued, ReserveRequest, Warning};
use seqid_core::{IdempotencyKey, Prefix};

use crate::desk::Desk;
use crate::failure::{Ended, Failure};
use crate::given::DateAndValues;
use crate::printer::Printer;
use crate::{documents, given};

pub(crate) const NEXT: &str = "\
The id alone is printed, so that a script can take it: id=$(seqid next INV). Without --key one is made; should the outcome be \
unknown, the message says which, and the command repeated with it issues no second number.

Examples:
  seqid next INV
  seqid next INV --key order-4711 --reference SO-4711
  seqid next SINV --scope branch=DEL --date 2026-04-01";

pub(crate) const BATCH: &str = "\
The numbers are of one counter and follow one another. When fewer are left, none is drawn.

Examples:
  seqid batch INV 5
  seqid batch INV 100 --key import-7 --json";

pub(crate) const RESERVE: &str = "\
Confirm the reservation when the document is posted, void it when it is not. After --ttl it ends by itself.

Examples:
  seqid reserve INV --ttl 10m
  seqid reserve INV --count 3 --ttl 2h --reference draft-12
  seqid confirm $(seqid reserve INV --json | jq -r .reservation)";

/// What a number is drawn for.
#[derive(Debug, Clone, clap::Args)]
struct Document {
    /// Sequence
    #[arg(value_name = "PREFIX")]
    prefix: Prefix,

    #[command(flatten)]
    values: DateAndValues,

    /// Your key of the document, kept with its number
    #[arg(long, value_name = "TEXT")]
    reference: Option<Reference>,

    /// The document that this one belongs to or corrects
    #[arg(long, value_name = "TEXT")]
    relates_to: Option<Reference>,

    /// Idempotency key: the same key gets the same numbers, for 30 days
    #[arg(long, value_name = "TEXT")]
    key: Option<IdempotencyKey>,
}

impl Document {
    /// A draw of one number, and the key that it bears.
    fn draw(self, desk: &Desk) -> Result<(DrawRequest, IdempotencyKey), Failure> {
        let key = desk.key(self.key.as_ref())?;
        let mut draw = DrawRequest::new(self.prefix).key(key.clone());
        draw.tenant = desk.tenant().clone();
        draw.date = self.values.date;
        draw.scope = self.values.scope()?;
        draw.fields = self.values.fields()?;
        draw.reference = self.reference;
        draw.relates_to = self.relates_to;
        draw.origin = desk.origin();
        Ok((draw, key))
    }
}

#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Next {
    #[command(flatten)]
    document: Document,
}

impl Next {
    pub(crate) async fn run(self, desk: &Desk, printer: &mut Printer) -> Result<Ended, Failure> {
        let (draw, key) = self.document.draw(desk)?;
        let issued = desk.numbering().draw(draw).await;
        let issued = issued.map_err(desk.failed_with(Some(&key)))?;
        if printer.json() {
            printer.document(&documents::next(&issued))?;
        } else {
            print_ids(&issued, printer)?;
        }
        Ok(Ended::Done)
    }
}

#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Batch {
    #[command(flatten)]
    document: Document,

    /// How many numbers: 1 to 10000
    #[arg(value_name = "COUNT")]
    count: u32,
}

impl Batch {
    pub(crate) async fn run(self, desk: &Desk, printer: &mut Printer) -> Result<Ended, Failure> {
        let (draw, key) = self.document.draw(desk)?;
        let issued = desk.numbering().draw(draw.count(self.count)).await;
        let issued = issued.map_err(desk.failed_with(Some(&key)))?;
        if printer.json() {
            printer.document(&documents::batch(&issued))?;
        } else {
            print_ids(&issued, printer)?;
        }
        Ok(Ended::Done)
    }
}

#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Reserve {
    #[command(flatten)]
    document: Document,

    /// How many numbers, all or none: 1 to 10000; one unless given
    #[arg(long, value_name = "COUNT")]
    count: Option<u32>,

    /// How long the numbers are held: 1s to 30d
    #[arg(long, value_name = "DURATION", default_value = "10m", value_parser = given::duration)]
    ttl: Duration,
}

impl Reserve {
    pub(crate) async fn run(self, desk: &Desk, printer: &mut Printer) -> Result<Ended, Failure> {
        let (mut draw, key) = self.document.draw(desk)?;
        draw.count = self.count;
        let reserved = desk
            .numbering()
            .reserve(ReserveRequest::new(draw, self.ttl))
            .await;
        let reserved = reserved.map_err(desk.failed_with(Some(&key)))?;
        if printer.json() {
            printer.document(&documents::reserved(&reserved))?;
            return Ok(Ended::Done);
        }
        printer.facts(&[
            ("reservation", reserved.reservation.to_string()),
            ("expires at", reserved.expires_at.to_string()),
            ("ids", span(&reserved.numbers)),
        ])?;
        warn(&reserved.numbers, printer);
        Ok(Ended::Done)
    }
}

fn print_ids(issued: &Issued, printer: &mut Printer) -> Result<(), Failure> {
    issued.ids.iter().try_for_each(|id| printer.line(id))?;
    warn(issued, printer);
    Ok(())
}

/// The first id, and the last where there are several.
pub(super) fn span(issued: &Issued) -> String {
    match &issued.ids[..] {
        [first, .., last] => format!("{first} to {last}"),
        _ => issued.id().to_owned(),
    }
}

/// Says on standard error what a person should know of a number that was drawn.
pub(super) fn warn(issued: &Issued, printer: &mut Printer) {
    if issued.replayed {
        printer.remark("the key was used before: this is the answer of that time");
    }
    for warning in &issued.warnings {
        let remark = meaning(*warning);
        printer.remark(remark);
    }
}

/// A warning in a sentence.
pub(super) fn meaning(warning: Warning) -> &'static str {
    match warning {
        Warning::NearEnd => "the counter has few numbers left",
        Warning::RangeEnds => "the last range of numbers ends within 30 days of the document date",
        Warning::Successor => "the sequence has ended, and its successor gave the number",
        Warning::Repeats => "the definition lets ids repeat",
        Warning::ImplicitDefinition => {
            "the sequence was defined by its first draw: `seqid define` says how it should be"
        }
        Warning::Unfenced => "the service draws in Redis alone: once that loses a write, numbers repeat",
        other => other.as_str(),
    }
}
