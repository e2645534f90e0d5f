//! The REST API keeps the promises of the issuer behind it.
//!
//! A client that knows nothing but the documents on the wire stands in for the issuer.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use axum::body::Body;
use axum::http::{Method, Request};
use axum::{Router, response::Response};
use http_body_util::BodyExt;
use seqid_core::chain::Authority;
use seqid_core::checkpoint::Checkpoint;
use seqid_core::clock::{Clock, ManualClock, Seed};
use seqid_core::command::End;
use seqid_core::counter::{CounterKey, Run, SequenceKey};
use seqid_core::definition::{Defaults, NumberRange};
use seqid_core::error::{AdoptionRefused, InvalidRequest, WrongId, WrongIdReason};
use seqid_core::event::{Event, EventKind, Fingerprint, Keyed, Origin, Recorded, Subject};
use seqid_core::field::{FieldValues, ValueRefused};
use seqid_core::ledger::Refusal;
use seqid_core::mark::NumberState;
use seqid_core::names::Reason;
use seqid_core::numbering::{
    AdoptRequest, AdoptedCounter, Adoption, ArchiveRequest, Archived, AuditRequest, CloseRequest, Closed,
    CounterSelector, DefineRequest, Defined, DefinitionVersion, DrawRequest, Forecast, Gap, GapPage, Held,
    HoldState, Issued, Listing, MemberChange, Moved, NumberHistory, NumberRequest, NumberTarget,
    OpenReservation, Page, ParsedId, Preview, PreviewRequest, ReopenRequest, ReservationsRequest,
    ReserveRequest, Reserved, ResetRequest, Sequence, SettleRequest, Standing, Status, SyncRequest,
    VoidRequest, VoidTarget, VoidedNumbers, Warning, When,
};
use seqid_core::period::{Calendar, MonthDay, Period, Reset};
use seqid_core::query::{EventPage, Order};
use seqid_core::refusal::DefinitionRefused;
use seqid_core::reservation::{Hold, ReservationId};
use seqid_core::store::StoreError;
use seqid_core::time::{Date, Timestamp};
use seqid_core::{
    Code, Definition, DefinitionSpec, Error, IdempotencyKey, Issuer, MemoryStore, Mode, Number, Numbering,
    Prefix, Tenant,
};
use seqid_http::{Service, router};
use seqid_testkit::suite::Desk;
use serde_json::{Map, Value, json};
use tower::ServiceExt;

async fn over_http(clock: Arc<ManualClock>) -> Desk {
    let store = Arc::new(MemoryStore::new(clock.clone(), Seed(1)));
    let issuer = Issuer::builder(store.clone())
        .clock(Arc::clone(&clock) as Arc<dyn Clock>)
        .build();
    let router = router(Service::new(Arc::new(issuer)).allow_repeats(true));
    Desk::new(
        Client {
            router,
            blank: Blank::new().await,
        },
        store,
        clock,
    )
}

seqid_testkit::numbering_suite!(over_http);

/// What the client says of reservations is what an issuer over the same store says.
#[tokio::test]
async fn reservations_and_voids_are_told_whole() {
    let clock = Arc::new(ManualClock::new("2026-03-07T12:00:00Z".parse().unwrap()));
    let store = Arc::new(MemoryStore::new(clock.clone(), Seed(1)));
    let issuer = Arc::new(Issuer::builder(store).clock(clock).build());
    let client = Client {
        router: router(Service::new(issuer.clone())),
        blank: Blank::new().await,
    };
    let (tenant, prefix) = (Tenant::default(), Prefix::new("INV").unwrap());
    let reason = Reason::new("withdrawn").unwrap();
    let ttl = Duration::from_secs(60);
    for end in [
        SettleRequest::confirm as fn(ReservationId) -> SettleRequest,
        |id| SettleRequest::void(id, Reason::new("withdrawn").unwrap()),
    ] {
        let draw = DrawRequest::new(prefix.clone()).count(2);
        let reserved = client.reserve(ReserveRequest::new(draw, ttl)).await.unwrap();
        let id = reserved.reservation;
        let shown = client.reservation(tenant.clone(), id).await.unwrap();
        assert_eq!(
            (shown.state, &shown.numbers),
            (HoldState::Reserved, &reserved.numbers)
        );
        let settled = client.settle(end(id)).await.unwrap();
        assert_eq!(issuer.reservation(tenant.clone(), id).await.unwrap(), settled);
        assert_eq!(client.reservation(tenant.clone(), id).await.unwrap(), settled);
        assert!(client.settle(end(id)).await.unwrap().numbers.replayed);
    }
    let target = VoidTarget::Id {
        tenant,
        prefix: None,
        id: "INV-001".into(),
    };
    let void = VoidRequest::new(target, reason);
    let voided = client.void(void.clone()).await.unwrap();
    let repeated = VoidedNumbers {
        repeated: true,
        ..voided
    };
    assert_eq!(issuer.void(void).await.unwrap(), repeated);
    let counter = CounterSelector::new(prefix);
    assert_eq!(
        client.status(counter.clone()).await.unwrap(),
        issuer.status(counter.clone()).await.unwrap()
    );
    let all = client.gaps(counter.clone(), Page::default()).await.unwrap();
    assert_eq!(all, issuer.gaps(counter.clone(), Page::default()).await.unwrap());
    let (first, last) = all.gaps.split_at(1);
    let mut page = Page {
        after: None,
        limit: 1,
    };
    let part = client.gaps(counter.clone(), page.clone()).await.unwrap();
    assert_eq!(part.gaps, first);
    page.after = part.next;
    let part = client.gaps(counter, page).await.unwrap();
    assert_eq!((part.gaps.as_slice(), part.next), (last, None));
}

