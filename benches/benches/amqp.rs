//! From a store in PostgreSQL through RabbitMQ into the audit of another database: each stage by itself, all of them at once on a
//! burst of 200,000 events, and all of them while numbers are drawn.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use seqid_amqp::{AmqpConfig, AmqpSink, AmqpSource};
use seqid_benches::{Bar, Table, Unit, Until, draws, is_bench_run, multi_thread};
use seqid_core::event::Recorded;
use seqid_core::numbering::DrawRequest;
use seqid_core::observer::Unobserved;
use seqid_core::relay::Relay;
use seqid_core::{Issuer, Prefix};
use seqid_postgres::{AuditTable, PostgresConfig, PostgresStore};
use seqid_testkit::servers::{PostgresServer, RabbitMqServer};
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;

const BURST: u64 = 200_000;
const CALLERS: usize = 512;
/// As the worker of the service has them.
const BATCH: usize = 1_000;
const PREFETCH: u16 = 2_000;
/// What is wanted of the whole way.
const WANTED: f64 = 20_000.0;

/// A store, a queue and an audit of its own, all empty.
struct Way {
    store: Arc<PostgresStore>,
    issuer: Arc<Issuer>,
    broker: AmqpConfig,
    audit: Arc<AuditTable>,
}

impl Way {
    async fn open(server: &PostgresServer, broker: &RabbitMqServer, name: &str) -> Result<Self> {
        for database in [name.to_owned(), format!("{name}_audit")] {
            server.psql("postgres", &format!("CREATE DATABASE {database}"))?;
        }
        let config: PostgresConfig = server.url(name).parse()?;
        let store = Arc::new(PostgresStore::open(config, Arc::new(Unobserved)).await?);
        let clock = store.clock();
        let issuer = Issuer::builder(Arc::clone(&store) as _).clock(clock).build();
        let audit: PostgresConfig = server.url(&format!("{name}_audit")).parse()?;
        Ok(Self {
            store,
            issuer: Arc::new(issuer),
            broker: AmqpConfig::new(broker.virtual_host()?.url(), AmqpConfig::DEFAULT_QUEUE)?,
            audit: Arc::new(AuditTable::open(audit).await?),
        })
    }

    /// Draws so many numbers, each an event. Answers how many a second.
    async fn draw(&self, count: u64) -> Result<f64> {
        let began = Instant::now();
        draws(&self.issuer, CALLERS, Until::Called(count), |_| {
            DrawRequest::new(Prefix::new("INV").expect("a prefix"))
        })
        .await?;
        Ok(per_second(count, began))
    }

    /// Publishes until it is stopped. What failed is published again.
    fn relay(&self) -> JoinHandle<()> {
        let relay = Relay::new(Arc::clone(&self.store), AmqpSink::new(self.broker.clone()));
        tokio::spawn(async move { relay.run(|_| {}).await })
    }

    /// Records until so many were, as the worker does.
    fn worker(&self, events: u64) -> JoinHandle<Result<()>> {
        let source = AmqpSource::new(self.broker.clone(), PREFETCH);
        let audit = Arc::clone(&self.audit);
        tokio::spawn(async move {
            let mut recorded = 0;
            while recorded < events {
                let taken = source.take(BATCH).await?;
                let events: Vec<&Recorded> = taken
                    .iter()
                    .filter_map(|delivery| delivery.event.as_ref().ok())
                    .collect();
                recorded += audit.record(&events).await?.recorded as u64;
                source.accept(&taken).await?;
            }
            source.close().await;
            Ok(())
        })
    }

    async fn wait_for_queue(&self, events: u64) -> Result<()> {
        let source = AmqpSource::new(self.broker.clone(), 1);
        // Whoever publishes first makes the queue.
        while source.depth().await.map_or(0, |depth| u64::from(depth.queue)) < events {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }

    async fn nothing_is_missing(&self) -> Result<()> {
        let missing = self.audit.missing(1).await?;
        ensure!(missing.is_empty(), "{missing:?}");
        Ok(())
    }
}

#[expect(clippy::cast_precision_loss, reason = "far fewer than 2^52")]
fn per_second(events: u64, began: Instant) -> f64 {
    events as f64 / began.elapsed().as_secs_f64()
}

/// The definition is an event too.
const EVENTS: u64 = BURST + 1;

async fn stages(table: &mut Table, way: &Way) -> Result<()> {
    table.figure(
        "drawn into the store, nothing else running",
        Unit::PerSecond,
        way.draw(BURST).await?,
        None,
    );
    let began = Instant::now();
    let relay = way.relay();
    way.wait_for_queue(EVENTS).await?;
    table.figure(
        "from the store to the broker alone",
        Unit::PerSecond,
        per_second(EVENTS, began),
        None,
    );
    relay.abort();
    let began = Instant::now();
    way.worker(EVENTS).await??;
    table.figure(
        "from the broker to the audit alone",
        Unit::PerSecond,
        per_second(EVENTS, began),
        None,
    );
    way.nothing_is_missing().await
}

async fn burst(table: &mut Table, way: &Way) -> Result<()> {
    way.draw(BURST).await?;
    let began = Instant::now();
    let relay = way.relay();
    way.worker(EVENTS).await??;
    let rate = per_second(EVENTS, began);
    table.figure(
        "a burst of 200,000, to the last in the audit",
        Unit::Seconds,
        began.elapsed().as_secs_f64(),
        None,
    );
    table.figure(
        "  the same a second",
        Unit::PerSecond,
        rate,
        Some(Bar::AtLeast(WANTED)),
    );
    relay.abort();
    way.nothing_is_missing().await
}

async fn sustained(table: &mut Table, way: &Way) -> Result<()> {
    let began = Instant::now();
    let relay = way.relay();
    let worker = way.worker(EVENTS);
    let drawn = way.draw(BURST).await?;
    table.figure("drawn while all is delivered", Unit::PerSecond, drawn, None);
    let last = Instant::now();
    worker.await??;
    table.figure(
        "  drawn, delivered and recorded",
        Unit::PerSecond,
        per_second(EVENTS, began),
        Some(Bar::AtLeast(WANTED)),
    );
    table.figure(
        "  lag after the last draw",
        Unit::Seconds,
        last.elapsed().as_secs_f64(),
        None,
    );
    relay.abort();
    way.nothing_is_missing().await
}

fn main() -> Result<()> {
    if !is_bench_run() {
        return Ok(());
    }
    let runtime: Runtime = multi_thread()?;
    let server = PostgresServer::start_with(&[("shared_buffers", "256MB"), ("max_wal_size", "2GB")])?;
    let broker = RabbitMqServer::start()?;
    let mut table = Table::new(
        "Events from PostgreSQL through RabbitMQ into an audit in PostgreSQL, all on this machine",
    );
    runtime.block_on(async {
        stages(&mut table, &Way::open(&server, &broker, "stages").await?).await?;
        burst(&mut table, &Way::open(&server, &broker, "burst").await?).await?;
        sustained(&mut table, &Way::open(&server, &broker, "sustained").await?).await
    })?;
    table.print();
    Ok(())
}
