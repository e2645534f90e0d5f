//! Counters: where they stand, and moving them.

use axum::Json;
use axum::Router;
use axum::extract::State;
use axum::response::Response;
use axum::routing::{get, post};
use seqid_core::Error;
use seqid_core::numbering::{ResetRequest, SyncRequest};

use crate::draws::replayable;
use crate::problem::Problem;
use crate::request::{Body, Caller, Key, Params, PathPrefix};
use crate::service::Shared;
use crate::wire::{CountersAnswer, MovedAnswer, ResetBody, StatusAnswer, SyncBody};

pub(crate) fn routes() -> Router<Shared> {
    Router::new()
        .route("/api/v1/reset", post(reset))
        .route("/api/v1/sync", post(sync))
        .route("/api/v1/status/{prefix}", get(status))
        .route("/api/v1/counters", get(counters))
}

/// Sets the next number of a counter.
///
/// Forward, the numbers between are skipped. Backward over numbers that were never offered they lie ahead again;
/// backward over issued ones needs `"repeats":"accepted"` and a service that allows it, and begins a new generation.
#[utoipa::path(post, path = "/api/v1/reset", operation_id = "reset", tag = "counters",
    request_body = ResetBody,
    responses((status = 200, description = "The counter was moved", body = MovedAnswer)))]
pub(crate) async fn reset(
    State(service): State<Shared>,
    caller: Caller,
    Key(key): Key,
    Body(mut body): Body<ResetBody>,
) -> Result<Response, Problem> {
    if body.repeats_accepted() && !service.allow_repeats {
        return Err(Error::ForceNotAllowed.into());
    }
    let (next, counter) = (body.next()?, body.counter(&caller)?);
    let repeats_accepted = body.repeats_accepted();
    let mut request = ResetRequest::new(counter, next, body.reason);
    request.repeats_accepted = repeats_accepted;
    request.key = key;
    request.origin = caller.origin(body.client_id);
    let moved = service.carry_out(service.numbering.reset(request)).await?;
    Ok(replayable(moved.replayed, MovedAnswer::from(moved)))
}

/// Takes every number up to one as given out by another system.
///
/// Forward only: repeated, or with a number that was passed already, it changes nothing.
#[utoipa::path(post, path = "/api/v1/sync", operation_id = "sync", tag = "counters",
    request_body = SyncBody,
    responses((status = 200, description = "The counter stands behind the number", body = MovedAnswer)))]
pub(crate) async fn sync(
    State(service): State<Shared>,
    caller: Caller,
    Key(key): Key,
    Body(mut body): Body<SyncBody>,
) -> Result<Response, Problem> {
    let (last_used, counter) = (body.last_used()?, body.counter(&caller)?);
    let mut request = SyncRequest::new(counter, last_used);
    request.reason = body.reason;
    request.key = key;
    request.origin = caller.origin(body.client_id);
    let moved = service.carry_out(service.numbering.sync(request)).await?;
    Ok(replayable(moved.replayed, MovedAnswer::from(moved)))
}

/// Where a counter stands.
///
/// A counter that has not opened stands at its start.
#[utoipa::path(get, path = "/api/v1/status/{prefix}", operation_id = "status", tag = "counters",
    params(
        ("prefix" = String, Path, description = "The sequence", example = "INV"),
        ("period" = Option<String>, Query, description = "The counter's period, such as `2026-03`"),
        ("date" = Option<String>, Query, description = "A date in the counter's period; today when neither is sent"),
        ("scope.branch" = Option<String>, Query,
            description = "The value of a scope field; `branch` stands for the field's name"),
    ),
    responses((status = 200, description = "The counter's state", body = StatusAnswer)))]
pub(crate) async fn status(
    State(service): State<Shared>,
    caller: Caller,
    PathPrefix(prefix): PathPrefix,
    mut params: Params,
) -> Result<Json<StatusAnswer>, Problem> {
    let counter = params.counter(caller.tenant(None)?, prefix)?;
    params.finish()?;
    let status = service
        .look_up(service.numbering.status(counter))
        .await
        .map_err(Problem::in_query)?;
    Ok(Json(status.into()))
}

/// Lists the counters of a sequence in the order in which they opened.
#[utoipa::path(get, path = "/api/v1/counters", operation_id = "counters", tag = "counters",
    params(
        ("prefix" = String, Query, description = "The sequence", example = "INV"),
        ("after" = Option<String>, Query, description = "The `next` of the part before"),
        ("limit" = Option<u16>, Query, description = "How many, 100 unless sent", minimum = 1, maximum = 1000),
    ),
    responses((status = 200, description = "A part of the list", body = CountersAnswer)))]
pub(crate) async fn counters(
    State(service): State<Shared>,
    caller: Caller,
    mut params: Params,
) -> Result<Json<CountersAnswer>, Problem> {
    let (tenant, prefix, page) = (caller.tenant(None)?, params.prefix()?, params.page()?);
    params.finish()?;
    let listing = service
        .look_up(service.numbering.counters(tenant, prefix, page))
        .await;
    Ok(Json(listing.map_err(Problem::in_query)?.into()))
}
