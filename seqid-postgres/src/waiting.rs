//! Commands of counters that others have locked: another instance that draws from the same counter, or an ERP that drew a
//! number in a transaction of its own. They wait apart, so that they hold up no other counter.
//!
//! Whoever waits has taken nothing yet: once the row is free, all that came meanwhile is carried out together. So several
//! instances on one busy counter take turns with full batches. As long as others draw between two turns, commands come here at
//! once: trying first would cost a transaction that finds the row locked.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use seqid_core::counter::CounterKey;
use seqid_core::intake::Sealed;
use seqid_core::store::StoreError;

use crate::engine::{Engine, Failure, Turn, refuse};

/// How many commands may wait for one locked counter.
const CAPACITY: usize = 1_024;

/// How many counters are known to be shared. More of them are tried first.
const MOST_SHARED: usize = 1_024;

/// See the [module](self).
#[derive(Debug, Default)]
pub(crate) struct Waiting(Mutex<Counters>);

#[derive(Debug, Default)]
struct Counters {
    /// What waits, for each counter that a task waits for.
    queues: HashMap<CounterKey, Vec<Deferred>>,
    /// Counters that others draw from at the same time, each with the events that it had after our last turn.
    shared: HashMap<CounterKey, u64>,
}

#[derive(Debug)]
struct Deferred {
    sealed: Sealed,
    since: Instant,
}

impl Deferred {
    fn refuse_late(self) {
        self.sealed.answer(Err(StoreError::Late));
    }
}

impl Waiting {
    /// Lets a command wait until its counter is free. The first of a counter starts a task for them.
    pub(crate) async fn defer(engine: &Arc<Engine>, sealed: Sealed) {
        let Some(counter) = sealed.command.act.counter().cloned() else {
            return;
        };
        let deferred = Deferred {
            sealed,
            since: Instant::now(),
        };
        let (is_first, refused) = match engine.waiting.lock().queues.entry(counter.clone()) {
            Entry::Occupied(mut queue) if queue.get().len() < CAPACITY => {
                queue.get_mut().push(deferred);
                (false, None)
            }
            Entry::Occupied(_) => (false, Some(deferred)),
            Entry::Vacant(queue) => {
                queue.insert(vec![deferred]);
                (true, None)
            }
        };
        if let Some(refused) = refused {
            refused.sealed.answer(Err(StoreError::Overloaded));
        }
        if is_first {
            let task = serve(Arc::clone(engine), counter);
            engine.spawn(task).await;
        }
    }

    /// Lets those of a batch wait whose counters are waited for or shared, and answers the others.
    pub(crate) async fn join(engine: &Arc<Engine>, batch: Vec<Sealed>) -> Vec<Sealed> {
        let (others, begun) = engine.waiting.enqueue(batch);
        for counter in begun {
            let task = serve(Arc::clone(engine), counter);
            engine.spawn(task).await;
        }
        others
    }

    /// Answers what need not wait, and the counters that a task is to wait for now.
    fn enqueue(&self, batch: Vec<Sealed>) -> (Vec<Sealed>, Vec<CounterKey>) {
        let mut counters = self.lock();
        let Counters { queues, shared } = &mut *counters;
        if queues.is_empty() && shared.is_empty() {
            return (batch, Vec::new());
        }
        let since = Instant::now();
        let (mut others, mut begun) = (Vec::with_capacity(batch.len()), Vec::new());
        for sealed in batch {
            let queue = sealed.command.act.counter().and_then(|counter| {
                if !queues.contains_key(counter) && shared.contains_key(counter) {
                    queues.insert(counter.clone(), Vec::new());
                    begun.push(counter.clone());
                }
                queues.get_mut(counter)
            });
            match queue {
                Some(queue) if queue.len() < CAPACITY => queue.push(Deferred { sealed, since }),
                _ => others.push(sealed),
            }
        }
        (others, begun)
    }

    /// Takes note of a turn: others draw from the counter if it has other events than we left.
    fn note(&self, counter: &CounterKey, turn: &Turn) {
        let mut counters = self.lock();
        let shared = &mut counters.shared;
        let is_ours = shared.get(counter) == Some(&turn.found);
        // A lone command gains nothing by it.
        if is_ours || turn.decided.len() < 2 {
            shared.remove(counter);
        } else if shared.len() < MOST_SHARED || shared.contains_key(counter) {
            shared.insert(counter.clone(), turn.left);
        }
    }

    /// Whether anything waits for a counter. Once nothing does, the next one starts anew.
    fn is_needed(&self, counter: &CounterKey) -> bool {
        let queues = &mut self.lock().queues;
        let needed = queues.get(counter).is_some_and(|queue| !queue.is_empty());
        if !needed {
            queues.remove(counter);
        }
        needed
    }

