//! What an instance knows of a counter, and whose turn it is with it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use seqid_core::counter::CounterKey;
use seqid_core::intake::Sealed;
use seqid_core::lease::{Lease, LeaseId};
use seqid_core::line::Line;
use seqid_core::store::StoreError;
use seqid_core::time::{Date, Timestamp};
use tokio::sync::Notify;

use super::obstacle::Obstacle;
use crate::counter_id::CounterId;
use crate::history::History;

/// How many draws may wait while somebody fetches a range for their counter.
const MOST_WAITING: usize = 1_024;

/// How many numbers the first range has.
const SMALLEST: u64 = 16;
/// A range that is used up sooner is followed by one twice as long, and one that lasts longer than ten times this by one half as
/// long: a commit takes a small part of the time between two.
const SOON: Duration = Duration::from_millis(100);

/// A counter that this instance draws from. One at a time does anything with it.
#[derive(Debug)]
pub(super) struct Counter {
    pub(super) key: CounterKey,
    state: Mutex<State>,
    freed: Notify,
    /// One at a time lengthens its range.
    pub(super) extending: tokio::sync::Mutex<()>,
}

#[derive(Debug)]
pub(super) struct State {
    busy: bool,
    /// Who wants it for something else than draws, and comes first.
    wanted: usize,
    waiting: Vec<Sealed>,
    /// The range that is drawn from.
    pub(super) hold: Option<Hold>,
    /// The lease that Redis does not have any more as it was.
    pub(super) distrusted: Option<LeaseId>,
    /// The offer that was used up last.
    pub(super) spent: Option<String>,
    pub(super) pace: Pace,
}

/// A range of the durable store in one history of Redis.
#[derive(Debug, Clone)]
pub(super) struct Hold {
    pub(super) id: CounterId,
    pub(super) lease: Lease,
    pub(super) history: History,
    /// The line that it was lent for.
    pub(super) line: Arc<Line>,
    /// Documents up to this date get no numbers. It stays as it is while the range is lent.
    pub(super) closed_through: Option<Date>,
    /// The highest next number that was heard of.
    pub(super) floor: u64,
    /// Where the range ends, as far as was heard.
    pub(super) end: u64,
}

impl Hold {
    /// How many numbers are left, as far as was heard.
    pub(super) fn room(&self) -> u64 {
        self.end.saturating_sub(self.floor) / self.line.definition().step()
    }
}

/// How long ranges are.
#[derive(Debug)]
pub(super) struct Pace {
    size: u64,
    last: Timestamp,
}

impl Pace {
    /// How many numbers the next range has.
    pub(super) fn next(&mut self, now: Timestamp, most: u64) -> u64 {
        let lasted = Duration::from_micros(now.as_micros().abs_diff(self.last.as_micros()));
        if lasted < SOON {
            self.size = self.size.saturating_mul(2);
        } else if lasted > SOON * 10 {
            self.size /= 2;
        }
        self.size = self.size.clamp(SMALLEST.min(most), most);
        self.last = now;
        self.size
    }

    /// From how few numbers on the next ones are fetched.
    pub(super) const fn few(&self) -> u64 {
        self.size / 2
    }
}

impl Counter {
    pub(super) fn new(key: CounterKey) -> Arc<Self> {
        Arc::new(Self {
            key,
            state: Mutex::new(State {
                busy: false,
                wanted: 0,
                waiting: Vec::new(),
                hold: None,
                distrusted: None,
                spent: None,
                pace: Pace {
                    size: SMALLEST,
                    last: Timestamp::from_micros(i64::MAX),
                },
            }),
            freed: Notify::new(),
            extending: tokio::sync::Mutex::default(),
        })
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether nobody has it and nobody waits for it.
    pub(super) fn is_idle(&self) -> bool {
        let state = self.state();
        !state.busy && state.wanted == 0 && state.waiting.is_empty()
    }

    /// Has it for these draws, or lets them wait until whoever has it comes to them.
    pub(super) fn claim_for(self: &Arc<Self>, draws: Vec<Sealed>) -> Option<(Claim, Vec<Sealed>)> {
        let mut state = self.state();
        if !state.busy && state.wanted == 0 && state.waiting.is_empty() {
            state.busy = true;
            return Some((Claim::new(self), draws));
        }
        let room = MOST_WAITING.saturating_sub(state.waiting.len());
        let mut draws = draws.into_iter();
        state.waiting.extend(draws.by_ref().take(room));
        drop(state);
        draws.for_each(|sealed| sealed.answer(Err(StoreError::Overloaded)));
        None
    }

    /// Takes it if nobody has it.
    fn is_taken_now(&self) -> bool {
        let mut state = self.state();
        !std::mem::replace(&mut state.busy, true)
    }

    /// Has it as soon as whoever does has ended, before any draw that waits.
    pub(super) async fn claim(self: &Arc<Self>) -> Claim {
        let _wanted = Wanted::new(self);
        loop {
            let freed = self.freed.notified();
            tokio::pin!(freed);
            freed.as_mut().enable();
            if self.is_taken_now() {
                return Claim::new(self);
            }
            freed.await;
        }
    }
}

struct Wanted<'a>(&'a Counter);

impl<'a> Wanted<'a> {
    fn new(counter: &'a Counter) -> Self {
        counter.state().wanted += 1;
        Self(counter)
    }
}

impl Drop for Wanted<'_> {
    fn drop(&mut self) {
        self.0.state().wanted -= 1;
    }
}

/// The right to do something with a counter.
#[derive(Debug)]
pub(super) struct Claim {
    counter: Arc<Counter>,
    given_up: bool,
}

impl Claim {
    fn new(counter: &Arc<Counter>) -> Self {
        Self {
            counter: Arc::clone(counter),
            given_up: false,
        }
    }

    pub(super) fn counter(&self) -> &Arc<Counter> {
        &self.counter
    }

    /// The draws that came meanwhile. Without any, or if somebody wants it for something else, it is given up.
    pub(super) fn next(mut self) -> Option<(Self, Vec<Sealed>)> {
        let mut state = self.counter.state();
        if !state.waiting.is_empty() && state.wanted == 0 {
            let waiting = std::mem::take(&mut state.waiting);
            drop(state);
            return Some((self, waiting));
        }
        state.busy = false;
        drop(state);
        self.given_up = true;
        self.counter.freed.notify_waiters();
        None
    }
}

impl Drop for Claim {
    /// Only a bug leads here without [`next`](Self::next): nobody would come to those that wait.
    fn drop(&mut self) {
        if self.given_up {
            return;
        }
        let mut state = self.counter.state();
        state.busy = false;
        let waiting = std::mem::take(&mut state.waiting);
        drop(state);
        self.counter.freed.notify_waiters();
        let error = StoreError::Unavailable(Arc::new(Obstacle::Abandoned));
        waiting
            .into_iter()
            .for_each(|sealed| sealed.answer(Err(error.clone())));
    }
}
