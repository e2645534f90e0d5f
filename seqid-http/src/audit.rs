//! The audit: who got which numbers when and why, in pages or as an export.

use axum::Json;
use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use seqid_core::event::{EventKind, Recorded};
use seqid_core::numbering::AuditRequest;
use seqid_core::query::{EventPage, EventQuery, Order};
use seqid_core::{Number, Prefix};
use serde::Serialize;
use utoipa::ToSchema;

use crate::export::{Export, Format};
use crate::problem::Problem;
use crate::request::{Caller, Params};
use crate::service::Shared;
use crate::wire::Figure;

pub(crate) fn routes() -> Router<Shared> {
    Router::new().route("/api/v1/audit", get(audit))
}

/// Finds events: who got which numbers when and why.
///
/// A page may have fewer items than asked for, or none, although more follow: `next` alone tells the end. An export
/// (`format=ndjson`, `format=csv`, or such an `Accept`) has every event that was there when it began, oldest first. It
/// is whole if the answer ends as HTTP has it; when something goes wrong the connection is cut.
#[utoipa::path(get, path = "/api/v1/audit", operation_id = "audit", tag = "audit",
    params(
        ("prefix" = Option<String>, Query, description = "The sequence", example = "INV"),
        ("period" = Option<String>, Query, description = "The counter's period, such as `2026-03`"),
        ("scope.branch" = Option<String>, Query,
            description = "The value of a scope field; `branch` stands for the field's name"),
        ("id" = Option<String>, Query, description = "A rendered id, in place of a counter and a number"),
        ("number" = Option<String>, Query, description = "Events that concern this number"),
        ("from_number" = Option<String>, Query, description = "Events that concern this number or a larger one"),
        ("to_number" = Option<String>, Query, description = "Events that concern this number or a smaller one"),
        ("actor" = Option<String>, Query, description = "The person or account that asked"),
        ("client" = Option<String>, Query, description = "The program that asked, its `client_id`"),
        ("request_id" = Option<String>, Query, description = "The request's `X-Request-Id`"),
        ("reference" = Option<String>, Query, description = "Your key of the document"),
        ("kind" = Option<String>, Query,
            description = "A kind of event, such as `issued`, or several of them with commas between"),
        ("from" = Option<String>, Query, description = "The earliest instant, RFC 3339"),
        ("to" = Option<String>, Query, description = "The instant behind the latest, RFC 3339"),
        ("after" = Option<String>, Query,
            description = "The `next` of the part before. For an export: the `position` of the last event received"),
        ("limit" = Option<u16>, Query, description = "How many, 100 unless sent", minimum = 1, maximum = 1000),
        ("order" = Option<String>, Query, description = "`desc`, the newest first (default), or `asc`"),
        ("format" = Option<String>, Query, description = "`json` (default), `ndjson` or `csv`"),
        ("follow" = Option<bool>, Query,
            description = "With `ndjson`: whether to go on with events that are recorded later. An empty line now and \
                then says that there were none."),
    ),
    responses((status = 200, description = "A part of the list, or the export", content(
        (AuditAnswer = "application/json"), (String = "application/x-ndjson"), (String = "text/csv")))))]
pub(crate) async fn audit(
    State(service): State<Shared>,
    caller: Caller,
    headers: HeaderMap,
    mut params: Params,
) -> Result<Response, Problem> {
    let format = match params.take("format", format_named)? {
        Some(format) => format,
        None => format_accepted(&headers),
    };
    let follow = params.flag("follow")?;
    if follow && format != Some(Format::Lines) {
        return Err(Problem::invalid("?follow", "needs format=ndjson"));
    }
    let sent = |params: &Params| ["limit", "order"].into_iter().find(|name| params.has(name));
    let paged = sent(&params);
    let mut request = request(&mut params, &caller)?;
    params.finish()?;
    let Some(format) = format else {
        let page = service.look_up(service.numbering.audit(request)).await;
        return Ok(Json(AuditAnswer::from(page.map_err(Problem::in_query)?)).into_response());
    };
    if let Some(name) = paged {
        let detail = "an export has every event, oldest first";
        return Err(Problem::invalid(format!("?{name}"), detail));
    }
    (request.order, request.limit) = (Order::OldestFirst, EventQuery::LARGEST);
    let export = Export::begin(service, request, format, follow).await?;
    let mut response = Response::new(axum::body::Body::new(export));
    let headers = response.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static(format.media_type()),
    );
    if let Some(name) = format.file_name() {
        headers.insert(header::CONTENT_DISPOSITION, HeaderValue::from_static(name));
    }
    Ok(response)
}

