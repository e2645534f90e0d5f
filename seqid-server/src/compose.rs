//! What is put together with what. The one place that names a backend.

use std::sync::Arc;

use anyhow::{Context, bail, ensure};
use async_trait::async_trait;
use axum::Router;
use seqid_amqp::AmqpSink;
use seqid_core::clock::{Clock, Seed, SystemClock};
use seqid_core::names::Label;
use seqid_core::store::{AuditLog, AuditSink, Capabilities, EventSource, Ledger, StoreError};
use seqid_core::{Code, Issuer, Leased};
use seqid_postgres::PostgresStore;
use seqid_redis::{RedisConfig, RedisStore, UnfencedStore};
use seqid_sqlite::{SqliteConfig, SqliteStore};
use tokio::sync::watch;

use crate::backlog::{Bounded, Shown, Waiting};
use crate::checkpoints::CheckpointFile;
use crate::config::Config;
use crate::ends::Ends;
use crate::instance;
use crate::metrics::Metrics;
use crate::redis::RedisMetrics;
use crate::relay::{self, Broker, Delivered, Progress};
use crate::signing::CheckpointKey;

/// A store that the service can be composed over.
#[async_trait]
pub(crate) trait Served: Ledger + EventSource {
    /// Whether it can be reached.
    fn is_available(&self) -> bool;

    /// Records what is known here alone, once nobody draws any more, so that its events are delivered with the others.
    async fn settle(&self) -> Result<(), StoreError>;
}

#[async_trait]
impl Served for SqliteStore {
    fn is_available(&self) -> bool {
        true
    }

    async fn settle(&self) -> Result<(), StoreError> {
        Ok(())
    }
}

#[async_trait]
impl Served for PostgresStore {
    fn is_available(&self) -> bool {
        PostgresStore::is_available(self)
    }

    async fn settle(&self) -> Result<(), StoreError> {
        Ok(())
    }
}

#[async_trait]
impl<S: Served> Served for Leased<S> {
    fn is_available(&self) -> bool {
        self.store().is_available()
    }

    async fn settle(&self) -> Result<(), StoreError> {
        self.give_back().await?;
        self.store().settle().await
    }
}

/// Draws ordered numbers in Redis. It is available while the durable store is: that serves all other sequences.
#[async_trait]
impl<S: Served + 'static> Served for RedisStore<S> {
    fn is_available(&self) -> bool {
        self.store().is_available()
    }

    async fn settle(&self) -> Result<(), StoreError> {
        self.give_back().await?;
        self.store().settle().await
    }
}

/// There is nothing else, and nothing to record.
#[async_trait]
impl Served for UnfencedStore {
    fn is_available(&self) -> bool {
        self.obstacle().is_none()
    }

    async fn settle(&self) -> Result<(), StoreError> {
        Ok(())
    }
}

#[async_trait]
impl<S: Served> Served for Arc<S> {
    fn is_available(&self) -> bool {
        (**self).is_available()
    }

    async fn settle(&self) -> Result<(), StoreError> {
        (**self).settle().await
    }
}

/// The parts of the service.
#[derive(Debug)]
pub(crate) struct Composed {
    /// Where the numbers are.
    pub(crate) store: Arc<dyn Served>,
    /// Where events are delivered to, and how far that has come.
    pub(crate) events: Option<(Arc<dyn AuditSink>, Arc<Progress>)>,
    /// Where checkpoints are appended.
    pub(crate) checkpoints: Option<CheckpointFile>,
    /// What answers requests over REST.
    pub(crate) router: Router,
    /// What answers calls over gRPC.
    pub(crate) calls: Router,
    /// What counts them.
    pub(crate) metrics: Arc<Metrics>,
}

