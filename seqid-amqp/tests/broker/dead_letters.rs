//! Messages that are no events do not hold others up, and are not lost.

use lapin::options::BasicPublishOptions;
use lapin::{BasicProperties, Connection, ConnectionProperties};
use seqid_amqp::{AmqpConfig, AmqpSink, AmqpSource, DeadLetters};
use seqid_core::store::AuditSink;

use crate::{event_of, events, shared};

async fn publish(url: &str, config: &AmqpConfig, body: &[u8]) {
    let connection = Connection::connect(url, ConnectionProperties::default())
        .await
        .unwrap();
    let channel = connection.create_channel().await.unwrap();
    channel
        .basic_publish(
            config.exchange().into(),
            "default.INV.issued".into(),
            BasicPublishOptions::default(),
            body,
            BasicProperties::default().with_message_id("odd".into()),
        )
        .await
        .unwrap()
        .await
        .unwrap();
    connection.close(200, "published".into()).await.unwrap();
}

#[tokio::test]
async fn a_poison_message_is_put_aside_with_its_reason_and_others_flow() {
    let (config, host) = shared();
    let events = events(4).await;
    let sink = AmqpSink::new(config.clone());
    sink.record(&events[..2]).await.unwrap();
    publish(host.url(), &config, b"{\"specversion\":\"1.0\"").await;
    sink.record(&events[2..]).await.unwrap();
    let source = AmqpSource::new(config.clone(), 100);
    let mut good = Vec::new();
    let mut seen = 0;
    while seen < 6 {
        let taken = source.take(100).await.unwrap();
        for delivery in &taken {
            match &delivery.event {
                Ok(_) => good.push(event_of(delivery).clone()),
                Err(poison) => source.reject(delivery, &poison.to_string()).await.unwrap(),
            }
        }
        source.accept(&taken).await.unwrap();
        seen += taken.len();
    }
    assert_eq!(good, events);
    let depth = source.depth().await.unwrap();
    assert_eq!((depth.queue, depth.dead_letters), (0, 1));

    let letters = DeadLetters::new(config.clone());
    // Looking at them changes nothing.
    for _ in 0..2 {
        let listed = letters.list(10).await.unwrap();
        assert_eq!(listed.len(), 1);
        assert_eq!(listed[0].id.as_deref(), Some("odd"));
        assert_eq!(listed[0].body, b"{\"specversion\":\"1.0\"");
        assert!(
            listed[0].reason.contains("not a CloudEvent"),
            "{}",
            listed[0].reason
        );
    }
    assert_eq!(letters.replay(10, Some("another")).await.unwrap(), 0);
    assert_eq!(letters.list(10).await.unwrap().len(), 1);
    assert_eq!(letters.replay(10, Some("odd")).await.unwrap(), 1);
    assert!(letters.list(10).await.unwrap().is_empty());
    let again = source.take(1).await.unwrap();
    assert_eq!(again[0].body(), b"{\"specversion\":\"1.0\"");
    assert!(again[0].event.is_err());
}

#[tokio::test]
async fn replay_stops_at_its_limit_and_at_what_was_there() {
    let (config, host) = shared();
    let source = AmqpSource::new(config.clone(), 100);
    AmqpSink::new(config.clone()).record(&[]).await.unwrap();
    for _ in 0..3 {
        publish(host.url(), &config, b"nothing").await;
    }
    let mut rejected = 0;
    while rejected < 3 {
        let taken = source.take(100).await.unwrap();
        for delivery in &taken {
            source.reject(delivery, "of no use").await.unwrap();
        }
        rejected += taken.len();
        source.accept(&taken).await.unwrap();
    }
    let letters = DeadLetters::new(config);
    assert_eq!(letters.list(2).await.unwrap().len(), 2);
    assert_eq!(letters.replay(2, None).await.unwrap(), 2);
    assert_eq!(letters.replay(10, None).await.unwrap(), 1);
    assert_eq!(letters.replay(10, None).await.unwrap(), 0);
}