fn format_named(text: &str) -> Result<Option<Format>, &'static str> {
    match text {
        "json" => Ok(None),
        "ndjson" => Ok(Some(Format::Lines)),
        "csv" => Ok(Some(Format::Table)),
        _ => Err("must be json, ndjson or csv"),
    }
}

/// The first format that the caller names; JSON for a caller that takes anything.
fn format_accepted(headers: &HeaderMap) -> Option<Format> {
    let accepted = headers
        .get_all(header::ACCEPT)
        .iter()
        .filter_map(|value| value.to_str().ok());
    let media_types = accepted.flat_map(|value| value.split(','));
    let mut named = media_types.filter_map(|part| match part.split(';').next().unwrap_or_default().trim() {
        "application/json" | "*/*" => Some(None),
        "application/x-ndjson" => Some(Some(Format::Lines)),
        "text/csv" => Some(Some(Format::Table)),
        _ => None,
    });
    named.next().flatten()
}

fn request(params: &mut Params, caller: &Caller) -> Result<AuditRequest, Problem> {
    let mut request = AuditRequest::new(caller.tenant(None)?);
    request.prefix = params.take("prefix", Prefix::of_event)?;
    request.period = params.text("period");
    request.scope = params.scope();
    request.id = params.text("id");
    request.numbers = numbers(params)?;
    request.actor = params.parsed("actor")?;
    request.client = params.parsed("client")?;
    request.request = params.parsed("request_id")?;
    request.reference = params.parsed("reference")?;
    request.kinds = params.take("kind", kinds)?.unwrap_or_default();
    request.from = params.parsed("from")?;
    request.to = params.parsed("to")?;
    request.after = params.take("after", |text| {
        text.parse().map_err(|_| "must be the `next` of the part before")
    })?;
    request.order = params.take("order", order)?.unwrap_or_default();
    request.limit = params.limit()?.unwrap_or(request.limit);
    Ok(request)
}

fn numbers(params: &mut Params) -> Result<Option<(Number, Number)>, Problem> {
    let mut number = |name: &str| {
        params.take(name, |text| {
            let number = text.parse().ok().and_then(|number| Number::new(number).ok());
            number.ok_or("must be an integer of 0 to 9223372036854775807")
        })
    };
    let (one, from, to) = (number("number")?, number("from_number")?, number("to_number")?);
    match (one, from, to) {
        (None, None, None) => Ok(None),
        (Some(one), None, None) => Ok(Some((one, one))),
        (None, from, to) => Ok(Some((from.unwrap_or(Number::MIN), to.unwrap_or(Number::MAX)))),
        (Some(_), ..) => Err(Problem::invalid(
            "?number",
            "send it, or from_number and to_number",
        )),
    }
}

fn kinds(text: &str) -> Result<Vec<EventKind>, String> {
    let kind = |word: &str| {
        let kind = EventKind::ALL.into_iter().find(|kind| kind.as_str() == word);
        kind.ok_or_else(|| {
            let words: Vec<_> = EventKind::ALL.iter().map(|kind| kind.as_str()).collect();
            format!("{word:?} is not one of {}", words.join(", "))
        })
    };
    text.split(',').map(kind).collect()
}

fn order(text: &str) -> Result<Order, &'static str> {
    match text {
        "desc" => Ok(Order::NewestFirst),
        "asc" => Ok(Order::OldestFirst),
        _ => Err("must be asc or desc"),
    }
}

/// A part of the audit.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Audit)]
pub(crate) struct AuditAnswer {
    /// This part of the list.
    #[schema(value_type = Vec<EventDocument>)]
    items: Vec<Recorded>,
    /// What to send as `after` for the next part; null at the end.
    #[schema(required)]
    next: Option<String>,
}

