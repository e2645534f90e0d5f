use std::sync::Arc;

use async_trait::async_trait;
use seqid_core::checkpoint::Checkpoint;
use seqid_core::definition::OnExpiry;
use seqid_core::numbering::{
    AdoptRequest, Adoption, ArchiveRequest, Archived, AuditRequest, CloseRequest, Closed, CounterSelector,
    DefineRequest, Defined, DefinitionVersion, DrawRequest, GapPage, Held, Issued, Listing, Moved,
    NumberHistory, NumberRequest, OpenReservation, Page, ParsedId, Preview, PreviewRequest, ReopenRequest,
    ReservationsRequest, ReserveRequest, Reserved, ResetRequest, Sequence, SettleRequest, Status,
    SyncRequest, VoidRequest, VoidedNumbers,
};
use seqid_core::query::EventPage;
use seqid_core::reservation::ReservationId;
use seqid_core::store::StoreError;
use seqid_core::{Error, IdempotencyKey, Numbering, Prefix, Tenant};
use seqid_proto as proto;
use seqid_proto::void_response::Result as Voided;
use tonic::{Request, Response, Streaming};

use crate::call::{Again, within};
use crate::client::Client;
use crate::encode::Settle;
use crate::failure::Effect;
use crate::rising::NotRising;
use crate::{decode, encode};

/// The key of a request: the caller's, or else one made here, whose replays are no business of the caller.
struct Key {
    key: Option<IdempotencyKey>,
    ours: bool,
}

impl Key {
    fn again(&self) -> Again {
        Again::with_key(self.key.is_some())
    }

    fn replayed(&self, replayed: bool) -> bool {
        replayed && !self.ours
    }
}

impl Client {
    fn key(&self, sent: Option<IdempotencyKey>) -> Key {
        let ours = sent.is_none();
        let key = sent.or_else(|| self.shared.key());
        Key { key, ours }
    }

    /// Asks the service for numbers.
    pub(crate) async fn issue(&self, request: DrawRequest) -> Result<Issued, Error> {
        let shared = &self.shared;
        let deadline = shared.deadline(request.deadline);
        let key = self.key(request.key.clone());
        let tenant = request.tenant.clone();
        let message = encode::draw(request, key.key.as_ref());
        let begin = shared.rising.begin();
        let drawn = shared.repeated(key.again(), deadline, || {
            within(
                deadline,
                shared.draws.draw(message.clone(), deadline),
                Effect::Possible,
            )
        });
        let mut issued = drawn.await?;
        if let Err(fall) = shared.rising.answered(begin, &tenant, &issued) {
            self.risen(tenant, issued.prefix.clone(), fall).await?;
        }
        issued.replayed = key.replayed(issued.replayed);
        Ok(issued)
    }

    /// What was drawn must have risen. A sequence that offers numbers again gives lower ones rightly.
    async fn risen(&self, tenant: Tenant, prefix: Prefix, fall: NotRising) -> Result<(), Error> {
        let sequence = self.sequence(tenant, prefix).await;
        if sequence.is_ok_and(|sequence| sequence.definition.on_expiry() == OnExpiry::Reuse) {
            return Ok(());
        }
        tracing::error!(%fall, "the service gave out a number that it may have given out before");
        Err(StoreError::Unknown(Arc::new(fall)).into())
    }
}

#[async_trait]
impl Numbering for Client {
    async fn draw(&self, request: DrawRequest) -> Result<Issued, Error> {
        match &self.local {
            Some(local) => local.draw(request).await,
            None => self.issue(request).await,
        }
    }

    async fn reserve(&self, request: ReserveRequest) -> Result<Reserved, Error> {
        let (key, origin) = (self.key(request.draw.key.clone()), request.draw.origin.clone());
        let message = encode::reserve(request, key.key.as_ref());
        let answer = self
            .call(
                key.again(),
                Some(&origin),
                message,
                |mut stub, request| async move { stub.reserve(request).await },
            )
            .await?;
        let mut reserved = decode::reserved(answer)?;
        reserved.numbers.replayed = key.replayed(reserved.numbers.replayed);
        Ok(reserved)
    }

