//! What SQL does not draw: each refusal with its SQLSTATE, its code and what to do, and nothing changed.

use std::time::Duration;

use seqid_core::names::{Prefix, Reason};
use seqid_core::numbering::{ArchiveRequest, CloseRequest, DrawRequest, Numbering, ReserveRequest};

use crate::desk::{Desk, Session};

fn prefix(text: &str) -> Prefix {
    Prefix::new(text).unwrap()
}

fn reason() -> Reason {
    Reason::new("a test").unwrap()
}

async fn state_of(session: &mut Session) -> String {
    session
        .one(
            "SELECT md5(concat((SELECT string_agg(c::text, ',' ORDER BY id) FROM seqid.counter c), \
                               (SELECT string_agg(s::text, ',' ORDER BY id) FROM seqid.sequence s), \
                               (SELECT count(*) FROM seqid.event), (SELECT count(*) FROM seqid.event_waiting), \
                               (SELECT count(*) FROM seqid.idempotency_key)))",
        )
        .await
}

#[tokio::test]
async fn each_refusal_has_its_code_and_changes_nothing() {
    let desk = Desk::new().await;
    let day = "{yyyy}-{seq}";
    let define = async |name: &str, json: &str| desk.define(name, json).await.unwrap();
    define("INV", r#"{"format":"{b}-{f}-{seq:2}","scope":[{"name":"b","chars":"A-Za-z"}],"fields":[{"name":"f","max":3,"default":"x"}]}"#).await;
    define("YEAR", &format!(r#"{{"format":"{day}","reset":"year"}}"#)).await;
    define("CHR", r#"{"format":"{seq}","chronological":true}"#).await;
    define("OLD", r#"{"format":"OLD-{seq}"}"#).await;
    define("SHUT", r#"{"format":"SHUT-{seq}"}"#).await;
    define("END", r#"{"format":"END-{seq:1!}","start":9}"#).await;
    define("RNG", r#"{"format":"RNG-{seq}","ranges":[{"first":5,"last":9}]}"#).await;
    define("NEXT", r#"{"format":"NEXT-{seq}"}"#).await;
    define("SUC", r#"{"format":"SUC-{seq:2!}","successor":"NEXT"}"#).await;
    define("RSV", r#"{"format":"RSV-{seq}","on_expiry":"reuse"}"#).await;
    define("DUE", r#"{"format":"DUE-{seq}"}"#).await;
    define("ICE", r#"{"format":"ICE-{seq}"}"#).await;
    define("LENT", r#"{"format":"LENT-{seq}","mode":"ordered"}"#).await;
    define(
        "ÜB".replace('Ü', "U").as_str(),
        r#"{"format":"{c|upper}-{seq}","fields":[{"name":"c","chars":"a-zß"}]}"#,
    )
    .await;
    define(
        "WIDE",
        r#"{"format":"{b}-{seq}","scope":[{"name":"b","chars":"a-zé"}]}"#,
    )
    .await;

    let mut erp = desk.session().await;
    erp.draw(r#"'INV', scope => '{"b":"JKT"}'"#).await;
    erp.draw("'END'").await;
    erp.draw("'ICE'").await;
    erp.draw("'LENT'").await;
    erp.run("UPDATE seqid.counter SET status = 'frozen' WHERE sequence = (SELECT id FROM seqid.sequence WHERE prefix = 'ICE')").await;
    let archive = ArchiveRequest::new(prefix("OLD"), reason());
    desk.issuer.archive(archive).await.unwrap();
    let mut close = CloseRequest::new("2026-06-30".parse().unwrap(), reason());
    close.prefix = Some(prefix("SHUT"));
    desk.issuer.close(close).await.unwrap();
    let all = CloseRequest::new("2020-12-31".parse().unwrap(), reason());
    desk.issuer.close(all).await.unwrap();
    for name in ["RSV", "DUE"] {
        let reserve = ReserveRequest::new(DrawRequest::new(prefix(name)), Duration::from_secs(600));
        desk.issuer.reserve(reserve).await.unwrap();
    }
    erp.run("UPDATE seqid.counter SET next_expiry = now() WHERE sequence = (SELECT id FROM seqid.sequence WHERE prefix = 'DUE')").await;
    erp.run("UPDATE seqid.counter SET free = 1 WHERE sequence = (SELECT id FROM seqid.sequence WHERE prefix = 'RSV')").await;
    erp.run("UPDATE seqid.counter SET leases = 1 WHERE sequence = (SELECT id FROM seqid.sequence WHERE prefix = 'LENT')").await;
    let before = state_of(&mut erp).await;

    for (arguments, state, code) in [
        ("NULL", "SQ001", "invalid-request"),
        ("'a b'", "SQ001", "invalid-request"),
        ("''", "SQ001", "invalid-request"),
        ("'*'", "SQ001", "invalid-request"),
        ("'INV', tenant => NULL", "SQ001", "invalid-request"),
        ("'INV', tenant => 'ü'", "SQ001", "invalid-request"),
        ("'INV', actor => E'a\\tb'", "SQ001", "invalid-request"),
        ("'INV', reference => E'a\\nb'", "SQ001", "invalid-request"),
        ("'INV', key => repeat('k', 256)", "SQ001", "invalid-request"),
        ("'INV', scope => '[1]'", "SQ001", "invalid-request"),
        ("'INV', scope => '{\"b\":1.5}'", "SQ001", "invalid-request"),
        ("'INV', scope => '{\"b\":null}'", "SQ001", "invalid-request"),
        ("'INV', date => 'infinity'", "SQ001", "invalid-request"),
        ("'INV', date => '10000-01-01'", "SQ001", "invalid-request"),
        ("'INV', date => '0001-01-01 BC'", "SQ001", "invalid-request"),
        ("'INV'", "SQ002", "scope-mismatch"),
        ("'INV', scope => '{\"c\":\"X\"}'", "SQ002", "scope-mismatch"),
        ("'INV', scope => '{\"b\":\"12\"}'", "SQ002", "scope-mismatch"),
        ("'INV', scope => '{\"b\":\"\"}'", "SQ002", "scope-mismatch"),
        (
            "'INV', scope => '{\"b\":\"A\"}', fields => '{\"f\":\"long\"}'",
            "SQ002",
            "scope-mismatch",
        ),
        ("'YEAR', date => '1899-12-31'", "SQ003", "date-out-of-window"),
        ("'YEAR', date => '3000-01-01'", "SQ003", "date-out-of-window"),
        (
            "'CHR', date => (now() AT TIME ZONE 'UTC')::date + 1",
            "SQ003",
            "date-out-of-window",
        ),
        ("'NONE'", "SQ004", "sequence-not-found"),
        ("'INV', tenant => 'other'", "SQ004", "sequence-not-found"),
        ("'inv'", "SQ005", "case-variant"),
        ("'INV', scope => '{\"b\":\"jkt\"}'", "SQ005", "case-variant"),
        ("'OLD'", "SQ006", "sequence-archived"),
        ("'SHUT', date => '2026-06-30'", "SQ007", "period-closed"),
        ("'NEXT', date => '2020-12-31'", "SQ007", "period-closed"),
        ("'END'", "SQ009", "exhausted"),
        ("'ICE'", "SQ010", "frozen"),
        ("'RNG'", "SQ012", "not-in-sql"),
        ("'SUC'", "SQ012", "not-in-sql"),
        ("'RSV'", "SQ012", "not-in-sql"),
        ("'DUE'", "SQ012", "not-in-sql"),
        ("'LENT'", "SQ012", "not-in-sql"),
        ("'UB', fields => '{\"c\":\"ß\"}'", "SQ012", "not-in-sql"),
        ("'WIDE', scope => '{\"b\":\"é\"}'", "SQ012", "not-in-sql"),
    ] {
        let (found, message, hint) = erp.refused(&format!("SELECT seqid.next({arguments})")).await;
        assert_eq!(found, state, "{arguments}: {message}");
        assert!(
            message.starts_with(&format!("{code}: ")),
            "{arguments}: {message}"
        );
        assert!(!hint.is_empty(), "{arguments}");
    }
    for isolation in ["REPEATABLE READ", "SERIALIZABLE"] {
        erp.run(&format!("BEGIN ISOLATION LEVEL {isolation}")).await;
        let (state, message, _) = erp.refused("SELECT seqid.next('NEXT')").await;
        assert_eq!(
            (state.as_str(), message.split(':').next()),
            ("SQ013", Some("wrong-isolation"))
        );
        erp.run("ROLLBACK").await;
    }
    assert_eq!(state_of(&mut erp).await, before);
    assert_eq!(erp.draw("'NEXT', date => '2021-01-01'").await.id, "NEXT-1");
}

#[tokio::test]
async fn a_case_variant_of_another_period_is_refused() {
    let desk = Desk::new().await;
    let json = r#"{"format":"{b}-{yyyy}-{seq}","reset":"year","scope":[{"name":"b","chars":"A-Za-z"}]}"#;
    desk.define("INV", json).await.unwrap();
    let mut erp = desk.session().await;
    erp.draw(r#"'INV', date => '2025-01-01', scope => '{"b":"Jkt"}'"#)
        .await;
    let (state, message, _) = erp
        .refused(r#"SELECT seqid.next('INV', date => '2026-01-01', scope => '{"b":"JKT"}')"#)
        .await;
    assert_eq!((state.as_str(), message.contains("b=Jkt")), ("SQ005", true));
}

#[tokio::test]
async fn a_caller_waits_no_longer_than_its_lock_timeout() {
    let desk = Desk::new().await;
    desk.define("INV", r#"{"format":"INV-{seq}"}"#).await.unwrap();
    let (mut first, mut second) = (desk.session().await, desk.session().await);
    first.run("BEGIN").await;
    first.draw("'INV'").await;
    second.run("SET lock_timeout = '20ms'").await;
    assert_eq!(second.refused("SELECT seqid.next('INV')").await.0, "55P03");
    first.run("COMMIT").await;
    assert_eq!(second.draw("'INV'").await.id, "INV-2");
}
