//! Events stay until they are removed, and none is dropped.
#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod lender;

use std::time::Duration;

use lender::{Lender, connect, counter};
use seqid_redis::{Entry, EntryPage, History};
use seqid_testkit::servers::RedisServer;

fn readable(page: EntryPage) -> Vec<Entry> {
    page.entries.into_iter().map(|entry| entry.unwrap()).collect()
}

#[tokio::test]
async fn an_entry_says_what_was_drawn_and_stays_until_it_is_removed() {
    let server = RedisServer::start().unwrap();
    let fenced = connect(&server.url()).await;
    let mut held = Lender::new(counter(), 7).lend(&fenced, 100).await;
    held.take(&fenced, 2).await;
    held.take(&fenced, 3).await;
    let events = fenced.events(counter().bucket());
    let all = async || readable(events.older_than(Duration::ZERO, None, 10).await.unwrap());
    let found = all().await;
    let numbers: Vec<_> = found
        .iter()
        .map(|entry| (entry.first.get(), entry.advance))
        .collect();
    assert_eq!(numbers, [(7, 2), (9, 3)]);
    assert_eq!((found[0].counter.as_str(), found[0].epoch), (counter().name(), 1));
    assert_eq!(found[0].events, b"2 for the test");

    let page = events.older_than(Duration::ZERO, None, 1).await.unwrap();
    let (history, next) = (page.history.clone(), page.next.clone());
    assert_eq!(readable(page), found[..1]);
    let page = events
        .older_than(Duration::ZERO, next.as_deref(), 2)
        .await
        .unwrap();
    assert_eq!(page.next, None);
    assert_eq!(readable(page), found[1..]);

    let first = [found[0].id.clone()];
    assert_eq!(events.remove(&history, &first).await.unwrap(), 1);
    assert_eq!(events.remove(&history, &first).await.unwrap(), 0);
    assert_eq!(all().await, found[1..]);
}

#[tokio::test]
async fn what_was_written_lately_is_not_abandoned() {
    let server = RedisServer::start().unwrap();
    let fenced = connect(&server.url()).await;
    let mut held = Lender::new(counter(), 1).lend(&fenced, 100).await;
    held.take(&fenced, 1).await;
    let events = fenced.events(counter().bucket());
    let old = events.older_than(Duration::from_secs(3600), None, 10).await;
    assert!(readable(old.unwrap()).is_empty());
    // Its id is the time at which it was written.
    let stream = format!("seqid:{{{}}}:events", counter().bucket());
    let entry = [
        "XADD", &stream, "1-1", "c", "x", "e", "1", "f", "1", "s", "1", "d", "",
    ];
    server.cli(&["DEL", &stream]).unwrap();
    server.cli(&entry).unwrap();
    let old = events.older_than(Duration::from_secs(3600), None, 10).await;
    assert_eq!(readable(old.unwrap()).len(), 1);
}

#[tokio::test]
async fn nothing_is_removed_in_another_history() {
    let server = RedisServer::start().unwrap();
    let fenced = connect(&server.url()).await;
    let mut held = Lender::new(counter(), 1).lend(&fenced, 100).await;
    held.take(&fenced, 1).await;
    let events = fenced.events(counter().bucket());
    let page = events.older_than(Duration::ZERO, None, 10).await.unwrap();
    let former = History {
        run_id: "0".repeat(40),
        ..page.history.clone()
    };
    let ids: Vec<_> = readable(page).into_iter().map(|entry| entry.id).collect();
    assert_eq!(events.remove(&former, &ids).await.unwrap(), 0);
    let page = events.older_than(Duration::ZERO, None, 10).await.unwrap();
    assert_eq!(page.entries.len(), 1);
}

#[tokio::test]
async fn what_seqid_never_wrote_is_told_and_stays() {
    let server = RedisServer::start().unwrap();
    let fenced = connect(&server.url()).await;
    let stream = format!("seqid:{{{}}}:events", counter().bucket());
    server
        .cli(&["XADD", &stream, "*", "d", "", "c", "x", "f", "one"])
        .unwrap();
    let events = fenced.events(counter().bucket());
    for _ in 0..2 {
        let page = events.older_than(Duration::ZERO, None, 10).await.unwrap();
        let error = page.entries[0].as_ref().unwrap_err();
        assert_eq!(error.what, "epoch");
    }
}
