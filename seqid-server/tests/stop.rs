//! How it stops, and what must not be lost by that.
#![allow(clippy::unwrap_used, reason = "a test fails by it")]

mod running;

use std::collections::HashMap;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use running::{Server, program};

#[test]
fn numbers_go_on_after_a_stop() {
    let folder = tempfile::tempdir().unwrap();
    for (round, signal) in (1..).zip(["TERM", "INT", "TERM"]) {
        let server = Server::start(folder.path());
        assert_eq!(server.draw(), round);
        server.signal(signal);
        let (status, log) = server.wait();
        assert_eq!(status.code(), Some(0), "{log}");
    }
}

#[test]
fn a_stop_under_load_loses_no_number_and_no_answer() {
    const CLIENTS: u64 = 8;
    let folder = tempfile::tempdir().unwrap();
    let mut answered: Vec<u64> = Vec::new();
    for _ in 0..5 {
        let server = Server::start(folder.path());
        let drawn = AtomicU64::new(0);
        std::thread::scope(|scope| {
            let clients: Vec<_> = (0..CLIENTS)
                .map(|_| scope.spawn(|| draw_until_closed(&server, &drawn)))
                .collect();
            while drawn.load(Ordering::Relaxed) < 100 {
                std::thread::sleep(Duration::from_millis(1));
            }
            server.signal("TERM");
            for client in clients {
                answered.extend(client.join().unwrap());
            }
        });
        let (status, log) = server.wait();
        assert_eq!(status.code(), Some(0), "{log}");
    }
    answered.sort_unstable();
    let all: Vec<u64> = (1..=answered.len() as u64).collect();
    assert_eq!(answered, all, "each number was answered for, once");
    assert_eq!(Server::start(folder.path()).draw(), all.len() as u64 + 1);
}

/// Draws as fast as it is answered, until an answer says that the connection closes.
fn draw_until_closed(server: &Server, drawn: &AtomicU64) -> Vec<u64> {
    let mut numbers = Vec::new();
    let mut client = server.client();
    loop {
        let answer = client
            .post("/api/v1/next", None, r#"{"prefix":"INV"}"#)
            .expect("every request is answered");
        assert_eq!(answer.status, 200, "{}", answer.body);
        numbers.push(answer.json()["number"].as_u64().unwrap());
        drawn.fetch_add(1, Ordering::Relaxed);
        if answer.closes() {
            return numbers;
        }
    }
}

#[test]
fn idle_connections_do_not_hold_up_a_stop() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path());
    let mut used = server.client();
    used.get("/health").unwrap();
    let unused = server.client();
    let begun = Instant::now();
    server.signal("TERM");
    let (status, log) = server.wait();
    assert_eq!(status.code(), Some(0), "{log}");
    assert!(
        begun.elapsed() < Duration::from_secs(10),
        "it waited for idle connections"
    );
    drop((used, unused));
}

/// A service with one request of which only a part was sent.
fn with_half_a_request(command: &mut Command, part: &str) -> (Server, running::Client) {
    let server = Server::start_with(command);
    let mut client = server.client();
    // A whole request first, so that the connection is known to be accepted.
    client.get("/health").unwrap();
    client.send(part).unwrap();
    // One on another connection, so that the part has arrived.
    server.client().get("/health").unwrap();
    (server, client)
}

const HALF: &str =
    "POST /api/v1/next HTTP/1.1\r\nHost: t\r\nContent-Type: application/json\r\nContent-Length: 16\r\n\r\n";

#[test]
fn a_request_in_flight_is_finished() {
    let folder = tempfile::tempdir().unwrap();
    let (server, mut client) = with_half_a_request(program(folder.path()).env("PORT", "0"), HALF);
    server.signal("TERM");
    server.wait_until_refusing();
    client.send(r#"{"prefix":"INV"}"#).unwrap();
    let answer = client.answer().unwrap();
    assert_eq!(answer.json()["number"], 1, "{}", answer.body);
    assert!(
        answer.head.to_lowercase().contains("connection: close"),
        "{}",
        answer.head
    );
    let (status, log) = server.wait();
    assert_eq!(status.code(), Some(0), "{log}");
    assert_eq!(Server::start(folder.path()).draw(), 2);
}

#[test]
fn it_is_not_ready_while_it_stops() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path());
    let mut client = server.client();
    client.send("GET /ready HTTP/1.1\r\n").unwrap();
    server.client().get("/health").unwrap();
    server.signal("TERM");
    server.wait_until_refusing();
    client.send("Host: t\r\n\r\n").unwrap();
    let answer = client.answer().unwrap();
    assert_eq!(answer.status, 503);
    assert_eq!(answer.json()["code"], "draining", "{}", answer.body);
    server.wait();
}