/// A client of the API.
#[derive(Debug)]
struct Client {
    router: Router,
    blank: Blank,
}

/// Answers to be written over member by member: only their own crate can make new ones.
#[derive(Debug)]
struct Blank {
    issued: Issued,
    moved: Moved,
    preview: Preview,
    parsed: ParsedId,
    defined: Defined,
}

impl Blank {
    async fn new() -> Self {
        let issuer = Issuer::new(Arc::new(MemoryStore::default()));
        let prefix = Prefix::new("BLANK").unwrap();
        let (tenant, selector) = (Tenant::default(), CounterSelector::new(prefix.clone()));
        let spec = DefinitionSpec::of_format("BLANK{seq}");
        let defined = issuer
            .define(DefineRequest::new(prefix.clone(), spec))
            .await
            .unwrap();
        let issued = issuer.draw(DrawRequest::new(prefix.clone())).await.unwrap();
        let reason = Reason::new("blank").unwrap();
        let moved = issuer
            .reset(ResetRequest::new(selector, Number::new(7).unwrap(), reason))
            .await
            .unwrap();
        let preview = issuer.preview(PreviewRequest::new(prefix)).await.unwrap();
        let parsed = issuer.parse(tenant, None, issued.id().to_owned()).await.unwrap();
        Self {
            issued,
            moved,
            preview,
            parsed,
            defined,
        }
    }
}

/// A success: its document, and whether it says that it is a replay.
struct Answer {
    document: Value,
    replayed: bool,
}

/// A request on its way.
struct Call {
    method: Method,
    path: String,
    headers: Vec<(&'static str, String)>,
    body: Option<Value>,
}

impl Call {
    fn post(path: &str, tenant: &Tenant, body: Value) -> Self {
        Self {
            method: Method::POST,
            path: path.into(),
            headers: Vec::new(),
            body: Some(body),
        }
        .of(tenant)
    }

    fn get(path: String, tenant: &Tenant) -> Self {
        Self {
            method: Method::GET,
            path,
            headers: Vec::new(),
            body: None,
        }
        .of(tenant)
    }

    fn of(self, tenant: &Tenant) -> Self {
        self.header("seqid-tenant", Some(tenant))
    }

    fn header(mut self, name: &'static str, value: Option<impl ToString>) -> Self {
        self.headers.extend(value.map(|value| (name, value.to_string())));
        self
    }

    fn under(self, key: Option<IdempotencyKey>) -> Self {
        self.header("idempotency-key", key)
    }
}

impl Client {
    async fn send(&self, call: Call) -> Result<Answer, Error> {
        let mut request = Request::builder().method(call.method).uri(call.path);
        for (name, value) in call.headers {
            request = request.header(name, value);
        }
        let body = match call.body {
            Some(body) => {
                request = request.header("content-type", "application/json");
                Body::from(body.to_string())
            }
            None => Body::empty(),
        };
        let response: Response = self
            .router
            .clone()
            .oneshot(request.body(body).unwrap())
            .await
            .unwrap();
        let (parts, body) = response.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        let document: Value = serde_json::from_slice(&body).unwrap();
        if parts.status.is_success() {
            let replayed = parts
                .headers
                .get("idempotency-replayed")
                .is_some_and(|value| value == "true");
            return Ok(Answer { document, replayed });
        }
        assert_eq!(document["status"], parts.status.as_u16(), "{document}");
        Err(problem(&document))
    }
}

#[async_trait]
impl Numbering for Client {
    async fn draw(&self, request: DrawRequest) -> Result<Issued, Error> {
        let path = if request.count.is_some() {
            "/api/v1/batch"
        } else {
            "/api/v1/next"
        };
        let body = drawing(&request);
        self.send(asked(path, request, body))
            .await
            .map(|answer| self.issued(&answer))
    }

    async fn reserve(&self, request: ReserveRequest) -> Result<Reserved, Error> {
        let ReserveRequest { draw, ttl, .. } = request;
        assert_eq!(ttl.subsec_nanos(), 0, "the wire has whole seconds");
        let mut body = drawing(&draw);
        body["ttl_seconds"] = ttl.as_secs().into();
        let answer = self.send(asked("/api/v1/reserve", draw, body)).await?;
        assert_eq!(answer.document["state"], HoldState::Reserved.as_str());
        Ok(Reserved {
            reservation: parsed(&answer.document["reservation"]),
            expires_at: parsed(&answer.document["expires_at"]),
            numbers: self.issued(&answer),
        })
    }

    async fn settle(&self, request: SettleRequest) -> Result<Held, Error> {
        let (end, body) = match request.end {
            End::Confirm { date, reference } => ("confirm", json!({"date": date, "reference": reference})),
            End::Void { reason } => ("void", json!({"reason": reason})),
        };
        let path = format!("/api/v1/reservations/{}/{end}", request.reservation);
        let call = Call::post(&path, &request.tenant, body);
        self.send(call.header("x-request-id", request.origin.request))
            .await
            .map(|answer| self.held(&answer))
    }

    async fn reservation(&self, tenant: Tenant, reservation: ReservationId) -> Result<Held, Error> {
        let call = Call::get(format!("/api/v1/reservations/{reservation}"), &tenant);
        self.send(call).await.map(|answer| self.held(&answer))
    }

