//! From requests to messages.

use std::fmt::Display;

use seqid_core::command::End;
use seqid_core::numbering::{
    AuditRequest, CounterSelector, DrawRequest, NumberTarget, Page, PreviewRequest, ReserveRequest,
    ResetRequest, SettleRequest, SyncRequest, VoidRequest, VoidTarget, When,
};
use seqid_core::query::Order;
use seqid_core::{DefinitionSpec, IdempotencyKey, Number};
use seqid_proto as proto;
use seqid_proto::get_number_request::Target as NumberName;
use seqid_proto::void_request::Target;

/// A text that need not be there; none is an empty one.
pub(crate) fn text<T: Display>(value: Option<&T>) -> String {
    value.map(ToString::to_string).unwrap_or_default()
}

pub(crate) fn figure(number: Number) -> i64 {
    i64::try_from(number.get()).unwrap_or(i64::MAX)
}

/// A count. One that no message can hold is beyond every bound, as is the largest that it can.
fn count(count: u32) -> i32 {
    i32::try_from(count).unwrap_or(i32::MAX)
}

/// As many of a list as are asked for; the same holds.
fn limit(limit: usize) -> i32 {
    i32::try_from(limit).unwrap_or(i32::MAX)
}

pub(crate) fn page(page: Page) -> Option<proto::Page> {
    Some(proto::Page {
        after: page.after,
        limit: Some(limit(page.limit)),
    })
}

/// A definition as JSON. What cannot be written is refused by whoever reads it.
pub(crate) fn definition(spec: &DefinitionSpec) -> String {
    serde_json::to_string(spec).unwrap_or_default()
}

pub(crate) fn draw(request: DrawRequest, key: Option<&IdempotencyKey>) -> proto::DrawRequest {
    proto::DrawRequest {
        call: 0,
        prefix: request.prefix.to_string(),
        count: request.count.map(count),
        request_id: text(key),
        tenant: request.tenant.to_string(),
        date: text(request.date.as_ref()),
        scope: request.scope,
        fields: request.fields,
        reference: text(request.reference.as_ref()),
        relates_to: text(request.relates_to.as_ref()),
        client_id: text(request.origin.client.as_ref()),
        x_request_id: text(request.origin.request.as_ref()),
        timeout_ms: None,
    }
}

pub(crate) fn reserve(request: ReserveRequest, key: Option<&IdempotencyKey>) -> proto::ReserveRequest {
    let ReserveRequest { draw, ttl, .. } = request;
    proto::ReserveRequest {
        prefix: draw.prefix.to_string(),
        count: draw.count.map(count),
        // Parts of a second are rounded up: a hold does not end before it was to.
        ttl_seconds: i64::try_from(ttl.as_secs() + u64::from(ttl.subsec_nanos() > 0)).ok(),
        request_id: text(key),
        tenant: draw.tenant.to_string(),
        date: text(draw.date.as_ref()),
        scope: draw.scope,
        fields: draw.fields,
        reference: text(draw.reference.as_ref()),
        relates_to: text(draw.relates_to.as_ref()),
        client_id: text(draw.origin.client.as_ref()),
    }
}

/// The message that ends a reservation.
pub(crate) enum Settle {
    Confirm(proto::ConfirmRequest),
    Void(proto::VoidRequest),
}

pub(crate) fn settle(request: SettleRequest) -> Settle {
    let (reservation, tenant) = (request.reservation.to_string(), request.tenant.to_string());
    let client_id = text(request.origin.client.as_ref());
    match request.end {
        End::Confirm { date, reference } => Settle::Confirm(proto::ConfirmRequest {
            reservation,
            date: text(date.as_ref()),
            reference: text(reference.as_ref()),
            client_id,
            tenant,
        }),
        End::Void { reason } => Settle::Void(proto::VoidRequest {
            target: Some(Target::Reservation(reservation)),
            prefix: String::new(),
            reason: reason.to_string(),
            request_id: String::new(),
            client_id,
            tenant,
            generation: None,
        }),
    }
}

