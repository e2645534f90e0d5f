//! Instances that draw ordered numbers in Redis over one durable store.
#![allow(clippy::unwrap_used, reason = "a test fails by it")]
#![allow(dead_code, reason = "not every test program uses all of it")]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use seqid_core::clock::{ManualClock, Seed};
use seqid_core::command::{Command, Reply};
use seqid_core::counter::{CounterKey, SequenceKey};
use seqid_core::event::EventKind;
use seqid_core::field::FieldValues;
use seqid_core::names::{IdempotencyKey, Label, Reason};
use seqid_core::numbering::{DefineRequest, DrawRequest, Issued};
use seqid_core::period::Period;
use seqid_core::store::{AuditLog, CounterStore, StoreError};
use seqid_core::verify::Verifier;
use seqid_core::{DefinitionSpec, Error, Issuer, MemoryStore, Mode, Numbering, Prefix, Tenant};
use seqid_redis::{RedisConfig, RedisStore};
use seqid_testkit::broken::{Broken, Lie};

/// A durable store that can be away.
#[derive(Debug, Clone, Default)]
pub(crate) struct Away(pub(crate) Arc<AtomicBool>);

impl Away {
    pub(crate) fn set(&self, away: bool) {
        self.0.store(away, Ordering::SeqCst);
    }
}

#[async_trait]
impl Lie for Away {
    async fn apply(&self, truth: &MemoryStore, batch: Vec<Command>) -> Vec<Result<Reply, StoreError>> {
        if self.0.load(Ordering::SeqCst) {
            let away = Arc::new(std::io::Error::other("away"));
            return vec![Err(StoreError::Unavailable(away)); batch.len()];
        }
        truth.apply(batch).await
    }
}

pub(crate) type Durable = Arc<Broken<Away>>;

/// The durable store of an office.
pub(crate) struct Office {
    pub(crate) durable: Durable,
    pub(crate) away: Away,
    pub(crate) clock: Arc<ManualClock>,
    config: RedisConfig,
    instances: AtomicU64,
}

/// One of its instances.
pub(crate) struct Instance {
    pub(crate) store: Arc<RedisStore<Durable>>,
    pub(crate) issuer: Arc<Issuer>,
}

impl Office {
    pub(crate) fn new(url: &str) -> Self {
        let config: RedisConfig = url.parse().unwrap();
        Self::with(config.timeout(Duration::from_secs(60)))
    }

    pub(crate) fn with(config: RedisConfig) -> Self {
        let clock = Arc::new(ManualClock::new("2026-03-07T10:00:00Z".parse().unwrap()));
        let away = Away::default();
        Self {
            durable: Arc::new(Broken::new(away.clone(), Arc::clone(&clock))),
            away,
            clock,
            config,
            instances: AtomicU64::new(0),
        }
    }

    pub(crate) async fn instance(&self) -> Instance {
        let n = self.instances.fetch_add(1, Ordering::Relaxed);
        let name = Label::new(&format!("instance-{n}")).unwrap();
        let store = RedisStore::open(
            Arc::clone(&self.durable),
            self.config.clone(),
            name,
            self.clock.clone() as _,
            Seed::from_system(),
        );
        let store = Arc::new(store.await.unwrap());
        let issuer = Issuer::builder(Arc::new(Arc::clone(&store)))
            .clock(self.clock.clone() as _)
            .build();
        Instance {
            store,
            issuer: Arc::new(issuer),
        }
    }

    /// The marks of the counter: states with their first and last numbers.
    pub(crate) async fn marked(&self) -> Vec<String> {
        let marks = self.durable.marks(&counter(), None, 100).await.unwrap();
        let shown = |record: &seqid_core::store::MarkRecord| {
            let run = record.mark.run;
            format!("{} {}..{}", record.mark.state.as_str(), run.first, run.last())
        };
        marks.iter().map(shown).collect()
    }

    pub(crate) async fn next(&self) -> u64 {
        self.durable.counter(&counter()).await.unwrap().unwrap().next
    }

    /// The kinds of the counter's events.
    pub(crate) async fn kinds(&self) -> Vec<EventKind> {
        let events = self.durable.events(0, 100_000).await.unwrap();
        let of_counter = events
            .iter()
            .filter(|event| event.event.subject.counter().is_some());
        of_counter.map(|recorded| recorded.event.kind).collect()
    }

    /// All events hold together, and lead to what the store says of the counter.
    pub(crate) async fn require_sound(&self) {
        let mut verifier = Verifier::new().ids();
        verifier.expect_counter(
            counter(),
            self.durable.counter(&counter()).await.unwrap().unwrap(),
        );
        for recorded in self.durable.events(0, 1_000_000).await.unwrap() {
            verifier.event(&recorded);
        }
        assert_eq!(verifier.finish().faults, []);
    }
}

impl Instance {
    pub(crate) async fn define(&self, change: impl FnOnce(&mut DefinitionSpec)) {
        self.try_define(None, change).await.unwrap();
    }

    pub(crate) async fn try_define(
        &self,
        if_version: Option<u32>,
        change: impl FnOnce(&mut DefinitionSpec),
    ) -> Result<(), Error> {
        let mut spec = DefinitionSpec {
            mode: Some(Mode::Ordered),
            ..DefinitionSpec::of_format("INV-{seq}")
        };
        change(&mut spec);
        let mut request = DefineRequest::new(inv(), spec);
        request.if_version = if_version;
        self.issuer.define(request).await.map(|_| ())
    }

    pub(crate) async fn issued(&self, request: DrawRequest) -> Result<Issued, Error> {
        self.issuer.draw(request).await
    }

    pub(crate) async fn draw(&self) -> u64 {
        let issued = self.issued(DrawRequest::new(inv())).await;
        issued.unwrap_or_else(|error| panic!("{error:?}")).run.first.get()
    }

    /// Draws under a key.
    pub(crate) async fn keyed(&self, key: &str) -> u64 {
        let issued = self.issued(DrawRequest::new(inv()).key(key_of(key))).await;
        issued.unwrap_or_else(|error| panic!("{error:?}")).run.first.get()
    }

    /// Until all that it drew is recorded.
    pub(crate) async fn recorded(&self) {
        while self.store.figures().unrecorded > 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
}

pub(crate) fn inv() -> Prefix {
    Prefix::new("INV").unwrap()
}

pub(crate) fn reason() -> Reason {
    Reason::new("a test").unwrap()
}

pub(crate) fn key_of(key: &str) -> IdempotencyKey {
    IdempotencyKey::new(key).unwrap()
}

pub(crate) fn counter() -> CounterKey {
    let sequence = SequenceKey::new(Tenant::default(), inv());
    CounterKey::new(sequence, FieldValues::default(), Period::ALL)
}
