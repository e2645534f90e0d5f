//! What is published is delivered.

use lapin::options::QueueDeclareOptions;
use lapin::types::FieldTable;
use lapin::{Connection, ConnectionProperties};
use seqid_amqp::{AmqpSink, AmqpSource, Depth, SinkState};
use seqid_core::store::AuditSink;
use seqid_testkit::servers::RabbitMqServer;

use crate::{deliver, event_of, events, receive, shared, with_causes};

#[tokio::test]
async fn what_was_recorded_is_delivered_in_order_and_once() {
    let (config, _) = shared();
    let events = events(250).await;
    let sink = AmqpSink::new(config.clone());
    assert_eq!(sink.state(), SinkState::Away);
    for batch in events.chunks(100) {
        sink.record(batch).await.unwrap();
    }
    assert_eq!(sink.state(), SinkState::Connected);
    let source = AmqpSource::new(config, 1_000);
    let mut delivered = Vec::new();
    while delivered.len() < events.len() {
        let taken = source.take(100).await.unwrap();
        assert!((1..=100).contains(&taken.len()));
        delivered.extend(taken.iter().map(|delivery| event_of(delivery).clone()));
        source.accept(&taken).await.unwrap();
    }
    assert_eq!(delivered, events);
    let empty = Depth {
        queue: 0,
        dead_letters: 0,
    };
    assert_eq!(source.depth().await.unwrap(), empty);
}

#[tokio::test]
async fn what_is_published_twice_comes_twice_under_one_id() {
    let (config, _) = shared();
    let events = events(3).await;
    let sink = AmqpSink::new(config.clone());
    sink.record(&events).await.unwrap();
    sink.record(&events).await.unwrap();
    let source = AmqpSource::new(config, 100);
    let mut ids = Vec::new();
    while ids.len() < 8 {
        let taken = source.take(100).await.unwrap();
        ids.extend(taken.iter().map(|delivery| event_of(delivery).id));
    }
    let sent: Vec<_> = events.iter().chain(&events).map(|event| event.id).collect();
    assert_eq!(ids, sent);
}

#[tokio::test]
async fn what_was_not_accepted_goes_to_another() {
    let (config, _) = shared();
    let events = events(5).await;
    AmqpSink::new(config.clone()).record(&events).await.unwrap();
    let first = AmqpSource::new(config.clone(), 100);
    let taken = first.take(100).await.unwrap();
    assert!(taken.iter().all(|delivery| !delivery.redelivered));
    first.close().await;
    assert!(first.accept(&taken).await.is_err(), "its connection is gone");
    let second = AmqpSource::new(config, 100);
    let again = second.take(1).await.unwrap();
    assert!(again[0].redelivered);
    assert_eq!(event_of(&again[0]), &events[0]);
}

#[tokio::test]
async fn no_more_is_delivered_ahead_than_was_asked_for() {
    let (config, _) = shared();
    let events = events(20).await;
    AmqpSink::new(config.clone()).record(&events).await.unwrap();
    let source = AmqpSource::new(config, 7);
    let mut taken = Vec::new();
    while taken.len() < 7 {
        taken.extend(source.take(100).await.unwrap());
    }
    assert_eq!(taken.len(), 7);
    assert_eq!(
        source.depth().await.unwrap().queue,
        14,
        "the others wait at the broker"
    );
    source.accept(&taken).await.unwrap();
    let next = source.take(100).await.unwrap();
    assert_eq!(event_of(&next[0]), &events[7]);
}

#[tokio::test]
async fn an_event_that_reaches_no_queue_is_an_error() {
    let (config, host) = shared();
    let events = events(3).await;
    let sink = AmqpSink::new(config.clone());
    sink.record(&events).await.unwrap();
    let connection = Connection::connect(host.url(), ConnectionProperties::default())
        .await
        .unwrap();
    let channel = connection.create_channel().await.unwrap();
    channel
        .queue_unbind(
            config.queue().into(),
            config.exchange().into(),
            "#".into(),
            FieldTable::default(),
        )
        .await
        .unwrap();
    let error = with_causes(&sink.record(&events).await.unwrap_err());
    assert!(error.contains("reaches no queue"), "{error}");
    assert!(error.contains("default.INV."), "{error}");
    // The next attempt binds it again.
    sink.record(&events).await.unwrap();
    assert_eq!(AmqpSource::new(config, 1).depth().await.unwrap().queue, 8);
}

#[tokio::test]
async fn a_queue_that_an_operator_made_is_used_as_it_is() {
    let (config, host) = shared();
    let connection = Connection::connect(host.url(), ConnectionProperties::default())
        .await
        .unwrap();
    let channel = connection.create_channel().await.unwrap();
    channel
        .queue_declare(
            config.queue().into(),
            QueueDeclareOptions::durable(),
            FieldTable::default(),
        )
        .await
        .unwrap();
    let events = events(3).await;
    assert!(deliver(&AmqpSink::new(config.clone()), &events).await.is_empty());
    assert_eq!(receive(&AmqpSource::new(config, 100), &events).await, 4);
    let queues = ["list_queues", "-p", host.name(), "name", "type"];
    let shown = RabbitMqServer::shared().ctl(&queues).unwrap();
    for line in ["seqid.events\tclassic", "seqid.events.dead\tquorum"] {
        assert!(shown.lines().any(|found| found == line), "{shown}");
    }
}
