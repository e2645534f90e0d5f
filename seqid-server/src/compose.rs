//! What is put together with what. The one place that names a backend.

use std::sync::Arc;

use anyhow::{Context, ensure};
use axum::Router;
use seqid_core::clock::{Clock, SystemClock};
use seqid_core::json_lines::JsonLines;
use seqid_core::store::Capabilities;
use seqid_core::{Code, Issuer};
use seqid_http::{NotReady, Service};
use seqid_sqlite::{SqliteConfig, SqliteStore};
use tokio::sync::watch;

use crate::checkpoints::CheckpointFile;
use crate::config::Config;
use crate::ends::Ends;
use crate::metrics::Metrics;
use crate::relay::{self, Lag, Progress};
use crate::signing::CheckpointKey;

/// The parts of the service.
#[derive(Debug)]
pub(crate) struct Composed {
    /// Where the numbers are.
    pub(crate) store: Arc<SqliteStore>,
    /// Where events are delivered to, and how far that has come.
    pub(crate) events: Option<(JsonLines, Arc<Progress>)>,
    /// Where checkpoints are appended.
    pub(crate) checkpoints: Option<CheckpointFile>,
    /// What answers requests.
    pub(crate) router: Router,
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
    let progress = config
        .events_file
        .as_ref()
        .map(|_| Arc::new(Progress::new(Arc::clone(&clock))));
    if let Some(progress) = &progress {
        metrics.add(Lag(Arc::clone(progress)));
    }
    let metrics = Arc::new(metrics);
    let (store, sink) = open(config, Arc::clone(&clock), Arc::clone(&metrics)).await?;
    verify(seqid_core::CounterStore::capabilities(&store))?;
    let store = Arc::new(store);

    let issuer = Issuer::builder(Arc::clone(&store) as _)
        .clock(clock)
        .observer(Arc::clone(&metrics) as _)
        .implicit(config.implicit)
        .time_zone(config.time_zone.clone())
        .build();
    let issuer = Arc::new(issuer);
    tokio::spawn(ends.watch(Arc::clone(&issuer) as _, stop.clone()));
    let service = service(config, issuer, Arc::clone(&metrics), stop);
    let service = match key {
        Some(key) => service.sign(move |checkpoint| key.sign(checkpoint)),
        None => service,
    };
    Ok(Composed {
        store,
        events: sink.zip(progress),
        checkpoints,
        router: seqid_http::router(service),
        metrics,
    })
}

fn service(
    config: &Config,
    issuer: Arc<Issuer>,
    metrics: Arc<Metrics>,
    stop: watch::Receiver<bool>,
) -> Service {
    Service::new(issuer)
        .allow_repeats(config.allow_repeats)
        .deadline(config.deadline)
        .metrics(move || metrics.text())
        .ready(move || match *stop.borrow() {
            true => Err(NotReady {
                code: Code::Draining,
                reason: "the service is stopping".to_owned(),
            }),
            false => Ok(()),
        })
}

async fn open(
    config: &Config,
    clock: Arc<dyn Clock>,
    metrics: Arc<Metrics>,
) -> anyhow::Result<(SqliteStore, Option<JsonLines>)> {
    let (store, events_file) = (store_config(config), config.events_file.clone());
    let opened = tokio::task::spawn_blocking(move || {
        let store = SqliteStore::open(store, clock, metrics)?;
        let sink = events_file.as_deref().map(relay::open).transpose()?;
        Ok((store, sink))
    });
    opened.await.context("the store could not be opened")?
}

/// The store that this configuration means.
pub(crate) fn store_config(config: &Config) -> SqliteConfig {
    SqliteConfig::new(config.file()).key_retention(config.key_retention)
}

/// A service whose numbers do not outlive it, or that cannot give the default guarantee, must not start.
fn verify(store: Capabilities) -> anyhow::Result<()> {
    let Capabilities {
        name,
        gapless,
        ordered,
        leased,
        durable,
        ..
    } = store;
    ensure!(
        durable && gapless,
        "the store {name} cannot promise numbers without gaps that outlive a crash"
    );
    tracing::info!(
        store = name,
        gapless,
        ordered,
        leased,
        durable,
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
    }
}
