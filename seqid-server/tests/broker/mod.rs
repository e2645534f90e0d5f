//! Services and workers on a broker and a database.
#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    reason = "each test program uses a part, and fails by it"
)]

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::running::{Client, PATIENCE, Server, program};

/// The program on a broker.
pub fn on_broker(folder: &Path, url: &str) -> Command {
    let mut command = program(folder);
    command.env("PORT", "0").env("RABBITMQ_URL", url);
    command
}

/// The program on a broker and a database.
pub fn on_both(folder: &Path, url: &str, database: &str) -> Command {
    let mut command = on_broker(folder, url);
    command.env("DATABASE_URL", database);
    command
}

/// Serves, or works.
#[track_caller]
pub fn start(mut command: Command) -> Server {
    Server::start_with(&mut command)
}

#[track_caller]
pub fn work(mut command: Command) -> Server {
    Server::start_with(command.arg("worker"))
}

/// The value of a series.
#[track_caller]
pub fn metric(server: &Server, series: &str) -> f64 {
    let text = server.client().get("/metrics").unwrap().body;
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    let line = line.unwrap_or_else(|| panic!("{series} is not in\n{text}"));
    line.parse().unwrap()
}

/// Waits until it is so.
#[track_caller]
pub fn until(what: &str, mut so: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !so() {
        assert!(begun.elapsed() < PATIENCE * 5, "{what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// The status of `/ready`.
pub fn readiness(server: &Server) -> u16 {
    let answer = Client::connect(server.address).and_then(|mut client| client.get("/ready"));
    answer.map_or(0, |answer| answer.status)
}
