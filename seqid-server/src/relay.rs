//! Events on their way from the store to a broker, or to a file of JSON lines.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::Context;
use async_trait::async_trait;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::ConstGauge;
use seqid_amqp::{AmqpSink, SinkState};
use seqid_core::event::Recorded;
use seqid_core::json_lines::JsonLines;
use seqid_core::relay::Relay;
use seqid_core::store::{AuditSink, Backlog, EventSource, StoreError};
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::shutdown::stopped;

/// When nothing is written any more and the store has offered no event for so long, all were delivered. One that
/// comes later than that is not lost: it is delivered at the next start.
const QUIET: Duration = Duration::from_millis(250);

/// Delivers until it is stopped.
#[derive(Debug)]
pub(crate) struct Delivery {
    running: JoinHandle<()>,
    stop: watch::Sender<bool>,
}

impl Delivery {
    /// Begins to deliver.
    pub(crate) fn start(
        source: Arc<dyn EventSource>,
        sink: Arc<dyn AuditSink>,
        progress: Arc<Progress>,
    ) -> Self {
        let (stop, stopping) = watch::channel(false);
        let drained = Arc::new(Notify::new());
        let outbox = Outbox {
            source,
            stopping,
            drained: Arc::clone(&drained),
            progress: Arc::clone(&progress),
        };
        let running = tokio::spawn(async move {
            let relay = Relay::new(outbox, sink);
            tokio::select! {
                () = relay.run(|error| {
                    progress.failures.inc();
                    tracing::warn!(error = error as &dyn std::error::Error, "events were not delivered; they are tried again");
                }) => {}
                () = drained.notified() => {}
            }
        });
        Self { running, stop }
    }

    /// Delivers what is left, once nothing is written any more, and ends. Gives up after `patience`.
    pub(crate) async fn finish(mut self, patience: Duration) {
        self.stop.send_replace(true);
        if timeout(patience, &mut self.running).await.is_err() {
            self.running.abort();
            tracing::warn!("not all events were delivered; the rest follow at the next start");
        }
    }
}

/// Opens the file that events are appended to.
///
/// # Errors
/// Says which setting to change.
pub(crate) fn open(path: &Path) -> anyhow::Result<JsonLines> {
    JsonLines::open(path).with_context(|| {
        format!(
            "cannot append to {}: check SEQID_EVENTS_FILE and its folder",
            path.display()
        )
    })
}

/// The store's events, with a look at what is under way, and an end.
#[derive(Debug)]
struct Outbox {
    source: Arc<dyn EventSource>,
    stopping: watch::Receiver<bool>,
    drained: Arc<Notify>,
    progress: Arc<Progress>,
}

impl Outbox {
    async fn quiet(&self) {
        stopped(&mut self.stopping.clone()).await;
        tokio::time::sleep(QUIET).await;
    }
}

#[async_trait]
impl EventSource for Outbox {
    async fn take(&self, limit: usize) -> Result<Vec<Recorded>, StoreError> {
        tokio::select! {
            biased;
            events = self.source.take(limit) => {
                let events = events?;
                self.progress.took(&events);
                Ok(events)
            }
            () = self.quiet() => {
                self.drained.notify_one();
                std::future::pending().await
            }
        }
    }

    async fn acknowledge(&self, position: u64) -> Result<(), StoreError> {
        self.source.acknowledge(position).await?;
        self.progress.delivered();
        Ok(())
    }

    async fn backlog(&self) -> Result<Backlog, StoreError> {
        self.source.backlog().await
    }
}

/// How far the delivery has come.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    taken: AtomicU64,
    events: Counter,
    failures: Counter,
}

impl Progress {
    fn took(&self, events: &[Recorded]) {
        self.taken.store(events.len() as u64, Ordering::Relaxed);
    }

    fn delivered(&self) {
        self.events.inc_by(self.taken.swap(0, Ordering::Relaxed));
    }
}

/// Shows a [`Progress`] among the metrics.
#[derive(Debug)]
pub(crate) struct Delivered(pub(crate) Arc<Progress>);

impl Collector for Delivered {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        for (name, help, counter) in [
            (
                "seqid_relay_events",
                "Events delivered to the broker, or to the events file",
                &self.0.events,
            ),
            (
                "seqid_relay_failures",
                "Attempts to deliver events that failed; they are repeated",
                &self.0.failures,
            ),
        ] {
            counter.encode(encoder.encode_descriptor(name, help, None, counter.metric_type())?)?;
        }
        Ok(())
    }
}

/// Shows among the metrics how a sink stands with its broker.
#[derive(Debug)]
pub(crate) struct Broker(pub(crate) Arc<AmqpSink>);

impl Collector for Broker {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let state = self.0.state();
        for (name, help, so) in [
            (
                "seqid_broker_connected",
                "1 while there is a connection to the broker",
                state != SinkState::Away,
            ),
            (
                "seqid_broker_blocked",
                "1 while the broker takes no messages, because it is short of memory or disk",
                state == SinkState::Blocked,
            ),
        ] {
            let gauge = ConstGauge::new(i64::from(so));
            gauge.encode(encoder.encode_descriptor(name, help, None, gauge.metric_type())?)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use seqid_core::clock::{ManualClock, Seed};
    use seqid_core::numbering::DrawRequest;
    use seqid_core::store::CounterStore;
    use seqid_core::time::Timestamp;
    use seqid_core::{Issuer, MemoryStore, Numbering, Prefix};

    async fn drawn(store: &Arc<MemoryStore>, times: usize) {
        let issuer = Issuer::new(Arc::clone(store) as _);
        for _ in 0..times {
            issuer
                .draw(DrawRequest::new(Prefix::new("INV").unwrap()))
                .await
                .unwrap();
        }
    }

    #[tokio::test]
    async fn what_was_drawn_before_the_end_is_in_the_file_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("events.jsonl");
        let clock = Arc::new(ManualClock::new(Timestamp::from_micros(0)));
        let store = Arc::new(MemoryStore::new(Arc::clone(&clock) as _, Seed(1)));
        for round in 1..=3 {
            let progress = Arc::default();
            let delivery = Delivery::start(Arc::clone(&store) as _, Arc::new(open(&path).unwrap()), progress);
            drawn(&store, 10).await;
            delivery.finish(Duration::from_secs(10)).await;
            let lines = std::fs::read_to_string(&path).unwrap().lines().count();
            assert_eq!(
                lines,
                1 + round * 10,
                "a definition and {round} rounds of ten draws"
            );
        }
        store.close().await.unwrap();
    }
}
