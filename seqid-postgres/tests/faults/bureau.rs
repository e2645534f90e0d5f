//! Three instances on one database, and clients who draw, reserve and settle until they are told to stop.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use seqid_core::Error;
use seqid_core::ledger::Refusal;
use seqid_core::names::Reason;
use seqid_core::numbering::{DrawRequest, HoldState, Numbering, ReserveRequest, SettleRequest};
use seqid_core::reservation::ReservationId;
use seqid_core::store::{Certainty, StoreError};
use seqid_postgres::PostgresConfig;
use seqid_testkit::evidence::{Evidence, key_name, outcome_of_draw};
use seqid_testkit::history::{Ending, Order, Outcome, Recorder, RowKind, Settlement, Told};
use seqid_testkit::servers::Database;
use tokio::runtime::Runtime;

use crate::office::{Office, counter, name, require_clean, sequence};

const INSTANCES: usize = 3;
/// Of each instance: all but the last draw, the last reserves.
const CLIENTS: usize = 4;

/// The next thing that a client does, again and again until it knows what became of it.
#[derive(Debug, Clone)]
enum Step {
    Draw {
        prefix: String,
        key: Option<String>,
        count: Option<u32>,
        /// Whether it is asked again when it was not issued.
        insists: bool,
    },
    Reserve {
        key: String,
        plan: Plan,
    },
    Settle {
        reservation: ReservationId,
        plan: Plan,
    },
}

/// How a client goes on with a number that it holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Plan {
    Forget,
    Confirm,
    Void,
}

/// A client, who outlives the instance that it asks.
#[derive(Debug)]
struct Client {
    id: usize,
    next: AtomicU64,
    step: Mutex<Option<Step>>,
}

impl Client {
    /// What it does next, if nothing is left of before: one in three draws has no key, one in four is a batch.
    fn nth(&self) -> Step {
        let n = self.next.fetch_add(1, Ordering::Relaxed);
        let key = format!("client-{}-{n}", self.id);
        if self.id % CLIENTS == CLIENTS - 1 {
            let plans = [Plan::Confirm, Plan::Void, Plan::Forget, Plan::Confirm];
            let plan = plans[usize::try_from(n % 4).unwrap()];
            return Step::Reserve { key, plan };
        }
        // Most want the same counter, some one that only their instance draws from.
        let prefix = match n % 5 {
            4 => format!("OWN{}", self.id / CLIENTS),
            _ => "INV".to_owned(),
        };
        Step::Draw {
            prefix,
            key: (!n.is_multiple_of(3)).then_some(key),
            count: n.is_multiple_of(4).then_some(1 + u32::try_from(n % 5).unwrap()),
            insists: n.is_multiple_of(2),
        }
    }
}

/// What all of them were told, and whether they are to stop.
#[derive(Debug, Default)]
struct Record {
    recorder: Recorder,
    settlements: Mutex<Vec<Settlement>>,
    issued: AtomicU64,
    refused: AtomicU64,
    unknown: AtomicU64,
    /// Errors that no fault excuses.
    wrong: Mutex<Vec<String>>,
    stops: AtomicBool,
}

impl Record {
    fn count(&self, outcome: &Outcome) {
        let count = match outcome {
            Outcome::Issued(_) => &self.issued,
            Outcome::NotIssued => &self.refused,
            Outcome::Unknown => &self.unknown,
        };
        count.fetch_add(1, Ordering::Relaxed);
    }

