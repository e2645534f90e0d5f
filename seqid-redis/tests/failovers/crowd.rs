//! Instances over one durable store, and clients who draw until they are told to stop.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use seqid_core::clock::{Seed, SystemClock};
use seqid_core::counter::{CounterKey, SequenceKey};
use seqid_core::field::FieldValues;
use seqid_core::mark::NumberState;
use seqid_core::names::{IdempotencyKey, Label};
use seqid_core::numbering::{DefineRequest, DrawRequest, Numbering};
use seqid_core::period::Period;
use seqid_core::store::{AuditLog, CounterStore};
use seqid_core::{DefinitionSpec, Issuer, MemoryStore, Mode, Prefix, Tenant};
use seqid_redis::{RedisConfig, RedisStore};
use seqid_testkit::evidence::{Evidence, counter_name, key_name, outcome_of_draw};
use seqid_testkit::history::{Order, Outcome, Recorder};
use tokio::task::JoinHandle;

const INSTANCES: usize = 3;
/// Of each instance.
const CLIENTS: usize = 4;
/// The largest gap of the sequence.
pub(crate) const LARGEST_GAP: u64 = 1_000;
/// The most numbers that a client asks for at a time.
const MOST_AT_A_TIME: u32 = 5;
/// The most numbers that are asked for at an instant: at a fault their answers may be lost.
const IN_FLIGHT: u64 = (INSTANCES * CLIENTS) as u64 * MOST_AT_A_TIME as u64;
/// How many draws show that numbers are given out again.
const ENOUGH: usize = 60;

/// See the [module](self).
pub(crate) struct Crowd {
    durable: Arc<MemoryStore>,
    config: RedisConfig,
    /// The one that is there the longest comes first.
    instances: VecDeque<Instance>,
    joined: usize,
    record: Arc<Record>,
}

/// An instance and its clients.
struct Instance {
    store: Arc<RedisStore<Arc<MemoryStore>>>,
    stops: Arc<AtomicBool>,
    clients: Vec<JoinHandle<()>>,
}

struct Record {
    recorder: Recorder,
    began: Instant,
    /// When numbers were acknowledged, in microseconds since the beginning.
    issued: Mutex<Vec<u64>>,
    unknown: AtomicU64,
    last_error: Mutex<String>,
}

/// What became of the numbers.
#[derive(Debug, Default)]
#[allow(dead_code, reason = "printed as a whole")]
pub(crate) struct Outcomes {
    pub(crate) issued: usize,
    pub(crate) calls_unknown: u64,
    pub(crate) epochs: u32,
    pub(crate) skipped: u64,
    pub(crate) pending: u64,
    pub(crate) unknown: u64,
    pub(crate) most_unknown_of_an_epoch: u64,
}

fn inv() -> Prefix {
    Prefix::new("INV").unwrap()
}

pub(crate) fn sequence() -> SequenceKey {
    SequenceKey::new(Tenant::default(), inv())
}

fn counter() -> CounterKey {
    CounterKey::new(sequence(), FieldValues::default(), Period::ALL)
}

impl Crowd {
    pub(crate) async fn gather(url: &str) -> Self {
        let durable = Arc::new(MemoryStore::new(Arc::new(SystemClock), Seed::from_system()));
        let mut config: RedisConfig = url.parse().unwrap();
        config.timeout = Duration::from_secs(2);
        let record = Arc::new(Record {
            recorder: Recorder::new(),
            began: Instant::now(),
            issued: Mutex::default(),
            unknown: AtomicU64::new(0),
            last_error: Mutex::default(),
        });
        let mut crowd = Self {
            durable,
            config,
            instances: VecDeque::new(),
            joined: 0,
            record,
        };
        let spec = DefinitionSpec {
            mode: Some(Mode::Ordered),
            largest_gap: Some(LARGEST_GAP),
            ..DefinitionSpec::of_format("INV-{seq}")
        };
        let issuer = Issuer::new(Arc::clone(&crowd.durable) as _);
        issuer.define(DefineRequest::new(inv(), spec)).await.unwrap();
        for _ in 0..INSTANCES {
            crowd.join().await;
        }
        crowd.until_it_goes_on().await;
        crowd
    }

