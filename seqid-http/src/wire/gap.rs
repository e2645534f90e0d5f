use seqid_core::Prefix;
use seqid_core::field::FieldValues;
use seqid_core::gap_report::{GapSummary, Head};
use seqid_core::mark::NumberState;
use seqid_core::names::{Label, Reason, Reference};
use seqid_core::numbering::{Gap, Status};
use seqid_core::period::Period;
use seqid_core::reservation::ReservationId;
use seqid_core::time::{Date, Timestamp};
use serde::Serialize;
use utoipa::ToSchema;

use super::{Figure, Shown};

/// The numbers of a counter that were not plainly issued, and why.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Gaps)]
pub(crate) struct GapsAnswer {
    #[serde(flatten)]
    head: GapsHead,
    /// Runs of such numbers, in the order of generation and number.
    gaps: Vec<GapAnswer>,
    /// What became of all numbers of the current generation.
    summary: SummaryAnswer,
}

/// The counter of a gap report.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = GapsHead)]
pub(crate) struct GapsHead {
    /// The sequence.
    #[schema(value_type = String, examples("INV"))]
    prefix: Shown<Prefix>,
    /// The counter's period.
    #[schema(value_type = String, examples("all"))]
    period: Shown<Period>,
    /// The period's first day; null for `all`.
    #[schema(value_type = Option<String>, format = Date, required)]
    period_start: Option<Shown<Date>>,
    /// The period's last day; null for `all`.
    #[schema(value_type = Option<String>, format = Date, required)]
    period_end: Option<Shown<Date>>,
    /// The counter's scope values, normalised.
    #[schema(value_type = BTreeMap<String, String>)]
    scope: FieldValues,
    /// The counter's first number.
    start: Figure,
    /// The distance between two numbers of the counter.
    step: Figure,
    /// What is issued next; null when the counter has ended.
    #[schema(required)]
    next_number: Option<Figure>,
    /// Raised by a reset that lets numbers repeat.
    generation: u32,
    /// When the report was begun: numbers that were offered later are not in it.
    #[schema(value_type = String, format = DateTime)]
    made_at: Shown<Timestamp>,
}

impl From<&Head> for GapsHead {
    fn from(head: &Head) -> Self {
        let status = &head.status;
        let as_text = status.numbers_as_text;
        Self {
            prefix: Shown(status.prefix.clone()),
            period: Shown(status.period),
            period_start: status.period.first().map(Shown),
            period_end: status.period.last().map(Shown),
            scope: status.scope.clone(),
            start: Figure::new(head.start, as_text),
            step: Figure::new(head.step, as_text),
            next_number: status.next_number.map(|next| Figure::new(next, as_text)),
            generation: status.generation,
            made_at: Shown(head.at),
        }
    }
}

/// A run of numbers that were not plainly issued, and why.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Gap)]
pub(crate) struct GapAnswer {
    /// The first number.
    first: Figure,
    /// The last number.
    last: Figure,
    /// The distance between two numbers of the counter.
    step: Figure,
    /// How many.
    count: Figure,
    /// The text of the first number; null where the number does not tell it.
    #[schema(required, examples("INV-001"))]
    first_id: Option<String>,
    /// The text of the last number; null where the number does not tell it.
    #[schema(required, examples("INV-001"))]
    last_id: Option<String>,
    /// What became of them: `reserved`, `voided`, `expired`, `free`, `skipped`, `external` or `unknown`.
    #[schema(examples("voided"))]
    state: &'static str,
    /// Why.
    #[schema(value_type = Option<String>, required)]
    reason: Option<Shown<Reason>>,
    /// Who did it.
    #[schema(value_type = Option<String>, required)]
    actor: Option<Shown<Label>>,
    /// The request that did it; null too where several did the same to adjacent numbers.
    #[schema(value_type = Option<String>, required)]
    request_id: Option<Shown<Label>>,
    /// Your key of the document.
    #[schema(value_type = Option<String>, required)]
    reference: Option<Shown<Reference>>,
    /// The reservation that the numbers are or were under.
    #[schema(value_type = Option<String>, required)]
    reservation: Option<Shown<ReservationId>>,
    /// When the reservation ends, or would have ended, by itself.
    #[schema(value_type = Option<String>, format = DateTime, required)]
    expires_at: Option<Shown<Timestamp>>,
    /// The document date that the reservation fixed.
    #[schema(value_type = Option<String>, format = Date, required)]
    date: Option<Shown<Date>>,
    /// When it was recorded; of several records of adjacent numbers the last.
    #[schema(value_type = String, format = DateTime)]
    at: Shown<Timestamp>,
    /// The generation of the numbers.
    generation: u32,
}

