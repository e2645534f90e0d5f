use serde_json::{Value, json};

use crate::{Api, JSON, api};

const INV: &str = "/api/v1/sequences/INV";
const MERGE_PATCH: (&str, &str) = ("content-type", "application/merge-patch+json");

async fn defined() -> Api {
    let api = api();
    api.define("INV", r#"{"format":"INV-{yyyy}-{seq:5!}","reset":"year"}"#)
        .await;
    api
}

#[tokio::test]
async fn a_new_definition_is_created_and_shown_with_its_tag() {
    let api = api();
    let body = r#"{"format":"INV-{yyyy}-{seq:5!}","reset":"year"}"#;
    let created = api.put(INV, body).await;
    assert_eq!(created.header("etag"), "\"1\"");
    let created = created.ok(201);
    assert_eq!([&created["created"], &created["saved"]], [true, true]);
    assert_eq!(
        [&created["first_id"], &created["last_id"]],
        ["INV-2026-00001", "INV-2026-99999"]
    );
    assert_eq!(
        [&created["version"], &created["longest"], &created["max"]],
        [1, 14, 99_999]
    );
    assert_eq!(
        (&created["implicit"], &created["archived"]),
        (&json!(false), &json!(false))
    );

    let shown = api.get(INV).await;
    assert_eq!(shown.header("etag"), "\"1\"");
    for (name, value) in shown.ok(200).as_object().unwrap() {
        assert_eq!(&created[name], value, "{name}");
    }
}

#[tokio::test]
async fn a_definition_is_shown_with_every_member_and_can_be_sent_back() {
    let api = defined().await;
    let shown = api.get(INV).await.ok(200)["definition"].clone();
    assert_eq!(
        (&shown["mode"], &shown["start"], &shown["window"]),
        (&json!("gapless"), &json!(1), &Value::Null)
    );
    assert!(shown.as_object().unwrap().len() >= 23);
    let again = api.put(INV, &shown.to_string()).await;
    assert_eq!(again.header("etag"), "\"1\"");
    assert_eq!(again.ok(200)["saved"], false);
}

#[tokio::test]
async fn a_change_names_the_version_that_it_was_made_from() {
    let api = defined().await;
    let changed = r#"{"format":"INV-{yyyy}-{seq:5!}","reset":"year","description":"Invoices"}"#;
    let put = async |tag: &str| api.call("PUT", INV, &[JSON, ("if-match", tag)], changed).await;
    api.put(INV, changed).await.problem(428, "version-required");
    put("\"2\"").await.problem(412, "version-mismatch");
    for unfit in ["1", "\"x\"", "*", "\"1\", \"2\"", ""] {
        put(unfit).await.blames("If-Match");
    }
    let saved = put("\"1\"").await;
    assert_eq!(saved.header("etag"), "\"2\"");
    let saved = saved.ok(200);
    assert_eq!([&saved["created"], &saved["saved"]], [false, true]);
    // As a repetition after a lost answer it has its effect already; as another change it is refused.
    assert_eq!(put("\"1\"").await.ok(200)["saved"], false);
    let other = changed.replace("Invoices", "Bills");
    let stale = api.call("PUT", INV, &[JSON, ("if-match", "\"1\"")], &other).await;
    stale.problem(412, "version-mismatch");
}

#[tokio::test]
async fn a_tag_that_a_proxy_made_weak_is_the_same_version() {
    let api = defined().await;
    let headers = [MERGE_PATCH, ("if-match", "W/\"1\"")];
    assert_eq!(
        api.call("PATCH", INV, &headers, r#"{"warn_at":5}"#).await.ok(200)["version"],
        2
    );
}

#[tokio::test]
async fn a_dry_run_checks_and_saves_nothing() {
    let api = api();
    let dry = async |body: &str| api.put("/api/v1/sequences/INV?dry_run=true", body).await;
    let checked = dry(r#"{"format":"INV-{seq:3}"}"#).await;
    assert_eq!(checked.header("etag"), "");
    let checked = checked.ok(200);
    assert_eq!(
        (&checked["created"], &checked["saved"], &checked["first_id"]),
        (&json!(true), &json!(false), &json!("INV-001"))
    );
    dry(r#"{"format":"INV"}"#)
        .await
        .problem(422, "definition-refused");
    api.get(INV).await.problem(404, "sequence-not-found");
    api.put("/api/v1/sequences/INV?dry_run=1", r#"{"format":"INV-{seq:3}"}"#)
        .await
        .blames("?dry_run");
}

#[tokio::test]
async fn a_patch_changes_what_it_names_and_null_goes_back_to_the_default() {
    let api = defined().await;
    let patch = async |version: &str, body: &str| {
        api.call("PATCH", INV, &[MERGE_PATCH, ("if-match", version)], body)
            .await
    };
    let changed = patch("\"1\"", r#"{"description":"Invoices","warn_at":"7"}"#)
        .await
        .ok(200);
    assert_eq!(
        [
            &changed["definition"]["description"],
            &changed["definition"]["reset"]
        ],
        ["Invoices", "year"]
    );
    assert_eq!(changed["definition"]["warn_at"], 7);
    let cleared = patch("\"2\"", r#"{"description":null}"#).await.ok(200);
    assert_eq!(
        (&cleared["definition"]["description"], &cleared["version"]),
        (&Value::Null, &json!(3))
    );
    patch("\"3\"", r#"{"colour":"red"}"#).await.blames("/colour");
    patch("\"3\"", r#"{"warn_at":-1}"#).await.blames("/warn_at");
    assert_eq!(
        api.call("PATCH", INV, &[MERGE_PATCH], "{}").await.ok(200)["saved"],
        false
    );
    api.call("PATCH", INV, &[JSON], r#"{"warn_at":8}"#)
        .await
        .problem(428, "version-required");
}

#[tokio::test]
async fn a_patch_of_a_sequence_that_nobody_defined_is_not_found() {
    api()
        .call("PATCH", INV, &[MERGE_PATCH], "{}")
        .await
        .problem(404, "sequence-not-found");
}

#[tokio::test]
async fn every_reason_against_a_definition_is_told_with_its_place() {
    let answer = api()
        .put(
            INV,
            r#"{"format":"INV-{colour}-{seq}","time_zone":"Mars/Olympus"}"#,
        )
        .await;
    let problem = answer.problem(422, "definition-refused");
    let errors = problem["errors"].as_array().unwrap();
    let named = |code: &str, pointer: &str| {
        errors
            .iter()
            .any(|e| e["code"] == code && e["pointer"] == pointer)
    };
    assert!(named("unknown-zone", "/time_zone"), "{problem}");
    assert!(named("unknown-token", "/format"), "{problem}");
}

#[tokio::test]
async fn an_unknown_member_of_a_definition_is_refused() {
    let answer = api().put(INV, r#"{"format":"INV-{seq}","colour":"red"}"#).await;
    answer.problem(400, "invalid-request");
    answer.blames("/colour");
}

#[tokio::test]
async fn a_prefix_that_differs_by_case_alone_is_refused() {
    defined()
        .await
        .put("/api/v1/sequences/inv", r#"{"format":"inv-{seq}"}"#)
        .await
        .problem(409, "case-variant");
}

#[tokio::test]
async fn a_prefix_has_64_characters_at_most_and_is_decoded() {
    let api = api();
    let path = |prefix: &str| format!("/api/v1/sequences/{prefix}");
    api.put(&path(&"x".repeat(64)), r#"{"format":"A{seq}"}"#)
        .await
        .ok(201);
    api.put(&path(&"x".repeat(65)), r#"{"format":"A{seq}"}"#)
        .await
        .blames("{prefix}");
    api.get(&path("A%20B")).await.blames("{prefix}");
    api.get(&path("%FF")).await.blames("{prefix}");
    api.put(&path("%41B"), r#"{"format":"AB{seq}"}"#).await.ok(201);
    assert_eq!(api.get(&path("AB")).await.ok(200)["prefix"], "AB");
}

#[tokio::test]
async fn sequences_are_listed_by_prefix_in_parts_and_by_tenant() {
    let api = api();
    for prefix in ["C", "A", "B"] {
        api.define(prefix, &format!(r#"{{"format":"{prefix}{{seq}}"}}"#))
            .await;
    }
    let list = async |query: &str| api.get(&format!("/api/v1/sequences?{query}")).await.ok(200);
    let prefixes = |part: &Value| -> Vec<String> {
        part["items"]
            .as_array()
            .unwrap()
            .iter()
            .map(|item| item["prefix"].as_str().unwrap().into())
            .collect()
    };
    let first = list("limit=2").await;
    assert_eq!(prefixes(&first), ["A", "B"]);
    let second = list(&format!("limit=2&after={}", first["next"].as_str().unwrap())).await;
    assert_eq!(
        (prefixes(&second), &second["next"]),
        (vec!["C".to_owned()], &Value::Null)
    );
    let other = api
        .call("GET", "/api/v1/sequences", &[("seqid-tenant", "other")], "")
        .await
        .ok(200);
    assert_eq!(other, json!({"items": [], "next": null}));
}
