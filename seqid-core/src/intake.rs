//! The bounded queue in front of a store: many callers put commands in, one pump takes what waits as a batch.
//!
//! Each command is either sealed into a batch or cancelled, whichever comes first: a caller that goes away
//! before that draws nothing, and one that goes away afterwards changes nothing. A pump that dies leaves the
//! callers of sealed commands with an unknown outcome and those of queued commands with none.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

use crate::command::{Command, Reply};
use crate::prehashed::Prehashed;
use crate::store::StoreError;

/// How many commands may wait for a store. At 400,000 a second they are served in 20 ms; more would only wait
/// for longer than their callers do.
pub const CAPACITY: usize = 8_192;

/// No sequence may hold more than one part in so many of the queue, so that a busy one leaves room for others.
const SHARE: usize = 4;

type Answer = Result<Reply, StoreError>;

/// See the [module](self).
pub struct Intake {
    queue: Mutex<Queue>,
    /// The room of the entries that were taken last, for those that come next. Of the pump alone.
    taken: Mutex<VecDeque<Entry>>,
    capacity: usize,
    wake: Box<dyn Fn() + Send + Sync>,
}

#[derive(Default)]
struct Queue {
    entries: VecDeque<Entry>,
    /// How many entries each sequence has, by the hash of its name.
    held: Prehashed<u64, usize>,
    closed: bool,
}

struct Entry {
    /// Sealed once it is taken.
    sealed: Sealed,
    sequence: u64,
}

/// The answer to a command in the queue. Dropping it cancels the command unless it is sealed.
type Waiting = oneshot::Receiver<Answer>;

/// A command that will be carried out, whatever becomes of its caller.
#[derive(Debug)]
pub struct Sealed {
    /// The command.
    pub command: Command,
    reply: oneshot::Sender<Answer>,
}

impl Sealed {
    /// Answers the caller, if it still listens.
    pub fn answer(self, answer: Answer) {
        let _gone = self.reply.send(answer);
    }
}

impl Intake {
    /// A queue for [`CAPACITY`] commands. `wake` is called when the first command comes into the empty queue,
    /// and on closing: it must make the pump [take](Self::take).
    #[must_use]
    pub fn new(wake: impl Fn() + Send + Sync + 'static) -> Self {
        Self::with_capacity(CAPACITY, wake)
    }

    /// A queue for so many commands.
    #[must_use]
    pub fn with_capacity(capacity: usize, wake: impl Fn() + Send + Sync + 'static) -> Self {
        Self {
            queue: Mutex::default(),
            taken: Mutex::default(),
            capacity,
            wake: Box::new(wake),
        }
    }

    /// Puts commands in, in order, and waits for their answers.
    ///
    /// # Errors
    /// Each for itself: [`StoreError::Overloaded`] at once when the queue, or the sequence's share of it, is full.
    pub async fn submit(&self, batch: Vec<Command>) -> Vec<Answer> {
        match <[Command; 1]>::try_from(batch) {
            Ok([command]) => vec![answer(self.push(command)).await],
            Err(batch) => {
                let mut answers = Vec::with_capacity(batch.len());
                for waiting in self.push_all(batch) {
                    answers.push(answer(waiting).await);
                }
                answers
            }
        }
    }

    fn push(&self, command: Command) -> Result<Waiting, StoreError> {
        // Nothing is made or dropped under the lock.
        let (entry, answer) = entry(command);
        let mut queue = self.lock();
        if let Some(error) = queue.refusal(entry.sequence, self.capacity) {
            drop(queue);
            return Err(error);
        }
        let wake = queue.entries.is_empty();
        queue.push(entry);
        drop(queue);
        if wake {
            (self.wake)();
        }
        Ok(answer)
    }

    fn push_all(&self, batch: Vec<Command>) -> Vec<Result<Waiting, StoreError>> {
        // Nothing is made or dropped under the lock.
        let entries: Vec<(Entry, Waiting)> = batch.into_iter().map(entry).collect();
        let mut waiting = Vec::with_capacity(entries.len());
        let mut refused = Vec::new();
        let mut queue = self.lock();
        let was_empty = queue.entries.is_empty();
        for (entry, answer) in entries {
            match queue.refusal(entry.sequence, self.capacity) {
                None => {
                    queue.push(entry);
                    waiting.push(Ok(answer));
                }
                Some(error) => {
                    refused.push(entry);
                    waiting.push(Err(error));
                }
            }
        }
        let wake = was_empty && !queue.entries.is_empty();
        drop(queue);
        if wake {
            (self.wake)();
        }
        waiting
    }