/// Opens the store and puts the service together.
///
/// # Errors
/// Those of the store and the events file say what to do.
pub(crate) async fn compose(config: &Config, stop: watch::Receiver<bool>) -> anyhow::Result<Composed> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let key = config
        .checkpoint_key
        .as_deref()
        .map(CheckpointKey::read)
        .transpose()?;
    let file = config.checkpoint_file.as_deref();
    let checkpoints = file
        .map(|path| CheckpointFile::open(path, config.checkpoint_every, key.clone()))
        .transpose()?;
    let ends = Arc::new(Ends::new(Arc::clone(&clock)));
    let mut metrics = Metrics::new(clock.now(), Arc::clone(&ends));
    let sink = open_sink(config, &mut metrics).await?;
    let progress = sink.as_ref().map(|_| Arc::<Progress>::default());
    let waiting = progress.as_ref().map(|progress| {
        metrics.add(Delivered(Arc::clone(progress)));
        let waiting = Arc::new(Waiting::new(Arc::clone(&clock), config.largest_backlog));
        metrics.add(Shown(Arc::clone(&waiting)));
        waiting
    });
    let redis = RedisMetrics::default();
    metrics.add(redis.clone());
    let metrics = Arc::new(metrics);
    let (store, clock) = open(config, clock, Arc::clone(&metrics), &redis).await?;
    verify(store.capabilities())?;

    let mut ledger: Arc<dyn Ledger> = Arc::clone(&store) as _;
    if let Some(waiting) = &waiting {
        if waiting.most().is_some() {
            let waiting = Arc::clone(waiting);
            ledger = Arc::new(Bounded { ledger, waiting });
        }
        // While it cannot be seen, nothing can be drawn either.
        let _unseen = waiting.look(&*store).await;
        tokio::spawn(Arc::clone(waiting).watch(Arc::clone(&store), stop.clone()));
    }
    let issuer = Issuer::builder(ledger)
        .clock(clock)
        .observer(Arc::clone(&metrics) as _)
        .implicit(config.implicit)
        .time_zone(config.time_zone.clone())
        .build();
    let issuer = Arc::new(issuer);
    tokio::spawn(ends.watch(Arc::clone(&issuer) as _, stop.clone()));
    let surroundings = Surroundings {
        metrics: Arc::clone(&metrics),
        store: Arc::clone(&store),
        waiting,
        stop,
        key,
    };
    Ok(Composed {
        store,
        events: sink.zip(progress),
        checkpoints,
        router: seqid_http::router(surroundings.rest(config, Arc::clone(&issuer))),
        calls: seqid_grpc::routes(surroundings.grpc(config, issuer)).into_axum_router(),
        metrics,
    })
}

/// Why a service is not ready whose events are not delivered.
const TOO_MUCH_WAITS: &str =
    "as many events wait to be delivered as SEQID_LARGEST_BACKLOG allows: nothing is drawn until they are";

/// What transports ask beside the issuer.
#[derive(Clone)]
struct Surroundings {
    metrics: Arc<Metrics>,
    store: Arc<dyn Served>,
    waiting: Option<Arc<Waiting>>,
    stop: watch::Receiver<bool>,
    key: Option<CheckpointKey>,
}

impl Surroundings {
    fn rest(&self, config: &Config, issuer: Arc<Issuer>) -> seqid_http::Service {
        let (here, metrics) = (self.clone(), Arc::clone(&self.metrics));
        let waiting = self.waiting.clone();
        let service = seqid_http::Service::new(issuer)
            .allow_repeats(config.allow_repeats)
            .deadline(config.deadline)
            .metrics(move || metrics.text())
            .undelivered(move || {
                let waiting = waiting.as_ref()?;
                Some(seqid_http::Undelivered {
                    events: waiting.events(),
                    age: waiting.age(),
                    most: waiting.most(),
                })
            })
            .ready(move || {
                here.obstacle().map_or(Ok(()), |(code, reason)| {
                    let reason = reason.to_owned();
                    Err(seqid_http::NotReady { code, reason })
                })
            });
        match self.key.clone() {
            Some(key) => service.sign(move |checkpoint| key.sign(checkpoint)),
            None => service,
        }
    }

