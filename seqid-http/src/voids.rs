//! Voids: numbers of which everybody shall know that no document has them.

use axum::Router;
use axum::extract::State;
use axum::response::Response;
use axum::routing::post;
use seqid_core::Code;
use seqid_core::numbering::VoidRequest;

use crate::draws::replayable;
use crate::problem::Problem;
use crate::request::{Body, Caller, Key};
use crate::service::Shared;
use crate::wire::{VoidBody, VoidedAnswer};

pub(crate) fn routes() -> Router<Shared> {
    Router::new().route("/api/v1/void", post(void))
}

/// Declares numbers void: such as were issued, which stay taken, or the next ones, which are jumped over.
///
/// Numbers that were reserved, skipped or voided in part before are refused. Repeated, it changes nothing.
#[utoipa::path(post, path = "/api/v1/void", operation_id = "void", tag = "numbers",
    request_body = VoidBody,
    responses((status = 200, description = "The numbers are void", body = VoidedAnswer)))]
pub(crate) async fn void(
    State(service): State<Shared>,
    caller: Caller,
    Key(key): Key,
    Body(mut body): Body<VoidBody>,
) -> Result<Response, Problem> {
    let (target, named) = body.target(&caller)?;
    let mut request = VoidRequest::new(target, body.reason);
    request.generation = body.generation;
    request.key = key;
    request.origin = caller.origin(body.client_id);
    let voided = service.carry_out(service.numbering.void(request)).await;
    let voided = voided.map_err(|problem| match problem.code {
        Code::InvalidRequest => problem.blaming(named.first),
        Code::BatchDoesNotFit => problem.blaming(named.last),
        Code::NotVoidable if named.first == named.last => problem.blaming(named.first),
        _ => problem,
    })?;
    Ok(replayable(voided.repeated, VoidedAnswer::from(voided)))
}
