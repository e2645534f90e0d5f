//! Counters: where they stand, and moving them.

use seqid_core::Error;
use seqid_core::numbering::{AdoptRequest, ResetRequest, SyncRequest};
use seqid_proto as proto;

use crate::convert::{self, number, optional, parsed};
use crate::request::Caller;
use crate::service::Service;
use crate::status::Problem;

/// How many times as long as other calls a list of ids may take to be adopted.
const LONGER: u32 = 12;

pub(super) async fn reset(
    service: &Service,
    caller: &Caller,
    mut message: proto::ResetCounterRequest,
) -> Result<proto::ResetCounterResponse, Problem> {
    if message.repeats_accepted && !service.allow_repeats {
        return Err(Error::ForceNotAllowed.into());
    }
    let next = number(message.new_value, "/new_value")?;
    let counter = convert::reset_counter(&mut message, caller)?;
    let mut request = ResetRequest::new(counter, next, parsed(&message.reason, "/reason")?);
    request.repeats_accepted = message.repeats_accepted;
    request.key = optional(&message.request_id, "/request_id")?;
    request.origin = caller.origin(&message.client_id, &message.request_id)?;
    let moved = service
        .carry_out(caller, service.numbering.reset(request))
        .await?;
    Ok(convert::reset(moved))
}

pub(super) async fn sync(
    service: &Service,
    caller: &Caller,
    message: proto::SyncRequest,
) -> Result<proto::SyncResponse, Problem> {
    let last_used = number(message.last_used, "/last_used")?;
    let mut request = SyncRequest::new(convert::counter(message.counter, caller)?, last_used);
    request.reason = optional(&message.reason, "/reason")?;
    request.key = optional(&message.request_id, "/request_id")?;
    request.origin = caller.origin(&message.client_id, &message.request_id)?;
    let moved = service.carry_out(caller, service.numbering.sync(request)).await?;
    Ok(convert::synced(moved))
}

pub(super) async fn adopt(
    service: &Service,
    caller: &Caller,
    message: proto::AdoptRequest,
) -> Result<proto::AdoptResponse, Problem> {
    let (prefix, reason) = (
        parsed(&message.prefix, "/prefix")?,
        parsed(&message.reason, "/reason")?,
    );
    let mut request = AdoptRequest::new(prefix, message.ids, reason);
    request.tenant = caller.tenant(&message.tenant)?;
    request.dry_run = message.dry_run;
    request.key = optional(&message.request_id, "/request_id")?;
    request.origin = caller.origin(&message.client_id, &message.request_id)?;
    let caller = caller.longer(service, LONGER);
    let adoption = service
        .carry_out(&caller, service.numbering.adopt(request))
        .await?;
    Ok(convert::adoption(adoption))
}

pub(super) async fn status(
    service: &Service,
    caller: &Caller,
    message: proto::GetStatusRequest,
) -> Result<proto::GetStatusResponse, Problem> {
    let counter = convert::status_counter(message, caller)?;
    let status = service.look_up(caller, service.numbering.status(counter)).await?;
    Ok(convert::status(status))
}

pub(super) async fn list(
    service: &Service,
    caller: &Caller,
    message: proto::ListCountersRequest,
) -> Result<proto::ListCountersResponse, Problem> {
    let (tenant, prefix) = (
        caller.tenant(&message.tenant)?,
        parsed(&message.prefix, "/prefix")?,
    );
    let page = convert::page(message.page)?;
    let listing = service
        .look_up(caller, service.numbering.counters(tenant, prefix, page))
        .await?;
    Ok(proto::ListCountersResponse {
        counters: listing.items.into_iter().map(convert::status).collect(),
        next: listing.next,
    })
}
