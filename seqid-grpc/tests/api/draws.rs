use std::sync::Arc;
use std::time::Duration;

use seqid_proto::{GetNextBatchRequest, GetNextRequest, QueryAuditRequest};

use crate::desk::{Desk, next, told, with};
use crate::gate::Gate;

#[tokio::test]
async fn numbers_are_issued_one_by_one_and_together() {
    let desk = Desk::open().await;
    let mut client = desk.client.clone();
    let first = client.get_next(next("INV")).await.unwrap().into_inner();
    assert_eq!((first.id.as_str(), first.number), ("INV-001", 1));
    assert_eq!(
        (first.mode.as_str(), first.period.as_str(), first.step),
        ("gapless", "all", 1)
    );
    assert_eq!(first.warnings, ["implicit-definition"]);
    let batch = GetNextBatchRequest {
        prefix: "INV".into(),
        count: 3,
        ..GetNextBatchRequest::default()
    };
    let batch = client.get_next_batch(batch).await.unwrap().into_inner();
    assert_eq!(batch.ids, ["INV-002", "INV-003", "INV-004"]);
    assert_eq!((batch.first, batch.last, batch.count), (2, 4, 3));
}

#[tokio::test]
async fn a_request_id_is_the_idempotency_key_and_names_the_call() {
    let desk = Desk::open().await;
    let mut client = desk.client.clone();
    let request = GetNextRequest {
        request_id: "order-4711".into(),
        ..next("INV")
    };
    let first = client.get_next(request.clone()).await.unwrap().into_inner();
    let again = client.get_next(request.clone()).await.unwrap().into_inner();
    assert_eq!((first.id.as_str(), first.replayed), ("INV-001", false));
    assert_eq!((again.id.as_str(), again.replayed), ("INV-001", true));
    assert_eq!(first.request_id, "order-4711");
    let other = GetNextRequest {
        reference: "another document".into(),
        ..request
    };
    let refused = client.get_next(other).await.unwrap_err();
    let (status, code, _) = told(&refused);
    assert_eq!(
        (status, code.as_str()),
        (tonic::Code::InvalidArgument, "idempotency-mismatch")
    );
}

#[tokio::test]
async fn the_audit_has_the_name_of_the_call() {
    let desk = Desk::open().await;
    let mut client = desk.client.clone();
    let named = with(next("INV"), "x-request-id", "trace-1");
    assert_eq!(
        client.get_next(named).await.unwrap().into_inner().request_id,
        "trace-1"
    );
    let query = QueryAuditRequest {
        request_id: "trace-1".into(),
        limit: Some(10),
        ..QueryAuditRequest::default()
    };
    let mut parts = client.query_audit(query).await.unwrap().into_inner();
    let part = parts.message().await.unwrap().unwrap();
    assert!(part.events.iter().any(|event| event.kind == "issued"));
    assert!(
        !client
            .get_next(next("INV"))
            .await
            .unwrap()
            .into_inner()
            .request_id
            .is_empty()
    );
}

#[tokio::test]
async fn the_tenant_is_that_of_the_metadata_or_of_the_message() {
    let desk = Desk::open().await;
    let mut client = desk.client.clone();
    let of = |tenant: &str| GetNextRequest {
        tenant: tenant.into(),
        ..next("INV")
    };
    let id = |answer: tonic::Response<seqid_proto::GetNextResponse>| answer.into_inner().id;
    assert_eq!(id(client.get_next(of("acme")).await.unwrap()), "INV-001");
    let named = with(of(""), "seqid-tenant", "acme");
    assert_eq!(id(client.get_next(named).await.unwrap()), "INV-002");
    let twice = with(of("acme"), "seqid-tenant", "acme");
    assert_eq!(id(client.get_next(twice).await.unwrap()), "INV-003");
    assert_eq!(id(client.get_next(of("")).await.unwrap()), "INV-001");
    let refused = client
        .get_next(with(of("acme"), "seqid-tenant", "other"))
        .await
        .unwrap_err();
    let (status, code, retry) = told(&refused);
    assert_eq!(
        (status, code.as_str(), retry.as_str()),
        (tonic::Code::InvalidArgument, "tenant-mismatch", "no")
    );
}

#[tokio::test]
async fn what_waits_past_its_deadline_draws_nothing() {
    let desk = Desk::open().await;
    desk.next("INV").await.unwrap();
    let refused = loop {
        let late = with(next("INV"), "grpc-timeout", "1n");
        let refused = desk.client.clone().get_next(late).await.unwrap_err();
        // The client's own timer may be quicker than the answer.
        if !refused.details().is_empty() {
            break refused;
        }
    };
    let (status, code, retry) = told(&refused);
    assert_eq!(
        (status, code.as_str(), retry.as_str()),
        (
            tonic::Code::Unavailable,
            "deadline-before-sealing",
            "same_request"
        )
    );
    assert_eq!(desk.next("INV").await.unwrap(), "INV-002");
}

#[tokio::test]
async fn a_timeout_that_cannot_be_read_is_refused() {
    let desk = Desk::open().await;
    let wrong = with(next("INV"), "grpc-timeout", "soon");
    let refused = desk.client.clone().get_next(wrong).await.unwrap_err();
    assert_eq!(told(&refused).1, "invalid-request");
    assert_eq!(desk.next("INV").await.unwrap(), "INV-001");
}

#[tokio::test]
async fn a_call_that_its_client_leaves_is_let_go() {
    let gate = Gate::closed();
    let desk = Desk::over(Arc::clone(&gate) as _, |service| service).await;
    let mut client = desk.client.clone();
    let call = tokio::spawn(async move { client.get_next(next("INV")).await });
    gate.until(1).await;
    call.abort();
    gate.until(0).await;
    gate.open();
    assert_eq!(desk.next("INV").await.unwrap(), "INV-001");
    assert_eq!(gate.drawn(), 1);
}

#[tokio::test]
async fn a_store_that_does_not_answer_leaves_the_outcome_unknown() {
    let gate = Gate::closed();
    let desk = Desk::over(gate, |service| service.deadline(Duration::from_millis(10))).await;
    let failed = desk.next("INV").await.unwrap_err();
    let (status, code, retry) = told(&failed);
    assert_eq!(
        (status, code.as_str(), retry.as_str()),
        (tonic::Code::Unknown, "outcome-unknown", "same_key")
    );
}
