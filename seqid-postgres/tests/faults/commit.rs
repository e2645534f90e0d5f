//! Commits of which the end is not known.

use std::sync::Arc;
use std::time::Duration;

use seqid_core::store::{Certainty, CounterStore, StoreError};
use seqid_postgres::PostgresConfig;
use seqid_testkit::servers::PostgresServer;
use tokio::task::JoinHandle;

use crate::office::{Office, issued, require_clean};

/// Waits until a query answers so.
async fn until(server: &PostgresServer, sql: &str, expected: &str) {
    for _ in 0..10_000 {
        if server.psql("postgres", sql).unwrap() == expected {
            return;
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    panic!("`{sql}` never answered {expected}");
}

const COMMITTING: &str = "SELECT count(*) > 0 FROM pg_stat_activity \
                          WHERE application_name = 'seqid' AND wait_event = 'SyncRep'";

/// Makes each commit wait for a standby that there is not.
async fn without_its_standby(server: &PostgresServer) {
    let sql = "ALTER SYSTEM SET synchronous_standby_names = 'nobody'; SELECT pg_reload_conf()";
    server.psql("postgres", sql).unwrap();
    until(server, "SHOW synchronous_standby_names", "nobody").await;
}

async fn with_no_standby(server: &PostgresServer) {
    let sql = "ALTER SYSTEM RESET synchronous_standby_names; SELECT pg_reload_conf()";
    server.psql("postgres", sql).unwrap();
    until(server, "SHOW synchronous_standby_names", "").await;
}

/// Draws beside the test, until the draw commits.
async fn begin_commit(
    office: &Arc<Office>,
    server: &PostgresServer,
    key: &'static str,
) -> JoinHandle<Result<(u64, bool), StoreError>> {
    let drawing = Arc::clone(office);
    let drawn = tokio::spawn(async move { drawing.draw_keyed("INV", key).await });
    until(server, COMMITTING, "t").await;
    drawn
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_whose_standby_did_not_answer_has_an_unknown_outcome() {
    let server = PostgresServer::start().unwrap();
    let database = server.database().unwrap();
    let office = Arc::new(Office::open(&database.url()).await);
    assert_eq!(office.draw("INV").await.unwrap(), 1);
    // The server cancels the wait when somebody cancels the statement, and when it ends the session.
    let mut last = 1;
    for ends in ["pg_cancel_backend", "pg_terminate_backend"] {
        without_its_standby(&server).await;
        let drawn = begin_commit(&office, &server, ends).await;
        let end = format!("SELECT {ends}(pid) FROM pg_stat_activity WHERE wait_event = 'SyncRep'");
        server.psql("postgres", &end).unwrap();
        let drawn = drawn.await.unwrap();
        // Before anything can fail: nothing else commits either, not even the end of the test.
        with_no_standby(&server).await;
        let error = drawn.unwrap_err();
        assert!(matches!(error, StoreError::Unknown(_)), "{ends}: {error:?}");
        assert_eq!(error.certainty(), Certainty::Unknown);
        last += 1;
        assert_eq!(
            office.draw_keyed("INV", ends).await.unwrap(),
            (last, true),
            "it was committed after all"
        );
    }
    assert_eq!(office.draw("INV").await.unwrap(), 4);
    assert_eq!(issued(&office.audit().await, "INV"), [1, 2, 3, 4]);
    require_clean(&database.url()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_that_the_server_does_not_answer_has_an_unknown_outcome() {
    let mut server = PostgresServer::start().unwrap();
    let database = server.database().unwrap();
    let office = Arc::new(Office::open(&database.url()).await);
    assert_eq!(office.draw("INV").await.unwrap(), 1);
    without_its_standby(&server).await;
    let drawn = begin_commit(&office, &server, "killed").await;
    server.kill().unwrap();
    let drawn = drawn.await.unwrap();
    let again = office.draw_keyed("INV", "killed").await;
    server.start_again().unwrap();
    with_no_standby(&server).await;
    assert!(matches!(drawn, Err(StoreError::Unknown(_))), "{drawn:?}");
    assert!(matches!(again, Err(StoreError::Unavailable(_))), "{again:?}");
    let (number, _) = office.draw_keyed("INV", "killed").await.unwrap();
    assert_eq!(number, 2);
    assert_eq!(office.draw_keyed("INV", "killed").await.unwrap(), (2, true));
    assert_eq!(issued(&office.audit().await, "INV"), [1, 2]);

    // Nor does it answer in time.
    let config: PostgresConfig = database.url().parse().unwrap();
    let hasty = Office::try_open(config.timeout(Duration::from_millis(400))).await;
    let hasty = hasty.unwrap();
    without_its_standby(&server).await;
    let drawn = hasty.draw_keyed("INV", "late").await;
    with_no_standby(&server).await;
    assert!(matches!(drawn, Err(StoreError::Unknown(_))), "{drawn:?}");
    assert_eq!(office.draw_keyed("INV", "late").await.unwrap().0, 3);
    assert_eq!(office.draw("INV").await.unwrap(), 4);
    office.store.close().await.unwrap();
    require_clean(&database.url()).await;
}
