use std::time::Duration;

use seqid_core::clock::Clock;
use serde_json::{Value, json};

use crate::{Answer, Api, JSON, api, api_with_clock};

async fn reserved(api: &Api, body: &str) -> (String, Value) {
    let document = api.post("/api/v1/reserve", body).await.ok(201);
    let reservation = document["reservation"].as_str().unwrap().to_owned();
    (reservation, document)
}

async fn settle(api: &Api, reservation: &str, end: &str, body: &str) -> Answer {
    api.post(&format!("/api/v1/reservations/{reservation}/{end}"), body)
        .await
}

async fn shown(api: &Api, reservation: &str) -> Answer {
    api.get(&format!("/api/v1/reservations/{reservation}")).await
}

const VOID: &str = r#"{"reason":"withdrawn"}"#;

#[tokio::test]
async fn a_reservation_has_the_members_of_a_draw_and_its_own() {
    let api = api();
    let body = r#"{"prefix":"INV","ttl_seconds":60,"reference":"SO-1"}"#;
    let answer = api
        .call("POST", "/api/v1/reserve", &[JSON, ("x-request-id", "r-1")], body)
        .await;
    let mut document = answer.ok(201);
    let reservation = document["reservation"].take();
    assert!(
        reservation.as_str().is_some_and(|name| name.len() == 32),
        "{reservation}"
    );
    assert_eq!(
        document,
        json!({
            "reservation": null, "state": "reserved", "expires_at": "2026-03-07T12:01:00.000000Z", "reason": null,
            "prefix": "INV", "id": "INV-001", "number": 1, "ids": ["INV-001"], "first": 1, "last": 1, "count": 1,
            "step": 1, "period": "all", "period_start": null, "period_end": null, "date": "2026-03-07",
            "scope": {}, "generation": 1, "mode": "gapless", "epoch": 1, "definition_version": 1,
            "reference": "SO-1", "request_id": "r-1", "issued_at": "2026-03-07T12:00:00.000000Z",
            "warnings": ["implicit-definition"],
        })
    );
}

