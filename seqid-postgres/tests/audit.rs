//! Pages of the audit by number and by time, where a wrong bound would pass events over.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::sync::Arc;
use std::time::Duration;

use seqid_core::clock::ManualClock;
use seqid_core::event::{EventKind, Recorded};
use seqid_core::names::Reason;
use seqid_core::numbering::{
    AdoptRequest, CounterSelector, DefineRequest, DrawRequest, ReserveRequest, ResetRequest, SettleRequest,
    VoidRequest, VoidTarget,
};
use seqid_core::observer::Unobserved;
use seqid_core::query::{EventQuery, Order};
use seqid_core::reservation::ReservationId;
use seqid_core::store::AuditLog;
use seqid_core::time::Timestamp;
use seqid_core::{DefinitionSpec, Issuer, Number, Numbering, Prefix, Tenant};
use seqid_postgres::{PostgresConfig, PostgresStore};
use seqid_testkit::servers::{Database, PostgresServer};
use sqlx::{Connection, PgConnection};
use tokio::task::JoinSet;

/// How many positions a block has.
const BLOCK: u64 = 4_096;

/// An instance with a clock of its own.
struct Instance {
    clock: Arc<ManualClock>,
    store: Arc<PostgresStore>,
    issuer: Arc<Issuer>,
}

impl Instance {
    async fn open(database: &Database, now: &str) -> Self {
        let clock = Arc::new(ManualClock::new(at(now)));
        let config: PostgresConfig = database.url().parse().unwrap();
        let store = PostgresStore::open(config.clock(clock.clone()), Arc::new(Unobserved)).await;
        let store = Arc::new(store.unwrap());
        let issuer = Issuer::builder(store.clone()).clock(store.clock()).build();
        Self {
            clock,
            store,
            issuer: Arc::new(issuer),
        }
    }

    async fn define(&self, json: &str) {
        let spec = DefinitionSpec::from_json(json).unwrap();
        self.issuer.define(DefineRequest::new(inv(), spec)).await.unwrap();
    }

    async fn draw(&self, count: u32) {
        let request = DrawRequest::new(inv()).count(count);
        self.issuer.draw(request).await.unwrap();
    }

    /// So many events, one for each draw.
    async fn draw_events(&self, events: u64) {
        for _ in 0..events.div_ceil(500) {
            let mut draws = JoinSet::new();
            for _ in 0..500 {
                let issuer = Arc::clone(&self.issuer);
                draws.spawn(async move { issuer.draw(DrawRequest::new(inv())).await.map(drop) });
            }
            for drawn in draws.join_all().await {
                drawn.unwrap();
            }
        }
    }

    async fn reserve(&self, count: u32) -> ReservationId {
        let draw = DrawRequest::new(inv()).count(count);
        let request = ReserveRequest::new(draw, Duration::from_mins(1));
        self.issuer.reserve(request).await.unwrap().reservation
    }

    async fn settle(&self, request: SettleRequest) {
        self.issuer.settle(request).await.unwrap();
    }

    async fn void(&self, first: u64, last: u64) {
        let target = VoidTarget::Numbers {
            counter: counter(),
            first: number(first),
            last: number(last),
        };
        let request = VoidRequest::new(target, reason());
        self.issuer.void(request).await.unwrap();
    }

    async fn reset(&self, next: u64, repeats_accepted: bool) {
        let mut request = ResetRequest::new(counter(), number(next), reason());
        request.repeats_accepted = repeats_accepted;
        self.issuer.reset(request).await.unwrap();
    }

    async fn adopt(&self, ids: &[&str]) {
        let ids = ids.iter().map(ToString::to_string).collect();
        let request = AdoptRequest::new(inv(), ids, reason());
        self.issuer.adopt(request).await.unwrap();
    }

    /// All events, with no help from an index.
    async fn events(&self) -> Vec<Recorded> {
        let mut events = Vec::new();
        loop {
            let after = events.last().map_or(0, |last: &Recorded| last.position);
            let page = self.store.events(after, 1_000).await.unwrap();
            if page.is_empty() {
                return events;
            }
            events.extend(page);
        }
    }

