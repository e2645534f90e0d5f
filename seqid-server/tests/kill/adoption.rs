//! Lists of ids adopted, beside draws of the same counters, while the service is killed.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use seqid_core::time::Date;
use seqid_testkit::evidence::Evidence;
use seqid_testkit::history::{Outcome, Recorder, RowKind};

use super::running::{Client, Server};
use super::{Draw, ROUNDS, check, counter_of_month, draw_until_killed};

const ADOPTERS: u64 = 4;
const DRAWERS: u64 = 2;

/// The months that one client adopts numbers of.
const MONTHS: u64 = 3;

/// Adjacent numbers of one month.
#[derive(Debug)]
struct Run {
    month: u64,
    first: u64,
    count: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// No answer came yet.
    Unknown,
    Adopted,
    Refused,
}

/// Ids that are adopted together, again and again until the client is told what became of them.
#[derive(Debug)]
struct List {
    key: Option<String>,
    runs: Vec<Run>,
    asked: u32,
    fate: Fate,
}

impl List {
    fn ids(&self) -> u64 {
        self.runs.iter().map(|run| run.count).sum()
    }

    fn body(&self) -> String {
        let ids: Vec<String> = self
            .runs
            .iter()
            .flat_map(|run| (run.first..run.first + run.count).map(|number| id(run.month, number)))
            .collect();
        format!(
            r#"{{"prefix":"INV","ids":["{}"],"reason":"from the old system"}}"#,
            ids.join(r#"",""#)
        )
    }

    /// Asks once; whether an answer came.
    fn ask(&mut self, client: &mut Client) -> bool {
        self.asked += 1;
        let Ok(answer) = client.post("/api/v1/adopt", self.key.as_deref(), &self.body()) else {
            return false;
        };
        let body = answer.json();
        self.fate = match (answer.status, body["code"].as_str()) {
            (200, _) => {
                let count = |name: &str| body[name].as_u64().unwrap();
                assert_eq!(count("adopted") + count("already_adopted"), self.ids(), "{body}");
                Fate::Adopted
            }
            // A draw took a number before the list was checked, or after.
            (422, Some("adoption-refused")) => {
                let errors = body["errors"].as_array().unwrap();
                assert!(errors.iter().all(|error| error["code"] == "id-taken"), "{body}");
                Fate::Refused
            }
            (409, Some("id-taken")) => Fate::Refused,
            _ => panic!("{}", answer.body),
        };
        true
    }
}

fn id(month: u64, number: u64) -> String {
    format!("INV-2025{month:02}-{number}")
}

fn first_of(month: u64) -> Date {
    Date::new(2025, i8::try_from(month).unwrap(), 1).unwrap()
}

/// A client with months of its own, of which it adopts one list after the other.
#[derive(Debug)]
struct Adopter {
    client: u64,
    lists: Vec<List>,
    /// What is behind the numbers of its lists.
    next: u64,
}

impl Adopter {
    const fn new(client: u64) -> Self {
        Self {
            client,
            lists: Vec::new(),
            next: 1,
        }
    }

    /// The next list: ahead of those before it, and sometimes so little that a draw takes its first number.
    fn following(&mut self) -> List {
        let n = self.lists.len() as u64;
        let mut first = self.next + n % 9;
        let mut runs = Vec::new();
        // 300 to about 2,000 ids.
        let count = 25 + n * 37 % 140;
        for gap in [1, 2 + n % 3, 1, 0] {
            let months = 1..=MONTHS;
            runs.extend(months.map(|month| Run {
                month: self.client * MONTHS + month,
                first,
                count,
            }));
            first += count + gap;
        }
        self.next = first;
        List {
            key: n.is_multiple_of(2).then(|| format!("list-{}-{n}", self.client)),
            runs,
            asked: 0,
            fate: Fate::Unknown,
        }
    }

