//! Lends ranges as a durable store would: each offer is answered once, and no two ranges have a number in common.
#![allow(clippy::unwrap_used, reason = "a test fails by it")]

use std::time::Duration;

use seqid_core::chain::Authority;
use seqid_core::clock::Seed;
use seqid_core::counter::{CounterKey, SequenceKey};
use seqid_core::field::FieldValues;
use seqid_core::period::Period;
use seqid_core::{Number, Prefix, Tenant};
use seqid_redis::{CounterId, Draw, Drawn, Fenced, Grant, RedisConfig, Seeded};

pub(crate) const AUTHORITY: Authority = Authority([7; 16]);

pub(crate) fn counter_of(prefix: &str, branch: &str) -> CounterId {
    let sequence = SequenceKey::new(Tenant::default(), Prefix::new(prefix).unwrap());
    let scope = FieldValues::new([("branch", branch)]);
    CounterId::new(&CounterKey::new(sequence, scope, Period::ALL), 1)
}

pub(crate) fn counter() -> CounterId {
    counter_of("INV", "JKT")
}

pub(crate) async fn connect(url: &str) -> Fenced {
    // As long as it takes: on a busy machine nothing is answered at once.
    let config: RedisConfig = url.parse().unwrap();
    connect_with(config.timeout(Duration::from_secs(60))).await
}

pub(crate) async fn connect_with(config: RedisConfig) -> Fenced {
    Fenced::connect(config, AUTHORITY, Seed::from_system())
        .await
        .unwrap()
}

/// The durable store's side of one counter.
pub(crate) struct Lender {
    counter: CounterId,
    next: u64,
    epoch: u32,
    spent: Vec<String>,
}

impl Lender {
    pub(crate) fn new(counter: CounterId, first: u64) -> Self {
        Self {
            counter,
            next: first,
            epoch: 0,
            spent: Vec::new(),
        }
    }

    /// Answers the counter's offer with `numbers` numbers.
    pub(crate) async fn grant(&mut self, fenced: &Fenced, numbers: u64) -> Grant {
        let spent = self.spent.last().map(String::as_str);
        let opened = fenced.open(&self.counter, spent).await.unwrap().unwrap();
        assert!(!self.spent.contains(&opened.offer), "an offer was made twice");
        self.spent.push(opened.offer.clone());
        self.epoch += 1;
        let first = self.next;
        self.next += numbers;
        Grant {
            offer: opened.offer,
            history: opened.history,
            epoch: self.epoch,
            version: 1,
            first: Number::new(first).unwrap(),
            end: self.next,
        }
    }

    /// Grants and seeds.
    pub(crate) async fn lend(&mut self, fenced: &Fenced, numbers: u64) -> Held {
        let grant = self.grant(fenced, numbers).await;
        let seeded = fenced.seed(&self.counter, &grant).await.unwrap();
        assert_eq!(seeded, Seeded::Done { before: false });
        Held {
            counter: self.counter.clone(),
            epoch: grant.epoch,
            floor: 0,
        }
    }
}

/// What an instance knows of a counter.
#[derive(Debug, Clone)]
pub(crate) struct Held {
    pub(crate) counter: CounterId,
    pub(crate) epoch: u32,
    pub(crate) floor: u64,
}

impl Held {
    pub(crate) fn draw(&self, count: u64) -> Draw {
        Draw {
            counter: self.counter.clone(),
            epoch: self.epoch,
            version: 1,
            advance: count,
            floor: self.floor,
            events: format!("{count} for the test").into_bytes(),
        }
    }

    pub(crate) async fn try_take(&mut self, fenced: &Fenced, count: u64) -> Drawn {
        let draws = [self.draw(count)];
        let drawn = fenced
            .draw(self.counter.bucket(), &draws)
            .await
            .unwrap()
            .remove(0);
        if let Drawn::Granted { next, .. } = drawn {
            self.floor = next;
        }
        drawn
    }

    /// The first of the numbers, which must be there.
    pub(crate) async fn take(&mut self, fenced: &Fenced, count: u64) -> u64 {
        match self.try_take(fenced, count).await {
            Drawn::Granted { first, .. } => first.get(),
            other => panic!("numbers were to be had, but: {other:?}"),
        }
    }
}
