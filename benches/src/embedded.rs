use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};
use seqid_core::clock::SystemClock;
use seqid_core::counter::CounterKey;
use seqid_core::numbering::DefineRequest;
use seqid_core::observer::Observer;
use seqid_core::{Code, CounterStore, DefinitionSpec, Issuer, Mode, Numbering, Prefix};
use seqid_sqlite::{SqliteConfig, SqliteStore};

/// An issuer over a SQLite file, as an ERP would link it.
#[derive(Debug)]
pub struct Embedded {
    /// The issuer.
    pub issuer: Arc<Issuer>,
    /// What the store committed.
    pub batches: Arc<Batches>,
    store: Arc<SqliteStore>,
}

impl Embedded {
    /// Opens the file, making it when it is not there.
    ///
    /// # Errors
    /// When it cannot be served.
    pub fn open(path: &Path) -> Result<Self> {
        let batches = Arc::new(Batches::default());
        let store = SqliteStore::open(
            SqliteConfig::new(path),
            Arc::new(SystemClock),
            Arc::clone(&batches) as Arc<dyn Observer>,
        )?;
        let store = Arc::new(store);
        Ok(Self {
            issuer: Arc::new(Issuer::new(Arc::clone(&store) as Arc<_>)),
            batches,
            store,
        })
    }

    /// Defines a sequence.
    ///
    /// # Errors
    /// When the definition is refused.
    pub async fn define(&self, prefix: &str, definition: DefinitionSpec) -> Result<Prefix> {
        let prefix = Prefix::new(prefix)?;
        self.issuer
            .define(DefineRequest::new(prefix.clone(), definition))
            .await?;
        Ok(prefix)
    }

    /// Finishes, and leaves the file whole without its log.
    ///
    /// # Errors
    /// When the store cannot be closed.
    pub async fn close(self) -> Result<()> {
        self.store.close().await.context("the store cannot be closed")
    }
}

/// Counts commits and what was in them.
#[derive(Debug, Default)]
pub struct Batches {
    commits: AtomicU64,
    commands: AtomicU64,
}

impl Batches {
    /// Commands a commit since the last call.
    #[must_use]
    pub fn take_mean(&self) -> f64 {
        let (commits, commands) = (
            self.commits.swap(0, Ordering::Relaxed),
            self.commands.swap(0, Ordering::Relaxed),
        );
        commands as f64 / commits.max(1) as f64
    }
}

impl Observer for Batches {
    fn near_end(&self, _: &CounterKey) {}
    fn drawn(&self, _: Mode, _: u32, _: bool) {}
    fn refused(&self, _: Code) {}
    fn committed(&self, commands: usize, _: Duration) {
        self.commits.fetch_add(1, Ordering::Relaxed);
        self.commands.fetch_add(commands as u64, Ordering::Relaxed);
    }
}