    async fn void(&self, request: VoidRequest) -> Result<VoidedNumbers, Error> {
        let (tenant, mut body) = match request.target {
            VoidTarget::Numbers { counter, first, last } => {
                let mut body = selector(&counter);
                body.insert("first".into(), json!(first));
                body.insert("last".into(), json!(last));
                (counter.tenant, body)
            }
            VoidTarget::Id { tenant, prefix, id } => {
                let named = Map::from_iter([("prefix".into(), json!(prefix)), ("id".into(), json!(id))]);
                (tenant, named)
            }
        };
        body.insert("reason".into(), json!(request.reason));
        body.insert("generation".into(), json!(request.generation));
        let call = Call::post("/api/v1/void", &tenant, body.into()).under(request.key);
        let Answer { document, replayed } = self
            .send(call.header("x-request-id", request.origin.request))
            .await?;
        Ok(VoidedNumbers {
            prefix: parsed(&document["prefix"]),
            period: period(&document),
            scope: scope(&document),
            run: run(&document, "first"),
            generation: small(&document["generation"]),
            repeated: replayed,
            numbers_as_text: document["first"].is_string(),
        })
    }

    async fn reset(&self, request: ResetRequest) -> Result<Moved, Error> {
        let mut body = selector(&request.counter);
        body.insert("new_value".into(), json!(request.next.get()));
        body.insert("reason".into(), json!(request.reason));
        if request.repeats_accepted {
            body.insert("repeats".into(), json!("accepted"));
        }
        let call = Call::post("/api/v1/reset", &request.counter.tenant, body.into());
        self.send(call.under(request.key))
            .await
            .map(|answer| self.moved(&answer))
    }

    async fn sync(&self, request: SyncRequest) -> Result<Moved, Error> {
        let mut body = selector(&request.counter);
        body.insert("last_used".into(), json!(request.last_used.get()));
        body.insert("reason".into(), json!(request.reason));
        let call = Call::post("/api/v1/sync", &request.counter.tenant, body.into());
        self.send(call.under(request.key))
            .await
            .map(|answer| self.moved(&answer))
    }

    async fn adopt(&self, request: AdoptRequest) -> Result<Adoption, Error> {
        let body = json!({
            "prefix": request.prefix.as_str(),
            "ids": request.ids,
            "reason": request.reason,
            "dry_run": request.dry_run,
        });
        let call = Call::post("/api/v1/adopt", &request.tenant, body);
        let Answer { document, replayed } = self.send(call.under(request.key)).await?;
        let counter = |counter: &Value| AdoptedCounter {
            period: period(counter),
            scope: scope(counter),
            first: number(&counter["first"]),
            last: number(&counter["last"]),
            adopted: figure(&counter["adopted"]),
            next_number: optional_number(&counter["next_number"]),
            next_id: counter["next_id"].as_str().map(str::to_owned),
        };
        Ok(Adoption {
            prefix: parsed(&document["prefix"]),
            adopted: figure(&document["adopted"]),
            already_adopted: figure(&document["already_adopted"]),
            skipped: figure(&document["skipped"]),
            counters: document["counters"]
                .as_array()
                .unwrap()
                .iter()
                .map(counter)
                .collect(),
            dry_run: document["dry_run"] == true,
            replayed,
            numbers_as_text: document["counters"][0]["first"].is_string(),
        })
    }

    async fn status(&self, counter: CounterSelector) -> Result<Status, Error> {
        let path = format!("/api/v1/status/{}{}", counter.prefix, encoded(&queried(&counter)));
        let Answer { document, .. } = self.send(Call::get(path, &counter.tenant)).await?;
        Ok(self.status_of(&document))
    }

    async fn number(&self, request: NumberRequest) -> Result<NumberHistory, Error> {
        let (path, tenant) = match &request.target {
            NumberTarget::Number { counter, number } => {
                let query = encoded(&queried(counter));
                let path = format!("/api/v1/numbers/{}/{number}{query}", counter.prefix);
                (path, &counter.tenant)
            }
            NumberTarget::Id { tenant, prefix, id } => {
                let mut query = vec![("id".to_owned(), id.clone())];
                query.extend(
                    prefix
                        .iter()
                        .map(|prefix| ("prefix".to_owned(), prefix.to_string())),
                );
                (format!("/api/v1/numbers{}", encoded(&query)), tenant)
            }
        };
        let Answer { document, .. } = self.send(Call::get(path, tenant)).await?;
        let state = document["state"].as_str().unwrap();
        let standing = match state {
            "open" => Standing::Open,
            "issued" => Standing::Issued,
            _ => Standing::Marked(
                NumberState::ALL
                    .into_iter()
                    .find(|known| known.as_str() == state)
                    .unwrap(),
            ),
        };
        let events: Vec<Recorded> = document["events"]
            .as_array()
            .unwrap()
            .iter()
            .map(recorded)
            .collect();
        Ok(NumberHistory {
            prefix: parsed(&document["prefix"]),
            number: number(&document["number"]),
            id: document["id"].as_str().map(str::to_owned),
            period: parsed_period(&document["period"], &events),
            scope: scope(&document),
            generation: small(&document["generation"]),
            standing,
            reason: document["reason"].as_str().map(|text| Reason::new(text).unwrap()),
            reference: document["reference"].as_str().map(|text| text.parse().unwrap()),
            date: optional(&document["date"]),
            events,
            numbers_as_text: document["number"].is_string(),
        })
    }

    async fn reservations(&self, request: ReservationsRequest) -> Result<Listing<OpenReservation>, Error> {
        let mut query = vec![("prefix".to_owned(), request.prefix.to_string())];
        query.extend(request.counter.iter().flat_map(queried));
        query.extend(paged(request.page));
        let path = format!("/api/v1/reservations{}", encoded(&query));
        let Answer { document, .. } = self.send(Call::get(path, &request.tenant)).await?;
        Ok(listing(&document, |open| OpenReservation {
            reservation: parsed(&open["reservation"]),
            first_id: open["first_id"].as_str().map(str::to_owned),
            last_id: open["last_id"].as_str().map(str::to_owned),
            run: Run {
                first: number(&open["first"]),
                step: 1,
                count: figure(&open["count"]),
            },
            generation: small(&open["generation"]),
            period: Period::ALL,
            scope: scope(open),
            expires_at: parsed(&open["expires_at"]),
            due: open["due"] == true,
            date: parsed(&open["date"]),
            reference: open["reference"].as_str().map(|text| text.parse().unwrap()),
            numbers_as_text: open["first"].is_string(),
        }))
    }