#[tokio::test]
async fn several_numbers_are_held_and_confirmed_together() {
    let api = api();
    let (reservation, document) = reserved(&api, r#"{"prefix":"INV","count":3}"#).await;
    assert_eq!(
        (&document["id"], &document["number"]),
        (&Value::Null, &Value::Null)
    );
    assert_eq!(document["ids"], json!(["INV-001", "INV-002", "INV-003"]));
    let confirmed = settle(&api, &reservation, "confirm", "").await.ok(200);
    for name in ["ids", "first", "last", "count", "id", "number", "date", "period"] {
        assert_eq!(document[name], confirmed[name], "{name}");
    }
}

#[tokio::test]
async fn numbers_are_held_for_1_second_to_30_days_and_for_10_minutes_when_nothing_is_said() {
    let api = api();
    for (ttl, expires_at) in [
        ("", "2026-03-07T12:10:00.000000Z"),
        (r#","ttl_seconds":null"#, "2026-03-07T12:10:00.000000Z"),
        (r#","ttl_seconds":1"#, "2026-03-07T12:00:01.000000Z"),
        (r#","ttl_seconds":"60""#, "2026-03-07T12:01:00.000000Z"),
        (r#","ttl_seconds":2592000"#, "2026-04-06T12:00:00.000000Z"),
    ] {
        let (_, document) = reserved(&api, &format!(r#"{{"prefix":"INV"{ttl}}}"#)).await;
        assert_eq!(document["expires_at"], expires_at, "{ttl}");
    }
    for ttl in [
        "0",
        "-1",
        "1.5",
        "1.0",
        "2592001",
        "18446744073709551615",
        "18446744073709551616",
        "1e3",
        "\"\"",
        "\"10m\"",
        "true",
        "[]",
    ] {
        let body = format!(r#"{{"prefix":"INV","ttl_seconds":{ttl}}}"#);
        let answer = api.post("/api/v1/reserve", &body).await;
        answer.problem(400, "invalid-request");
        answer.blames("/ttl_seconds");
    }
}

#[tokio::test]
async fn what_is_wrong_with_a_request_is_pointed_at() {
    let api = api();
    let path = format!(
        "/api/v1/reservations/{}",
        reserved(&api, r#"{"prefix":"INV"}"#).await.0
    );
    let (confirm, void) = (format!("{path}/confirm"), format!("{path}/void"));
    for (path, body, pointer) in [
        ("/api/v1/reserve", r#"{"prefix":"INV","ttl":60}"#, "/ttl"),
        ("/api/v1/reserve", r#"{"prefix":"INV","count":0}"#, "/count"),
        ("/api/v1/reserve", r#"{"prefix":"INV","count":10001}"#, "/count"),
        ("/api/v1/reserve", r#"{"prefix":7}"#, "/prefix"),
        ("/api/v1/reserve", r#"{"ttl_seconds":60}"#, ""),
        (&confirm, r#"{"reason":"x"}"#, "/reason"),
        (&confirm, r#"{"date":"2026-02-30"}"#, "/date"),
        (&confirm, r#"{"reference":1}"#, "/reference"),
        (&confirm, "[]", ""),
        (&void, r#"{"reason":"x","date":"2026-03-07"}"#, "/date"),
        (&void, r#"{"reason":""}"#, "/reason"),
        (&void, "{}", ""),
    ] {
        let answer = api.post(path, body).await;
        answer.problem(400, "invalid-request");
        answer.blames(pointer);
    }
    api.post(&void, "").await.problem(400, "malformed-body");
    api.post(&confirm, "{").await.problem(400, "malformed-body");
    api.call("POST", &confirm, &[], r#"{"reference":"x"}"#)
        .await
        .problem(415, "unsupported-media-type");
    api.get(&format!("{path}?state=reserved")).await.blames("?state");
    assert_eq!(api.get(&path).await.ok(200)["state"], "reserved");
}

#[tokio::test]
async fn a_confirmation_needs_no_body_and_is_repeated_with_the_same_answer() {
    let api = api();
    let (reservation, _) = reserved(&api, r#"{"prefix":"INV"}"#).await;
    let path = format!("/api/v1/reservations/{reservation}/confirm");
    let confirm = async |headers: &[(&str, &str)], body: &str| api.call("POST", &path, headers, body).await;
    let first = confirm(&[("x-request-id", "r")], "").await;
    let again = confirm(&[JSON, ("idempotency-key", "k")], "{}").await;
    confirm(&[JSON], "null").await.ok(200);
    confirm(&[("content-type", "application/x-www-form-urlencoded")], "")
        .await
        .ok(200);
    assert_eq!(
        (
            first.header("idempotency-replayed"),
            again.header("idempotency-replayed")
        ),
        ("", "true")
    );
    let (first, again) = (first.ok(200), again.ok(200));
    assert_eq!(
        (&first["state"], &first["id"]),
        (&json!("confirmed"), &json!("INV-001"))
    );
    assert_eq!(first, again);
    assert_eq!(shown(&api, &reservation).await.ok(200), first);
}

#[tokio::test]
async fn a_void_needs_a_reason_and_is_repeated_with_the_same_answer() {
    let api = api();
    let (reservation, _) = reserved(&api, r#"{"prefix":"INV"}"#).await;
    let first = settle(&api, &reservation, "void", VOID).await;
    let again = settle(&api, &reservation, "void", VOID).await;
    assert_eq!(
        (
            first.header("idempotency-replayed"),
            again.header("idempotency-replayed")
        ),
        ("", "true")
    );
    let (first, again) = (first.ok(200), again.ok(200));
    assert_eq!(
        (&first["state"], &first["reason"]),
        (&json!("voided"), &json!("withdrawn"))
    );
    assert_eq!(first, again);
}

#[tokio::test]
async fn what_has_ended_in_one_way_does_not_end_in_another() {
    let (api, clock) = api_with_clock();
    let (confirmed, _) = reserved(&api, r#"{"prefix":"INV"}"#).await;
    settle(&api, &confirmed, "confirm", "").await.ok(200);
    settle(&api, &confirmed, "void", VOID)
        .await
        .problem(409, "reservation-confirmed");
    settle(&api, &confirmed, "confirm", r#"{"reference":"another"}"#)
        .await
        .problem(409, "reservation-confirmed");

    let (voided, _) = reserved(&api, r#"{"prefix":"INV"}"#).await;
    settle(&api, &voided, "void", VOID).await.ok(200);
    for (end, body) in [("confirm", ""), ("void", r#"{"reason":"another"}"#)] {
        settle(&api, &voided, end, body)
            .await
            .problem(409, "reservation-voided");
    }

    let (expired, _) = reserved(&api, r#"{"prefix":"INV","ttl_seconds":60}"#).await;
    clock.set(clock.now().saturating_add(Duration::from_secs(60)));
    assert_eq!(shown(&api, &expired).await.ok(200)["state"], "expired");
    for (end, body) in [("confirm", ""), ("void", VOID)] {
        settle(&api, &expired, end, body)
            .await
            .problem(409, "reservation-expired");
    }
    assert_eq!(shown(&api, &expired).await.ok(200)["state"], "expired");
}

#[tokio::test]
async fn a_confirmation_of_another_date_is_refused() {
    let api = api();
    let (reservation, _) = reserved(&api, r#"{"prefix":"INV"}"#).await;
    let answer = settle(&api, &reservation, "confirm", r#"{"date":"2026-03-08"}"#).await;
    answer.problem(409, "date-changed");
    answer.blames("/date");
    settle(&api, &reservation, "confirm", r#"{"date":"2026-03-07"}"#)
        .await
        .ok(200);
}

#[tokio::test]
async fn a_reservation_that_nobody_made_is_not_found_however_it_is_written() {
    let api = api();
    reserved(&api, r#"{"prefix":"INV"}"#).await;
    for reservation in [
        "00000000000000000000000000000000",
        "x",
        "0000000000000000000000000000000G",
        "%FF",
        "%2F",
        &"0".repeat(1000),
    ] {
        shown(&api, reservation)
            .await
            .problem(404, "reservation-not-found");
        for (end, body) in [("confirm", ""), ("void", VOID)] {
            settle(&api, reservation, end, body)
                .await
                .problem(404, "reservation-not-found");
        }
    }
}

#[tokio::test]
async fn a_reservation_of_another_tenant_is_not_found() {
    let api = api();
    let (reservation, _) = reserved(&api, r#"{"prefix":"INV","tenant":"acme"}"#).await;
    shown(&api, &reservation)
        .await
        .problem(404, "reservation-not-found");
    settle(&api, &reservation, "confirm", "")
        .await
        .problem(404, "reservation-not-found");
    settle(&api, &reservation, "void", r#"{"reason":"x","tenant":"other"}"#)
        .await
        .problem(404, "reservation-not-found");
    let headers = [JSON, ("seqid-tenant", "acme")];
    let path = format!("/api/v1/reservations/{reservation}");
    api.call(
        "POST",
        &format!("{path}/confirm"),
        &headers,
        r#"{"tenant":"other"}"#,
    )
    .await
    .problem(400, "tenant-mismatch");
    assert_eq!(
        api.call("GET", &path, &headers, "").await.ok(200)["state"],
        "reserved"
    );
    settle(&api, &reservation, "confirm", r#"{"tenant":"acme"}"#)
        .await
        .ok(200);
}

#[tokio::test]
async fn a_key_gives_the_same_reservation_again() {
    let api = api();
    let reserve = async |body: &str| {
        let headers = [JSON, ("idempotency-key", "k"), ("x-request-id", "r")];
        api.call("POST", "/api/v1/reserve", &headers, body).await
    };
    let first = reserve(r#"{"prefix":"INV","ttl_seconds":60}"#).await;
    let again = reserve(r#"{"prefix":"INV","ttl_seconds":60}"#).await;
    assert_eq!(
        (
            first.header("idempotency-replayed"),
            again.header("idempotency-replayed")
        ),
        ("", "true")
    );
    assert_eq!(first.ok(201), again.ok(201));
    reserve(r#"{"prefix":"INV","ttl_seconds":61}"#)
        .await
        .problem(422, "idempotency-mismatch");
}

#[tokio::test]
async fn a_reset_over_held_numbers_is_refused() {
    let api = crate::Api(seqid_http::router(crate::service().allow_repeats(true)));
    let (reservation, _) = reserved(&api, r#"{"prefix":"INV"}"#).await;
    let reset = r#"{"prefix":"INV","new_value":1,"reason":"x","repeats":"accepted"}"#;
    api.post("/api/v1/reset", reset)
        .await
        .problem(409, "has-open-reservations");
    settle(&api, &reservation, "confirm", "").await.ok(200);
    api.post("/api/v1/reset", reset).await.ok(200);
}

#[tokio::test]
async fn a_status_counts_what_is_held_and_what_stays_unused() {
    let api = api();
    let counts = async || {
        let status = api.get("/api/v1/status/INV").await.ok(200);
        [status["reserved"].clone(), status["voided"].clone()]
    };
    let (first, _) = reserved(&api, r#"{"prefix":"INV","count":2}"#).await;
    let (second, _) = reserved(&api, r#"{"prefix":"INV"}"#).await;
    assert_eq!(counts().await, [3, 0]);
    settle(&api, &first, "void", VOID).await.ok(200);
    assert_eq!(counts().await, [1, 2]);
    settle(&api, &second, "confirm", "").await.ok(200);
    assert_eq!(counts().await, [0, 2]);
}

#[tokio::test]
async fn held_numbers_beyond_2_to_the_53_are_written_as_texts() {
    let api = api();
    api.define("BIG", r#"{"format":"B{seq}","max":"9223372036854775807"}"#)
        .await;
    let (_, document) = reserved(&api, r#"{"prefix":"BIG"}"#).await;
    for name in ["number", "first", "last", "step"] {
        assert_eq!(document[name], "1", "{name}");
    }
}
