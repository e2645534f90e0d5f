use std::sync::{Arc, Mutex};

use seqid_grpc::CALLS;
use seqid_proto::void_request::Target;
use seqid_proto::{
    ConfirmRequest, GetNextBatchRequest, ParseRequest, ReserveRequest, ResetCounterRequest, VoidRequest,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tonic::client::Grpc;
use tonic::codegen::http::uri::PathAndQuery;
use tonic_types::StatusExt;

use crate::desk::{Desk, failure, next, told};

#[tokio::test]
async fn a_wrong_field_is_named() {
    let desk = Desk::open().await;
    let mut client = desk.client.clone();
    let batch = |count| GetNextBatchRequest {
        prefix: "INV".into(),
        count,
        ..GetNextBatchRequest::default()
    };
    for count in [-1, 0, 10_001] {
        let refused = client.get_next_batch(batch(count)).await.unwrap_err();
        assert_eq!(refused.code(), tonic::Code::InvalidArgument);
        let bad = refused.get_details_bad_request().unwrap();
        assert_eq!(bad.field_violations[0].field, "count");
        assert_eq!(failure(&refused).errors[0].pointer, "/count");
    }
    let refused = client.get_next(next("")).await.unwrap_err();
    assert_eq!(refused.message(), "/prefix: is missing");
    let reset = ResetCounterRequest {
        prefix: "INV".into(),
        new_value: -1,
        reason: "x".into(),
        ..ResetCounterRequest::default()
    };
    let refused = client.reset_counter(reset).await.unwrap_err();
    assert_eq!(failure(&refused).errors[0].pointer, "/new_value");
    let void = VoidRequest {
        target: Some(Target::Reservation("0".repeat(32))),
        reason: "x".into(),
        generation: Some(1),
        ..VoidRequest::default()
    };
    let refused = client.void(void).await.unwrap_err();
    assert_eq!(failure(&refused).errors[0].pointer, "/generation");
}

#[tokio::test]
async fn refusals_have_the_code_of_rest() {
    let desk = Desk::open().await;
    let mut client = desk.client.clone();
    let parse = ParseRequest {
        id: "?".into(),
        ..ParseRequest::default()
    };
    let unknown = client.parse(parse).await.unwrap_err();
    assert_eq!(
        told(&unknown),
        (tonic::Code::NotFound, "id-not-recognised".into(), "no".into())
    );
    let confirm = ConfirmRequest {
        reservation: "none".into(),
        ..ConfirmRequest::default()
    };
    let unknown = client.confirm(confirm).await.unwrap_err();
    assert_eq!(told(&unknown).1, "reservation-not-found");
    let reset = ResetCounterRequest {
        prefix: "INV".into(),
        new_value: 1,
        reason: "x".into(),
        repeats_accepted: true,
        ..ResetCounterRequest::default()
    };
    let forbidden = client.reset_counter(reset).await.unwrap_err();
    assert_eq!(told(&forbidden).0, tonic::Code::PermissionDenied);
    let nothing = VoidRequest {
        reason: "x".into(),
        ..VoidRequest::default()
    };
    let wrong = client.void(nothing).await.unwrap_err();
    assert_eq!(told(&wrong).1, "invalid-request");
}

#[tokio::test]
async fn a_reservation_lives_and_ends() {
    let desk = Desk::open().await;
    let mut client = desk.client.clone();
    let reserve = ReserveRequest {
        prefix: "INV".into(),
        ..ReserveRequest::default()
    };
    let held = client.reserve(reserve).await.unwrap().into_inner();
    assert_eq!(
        (held.state.as_str(), held.numbers.unwrap().ids),
        ("reserved", vec!["INV-001".to_owned()])
    );
    let confirm = ConfirmRequest {
        reservation: held.reservation.clone(),
        reference: "SO-1".into(),
        ..ConfirmRequest::default()
    };
    let confirmed = client.confirm(confirm).await.unwrap().into_inner();
    assert_eq!(confirmed.state, "confirmed");
    assert_eq!(confirmed.numbers.unwrap().reference.as_deref(), Some("SO-1"));
}

#[tokio::test]
async fn every_call_is_observed_under_its_name_and_status() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let noted = Arc::clone(&seen);
    let desk =
        Desk::with(|service| service.observe(move |call, code, _| noted.lock().unwrap().push((call, code))))
            .await;
    desk.next("INV").await.unwrap();
    desk.next("").await.unwrap_err();
    let (_, nobody) = tokio::sync::mpsc::unbounded_channel();
    let draws = tokio_stream::wrappers::UnboundedReceiverStream::new(nobody);
    let mut answers = desk.client.clone().draw(draws).await.unwrap().into_inner();
    assert_eq!(answers.message().await.unwrap(), None);
    let seen = seen.lock().unwrap().clone();
    assert_eq!(
        seen,
        [
            ("GetNext", tonic::Code::Ok),
            ("GetNext", tonic::Code::InvalidArgument),
            ("Draw", tonic::Code::Ok)
        ]
    );
    assert!(seen.iter().all(|(call, _)| CALLS.contains(call)));
}

#[tokio::test]
async fn an_unknown_call_is_unimplemented() {
    let desk = Desk::open().await;
    let mut client = Grpc::new(desk.channel.clone());
    client.ready().await.unwrap();
    let codec =
        tonic_prost::ProstCodec::<seqid_proto::GetNextRequest, seqid_proto::GetNextResponse>::default();
    let path = PathAndQuery::from_static("/sequentialid.SequentialIDService/UpdateConfig");
    let refused = client
        .unary(tonic::Request::new(next("INV")), path, codec)
        .await
        .unwrap_err();
    assert_eq!(refused.code(), tonic::Code::Unimplemented);
}

#[tokio::test]
async fn garbage_closes_its_own_connection_and_no_other() {
    let desk = Desk::open().await;
    let mut garbage = TcpStream::connect(desk.address).await.unwrap();
    garbage
        .write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
        .await
        .unwrap();
    garbage.write_all(&[0xff; 4096]).await.unwrap();
    let mut rest = Vec::new();
    // Reset or closed: either way the service does not wait for more.
    let _closed = garbage.read_to_end(&mut rest).await;
    assert_eq!(desk.next("INV").await.unwrap(), "INV-001");
}