    fn grpc(&self, config: &Config, issuer: Arc<Issuer>) -> seqid_grpc::Service {
        let (here, metrics) = (self.clone(), Arc::clone(&self.metrics));
        let service = seqid_grpc::Service::new(issuer)
            .allow_repeats(config.allow_repeats)
            .deadline(config.deadline)
            .stop(self.stop.clone())
            .observe(move |call, status, took| metrics.called(call, status as usize, took))
            .ready(move || {
                here.obstacle().map_or(Ok(()), |(code, reason)| {
                    let reason = reason.to_owned();
                    Err(seqid_grpc::NotReady { code, reason })
                })
            });
        match self.key.clone() {
            Some(key) => service.sign(move |checkpoint| key.sign(checkpoint)),
            None => service,
        }
    }

    /// What keeps the service from carrying requests out now.
    fn obstacle(&self) -> Option<(Code, &'static str)> {
        if *self.stop.borrow() {
            Some((Code::Draining, "the service is stopping"))
        } else if !self.store.is_available() {
            Some((
                Code::StoreUnavailable,
                "what the numbers are kept in does not answer",
            ))
        } else if self.waiting.as_ref().is_some_and(|waiting| waiting.is_full()) {
            Some((Code::Overloaded, TOO_MUCH_WAITS))
        } else {
            None
        }
    }
}

/// Where events go. A file is opened before the store: a wrong one is found before a number is given. A broker may be away:
/// numbers are drawn all the same, and their events wait in the store.
async fn open_sink(config: &Config, metrics: &mut Metrics) -> anyhow::Result<Option<Arc<dyn AuditSink>>> {
    if let Some(broker) = config.broker.clone() {
        let sink = Arc::new(AmqpSink::new(broker));
        metrics.add(Broker(Arc::clone(&sink)));
        return Ok(Some(sink));
    }
    let Some(path) = config.events_file.clone() else {
        return Ok(None);
    };
    let opened = tokio::task::spawn_blocking(move || relay::open(&path)).await;
    let file = opened.context("the file of events could not be opened")??;
    Ok(Some(Arc::new(file)))
}

/// Opens the store, and answers the clock that an issuer over it reads.
async fn open(
    config: &Config,
    clock: Arc<dyn Clock>,
    metrics: Arc<Metrics>,
    redis: &RedisMetrics,
) -> anyhow::Result<(Arc<dyn Served>, Arc<dyn Clock>)> {
    if let Some(server) = config.redis.clone().filter(|_| config.unfenced) {
        let store = open_unfenced(config, server, Arc::clone(&clock)).await?;
        redis.of_unfenced(&store);
        return Ok((store, clock));
    }
    let seed = Seed::from_system();
    if let Some(database) = &config.database {
        let store = PostgresStore::open(database.clone(), metrics).await?;
        require_no_file(config, &store).await?;
        let clock = store.clock();
        let name = instance::name(&config.data, seed)?;
        let layers = Layers { name, clock, seed };
        return layers.over(store, config.redis.clone(), redis).await;
    }
    let (store, of_store) = (store_config(config), Arc::clone(&clock));
    let opened = tokio::task::spawn_blocking(move || SqliteStore::open(store, of_store, metrics));
    let store = opened.await.context("the store could not be opened")??;
    // One process at a time has the file.
    let name = Label::new("embedded")?;
    let layers = Layers { name, clock, seed };
    layers.over(store, config.redis.clone(), redis).await
}

/// Opens a Redis server that has no durable store behind it.
async fn open_unfenced(
    config: &Config,
    server: RedisConfig,
    clock: Arc<dyn Clock>,
) -> anyhow::Result<Arc<UnfencedStore>> {
    let file = config.file();
    ensure!(
        !file.exists(),
        "{} holds numbers that were given out, and Redis alone would give them out again: unset REDIS_UNFENCED to go on with \
         the file, or name another folder with SEQID_DATA",
        file.display()
    );
    let place = server.place();
    let store = UnfencedStore::open(server, clock)
        .await
        .context("REDIS_ADDR names a server in which numbers cannot be drawn")?;
    tracing::warn!(
        place,
        "UNFENCED: numbers are given out from Redis alone. Once it loses a write - at a failover, a restart, by FLUSHALL or \
         eviction - THEY REPEAT, and there is no audit that shows it"
    );
    Ok(Arc::new(store))
}

