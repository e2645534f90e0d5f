//! From the store to the broker, and by workers to the audit.
#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a test fails by it")]

mod broker;
mod running;

use broker::{metric, on_both, on_broker, readiness, start, until, work};
use lapin::options::{BasicGetOptions, BasicPublishOptions, QueueBindOptions, QueueDeclareOptions};
use lapin::types::FieldTable;
use lapin::{BasicProperties, Connection, ConnectionProperties};
use running::{program, run};
use seqid_testkit::servers::{PostgresServer, RabbitMqServer};

#[test]
fn numbers_are_drawn_while_the_broker_is_away_and_their_events_follow() {
    let mut server = RabbitMqServer::start().unwrap();
    server.kill().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let service = start(on_broker(folder.path(), &server.url()));
    for number in 1..=50 {
        assert_eq!(service.draw(), number);
    }
    assert_eq!(readiness(&service), 200, "it can be drawn from");
    until("the failure shows", || {
        metric(&service, "seqid_relay_failures_total") > 0.0
    });
    until("what waits is seen", || {
        metric(&service, "seqid_relay_backlog") == 51.0
    });
    assert!(metric(&service, "seqid_relay_lag_seconds") > 0.0);
    assert!(metric(&service, "seqid_relay_backlog_limit").is_infinite());
    let ready = service.client().get("/ready").unwrap();
    assert_eq!(ready.json()["undelivered"]["events"], 51, "{}", ready.body);
    assert!(metric(&service, "seqid_broker_connected") == 0.0);
    assert!(metric(&service, "seqid_relay_events_total") == 0.0);
    server.start_again().unwrap();
    until("the events follow", || {
        metric(&service, "seqid_relay_events_total") == 51.0
    });
    until("nothing waits", || metric(&service, "seqid_relay_backlog") == 0.0);
    assert!(metric(&service, "seqid_relay_lag_seconds") == 0.0);
    assert!(metric(&service, "seqid_broker_connected") == 1.0);
    // A node counts a quorum queue's messages now and then.
    until("the queue has them", || {
        let queued = server.ctl(&["list_queues", "messages", "name"]).unwrap();
        queued.lines().any(|line| line == "51\tseqid.events")
    });
    service.stop();
}

