//! `verify`: from a service, a file, an export and a database.

use std::sync::Arc;

use seqid_core::numbering::DrawRequest;
use seqid_core::observer::Unobserved;
use seqid_core::{CounterStore, Issuer, Numbering};
use seqid_postgres::PostgresStore;
use seqid_testkit::servers::PostgresServer;
use serde_json::{Value, json};

use crate::running::{Place, run, seqid};

/// Numbers of two tenants, with everything that can become of them.
fn fill(place: &Place) {
    place.prints(&["batch", "INV", "5"]);
    place.prints(&["void", "INV", "--number", "2", "--reason", "why"]);
    place.prints(&["reset", "INV", "10", "--reason", "why"]);
    place.prints(&[
        "define",
        "ORD",
        "--format",
        "{yyyy}-{seq}",
        "--reset",
        "year",
        "--on-expiry",
        "reuse",
    ]);
    let reserved = place.json(&["reserve", "ORD", "--count", "3"]);
    place.prints(&["confirm", reserved["reservation"].as_str().unwrap()]);
    place.prints(&["reserve", "ORD"]);
    place.prints(&["define", "L", "--format", "L{seq}", "--mode", "leased"]);
    place.prints(&["batch", "L", "7"]);
    place.prints(&["--tenant", "acme", "next", "INV"]);
}

fn edit(place: &Place, statement: &str) {
    let connection = rusqlite::Connection::open(place.data_file()).unwrap();
    assert_eq!(connection.execute(statement, []).unwrap(), 1, "{statement}");
}

#[test]
fn a_service_is_walked_with_its_counters() {
    let place = Place::service();
    fill(&place);
    let report = place.json(&["verify", "--with-tenant", "acme"]);
    assert_eq!(report["clean"], true, "{report}");
    assert_eq!(
        (&report["counters_compared"], &report["counters_moved_on"]),
        (&json!(4), &json!(0)),
        "{report}"
    );
    assert_eq!(report["service_agrees"], true, "{report}");
    let text = place.prints(&["verify", "--with-tenant", "acme"]);
    assert!(
        text.contains("nothing is wrong") && text.contains("own checkpoint has the same 8 chains"),
        "{text}"
    );
    let text = place.prints(&["verify"]);
    assert!(text.contains("The service has 2 chains more"), "{text}");
}

#[test]
fn checkpoints_that_were_kept_hold_for_a_service() {
    let place = Place::service();
    fill(&place);
    let checkpoint = place.served().get("/api/v1/audit/checkpoint").to_string();
    std::fs::write(place.folder().join("kept.jsonl"), checkpoint).unwrap();
    place.prints(&["next", "INV"]);
    let verify = ["verify", "--with-tenant", "acme", "--checkpoint", "kept.jsonl"];
    let report = place.json(&verify);
    assert_eq!(
        (&report["clean"], &report["checkpoints"]["agree"]),
        (&json!(true), &json!(1)),
        "{report}"
    );
}

#[test]
fn a_counter_that_is_not_where_its_events_left_it_shows_through_the_service() {
    let mut place = Place::service();
    fill(&place);
    place.without_service();
    edit(&place, "UPDATE counter SET voided = 2 WHERE next = 10");
    place.with_service();
    let ended = place.run(&["verify", "--with-tenant", "acme"]);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(
        ended
            .stdout
            .contains("expected the count of void numbers 1, found 2"),
        "{ended:?}"
    );
}

#[test]
fn an_edited_event_shows_through_the_service_and_in_the_file() {
    let mut place = Place::service();
    fill(&place);
    place.without_service();
    edit(&place, "UPDATE event SET reference = 'SO-1' WHERE position = 2");
    let file = place.data_file();
    let ended = run(seqid().arg("--file").arg(&file).arg("verify"));
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.stdout.contains("this event was edited"), "{ended:?}");
    place.with_service();
    let ended = place.run(&["--json", "verify", "--with-tenant", "acme"]);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    let report: Value = serde_json::from_str(&ended.stdout).unwrap();
    assert_eq!(
        (&report["clean"], &report["faults"][0]["position"]),
        (&json!(false), &json!(2)),
        "{report}"
    );
}

#[test]
fn a_file_is_verified_with_all_its_tenants() {
    let place = Place::file();
    fill(&place);
    let report = place.json(&["verify"]);
    assert_eq!(
        (&report["clean"], &report["counters"]),
        (&json!(true), &json!(4)),
        "{report}"
    );
    place
        .run(&["verify", "--with-tenant", "acme"])
        .told(2, &["--with-tenant"]);
    let missing = run(seqid().args(["--file", "missing.db", "verify"]));
    missing.told(2, &["there is no data file"]);
}

#[test]
fn what_cannot_be_read_is_told_from_what_is_wrong() {
    let place = Place::service();
    place.prints(&["next", "INV"]);
    std::fs::write(place.folder().join("text"), "no line of ours\n").unwrap();
    let wrong = place.run(&["verify", "--export", "text"]);
    assert_eq!(wrong.code, Some(1), "{wrong:?}");
    place
        .run(&["verify", "--checkpoint", "text"])
        .told(2, &["is not JSON"]);
    place
        .run(&["verify", "--export", "text", "--public-key", "text"])
        .told(2, &["--checkpoint"]);
    place
        .run(&[
            "verify",
            "--export",
            "text",
            "--checkpoint",
            "text",
            "--public-key",
            "text",
        ])
        .told(2, &["Ed25519"]);
    let away = run(seqid().args(["--url", "http://127.0.0.1:1", "--timeout", "100ms", "verify"]));
    away.told(3, &["does not answer"]);
}

#[test]
fn a_database_is_verified() {
    let server = PostgresServer::shared();
    let database = server.database().unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let store = PostgresStore::open(database.url().parse().unwrap(), Arc::new(Unobserved))
            .await
            .unwrap();
        let store = Arc::new(store);
        let issuer = Issuer::builder(Arc::clone(&store) as _)
            .clock(store.clock())
            .build();
        issuer
            .draw(DrawRequest::new("INV".parse().unwrap()).count(3))
            .await
            .unwrap();
        store.close().await.unwrap();
    });
    let verify = || run(seqid().args(["--json", "verify", "--database", &database.url()]));
    let ended = verify();
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let report: Value = serde_json::from_str(&ended.stdout).unwrap();
    assert_eq!(
        (&report["events"], &report["counters"]),
        (&json!(2), &json!(1)),
        "{report}"
    );
    server
        .psql(database.name(), "UPDATE seqid.counter SET next = 3, last = 2")
        .unwrap();
    let ended = verify();
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.stdout.contains("next number"), "{ended:?}");
    let away = run(seqid().args(["verify", "--database", "postgres://nobody@127.0.0.1:1/none"]));
    assert_eq!(away.code, Some(2), "{away:?}");
}
