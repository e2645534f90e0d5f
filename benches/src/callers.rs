use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use seqid_core::numbering::DrawRequest;
use seqid_core::{Issuer, Numbering};
use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinSet;

/// When callers stop.
#[derive(Debug, Clone, Copy)]
pub enum Until {
    /// After so long.
    Elapsed(Duration),
    /// After so many calls of all of them together.
    Called(u64),
}

/// What callers did.
#[derive(Debug, Clone, Copy)]
pub struct Done {
    /// Calls that were answered.
    pub calls: u64,
    /// From before the first call until after the last answer.
    pub took: Duration,
}

impl Done {
    /// Calls a second.
    #[must_use]
    pub fn rate(&self) -> f64 {
        self.calls as f64 / self.took.as_secs_f64()
    }

    /// Seconds a call.
    #[must_use]
    pub fn cost(&self) -> f64 {
        self.rate().recip()
    }
}

/// So many tasks that each call, wait for the answer, and call again. A call gets its place among all calls, from 0.
///
/// # Errors
/// The first error of a call.
pub async fn closed_loop<F>(
    callers: usize,
    until: Until,
    call: impl Fn(u64) -> F + Clone + Send + 'static,
) -> Result<Done>
where
    F: Future<Output = Result<()>> + Send,
{
    let end = Arc::new(AtomicU64::new(match until {
        Until::Elapsed(_) => u64::MAX,
        Until::Called(calls) => calls,
    }));
    let next = Arc::new(AtomicU64::new(0));
    let mut tasks = JoinSet::new();
    let began = Instant::now();
    for _ in 0..callers {
        let (call, next, end) = (call.clone(), Arc::clone(&next), Arc::clone(&end));
        tasks.spawn(async move {
            let mut calls = 0;
            loop {
                let place = next.fetch_add(1, Ordering::Relaxed);
                if place >= end.load(Ordering::Relaxed) {
                    return anyhow::Ok(calls);
                }
                call(place).await?;
                calls += 1;
            }
        });
    }
    if let Until::Elapsed(time) = until {
        // Calls that never wait keep the runtime from its timers.
        std::thread::spawn(move || {
            std::thread::sleep(time);
            end.store(0, Ordering::Relaxed);
        });
    }
    let mut calls = 0;
    while let Some(task) = tasks.join_next().await {
        calls += task.context("a caller panicked")??;
    }
    Ok(Done {
        calls,
        took: began.elapsed(),
    })
}

/// Callers that draw. `request` makes the request of the draw in each place.
///
/// # Errors
/// The first draw that was refused or failed.
pub async fn draws(
    issuer: &Arc<Issuer>,
    callers: usize,
    until: Until,
    request: impl Fn(u64) -> DrawRequest + Clone + Send + Sync + 'static,
) -> Result<Done> {
    let issuer = Arc::clone(issuer);
    let request = Arc::new(request);
    let call = move |place| {
        let (issuer, request) = (Arc::clone(&issuer), Arc::clone(&request));
        async move {
            issuer.draw(request(place)).await?;
            Ok(())
        }
    };
    closed_loop(callers, until, call).await
}

/// A tokio runtime of one thread, which is the one that blocks on it.
///
/// # Errors
/// When the system has no room for it.
pub fn current_thread() -> Result<Runtime> {
    Ok(Builder::new_current_thread().enable_all().build()?)
}

/// A tokio runtime of a thread for each core.
///
/// # Errors
/// When the system has no room for it.
pub fn multi_thread() -> Result<Runtime> {
    Ok(Builder::new_multi_thread().enable_all().build()?)
}
