//! Draws: the calls that issue numbers.

use seqid_proto::{DrawRequest, GetNextBatchRequest, GetNextBatchResponse, GetNextRequest, GetNextResponse};
use tonic::Streaming;

use crate::convert::{self, drawing};
use crate::request::Caller;
use crate::service::Service;
use crate::status::Problem;
use crate::stream::{Drawer, Draws};

pub(super) async fn next(
    service: &Service,
    caller: &Caller,
    message: GetNextRequest,
) -> Result<GetNextResponse, Problem> {
    let request = drawing!(message).request(caller)?;
    let issued = service.carry_out(caller, service.numbering.draw(request)).await?;
    Ok(convert::single(issued))
}

pub(super) async fn batch(
    service: &Service,
    caller: &Caller,
    message: GetNextBatchRequest,
) -> Result<GetNextBatchResponse, Problem> {
    let count = convert::count(message.count)?;
    let request = drawing!(message).request(caller)?.count(count);
    let issued = service.carry_out(caller, service.numbering.draw(request)).await?;
    Ok(convert::batch(issued))
}

pub(super) async fn stream(
    service: &Service,
    caller: Caller,
    messages: Streaming<DrawRequest>,
) -> Result<Draws, Problem> {
    let drawer = Drawer::new(service, caller);
    Ok(Draws::new(drawer, messages, service.stop.clone()))
}
