use serde_json::Value;

use crate::api;

#[tokio::test]
async fn the_root_leads_to_the_documentation() {
    for (path, location) in [("/", "docs"), ("/docs/", "../docs")] {
        let answer = api().get(path).await;
        assert_eq!(
            (answer.status.as_u16(), answer.header("location")),
            (307, location)
        );
    }
}

#[tokio::test]
async fn the_page_loads_nothing_from_elsewhere_and_has_no_inline_script() {
    let page = api().get("/docs").await;
    let policy = page.header("content-security-policy");
    assert!(
        policy.contains("default-src 'none'") && !policy.contains("unsafe"),
        "{policy}"
    );
    let html = page.text();
    assert!(!html.contains("://") && !html.contains("<script>") && !html.contains("style="));
}

#[tokio::test]
async fn every_file_that_the_page_names_is_served_with_its_type() {
    let api = api();
    let html = api.get("/docs").await.text();
    let named: Vec<_> = html
        .split('"')
        .filter_map(|part| part.strip_prefix("docs/"))
        .collect();
    assert_eq!(named.len(), 5);
    for file in named {
        let answer = api.get(&format!("/docs/{file}")).await;
        let media_type = match file.split('?').next().and_then(|name| name.rsplit('.').next()) {
            Some("js") => "text/javascript; charset=utf-8",
            Some("css") => "text/css; charset=utf-8",
            _ => "image/png",
        };
        assert_eq!(
            (answer.status.as_u16(), answer.header("content-type")),
            (200, media_type)
        );
        assert_eq!(
            answer.header("cache-control"),
            "public, max-age=31536000, immutable"
        );
        assert_eq!(answer.header("x-content-type-options"), "nosniff");
        let gzip = answer.body.starts_with(&[0x1f, 0x8b]);
        assert_eq!(
            answer.header("content-encoding"),
            if gzip { "gzip" } else { "" },
            "{file}"
        );
    }
}

#[tokio::test]
async fn the_description_is_served_as_it_is_exported() {
    let answer = api().get("/openapi.json").await;
    assert_eq!(answer.header("content-type"), "application/json");
    assert_eq!(answer.text(), seqid_http::openapi_json());
}

#[tokio::test]
async fn every_operation_that_is_described_is_served() {
    for (path, operations) in description()["paths"].as_object().unwrap() {
        for method in operations.as_object().unwrap().keys() {
            let answer = api().call(&method.to_uppercase(), &filled(path), &[], "").await;
            let code = answer.status.as_u16();
            assert_ne!(code, 405, "{method} {path}");
            assert!(
                code != 404 || answer.json()["code"] != "route-not-found",
                "{method} {path}"
            );
        }
    }
}

fn filled(path: &str) -> String {
    path.replace("{prefix}", "INV")
        .replace("{reservation}", "5f1d7a3c9b2e4860a7c1d9e3f5b70824")
}

#[tokio::test]
async fn the_example_of_every_body_is_accepted() {
    let description = description();
    let example = |name: &str| description["components"]["schemas"][name]["example"].to_string();
    let api = api();
    for (path, body) in [
        ("/api/v1/next", "NextBody"),
        ("/api/v1/batch", "BatchBody"),
        ("/api/v1/void", "VoidBody"),
        ("/api/v1/reset", "ResetBody"),
        ("/api/v1/sync", "SyncBody"),
        ("/api/v1/preview", "PreviewBody"),
        ("/api/v1/parse", "ParseBody"),
    ] {
        api.post(path, &example(body)).await.ok(200);
    }
    for (end, body) in [("confirm", "ConfirmBody"), ("void", "VoidReservationBody")] {
        let reserved = api.post("/api/v1/reserve", &example("ReserveBody")).await.ok(201);
        let path = format!(
            "/api/v1/reservations/{}/{end}",
            reserved["reservation"].as_str().unwrap()
        );
        api.post(&path, &example(body)).await.ok(200);
    }
    api.put("/api/v1/sequences/FY", &example("Definition"))
        .await
        .ok(201);
}

#[tokio::test]
async fn an_answer_has_the_members_that_its_schema_requires() {
    let description = description();
    let api = api();
    let drawn = api.post("/api/v1/next", r#"{"prefix":"INV"}"#).await.ok(200);
    let batch = api
        .post("/api/v1/batch", r#"{"prefix":"INV","count":1}"#)
        .await
        .ok(200);
    let reservation = api.post("/api/v1/reserve", r#"{"prefix":"INV"}"#).await.ok(201);
    let voided = api
        .post("/api/v1/void", r#"{"prefix":"INV","number":1,"reason":"x"}"#)
        .await
        .ok(200);
    let status = api.get("/api/v1/status/INV").await.ok(200);
    let sequence = api.get("/api/v1/sequences/INV").await.ok(200);
    let parsed = api.post("/api/v1/parse", r#"{"id":"INV-001"}"#).await.ok(200);
    let preview = api.post("/api/v1/preview", r#"{"prefix":"INV"}"#).await.ok(200);
    let gaps = api.get("/api/v1/gaps/INV").await.ok(200);
    let summaries = api.get("/api/v1/gaps/INV/summary").await.ok(200);
    let problem = api.get("/nothing").await.json();
    let audit = api.get("/api/v1/audit").await.ok(200);
    for (schema, answer) in [
        ("Draw", drawn),
        ("Batch", batch),
        ("Reservation", reservation),
        ("Voided", voided),
        ("Status", status),
        ("Gap", gaps["gaps"][0].clone()),
        ("GapSummary", gaps["summary"].clone()),
        ("Gaps", gaps),
        ("CounterGapSummary", summaries["items"][0].clone()),
        ("GapSummaries", summaries),
        ("Sequence", sequence),
        ("ParsedId", parsed),
        ("Preview", preview),
        ("Problem", problem),
        ("Event", audit["items"][0].clone()),
        ("Audit", audit),
    ] {
        let mut required = required(&description, &description["components"]["schemas"][schema]);
        let mut present: Vec<_> = answer.as_object().unwrap().keys().map(String::as_str).collect();
        required.sort_unstable();
        present.sort_unstable();
        assert_eq!(required, present);
    }
}

/// The members that a schema requires, and those of the schemas that it is put together from.
fn required<'a>(description: &'a Value, schema: &'a Value) -> Vec<&'a str> {
    if let Some(reference) = schema["$ref"].as_str() {
        let pointer = reference.trim_start_matches('#');
        return required(description, description.pointer(pointer).unwrap());
    }
    let parts = schema["allOf"].as_array().into_iter().flatten();
    let own = schema["required"].as_array().into_iter().flatten();
    own.map(|name| name.as_str().unwrap())
        .chain(parts.flat_map(|part| required(description, part)))
        .collect()
}

fn description() -> Value {
    serde_json::from_str(&seqid_http::openapi_json()).unwrap()
}
