//! What docs/events.md says is enough to read events in another language, and real messages are as their schema says.
//!
//! `scripts/install-test-needs.sh` puts the packages below the target folder.
#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a test fails by it")]

mod broker;
mod running;

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use broker::{on_broker, start, until};
use running::run;
use seqid_testkit::servers::RabbitMqServer;

const SCHEMA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/event.schema.json");

/// Reads all that is in a queue, and prints each type and whatever is not as the schema says.
const VALIDATE: &str = r#"
import json, sys
import jsonschema, pika

schema = json.load(open(sys.argv[2]))
jsonschema.Draft202012Validator.check_schema(schema)
validator = jsonschema.Draft202012Validator(schema)
channel = pika.BlockingConnection(pika.URLParameters(sys.argv[1])).channel()
while True:
    method, properties, body = channel.basic_get("seqid.events", auto_ack=True)
    if method is None:
        break
    event = json.loads(body)
    for error in validator.iter_errors(event):
        print("WRONG", error.json_path, error.message)
    for found, expected in [
        (properties.content_type, "application/cloudevents+json; charset=utf-8"),
        (properties.message_id, event["id"]),
        (event["data"]["event_id"], event["id"]),
        (properties.type, event["type"]),
        (properties.app_id, "seqid"),
        (properties.delivery_mode, 2),
        (properties.headers["seqid-schema"], event["dataschema"]),
    ]:
        if found != expected:
            print("WRONG", found, expected)
    print(method.routing_key, event["type"])
    for name in sorted(event["data"]):
        broken = dict(event, data=dict(event["data"]))
        del broken["data"][name]
        if validator.is_valid(broken):
            print("WRONG", name, "may be missing")
"#;

fn python() -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("../interop/python");
    let wanted = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients/python/requirements.txt");
    let found = fs::read_to_string(folder.join("requirements.txt")).unwrap_or_default();
    assert_eq!(
        found,
        fs::read_to_string(wanted).unwrap(),
        "run scripts/install-test-needs.sh: the packages of Python are not in {}",
        folder.display()
    );
    folder.join("bin/python")
}

#[test]
fn real_messages_are_as_the_schema_says() {
    let host = RabbitMqServer::shared().virtual_host().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let service = start(on_broker(folder.path(), host.url()));
    let mut client = service.client();
    let definition = r#"{"format":"ORD-{branch}-{yyyy}-{seq:4}","scope":["branch"],"reset":"year"}"#;
    assert_eq!(
        client.put("/api/v1/sequences/ORD.2", definition).unwrap().status,
        201
    );
    let mut post = |path: &str, key, body: &str| {
        let answer = client.post(path, key, body).unwrap();
        assert!(answer.status < 300, "{path} {body}: {}", answer.body);
        answer
    };
    let order = r#"{"prefix":"ORD.2","scope":{"branch":"JKT"},"date":"2026-03-07","reference":"order 1","client_id":"erp"}"#;
    post("/api/v1/next", Some("key-1"), order);
    post("/api/v1/batch", None, r#"{"prefix":"INV","count":5}"#);
    let held = post("/api/v1/reserve", None, r#"{"prefix":"INV","ttl_seconds":600}"#).json();
    let held = held["reservation"].as_str().unwrap();
    post(&format!("/api/v1/reservations/{held}/confirm"), None, "{}");
    let held = post("/api/v1/reserve", None, r#"{"prefix":"INV","ttl_seconds":600}"#).json();
    let held = held["reservation"].as_str().unwrap();
    post(
        &format!("/api/v1/reservations/{held}/void"),
        None,
        r#"{"reason":"not needed"}"#,
    );
    post(
        "/api/v1/sync",
        None,
        r#"{"prefix":"INV","last_used":20,"reason":"import"}"#,
    );
    post(
        "/api/v1/reset",
        None,
        r#"{"prefix":"INV","new_value":30,"reason":"new book"}"#,
    );
    post(
        "/api/v1/sequences/INV/archive",
        None,
        r#"{"reason":"no longer used"}"#,
    );
    // Recorded and confirmed before it ends.
    service.stop();

    let ended = run(Command::new(python()).args(["-c", VALIDATE, host.url(), SCHEMA]));
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(!ended.stdout.contains("WRONG"), "{}", ended.stdout);
    for line in [
        "default.ORD:2.defined seqid.defined",
        "default.ORD:2.issued seqid.issued",
        "default.INV.issued seqid.issued",
        "default.INV.reserved seqid.reserved",
        "default.INV.confirmed seqid.confirmed",
        "default.INV.voided seqid.voided",
        "default.INV.external seqid.external",
        "default.INV.skipped seqid.skipped",
        "default.INV.archived seqid.archived",
    ] {
        assert!(
            ended.stdout.lines().any(|found| found == line),
            "{line} is not in {}",
            ended.stdout
        );
    }
}

#[test]
fn the_consumer_of_the_guide_reads_each_event_once() {
    let guide = include_str!("../../docs/events.md");
    let (_, program) = guide.split_once("```python\n").expect("the guide has a program");
    let (program, _) = program.split_once("```").expect("it has an end");
    let host = RabbitMqServer::shared().virtual_host().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let mut consumer = Command::new(python())
        .args(["-c", program, host.url(), "6"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(consumer.stdout.take().unwrap())
        .lines()
        .map(Result::unwrap);
    assert_eq!(lines.next().as_deref(), Some("ready"));
    let service = start(on_broker(folder.path(), host.url()));
    for number in 1..=5 {
        assert_eq!(service.draw(), number);
    }
    until("all were read", || consumer.try_wait().unwrap().is_some());
    let printed: Vec<String> = lines.collect();
    let expected: Vec<String> = (1..=5)
        .map(|number| format!("issued INV-{number:03} 1"))
        .collect();
    assert_eq!(printed, expected);
    assert!(consumer.wait().unwrap().success());
    service.stop();
}
