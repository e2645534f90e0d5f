//! Numbers of leased sequences over the service, when it stops, is killed, and changes what its leases stand in the way of.
#![allow(clippy::unwrap_used, reason = "a test fails by it")]

mod running;

use std::path::Path;

use running::Server;
use serde_json::{Value, json};

const DEFINITION: &str = r#"{"format":"INV-{seq}","mode":"leased"}"#;

/// Serves a folder with a leased sequence.
fn defined(folder: &Path) -> Server {
    let server = Server::start(folder);
    let answer = server.client().put("/api/v1/sequences/INV", DEFINITION).unwrap();
    assert_eq!(answer.status, 201, "{}", answer.body);
    server
}

/// How many numbers of the counter are in a state.
fn count(server: &Server, state: &str) -> Value {
    let answer = server.client().get("/api/v1/gaps/INV/summary").unwrap();
    assert_eq!(answer.status, 200, "{}", answer.body);
    answer.json()["items"][0]["summary"][state].clone()
}

#[test]
fn a_stop_leaves_no_gap_and_every_event_is_delivered() {
    let folder = tempfile::tempdir().unwrap();
    let events = folder.path().join("events.jsonl");
    let start = || {
        let mut command = running::program(folder.path());
        Server::start_with(command.env("PORT", "0").env("SEQID_EVENTS_FILE", &events))
    };
    let server = start();
    let answer = server.client().put("/api/v1/sequences/INV", DEFINITION).unwrap();
    assert_eq!(answer.status, 201, "{}", answer.body);
    assert_eq!((server.draw(), server.draw()), (1, 2));
    assert_eq!(count(&server, "pending"), 16);
    server.signal("TERM");
    let (status, log) = server.wait();
    assert_eq!(status.code(), Some(0), "{log}");
    let delivered = std::fs::read_to_string(&events).unwrap();
    let kinds: Vec<Value> = delivered
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["kind"].clone())
        .collect();
    assert_eq!(kinds, ["defined", "leased", "reported", "returned"]);
    let server = start();
    assert_eq!(server.draw(), 3);
    assert_eq!(count(&server, "issued"), 2);
}

#[test]
fn what_was_drawn_before_a_kill_is_unknown_and_never_given_out_again() {
    let folder = tempfile::tempdir().unwrap();
    let server = defined(folder.path());
    assert_eq!((server.draw(), server.draw()), (1, 2));
    server.kill();
    let server = Server::start(folder.path());
    assert_eq!(server.draw(), 17);
    assert_eq!(
        (count(&server, "unknown"), count(&server, "pending")),
        (json!(16), json!(16))
    );
}

#[test]
fn a_reset_gives_back_what_was_leased_first() {
    let folder = tempfile::tempdir().unwrap();
    let server = defined(folder.path());
    assert_eq!(server.draw(), 1);
    let reset = r#"{"prefix":"INV","new_value":100,"reason":"a test"}"#;
    let answer = server.client().post("/api/v1/reset", None, reset).unwrap();
    assert_eq!(
        (answer.status, &answer.json()["old_next_number"]),
        (200, &json!(2))
    );
    assert_eq!(server.draw(), 100);
}
