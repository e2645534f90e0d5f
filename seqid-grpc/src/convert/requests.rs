use std::collections::BTreeMap;

use seqid_core::event::EventKind;
use seqid_core::numbering::{AuditRequest, CounterSelector, DrawRequest, NumberTarget, VoidTarget};
use seqid_core::query::{EventQuery, Order};
use seqid_core::{Number, Prefix};
use seqid_proto as proto;
use seqid_proto::get_number_request::Target as NumberName;

use super::{limit, number, optional, parsed, when};
use crate::request::Caller;
use crate::status::Problem;

/// What every message that draws has.
pub(crate) struct Drawing {
    pub(crate) tenant: String,
    pub(crate) prefix: String,
    pub(crate) date: String,
    pub(crate) scope: BTreeMap<String, String>,
    pub(crate) fields: BTreeMap<String, String>,
    pub(crate) reference: String,
    pub(crate) relates_to: String,
    pub(crate) client_id: String,
    pub(crate) request_id: String,
}

/// Takes what every message that draws has out of one.
macro_rules! drawing {
    ($message:ident) => {
        crate::convert::Drawing {
            tenant: $message.tenant,
            prefix: $message.prefix,
            date: $message.date,
            scope: $message.scope,
            fields: $message.fields,
            reference: $message.reference,
            relates_to: $message.relates_to,
            client_id: $message.client_id,
            request_id: $message.request_id,
        }
    };
}

pub(crate) use drawing;

impl Drawing {
    /// A draw of one number.
    pub(crate) fn request(self, caller: &Caller) -> Result<DrawRequest, Problem> {
        let mut request = DrawRequest::new(parsed(&self.prefix, "/prefix")?);
        request.tenant = caller.tenant(&self.tenant)?;
        request.date = optional(&self.date, "/date")?;
        request.scope = self.scope;
        request.fields = self.fields;
        request.reference = optional(&self.reference, "/reference")?;
        request.relates_to = optional(&self.relates_to, "/relates_to")?;
        request.key = optional(&self.request_id, "/request_id")?;
        request.origin = caller.origin(&self.client_id, &self.request_id)?;
        request.deadline = Some(caller.deadline);
        Ok(request)
    }
}

/// The counter that a message names.
pub(crate) fn counter(message: Option<proto::Counter>, caller: &Caller) -> Result<CounterSelector, Problem> {
    let message = message.ok_or_else(|| Problem::invalid("/counter", "is missing"))?;
    let mut counter = CounterSelector::new(parsed(&message.prefix, "/counter/prefix")?);
    counter.tenant = caller.tenant(&message.tenant)?;
    counter.scope = message.scope;
    counter.when = when(&message.date, message.period)?;
    Ok(counter)
}

/// The counter of a status request, whose fields the first service had.
pub(crate) fn status_counter(
    message: proto::GetStatusRequest,
    caller: &Caller,
) -> Result<CounterSelector, Problem> {
    let mut counter = CounterSelector::new(parsed(&message.prefix, "/prefix")?);
    counter.tenant = caller.tenant(&message.tenant)?;
    counter.scope = message.scope;
    counter.when = when(&message.date, message.period)?;
    Ok(counter)
}

/// The counter of a reset, whose fields the first service had.
pub(crate) fn reset_counter(
    message: &mut proto::ResetCounterRequest,
    caller: &Caller,
) -> Result<CounterSelector, Problem> {
    let mut counter = CounterSelector::new(parsed(&message.prefix, "/prefix")?);
    counter.tenant = caller.tenant(&message.tenant)?;
    counter.scope = std::mem::take(&mut message.scope);
    counter.when = when(&message.date, std::mem::take(&mut message.period))?;
    Ok(counter)
}

/// Numbers to be voided: a run of them, or one by its text.
pub(crate) fn void_target(
    range: Result<proto::NumberRange, (String, &str)>,
    tenant: &str,
    caller: &Caller,
) -> Result<VoidTarget, Problem> {
    match range {
        Ok(range) => Ok(VoidTarget::Numbers {
            counter: counter(range.counter, caller)?,
            first: number(range.first, "/numbers/first")?,
            last: number(range.last, "/numbers/last")?,
        }),
        Err((id, prefix)) => Ok(VoidTarget::Id {
            tenant: caller.tenant(tenant)?,
            prefix: optional(prefix, "/prefix")?,
            id,
        }),
    }
}

/// How a number is named.
pub(crate) fn number_target(
    message: proto::GetNumberRequest,
    caller: &Caller,
) -> Result<NumberTarget, Problem> {
    match message.target {
        Some(NumberName::Counter(named)) => Ok(NumberTarget::Number {
            counter: counter(Some(named), caller)?,
            number: number(message.number, "/number")?,
        }),
        Some(NumberName::Id(id)) => Ok(NumberTarget::Id {
            tenant: caller.tenant(&message.tenant)?,
            prefix: optional(&message.prefix, "/prefix")?,
            id,
        }),
        None => Err(Problem::invalid("", "send a counter and a number, or an id")),
    }
}

/// The events that are asked for; without a limit all of them, the oldest first, in pages as large as there can be.
pub(crate) fn audit_request(
    message: proto::QueryAuditRequest,
    caller: &Caller,
) -> Result<AuditRequest, Problem> {
    let mut request = AuditRequest::new(caller.tenant(&message.tenant)?);
    request.prefix = match message.prefix.as_str() {
        "" => None,
        text => Some(Prefix::of_event(text).map_err(|error| Problem::invalid("/prefix", error.to_string()))?),
    };
    request.period = message.period;
    request.scope = message.scope;
    request.id = (!message.id.is_empty()).then_some(message.id);
    request.numbers = numbers(message.from_number, message.to_number)?;
    request.actor = optional(&message.actor, "/actor")?;
    request.client = optional(&message.client, "/client")?;
    request.request = optional(&message.request_id, "/request_id")?;
    request.reference = optional(&message.reference, "/reference")?;
    request.kinds = message
        .kinds
        .iter()
        .map(|word| kind(word))
        .collect::<Result<_, _>>()?;
    request.from = optional(&message.from, "/from")?;
    request.to = optional(&message.to, "/to")?;
    request.after = message.after;
    request.order = match (message.oldest_first, message.limit) {
        (false, Some(_)) => Order::NewestFirst,
        _ => Order::OldestFirst,
    };
    request.limit = message
        .limit
        .map_or(Ok(EventQuery::LARGEST), |most| limit(most, "/limit"))?;
    Ok(request)
}

fn numbers(from: Option<i64>, to: Option<i64>) -> Result<Option<(Number, Number)>, Problem> {
    if (from, to) == (None, None) {
        return Ok(None);
    }
    let from = from.map_or(Ok(Number::MIN), |from| number(from, "/from_number"))?;
    let to = to.map_or(Ok(Number::MAX), |to| number(to, "/to_number"))?;
    Ok(Some((from, to)))
}

fn kind(word: &str) -> Result<EventKind, Problem> {
    let kind = EventKind::ALL.into_iter().find(|kind| kind.as_str() == word);
    kind.ok_or_else(|| {
        let words: Vec<_> = EventKind::ALL.iter().map(|kind| kind.as_str()).collect();
        Problem::invalid("/kinds", format!("{word:?} is not one of {}", words.join(", ")))
    })
}
