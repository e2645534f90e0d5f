//! Old months leave the audit, and come back, and what they leave behind holds together.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::sync::Arc;
use std::time::Duration;

use seqid_core::checkpoint::Checkpoint;
use seqid_core::clock::ManualClock;
use seqid_core::mark::NumberState;
use seqid_core::names::Reason;
use seqid_core::numbering::{
    CounterSelector, DefineRequest, DrawRequest, Page, ReserveRequest, SettleRequest, VoidRequest, VoidTarget,
};
use seqid_core::observer::Unobserved;
use seqid_core::reservation::ReservationId;
use seqid_core::store::{AuditLog, CounterStore};
use seqid_core::time::Timestamp;
use seqid_core::verify::{Report, Verifier};
use seqid_core::{DefinitionSpec, Issuer, Number, Numbering, Prefix, Tenant};
use seqid_postgres::{PostgresConfig, PostgresStore, verify};
use seqid_testkit::servers::{Database, PostgresServer};
use sqlx::{Connection, PgConnection};

/// A life of four months: 1 to 3 are drawn in January, and 2 is voided; 4 is reserved then, and confirmed in February; 5 is
/// reserved then, and nobody wants it; one more number is drawn in each month.
struct Life {
    database: Database,
    clock: Arc<ManualClock>,
    store: Arc<PostgresStore>,
    issuer: Issuer,
    confirmed: ReservationId,
    session: PgConnection,
}

impl Life {
    async fn lead() -> Self {
        let database = PostgresServer::shared().database().expect("a database");
        let clock = Arc::new(ManualClock::new(instant("2026-01-10T00:00:00Z")));
        let (store, issuer) = open(&database, &clock).await;
        let define = DefineRequest::new(inv(), DefinitionSpec::of_format("INV-{seq}"));
        issuer.define(define).await.unwrap();
        for _ in 0..3 {
            issuer.draw(DrawRequest::new(inv())).await.unwrap();
        }
        let second = Number::new(2).unwrap();
        let target = VoidTarget::Numbers {
            counter: counter(),
            first: second,
            last: second,
        };
        issuer.void(VoidRequest::new(target, reason())).await.unwrap();
        let month = Duration::from_secs(29 * 24 * 60 * 60);
        let mut held = Vec::new();
        for _ in 0..2 {
            let reserve = ReserveRequest::new(DrawRequest::new(inv()), month);
            held.push(issuer.reserve(reserve).await.unwrap().reservation);
        }
        clock.set(instant("2026-02-05T00:00:00Z"));
        let confirm = SettleRequest::confirm(held[0]);
        issuer.settle(confirm).await.unwrap();
        for now in [
            "2026-02-05T00:00:00Z",
            "2026-03-10T00:00:00Z",
            "2026-04-10T00:00:00Z",
        ] {
            clock.set(instant(now));
            issuer.draw(DrawRequest::new(inv())).await.unwrap();
        }
        let session = PgConnection::connect(&database.url()).await.unwrap();
        Self {
            database,
            clock,
            store,
            issuer,
            confirmed: held[0],
            session,
        }
    }

    async fn run(&mut self, sql: &'static str) -> Result<(), String> {
        let done = sqlx::raw_sql(sql).execute(&mut self.session).await;
        done.map(drop).map_err(|error| error.to_string())
    }

    async fn detach(&mut self) {
        self.run("SELECT seqid.detach_month('2026-01-01')").await.unwrap();
    }

    async fn verify(&self, verifier: Verifier) -> Report {
        let config: PostgresConfig = self.database.url().parse().unwrap();
        verify(&config, verifier, |_, _| ()).await.unwrap()
    }

    /// The positions of the audit.
    async fn positions(&self) -> Vec<u64> {
        let events = self.store.events(0, 1_000).await.unwrap();
        events.iter().map(|recorded| recorded.position).collect()
    }

    /// What is not plainly issued: state, first number and reason.
    async fn gaps(&self) -> Vec<(NumberState, u64, Option<Reason>)> {
        let page = self.issuer.gaps(counter(), Page::default()).await.unwrap();
        let gap = |gap: seqid_core::numbering::Gap| (gap.state, gap.run.first.get(), gap.reason);
        page.gaps.into_iter().map(gap).collect()
    }
}

async fn open(database: &Database, clock: &Arc<ManualClock>) -> (Arc<PostgresStore>, Issuer) {
    let config: PostgresConfig = database.url().parse().unwrap();
    let store = PostgresStore::open(config.clock(clock.clone()), Arc::new(Unobserved)).await;
    let store = Arc::new(store.unwrap());
    let issuer = Issuer::builder(store.clone()).clock(store.clock()).build();
    (store, issuer)
}

