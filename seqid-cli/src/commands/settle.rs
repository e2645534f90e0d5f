//! `confirm` and `void`.

use clap::ArgGroup;
use seqid_core::command::End;
use seqid_core::names::{Number, Reason, Reference};
use seqid_core::numbering::{Held, SettleRequest, VoidRequest, VoidTarget};
use seqid_core::reservation::ReservationId;
use seqid_core::time::Date;
use seqid_core::{IdempotencyKey, Prefix};

use super::draw;
use crate::desk::Desk;
use crate::failure::{Ended, Failure};
use crate::given::Which;
use crate::printer::Printer;
use crate::{documents, given};

pub(crate) const CONFIRM: &str = "\
Confirming twice changes nothing: it is answered the same.

Examples:
  seqid confirm 5f1d7a3c9b2e4860a7c1d9e3f5b70824
  seqid confirm 5f1d7a3c9b2e4860a7c1d9e3f5b70824 --reference SO-4711";

pub(crate) const VOID: &str = "\
A void number stays a gap, with its reason, for ever. Numbers that were not issued yet can be voided from the next one on.

Examples:
  seqid void --reservation 5f1d7a3c9b2e4860a7c1d9e3f5b70824 --reason 'draft was dropped'
  seqid void --id INV-2026-00042 --reason 'printed twice'
  seqid void INV --number 7 --last 9 --reason 'lost forms'";

#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Confirm {
    /// Reservation, as `reserve` named it
    #[arg(value_name = "RESERVATION")]
    reservation: ReservationId,

    /// Document date; it must be the one that was fixed
    #[arg(long, value_name = "YYYY-MM-DD")]
    date: Option<Date>,

    /// Your key of the document; that of the reservation unless given
    #[arg(long, value_name = "TEXT")]
    reference: Option<Reference>,
}

impl Confirm {
    pub(crate) async fn run(self, desk: &Desk, printer: &mut Printer) -> Result<Ended, Failure> {
        let mut request = SettleRequest::confirm(self.reservation);
        request.end = End::Confirm {
            date: self.date,
            reference: self.reference,
        };
        settle(request, desk, printer).await
    }
}

#[derive(Debug, Clone, clap::Args)]
#[command(group = ArgGroup::new("target").required(true))]
pub(crate) struct Void {
    /// Sequence; needed with --number, and with --id where several sequences print such ids
    #[arg(value_name = "PREFIX", conflicts_with = "reservation")]
    prefix: Option<Prefix>,

    /// A reservation: its numbers are not issued
    #[arg(long, value_name = "RESERVATION", group = "target", conflicts_with_all = ["scope", "date", "period", "key"])]
    reservation: Option<ReservationId>,

    /// An id that was issued, where it tells its period
    #[arg(long, value_name = "ID", group = "target", conflicts_with_all = ["scope", "date", "period"])]
    id: Option<String>,

    /// A number of a counter
    #[arg(long, value_name = "NUMBER", group = "target", requires = "prefix", value_parser = given::number)]
    number: Option<Number>,

    /// The last number, of several that begin with --number
    #[arg(long, value_name = "NUMBER", requires = "number", value_parser = given::number)]
    last: Option<Number>,

    #[command(flatten)]
    which: Which,

    /// Refuse numbers of another generation than this one, which the answer that issued them names
    #[arg(long, value_name = "GENERATION", conflicts_with = "reservation")]
    generation: Option<u32>,

    /// Why, for the auditor
    #[arg(long, value_name = "TEXT")]
    reason: Reason,

    /// Idempotency key
    #[arg(long, value_name = "TEXT")]
    key: Option<IdempotencyKey>,
}

impl Void {
    pub(crate) async fn run(self, desk: &Desk, printer: &mut Printer) -> Result<Ended, Failure> {
        if let Some(reservation) = self.reservation {
            return settle(SettleRequest::void(reservation, self.reason), desk, printer).await;
        }
        let target = self.target(desk)?;
        let key = desk.key(self.key.as_ref())?;
        let mut request = VoidRequest::new(target, self.reason);
        request.generation = self.generation;
        request.key = Some(key.clone());
        request.origin = desk.origin();
        let voided = desk.numbering().void(request).await;
        let voided = voided.map_err(desk.failed_with(Some(&key)))?;
        if printer.json() {
            printer.document(&documents::voided(&voided))?;
            return Ok(Ended::Done);
        }
        let (first, last) = (voided.run.first, voided.run.last());
        let numbers = if first == last {
            format!("{first}")
        } else {
            format!("{first} to {last}")
        };
        let before = if voided.repeated { " already" } else { "" };
        printer.line(&format!(
            "{} {}: {numbers} void{before}",
            voided.prefix, voided.period
        ))?;
        Ok(Ended::Done)
    }

    fn target(&self, desk: &Desk) -> Result<VoidTarget, Failure> {
        match (&self.id, self.number, &self.prefix) {
            (Some(id), ..) => Ok(VoidTarget::Id {
                tenant: desk.tenant().clone(),
                prefix: self.prefix.clone(),
                id: id.clone(),
            }),
            (None, Some(first), Some(prefix)) => Ok(VoidTarget::Numbers {
                counter: self.which.counter(desk.tenant(), prefix)?,
                first,
                last: self.last.unwrap_or(first),
            }),
            _ => Err(Failure::usage(
                "name a reservation, an id, or a prefix and a number".to_owned(),
            )),
        }
    }
}

async fn settle(mut request: SettleRequest, desk: &Desk, printer: &mut Printer) -> Result<Ended, Failure> {
    request.tenant = desk.tenant().clone();
    request.origin = desk.origin();
    let held = desk.numbering().settle(request).await.map_err(desk.failed())?;
    if printer.json() {
        printer.document(&documents::held(&held))?;
    } else {
        print_held(&held, printer)?;
    }
    Ok(Ended::Done)
}

fn print_held(held: &Held, printer: &mut Printer) -> Result<(), Failure> {
    printer.facts(&[
        ("reservation", held.reservation.to_string()),
        ("state", held.state.as_str().to_owned()),
        ("ids", draw::span(&held.numbers)),
    ])?;
    draw::warn(&held.numbers, printer);
    Ok(())
}
