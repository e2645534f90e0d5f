//! Sink and source on real brokers.
#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a test fails by it")]

mod dead_letters;
mod faults;
mod flow;
#[cfg(feature = "tls")]
mod tls;

use std::collections::BTreeSet;
use std::sync::Arc;

use seqid_amqp::{AmqpConfig, AmqpSource, Delivery};
use seqid_core::clock::{Seed, SystemClock};
use seqid_core::event::Recorded;
use seqid_core::numbering::DrawRequest;
use seqid_core::store::{AuditLog, AuditSink, SinkError};
use seqid_core::{Issuer, MemoryStore, Numbering, Prefix};
use seqid_testkit::servers::{RabbitMqServer, VirtualHost};

/// A name space of its own on the shared broker.
fn shared() -> (AmqpConfig, VirtualHost) {
    let host = RabbitMqServer::shared().virtual_host().unwrap();
    (config(host.url()), host)
}

fn config(url: &str) -> AmqpConfig {
    AmqpConfig::new(url, AmqpConfig::DEFAULT_QUEUE).unwrap()
}

/// A definition and so many draws, as a store recorded them.
async fn events(draws: usize) -> Vec<Recorded> {
    let store = Arc::new(MemoryStore::new(Arc::new(SystemClock), Seed::from_system()));
    let issuer = Issuer::new(Arc::clone(&store) as _);
    for _ in 0..draws {
        let request = DrawRequest::new(Prefix::new("INV").unwrap());
        issuer.draw(request).await.unwrap();
    }
    let events = store.events(0, draws + 1).await.unwrap();
    assert_eq!(events.len(), draws + 1);
    events
}

/// Records as a relay does: again after each failure.
async fn deliver(sink: &impl AuditSink, events: &[Recorded]) -> Vec<SinkError> {
    let mut failures = Vec::new();
    while let Err(error) = sink.record(events).await {
        failures.push(error);
        assert!(failures.len() < 1_000, "{failures:?}");
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    failures
}

/// Takes and accepts until each of these events was there, whatever fails in between. Answers how many messages there were.
async fn receive(source: &AmqpSource, events: &[Recorded]) -> usize {
    let mut missing: BTreeSet<_> = events.iter().map(|event| event.id).collect();
    let (mut messages, mut failures) = (0, 0);
    while !missing.is_empty() {
        match source.take(100).await {
            Ok(taken) => {
                for delivery in &taken {
                    let event = event_of(delivery);
                    let sent = events.iter().find(|sent| sent.id == event.id);
                    assert_eq!(Some(event), sent, "none is invented, none is changed");
                    missing.remove(&event.id);
                }
                messages += taken.len();
                // What a connection that is gone delivered comes again.
                let _comes_again = source.accept(&taken).await;
            }
            Err(error) => {
                failures += 1;
                assert!(failures < 1_000, "{error}");
                tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            }
        }
    }
    messages
}

#[track_caller]
fn event_of(delivery: &Delivery) -> &Recorded {
    delivery.event.as_ref().expect("it is an event")
}

/// The whole of an error, its causes too.
fn with_causes(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}