    /// Finds exactly those of all events that match, in either order and in pages of any of these sizes. Answers how
    /// many they are, and how many pages it took at most.
    async fn finds(&self, all: &[Recorded], query: &EventQuery, limits: &[usize]) -> (usize, usize) {
        let (mut count, mut most_pages) = (0, 0);
        for order in [Order::OldestFirst, Order::NewestFirst] {
            let matching = all.iter().filter(|recorded| query.matches(&recorded.event));
            let mut expected: Vec<u64> = matching.map(|recorded| recorded.position).collect();
            if order == Order::NewestFirst {
                expected.reverse();
            }
            for limit in limits {
                let mut query = query.clone();
                (query.order, query.limit) = (order, *limit);
                let (mut found, mut pages) = (Vec::new(), 0);
                loop {
                    let page = self.store.query(&query).await.unwrap();
                    found.extend(page.events.iter().map(|recorded| recorded.position));
                    pages += 1;
                    match page.next {
                        Some(next) => query.after = Some(next),
                        None => break,
                    }
                }
                assert_eq!(found, expected, "{query:?}");
                most_pages = pages.max(most_pages);
            }
            count = expected.len();
        }
        (count, most_pages)
    }
}

fn at(instant: &str) -> Timestamp {
    instant.parse().unwrap()
}

fn number(value: u64) -> Number {
    Number::new(value).unwrap()
}

fn inv() -> Prefix {
    Prefix::new("INV").unwrap()
}

fn counter() -> CounterSelector {
    CounterSelector::new(inv())
}

fn reason() -> Reason {
    Reason::new("for a test").unwrap()
}

fn of_numbers(first: u64, last: u64) -> EventQuery {
    let mut query = EventQuery::new(Tenant::default());
    query.prefix = Some(inv());
    query.period = Some("all".into());
    query.scope = Some(seqid_core::field::FieldValues::default());
    query.numbers = Some((number(first), number(last)));
    query
}

fn of_time(from: Option<&str>, to: Option<&str>) -> EventQuery {
    let mut query = EventQuery::new(Tenant::default());
    (query.from, query.to) = (from.map(at), to.map(at));
    query
}

fn database() -> Database {
    PostgresServer::shared().database().unwrap()
}

/// The full blocks, once all are there that can be.
fn blocks(database: &Database) -> u64 {
    database.psql("SELECT seqid.add_blocks(1000)").unwrap();
    let count = database.psql("SELECT count(*) FROM seqid.event_block");
    count.unwrap().trim().parse().unwrap()
}

