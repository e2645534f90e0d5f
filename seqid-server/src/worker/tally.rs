//! What a worker counts.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU32, Ordering};
use std::time::Duration;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::ConstGauge;
use seqid_amqp::{Delivery, Depth};
use seqid_core::clock::Clock;
use seqid_postgres::Recording;

use super::Worker;

/// See the [module](self).
#[derive(Debug)]
pub(super) struct Tally {
    clock: Arc<dyn Clock>,
    recorded: Counter,
    repeated: Counter,
    redelivered: Counter,
    dead: Counter,
    divergences: Counter,
    /// When the oldest event happened that was taken and not recorded, in microseconds; [`i64::MAX`] for none.
    oldest: AtomicI64,
    queue: AtomicU32,
    dead_letters: AtomicU32,
}

impl Tally {
    pub(super) fn new(clock: Arc<dyn Clock>) -> Self {
        Self {
            clock,
            recorded: Counter::default(),
            repeated: Counter::default(),
            redelivered: Counter::default(),
            dead: Counter::default(),
            divergences: Counter::default(),
            oldest: AtomicI64::new(i64::MAX),
            queue: AtomicU32::new(0),
            dead_letters: AtomicU32::new(0),
        }
    }

    /// Messages came.
    pub(super) fn took(&self, taken: &[Delivery]) {
        let events = taken.iter().filter_map(|delivery| delivery.event.as_ref().ok());
        let oldest = events.map(|event| event.event.at.as_micros()).min();
        self.oldest.store(oldest.unwrap_or(i64::MAX), Ordering::Relaxed);
        let again = taken.iter().filter(|delivery| delivery.redelivered).count();
        self.redelivered.inc_by(again as u64);
    }

    /// They were recorded.
    pub(super) fn recorded(&self, recording: &Recording) {
        self.oldest.store(i64::MAX, Ordering::Relaxed);
        self.recorded.inc_by(recording.recorded as u64);
        self.repeated.inc_by(recording.repeated as u64);
        self.divergences.inc_by(recording.divergent.len() as u64);
    }

    /// A message was put among the dead letters.
    pub(super) fn dead(&self) {
        self.dead.inc();
    }

    /// So much waits at the broker.
    pub(super) fn saw(&self, depth: Depth) {
        self.queue.store(depth.queue, Ordering::Relaxed);
        self.dead_letters.store(depth.dead_letters, Ordering::Relaxed);
    }

    fn lag(&self) -> Duration {
        let oldest = self.oldest.load(Ordering::Relaxed);
        let micros = self.clock.now().as_micros().saturating_sub(oldest);
        Duration::from_micros(u64::try_from(micros).unwrap_or(0))
    }
}

/// Shows it among the metrics.
#[derive(Debug)]
pub(super) struct Shown(pub(super) Arc<Worker>);

impl Collector for Shown {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let tally = &self.0.tally;
        for (name, help, counter) in [
            ("seqid_worker_recorded", "Events recorded", &tally.recorded),
            (
                "seqid_worker_repeated",
                "Events that were recorded before",
                &tally.repeated,
            ),
            (
                "seqid_worker_redeliveries",
                "Messages that the broker had delivered before",
                &tally.redelivered,
            ),
            (
                "seqid_worker_dead_letters",
                "Messages put among the dead letters",
                &tally.dead,
            ),
            (
                "seqid_worker_divergences",
                "Events under whose id another one is recorded: somebody changed the one or the other",
                &tally.divergences,
            ),
        ] {
            counter.encode(encoder.encode_descriptor(name, help, None, counter.metric_type())?)?;
        }
        for (name, help, value) in [
            (
                "seqid_worker_lag_seconds",
                "Age of the oldest event that is here and not recorded",
                tally.lag().as_secs_f64(),
            ),
            (
                "seqid_worker_queue_depth",
                "Messages that wait in the queue, as last seen",
                f64::from(tally.queue.load(Ordering::Relaxed)),
            ),
            (
                "seqid_worker_dead_letter_depth",
                "Messages that wait among the dead letters, as last seen",
                f64::from(tally.dead_letters.load(Ordering::Relaxed)),
            ),
            (
                "seqid_worker_ready",
                "1 while broker and database answer",
                f64::from(u8::from(self.0.obstacle().is_none())),
            ),
        ] {
            let gauge = ConstGauge::new(value);
            gauge.encode(encoder.encode_descriptor(name, help, None, gauge.metric_type())?)?;
        }
        Ok(())
    }
}
