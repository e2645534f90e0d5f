//! The outbox of several instances: drained by one at a time, and nothing is missed, whatever commits in whatever order.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use seqid_core::event::Recorded;
use seqid_core::numbering::DrawRequest;
use seqid_core::observer::Unobserved;
use seqid_core::query::{EventQuery, Order};
use seqid_core::store::{AuditLog, CounterStore, EventSource};
use seqid_core::{Issuer, Numbering, Prefix, Tenant};
use seqid_postgres::{PostgresConfig, PostgresStore};
use seqid_testkit::servers::{Database, PostgresServer};
use tokio::task::JoinSet;

async fn open(database: &Database) -> Arc<PostgresStore> {
    let config: PostgresConfig = database.url().parse().unwrap();
    let store = PostgresStore::open(config.lanes(3), Arc::new(Unobserved)).await;
    Arc::new(store.unwrap())
}

fn issuer(store: &Arc<PostgresStore>) -> Arc<Issuer> {
    Arc::new(
        Issuer::builder(Arc::clone(store) as _)
            .clock(store.clock())
            .build(),
    )
}

fn draw(name: &str) -> DrawRequest {
    DrawRequest::new(Prefix::new(name).unwrap())
}

#[tokio::test]
async fn another_instance_takes_over_when_the_one_that_drains_is_gone() {
    let database = PostgresServer::shared().database().unwrap();
    let (first, second) = (open(&database).await, open(&database).await);
    let numbers = issuer(&second);
    numbers.draw(draw("INV")).await.unwrap();
    let taken = first.take(100).await.unwrap();
    assert_eq!(taken.len(), 2, "the definition and the draw");
    first.acknowledge(taken[0].position).await.unwrap();
    let waiting = tokio::time::timeout(Duration::from_millis(500), second.take(100)).await;
    assert!(waiting.is_err(), "the first instance drains");
    drop(first);
    let taken_over = second.take(100).await.unwrap();
    assert_eq!(taken_over, taken[1..], "what was not acknowledged comes again");
    second.close().await.unwrap();
}

/// What a reader has seen when it read in order to the end.
fn positions(events: &[Recorded]) -> Vec<u64> {
    events.iter().map(|recorded| recorded.position).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_reads_in_order_while_three_instances_draw_misses_nothing() {
    const DRAWS: usize = 150;
    let database = PostgresServer::shared().database().unwrap();
    let stores = [
        open(&database).await,
        open(&database).await,
        open(&database).await,
    ];
    let names = ["A", "B", "C", "D", "E", "F"];
    let mut drawing = JoinSet::new();
    for store in &stores {
        let issuer = issuer(store);
        for name in names {
            let issuer = Arc::clone(&issuer);
            drawing.spawn(async move {
                for _ in 0..DRAWS {
                    issuer.draw(draw(name)).await.unwrap();
                }
            });
        }
    }
    let all = stores.len() * names.len() * DRAWS + names.len();
    let (relay, reader) = (Arc::clone(&stores[0]), Arc::clone(&stores[1]));
    let relayed = tokio::spawn(async move {
        let mut seen = Vec::new();
        while seen.len() < all {
            let events = relay.take(50).await.unwrap();
            relay.acknowledge(events.last().unwrap().position).await.unwrap();
            seen.extend(positions(&events));
        }
        seen
    });
    let followed = tokio::spawn(async move {
        let mut query = EventQuery::new(Tenant::default());
        query.order = Order::OldestFirst;
        let mut seen = Vec::new();
        while seen.len() < all {
            let page = reader.query(&query).await.unwrap();
            seen.extend(positions(&page.events));
            query.after = Some(page.next.unwrap_or(page.last));
            tokio::task::yield_now().await;
        }
        seen
    });
    while let Some(drawn) = drawing.join_next().await {
        drawn.unwrap();
    }
    let both = async { tokio::try_join!(relayed, followed).unwrap() };
    let both = tokio::time::timeout(Duration::from_secs(60), both).await;
    let (relayed, followed) = both.expect("a reader that misses an event waits for it in vain");
    let read = positions(&stores[2].events(0, 2 * all).await.unwrap());
    assert_eq!(read.len(), all);
    assert!(read.is_sorted());
    assert_eq!(relayed, read);
    assert_eq!(followed, read);
    assert_eq!(read.iter().collect::<BTreeSet<_>>().len(), all);
}
