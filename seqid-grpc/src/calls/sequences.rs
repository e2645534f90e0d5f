//! Sequences: their definitions, their closed dates and their end.

use seqid_core::numbering::{ArchiveRequest, CloseRequest, DefineRequest, ReopenRequest};
use seqid_proto as proto;

use crate::convert::{self, optional, parsed};
use crate::request::Caller;
use crate::service::Service;
use crate::status::Problem;

pub(super) async fn define(
    service: &Service,
    caller: &Caller,
    message: proto::DefineSequenceRequest,
) -> Result<proto::DefineSequenceResponse, Problem> {
    let definition = convert::definition(&message.definition)?;
    let mut request = DefineRequest::new(parsed(&message.prefix, "/prefix")?, definition);
    request.tenant = caller.tenant(&message.tenant)?;
    request.if_version = message.if_version;
    request.dry_run = message.dry_run;
    request.origin = caller.origin(&message.client_id, "")?;
    let defined = service
        .carry_out(caller, service.numbering.define(request))
        .await?;
    Ok(proto::DefineSequenceResponse {
        sequence: Some(convert::sequence(defined.sequence)?),
        created: defined.created,
        saved: defined.saved,
        remarks: defined.remarks,
    })
}

pub(super) async fn sequence(
    service: &Service,
    caller: &Caller,
    message: proto::GetSequenceRequest,
) -> Result<proto::Sequence, Problem> {
    let (tenant, prefix) = (
        caller.tenant(&message.tenant)?,
        parsed(&message.prefix, "/prefix")?,
    );
    let sequence = service
        .look_up(caller, service.numbering.sequence(tenant, prefix))
        .await?;
    convert::sequence(sequence)
}

pub(super) async fn list(
    service: &Service,
    caller: &Caller,
    message: proto::ListSequencesRequest,
) -> Result<proto::ListSequencesResponse, Problem> {
    let (tenant, page) = (caller.tenant(&message.tenant)?, convert::page(message.page)?);
    let listing = service
        .look_up(caller, service.numbering.sequences(tenant, page))
        .await?;
    let sequences = listing.items.into_iter().map(convert::sequence);
    Ok(proto::ListSequencesResponse {
        sequences: sequences.collect::<Result<_, _>>()?,
        next: listing.next,
    })
}

pub(super) async fn versions(
    service: &Service,
    caller: &Caller,
    message: proto::ListSequenceVersionsRequest,
) -> Result<proto::ListSequenceVersionsResponse, Problem> {
    let (tenant, prefix) = (
        caller.tenant(&message.tenant)?,
        parsed(&message.prefix, "/prefix")?,
    );
    let page = convert::page(message.page)?;
    let listing = service
        .look_up(caller, service.numbering.versions(tenant, prefix, page))
        .await?;
    let versions = listing.items.into_iter().map(convert::definition_version);
    Ok(proto::ListSequenceVersionsResponse {
        versions: versions.collect::<Result<_, _>>()?,
        next: listing.next,
    })
}

pub(super) async fn archive(
    service: &Service,
    caller: &Caller,
    message: proto::ArchiveSequenceRequest,
) -> Result<proto::ArchiveSequenceResponse, Problem> {
    let (prefix, reason) = (
        parsed(&message.prefix, "/prefix")?,
        parsed(&message.reason, "/reason")?,
    );
    let mut request = ArchiveRequest::new(prefix, reason);
    request.tenant = caller.tenant(&message.tenant)?;
    request.if_version = message.if_version;
    request.origin = caller.origin(&message.client_id, "")?;
    let archived = service
        .carry_out(caller, service.numbering.archive(request))
        .await?;
    Ok(proto::ArchiveSequenceResponse {
        sequence: Some(convert::sequence(archived.sequence)?),
        repeated: archived.repeated,
    })
}

pub(super) async fn close(
    service: &Service,
    caller: &Caller,
    message: proto::CloseDatesRequest,
) -> Result<proto::CloseDatesResponse, Problem> {
    let (through, reason) = (
        parsed(&message.through, "/through")?,
        parsed(&message.reason, "/reason")?,
    );
    let mut request = CloseRequest::new(through, reason);
    request.tenant = caller.tenant(&message.tenant)?;
    request.prefix = optional(&message.prefix, "/prefix")?;
    request.key = optional(&message.request_id, "/request_id")?;
    request.origin = caller.origin(&message.client_id, &message.request_id)?;
    let closed = service
        .carry_out(caller, service.numbering.close(request))
        .await?;
    Ok(convert::closed(closed))
}

pub(super) async fn reopen(
    service: &Service,
    caller: &Caller,
    message: proto::ReopenDatesRequest,
) -> Result<proto::CloseDatesResponse, Problem> {
    let (from, reason) = (
        parsed(&message.from, "/from")?,
        parsed(&message.reason, "/reason")?,
    );
    let mut request = ReopenRequest::new(from, reason);
    request.tenant = caller.tenant(&message.tenant)?;
    request.prefix = optional(&message.prefix, "/prefix")?;
    request.key = optional(&message.request_id, "/request_id")?;
    request.origin = caller.origin(&message.client_id, &message.request_id)?;
    let closed = service
        .carry_out(caller, service.numbering.reopen(request))
        .await?;
    Ok(convert::closed(closed))
}
