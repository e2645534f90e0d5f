//! The audit of delivered events: each once, none changed, and what is missing shows.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::sync::Arc;

use seqid_core::clock::{Seed, SystemClock};
use seqid_core::event::Recorded;
use seqid_core::names::Reference;
use seqid_core::numbering::DrawRequest;
use seqid_core::store::AuditLog;
use seqid_core::{Issuer, MemoryStore, Numbering, Prefix};
use seqid_postgres::{AuditTable, PostgresConfig};
use seqid_testkit::servers::{Database, PostgresServer};

async fn events(draws: usize) -> Vec<Recorded> {
    let store = Arc::new(MemoryStore::new(Arc::new(SystemClock), Seed::from_system()));
    let issuer = Issuer::new(Arc::clone(&store) as _);
    for _ in 0..draws {
        let request = DrawRequest::new(Prefix::new("INV").unwrap());
        issuer.draw(request).await.unwrap();
    }
    store.events(0, draws + 1).await.unwrap()
}

async fn open(database: &Database) -> AuditTable {
    let config: PostgresConfig = database.url().parse().unwrap();
    AuditTable::open(config).await.unwrap()
}

fn changed(event: &Recorded) -> Recorded {
    let mut changed = event.clone();
    changed.event.reference = Some(Reference::new("another document").unwrap());
    changed
}

fn count(database: &Database, table: &str) -> String {
    let sql = format!("SELECT count(*) FROM seqid_audit.{table}");
    database.psql(&sql).unwrap()
}

#[tokio::test]
async fn an_event_is_recorded_once_however_often_it_comes() {
    let database = PostgresServer::shared().database().unwrap();
    let (table, events) = (open(&database).await, events(9).await);
    let first = table.record(&events[..6]).await.unwrap();
    assert_eq!((first.recorded, first.repeated), (6, 0));
    let second = table.record(&events).await.unwrap();
    assert_eq!((second.recorded, second.repeated), (4, 6));
    let twice = [events.clone(), events.clone()].concat();
    let third = table.record(&twice).await.unwrap();
    assert_eq!((third.recorded, third.repeated), (0, 20));
    assert!(third.divergent.is_empty());
    assert_eq!(count(&database, "event"), "10");
    assert_eq!(count(&database, "divergence"), "0");
    let row = "SELECT prefix, period, kind, n, first, last, count FROM seqid_audit.event WHERE n = 9";
    assert_eq!(database.psql(row).unwrap(), "INV|all|issued|9|9|9|1");
    assert_eq!(table.record::<Recorded>(&[]).await.unwrap().recorded, 0);
}

#[tokio::test]
async fn another_event_under_the_same_id_is_a_divergence() {
    let database = PostgresServer::shared().database().unwrap();
    let (table, events) = (open(&database).await, events(3).await);
    table.record(&events[..2]).await.unwrap();
    // One that is there, and one that comes beside its own twin in the same batch.
    let batch = [
        changed(&events[1]),
        events[3].clone(),
        events[2].clone(),
        changed(&events[2]),
    ];
    for round in 0..2 {
        let recording = table.record(&batch).await.unwrap();
        assert_eq!(recording.divergent, [0, 3]);
        let expected = if round == 0 { (2, 0) } else { (0, 2) };
        assert_eq!((recording.recorded, recording.repeated), expected);
    }
    assert_eq!(count(&database, "event"), "4");
    assert_eq!(count(&database, "divergence"), "2", "each is kept once");
    let sql = "SELECT count(*) FROM seqid_audit.event WHERE event->>'reference' IS NOT NULL";
    assert_eq!(database.psql(sql).unwrap(), "0", "what was recorded first stays");
}

#[tokio::test]
async fn what_was_not_delivered_shows_in_the_places_of_its_counter() {
    let database = PostgresServer::shared().database().unwrap();
    let (table, events) = (open(&database).await, events(9).await);
    let missing = async || {
        let missing = table.missing(10).await.unwrap();
        let runs = missing.iter().map(|missing| (missing.first_n, missing.last_n));
        runs.collect::<Vec<_>>()
    };
    // The first is the definition, of the sequence as a whole.
    let some: Vec<Recorded> = [0, 3, 4, 8].map(|at: usize| events[at].clone()).into();
    table.record(&some).await.unwrap();
    assert_eq!(missing().await, [(1, 2), (5, 7)]);
    table.record(&events[..6]).await.unwrap();
    assert_eq!(missing().await, [(6, 7)]);
    table.record(&events).await.unwrap();
    assert_eq!(missing().await, []);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn workers_side_by_side_record_each_event_once() {
    let database = PostgresServer::shared().database().unwrap();
    let events = Arc::new(events(300).await);
    // Each opens it: the schema is made once.
    let workers: Vec<_> = (0..4)
        .map(|worker: usize| {
            let events = Arc::clone(&events);
            let config: PostgresConfig = database.url().parse().unwrap();
            tokio::spawn(async move {
                let table = AuditTable::open(config).await.unwrap();
                let mut recorded = 0;
                for at in (0..events.len()).step_by(20) {
                    let mut batch = events[at..events.len().min(at + 60)].to_vec();
                    let turn = worker * 7 % batch.len();
                    batch.rotate_left(turn);
                    let recording = table.record(&batch).await.unwrap();
                    assert!(recording.divergent.is_empty());
                    recorded += recording.recorded;
                }
                recorded
            })
        })
        .collect();
    let mut recorded = 0;
    for worker in workers {
        recorded += worker.await.unwrap();
    }
    assert_eq!(recorded, events.len());
    assert_eq!(count(&database, "event"), events.len().to_string());
}

#[tokio::test]
async fn a_batch_that_failed_is_recorded_when_the_database_is_back() {
    let mut server = PostgresServer::start().unwrap();
    server.psql("postgres", "CREATE DATABASE audit").unwrap();
    let config: PostgresConfig = server.url("audit").parse().unwrap();
    let (table, events) = (AuditTable::open(config).await.unwrap(), events(3).await);
    table.record(&events[..2]).await.unwrap();
    server.kill().unwrap();
    assert!(table.record(&events).await.is_err());
    assert!(!table.is_available());
    server.start_again().unwrap();
    let recording = table.record(&events).await.unwrap();
    assert_eq!((recording.recorded, recording.repeated), (2, 2));
    assert!(table.is_available());
}