/// What stands between the issuer and a durable store.
struct Layers {
    name: Label,
    clock: Arc<dyn Clock>,
    seed: Seed,
}

impl Layers {
    async fn over<S: Served + 'static>(
        self,
        store: S,
        redis: Option<RedisConfig>,
        metrics: &RedisMetrics,
    ) -> anyhow::Result<(Arc<dyn Served>, Arc<dyn Clock>)> {
        let Self { name, clock, seed } = self;
        let Some(redis) = redis else {
            let leased = Leased::new(store, name, Arc::clone(&clock), seed);
            return Ok((Arc::new(leased), clock));
        };
        let place = redis.place();
        let store = RedisStore::open(store, redis, name.clone(), Arc::clone(&clock), seed)
            .await
            .context("REDIS_ADDR names a server in which ordered numbers cannot be drawn")?;
        let store = Arc::new(store);
        metrics.of(&store);
        let server = store.server().await?;
        tracing::info!(
            place,
            server = server.address,
            version = server.version,
            history = %server.history,
            "numbers of mode ordered are drawn in Redis, and recorded in the store"
        );
        let leased = Leased::new(store, name, Arc::clone(&clock), seed);
        Ok((Arc::new(leased), clock))
    }
}

/// An empty database beside a data file with numbers would give those out again.
async fn require_no_file(config: &Config, store: &PostgresStore) -> anyhow::Result<()> {
    let file = config.file();
    if !file.exists() || !store.events(0, 1).await?.is_empty() {
        return Ok(());
    }
    bail!(
        "{} is empty, but {} holds numbers that were given out from that file. Carry its counters over before you move \
         the file away: for each of them, POST /api/v1/sync with its last number to a service on the database, or unset \
         DATABASE_URL and DB_HOST to go on with the file",
        config.place(),
        file.display()
    )
}

/// Runs a command that asks a database, on this thread.
///
/// # Errors
/// When the system has no room for it.
pub(crate) fn block_on<T>(future: impl Future<Output = T>) -> anyhow::Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    Ok(runtime.context("cannot wait for a database")?.block_on(future))
}

/// The store that this configuration means.
pub(crate) fn store_config(config: &Config) -> SqliteConfig {
    SqliteConfig::new(config.file()).key_retention(config.key_retention)
}

/// A service whose numbers do not outlive it, or that cannot give the default guarantee, must not start unless it was told to.
fn verify(store: Capabilities) -> anyhow::Result<()> {
    let Capabilities {
        name,
        gapless,
        ordered,
        leased,
        durable,
        unfenced,
        ..
    } = store;
    ensure!(
        unfenced || (durable && gapless),
        "the store {name} cannot promise numbers without gaps that outlive a crash"
    );
    tracing::info!(
        store = name,
        gapless,
        ordered,
        leased,
        durable,
        unfenced,
        "the store is open"
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::time::Duration;

    use clap::CommandFactory;

    use super::*;
    use crate::CommandLine;

    #[test]
    fn the_store_is_told_where_and_how_long() {
        let line = ["seqid-server", "--data", "folder", "--key-retention-days", "2"];
        let matches = CommandLine::command().get_matches_from(line);
        let store = store_config(&Config::read(&matches).unwrap());
        assert_eq!(store.path, Path::new("folder/seqid.db"));
        assert_eq!(store.key_retention, Duration::from_secs(2 * 24 * 60 * 60));
    }

    #[test]
    fn a_store_that_forgets_is_refused() {
        assert!(verify(Capabilities::new("fine").gapless().durable()).is_ok());
        assert!(verify(Capabilities::new("memory").gapless()).is_err());
        assert!(verify(Capabilities::new("cache").durable()).is_err());
        assert!(verify(Capabilities::new("redis").unfenced()).is_ok());
    }
}
