//! The events that were not yet delivered. One instance drains them at a time: it holds a lock with its connection, so that
//! another one takes over when it dies.

use std::sync::Arc;

use seqid_core::event::Recorded;
use seqid_core::store::Backlog;
use sqlx::PgConnection;
use tokio::sync::Mutex;

use crate::connections::{Pooled, within};
use crate::encoding::{Instant, signed};
use crate::engine::Engine;
use crate::error::Fault;
use crate::read::{self, Rendering};
use crate::rows::{get, unsigned};

/// See the [module](self). The connection that has the lock, once it was got.
#[derive(Default)]
pub(crate) struct Outbox(Mutex<Option<Pooled>>);

impl std::fmt::Debug for Outbox {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Outbox").finish_non_exhaustive()
    }
}

impl Outbox {
    /// The next events; none if there are none, or if another instance drains them.
    pub(crate) async fn take(
        &self,
        engine: &Engine,
        rendering: &Arc<Rendering>,
        limit: usize,
    ) -> Result<Vec<Recorded>, Fault> {
        let mut slot = self.0.lock().await;
        // Taken out meanwhile: after a fault, or when this future is dropped, it is closed.
        let mut pooled = match slot.take() {
            Some(pooled) => pooled,
            None => match lock(engine).await? {
                Some(pooled) => pooled,
                None => return Ok(Vec::new()),
            },
        };
        let connection = &mut pooled.connection;
        let taken = within(engine.config.timeout, async {
            let row = sqlx::query("SELECT acknowledged FROM seqid.store")
                .fetch_one(&mut *connection)
                .await?;
            read::events(connection, rendering, unsigned(&row, 0)?, limit).await
        });
        let taken = taken.await??;
        *slot = Some(pooled);
        Ok(taken)
    }

    /// Every event up to this position is delivered.
    pub(crate) async fn acknowledge(&self, engine: &Engine, position: u64) -> Result<(), Fault> {
        let mut pooled = engine.readers.get_checked().await?;
        let written = sqlx::query("UPDATE seqid.store SET acknowledged = greatest(acknowledged, $1)")
            .bind(signed(position))
            .execute(&mut pooled.connection);
        within(engine.config.timeout, written).await??;
        pooled.give_back();
        Ok(())
    }

    /// What waits, as far as none can come before it any more. Needs no lock.
    pub(crate) async fn backlog(connection: &mut PgConnection) -> Result<Backlog, Fault> {
        let horizon = read::horizon(connection).await?;
        let row = sqlx::query(
            "SELECT s.acknowledged, e.at FROM seqid.store s LEFT JOIN LATERAL \
             (SELECT at FROM seqid.event WHERE position > s.acknowledged AND position <= $1 ORDER BY position LIMIT 1) e ON true",
        )
        .bind(signed(horizon))
        .fetch_one(connection)
        .await?;
        let oldest: Option<Instant> = get(&row, 1)?;
        Ok(Backlog::between(
            unsigned(&row, 0)?,
            horizon,
            oldest.map(|Instant(at)| at),
        ))
    }

    /// Lets go of the lock.
    pub(crate) async fn close(&self) {
        *self.0.lock().await = None;
    }
}

async fn lock(engine: &Engine) -> Result<Option<Pooled>, Fault> {
    let mut pooled = engine.readers.get_checked().await?;
    let locked = sqlx::query_scalar("SELECT pg_try_advisory_lock(seqid.lock_class('outbox'), 0)")
        .fetch_one(&mut pooled.connection);
    let locked: bool = within(engine.config.timeout, locked).await??;
    if locked {
        return Ok(Some(pooled));
    }
    pooled.give_back();
    Ok(None)
}
