//! Databases that cannot be served: what the operator is told.

use std::error::Error;
use std::net::TcpListener;
use std::time::Duration;

use seqid_postgres::{OpenError, PostgresConfig, Recovery, recover};
use seqid_testkit::evidence::all_events;
use seqid_testkit::servers::{Database, PostgresServer};

use crate::office::{Office, issued, require_clean};

const SECRET: &str = "hunter2-of-the-clerk";

fn config(url: &str) -> PostgresConfig {
    url.parse().unwrap()
}

/// Opens what cannot be opened. The error says this, and nothing shows the password.
#[track_caller]
fn told(error: &OpenError, password: &str, says: &str) {
    let mut text = format!("{error:?} {error}");
    assert!(error.to_string().contains(says), "{error}");
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    assert!(!text.contains(password), "{text}");
}

async fn refused(config: PostgresConfig) -> OpenError {
    Office::try_open(config).await.expect_err("it cannot be served")
}

/// A user who may do nothing but log in.
fn clerk(database: &Database) -> PostgresConfig {
    let user = format!("clerk_{}", database.name());
    database
        .psql(&format!("CREATE ROLE {user} LOGIN PASSWORD '{SECRET}'"))
        .unwrap();
    let url = database.url();
    let (_, place) = url.split_once('@').unwrap();
    config(&format!("postgres://{user}:{SECRET}@{place}"))
}

#[tokio::test]
async fn where_no_server_answers_the_error_names_host_and_port() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let listens = silent.local_addr().unwrap().port();
    let closed = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = closed.local_addr().unwrap().port();
    drop(closed);
    for place in [
        format!("127.0.0.1:{port}"),
        format!("127.0.0.1:{listens}"),
        "postgres.invalid:5432".to_owned(),
    ] {
        let config = config(&format!("postgres://ann:{SECRET}@{place}/erp"));
        let error = refused(config.timeout(Duration::from_millis(500))).await;
        assert!(matches!(error, OpenError::Unreachable { .. }), "{error:?}");
        told(&error, SECRET, &format!("erp at {place}: check host and port"));
    }
    let config = config(&format!("postgres://ann:{SECRET}@%2Fnowhere/erp"));
    let error = refused(config).await;
    assert!(matches!(error, OpenError::Unreachable { .. }), "{error:?}");
    told(&error, SECRET, "erp at /nowhere");
}

#[tokio::test]
async fn a_wrong_password_and_a_missing_database_are_told_apart() {
    let server = PostgresServer::shared();
    let port = server.port();
    let wrong = config(&format!("postgres://postgres:{SECRET}@127.0.0.1:{port}/postgres"));
    let error = refused(wrong).await;
    assert!(matches!(error, OpenError::Login { .. }), "{error:?}");
    told(&error, SECRET, "check user and password");
    let error = refused(config(&server.url("nowhere"))).await;
    assert!(matches!(error, OpenError::NoDatabase { .. }), "{error:?}");
    told(&error, &format!(":{}@", server.password()), "CREATE DATABASE");
}

#[test]
fn what_is_shown_of_a_configuration_has_no_password() {
    let config = config(&format!("postgres://ann:{SECRET}@erp.example:5433/erp"));
    let shown = format!("{config:?} {config:#?}");
    assert!(shown.contains("erp at erp.example:5433"), "{shown}");
    assert!(!shown.contains(SECRET), "{shown}");
    let wrong = format!("postgres://ann:{SECRET}@erp.example:port/erp").parse::<PostgresConfig>();
    let shown = format!("{wrong:?} {}", wrong.as_ref().unwrap_err());
    assert!(!shown.contains(SECRET), "{shown}");
}