    /// The whole report comes at once: its parts are cut here.
    async fn gaps(&self, counter: CounterSelector, page: Page) -> Result<GapPage, Error> {
        // The report shows no forecast.
        let status = Status {
            forecast: None,
            ..self.status(counter.clone()).await?
        };
        let path = format!("/api/v1/gaps/{}{}", counter.prefix, encoded(&queried(&counter)));
        let Answer { document, .. } = self.send(Call::get(path, &counter.tenant)).await?;
        let from = page.after.map_or(0, |after| after.parse().unwrap());
        let all = document["gaps"].as_array().unwrap();
        let gaps: Vec<Gap> = all.iter().skip(from).take(page.limit).map(gap).collect();
        let end = from + gaps.len();
        Ok(GapPage {
            start: number(&document["start"]),
            step: figure(&document["step"]),
            offered: figure(&document["summary"]["count"]),
            status,
            at: parsed(&document["made_at"]),
            gaps,
            next: (end < all.len()).then(|| end.to_string()),
        })
    }

    async fn preview(&self, request: PreviewRequest) -> Result<Preview, Error> {
        let body = json!({
            "prefix": request.prefix, "definition": request.definition, "number": request.number,
            "date": request.date, "scope": request.scope, "fields": request.fields,
        });
        let Answer { document, .. } = self
            .send(Call::post("/api/v1/preview", &request.tenant, body))
            .await?;
        let mut preview = self.blank.preview.clone();
        preview.prefix = parsed(&document["prefix"]);
        preview.id = document["id"].as_str().map(str::to_owned);
        preview.number = optional_number(&document["number"]);
        preview.period = period(&document);
        preview.date = parsed(&document["date"]);
        preview.scope = scope(&document);
        preview.numbers_as_text = document["number"].is_string();
        Ok(preview)
    }

    async fn parse(&self, tenant: Tenant, prefix: Option<Prefix>, id: String) -> Result<ParsedId, Error> {
        let body = json!({"prefix": prefix, "id": id});
        let Answer { document, .. } = self.send(Call::post("/api/v1/parse", &tenant, body)).await?;
        let mut read = self.blank.parsed.clone();
        read.prefix = parsed(&document["prefix"]);
        read.number = number(&document["number"]);
        read.period = (!document["period"].is_null()).then(|| period(&document));
        read.scope = values(&document["scope"]);
        read.fields = values(&document["fields"]);
        read.definition_version = small(&document["definition_version"]);
        read.numbers_as_text = document["number"].is_string();
        Ok(read)
    }

    async fn define(&self, request: DefineRequest) -> Result<Defined, Error> {
        let query = if request.dry_run { "?dry_run=true" } else { "" };
        let call = Call {
            method: Method::PUT,
            path: format!("/api/v1/sequences/{}{query}", request.prefix),
            headers: Vec::new(),
            body: Some(json!(request.definition)),
        };
        let version = request.if_version.map(|version| format!("\"{version}\""));
        let call = call.of(&request.tenant).header("if-match", version);
        let Answer { document, .. } = self.send(call).await?;
        let mut defined = self.blank.defined.clone();
        defined.sequence = self.sequence_of(&request.tenant, &document);
        defined.created = document["created"] == true;
        defined.saved = document["saved"] == true;
        defined.remarks = texts(&document["remarks"]);
        Ok(defined)
    }

    async fn sequence(&self, tenant: Tenant, prefix: Prefix) -> Result<Sequence, Error> {
        let call = Call::get(format!("/api/v1/sequences/{prefix}"), &tenant);
        let Answer { document, .. } = self.send(call).await?;
        Ok(self.sequence_of(&tenant, &document))
    }

    async fn sequences(&self, tenant: Tenant, page: Page) -> Result<Listing<Sequence>, Error> {
        let path = format!("/api/v1/sequences{}", encoded(&paged(page)));
        let Answer { document, .. } = self.send(Call::get(path, &tenant)).await?;
        Ok(listing(&document, |item| self.sequence_of(&tenant, item)))
    }

    async fn versions(
        &self,
        tenant: Tenant,
        prefix: Prefix,
        page: Page,
    ) -> Result<Listing<DefinitionVersion>, Error> {
        let path = format!("/api/v1/sequences/{prefix}/versions{}", encoded(&paged(page)));
        let Answer { document, .. } = self.send(Call::get(path, &tenant)).await?;
        Ok(listing(&document, definition_version))
    }

    async fn archive(&self, request: ArchiveRequest) -> Result<Archived, Error> {
        let path = format!("/api/v1/sequences/{}/archive", request.prefix);
        let call = Call::post(&path, &request.tenant, json!({"reason": request.reason}));
        let version = request.if_version.map(|version| format!("\"{version}\""));
        let call = call
            .header("if-match", version)
            .header("x-request-id", request.origin.request);
        let Answer { document, replayed } = self.send(call).await?;
        Ok(Archived {
            sequence: self.sequence_of(&request.tenant, &document),
            repeated: replayed,
        })
    }

