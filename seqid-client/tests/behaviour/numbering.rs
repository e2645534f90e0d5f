use std::collections::BTreeSet;
use std::sync::Arc;

use seqid_client::{Client, InvalidClient};
use seqid_core::Numbering;
use seqid_core::numbering::DrawRequest;

use crate::hall::{Instance, client, draw, issuer, prefix};

/// An ERP that knows a numbering, and not where it is.
async fn invoices(numbering: Arc<dyn Numbering>) -> Vec<String> {
    let mut ids = Vec::new();
    for _ in 0..3 {
        ids.push(
            numbering
                .draw(DrawRequest::new(prefix()))
                .await
                .unwrap()
                .id()
                .to_owned(),
        );
    }
    ids
}

#[tokio::test]
async fn a_linked_issuer_and_a_remote_one_are_asked_alike() {
    let instance = Instance::open(issuer()).await;
    let remote = invoices(Arc::new(client(&instance))).await;
    assert_eq!(remote, invoices(issuer()).await);
}

#[tokio::test]
async fn concurrent_draws_share_one_stream() {
    let instance = Instance::open(issuer()).await;
    let client = client(&instance);
    let draws: Vec<_> = (0..2_000)
        .map(|_| {
            let client = client.clone();
            tokio::spawn(async move { draw(&client).await.unwrap() })
        })
        .collect();
    let mut numbers = BTreeSet::new();
    for drawn in draws {
        numbers.insert(drawn.await.unwrap());
    }
    assert_eq!(numbers, (1..=2_000).collect());
    drop(client);
    let calls = Arc::clone(&instance.calls);
    instance.stop().await;
    assert_eq!(*calls.lock().unwrap(), ["Draw"]);
}

#[test]
fn addresses_are_checked_before_they_are_used() {
    assert!(matches!(
        Client::builder().build(),
        Err(InvalidClient::NoEndpoint)
    ));
    assert!(matches!(
        Client::new("not an address"),
        Err(InvalidClient::Endpoint { .. })
    ));
    for wrong in ["numbers:9090", "grpc://numbers:9090", "/numbers"] {
        assert!(matches!(Client::new(wrong), Err(InvalidClient::Scheme { uri }) if uri == wrong));
    }
}
