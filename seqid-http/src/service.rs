//! What the router serves, and the bounds within which it does.

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use axum::http::HeaderMap;
use seqid_core::checkpoint::Checkpoint;
use seqid_core::clock::Seed;
use seqid_core::names::Label;
use seqid_core::{Code, Error, Numbering};

use crate::problem::Problem;
use crate::request::REQUEST_ID;

/// The most bytes of a body.
pub const BODY_LIMIT: usize = 64 * 1024;

/// How long a request may wait for its numbers unless [`Service::deadline`] says otherwise.
const DEADLINE: Duration = Duration::from_secs(10);

/// How much longer the service waits for a store that has begun to write: what is past the deadline but not yet
/// given up may still be answered with certainty.
const GRACE: Duration = Duration::from_secs(1);

/// The state that every handler has.
pub(crate) type Shared = Arc<Service>;

type ReadyFn = dyn Fn() -> Result<(), NotReady> + Send + Sync;
type UndeliveredFn = dyn Fn() -> Option<Undelivered> + Send + Sync;
type MetricsFn = dyn Fn() -> String + Send + Sync;
type SignFn = dyn Fn(Checkpoint) -> Checkpoint + Send + Sync;

/// What the router serves: a [`Numbering`] and what its surroundings know.
pub struct Service {
    pub(crate) numbering: Arc<dyn Numbering>,
    pub(crate) ready: Box<ReadyFn>,
    pub(crate) undelivered: Box<UndeliveredFn>,
    pub(crate) metrics: Box<MetricsFn>,
    pub(crate) sign: Box<SignFn>,
    pub(crate) allow_repeats: bool,
    pub(crate) deadline: Duration,
    seed: Seed,
    requests: AtomicU64,
}

/// Why the service is not ready to be asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotReady {
    /// The kind of obstacle, such as [`Code::Draining`] or [`Code::StoreUnavailable`].
    pub code: Code,
    /// One sentence for the operator.
    pub reason: String,
}

/// Events that wait to be delivered to whoever is told of each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Undelivered {
    /// How many wait.
    pub events: u64,
    /// The age of the oldest of them; zero when none waits.
    pub age: Duration,
    /// How many may wait: beyond that nothing is drawn. Any number if `None`.
    pub most: Option<u64>,
}

impl Service {
    /// Serves `numbering`: always ready, without metrics, with a deadline of ten seconds; numbers may not repeat.
    #[must_use]
    pub fn new(numbering: Arc<dyn Numbering>) -> Self {
        Self {
            numbering,
            ready: Box::new(|| Ok(())),
            undelivered: Box::new(|| None),
            metrics: Box::new(|| "# EOF\n".to_owned()),
            sign: Box::new(|checkpoint| checkpoint),
            allow_repeats: false,
            deadline: DEADLINE,
            seed: Seed::from_system(),
            requests: AtomicU64::new(0),
        }
    }

    /// What `/ready` answers. Called at each request for it: look at what is known, ask nobody.
    #[must_use]
    pub fn ready(mut self, ready: impl Fn() -> Result<(), NotReady> + Send + Sync + 'static) -> Self {
        self.ready = Box::new(ready);
        self
    }

    /// What `/ready` says of events that wait to be delivered; nothing where none are delivered. Called as [`ready`](Self::ready) is.
    #[must_use]
    pub fn undelivered(
        mut self,
        undelivered: impl Fn() -> Option<Undelivered> + Send + Sync + 'static,
    ) -> Self {
        self.undelivered = Box::new(undelivered);
        self
    }

    /// What `/metrics` answers: text in the OpenMetrics format.
    #[must_use]
    pub fn metrics(mut self, text: impl Fn() -> String + Send + Sync + 'static) -> Self {
        self.metrics = Box::new(text);
        self
    }

    /// How checkpoints are signed; not at all otherwise.
    #[must_use]
    pub fn sign(mut self, sign: impl Fn(Checkpoint) -> Checkpoint + Send + Sync + 'static) -> Self {
        self.sign = Box::new(sign);
        self
    }

    /// Whether a reset with `"repeats":"accepted"` may give numbers out again, in a new generation.
    #[must_use]
    pub const fn allow_repeats(mut self, allowed: bool) -> Self {
        self.allow_repeats = allowed;
        self
    }

    /// How long a request may wait for its numbers. One that still waits then draws none.
    #[must_use]
    pub const fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// The seed of the names of requests that come without `X-Request-Id`; from the system otherwise.
    #[must_use]
    pub const fn seed(mut self, seed: Seed) -> Self {
        self.seed = seed;
        self
    }

    /// When a request that arrives now must have been sealed into a batch.
    pub(crate) fn deadline_from_now(&self) -> Option<Instant> {
        Instant::now().checked_add(self.deadline)
    }

    /// Waits for a request that may have effect.
    pub(crate) async fn carry_out<T>(
        &self,
        request: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Problem> {
        self.carry_out_within(self.deadline, request).await
    }

    /// Waits longer or shorter than usual for a request that may have effect.
    pub(crate) async fn carry_out_within<T>(
        &self,
        deadline: Duration,
        request: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Problem> {
        let detail = "the store did not answer in time and may have carried it out";
        within(deadline, request, Code::OutcomeUnknown, detail).await
    }

    /// Waits for a request that has no effect.
    pub(crate) async fn look_up<T>(
        &self,
        request: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Problem> {
        let detail = "the store did not answer in time";
        within(self.deadline, request, Code::StoreUnavailable, detail).await
    }

    /// The request's id: the caller's where it is fit, otherwise a new one.
    pub(crate) fn request_id(&self, headers: &HeaderMap) -> Label {
        let sent = headers
            .get(REQUEST_ID)
            .and_then(|id| Label::new(id.to_str().ok()?).ok());
        sent.unwrap_or_else(|| Label::of_request(self.seed, self.requests.fetch_add(1, Ordering::Relaxed)))
    }
}

async fn within<T>(
    deadline: Duration,
    request: impl Future<Output = Result<T, Error>>,
    late: Code,
    detail: &str,
) -> Result<T, Problem> {
    match tokio::time::timeout(deadline.saturating_add(GRACE), request).await {
        Ok(result) => Ok(result?),
        Err(_) => Err(Problem::new(late, detail)),
    }
}

impl fmt::Debug for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Service")
            .field("numbering", &self.numbering)
            .field("allow_repeats", &self.allow_repeats)
            .field("deadline", &self.deadline)
            .finish_non_exhaustive()
    }
}
