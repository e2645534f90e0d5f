//! The end of sequences and of periods: archived sequences, and closed document dates.

use axum::Router;
use axum::extract::State;
use axum::response::Response;
use axum::routing::post;
use seqid_core::names::Reason;
use seqid_core::numbering::ArchiveRequest;

use crate::draws::replayable;
use crate::problem::Problem;
use crate::request::{Body, Caller, IfMatch, Key, OptionalBody, Params, PathPrefix};
use crate::sequences::SequenceAnswer;
use crate::service::{Service, Shared};
use crate::wire::{ArchiveBody, CloseBody, ClosedAnswer, DeleteBody, ReopenBody};

pub(crate) fn routes() -> Router<Shared> {
    Router::new()
        .route("/api/v1/close", post(close))
        .route("/api/v1/reopen", post(reopen))
        .route("/api/v1/sequences/{prefix}/archive", post(archive))
}

/// Closes document dates of one sequence, or of all.
///
/// No document of such a date gets a number any more. Forward only: repeated, or with an earlier date than one that is
/// closed, it changes nothing. `reopen` undoes it.
#[utoipa::path(post, path = "/api/v1/close", operation_id = "close", tag = "closing",
    request_body = CloseBody,
    responses((status = 200, description = "The dates are closed", body = ClosedAnswer)))]
pub(crate) async fn close(
    State(service): State<Shared>,
    caller: Caller,
    Key(key): Key,
    Body(body): Body<CloseBody>,
) -> Result<Response, Problem> {
    let mut request = body.into_request(&caller)?;
    request.key = key;
    let closed = service.carry_out(service.numbering.close(request)).await?;
    Ok(replayable(closed.replayed, ClosedAnswer::from(closed)))
}

/// Opens document dates of one sequence, or of all, again.
///
/// Dates that are closed for all sequences are opened for all: a single one is refused then. With a later date than any
/// that is closed it changes nothing.
#[utoipa::path(post, path = "/api/v1/reopen", operation_id = "reopen", tag = "closing",
    request_body = ReopenBody,
    responses((status = 200, description = "The dates are open", body = ClosedAnswer)))]
pub(crate) async fn reopen(
    State(service): State<Shared>,
    caller: Caller,
    Key(key): Key,
    Body(body): Body<ReopenBody>,
) -> Result<Response, Problem> {
    let mut request = body.into_request(&caller)?;
    request.key = key;
    let closed = service.carry_out(service.numbering.reopen(request)).await?;
    Ok(replayable(closed.replayed, ClosedAnswer::from(closed)))
}

/// Ends a sequence: it gives no numbers any more and is never defined again.
///
/// Everything of it can be read as before. Refused while numbers are reserved. Repeated, it changes nothing. There is no
/// way back.
#[utoipa::path(post, path = "/api/v1/sequences/{prefix}/archive", operation_id = "archive", tag = "sequences",
    params(
        ("prefix" = String, Path, description = "The sequence", example = "INV"),
        ("If-Match" = Option<String>, Header, description = "The ETag that the sequence must have", example = "\"3\""),
    ),
    request_body = ArchiveBody,
    responses((status = 200, description = "The sequence is archived", body = SequenceAnswer)))]
pub(crate) async fn archive(
    State(service): State<Shared>,
    caller: Caller,
    PathPrefix(prefix): PathPrefix,
    IfMatch(version): IfMatch,
    Body(body): Body<ArchiveBody>,
) -> Result<Response, Problem> {
    let mut request = ArchiveRequest::new(prefix, body.reason);
    request.tenant = caller.tenant(body.tenant)?;
    request.if_version = version;
    request.origin = caller.origin(body.client_id);
    end(&service, request).await
}

/// Ends a sequence, as `archive` does. The reason comes in the body or as a parameter.
#[utoipa::path(delete, path = "/api/v1/sequences/{prefix}", operation_id = "delete_sequence", tag = "sequences",
    params(
        ("prefix" = String, Path, description = "The sequence", example = "INV"),
        ("reason" = Option<String>, Query, description = "Why, for the audit, where no body says it", max_length = 500),
        ("If-Match" = Option<String>, Header, description = "The ETag that the sequence must have", example = "\"3\""),
    ),
    request_body = Option<DeleteBody>,
    responses((status = 200, description = "The sequence is archived", body = SequenceAnswer)))]
pub(crate) async fn delete_sequence(
    State(service): State<Shared>,
    caller: Caller,
    PathPrefix(prefix): PathPrefix,
    IfMatch(version): IfMatch,
    mut params: Params,
    OptionalBody(body): OptionalBody<DeleteBody>,
) -> Result<Response, Problem> {
    let asked = params.take("reason", Reason::new)?;
    params.finish()?;
    let reason = match (body.reason, asked) {
        (Some(reason), Some(asked)) if reason != asked => {
            let detail = "the body has another one: send one of the two";
            return Err(Problem::invalid("?reason", detail));
        }
        (Some(reason), _) | (None, Some(reason)) => reason,
        (None, None) => {
            let detail = "is missing: send it in the body, or as the parameter reason";
            return Err(Problem::invalid("/reason", detail));
        }
    };
    let mut request = ArchiveRequest::new(prefix, reason);
    request.tenant = caller.tenant(body.tenant)?;
    request.if_version = version;
    request.origin = caller.origin(body.client_id);
    end(&service, request).await
}

async fn end(service: &Service, request: ArchiveRequest) -> Result<Response, Problem> {
    let archived = service.carry_out(service.numbering.archive(request)).await?;
    let sequence = SequenceAnswer::try_from(archived.sequence)?;
    Ok(replayable(archived.repeated, sequence))
}
