use prost::Message;
use seqid_grpc::MOST_MESSAGE;
use seqid_proto::AdoptRequest;

use crate::desk::{Desk, told};

/// A message of so many bytes.
fn message(bytes: usize) -> AdoptRequest {
    let mut message = AdoptRequest {
        prefix: "INV".into(),
        reason: "x".into(),
        ids: vec!["9".repeat(bytes)],
        ..AdoptRequest::default()
    };
    let surplus = message.encoded_len() - bytes;
    message.ids[0].truncate(bytes - surplus);
    assert_eq!(message.encoded_len(), bytes);
    message
}

#[tokio::test]
async fn a_message_may_have_four_mebibytes_and_no_more() {
    let desk = Desk::open().await;
    desk.next("INV").await.unwrap();
    let mut client = desk.client.clone();
    let read = client.adopt(message(MOST_MESSAGE)).await.unwrap_err();
    assert_eq!(told(&read).1, "adoption-refused");
    let refused = client.adopt(message(MOST_MESSAGE + 1)).await.unwrap_err();
    assert_eq!(refused.code(), tonic::Code::OutOfRange);
    assert!(
        refused.details().is_empty(),
        "the library refuses it, before it is read"
    );
    assert_eq!(desk.next("INV").await.unwrap(), "INV-002");
}
