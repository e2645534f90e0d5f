use serde_json::json;

use crate::{Answer, Api, api};

const CSV: (&str, &str) = ("content-type", "text/csv");

/// An API with a sequence of yearly numbers.
async fn yearly() -> Api {
    let api = api();
    api.define("INV", r#"{"format":"INV-{yyyy}-{seq:5}","reset":"year"}"#)
        .await;
    api
}

async fn csv(api: &Api, body: &str) -> Answer {
    let path = "/api/v1/adopt?prefix=INV&reason=from+the+old+system";
    api.call("POST", path, &[CSV], body).await
}

/// How many events the audit has.
async fn events(api: &Api) -> usize {
    let page = api.get("/api/v1/audit?limit=1000").await.ok(200);
    page["items"].as_array().unwrap().len()
}

#[tokio::test]
async fn a_list_in_json_is_adopted_whole() {
    let api = yearly().await;
    let body =
        r#"{"prefix":"INV","ids":["INV-2025-00002","INV-2026-00004","INV-2025-00003"],"reason":"old"}"#;
    let expected = json!({
        "prefix": "INV", "adopted": 3, "already_adopted": 0, "skipped": 4, "counters_total": 2, "dry_run": false,
        "counters": [
            {
                "period": "2025", "period_start": "2025-01-01", "period_end": "2025-12-31", "scope": {},
                "first": 2, "last": 3, "adopted": 2, "next_number": 4, "next_id": "INV-2025-00004",
            },
            {
                "period": "2026", "period_start": "2026-01-01", "period_end": "2026-12-31", "scope": {},
                "first": 4, "last": 4, "adopted": 1, "next_number": 5, "next_id": "INV-2026-00005",
            },
        ],
    });
    assert_eq!(api.post("/api/v1/adopt", body).await.ok(200), expected);
    let again = api.post("/api/v1/adopt", body).await.ok(200);
    assert_eq!([&again["adopted"], &again["already_adopted"]], [0, 3]);
    let drawn = api.post("/api/v1/next", r#"{"prefix":"INV"}"#).await.ok(200);
    assert_eq!(drawn["id"], "INV-2026-00005");
}

#[tokio::test]
async fn a_dry_run_and_a_repeated_key_are_told() {
    let api = yearly().await;
    let before = events(&api).await;
    let list = |dry| format!(r#"{{"prefix":"INV","ids":["INV-2026-00001"],"reason":"old","dry_run":{dry}}}"#);
    let dry = api.post("/api/v1/adopt", &list(true)).await.ok(200);
    assert_eq!((&dry["adopted"], &dry["dry_run"]), (&json!(1), &json!(true)));
    assert_eq!(events(&api).await, before);
    let headers = [crate::JSON, ("idempotency-key", "adopt")];
    let first = api.call("POST", "/api/v1/adopt", &headers, &list(false)).await;
    let again = api.call("POST", "/api/v1/adopt", &headers, &list(false)).await;
    assert_eq!(
        (
            first.header("idempotency-replayed"),
            again.header("idempotency-replayed")
        ),
        ("", "true")
    );
    assert_eq!(first.ok(200), again.ok(200));
}

#[tokio::test]
async fn wrong_ids_of_a_json_list_are_named_by_their_places() {
    let api = yearly().await;
    api.post("/api/v1/next", r#"{"prefix":"INV"}"#).await.ok(200);
    let before = events(&api).await;
    let ids = r#"["INV-2026-00007","INV-7","INV-2026-00001","INV-2026-00007"]"#;
    let answer = api
        .post(
            "/api/v1/adopt",
            &format!(r#"{{"prefix":"INV","ids":{ids},"reason":"old"}}"#),
        )
        .await;
    let problem = answer.problem(422, "adoption-refused");
    assert_eq!(
        problem["detail"],
        "3 of 4 ids cannot be adopted, so that none was"
    );
    assert_eq!(
        problem["errors"],
        json!([
            {"pointer": "/ids/1", "code": "id-not-recognised", "detail": "\"INV-7\" is not an id of sequence INV"},
            {"pointer": "/ids/2", "code": "id-taken", "detail": "\"INV-2026-00001\": the number is issued"},
            {"pointer": "/ids/3", "code": "id-taken", "detail": "\"INV-2026-00007\" is /ids/0 again"},
        ])
    );
    assert_eq!(events(&api).await, before);
}

#[tokio::test]
async fn a_csv_file_is_adopted_by_its_first_column() {
    let api = yearly().await;
    let adopted = csv(
        &api,
        "id,customer\r\nINV-2026-00001,ACME\r\n\"INV-2026-00002\",\"Smith, J.\"\r\n",
    )
    .await;
    assert_eq!(adopted.ok(200)["adopted"], 2);
    let path = "/api/v1/adopt?prefix=INV&reason=old&dry_run=true";
    let dry = api.call("POST", path, &[CSV], "INV-2026-00009\n").await.ok(200);
    assert_eq!((&dry["skipped"], &dry["dry_run"]), (&json!(6), &json!(true)));
    assert_eq!(
        api.get("/api/v1/status/INV").await.ok(200)["next_id"],
        "INV-2026-00003"
    );
}

#[tokio::test]
async fn three_wrong_lines_among_100_000_are_exactly_those_that_are_named() {
    let api = yearly().await;
    let before = events(&api).await;
    let mut lines: Vec<String> = (1..=100_000).map(|n| format!("INV-2026-{n:05}")).collect();
    lines[4_998] = "INV-2026-4999".to_owned();
    lines[50_000] = "INV-2026-00007".to_owned();
    lines[99_999] = "INV-1899-00001".to_owned();
    let file = |lines: &[String]| format!("id\n{}\n", lines.join("\n"));
    let problem = csv(&api, &file(&lines)).await.problem(422, "adoption-refused");
    assert_eq!(
        problem["detail"],
        "3 of 100000 ids cannot be adopted, so that none was"
    );
    let told: Vec<_> = problem["errors"]
        .as_array()
        .unwrap()
        .iter()
        .map(|error| {
            (
                error["pointer"].as_str().unwrap(),
                error["detail"].as_str().unwrap(),
            )
        })
        .collect();
    assert_eq!(
        told,
        [
            (
                "/ids/4998",
                "line 5000: \"INV-2026-4999\" is not an id of sequence INV"
            ),
            ("/ids/50000", "line 50002: \"INV-2026-00007\" is line 8 again"),
            (
                "/ids/99999",
                "line 100001: \"INV-1899-00001\" is not an id of sequence INV"
            ),
        ]
    );
    assert_eq!(events(&api).await, before);
    lines.retain(|id| id != "INV-2026-4999" && id != "INV-1899-00001");
    lines.remove(49_999);
    let adopted = csv(&api, &file(&lines)).await.ok(200);
    assert_eq!([&adopted["adopted"], &adopted["skipped"]], [99_997, 2]);
}

#[tokio::test]
async fn a_request_that_is_not_whole_is_refused() {
    let api = yearly().await;
    let call = async |query: &str, body: &str| {
        let path = format!("/api/v1/adopt{query}");
        api.call("POST", &path, &[CSV], body).await
    };
    call("?prefix=INV", "A\n").await.blames("?reason");
    call("?reason=x", "A\n").await.blames("?prefix");
    call("?prefix=INV&reason=x&dry=true", "A\n").await.blames("?dry");
    call("?prefix=INV&reason=x", "").await.blames("?ids");
    call("?prefix=INV&reason=x", "\"A\n")
        .await
        .problem(400, "malformed-body");
    call("?prefix=ORD&reason=x", "A\n")
        .await
        .problem(404, "sequence-not-found");
    let text = [("content-type", "text/plain")];
    api.call("POST", "/api/v1/adopt", &text, "A\n")
        .await
        .problem(415, "unsupported-media-type");
    let body = r#"{"prefix":"INV","ids":["A"],"reason":"x"}"#;
    api.post("/api/v1/adopt?prefix=INV", body).await.blames("?prefix");
    api.post("/api/v1/adopt", r#"{"prefix":"INV","ids":[],"reason":"x"}"#)
        .await
        .blames("/ids");
    api.post("/api/v1/adopt", r#"{"prefix":"INV","ids":[1],"reason":"x"}"#)
        .await
        .blames("/ids/0");
}

#[tokio::test]
async fn only_lists_may_be_larger_than_other_bodies() {
    let api = yearly().await;
    let large = " ".repeat(70 * 1024);
    let answer = api
        .post("/api/v1/next", &format!("{large}{}", r#"{"prefix":"INV"}"#))
        .await;
    answer.problem(413, "body-too-large");
    let ids = r#"{"prefix":"INV","ids":["INV-2026-00001"],"reason":"x"}"#;
    api.post("/api/v1/adopt", &format!("{large}{ids}")).await.ok(200);
}
