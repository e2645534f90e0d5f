use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::call::{Call, Outcome};

/// Writes down calls while many clients make them; clones write to the same record.
///
/// Its clock is a counter of which every begin and every end takes the next tick. That is a sound
/// order of real time without a wall clock: a smaller tick was taken earlier. A call is written down
/// when it begins, so that none is missing because it never came back.
///
/// ```
/// use seqid_testkit::history::{Outcome, Recorder};
///
/// let recorder = Recorder::new();
/// let pending = recorder.begin("INV/2026", Some("order-17"), "next INV", 1);
/// // Here the client asks the service.
/// pending.end(Outcome::NotIssued);
/// assert_eq!(recorder.calls().len(), 1);
/// ```
#[derive(Debug, Clone, Default)]
pub struct Recorder {
    record: Arc<Record>,
}

#[derive(Debug, Default)]
struct Record {
    clock: AtomicU64,
    calls: Mutex<Vec<Call>>,
}

impl Recorder {
    /// An empty record.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Begins a call; to be sent after this returns.
    pub fn begin(&self, counter: &str, key: Option<&str>, request: impl Into<String>, count: u32) -> Pending {
        let mut call = Call {
            id: 0,
            counter: counter.to_owned(),
            key: key.map(str::to_owned),
            request: request.into(),
            count,
            began: 0,
            ended: None,
            outcome: Outcome::Unknown,
        };
        let mut calls = self.calls_mut();
        let index = calls.len();
        call.id = index as u64;
        call.began = self.tick();
        calls.push(call);
        drop(calls);
        Pending {
            recorder: self.clone(),
            index,
        }
    }

    /// The calls begun so far, with their ids from 0 in the order in which they began.
    #[must_use]
    pub fn calls(&self) -> Vec<Call> {
        self.calls_mut().clone()
    }

    /// Sequentially consistent, so that nothing that a call does is seen before it begins or after
    /// it ended.
    fn tick(&self) -> u64 {
        self.record.clock.fetch_add(1, Ordering::SeqCst)
    }

    /// A client that panicked leaves whole calls behind.
    fn calls_mut(&self) -> MutexGuard<'_, Vec<Call>> {
        self.record.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A call that has begun; dropped without an end, it never came back.
#[derive(Debug)]
#[must_use = "a call that is not ended counts as one that never came back"]
pub struct Pending {
    recorder: Recorder,
    index: usize,
}

impl Pending {
    /// Ends the call, as soon as the answer is there.
    pub fn end(self, outcome: Outcome) {
        let ended = self.recorder.tick();
        let call = &mut self.recorder.calls_mut()[self.index];
        call.ended = Some(ended);
        call.outcome = outcome;
    }

    /// Ends the call with an answer that names its counter, which may not be the one that was
    /// meant: a retry after midnight is answered from the day before.
    pub fn end_in(self, counter: &str, outcome: Outcome) {
        let ended = self.recorder.tick();
        let call = &mut self.recorder.calls_mut()[self.index];
        call.ended = Some(ended);
        call.outcome = outcome;
        counter.clone_into(&mut call.counter);
    }
}
