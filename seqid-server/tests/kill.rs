//! Killed again and again under load: what clients saw must agree with what the file says afterwards.
#![allow(clippy::unwrap_used, reason = "a test fails by it")]

#[path = "kill/adoption.rs"]
mod adoption;
mod running;

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use running::{Answer, Client, Server};
use seqid_core::clock::SystemClock;
use seqid_core::counter::{CounterKey, SequenceKey};
use seqid_core::observer::Unobserved;
use seqid_core::period::{Calendar, MonthDay, Period, Reset};
use seqid_core::store::CounterStore;
use seqid_core::time::Date;
use seqid_core::{Prefix, Tenant};
use seqid_sqlite::{SqliteConfig, SqliteStore};
use seqid_testkit::evidence::{Evidence, counter_name, key_name};
use seqid_testkit::history::{Ending, Grant, Order, Outcome, Recorder, RowKind, Settlement, Told};

const ROUNDS: u64 = 20;
const CLIENTS: u64 = 8;

/// A draw as a client asks for it, again and again under the same key until it knows.
#[derive(Debug, Clone)]
struct Draw {
    key: Option<String>,
    count: Option<u32>,
    /// The document date, where the sequence has a counter for each month.
    date: Option<Date>,
}

impl Draw {
    /// The `n`th draw of a client: one in three without a key, one in four a batch.
    fn nth(client: u64, n: u64) -> Self {
        Self {
            key: (!n.is_multiple_of(3)).then(|| format!("client-{client}-{n}")),
            count: (n.is_multiple_of(4)).then_some(1 + u32::try_from(n % 5).unwrap()),
            date: None,
        }
    }

