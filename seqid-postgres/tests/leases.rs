//! The table of leases keeps their ranges apart by itself, whatever a program believes.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::sync::Arc;

use seqid_core::observer::Unobserved;
use seqid_postgres::{PostgresConfig, PostgresStore};
use seqid_testkit::servers::PostgresServer;
use sqlx::{AssertSqlSafe, Connection, PgConnection};

#[tokio::test]
async fn the_table_itself_keeps_the_ranges_of_leases_apart() {
    let database = PostgresServer::shared().database().expect("a database");
    let config: PostgresConfig = database.url().parse().unwrap();
    let _store = PostgresStore::open(config, Arc::new(Unobserved)).await.unwrap();
    let mut connection = PgConnection::connect(&database.url().to_string()).await.unwrap();
    // A counter with the leases 1..10 and 11..20.
    sqlx::raw_sql(
        "INSERT INTO seqid.sequence (id, tenant, prefix, prefix_folded, head, implicit, archived, opened, n, hash) \
         VALUES (1001, 't', 'INV', 'inv', 1, false, false, true, 1, '\\x00'); \
         INSERT INTO seqid.counter (id, sequence, scope, scope_folded, period, period_kind, version, generation, epoch, \
                                    status, n, hash, reserved, voided, free, leases) \
         VALUES (1002, 1001, '', '', 'all', 'never', 1, 1, 3, 'open', 2, '\\x00', 0, 0, 0, 1); \
         INSERT INTO seqid.lease (id, counter, generation, epoch, first, step, last, before, holder, state) \
         VALUES ('\\x01', 1002, 1, 2, 1, 1, 10, NULL, 'a', 3), ('\\x02', 1002, 1, 3, 11, 1, 20, 10, 'b', 1)",
    )
    .execute(&mut connection)
    .await
    .unwrap();
    let insert = async |connection: &mut PgConnection, range: &str| {
        let sql = format!(
            "INSERT INTO seqid.lease (id, counter, generation, epoch, first, step, last, before, holder, state) \
             VALUES ('\\x03', 1002, 1, 4, {range}, 'c', 1)"
        );
        sqlx::raw_sql(AssertSqlSafe(sql)).execute(connection).await
    };
    for range in [
        "11, 1, 30, 20",   // begins where another does
        "21, 1, 20, 20",   // ends before it begins
        "15, 1, 30, 20",   // begins within the one that it follows
        "21, 1, 30, 10",   // follows one that another follows already
        "21, 1, 30, 19",   // follows none that there is
        "21, 1, 30, NULL", // a second one that follows none
        "NULL, 1, 30, 20", // ends and does not begin
    ] {
        let refused = insert(&mut connection, range).await.unwrap_err();
        let constraint = refused
            .as_database_error()
            .unwrap()
            .constraint()
            .map(ToOwned::to_owned);
        assert!(constraint.is_some(), "{range}: {refused}");
    }
    insert(&mut connection, "21, 1, 30, 20").await.unwrap();
    let shrink = sqlx::raw_sql("UPDATE seqid.lease SET last = 15 WHERE id = '\\x02'");
    assert!(
        shrink.execute(&mut connection).await.is_err(),
        "another follows it"
    );
}