impl GapAnswer {
    pub(crate) fn new(gap: &Gap, as_text: bool) -> Self {
        Self {
            first: Figure::new(gap.run.first, as_text),
            last: Figure::new(gap.run.last(), as_text),
            step: Figure::new(gap.run.step, as_text),
            count: Figure::new(gap.run.count, as_text),
            first_id: gap.first_id.clone(),
            last_id: gap.last_id.clone(),
            state: gap.state.as_str(),
            reason: gap.reason.clone().map(Shown),
            actor: gap.actor.clone().map(Shown),
            request_id: gap.request_id.clone().map(Shown),
            reference: gap.reference.clone().map(Shown),
            reservation: gap.reservation.map(Shown),
            expires_at: gap.expires_at.map(Shown),
            date: gap.date.map(Shown),
            at: Shown(gap.at),
            generation: gap.generation,
        }
    }
}

/// What became of all numbers of a counter's generation that were offered. The counts of `issued` to `unknown` add up
/// to `count`.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = GapSummary)]
pub(crate) struct SummaryAnswer {
    /// The first number.
    from: Figure,
    /// The last number that was offered; null before the first.
    #[schema(required)]
    to: Option<Figure>,
    /// How many numbers there are from the first to the last.
    count: Figure,
    /// Issued, and not voided since.
    issued: Figure,
    /// Held by a reservation.
    reserved: Figure,
    /// Declared void.
    voided: Figure,
    /// Held until nobody wanted them; they stay unused.
    expired: Figure,
    /// Held until nobody wanted them; they are offered again.
    free: Figure,
    /// Jumped over by a reset.
    skipped: Figure,
    /// Given out by another system.
    external: Figure,
    /// Jumped over when an operator accepted a store that had gone back in time, or left with a holder that is gone.
    unknown: Figure,
    /// In the hands of a holder that has not reported yet what became of them.
    pending: Figure,
}

impl SummaryAnswer {
    pub(crate) fn new(summary: &GapSummary, as_text: bool) -> Self {
        let of = |state| Figure::new(summary.of(state), as_text);
        Self {
            from: Figure::new(summary.from, as_text),
            to: summary.to.map(|to| Figure::new(to, as_text)),
            count: Figure::new(summary.count, as_text),
            issued: Figure::new(summary.issued, as_text),
            reserved: of(NumberState::Reserved),
            voided: of(NumberState::Voided),
            expired: of(NumberState::Expired),
            free: of(NumberState::Free),
            skipped: of(NumberState::Skipped),
            external: of(NumberState::External),
            unknown: of(NumberState::Unknown),
            pending: of(NumberState::Pending),
        }
    }
}

/// The counters of a sequence with what became of their numbers.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = GapSummaries)]
pub(crate) struct CounterSummariesAnswer {
    /// This part of the list.
    pub(crate) items: Vec<CounterSummary>,
    /// What to send as `after` for the next part; null at the end.
    #[schema(required)]
    pub(crate) next: Option<String>,
}

/// What became of the numbers of one counter.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = CounterGapSummary)]
pub(crate) struct CounterSummary {
    /// The sequence.
    #[schema(value_type = String, examples("INV"))]
    prefix: Shown<Prefix>,
    /// The counter's period.
    #[schema(value_type = String, examples("all"))]
    period: Shown<Period>,
    /// The period's first day; null for `all`.
    #[schema(value_type = Option<String>, format = Date, required)]
    period_start: Option<Shown<Date>>,
    /// The period's last day; null for `all`.
    #[schema(value_type = Option<String>, format = Date, required)]
    period_end: Option<Shown<Date>>,
    /// The counter's scope values, normalised.
    #[schema(value_type = BTreeMap<String, String>)]
    scope: FieldValues,
    /// Raised by a reset that lets numbers repeat.
    generation: u32,
    /// The counts; null where the newest definition has another kind of period or other scope fields, so that the
    /// counter cannot be named any more.
    #[schema(required)]
    summary: Option<SummaryAnswer>,
}

impl CounterSummary {
    pub(crate) fn new(status: Status, summary: Option<GapSummary>) -> Self {
        let as_text = status.numbers_as_text;
        Self {
            prefix: Shown(status.prefix),
            period: Shown(status.period),
            period_start: status.period.first().map(Shown),
            period_end: status.period.last().map(Shown),
            scope: status.scope,
            generation: status.generation,
            summary: summary.map(|summary| SummaryAnswer::new(&summary, as_text)),
        }
    }
}
