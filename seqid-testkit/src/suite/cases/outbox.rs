//! Events are delivered at least once and in order, and stay delivered.

use std::sync::Arc;

use super::super::backend::Backend;
use super::super::commands::draw;
use super::chain::live;

use seqid_core::event::Recorded;
use seqid_core::store::{Backlog, EventSource};

async fn take(source: &Arc<dyn EventSource>, limit: usize) -> Vec<Recorded> {
    source.take(limit).await.expect("events")
}

async fn acknowledge(source: &Arc<dyn EventSource>, events: &[Recorded]) {
    let last = events.last().expect("an event").position;
    source.acknowledge(last).await.expect("it is acknowledged");
}

pub async fn events_are_taken_in_order_and_whole(backend: Backend) {
    live(&backend).await;
    let source = backend.events_source();
    let all = backend.events().await;
    assert_eq!(take(&source, all.len()).await, all);
}

pub async fn events_that_were_not_acknowledged_are_taken_again(backend: Backend) {
    live(&backend).await;
    let source = backend.events_source();
    let first = take(&source, 3).await;
    assert_eq!(first.len(), 3);
    assert_eq!(take(&source, 3).await, first);
    assert_eq!(take(&source, 2).await, first[..2]);
}

pub async fn every_event_is_delivered(backend: Backend) {
    live(&backend).await;
    let source = backend.events_source();
    let all = backend.events().await;
    let mut delivered = Vec::new();
    while delivered.len() < all.len() {
        let events = take(&source, 2).await;
        assert!(
            (1..=2).contains(&events.len()),
            "{} events were taken",
            events.len()
        );
        acknowledge(&source, &events).await;
        delivered.extend(events);
    }
    assert_eq!(delivered, all);
}

pub async fn a_part_may_be_acknowledged(backend: Backend) {
    live(&backend).await;
    let source = backend.events_source();
    let all = backend.events().await;
    let taken = take(&source, 5).await;
    acknowledge(&source, &taken[..2]).await;
    assert_eq!(take(&source, 5).await, all[2..7]);
}

pub async fn what_is_acknowledged_stays_so(backend: Backend) {
    live(&backend).await;
    let source = backend.events_source();
    let all = backend.events().await;
    acknowledge(&source, &all[..4]).await;
    acknowledge(&source, &all[..1]).await;
    acknowledge(&source, &all[..4]).await;
    assert_eq!(take(&source, 100).await, all[4..]);
}

pub async fn an_acknowledged_event_stays_in_the_audit(backend: Backend) {
    live(&backend).await;
    let source = backend.events_source();
    let all = backend.events().await;
    acknowledge(&source, &all).await;
    assert_eq!(backend.events().await, all);
}

pub async fn the_backlog_is_what_was_not_acknowledged(backend: Backend) {
    let source = backend.events_source();
    let backlog = async || source.backlog().await.expect("what waits is known");
    assert_eq!(backlog().await, Backlog::default(), "nothing happened yet");
    live(&backend).await;
    let all = backend.events().await;
    for acknowledged in 0..all.len() {
        if acknowledged > 0 {
            acknowledge(&source, &all[..acknowledged]).await;
        }
        let waits = Backlog {
            events: (all.len() - acknowledged) as u64,
            oldest: Some(all[acknowledged].event.at),
        };
        assert_eq!(backlog().await, waits);
    }
    acknowledge(&source, &all).await;
    assert_eq!(backlog().await, Backlog::default());
}

pub async fn taking_waits_for_the_next_event(backend: Backend) {
    let line = backend.sequence("INV").await.line();
    let source = backend.events_source();
    acknowledge(&source, &backend.events().await).await;
    for number in 1..=20 {
        let waiting = tokio::spawn({
            let source = Arc::clone(&source);
            async move { take(&source, 10).await }
        });
        tokio::task::yield_now().await;
        backend.tell_one(draw(&line, 1)).await;
        let events = waiting.await.expect("an event");
        let numbers: Vec<u64> = events
            .iter()
            .filter_map(|recorded| Some(recorded.event.run?.first.get()))
            .collect();
        assert_eq!(numbers, [number]);
        acknowledge(&source, &events).await;
    }
}

pub async fn a_dropped_take_takes_nothing(backend: Backend) {
    let line = backend.sequence("INV").await.line();
    let source = backend.events_source();
    acknowledge(&source, &backend.events().await).await;
    tokio::select! {
        biased;
        events = take(&source, 10) => panic!("{events:?}"),
        () = tokio::task::yield_now() => {}
    }
    backend.tell_one(draw(&line, 1)).await;
    tokio::select! {
        biased;
        _ = source.take(10) => {}
        () = tokio::task::yield_now() => {}
    }
    assert_eq!(take(&source, 10).await.len(), 1);
}
