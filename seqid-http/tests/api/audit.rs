use std::time::Duration;

use axum::body::Body;
use axum::http::Request;
use http_body_util::BodyExt;
use seqid_core::clock::{ManualClock, Seed};
use seqid_core::{Issuer, MemoryStore};
use seqid_http::{NotReady, Service, router};
use serde_json::Value;
use tower::ServiceExt;

use crate::{Api, JSON, api};

/// Three numbers of `INV` and one of `ORD`.
async fn drawn() -> Api {
    let api = api();
    for prefix in ["INV", "INV", "ORD", "INV"] {
        api.post(
            "/api/v1/next",
            &format!(r#"{{"prefix":"{prefix}","client_id":"erp"}}"#),
        )
        .await
        .ok(200);
    }
    api
}

fn first_ids(page: &Value) -> Vec<&str> {
    let items = page["items"].as_array().unwrap();
    items
        .iter()
        .map(|item| item["first_id"].as_str().unwrap_or("-"))
        .collect()
}

async fn ids(api: &Api, query: &str) -> Vec<String> {
    let page = api.get(&format!("/api/v1/audit{query}")).await.ok(200);
    first_ids(&page).into_iter().map(str::to_owned).collect()
}

fn lines(text: &str) -> Vec<Value> {
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

#[tokio::test]
async fn events_are_found_by_what_the_query_says() {
    let api = drawn().await;
    for (query, expected) in [
        ("", vec!["INV-003", "ORD-001", "-", "INV-002", "INV-001", "-"]),
        ("?prefix=INV", vec!["INV-003", "INV-002", "INV-001", "-"]),
        ("?prefix=INV&order=asc&limit=2", vec!["-", "INV-001"]),
        ("?prefix=INV&period=all", vec!["INV-003", "INV-002", "INV-001"]),
        ("?prefix=INV&number=2", vec!["INV-002"]),
        ("?prefix=INV&from_number=2", vec!["INV-003", "INV-002"]),
        ("?prefix=INV&to_number=2", vec!["INV-002", "INV-001"]),
        ("?id=INV-002", vec!["INV-002"]),
        ("?client=erp&kind=issued&prefix=ORD", vec!["ORD-001"]),
        ("?kind=defined,skipped", vec!["-", "-"]),
        ("?actor=nobody", vec![]),
        ("?reference=x", vec![]),
        (
            "?from=2026-03-07T12:00:00Z&to=2026-03-07T12:00:01Z&prefix=ORD",
            vec!["ORD-001", "-"],
        ),
        ("?to=2026-03-07T12:00:00Z", vec![]),
    ] {
        assert_eq!(ids(&api, query).await, expected, "{query}");
    }
}

#[tokio::test]
async fn events_are_found_by_the_request_that_asked() {
    let api = api();
    let headers = [JSON, ("x-request-id", "r-7")];
    api.call(
        "POST",
        "/api/v1/next",
        &headers,
        r#"{"prefix":"INV","reference":"doc 1"}"#,
    )
    .await
    .ok(200);
    assert_eq!(ids(&api, "?request_id=r-7&kind=issued").await, ["INV-001"]);
    assert_eq!(ids(&api, "?reference=doc%201").await, ["INV-001"]);
}

#[tokio::test]
async fn events_are_listed_in_parts() {
    let api = drawn().await;
    let first = api.get("/api/v1/audit?prefix=INV&limit=2").await.ok(200);
    assert_eq!(first_ids(&first), ["INV-003", "INV-002"]);
    let after = first["next"].as_str().unwrap();
    let second = api
        .get(&format!("/api/v1/audit?prefix=INV&limit=2&after={after}"))
        .await
        .ok(200);
    assert_eq!(
        (first_ids(&second), &second["next"]),
        (vec!["INV-001", "-"], &Value::Null)
    );
}

#[tokio::test]
async fn what_cannot_be_asked_is_blamed_on_its_parameter() {
    let api = drawn().await;
    for (query, pointer) in [
        ("limit=0", "?limit"),
        ("limit=1001", "?limit"),
        ("order=up", "?order"),
        ("kind=found", "?kind"),
        ("from=yesterday", "?from"),
        ("from=2026-01-02T00:00:00Z&to=2026-01-01T00:00:00Z", "?to"),
        ("number=x", "?number"),
        ("number=9223372036854775808", "?number"),
        ("number=1&to_number=2", "?number"),
        ("from_number=2&to_number=1", "?to_number"),
        ("after=x", "?after"),
        ("period=2026", "?period"),
        ("prefix=INV&period=2026", "?period"),
        ("scope.branch=JKT", "?scope"),
        ("id=INV-001&number=1", "?id"),
        ("prefix=", "?prefix"),
        ("actor=", "?actor"),
        ("format=xml", "?format"),
        ("follow=true", "?follow"),
        ("follow=true&format=csv", "?follow"),
        ("format=csv&limit=3", "?limit"),
        ("format=ndjson&order=asc", "?order"),
        ("branch=JKT", "?branch"),
    ] {
        let answer = api.get(&format!("/api/v1/audit?{query}")).await;
        answer.problem(400, "invalid-request");
        answer.blames(pointer);
    }
    api.get("/api/v1/audit?prefix=NONE")
        .await
        .problem(404, "sequence-not-found");
    api.get("/api/v1/audit?format=csv&prefix=NONE")
        .await
        .problem(404, "sequence-not-found");
    api.get("/api/v1/audit?id=x")
        .await
        .problem(404, "id-not-recognised");
    api.get("/api/v1/audit?prefix=INV&scope.branch=JKT")
        .await
        .problem(400, "scope-mismatch");
}

#[tokio::test]
async fn a_tenant_sees_its_own_events() {
    let api = drawn().await;
    let answer = api
        .call("GET", "/api/v1/audit", &[("seqid-tenant", "acme")], "")
        .await;
    assert_eq!(answer.ok(200)["items"], serde_json::json!([]));
}

#[tokio::test]
async fn an_export_has_every_event_oldest_first() {
    let api = api();
    for _ in 0..3 {
        api.post("/api/v1/batch", r#"{"prefix":"INV","count":1}"#)
            .await
            .ok(200);
    }
    let export = api.get("/api/v1/audit?format=ndjson").await;
    assert_eq!(export.header("content-type"), "application/x-ndjson");
    let page = api.get("/api/v1/audit?order=asc").await.ok(200);
    assert_eq!(Value::from(lines(&export.text())), page["items"]);
    let accepted = api
        .call(
            "GET",
            "/api/v1/audit",
            &[("accept", "application/x-ndjson;q=0.9, */*;q=0.1")],
            "",
        )
        .await;
    assert_eq!(accepted.text(), export.text());
    let rest = api.get("/api/v1/audit?format=ndjson&after=2").await;
    assert_eq!(lines(&rest.text()).len(), 2);
}

#[tokio::test]
async fn an_export_is_as_long_as_the_audit() {
    let api = api();
    for _ in 0..2_500 {
        api.post("/api/v1/next", r#"{"prefix":"INV"}"#).await.ok(200);
    }
    let export = lines(&api.get("/api/v1/audit?format=ndjson&prefix=INV").await.text());
    let positions: Vec<_> = export
        .iter()
        .map(|event| event["position"].as_u64().unwrap())
        .collect();
    assert!(positions.into_iter().eq(1..=2_501));
}

#[tokio::test]
async fn a_table_has_a_header_and_a_row_for_each_event() {
    let api = api();
    api.define("INV", r#"{"format":"={branch}-{seq}","scope":["branch"]}"#)
        .await;
    let body = r#"{"prefix":"INV","scope":{"branch":"JKT"},"reference":"a,\"b\""}"#;
    api.post("/api/v1/next", body).await.ok(200);
    let table = api.get("/api/v1/audit?format=csv&prefix=INV").await;
    assert_eq!(
        table.header("content-type"),
        "text/csv; charset=utf-8; header=present"
    );
    assert_eq!(
        table.header("content-disposition"),
        "attachment; filename=\"audit.csv\""
    );
    let text = table.text();
    let rows: Vec<&str> = text.split("\r\n").collect();
    assert_eq!((rows.len(), rows[3]), (4, ""));
    let page = api.get("/api/v1/audit?order=asc").await.ok(200);
    let mut members: Vec<_> = page["items"][1]
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect();
    let mut columns: Vec<_> = rows[0].split(',').collect();
    members.sort_unstable();
    columns.sort_unstable();
    assert_eq!(columns, members);
    for cell in ["branch=JKT,all,", ",'=JKT-1,'=JKT-1,", ",\"a,\"\"b\"\"\","] {
        assert!(rows[2].contains(cell), "{cell} in {}", rows[2]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_follower_is_sent_new_events_until_the_service_stops() {
    let clock = std::sync::Arc::new(ManualClock::default());
    let store = std::sync::Arc::new(MemoryStore::new(clock, Seed(1)));
    let stops = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let stopping = std::sync::Arc::clone(&stops);
    let service = Service::new(std::sync::Arc::new(Issuer::new(store))).ready(move || {
        match stopping.load(std::sync::atomic::Ordering::Relaxed) {
            true => Err(NotReady {
                code: seqid_core::Code::Draining,
                reason: "the test is over".into(),
            }),
            false => Ok(()),
        }
    });
    let api = Api(router(service));
    let draw = async || api.post("/api/v1/next", r#"{"prefix":"INV"}"#).await.ok(200);
    draw().await;
    let request = Request::get("/api/v1/audit?prefix=INV&format=ndjson&follow=true").body(Body::empty());
    let mut body = api.0.clone().oneshot(request.unwrap()).await.unwrap().into_body();
    let mut told = async || -> String {
        match body.frame().await {
            Some(frame) => String::from_utf8(frame.unwrap().into_data().unwrap().to_vec()).unwrap(),
            None => "the end".into(),
        }
    };
    assert_eq!(lines(&told().await).len(), 2);
    draw().await;
    draw().await;
    let new = lines(&told().await);
    assert_eq!((new.len(), &new[1]["first_id"]), (2, &"INV-003".into()));
    let began = tokio::time::Instant::now();
    assert_eq!(told().await, "\n");
    assert!(
        began.elapsed() >= Duration::from_secs(15),
        "{:?}",
        began.elapsed()
    );
    draw().await;
    assert_eq!(lines(&told().await)[0]["first_id"], "INV-004");
    stops.store(true, std::sync::atomic::Ordering::Relaxed);
    assert_eq!(told().await, "the end");
}