fn instant(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn inv() -> Prefix {
    Prefix::new("INV").unwrap()
}

fn counter() -> CounterSelector {
    CounterSelector::new(inv())
}

fn reason() -> Reason {
    Reason::new("a misprint").unwrap()
}

#[tokio::test]
async fn a_month_that_is_detached_leaves_what_others_go_back_to() {
    let mut life = Life::lead().await;
    let (all, gaps) = (life.positions().await, life.gaps().await);
    assert_eq!(all.len(), 12);
    life.detach().await;
    // The definition, the void, and the holds that ended later.
    let left = life.positions().await;
    let gone: Vec<u64> = all
        .iter()
        .copied()
        .filter(|position| !left.contains(position))
        .collect();
    assert_eq!(gone, [2, 3, 4], "the plain draws of January");
    assert_eq!(life.gaps().await, gaps);
    let held = life
        .issuer
        .reservation(Tenant::default(), life.confirmed)
        .await
        .unwrap();
    assert_eq!(held.numbers.ids, ["INV-4"]);
    let issued = life.issuer.draw(DrawRequest::new(inv())).await.unwrap();
    assert_eq!(issued.ids, ["INV-9"]);
    let table: i64 = sqlx::query_scalar("SELECT count(*) FROM seqid.event_2026_01")
        .fetch_one(&mut life.session)
        .await
        .unwrap();
    assert_eq!(table, 7);
}

#[tokio::test]
async fn what_is_left_is_verified_from_its_boundary_on() {
    let mut life = Life::lead().await;
    let old = Checkpoint::new(life.store.heads().await.unwrap(), instant("2026-04-10T00:00:00Z"));
    life.detach().await;
    let report = life.verify(Verifier::new().checkpoints([old])).await;
    assert_eq!((report.faults, report.checkpoints), (vec![], 1));
    for edit in [
        "UPDATE seqid.event SET actor = 'mallory' WHERE at >= '2026-03-01' AND at < '2026-04-01'",
        "DELETE FROM seqid.event WHERE at >= '2026-03-01' AND at < '2026-04-01'",
        "UPDATE seqid.boundary SET hash = '\\x0000000000000000000000000000000000000000000000000000000000000000'",
    ] {
        life.run("BEGIN").await.unwrap();
        life.run(edit).await.unwrap();
        life.run("COMMIT").await.unwrap();
        assert!(!life.verify(Verifier::new()).await.faults.is_empty(), "{edit}");
        life = Life::lead().await;
        life.detach().await;
    }
}

#[tokio::test]
async fn the_oldest_month_goes_first_and_none_whose_keys_still_count() {
    let mut life = Life::lead().await;
    let refused = life
        .run("SELECT seqid.detach_month('2026-02-01')")
        .await
        .unwrap_err();
    assert!(refused.contains("the oldest month is 2026-01"), "{refused}");
    life.run("UPDATE seqid.store SET key_retention = '100 years'")
        .await
        .unwrap();
    let refused = life
        .run("SELECT seqid.detach_month('2026-01-31')")
        .await
        .unwrap_err();
    assert!(
        refused.contains("idempotency keys of 2026-01 still count"),
        "{refused}"
    );
    life.run("UPDATE seqid.store SET key_retention = '30 days', acknowledged = 3")
        .await
        .unwrap();
    let refused = life
        .run("SELECT seqid.detach_month('2026-01-31')")
        .await
        .unwrap_err();
    assert!(refused.contains("were not delivered yet"), "{refused}");
    life.run("UPDATE seqid.store SET acknowledged = 12")
        .await
        .unwrap();
    life.detach().await;
    let refused = life
        .run("SELECT seqid.detach_month('2026-01-31')")
        .await
        .unwrap_err();
    assert!(refused.contains("the oldest month is 2026-02"), "{refused}");
}

#[tokio::test]
async fn a_month_that_comes_back_is_whole() {
    let mut life = Life::lead().await;
    let all = life.positions().await;
    life.detach().await;
    life.run("SELECT seqid.detach_month('2026-02-01')").await.unwrap();
    let refused = life
        .run("SELECT seqid.attach_month('2026-01-01')")
        .await
        .unwrap_err();
    assert!(refused.contains("detached last is 2026-02"), "{refused}");
    life.run("SELECT seqid.attach_month('2026-02-01'); SELECT seqid.attach_month('2026-01-01')")
        .await
        .unwrap();
    assert_eq!(life.positions().await, all);
    assert_eq!(life.verify(Verifier::new()).await.faults, []);
}

#[tokio::test]
async fn an_instance_that_rested_is_served_after_its_month_is_gone() {
    let mut life = Life::lead().await;
    life.store.close().await.unwrap();
    life.detach().await;
    let (_store, issuer) = open(&life.database, &life.clock).await;
    assert_eq!(issuer.draw(DrawRequest::new(inv())).await.unwrap().ids, ["INV-9"]);
}