    /// Takes note of an error. A server that is down refuses at once: the processor is left to the one that starts.
    async fn failed(&self, error: &Error) {
        let excused = matches!(
            error,
            Error::Store(StoreError::Unavailable(_) | StoreError::Unknown(_) | StoreError::Draining)
        );
        if !excused {
            self.wrong.lock().unwrap().push(format!("{error:?}"));
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }

    /// Takes a step, and answers the one that follows: the same again if nothing is known of it.
    async fn take(&self, office: &Office, step: Step) -> Option<Step> {
        match step.clone() {
            Step::Draw {
                prefix,
                key,
                count,
                insists,
            } => {
                let name_of = |key: &String| key_name(&sequence(&prefix), &key.parse().unwrap());
                let known_as = key.as_ref().map(name_of);
                let asked = format!("{count:?}");
                let pending =
                    self.recorder
                        .begin(&counter(&prefix), known_as.as_deref(), asked, count.unwrap_or(1));
                let mut request = DrawRequest::new(name(&prefix));
                request.count = count;
                request.key = key.as_ref().map(|key| key.parse().unwrap());
                let answer = office.issuer.draw(request).await;
                let outcome = outcome_of_draw(&answer);
                pending.end(outcome.clone());
                self.count(&outcome);
                if let Err(error) = &answer {
                    self.failed(error).await;
                }
                let again = match outcome {
                    Outcome::Issued(_) => false,
                    Outcome::NotIssued => insists,
                    Outcome::Unknown => key.is_some(),
                };
                again.then_some(step)
            }
            Step::Reserve { key, plan } => {
                let known_as = key_name(&sequence("RES"), &key.parse().unwrap());
                let pending = self
                    .recorder
                    .begin(&counter("RES"), Some(&known_as), "reserve", 1);
                let ttl = if plan == Plan::Forget { 1 } else { 600 };
                let draw = DrawRequest::new(name("RES")).key(key.parse().unwrap());
                let request = ReserveRequest::new(draw, Duration::from_secs(ttl));
                let answer = office.issuer.reserve(request).await;
                let (answer, reservation) = match answer {
                    Ok(reserved) => (Ok(reserved.numbers), Some(reserved.reservation)),
                    Err(error) => (Err(error), None),
                };
                let outcome = outcome_of_draw(&answer);
                pending.end(outcome.clone());
                self.count(&outcome);
                if let Err(error) = &answer {
                    self.failed(error).await;
                }
                match reservation {
                    Some(_) if plan == Plan::Forget => None,
                    Some(reservation) => Some(Step::Settle { reservation, plan }),
                    None => Some(step),
                }
            }
            Step::Settle { reservation, plan } => {
                let request = match plan {
                    Plan::Void => SettleRequest::void(reservation, Reason::new("cancelled").unwrap()),
                    _ => SettleRequest::confirm(reservation),
                };
                let answer = office.issuer.settle(request).await;
                let told = match &answer {
                    Ok(held) => match held.state {
                        HoldState::Confirmed => Told::Ended(Ending::Confirmed),
                        HoldState::Voided => Told::Ended(Ending::Voided),
                        HoldState::Expired => Told::Ended(Ending::Expired),
                        HoldState::Reserved => Told::Nothing,
                    },
                    Err(Error::Store(StoreError::Refused(Refusal::HoldConfirmed { .. }))) => {
                        Told::Ended(Ending::Confirmed)
                    }
                    Err(Error::Store(StoreError::Refused(Refusal::HoldVoided { .. }))) => {
                        Told::Ended(Ending::Voided)
                    }
                    Err(error) => {
                        self.failed(error).await;
                        match error.code().certainty() {
                            Certainty::Unknown => Told::Unknown,
                            Certainty::NotIssued => Told::Nothing,
                        }
                    }
                };
                let mut settlements = self.settlements.lock().unwrap();
                let id = settlements.len() as u64;
                settlements.push(Settlement {
                    id,
                    reservation: reservation.to_string(),
                    told,
                });
                drop(settlements);
                let counts = match told {
                    Told::Ended(_) => &self.issued,
                    Told::Nothing => &self.refused,
                    Told::Unknown => &self.unknown,
                };
                counts.fetch_add(1, Ordering::Relaxed);
                (!matches!(told, Told::Ended(_))).then_some(step)
            }
        }
    }

    /// Goes on until it is told to stop and knows the end of what it began.
    async fn serve(&self, office: &Office, client: &Client) {
        loop {
            let left = client.step.lock().unwrap().clone();
            if left.is_none() && self.stops.load(Ordering::Relaxed) {
                return;
            }
            let step = left.unwrap_or_else(|| client.nth());
            // Known before it is sent: an instance that dies leaves it here.
            *client.step.lock().unwrap() = Some(step.clone());
            let next = self.take(office, step).await;
            *client.step.lock().unwrap() = next;
        }
    }
}

/// One instance with a runtime of its own, as if it were a process.
#[derive(Debug)]
struct Instance {
    runtime: Runtime,
    clients: Vec<tokio::task::JoinHandle<()>>,
    office: Arc<Office>,
}

/// See the [module](self).
#[derive(Debug)]
pub(crate) struct Bureau {
    config: PostgresConfig,
    told: Arc<Record>,
    clients: Vec<Arc<Client>>,
    instances: Vec<Option<Instance>>,
    snapshots: Option<JoinHandle<u64>>,
}

impl Bureau {
    /// Opens the instances and lets the clients begin. Somebody else looks at snapshots of the database all the while.
    pub(crate) fn open(database: &Arc<Database>, timeout: Duration) -> Self {
        let config: PostgresConfig = database.url().parse().unwrap();
        let clients = (0..INSTANCES * CLIENTS).map(|id| {
            Arc::new(Client {
                id,
                next: AtomicU64::new(0),
                step: Mutex::default(),
            })
        });
        let told = Arc::new(Record::default());
        let mut bureau = Self {
            config: config.lanes(2).timeout(timeout),
            snapshots: Some(look(Arc::clone(database), Arc::clone(&told))),
            told,
            clients: clients.collect(),
            instances: (0..INSTANCES).map(|_| None).collect(),
        };
        for index in 0..INSTANCES {
            bureau.open_instance(index);
        }
        bureau
    }

