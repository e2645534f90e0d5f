//! The gap report: what became of every number of a counter that was not plainly issued.

mod csv;
mod format;
mod html;
mod json;
mod sheet;
mod stream;

use axum::Json;
use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::{AppendHeaders, IntoResponse, Response};
use axum::routing::get;
use seqid_core::gap_report::{GapReport, GapSummary};
use seqid_core::numbering::{CounterSelector, Status, When};
use seqid_core::{Code, Tenant};

use crate::problem::Problem;
use crate::request::{Caller, Params, PathPrefix};
use crate::service::{Service, Shared};
use crate::wire::{CounterSummariesAnswer, CounterSummary, GapsAnswer};
use format::Format;
use stream::Pages;

pub(crate) fn routes() -> Router<Shared> {
    Router::new()
        .route("/api/v1/gaps/{prefix}", get(gaps))
        .route("/api/v1/gaps/{prefix}/summary", get(summaries))
}

/// Reports every number of a counter that was not plainly issued.
///
/// As a JSON document, a CSV table or an HTML page to be printed, by `format` or by the header `Accept`. Adjacent
/// numbers of which the same is said are one run. Runs of earlier generations come first; the summary is of the current
/// one, and of the numbers that were offered when the report was begun. The answer is a stream: one that breaks off was
/// cut because the rest could not be read.
#[utoipa::path(get, path = "/api/v1/gaps/{prefix}", operation_id = "gaps", tag = "counters",
    params(
        ("prefix" = String, Path, description = "The sequence", example = "INV"),
        ("period" = Option<String>, Query, description = "The counter's period, such as `2026-03`"),
        ("date" = Option<String>, Query, description = "A date in the counter's period; today when neither is sent"),
        ("scope.branch" = Option<String>, Query,
            description = "The value of a scope field; `branch` stands for the field's name"),
        ("format" = Option<String>, Query,
            description = "`json`, `csv` or `html`; the header `Accept` decides when it is absent"),
    ),
    responses((status = 200, description = "The report", content(
        (GapsAnswer = "application/json"), (String = "text/csv"), (String = "text/html")))))]
pub(crate) async fn gaps(
    State(service): State<Shared>,
    caller: Caller,
    PathPrefix(prefix): PathPrefix,
    headers: HeaderMap,
    mut params: Params,
) -> Result<Response, Problem> {
    let counter = params.counter(caller.tenant(None)?, prefix)?;
    let asked = params.take("format", Format::named)?;
    params.finish()?;
    let format = asked.map_or_else(|| Format::accepted(&headers), Ok)?;
    let begun = GapReport::begin(service.numbering.clone(), counter);
    let report = service.look_up(begun).await.map_err(Problem::in_query)?;
    let headers = format.headers(report.head());
    let pages = Pages::new(service, report, format.sheet(), caller.request_id());
    Ok((AppendHeaders(headers), Body::new(pages)).into_response())
}

/// Counts what became of the numbers of all counters of a sequence, in the order in which they opened.
///
/// With a `period` only its counters are shown: a part of the list may be short then, or empty, and not be the last.
#[utoipa::path(get, path = "/api/v1/gaps/{prefix}/summary", operation_id = "gap_summaries", tag = "counters",
    params(
        ("prefix" = String, Path, description = "The sequence", example = "INV"),
        ("period" = Option<String>, Query, description = "The period of the counters that are shown"),
        ("after" = Option<String>, Query, description = "The `next` of the part before"),
        ("limit" = Option<u16>, Query, description = "How many counters are looked at, 100 unless sent",
            minimum = 1, maximum = 1000),
    ),
    responses((status = 200, description = "A part of the list", body = CounterSummariesAnswer)))]
pub(crate) async fn summaries(
    State(service): State<Shared>,
    caller: Caller,
    PathPrefix(prefix): PathPrefix,
    mut params: Params,
) -> Result<Json<CounterSummariesAnswer>, Problem> {
    let (tenant, page) = (caller.tenant(None)?, params.page()?);
    let period = params.take("period", |text| Ok::<_, &str>(text.to_owned()))?;
    params.finish()?;
    let listing = service.numbering.counters(tenant.clone(), prefix, page);
    let listing = service.look_up(listing).await.map_err(Problem::in_query)?;
    let mut items = Vec::new();
    for status in listing.items {
        if period
            .as_ref()
            .is_none_or(|period| status.period.to_string() == *period)
        {
            let summary = summary(&service, tenant.clone(), &status).await?;
            items.push(CounterSummary::new(status, summary));
        }
    }
    Ok(Json(CounterSummariesAnswer {
        items,
        next: listing.next,
    }))
}

/// The summary of a listed counter; `None` when the newest definition has another kind of period or other scope
/// fields, so that the counter cannot be named any more.
async fn summary(service: &Service, tenant: Tenant, status: &Status) -> Result<Option<GapSummary>, Problem> {
    let mut counter = CounterSelector::new(status.prefix.clone());
    counter.tenant = tenant;
    counter.when = When::In(status.period.to_string());
    counter.scope = status
        .scope
        .iter()
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    let begun = GapReport::begin(service.numbering.clone(), counter);
    let mut report = match service.look_up(begun).await {
        Ok(report) => report,
        Err(problem) if matches!(problem.code, Code::InvalidRequest | Code::ScopeMismatch) => {
            return Ok(None);
        }
        Err(problem) => return Err(problem),
    };
    let found = &report.head().status;
    if (&found.period, &found.scope) != (&status.period, &status.scope) {
        return Ok(None);
    }
    while service.look_up(report.next()).await?.is_some() {}
    Ok(Some(*report.summary()))
}
