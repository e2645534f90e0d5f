use serde_json::json;

use crate::{api, api_with_clock};

#[tokio::test]
async fn a_number_is_shown_with_its_events_as_the_audit_has_them() {
    let api = api();
    let draw = r#"{"prefix":"INV","reference":"SO-1"}"#;
    api.post("/api/v1/next", draw).await.ok(200);
    api.post(
        "/api/v1/void",
        r#"{"prefix":"INV","number":1,"reason":"printed twice"}"#,
    )
    .await
    .ok(200);
    let shown = api.get("/api/v1/numbers/INV/1").await.ok(200);
    let audit = api
        .get("/api/v1/audit?prefix=INV&number=1&order=asc")
        .await
        .ok(200);
    assert_eq!(shown["events"], audit["items"]);
    assert_eq!(audit["items"].as_array().unwrap().len(), 2);
    let mut without_events = shown.clone();
    without_events.as_object_mut().unwrap().remove("events");
    assert_eq!(
        without_events,
        json!({
            "prefix": "INV", "number": 1, "id": "INV-001", "period": "all", "scope": {}, "generation": 1,
            "state": "voided", "reason": "printed twice", "reference": "SO-1", "date": "2026-03-07",
        })
    );
    assert_eq!(api.get("/api/v1/numbers?id=INV-001").await.ok(200), shown);
    assert_eq!(
        api.get("/api/v1/numbers?id=INV-001&prefix=INV").await.ok(200),
        shown
    );
    assert_eq!(api.get("/api/v1/numbers/INV/2").await.ok(200)["state"], "open");
}

#[tokio::test]
async fn a_number_that_is_not_there_is_not_found() {
    let api = api();
    api.define("INV", r#"{"format":"INV-{yyyy}-{seq}","reset":"year"}"#)
        .await;
    api.get("/api/v1/numbers/INV/1")
        .await
        .problem(404, "number-not-found");
    api.post("/api/v1/next", r#"{"prefix":"INV"}"#).await.ok(200);
    api.get("/api/v1/numbers/INV/1?period=2026").await.ok(200);
    api.get("/api/v1/numbers/INV/1?date=2025-01-01")
        .await
        .problem(404, "number-not-found");
    api.get("/api/v1/numbers/INV/0")
        .await
        .problem(404, "number-not-found");
    api.get("/api/v1/numbers/ORD/1")
        .await
        .problem(404, "sequence-not-found");
    api.get("/api/v1/numbers?id=INV-1")
        .await
        .problem(404, "id-not-recognised");
    api.get("/api/v1/numbers/INV/x").await.blames("{number}");
    api.get("/api/v1/numbers/INV/1?period=03").await.blames("?period");
    api.get("/api/v1/numbers").await.blames("?id");
}

#[tokio::test]
async fn open_reservations_are_listed_until_they_are_settled() {
    use std::time::Duration;

    use seqid_core::clock::Clock;

    let (api, clock) = api_with_clock();
    let held = api
        .post(
            "/api/v1/reserve",
            r#"{"prefix":"INV","ttl_seconds":10,"reference":"SO-1"}"#,
        )
        .await
        .ok(201);
    api.post("/api/v1/reserve", r#"{"prefix":"INV","count":2}"#)
        .await
        .ok(201);
    let first = api.get("/api/v1/reservations?prefix=INV&limit=1").await.ok(200);
    assert_eq!(
        first["items"],
        json!([{
            "reservation": held["reservation"], "first_id": "INV-001", "last_id": "INV-001", "first": 1, "last": 1,
            "count": 1, "expires_at": "2026-03-07T12:00:10.000000Z", "due": false, "reference": "SO-1",
            "date": "2026-03-07", "period": "all", "scope": {}, "generation": 1,
        }])
    );
    let after = first["next"].as_str().unwrap();
    let second = api
        .get(&format!("/api/v1/reservations?prefix=INV&limit=9&after={after}"))
        .await
        .ok(200);
    assert_eq!(
        (&second["items"][0]["last_id"], &second["next"]),
        (&json!("INV-003"), &json!(null))
    );
    clock.set(clock.now().saturating_add(Duration::from_secs(10)));
    let due = api
        .get("/api/v1/reservations?prefix=INV&period=all")
        .await
        .ok(200);
    assert_eq!(due["items"][0]["due"], true);
    api.post("/api/v1/next", r#"{"prefix":"INV"}"#).await.ok(200);
    let left = api.get("/api/v1/reservations?prefix=INV").await.ok(200);
    assert_eq!(left["items"].as_array().unwrap().len(), 1);
    api.get("/api/v1/reservations").await.blames("?prefix");
    api.get("/api/v1/reservations?prefix=INV&after=x")
        .await
        .blames("?after");
    api.get("/api/v1/reservations?prefix=ORD")
        .await
        .problem(404, "sequence-not-found");
}