    /// Seals what waits, at most `limit` commands, and appends it to `batch`. Late ones are answered here.
    pub fn take(&self, limit: usize, batch: &mut Vec<Sealed>) {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        self.lock().pop(limit, &mut taken);
        for Entry { sealed, .. } in taken.drain(..) {
            if sealed.command.is_late() {
                sealed.answer(Err(StoreError::Late));
            } else if !sealed.reply.is_closed() {
                batch.push(sealed);
            }
        }
    }

    /// Wakes the pump although nothing was put in.
    pub fn wake(&self) {
        (self.wake)();
    }

    /// How many commands wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.lock().entries.len()
    }

    /// Whether nothing waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Refuses new commands. Those that wait are still to be taken.
    pub fn close(&self) {
        self.lock().closed = true;
        (self.wake)();
    }

    /// Whether [`close`](Self::close) was called.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.lock().closed
    }

    /// Answers everything that waits with an error: it was not carried out.
    pub fn refuse_all(&self, error: &StoreError) {
        let mut entries = VecDeque::new();
        self.lock().pop(usize::MAX, &mut entries);
        for Entry { sealed, .. } in entries {
            sealed.answer(Err(error.clone()));
        }
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        // Every change of the queue is whole before anything can panic.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Intake {
    fn drop(&mut self) {
        self.refuse_all(&StoreError::Unavailable(Arc::new(PumpDied)));
    }
}

fn entry(command: Command) -> (Entry, Waiting) {
    let (reply, waiting) = oneshot::channel();
    let entry = Entry {
        sequence: command.act.sequence_hash(),
        sealed: Sealed { command, reply },
    };
    (entry, waiting)
}

async fn answer(waiting: Result<Waiting, StoreError>) -> Answer {
    // Only what is sealed can be dropped without an answer.
    waiting?
        .await
        .unwrap_or_else(|_| Err(StoreError::Unknown(Arc::new(PumpDied))))
}

impl Queue {
    /// Why no command of this sequence is taken.
    fn refusal(&self, sequence: u64, capacity: usize) -> Option<StoreError> {
        let held = self.held.get(&sequence).copied().unwrap_or_default();
        if self.closed {
            Some(StoreError::Draining)
        } else if self.entries.len() >= capacity || held >= capacity.div_ceil(SHARE) {
            Some(StoreError::Overloaded)
        } else {
            None
        }
    }

    fn push(&mut self, entry: Entry) {
        *self.held.entry(entry.sequence).or_default() += 1;
        self.entries.push_back(entry);
    }

    /// Moves the oldest entries.
    fn pop(&mut self, limit: usize, to: &mut VecDeque<Entry>) {
        if self.entries.len() <= limit && to.is_empty() {
            self.held.clear();
            std::mem::swap(&mut self.entries, to);
            return;
        }
        for entry in self.entries.drain(..limit.min(self.entries.len())) {
            if let Some(held) = self.held.get_mut(&entry.sequence) {
                *held -= 1;
                if *held == 0 {
                    self.held.remove(&entry.sequence);
                }
            }
            to.push_back(entry);
        }
    }
}

impl fmt::Debug for Intake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Intake")
            .field("waiting", &self.len())
            .field("capacity", &self.capacity)
            .finish()
    }
}

/// The task that serves the queue ended without an answer.
#[derive(Debug, thiserror::Error)]
#[error("the task that serves the store's queue ended")]
struct PumpDied;

#[cfg(test)]
mod tests {
    use std::pin::{Pin, pin};
    use std::sync::atomic::{AtomicU8, Ordering};
    use std::task::{Context, Poll, Waker};
    use std::time::{Duration, Instant};

    use super::*;
    use crate::command::{Act, Draw};
    use crate::counter::{CounterKey, SequenceKey};
    use crate::definition::{Defaults, Definition, DefinitionSpec};
    use crate::field::FieldValues;
    use crate::line::{Line, LineParts, Version};
    use crate::names::{Prefix, Tenant};
    use crate::period::Period;
    use crate::time::Date;

    fn draw(prefix: &str) -> Command {
        let key = SequenceKey::new(Tenant::default(), Prefix::new(prefix).unwrap());
        let spec = DefinitionSpec::implicit();
        let definition = Definition::check(&key.tenant, &key.prefix, spec, &Defaults::default()).unwrap();
        let version = Version {
            number: 1,
            definition,
        };
        let line = Line::new(LineParts {
            key: CounterKey::new(key, FieldValues::default(), Period::ALL),
            head: version.clone(),
            opened: version,
            date: Date::new(2026, 1, 1).unwrap(),
            fields: FieldValues::default(),
        });
        let line = Arc::new(line.unwrap());
        Command::new(
            Act::Draw(Draw {
                line,
                count: 1,
                reference: None,
                relates_to: None,
                hold: None,
            }),
            Arc::default(),
        )
    }

    fn intake(capacity: usize) -> Intake {
        Intake::with_capacity(capacity, || ())
    }

