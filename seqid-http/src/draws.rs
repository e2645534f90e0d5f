//! Draws: the calls that issue numbers.

use axum::Json;
use axum::Router;
use axum::extract::State;
use axum::http::HeaderValue;
use axum::response::{IntoResponse, Response};
use axum::routing::{any, post};
use seqid_core::Code;
use seqid_core::numbering::DrawRequest;

use crate::problem::Problem;
use crate::request::{Body, Caller, Key};
use crate::service::Shared;
use crate::wire::{BatchAnswer, BatchBody, DrawAnswer, NextBody};

pub(crate) fn routes() -> Router<Shared> {
    Router::new()
        .route("/api/v1/next", post(next))
        .route("/api/v1/next/{*rest}", any(draw_by_path))
        .route("/api/v1/batch", post(batch))
}

/// Issues one number.
///
/// Never repeat a call whose answer was lost without its `Idempotency-Key`: it would issue another number.
#[utoipa::path(post, path = "/api/v1/next", operation_id = "next", tag = "numbers",
    request_body = NextBody,
    responses((status = 200, description = "The number was issued", body = DrawAnswer)))]
pub(crate) async fn next(
    State(service): State<Shared>,
    caller: Caller,
    Key(key): Key,
    Body(body): Body<NextBody>,
) -> Result<Response, Problem> {
    let request = body.draw(&caller, key)?;
    draw::<DrawAnswer>(&service, request).await
}

/// Issues several numbers of one counter, all or none.
///
/// They never straddle two periods. Are fewer left, the answer is `batch-does-not-fit` with `remaining`.
#[utoipa::path(post, path = "/api/v1/batch", operation_id = "batch", tag = "numbers",
    request_body = BatchBody,
    responses((status = 200, description = "The numbers were issued", body = BatchAnswer)))]
pub(crate) async fn batch(
    State(service): State<Shared>,
    caller: Caller,
    Key(key): Key,
    Body(body): Body<BatchBody>,
) -> Result<Response, Problem> {
    let request = body.into_request(&caller, key)?;
    draw::<BatchAnswer>(&service, request).await
}

async fn draw<A>(service: &Shared, mut request: DrawRequest) -> Result<Response, Problem>
where
    A: From<seqid_core::numbering::Issued> + serde::Serialize,
{
    request.deadline = service.deadline_from_now();
    let issued = service.carry_out(service.numbering.draw(request)).await?;
    let replayed = issued.replayed;
    Ok(replayable(replayed, A::from(issued)))
}

/// An answer that says in a header whether it is that of an earlier request.
pub(crate) fn replayable(replayed: bool, answer: impl serde::Serialize) -> Response {
    let mut response = Json(answer).into_response();
    if replayed {
        response
            .headers_mut()
            .insert("idempotency-replayed", HeaderValue::from_static("true"));
    }
    response
}

/// `/next/INV` issued a number once, in an API before this one. Numbers are not for browsers to prefetch.
async fn draw_by_path() -> Response {
    let detail = "numbers are issued by POST /api/v1/next with a body such as {\"prefix\":\"INV\"}";
    let mut response = Problem::new(Code::MethodNotAllowed, detail).into_response();
    response
        .headers_mut()
        .insert("allow", HeaderValue::from_static("POST"));
    response
}
