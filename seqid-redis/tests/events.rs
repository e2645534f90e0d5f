//! Events are drained at least once, by whoever is there, and none is dropped.
#![cfg(unix)]

mod lender;

use std::time::Duration;

use lender::{Lender, connect, counter};
use seqid_testkit::servers::RedisServer;

#[tokio::test]
async fn an_entry_says_what_was_drawn_and_stays_until_it_is_acknowledged() {
    let server = RedisServer::start().unwrap();
    let fenced = connect(&server.url()).await;
    let mut held = Lender::new(counter(), 7).lend(&fenced, 100).await;
    held.take(&fenced, 2).await;
    held.take(&fenced, 3).await;
    let events = fenced.events(counter().bucket(), "one");
    let taken = events.take(10).await.unwrap();
    let numbers: Vec<_> = taken
        .iter()
        .map(|entry| (entry.first.get(), entry.advance))
        .collect();
    assert_eq!(numbers, [(7, 2), (9, 3)]);
    assert_eq!((taken[0].counter.as_str(), taken[0].epoch), (counter().name(), 1));
    assert_eq!(taken[0].events, b"2 for the test");

    held.take(&fenced, 1).await;
    assert_eq!(events.take(1).await.unwrap(), taken[..1]);
    assert_eq!(events.take(10).await.unwrap(), taken);
    assert_eq!(events.acknowledge(&[taken[0].id.clone()]).await.unwrap(), 1);
    assert_eq!(events.take(10).await.unwrap(), taken[1..]);
    assert_eq!(events.acknowledge(&[taken[1].id.clone()]).await.unwrap(), 1);
    let last = events.take(10).await.unwrap();
    assert_eq!(last[0].first.get(), 12);
    assert_eq!(events.acknowledge(&[last[0].id.clone()]).await.unwrap(), 1);
    assert!(events.take(10).await.unwrap().is_empty());
}

#[tokio::test]
async fn nothing_is_trimmed_that_somebody_still_holds() {
    let server = RedisServer::start().unwrap();
    let fenced = connect(&server.url()).await;
    let mut held = Lender::new(counter(), 1).lend(&fenced, 100).await;
    for _ in 0..4 {
        held.take(&fenced, 1).await;
    }
    let one = fenced.events(counter().bucket(), "one");
    let other = fenced.events(counter().bucket(), "other");
    let first = one.take(2).await.unwrap();
    let later = other.take(2).await.unwrap();
    assert_eq!(later[0].first.get(), 3);
    let ids: Vec<_> = later.iter().map(|entry| entry.id.clone()).collect();
    assert_eq!(other.acknowledge(&ids).await.unwrap(), 0);
    assert_eq!(one.take(10).await.unwrap(), first);
    let ids: Vec<_> = first.iter().map(|entry| entry.id.clone()).collect();
    assert_eq!(one.acknowledge(&ids).await.unwrap(), 4);
}

#[tokio::test]
async fn what_a_silent_consumer_held_is_taken_over() {
    let server = RedisServer::start().unwrap();
    let fenced = connect(&server.url()).await;
    let mut held = Lender::new(counter(), 1).lend(&fenced, 100).await;
    held.take(&fenced, 1).await;
    let silent = fenced.events(counter().bucket(), "silent");
    let taken = silent.take(10).await.unwrap();
    let patient = fenced.events(counter().bucket(), "patient");
    assert!(patient.take(10).await.unwrap().is_empty());
    let heir = fenced
        .events(counter().bucket(), "heir")
        .take_over(Duration::ZERO);
    assert_eq!(heir.take(10).await.unwrap(), taken);
    assert!(silent.take(10).await.unwrap().is_empty());
}

#[tokio::test]
async fn an_emptied_server_has_events_again() {
    let server = RedisServer::start().unwrap();
    let fenced = connect(&server.url()).await;
    let mut lender = Lender::new(counter(), 1);
    lender.lend(&fenced, 100).await.take(&fenced, 1).await;
    let events = fenced.events(counter().bucket(), "one");
    assert_eq!(events.take(10).await.unwrap().len(), 1);
    server.cli(&["FLUSHALL"]).unwrap();
    assert!(events.take(10).await.unwrap().is_empty());
    lender.lend(&fenced, 100).await.take(&fenced, 1).await;
    assert_eq!(events.take(10).await.unwrap()[0].first.get(), 101);
}

#[tokio::test]
async fn what_seqid_never_wrote_is_an_error_and_stays() {
    let server = RedisServer::start().unwrap();
    let fenced = connect(&server.url()).await;
    let stream = format!("seqid:{{{}}}:events", counter().bucket());
    server.cli(&["XADD", &stream, "*", "f", "one"]).unwrap();
    let events = fenced.events(counter().bucket(), "one");
    for _ in 0..2 {
        let fault = events.take(10).await.unwrap_err();
        assert!(fault.to_string().contains("of the stream"), "{fault}");
    }
}