    type Submitted<'a> = Pin<Box<dyn Future<Output = Vec<Answer>> + 'a>>;

    /// Puts commands in, and polls once.
    fn submit(intake: &Intake, batch: Vec<Command>) -> (Submitted<'_>, Poll<Vec<Answer>>) {
        let mut submitted: Submitted<'_> = Box::pin(intake.submit(batch));
        let poll = submitted.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        (submitted, poll)
    }

    fn taken(intake: &Intake) -> Vec<Sealed> {
        let mut batch = Vec::new();
        intake.take(usize::MAX, &mut batch);
        batch
    }

    #[test]
    fn a_caller_that_goes_away_before_sealing_draws_nothing() {
        let intake = intake(8);
        let (submitted, poll) = submit(&intake, vec![draw("A")]);
        assert!(poll.is_pending());
        drop(submitted);
        assert!(taken(&intake).is_empty());
        assert!(intake.is_empty());
    }

    #[test]
    fn a_caller_that_goes_away_after_sealing_changes_nothing() {
        let intake = intake(8);
        let (submitted, _) = submit(&intake, vec![draw("A")]);
        let sealed = taken(&intake);
        drop(submitted);
        assert_eq!(sealed.len(), 1);
        sealed
            .into_iter()
            .for_each(|sealed| sealed.answer(Err(StoreError::Late)));
    }

    #[test]
    fn a_late_command_is_answered_and_not_taken() {
        let intake = intake(8);
        let past = Instant::now().checked_sub(Duration::from_secs(1));
        let (mut submitted, _) = submit(&intake, vec![draw("A").with_deadline(past)]);
        assert!(taken(&intake).is_empty());
        let poll = submitted.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        assert!(matches!(poll, Poll::Ready(answers) if matches!(answers[0], Err(StoreError::Late))));
    }

    #[test]
    fn one_sequence_may_hold_a_quarter_and_all_together_the_whole() {
        let intake = intake(8);
        let full = |poll: &Poll<Vec<Answer>>| match poll {
            Poll::Ready(answers) => matches!(answers[0], Err(StoreError::Overloaded)),
            Poll::Pending => false,
        };
        let mut held = Vec::new();
        for prefix in ["A", "B", "C", "D"] {
            for _ in 0..2 {
                let (submitted, poll) = submit(&intake, vec![draw(prefix)]);
                assert!(poll.is_pending());
                held.push(submitted);
            }
            assert!(
                full(&submit(&intake, vec![draw(prefix)]).1),
                "a third of {prefix}"
            );
        }
        assert!(full(&submit(&intake, vec![draw("E")]).1), "a ninth");
        let sealed = taken(&intake);
        assert_eq!(sealed.len(), 8);
        assert!(
            submit(&intake, vec![draw("A")]).1.is_pending(),
            "there is room again"
        );
    }

    #[test]
    fn a_pump_that_dies_leaves_sealed_commands_unknown_and_queued_ones_undone() {
        let intake = intake(8);
        let (mut sealed, _) = submit(&intake, vec![draw("A")]);
        drop(taken(&intake));
        let (mut queued, _) = submit(&intake, vec![draw("A")]);
        intake.refuse_all(&StoreError::Draining);
        let mut context = Context::from_waker(Waker::noop());
        let Poll::Ready(answers) = sealed.as_mut().poll(&mut context) else {
            panic!("no answer")
        };
        assert!(matches!(answers[0], Err(StoreError::Unknown(_))));
        let Poll::Ready(answers) = queued.as_mut().poll(&mut context) else {
            panic!("no answer")
        };
        assert!(matches!(answers[0], Err(StoreError::Draining)));
    }

    #[test]
    fn a_closed_queue_refuses_and_still_gives_what_waits() {
        let intake = intake(8);
        let _waiting = submit(&intake, vec![draw("A")]);
        intake.close();
        let (_, poll) = submit(&intake, vec![draw("A")]);
        assert!(matches!(poll, Poll::Ready(answers) if matches!(answers[0], Err(StoreError::Draining))));
        assert_eq!(taken(&intake).len(), 1);
    }

    #[test]
    fn the_pump_is_woken_by_the_first_command_only() {
        let woken = Arc::new(AtomicU8::new(0));
        let count = Arc::clone(&woken);
        let intake = Intake::with_capacity(8, move || {
            count.fetch_add(1, Ordering::SeqCst);
        });
        let _first = submit(&intake, vec![draw("A"), draw("B")]);
        let _second = submit(&intake, vec![draw("A")]);
        assert_eq!(woken.load(Ordering::SeqCst), 1);
        let answers = pin!(intake.submit(Vec::new()));
        assert!(answers.poll(&mut Context::from_waker(Waker::noop())).is_ready());
    }
}
