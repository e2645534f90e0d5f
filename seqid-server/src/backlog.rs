//! Events that wait to be delivered, and the bound beyond which nothing is drawn.
//!
//! They wait in the store, which keeps its events for good: one that waits takes no more room than one that was delivered. So there
//! is no bound unless an operator sets one, to whom it matters how far the audit elsewhere may fall behind.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::gauge::ConstGauge;
use seqid_core::clock::Clock;
use seqid_core::command::{Act, Command, Reply};
use seqid_core::counter::{CounterKey, CounterState};
use seqid_core::forward;
use seqid_core::store::{Backlog, Capabilities, CounterStore, EventSource, Ledger, StoreError};
use tokio::sync::watch;

use crate::shutdown::stopped;

/// How often it is looked how much waits. What this instance writes meanwhile is reckoned; what others write is not.
const EVERY: Duration = Duration::from_millis(500);

/// What waits, as far as it is known.
#[derive(Debug)]
pub(crate) struct Waiting {
    clock: Arc<dyn Clock>,
    /// How many may wait.
    most: Option<u64>,
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    seen: Backlog,
    /// Commands that were given to the store, ever.
    begun: u64,
    /// Those of them that have ended.
    ended: u64,
    /// Those that had ended when it was looked last: the look has seen their events.
    ended_when_seen: u64,
}

impl Known {
    /// At least as many as wait, if nobody else writes: each command of ours that the look may have missed counts as an event.
    const fn reckoned(&self) -> u64 {
        self.seen.events.saturating_add(self.begun - self.ended_when_seen)
    }
}

impl Waiting {
    /// Nothing is known yet. At most `most` events may wait, or any number.
    pub(crate) fn new(clock: Arc<dyn Clock>, most: Option<u64>) -> Self {
        Self {
            clock,
            most,
            known: Mutex::default(),
        }
    }

    /// How many may wait.
    pub(crate) const fn most(&self) -> Option<u64> {
        self.most
    }

    /// What was seen last.
    pub(crate) fn events(&self) -> u64 {
        self.known().seen.events
    }

    /// The age of the oldest event that waits.
    pub(crate) fn age(&self) -> Duration {
        let Some(oldest) = self.known().seen.oldest else {
            return Duration::ZERO;
        };
        let micros = self.clock.now().as_micros().saturating_sub(oldest.as_micros());
        Duration::from_micros(u64::try_from(micros).unwrap_or(0))
    }

    /// Whether a draw would be refused now.
    pub(crate) fn is_full(&self) -> bool {
        self.most.is_some_and(|most| self.known().reckoned() >= most)
    }

    /// Looks how much waits.
    ///
    /// # Errors
    /// Those of the store. What was known stays.
    pub(crate) async fn look(&self, source: &(impl EventSource + ?Sized)) -> Result<(), StoreError> {
        let ended = self.known().ended;
        let seen = source.backlog().await?;
        let mut known = self.known();
        known.seen = seen;
        known.ended_when_seen = ended;
        Ok(())
    }

    /// Looks again and again until the stop is asked for.
    pub(crate) async fn watch(
        self: Arc<Self>,
        source: Arc<impl EventSource + ?Sized>,
        mut stop: watch::Receiver<bool>,
    ) {
        loop {
            tokio::select! {
                () = stopped(&mut stop) => return,
                () = tokio::time::sleep(EVERY) => {}
            }
            if let Err(error) = self.look(&*source).await {
                tracing::debug!(
                    error = &error as &dyn std::error::Error,
                    "it cannot be seen how many events wait to be delivered"
                );
            }
        }
    }

    /// Lets a command pass, unless it draws and too much waits.
    fn admit(&self, act: &Act) -> Result<(), StoreError> {
        let mut known = self.known();
        let waiting = known.reckoned();
        match self.most {
            Some(most) if matches!(act, Act::Draw(_)) && waiting >= most => {
                Err(StoreError::Undelivered { waiting, most })
            }
            _ => {
                known.begun += 1;
                Ok(())
            }
        }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Commands that were admitted, until they have ended or their caller has gone.
struct UnderWay<'a> {
    waiting: &'a Waiting,
    commands: u64,
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.waiting.known().ended += self.commands;
    }
}

/// A ledger that draws only while no more events wait than may. Whatever else is asked of it is carried out.
#[derive(Debug)]
pub(crate) struct Bounded {
    pub(crate) ledger: Arc<dyn Ledger>,
    pub(crate) waiting: Arc<Waiting>,
}

#[async_trait]
impl CounterStore for Bounded {
    fn capabilities(&self) -> Capabilities {
        self.ledger.capabilities()
    }

    async fn apply(&self, batch: Vec<Command>) -> Vec<Result<Reply, StoreError>> {
        let (mut refused, mut admitted) = (Vec::with_capacity(batch.len()), Vec::with_capacity(batch.len()));
        for command in batch {
            refused.push(self.waiting.admit(&command.act).map(|()| admitted.push(command)));
        }
        let _under_way = UnderWay {
            waiting: &self.waiting,
            commands: admitted.len() as u64,
        };
        let mut carried_out = match admitted.is_empty() {
            true => Vec::new().into_iter(),
            false => self.ledger.apply(admitted).await.into_iter(),
        };
        let answers = refused.into_iter().filter_map(|admitted| match admitted {
            Ok(()) => carried_out.next(),
            Err(error) => Some(Err(error)),
        });
        answers.collect()
    }

