//! What fails between a process and its broker loses nothing.

use std::time::Duration;

use lapin::options::{ExchangeDeleteOptions, QueueDeleteOptions};
use lapin::{Connection, ConnectionProperties};
use seqid_amqp::{AmqpConfig, AmqpSink, AmqpSource, SinkState};
use seqid_core::store::AuditSink;
use seqid_testkit::servers::RabbitMqServer;

use crate::{config, deliver, events, receive, shared, with_causes};

#[tokio::test]
async fn a_queue_that_is_deleted_is_made_again() {
    let (config, host) = shared();
    let events = events(10).await;
    let (sink, source) = (
        AmqpSink::new(config.clone()),
        AmqpSource::new(config.clone(), 100),
    );
    sink.record(&events).await.unwrap();
    assert_eq!(receive(&source, &events).await, 11);
    let connection = Connection::connect(host.url(), ConnectionProperties::default())
        .await
        .unwrap();
    let channel = connection.create_channel().await.unwrap();
    channel
        .queue_delete(config.queue().into(), QueueDeleteOptions::default())
        .await
        .unwrap();
    let failures = deliver(&sink, &events).await;
    assert!(
        failures
            .iter()
            .any(|error| with_causes(error).contains("reaches no queue")),
        "{failures:?}"
    );
    let ended = source
        .take(100)
        .await
        .map(|_| ())
        .map_err(|error| with_causes(&error));
    assert!(ended.is_err_and(|error| error.contains("ended the delivery")));
    assert!(receive(&source, &events).await >= 11);
}

#[tokio::test]
async fn a_channel_that_the_broker_closes_is_replaced_by_the_sink() {
    let (config, host) = shared();
    let events = events(10).await;
    let sink = AmqpSink::new(config.clone());
    sink.record(&events).await.unwrap();
    let connection = Connection::connect(host.url(), ConnectionProperties::default())
        .await
        .unwrap();
    let channel = connection.create_channel().await.unwrap();
    // To publish to an exchange that is not there ends a channel, and leaves its connection.
    channel
        .exchange_delete(config.exchange().into(), ExchangeDeleteOptions::default())
        .await
        .unwrap();
    // One alone: a second might be refused by the client, which says nothing of the broker's reason.
    let error = with_causes(&sink.record(&events[..1]).await.unwrap_err());
    assert!(error.contains("NOT_FOUND"), "{error}");
    assert_eq!(sink.state(), SinkState::Away);
    sink.record(&events).await.unwrap();
    assert_eq!(sink.state(), SinkState::Connected);
    let source = AmqpSource::new(config, 1);
    assert_eq!(source.depth().await.unwrap().queue, 22);
}

#[tokio::test]
async fn a_channel_that_the_broker_closes_is_replaced_by_the_source() {
    // A broker ends the channel of a consumer that acknowledges nothing for so many milliseconds, half an hour unless set: a
    // worker's, when its database is away for longer.
    let server = RabbitMqServer::start_with(&[("consumer_timeout", "1000")]).unwrap();
    let often = "application:set_env(rabbit, channel_tick_interval, 1000).";
    server.ctl(&["eval", often]).unwrap();
    let config = config(&server.url());
    let events = events(5).await;
    AmqpSink::new(config.clone()).record(&events).await.unwrap();
    let source = AmqpSource::new(config.clone(), 100);
    let mut taken = Vec::new();
    while taken.len() < events.len() {
        taken.extend(source.take(100).await.unwrap());
    }
    let ended = source.take(100).await.map(|_| ());
    let ended = with_causes(&ended.unwrap_err());
    assert!(ended.contains("PRECONDITION_FAILED"), "{ended}");
    assert!(source.accept(&taken).await.is_err(), "its channel is gone");
    assert_eq!(receive(&source, &events).await, 6, "all come again");
}

#[tokio::test]
async fn a_broker_without_quorum_queues_has_classic_ones() {
    let server = RabbitMqServer::start_without_quorum_queues().unwrap();
    let config = config(&server.url());
    let events = events(30).await;
    assert!(deliver(&AmqpSink::new(config.clone()), &events).await.is_empty());
    let source = AmqpSource::new(config.clone(), 10);
    assert_eq!(receive(&source, &events).await, 31);
    let flags = server.ctl(&["list_feature_flags"]).unwrap();
    let has_others = flags
        .lines()
        .any(|line| line.starts_with("quorum_queue") && line.ends_with("enabled"));
    let expected = if has_others { "quorum" } else { "classic" };
    let types = server.ctl(&["list_queues", "name", "type"]).unwrap();
    for queue in [config.queue(), &config.dead_letter_queue()] {
        assert!(types.contains(&format!("{queue}\t{expected}")), "{types}");
    }
}

