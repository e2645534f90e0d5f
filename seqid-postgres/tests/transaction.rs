//! Numbers within a caller's own transaction.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::sync::Arc;
use std::time::{Duration, Instant};

use seqid_core::numbering::{CounterSelector, DrawRequest};
use seqid_core::observer::Unobserved;
use seqid_core::query::EventQuery;
use seqid_core::store::{AuditLog, CounterStore};
use seqid_core::{Code, IdempotencyKey, Issuer, Numbering, Prefix, Tenant};
use seqid_postgres::{PostgresConfig, PostgresStore};
use seqid_testkit::servers::{Database, PostgresServer};
use sqlx::{Connection, PgConnection};

/// An ERP with a table of invoices beside the store.
struct Erp {
    database: Database,
    store: Arc<PostgresStore>,
    issuer: Issuer,
}

impl Erp {
    async fn open() -> Self {
        let database = PostgresServer::shared().database().unwrap();
        database
            .psql("CREATE TABLE invoice (id text PRIMARY KEY)")
            .unwrap();
        let config: PostgresConfig = database.url().parse().unwrap();
        let store = PostgresStore::open(config, Arc::new(Unobserved)).await.unwrap();
        let store = Arc::new(store);
        let issuer = Issuer::builder(Arc::clone(&store) as _)
            .clock(store.clock())
            .build();
        Self {
            database,
            store,
            issuer,
        }
    }

    async fn connect(&self) -> PgConnection {
        PgConnection::connect(&self.database.url()).await.unwrap()
    }

    /// Draws in a transaction, writes the invoice, and leaves the end to the caller.
    async fn invoice<'t>(
        &self,
        transaction: &mut sqlx::Transaction<'t, sqlx::Postgres>,
        request: DrawRequest,
    ) -> String {
        let issued = self
            .store
            .allocate_in(&self.issuer, transaction, request)
            .await
            .unwrap();
        sqlx::query("INSERT INTO invoice (id) VALUES ($1)")
            .bind(issued.id())
            .execute(&mut **transaction)
            .await
            .unwrap();
        issued.id().to_owned()
    }

    fn invoices(&self) -> String {
        self.database
            .psql("SELECT string_agg(id, ' ' ORDER BY id) FROM invoice")
            .unwrap()
    }

    async fn draw(&self, request: DrawRequest) -> String {
        self.issuer.draw(request).await.unwrap().id().to_owned()
    }
}

fn inv() -> DrawRequest {
    DrawRequest::new(Prefix::new("INV").unwrap())
}

fn keyed(key: &str) -> DrawRequest {
    let mut request = inv();
    request.key = Some(IdempotencyKey::new(key).unwrap());
    request
}

#[tokio::test]
async fn a_number_and_its_invoice_are_committed_together_or_not_at_all() {
    let erp = Erp::open().await;
    let mut connection = erp.connect().await;
    let mut transaction = connection.begin().await.unwrap();
    assert_eq!(erp.invoice(&mut transaction, inv()).await, "INV-001");
    assert_eq!(erp.invoice(&mut transaction, inv()).await, "INV-002");
    transaction.rollback().await.unwrap();
    assert_eq!(erp.invoices(), "");

    let mut transaction = connection.begin().await.unwrap();
    assert_eq!(erp.invoice(&mut transaction, inv()).await, "INV-001");
    transaction.commit().await.unwrap();
    assert_eq!(erp.draw(inv()).await, "INV-002");
    assert_eq!(erp.invoices(), "INV-001");
    let events = erp
        .store
        .query(&EventQuery::new(Tenant::default()))
        .await
        .unwrap();
    assert_eq!(events.events.len(), 3, "the definition and two draws");
}

#[tokio::test]
async fn an_open_transaction_holds_up_its_counter_alone_and_no_reader() {
    let erp = Erp::open().await;
    erp.draw(inv()).await;
    let mut connection = erp.connect().await;
    let mut transaction = connection.begin().await.unwrap();
    assert_eq!(erp.invoice(&mut transaction, inv()).await, "INV-002");

    let mut late = inv();
    late.deadline = Some(Instant::now() + Duration::from_millis(300));
    let refused = erp.issuer.draw(late).await.unwrap_err();
    assert_eq!(refused.code(), Code::DeadlineBeforeSealing, "{refused}");
    let other = DrawRequest::new(Prefix::new("ORD").unwrap());
    assert_eq!(erp.draw(other).await, "ORD-001");
    let seen = erp.store.events(0, 100).await.unwrap();
    assert_eq!(
        seen.len(),
        4,
        "two definitions and two draws are there, the third draw is not"
    );

    let waits = erp.draw(inv());
    let commits = async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        transaction.commit().await.unwrap();
    };
    let (waited, ()) = tokio::join!(waits, commits);
    assert_eq!(waited, "INV-003");
    let last = seen.last().unwrap().position;
    let later = erp.store.events(last, 100).await.unwrap();
    assert_eq!(later.len(), 2, "both come behind what was read before");
}