    /// Adopts until the service is killed, first of all the list of which nothing is known.
    fn go_on(&mut self, server: &Server, answered: &AtomicU64) {
        let Ok(mut connection) = Client::connect(server.address) else {
            return;
        };
        loop {
            if self.lists.last().is_none_or(|last| last.fate != Fate::Unknown) {
                let list = self.following();
                self.lists.push(list);
            }
            let last = self.lists.last_mut().unwrap();
            if !last.ask(&mut connection) {
                return;
            }
            answered.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// The external numbers of each counter as runs from a first to a last one, in their order.
struct External(HashMap<String, Vec<(u64, u64)>>);

impl External {
    fn of(evidence: &Evidence) -> Self {
        let mut counters: HashMap<String, Vec<(u64, u64)>> = HashMap::new();
        for mark in &evidence.marks {
            if mark.kind == RowKind::External {
                let run = (mark.first, mark.first + mark.count - 1);
                counters.entry(mark.counter.clone()).or_default().push(run);
            }
        }
        Self(counters)
    }

    /// How many numbers of a run are external.
    fn within(&self, run: &Run) -> u64 {
        let last = run.first + run.count - 1;
        let Some(external) = self.0.get(&counter_of_month(first_of(run.month))) else {
            return 0;
        };
        let begin = external.partition_point(|known| known.1 < run.first);
        external[begin..]
            .iter()
            .take_while(|known| known.0 <= last)
            .map(|known| known.1.min(last) - known.0.max(run.first) + 1)
            .sum()
    }

    #[track_caller]
    fn has_whole_or_not(&self, list: &List) {
        let external: u64 = list.runs.iter().map(|run| self.within(run)).sum();
        let right = match list.fate {
            Fate::Adopted => external == list.ids(),
            Fate::Refused => external == 0,
            Fate::Unknown => external == 0 || external == list.ids(),
        };
        assert!(right, "{external} ids are external of {list:?}");
    }
}

#[test]
fn kill_9_under_adoption_takes_a_list_whole_or_not_at_all() {
    let folder = tempfile::tempdir().unwrap();
    let recorder = Recorder::new();
    let mut adopters: Vec<Adopter> = (0..ADOPTERS).map(Adopter::new).collect();
    let next: Vec<AtomicU64> = (0..DRAWERS).map(|_| AtomicU64::new(0)).collect();
    let mut unknown: Vec<Draw> = Vec::new();
    for round in 0..ROUNDS {
        let server = Server::start(folder.path());
        let mut connection = server.client();
        if round == 0 {
            let definition = r#"{"format":"INV-{yyyy}{mm}-{seq}","reset":"month"}"#;
            let defined = connection.put("/api/v1/sequences/INV", definition).unwrap();
            assert_eq!(defined.status, 201, "{}", defined.body);
        }
        for draw in unknown.drain(..) {
            let outcome = draw.attempt(&recorder, &mut connection);
            assert!(matches!(outcome, Outcome::Issued(_)), "{draw:?}: {outcome:?}");
        }
        let answered = AtomicU64::new(0);
        unknown = std::thread::scope(|scope| {
            let (server, recorder, answered) = (&server, &recorder, &answered);
            let adopting: Vec<_> = adopters
                .iter_mut()
                .map(|adopter| scope.spawn(move || adopter.go_on(server, answered)))
                .collect();
            let drawing: Vec<_> = (0..DRAWERS)
                .zip(&next)
                .map(|(client, next)| {
                    let nth = move |n| Draw {
                        date: Some(first_of(1 + n % (ADOPTERS * MONTHS))),
                        ..Draw::nth(client, n)
                    };
                    scope.spawn(move || draw_until_killed(server, recorder, nth, next, answered))
                })
                .collect();
            while answered.load(Ordering::Relaxed) < 20 + round * 7 {
                assert!(
                    adopting.iter().any(|client| !client.is_finished()),
                    "nobody adopts"
                );
                std::thread::sleep(Duration::from_micros(200));
            }
            server.signal("KILL");
            adopting.into_iter().for_each(|client| client.join().unwrap());
            drawing
                .into_iter()
                .flat_map(|client| client.join().unwrap())
                .collect()
        });
        let (status, _) = server.wait();
        assert_eq!(status.code(), None, "a signal ended it");
        let external = External::of(&check(folder.path(), &recorder, &[]));
        adopters
            .iter()
            .flat_map(|adopter| &adopter.lists)
            .for_each(|list| external.has_whole_or_not(list));
    }
    let lists: Vec<&List> = adopters.iter().flat_map(|adopter| &adopter.lists).collect();
    assert!(
        lists
            .iter()
            .any(|list| list.asked > 1 && list.fate == Fate::Adopted),
        "in {ROUNDS} rounds no answer was lost: the test does not reach what it is for"
    );
    assert!(
        lists.iter().any(|list| list.fate == Fate::Refused),
        "no draw took a number of a list: the test does not reach what it is for"
    );
}