impl From<EventPage> for AuditAnswer {
    fn from(page: EventPage) -> Self {
        Self {
            items: page.events,
            next: page.next.map(|position| position.to_string()),
        }
    }
}

/// One event. Members that do not apply are null.
#[derive(ToSchema)]
#[schema(as = Event)]
#[expect(dead_code, reason = "a schema alone: Recorded writes what is answered")]
pub(crate) struct EventDocument {
    /// The event's name, 32 hex digits, equal wherever the event is told.
    event_id: String,
    /// The name of the store that recorded it, 32 hex digits.
    authority: String,
    /// Its place in the store's log.
    position: u64,
    /// What happened: `issued`, `skipped`, `external`, `returned`, `restarted`, `defined`, `recovered`, `reserved`,
    /// `confirmed`, `voided`, `expired`, `archived`, `closed`, `reopened`, `leased`, `reported`, `lost`, `frozen`. New
    /// ones may be added.
    #[schema(examples("issued"))]
    kind: String,
    /// The tenant.
    tenant: String,
    /// The sequence; `*` for an event that concerns all of the tenant.
    #[schema(examples("INV"))]
    prefix: String,
    /// The counter's scope values; null for an event of the sequence as a whole.
    #[schema(required)]
    scope: Option<std::collections::BTreeMap<String, String>>,
    /// The counter's period.
    #[schema(required, examples("2026"))]
    period: Option<String>,
    /// The period's first day; null where the period has no end.
    #[schema(required, format = Date)]
    period_start: Option<String>,
    /// The period's last day.
    #[schema(required, format = Date)]
    period_end: Option<String>,
    /// Its place in the chain of its counter, or of its sequence, from 1.
    n: u64,
    /// The counter's generation; 0 for a sequence.
    generation: u32,
    /// The counter's epoch; 0 for a sequence.
    epoch: u32,
    /// The first number concerned.
    #[schema(required, value_type = Option<u64>)]
    first: Option<Figure>,
    /// The distance between two numbers.
    #[schema(required)]
    step: Option<u64>,
    /// How many numbers are concerned.
    #[schema(required)]
    count: Option<u64>,
    /// The id of the first number.
    #[schema(required, examples("INV-2026-00042"))]
    first_id: Option<String>,
    /// The id of the last number.
    #[schema(required, examples("INV-2026-00042"))]
    last_id: Option<String>,
    /// The version of the definition that the ids are written by.
    definition_version: u32,
    /// The guarantee: `gapless`, `ordered` or `leased`.
    mode: String,
    /// The document date; for `closed` the last date that is closed, for `reopened` the first that is open.
    #[schema(required, format = Date)]
    date: Option<String>,
    /// Values of the free fields of the id.
    fields: std::collections::BTreeMap<String, String>,
    /// The person or account that asked.
    #[schema(required)]
    actor: Option<String>,
    /// The program that asked.
    #[schema(required)]
    client: Option<String>,
    /// The request's `X-Request-Id`.
    #[schema(required)]
    request_id: Option<String>,
    /// The caller's key of the document.
    #[schema(required)]
    reference: Option<String>,
    /// The document that this one belongs to or corrects.
    #[schema(required)]
    relates_to: Option<String>,
    /// Why.
    #[schema(required)]
    reason: Option<String>,
    /// The request's `Idempotency-Key`.
    #[schema(required)]
    idempotency_key: Option<String>,
    /// A digest of the request that the key was sent with, 32 hex digits.
    #[schema(required)]
    fingerprint: Option<String>,
    /// The reservation that the event begins or ends, 32 hex digits.
    #[schema(required)]
    reservation: Option<String>,
    /// When the reservation ends, or would have ended, by itself.
    #[schema(required, format = DateTime)]
    expires_at: Option<String>,
    /// What becomes of its numbers then: `void` or `reuse`.
    #[schema(required)]
    on_expiry: Option<String>,
    /// For what concerns leased numbers: the lease, as the text of a JSON object.
    #[schema(required)]
    lease: Option<String>,
    /// For `defined`: the definition, as the text of a JSON object.
    #[schema(required)]
    definition: Option<String>,
    /// When the store decided it.
    #[schema(format = DateTime)]
    at: String,
    /// The event's hash in its chain, 64 hex digits.
    hash: String,
}
