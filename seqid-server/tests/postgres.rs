//! The service with its numbers in PostgreSQL.
#![allow(clippy::unwrap_used, reason = "a test fails by it")]

mod running;

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use running::{PATIENCE, Server, program, run};
use seqid_testkit::servers::{Database, PostgresServer};

/// The program on a database, by the variables that name its parts.
fn on(server: &PostgresServer, database: &str, folder: &Path) -> Command {
    let mut command = program(folder);
    command
        .env("PORT", "0")
        .env("DB_HOST", server.host())
        .env("DB_PORT", server.port().to_string())
        .env("DB_NAME", database)
        .env("DB_USER", server.user())
        .env("DB_PASSWORD", server.password());
    command
}

fn shared() -> (&'static PostgresServer, Database) {
    let server = PostgresServer::shared();
    (server, server.database().unwrap())
}

#[test]
fn two_instances_share_a_database_and_one_may_be_killed() {
    let (server, database) = shared();
    let folders = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let start = |at: usize| Server::start_with(&mut on(server, database.name(), folders[at].path()));
    let (first, second) = (start(0), start(1));
    assert!(
        first
            .banner
            .contains(&format!("the PostgreSQL database {}", database.name())),
        "{}",
        first.banner
    );
    assert_eq!((first.draw(), second.draw(), first.draw()), (1, 2, 3));
    first.kill();
    assert_eq!(second.draw(), 4);
    let first = start(0);
    assert_eq!((first.draw(), second.draw()), (5, 6));
    let drawn = database
        .psql("SELECT count(*), max(last) FROM seqid.audit WHERE kind = 'issued'")
        .unwrap();
    assert_eq!(drawn, "6|6");
    first.stop();
    second.stop();
    let verified = run(on(server, database.name(), folders[0].path()).arg("verify"));
    assert_eq!(verified.code, Some(0), "{verified:?}");
    assert!(!folders[0].path().join("seqid-data/seqid.db").exists());
}

#[test]
fn a_url_names_a_database_too() {
    let (_, database) = shared();
    let folder = tempfile::tempdir().unwrap();
    let mut command = program(folder.path());
    let server = Server::start_with(command.env("PORT", "0").env("DATABASE_URL", database.url()));
    assert_eq!(server.draw(), 1);
    server.stop();
}

#[test]
fn a_changed_definition_holds_on_the_other_instance_at_once() {
    let (server, database) = shared();
    let folder = tempfile::tempdir().unwrap();
    let start = || Server::start_with(&mut on(server, database.name(), folder.path()));
    let (first, second) = (start(), start());
    let define = |format: &str| {
        let body = format!(r#"{{"format":"{format}"}}"#);
        let answer = first.client().put("/api/v1/sequences/ORD", &body).unwrap();
        assert!(answer.status < 300, "{}", answer.body);
    };
    let draw = || {
        let answer = second
            .client()
            .post("/api/v1/next", None, r#"{"prefix":"ORD"}"#)
            .unwrap();
        answer.json()["id"].as_str().unwrap().to_owned()
    };
    define("ORD-{seq:3}");
    assert_eq!(draw(), "ORD-001");
    let body = r#"{"reason":"no longer used"}"#;
    let archived = first
        .client()
        .post("/api/v1/sequences/ORD/archive", None, body)
        .unwrap();
    assert_eq!(archived.status, 200, "{}", archived.body);
    let refused = second
        .client()
        .post("/api/v1/next", None, r#"{"prefix":"ORD"}"#)
        .unwrap();
    assert_eq!(refused.status, 409, "{}", refused.body);
}

#[test]
fn an_empty_database_beside_a_data_file_with_numbers_is_refused() {
    let (server, database) = shared();
    let folder = tempfile::tempdir().unwrap();
    let embedded = Server::start(folder.path());
    assert_eq!(embedded.draw(), 1);
    embedded.stop();
    let refused = run(&mut on(server, database.name(), folder.path()));
    refused.refused(&["is empty", "seqid.db", "/api/v1/sync"]);
}

#[test]
fn a_backup_of_a_database_is_made_by_its_own_tools() {
    let (server, database) = shared();
    let folder = tempfile::tempdir().unwrap();
    let refused = run(on(server, database.name(), folder.path()).args(["backup", "--to", "copy.db"]));
    refused.refused(&["pg_basebackup"]);
}

#[test]
fn a_database_that_went_back_in_time_is_refused_until_an_operator_accepts_it() {
    let mut server = PostgresServer::start().unwrap();
    server.psql("postgres", "CREATE DATABASE erp").unwrap();
    let folder = tempfile::tempdir().unwrap();
    let service = Server::start_with(&mut on(&server, "erp", folder.path()));
    for number in 1..=3 {
        assert_eq!(service.draw(), number);
    }
    service.stop();
    let older = server.copy_to_new_server().unwrap();
    let service = Server::start_with(&mut on(&server, "erp", folder.path()));
    assert_eq!((service.draw(), service.draw()), (4, 5));
    service.stop();
    server.stop().unwrap();

    let refused = run(&mut on(&older, "erp", folder.path()));
    refused.refused(&["went back in time", "seqid-server recover"]);
    let recover = [
        "recover",
        "--reason",
        "restored from a backup",
        "--margin",
        "10",
        "--actor",
        "alice",
    ];
    let recovered = run(on(&older, "erp", folder.path()).args(recover));
    assert_eq!(recovered.code, Some(0), "{recovered:?}");
    assert!(
        recovered.stdout.contains("counters moved forward by 10: 1"),
        "{}",
        recovered.stdout
    );
    let service = Server::start_with(&mut on(&older, "erp", folder.path()));
    assert_eq!(service.draw(), 14, "no number that was answered before");
    let busy = run(on(&older, "erp", folder.path()).args(recover));
    busy.refused(&["in use", "stop them first"]);
    service.stop();
    let verified = run(on(&older, "erp", folder.path()).arg("verify"));
    assert_eq!(verified.code, Some(0), "{verified:?}");
}

#[test]
fn it_says_when_the_database_is_away_and_goes_on_when_it_is_back() {
    let mut server = PostgresServer::start().unwrap();
    server.psql("postgres", "CREATE DATABASE erp").unwrap();
    let folder = tempfile::tempdir().unwrap();
    let service = Server::start_with(&mut on(&server, "erp", folder.path()));
    assert_eq!(service.draw(), 1);
    let ready = || service.client().get("/ready").unwrap();
    assert_eq!(ready().status, 200);
    server.kill().unwrap();
    let refused = service
        .client()
        .post("/api/v1/next", None, r#"{"prefix":"INV"}"#)
        .unwrap();
    assert_eq!(refused.status, 503, "{}", refused.body);
    assert_eq!(refused.json()["code"], "store-unavailable", "{}", refused.body);
    assert_eq!(ready().status, 503);
    server.start_again().unwrap();
    let began = Instant::now();
    while ready().status != 200 {
        assert!(began.elapsed() < PATIENCE, "it does not become ready");
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(service.draw(), 2);
    service.stop();
}