/// Every kind of event that begins at a lower number than those before it.
#[tokio::test]
async fn a_number_is_found_wherever_its_events_are() {
    let database = database();
    let desk = Instance::open(&database, "2026-03-07T10:00:00Z").await;
    desk.define(r#"{"format":"INV-{seq:3}","on_expiry":"reuse"}"#)
        .await;
    desk.draw(20).await;
    for _ in 0..5 {
        desk.draw(1).await;
    }
    let confirmed = desk.reserve(3).await;
    let voided = desk.reserve(2).await;
    let mut let_go = Vec::new();
    for count in [1, 4, 1] {
        let_go.push(desk.reserve(count).await);
        desk.draw(1).await;
    }
    desk.settle(SettleRequest::confirm(confirmed)).await;
    desk.settle(SettleRequest::void(voided, reason())).await;
    desk.draw(7).await;
    desk.void(3, 5).await;
    desk.void(22, 22).await;
    // Numbers are let go, and given again behind larger ones: issued, held, adopted.
    desk.clock.set(at("2026-03-07T11:00:00Z"));
    desk.draw(1).await;
    let held = desk.reserve(1).await;
    desk.adopt(&["INV-034"]).await;
    desk.settle(SettleRequest::confirm(held)).await;
    desk.draw(2).await;
    desk.adopt(&["INV-050", "INV-051"]).await;
    desk.reset(80, false).await;
    desk.reset(60, false).await;
    desk.draw(1).await;
    desk.draw(1).await;
    desk.reset(10, true).await;
    for _ in 0..8 {
        desk.draw(1).await;
    }
    desk.void(12, 13).await;

    let all = desk.events().await;
    let kinds = |kind: EventKind| all.iter().any(|recorded| recorded.event.kind == kind);
    use EventKind::{Confirmed, Expired, External, Reserved, Restarted, Returned, Skipped, Voided};
    for kind in [
        Confirmed, Expired, External, Reserved, Restarted, Returned, Skipped, Voided,
    ] {
        assert!(kinds(kind), "{kind:?}");
    }
    for first in 1..=82 {
        for last in [first, first + 1, first + 9, 200] {
            desk.finds(&all, &of_numbers(first, last), &[2, 100]).await;
        }
    }
    let (count, _) = desk.finds(&all, &of_numbers(81, 200), &[2, 100]).await;
    assert_eq!(count, 0);
}

#[tokio::test]
async fn numbers_drawn_in_a_callers_transaction_are_found() {
    let database = database();
    let desk = Instance::open(&database, "2026-03-07T10:00:00Z").await;
    desk.define(r#"{"format":"INV-{seq:3}","on_expiry":"reuse"}"#)
        .await;
    desk.draw(3).await;
    desk.reserve(1).await;
    desk.draw(6).await;
    desk.clock.set(at("2026-03-07T11:00:00Z"));
    let mut connection = PgConnection::connect(&database.url()).await.unwrap();
    for expected in ["INV-004", "INV-011"] {
        let mut transaction = connection.begin().await.unwrap();
        let request = DrawRequest::new(inv());
        let issued = desk
            .store
            .allocate_in(&desk.issuer, &mut transaction, request)
            .await;
        assert_eq!(issued.unwrap().id(), expected);
        transaction.commit().await.unwrap();
    }
    desk.draw(1).await;
    let all = desk.events().await;
    for first in 1..=12 {
        desk.finds(&all, &of_numbers(first, first), &[1, 100]).await;
    }
    let (of_reused, _) = desk.finds(&all, &of_numbers(4, 4), &[100]).await;
    assert_eq!(of_reused, 3, "reserved, expired, issued");
}

#[tokio::test]
async fn numbers_of_a_counter_that_turned_back_often_are_found() {
    let database = database();
    let desk = Instance::open(&database, "2026-03-07T10:00:00Z").await;
    desk.define(r#"{"format":"INV-{seq:5}"}"#).await;
    for round in 0..102 {
        desk.draw(1).await;
        desk.reset(500 + round, false).await;
        desk.reset(round + 2, false).await;
    }
    let all = desk.events().await;
    for (first, last) in [(1, 1), (50, 50), (102, 102), (300, 300), (560, 560), (603, 603)] {
        desk.finds(&all, &of_numbers(first, last), &[7, 1_000]).await;
    }
}

#[tokio::test]
async fn numbers_are_found_among_many_events_and_many_voided() {
    let database = database();
    let desk = Instance::open(&database, "2026-03-07T10:00:00Z").await;
    desk.define(r#"{"format":"INV-{seq:5}"}"#).await;
    desk.draw_events(EventQuery::WORK + 1_000).await;
    let mut voids = JoinSet::new();
    let desk = Arc::new(desk);
    for n in 1..=1_100 {
        let desk = Arc::clone(&desk);
        voids.spawn(async move { desk.void(n * 9, n * 9).await });
    }
    voids.join_all().await;
    desk.draw_events(1_000).await;
    let all = desk.events().await;
    for first in [1, 9, 10, 4_500, 9_900, 9_901, 21_000, 22_000] {
        let (found, pages) = desk.finds(&all, &of_numbers(first, first), &[1_000]).await;
        assert!(found >= 1, "{first}");
        assert_eq!(pages, 1, "{first}");
        desk.finds(&all, &of_numbers(first, first + 30), &[5, 1_000])
            .await;
    }
    // More than a page looks at, and more turns than are counted.
    desk.finds(&all, &of_numbers(500, 21_500), &[1_000]).await;
    desk.finds(&all, &of_numbers(1, 9_900), &[1_000]).await;
    desk.finds(&all, &of_numbers(22_001, 30_000), &[1_000]).await;
}

/// Two instances by turns, the clock of one an hour behind that of the other.
#[tokio::test]
async fn events_are_found_by_time_whatever_the_clocks_say() {
    let database = database();
    let ahead = Instance::open(&database, "2026-03-07T11:00:00Z").await;
    let behind = Instance::open(&database, "2026-03-07T10:00:00Z").await;
    ahead.define(r#"{"format":"INV-{seq:5}"}"#).await;
    ahead.draw_events(BLOCK).await;
    let mut connection = PgConnection::connect(&database.url()).await.unwrap();
    let mut transaction = connection.begin().await.unwrap();
    // The definition is recorded now, the draw at the commit.
    let other = Prefix::new("ORD").unwrap();
    behind.clock.set(at("2026-03-07T10:01:00Z"));
    let late = behind
        .store
        .allocate_in(&behind.issuer, &mut transaction, DrawRequest::new(other));
    late.await.unwrap();
    // A block and a half of the clock behind, then two of the one that is ahead.
    behind.clock.set(at("2026-03-07T10:02:00Z"));
    behind.draw_events(BLOCK * 3 / 2).await;
    ahead.clock.set(at("2026-03-07T11:03:00Z"));
    ahead.draw_events(BLOCK * 2).await;
    transaction.commit().await.unwrap();
    ahead.draw_events(500).await;
    assert!(blocks(&database) >= 4);

    let all = ahead.events().await;
    for (from, to, count) in [
        (
            Some("2026-03-07T10:01:00Z"),
            Some("2026-03-07T10:01:01Z"),
            Some(2),
        ),
        (Some("2026-03-07T10:02:00Z"), Some("2026-03-07T10:03:00Z"), None),
        (Some("2026-03-07T11:00:00Z"), Some("2026-03-07T11:01:00Z"), None),
        (Some("2026-03-07T11:03:00Z"), None, None),
        (None, Some("2026-03-07T10:02:00Z"), None),
        (None, Some("2026-03-07T11:03:00Z"), None),
        (
            Some("2026-03-07T10:30:00Z"),
            Some("2026-03-07T10:40:00Z"),
            Some(0),
        ),
        (None, Some("1990-01-01T00:00:00Z"), Some(0)),
        (Some("2030-01-01T00:00:00Z"), None, Some(0)),
    ] {
        let query = of_time(from, to);
        let (found, _) = ahead.finds(&all, &query, &[1_000]).await;
        assert!(count.is_none_or(|count| count == found), "{found} of {query:?}");
        let mut of_sequence = query;
        of_sequence.prefix = Some(inv());
        ahead.finds(&all, &of_sequence, &[700]).await;
    }
    // Positions of other times are not looked at.
    let (_, pages) = ahead
        .finds(
            &all,
            &of_time(Some("2026-03-07T10:01:00Z"), Some("2026-03-07T10:01:01Z")),
            &[100],
        )
        .await;
    assert_eq!(pages, 1);
}

/// A block that is added too early would lack the events that are recorded in it later.
#[tokio::test]
async fn no_block_is_added_while_one_of_its_events_may_be_missing() {
    let database = database();
    let desk = Instance::open(&database, "2026-03-07T10:00:00Z").await;
    desk.define(r#"{"format":"INV-{seq:5}"}"#).await;
    let mut slow = PgConnection::connect(&database.url()).await.unwrap();
    let mut transaction = slow.begin().await.unwrap();
    sqlx::query("SELECT seqid.enter('{1}')")
        .execute(&mut *transaction)
        .await
        .unwrap();
    desk.draw_events(BLOCK + 500).await;
    assert_eq!(blocks(&database), 0);
    transaction.commit().await.unwrap();
    assert_eq!(blocks(&database), 1);
    let instants = "SELECT earliest = latest, earliest = '2026-03-07 10:00:00+00' FROM seqid.event_block";
    assert_eq!(database.psql(instants).unwrap().trim(), "t|t");
}

#[tokio::test]
async fn blocks_without_events_are_passed_over() {
    let database = database();
    let desk = Instance::open(&database, "2026-03-07T10:00:00Z").await;
    desk.define(r#"{"format":"INV-{seq:5}"}"#).await;
    desk.draw(1).await;
    // As if many transactions had been rolled back.
    database
        .psql("SELECT setval('seqid.event_position', 20000)")
        .unwrap();
    desk.clock.set(at("2026-03-07T12:00:00Z"));
    desk.draw(1).await;
    assert_eq!(blocks(&database), 4);
    let all = desk.events().await;
    for (from, to, count) in [
        (None, None, 3),
        (None, Some("2026-03-07T11:00:00Z"), 2),
        (Some("2026-03-07T11:00:00Z"), None, 1),
        (Some("2026-03-07T10:30:00Z"), Some("2026-03-07T11:00:00Z"), 0),
    ] {
        let (found, _) = desk.finds(&all, &of_time(from, to), &[1, 100]).await;
        assert_eq!(found, count);
    }
}