pub(crate) fn void(request: VoidRequest, key: Option<&IdempotencyKey>) -> proto::VoidRequest {
    let (target, prefix, tenant) = match request.target {
        VoidTarget::Numbers {
            counter: of,
            first,
            last,
        } => {
            let numbers = proto::NumberRange {
                counter: Some(counter(of)),
                first: figure(first),
                last: figure(last),
            };
            (Target::Numbers(numbers), String::new(), String::new())
        }
        VoidTarget::Id { tenant, prefix, id } => (Target::Id(id), text(prefix.as_ref()), tenant.to_string()),
    };
    proto::VoidRequest {
        target: Some(target),
        prefix,
        reason: request.reason.to_string(),
        request_id: text(key),
        client_id: text(request.origin.client.as_ref()),
        tenant,
        generation: request.generation,
    }
}

pub(crate) fn counter(counter: CounterSelector) -> proto::Counter {
    let (date, period) = when(counter.when);
    proto::Counter {
        tenant: counter.tenant.to_string(),
        prefix: counter.prefix.to_string(),
        scope: counter.scope,
        date,
        period,
    }
}

fn when(when: When) -> (String, Option<String>) {
    match when {
        When::Today => (String::new(), None),
        When::On(date) => (date.to_string(), None),
        When::In(period) => (String::new(), Some(period)),
    }
}

pub(crate) fn reset(request: ResetRequest, key: Option<&IdempotencyKey>) -> proto::ResetCounterRequest {
    let (date, period) = when(request.counter.when);
    proto::ResetCounterRequest {
        prefix: request.counter.prefix.to_string(),
        new_value: figure(request.next),
        reason: request.reason.to_string(),
        client_id: text(request.origin.client.as_ref()),
        request_id: text(key),
        tenant: request.counter.tenant.to_string(),
        scope: request.counter.scope,
        date,
        period,
        repeats_accepted: request.repeats_accepted,
    }
}

pub(crate) fn sync(request: SyncRequest, key: Option<&IdempotencyKey>) -> proto::SyncRequest {
    proto::SyncRequest {
        counter: Some(counter(request.counter)),
        last_used: figure(request.last_used),
        reason: text(request.reason.as_ref()),
        request_id: text(key),
        client_id: text(request.origin.client.as_ref()),
    }
}

pub(crate) fn status(counter: CounterSelector) -> proto::GetStatusRequest {
    let (date, period) = when(counter.when);
    proto::GetStatusRequest {
        prefix: counter.prefix.to_string(),
        tenant: counter.tenant.to_string(),
        scope: counter.scope,
        date,
        period,
    }
}

pub(crate) fn gaps(of: CounterSelector, page: Page) -> proto::ListGapsRequest {
    proto::ListGapsRequest {
        counter: Some(counter(of)),
        after: page.after,
        limit: Some(limit(page.limit)),
    }
}

pub(crate) fn number(target: NumberTarget) -> proto::GetNumberRequest {
    match target {
        NumberTarget::Number { counter: of, number } => proto::GetNumberRequest {
            target: Some(NumberName::Counter(counter(of))),
            number: figure(number),
            ..proto::GetNumberRequest::default()
        },
        NumberTarget::Id { tenant, prefix, id } => proto::GetNumberRequest {
            target: Some(NumberName::Id(id)),
            number: 0,
            prefix: text(prefix.as_ref()),
            tenant: tenant.to_string(),
        },
    }
}

pub(crate) fn preview(request: PreviewRequest) -> proto::PreviewRequest {
    proto::PreviewRequest {
        tenant: request.tenant.to_string(),
        prefix: request.prefix.to_string(),
        definition: request.definition.as_ref().map(definition).unwrap_or_default(),
        number: request.number.map(figure),
        date: text(request.date.as_ref()),
        scope: request.scope,
        fields: request.fields,
    }
}

pub(crate) fn audit(request: AuditRequest) -> proto::QueryAuditRequest {
    let (from_number, to_number) = request.numbers.unzip();
    proto::QueryAuditRequest {
        tenant: request.tenant.to_string(),
        prefix: text(request.prefix.as_ref()),
        period: request.period,
        scope: request.scope,
        id: request.id.unwrap_or_default(),
        from_number: from_number.map(figure),
        to_number: to_number.map(figure),
        actor: text(request.actor.as_ref()),
        client: text(request.client.as_ref()),
        request_id: text(request.request.as_ref()),
        reference: text(request.reference.as_ref()),
        kinds: request
            .kinds
            .iter()
            .map(|kind| kind.as_str().to_owned())
            .collect(),
        from: text(request.from.as_ref()),
        to: text(request.to.as_ref()),
        after: request.after,
        limit: Some(limit(request.limit)),
        oldest_first: request.order == Order::OldestFirst,
        follow: false,
    }
}
