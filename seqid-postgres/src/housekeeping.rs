//! What is done beside the draws, by a task that ends with the store: the state file is kept up to date, months get their
//! partitions before they begin, events are put into blocks by which the audit finds them, and idempotency keys that are
//! too old to count are removed.

use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use crate::connections::{Pooled, within};
use crate::encoding::Instant as At;
use crate::engine::Engine;
use crate::error::Fault;
use crate::rows::{get, link};

/// The state file is written so often while numbers are drawn, and once more at the end.
const STATE_EVERY: Duration = Duration::from_millis(250);
/// How often the database is tidied up.
const TIDY_EVERY: Duration = Duration::from_secs(60 * 60);
/// How often the newest event is looked at, and full blocks of events are added. Until then each page by time looks at these.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How many blocks are added at a time: some hundred milliseconds of reading.
const BLOCKS: i32 = 64;
/// How many keys are removed at a time.
const KEYS: i64 = 1_000;

/// Starts the task.
pub(crate) fn start(engine: &Arc<Engine>) {
    let engine = Arc::downgrade(engine);
    tokio::spawn(run(engine));
}

async fn run(engine: Weak<Engine>) {
    let mut tidied: Option<Instant> = None;
    let mut looked: Option<Instant> = None;
    loop {
        tokio::time::sleep(STATE_EVERY).await;
        let Some(engine) = engine.upgrade() else { return };
        if engine.is_closed() {
            return;
        }
        engine.write_state().await;
        if engine.is_away() && engine.readers.get_checked().await.map(Pooled::give_back).is_ok() {
            engine.note(None);
        }
        let is_due = looked.is_none_or(|at| at.elapsed() >= LOOK_EVERY);
        if is_due && !engine.is_away() {
            looked = Some(Instant::now());
            if let Err(fault) = look(&engine).await {
                if fault.is_of_the_connection() {
                    engine.note(Some(&fault));
                }
                tracing::warn!(
                    error = &fault as &dyn std::error::Error,
                    "the newest events were not looked at"
                );
            }
        }
        if tidied.is_none_or(|at| at.elapsed() >= TIDY_EVERY) {
            tidied = Some(Instant::now());
            if let Err(fault) = tidy(&engine).await {
                tracing::warn!(
                    error = &fault as &dyn std::error::Error,
                    "the database was not tidied up"
                );
            }
        }
    }
}

/// Takes note of the newest event, so that an instance that rests notices too when the database goes back behind what others
/// gave out; and adds blocks.
async fn look(engine: &Arc<Engine>) -> Result<(), Fault> {
    let mut pooled = engine.readers.get_checked().await?;
    let times = engine.anchor.times();
    let newest = sqlx::query("SELECT chain, n, hash FROM seqid.event ORDER BY position DESC LIMIT 1")
        .fetch_optional(&mut pooled.connection);
    if let Some(row) = within(engine.config.timeout, newest).await?? {
        engine.anchor.see(times, get(&row, 0)?, link(&row, 1)?);
    }
    loop {
        let added = sqlx::query_scalar("SELECT seqid.add_blocks($1)")
            .bind(BLOCKS)
            .fetch_one(&mut pooled.connection);
        let added: i32 = within(engine.config.timeout, added).await??;
        if added < BLOCKS || engine.is_closed() {
            break;
        }
    }
    pooled.give_back();
    Ok(())
}

async fn tidy(engine: &Arc<Engine>) -> Result<(), Fault> {
    let mut pooled = engine.readers.get_checked().await?;
    let next_month = sqlx::raw_sql("SELECT seqid.add_month((clock_timestamp() + interval '20 days')::date)");
    within(engine.config.timeout, next_month.execute(&mut pooled.connection)).await??;
    loop {
        use seqid_core::clock::Clock;
        let oldest = engine.clock.now().saturating_sub(engine.config.key_retention);
        let removed = sqlx::query(
            "DELETE FROM seqid.idempotency_key WHERE name IN (\
             SELECT name FROM seqid.idempotency_key WHERE at < $1 ORDER BY at LIMIT $2 FOR UPDATE SKIP LOCKED)",
        )
        .bind(At(oldest))
        .bind(KEYS)
        .execute(&mut pooled.connection);
        let removed = within(engine.config.timeout, removed).await??;
        if removed.rows_affected() < KEYS.cast_unsigned() {
            break;
        }
    }
    pooled.give_back();
    Ok(())
}
