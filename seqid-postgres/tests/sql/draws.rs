//! What a draw in SQL is to its transaction, to others, and to Rust.

use std::sync::Arc;
use std::time::Duration;

use seqid_core::names::{Number, Prefix, Reason};
use seqid_core::numbering::{
    CloseRequest, CounterSelector, DrawRequest, Numbering, ReserveRequest, ResetRequest, VoidRequest,
    VoidTarget,
};

use seqid_core::observer::Unobserved;
use seqid_core::store::CounterStore;
use seqid_postgres::{PostgresConfig, PostgresStore};

use crate::desk::{Desk, Session};

const INVOICES: &str = r#"{"format":"INV-{seq:3}"}"#;

fn prefix(text: &str) -> Prefix {
    Prefix::new(text).unwrap()
}

fn reason() -> Reason {
    Reason::new("a test").unwrap()
}

#[tokio::test]
async fn what_is_rolled_back_leaves_no_trace_and_no_gap() {
    let desk = Desk::new().await;
    desk.define("INV", INVOICES).await.unwrap();
    let mut erp = desk.session().await;
    erp.run("BEGIN; CREATE TABLE invoice (id text); INSERT INTO invoice SELECT seqid.next('INV'); ROLLBACK")
        .await;
    let left: i64 = erp
        .one("SELECT (SELECT count(*) FROM seqid.counter) + (SELECT count(*) FROM seqid.event WHERE kind <> 6)")
        .await;
    assert_eq!(left, 0);
    erp.run("BEGIN").await;
    assert_eq!(erp.draw("'INV'").await.id, "INV-001");
    erp.run("SAVEPOINT one").await;
    assert_eq!(erp.draw("'INV'").await.id, "INV-002");
    erp.run("ROLLBACK TO one").await;
    assert_eq!(erp.draw("'INV'").await.id, "INV-002");
    erp.run("COMMIT").await;
    assert_eq!(desk.next("INV").await, "INV-003");
    desk.verify().await;
}

