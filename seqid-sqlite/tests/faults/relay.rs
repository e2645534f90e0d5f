//! Events on their way to a sink.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::future::Future;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use seqid_core::json_lines::JsonLines;
use seqid_core::relay::Relay;
use seqid_core::store::{AuditSink, EventSource};

use crate::child::killed_after;
use crate::office::{Office, block_on};

fn in_tokio<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap()
        .block_on(future)
}

fn deliver_all(office: &Office, sink: &Path) {
    let relay = Relay::new(Arc::clone(&office.store), JsonLines::open(sink).unwrap());
    let events = office.audit().len() as u64;
    in_tokio(async {
        let mut last = 0;
        while last < events {
            last += relay.deliver().await.unwrap() as u64;
        }
    });
}

/// The events in a sink's file by position: their ids, each as often as it is there.
fn delivered(sink: &Path) -> BTreeMap<u64, Vec<String>> {
    let text = fs::read_to_string(sink).unwrap();
    assert!(text.ends_with('\n'));
    let mut events: BTreeMap<u64, Vec<String>> = BTreeMap::new();
    for line in text.lines() {
        let event: serde_json::Value = serde_json::from_str(line).unwrap();
        let id = event["event_id"].as_str().unwrap().to_owned();
        events
            .entry(event["position"].as_u64().unwrap())
            .or_default()
            .push(id);
    }
    events
}

#[track_caller]
fn agrees(office: &Office, sink: &Path, times: std::ops::RangeInclusive<usize>) {
    let events = office.audit();
    let delivered = delivered(sink);
    assert_eq!(delivered.len(), events.len());
    for recorded in &events {
        let ids = &delivered[&recorded.position];
        assert!(
            times.contains(&ids.len()),
            "event {} came {} times",
            recorded.position,
            ids.len()
        );
        assert!(
            ids.iter().all(|id| *id == recorded.id.to_string()),
            "always by the same name"
        );
    }
}

#[test]
fn what_is_acknowledged_is_not_taken_again_after_reopening() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("seqid.db");
    let office = Office::open(&file);
    office.draw_many("INV", 5);
    let taken = block_on(office.store.take(3)).unwrap();
    assert_eq!(
        block_on(office.store.take(3)).unwrap(),
        taken,
        "not acknowledged yet"
    );
    block_on(office.store.acknowledge(taken[2].position)).unwrap();
    block_on(office.store.acknowledge(1)).unwrap();
    office.close();
    let office = Office::open(&file);
    let taken = block_on(office.store.take(10)).unwrap();
    assert_eq!(
        taken.iter().map(|event| event.position).collect::<Vec<_>>(),
        [4, 5, 6]
    );
}

#[test]
fn an_acknowledgement_that_was_answered_outlives_a_crash() {
    let folder = killed_after(|folder| {
        let office = Office::open(&folder.join("seqid.db"));
        office.draw_many("INV", 5);
        block_on(office.store.acknowledge(4)).unwrap();
        office
    });
    let office = Office::open(&folder.path().join("seqid.db"));
    assert_eq!(block_on(office.store.take(10)).unwrap()[0].position, 5);
}

#[test]
fn each_event_is_delivered_once_from_one_clean_stop_to_the_next() {
    let folder = tempfile::tempdir().unwrap();
    let (file, sink) = (folder.path().join("seqid.db"), folder.path().join("events.jsonl"));
    let office = Office::open(&file);
    office.draw_many("INV", 5);
    deliver_all(&office, &sink);
    office.close();
    let office = Office::open(&file);
    office.draw_many("INV", 5);
    let relay = Relay::new(Arc::clone(&office.store), JsonLines::open(&sink).unwrap());
    assert_eq!(in_tokio(relay.deliver()).unwrap(), 5);
    agrees(&office, &sink, 1..=1);
}

#[test]
fn an_event_that_was_not_acknowledged_before_a_crash_comes_again_by_the_same_name() {
    let folder = killed_after(|folder| {
        let office = Office::open(&folder.join("seqid.db"));
        let sink = folder.join("events.jsonl");
        office.draw_many("INV", 5);
        deliver_all(&office, &sink);
        office.draw_many("INV", 5);
        let events = block_on(office.store.take(3)).unwrap();
        in_tokio(JsonLines::open(&sink).unwrap().record(&events)).unwrap();
        office
    });
    let sink = folder.path().join("events.jsonl");
    // The crash was in the middle of a line.
    write!(
        File::options().append(true).open(&sink).unwrap(),
        "{{\"event_id\":\"0123"
    )
    .unwrap();
    let office = Office::open(&folder.path().join("seqid.db"));
    let relay = Relay::new(Arc::clone(&office.store), JsonLines::open(&sink).unwrap());
    assert_eq!(in_tokio(relay.deliver()).unwrap(), 5);
    agrees(&office, &sink, 1..=2);
    assert_eq!(delivered(&sink).values().filter(|ids| ids.len() == 2).count(), 3);
}
