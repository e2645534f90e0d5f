use serde_json::json;

use crate::api;

#[tokio::test]
async fn a_preview_consumes_nothing() {
    let api = api();
    api.define("INV", r#"{"format":"INV-{yyyy}-{seq:5}","reset":"year"}"#)
        .await;
    for _ in 0..2 {
        let preview = api
            .post("/api/v1/preview", r#"{"prefix":"INV","date":"2027-01-01"}"#)
            .await
            .ok(200);
        assert_eq!(
            preview,
            json!({
                "prefix": "INV", "id": "INV-2027-00001", "number": 1, "period": "2027",
                "period_start": "2027-01-01", "period_end": "2027-12-31", "date": "2027-01-01", "scope": {},
            })
        );
    }
}

#[tokio::test]
async fn a_definition_is_previewed_without_a_prefix_and_without_being_saved() {
    let api = api();
    let body = r#"{"definition":{"format":"{prefix}-{branch}-{seq:4}","scope":["branch"]},"number":"42",
        "scope":{"branch":"JKT"}}"#;
    assert_eq!(
        api.post("/api/v1/preview", body).await.ok(200)["id"],
        "PREFIX-JKT-0042"
    );
    let body = r#"{"prefix":"INV","definition":{"format":"{prefix}-{seq:4}"}}"#;
    assert_eq!(api.post("/api/v1/preview", body).await.ok(200)["id"], "INV-0001");
    assert_eq!(api.get("/api/v1/sequences").await.ok(200)["items"], json!([]));
}

#[tokio::test]
async fn a_refused_definition_is_pointed_at_beneath_its_member() {
    let answer = api()
        .post("/api/v1/preview", r#"{"definition":{"format":"INV-{yyyy}"}}"#)
        .await;
    let problem = answer.problem(422, "definition-refused");
    assert_eq!(problem["errors"][0]["code"], "no-seq");
    answer.blames("/definition/format");
}

#[tokio::test]
async fn a_preview_needs_a_prefix_or_a_definition() {
    api().post("/api/v1/preview", "{}").await.blames("/prefix");
}

#[tokio::test]
async fn an_id_is_read_back_by_the_sequence_that_prints_it() {
    let api = api();
    api.define(
        "INV",
        r#"{"format":"INV-{branch}-{yyyy}-{seq:5}","reset":"year","scope":["branch"]}"#,
    )
    .await;
    let body = r#"{"id":"INV-JKT-2026-00042"}"#;
    assert_eq!(
        api.post("/api/v1/parse", body).await.ok(200),
        json!({
            "prefix": "INV", "number": 42, "period": "2026", "period_start": "2026-01-01",
            "period_end": "2026-12-31", "scope": {"branch": "JKT"}, "fields": {}, "definition_version": 1,
        })
    );
    api.post("/api/v1/parse", r#"{"id":"INV-JKT-2026"}"#)
        .await
        .problem(404, "id-not-recognised");
    api.post("/api/v1/parse", r#"{"id":"X","prefix":"NONE"}"#)
        .await
        .problem(404, "sequence-not-found");
}

#[tokio::test]
async fn an_id_of_two_sequences_is_ambiguous_until_one_is_named() {
    let api = api();
    api.define("A", r#"{"format":"X{seq}"}"#).await;
    api.define("B", r#"{"format":"X{seq:2}"}"#).await;
    api.post("/api/v1/parse", r#"{"id":"X12"}"#)
        .await
        .problem(409, "ambiguous-id");
    assert_eq!(
        api.post("/api/v1/parse", r#"{"id":"X12","prefix":"B"}"#)
            .await
            .ok(200)["prefix"],
        "B"
    );
}
