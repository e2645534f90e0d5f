//! Somebody who draws numbers from a database, and an auditor.

use std::sync::Arc;

use seqid_core::counter::{CounterKey, SequenceKey};
use seqid_core::event::Recorded;
use seqid_core::numbering::{DrawRequest, Issued};
use seqid_core::observer::Unobserved;
use seqid_core::period::Period;
use seqid_core::store::{CounterStore, StoreError};
use seqid_core::verify::{Report, Verifier};
use seqid_core::{Error, IdempotencyKey, Issuer, Numbering, Prefix, Tenant};
use seqid_postgres::{OpenError, PostgresConfig, PostgresStore};
use seqid_testkit::evidence::{Evidence, all_events, counter_name};
use seqid_testkit::history::Order;
use sqlx::{Connection, PgConnection};

pub(crate) use seqid_testkit::evidence::issued;

/// A store with an issuer.
#[derive(Debug)]
pub(crate) struct Office {
    pub(crate) store: Arc<PostgresStore>,
    pub(crate) issuer: Issuer,
}

impl Office {
    pub(crate) async fn try_open(config: PostgresConfig) -> Result<Self, OpenError> {
        let store = Arc::new(PostgresStore::open(config, Arc::new(Unobserved)).await?);
        let issuer = Issuer::builder(Arc::clone(&store) as _)
            .clock(store.clock())
            .build();
        Ok(Self { store, issuer })
    }

    pub(crate) async fn open(url: &str) -> Self {
        Self::try_open(url.parse().unwrap()).await.unwrap()
    }

    /// Draws one number.
    pub(crate) async fn draw(&self, prefix: &str) -> Result<u64, StoreError> {
        let issued = self.request(DrawRequest::new(name(prefix))).await?;
        Ok(issued.run.first.get())
    }

    /// Draws one number under a key, and tells whether it was drawn before.
    pub(crate) async fn draw_keyed(&self, prefix: &str, key: &str) -> Result<(u64, bool), StoreError> {
        let request = DrawRequest::new(name(prefix)).key(IdempotencyKey::new(key).unwrap());
        let issued = self.request(request).await?;
        Ok((issued.run.first.get(), issued.replayed))
    }

    /// Draws so many numbers one after another, and tells the last.
    pub(crate) async fn draw_many(&self, prefix: &str, count: usize) -> u64 {
        let mut last = 0;
        for _ in 0..count {
            last = self.draw(prefix).await.unwrap();
        }
        last
    }

    pub(crate) async fn request(&self, request: DrawRequest) -> Result<Issued, StoreError> {
        match self.issuer.draw(request).await {
            Ok(issued) => Ok(issued),
            Err(Error::Store(error)) => Err(error),
            Err(error) => panic!("{error}"),
        }
    }

    /// All events, which account for every number.
    pub(crate) async fn audit(&self) -> Vec<Recorded> {
        let evidence = Evidence::read(&*self.store).await.unwrap();
        let history = evidence.against(Vec::new(), Order::Generation);
        if let Err(violations) = history.check() {
            panic!("{violations:#?}");
        }
        all_events(&*self.store).await.unwrap()
    }

    pub(crate) async fn close(self) {
        self.store.close().await.unwrap();
    }
}

pub(crate) fn name(prefix: &str) -> Prefix {
    Prefix::new(prefix).unwrap()
}

/// The name in a history of the one counter of a sequence that is never reset.
pub(crate) fn counter(prefix: &str) -> String {
    counter_name(&CounterKey::new(
        sequence(prefix),
        Default::default(),
        Period::ALL,
    ))
}

pub(crate) fn sequence(prefix: &str) -> SequenceKey {
    SequenceKey::new(Tenant::default(), name(prefix))
}

/// A session that is not seqid's.
pub(crate) async fn session(url: &str) -> PgConnection {
    PgConnection::connect(url).await.unwrap()
}

/// Runs statements in a session.
pub(crate) async fn run(session: &mut PgConnection, sql: &'static str) {
    sqlx::raw_sql(sql).execute(session).await.unwrap();
}

pub(crate) async fn report(url: &str) -> Report {
    let config: PostgresConfig = url.parse().unwrap();
    seqid_postgres::verify(&config, Verifier::new(), |_, _| {})
        .await
        .unwrap()
}

/// Verifies a database in which nothing may be found.
pub(crate) async fn require_clean(url: &str) {
    let report = report(url).await;
    assert!(report.is_clean(), "{report:#?}");
}
