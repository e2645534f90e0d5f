//! Numbers of ordered sequences over the service, with a Redis server beside its store.
#![allow(clippy::unwrap_used, reason = "a test fails by it")]

mod running;

use std::path::Path;
use std::process::Command;

use running::{Server, program, run};
use seqid_proto::sequential_id_service_client::SequentialIdServiceClient;
use seqid_proto::{GetNextRequest, GetNextResponse};
use seqid_testkit::servers::{PostgresServer, RedisServer};
use serde_json::Value;
use tonic::transport::Channel;

const DEFINITION: &str = r#"{"format":"INV-{seq}","mode":"ordered"}"#;

/// The program beside a server, by the variables that name its parts.
fn beside(redis: &RedisServer, folder: &Path) -> Command {
    let mut command = program(folder);
    command
        .env("PORT", "0")
        .env("REDIS_ADDR", format!("{}:{}", redis.host(), redis.port()))
        .env("REDIS_PASSWORD", redis.password())
        .env("REDIS_DB", "1");
    command
}

fn next_by_grpc(server: &Server) -> Result<GetNextResponse, tonic::Status> {
    let url = format!("http://{}", server.grpc.unwrap());
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let channel = Channel::from_shared(url).unwrap().connect().await.unwrap();
        let mut client = SequentialIdServiceClient::new(channel);
        let request = GetNextRequest {
            prefix: "INV".into(),
            ..GetNextRequest::default()
        };
        client.get_next(request).await.map(tonic::Response::into_inner)
    })
}

fn define(server: &Server) {
    let answer = server.client().put("/api/v1/sequences/INV", DEFINITION).unwrap();
    assert_eq!(answer.status, 201, "{}", answer.body);
}

/// How many numbers of the counter are in a state.
fn count(server: &Server, state: &str) -> Value {
    let answer = server.client().get("/api/v1/gaps/INV/summary").unwrap();
    assert_eq!(answer.status, 200, "{}", answer.body);
    answer.json()["items"][0]["summary"][state].clone()
}

#[test]
fn ordered_numbers_are_drawn_in_redis_and_a_stop_leaves_no_gap() {
    let redis = RedisServer::start().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let events = folder.path().join("events.jsonl");
    let start = || Server::start_with(beside(&redis, folder.path()).env("SEQID_EVENTS_FILE", &events));
    let server = start();
    define(&server);
    assert_eq!((server.draw(), server.draw()), (1, 2));
    let keys = redis.cli(&["-n", "1", "KEYS", "seqid:*:c:*"]).unwrap();
    assert_eq!(keys.lines().count(), 1, "{keys}");
    let metrics = server.client().get("/metrics").unwrap().body;
    for line in [
        "seqid_redis_available 1",
        "seqid_redis_ranges_total 1",
        "seqid_redis_ranges_lost_total 0",
    ] {
        assert!(metrics.contains(line), "{metrics}");
    }
    server.signal("TERM");
    let (status, log) = server.wait();
    assert_eq!(status.code(), Some(0), "{log}");
    assert!(log.contains("drawn in Redis"), "{log}");
    assert!(!log.contains(redis.password()), "{log}");
    let delivered = std::fs::read_to_string(&events).unwrap();
    let kinds: Vec<Value> = delivered
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["kind"].clone())
        .collect();
    assert_eq!(kinds, ["defined", "leased", "reported", "reported", "returned"]);
    let server = start();
    assert_eq!(server.draw(), 3);
    server.stop();
}

#[test]
fn a_killed_service_goes_on_in_its_range_and_an_emptied_server_costs_one() {
    let redis = RedisServer::start().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start_with(&mut beside(&redis, folder.path()));
    define(&server);
    assert_eq!((server.draw(), server.draw()), (1, 2));
    server.kill();
    let server = Server::start_with(&mut beside(&redis, folder.path()));
    assert_eq!(server.draw(), 3);
    redis.cli(&["FLUSHALL"]).unwrap();
    assert_eq!(server.draw(), 17);
    // What the killed one had not recorded is only in the events that were flushed.
    assert!(count(&server, "unknown").as_u64().unwrap() <= 15);
    server.stop();
}

