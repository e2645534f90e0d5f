//! Counters that have few numbers left: named in the log, once a day each, and counted in the metrics.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::gauge::ConstGauge;
use seqid_core::Numbering;
use seqid_core::clock::Clock;
use seqid_core::counter::CounterKey;
use seqid_core::numbering::{CounterSelector, Status, Warning, When};
use seqid_core::time::{Date, Timestamp};
use tokio::sync::{Notify, watch};

use crate::shutdown::stopped;

/// The most counters that are watched. More are near their end in a service that has lost its way.
const MOST: usize = 1_000;

/// How long a counter is not named again.
const AGAIN: Duration = Duration::from_secs(24 * 60 * 60);

/// How often it is looked whether a counter is to be named again.
const EVERY: Duration = Duration::from_secs(60);

/// The counters that have few numbers left.
#[derive(Debug)]
pub(crate) struct Ends {
    clock: Arc<dyn Clock>,
    watched: Mutex<HashMap<CounterKey, Watched>>,
    noted: Notify,
}

#[derive(Debug, Clone, Copy, Default)]
struct Watched {
    named: Option<Timestamp>,
    ends_on: Option<Date>,
}

impl Ends {
    pub(crate) fn new(clock: Arc<dyn Clock>) -> Self {
        Self {
            clock,
            watched: Mutex::default(),
            noted: Notify::new(),
        }
    }

    /// A draw left few numbers.
    pub(crate) fn note(&self, counter: &CounterKey) {
        let mut watched = self.watched();
        let room = watched.len() < MOST;
        if let Entry::Vacant(entry) = watched.entry(counter.clone())
            && room
        {
            entry.insert(Watched::default());
            self.noted.notify_one();
        }
    }

    /// Names counters in the log until it is stopped.
    pub(crate) async fn watch(
        self: Arc<Self>,
        numbering: Arc<dyn Numbering>,
        mut stop: watch::Receiver<bool>,
    ) {
        loop {
            for counter in self.due() {
                match numbering.status(selector(&counter)).await {
                    Ok(status) => self.name(&counter, &status),
                    Err(error) => {
                        tracing::warn!(%error, %counter, "a counter near its end was not looked at");
                    }
                }
            }
            tokio::select! {
                () = self.noted.notified() => {}
                () = tokio::time::sleep(EVERY) => {}
                () = stopped(&mut stop) => return,
            }
        }
    }

    fn due(&self) -> Vec<CounterKey> {
        let now = self.clock.now();
        let is_due = |watched: &Watched| {
            watched
                .named
                .is_none_or(|named| named.saturating_add(AGAIN) <= now)
        };
        let watched = self.watched();
        let due = watched.iter().filter(|(_, watched)| is_due(watched));
        due.map(|(counter, _)| counter.clone()).collect()
    }

    fn name(&self, counter: &CounterKey, status: &Status) {
        let drawn = status.forecast.is_some_and(|forecast| forecast.last_month > 0);
        if !drawn || !status.warnings.contains(&Warning::NearEnd) {
            self.watched().remove(counter);
            return;
        }
        let ends_on = status.forecast.and_then(|forecast| forecast.ends_on);
        let watched = Watched {
            named: Some(self.clock.now()),
            ends_on,
        };
        self.watched().insert(counter.clone(), watched);
        let ends_on = ends_on.map(|date| date.to_string());
        tracing::warn!(%counter, remaining = status.remaining, ends_on, "a counter has few numbers left");
    }

    fn watched(&self) -> MutexGuard<'_, HashMap<CounterKey, Watched>> {
        self.watched.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn selector(counter: &CounterKey) -> CounterSelector {
    let sequence = counter.sequence();
    let mut selector = CounterSelector::new(sequence.prefix.clone());
    selector.tenant = sequence.tenant.clone();
    let scope = counter.scope().iter();
    selector.scope = scope.map(|(name, value)| (name.into(), value.into())).collect();
    selector.when = When::In(counter.period().to_string());
    selector
}

/// Shows [`Ends`] among the metrics.
#[derive(Debug)]
pub(crate) struct Ending(pub(crate) Arc<Ends>);

impl Collector for Ending {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let (count, first) = {
            let watched = self.0.watched();
            let first = watched.values().filter_map(|watched| watched.ends_on).min();
            (i64::try_from(watched.len()).unwrap_or(i64::MAX), first)
        };
        let count = ConstGauge::new(count);
        let help = "Counters that were drawn from and have few numbers left";
        count.encode(encoder.encode_descriptor(
            "seqid_counters_near_end",
            help,
            None,
            count.metric_type(),
        )?)?;
        let seconds = |date: Date| f64::from(date.days_since_epoch()) * 86_400.0;
        let first = ConstGauge::new(first.map_or(f64::INFINITY, seconds));
        let help = "When the first of them is expected to have none, in seconds since 1970";
        let name = "seqid_counters_next_end_timestamp_seconds";
        first.encode(encoder.encode_descriptor(name, help, None, first.metric_type())?)
    }
}