    fn open_instance(&mut self, index: usize) {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let opened = runtime.block_on(Office::try_open(self.config.clone()));
        let office = Arc::new(opened.unwrap());
        let clients = &self.clients[index * CLIENTS..][..CLIENTS];
        let clients = clients.iter().map(|client| {
            let (told, office, client) = (Arc::clone(&self.told), Arc::clone(&office), Arc::clone(client));
            runtime.spawn(async move { told.serve(&office, &client).await })
        });
        let clients = clients.collect();
        self.instances[index] = Some(Instance {
            clients,
            runtime,
            office,
        });
    }

    /// Ends an instance where it stands, with all that it was doing, and opens it again.
    pub(crate) fn replace(&mut self, index: usize) {
        let instance = self.instances[index].take().unwrap();
        drop(instance.office);
        instance.runtime.shutdown_timeout(Duration::from_secs(60));
        self.open_instance(index);
    }

    /// Waits until so many more answers were given. They come by themselves, whatever was done to the server.
    #[track_caller]
    pub(crate) fn until_issued(&self, more: u64) {
        until_more(&self.told.issued, more, "the store does not serve");
    }

    /// Waits until so many more requests failed.
    #[track_caller]
    pub(crate) fn until_failed(&self, more: u64) {
        until_more(&self.told.refused, more, "nothing fails");
    }

    pub(crate) fn unknown(&self) -> u64 {
        self.told.unknown.load(Ordering::Relaxed)
    }

    /// How many calls never came back, and cannot any more.
    pub(crate) fn lost(&self) -> u64 {
        let calls = self.told.recorder.calls();
        let open = calls.iter().filter(|call| call.ended.is_none()).count();
        // Each client may have one under way.
        open.saturating_sub(INSTANCES * CLIENTS) as u64
    }

    /// Lets the clients finish what they began, closes the stores, and holds what the clients saw against what the database
    /// says.
    #[track_caller]
    pub(crate) fn close(mut self, database: &Database) -> Evidence {
        self.told.stops.store(true, Ordering::Relaxed);
        for instance in self.instances.iter_mut().filter_map(Option::take) {
            instance.runtime.block_on(async {
                for client in instance.clients {
                    client.await.unwrap();
                }
                Arc::into_inner(instance.office).unwrap().close().await;
            });
        }
        let snapshots = self.snapshots.take().unwrap().join().unwrap();
        assert!(snapshots > 0, "no snapshot was read");
        let wrong = self.told.wrong.lock().unwrap();
        assert!(wrong.is_empty(), "{wrong:#?}");
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let evidence = runtime.block_on(async {
            // Sessions that were given up may still be at work.
            crate::open::until_gone(database).await;
            let office = Office::open(&database.url()).await;
            let evidence = Evidence::read(&*office.store).await.unwrap();
            office.close().await;
            require_clean(&database.url()).await;
            evidence
        });
        let mut history = evidence
            .clone()
            .against(self.told.recorder.calls(), Order::Generation);
        history
            .settlements
            .clone_from(&self.told.settlements.lock().unwrap());
        if let Err(violations) = history.check() {
            panic!("{violations:#?}");
        }
        let confirmed = |row: &seqid_testkit::history::Row| row.kind == RowKind::Confirmed;
        assert!(evidence.rows.iter().any(confirmed), "nothing was confirmed");
        evidence
    }
}

#[track_caller]
fn until_more(count: &AtomicU64, more: u64, what: &str) {
    let goal = count.load(Ordering::Relaxed) + more;
    let began = Instant::now();
    while count.load(Ordering::Relaxed) < goal {
        assert!(began.elapsed() < Duration::from_secs(60), "{what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// One statement is one snapshot: what each counter gave out, as its row and its events have it.
const GAPS: &str = "\
    SELECT coalesce(string_agg(c.id::text, ' '), 'none') FROM seqid.counter c, LATERAL (\
        SELECT count(*) AS events, max(n) AS last, sum(e.count) FILTER (WHERE kind IN (1, 8)) AS given, \
        count(DISTINCT n) AS places, max(e.first + e.count) AS next \
        FROM seqid.event e WHERE e.chain = c.id) e \
    WHERE (c.n, c.n, c.n, c.next, c.next) IS DISTINCT FROM (e.events, e.last, e.places, e.next, 1 + e.given)";

/// Looks for gaps in snapshots until all is over; answers how many snapshots there were.
fn look(database: Arc<Database>, told: Arc<Record>) -> JoinHandle<u64> {
    std::thread::spawn(move || {
        let mut snapshots = 0;
        while !told.stops.load(Ordering::Relaxed) {
            // There may be no server, or no schema yet.
            if let Ok(gaps) = database.psql(GAPS) {
                assert_eq!(gaps, "none", "gaps in counters");
                snapshots += 1;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        snapshots
    })
}
