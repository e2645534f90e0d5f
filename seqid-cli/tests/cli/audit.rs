//! `audit`: pages, filters, exports, followers.

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::Stdio;

use seqid_core::Numbering;
use seqid_core::numbering::DrawRequest;
use serde_json::Value;

use crate::running::{Place, run};

fn positions(text: &str) -> Vec<u64> {
    let position = |line| {
        serde_json::from_str::<Value>(line).unwrap()["position"]
            .as_u64()
            .unwrap()
    };
    text.lines().map(position).collect()
}

#[test]
fn a_page_has_the_newest_first_and_goes_on() {
    for place in Place::both() {
        for _ in 0..4 {
            place.prints(&["next", "INV"]);
        }
        let page = place.run(&["audit", "--limit", "2"]);
        assert_eq!(page.stdout.lines().count(), 2);
        assert!(page.stdout.contains("issued    INV all      INV-004"), "{page:?}");
        assert!(page.stderr.contains("--after 4 goes on"), "{page:?}");
        assert_eq!(
            positions(&place.prints(&["--json", "audit", "--limit", "2", "--after", "4"])),
            [3, 2]
        );
        assert_eq!(
            positions(&place.prints(&["--json", "audit", "--oldest-first"])),
            [1, 2, 3, 4, 5]
        );
    }
}

#[test]
fn filters_leave_what_is_asked_for() {
    for place in Place::both() {
        place.prints(&["batch", "INV", "5", "--reference", "SO-1"]);
        place.prints(&["void", "INV", "--number", "3", "--reason", "printed twice"]);
        place.prints(&["next", "ORD"]);
        let count = |arguments: &[&str]| place.prints(&[&["audit"], arguments].concat()).lines().count();
        assert_eq!(count(&[]), 5);
        assert_eq!(count(&["INV"]), 3);
        assert_eq!(count(&["INV", "--number", "3"]), 2);
        assert_eq!(count(&["INV", "--number", "4", "--last", "9"]), 1);
        assert_eq!(count(&["--id", "INV-002"]), 1);
        assert_eq!(count(&["--kind", "voided,issued"]), 3);
        assert_eq!(count(&["--reference", "SO-1"]), 1);
        assert_eq!(count(&["--client", "seqid-cli"]), 5);
        assert_eq!(count(&["--from", "2999-01-01"]), 0);
        assert_eq!(count(&["--to", "2999-01-01"]), 5);
        assert!(
            place
                .prints(&["audit", "--kind", "voided"])
                .contains("reason=\"printed twice\"")
        );
    }
}

/// Thousands of events: more than one page of them.
const MANY: usize = 2_500;

pub fn many_events(place: &Place) {
    let service = place.served();
    service.within(async {
        let mut draws = tokio::task::JoinSet::new();
        for _ in 0..MANY {
            let issuer = std::sync::Arc::clone(&service.issuer);
            let draw = DrawRequest::new("INV".parse().unwrap());
            draws.spawn(async move { issuer.draw(draw).await.unwrap() });
        }
        draws.join_all().await
    });
}

#[test]
fn an_export_is_whole_and_can_be_verified() {
    let place = Place::service();
    many_events(&place);
    let events = place.prints(&["audit", "--export", "ndjson"]);
    assert_eq!(events.lines().count(), MANY + 1);
    let found = positions(&events);
    assert!(found.is_sorted_by(|a, b| a < b));
    assert_eq!(
        place.prints(&["audit", "--export", "ndjson", "--output", "audit.jsonl"]),
        ""
    );
    assert_eq!(
        fs::read_to_string(place.folder().join("audit.jsonl")).unwrap(),
        events
    );
    let report = place.json(&["verify", "--export", "audit.jsonl"]);
    assert_eq!(
        (&report["clean"], &report["events"]),
        (&true.into(), &(MANY + 1).into())
    );

    let again = place.run(&["audit", "--export", "ndjson", "--output", "audit.jsonl"]);
    again.told(2, &["cannot make audit.jsonl", "exists"]);
    let behind = place.prints(&["audit", "--export", "ndjson", "--after", "2499"]);
    assert_eq!(positions(&behind), [2_500, 2_501]);

    let table = place.prints(&["audit", "INV", "--export", "csv"]);
    assert_eq!(table.lines().count(), MANY + 2);
    assert!(
        table.starts_with("event_id,authority,position,kind,"),
        "{}",
        &table[..80]
    );
}

#[test]
fn a_reader_of_an_export_may_have_seen_enough() {
    let place = Place::service();
    many_events(&place);
    let script = "\"$0\" audit --export ndjson | head -1 | wc -l; echo ${PIPESTATUS[0]}";
    let mut shell = std::process::Command::new("bash");
    shell
        .args(["-c", script, env!("CARGO_BIN_EXE_seqid")])
        .env("SEQID_URL", place.served().url());
    let ended = run(&mut shell);
    assert_eq!((ended.stdout.as_str(), ended.stderr.as_str()), ("1\n0\n", ""));
}

#[test]
fn a_follower_tells_what_is_recorded_later_and_of_no_file() {
    let place = Place::service();
    place.prints(&["next", "INV"]);
    let mut follow = place.command();
    follow
        .args(["--json", "audit", "INV", "--follow", "--after", "1"])
        .stdout(Stdio::piped());
    let mut child = follow.spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut next = || positions(&lines.next().unwrap().unwrap());
    assert_eq!(next(), [2], "what was there behind the position");
    place.prints(&["next", "ORD"]);
    place.prints(&["next", "INV"]);
    assert_eq!(next(), [5], "what came later, and of this sequence");
    child.kill().unwrap();
    child.wait().unwrap();
    Place::file()
        .run(&["audit", "--follow"])
        .told(2, &["--follow", "service"]);
}
