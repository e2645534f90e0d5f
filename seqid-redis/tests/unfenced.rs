//! Numbers from a Redis server alone.
#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a test fails by it")]

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use seqid_core::chain::Authority;
use seqid_core::clock::{ManualClock, Seed};
use seqid_core::counter::SequenceKey;
use seqid_core::field::FieldDeclaration;
use seqid_core::names::{IdempotencyKey, Reason};
use seqid_core::numbering::{
    ArchiveRequest, AuditRequest, CounterSelector, DefineRequest, DrawRequest, Page, ResetRequest,
    SyncRequest, Warning,
};
use seqid_core::store::{AuditLog, CounterStore, DefinitionStore};
use seqid_core::{Code, DefinitionSpec, Error, Issuer, Mode, Number, Numbering, Prefix, Tenant};
use seqid_redis::{Fenced, RedisConfig, UnfencedStore, UnfencedStoreError};
use seqid_testkit::servers::{RedisCluster, RedisServer};
use tokio::task::JoinSet;

struct Instance {
    store: Arc<UnfencedStore>,
    issuer: Arc<Issuer>,
}

fn config(url: &str) -> RedisConfig {
    let config: RedisConfig = url.parse().unwrap();
    config.timeout(Duration::from_secs(60))
}

fn prefix(name: &str) -> Prefix {
    Prefix::new(name).unwrap()
}

fn reason() -> Reason {
    Reason::new("a test").unwrap()
}

impl Instance {
    async fn of(config: RedisConfig) -> Self {
        let clock = Arc::new(ManualClock::new("2026-03-07T10:00:00Z".parse().unwrap()));
        let store = UnfencedStore::open(config, clock.clone() as _).await.unwrap();
        let store = Arc::new(store);
        let issuer = Issuer::builder(Arc::new(Arc::clone(&store))).clock(clock).build();
        Self {
            store,
            issuer: Arc::new(issuer),
        }
    }

    async fn define(&self, name: &str, change: impl FnOnce(&mut DefinitionSpec)) -> Result<(), Error> {
        let mut spec = DefinitionSpec {
            mode: Some(Mode::Ordered),
            ..DefinitionSpec::of_format(&format!("{name}-{{seq}}"))
        };
        change(&mut spec);
        self.issuer
            .define(DefineRequest::new(prefix(name), spec))
            .await
            .map(|_| ())
    }

    async fn draw(&self, name: &str) -> u64 {
        let issued = self.issuer.draw(DrawRequest::new(prefix(name))).await;
        issued.unwrap_or_else(|error| panic!("{error:?}")).run.first.get()
    }

    async fn refused(&self, request: DrawRequest) -> Code {
        self.issuer.draw(request).await.unwrap_err().code()
    }
}

#[tokio::test]
async fn every_answer_and_the_capabilities_say_that_nothing_is_fenced() {
    let server = RedisServer::start().unwrap();
    let instance = Instance::of(config(&server.url())).await;
    let claimed = instance.store.capabilities();
    assert!(claimed.unfenced && claimed.ordered);
    assert!(!claimed.durable && !claimed.gapless && !claimed.leased);
    instance.define("INV", |_| ()).await.unwrap();
    let issued = instance
        .issuer
        .draw(DrawRequest::new(prefix("INV")).count(3))
        .await
        .unwrap();
    assert_eq!((issued.run.first.get(), issued.run.count), (1, 3));
    assert_eq!(issued.warnings, [Warning::Unfenced]);
    let status = instance
        .issuer
        .status(CounterSelector::new(prefix("INV")))
        .await
        .unwrap();
    assert_eq!(
        (status.next_number, status.forecast),
        (Some(Number::new(4).unwrap()), None)
    );
    assert!(status.warnings.contains(&Warning::Unfenced));
}

