//! Ids: what one would look like, and what one says. Nothing here consumes a number.

use axum::Json;
use axum::Router;
use axum::extract::State;
use axum::routing::post;
use seqid_core::Prefix;
use seqid_core::numbering::PreviewRequest;

use crate::problem::Problem;
use crate::request::{Body, Caller};
use crate::service::Shared;
use crate::wire::{ParseBody, ParsedAnswer, PreviewAnswer, PreviewBody};

pub(crate) fn routes() -> Router<Shared> {
    Router::new()
        .route("/api/v1/preview", post(preview))
        .route("/api/v1/parse", post(parse))
}

/// Shows the id that the next draw would give, or that a definition would make of a number.
#[utoipa::path(post, path = "/api/v1/preview", operation_id = "preview", tag = "ids",
    request_body = PreviewBody,
    responses((status = 200, description = "The id", body = PreviewAnswer)))]
pub(crate) async fn preview(
    State(service): State<Shared>,
    caller: Caller,
    Body(mut body): Body<PreviewBody>,
) -> Result<Json<PreviewAnswer>, Problem> {
    let mut request = PreviewRequest::new(previewed_prefix(&mut body)?);
    request.number = body.number()?;
    (request.scope, request.fields) = body.take_values();
    request.tenant = caller.tenant(body.tenant)?;
    request.definition = body.definition;
    request.date = body.date;
    let preview = service.look_up(service.numbering.preview(request)).await;
    Ok(Json(preview.map_err(in_definition)?.into()))
}

/// The prefix that is printed; only a definition that need not be saved can do without one.
fn previewed_prefix(body: &mut PreviewBody) -> Result<Prefix, Problem> {
    match (body.prefix.take(), &body.definition) {
        (Some(prefix), _) => Ok(prefix),
        (None, Some(_)) => Prefix::new("PREFIX").map_err(|error| Problem::internal(error.to_string())),
        (None, None) => Err(Problem::invalid("/prefix", "is missing, and so is a definition")),
    }
}

/// The members of a refused definition lie beneath that of the request.
fn in_definition(problem: Problem) -> Problem {
    match problem.code {
        seqid_core::Code::DefinitionRefused => problem.under("/definition"),
        _ => problem,
    }
}

/// Reads an id back.
///
/// Without a prefix every sequence of the tenant is tried. Does more than one print such ids, the answer is
/// `ambiguous-id`.
#[utoipa::path(post, path = "/api/v1/parse", operation_id = "parse", tag = "ids",
    request_body = ParseBody,
    responses((status = 200, description = "What the id says", body = ParsedAnswer)))]
pub(crate) async fn parse(
    State(service): State<Shared>,
    caller: Caller,
    Body(body): Body<ParseBody>,
) -> Result<Json<ParsedAnswer>, Problem> {
    let tenant = caller.tenant(body.tenant)?;
    let parsed = service
        .look_up(service.numbering.parse(tenant, body.prefix, body.id))
        .await?;
    Ok(Json(parsed.into()))
}