#[test]
fn a_request_that_never_ends_is_cut_off() {
    let folder = tempfile::tempdir().unwrap();
    let (server, client) = with_half_a_request(
        program(folder.path())
            .env("PORT", "0")
            .env("SEQID_SHUTDOWN_SECONDS", "1"),
        HALF,
    );
    let begun = Instant::now();
    server.signal("TERM");
    let (status, log) = server.wait();
    assert_eq!(status.code(), Some(0), "{log}");
    assert!(
        begun.elapsed() >= Duration::from_secs(1),
        "the request had its time"
    );
    assert!(log.contains("cut off"), "{log}");
    drop(client);
}

#[test]
fn a_second_signal_ends_it_at_once() {
    for (first, second, code) in [("TERM", "TERM", 143), ("INT", "INT", 130), ("TERM", "INT", 130)] {
        let folder = tempfile::tempdir().unwrap();
        let (server, client) = with_half_a_request(program(folder.path()).env("PORT", "0"), HALF);
        assert_eq!(server.draw(), 1);
        server.signal(first);
        server.wait_until_refusing();
        server.signal(second);
        let (status, log) = server.wait();
        assert_eq!(status.code(), Some(code), "{log}");
        drop(client);
        assert_eq!(
            Server::start(folder.path()).draw(),
            2,
            "nothing that was answered is lost"
        );
    }
}

/// How often each event is in the file.
fn events(folder: &Path) -> HashMap<String, usize> {
    let mut times = HashMap::new();
    for line in std::fs::read_to_string(folder.join("events.jsonl"))
        .unwrap()
        .lines()
    {
        let event: serde_json::Value = serde_json::from_str(line).unwrap();
        *times
            .entry(event["event_id"].as_str().unwrap().to_owned())
            .or_default() += 1;
    }
    times
}

#[test]
fn after_a_clean_stop_each_event_is_in_the_file_once() {
    const CLIENTS: usize = 4;
    const DRAWS: usize = 50;
    let folder = tempfile::tempdir().unwrap();
    for round in 1..=3 {
        let server = Server::start_with(
            program(folder.path())
                .env("PORT", "0")
                .env("SEQID_EVENTS_FILE", "events.jsonl"),
        );
        std::thread::scope(|scope| {
            for _ in 0..CLIENTS {
                scope.spawn(|| (0..DRAWS).map(|_| server.draw()).max());
            }
        });
        let metrics = server.client().get("/metrics").unwrap().body;
        assert!(metrics.contains("\nseqid_relay_lag_seconds "), "{metrics}");
        assert!(metrics.contains("\nseqid_relay_events_total "), "{metrics}");
        server.stop();
        let times = events(folder.path());
        assert_eq!(
            times.len(),
            1 + round * CLIENTS * DRAWS,
            "the definition, and a row for each draw"
        );
        assert!(times.values().all(|times| *times == 1), "{times:?}");
    }
}

#[test]
fn after_a_crash_each_event_is_in_the_file_at_least_once() {
    let folder = tempfile::tempdir().unwrap();
    let start = || {
        Server::start_with(
            program(folder.path())
                .env("PORT", "0")
                .env("SEQID_EVENTS_FILE", "events.jsonl"),
        )
    };
    for _ in 0..3 {
        let server = start();
        for _ in 0..20 {
            server.draw();
        }
        server.kill();
    }
    let server = start();
    server.draw();
    server.stop();
    assert_eq!(events(folder.path()).len(), 1 + 3 * 20 + 1);
}
