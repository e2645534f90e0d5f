//! Questions. Nothing here consumes a number.

use seqid_core::Prefix;
use seqid_core::numbering::{NumberRequest, Page, PreviewRequest};
use seqid_proto as proto;

use crate::convert::{self, optional, parsed};
use crate::request::Caller;
use crate::service::Service;
use crate::status::Problem;
use crate::stream::{Events, Gaps};

pub(super) async fn preview(
    service: &Service,
    caller: &Caller,
    message: proto::PreviewRequest,
) -> Result<proto::PreviewResponse, Problem> {
    let definition = match message.definition.as_str() {
        "" => None,
        json => Some(convert::definition(json)?),
    };
    let prefix = match (message.prefix.as_str(), &definition) {
        ("", Some(_)) => Prefix::new("PREFIX").map_err(|error| Problem::internal(error.to_string()))?,
        (text, _) => parsed(text, "/prefix")?,
    };
    let mut request = PreviewRequest::new(prefix);
    request.tenant = caller.tenant(&message.tenant)?;
    request.definition = definition;
    request.number = message
        .number
        .map(|value| convert::number(value, "/number"))
        .transpose()?;
    request.date = optional(&message.date, "/date")?;
    request.scope = message.scope;
    request.fields = message.fields;
    let preview = service
        .look_up(caller, service.numbering.preview(request))
        .await?;
    Ok(convert::preview(preview))
}

pub(super) async fn parse(
    service: &Service,
    caller: &Caller,
    message: proto::ParseRequest,
) -> Result<proto::ParseResponse, Problem> {
    let tenant = caller.tenant(&message.tenant)?;
    let prefix = optional(&message.prefix, "/prefix")?;
    let read = service.numbering.parse(tenant, prefix, message.id);
    Ok(convert::parsed_id(service.look_up(caller, read).await?))
}

pub(super) async fn number(
    service: &Service,
    caller: &Caller,
    message: proto::GetNumberRequest,
) -> Result<proto::GetNumberResponse, Problem> {
    let request = NumberRequest::new(convert::number_target(message, caller)?);
    let number = service.look_up(caller, service.numbering.number(request)).await?;
    Ok(convert::number_history(number))
}

/// The report, page by page; only one page where there is a limit.
pub(super) async fn gaps(
    service: &Service,
    caller: Caller,
    message: proto::ListGapsRequest,
) -> Result<Gaps, Problem> {
    let counter = convert::counter(message.counter, &caller)?;
    let limit = message
        .limit
        .map(|most| convert::limit(most, "/limit"))
        .transpose()?;
    let page = Page {
        after: message.after,
        limit: limit.unwrap_or(Page::LARGEST),
    };
    Gaps::begin(service, &caller, counter, page, limit.is_none()).await
}

/// The events, page by page; only one page where there is a limit.
pub(super) async fn audit(
    service: &Service,
    caller: Caller,
    message: proto::QueryAuditRequest,
) -> Result<Events, Problem> {
    let (limited, follow) = (message.limit.is_some(), message.follow);
    if limited && follow {
        return Err(Problem::invalid("/follow", "cannot be with a limit"));
    }
    let request = convert::audit_request(message, &caller)?;
    Events::begin(service, &caller, request, limited, follow).await
}

pub(super) async fn checkpoint(
    service: &Service,
    caller: &Caller,
    _message: proto::GetCheckpointRequest,
) -> Result<proto::GetCheckpointResponse, Problem> {
    let checkpoint = service.look_up(caller, service.numbering.checkpoint()).await?;
    Ok(proto::GetCheckpointResponse {
        checkpoint: (service.sign)(checkpoint).to_json(),
    })
}
