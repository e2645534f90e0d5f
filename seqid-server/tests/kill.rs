//! Killed again and again under load: what clients saw must agree with what the file says afterwards.
#![allow(clippy::unwrap_used, reason = "a test fails by it")]

mod running;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use running::{Answer, Client, Server};
use seqid_core::clock::SystemClock;
use seqid_core::counter::{CounterKey, SequenceKey};
use seqid_core::observer::Unobserved;
use seqid_core::store::CounterStore;
use seqid_core::{Prefix, Tenant};
use seqid_sqlite::{SqliteConfig, SqliteStore};
use seqid_testkit::evidence::{Evidence, counter_name, key_name};
use seqid_testkit::history::{Grant, Order, Outcome, Recorder};

const ROUNDS: u64 = 20;
const CLIENTS: u64 = 8;

/// A draw as a client asks for it, again and again under the same key until it knows.
#[derive(Debug, Clone)]
struct Draw {
    key: Option<String>,
    count: Option<u32>,
}

impl Draw {
    /// The `n`th draw of a client: one in three without a key, one in four a batch.
    fn nth(client: u64, n: u64) -> Self {
        Self {
            key: (!n.is_multiple_of(3)).then(|| format!("client-{client}-{n}")),
            count: (n.is_multiple_of(4)).then_some(1 + u32::try_from(n % 5).unwrap()),
        }
    }

    fn send(&self, client: &mut Client) -> std::io::Result<Answer> {
        let key = self.key.as_deref();
        match self.count {
            None => client.post("/api/v1/next", key, r#"{"prefix":"INV"}"#),
            Some(count) => client.post(
                "/api/v1/batch",
                key,
                &format!(r#"{{"prefix":"INV","count":{count}}}"#),
            ),
        }
    }

    /// Asks once, and writes down what the client learns.
    fn attempt(&self, recorder: &Recorder, client: &mut Client) -> Outcome {
        let sequence = sequence();
        let key = self
            .key
            .as_ref()
            .map(|key| key_name(&sequence, &key.parse().unwrap()));
        let request = format!("{:?}", self.count);
        let pending = recorder.begin(&counter(), key.as_deref(), request, self.count.unwrap_or(1));
        let outcome = self
            .send(client)
            .map_or(Outcome::Unknown, |answer| outcome(&answer));
        pending.end(outcome.clone());
        outcome
    }
}

fn sequence() -> SequenceKey {
    SequenceKey::new(Tenant::default(), Prefix::new("INV").unwrap())
}

/// The one counter of a sequence that is never reset.
fn counter() -> String {
    counter_name(&CounterKey::new(
        sequence(),
        Default::default(),
        seqid_core::period::Period::ALL,
    ))
}

fn outcome(answer: &Answer) -> Outcome {
    let body = answer.json();
    if answer.status != 200 {
        return if body["outcome"] == "not_issued" {
            Outcome::NotIssued
        } else {
            Outcome::Unknown
        };
    }
    let number = |name: &str| {
        body[name]
            .as_u64()
            .unwrap_or_else(|| panic!("{name} is not in {body}"))
    };
    let narrow = |name: &str| u32::try_from(number(name)).unwrap();
    let ids = match body.get("ids") {
        Some(ids) => ids
            .as_array()
            .unwrap()
            .iter()
            .map(|id| id.as_str().unwrap().to_owned())
            .collect(),
        None => vec![body["id"].as_str().unwrap().to_owned()],
    };
    let single = body.get("ids").is_none();
    Outcome::Issued(Grant {
        first: number(if single { "number" } else { "first" }),
        step: number("step"),
        count: if single { 1 } else { narrow("count") },
        generation: narrow("generation"),
        epoch: narrow("epoch"),
        ids,
    })
}

/// Draws until the service is killed; answers the keyed draws of which nothing is known.
fn draw_until_killed(
    server: &Server,
    recorder: &Recorder,
    client: u64,
    next: &AtomicU64,
    issued: &AtomicU64,
) -> Vec<Draw> {
    let Ok(mut connection) = Client::connect(server.address) else {
        return Vec::new();
    };
    loop {
        let draw = Draw::nth(client, next.fetch_add(1, Ordering::Relaxed));
        match draw.attempt(recorder, &mut connection) {
            Outcome::Issued(_) => drop(issued.fetch_add(1, Ordering::Relaxed)),
            Outcome::NotIssued => {}
            // The connection is gone with the service.
            Outcome::Unknown => return draw.key.is_some().then_some(draw).into_iter().collect(),
        }
    }
}

#[track_caller]
fn check(folder: &Path, recorder: &Recorder) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let config = SqliteConfig::new(folder.join("seqid-data/seqid.db"));
        let store = SqliteStore::open(config, Arc::new(SystemClock), Arc::new(Unobserved)).unwrap();
        let evidence = Evidence::read(&store).await.unwrap();
        store.close().await.unwrap();
        let history = evidence.against(recorder.calls(), Order::Generation);
        if let Err(violations) = history.check() {
            panic!("{violations:#?}");
        }
    });
}

#[test]
fn kill_9_under_load_loses_nothing_that_was_answered() {
    let folder = tempfile::tempdir().unwrap();
    let recorder = Recorder::new();
    let next: Vec<AtomicU64> = (0..CLIENTS).map(|_| AtomicU64::new(0)).collect();
    let mut unknown: Vec<Draw> = Vec::new();
    let mut resolved = 0;
    for round in 0..ROUNDS {
        let server = Server::start(folder.path());
        let mut connection = server.client();
        for draw in unknown.drain(..) {
            let outcome = draw.attempt(&recorder, &mut connection);
            assert!(matches!(outcome, Outcome::Issued(_)), "{draw:?}: {outcome:?}");
            resolved += 1;
        }
        let issued = AtomicU64::new(0);
        unknown = std::thread::scope(|scope| {
            let clients: Vec<_> = (0..CLIENTS)
                .zip(&next)
                .map(|(client, next)| {
                    let (server, recorder, issued) = (&server, &recorder, &issued);
                    scope.spawn(move || draw_until_killed(server, recorder, client, next, issued))
                })
                .collect();
            // Somewhere in a stream of answers, elsewhere each time.
            while issued.load(Ordering::Relaxed) < 20 + round * 7 {
                assert!(clients.iter().any(|client| !client.is_finished()), "nobody draws");
                std::thread::sleep(Duration::from_micros(200));
            }
            server.signal("KILL");
            clients
                .into_iter()
                .flat_map(|client| client.join().unwrap())
                .collect()
        });
        let (status, _) = server.wait();
        assert_eq!(status.code(), None, "a signal ended it");
        check(folder.path(), &recorder);
    }
    assert!(
        resolved > 0,
        "in {ROUNDS} rounds no answer was lost: the test does not reach what it is for"
    );
}
