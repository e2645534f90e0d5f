//! Sessions that hold what the store needs, and instances that change what others know.

use std::sync::Arc;
use std::time::{Duration, Instant};

use seqid_core::definition::DefinitionSpec;
use seqid_core::field::FieldDeclaration;
use seqid_core::names::Reason;
use seqid_core::numbering::{
    ArchiveRequest, CloseRequest, DefineRequest, DrawRequest, Numbering, ReopenRequest,
};
use seqid_core::period::Reset;
use seqid_core::store::{CounterStore, StoreError};
use seqid_core::{Code, IdempotencyKey};
use seqid_postgres::PostgresConfig;
use seqid_testkit::servers::{Database, PostgresServer};
use sqlx::PgConnection;
use tokio::task::JoinHandle;

use crate::office::{Office, issued, name, require_clean, run, session};

/// Locks the row of the sequence's one counter until the transaction ends.
async fn lock_row(foreign: &mut PgConnection, prefix: &'static str) {
    run(foreign, "BEGIN").await;
    let locked: Vec<i64> = sqlx::query_scalar(
        "SELECT c.id FROM seqid.counter c JOIN seqid.sequence s ON s.id = c.sequence WHERE s.prefix = $1 FOR UPDATE OF c",
    )
    .bind(prefix)
    .fetch_all(&mut *foreign)
    .await
    .unwrap();
    assert_eq!(locked.len(), 1);
}

/// Draws beside the test.
fn draw(office: &Arc<Office>, prefix: &'static str) -> JoinHandle<Result<u64, StoreError>> {
    let office = Arc::clone(office);
    tokio::spawn(async move { office.draw(prefix).await })
}

