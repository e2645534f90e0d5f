//! What is served, and the bounds within which it is.

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use seqid_core::checkpoint::Checkpoint;
use seqid_core::clock::Seed;
use seqid_core::names::Label;
use seqid_core::{Code, Error, Numbering};
use tokio::sync::watch;

use crate::request::{Caller, after};
use crate::status::Problem;

/// The most bytes of a message that is received: what most gRPC libraries take unless told otherwise.
pub const MOST_MESSAGE: usize = 4 * 1024 * 1024;

/// The most draws of one `Draw` stream that wait for their numbers; more wait in the connection. Half of what one
/// sequence may have in the queue of a store, so that a single stream cannot fill it.
pub const MOST_IN_FLIGHT: usize = 1_024;

/// How long a call may wait for its numbers unless [`Service::deadline`] says otherwise.
const DEADLINE: Duration = Duration::from_secs(10);

/// How much longer the service waits for a store that has begun to write: what is past the deadline but not yet
/// given up may still be answered with certainty.
const GRACE: Duration = Duration::from_secs(1);

type ReadyFn = dyn Fn() -> Result<(), NotReady> + Send + Sync;
type ObserveFn = dyn Fn(&'static str, tonic::Code, Duration) + Send + Sync;
type SignFn = dyn Fn(Checkpoint) -> Checkpoint + Send + Sync;

/// What is served: a [`Numbering`] and what its surroundings know.
pub struct Service {
    pub(crate) numbering: Arc<dyn Numbering>,
    pub(crate) ready: Box<ReadyFn>,
    pub(crate) observe: Arc<ObserveFn>,
    pub(crate) sign: Box<SignFn>,
    pub(crate) stop: Option<watch::Receiver<bool>>,
    pub(crate) allow_repeats: bool,
    pub(crate) deadline: Duration,
    seed: Seed,
    calls: AtomicU64,
}

/// Why the service is not ready to be asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotReady {
    /// The kind of obstacle, such as [`Code::Draining`] or [`Code::StoreUnavailable`].
    pub code: Code,
    /// One sentence for the operator.
    pub reason: String,
}

impl Service {
    /// Serves `numbering`: always ready, unobserved, with a deadline of ten seconds; numbers may not repeat.
    #[must_use]
    pub fn new(numbering: Arc<dyn Numbering>) -> Self {
        Self {
            numbering,
            ready: Box::new(|| Ok(())),
            observe: Arc::new(|_, _, _| {}),
            sign: Box::new(|checkpoint| checkpoint),
            stop: None,
            allow_repeats: false,
            deadline: DEADLINE,
            seed: Seed::from_system(),
            calls: AtomicU64::new(0),
        }
    }

    /// What the health service answers. Called at each check: look at what is known, ask nobody.
    #[must_use]
    pub fn ready(mut self, ready: impl Fn() -> Result<(), NotReady> + Send + Sync + 'static) -> Self {
        self.ready = Box::new(ready);
        self
    }

    /// Is told of each call that has ended: its name, one of [`CALLS`](crate::CALLS), its status, and how long it took.
    /// One whose client went away has the status `Cancelled`.
    #[must_use]
    pub fn observe(
        mut self,
        observe: impl Fn(&'static str, tonic::Code, Duration) + Send + Sync + 'static,
    ) -> Self {
        self.observe = Arc::new(observe);
        self
    }

    /// How checkpoints are signed; not at all otherwise.
    #[must_use]
    pub fn sign(mut self, sign: impl Fn(Checkpoint) -> Checkpoint + Send + Sync + 'static) -> Self {
        self.sign = Box::new(sign);
        self
    }

    /// What becomes true when the service is to stop. Streams, which would go on for ever, end then: draws that were
    /// taken are answered first, and those that were not are not drawn.
    #[must_use]
    pub fn stop(mut self, stop: watch::Receiver<bool>) -> Self {
        self.stop = Some(stop);
        self
    }

    /// Whether a reset that accepts repeats may give numbers out again, in a new generation.
    #[must_use]
    pub const fn allow_repeats(mut self, allowed: bool) -> Self {
        self.allow_repeats = allowed;
        self
    }

    /// How long a call may wait for its numbers; less where its client says so. One that still waits then draws none.
    #[must_use]
    pub const fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// The seed of the names of calls that come without `x-request-id`; from the system otherwise.
    #[must_use]
    pub const fn seed(mut self, seed: Seed) -> Self {
        self.seed = seed;
        self
    }

    /// A name for a call that came without one.
    pub(crate) fn name(&self) -> Label {
        Label::of_request(self.seed, self.calls.fetch_add(1, Ordering::Relaxed))
    }

    /// Waits for a request that may have effect.
    pub(crate) async fn carry_out<T>(
        &self,
        caller: &Caller,
        request: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Problem> {
        let detail = "the store did not answer in time and may have carried it out";
        within(caller.deadline, request, Code::OutcomeUnknown, detail).await
    }

    /// Waits for a request that has no effect.
    pub(crate) async fn look_up<T>(
        &self,
        caller: &Caller,
        request: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Problem> {
        let detail = "the store did not answer in time";
        within(caller.deadline, request, Code::StoreUnavailable, detail).await
    }

    pub(crate) fn is_stopping(&self) -> bool {
        self.stop.as_ref().is_some_and(|stop| *stop.borrow())
    }

    /// Waits for the stop; for ever where none can be asked for.
    pub(crate) async fn stopped(stop: Option<watch::Receiver<bool>>) {
        match stop {
            // An error means that whoever could ask is gone, which is a stop as well.
            Some(mut stop) => drop(stop.wait_for(|stop| *stop).await),
            None => std::future::pending().await,
        }
    }
}

pub(crate) async fn within<T>(
    deadline: Instant,
    request: impl Future<Output = Result<T, Error>>,
    late: Code,
    detail: &str,
) -> Result<T, Problem> {
    match tokio::time::timeout_at(after(deadline, GRACE).into(), request).await {
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