    /// A newcomer, who knows of no number, begins to draw.
    async fn join(&mut self) {
        let n = self.joined;
        self.joined += 1;
        let name = Label::new(&format!("instance-{n}")).unwrap();
        let store = loop {
            let opened = RedisStore::open(
                Arc::clone(&self.durable),
                self.config.clone(),
                name.clone(),
                Arc::new(SystemClock),
                Seed::from_system(),
            );
            match opened.await {
                Ok(store) => break Arc::new(store),
                // The server has only just been struck.
                Err(error) => eprintln!("not yet: {error}"),
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        };
        let issuer = Arc::new(Issuer::new(Arc::new(Arc::clone(&store))));
        let stops = Arc::new(AtomicBool::new(false));
        let clients = (0..CLIENTS).map(|client| {
            let client = Client {
                name: format!("client-{n}-{client}"),
                issuer: Arc::clone(&issuer),
                record: Arc::clone(&self.record),
                stops: Arc::clone(&stops),
            };
            tokio::spawn(client.draw())
        });
        self.instances.push_back(Instance {
            clients: clients.collect(),
            store,
            stops,
        });
    }

    /// A newcomer takes the place of the one that is there the longest, which ends without giving its ranges back.
    pub(crate) async fn relieve(&mut self) {
        self.join().await;
        if let Some(oldest) = self.instances.pop_front() {
            oldest.end().await;
        }
    }

    /// Until enough numbers were given out from now on.
    pub(crate) async fn until_it_goes_on(&self) {
        let before = self.issued();
        let from = Instant::now();
        let mut told = 0;
        while self.issued() < before + ENOUGH {
            tokio::time::sleep(Duration::from_millis(5)).await;
            if from.elapsed().as_secs() >= told + 10 {
                told += 10;
                let error = self.record.last_error.lock().unwrap().clone();
                eprintln!("no numbers for {told} s: {error}");
            }
        }
    }

    fn issued(&self) -> usize {
        self.record.issued.lock().unwrap().len()
    }

    pub(crate) fn now(&self) -> u64 {
        self.record.now()
    }

    /// The longest time since `from` in which no number was given out.
    pub(crate) fn longest_pause_since(&self, from: u64) -> Duration {
        let issued = self.record.issued.lock().unwrap();
        let first = issued.partition_point(|at| *at < from);
        let of_interest = &issued[first.saturating_sub(1)..];
        let pauses = of_interest.windows(2).map(|pair| pair[1].saturating_sub(pair[0]));
        Duration::from_micros(pauses.max().unwrap_or_default())
    }

    /// Ends all, and holds what clients were told against the audit.
    pub(crate) async fn disperse(mut self) -> Outcomes {
        let last = self.instances.back().map(|instance| Arc::clone(&instance.store));
        for instance in std::mem::take(&mut self.instances) {
            instance.end().await;
        }
        // What nobody was told of, as an instance would find it later.
        while let Err(error) = last.as_ref().unwrap().take_over(Duration::ZERO).await {
            eprintln!("not yet: {error}");
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        let calls = self.record.recorder.calls();
        let evidence = Evidence::read(&*self.durable).await.unwrap();
        let issued = self.record.issued.lock().unwrap().len();
        let outcomes = self.durable_outcomes(issued).await;
        let history = evidence.against(calls, Order::Epoch);
        if let Err(violations) = history.check() {
            for violation in &violations {
                eprintln!("{violation}");
            }
            panic!("{} promises are broken", violations.len());
        }
        assert!(
            outcomes.most_unknown_of_an_epoch <= LARGEST_GAP + IN_FLIGHT,
            "more is unknown of an epoch than the largest gap and what was in flight: {outcomes:?}"
        );
        outcomes
    }

    async fn durable_outcomes(&self, issued: usize) -> Outcomes {
        let state = self.durable.counter(&counter()).await.unwrap().unwrap();
        let mut outcomes = Outcomes {
            issued,
            calls_unknown: self.record.unknown.load(Ordering::Relaxed),
            epochs: state.epoch,
            ..Outcomes::default()
        };
        let marks = self.durable.marks(&counter(), None, usize::MAX).await.unwrap();
        let mut of_epochs = std::collections::HashMap::<u32, u64>::new();
        for mark in marks.into_iter().map(|record| record.mark) {
            match mark.state {
                NumberState::Skipped => outcomes.skipped += mark.run.count,
                NumberState::Pending => outcomes.pending += mark.run.count,
                NumberState::Unknown => outcomes.unknown += mark.run.count,
                _ => continue,
            }
            *of_epochs.entry(mark.epoch).or_default() += mark.run.count;
        }
        outcomes.most_unknown_of_an_epoch = of_epochs.into_values().max().unwrap_or_default();
        outcomes
    }
}

impl Instance {
    /// Until its clients have gone, and what they drew is recorded.
    async fn end(self) {
        self.stops.store(true, Ordering::SeqCst);
        for client in self.clients {
            client.await.unwrap();
        }
        while self.store.figures().unrecorded > 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

impl Record {
    fn now(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_micros()).unwrap_or(u64::MAX)
    }
}

struct Client {
    name: String,
    issuer: Arc<Issuer>,
    record: Arc<Record>,
    stops: Arc<AtomicBool>,
}

impl Client {
    /// Draws: one in three under a key, again and again until it is known what became of it; one in four a batch.
    async fn draw(self) {
        for n in 0_u64.. {
            let key = n.is_multiple_of(3).then(|| format!("{}-{n}", self.name));
            let count = if n.is_multiple_of(4) {
                1 + u32::try_from(n % u64::from(MOST_AT_A_TIME)).unwrap()
            } else {
                1
            };
            while !self.attempt(key.as_deref(), count).await {
                if self.stops.load(Ordering::SeqCst) {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(3)).await;
                if key.is_none() {
                    break;
                }
            }
            if self.stops.load(Ordering::SeqCst) {
                return;
            }
            // So that servers are disturbed and the processor is not.
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    /// Answers whether it has its numbers.
    async fn attempt(&self, key: Option<&str>, count: u32) -> bool {
        let mut request = DrawRequest::new(inv()).count(count);
        let name = key.map(|key| {
            let key = IdempotencyKey::new(key).unwrap();
            request.key = Some(key.clone());
            key_name(&sequence(), &key)
        });
        let asked = format!("{count} of INV");
        let pending = self
            .record
            .recorder
            .begin(&counter_name(&counter()), name.as_deref(), asked, count);
        let answer = self.issuer.draw(request).await;
        if let Err(error) = &answer {
            *self.record.last_error.lock().unwrap() = format!("{error:?}");
        }
        let outcome = outcome_of_draw(&answer);
        let is_issued = matches!(outcome, Outcome::Issued(_));
        if is_issued {
            self.record.issued.lock().unwrap().push(self.record.now());
        } else if outcome == Outcome::Unknown {
            self.record.unknown.fetch_add(1, Ordering::Relaxed);
        }
        pending.end(outcome);
        is_issued
    }
}