/// Waits until a session of seqid waits for a lock.
async fn until_one_waits(database: &Database) {
    let waits = "SELECT count(*) > 0 FROM pg_stat_activity WHERE datname = current_database() \
                 AND application_name = 'seqid' AND wait_event_type = 'Lock'";
    for _ in 0..5_000 {
        if database.psql(waits).unwrap() == "t" {
            return;
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    panic!("no session of seqid waits");
}

async fn office(database: &Database) -> Arc<Office> {
    let config: PostgresConfig = database.url().parse().unwrap();
    let config = config.lanes(2).timeout(Duration::from_secs(30));
    Arc::new(Office::try_open(config).await.unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_locked_counter_holds_up_its_own_draws_alone() {
    let database = PostgresServer::shared().database().unwrap();
    let office = office(&database).await;
    let others = ["CN", "ORD", "DN", "PO"];
    for prefix in others.iter().chain(&["INV"]) {
        assert_eq!(office.draw(prefix).await.unwrap(), 1);
    }
    let mut foreign = session(&database.url()).await;
    lock_row(&mut foreign, "INV").await;
    let waits = [draw(&office, "INV"), draw(&office, "INV")];
    until_one_waits(&database).await;
    for prefix in others {
        assert_eq!(office.draw(prefix).await.unwrap(), 2);
    }
    let mut late = DrawRequest::new(name("INV"));
    late.deadline = Some(Instant::now() + Duration::from_millis(300));
    late.key = Some(IdempotencyKey::new("late").unwrap());
    let error = office.request(late.clone()).await.unwrap_err();
    assert!(matches!(error, StoreError::Late), "{error:?}");
    run(&mut foreign, "COMMIT").await;
    let mut numbers = Vec::new();
    for waited in waits {
        numbers.push(waited.await.unwrap().unwrap());
    }
    numbers.sort_unstable();
    assert_eq!(numbers, [2, 3]);
    late.deadline = None;
    let drawn = office.request(late).await.unwrap();
    assert!(!drawn.replayed, "what was late drew nothing");
    assert_eq!(issued(&office.audit().await, "INV"), [1, 2, 3, 4]);
    require_clean(&database.url()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn too_many_draws_of_a_locked_counter_are_refused() {
    let database = PostgresServer::shared().database().unwrap();
    let office = office(&database).await;
    assert_eq!(office.draw("INV").await.unwrap(), 1);
    let mut foreign = session(&database.url()).await;
    lock_row(&mut foreign, "INV").await;
    let first = draw(&office, "INV");
    until_one_waits(&database).await;
    let mut refused = 0;
    let mut waiting = vec![first];
    while refused == 0 {
        waiting.extend((0..200).map(|_| draw(&office, "INV")));
        tokio::time::sleep(Duration::from_millis(1)).await;
        refused = waiting.iter().filter(|draw| draw.is_finished()).count();
    }
    assert!(waiting.len() > 1_000, "there is room for a thousand");
    assert_eq!(office.draw("CN").await.unwrap(), 1, "others have theirs");
    run(&mut foreign, "COMMIT").await;
    let mut numbers = vec![1];
    for drawn in waiting {
        match drawn.await.unwrap() {
            Ok(number) => numbers.push(number),
            Err(StoreError::Overloaded) => {}
            Err(error) => panic!("{error:?}"),
        }
    }
    numbers.sort_unstable();
    let expected: Vec<u64> = (1..=numbers.len() as u64).collect();
    assert_eq!(numbers, expected);
    assert!(numbers.len() > 1_000);
    assert_eq!(issued(&office.audit().await, "INV"), expected);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_draw_that_postgresql_ends_for_a_deadlock_is_carried_out_later() {
    let database = PostgresServer::shared().database().unwrap();
    database
        .psql(&format!(
            "ALTER DATABASE {} SET deadlock_timeout = '150ms'",
            database.name()
        ))
        .unwrap();
    let office = office(&database).await;
    let mut last = office.draw("INV").await.unwrap();
    let mut foreign = session(&database.url()).await;
    // It is the store that is to notice.
    run(
        &mut foreign,
        "SET deadlock_timeout = '1h'; SET lock_timeout = '30s'",
    )
    .await;
    // It depends on which of the two asks first.
    for _ in 0..100 {
        lock_row(&mut foreign, "INV").await;
        let drawn = draw(&office, "INV");
        until_one_waits(&database).await;
        // The store's session has its share of this lock, and waits for the row.
        let group: Result<_, _> =
            sqlx::raw_sql("SELECT pg_advisory_xact_lock(classid::integer, objid::integer) FROM (\
                           SELECT DISTINCT classid, objid FROM pg_locks WHERE locktype = 'advisory' AND objsubid = 2 \
                           AND classid = seqid.lock_class('sequence')::oid LIMIT 1) held")
                .execute(&mut foreign)
                .await;
        group.unwrap();
        run(&mut foreign, "ROLLBACK").await;
        last += 1;
        assert_eq!(drawn.await.unwrap().unwrap(), last);
        if deadlocks(&database) > 0 {
            break;
        }
    }
    assert!(deadlocks(&database) > 0, "the test does not reach what it is for");
    assert_eq!(
        issued(&office.audit().await, "INV"),
        (1..=last).collect::<Vec<_>>()
    );
}

fn deadlocks(database: &Database) -> u64 {
    let sql = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()";
    database.psql(sql).unwrap().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn draws_wait_for_a_whole_table_that_is_locked() {
    let database = PostgresServer::shared().database().unwrap();
    let office = office(&database).await;
    for prefix in ["INV", "CN"] {
        assert_eq!(office.draw(prefix).await.unwrap(), 1);
    }
    let mut foreign = session(&database.url()).await;
    run(
        &mut foreign,
        "BEGIN; LOCK TABLE seqid.counter IN ACCESS EXCLUSIVE MODE",
    )
    .await;
    let drawn: Vec<_> = ["INV", "CN", "NEW", "INV", "NEWER", "INV"]
        .map(|prefix| draw(&office, prefix))
        .into();
    until_one_waits(&database).await;
    // Longer than a session of the store waits for one lock.
    run(&mut foreign, "SELECT pg_sleep(1.5); COMMIT").await;
    for drawn in drawn {
        drawn.await.unwrap().unwrap();
    }
    let events = office.audit().await;
    assert_eq!(issued(&events, "INV"), [1, 2, 3, 4]);
    assert_eq!(issued(&events, "CN"), [1, 2]);
    assert_eq!(issued(&events, "NEW"), [1]);
    require_clean(&database.url()).await;
}

fn by_branch(format: &str) -> DefinitionSpec {
    DefinitionSpec {
        scope: Some(vec![FieldDeclaration::new("branch")]),
        ..DefinitionSpec::of_format(format)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_one_instance_defines_holds_in_the_next_draw_of_another() {
    let database = PostgresServer::shared().database().unwrap();
    let (one, other) = (office(&database).await, office(&database).await);
    let draw = async |office: &Office, branch: &str| {
        let request = DrawRequest::new(name("INV")).scope("branch", branch);
        office.request(request).await.unwrap().id().to_owned()
    };
    let first = DefineRequest::new(name("INV"), by_branch("{branch}-{seq}"));
    one.issuer.define(first).await.unwrap();
    assert_eq!(draw(&other, "A").await, "A-1");
    for version in 2..20 {
        let format = format!("{{branch}}/{version}/{{seq}}");
        let mut request = DefineRequest::new(name("INV"), by_branch(&format));
        request.if_version = Some(version - 1);
        let (defines, draws) = if version % 2 == 0 {
            (&one, &other)
        } else {
            (&other, &one)
        };
        defines.issuer.define(request).await.unwrap();
        let branch = format!("B{version}");
        assert_eq!(draw(draws, &branch).await, format!("{branch}/{version}/1"));
        assert_eq!(
            draw(draws, "A").await,
            format!("A-{version}"),
            "a counter keeps the version that it opened with"
        );
    }
    require_clean(&database.url()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_one_instance_closes_or_ends_is_closed_in_the_next_draw_of_another() {
    let database = PostgresServer::shared().database().unwrap();
    let (one, other) = (office(&database).await, office(&database).await);
    let spec = DefinitionSpec {
        reset: Some(Reset::Month),
        ..DefinitionSpec::of_format("{yyyy}{mm}-{seq}")
    };
    one.issuer
        .define(DefineRequest::new(name("INV"), spec))
        .await
        .unwrap();
    let on = |date: &str| DrawRequest::new(name("INV")).date(date.parse().unwrap());
    let reason = || Reason::new("a test").unwrap();
    for (day, next) in [("2026-03-05", "2026-03-06"), ("2026-04-05", "2026-04-06")] {
        other.request(on(day)).await.unwrap();
        let mut close = CloseRequest::new(day.parse().unwrap(), reason());
        close.prefix = (day == "2026-03-05").then(|| name("INV"));
        one.issuer.close(close).await.unwrap();
        let refused = other.issuer.draw(on(day)).await.unwrap_err();
        assert_eq!(refused.code(), Code::PeriodClosed, "{refused}");
        other.request(on(next)).await.unwrap();
    }
    let reopen = ReopenRequest::new("2026-04-05".parse().unwrap(), reason());
    one.issuer.reopen(reopen).await.unwrap();
    other.request(on("2026-04-05")).await.unwrap();
    one.issuer
        .archive(ArchiveRequest::new(name("INV"), reason()))
        .await
        .unwrap();
    let refused = other.issuer.draw(on("2026-04-07")).await.unwrap_err();
    assert_eq!(refused.code(), Code::SequenceArchived, "{refused}");
    require_clean(&database.url()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_does_not_wait_for_ever_behind_busy_draws_and_none_passes_it() {
    let database = PostgresServer::shared().database().unwrap();
    let (one, other) = (office(&database).await, office(&database).await);
    one.draw("INV").await.unwrap();
    let drawing: Vec<_> = (0..6)
        .map(|client| {
            let office = Arc::clone(if client % 2 == 0 { &one } else { &other });
            tokio::spawn(async move {
                // Until the sequence has ended.
                loop {
                    match office.issuer.draw(DrawRequest::new(name("INV"))).await {
                        Ok(_) => {}
                        Err(error) => return error.code(),
                    }
                }
            })
        })
        .collect();
    let reason = Reason::new("a test").unwrap();
    one.issuer
        .archive(ArchiveRequest::new(name("INV"), reason))
        .await
        .unwrap();
    let ended = other.issuer.draw(DrawRequest::new(name("INV"))).await;
    assert_eq!(ended.unwrap_err().code(), Code::SequenceArchived);
    for drawn in drawing {
        assert_eq!(drawn.await.unwrap(), Code::SequenceArchived);
    }
    let events = one.audit().await;
    let last = events.last().unwrap();
    assert_eq!(last.event.kind, seqid_core::event::EventKind::Archived);
    require_clean(&database.url()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn counters_that_three_instances_open_at_once_are_opened_once() {
    let database = PostgresServer::shared().database().unwrap();
    let offices = [
        office(&database).await,
        office(&database).await,
        office(&database).await,
    ];
    let spec = by_branch("{branch}-{seq}");
    offices[0]
        .issuer
        .define(DefineRequest::new(name("INV"), spec))
        .await
        .unwrap();
    for round in 0..50 {
        let drawing: Vec<_> = offices
            .iter()
            .map(|office| {
                let office = Arc::clone(office);
                // Half of them are counters of one sequence, half sequences of their own.
                let request = if round % 2 == 0 {
                    DrawRequest::new(name("INV")).scope("branch", &format!("B{round}"))
                } else {
                    DrawRequest::new(name(&format!("S{round}")))
                };
                tokio::spawn(async move { office.request(request).await })
            })
            .collect();
        let mut numbers = Vec::new();
        for drawn in drawing {
            numbers.push(drawn.await.unwrap().unwrap().run.first.get());
        }
        numbers.sort_unstable();
        assert_eq!(numbers, [1, 2, 3], "round {round}");
    }
    offices[0].audit().await;
    for office in offices {
        office.store.close().await.unwrap();
    }
    require_clean(&database.url()).await;
}
