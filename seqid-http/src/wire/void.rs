use seqid_core::field::FieldValues;
use seqid_core::names::{Label, Reason};
use seqid_core::numbering::{CounterSelector, VoidTarget, VoidedNumbers};
use seqid_core::period::Period;
use seqid_core::time::Date;
use seqid_core::{Prefix, Tenant};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Figure, Integer, Shown, Values};
use crate::problem::Problem;
use crate::request::{Caller, when};

/// Numbers to be declared void: `number`, or `first` and `last`, or `id`.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"prefix": "INV", "number": 1, "reason": "printed twice"}))]
pub(crate) struct VoidBody {
    /// The tenant, where the header `Seqid-Tenant` does not name it.
    #[schema(value_type = Option<String>)]
    tenant: Option<Tenant>,
    /// The sequence. With an `id` it may be absent: every sequence of the tenant is tried then.
    #[schema(value_type = Option<String>, examples("INV"), max_length = 64)]
    prefix: Option<Prefix>,
    /// The number.
    number: Option<Integer>,
    /// The first of several numbers.
    first: Option<Integer>,
    /// The last of several numbers.
    last: Option<Integer>,
    /// The rendered text, where it tells the period. It tells the counter too.
    id: Option<String>,
    /// Values of the scope fields, which choose the counter.
    #[serde(default)]
    #[schema(required = false)]
    scope: Values,
    /// A date in the counter's period; today when neither this nor `period` is sent.
    #[schema(value_type = Option<String>, format = Date)]
    date: Option<Date>,
    /// The counter's period.
    period: Option<String>,
    /// The counter's generation as the answer with the numbers named it: those of another one are refused. The newest when
    /// absent.
    pub(crate) generation: Option<u32>,
    /// Why, for the audit.
    #[schema(value_type = String, max_length = 500)]
    pub(crate) reason: Reason,
    /// The program that asks, for the audit.
    #[schema(value_type = Option<String>, max_length = 255)]
    pub(crate) client_id: Option<Label>,
}

impl VoidBody {
    /// What is to be voided, and the members that name its first and last number.
    pub(crate) fn target(&mut self, caller: &Caller) -> Result<(VoidTarget, Named), Problem> {
        let tenant = caller.tenant(self.tenant.take())?;
        if let Some(id) = self.id.take() {
            self.require_nothing_beside_an_id()?;
            let prefix = self.prefix.take();
            return Ok((VoidTarget::Id { tenant, prefix, id }, Named::ID));
        }
        let (first, last, named) = match (self.number, self.first, self.last) {
            (Some(number), None, None) => (number, number, Named::NUMBER),
            (None, Some(first), Some(last)) => (first, last, Named::RANGE),
            (None, Some(_), None) => return Err(Problem::invalid("/last", "is missing")),
            (None, None, Some(_)) => return Err(Problem::invalid("/first", "is missing")),
            (None, None, None) => return Err(Problem::invalid("", WHICH)),
            (Some(_), ..) => return Err(Problem::invalid("/number", WHICH)),
        };
        let prefix = self.prefix.take();
        let mut counter =
            CounterSelector::new(prefix.ok_or_else(|| Problem::invalid("/prefix", "is missing"))?);
        counter.tenant = tenant;
        counter.scope = std::mem::take(&mut self.scope.0);
        counter.when = when(self.date, self.period.take())?;
        let target = VoidTarget::Numbers {
            counter,
            first: first.number(named.first)?,
            last: last.number(named.last)?,
        };
        Ok((target, named))
    }

    /// An id tells everything but the sequence: what else was sent could only contradict it.
    fn require_nothing_beside_an_id(&self) -> Result<(), Problem> {
        let beside = [
            ("/number", self.number.is_some()),
            ("/first", self.first.is_some()),
            ("/last", self.last.is_some()),
            ("/scope", !self.scope.0.is_empty()),
            ("/date", self.date.is_some()),
            ("/period", self.period.is_some()),
        ];
        match beside.into_iter().find(|(_, sent)| *sent) {
            Some((pointer, _)) => Err(Problem::invalid(
                pointer,
                "is told by the id: send one of the two",
            )),
            None => Ok(()),
        }
    }
}

const WHICH: &str = "send number, or first and last, or id";

/// The members that name the first and the last number, as JSON pointers.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Named {
    pub(crate) first: &'static str,
    pub(crate) last: &'static str,
}

impl Named {
    const ID: Self = Self::one("/id");
    const NUMBER: Self = Self::one("/number");
    const RANGE: Self = Self {
        first: "/first",
        last: "/last",
    };

    const fn one(pointer: &'static str) -> Self {
        Self {
            first: pointer,
            last: pointer,
        }
    }
}

/// Numbers that are void.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Voided)]
pub(crate) struct VoidedAnswer {
    /// The sequence.
    #[schema(value_type = String, examples("INV"))]
    prefix: Shown<Prefix>,
    /// The first number.
    first: Figure,
    /// The last number.
    last: Figure,
    /// The distance between two numbers of the counter.
    step: Figure,
    /// How many.
    count: u64,
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
}

impl From<VoidedNumbers> for VoidedAnswer {
    fn from(voided: VoidedNumbers) -> Self {
        let as_text = voided.numbers_as_text;
        Self {
            prefix: Shown(voided.prefix),
            first: Figure::new(voided.run.first, as_text),
            last: Figure::new(voided.run.last(), as_text),
            step: Figure::new(voided.run.step, as_text),
            count: voided.run.count,
            period: Shown(voided.period),
            period_start: voided.period.first().map(Shown),
            period_end: voided.period.last().map(Shown),
            scope: voided.scope,
            generation: voided.generation,
        }
    }
}