    async fn settle(&self, request: SettleRequest) -> Result<Held, Error> {
        let origin = request.origin.clone();
        let answer = match encode::settle(request) {
            Settle::Confirm(message) => {
                self.call(
                    Again::NotIssued,
                    Some(&origin),
                    message,
                    |mut stub, request| async move { stub.confirm(request).await },
                )
                .await?
            }
            Settle::Void(message) => {
                let answer = self
                    .call(
                        Again::NotIssued,
                        Some(&origin),
                        message,
                        |mut stub, request| async move { stub.void(request).await },
                    )
                    .await?;
                match answer.result {
                    Some(Voided::Reservation(reservation)) => reservation,
                    _ => return Err(decode::Unreadable("result").into()),
                }
            }
        };
        decode::held(answer)
    }

    async fn reservation(&self, tenant: Tenant, reservation: ReservationId) -> Result<Held, Error> {
        let message = proto::GetReservationRequest {
            reservation: reservation.to_string(),
            tenant: tenant.to_string(),
        };
        let answer = self
            .call(Again::Always, None, message, |mut stub, request| async move {
                stub.get_reservation(request).await
            })
            .await?;
        decode::held(answer)
    }

    async fn void(&self, request: VoidRequest) -> Result<VoidedNumbers, Error> {
        let (key, origin) = (self.key(request.key.clone()), request.origin.clone());
        let message = encode::void(request, key.key.as_ref());
        let answer: proto::VoidResponse = self
            .call(
                key.again(),
                Some(&origin),
                message,
                |mut stub, request| async move { stub.void(request).await },
            )
            .await?;
        match answer.result {
            Some(Voided::Numbers(voided)) => decode::voided(voided),
            _ => Err(decode::Unreadable("result").into()),
        }
    }

    async fn reset(&self, request: ResetRequest) -> Result<Moved, Error> {
        let (key, origin) = (self.key(request.key.clone()), request.origin.clone());
        let message = encode::reset(request, key.key.as_ref());
        let answer: proto::ResetCounterResponse = self
            .call(
                key.again(),
                Some(&origin),
                message,
                |mut stub, request| async move { stub.reset_counter(request).await },
            )
            .await?;
        decode::moved(
            answer.old_next_number,
            answer.status,
            key.replayed(answer.replayed),
        )
    }

    async fn sync(&self, request: SyncRequest) -> Result<Moved, Error> {
        let (key, origin) = (self.key(request.key.clone()), request.origin.clone());
        let message = encode::sync(request, key.key.as_ref());
        let answer: proto::SyncResponse = self
            .call(
                key.again(),
                Some(&origin),
                message,
                |mut stub, request| async move { stub.sync(request).await },
            )
            .await?;
        decode::moved(
            answer.old_next_number,
            answer.status,
            key.replayed(answer.replayed),
        )
    }

    async fn adopt(&self, request: AdoptRequest) -> Result<Adoption, Error> {
        let (key, origin) = (self.key(request.key.clone()), request.origin.clone());
        let message = proto::AdoptRequest {
            tenant: request.tenant.to_string(),
            prefix: request.prefix.to_string(),
            ids: request.ids,
            reason: request.reason.to_string(),
            dry_run: request.dry_run,
            request_id: encode::text(key.key.as_ref()),
            client_id: encode::text(origin.client.as_ref()),
        };
        let answer = self
            .call(
                key.again(),
                Some(&origin),
                message,
                |mut stub, request| async move { stub.adopt(request).await },
            )
            .await?;
        let mut adoption = decode::adoption(answer)?;
        adoption.replayed = key.replayed(adoption.replayed);
        Ok(adoption)
    }

    async fn status(&self, counter: CounterSelector) -> Result<Status, Error> {
        let answer = self
            .call(
                Again::Always,
                None,
                encode::status(counter),
                |mut stub, request| async move { stub.get_status(request).await },
            )
            .await?;
        decode::status(answer)
    }

