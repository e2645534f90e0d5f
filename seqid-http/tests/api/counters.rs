use serde_json::{Value, json};

use crate::{Api, JSON, api, service};
use seqid_http::router;

async fn drawn(count: u32) -> Api {
    let api = api();
    api.post("/api/v1/batch", &format!(r#"{{"prefix":"INV","count":{count}}}"#))
        .await
        .ok(200);
    api
}

#[tokio::test]
async fn a_status_has_every_member() {
    let api = drawn(3).await;
    assert_eq!(
        api.get("/api/v1/status/INV").await.ok(200),
        json!({
            "prefix": "INV", "mode": "gapless", "period": "all", "period_start": null, "period_end": null,
            "scope": {}, "opened": true, "last_number": 3, "next_number": 4, "next_id": "INV-004",
            "remaining": 9_007_199_254_740_988_u64, "max": 9_007_199_254_740_991_u64, "generation": 1, "epoch": 1,
            "definition_version": 1, "reserved": 0, "voided": 0, "events": 1, "archived": false,
            "forecast": {"last_day": 3, "last_week": 3, "last_month": 3, "ends_on": null},
            "warnings": ["implicit-definition"],
        })
    );
}

#[tokio::test]
async fn the_status_of_a_sequence_that_nobody_defined_is_not_found() {
    api()
        .get("/api/v1/status/NONE")
        .await
        .problem(404, "sequence-not-found");
}

#[tokio::test]
async fn a_status_is_that_of_the_counter_that_the_query_names() {
    let api = api();
    let definition = r#"{"format":"{branch}/{yyyy}{mm}/{seq}","reset":"month","scope":["branch"]}"#;
    api.define("INV", definition).await;
    api.post(
        "/api/v1/next",
        r#"{"prefix":"INV","scope":{"branch":"JKT"},"date":"2026-02-28"}"#,
    )
    .await
    .ok(200);
    let status = async |query: &str| api.get(&format!("/api/v1/status/INV?{query}")).await;
    let next = async |query: &str| status(query).await.ok(200)["next_number"].clone();
    assert_eq!(next("scope.branch=JKT&period=2026-02").await, 2);
    assert_eq!(next("scope.branch=JKT&date=2026-02-01").await, 2);
    assert_eq!(next("scope.branch=JKT").await, 1);
    assert_eq!(next("scope.branch=SUB&period=2026-02").await, 1);
    status("").await.problem(400, "scope-mismatch");
    status("scope.branch=JKT&period=2026").await.blames("?period");
    let detail = status("scope.branch=JKT&period=2026").await.json()["detail"].to_string();
    assert!(detail.starts_with("\"?period: "), "{detail}");
    status("scope.branch=JKT&date=2026-02-30").await.blames("?date");
    status("scope.branch=JKT&date=2026-02-01&period=2026-02")
        .await
        .blames("?period");
    status("scope.branch=JKT&scope.branch=SUB")
        .await
        .blames("?scope.branch");
    status("branch=JKT").await.blames("?branch");
}

#[tokio::test]
async fn a_reset_answers_with_the_old_and_the_new_next_number() {
    let api = drawn(3).await;
    let body = r#"{"prefix":"INV","new_value":1000,"reason":"Year reset"}"#;
    let moved = api.post("/api/v1/reset", body).await.ok(200);
    assert_eq!(
        [
            &moved["old_next_number"],
            &moved["next_number"],
            &moved["next_id"]
        ],
        [&json!(4), &json!(1000), &json!("INV-1000")]
    );
    let status = api.get("/api/v1/status/INV").await.ok(200);
    for (name, value) in status.as_object().unwrap() {
        if name == "forecast" {
            assert!(moved[name].is_null(), "a move has none");
        } else {
            assert_eq!(&moved[name], value, "{name}");
        }
    }
}

#[tokio::test]
async fn a_reset_to_zero_is_refused_with_a_hint_where_counters_start_at_one() {
    let answer = drawn(3)
        .await
        .post("/api/v1/reset", r#"{"prefix":"INV","new_value":0,"reason":"x"}"#)
        .await;
    assert!(
        answer.problem(400, "invalid-request")["detail"]
            .as_str()
            .unwrap()
            .contains("to restart at 1 send 1")
    );
    answer.blames("/new_value");
}

#[tokio::test]
async fn a_reset_over_issued_numbers_needs_a_service_that_allows_repeats() {
    let refused = drawn(3).await;
    let plain = r#"{"prefix":"INV","new_value":1,"reason":"x"}"#;
    let forced = r#"{"prefix":"INV","new_value":1,"reason":"x","repeats":"accepted"}"#;
    refused
        .post("/api/v1/reset", plain)
        .await
        .problem(409, "would-repeat");
    refused
        .post("/api/v1/reset", forced)
        .await
        .problem(403, "force-not-allowed");

    let allowed = Api(router(service().allow_repeats(true)));
    allowed.post("/api/v1/next", r#"{"prefix":"INV"}"#).await.ok(200);
    allowed
        .post("/api/v1/reset", plain)
        .await
        .problem(409, "would-repeat");
    assert_eq!(
        allowed.post("/api/v1/reset", forced).await.ok(200)["generation"],
        2
    );
    assert_eq!(
        allowed.post("/api/v1/next", r#"{"prefix":"INV"}"#).await.ok(200)["id"],
        "INV-001"
    );
}

#[tokio::test]
async fn a_reset_needs_a_reason() {
    drawn(1)
        .await
        .post("/api/v1/reset", r#"{"prefix":"INV","new_value":9}"#)
        .await
        .problem(400, "invalid-request");
}

#[tokio::test]
async fn a_sync_goes_forward_only_under_either_name() {
    let api = drawn(3).await;
    let sync = async |body: &str| api.post("/api/v1/sync", body).await;
    assert_eq!(
        sync(r#"{"prefix":"INV","last_used":1234}"#).await.ok(200)["next_number"],
        1235
    );
    assert_eq!(
        sync(r#"{"prefix":"INV","at_least":"100"}"#).await.ok(200)["next_number"],
        1235
    );
    assert_eq!(
        sync(r#"{"prefix":"INV","at_least":2000,"reason":"import"}"#)
            .await
            .ok(200)["next_number"],
        2001
    );
    sync(r#"{"prefix":"INV","at_least":1,"last_used":1}"#)
        .await
        .problem(400, "invalid-request");
    sync(r#"{"prefix":"INV"}"#).await.problem(400, "invalid-request");
}

#[tokio::test]
async fn a_move_under_a_used_key_is_a_replay() {
    let api = drawn(3).await;
    let headers = [JSON, ("idempotency-key", "k")];
    let body = r#"{"prefix":"INV","new_value":10,"reason":"x"}"#;
    let first = api.call("POST", "/api/v1/reset", &headers, body).await;
    let again = api.call("POST", "/api/v1/reset", &headers, body).await;
    assert_eq!(
        (
            first.header("idempotency-replayed"),
            again.header("idempotency-replayed")
        ),
        ("", "true")
    );
    assert_eq!(first.ok(200)["old_next_number"], again.ok(200)["old_next_number"]);
}

#[tokio::test]
async fn counters_are_listed_in_parts() {
    let api = api();
    api.define("INV", r#"{"format":"{yyyy}-{seq}","reset":"year"}"#)
        .await;
    for year in [2024, 2026, 2025] {
        api.post(
            "/api/v1/next",
            &format!(r#"{{"prefix":"INV","date":"{year}-01-01"}}"#),
        )
        .await
        .ok(200);
    }
    let periods = |part: &Value| -> Vec<String> {
        part["items"]
            .as_array()
            .unwrap()
            .iter()
            .map(|item| item["period"].as_str().unwrap().into())
            .collect()
    };
    let first = api.get("/api/v1/counters?prefix=INV&limit=2").await.ok(200);
    assert_eq!(periods(&first), ["2024", "2026"]);
    let after = first["next"].as_str().unwrap();
    let second = api
        .get(&format!("/api/v1/counters?prefix=INV&limit=2&after={after}"))
        .await
        .ok(200);
    assert_eq!(
        (periods(&second), &second["next"]),
        (vec!["2025".to_owned()], &Value::Null)
    );
}

#[tokio::test]
async fn a_list_has_1_to_1000_items() {
    let api = drawn(1).await;
    for (limit, fits) in [
        ("0", false),
        ("1", true),
        ("1000", true),
        ("1001", false),
        ("x", false),
        ("", false),
    ] {
        let answer = api
            .get(&format!("/api/v1/counters?prefix=INV&limit={limit}"))
            .await;
        if fits {
            answer.ok(200);
        } else {
            answer.blames("?limit");
        }
    }
    api.get("/api/v1/counters").await.blames("?prefix");
    api.get("/api/v1/counters?prefix=INV&after=x")
        .await
        .blames("?after");
}
