//! What Redis is doing, in metrics.

use std::fmt;
use std::sync::{Arc, OnceLock};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use seqid_core::store::Ledger;
use seqid_redis::{Figures, RedisStore};

/// What a store is asked for the metrics.
trait Asked: Send + Sync {
    fn figures(&self) -> Figures;
    fn is_available(&self) -> bool;
}

impl<L: Ledger + 'static> Asked for RedisStore<L> {
    fn figures(&self) -> Figures {
        RedisStore::figures(self)
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
        let Figures {
            unrecorded,
            leased,
            lost,
            ..
        } = store.figures();
        let available = ConstGauge::new(i64::from(store.is_available()));
        let help = "Whether ordered numbers can be drawn in Redis";
        available.encode(encoder.encode_descriptor(
            "seqid_redis_available",
            help,
            None,
            available.metric_type(),
        )?)?;
        let waiting = ConstGauge::new(i64::try_from(unrecorded).unwrap_or(i64::MAX));
        let help = "Draws of this instance that wait to be recorded in the durable store";
        waiting.encode(encoder.encode_descriptor(
            "seqid_redis_unrecorded",
            help,
            None,
            waiting.metric_type(),
        )?)?;
        for (name, help, count) in [
            ("seqid_redis_ranges", "Ranges that were taken up in Redis", leased),
            (
                "seqid_redis_ranges_lost",
                "Ranges that were lost with the history of Redis that had them",
                lost,
            ),
        ] {
            let count = ConstCounter::new(count);
            count.encode(encoder.encode_descriptor(name, help, None, count.metric_type())?)?;
        }
        Ok(())
    }
}
