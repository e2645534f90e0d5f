//! `seqid-server worker`: from the broker's queue to the audit of a database.

mod tally;

use std::io;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use axum::{Json, Router};
use seqid_amqp::{AmqpError, AmqpSource, Delivery};
use seqid_core::clock::{Clock, SystemClock};
use seqid_core::event::Recorded;
use seqid_postgres::{AuditTable, PostgresConfig, Recording};
use serde_json::json;
use tokio::sync::watch;

use crate::config::Config;
use crate::connections::{self, Answering, Protocol};
use crate::ends::Ends;
use crate::metrics::Metrics;
use crate::say;
use crate::serve;
use crate::shutdown::stopped;
use tally::{Shown, Tally};

/// What the command is for.
pub(crate) const ABOUT: &str = "\
Take events from RabbitMQ and record them in the schema seqid_audit of a PostgreSQL database, until SIGTERM or SIGINT.

RABBITMQ_URL and QUEUE_NAME name the queue, DATABASE_URL or DB_HOST the database. Any number of workers may run side by side. \
A message is acknowledged once its event is recorded; one that cannot be recorded is put among the dead letters, with the \
reason: see `dead-letters`. PORT has /health, /ready and /metrics.";

/// How many events are recorded at a time.
const BATCH: usize = 1_000;
/// How many messages are here at a time: those that are recorded, and as many that come next.
const PREFETCH: u16 = 2_000;
/// The first pause after a failure; each further failure doubles it.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// The longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
/// How often the broker is asked how much waits.
const LOOK: Duration = Duration::from_secs(2);
/// Why an event is a dead letter though it is one.
const DIVERGENT: &str = "another event is recorded under this id";

/// Works until a signal ends it.
///
/// # Errors
/// Whatever keeps it from starting.
pub(crate) fn run(config: Config) -> anyhow::Result<ExitCode> {
    serve::until_stopped(config, work)
}

async fn work(config: Config, stop: watch::Receiver<bool>) -> anyhow::Result<()> {
    let broker = config.broker.clone();
    let broker = broker.context("a worker takes events from a broker: set RABBITMQ_URL")?;
    let database = config.database.clone();
    let database = database.context("a worker records events in a database: set DATABASE_URL or DB_HOST")?;
    let socket = serve::bind(config.listen, "PORT")?;
    let (from, to) = (broker.place(), database.place());
    let queue = broker.queue().to_owned();
    let table = open(database, stop.clone()).await?;
    let Some(table) = table else {
        return Ok(());
    };
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let worker = Arc::new(Worker {
        source: AmqpSource::new(broker, PREFETCH),
        table,
        tally: Tally::new(Arc::clone(&clock)),
    });
    let mut metrics = Metrics::new(clock.now(), Arc::new(Ends::new(clock)));
    metrics.add(Shown(Arc::clone(&worker)));
    let metrics = Arc::new(metrics);
    let (listener, address) = serve::listen(socket, config.listen, "PORT")?;
    say(
        &mut io::stdout(),
        &format!(
            "seqid worker listens on http://{address} and takes events from the queue {queue} at {from},\n\
             which it records in the PostgreSQL database {to}.\n\
             How it is doing: http://{address}/ready and http://{address}/metrics"
        ),
    );
    tracing::info!(%address, queue, broker = from, database = to, version = env!("CARGO_PKG_VERSION"), "working");
    let answering = Answering {
        protocol: Protocol::Rest,
        router: router(Arc::clone(&worker), Arc::clone(&metrics), stop.clone()),
        metrics,
    };
    let ((), (), ()) = tokio::join!(
        connections::serve(listener, answering, stop.clone(), config.shutdown),
        worker.pump_in_time(stop.clone(), config.shutdown),
        worker.look(stop),
    );
    worker.source.close().await;
    tracing::info!("stopped");
    Ok(())
}

/// Opens the audit, and waits for a database that is away, until the stop is asked for: a worker may be started before it.
async fn open(config: PostgresConfig, mut stop: watch::Receiver<bool>) -> anyhow::Result<Option<AuditTable>> {
    let mut pause = FIRST_PAUSE;
    loop {
        let error = match AuditTable::open(config.clone()).await {
            Ok(table) => return Ok(Some(table)),
            Err(error @ seqid_postgres::OpenError::Unreachable { .. }) => error,
            Err(error) => return Err(error.into()),
        };
        tracing::warn!(
            error = &error as &dyn std::error::Error,
            "the audit is waited for"
        );
        if rest(&mut pause, &mut stop).await.is_none() {
            return Ok(None);
        }
    }
}

/// Waits a while, the next time longer. `None` when the stop was asked for.
async fn rest(pause: &mut Duration, stop: &mut watch::Receiver<bool>) -> Option<()> {
    let now = *pause;
    *pause = (now * 2).min(LONGEST_PAUSE);
    tokio::select! {
        biased;
        () = stopped(stop) => None,
        () = tokio::time::sleep(now) => Some(()),
    }
}

/// The parts of a worker.
#[derive(Debug)]
struct Worker {
    source: AmqpSource,
    table: AuditTable,
    tally: Tally,
}