#[tokio::test]
async fn a_user_without_rights_is_told_which_to_ask_for() {
    let database = PostgresServer::shared().database().unwrap();
    let clerk = clerk(&database);
    let user = clerk.connect.get_username().to_owned();
    let grant = format!("GRANT CREATE ON DATABASE ... TO {user}");
    let not_allowed = async |what| {
        let error = refused(clerk.clone()).await;
        assert!(matches!(error, OpenError::NotAllowed { .. }), "{what}: {error:?}");
        told(&error, SECRET, &grant);
    };
    not_allowed("may make no schema").await;
    // The schema of another user: unseen, then seen, then read.
    Office::open(&database.url()).await.close().await;
    not_allowed("may not use the schema").await;
    database
        .psql(&format!("GRANT USAGE ON SCHEMA seqid TO {user}"))
        .unwrap();
    not_allowed("may read no table").await;
    database
        .psql(&format!("GRANT SELECT ON ALL TABLES IN SCHEMA seqid TO {user}"))
        .unwrap();
    not_allowed("may write no table").await;
    database
        .psql(&format!("GRANT ALL ON ALL TABLES IN SCHEMA seqid TO {user}"))
        .unwrap();
    not_allowed("may not add the partition of the next month").await;
}

#[tokio::test]
async fn a_user_who_may_make_the_schema_needs_no_other_right() {
    let database = PostgresServer::shared().database().unwrap();
    let clerk = clerk(&database);
    let user = clerk.connect.get_username();
    database
        .psql(&format!("GRANT CREATE ON DATABASE {} TO {user}", database.name()))
        .unwrap();
    let office = Office::try_open(clerk.clone()).await.unwrap();
    assert_eq!(office.draw_many("INV", 3).await, 3);
    assert_eq!(office.audit().await.len(), 4, "the definition and three draws");
    office.close().await;
    until_gone(&database).await;
    let recovery = Recovery::new(seqid_core::names::Reason::new("a test").unwrap());
    assert_eq!(recover(&clerk, &recovery).await.unwrap().counters, 1);
    let report = seqid_postgres::verify(&clerk, Default::default(), |_, _| {}).await;
    assert!(report.unwrap().is_clean());
}