    async fn close(&self, request: CloseRequest) -> Result<Closed, Error> {
        let body = json!({"prefix": request.prefix, "through": request.through, "reason": request.reason});
        let call = Call::post("/api/v1/close", &request.tenant, body).under(request.key);
        self.send(call).await.map(|answer| closed(&answer))
    }

    async fn reopen(&self, request: ReopenRequest) -> Result<Closed, Error> {
        let body = json!({"prefix": request.prefix, "from": request.from, "reason": request.reason});
        let call = Call::post("/api/v1/reopen", &request.tenant, body).under(request.key);
        self.send(call).await.map(|answer| closed(&answer))
    }

    async fn counters(&self, tenant: Tenant, prefix: Prefix, page: Page) -> Result<Listing<Status>, Error> {
        let mut query = paged(page);
        query.push(("prefix".into(), prefix.to_string()));
        let Answer { document, .. } = self
            .send(Call::get(format!("/api/v1/counters{}", encoded(&query)), &tenant))
            .await?;
        Ok(listing(&document, |item| self.status_of(item)))
    }

    async fn audit(&self, request: AuditRequest) -> Result<EventPage, Error> {
        let path = format!("/api/v1/audit{}", encoded(&audited(&request)));
        let Answer { document, .. } = self.send(Call::get(path, &request.tenant)).await?;
        let events: Vec<Recorded> = document["items"]
            .as_array()
            .unwrap()
            .iter()
            .map(recorded)
            .collect();
        let newest = events.iter().map(|recorded| recorded.position).max();
        Ok(EventPage {
            events,
            next: optional(&document["next"]),
            last: newest.unwrap_or(0),
        })
    }

    async fn checkpoint(&self) -> Result<Checkpoint, Error> {
        let Answer { document, .. } = self
            .send(Call::get("/api/v1/audit/checkpoint".into(), &Tenant::default()))
            .await?;
        Ok(Checkpoint::from_json(&document.to_string()).expect("a checkpoint"))
    }
}

/// What documents say.
impl Client {
    fn issued(&self, Answer { document, replayed }: &Answer) -> Issued {
        let first = if document.get("first").is_some() {
            "first"
        } else {
            "number"
        };
        let mut issued = self.blank.issued.clone();
        issued.prefix = parsed(&document["prefix"]);
        issued.ids = match document.get("ids") {
            Some(ids) => texts(ids),
            None => vec![text(&document["id"])],
        };
        issued.run = run(document, first);
        issued.period = period(document);
        issued.date = parsed(&document["date"]);
        issued.scope = scope(document);
        issued.generation = small(&document["generation"]);
        issued.mode = mode(document);
        issued.epoch = small(&document["epoch"]);
        issued.definition_version = small(&document["definition_version"]);
        issued.reference = optional(&document["reference"]);
        issued.request_id = optional(&document["request_id"]);
        issued.issued_at = parsed(&document["issued_at"]);
        issued.warnings = warnings(document);
        issued.replayed = *replayed;
        issued.numbers_as_text = document[first].is_string();
        issued
    }

    fn held(&self, answer: &Answer) -> Held {
        let document = &answer.document;
        let states = [
            HoldState::Reserved,
            HoldState::Confirmed,
            HoldState::Voided,
            HoldState::Expired,
        ];
        let state = states
            .into_iter()
            .find(|state| document["state"] == state.as_str());
        Held {
            reservation: parsed(&document["reservation"]),
            state: state.unwrap_or_else(|| panic!("{document}")),
            expires_at: parsed(&document["expires_at"]),
            reason: optional(&document["reason"]),
            numbers: self.issued(answer),
        }
    }

    fn moved(&self, answer: &Answer) -> Moved {
        let mut moved = self.blank.moved.clone();
        moved.old_next_number = optional_number(&answer.document["old_next_number"]);
        moved.status = self.status_of(&answer.document);
        moved.replayed = answer.replayed;
        moved
    }

    fn status_of(&self, document: &Value) -> Status {
        let mut status = self.blank.moved.status.clone();
        status.prefix = parsed(&document["prefix"]);
        status.mode = mode(document);
        status.period = period(document);
        status.scope = scope(document);
        status.opened = document["opened"] == true;
        status.last_number = optional_number(&document["last_number"]);
        status.next_number = optional_number(&document["next_number"]);
        status.next_id = document["next_id"].as_str().map(str::to_owned);
        status.remaining = figure(&document["remaining"]);
        status.max = number(&document["max"]);
        status.generation = small(&document["generation"]);
        status.epoch = small(&document["epoch"]);
        status.definition_version = small(&document["definition_version"]);
        status.reserved = figure(&document["reserved"]);
        status.voided = figure(&document["voided"]);
        status.events = figure(&document["events"]);
        status.forecast = forecast(&document["forecast"]);
        status.archived = document["archived"] == true;
        status.warnings = warnings(document);
        status.numbers_as_text = document["max"].is_string();
        status
    }

