//! The broker is away while events are recorded: numbers are drawn all the same, memory stays as it is, and nothing is lost.
//!
//! 2,000 events, or as many as `SEQID_OUTAGE_EVENTS` says: 2,000,000 are an hour of 555 a second.
//!
//! `SEQID_OUTAGE_EVENTS=2000000 cargo test --release -p seqid-server --test outage -- --nocapture`
#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a test fails by it")]

mod broker;
mod running;

use std::time::Instant;

use broker::{metric, on_broker, readiness, start, until};
use running::Server;
use seqid_testkit::servers::RabbitMqServer;

const CALLERS: u64 = 8;
/// By how much the service may grow, however many events wait.
const GROWTH: u64 = 64 << 20;

fn events() -> u64 {
    let events = std::env::var("SEQID_OUTAGE_EVENTS").unwrap_or_default();
    events.parse().unwrap_or(2_000)
}

fn draw(service: &Server, draws: u64) {
    let mut client = service.client();
    for _ in 0..draws {
        let answer = client.post("/api/v1/next", None, r#"{"prefix":"INV"}"#).unwrap();
        assert_eq!(answer.status, 200, "{}", answer.body);
    }
}

/// Waits for a series to come to a value, as long as it moves. Answers the most memory that was in use meanwhile.
fn follow(service: &Server, series: &str, to: f64) -> u64 {
    let mut most = service.resident();
    loop {
        let now = metric(service, series);
        if now == to {
            return most;
        }
        until(series, || metric(service, series) != now);
        most = most.max(service.resident());
    }
}

#[test]
fn an_hour_without_a_broker_loses_nothing_and_takes_no_memory() {
    let mut server = RabbitMqServer::start().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let mut command = on_broker(folder.path(), &server.url());
    command.env("LOG_LEVEL", "off");
    let service = start(command);
    // What a service takes that has served and delivered: its pools and caches are filled.
    draw(&service, 500);
    follow(&service, "seqid_relay_events_total", 501.0);
    let before = service.resident();

    // RabbitMQ notes the name of a new quorum queue within half a second, and forgets what is in it if it is killed before.
    server.ctl(&["eval", "dets:sync(ra_directory_reverse)."]).unwrap();
    server.kill().unwrap();
    let (draws, begun) = (events() / CALLERS, Instant::now());
    std::thread::scope(|scope| {
        for _ in 0..CALLERS {
            scope.spawn(|| draw(&service, draws));
        }
    });
    let drawn = draws * CALLERS;
    println!("{drawn} draws in {:?} without a broker", begun.elapsed());
    #[expect(clippy::cast_precision_loss, reason = "far fewer than 2^52")]
    let (waiting, all) = (drawn as f64, (drawn + 501) as f64);
    until("what waits is seen", || {
        metric(&service, "seqid_relay_backlog") == waiting
    });
    assert!(metric(&service, "seqid_relay_lag_seconds") > 0.0);
    assert_eq!(readiness(&service), 200);
    let during = service.resident();

    server.start_again().unwrap();
    let begun = Instant::now();
    let most = follow(&service, "seqid_relay_events_total", all);
    println!("delivered in {:?}", begun.elapsed());
    let mebibytes = |bytes: u64| bytes >> 20;
    println!(
        "memory: {} MiB before, {} MiB with all of it waiting, at most {} MiB while it was delivered",
        mebibytes(before),
        mebibytes(during),
        mebibytes(most)
    );
    for grown in [during, most] {
        assert!(grown < before + GROWTH, "{grown} bytes, {before} before");
    }
    until("nothing waits", || metric(&service, "seqid_relay_backlog") == 0.0);
    // A node counts a quorum queue's messages now and then. One that was sent before the kill and not confirmed is there twice.
    until("the queue has them", || {
        let queued = server.ctl(&["list_queues", "messages", "name"]).unwrap();
        let line = queued.lines().find(|line| line.ends_with("\tseqid.events"));
        let messages = line.and_then(|line| line.split('\t').next()?.parse::<u64>().ok());
        messages.is_some_and(|messages| messages >= drawn + 501)
    });
    service.stop();
}
