//! What can be called. Each call is a function of the service, who calls, and the message.

mod counters;
mod draws;
mod inquiries;
mod reservations;
mod sequences;

use std::sync::Arc;
use std::time::{Duration, Instant};

use seqid_proto::sequential_id_service_server::SequentialIdService;
use seqid_proto::{
    AdoptRequest, AdoptResponse, ArchiveSequenceRequest, ArchiveSequenceResponse, CloseDatesRequest,
    CloseDatesResponse, ConfirmRequest, DefineSequenceRequest, DefineSequenceResponse, DrawRequest,
    GetCheckpointRequest, GetCheckpointResponse, GetNextBatchRequest, GetNextBatchResponse, GetNextRequest,
    GetNextResponse, GetNumberRequest, GetNumberResponse, GetReservationRequest, GetSequenceRequest,
    GetStatusRequest, GetStatusResponse, ListCountersRequest, ListCountersResponse, ListGapsRequest,
    ListReservationsRequest, ListReservationsResponse, ListSequenceVersionsRequest,
    ListSequenceVersionsResponse, ListSequencesRequest, ListSequencesResponse, ParseRequest, ParseResponse,
    PreviewRequest, PreviewResponse, QueryAuditRequest, ReopenDatesRequest, Reservation, ReserveRequest,
    ResetCounterRequest, ResetCounterResponse, Sequence, SyncRequest, SyncResponse, VoidRequest,
    VoidResponse,
};
use tonic::{Request, Response, Status, Streaming};

use crate::request::Caller;
use crate::service::Service;
use crate::status::Problem;
use crate::stream::{Draws, Events, Gaps, Watched};

/// A call from its begin to its end, whose observer is told of both.
pub(crate) struct Call {
    service: Arc<ObserveFn>,
    name: &'static str,
    begun: Instant,
    ended: bool,
}

type ObserveFn = dyn Fn(&'static str, tonic::Code, Duration) + Send + Sync;

impl Call {
    fn begin(service: &Service, name: &'static str) -> Self {
        Self {
            service: Arc::clone(&service.observe),
            name,
            begun: Instant::now(),
            ended: false,
        }
    }

    pub(crate) fn end(&mut self, code: tonic::Code) {
        if !std::mem::replace(&mut self.ended, true) {
            (self.service)(self.name, code, self.begun.elapsed());
        }
    }
}

impl Drop for Call {
    /// A call that ends without an answer was left by its client.
    fn drop(&mut self) {
        self.end(tonic::Code::Cancelled);
    }
}

macro_rules! calls {
    (
        unary { $($name:literal $call:ident($message:ident) -> $answer:ident: $run:path;)* }
        streams { $($stream_name:literal $stream_call:ident($stream_message:ty) -> $type:ident = $stream:ty: $open:path;)* }
    ) => {
        /// The names of all calls.
        pub const CALLS: &[&str] = &[$($name,)* $($stream_name,)*];

        #[tonic::async_trait]
        impl SequentialIdService for Service {
            $(async fn $call(&self, request: Request<$message>) -> Result<Response<$answer>, Status> {
                let mut call = Call::begin(self, $name);
                let answered = async {
                    let caller = Caller::read(self, request.metadata()).map_err(|problem| (problem, String::new()))?;
                    let answer = $run(self, &caller, request.into_inner()).await;
                    answer.map_err(|problem| (problem, caller.name().to_owned()))
                };
                finish(&mut call, answered.await)
            })*

            $(
                type $type = Watched<$stream>;

                async fn $stream_call(
                    &self,
                    request: Request<$stream_message>,
                ) -> Result<Response<Self::$type>, Status> {
                    let mut call = Call::begin(self, $stream_name);
                    let opened = async {
                        let caller = Caller::read(self, request.metadata()).map_err(|problem| (problem, String::new()))?;
                        let stream = $open(self, caller.clone(), request.into_inner()).await;
                        stream.map_err(|problem| (problem, caller.name().to_owned()))
                    };
                    match opened.await {
                        Ok(stream) => Ok(Response::new(Watched::new(stream, call))),
                        Err(failed) => finish(&mut call, Err(failed)),
                    }
                }
            )*
        }
    };
}

fn finish<A>(call: &mut Call, answered: Result<A, (Problem, String)>) -> Result<Response<A>, Status> {
    let answered = answered.map_err(|(problem, request)| problem.into_status(&request));
    call.end(answered.as_ref().map_or_else(Status::code, |_| tonic::Code::Ok));
    answered.map(Response::new)
}

calls! {
    unary {
        "GetNext" get_next(GetNextRequest) -> GetNextResponse: draws::next;
        "GetNextBatch" get_next_batch(GetNextBatchRequest) -> GetNextBatchResponse: draws::batch;
        "Reserve" reserve(ReserveRequest) -> Reservation: reservations::reserve;
        "GetReservation" get_reservation(GetReservationRequest) -> Reservation: reservations::reservation;
        "ListReservations" list_reservations(ListReservationsRequest) -> ListReservationsResponse: reservations::list;
        "Confirm" confirm(ConfirmRequest) -> Reservation: reservations::confirm;
        "Void" void(VoidRequest) -> VoidResponse: reservations::void;
        "ResetCounter" reset_counter(ResetCounterRequest) -> ResetCounterResponse: counters::reset;
        "Sync" sync(SyncRequest) -> SyncResponse: counters::sync;
        "Adopt" adopt(AdoptRequest) -> AdoptResponse: counters::adopt;
        "GetStatus" get_status(GetStatusRequest) -> GetStatusResponse: counters::status;
        "ListCounters" list_counters(ListCountersRequest) -> ListCountersResponse: counters::list;
        "GetNumber" get_number(GetNumberRequest) -> GetNumberResponse: inquiries::number;
        "Preview" preview(PreviewRequest) -> PreviewResponse: inquiries::preview;
        "Parse" parse(ParseRequest) -> ParseResponse: inquiries::parse;
        "DefineSequence" define_sequence(DefineSequenceRequest) -> DefineSequenceResponse: sequences::define;
        "GetSequence" get_sequence(GetSequenceRequest) -> Sequence: sequences::sequence;
        "ListSequences" list_sequences(ListSequencesRequest) -> ListSequencesResponse: sequences::list;
        "ListSequenceVersions" list_sequence_versions(ListSequenceVersionsRequest)
            -> ListSequenceVersionsResponse: sequences::versions;
        "ArchiveSequence" archive_sequence(ArchiveSequenceRequest) -> ArchiveSequenceResponse: sequences::archive;
        "CloseDates" close_dates(CloseDatesRequest) -> CloseDatesResponse: sequences::close;
        "ReopenDates" reopen_dates(ReopenDatesRequest) -> CloseDatesResponse: sequences::reopen;
        "GetCheckpoint" get_checkpoint(GetCheckpointRequest) -> GetCheckpointResponse: inquiries::checkpoint;
    }
    streams {
        "Draw" draw(Streaming<DrawRequest>) -> DrawStream = Draws: draws::stream;
        "ListGaps" list_gaps(ListGapsRequest) -> ListGapsStream = Gaps: inquiries::gaps;
        "QueryAudit" query_audit(QueryAuditRequest) -> QueryAuditStream = Events: inquiries::audit;
    }
}