#[tokio::test]
async fn connections_that_are_cut_are_made_again() {
    let (config, host) = shared();
    let events = events(400).await;
    let (sink, source) = (AmqpSink::new(config.clone()), AmqpSource::new(config, 50));
    let publish = async {
        for batch in events.chunks(20) {
            deliver(&sink, batch).await;
        }
    };
    let cut = async {
        for _ in 0..3 {
            let name = host.name().to_owned();
            let cut = tokio::task::spawn_blocking(move || {
                RabbitMqServer::shared().ctl(&["close_all_connections", "--vhost", &name, "cut by a test"])
            });
            cut.await.unwrap().unwrap();
        }
    };
    let ((), messages, ()) = tokio::join!(publish, receive(&source, &events), cut);
    assert!(messages >= events.len());
    // The last cut may have come after the last event.
    deliver(&sink, &events[..1]).await;
    receive(&source, &events[..1]).await;
}

#[tokio::test]
async fn nothing_is_lost_when_the_broker_is_killed() {
    let mut server = RabbitMqServer::start().unwrap();
    let config = config(&server.url()).timeout(Duration::from_secs(10));
    let events = events(600).await;
    let (sink, source) = (AmqpSink::new(config.clone()), AmqpSource::new(config.clone(), 50));
    for batch in events[..300].chunks(100) {
        sink.record(batch).await.unwrap();
    }
    let taken = source.take(10).await.unwrap();
    let rest = events.clone();
    let publishing = tokio::spawn(async move {
        for batch in rest[300..].chunks(10) {
            deliver(&sink, batch).await;
        }
    });
    // RabbitMQ notes the name of a new quorum queue within half a second, and forgets what is in it if it is killed before.
    server.ctl(&["eval", "dets:sync(ra_directory_reverse)."]).unwrap();
    server.kill().unwrap();
    // Whether or not the word of it was still sent, it is not heard: what was taken comes again.
    let _unheard = source.accept(&taken).await;
    assert!(sink_fails(&config).await, "it is down while events are published");
    server.start_again().unwrap();
    receive(&source, &events).await;
    publishing.await.unwrap();
}

async fn sink_fails(config: &AmqpConfig) -> bool {
    AmqpSink::new(config.clone())
        .record(&events(1).await)
        .await
        .is_err()
}

#[tokio::test]
async fn a_broker_that_is_short_of_memory_is_waited_for_and_gets_each_event_once() {
    let server = RabbitMqServer::start().unwrap();
    // Shorter than the alarm: to wait is not to give up.
    let config = config(&server.url()).timeout(Duration::from_secs(2));
    let events = events(5).await;
    let sink = AmqpSink::new(config.clone());
    sink.record(&events).await.unwrap();
    server.ctl(&["set_vm_memory_high_watermark", "0.000001"]).unwrap();
    let waiting = {
        let events = events.clone();
        let sink = std::sync::Arc::new(sink);
        let state = std::sync::Arc::clone(&sink);
        let recording = tokio::spawn(async move { sink.record(&events).await });
        while state.state() != SinkState::Blocked {
            assert!(!recording.is_finished(), "nothing is confirmed meanwhile");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        tokio::time::sleep(config.timeout * 2).await;
        assert!(!recording.is_finished());
        recording
    };
    server.ctl(&["set_vm_memory_high_watermark", "0.4"]).unwrap();
    waiting.await.unwrap().unwrap();
    assert_eq!(AmqpSource::new(config, 1).depth().await.unwrap().queue, 12);
}

#[tokio::test]
async fn a_broker_that_is_not_there_is_named() {
    let config = config("amqp://guest:secret@127.0.0.1:1/%2f");
    let error = with_causes(
        &AmqpSink::new(config.clone())
            .record(&events(1).await)
            .await
            .unwrap_err(),
    );
    assert!(error.contains("no RabbitMQ answers at 127.0.0.1:1"), "{error}");
    assert!(!error.contains("secret"), "{error}");
    let error = with_causes(&AmqpSource::new(config, 1).take(1).await.unwrap_err());
    assert!(error.contains("no RabbitMQ answers at 127.0.0.1:1"), "{error}");
}