/// Waits until the server has noticed that all stores are closed.
pub(crate) async fn until_gone(database: &Database) {
    let sessions = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() \
                    AND application_name = 'seqid'";
    for _ in 0..5_000 {
        if database.psql(sessions).unwrap() == "0" {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("sessions of seqid are still there");
}

#[tokio::test]
async fn a_server_that_may_lose_what_it_committed_is_refused() {
    let server = PostgresServer::start_with(&[("fsync", "off")]).unwrap();
    let error = refused(config(&server.url("postgres"))).await;
    assert!(matches!(error, OpenError::NotDurable { .. }), "{error:?}");
    told(&error, &format!(":{}@", server.password()), "set `fsync = on`");
    assert_eq!(schemas(&server, "postgres"), "0", "nothing is made");
}

#[tokio::test]
async fn a_standby_is_refused_and_takes_over_no_running_store() {
    let mut server = PostgresServer::start().unwrap();
    let url = server.url("postgres");
    let error = {
        let office = Office::open(&url).await;
        assert_eq!(office.draw("INV").await.unwrap(), 1);
        server.stop().unwrap();
        std::fs::write(server.data_folder().join("standby.signal"), "").unwrap();
        server.start_again().unwrap();
        assert_eq!(
            server.psql("postgres", "SELECT pg_is_in_recovery()").unwrap(),
            "t"
        );
        office.draw("INV").await.unwrap_err()
    };
    assert!(
        matches!(error, seqid_core::store::StoreError::Unavailable(_)),
        "{error:?}"
    );
    let error = refused(config(&url)).await;
    assert!(matches!(error, OpenError::Standby { .. }), "{error:?}");
    told(
        &error,
        &format!(":{}@", server.password()),
        "connect to the primary",
    );
}

#[tokio::test]
async fn settings_of_a_role_change_nothing() {
    let database = PostgresServer::shared().database().unwrap();
    let name = database.name();
    database
        .psql(&format!(
            "ALTER DATABASE {name} SET default_transaction_read_only = on; \
             ALTER DATABASE {name} SET default_transaction_isolation = 'serializable'; \
             ALTER DATABASE {name} SET synchronous_commit = off; \
             ALTER DATABASE {name} SET statement_timeout = '1us'; \
             ALTER DATABASE {name} SET TimeZone = 'Asia/Tokyo'; \
             ALTER DATABASE {name} SET DateStyle = 'SQL, DMY'; \
             ALTER DATABASE {name} SET bytea_output = 'escape'; \
             ALTER DATABASE {name} SET search_path = 'nowhere'"
        ))
        .unwrap();
    let office = Office::open(&database.url()).await;
    assert_eq!(office.draw_many("INV", 3).await, 3);
    let events = office.audit().await;
    assert_eq!(issued(&events, "INV"), [1, 2, 3]);
    require_clean(&database.url()).await;
}

fn schemas(server: &PostgresServer, database: &str) -> String {
    let sql = "SELECT count(*) FROM pg_namespace WHERE nspname = 'seqid'";
    server.psql(database, sql).unwrap()
}

#[tokio::test]
async fn a_schema_that_is_somebody_elses_is_left_alone() {
    let server = PostgresServer::shared();
    for made in [
        "CREATE SCHEMA seqid; CREATE TABLE seqid.counter (id int)",
        "CREATE SCHEMA seqid; COMMENT ON SCHEMA seqid IS 'of the accountants'",
    ] {
        let database = server.database().unwrap();
        database.psql(made).unwrap();
        let error = refused(config(&database.url())).await;
        assert!(matches!(error, OpenError::Foreign { .. }), "{error:?}");
        told(&error, &format!(":{}@", server.password()), "rename it");
        let tables = "SELECT count(*) FROM pg_class WHERE relnamespace = 'seqid'::regnamespace AND relname <> 'counter'";
        assert_eq!(database.psql(tables).unwrap(), "0");
    }
}

#[tokio::test]
async fn a_newer_schema_is_left_to_newer_programs() {
    let server = PostgresServer::shared();
    let database = server.database().unwrap();
    Office::open(&database.url()).await.close().await;
    database.psql("UPDATE seqid.schema SET version = 99").unwrap();
    let error = refused(config(&database.url())).await;
    assert!(
        matches!(error, OpenError::NewerSchema { found: 99, .. }),
        "{error:?}"
    );
    told(
        &error,
        &format!(":{}@", server.password()),
        "run the newer version of seqid",
    );
}

#[tokio::test]
async fn encryption_that_cannot_be_had_is_an_error() {
    // The server has no certificate; built without the feature `tls`, the store does not even ask.
    let server = PostgresServer::shared();
    for mode in ["require", "verify-ca", "verify-full"] {
        let url = format!("{}?sslmode={mode}", server.url("postgres"));
        let error = refused(config(&url)).await;
        assert!(matches!(error, OpenError::Tls { .. }), "{mode}: {error:?}");
        told(&error, &format!(":{}@", server.password()), "the feature `tls`");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stores_that_open_an_empty_database_at_once_are_one() {
    let database = PostgresServer::shared().database().unwrap();
    let opening: Vec<_> = (0..8)
        .map(|_| {
            let url = database.url();
            tokio::spawn(async move { Office::open(&url).await })
        })
        .collect();
    let mut offices = Vec::new();
    for office in opening {
        offices.push(office.await.unwrap());
    }
    for (office, expected) in offices.iter().zip(1..) {
        assert_eq!(office.draw("INV").await.unwrap(), expected);
    }
    let mut seen = Vec::new();
    for office in &offices {
        seen.push(all_events(&*office.store).await.unwrap());
    }
    assert!(seen.iter().all(|events| *events == seen[0]), "one authority");
    assert_eq!(database.psql("SELECT count(*) FROM seqid.store").unwrap(), "1");
    require_clean(&database.url()).await;
}
