//! Whatever is killed, the audit has what the store recorded: each event once, none invented.
//!
//! One round of kills each, or as many as `SEQID_KILL_ROUNDS` says.
#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a test fails by it")]

mod broker;
mod running;

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use broker::{metric, on_both, start, until, work};
use running::{Client, Server};
use seqid_testkit::servers::{PostgresServer, RabbitMqServer};

fn rounds() -> usize {
    let rounds = std::env::var("SEQID_KILL_ROUNDS").unwrap_or_default();
    rounds.parse().unwrap_or(1)
}

/// Draws from whichever service answers until it is told to stop. Answers the numbers that it was given.
fn draw(services: &Mutex<Vec<SocketAddr>>, stop: &AtomicBool, caller: usize) -> Vec<u64> {
    let (mut numbers, mut client) = (Vec::new(), None);
    while !stop.load(Ordering::Relaxed) {
        let address = services.lock().unwrap()[caller % 2];
        let answer = match &mut client {
            None => Client::connect(address).map(|new| {
                client = Some(new);
                None
            }),
            Some(client) => client.post("/api/v1/next", None, r#"{"prefix":"INV"}"#).map(Some),
        };
        match answer {
            Ok(None) => {}
            Ok(Some(answer)) if answer.status == 200 => {
                numbers.push(answer.json()["number"].as_u64().unwrap());
            }
            _ => {
                client = None;
                std::thread::sleep(Duration::from_millis(20));
            }
        }
    }
    numbers
}

struct Stack {
    folders: Vec<tempfile::TempDir>,
    broker: RabbitMqServer,
    database: PostgresServer,
    services: Vec<Option<Server>>,
    workers: Vec<Option<Server>>,
    addresses: Arc<Mutex<Vec<SocketAddr>>>,
}

impl Stack {
    fn start() -> Self {
        let database = PostgresServer::start().unwrap();
        database.psql("postgres", "CREATE DATABASE erp").unwrap();
        let mut stack = Self {
            folders: (0..2).map(|_| tempfile::tempdir().unwrap()).collect(),
            broker: RabbitMqServer::start().unwrap(),
            database,
            services: vec![None, None],
            workers: vec![None, None],
            addresses: Arc::new(Mutex::new(vec!["127.0.0.1:1".parse().unwrap(); 2])),
        };
        for at in 0..2 {
            stack.start_service(at);
            stack.start_worker(at);
        }
        stack
    }

    fn command(&self, at: usize) -> std::process::Command {
        let mut command = on_both(
            self.folders[at].path(),
            &self.broker.url(),
            &self.database.url("erp"),
        );
        // Nobody reads what it logs while it runs.
        command.env("LOG_LEVEL", "off");
        command
    }

    fn start_service(&mut self, at: usize) {
        let service = start(self.command(at));
        self.addresses.lock().unwrap()[at] = service.address;
        self.services[at] = Some(service);
    }

    fn start_worker(&mut self, at: usize) {
        self.workers[at] = Some(work(self.command(at)));
    }

    fn sql(&self, sql: &str) -> String {
        self.database.psql("erp", sql).unwrap_or_default()
    }

    /// How many events were recorded, so that a kill strikes while there is something to lose.
    fn recorded(&self) -> u64 {
        self.sql("SELECT count(*) FROM seqid_audit.event")
            .parse()
            .unwrap_or(0)
    }

    fn wait_for_more(&self) {
        let before = self.recorded();
        until("more is recorded", || self.recorded() > before + 50);
    }

    /// Which service relays: one of the two has the outbox, and the other takes over when it dies.
    fn relaying(&self) -> usize {
        let relayed = || {
            let services = self.services.iter().flatten();
            let relayed: Vec<f64> = services
                .map(|service| metric(service, "seqid_relay_events_total"))
                .collect();
            relayed
        };
        let before = relayed();
        let mut now = before.clone();
        until("a service relays", || {
            now = relayed();
            now != before
        });
        usize::from(now[1] - before[1] > now[0] - before[0])
    }

    fn kill_service(&mut self, at: usize) {
        self.services[at].take().unwrap().kill();
        self.start_service(at);
    }
}

#[test]
fn the_audit_has_each_event_once_whatever_is_killed() {
    let mut stack = Stack::start();
    let stop = Arc::new(AtomicBool::new(false));
    let callers: Vec<_> = (0..4)
        .map(|caller| {
            let (services, stop) = (Arc::clone(&stack.addresses), Arc::clone(&stop));
            std::thread::spawn(move || draw(&services, &stop, caller))
        })
        .collect();
    for round in 0..rounds() {
        let at = round % 2;
        println!("round {}: {} events", round + 1, stack.recorded());
        stack.wait_for_more();
        // One that only serves, and the one that relays.
        stack.kill_service(1 - stack.relaying());
        stack.wait_for_more();
        stack.kill_service(stack.relaying());
        stack.wait_for_more();
        stack.workers[at].take().unwrap().kill();
        stack.start_worker(at);
        stack.wait_for_more();
        // RabbitMQ notes the name of a new quorum queue within half a second, and forgets what is in it if it is killed before.
        stack
            .broker
            .ctl(&["eval", "dets:sync(ra_directory_reverse)."])
            .unwrap();
        stack.broker.kill().unwrap();
        stack.broker.start_again().unwrap();
        stack.wait_for_more();
        stack.database.kill().unwrap();
        stack.database.start_again().unwrap();
    }
    stack.wait_for_more();
    stop.store(true, Ordering::Relaxed);
    let mut numbers = BTreeSet::new();
    for caller in callers {
        for number in caller.join().unwrap() {
            assert!(numbers.insert(number), "{number} was given out twice");
        }
    }

    let columns = "tenant, prefix, period, n, kind, first, last, count, at";
    let lacks = |one: &str, other: &str| {
        let sql = format!(
            "SELECT count(*) FROM (SELECT {columns} FROM {one} EXCEPT ALL SELECT {columns} FROM {other}) AS d"
        );
        stack.sql(&sql)
    };
    until("the audit has everything", || {
        lacks("seqid.audit", "seqid_audit.event") == "0"
    });
    assert_eq!(
        lacks("seqid_audit.event", "seqid.audit"),
        "0",
        "nothing is there twice, and nothing invented"
    );
    assert_eq!(stack.sql("SELECT count(*) FROM seqid_audit.missing"), "0");
    assert_eq!(stack.sql("SELECT count(*) FROM seqid_audit.divergence"), "0");
    let issued =
        stack.sql("SELECT string_agg(first::text, ' ') FROM seqid_audit.event WHERE kind = 'issued'");
    let issued: BTreeSet<u64> = issued.split(' ').map(|number| number.parse().unwrap()).collect();
    assert!(
        numbers.is_subset(&issued),
        "every number that was answered is in the audit"
    );
    println!("{} events, {} numbers answered", stack.recorded(), numbers.len());
    for server in stack.workers.iter_mut().chain(&mut stack.services) {
        server.take().unwrap().stop();
    }
}