#[test]
fn without_redis_ordered_numbers_wait_and_others_are_given_out() {
    let mut redis = RedisServer::start().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start_with(&mut beside(&redis, folder.path()));
    define(&server);
    assert_eq!(server.draw(), 1);
    redis.kill().unwrap();
    let draw = |prefix: &str| {
        let body = format!(r#"{{"prefix":"{prefix}"}}"#);
        server.client().post("/api/v1/next", None, &body).unwrap()
    };
    // The first may have been sent.
    let first = draw("INV").json();
    assert!(first["detail"].as_str().unwrap().starts_with("Redis"), "{first}");
    let refused = draw("INV");
    assert_eq!(refused.status, 503, "{}", refused.body);
    let problem = refused.json();
    let detail = "Redis, where the numbers of this sequence are drawn, is not available: nothing was issued, and the same \
                  request may be sent again after 1 s";
    assert_eq!(problem["detail"], detail);
    assert_eq!(
        (&problem["outcome"], &problem["retry"], &problem["retry_after_ms"]),
        (&"not_issued".into(), &"same_request".into(), &1000.into())
    );
    let status = next_by_grpc(&server).unwrap_err();
    assert_eq!(
        (status.code(), status.message()),
        (tonic::Code::Unavailable, detail)
    );
    assert_eq!(draw("CN").status, 200);
    assert_eq!(server.client().get("/ready").unwrap().status, 200);
    let metrics = server.client().get("/metrics").unwrap().body;
    assert!(metrics.contains("seqid_redis_available 0"), "{metrics}");
    redis.start_again().unwrap();
    while draw("INV").status != 200 {
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    server.stop();
}

#[test]
fn instances_on_one_database_share_a_redis_server() {
    let (redis, database) = (
        RedisServer::start().unwrap(),
        PostgresServer::shared().database().unwrap(),
    );
    let folders = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let start = |at: usize| {
        let mut command = beside(&redis, folders[at].path());
        Server::start_with(command.env("DATABASE_URL", database.url()))
    };
    let (first, second) = (start(0), start(1));
    define(&first);
    assert_eq!((first.draw(), second.draw(), first.draw()), (1, 2, 3));
    let reset = r#"{"prefix":"INV","new_value":100,"reason":"a test"}"#;
    let moved = second.client().post("/api/v1/reset", None, reset).unwrap();
    assert_eq!(
        (moved.status, &moved.json()["old_next_number"]),
        (200, &serde_json::json!(4))
    );
    assert_eq!((first.draw(), second.draw()), (100, 101));
    first.stop();
    assert_eq!(second.draw(), 102);
    second.stop();
    let verified = run(beside(&redis, folders[0].path())
        .env("DATABASE_URL", database.url())
        .arg("verify"));
    assert_eq!(verified.code, Some(0), "{verified:?}");
}

#[test]
fn a_server_that_is_not_there_keeps_the_service_from_starting() {
    let folder = tempfile::tempdir().unwrap();
    let mut start = program(folder.path());
    // Nobody listens on port 1.
    let ended = run(start
        .env("PORT", "0")
        .env("REDIS_ADDR", "redis://:secret@127.0.0.1:1/0"));
    ended.refused(&["REDIS_ADDR", "no Redis server answers for 127.0.0.1:1"]);
    assert!(!ended.stderr.contains("secret"), "{}", ended.stderr);
    let redis = RedisServer::start().unwrap();
    run(beside(&redis, folder.path()).env("REDIS_PASSWORD", "guessed"))
        .refused(&["does not let the user in"]);
}

/// The program with Redis alone.
fn unfenced(redis: &RedisServer, folder: &Path) -> Command {
    let mut command = beside(redis, folder);
    command.env("REDIS_UNFENCED", "true");
    command
}

#[test]
fn redis_alone_gives_numbers_and_says_each_time_that_they_may_repeat() {
    let redis = RedisServer::start().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start_with(&mut unfenced(&redis, folder.path()));
    assert!(server.banner.contains("UNFENCED"), "{}", server.banner);
    let call = |path: &str, key: Option<&str>, body: &str| server.client().post(path, key, body).unwrap();
    let next = || call("/api/v1/next", None, r#"{"prefix":"INV"}"#);
    let undefined = next();
    assert_eq!(
        (undefined.status, &undefined.json()["code"]),
        (404, &"sequence-not-found".into())
    );
    let gapless = server
        .client()
        .put("/api/v1/sequences/INV", r#"{"format":"INV-{seq}"}"#)
        .unwrap();
    assert_eq!(gapless.status, 422, "{}", gapless.body);
    assert_eq!(gapless.json()["errors"][0]["code"], "mode-unavailable");

    define(&server);
    for number in [1, 2] {
        let drawn = next().json();
        assert_eq!(
            (&drawn["number"], &drawn["warnings"]),
            (&number.into(), &serde_json::json!(["unfenced"]))
        );
    }
    let drawn = next_by_grpc(&server).unwrap();
    assert_eq!(
        (drawn.number, &drawn.warnings[..]),
        (3, &["unfenced".to_owned()][..])
    );
    let status = server.client().get("/api/v1/status/INV").unwrap().json();
    assert!(
        status["warnings"]
            .as_array()
            .unwrap()
            .contains(&"unfenced".into()),
        "{status}"
    );
    let keyed = call("/api/v1/next", Some("k"), r#"{"prefix":"INV"}"#);
    assert_eq!(keyed.status, 400, "{}", keyed.body);
    assert!(keyed.body.contains("keeps no idempotency keys"), "{}", keyed.body);
    for path in ["/api/v1/gaps/INV", "/api/v1/audit"] {
        let refused = server.client().get(path).unwrap();
        assert_eq!(refused.status, 400, "{path}: {}", refused.body);
        assert!(refused.body.contains("keeps no audit"), "{}", refused.body);
    }

    redis.cli(&["FLUSHALL"]).unwrap();
    assert_eq!(next().status, 404, "definitions are gone too");
    define(&server);
    let again = next().json();
    assert_eq!(
        (&again["number"], &again["warnings"]),
        (&1.into(), &serde_json::json!(["unfenced"]))
    );
    let metrics = server.client().get("/metrics").unwrap().body;
    assert!(metrics.contains("seqid_redis_available 1"), "{metrics}");
    server.signal("TERM");
    let (status, log) = server.wait();
    assert_eq!(status.code(), Some(0), "{log}");
    assert!(log.contains("THEY REPEAT"), "{log}");
    assert!(log.contains("redis-unfenced"), "{log}");
    let server = Server::start_with(&mut unfenced(&redis, folder.path()));
    assert_eq!(server.draw(), 2);
    server.stop();
}

#[test]
fn redis_alone_is_refused_beside_numbers_that_it_would_repeat() {
    let redis = RedisServer::start().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start_with(&mut beside(&redis, folder.path()));
    define(&server);
    assert_eq!(server.draw(), 1);
    server.stop();
    run(&mut unfenced(&redis, folder.path())).refused(&["seqid.db", "unset REDIS_UNFENCED"]);
    // Those of a durable store elsewhere.
    let other = tempfile::tempdir().unwrap();
    run(&mut unfenced(&redis, other.path())).refused(&["durable store", "namespace"]);
}

#[test]
fn a_lost_range_and_events_that_wait_are_in_the_metrics() {
    let mut redis = RedisServer::start().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start_with(&mut beside(&redis, folder.path()));
    define(&server);
    let shows = |line: &str| {
        server
            .client()
            .get("/metrics")
            .unwrap()
            .body
            .lines()
            .any(|found| found == line)
    };
    for name in [
        "ranges_held",
        "histories",
        "stream_entries",
        "numbers_unknown_total",
    ] {
        assert!(shows(&format!("seqid_redis_{name} 0")), "{name}");
    }
    assert_eq!((server.draw(), server.draw()), (1, 2));
    assert!(shows("seqid_redis_ranges_held 1"));
    assert!(shows("seqid_redis_histories 1"));
    while !shows("seqid_redis_unrecorded 0") {
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    redis.kill().unwrap();
    redis.start_empty().unwrap();
    let draw = || {
        server
            .client()
            .post("/api/v1/next", None, r#"{"prefix":"INV"}"#)
            .unwrap()
            .status
    };
    while draw() != 200 {
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    assert!(shows("seqid_redis_ranges_lost_total 1"));
    assert!(shows("seqid_redis_numbers_unknown_total 14"));
    assert_eq!(count(&server, "unknown"), 14);
    server.stop();
}
