use std::collections::BTreeSet;
use std::sync::Arc;

use seqid_grpc::MOST_IN_FLIGHT;
use seqid_proto::draw_response::Result as Drawn;
use seqid_proto::{DrawRequest, DrawResponse};
use tokio::sync::mpsc;
use tokio_stream::wrappers::UnboundedReceiverStream;
use tonic::Streaming;

use crate::desk::{Desk, told};
use crate::gate::Gate;

fn draw(call: u64, prefix: &str) -> DrawRequest {
    DrawRequest {
        call,
        prefix: prefix.into(),
        ..DrawRequest::default()
    }
}

/// A stream, and where its draws are put in.
async fn stream(desk: &Desk) -> (mpsc::UnboundedSender<DrawRequest>, Streaming<DrawResponse>) {
    let (sender, receiver) = mpsc::unbounded_channel();
    let answers = desk
        .client
        .clone()
        .draw(UnboundedReceiverStream::new(receiver))
        .await
        .unwrap();
    (sender, answers.into_inner())
}

async fn answer(answers: &mut Streaming<DrawResponse>) -> (u64, Drawn) {
    let answer = answers.message().await.unwrap().unwrap();
    (answer.call, answer.result.unwrap())
}

#[tokio::test]
async fn each_draw_is_answered_under_its_number() {
    let desk = Desk::open().await;
    let (sender, mut answers) = stream(&desk).await;
    for call in 0..100 {
        sender
            .send(draw(call, if call % 2 == 0 { "INV" } else { "ORD" }))
            .unwrap();
    }
    drop(sender);
    let (mut calls, mut ids) = (BTreeSet::new(), BTreeSet::new());
    while let Some(answer) = answers.message().await.unwrap() {
        let Some(Drawn::Numbers(numbers)) = answer.result else {
            panic!("{answer:?}");
        };
        assert_eq!(numbers.prefix, if answer.call % 2 == 0 { "INV" } else { "ORD" });
        calls.insert(answer.call);
        ids.extend(numbers.ids);
    }
    assert_eq!((calls.len(), ids.len()), (100, 100));
    assert_eq!(desk.next("INV").await.unwrap(), "INV-051");
}

#[tokio::test]
async fn a_refusal_ends_its_draw_and_not_the_stream() {
    let desk = Desk::open().await;
    let (sender, mut answers) = stream(&desk).await;
    sender.send(draw(1, "not a prefix")).unwrap();
    let (call, Drawn::Failure(failure)) = answer(&mut answers).await else {
        panic!("it was drawn");
    };
    assert_eq!(call, 1);
    assert_eq!(
        (failure.code.as_str(), failure.outcome.as_str()),
        ("invalid-request", "not_issued")
    );
    assert_eq!(failure.errors[0].pointer, "/prefix");
    let mut late = draw(2, "INV");
    late.timeout_ms = Some(0);
    sender.send(late).unwrap();
    let (_, Drawn::Failure(failure)) = answer(&mut answers).await else {
        panic!("it was drawn");
    };
    assert_eq!(
        (failure.code.as_str(), failure.retry_after_ms),
        ("deadline-before-sealing", Some(100))
    );
    let mut batch = draw(3, "INV");
    batch.count = Some(2);
    sender.send(batch).unwrap();
    let (_, Drawn::Numbers(numbers)) = answer(&mut answers).await else {
        panic!("it was refused");
    };
    assert_eq!(numbers.ids, ["INV-001", "INV-002"]);
}

#[tokio::test]
async fn draws_beyond_the_bound_wait_in_the_connection() {
    let gate = Gate::closed();
    let desk = Desk::over(Arc::clone(&gate) as _, |service| service).await;
    let (sender, mut answers) = stream(&desk).await;
    let sent = MOST_IN_FLIGHT as u64 + 1;
    for call in 0..sent {
        sender.send(draw(call, "INV")).unwrap();
    }
    gate.until(MOST_IN_FLIGHT).await;
    // What waits on another stream shows that the one beyond the bound had its chance.
    let (second, _answers) = stream(&desk).await;
    second.send(draw(0, "INV")).unwrap();
    gate.until(MOST_IN_FLIGHT + 1).await;
    drop((second, _answers));
    gate.until(MOST_IN_FLIGHT).await;
    gate.open();
    let mut calls = BTreeSet::new();
    for _ in 0..sent {
        calls.insert(answer(&mut answers).await.0);
    }
    assert_eq!(calls.len() as u64, sent);
}

#[tokio::test]
async fn a_stream_that_its_client_leaves_draws_nothing_more() {
    let gate = Gate::closed();
    let desk = Desk::over(Arc::clone(&gate) as _, |service| service).await;
    let (sender, answers) = stream(&desk).await;
    for call in 0..10 {
        sender.send(draw(call, "INV")).unwrap();
    }
    gate.until(10).await;
    drop((sender, answers));
    gate.until(0).await;
    gate.open();
    assert_eq!(desk.next("INV").await.unwrap(), "INV-001");
}

#[tokio::test]
async fn a_stop_answers_what_was_taken_and_says_that_the_rest_was_not_drawn() {
    let gate = Gate::closed();
    let desk = Desk::over(Arc::clone(&gate) as _, |service| service).await;
    let (sender, mut answers) = stream(&desk).await;
    sender.send(draw(1, "INV")).unwrap();
    gate.until(1).await;
    desk.stop();
    gate.open();
    let (call, Drawn::Numbers(numbers)) = answer(&mut answers).await else {
        panic!("it was refused");
    };
    assert_eq!((call, numbers.ids), (1, vec!["INV-001".to_owned()]));
    let ended = answers.message().await.unwrap_err();
    let (status, code, retry) = told(&ended);
    assert_eq!(
        (status, code.as_str(), retry.as_str()),
        (tonic::Code::Unavailable, "draining", "same_request")
    );
}