    async fn gaps(&self, counter: CounterSelector, page: Page) -> Result<GapPage, Error> {
        let message = encode::gaps(counter, page);
        let parts: Vec<proto::ListGapsResponse> = self
            .call(Again::Always, None, message, |mut stub, request| async move {
                whole(stub.list_gaps(request).await?).await
            })
            .await?;
        let (mut report, mut gaps, mut next) = (None, Vec::new(), None);
        for part in parts {
            report = report.or(part.report);
            gaps.extend(part.gaps);
            next = part.next;
        }
        decode::gap_page(report, gaps, next)
    }

    async fn number(&self, request: NumberRequest) -> Result<NumberHistory, Error> {
        let message = encode::number(request.target);
        let answer = self
            .call(Again::Always, None, message, |mut stub, request| async move {
                stub.get_number(request).await
            })
            .await?;
        decode::number_history(answer)
    }

    async fn reservations(&self, request: ReservationsRequest) -> Result<Listing<OpenReservation>, Error> {
        let message = proto::ListReservationsRequest {
            tenant: request.tenant.to_string(),
            prefix: request.prefix.to_string(),
            counter: request.counter.map(encode::counter),
            page: encode::page(request.page),
        };
        let answer: proto::ListReservationsResponse = self
            .call(Again::Always, None, message, |mut stub, request| async move {
                stub.list_reservations(request).await
            })
            .await?;
        decode::listing(answer.reservations, answer.next, decode::open_reservation)
    }

    async fn preview(&self, request: PreviewRequest) -> Result<Preview, Error> {
        let message = encode::preview(request);
        let answer = self
            .call(Again::Always, None, message, |mut stub, request| async move {
                stub.preview(request).await
            })
            .await?;
        decode::preview(answer)
    }

    async fn parse(&self, tenant: Tenant, prefix: Option<Prefix>, id: String) -> Result<ParsedId, Error> {
        let message = proto::ParseRequest {
            tenant: tenant.to_string(),
            prefix: encode::text(prefix.as_ref()),
            id,
        };
        let answer = self
            .call(Again::Always, None, message, |mut stub, request| async move {
                stub.parse(request).await
            })
            .await?;
        decode::parsed_id(answer)
    }

    async fn define(&self, request: DefineRequest) -> Result<Defined, Error> {
        let message = proto::DefineSequenceRequest {
            tenant: request.tenant.to_string(),
            prefix: request.prefix.to_string(),
            definition: encode::definition(&request.definition),
            if_version: request.if_version,
            dry_run: request.dry_run,
            client_id: encode::text(request.origin.client.as_ref()),
        };
        let answer = self
            .call(
                Again::NotIssued,
                Some(&request.origin),
                message,
                |mut stub, request| async move { stub.define_sequence(request).await },
            )
            .await?;
        decode::defined(&request.tenant, answer)
    }

    async fn sequence(&self, tenant: Tenant, prefix: Prefix) -> Result<Sequence, Error> {
        let message = proto::GetSequenceRequest {
            tenant: tenant.to_string(),
            prefix: prefix.to_string(),
        };
        let answer = self
            .call(Again::Always, None, message, |mut stub, request| async move {
                stub.get_sequence(request).await
            })
            .await?;
        decode::sequence(&tenant, answer)
    }

    async fn sequences(&self, tenant: Tenant, page: Page) -> Result<Listing<Sequence>, Error> {
        let message = proto::ListSequencesRequest {
            tenant: tenant.to_string(),
            page: encode::page(page),
        };
        let answer: proto::ListSequencesResponse = self
            .call(Again::Always, None, message, |mut stub, request| async move {
                stub.list_sequences(request).await
            })
            .await?;
        decode::listing(answer.sequences, answer.next, |item| {
            decode::sequence(&tenant, item)
        })
    }

    async fn versions(
        &self,
        tenant: Tenant,
        prefix: Prefix,
        page: Page,
    ) -> Result<Listing<DefinitionVersion>, Error> {
        let message = proto::ListSequenceVersionsRequest {
            tenant: tenant.to_string(),
            prefix: prefix.to_string(),
            page: encode::page(page),
        };
        let answer: proto::ListSequenceVersionsResponse = self
            .call(Again::Always, None, message, |mut stub, request| async move {
                stub.list_sequence_versions(request).await
            })
            .await?;
        decode::listing(answer.versions, answer.next, decode::definition_version)
    }