impl Worker {
    /// Pumps; what is being recorded at the stop has `patience` to be finished, and is delivered again otherwise.
    async fn pump_in_time(&self, stop: watch::Receiver<bool>, patience: Duration) {
        let mut asked = stop.clone();
        let late = async {
            stopped(&mut asked).await;
            tokio::time::sleep(patience).await;
        };
        tokio::select! {
            () = self.pump(stop) => {}
            () = late => tracing::warn!("what was being recorded took too long; it is delivered again"),
        }
    }

    /// Takes and records until the stop is asked for. What is being recorded then is finished, if the database is there.
    async fn pump(&self, mut stop: watch::Receiver<bool>) {
        let mut pause = FIRST_PAUSE;
        loop {
            let taken = tokio::select! {
                biased;
                () = stopped(&mut stop) => return,
                taken = self.source.take(BATCH) => taken,
            };
            let settled = match taken {
                Ok(taken) => self.settle(&taken, &mut stop).await,
                Err(error) => Err(error),
            };
            match settled {
                Ok(()) => pause = FIRST_PAUSE,
                // Recorded, and delivered again: nothing to wait for.
                Err(AmqpError::Stale) => {}
                Err(error) => {
                    // What was taken and is not settled must not be acknowledged with what comes next.
                    self.source.close().await;
                    tracing::warn!(
                        error = &error as &dyn std::error::Error,
                        "no events can be taken from the broker; that is tried again"
                    );
                    if rest(&mut pause, &mut stop).await.is_none() {
                        return;
                    }
                }
            }
        }
    }

    /// Records the events of some messages, puts aside what cannot be recorded, and acknowledges all of them.
    async fn settle(&self, taken: &[Delivery], stop: &mut watch::Receiver<bool>) -> Result<(), AmqpError> {
        let good: Vec<(&Delivery, &Recorded)> = taken
            .iter()
            .filter_map(|delivery| Some((delivery, delivery.event.as_ref().ok()?)))
            .collect();
        let events: Vec<&Recorded> = good.iter().map(|(_, event)| *event).collect();
        self.tally.took(taken);
        let Some(recording) = self.record(&events, stop).await else {
            // The stop was asked for while the database was away; others get the messages.
            self.source.close().await;
            return Ok(());
        };
        for place in &recording.divergent {
            let (delivery, event) = good[*place];
            tracing::error!(id = %event.id, "DIVERGENCE: {DIVERGENT}, and is not the same; see seqid_audit.divergence");
            self.source.reject(delivery, DIVERGENT).await?;
            self.tally.dead();
        }
        for delivery in taken {
            if let Err(poison) = &delivery.event {
                tracing::warn!(%poison, "a message cannot be recorded; it is among the dead letters");
                self.source.reject(delivery, &poison.to_string()).await?;
                self.tally.dead();
            }
        }
        self.tally.recorded(&recording);
        self.source.accept(taken).await
    }

    /// Records until it is done. `None` when the stop was asked for while the database was away.
    async fn record(&self, events: &[&Recorded], stop: &mut watch::Receiver<bool>) -> Option<Recording> {
        let mut pause = FIRST_PAUSE;
        loop {
            match self.table.record(events).await {
                Ok(recording) => return Some(recording),
                Err(error) => tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "events were not recorded; that is tried again"
                ),
            }
            rest(&mut pause, stop).await?;
        }
    }

    /// Looks how much waits at the broker, now and then.
    async fn look(&self, mut stop: watch::Receiver<bool>) {
        loop {
            let depth = tokio::select! {
                biased;
                () = stopped(&mut stop) => return,
                depth = self.source.depth() => depth,
            };
            match depth {
                Ok(depth) => self.tally.saw(depth),
                Err(error) => {
                    tracing::debug!(
                        error = &error as &dyn std::error::Error,
                        "the queues cannot be seen"
                    );
                }
            }
            let mut pause = LOOK;
            if rest(&mut pause, &mut stop).await.is_none() {
                return;
            }
        }
    }

    /// What keeps it from recording now.
    fn obstacle(&self) -> Option<&'static str> {
        if !self.source.is_connected() {
            Some("the broker does not answer")
        } else if !self.table.is_available() {
            Some("the database does not answer")
        } else {
            None
        }
    }
}

fn router(worker: Arc<Worker>, metrics: Arc<Metrics>, stop: watch::Receiver<bool>) -> Router {
    Router::new()
        .route("/health", get(async || Json(json!({"status": "ok"}))))
        .route("/ready", get(ready))
        .with_state((worker, stop))
        .route(
            "/metrics",
            get(async move || {
                let form = "application/openmetrics-text; version=1.0.0; charset=utf-8";
                ([(header::CONTENT_TYPE, form)], metrics.text())
            }),
        )
}

async fn ready(State((worker, stop)): State<(Arc<Worker>, watch::Receiver<bool>)>) -> impl IntoResponse {
    let obstacle = if *stop.borrow() {
        Some("the worker is stopping")
    } else {
        worker.obstacle()
    };
    match obstacle {
        None => (StatusCode::OK, Json(json!({"status": "ready"}))),
        Some(reason) => (
            StatusCode::SERVICE_UNAVAILABLE,
            Json(json!({"status": "not ready", "reason": reason})),
        ),
    }
}