    fn sequence_of(&self, tenant: &Tenant, document: &Value) -> Sequence {
        let mut sequence = self.blank.defined.sequence.clone();
        sequence.prefix = parsed(&document["prefix"]);
        sequence.version = small(&document["version"]);
        let spec: DefinitionSpec = serde_json::from_value(document["definition"].clone()).unwrap();
        sequence.definition =
            Definition::check(tenant, &sequence.prefix, spec, &Defaults::default()).unwrap();
        sequence.implicit = document["implicit"] == true;
        sequence.archived = document["archived"] == true;
        sequence.closed_through = optional(&document["closed_through"]);
        sequence.changed_at = parsed(&document["changed_at"]);
        sequence.changed_by = optional(&document["changed_by"]);
        sequence.first_id = document["first_id"].as_str().map(str::to_owned);
        sequence.last_id = document["last_id"].as_str().map(str::to_owned);
        sequence
    }
}

fn forecast(document: &Value) -> Option<Forecast> {
    (!document.is_null()).then(|| Forecast {
        last_day: figure(&document["last_day"]),
        last_week: figure(&document["last_week"]),
        last_month: figure(&document["last_month"]),
        ends_on: optional(&document["ends_on"]),
    })
}

fn closed(Answer { document, replayed }: &Answer) -> Closed {
    Closed {
        prefix: optional(&document["prefix"]),
        closed_through: optional(&document["closed_through"]),
        changed: document["changed"] == true,
        replayed: *replayed,
    }
}

fn definition_version(document: &Value) -> DefinitionVersion {
    let change = |change: &Value| MemberChange {
        member: text(&change["member"]),
        before: change["before"].clone(),
        after: change["after"].clone(),
    };
    DefinitionVersion {
        version: small(&document["version"]),
        changed_at: parsed(&document["changed_at"]),
        changed_by: optional(&document["changed_by"]),
        definition: serde_json::from_value(document["definition"].clone()).unwrap(),
        changes: document["changes"]
            .as_array()
            .unwrap()
            .iter()
            .map(change)
            .collect(),
    }
}

/// The members of every draw, and `count` where several are asked for.
fn drawing(request: &DrawRequest) -> Value {
    let mut body = json!({
        "prefix": request.prefix, "date": request.date, "scope": request.scope, "fields": request.fields,
        "reference": request.reference, "relates_to": request.relates_to, "client_id": request.origin.client,
    });
    if let Some(count) = request.count {
        body["count"] = count.into();
    }
    body
}

/// The call of a draw.
fn asked(path: &str, request: DrawRequest, body: Value) -> Call {
    Call::post(path, &request.tenant, body)
        .under(request.key)
        .header("x-request-id", request.origin.request)
}

/// The numbers from the member `first` on.
fn run(document: &Value, first: &str) -> Run {
    Run {
        first: number(&document[first]),
        step: figure(&document["step"]),
        count: document.get("count").map_or(1, figure),
    }
}

fn gap(document: &Value) -> Gap {
    let state = NumberState::ALL
        .into_iter()
        .find(|state| document["state"] == state.as_str());
    Gap {
        run: run(document, "first"),
        generation: small(&document["generation"]),
        first_id: document["first_id"].as_str().map(str::to_owned),
        last_id: document["last_id"].as_str().map(str::to_owned),
        state: state.unwrap_or_else(|| panic!("{document}")),
        reason: optional(&document["reason"]),
        actor: optional(&document["actor"]),
        request_id: optional(&document["request_id"]),
        reference: optional(&document["reference"]),
        reservation: optional(&document["reservation"]),
        expires_at: optional(&document["expires_at"]),
        date: optional(&document["date"]),
        at: parsed(&document["at"]),
    }
}

/// The parameters that name a counter.
fn queried(counter: &CounterSelector) -> Vec<(String, String)> {
    let mut query: Vec<(String, String)> = counter
        .scope
        .iter()
        .map(|(name, value)| (format!("scope.{name}"), value.clone()))
        .collect();
    match &counter.when {
        When::Today => {}
        When::On(date) => query.push(("date".into(), date.to_string())),
        When::In(period) => query.push(("period".into(), period.clone())),
    }
    query
}

/// The members that name a counter.
fn selector(counter: &CounterSelector) -> Map<String, Value> {
    let mut body = Map::new();
    body.insert("prefix".into(), json!(counter.prefix));
    body.insert("scope".into(), json!(counter.scope));
    match &counter.when {
        When::Today => None,
        When::On(date) => body.insert("date".into(), json!(date)),
        When::In(period) => body.insert("period".into(), json!(period)),
    };
    body
}

fn paged(page: Page) -> Vec<(String, String)> {
    let after = page.after.map(|after| ("after".to_owned(), after));
    after
        .into_iter()
        .chain([("limit".to_owned(), page.limit.to_string())])
        .collect()
}

fn audited(request: &AuditRequest) -> Vec<(String, String)> {
    let kinds: Vec<&str> = request.kinds.iter().map(|kind| kind.as_str()).collect();
    let order = match request.order {
        Order::NewestFirst => "desc",
        Order::OldestFirst => "asc",
    };
    let number = |number: Number| Some(number.to_string());
    let named = [
        ("prefix", request.prefix.as_ref().map(ToString::to_string)),
        ("period", request.period.clone()),
        ("id", request.id.clone()),
        (
            "from_number",
            request.numbers.and_then(|(first, _)| number(first)),
        ),
        ("to_number", request.numbers.and_then(|(_, last)| number(last))),
        ("actor", request.actor.as_ref().map(ToString::to_string)),
        ("client", request.client.as_ref().map(ToString::to_string)),
        ("request_id", request.request.as_ref().map(ToString::to_string)),
        ("reference", request.reference.as_ref().map(ToString::to_string)),
        ("kind", (!kinds.is_empty()).then(|| kinds.join(","))),
        ("from", request.from.map(|from| from.to_string())),
        ("to", request.to.map(|to| to.to_string())),
        ("after", request.after.map(|after| after.to_string())),
        ("limit", Some(request.limit.to_string())),
        ("order", Some(order.into())),
    ];
    let scope = request
        .scope
        .iter()
        .map(|(name, value)| (format!("scope.{name}"), value.clone()));
    let named = named
        .into_iter()
        .filter_map(|(name, value)| Some((name.to_owned(), value?)));
    named.chain(scope).collect()
}

/// An event as far as its document tells it: it has no digest of the request.
fn recorded(document: &Value) -> Recorded {
    let prefix = Prefix::of_event(document["prefix"].as_str().unwrap()).unwrap();
    let sequence = SequenceKey::new(parsed(&document["tenant"]), prefix);
    let subject = match document["period"].as_str() {
        Some(period) => {
            let calendar = |reset| Calendar::new(reset, MonthDay::default());
            let mut named = Reset::ALL
                .into_iter()
                .filter_map(|reset| calendar(reset).parse_period(period));
            let period = named.next_back().unwrap();
            Subject::Counter(CounterKey::new(sequence.clone(), scope(document), period))
        }
        None => Subject::Sequence(sequence.clone()),
    };
    let run = (!document["first"].is_null()).then(|| Run {
        first: number(&document["first"]),
        step: figure(&document["step"]),
        count: figure(&document["count"]),
    });
    let kind = EventKind::ALL
        .into_iter()
        .find(|kind| document["kind"] == kind.as_str());
    let key: Option<IdempotencyKey> = optional(&document["idempotency_key"]);
    let event = Event {
        kind: kind.unwrap(),
        subject,
        n: figure(&document["n"]),
        generation: small(&document["generation"]),
        epoch: small(&document["epoch"]),
        run,
        version: small(&document["definition_version"]),
        mode: mode(document),
        date: optional(&document["date"]),
        fields: FieldValues::new(values(&document["fields"])),
        origin: Arc::new(Origin {
            actor: optional(&document["actor"]),
            client: optional(&document["client"]),
            request: optional(&document["request_id"]),
        }),
        reference: optional(&document["reference"]),
        relates_to: optional(&document["relates_to"]),
        reason: optional(&document["reason"]),
        key: key.map(|key| Keyed::new(&sequence, key, Fingerprint(hex(&document["fingerprint"])))),
        hold: hold(document).map(Box::new),
        detail: document["definition"].as_str().map(Into::into),
        at: parsed(&document["at"]),
    };
    let ids = document["first_id"]
        .as_str()
        .map(|first| (first.to_owned(), text(&document["last_id"])));
    let (authority, hash) = (hex(&document["authority"]), hex(&document["hash"]));
    Recorded::new(
        Authority(authority),
        1,
        figure(&document["position"]),
        hash,
        event,
        ids,
    )
}

fn hold(document: &Value) -> Option<Hold> {
    let id = optional(&document["reservation"])?;
    Some(Hold {
        id,
        expires_at: parsed(&document["expires_at"]),
        on_expiry: serde_json::from_value(document["on_expiry"].clone()).unwrap(),
    })
}

fn hex<const BYTES: usize>(value: &Value) -> [u8; BYTES] {
    let digits = text(value);
    std::array::from_fn(|at| u8::from_str_radix(&digits[2 * at..2 * at + 2], 16).unwrap())
}

fn encoded(query: &[(String, String)]) -> String {
    let escaped = |text: &str| -> String {
        text.bytes()
            .map(|byte| match byte {
                b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' => char::from(byte).to_string(),
                other => format!("%{other:02X}"),
            })
            .collect()
    };
    let pairs: Vec<String> = query
        .iter()
        .map(|(name, value)| format!("{}={}", escaped(name), escaped(value)))
        .collect();
    if pairs.is_empty() {
        String::new()
    } else {
        format!("?{}", pairs.join("&"))
    }
}

fn listing<T>(document: &Value, item: impl Fn(&Value) -> T) -> Listing<T> {
    let items = document["items"].as_array().unwrap().iter().map(item).collect();
    Listing {
        items,
        next: document["next"].as_str().map(str::to_owned),
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

fn texts(value: &Value) -> Vec<String> {
    value.as_array().unwrap().iter().map(text).collect()
}

fn parsed<T: std::str::FromStr>(value: &Value) -> T {
    value
        .as_str()
        .and_then(|text| text.parse().ok())
        .unwrap_or_else(|| panic!("{value}"))
}

fn optional<T: std::str::FromStr>(value: &Value) -> Option<T> {
    (!value.is_null()).then(|| parsed(value))
}

/// An integer, or its digits as a text.
fn figure(value: &Value) -> u64 {
    value.as_u64().unwrap_or_else(|| parsed(value))
}

fn small(value: &Value) -> u32 {
    u32::try_from(figure(value)).unwrap()
}

fn number(value: &Value) -> Number {
    Number::new(figure(value)).unwrap()
}

fn optional_number(value: &Value) -> Option<Number> {
    (!value.is_null()).then(|| number(value))
}

fn values(value: &Value) -> BTreeMap<String, String> {
    serde_json::from_value(value.clone()).unwrap()
}

fn scope(document: &Value) -> FieldValues {
    FieldValues::new(values(&document["scope"]))
}

fn mode(document: &Value) -> Mode {
    serde_json::from_value(document["mode"].clone()).unwrap()
}

fn warnings(document: &Value) -> Vec<Warning> {
    let known = [
        Warning::NearEnd,
        Warning::RangeEnds,
        Warning::Successor,
        Warning::Repeats,
        Warning::ImplicitDefinition,
        Warning::Unfenced,
    ];
    let warning = |word: String| known.into_iter().find(|known| known.as_str() == word).unwrap();
    texts(&document["warnings"]).into_iter().map(warning).collect()
}

/// The period with this text and these days, whatever kind it is.
fn period(document: &Value) -> Period {
    let first: Option<Date> = optional(&document["period_start"]);
    let last: Option<Date> = optional(&document["period_end"]);
    let start = first
        .and_then(|first| MonthDay::new(first.month(), first.day()).ok())
        .unwrap_or_default();
    let named = Reset::ALL
        .into_iter()
        .filter_map(|reset| Calendar::new(reset, start).parse_period(document["period"].as_str()?));
    let mut meant = named.filter(|period| (period.first(), period.last()) == (first, last));
    meant.next().unwrap_or_else(|| panic!("{document}"))
}

/// An error with the code of a problem document, and what else it says.
/// A year's text as a period, or that of its events.
fn parsed_period(text: &Value, events: &[Recorded]) -> Period {
    let of_event = |recorded: &Recorded| recorded.event.subject.counter().map(|key| *key.period());
    let first = events.first().and_then(of_event);
    first.unwrap_or_else(|| {
        let calendar = Calendar::new(Reset::Year, MonthDay::default());
        calendar
            .parse_period(text.as_str().unwrap())
            .unwrap_or(Period::ALL)
    })
}

/// The wrong ids, each with no more than its place and a reason of the right code.
fn adoption_refused(document: &Value) -> Error {
    let wrong = |error: &Value| {
        let pointer = text(&error["pointer"]);
        let id = text(&error["detail"]);
        let state = "taken";
        WrongId {
            index: pointer.strip_prefix("/ids/").unwrap().parse().unwrap(),
            reason: match error["code"].as_str().unwrap() {
                "id-not-recognised" => WrongIdReason::NotRecognised {
                    id,
                    prefix: text(&error["code"]),
                },
                "id-taken" => WrongIdReason::Taken { id, state },
                "exhausted" => WrongIdReason::Beyond {
                    id,
                    number: Number::MAX,
                    max: Number::MAX,
                },
                _ => WrongIdReason::NotAMember {
                    id,
                    number: Number::MAX,
                    start: Number::MAX,
                    second: 0,
                },
            },
        }
    };
    let wrong: Vec<WrongId> = document["errors"].as_array().unwrap().iter().map(wrong).collect();
    let total = text(&document["detail"])
        .split(' ')
        .next()
        .unwrap()
        .parse()
        .unwrap();
    AdoptionRefused { wrong, total, ids: 0 }.into()
}

fn problem(document: &Value) -> Error {
    let code = Code::ALL.iter().find(|code| document["code"] == code.as_str());
    let refused = |refusal: Refusal| Error::from(refusal);
    let any = String::new;
    let code = *code.unwrap_or_else(|| panic!("{document}"));
    let error = match code {
        Code::InvalidRequest => Error::Invalid {
            pointer: "",
            reason: InvalidRequest::Contradiction(""),
        },
        Code::ScopeMismatch => ValueRefused::Missing { field: any() }.into(),
        Code::DateOutOfWindow => Error::DateOutOfWindow {
            date: Date::MIN,
            first: Date::MIN,
            last: Date::MIN,
        },
        Code::SequenceNotFound => Error::SequenceNotFound { prefix: any() },
        Code::IdNotRecognised => Error::IdNotRecognised { id: any(), of: any() },
        Code::AmbiguousId => Error::AmbiguousId {
            id: any(),
            prefixes: Vec::new(),
        },
        Code::DefinitionRefused => {
            let refusals: Vec<seqid_core::refusal::Refusal> =
                serde_json::from_value(document["errors"].clone()).unwrap();
            DefinitionRefused::from(refusals).into()
        }
        Code::Exhausted => refused(Refusal::Exhausted { max: Number::MAX }),
        Code::BatchDoesNotFit => refused(Refusal::DoesNotFit {
            remaining: figure(&document["remaining"]),
            max: Number::MAX,
        }),
        Code::RangeExpired => refused(Refusal::RangeExpired {
            range: NumberRange {
                first: Number::MAX,
                last: Number::MAX,
                valid_from: None,
                valid_until: None,
            },
            date: Date::MIN,
        }),
        Code::WouldRepeat => refused(Refusal::WouldRepeat { last: Number::MAX }),
        Code::SequenceArchived => refused(Refusal::Archived),
        Code::PeriodClosed => refused(Refusal::AllClosed { through: Date::MIN }),
        Code::DateBeforeLast => refused(Refusal::DateBeforeLast { last: Date::MIN }),
        Code::ReservationNotFound => refused(Refusal::NoReservation(ReservationId([0; 16]))),
        Code::ReservationExpired => refused(Refusal::HoldExpired {
            at: Timestamp::from_micros(0),
        }),
        Code::ReservationVoided => refused(Refusal::HoldVoided {
            at: Timestamp::from_micros(0),
        }),
        Code::ReservationConfirmed => refused(Refusal::HoldConfirmed {
            at: Timestamp::from_micros(0),
        }),
        Code::DateChanged => refused(Refusal::DateChanged { fixed: Date::MIN }),
        Code::HasOpenReservations => refused(Refusal::OpenReservations { count: 0 }),
        Code::NotVoidable => refused(Refusal::NotVoidable {
            number: Number::MAX,
            state: "",
        }),
        Code::IdTaken => refused(Refusal::Taken {
            number: Number::MAX,
            period: Period::ALL,
            state: "taken",
        }),
        Code::NumberNotFound => Error::NumberNotFound {
            number: Number::MAX,
            counter: any(),
        },
        Code::AdoptionRefused => adoption_refused(document),
        Code::CaseVariant => refused(Refusal::CaseVariant { existing: any() }),
        Code::IdempotencyMismatch => refused(Refusal::KeyMismatch),
        Code::VersionMismatch => refused(Refusal::VersionMismatch { head: 0 }),
        Code::VersionRequired => refused(Refusal::VersionRequired { head: 0 }),
        Code::Overloaded => StoreError::Overloaded.into(),
        Code::Draining => StoreError::Draining.into(),
        _ => panic!("{document}"),
    };
    assert_eq!(error.code(), code);
    assert_eq!(document["outcome"], code.certainty().as_str(), "{document}");
    error
}
