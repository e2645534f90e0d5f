use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result};
use seqid_core::clock::{Clock, Seed, SystemClock};
use seqid_core::names::Label;
use seqid_core::numbering::DefineRequest;
use seqid_core::observer::Unobserved;
use seqid_core::{CounterStore, DefinitionSpec, Issuer, Leased, Mode, Numbering, Prefix};
use seqid_sqlite::{SqliteConfig, SqliteStore};

/// How many numbers of a leased sequence one fault may skip: a tenth of a second's draws at full speed.
const LARGEST_GAP: u64 = 10_000_000;

/// An issuer over a SQLite file as the service composes it, with a sequence of each of two modes.
#[derive(Debug)]
pub struct Serving {
    /// The issuer.
    pub issuer: Arc<Issuer>,
    store: Arc<Leased<SqliteStore>>,
}

impl Serving {
    /// The sequence whose numbers are leased.
    pub const LEASED: &str = "LEA";
    /// The sequence without gaps.
    pub const GAPLESS: &str = "GAP";

    /// Makes the file, and defines the sequences.
    ///
    /// # Errors
    /// When it cannot be served.
    pub async fn open(path: &Path) -> Result<Self> {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let store = SqliteStore::open(SqliteConfig::new(path), Arc::clone(&clock), Arc::new(Unobserved))?;
        let store = Arc::new(Leased::new(
            store,
            Label::new("embedded")?,
            clock,
            Seed::from_system(),
        ));
        let issuer = Arc::new(Issuer::new(Arc::clone(&store) as Arc<_>));
        for (prefix, mode, largest_gap) in [
            (Self::LEASED, Mode::Leased, Some(LARGEST_GAP)),
            (Self::GAPLESS, Mode::Gapless, None),
        ] {
            let spec = DefinitionSpec {
                mode: Some(mode),
                largest_gap,
                ..DefinitionSpec::of_format(&format!("{prefix}-{{seq:9}}"))
            };
            issuer
                .define(DefineRequest::new(Prefix::new(prefix)?, spec))
                .await?;
        }
        Ok(Self { issuer, store })
    }

    /// Gives back what was leased, and closes the file.
    ///
    /// # Errors
    /// When the store cannot be closed.
    pub async fn close(self) -> Result<()> {
        self.store.give_back().await?;
        self.store.close().await.context("the store cannot be closed")
    }
}
