//! One number: what it is, and what happened to it.

use axum::Json;
use axum::Router;
use axum::extract::{Path, State};
use axum::routing::get;
use seqid_core::Number;
use seqid_core::Prefix;
use seqid_core::numbering::{NumberRequest, NumberTarget};

use crate::problem::Problem;
use crate::request::{Caller, Params};
use crate::service::Shared;
use crate::wire::NumberAnswer;

pub(crate) fn routes() -> Router<Shared> {
    Router::new()
        .route("/api/v1/numbers", get(number_of_id))
        .route("/api/v1/numbers/{prefix}/{number}", get(number))
}

/// Shows what a number is and everything that happened to it.
#[utoipa::path(get, path = "/api/v1/numbers/{prefix}/{number}", operation_id = "number", tag = "audit",
    params(
        ("prefix" = String, Path, description = "The sequence", example = "INV"),
        ("number" = String, Path, description = "The number", example = "42"),
        ("period" = Option<String>, Query, description = "The counter's period, such as `2026-03`"),
        ("date" = Option<String>, Query, description = "A date in the counter's period; today when neither is sent"),
        ("scope.branch" = Option<String>, Query,
            description = "The value of a scope field; `branch` stands for the field's name"),
    ),
    responses((status = 200, description = "The number", body = NumberAnswer)))]
pub(crate) async fn number(
    State(service): State<Shared>,
    caller: Caller,
    Path((prefix, number)): Path<(String, String)>,
    mut params: Params,
) -> Result<Json<NumberAnswer>, Problem> {
    let prefix = Prefix::new(&prefix).map_err(|error| Problem::invalid("{prefix}", error.to_string()))?;
    let number = number.parse().ok().and_then(|number| Number::new(number).ok());
    let number = number
        .ok_or_else(|| Problem::invalid("{number}", "must be an integer of 0 to 9223372036854775807"))?;
    let counter = params.counter(caller.tenant(None)?, prefix)?;
    params.finish()?;
    show(&service, NumberTarget::Number { counter, number }).await
}

/// Shows what the number of an id is and everything that happened to it.
#[utoipa::path(get, path = "/api/v1/numbers", operation_id = "number_of_id", tag = "audit",
    params(
        ("id" = String, Query, description = "The rendered text, which must tell its period", example = "INV-2026-00042"),
        ("prefix" = Option<String>, Query, description = "The sequence; every one of the tenant is tried otherwise"),
    ),
    responses((status = 200, description = "The number", body = NumberAnswer)))]
pub(crate) async fn number_of_id(
    State(service): State<Shared>,
    caller: Caller,
    mut params: Params,
) -> Result<Json<NumberAnswer>, Problem> {
    let tenant = caller.tenant(None)?;
    let prefix = params.parsed("prefix")?;
    let id = params
        .text("id")
        .ok_or_else(|| Problem::invalid("?id", "is missing"))?;
    params.finish()?;
    show(&service, NumberTarget::Id { tenant, prefix, id }).await
}

async fn show(service: &Shared, target: NumberTarget) -> Result<Json<NumberAnswer>, Problem> {
    let number = service
        .look_up(service.numbering.number(NumberRequest::new(target)))
        .await;
    Ok(Json(number.map_err(Problem::in_query)?.into()))
}
