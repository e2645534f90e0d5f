//! Requests that never reach the issuer.

use axum::body::Body;
use axum::http::Request;
use seqid_http::BODY_LIMIT;

use crate::{JSON, api};

#[tokio::test]
async fn an_unknown_path_is_a_problem() {
    for path in [
        "/nothing",
        "/api/v1/",
        "/api/v2/next",
        "/api/v1/sequences/INV/x",
        "/docs/x.js",
    ] {
        api().get(path).await.problem(404, "route-not-found");
    }
}

#[tokio::test]
async fn a_wrong_method_is_a_problem_that_names_the_right_ones() {
    for (method, path, allow) in [
        ("DELETE", "/api/v1/batch", "POST"),
        ("GET", "/api/v1/reset", "POST"),
        ("POST", "/api/v1/status/INV", "GET,HEAD"),
        ("POST", "/api/v1/sequences/INV", "GET,HEAD,PUT,PATCH,DELETE"),
        ("GET", "/api/v1/reserve", "POST"),
        ("POST", "/api/v1/reservations/x", "GET,HEAD"),
        ("GET", "/api/v1/reservations/x/confirm", "POST"),
        ("DELETE", "/api/v1/reservations/x/void", "POST"),
        ("PUT", "/api/v1/void", "POST"),
        ("POST", "/health", "GET,HEAD"),
    ] {
        let answer = api().call(method, path, &[JSON], "{}").await;
        answer.problem(405, "method-not-allowed");
        assert_eq!(answer.header("allow"), allow, "{path}");
    }
}

#[tokio::test]
async fn a_body_that_is_not_json_is_located_by_line_and_column() {
    for body in [
        "",
        " ",
        "{",
        "{\"prefix\":\n\"INV\",}",
        "{\"prefix\":\"INV\"} {}",
        "INV",
        "\u{1}",
    ] {
        let detail = api()
            .post("/api/v1/next", body)
            .await
            .problem(400, "malformed-body")["detail"]
            .to_string();
        assert!(detail.contains("line") || detail.contains("empty"), "{detail}");
    }
    let detail = api()
        .post("/api/v1/next", "{\"prefix\":\n\"INV\",}")
        .await
        .problem(400, "malformed-body");
    assert!(
        detail["detail"].as_str().unwrap().contains("line 2 column 7"),
        "{detail}"
    );
}

#[tokio::test]
async fn a_member_that_is_wrong_is_pointed_at() {
    for (body, pointer) in [
        ("[\"INV\"]", ""),
        ("\"INV\"", ""),
        ("{}", ""),
        (r#"{"prefix":null}"#, "/prefix"),
        (r#"{"prefix":7}"#, "/prefix"),
        (r#"{"prefix":"a/b"}"#, "/prefix"),
        (r#"{"prefix":"INV","prefix":"INV"}"#, ""),
        (r#"{"prefix":"INV","colour":"red"}"#, "/colour"),
        (r#"{"prefix":"INV","count":1}"#, "/count"),
        (r#"{"prefix":"INV","date":"2026-02-30"}"#, "/date"),
        (r#"{"prefix":"INV","date":"2026-02-03T00:00:00Z"}"#, "/date"),
        (r#"{"prefix":"INV","scope":{"a~b/c":true}}"#, "/scope/a~0b~1c"),
        (r#"{"prefix":"INV","scope":{"branch":1.5}}"#, "/scope/branch"),
        (r#"{"prefix":"INV","scope":{"a":"1","a":"2"}}"#, "/scope"),
        (r#"{"prefix":"INV","scope":[]}"#, "/scope"),
        (r#"{"prefix":"INV","reference":""}"#, "/reference"),
    ] {
        let answer = api().post("/api/v1/next", body).await;
        answer.problem(400, "invalid-request");
        answer.blames(pointer);
    }
    for count in ["-1", "1.5", "\"x\"", "\"\"", "\"-1\"", "true", "1e1"] {
        let body = format!(r#"{{"prefix":"INV","count":{count}}}"#);
        api().post("/api/v1/batch", &body).await.blames("/count");
    }
}

#[tokio::test]
async fn a_body_of_another_type_is_refused_with_the_header_to_send() {
    for sent in [
        None,
        Some("application/x-www-form-urlencoded"),
        Some("text/json"),
        Some("application/jsonx"),
    ] {
        let headers: Vec<_> = sent.map(|sent| ("content-type", sent)).into_iter().collect();
        let answer = api()
            .call("POST", "/api/v1/next", &headers, r#"{"prefix":"INV"}"#)
            .await;
        let detail = answer.problem(415, "unsupported-media-type")["detail"].to_string();
        assert!(detail.contains("Content-Type: application/json"), "{detail}");
    }
    for sent in ["application/json; charset=utf-8", "Application/JSON"] {
        api()
            .call(
                "POST",
                "/api/v1/next",
                &[("content-type", sent)],
                r#"{"prefix":"INV"}"#,
            )
            .await
            .ok(200);
    }
}

#[tokio::test]
async fn a_body_has_64_kib_at_most() {
    let padded = |length: usize| {
        let body = r#"{"prefix":"INV"}"#;
        format!("{body}{}", " ".repeat(length - body.len()))
    };
    let api = api();
    api.post("/api/v1/next", &padded(BODY_LIMIT)).await.ok(200);
    api.post("/api/v1/next", &padded(BODY_LIMIT + 1))
        .await
        .problem(413, "body-too-large");
}

#[tokio::test]
async fn a_request_id_of_1_to_255_printable_characters_is_kept_and_another_is_replaced() {
    let longest = "r".repeat(255);
    let api = api();
    for id in ["r", "a b/c~", &longest] {
        let answer = api
            .call(
                "POST",
                "/api/v1/next",
                &[JSON, ("x-request-id", id)],
                r#"{"prefix":"INV"}"#,
            )
            .await;
        assert_eq!(answer.header("x-request-id"), id);
        assert_eq!(answer.ok(200)["request_id"], id);
    }
    for unfit in [
        None,
        Some(String::new()),
        Some("r".repeat(256)),
        Some("tab\there".to_owned()),
    ] {
        let headers: Vec<_> = unfit.iter().map(|id| ("x-request-id", id.as_str())).collect();
        let answer = api.call("GET", "/nothing", &headers, "").await;
        assert!(answer.header("x-request-id").starts_with("0000000000000002-"));
        answer.problem(404, "route-not-found");
    }
}

#[tokio::test]
async fn requests_that_come_without_an_id_get_different_ones() {
    let api = api();
    let ids = [api.get("/health").await, api.get("/health").await];
    assert_ne!(ids[0].header("x-request-id"), ids[1].header("x-request-id"));
}

#[tokio::test]
async fn a_key_of_0_or_256_characters_or_two_keys_are_refused() {
    let longest = "k".repeat(255);
    let too_long = "k".repeat(256);
    let keyed = async |keys: &[&str]| {
        let mut headers = vec![JSON];
        headers.extend(keys.iter().map(|key| ("idempotency-key", *key)));
        api()
            .call("POST", "/api/v1/next", &headers, r#"{"prefix":"INV"}"#)
            .await
    };
    keyed(&[&longest]).await.ok(200);
    for unfit in [&[""][..], &[&too_long], &["a", "b"]] {
        keyed(unfit).await.blames("Idempotency-Key");
    }
}

#[tokio::test]
async fn a_header_that_is_not_ascii_is_refused() {
    let request = Request::get("/api/v1/sequences")
        .header("seqid-tenant", "é")
        .body(Body::empty())
        .unwrap();
    api().send(request).await.blames("Seqid-Tenant");
}
