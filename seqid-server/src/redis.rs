//! What Redis is doing, in metrics.

use std::fmt;
use std::sync::{Arc, OnceLock};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use seqid_core::store::Ledger;
use seqid_redis::{Figures, RedisStore, UnfencedStore};

/// What a store is asked for the metrics.
trait Asked: Send + Sync {
    /// What it lends, if it does.
    fn figures(&self) -> Option<Figures>;
    fn is_available(&self) -> bool;
}

impl<L: Ledger + 'static> Asked for RedisStore<L> {
    fn figures(&self) -> Option<Figures> {
        Some(RedisStore::figures(self))
    }

    fn is_available(&self) -> bool {
        self.obstacle().is_none()
    }
}

impl Asked for UnfencedStore {
    fn figures(&self) -> Option<Figures> {
        None
    }

    fn is_available(&self) -> bool {
        self.obstacle().is_none()
    }
}

/// The metrics of Redis, from when its store is open.
#[derive(Clone, Default)]
pub(crate) struct RedisMetrics(Arc<OnceLock<Arc<dyn Asked>>>);

impl RedisMetrics {
    /// Asks this store from now on.
    pub(crate) fn of<L: Ledger + 'static>(&self, store: &Arc<RedisStore<L>>) {
        let _first = self.0.set(Arc::clone(store) as _);
    }

    /// Asks this store, which has no other behind it, from now on.
    pub(crate) fn of_unfenced(&self, store: &Arc<UnfencedStore>) {
        let _first = self.0.set(Arc::clone(store) as _);
    }
}

impl fmt::Debug for RedisMetrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisMetrics")
            .field("open", &self.0.get().is_some())
            .finish()
    }
}

impl Collector for RedisMetrics {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let Some(store) = self.0.get() else { return Ok(()) };
        let mut gauge = |name, help, value: u64| {
            let gauge = ConstGauge::new(i64::try_from(value).unwrap_or(i64::MAX));
            gauge.encode(encoder.encode_descriptor(name, help, None, gauge.metric_type())?)
        };
        gauge(
            "seqid_redis_available",
            "Whether ordered numbers can be drawn in Redis",
            store.is_available().into(),
        )?;
        let Some(figures) = store.figures() else {
            return Ok(());
        };
        for (name, help, value) in [
            (
                "seqid_redis_unrecorded",
                "Draws of this instance that wait to be recorded in the durable store",
                figures.unrecorded as u64,
            ),
            (
                "seqid_redis_stream_entries",
                "Entries of the streams of events in Redis, of all instances",
                figures.entries,
            ),
            (
                "seqid_redis_ranges_held",
                "Ranges in Redis that this instance draws from",
                figures.held as u64,
            ),
            (
                "seqid_redis_histories",
                "Histories of Redis that this instance draws from",
                figures.histories as u64,
            ),
        ] {
            gauge(name, help, value)?;
        }
        for (name, help, count) in [
            (
                "seqid_redis_ranges",
                "Ranges that were taken up in Redis",
                figures.leased,
            ),
            (
                "seqid_redis_ranges_lost",
                "Ranges that were lost with the history of Redis that had them",
                figures.lost,
            ),
            (
                "seqid_redis_numbers_unknown",
                "Numbers that were unknown when their range was found lost",
                figures.unknown,
            ),
        ] {
            let count = ConstCounter::new(count);
            count.encode(encoder.encode_descriptor(name, help, None, count.metric_type())?)?;
        }
        Ok(())
    }
}
