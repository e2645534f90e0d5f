use serde_json::json;

use crate::{JSON, api};

#[tokio::test]
async fn the_first_draw_of_an_undefined_prefix_is_number_one() {
    let drawn = api()
        .call(
            "POST",
            "/api/v1/next",
            &[JSON, ("x-request-id", "r-1")],
            r#"{"prefix":"INV"}"#,
        )
        .await;
    assert_eq!(
        drawn.ok(200),
        json!({
            "prefix": "INV", "id": "INV-001", "number": 1, "step": 1,
            "period": "all", "period_start": null, "period_end": null, "date": "2026-03-07",
            "scope": {}, "generation": 1, "mode": "gapless", "epoch": 1, "definition_version": 1,
            "reference": null, "request_id": "r-1", "issued_at": "2026-03-07T12:00:00.000000Z",
            "warnings": ["implicit-definition"],
        })
    );
}

#[tokio::test]
async fn a_batch_gives_ids_in_the_order_of_their_numbers() {
    let api = api();
    api.define(
        "INV",
        r#"{"format":"{branch}/{yyyy}/{seq:3}","reset":"year","step":5,"scope":["branch"]}"#,
    )
    .await;
    let body = r#"{"prefix":"INV","count":"2","date":"2027-01-01","scope":{"branch":7},"reference":"SO-1"}"#;
    let batch = api.post("/api/v1/batch", body).await.ok(200);
    assert_eq!(batch["ids"], json!(["7/2027/001", "7/2027/006"]));
    assert_eq!(
        [&batch["first"], &batch["last"], &batch["step"], &batch["count"]],
        [1, 6, 5, 2]
    );
    assert_eq!(
        [&batch["period"], &batch["period_start"], &batch["period_end"]],
        ["2027", "2027-01-01", "2027-12-31"]
    );
    assert_eq!(
        (&batch["scope"], &batch["reference"]),
        (&json!({"branch": "7"}), &json!("SO-1"))
    );
    assert!(batch.get("id").is_none() && batch.get("number").is_none());
}

#[tokio::test]
async fn a_batch_has_1_to_10000_numbers() {
    let api = api();
    for (count, fits) in [
        ("0", false),
        ("1", true),
        ("10000", true),
        ("10001", false),
        ("4294967296", false),
    ] {
        let answer = api
            .post("/api/v1/batch", &format!(r#"{{"prefix":"INV","count":{count}}}"#))
            .await;
        if fits {
            answer.ok(200);
        } else {
            answer.problem(400, "invalid-request");
            answer.blames("/count");
        }
    }
}

#[tokio::test]
async fn a_batch_that_does_not_fit_draws_nothing_and_says_what_remains() {
    let api = api();
    api.define("INV", r#"{"format":"INV-{seq:1!}"}"#).await;
    api.post("/api/v1/batch", r#"{"prefix":"INV","count":7}"#)
        .await
        .ok(200);
    let refused = api.post("/api/v1/batch", r#"{"prefix":"INV","count":3}"#).await;
    assert_eq!(refused.problem(409, "batch-does-not-fit")["remaining"], 2);
    api.post("/api/v1/batch", r#"{"prefix":"INV","count":2}"#)
        .await
        .ok(200);
    assert_eq!(
        api.post("/api/v1/next", r#"{"prefix":"INV"}"#)
            .await
            .problem(409, "exhausted")["remaining"],
        0
    );
}

#[tokio::test]
async fn a_key_gives_the_same_answer_again_and_says_so() {
    let api = api();
    let keyed = |body: &'static str| {
        let headers = [JSON, ("idempotency-key", "k-1"), ("x-request-id", "r")];
        let api = &api;
        async move { api.call("POST", "/api/v1/next", &headers, body).await }
    };
    let first = keyed(r#"{"prefix":"INV"}"#).await;
    let again = keyed(r#"{"prefix":"INV"}"#).await;
    assert_eq!(
        (
            first.header("idempotency-replayed"),
            again.header("idempotency-replayed")
        ),
        ("", "true")
    );
    assert_eq!(first.ok(200), again.ok(200));
    keyed(r#"{"prefix":"INV","date":"2026-03-06"}"#)
        .await
        .problem(422, "idempotency-mismatch");
}

#[tokio::test]
async fn numbers_beyond_2_to_the_53_are_written_as_texts_and_read_as_both() {
    let api = api();
    api.define("BIG", r#"{"format":"B{seq}","max":"9223372036854775807"}"#)
        .await;
    let body = r#"{"prefix":"BIG","last_used":9007199254740993}"#;
    let synced = api.post("/api/v1/sync", body).await.ok(200);
    assert_eq!(
        [&synced["next_number"], &synced["max"]],
        ["9007199254740994", "9223372036854775807"]
    );
    let drawn = api.post("/api/v1/next", r#"{"prefix":"BIG"}"#).await.ok(200);
    assert_eq!([&drawn["number"], &drawn["step"]], ["9007199254740994", "1"]);
    let parsed = api
        .post("/api/v1/parse", r#"{"id":"B9007199254740994","prefix":"BIG"}"#)
        .await
        .ok(200);
    assert_eq!(parsed["number"], "9007199254740994");
    let body = r#"{"prefix":"BIG","last_used":"9223372036854775808"}"#;
    api.post("/api/v1/sync", body).await.blames("/last_used");
}

#[tokio::test]
async fn the_tenant_is_that_of_the_header_or_the_body_and_never_of_two() {
    let api = api();
    let draw = |tenant: &'static str, body: &'static str| {
        let headers = if tenant.is_empty() {
            vec![JSON]
        } else {
            vec![JSON, ("seqid-tenant", tenant)]
        };
        let api = &api;
        async move { api.call("POST", "/api/v1/next", &headers, body).await }
    };
    assert_eq!(draw("acme", r#"{"prefix":"INV"}"#).await.ok(200)["number"], 1);
    assert_eq!(
        draw("", r#"{"prefix":"INV","tenant":"acme"}"#).await.ok(200)["number"],
        2
    );
    assert_eq!(
        draw("acme", r#"{"prefix":"INV","tenant":"acme"}"#).await.ok(200)["number"],
        3
    );
    assert_eq!(
        draw("", r#"{"prefix":"INV","tenant":null}"#).await.ok(200)["number"],
        1
    );
    assert_eq!(
        draw("", r#"{"prefix":"INV","tenant":"default"}"#).await.ok(200)["number"],
        2
    );
    draw("acme", r#"{"prefix":"INV","tenant":"other"}"#)
        .await
        .problem(400, "tenant-mismatch");
    draw("a/b", r#"{"prefix":"INV"}"#).await.blames("Seqid-Tenant");
}

#[tokio::test]
async fn a_null_is_the_same_as_an_absent_member() {
    let body = r#"{"prefix":"INV","tenant":null,"date":null,"scope":null,"fields":{"x":null},"reference":null,
        "relates_to":null,"client_id":null}"#;
    assert_eq!(api().post("/api/v1/next", body).await.ok(200)["id"], "INV-001");
}

#[tokio::test]
async fn a_draw_by_path_is_refused_with_the_way_to_draw() {
    for (method, path) in [
        ("GET", "/api/v1/next/INV"),
        ("POST", "/api/v1/next/INV/2"),
        ("GET", "/api/v1/next"),
    ] {
        let answer = api().call(method, path, &[], "").await;
        let detail = answer.problem(405, "method-not-allowed")["detail"].to_string();
        assert_eq!(answer.header("allow"), "POST");
        assert!(detail.contains("POST /api/v1/next"), "{detail}");
    }
}
