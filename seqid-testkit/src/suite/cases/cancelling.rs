//! Commands that come too late, and callers that go away.

use std::time::{Duration, Instant};

use super::super::backend::Backend;
use super::super::commands::{CommandExt, draw};
use super::super::sequence::Sequence;
use crate::suite::commands::told;

pub async fn a_command_past_its_deadline_does_nothing(backend: Backend) {
    let line = backend.sequence("INV").await.line();
    assert_eq!(backend.tell_one(draw(&line, 1).late()).await, "late");
    assert_eq!(
        backend
            .tell([draw(&line, 1), draw(&line, 2).late(), draw(&line, 1)])
            .await,
        ["1", "late", "2"]
    );
    assert_eq!(
        backend.tell_one(Sequence::plain("ORD").define().late()).await,
        "late"
    );
    assert_eq!(backend.events_of(&line).await.len(), 2);
}

pub async fn a_late_command_leaves_its_key_free(backend: Backend) {
    let line = backend.sequence("INV").await.line();
    let batch = [
        draw(&line, 1).under("k").late(),
        draw(&line, 1),
        draw(&line, 1).under("k"),
    ];
    assert_eq!(backend.tell(batch).await, ["late", "1", "2"]);
}

pub async fn a_command_before_its_deadline_is_carried_out(backend: Backend) {
    let line = backend.sequence("INV").await.line();
    let hour = Instant::now() + Duration::from_secs(3_600);
    assert_eq!(
        backend.tell_one(draw(&line, 1).with_deadline(Some(hour))).await,
        "1"
    );
}

pub async fn a_future_that_was_never_polled_draws_nothing(backend: Backend) {
    let line = backend.sequence("INV").await.line();
    drop(backend.ledger.apply(vec![draw(&line, 1)]));
    assert_eq!(backend.tell_one(draw(&line, 1)).await, "1");
}

pub async fn a_dropped_future_draws_the_whole_batch_or_nothing(backend: Backend) {
    const CALLS: u64 = 200;
    let line = backend.sequence("INV").await.line();
    for call in 0..CALLS {
        let command = || draw(&line, 3).under(&format!("call {call}"));
        // Polled once, or a few times, and then dropped.
        let patience = async {
            for _ in 0..call % 4 {
                tokio::task::yield_now().await;
            }
        };
        tokio::select! {
            biased;
            _ = backend.ledger.apply(vec![command()]) => {}
            () = patience => {}
        }
    }
    for call in 0..CALLS {
        let reply = backend
            .tell_one(draw(&line, 3).under(&format!("call {call}")))
            .await;
        assert!(reply.contains(".."), "{reply}");
    }
    let events = backend.events_of(&line).await;
    let drawn: Vec<(u64, u64)> = events
        .iter()
        .filter_map(|recorded| recorded.event.run.map(|run| (run.first.get(), run.count)))
        .collect();
    let expected: Vec<(u64, u64)> = (0..CALLS).map(|at| (3 * at + 1, 3)).collect();
    assert_eq!(drawn, expected, "each call drew once, and whole");
}

pub async fn nothing_is_carried_out_after_closing(backend: Backend) {
    let line = backend.sequence("INV").await.line();
    assert_eq!(backend.tell_one(draw(&line, 1)).await, "1");
    backend.ledger.close().await.expect("the store closes");
    let replies = backend.tell([draw(&line, 1), draw(&line, 1)]).await;
    assert_eq!(replies, ["draining", "draining"]);
}

pub async fn closing_twice_is_closing_once(backend: Backend) {
    backend.sequence("INV").await;
    backend.ledger.close().await.expect("the store closes");
    backend.ledger.close().await.expect("the store is closed");
}

pub async fn what_is_in_flight_when_the_store_closes_is_answered(backend: Backend) {
    let line = backend.sequence("INV").await.line();
    let calls: Vec<_> = (0..32)
        .map(|_| {
            let (ledger, command) = (backend.ledger.clone(), draw(&line, 1));
            tokio::spawn(async move { ledger.apply(vec![command]).await })
        })
        .collect();
    backend.ledger.close().await.expect("the store closes");
    for call in calls {
        let replies = call.await.expect("an answer");
        let reply = told(&replies[0]);
        assert!(reply == "draining" || reply.parse::<u64>().is_ok(), "{reply}");
    }
}
