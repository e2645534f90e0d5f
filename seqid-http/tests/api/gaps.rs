//! The gap report: every number that was not plainly issued, and counts that add up.

use std::time::Duration;

use seqid_core::clock::Clock;
use seqid_http::router;
use serde_json::{Value, json};

use crate::{Answer, Api, api, api_with_clock, service};

async fn drawn(count: u32) -> Api {
    let api = api();
    draw(&api, count).await;
    api
}

async fn draw(api: &Api, count: u32) {
    api.post("/api/v1/batch", &format!(r#"{{"prefix":"INV","count":{count}}}"#))
        .await
        .ok(200);
}

async fn void(api: &Api, number: u64, reason: &str) {
    let body = json!({"prefix": "INV", "number": number, "reason": reason});
    api.post("/api/v1/void", &body.to_string()).await.ok(200);
}

async fn reserve(api: &Api, prefix: &str, count: u32) -> String {
    let body = json!({"prefix": prefix, "count": count, "ttl_seconds": 60});
    let reserved = api.post("/api/v1/reserve", &body.to_string()).await.ok(201);
    reserved["reservation"].as_str().unwrap().to_owned()
}

async fn report(api: &Api) -> Value {
    let report = api.get("/api/v1/gaps/INV").await.ok(200);
    assert_adds_up(&report["summary"]);
    report
}

#[track_caller]
fn assert_adds_up(summary: &Value) {
    let states = [
        "issued", "reserved", "voided", "expired", "free", "skipped", "external", "unknown", "pending",
    ];
    let sum: u64 = states.iter().map(|state| summary[state].as_u64().unwrap()).sum();
    assert_eq!(summary["count"], sum, "{summary}");
}

/// First, last and state of each run.
fn runs(report: &Value) -> Vec<(u64, u64, String)> {
    let run = |gap: &Value| {
        (
            gap["first"].as_u64().unwrap(),
            gap["last"].as_u64().unwrap(),
            gap["state"].as_str().unwrap().to_owned(),
        )
    };
    report["gaps"].as_array().unwrap().iter().map(run).collect()
}

fn run(first: u64, last: u64, state: &str) -> (u64, u64, String) {
    (first, last, state.to_owned())
}

#[tokio::test]
async fn a_report_has_every_member() {
    let api = drawn(3).await;
    let headers = [crate::JSON, ("x-request-id", "r-1")];
    let body = r#"{"prefix":"INV","number":2,"reason":"printed twice"}"#;
    api.call("POST", "/api/v1/void", &headers, body).await.ok(200);
    assert_eq!(
        report(&api).await,
        json!({
            "prefix": "INV", "period": "all", "period_start": null, "period_end": null, "scope": {}, "start": 1,
            "step": 1, "next_number": 4, "generation": 1, "made_at": "2026-03-07T12:00:00.000000Z",
            "gaps": [{
                "first": 2, "last": 2, "step": 1, "count": 1, "first_id": "INV-002", "last_id": "INV-002",
                "state": "voided", "reason": "printed twice", "actor": null, "request_id": "r-1", "reference": null,
                "reservation": null, "expires_at": null, "date": null, "at": "2026-03-07T12:00:00.000000Z",
                "generation": 1,
            }],
            "summary": {
                "from": 1, "to": 3, "count": 3, "issued": 2, "reserved": 0, "voided": 1, "expired": 0, "free": 0,
                "skipped": 0, "external": 0, "unknown": 0, "pending": 0,
            },
        })
    );
}

#[tokio::test]
async fn every_state_is_reported_and_the_counts_add_up() {
    let (api, clock) = api_with_clock();
    draw(&api, 2).await;
    void(&api, 1, "late").await;
    let expired = reserve(&api, "INV", 2).await;
    clock.set(clock.now().saturating_add(Duration::from_secs(61)));
    draw(&api, 1).await;
    let voided = reserve(&api, "INV", 1).await;
    api.post(
        &format!("/api/v1/reservations/{voided}/void"),
        r#"{"reason":"no"}"#,
    )
    .await
    .ok(200);
    let reserved = reserve(&api, "INV", 1).await;
    for (path, body) in [
        ("reset", r#"{"prefix":"INV","new_value":10,"reason":"jump"}"#),
        ("sync", r#"{"prefix":"INV","last_used":14}"#),
    ] {
        api.post(&format!("/api/v1/{path}"), body).await.ok(200);
    }
    let report = report(&api).await;
    assert_eq!(
        runs(&report),
        [
            run(1, 1, "voided"),
            run(3, 4, "expired"),
            run(6, 6, "voided"),
            run(7, 7, "reserved"),
            run(8, 9, "skipped"),
            run(10, 14, "external"),
        ]
    );
    let named = [&expired, &voided, &reserved].map(|id| json!(id));
    let gaps = &report["gaps"];
    assert_eq!([1, 2, 3].map(|k| gaps[k]["reservation"].clone()), named);
    assert_eq!(gaps[3]["date"], "2026-03-07");
    assert_eq!(
        report["summary"],
        json!({
            "from": 1, "to": 14, "count": 14, "issued": 2, "reserved": 1, "voided": 2, "expired": 2, "free": 0,
            "skipped": 2, "external": 5, "unknown": 0, "pending": 0,
        })
    );
}

#[tokio::test]
async fn numbers_that_are_offered_again_are_free_until_they_are_drawn() {
    let (api, clock) = api_with_clock();
    api.define("INV", r#"{"format":"INV-{seq}","on_expiry":"reuse"}"#)
        .await;
    reserve(&api, "INV", 3).await;
    draw(&api, 1).await;
    clock.set(clock.now().saturating_add(Duration::from_secs(61)));
    draw(&api, 1).await;
    let report = report(&api).await;
    assert_eq!(runs(&report), [run(2, 3, "free")]);
    assert_eq!([&report["summary"]["issued"], &report["summary"]["free"]], [2, 2]);
}

#[tokio::test]
async fn adjacent_numbers_of_which_the_same_is_said_are_one_run() {
    let api = drawn(6).await;
    for (number, reason) in [(1, "x"), (2, "x"), (3, "y"), (5, "y")] {
        void(&api, number, reason).await;
    }
    let report = report(&api).await;
    assert_eq!(
        runs(&report),
        [run(1, 2, "voided"), run(3, 3, "voided"), run(5, 5, "voided")]
    );
    let merged = &report["gaps"][0];
    assert_eq!([&merged["first_id"], &merged["last_id"]], ["INV-001", "INV-002"]);
    assert!(merged["request_id"].is_null(), "two requests did it: {merged}");
}

#[tokio::test]
async fn a_run_goes_on_across_the_parts_in_which_it_is_read() {
    let api = drawn(10_000).await;
    for number in 1..=1_200 {
        void(&api, number, "x").await;
    }
    for number in (1_202..=8_800).step_by(2) {
        void(&api, number, "y").await;
    }
    let report = report(&api).await;
    let runs = runs(&report);
    assert_eq!((runs.len(), &runs[0]), (3_801, &run(1, 1_200, "voided")));
    assert_eq!(runs[3_800], run(8_800, 8_800, "voided"));
    assert_eq!(
        [&report["summary"]["voided"], &report["summary"]["issued"]],
        [5_000, 5_000]
    );
}

#[tokio::test]
async fn a_counter_that_has_not_opened_has_no_gaps() {
    let api = api();
    api.define("INV", r#"{"format":"INV-{seq}","start":100}"#).await;
    let report = report(&api).await;
    assert_eq!(report["gaps"], json!([]));
    let summary = &report["summary"];
    assert_eq!(
        [&summary["from"], &summary["to"], &summary["count"]],
        [&json!(100), &Value::Null, &json!(0)]
    );
    let html = api.get("/api/v1/gaps/INV?format=html").await.text();
    assert!(html.contains("No number was offered yet"), "{html}");
}

#[tokio::test]
async fn a_summary_is_of_the_newest_generation() {
    let api = Api(router(service().allow_repeats(true)));
    draw(&api, 5).await;
    void(&api, 5, "x").await;
    let body = r#"{"prefix":"INV","new_value":3,"reason":"again","repeats":"accepted"}"#;
    api.post("/api/v1/reset", body).await.ok(200);
    draw(&api, 1).await;
    let report = report(&api).await;
    assert_eq!(runs(&report), [run(5, 5, "voided"), run(1, 2, "skipped")]);
    let generations = [0, 1].map(|k| report["gaps"][k]["generation"].clone());
    assert_eq!(generations, [1, 2]);
    let summary = &report["summary"];
    assert_eq!(
        [&summary["count"], &summary["issued"], &summary["voided"]],
        [3, 1, 0]
    );
}

#[tokio::test]
async fn an_id_that_the_number_does_not_tell_is_not_made_up() {
    let api = api();
    api.define("INV", r#"{"format":"{yyyy}{mm}-{seq}"}"#).await;
    api.post("/api/v1/next", r#"{"prefix":"INV","date":"2026-01-31"}"#)
        .await
        .ok(200);
    void(&api, 1, "x").await;
    let report = report(&api).await;
    let gap = &report["gaps"][0];
    assert!(gap["first_id"].is_null() && gap["date"].is_null(), "{gap}");
}

#[tokio::test]
async fn the_steps_of_a_counter_are_counted_not_its_integers() {
    let api = api();
    api.define("INV", r#"{"format":"F{seq}","start":5,"step":5,"max":20}"#)
        .await;
    draw(&api, 4).await;
    void(&api, 10, "x").await;
    void(&api, 15, "x").await;
    let report = report(&api).await;
    assert_eq!(runs(&report), [run(10, 15, "voided")]);
    let summary = &report["summary"];
    assert_eq!(
        [
            &report["next_number"],
            &summary["to"],
            &summary["count"],
            &summary["issued"]
        ],
        [&Value::Null, &json!(20), &json!(4), &json!(2)]
    );
}

#[tokio::test]
async fn a_report_is_that_of_the_counter_that_the_query_names() {
    let api = api();
    let definition = r#"{"format":"{branch}/{yyyy}/{seq}","reset":"year","scope":["branch"]}"#;
    api.define("INV", definition).await;
    let body = r#"{"prefix":"INV","scope":{"branch":"JKT"},"date":"2025-12-31"}"#;
    api.post("/api/v1/next", body).await.ok(200);
    let get = async |query: &str| api.get(&format!("/api/v1/gaps/INV?{query}")).await;
    for query in ["scope.branch=JKT&period=2025", "scope.branch=JKT&date=2025-01-01"] {
        assert_eq!(get(query).await.ok(200)["summary"]["issued"], 1);
    }
    assert_eq!(get("scope.branch=JKT").await.ok(200)["summary"]["issued"], 0);
    get("").await.problem(400, "scope-mismatch");
    get("scope.branch=JKT&period=2025-01").await.blames("?period");
    get("scope.branch=JKT&limit=1").await.blames("?limit");
    let csv = get("scope.branch=JKT&period=2025&format=csv").await;
    assert_eq!(
        csv.header("content-disposition"),
        "attachment; filename=\"gaps-INV-2025-JKT.csv\""
    );
    api.get("/api/v1/gaps/NONE")
        .await
        .problem(404, "sequence-not-found");
}

#[tokio::test]
async fn the_format_is_that_of_the_query_or_else_what_is_accepted_most_gladly() {
    let api = drawn(1).await;
    let accept = async |value: &str, query: &str| -> Answer {
        let path = format!("/api/v1/gaps/INV{query}");
        api.call("GET", &path, &[("accept", value)], "").await
    };
    let browser = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";
    for (value, query, expected) in [
        ("*/*", "", "application/json"),
        ("", "", "application/json"),
        (browser, "", "text/html; charset=utf-8"),
        (browser, "?format=json", "application/json"),
        ("TEXT/CSV", "", "text/csv; charset=utf-8; header=present"),
        ("text/*", "", "text/csv; charset=utf-8; header=present"),
        ("text/*;q=0.5, text/csv;q=0", "", "text/html; charset=utf-8"),
        ("image/png", "?format=html", "text/html; charset=utf-8"),
    ] {
        assert_eq!(
            accept(value, query).await.header("content-type"),
            expected,
            "{value}"
        );
    }
    for value in ["image/png", "application/json;q=0"] {
        accept(value, "").await.problem(406, "not-acceptable");
    }
    for query in ["?format=xml", "?format=", "?format=JSON"] {
        let answer = accept("*/*", query).await;
        answer.problem(400, "invalid-request");
        answer.blames("?format");
    }
}

#[tokio::test]
async fn a_table_quotes_its_texts_and_disarms_formulas() {
    let api = drawn(3).await;
    void(&api, 1, "\"torn\", and wet").await;
    void(&api, 2, "=HYPERLINK(1)").await;
    void(&api, 3, "-1,5").await;
    let text = api.get("/api/v1/gaps/INV?format=csv").await.text();
    let mut lines = text.split("\r\n");
    assert!(
        lines
            .next()
            .unwrap()
            .starts_with("first,last,step,count,first_id,")
    );
    for expected in [
        r#"1,1,1,1,INV-001,INV-001,voided,"""torn"", and wet",,"#,
        "2,2,1,1,INV-002,INV-002,voided,'=HYPERLINK(1),,",
        r#"3,3,1,1,INV-003,INV-003,voided,"'-1,5",,"#,
    ] {
        let line = lines.next().unwrap();
        assert!(line.starts_with(expected), "{line}");
        assert!(line.ends_with(",2026-03-07T12:00:00.000000Z,1"), "{line}");
    }
    assert_eq!((lines.next(), lines.next()), (Some(""), None));
}

#[tokio::test]
async fn a_page_shows_texts_as_texts_and_runs_nothing() {
    let api = drawn(2).await;
    void(&api, 1, "<script>alert('1')</script> & \"more\"").await;
    let answer = api.get("/api/v1/gaps/INV?format=html").await;
    let html = answer.text();
    let escaped = "&lt;script&gt;alert(&#39;1&#39;)&lt;/script&gt; &amp; &quot;more&quot;";
    assert!(html.contains(escaped) && !html.contains("<script"), "{html}");
    assert!(html.contains("2026-03-07 12:00:00 UTC by seqid ") && html.ends_with("</html>\n"));
    let policy = answer.header("content-security-policy");
    assert!(
        policy.starts_with("default-src 'none'") && !policy.contains("unsafe"),
        "{policy}"
    );
    let (_, rest) = html.split_once("<style>").unwrap();
    let (style, _) = rest.split_once("</style>").unwrap();
    let hash = base64(&<sha2::Sha256 as sha2::Digest>::digest(style.as_bytes()));
    assert!(
        policy.contains(&format!("style-src 'sha256-{hash}';")),
        "it must say {hash}"
    );
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let group = |chunk: &[u8]| -> String {
        let bits = (0..3).fold(0, |bits, k| bits << 8 | usize::from(*chunk.get(k).unwrap_or(&0)));
        let digit = |k: usize| match k <= chunk.len() {
            true => char::from(DIGITS[bits >> (18 - 6 * k) & 63]),
            false => '=',
        };
        (0..4).map(digit).collect()
    };
    bytes.chunks(3).map(group).collect()
}

#[tokio::test]
async fn the_counters_of_a_sequence_are_summed_up_in_parts() {
    let api = api();
    api.define("INV", r#"{"format":"{yyyy}-{seq}","reset":"year"}"#)
        .await;
    for year in [2024, 2025, 2026] {
        let body = format!(r#"{{"prefix":"INV","date":"{year}-01-01"}}"#);
        api.post("/api/v1/next", &body).await.ok(200);
    }
    let body = r#"{"prefix":"INV","number":1,"period":"2025","reason":"x"}"#;
    api.post("/api/v1/void", body).await.ok(200);
    let get = async |query: &str| api.get(&format!("/api/v1/gaps/INV/summary{query}")).await;
    let first = get("?limit=2").await.ok(200);
    let voided = |part: &Value| -> Vec<(String, u64)> {
        let item = |item: &Value| {
            assert_adds_up(&item["summary"]);
            let period = item["period"].as_str().unwrap().to_owned();
            (period, item["summary"]["voided"].as_u64().unwrap())
        };
        part["items"].as_array().unwrap().iter().map(item).collect()
    };
    assert_eq!(voided(&first), [("2024".to_owned(), 0), ("2025".to_owned(), 1)]);
    let after = first["next"].as_str().unwrap();
    let second = get(&format!("?limit=2&after={after}")).await.ok(200);
    assert_eq!(voided(&second), [("2026".to_owned(), 0)]);
    assert!(second["next"].is_null());
    assert_eq!(
        voided(&get("?period=2025").await.ok(200)),
        [("2025".to_owned(), 1)]
    );
    get("?limit=0").await.blames("?limit");
    get("?format=csv").await.blames("?format");
    api.get("/api/v1/gaps/NONE/summary")
        .await
        .problem(404, "sequence-not-found");
}