#[tokio::test]
async fn a_key_is_replayed_within_the_transaction_and_after_it() {
    let erp = Erp::open().await;
    let mut connection = erp.connect().await;
    let mut transaction = connection.begin().await.unwrap();
    assert_eq!(erp.invoice(&mut transaction, keyed("k")).await, "INV-001");
    let again = erp
        .store
        .allocate_in(&erp.issuer, &mut transaction, keyed("k"))
        .await
        .unwrap();
    assert_eq!((again.id(), again.replayed), ("INV-001", true));
    transaction.commit().await.unwrap();
    assert_eq!(erp.draw(keyed("k")).await, "INV-001");
    let mut transaction = connection.begin().await.unwrap();
    let after = erp
        .store
        .allocate_in(&erp.issuer, &mut transaction, keyed("k"))
        .await
        .unwrap();
    assert_eq!((after.id(), after.replayed), ("INV-001", true));
}

#[tokio::test]
async fn a_key_that_was_rolled_back_draws() {
    let erp = Erp::open().await;
    let mut connection = erp.connect().await;
    let mut transaction = connection.begin().await.unwrap();
    assert_eq!(erp.invoice(&mut transaction, keyed("k")).await, "INV-001");
    transaction.rollback().await.unwrap();
    let drawn = erp.issuer.draw(keyed("k")).await.unwrap();
    assert_eq!((drawn.id(), drawn.replayed), ("INV-001", false));
}

#[tokio::test]
async fn a_refusal_leaves_the_transaction_as_it_was() {
    let erp = Erp::open().await;
    let mut connection = erp.connect().await;
    let mut transaction = connection.begin().await.unwrap();
    assert_eq!(erp.invoice(&mut transaction, keyed("k")).await, "INV-001");
    let mut other = keyed("k");
    other.count = Some(2);
    let refused = erp
        .store
        .allocate_in(&erp.issuer, &mut transaction, other)
        .await
        .unwrap_err();
    assert_eq!(refused.code(), Code::IdempotencyMismatch);
    assert_eq!(erp.invoice(&mut transaction, inv()).await, "INV-002");
    transaction.commit().await.unwrap();
    assert_eq!(erp.invoices(), "INV-001 INV-002");
}

#[tokio::test]
async fn only_read_committed_is_served() {
    let erp = Erp::open().await;
    erp.draw(inv()).await;
    let mut connection = erp.connect().await;
    let mut transaction = connection.begin().await.unwrap();
    sqlx::query("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        .execute(&mut *transaction)
        .await
        .unwrap();
    let refused = erp
        .store
        .allocate_in(&erp.issuer, &mut transaction, inv())
        .await
        .unwrap_err();
    assert_eq!(refused.code(), Code::StoreUnavailable);
    drop(transaction);
    assert_eq!(erp.draw(inv()).await, "INV-002");
}

#[tokio::test]
async fn another_database_is_refused() {
    let (erp, other) = (Erp::open().await, Erp::open().await);
    let mut connection = other.connect().await;
    let mut transaction = connection.begin().await.unwrap();
    let refused = erp
        .store
        .allocate_in(&erp.issuer, &mut transaction, inv())
        .await
        .unwrap_err();
    assert_eq!(refused.code(), Code::StoreUnavailable);
    transaction.commit().await.unwrap();
    assert_eq!(other.draw(inv()).await, "INV-001");
}

#[tokio::test]
async fn a_new_period_may_be_opened_in_a_transaction_that_is_rolled_back() {
    let erp = Erp::open().await;
    let mut connection = erp.connect().await;
    let mut transaction = connection.begin().await.unwrap();
    assert_eq!(erp.invoice(&mut transaction, inv()).await, "INV-001");
    transaction.rollback().await.unwrap();
    for expected in ["INV-001", "INV-002"] {
        assert_eq!(erp.draw(inv()).await, expected);
    }
    let selector = CounterSelector::new(Prefix::new("INV").unwrap());
    let status = erp.issuer.status(selector).await.unwrap();
    assert_eq!(status.next_number.map(|number| number.get()), Some(3));
    erp.store.close().await.unwrap();
}

#[tokio::test]
async fn a_session_that_does_not_wait_for_the_disk_does_so_for_a_number() {
    let erp = Erp::open().await;
    erp.draw(inv()).await;
    let mut connection = erp.connect().await;
    sqlx::raw_sql("SET synchronous_commit = off")
        .execute(&mut connection)
        .await
        .unwrap();
    let setting = "SHOW synchronous_commit";
    for in_sql in [false, true] {
        let mut transaction = connection.begin().await.unwrap();
        if in_sql {
            sqlx::raw_sql("SELECT seqid.next('INV')")
                .execute(&mut *transaction)
                .await
                .unwrap();
        } else {
            erp.invoice(&mut transaction, inv()).await;
        }
        let set: String = sqlx::query_scalar(setting)
            .fetch_one(&mut *transaction)
            .await
            .unwrap();
        assert_eq!(set, "on", "in SQL: {in_sql}");
        transaction.commit().await.unwrap();
        let set: String = sqlx::query_scalar(setting)
            .fetch_one(&mut connection)
            .await
            .unwrap();
        assert_eq!(set, "off", "in SQL: {in_sql}");
    }
}
