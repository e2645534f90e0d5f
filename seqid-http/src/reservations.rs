//! Reservations: numbers that are held while a document is not sure to come.

use axum::Json;
use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use seqid_core::Code;
use seqid_core::numbering::{ReservationsRequest, SettleRequest, When};

use crate::draws::replayable;
use crate::problem::Problem;
use crate::request::{Body, Caller, Key, OptionalBody, Params, PathReservation};
use crate::service::{Service, Shared};
use crate::wire::{ConfirmBody, OpenReservationsAnswer, ReservationAnswer, ReserveBody, VoidReservationBody};

pub(crate) fn routes() -> Router<Shared> {
    Router::new()
        .route("/api/v1/reserve", post(reserve))
        .route("/api/v1/reservations", get(reservations))
        .route("/api/v1/reservations/{reservation}", get(reservation))
        .route("/api/v1/reservations/{reservation}/confirm", post(confirm))
        .route("/api/v1/reservations/{reservation}/void", post(void))
}

/// Holds numbers for a while.
///
/// Their ids, date and period are fixed now; they are issued when the reservation is confirmed. Nobody settles it in
/// time, and it expires: the sequence's `on_expiry` decides whether its numbers stay unused or are offered again.
/// Under a used key the answer is that of the first request, whatever became of the reservation since.
#[utoipa::path(post, path = "/api/v1/reserve", operation_id = "reserve", tag = "reservations",
    request_body = ReserveBody,
    responses((status = 201, description = "The numbers are held", body = ReservationAnswer)))]
pub(crate) async fn reserve(
    State(service): State<Shared>,
    caller: Caller,
    Key(key): Key,
    Body(body): Body<ReserveBody>,
) -> Result<Response, Problem> {
    let mut request = body.into_request(&caller, key)?;
    request.draw.deadline = service.deadline_from_now();
    let reserved = service.carry_out(service.numbering.reserve(request)).await?;
    let replayed = reserved.numbers.replayed;
    let answer = replayable(replayed, ReservationAnswer::from(reserved));
    Ok((StatusCode::CREATED, answer).into_response())
}

/// Lists the open reservations of a sequence, by counter and number.
///
/// A part may have fewer items than asked for, or none, although more follow: `next` alone tells the end.
#[utoipa::path(get, path = "/api/v1/reservations", operation_id = "reservations", tag = "reservations",
    params(
        ("prefix" = String, Query, description = "The sequence", example = "INV"),
        ("period" = Option<String>, Query, description = "The period of one counter; all counters otherwise"),
        ("date" = Option<String>, Query, description = "A date in that period"),
        ("scope.branch" = Option<String>, Query,
            description = "The value of a scope field of one counter, of today's period when no other is sent"),
        ("after" = Option<String>, Query, description = "The `next` of the part before"),
        ("limit" = Option<u16>, Query, description = "How many, 100 unless sent", minimum = 1, maximum = 1000),
    ),
    responses((status = 200, description = "A part of the list", body = OpenReservationsAnswer)))]
pub(crate) async fn reservations(
    State(service): State<Shared>,
    caller: Caller,
    mut params: Params,
) -> Result<Json<OpenReservationsAnswer>, Problem> {
    let (tenant, prefix) = (caller.tenant(None)?, params.prefix()?);
    let mut request = ReservationsRequest::new(prefix.clone());
    request.page = params.page()?;
    let counter = params.counter(tenant.clone(), prefix)?;
    params.finish()?;
    let named = counter.when != When::Today || !counter.scope.is_empty();
    request.counter = named.then_some(counter);
    request.tenant = tenant;
    let listing = service.look_up(service.numbering.reservations(request)).await;
    Ok(Json(listing.map_err(Problem::in_query)?.into()))
}

/// Shows what became of a reservation.
#[utoipa::path(get, path = "/api/v1/reservations/{reservation}", operation_id = "reservation", tag = "reservations",
    params(("reservation" = String, Path, description = "The reservation")),
    responses((status = 200, description = "The reservation", body = ReservationAnswer)))]
pub(crate) async fn reservation(
    State(service): State<Shared>,
    caller: Caller,
    PathReservation(id): PathReservation,
    params: Params,
) -> Result<Json<ReservationAnswer>, Problem> {
    params.finish()?;
    let tenant = caller.tenant(None)?;
    let held = service.look_up(service.numbering.reservation(tenant, id)).await?;
    Ok(Json(held.into()))
}

/// Issues the numbers of a reservation.
///
/// The body may be absent. Repeated with the same `reference` it answers the same, with another one it is refused.
#[utoipa::path(post, path = "/api/v1/reservations/{reservation}/confirm", operation_id = "confirm",
    tag = "reservations",
    params(("reservation" = String, Path, description = "The reservation")),
    request_body = Option<ConfirmBody>,
    responses((status = 200, description = "The numbers are issued", body = ReservationAnswer)))]
pub(crate) async fn confirm(
    State(service): State<Shared>,
    caller: Caller,
    PathReservation(id): PathReservation,
    OptionalBody(body): OptionalBody<ConfirmBody>,
) -> Result<Response, Problem> {
    let settled = settle(&service, body.into_request(&caller, id)?).await;
    settled.map_err(|problem| match problem.code {
        Code::DateChanged => problem.blaming("/date"),
        _ => problem,
    })
}

/// Declares the numbers of a reservation void.
///
/// They stay unused, whatever the sequence's `on_expiry`. Repeated with the same reason it
/// answers the same, with another one it is refused.
#[utoipa::path(post, path = "/api/v1/reservations/{reservation}/void", operation_id = "void_reservation",
    tag = "reservations",
    params(("reservation" = String, Path, description = "The reservation")),
    request_body = VoidReservationBody,
    responses((status = 200, description = "The numbers are void", body = ReservationAnswer)))]
pub(crate) async fn void(
    State(service): State<Shared>,
    caller: Caller,
    PathReservation(id): PathReservation,
    Body(body): Body<VoidReservationBody>,
) -> Result<Response, Problem> {
    settle(&service, body.into_request(&caller, id)?).await
}

async fn settle(service: &Service, request: SettleRequest) -> Result<Response, Problem> {
    let held = service.carry_out(service.numbering.settle(request)).await?;
    let replayed = held.numbers.replayed;
    Ok(replayable(replayed, ReservationAnswer::from(held)))
}