#[tokio::test]
async fn a_number_and_the_rows_of_its_caller_are_there_together() {
    let desk = Desk::new().await;
    desk.define("INV", INVOICES).await.unwrap();
    let mut erp = desk.session().await;
    erp.run("CREATE TABLE invoice (id text PRIMARY KEY DEFAULT seqid.next('INV'), line integer)")
        .await;
    erp.run("INSERT INTO invoice (line) SELECT * FROM generate_series(1, 50)")
        .await;
    let both: i64 = erp
        .one(
            "SELECT count(*) FROM invoice i JOIN seqid.audit a ON i.id = 'INV-' || to_char(a.first, 'FM000')",
        )
        .await;
    assert_eq!(both, 50);
    desk.verify().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_session_waits_for_the_first_and_goes_on_where_it_ended() {
    for (end, expected) in [("COMMIT", "INV-003"), ("ROLLBACK", "INV-002")] {
        let desk = Desk::new().await;
        desk.define("INV", INVOICES).await.unwrap();
        assert_eq!(desk.next("INV").await, "INV-001");
        let (mut first, mut second, mut watcher) =
            (desk.session().await, desk.session().await, desk.session().await);
        first.run("BEGIN").await;
        assert_eq!(first.draw("'INV'").await.id, "INV-002");
        let waiting = tokio::spawn(async move { second.draw("'INV'").await.id });
        until_somebody_waits(&mut watcher).await;
        assert!(!waiting.is_finished());
        first.run(end).await;
        assert_eq!(waiting.await.unwrap(), expected);
        desk.verify().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_counter_is_opened_once() {
    let desk = Desk::new().await;
    desk.define("INV", INVOICES).await.unwrap();
    let (mut first, mut second, mut watcher) =
        (desk.session().await, desk.session().await, desk.session().await);
    first.run("BEGIN").await;
    assert_eq!(first.draw("'INV'").await.id, "INV-001");
    let waiting = tokio::spawn(async move { second.draw("'INV'").await.id });
    until_somebody_waits(&mut watcher).await;
    first.run("COMMIT").await;
    assert_eq!(waiting.await.unwrap(), "INV-002");
    desk.verify().await;
}

async fn until_somebody_waits(watcher: &mut Session) {
    loop {
        let waiting: bool = watcher
            .one(
                "SELECT EXISTS (SELECT 1 FROM pg_locks l JOIN pg_stat_activity a USING (pid) \
                 WHERE NOT l.granted AND a.datname = current_database())",
            )
            .await;
        if waiting {
            return;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn many_sessions_and_rust_share_a_counter_without_a_gap() {
    let desk = Desk::new().await;
    desk.define("INV", INVOICES).await.unwrap();
    let mut sessions = Vec::new();
    for _ in 0..4 {
        let mut session = desk.session().await;
        sessions.push(tokio::spawn(async move {
            let mut ids = Vec::new();
            for round in 0..25 {
                session.run("BEGIN").await;
                let id = session.draw("'INV'").await.id;
                if round % 5 == 4 {
                    session.run("ROLLBACK").await;
                } else {
                    session.run("COMMIT").await;
                    ids.push(id);
                }
            }
            ids
        }));
    }
    let mut ids = Vec::new();
    for _ in 0..20 {
        ids.push(desk.next("INV").await);
    }
    for session in sessions {
        ids.extend(session.await.unwrap());
    }
    ids.sort();
    let expected: Vec<String> = (1..=100).map(|number| format!("INV-{number:03}")).collect();
    assert_eq!(ids, expected);
    desk.verify().await;
}

#[tokio::test]
async fn an_open_transaction_holds_no_reader_back() {
    let desk = Desk::new().await;
    desk.define("INV", INVOICES).await.unwrap();
    desk.define("ORD", r#"{"format":"ORD-{seq}"}"#).await.unwrap();
    let mut erp = desk.session().await;
    erp.run("BEGIN").await;
    for _ in 0..3 {
        erp.draw("'INV'").await;
    }
    assert_eq!(desk.next("ORD").await, "ORD-1");
    let last = |events: &[seqid_core::event::Recorded]| {
        let last = events.last().unwrap();
        (last.position, last.event.subject.sequence().prefix.to_string())
    };
    let (before, of) = last(&desk.events().await);
    assert_eq!(of, "ORD");
    erp.run("COMMIT").await;
    let events = desk.events().await;
    let (after, of) = last(&events);
    assert_eq!((after, of), (before + 3, "INV".to_owned()));
    desk.verify().await;
}

#[tokio::test]
async fn a_key_is_answered_alike_by_sql_and_by_rust() {
    let desk = Desk::new().await;
    let json =
        r#"{"format":"{branch}-{customer}-{seq:3}-{now:%S}","scope":["branch"],"fields":["customer"]}"#;
    desk.define("INV", json).await.unwrap();
    let mut erp = desk.session().await;
    let arguments = r#"'INV', date => '2026-03-07', scope => '{"branch":"JKT"}', fields => '{"customer":4711}',
        reference => 'SO-1', relates_to => 'Ünicode', key => 'k-1'"#;
    let request = |key: &str| {
        let mut request = DrawRequest::new(prefix("INV"))
            .date("2026-03-07".parse().unwrap())
            .scope("branch", "JKT")
            .field("customer", "4711")
            .key(key.parse().unwrap());
        request.reference = Some("SO-1".parse().unwrap());
        request.relates_to = Some("Ünicode".parse().unwrap());
        request
    };
    erp.run("BEGIN").await;
    let first = erp.draw(arguments).await;
    let same = erp.draw(arguments).await;
    assert_eq!((first.replayed, same.replayed), (false, true));
    erp.run("COMMIT").await;
    assert_eq!(erp.draw(arguments).await, same);
    let by_rust = desk.issuer.draw(request("k-1")).await.unwrap();
    assert_eq!((&by_rust.ids[0], by_rust.replayed), (&first.id, true));

    let by_rust = desk.issuer.draw(request("k-2")).await.unwrap();
    let by_sql = erp.draw(&arguments.replace("k-1", "k-2")).await;
    assert_eq!(
        (&by_sql.id, by_sql.number, by_sql.replayed),
        (&by_rust.ids[0], 2, true)
    );

    // The same without what may be absent.
    let bare = DrawRequest::new(prefix("INV"))
        .scope("branch", "JKT")
        .field("customer", "1")
        .key("k-3".parse().unwrap());
    let by_rust = desk.issuer.draw(bare).await.unwrap();
    let by_sql = erp
        .draw(r#"'INV', scope => '{"branch":"JKT"}', fields => '{"customer":"1"}', key => 'k-3'"#)
        .await;
    assert_eq!((&by_sql.id, by_sql.replayed), (&by_rust.ids[0], true));

    let (state, message, _) = erp
        .refused(&format!(
            "SELECT seqid.next({})",
            arguments.replace("SO-1", "SO-2")
        ))
        .await;
    assert_eq!(state, "SQ011");
    assert!(message.starts_with("idempotency-mismatch: "), "{message}");

    // A key that is too old to count is taken over.
    erp.run("UPDATE seqid.idempotency_key SET at = at - interval '31 days'")
        .await;
    let anew = erp.draw(arguments).await;
    assert_eq!((anew.number, anew.replayed), (4, false));
    desk.verify().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn twins_of_a_key_get_one_number() {
    let desk = Desk::new().await;
    desk.define("INV", INVOICES).await.unwrap();
    desk.next("INV").await;
    let (mut first, mut second, mut watcher) =
        (desk.session().await, desk.session().await, desk.session().await);
    first.run("BEGIN").await;
    let drawn = first.draw("'INV', key => 'k'").await;
    let waiting = tokio::spawn(async move { second.draw("'INV', key => 'k'").await });
    until_somebody_waits(&mut watcher).await;
    first.run("COMMIT").await;
    let twin = waiting.await.unwrap();
    assert_eq!((twin.id, twin.replayed), (drawn.id, true));
    desk.verify().await;
}

#[tokio::test]
async fn a_counter_keeps_the_version_that_it_opened_with() {
    let desk = Desk::new().await;
    let json = r#"{"format":"A{yyyy}-{seq:2}","reset":"year","max":2}"#;
    desk.define("INV", json).await.unwrap();
    let mut erp = desk.session().await;
    assert_eq!(erp.draw("'INV', date => '2026-01-01'").await.id, "A2026-01");
    desk.redefine(
        "INV",
        Some(1),
        r#"{"format":"B{yyyy}-{seq:2}","reset":"year","max":3}"#,
    )
    .await
    .unwrap();
    for (date, id, version) in [
        ("2026-12-31", "A2026-02", 1),
        ("2027-01-01", "B2027-01", 2),
        // The newest version says how far the counter may go.
        ("2026-02-01", "A2026-03", 1),
    ] {
        let drawn = erp.draw(&format!("'INV', date => '{date}'")).await;
        assert_eq!((drawn.id.as_str(), drawn.version), (id, version));
    }
    let (state, ..) = erp
        .refused("SELECT seqid.next('INV', date => '2026-02-01')")
        .await;
    assert_eq!(state, "SQ009");
    desk.verify().await;
}

#[tokio::test]
async fn values_that_only_an_older_version_takes_find_its_counter() {
    let desk = Desk::new().await;
    let json = |values: &str| {
        format!(r#"{{"format":"{{b}}-{{seq}}","scope":[{{"name":"b","values":{values},"max":4}}]}}"#)
    };
    desk.define("INV", &json(r#"["OLD","NEW"]"#)).await.unwrap();
    let mut erp = desk.session().await;
    assert_eq!(erp.draw(r#"'INV', scope => '{"b":"OLD"}'"#).await.id, "OLD-1");
    desk.redefine("INV", Some(1), &json(r#"["NEW"]"#)).await.unwrap();
    assert_eq!(erp.draw(r#"'INV', scope => '{"b":"OLD"}'"#).await.id, "OLD-2");
    assert_eq!(
        desk.draw(DrawRequest::new(prefix("INV")).scope("b", "OLD")).await,
        "OLD-3"
    );
    let (state, ..) = erp
        .refused(r#"SELECT seqid.next('INV', scope => '{"b":"X"}')"#)
        .await;
    assert_eq!(state, "SQ002");
    desk.verify().await;
}

#[tokio::test]
async fn an_undated_document_of_a_chronological_sequence_has_at_least_the_last_date() {
    let desk = Desk::new().await;
    desk.define("INV", r#"{"format":"{seq}","chronological":true,"days_ahead":5}"#)
        .await
        .unwrap();
    let mut erp = desk.session().await;
    erp.draw("'INV', date => (now() AT TIME ZONE 'UTC')::date + 2")
        .await;
    erp.draw("'INV'").await;
    let dates: i64 = erp
        .one("SELECT count(DISTINCT date) FROM seqid.event WHERE kind = 1")
        .await;
    assert_eq!(dates, 1);
    let (state, ..) = erp
        .refused("SELECT seqid.next('INV', date => (now() AT TIME ZONE 'UTC')::date)")
        .await;
    assert_eq!(state, "SQ008");
    desk.verify().await;
}

#[tokio::test]
async fn a_draw_goes_on_after_whatever_rust_did_to_the_counter() {
    let desk = Desk::new().await;
    desk.define("INV", INVOICES).await.unwrap();
    let mut erp = desk.session().await;
    erp.draw("'INV'").await;
    let reserve = ReserveRequest::new(DrawRequest::new(prefix("INV")), Duration::from_secs(600));
    desk.issuer.reserve(reserve).await.unwrap();
    assert_eq!(erp.draw("'INV'").await.id, "INV-003");
    let counter = || CounterSelector::new(prefix("INV"));
    let void = VoidTarget::Numbers {
        counter: counter(),
        first: Number::new(3).unwrap(),
        last: Number::new(3).unwrap(),
    };
    desk.issuer.void(VoidRequest::new(void, reason())).await.unwrap();
    let reset = ResetRequest::new(counter(), Number::new(50).unwrap(), reason());
    desk.issuer.reset(reset).await.unwrap();
    assert_eq!(erp.draw("'INV'").await.id, "INV-050");
    let close = CloseRequest::new("2026-01-31".parse().unwrap(), reason());
    desk.issuer.close(close).await.unwrap();
    assert_eq!(erp.draw("'INV'").await.id, "INV-051");
    desk.verify().await;
}

#[tokio::test]
async fn sessions_of_other_settings_write_the_same() {
    let desk = Desk::new().await;
    desk.define(
        "INV",
        r#"{"format":"{c}{yyyy}{mm}{dd}-{seq:3}","reset":"month","fields":[{"name":"c","chars":"A-Z"}]}"#,
    )
    .await
    .unwrap();
    let mut erp = desk.session().await;
    erp.run(
        "SET datestyle = 'German'; SET timezone = 'Pacific/Kiritimati'; SET bytea_output = 'escape'; \
         SET standard_conforming_strings = off; SET escape_string_warning = off; SET extra_float_digits = -10; \
         CREATE SCHEMA evil; CREATE FUNCTION evil.lower(text) RETURNS text LANGUAGE sql AS 'SELECT ''evil''::text'; \
         SET search_path = evil, pg_catalog",
    )
    .await;
    let drawn = erp
        .draw(r#"'INV', date => '07.03.2026', fields => '{"c":"X"}', reference => 'SO', key => 'k'"#)
        .await;
    assert_eq!(
        (drawn.id.as_str(), drawn.period.as_str()),
        ("X20260307-001", "2026-03")
    );
    desk.verify().await;
}

#[tokio::test]
async fn a_role_with_the_two_grants_draws_and_does_nothing_else() {
    let desk = Desk::new().await;
    desk.define("INV", INVOICES).await.unwrap();
    let mut owner = desk.session().await;
    let role = format!("erp_{}", desk.database.name());
    owner
        .run(&format!(
            "CREATE ROLE {role}; GRANT USAGE ON SCHEMA seqid TO {role}"
        ))
        .await;
    let mut erp = desk.session().await;
    erp.run(&format!("SET SESSION AUTHORIZATION {role}")).await;
    for function in ["next", "draw"] {
        assert_eq!(
            erp.refused(&format!("SELECT seqid.{function}('INV')")).await.0,
            "42501"
        );
    }
    owner
        .run(&format!(
            "GRANT EXECUTE ON FUNCTION seqid.next, seqid.draw TO {role}"
        ))
        .await;
    assert_eq!(erp.draw("'INV'").await.id, "INV-001");
    // The trigger at the commit has the rights that it needs, and no others are given on.
    erp.run("BEGIN; SELECT seqid.next('INV'); COMMIT").await;
    for sql in [
        "SELECT * FROM seqid.event",
        "SELECT * FROM seqid.audit",
        "SELECT * FROM seqid.counter",
        "SELECT * FROM seqid.sequence",
        "SELECT * FROM seqid.idempotency_key",
        "INSERT INTO seqid.event_waiting SELECT",
        "UPDATE seqid.counter SET next = 1",
        "DELETE FROM seqid.event",
        "SELECT nextval('seqid.chain_id')",
        "CREATE TABLE seqid.mine ()",
        "SELECT seqid.record_waiting()",
        "SELECT seqid.add_month('2099-01-01')",
    ] {
        let (state, ..) = erp.refused(sql).await;
        assert!(state == "42501" || state == "0A000", "{sql}: {state}");
    }
    let client: String = owner
        .one("SELECT string_agg(DISTINCT client, ',') FROM seqid.event WHERE kind = 1")
        .await;
    assert_eq!(client, role);
    desk.verify().await;
    owner.run(&format!("DROP OWNED BY {role}")).await;
}

#[tokio::test]
async fn the_partition_of_a_new_month_is_added_at_the_commit() {
    let desk = Desk::new().await;
    desk.define("INV", INVOICES).await.unwrap();
    let mut erp = desk.session().await;
    // As if this month had just begun.
    erp.run(
        "DO $$ DECLARE month text := 'event_' || to_char(now() AT TIME ZONE 'UTC', 'YYYY_MM'); BEGIN \
         EXECUTE format('ALTER TABLE seqid.event DETACH PARTITION seqid.%I', month); \
         EXECUTE format('ALTER TABLE seqid.%I RENAME TO earlier', month); END $$",
    )
    .await;
    erp.run("BEGIN").await;
    assert_eq!(erp.draw("'INV', key => 'k'").await.id, "INV-001");
    assert!(erp.draw("'INV', key => 'k'").await.replayed);
    erp.run("COMMIT").await;
    let recorded: i64 = erp.one("SELECT count(*) FROM seqid.event").await;
    assert_eq!(recorded, 1);
}

#[tokio::test]
async fn a_caller_that_checks_its_constraints_early_gets_its_events_recorded_early() {
    let desk = Desk::new().await;
    desk.define("INV", INVOICES).await.unwrap();
    let mut erp = desk.session().await;
    erp.run("BEGIN").await;
    erp.draw("'INV'").await;
    erp.run("SET CONSTRAINTS ALL IMMEDIATE").await;
    assert_eq!(erp.draw("'INV', key => 'k'").await.id, "INV-002");
    assert!(erp.draw("'INV', key => 'k'").await.replayed);
    // Its positions are being given out: nothing behind them can be read until it ends.
    let (before, _) = (desk.events().await.len(), desk.define("ORD", INVOICES).await);
    assert_eq!(desk.events().await.len(), before);
    erp.run("COMMIT").await;
    assert!(desk.events().await.len() > before);
    desk.verify().await;
}

#[tokio::test]
async fn keys_are_kept_as_long_as_the_store_says() {
    let desk = Desk::new().await;
    let config: PostgresConfig = desk.database.url().parse().unwrap();
    let config = config.key_retention(Duration::from_secs(2 * 24 * 60 * 60));
    let other = PostgresStore::open(config, Arc::new(Unobserved)).await.unwrap();
    let kept: String = desk
        .session()
        .await
        .one("SELECT key_retention::text FROM seqid.store")
        .await;
    assert_eq!(kept, "48:00:00");
    other.close().await.unwrap();
}

#[tokio::test]
async fn a_link_has_the_hash_of_the_published_vectors() {
    let desk = Desk::new().await;
    let mut session = desk.session().await;
    let plain = r#""kind":1,"generation":1,"epoch":1,"first":41,"step":1,"count":2,"version":1,
        "at":"2026-03-07T00:00:00.000001Z","date":"2026-03-07""#;
    let full = r#","fields":"customer=ACME","actor":"alice","client":"erp","request":"req-1","reference":"SO-1",
        "relates_to":"SO-0","reason":"because","key":"k1","fingerprint":"\\x09090909090909090909090909090909",
        "detail":"{}","reservation":"\\x05050505050505050505050505050505","expires_at":"2026-03-07T00:01:00.000001Z",
        "on_expiry":2"#;
    let link = |before: &str, json: &str| {
        format!(
            "SELECT encode(seqid.link_hash({before}, jsonb_populate_record(NULL::seqid.event, '{{{json}}}')), 'hex')"
        )
    };
    let name = "seqid.chain_name(decode(repeat('07', 16), 'hex'), 'default', 'INV', 'branch=JKT', '2026')";
    let first: String = session.one(&link(name, &format!("{plain},\"n\":1"))).await;
    assert_eq!(
        first,
        "f475435ec74dfb7cf135f7fbbae6b17c62f8fdf4be9e0faaf8c2d4f9b8c6aed4"
    );
    let before = format!("decode('{first}', 'hex')");
    let second: String = session
        .one(&link(&before, &format!("{plain}{full},\"n\":2")))
        .await;
    assert_eq!(
        second,
        "2c52d2122fd338b4383dd533e91eec59b83234ded15d250cfc9a759b99d18755"
    );
}

#[tokio::test]
async fn the_group_of_a_sequence_is_the_one_that_rust_locks() {
    let desk = Desk::new().await;
    let mut session = desk.session().await;
    for prefix in ["A", "a", "INV", "Zz9._-", &"z".repeat(64)] {
        let sum: u32 = prefix.to_ascii_lowercase().bytes().map(u32::from).sum();
        let group: i32 = session
            .one(&format!("SELECT seqid.sequence_group('{prefix}')"))
            .await;
        assert_eq!(u32::try_from(group).unwrap(), sum % 64, "{prefix}");
    }
    // A change of the definition waits for a draw of the same sequence.
    desk.define("INV", INVOICES).await.unwrap();
    session.run("BEGIN").await;
    session.draw("'INV'").await;
    let shared: bool = desk
        .session()
        .await
        .one(
            "SELECT NOT pg_try_advisory_xact_lock(seqid.lock_class('sequence'), seqid.sequence_group('INV'))",
        )
        .await;
    assert!(shared);
    session.run("COMMIT").await;
}
