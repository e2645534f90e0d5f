//! Reservations, and numbers that are declared void.

use std::time::Duration;

use seqid_core::Code;
use seqid_core::command::End;
use seqid_core::numbering::{ReservationsRequest, ReserveRequest, SettleRequest, VoidRequest};
use seqid_core::reservation::{InvalidReservationId, ReservationId};
use seqid_proto as proto;
use seqid_proto::void_request::Target;
use seqid_proto::void_response::Result as Voided;

use crate::convert::{self, drawing, optional, parsed};
use crate::request::Caller;
use crate::service::Service;
use crate::status::Problem;

/// How long numbers are held unless the request says otherwise: a form that is filled in.
const DEFAULT_TTL: Duration = Duration::from_secs(600);

pub(super) async fn reserve(
    service: &Service,
    caller: &Caller,
    message: proto::ReserveRequest,
) -> Result<proto::Reservation, Problem> {
    let ttl = match message.ttl_seconds.map(u64::try_from) {
        None => DEFAULT_TTL,
        Some(Ok(seconds)) => Duration::from_secs(seconds),
        Some(Err(_)) => return Err(Problem::invalid("/ttl_seconds", "must be at least 1")),
    };
    let count = message.count.map(convert::count).transpose()?;
    let mut draw = drawing!(message).request(caller)?;
    draw.count = count;
    let reserve = service.numbering.reserve(ReserveRequest::new(draw, ttl));
    Ok(convert::reserved(service.carry_out(caller, reserve).await?))
}

pub(super) async fn reservation(
    service: &Service,
    caller: &Caller,
    message: proto::GetReservationRequest,
) -> Result<proto::Reservation, Problem> {
    let (tenant, id) = (caller.tenant(&message.tenant)?, named(&message.reservation)?);
    let held = service
        .look_up(caller, service.numbering.reservation(tenant, id))
        .await?;
    Ok(convert::held(held))
}

pub(super) async fn list(
    service: &Service,
    caller: &Caller,
    message: proto::ListReservationsRequest,
) -> Result<proto::ListReservationsResponse, Problem> {
    let mut request = ReservationsRequest::new(parsed(&message.prefix, "/prefix")?);
    request.tenant = caller.tenant(&message.tenant)?;
    request.page = convert::page(message.page)?;
    request.counter = message
        .counter
        .map(|counter| {
            let named = proto::Counter {
                tenant: message.tenant,
                prefix: message.prefix,
                ..counter
            };
            convert::counter(Some(named), caller)
        })
        .transpose()?;
    let listing = service
        .look_up(caller, service.numbering.reservations(request))
        .await?;
    Ok(proto::ListReservationsResponse {
        reservations: listing.items.into_iter().map(convert::open_reservation).collect(),
        next: listing.next,
    })
}

pub(super) async fn confirm(
    service: &Service,
    caller: &Caller,
    message: proto::ConfirmRequest,
) -> Result<proto::Reservation, Problem> {
    let mut request = SettleRequest::confirm(named(&message.reservation)?);
    request.tenant = caller.tenant(&message.tenant)?;
    request.origin = caller.origin(&message.client_id, "")?;
    request.end = End::Confirm {
        date: optional(&message.date, "/date")?,
        reference: optional(&message.reference, "/reference")?,
    };
    settle(service, caller, request).await
}

async fn settle(
    service: &Service,
    caller: &Caller,
    request: SettleRequest,
) -> Result<proto::Reservation, Problem> {
    let held = service
        .carry_out(caller, service.numbering.settle(request))
        .await?;
    Ok(convert::held(held))
}

pub(super) async fn void(
    service: &Service,
    caller: &Caller,
    message: proto::VoidRequest,
) -> Result<proto::VoidResponse, Problem> {
    let reason = parsed(&message.reason, "/reason")?;
    let origin = caller.origin(&message.client_id, &message.request_id)?;
    let named_numbers = match message.target {
        None => return Err(Problem::invalid("", "send a reservation, numbers or an id")),
        Some(Target::Reservation(_)) if message.generation.is_some() => {
            return Err(Problem::invalid("/generation", "is told by the reservation"));
        }
        Some(Target::Reservation(text)) => {
            let mut request = SettleRequest::void(named(&text)?, reason);
            request.tenant = caller.tenant(&message.tenant)?;
            request.origin = origin;
            let reservation = settle(service, caller, request).await?;
            return Ok(answer(Voided::Reservation(reservation)));
        }
        Some(Target::Numbers(range)) => Ok(range),
        Some(Target::Id(id)) => Err((id, message.prefix.as_str())),
    };
    let target = convert::void_target(named_numbers, &message.tenant, caller)?;
    let mut request = VoidRequest::new(target, reason);
    request.generation = message.generation;
    request.key = optional(&message.request_id, "/request_id")?;
    request.origin = origin;
    let voided = service.carry_out(caller, service.numbering.void(request)).await?;
    Ok(answer(Voided::Numbers(convert::voided(&voided))))
}

fn answer(voided: Voided) -> proto::VoidResponse {
    proto::VoidResponse { result: Some(voided) }
}

/// A text that names no reservation is as unknown as a name that nobody was given.
fn named(text: &str) -> Result<ReservationId, Problem> {
    text.parse()
        .map_err(|error: InvalidReservationId| Problem::new(Code::ReservationNotFound, error.to_string()))
}