#[test]
fn numbers_are_drawn_up_to_the_bound_while_the_broker_is_away() {
    let mut server = RabbitMqServer::start().unwrap();
    server.kill().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let mut bounded = on_broker(folder.path(), &server.url());
    bounded.env("SEQID_LARGEST_BACKLOG", "20");
    let service = start(bounded);
    // The definition is an event too.
    for number in 1..=19 {
        assert_eq!(service.draw(), number);
    }
    let refused = service
        .client()
        .post("/api/v1/next", None, r#"{"prefix":"INV"}"#)
        .unwrap();
    assert_eq!(refused.status, 503, "{}", refused.body);
    let problem = refused.json();
    assert_eq!(problem["code"], "overloaded");
    assert_eq!(problem["outcome"], "not_issued", "{problem}");
    let detail = problem["detail"].as_str().unwrap();
    assert!(detail.contains("20 events wait to be delivered"), "{detail}");
    let unready = service.client().get("/ready").unwrap();
    assert_eq!(unready.status, 503);
    assert!(unready.body.contains("SEQID_LARGEST_BACKLOG"), "{}", unready.body);
    assert!(metric(&service, "seqid_relay_backlog_limit") == 20.0);
    until("what waits is seen", || {
        metric(&service, "seqid_relay_backlog") == 20.0
    });
    server.start_again().unwrap();
    until("it is ready again", || readiness(&service) == 200);
    assert_eq!(service.draw(), 20, "what was refused took no number");
    service.stop();
}

#[test]
fn what_was_not_delivered_at_a_stop_follows_at_the_next_start() {
    let mut server = RabbitMqServer::start().unwrap();
    server.kill().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let mut impatient = on_broker(folder.path(), &server.url());
    impatient.env("SEQID_SHUTDOWN_SECONDS", "0");
    let service = start(impatient);
    assert_eq!(service.draw(), 1);
    service.stop();
    server.start_again().unwrap();
    let service = start(on_broker(folder.path(), &server.url()));
    until("the events follow", || {
        metric(&service, "seqid_relay_events_total") == 2.0
    });
    service.stop();
}

#[test]
fn workers_record_what_was_drawn_and_say_how_they_are_doing() {
    let host = RabbitMqServer::shared().virtual_host().unwrap();
    let database = PostgresServer::shared().database().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let service = start(on_both(folder.path(), host.url(), &database.url()));
    let workers = [
        work(on_both(folder.path(), host.url(), &database.url())),
        work(on_both(folder.path(), host.url(), &database.url())),
    ];
    assert!(
        workers[0].banner.contains("the queue seqid.events"),
        "{}",
        workers[0].banner
    );
    for worker in &workers {
        until("it is ready", || readiness(worker) == 200);
        assert_eq!(worker.client().get("/health").unwrap().status, 200);
    }
    for number in 1..=40 {
        assert_eq!(service.draw(), number);
    }
    let recorded = || -> f64 {
        workers
            .iter()
            .map(|worker| metric(worker, "seqid_worker_recorded_total"))
            .sum()
    };
    until("all is recorded", || recorded() >= 41.0);
    let rows = "SELECT count(*), count(DISTINCT id), min(last), max(last) FROM seqid_audit.event WHERE kind = 'issued'";
    assert_eq!(database.psql(rows).unwrap(), "40|40|1|40");
    assert_eq!(
        database.psql("SELECT count(*) FROM seqid_audit.missing").unwrap(),
        "0"
    );
    for worker in workers {
        assert!(metric(&worker, "seqid_worker_lag_seconds") == 0.0);
        assert!(metric(&worker, "seqid_worker_divergences_total") == 0.0);
        worker.stop();
    }
    service.stop();
}

/// Changes an event that was delivered, and publishes it and what is no event.
#[tokio::main(flavor = "current_thread")]
async fn tamper(url: &str, draw: impl FnOnce()) {
    let connection = Connection::connect(url, ConnectionProperties::default())
        .await
        .unwrap();
    let channel = connection.create_channel().await.unwrap();
    let none = FieldTable::default;
    channel
        .queue_declare("copies".into(), QueueDeclareOptions::default(), none())
        .await
        .unwrap();
    let all = channel.queue_bind(
        "copies".into(),
        "seqid.events".into(),
        "*.INV.issued".into(),
        QueueBindOptions::default(),
        none(),
    );
    all.await.unwrap();
    draw();
    let body = loop {
        let message = channel.basic_get("copies".into(), BasicGetOptions { no_ack: true });
        if let Some(message) = message.await.unwrap() {
            break String::from_utf8(message.delivery.data).unwrap();
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    };
    let changed = body.replacen("\"reference\":null", "\"reference\":\"another document\"", 1);
    assert_ne!(changed, body);
    let beyond = body.replacen("\"count\":1,", "\"count\":9223372036854775808,", 1);
    let newer = body.replacen("urn:seqid:event:1", "urn:seqid:event:2", 1);
    for odd in [&changed, &beyond, &newer, "no JSON"] {
        let published = channel.basic_publish(
            "seqid.events".into(),
            "default.INV.issued".into(),
            BasicPublishOptions::default(),
            odd.as_bytes(),
            BasicProperties::default(),
        );
        published.await.unwrap();
    }
    connection.close(200, "done".into()).await.unwrap();
}

#[test]
fn what_cannot_be_recorded_is_put_aside_with_its_reason_and_can_be_put_back() {
    let host = RabbitMqServer::shared().virtual_host().unwrap();
    let database = PostgresServer::shared().database().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let on = || on_both(folder.path(), host.url(), &database.url());
    let (service, worker) = (start(on()), work(on()));
    until("the exchange is there", || readiness(&worker) == 200);
    tamper(host.url(), || assert_eq!(service.draw(), 1));
    let dead = || metric(&worker, "seqid_worker_dead_letters_total");
    until("four are put aside", || dead() == 4.0);
    assert_eq!(service.draw(), 2);
    until("others flow", || {
        metric(&worker, "seqid_worker_recorded_total") == 3.0
    });
    assert!(metric(&worker, "seqid_worker_divergences_total") == 1.0);
    until("the depth shows", || {
        metric(&worker, "seqid_worker_dead_letter_depth") == 4.0
    });
    let kept = "SELECT count(*) FROM seqid_audit.divergence WHERE event->>'reference' = 'another document'";
    assert_eq!(database.psql(kept).unwrap(), "1");

    let list = run(on().args(["dead-letters", "list"]));
    assert_eq!(list.code, Some(0), "{list:?}");
    let reasons = [
        "another event is recorded under this id",
        "beyond the largest number",
        "dataschema is",
        "not a CloudEvent",
    ];
    assert_eq!(list.stdout.lines().count(), reasons.len(), "{}", list.stdout);
    for reason in reasons {
        assert!(list.stdout.contains(reason), "{reason} is not in {}", list.stdout);
    }
    let two = run(on().args(["dead-letters", "list", "--limit", "2"]));
    assert_eq!(two.stdout.lines().count(), 2, "{}", two.stdout);
    let replay = run(on().args(["dead-letters", "replay"]));
    assert_eq!(replay.stdout.trim(), "put back: 4", "{replay:?}");
    until("they are put aside again", || dead() == 8.0);
    let count = "SELECT count(*) FROM seqid_audit.event";
    assert_eq!(database.psql(count).unwrap(), "3", "and change nothing");
    worker.stop();
    service.stop();
}

#[test]
fn a_worker_that_lacks_something_says_what() {
    let folder = tempfile::tempdir().unwrap();
    run(program(folder.path()).env("PORT", "0").arg("worker")).refused(&["RABBITMQ_URL"]);
    run(on_broker(folder.path(), "amqp://127.0.0.1:1").arg("worker")).refused(&["DATABASE_URL"]);
    run(program(folder.path()).args(["dead-letters", "list"])).refused(&["RABBITMQ_URL"]);
    run(on_broker(folder.path(), "amqp://127.0.0.1:1").args(["dead-letters", "list"]))
        .refused(&["no RabbitMQ answers at 127.0.0.1:1"]);
}

#[test]
fn a_worker_waits_for_its_broker_and_stops_all_the_same() {
    let database = PostgresServer::shared().database().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let worker = work(on_both(folder.path(), "amqp://127.0.0.1:1", &database.url()));
    assert_eq!(readiness(&worker), 503);
    assert!(metric(&worker, "seqid_worker_ready") == 0.0);
    worker.stop();
}
