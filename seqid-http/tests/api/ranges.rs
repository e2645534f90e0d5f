use serde_json::json;

use crate::{JSON, api, api_with_clock};

const SEQUENCE: &str = "/api/v1/sequences/NCF";

#[tokio::test]
async fn a_range_that_cannot_hold_is_blamed_where_it_stands() {
    let api = api();
    for (ranges, pointer) in [
        ("[]", "/ranges"),
        (r#"[{"first":9,"last":1}]"#, "/ranges/0/last"),
        (
            r#"[{"first":1,"last":5},{"first":5,"last":9}]"#,
            "/ranges/1/first",
        ),
        (
            r#"[{"first":1,"last":5,"valid_from":"2026-02-01","valid_until":"2026-01-31"}]"#,
            "/ranges/0/valid_until",
        ),
    ] {
        let answer = api
            .put(SEQUENCE, &format!(r#"{{"format":"{{seq}}","ranges":{ranges}}}"#))
            .await;
        answer.problem(422, "definition-refused");
        answer.blames(pointer);
    }
    for (ranges, pointer) in [
        (r#"[{"first":1}]"#, "/ranges/0"),
        (r#"[{"first":null,"last":1}]"#, "/ranges/0/first"),
        (r#"[{"first":1,"last":-1}]"#, "/ranges/0/last"),
        (
            r#"[{"first":1,"last":5,"valid_until":"2026-02-30"}]"#,
            "/ranges/0/valid_until",
        ),
        (
            r#"[{"first":1,"last":5,"until":"2026-02-28"}]"#,
            "/ranges/0/until",
        ),
    ] {
        let answer = api
            .put(SEQUENCE, &format!(r#"{{"format":"{{seq}}","ranges":{ranges}}}"#))
            .await;
        answer.problem(400, "invalid-request");
        answer.blames(pointer);
    }
    api.get(SEQUENCE).await.problem(404, "sequence-not-found");
}

#[tokio::test]
async fn a_definition_with_ranges_is_shown_and_can_be_sent_back() {
    let api = api();
    let ranges = json!([
        {"first": 1, "last": 5, "valid_from": "2026-01-01", "valid_until": "2026-06-30", "authority": "DGII", "reference": "18-0001"},
        {"first": "9007199254740993", "last": "9007199254740999"}
    ]);
    let body = json!({"format": "B{seq}", "ranges": ranges});
    let created = api.put(SEQUENCE, &body.to_string()).await.ok(201);
    assert_eq!(created["definition"]["ranges"], ranges);
    assert_eq!(created["definition"]["max"], json!(null));
    assert_eq!(created["max"], "9007199254740999");
    assert_eq!(created["definition"]["start"], 1);
    let again = api.put(SEQUENCE, &created["definition"].to_string()).await;
    assert_eq!(again.ok(200)["saved"], false);
}

#[tokio::test]
async fn a_range_ends_by_its_date() {
    let (api, clock) = api_with_clock();
    let body = r#"{"format":"B{seq}","ranges":[{"first":1,"last":5,"valid_until":"2026-06-30"},{"first":11,"last":12}]}"#;
    api.define("NCF", body).await;
    let next = async |date: &str| {
        let body = json!({"prefix": "NCF", "date": date}).to_string();
        api.post("/api/v1/next", &body).await
    };
    assert_eq!(next("2026-06-30").await.ok(200)["id"], "B1");
    let expired = next("2026-07-01").await.problem(409, "range-expired");
    let detail = "the counter is at the range 1..5, valid until 2026-06-30: it has no number for a document of 2026-07-01";
    assert_eq!(expired["detail"], detail);
    assert_eq!([&expired["outcome"], &expired["retry"]], ["not_issued", "no"]);
    clock.set("2026-07-01T00:00:00Z".parse().unwrap());
    let status = api.get("/api/v1/status/NCF").await.ok(200);
    assert_eq!(
        [&status["next_number"], &status["remaining"], &status["max"]],
        [11, 2, 12]
    );
    assert_eq!(next("2026-06-30").await.ok(200)["id"], "B11");
    let gaps = api.get("/api/v1/gaps/NCF").await.ok(200);
    let reasons: Vec<_> = gaps["gaps"].as_array().unwrap().iter().collect();
    assert_eq!(reasons.len(), 2);
    assert_eq!(reasons[0]["reason"], "range 1..5 ended on 2026-06-30");
    assert_eq!(
        [&reasons[1]["first"], &reasons[1]["last"], &reasons[1]["reason"]],
        [&json!(6), &json!(10), &json!("not granted")]
    );
}

#[tokio::test]
async fn a_range_that_moves_is_blamed_where_it_stands() {
    let api = api();
    api.define("NCF", r#"{"format":"B{seq}","ranges":[{"first":1,"last":5}]}"#)
        .await;
    api.post("/api/v1/next", r#"{"prefix":"NCF"}"#).await.ok(200);
    let put = async |body: &str| {
        let headers = [JSON, ("if-match", "\"1\"")];
        api.call("PUT", SEQUENCE, &headers, body).await
    };
    let moved = put(r#"{"format":"B{seq}","ranges":[{"first":1,"last":6}]}"#).await;
    moved.problem(422, "definition-refused");
    moved.blames("/ranges/0/last");
    let removed = put(r#"{"format":"B{seq}"}"#).await;
    removed.problem(422, "definition-refused");
    removed.blames("/ranges");
    let reset = r#"{"prefix":"NCF","new_value":6,"reason":"try"}"#;
    api.post("/api/v1/reset", reset)
        .await
        .problem(400, "invalid-request");
}
