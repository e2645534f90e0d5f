use seqid_core::field::FieldValues;
use seqid_core::names::{Label, Number, Reason};
use seqid_core::numbering::{AdoptedCounter, Adoption};
use seqid_core::period::Period;
use seqid_core::time::Date;
use seqid_core::{Prefix, Tenant};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Figure, Shown};

/// The most counters of an answer.
const SHOWN: usize = 1_000;

/// Ids that another system gave out.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"prefix": "INV", "ids": ["INV-001", "INV-002"], "reason": "from the old system"}))]
pub(crate) struct AdoptBody {
    /// The tenant, where the header `Seqid-Tenant` does not name it.
    #[schema(value_type = Option<String>)]
    pub(crate) tenant: Option<Tenant>,
    /// The sequence.
    #[schema(value_type = String, examples("INV"), max_length = 64)]
    pub(crate) prefix: Prefix,
    /// The rendered texts, in any order, of any of the sequence's counters.
    #[schema(min_items = 1, max_items = 1_000_000)]
    pub(crate) ids: Vec<String>,
    /// Why, for the audit.
    #[schema(value_type = String, max_length = 500)]
    pub(crate) reason: Reason,
    /// Whether to check only and adopt nothing.
    #[serde(default)]
    #[schema(required = false)]
    pub(crate) dry_run: bool,
    /// The program that asks, for the audit.
    #[schema(value_type = Option<String>, max_length = 255)]
    pub(crate) client_id: Option<Label>,
}

/// What became of a list of ids.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Adoption)]
pub(crate) struct AdoptionAnswer {
    /// The sequence.
    #[schema(value_type = String, examples("INV"))]
    prefix: Shown<Prefix>,
    /// How many numbers were adopted.
    adopted: u64,
    /// How many of the list were external before.
    already_adopted: u64,
    /// How many numbers between them were skipped.
    skipped: u64,
    /// The counters that have numbers of the list, by period and scope: the first 1,000.
    counters: Vec<AdoptedCounterAnswer>,
    /// How many counters there are.
    counters_total: usize,
    /// Whether nothing was done, so that this is what would be.
    dry_run: bool,
}

/// A counter that has numbers of the list.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = AdoptedCounter)]
pub(crate) struct AdoptedCounterAnswer {
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
    /// The smallest number of the list.
    first: Figure,
    /// The largest number of the list.
    last: Figure,
    /// How many numbers were adopted.
    adopted: u64,
    /// What is issued next; null when the counter has ended.
    #[schema(required)]
    next_number: Option<Figure>,
    /// The text of that number, today or on the first day of the period; null when the counter has ended.
    #[schema(required)]
    next_id: Option<String>,
}

impl From<Adoption> for AdoptionAnswer {
    fn from(adoption: Adoption) -> Self {
        let as_text = adoption.numbers_as_text;
        let figure = |number: Number| Figure::new(number, as_text);
        let counter = |counter: AdoptedCounter| AdoptedCounterAnswer {
            period: Shown(counter.period),
            period_start: counter.period.first().map(Shown),
            period_end: counter.period.last().map(Shown),
            scope: counter.scope,
            first: figure(counter.first),
            last: figure(counter.last),
            adopted: counter.adopted,
            next_number: counter.next_number.map(figure),
            next_id: counter.next_id,
        };
        Self {
            prefix: Shown(adoption.prefix),
            adopted: adoption.adopted,
            already_adopted: adoption.already_adopted,
            skipped: adoption.skipped,
            counters_total: adoption.counters.len(),
            counters: adoption.counters.into_iter().take(SHOWN).map(counter).collect(),
            dry_run: adoption.dry_run,
        }
    }
}
