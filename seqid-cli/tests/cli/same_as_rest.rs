//! What `--json` prints has the members and values of the REST API.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::running::Place;

/// The members of a document without their values: what a program relies on.
fn shape(value: &Value) -> Value {
    match value {
        Value::Object(members) => members
            .iter()
            .map(|(name, value)| (name.clone(), shape(value)))
            .collect(),
        Value::Array(items) => items.first().map_or(json!([]), |first| json!([shape(first)])),
        Value::Null => Value::Null,
        Value::String(_) => json!("text"),
        Value::Number(_) => json!(0),
        Value::Bool(_) => json!(true),
    }
}

/// Two answers to the same request, made twice.
#[track_caller]
fn alike(ours: &Value, rest: &Value) {
    assert_eq!(shape(ours), shape(rest));
}

fn lines(text: &str) -> Vec<Value> {
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// Sequences of all kinds: scopes, large numbers, several versions.
fn filled() -> Place {
    let place = Place::service();
    place.prints(&[
        "define",
        "SINV",
        "--format",
        "{branch}/{clerk}/{yyyy}/{seq:4}",
        "--reset",
        "year",
        "--scope",
        "branch",
        "--field",
        "clerk",
    ]);
    place.prints(&[
        "define",
        "BIG",
        "--format",
        "BIG-{seq}",
        "--max",
        "9223372036854775807",
    ]);
    place.prints(&["batch", "BIG", "3"]);
    place.prints(&[
        "next",
        "SINV",
        "--scope",
        "branch=DEL",
        "--field",
        "clerk=7",
        "--reference",
        "SO-1",
    ]);
    place.prints(&["next", "INV"]);
    place
}

#[test]
fn answers_to_draws_have_the_same_members() {
    let place = filled();
    let rest = |path: &str, body: Value| place.served().send("POST", path, &body);
    let named = [
        "--scope",
        "branch=DEL",
        "--field",
        "clerk=7",
        "--reference",
        "SO-2",
    ];
    let body =
        json!({"prefix": "SINV", "scope": {"branch": "DEL"}, "fields": {"clerk": "7"}, "reference": "SO-2"});
    let with = |more: Value| {
        let mut members: BTreeMap<String, Value> = serde_json::from_value(body.clone()).unwrap();
        members.extend(serde_json::from_value::<BTreeMap<String, Value>>(more).unwrap());
        json!(members)
    };
    let ours = |arguments: &[&str]| place.json(&[arguments, &named].concat());
    alike(&ours(&["next", "SINV"]), &rest("/api/v1/next", body.clone()));
    alike(
        &ours(&["batch", "SINV", "3"]),
        &rest("/api/v1/batch", with(json!({"count": 3}))),
    );
    alike(
        &ours(&["reserve", "SINV"]),
        &rest("/api/v1/reserve", body.clone()),
    );
    alike(
        &ours(&["reserve", "SINV", "--count", "2"]),
        &rest("/api/v1/reserve", with(json!({"count": 2}))),
    );
    alike(
        &place.json(&["next", "BIG"]),
        &rest("/api/v1/next", json!({"prefix": "BIG"})),
    );
    alike(
        &place.json(&["batch", "BIG", "2"]),
        &rest("/api/v1/batch", json!({"prefix": "BIG", "count": 2})),
    );
}

#[test]
fn answers_to_what_changes_something_have_the_same_members() {
    let place = filled();
    let rest = |path: &str, body: Value| place.served().send("POST", path, &body);
    let reservation = |prefix: &str| {
        place.json(&["reserve", prefix])["reservation"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    let path = |what: &str| format!("/api/v1/reservations/{}/{what}", reservation("INV"));
    alike(
        &place.json(&["confirm", &reservation("INV")]),
        &rest(&path("confirm"), json!({})),
    );
    let void = ["void", "--reason", "why", "--reservation", &reservation("INV")];
    alike(&place.json(&void), &rest(&path("void"), json!({"reason": "why"})));
    let void = ["void", "INV", "--number", "1", "--reason", "why"];
    alike(
        &place.json(&void),
        &rest(
            "/api/v1/void",
            json!({"prefix": "INV", "number": 2, "reason": "why"}),
        ),
    );
    let sync = ["sync", "INV", "100", "--reason", "why"];
    alike(
        &place.json(&sync),
        &rest(
            "/api/v1/sync",
            json!({"prefix": "INV", "last_used": 200, "reason": "why"}),
        ),
    );
    let reset = ["reset", "INV", "300", "--reason", "why"];
    alike(
        &place.json(&reset),
        &rest(
            "/api/v1/reset",
            json!({"prefix": "INV", "new_value": 400, "reason": "why"}),
        ),
    );
    let reset = ["reset", "BIG", "300", "--reason", "why"];
    alike(
        &place.json(&reset),
        &rest(
            "/api/v1/reset",
            json!({"prefix": "BIG", "new_value": 400, "reason": "why"}),
        ),
    );
    let definition = json!({"format": "M-{seq:3}", "description": "new"});
    let define = ["define", "N1", "--format", "N-{seq:3}", "--description", "new"];
    alike(
        &place.json(&define),
        &place.served().send("PUT", "/api/v1/sequences/N2", &definition),
    );
}

#[test]
fn answers_to_questions_are_the_same() {
    let place = filled();
    let rest = |path: &str| place.served().get(path);
    assert_eq!(place.json(&["status", "BIG"]), rest("/api/v1/status/BIG"));
    let scope = ["status", "SINV", "--scope", "branch=DEL"];
    assert_eq!(place.json(&scope), rest("/api/v1/status/SINV?scope.branch=DEL"));
    assert_eq!(
        json!(lines(&place.prints(&["--json", "list"]))),
        rest("/api/v1/sequences")["items"]
    );
    let counters = lines(&place.prints(&["--json", "list", "SINV"]));
    assert_eq!(json!(counters), rest("/api/v1/counters?prefix=SINV")["items"]);

    let preview = json!({"prefix": "BIG", "number": 7});
    let preview = place.served().send("POST", "/api/v1/preview", &preview);
    assert_eq!(place.json(&["preview", "BIG", "--number", "7"]), preview);
    for id in ["BIG-2", "INV-001"] {
        let parsed = place.served().send("POST", "/api/v1/parse", &json!({"id": id}));
        assert_eq!(place.json(&["parse", id]), parsed);
    }
    let events = lines(&place.prints(&["--json", "audit", "--limit", "1000"]));
    assert_eq!(json!(events), rest("/api/v1/audit?limit=1000")["items"]);
}

#[test]
fn the_gap_report_is_the_same() {
    let place = filled();
    place.prints(&["void", "BIG", "--number", "2", "--reason", "why, and \"more\""]);
    place.prints(&["reserve", "BIG", "--count", "2"]);
    for prefix in ["BIG", "INV"] {
        let mut ours = place.json(&["gaps", prefix]);
        let mut rest = place.served().get(&format!("/api/v1/gaps/{prefix}"));
        assert!(ours["made_at"].is_string() && rest["made_at"].is_string());
        (ours["made_at"], rest["made_at"]) = (json!(null), json!(null));
        assert_eq!(ours, rest);
    }
}

#[test]
fn a_refusal_has_the_members_of_a_problem_document() {
    let place = filled();
    let definition = json!({"format": "INV-{seq:5}", "reset": "year"});
    let rest = place.served().send("PUT", "/api/v1/sequences/X", &definition);
    let ours = place.run(&[
        "--json",
        "define",
        "X",
        "--format",
        "INV-{seq:5}",
        "--reset",
        "year",
    ]);
    assert_eq!(ours.code, Some(1));
    let (ours, rest) = (ours.problem(), rest.as_object().unwrap().clone());
    // HTTP alone has these.
    for (name, value) in rest
        .iter()
        .filter(|(name, _)| !["status", "instance"].contains(&name.as_str()))
    {
        let (ours, rest) = (&ours[name], value);
        if name == "detail" {
            assert!(ours.is_string());
        } else {
            assert_eq!(ours, rest, "{name}");
        }
    }
}