#[tokio::test]
async fn flushall_repeats_numbers_which_the_answer_had_warned_of() {
    let server = RedisServer::start().unwrap();
    let instance = Instance::of(config(&server.url())).await;
    instance.define("INV", |_| ()).await.unwrap();
    assert_eq!((instance.draw("INV").await, instance.draw("INV").await), (1, 2));
    server.cli(&["FLUSHALL"]).unwrap();
    // The definition is gone with the numbers.
    assert_eq!(
        instance.refused(DrawRequest::new(prefix("INV"))).await,
        Code::SequenceNotFound
    );
    instance.define("INV", |_| ()).await.unwrap();
    let again = instance
        .issuer
        .draw(DrawRequest::new(prefix("INV")))
        .await
        .unwrap();
    assert_eq!(again.run.first.get(), 1);
    assert_eq!(again.warnings, [Warning::Unfenced]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn instances_share_counters_and_a_restart_goes_on() {
    let mut server = RedisServer::start_with(&[("appendfsync", "always")]).unwrap();
    let instances = [
        Instance::of(config(&server.url())).await,
        Instance::of(config(&server.url())).await,
    ];
    instances[0].define("INV", |_| ()).await.unwrap();
    let mut callers = JoinSet::new();
    for caller in 0..8 {
        let issuer = Arc::clone(&instances[caller % 2].issuer);
        callers.spawn(async move {
            let mut numbers = Vec::new();
            for _ in 0..50 {
                let issued = issuer.draw(DrawRequest::new(prefix("INV"))).await.unwrap();
                numbers.push(issued.run.first.get());
            }
            numbers
        });
    }
    let mut all = BTreeSet::new();
    for numbers in callers.join_all().await {
        assert!(numbers.is_sorted());
        all.extend(numbers);
    }
    assert_eq!(all, (1..=400).collect(), "no number twice, and no gap");
    server.kill().unwrap();
    server.start_again().unwrap();
    let later = Instance::of(config(&server.url())).await;
    assert_eq!(later.draw("INV").await, 401);
}

#[tokio::test]
async fn what_is_not_kept_is_refused() {
    let server = RedisServer::start().unwrap();
    let instance = Instance::of(config(&server.url())).await;
    let gapless = instance
        .define("INV", |spec| spec.mode = Some(Mode::Gapless))
        .await
        .unwrap_err();
    assert_eq!(gapless.code(), Code::DefinitionRefused);
    assert!(
        gapless.refusals()[0].detail.contains("redis-unfenced"),
        "{gapless:?}"
    );
    // What a draw would define is gapless too.
    assert_eq!(
        instance.refused(DrawRequest::new(prefix("NEW"))).await,
        Code::SequenceNotFound
    );
    instance.define("INV", |_| ()).await.unwrap();
    let keyed = DrawRequest::new(prefix("INV")).key(IdempotencyKey::new("k").unwrap());
    let error = instance.issuer.draw(keyed).await.unwrap_err();
    assert_eq!(error.code(), Code::InvalidRequest);
    let told = "this service keeps no idempotency keys: it draws in Redis without a durable store behind it";
    assert_eq!(error.to_string(), told);
    assert_eq!(instance.draw("INV").await, 1, "what was refused took nothing");
    let gaps = instance
        .issuer
        .gaps(CounterSelector::new(prefix("INV")), Page::default())
        .await;
    assert_eq!(gaps.unwrap_err().code(), Code::InvalidRequest);
    let audit = instance.issuer.audit(AuditRequest::new(Tenant::default())).await;
    assert_eq!(audit.unwrap_err().code(), Code::InvalidRequest);
    assert_eq!(
        instance.issuer.checkpoint().await.unwrap_err().code(),
        Code::InvalidRequest
    );
}

#[tokio::test]
async fn definitions_counters_and_moves_are_kept() {
    let server = RedisServer::start().unwrap();
    // As a user that may do no more than docs/redis.md asks for.
    let rights = "+function|load +evalsha +script|load +eval +info +get +hget +hmget +hgetall +hset +sadd +smembers +rpush +lrange ~seqid:*";
    let mut user: Vec<&str> = vec!["ACL", "SETUSER", "erp", "on", ">s3cret"];
    user.extend(rights.split(' '));
    server.cli(&user).unwrap();
    let url = server.url().replace(":password@", "erp:s3cret@");
    let instance = Instance::of(config(&url)).await;
    for name in ["INV", "ORD", "CN"] {
        instance.define(name, |_| ()).await.unwrap();
    }
    let all = instance
        .store
        .sequences(&Tenant::default(), None, 10)
        .await
        .unwrap();
    let names: Vec<_> = all.iter().map(|record| record.key.prefix.to_string()).collect();
    assert_eq!(names, ["CN", "INV", "ORD"]);
    let behind = instance
        .store
        .sequences(&Tenant::default(), Some("CN"), 1)
        .await
        .unwrap();
    assert_eq!(behind.len(), 1);
    assert_eq!(behind[0].key.prefix, prefix("INV"));
    let variant = instance.define("inv", |_| ()).await.unwrap_err();
    assert_eq!(variant.code(), Code::CaseVariant);

    assert_eq!(instance.draw("INV").await, 1);
    let counter = || CounterSelector::new(prefix("INV"));
    let sync = SyncRequest::new(counter(), Number::new(9).unwrap());
    instance.issuer.sync(sync).await.unwrap();
    assert_eq!(instance.draw("INV").await, 10);
    let reset = ResetRequest::new(counter(), Number::new(5).unwrap(), reason());
    assert_eq!(
        instance.issuer.reset(reset).await.unwrap_err().code(),
        Code::WouldRepeat
    );

    let change = DefineRequest::new(
        prefix("INV"),
        DefinitionSpec {
            mode: Some(Mode::Ordered),
            description: Some("changed".to_owned()),
            ..DefinitionSpec::of_format("INV-{seq}")
        },
    );
    let refused = instance.issuer.define(change.clone()).await.unwrap_err();
    assert_eq!(refused.code(), Code::VersionRequired);
    let mut change = change;
    change.if_version = Some(1);
    instance.issuer.define(change).await.unwrap();
    assert_eq!(instance.draw("INV").await, 11);
    let inv = SequenceKey::new(Tenant::default(), prefix("INV"));
    assert_eq!(
        instance
            .store
            .sequence(&inv)
            .await
            .unwrap()
            .unwrap()
            .versions
            .len(),
        2
    );

    instance
        .define("BR", |spec| {
            spec.format = "BR-{branch}-{seq}".to_owned();
            spec.scope = Some(vec![FieldDeclaration::new("branch")]);
        })
        .await
        .unwrap();
    let of = |branch: &str| {
        let mut request = DrawRequest::new(prefix("BR"));
        request.scope.insert("branch".to_owned(), branch.into());
        request
    };
    for (branch, number) in [("JKT", 1), ("SBY", 1), ("JKT", 2)] {
        let issued = instance.issuer.draw(of(branch)).await.unwrap();
        assert_eq!(issued.run.first.get(), number, "{branch}");
    }
    assert_eq!(instance.refused(of("jkt")).await, Code::CaseVariant);
    let key = SequenceKey::new(Tenant::default(), prefix("BR"));
    let counters = instance.store.counters(&key, 0, 10).await.unwrap();
    assert_eq!(
        counters
            .iter()
            .map(|counter| counter.state.next)
            .collect::<Vec<_>>(),
        [3, 2]
    );
    assert_eq!(instance.store.counters(&key, 1, 10).await.unwrap().len(), 1);

    let archive = ArchiveRequest::new(prefix("CN"), reason());
    instance.issuer.archive(archive).await.unwrap();
    assert_eq!(
        instance.refused(DrawRequest::new(prefix("CN"))).await,
        Code::SequenceArchived
    );
}

#[tokio::test]
async fn sequences_are_spread_over_a_cluster() {
    let cluster = RedisCluster::start().unwrap();
    let instance = Instance::of(config(&cluster.url())).await;
    for n in 0..8 {
        let name = format!("S{n}");
        instance.define(&name, |_| ()).await.unwrap();
        assert_eq!((instance.draw(&name).await, instance.draw(&name).await), (1, 2));
    }
    let all = instance
        .store
        .sequences(&Tenant::default(), None, 100)
        .await
        .unwrap();
    assert_eq!(all.len(), 8);
}

#[tokio::test]
async fn numbers_that_a_durable_store_lends_are_not_drawn_beside_it() {
    let server = RedisServer::start().unwrap();
    let fenced = Fenced::connect(config(&server.url()), Authority([7; 16]), Seed::from_system())
        .await
        .unwrap();
    let sequence = SequenceKey::new(Tenant::default(), prefix("INV"));
    let counter = seqid_core::counter::CounterKey::new(
        sequence,
        seqid_core::field::FieldValues::default(),
        seqid_core::period::Period::ALL,
    );
    fenced
        .open(&seqid_redis::CounterId::new(&counter, 1), None)
        .await
        .unwrap()
        .unwrap();
    let clock = Arc::new(ManualClock::new("2026-03-07T10:00:00Z".parse().unwrap()));
    let refused = UnfencedStore::open(config(&server.url()), clock.clone() as _)
        .await
        .unwrap_err();
    assert!(matches!(refused, UnfencedStoreError::Fenced { .. }), "{refused}");
    let elsewhere = config(&server.url()).namespace("other");
    UnfencedStore::open(elsewhere, clock).await.unwrap();
}

#[tokio::test]
async fn a_server_that_is_away_is_named_and_nothing_was_issued() {
    let mut server = RedisServer::start().unwrap();
    let instance = Instance::of(config(&server.url())).await;
    instance.define("INV", |_| ()).await.unwrap();
    server.kill().unwrap();
    while instance.store.obstacle().is_none() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let error = instance
        .issuer
        .draw(DrawRequest::new(prefix("INV")))
        .await
        .unwrap_err();
    assert_eq!(error.code(), Code::StoreUnavailable);
    assert!(error.to_string().starts_with("Redis"), "{error}");
}
