use serde_json::{Value, json};

use crate::{Answer, Api, JSON, api};

async fn drawn(count: u32) -> Api {
    let api = api();
    api.post("/api/v1/batch", &format!(r#"{{"prefix":"INV","count":{count}}}"#))
        .await
        .ok(200);
    api
}

/// Voids with these members, for a reason.
async fn void(api: &Api, members: &str) -> Answer {
    api.post("/api/v1/void", &format!(r#"{{{members},"reason":"x"}}"#))
        .await
}

#[tokio::test]
async fn an_issued_number_is_voided_by_its_number() {
    let api = drawn(3).await;
    let first = void(&api, r#""prefix":"INV","number":2"#).await;
    let again = void(&api, r#""prefix":"INV","number":2"#).await;
    assert_eq!(
        (
            first.header("idempotency-replayed"),
            again.header("idempotency-replayed")
        ),
        ("", "true")
    );
    let expected = json!({
        "prefix": "INV", "first": 2, "last": 2, "step": 1, "count": 1, "period": "all", "period_start": null,
        "period_end": null, "scope": {}, "generation": 1,
    });
    assert_eq!((first.ok(200), again.ok(200)), (expected.clone(), expected));
    let status = api.get("/api/v1/status/INV").await.ok(200);
    assert_eq!([&status["voided"], &status["next_number"]], [1, 4]);
}

#[tokio::test]
async fn the_next_numbers_are_voided_by_the_first_and_the_last() {
    let api = drawn(3).await;
    assert_eq!(
        void(&api, r#""prefix":"INV","first":4,"last":"6""#).await.ok(200)["count"],
        3
    );
    assert_eq!(
        api.post("/api/v1/next", r#"{"prefix":"INV"}"#).await.ok(200)["number"],
        7
    );
}

#[tokio::test]
async fn a_number_is_voided_by_its_id_where_that_tells_the_period() {
    let api = api();
    let definition = r#"{"format":"{branch}/{yyyy}/{seq}","reset":"year","scope":["branch"]}"#;
    api.define("INV", definition).await;
    api.define(
        "MUTE",
        r#"{"format":"M{seq}","reset":"year","repeats":"accepted"}"#,
    )
    .await;
    let body = r#"{"prefix":"INV","scope":{"branch":"JKT"},"date":"2025-12-31"}"#;
    api.post("/api/v1/next", body).await.ok(200);
    let voided = void(&api, r#""id":"JKT/2025/1""#).await.ok(200);
    assert_eq!(
        [&voided["prefix"], &voided["period"], &voided["scope"]],
        [&json!("INV"), &json!("2025"), &json!({"branch": "JKT"})]
    );
    let again = void(
        &api,
        r#""prefix":"INV","number":1,"period":"2025","scope":{"branch":"JKT"}"#,
    )
    .await;
    assert_eq!(again.header("idempotency-replayed"), "true");
    let again = void(
        &api,
        r#""prefix":"INV","number":1,"date":"2025-06-01","scope":{"branch":"JKT"}"#,
    )
    .await;
    assert_eq!(again.header("idempotency-replayed"), "true");
    void(&api, r#""id":"M1""#).await.blames("/id");
    void(&api, r#""id":"JKT-2025-1""#)
        .await
        .problem(404, "id-not-recognised");
    void(&api, r#""prefix":"INV","number":1"#)
        .await
        .problem(400, "scope-mismatch");
}

#[tokio::test]
async fn a_number_that_is_neither_issued_nor_next_is_not_voidable() {
    let api = drawn(3).await;
    api.post("/api/v1/reserve", r#"{"prefix":"INV"}"#).await.ok(201);
    for (members, pointer) in [
        (r#""number":4"#, Some("/number")),
        (r#""number":9"#, Some("/number")),
        (r#""first":3,"last":4"#, None),
        (r#""first":3,"last":5"#, None),
    ] {
        let answer = void(&api, &format!(r#""prefix":"INV",{members}"#)).await;
        let problem = answer.problem(409, "not-voidable");
        assert_eq!(problem["errors"][0]["pointer"].as_str(), pointer, "{members}");
    }
    let answer = void(&api, r#""prefix":"INV","id":"INV-004""#).await;
    answer.problem(409, "not-voidable");
    answer.blames("/id");
}

#[tokio::test]
async fn what_is_wrong_with_a_void_is_pointed_at() {
    let api = drawn(3).await;
    api.define("FIVE", r#"{"format":"F{seq}","step":5,"max":21}"#)
        .await;
    for (members, pointer) in [
        (r#""prefix":"INV""#, ""),
        (r#""number":1"#, "/prefix"),
        (r#""prefix":"INV","first":1"#, "/last"),
        (r#""prefix":"INV","last":1"#, "/first"),
        (r#""prefix":"INV","number":1,"first":1,"last":1"#, "/number"),
        (r#""prefix":"INV","number":1,"last":1"#, "/number"),
        (r#""prefix":"INV","number":0"#, "/number"),
        (r#""prefix":"INV","number":-1"#, "/number"),
        (r#""prefix":"INV","number":1.5"#, "/number"),
        (r#""prefix":"INV","number":9223372036854775808"#, "/number"),
        (r#""prefix":"INV","first":2,"last":1"#, "/last"),
        (r#""prefix":"FIVE","first":2,"last":7"#, "/first"),
        (r#""prefix":"FIVE","first":1,"last":5"#, "/last"),
        (
            r#""prefix":"INV","number":1,"date":"2026-03-07","period":"all""#,
            "/period",
        ),
        (r#""prefix":"INV","number":1,"period":"2026""#, "/period"),
        (r#""id":"INV-001","number":1"#, "/number"),
        (r#""id":"INV-001","first":1"#, "/first"),
        (r#""id":"INV-001","last":1"#, "/last"),
        (r#""id":"INV-001","scope":{"a":1}"#, "/scope"),
        (r#""id":"INV-001","date":"2026-03-07""#, "/date"),
        (r#""id":"INV-001","period":"all""#, "/period"),
        (r#""id":1"#, "/id"),
        (r#""prefix":"INV","number":1,"count":1"#, "/count"),
    ] {
        let answer = void(&api, members).await;
        answer.problem(400, "invalid-request");
        answer.blames(pointer);
    }
    let beyond = void(&api, r#""prefix":"FIVE","first":1,"last":26"#).await;
    assert_eq!(beyond.problem(409, "batch-does-not-fit")["remaining"], 5);
    beyond.blames("/last");
    api.post("/api/v1/void", r#"{"prefix":"INV","number":1}"#)
        .await
        .problem(400, "invalid-request");
    void(&api, r#""prefix":"NONE","number":1"#)
        .await
        .problem(404, "sequence-not-found");
}

#[tokio::test]
async fn a_void_is_of_the_caller_s_tenant() {
    let api = drawn(3).await;
    void(&api, r#""prefix":"INV","number":1,"tenant":"acme""#)
        .await
        .problem(404, "sequence-not-found");
    void(&api, r#""id":"INV-001","tenant":"acme""#)
        .await
        .problem(404, "id-not-recognised");
    let headers = [JSON, ("seqid-tenant", "acme")];
    let body = r#"{"prefix":"INV","number":1,"reason":"x","tenant":"other"}"#;
    api.call("POST", "/api/v1/void", &headers, body)
        .await
        .problem(400, "tenant-mismatch");
}

#[tokio::test]
async fn a_void_under_a_used_key_is_a_replay() {
    let api = drawn(3).await;
    let keyed = async |body: &str| {
        let headers = [JSON, ("idempotency-key", "k")];
        api.call("POST", "/api/v1/void", &headers, body).await
    };
    let body = r#"{"prefix":"INV","first":4,"last":5,"reason":"x"}"#;
    let first = keyed(body).await;
    let again = keyed(body).await;
    assert_eq!(again.header("idempotency-replayed"), "true");
    let (first, again): (Value, Value) = (first.ok(200), again.ok(200));
    assert_eq!(first, again);
    keyed(r#"{"prefix":"INV","number":3,"reason":"x"}"#)
        .await
        .problem(422, "idempotency-mismatch");
}