    async fn archive(&self, request: ArchiveRequest) -> Result<Archived, Error> {
        let message = proto::ArchiveSequenceRequest {
            tenant: request.tenant.to_string(),
            prefix: request.prefix.to_string(),
            reason: request.reason.to_string(),
            if_version: request.if_version,
            client_id: encode::text(request.origin.client.as_ref()),
        };
        let answer = self
            .call(
                Again::NotIssued,
                Some(&request.origin),
                message,
                |mut stub, request| async move { stub.archive_sequence(request).await },
            )
            .await?;
        decode::archived(&request.tenant, answer)
    }

    async fn close(&self, request: CloseRequest) -> Result<Closed, Error> {
        let (key, origin) = (self.key(request.key.clone()), request.origin.clone());
        let message = proto::CloseDatesRequest {
            tenant: request.tenant.to_string(),
            prefix: encode::text(request.prefix.as_ref()),
            through: request.through.to_string(),
            reason: request.reason.to_string(),
            request_id: encode::text(key.key.as_ref()),
            client_id: encode::text(origin.client.as_ref()),
        };
        let answer = self
            .call(
                key.again(),
                Some(&origin),
                message,
                |mut stub, request| async move { stub.close_dates(request).await },
            )
            .await?;
        let closed = decode::closed(&answer)?;
        let replayed = key.replayed(closed.replayed);
        Ok(Closed { replayed, ..closed })
    }

    async fn reopen(&self, request: ReopenRequest) -> Result<Closed, Error> {
        let (key, origin) = (self.key(request.key.clone()), request.origin.clone());
        let message = proto::ReopenDatesRequest {
            tenant: request.tenant.to_string(),
            prefix: encode::text(request.prefix.as_ref()),
            from: request.from.to_string(),
            reason: request.reason.to_string(),
            request_id: encode::text(key.key.as_ref()),
            client_id: encode::text(origin.client.as_ref()),
        };
        let answer = self
            .call(
                key.again(),
                Some(&origin),
                message,
                |mut stub, request| async move { stub.reopen_dates(request).await },
            )
            .await?;
        let closed = decode::closed(&answer)?;
        let replayed = key.replayed(closed.replayed);
        Ok(Closed { replayed, ..closed })
    }

    async fn counters(&self, tenant: Tenant, prefix: Prefix, page: Page) -> Result<Listing<Status>, Error> {
        let message = proto::ListCountersRequest {
            tenant: tenant.to_string(),
            prefix: prefix.to_string(),
            page: encode::page(page),
        };
        let answer: proto::ListCountersResponse = self
            .call(Again::Always, None, message, |mut stub, request| async move {
                stub.list_counters(request).await
            })
            .await?;
        decode::listing(answer.counters, answer.next, decode::status)
    }

    async fn audit(&self, request: AuditRequest) -> Result<EventPage, Error> {
        let message = encode::audit(request);
        let parts: Vec<proto::QueryAuditResponse> = self
            .call(Again::Always, None, message, |mut stub, request| async move {
                whole(stub.query_audit(request).await?).await
            })
            .await?;
        let (mut events, mut next, mut last) = (Vec::new(), None, 0);
        for part in parts {
            events.extend(part.events);
            (next, last) = (part.next, part.last);
        }
        Ok(EventPage {
            events: events.into_iter().map(decode::event).collect::<Result<_, _>>()?,
            next,
            last,
        })
    }

    async fn checkpoint(&self) -> Result<Checkpoint, Error> {
        let answer: proto::GetCheckpointResponse = self
            .call(
                Again::Always,
                None,
                proto::GetCheckpointRequest {},
                |mut stub, request: Request<_>| async move { stub.get_checkpoint(request).await },
            )
            .await?;
        Checkpoint::from_json(&answer.checkpoint).map_err(|_| decode::Unreadable("checkpoint").into())
    }
}

/// All messages of a stream that ends.
async fn whole<T>(parts: Response<Streaming<T>>) -> Result<Response<Vec<T>>, tonic::Status> {
    let mut parts = parts.into_inner();
    let mut whole = Vec::new();
    while let Some(part) = parts.message().await? {
        whole.push(part);
    }
    Ok(Response::new(whole))
}
