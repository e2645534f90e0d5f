use std::sync::Arc;

use seqid_client::Client;
use seqid_core::Numbering;
use seqid_core::numbering::CounterSelector;

use crate::hall::{Instance, PATIENCE, client, draw, issuer, prefix};

#[tokio::test]
async fn a_client_goes_on_with_another_instance_when_its_own_stops() {
    let issuer = issuer();
    let first = Instance::open(Arc::clone(&issuer) as _).await;
    let second = Instance::open(Arc::clone(&issuer) as _).await;
    let client = Client::builder()
        .endpoint(first.url())
        .endpoint(second.url())
        .patience(PATIENCE)
        .build()
        .unwrap();
    for number in 1..=10 {
        assert_eq!(draw(&client).await.unwrap(), number);
    }
    assert!(second.calls.lock().unwrap().is_empty(), "one is asked at a time");
    first.stop().await;
    for number in 11..=20 {
        assert_eq!(draw(&client).await.unwrap(), number);
    }
    client.status(CounterSelector::new(prefix())).await.unwrap();
    assert_eq!(*second.calls.lock().unwrap(), ["GetStatus"]);
}

#[tokio::test]
async fn an_instance_that_is_not_there_is_passed_over() {
    let gone = Instance::open(issuer()).await;
    let url = gone.url();
    gone.stop().await;
    let ready = Instance::open(issuer()).await;
    let client = Client::builder()
        .endpoint(url)
        .endpoint(ready.url())
        .build()
        .unwrap();
    assert_eq!(draw(&client).await.unwrap(), 1);
}

#[tokio::test]
async fn a_client_connects_again_to_an_instance_that_was_restarted() {
    let issuer = issuer();
    let instance = Instance::open(Arc::clone(&issuer) as _).await;
    let (address, client) = (instance.address, client(&instance));
    assert_eq!(draw(&client).await.unwrap(), 1);
    instance.stop().await;
    let _again = Instance::open_at(address, issuer).await;
    assert_eq!(draw(&client).await.unwrap(), 2);
    client.status(CounterSelector::new(prefix())).await.unwrap();
}