    /// Takes what waits for a counter.
    fn take(&self, counter: &CounterKey) -> Vec<Deferred> {
        self.lock()
            .queues
            .get_mut(counter)
            .map(std::mem::take)
            .unwrap_or_default()
    }

    /// Puts back what was taken and could not be carried out yet.
    fn put_back(&self, counter: &CounterKey, mut taken: Vec<Deferred>) {
        let queues = &mut self.lock().queues;
        let queue = queues.entry(counter.clone()).or_default();
        taken.append(queue);
        *queue = taken;
    }

    /// Takes those that need not wait any longer: their deadline has passed, or they waited for as long as one may.
    fn take_over(&self, counter: &CounterKey, longest: Duration) -> Vec<Deferred> {
        let is_over = |deferred: &mut Deferred| {
            deferred.sealed.command.is_late() || deferred.since.elapsed() >= longest
        };
        let queues = &mut self.lock().queues;
        let queue = queues.get_mut(counter);
        queue
            .map(|queue| queue.extract_if(.., is_over).collect())
            .unwrap_or_default()
    }

    fn lock(&self) -> MutexGuard<'_, Counters> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn serve(engine: Arc<Engine>, counter: CounterKey) {
    while engine.waiting.is_needed(&counter) {
        let mut taken = Vec::new();
        let take = || {
            let (late, open): (Vec<_>, Vec<_>) = engine
                .waiting
                .take(&counter)
                .into_iter()
                .partition(|deferred| deferred.sealed.command.is_late());
            late.into_iter().for_each(Deferred::refuse_late);
            taken = open;
            taken
                .iter()
                .map(|deferred| deferred.sealed.command.clone())
                .collect()
        };
        match engine.transact_patiently(&counter, take).await {
            Ok(turn) => {
                engine.waiting.note(&counter, &turn);
                for (deferred, reply) in taken.into_iter().zip(turn.decided) {
                    // Whoever waits skips nothing.
                    let reply =
                        reply.map_or(Err(StoreError::Draining), |reply| reply.map_err(StoreError::from));
                    deferred.sealed.answer(reply);
                }
                // Those who were answered are about to come again.
                tokio::task::yield_now().await;
            }
            Err(Failure::Undone(fault)) if fault.is_of_a_lock() => {
                engine.waiting.put_back(&counter, taken);
                let over = engine.waiting.take_over(&counter, engine.config.timeout);
                let (late, over): (Vec<_>, Vec<_>) = over
                    .into_iter()
                    .partition(|deferred| deferred.sealed.command.is_late());
                late.into_iter().for_each(Deferred::refuse_late);
                if !over.is_empty() {
                    refuse(
                        over.into_iter().map(|deferred| deferred.sealed).collect(),
                        Failure::Undone(fault),
                    );
                }
            }
            Err(failure) => {
                if taken.is_empty() {
                    // The server is not there: nothing was taken, and nobody is to wait for it.
                    taken = engine.waiting.take(&counter);
                }
                refuse(
                    taken.into_iter().map(|deferred| deferred.sealed).collect(),
                    failure,
                );
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use seqid_core::counter::SequenceKey;
    use seqid_core::field::FieldValues;
    use seqid_core::names::{Prefix, Tenant};
    use seqid_core::period::Period;

    use super::*;

    fn counter() -> CounterKey {
        let sequence = SequenceKey::new(Tenant::default(), Prefix::new("INV").unwrap());
        CounterKey::new(sequence, FieldValues::default(), Period::ALL)
    }

    fn turn(found: u64, left: u64) -> Turn {
        let commands = usize::try_from(left - found).unwrap();
        let decided = (0..commands).map(|_| None).collect();
        Turn { found, left, decided }
    }

    #[test]
    fn a_counter_is_shared_as_long_as_others_draw_between_our_turns() {
        let (waiting, counter) = (Waiting::default(), counter());
        let is_shared = || waiting.lock().shared.contains_key(&counter);
        waiting.note(&counter, &turn(10, 12));
        assert!(is_shared(), "it was locked");
        waiting.note(&counter, &turn(15, 18));
        assert!(is_shared(), "somebody drew three");
        waiting.note(&counter, &turn(18, 20));
        assert!(!is_shared(), "nobody drew");
    }

    #[test]
    fn a_lone_command_is_tried_first() {
        let (waiting, counter) = (Waiting::default(), counter());
        waiting.note(&counter, &turn(10, 12));
        waiting.note(&counter, &turn(15, 16));
        assert!(waiting.lock().shared.is_empty());
    }
}