    fn send(&self, client: &mut Client) -> std::io::Result<Answer> {
        let key = self.key.as_deref();
        let date = self
            .date
            .map(|date| format!(r#","date":"{date}""#))
            .unwrap_or_default();
        match self.count {
            None => client.post("/api/v1/next", key, &format!(r#"{{"prefix":"INV"{date}}}"#)),
            Some(count) => client.post(
                "/api/v1/batch",
                key,
                &format!(r#"{{"prefix":"INV","count":{count}{date}}}"#),
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
        let counter = self.date.map_or_else(counter, counter_of_month);
        let pending = recorder.begin(&counter, key.as_deref(), request, self.count.unwrap_or(1));
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
    counter_name(&CounterKey::new(sequence(), Default::default(), Period::ALL))
}

/// The counter of a date, where each month has one.
fn counter_of_month(date: Date) -> String {
    let period = Calendar::new(Reset::Month, MonthDay::JANUARY_1).period(date);
    counter_name(&CounterKey::new(sequence(), Default::default(), period))
}

fn outcome(answer: &Answer) -> Outcome {
    let body = answer.json();
    if !matches!(answer.status, 200 | 201) {
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
    nth: impl Fn(u64) -> Draw,
    next: &AtomicU64,
    issued: &AtomicU64,
) -> Vec<Draw> {
    let Ok(mut connection) = Client::connect(server.address) else {
        return Vec::new();
    };
    loop {
        let draw = nth(next.fetch_add(1, Ordering::Relaxed));
        match draw.attempt(recorder, &mut connection) {
            Outcome::Issued(_) => drop(issued.fetch_add(1, Ordering::Relaxed)),
            Outcome::NotIssued => {}
            // The connection is gone with the service.
            Outcome::Unknown => return draw.key.is_some().then_some(draw).into_iter().collect(),
        }
    }
}

#[track_caller]
fn check(folder: &Path, recorder: &Recorder, settlements: &[Settlement]) -> Evidence {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let config = SqliteConfig::new(folder.join("seqid-data/seqid.db"));
        let store = SqliteStore::open(config, Arc::new(SystemClock), Arc::new(Unobserved)).unwrap();
        let evidence = Evidence::read(&store).await.unwrap();
        store.close().await.unwrap();
        let mut history = evidence.clone().against(recorder.calls(), Order::Generation);
        history.settlements = settlements.to_vec();
        if let Err(violations) = history.check() {
            panic!("{violations:#?}");
        }
        evidence
    })
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
                    let nth = move |n| Draw::nth(client, n);
                    scope.spawn(move || draw_until_killed(server, recorder, nth, next, issued))
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
        check(folder.path(), &recorder, &[]);
    }
    assert!(
        resolved > 0,
        "in {ROUNDS} rounds no answer was lost: the test does not reach what it is for"
    );
}

/// How a client goes on with a number that it holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Plan {
    Forget,
    Confirm,
    Void,
    /// Confirmed, and declared void later.
    ConfirmAndVoid,
}

/// The next thing that a client does, again and again until it is told what became of it.
#[derive(Debug, Clone)]
enum Step {
    Reserve {
        key: String,
        plan: Plan,
    },
    Settle {
        reservation: String,
        number: u64,
        plan: Plan,
    },
    VoidIssued {
        number: u64,
    },
}

/// What clients of reservations were told, all of them together.
#[derive(Debug, Default)]
struct Clients {
    recorder: Recorder,
    settlements: Mutex<Vec<Settlement>>,
    /// Issued numbers that were declared void.
    void: Mutex<Vec<u64>>,
}

impl Clients {
    /// Takes a step; answers the one that follows, or gives the step back when nothing is known of it.
    fn take(&self, step: Step, client: &mut Client) -> Result<Option<Step>, Step> {
        match step {
            Step::Reserve { ref key, plan } => {
                let name = key_name(&sequence(), &key.parse().unwrap());
                let pending = self.recorder.begin(&counter(), Some(&name), "reserve", 1);
                // Those who forget do so for a second.
                let ttl = if plan == Plan::Forget { 1 } else { 600 };
                let body = format!(r#"{{"prefix":"INV","ttl_seconds":{ttl}}}"#);
                let Ok(answer) = client.post("/api/v1/reserve", Some(key), &body) else {
                    pending.end(Outcome::Unknown);
                    return Err(step);
                };
                pending.end(outcome(&answer));
                if answer.status != 201 {
                    return Ok(None);
                }
                let answer = answer.json();
                let next = Step::Settle {
                    reservation: answer["reservation"].as_str().unwrap().into(),
                    number: answer["number"].as_u64().unwrap(),
                    plan,
                };
                Ok((plan != Plan::Forget).then_some(next))
            }
            Step::Settle {
                ref reservation,
                number,
                plan,
            } => {
                let (end, body) = match plan {
                    Plan::Void => ("void", r#"{"reason":"the order was cancelled"}"#),
                    _ => ("confirm", "{}"),
                };
                let path = format!("/api/v1/reservations/{reservation}/{end}");
                let answer = client.post(&path, None, body);
                let told = answer.as_ref().map_or(Told::Unknown, |answer| told(answer, plan));
                self.settled(reservation, told);
                match told {
                    Told::Unknown => Err(step),
                    Told::Ended(Ending::Confirmed) if plan == Plan::ConfirmAndVoid => {
                        Ok(Some(Step::VoidIssued { number }))
                    }
                    _ => Ok(None),
                }
            }
            Step::VoidIssued { number } => {
                let body = format!(r#"{{"prefix":"INV","number":{number},"reason":"printed twice"}}"#);
                let Ok(answer) = client.post("/api/v1/void", None, &body) else {
                    return Err(step);
                };
                assert_eq!(answer.status, 200, "{}", answer.body);
                self.void.lock().unwrap().push(number);
                Ok(None)
            }
        }
    }

    fn settled(&self, reservation: &str, told: Told) {
        let mut settlements = self.settlements.lock().unwrap();
        let id = settlements.len() as u64;
        settlements.push(Settlement {
            id,
            reservation: reservation.into(),
            told,
        });
    }

    /// Goes on until the service is killed; answers the step of which nothing is known.
    fn go_on(&self, server: &Server, client: u64, next: &AtomicU64, steps: &AtomicU64) -> Option<Step> {
        let mut connection = Client::connect(server.address).ok()?;
        loop {
            let n = next.fetch_add(1, Ordering::Relaxed);
            let plans = [
                Plan::Confirm,
                Plan::Void,
                Plan::ConfirmAndVoid,
                Plan::Forget,
                Plan::Confirm,
            ];
            let mut step = Step::Reserve {
                key: format!("client-{client}-{n}"),
                plan: plans[usize::try_from(n % 5).unwrap()],
            };
            loop {
                match self.take(step, &mut connection) {
                    Ok(Some(following)) => step = following,
                    Ok(None) => break,
                    Err(unknown) => return Some(unknown),
                }
                steps.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    /// Repeats a step of which nothing was known, and finishes what it began.
    fn resolve(&self, mut step: Step, client: &mut Client) {
        while let Some(following) = self.take(step, client).expect("the service is there") {
            step = following;
        }
    }
}

fn told(answer: &Answer, plan: Plan) -> Told {
    let code = answer.json()["code"].as_str().map(str::to_owned);
    Told::Ended(match (answer.status, code.as_deref()) {
        (200, _) if plan == Plan::Void => Ending::Voided,
        (200, _) | (409, Some("reservation-confirmed")) => Ending::Confirmed,
        (409, Some("reservation-voided")) => Ending::Voided,
        (409, Some("reservation-expired")) => Ending::Expired,
        _ => panic!("{}", answer.body),
    })
}

#[test]
fn kill_9_under_reservations_ends_each_once_and_as_it_was_told() {
    let folder = tempfile::tempdir().unwrap();
    let told = Clients::default();
    let next: Vec<AtomicU64> = (0..CLIENTS).map(|_| AtomicU64::new(0)).collect();
    let mut unknown: Vec<Step> = Vec::new();
    let mut resolved = [0; 3];
    for round in 0..ROUNDS {
        let server = Server::start(folder.path());
        let mut connection = server.client();
        for step in unknown.drain(..) {
            let kind = match step {
                Step::Reserve { .. } => 0,
                Step::Settle { .. } => 1,
                Step::VoidIssued { .. } => 2,
            };
            resolved[kind] += 1;
            told.resolve(step, &mut connection);
        }
        let steps = AtomicU64::new(0);
        unknown = std::thread::scope(|scope| {
            let clients: Vec<_> = (0..CLIENTS)
                .zip(&next)
                .map(|(client, next)| {
                    let (server, told, steps) = (&server, &told, &steps);
                    scope.spawn(move || told.go_on(server, client, next, steps))
                })
                .collect();
            while steps.load(Ordering::Relaxed) < 40 + round * 11 {
                assert!(
                    clients.iter().any(|client| !client.is_finished()),
                    "nobody reserves"
                );
                std::thread::sleep(Duration::from_micros(200));
            }
            server.signal("KILL");
            clients
                .into_iter()
                .filter_map(|client| client.join().unwrap())
                .collect()
        });
        let (status, _) = server.wait();
        assert_eq!(status.code(), None, "a signal ended it");
        let settlements = told.settlements.lock().unwrap().clone();
        let evidence = check(folder.path(), &told.recorder, &settlements);
        for number in told.void.lock().unwrap().iter() {
            let is_void = evidence
                .marks
                .iter()
                .any(|mark| mark.kind == RowKind::Voided && mark.first == *number && mark.count == 1);
            assert!(is_void, "number {number} was declared void");
        }
    }
    // What was forgotten in a round before the last has ended, though the service was down meanwhile.
    std::thread::sleep(Duration::from_millis(1_100));
    let server = Server::start(folder.path());
    server.draw();
    server.stop();
    let settlements = told.settlements.lock().unwrap().clone();
    let evidence = check(folder.path(), &told.recorder, &settlements);
    assert!(
        evidence.rows.iter().any(|row| row.kind == RowKind::Expired),
        "nothing expired"
    );
    assert!(
        resolved.iter().sum::<u64>() > 0,
        "in {ROUNDS} rounds no answer was lost: the test does not reach what it is for"
    );
}