#[cfg(test)]
mod tests {
    use prometheus_client::encoding::text::encode;
    use prometheus_client::registry::Registry;
    use seqid_core::clock::{ManualClock, Seed};
    use seqid_core::numbering::{DefineRequest, DrawRequest};
    use seqid_core::{DefinitionSpec, Issuer, MemoryStore, Prefix};

    use super::*;
    use crate::metrics::Metrics;

    fn text(ends: &Arc<Ends>) -> String {
        let mut registry = Registry::default();
        registry.register_collector(Box::new(Ending(Arc::clone(ends))));
        let mut text = String::new();
        encode(&mut text, &registry).unwrap();
        text
    }

    #[tokio::test]
    async fn a_counter_near_its_end_is_looked_at_once_a_day_until_it_is_not() {
        let clock = Arc::new(ManualClock::new("2026-06-01T12:00:00Z".parse().unwrap()));
        let ends = Arc::new(Ends::new(Arc::clone(&clock) as _));
        let metrics = Arc::new(Metrics::new(Timestamp::from_micros(0), Arc::clone(&ends)));
        let store = Arc::new(MemoryStore::new(Arc::clone(&clock) as _, Seed(1)));
        let issuer = Issuer::builder(store)
            .clock(Arc::clone(&clock) as _)
            .observer(metrics)
            .build();
        let prefix = Prefix::new("INV").unwrap();
        let spec = |max| DefinitionSpec {
            max: Some(max),
            warn_at: Some(12),
            ..DefinitionSpec::of_format("INV-{seq}")
        };
        let request = DefineRequest::new(prefix.clone(), spec(20));
        issuer.define(request).await.unwrap();
        let draw = || issuer.draw(DrawRequest::new(prefix.clone()));
        for _ in 0..7 {
            draw().await.unwrap();
            assert!(ends.due().is_empty(), "13 and more are left");
        }
        assert!(text(&ends).contains("seqid_counters_near_end 0\n"));
        assert!(text(&ends).contains("seqid_counters_next_end_timestamp_seconds inf\n"));
        draw().await.unwrap();
        let due = ends.due();
        assert_eq!(due.len(), 1);
        let status = issuer.status(selector(&due[0])).await.unwrap();
        ends.name(&due[0], &status);
        assert!(ends.due().is_empty(), "it was named");
        // 8 a day, of which 12 are left.
        let text_now = text(&ends);
        let end: Date = "2026-06-02".parse().unwrap();
        let seconds = i64::from(end.days_since_epoch()) * 86_400;
        assert!(text_now.contains("seqid_counters_near_end 1\n"));
        assert!(
            text_now.contains(&format!("timestamp_seconds {seconds}.0\n")),
            "{text_now}"
        );
        clock.set("2026-06-02T12:00:00Z".parse().unwrap());
        assert_eq!(ends.due(), due, "a day later it is named again");
        let mut request = DefineRequest::new(prefix.clone(), spec(200));
        request.if_version = Some(1);
        issuer.define(request).await.unwrap();
        let status = issuer.status(selector(&due[0])).await.unwrap();
        ends.name(&due[0], &status);
        assert!(
            text(&ends).contains("seqid_counters_near_end 0\n"),
            "there are many again"
        );
    }

    #[tokio::test]
    async fn watching_ends_when_it_is_told_to() {
        let clock = Arc::new(ManualClock::new(Timestamp::from_micros(0)));
        let store = MemoryStore::new(Arc::clone(&clock) as _, Seed(1));
        let (stop, stopping) = watch::channel(false);
        let ends = Arc::new(Ends::new(clock));
        let watching = tokio::spawn(ends.watch(Arc::new(Issuer::new(Arc::new(store))), stopping));
        stop.send_replace(true);
        watching.await.unwrap();
    }
}