    async fn counter(&self, key: &CounterKey) -> Result<Option<CounterState>, StoreError> {
        self.ledger.counter(key).await
    }

    async fn close(&self) -> Result<(), StoreError> {
        self.ledger.close().await
    }
}

forward!(impl [] DefinitionStore for Bounded, self => *self.ledger);

forward!(impl [] AuditLog for Bounded, self => *self.ledger);

/// Shows [`Waiting`] among the metrics.
#[derive(Debug)]
pub(crate) struct Shown(pub(crate) Arc<Waiting>);

impl Collector for Shown {
    #[expect(clippy::cast_precision_loss, reason = "a metric is a double")]
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let most = self.0.most().map_or(f64::INFINITY, |most| most as f64);
        for (name, help, value) in [
            (
                "seqid_relay_lag_seconds",
                "Age of the oldest event that waits to be delivered",
                self.0.age().as_secs_f64(),
            ),
            (
                "seqid_relay_backlog",
                "Events that wait to be delivered, whichever instance recorded them",
                self.0.events() as f64,
            ),
            (
                "seqid_relay_backlog_limit",
                "How many may wait; beyond that nothing is drawn",
                most,
            ),
        ] {
            let gauge = ConstGauge::new(value);
            gauge.encode(encoder.encode_descriptor(name, help, None, gauge.metric_type())?)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use seqid_core::clock::{ManualClock, Seed};
    use seqid_core::numbering::{DefineRequest, DrawRequest};
    use seqid_core::time::Timestamp;
    use seqid_core::{Code, DefinitionSpec, Error, Issuer, MemoryStore, Numbering, Prefix};

    use super::*;

    struct Drawn {
        clock: Arc<ManualClock>,
        store: Arc<MemoryStore>,
        waiting: Arc<Waiting>,
        issuer: Issuer,
    }

    /// A defined sequence, over a bound. Its definition is the first event.
    async fn bounded(most: u64) -> Drawn {
        let clock = Arc::new(ManualClock::new(Timestamp::from_micros(5_000_000)));
        let store = Arc::new(MemoryStore::new(Arc::clone(&clock) as _, Seed(1)));
        let waiting = Arc::new(Waiting::new(Arc::clone(&clock) as _, Some(most)));
        let issuer = Issuer::new(Arc::new(Bounded {
            ledger: Arc::clone(&store) as _,
            waiting: Arc::clone(&waiting),
        }));
        let define = DefineRequest::new(prefix(), DefinitionSpec::of_format("INV-{seq}"));
        issuer.define(define).await.unwrap();
        Drawn {
            clock,
            store,
            waiting,
            issuer,
        }
    }

    fn prefix() -> Prefix {
        Prefix::new("INV").unwrap()
    }

    impl Drawn {
        async fn draw(&self) -> Result<u64, Error> {
            let drawn = self.issuer.draw(DrawRequest::new(prefix())).await;
            drawn.map(|issued| issued.run.first.get())
        }

        async fn deliver(&self, position: u64) {
            self.store.acknowledge(position).await.unwrap();
        }
    }

    #[tokio::test]
    async fn as_many_events_wait_as_may_and_not_one_more() {
        let drawn = bounded(4).await;
        for number in 1..=3 {
            assert!(!drawn.waiting.is_full());
            assert_eq!(drawn.draw().await.unwrap(), number);
        }
        assert!(drawn.waiting.is_full());
        let error = drawn.draw().await.unwrap_err();
        assert_eq!(error.code(), Code::Overloaded);
        assert_eq!(
            error.to_string(),
            "4 events wait to be delivered, and no more than 4 may: nothing is drawn until they are"
        );
        drawn.waiting.look(&*drawn.store).await.unwrap();
        assert_eq!(drawn.waiting.events(), 4);
        assert!(drawn.draw().await.is_err());
        drawn.deliver(1).await;
        drawn.waiting.look(&*drawn.store).await.unwrap();
        assert_eq!(drawn.draw().await.unwrap(), 4, "what was refused took no number");
        assert!(drawn.draw().await.is_err());
    }

    #[tokio::test]
    async fn what_draws_nothing_is_carried_out_all_the_same() {
        let drawn = bounded(1).await;
        assert!(drawn.draw().await.is_err());
        let mut define = DefineRequest::new(prefix(), DefinitionSpec::of_format("INV-{seq:5}"));
        define.if_version = Some(1);
        drawn.issuer.define(define).await.unwrap();
        drawn.waiting.look(&*drawn.store).await.unwrap();
        assert_eq!(drawn.waiting.events(), 2);
    }

    #[tokio::test]
    async fn the_age_is_that_of_the_oldest_event_that_waits() {
        let drawn = bounded(10).await;
        assert_eq!(drawn.waiting.age(), Duration::ZERO, "nobody has looked");
        drawn.waiting.look(&*drawn.store).await.unwrap();
        drawn.clock.set(Timestamp::from_micros(8_000_000));
        assert_eq!(drawn.waiting.age(), Duration::from_secs(3));
        drawn.draw().await.unwrap();
        drawn.deliver(1).await;
        drawn.waiting.look(&*drawn.store).await.unwrap();
        assert_eq!(drawn.waiting.age(), Duration::ZERO);
        assert_eq!(drawn.waiting.events(), 1);
    }
}
