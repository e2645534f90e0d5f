use serde_json::{Value, json};

use crate::{Api, JSON, api};

const INV: &str = "/api/v1/sequences/INV";
const ARCHIVE: &str = "/api/v1/sequences/INV/archive";

async fn defined() -> Api {
    let api = api();
    api.define("INV", r#"{"format":"INV-{yyyy}{mm}-{seq}","reset":"month"}"#)
        .await;
    api
}

async fn draw(api: &Api, date: &str) -> crate::Answer {
    api.post("/api/v1/next", &format!(r#"{{"prefix":"INV","date":"{date}"}}"#))
        .await
}

#[tokio::test]
async fn closed_dates_get_no_numbers_and_say_what_closed_them() {
    let api = defined().await;
    let body = r#"{"prefix":"INV","through":"2026-03-31","reason":"VAT return","client_id":"ledger"}"#;
    let closed = api.post("/api/v1/close", body).await.ok(200);
    assert_eq!(
        closed,
        json!({"prefix": "INV", "closed_through": "2026-03-31", "changed": true})
    );
    let again = api.post("/api/v1/close", body).await.ok(200);
    assert_eq!(
        again,
        json!({"prefix": "INV", "closed_through": "2026-03-31", "changed": false})
    );
    let refused = draw(&api, "2026-03-31").await.problem(409, "period-closed");
    assert_eq!(
        refused["detail"],
        "documents of dates up to 2026-03-31 are closed in this sequence"
    );
    assert_eq!(draw(&api, "2026-04-01").await.ok(200)["id"], "INV-202604-1");
    assert_eq!(api.get(INV).await.ok(200)["closed_through"], "2026-03-31");
    for (path, body) in [
        ("/api/v1/batch", r#"{"prefix":"INV","count":2}"#),
        ("/api/v1/reserve", r#"{"prefix":"INV"}"#),
        ("/api/v1/reset", r#"{"prefix":"INV","new_value":5,"reason":"x"}"#),
        ("/api/v1/sync", r#"{"prefix":"INV","last_used":5}"#),
        ("/api/v1/void", r#"{"prefix":"INV","number":1,"reason":"x"}"#),
    ] {
        api.post(path, body).await.problem(409, "period-closed");
    }
    let body = r#"{"prefix":"INV","from":"2026-03-31","reason":"a forgotten invoice"}"#;
    let opened = api.post("/api/v1/reopen", body).await.ok(200);
    assert_eq!(
        opened,
        json!({"prefix": "INV", "closed_through": "2026-03-30", "changed": true})
    );
    assert_eq!(draw(&api, "2026-03-31").await.ok(200)["id"], "INV-202603-1");
    let audit = api
        .get("/api/v1/audit?prefix=INV&kind=closed,reopened&order=asc")
        .await
        .ok(200);
    let told: Vec<_> = audit["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|event| [&event["kind"], &event["date"], &event["reason"], &event["client"]])
        .collect();
    assert_eq!(
        told,
        [
            [
                &json!("closed"),
                &json!("2026-03-31"),
                &json!("VAT return"),
                &json!("ledger")
            ],
            [
                &json!("reopened"),
                &json!("2026-03-31"),
                &json!("a forgotten invoice"),
                &Value::Null
            ],
        ]
    );
}

#[tokio::test]
async fn without_a_prefix_all_sequences_are_closed() {
    let api = defined().await;
    for prefix in ["", r#""prefix":null,"#] {
        let body = format!(r#"{{{prefix}"through":"2026-03-31","reason":"x"}}"#);
        let closed = api.post("/api/v1/close", &body).await.ok(200);
        assert_eq!(
            [&closed["prefix"], &closed["closed_through"]],
            [&Value::Null, &json!("2026-03-31")]
        );
    }
    let refused = draw(&api, "2026-03-07").await.problem(409, "period-closed");
    assert_eq!(
        refused["detail"],
        "documents of dates up to 2026-03-31 are closed in all sequences"
    );
    let body = r#"{"prefix":"INV","from":"2026-03-01","reason":"x"}"#;
    let refused = api
        .post("/api/v1/reopen", body)
        .await
        .problem(409, "period-closed");
    assert_eq!(
        refused["detail"],
        "all sequences are closed through 2026-03-31: reopen them all, without a prefix"
    );
    let listed = api.get("/api/v1/sequences").await.ok(200);
    assert_eq!(listed["items"].as_array().map(Vec::len), Some(1));
    for prefix in ["*", "%2A"] {
        let audit = api.get(&format!("/api/v1/audit?prefix={prefix}")).await.ok(200);
        assert_eq!(audit["items"].as_array().map(Vec::len), Some(1));
        assert_eq!(
            [&audit["items"][0]["kind"], &audit["items"][0]["prefix"]],
            ["closed", "*"]
        );
    }
    api.get("/api/v1/audit?prefix=*&period=2026-03")
        .await
        .blames("?period");
    let open = api
        .post("/api/v1/reopen", r#"{"from":"0001-01-01","reason":"x"}"#)
        .await
        .ok(200);
    assert_eq!(open["closed_through"], Value::Null);
    draw(&api, "2026-03-07").await.ok(200);
}

#[tokio::test]
async fn nothing_is_closed_by_a_request_that_is_not_whole() {
    let api = defined().await;
    for (path, body, pointer) in [
        ("/api/v1/close", r#"{"through":"2026-03-31"}"#, ""),
        ("/api/v1/close", r#"{"reason":"x"}"#, ""),
        (
            "/api/v1/close",
            r#"{"through":"2026-02-30","reason":"x"}"#,
            "/through",
        ),
        (
            "/api/v1/close",
            r#"{"through":"2026-03-31","reason":""}"#,
            "/reason",
        ),
        (
            "/api/v1/close",
            r#"{"prefix":"*","through":"2026-03-31","reason":"x"}"#,
            "/prefix",
        ),
        ("/api/v1/reopen", r#"{"from":"March","reason":"x"}"#, "/from"),
        (
            "/api/v1/reopen",
            r#"{"from":"2026-03-01","reason":"x","through":"2026-03-31"}"#,
            "/through",
        ),
    ] {
        let answer = api.post(path, body).await;
        answer.problem(400, "invalid-request");
        answer.blames(pointer);
    }
    let missing = r#"{"prefix":"ORD","through":"2026-03-31","reason":"x"}"#;
    api.post("/api/v1/close", missing)
        .await
        .problem(404, "sequence-not-found");
    draw(&api, "2026-03-07").await.ok(200);
}

#[tokio::test]
async fn a_close_is_repeated_under_its_key() {
    let api = defined().await;
    let close = async |key: &str, through: &str| {
        let body = format!(r#"{{"prefix":"INV","through":"{through}","reason":"x"}}"#);
        api.call("POST", "/api/v1/close", &[JSON, ("idempotency-key", key)], &body)
            .await
    };
    let first = close("k", "2026-03-31").await;
    assert_eq!(first.header("idempotency-replayed"), "");
    let again = close("k", "2026-03-31").await;
    assert_eq!(again.header("idempotency-replayed"), "true");
    assert_eq!(again.ok(200), first.ok(200));
    close("k", "2026-04-30")
        .await
        .problem(422, "idempotency-mismatch");
}

#[tokio::test]
async fn an_archived_sequence_can_be_read_and_gives_nothing() {
    let api = defined().await;
    draw(&api, "2026-03-07").await.ok(200);
    let archived = api.post(ARCHIVE, r#"{"reason":"replaced"}"#).await;
    assert_eq!(archived.header("idempotency-replayed"), "");
    assert_eq!(archived.ok(200)["archived"], true);
    let again = api.post(ARCHIVE, r#"{"reason":"other"}"#).await;
    assert_eq!(again.header("idempotency-replayed"), "true");
    assert_eq!(again.ok(200)["archived"], true);
    draw(&api, "2026-04-01").await.problem(409, "sequence-archived");
    let shown = api.get(INV).await.ok(200);
    assert_eq!(shown["archived"], true);
    let definition = shown["definition"].to_string();
    api.put(INV, &definition).await.problem(409, "sequence-archived");
    api.put(&format!("{INV}?dry_run=true"), &definition)
        .await
        .problem(409, "sequence-archived");
    let tag = ("if-match", "\"1\"");
    api.call("PATCH", INV, &[JSON, tag], r#"{"description":"x"}"#)
        .await
        .problem(409, "sequence-archived");
    assert_eq!(
        api.get("/api/v1/sequences").await.ok(200)["items"][0]["archived"],
        true
    );
    assert_eq!(api.get("/api/v1/status/INV").await.ok(200)["archived"], true);
    assert_eq!(api.get("/api/v1/gaps/INV").await.ok(200)["summary"]["count"], 1);
    api.post("/api/v1/parse", r#"{"id":"INV-202603-1"}"#)
        .await
        .ok(200);
    api.post("/api/v1/preview", r#"{"prefix":"INV","number":1}"#)
        .await
        .ok(200);
    let audit = api.get("/api/v1/audit?prefix=INV&kind=archived").await.ok(200);
    assert_eq!(audit["items"][0]["reason"], "replaced");
}

#[tokio::test]
async fn a_reason_is_required_to_end_a_sequence() {
    let api = defined().await;
    api.post(ARCHIVE, "{}").await.blames("");
    api.call("DELETE", INV, &[], "").await.blames("/reason");
    api.call("DELETE", &format!("{INV}?reason="), &[], "")
        .await
        .blames("?reason");
    api.call("DELETE", &format!("{INV}?reason=a"), &[JSON], r#"{"reason":"b"}"#)
        .await
        .blames("?reason");
    api.call("DELETE", &format!("{INV}?because=a"), &[], "")
        .await
        .blames("?because");
    assert_eq!(api.get(INV).await.ok(200)["archived"], false);
    for (path, body) in [
        (format!("{INV}?reason=replaced"), ""),
        (INV.to_owned(), r#"{"reason":"replaced"}"#),
        (format!("{INV}?reason=replaced"), r#"{"reason":"replaced"}"#),
    ] {
        let archived = api.call("DELETE", &path, &[JSON], body).await.ok(200);
        assert_eq!(archived["archived"], true);
    }
}

#[tokio::test]
async fn a_sequence_is_ended_at_its_version_and_without_reservations() {
    let api = defined().await;
    let reserved = api.post("/api/v1/reserve", r#"{"prefix":"INV"}"#).await.ok(201);
    let reason = r#"{"reason":"replaced"}"#;
    api.post(ARCHIVE, reason)
        .await
        .problem(409, "has-open-reservations");
    let reservation = reserved["reservation"].as_str().unwrap();
    let void = format!("/api/v1/reservations/{reservation}/void");
    api.post(&void, reason).await.ok(200);
    for (tag, status) in [("\"2\"", 412), ("\"1\"", 200)] {
        let answer = api
            .call("POST", ARCHIVE, &[JSON, ("if-match", tag)], reason)
            .await;
        assert_eq!(answer.status.as_u16(), status);
    }
    api.post("/api/v1/sequences/ORD/archive", reason)
        .await
        .problem(404, "sequence-not-found");
}

#[tokio::test]
async fn versions_are_listed_with_what_changed() {
    let api = defined().await;
    let changed = r#"{"format":"INV-{yyyy}{mm}-{seq:3}","reset":"month"}"#;
    api.call("PUT", INV, &[JSON, ("if-match", "\"1\"")], changed)
        .await
        .ok(200);
    let versions = api.get(&format!("{INV}/versions")).await.ok(200);
    assert_eq!(versions["next"], Value::Null);
    let [first, second] = &versions["items"].as_array().unwrap()[..] else {
        panic!("{versions}")
    };
    assert_eq!([&first["version"], &second["version"]], [1, 2]);
    assert_eq!(first["changes"], json!([]));
    assert_eq!(
        second["changes"],
        json!([{
            "member": "format",
            "before": "INV-{yyyy}{mm}-{seq}",
            "after": "INV-{yyyy}{mm}-{seq:3}",
        }])
    );
    assert_eq!(second["definition"], api.get(INV).await.ok(200)["definition"]);
    let page = api.get(&format!("{INV}/versions?limit=1")).await.ok(200);
    assert_eq!(
        (&page["items"][0]["version"], &page["next"]),
        (&json!(1), &json!("1"))
    );
    let page = api.get(&format!("{INV}/versions?limit=1&after=1")).await.ok(200);
    assert_eq!(
        (&page["items"][0]["version"], &page["next"]),
        (&json!(2), &Value::Null)
    );
    api.get(&format!("{INV}/versions?after=x")).await.blames("?after");
    api.get(&format!("{INV}/versions?limit=0")).await.blames("?limit");
    api.get("/api/v1/sequences/ORD/versions")
        .await
        .problem(404, "sequence-not-found");
}
