//! Commands of counters that others have locked: another instance that draws from the same counter, or an ERP that drew a
//! number in a transaction of its own. They wait apart, so that they hold up no other counter.
//!
//! Whoever waits has taken nothing yet: once the row is free, all that came meanwhile is carried out together. So several
//! instances on one busy counter take turns with full batches.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use seqid_core::counter::CounterKey;
use seqid_core::intake::Sealed;
use seqid_core::store::StoreError;

use crate::engine::{Engine, Failure, refuse};

/// How many commands may wait for one locked counter.
const CAPACITY: usize = 1_024;

/// See the [module](self).
#[derive(Debug, Default)]
pub(crate) struct Waiting(Mutex<HashMap<CounterKey, Vec<Deferred>>>);

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
        let (is_first, refused) = match engine.waiting.lock().entry(counter.clone()) {
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

    /// Lets those of a batch wait whose counters are waited for, and answers the others.
    pub(crate) fn join(&self, batch: Vec<Sealed>) -> Vec<Sealed> {
        let mut queues = self.lock();
        if queues.is_empty() {
            return batch;
        }
        let since = Instant::now();
        let mut others = Vec::with_capacity(batch.len());
        for sealed in batch {
            let queue = sealed
                .command
                .act
                .counter()
                .and_then(|counter| queues.get_mut(counter));
            match queue {
                Some(queue) if queue.len() < CAPACITY => queue.push(Deferred { sealed, since }),
                _ => others.push(sealed),
            }
        }
        others
    }

    /// Whether anything waits for a counter. Once nothing does, the next one starts anew.
    fn is_needed(&self, counter: &CounterKey) -> bool {
        let mut queues = self.lock();
        let needed = queues.get(counter).is_some_and(|queue| !queue.is_empty());
        if !needed {
            queues.remove(counter);
        }
        needed
    }

    /// Takes what waits for a counter.
    fn take(&self, counter: &CounterKey) -> Vec<Deferred> {
        self.lock()
            .get_mut(counter)
            .map(std::mem::take)
            .unwrap_or_default()
    }

    /// Puts back what was taken and could not be carried out yet.
    fn put_back(&self, counter: &CounterKey, mut taken: Vec<Deferred>) {
        let mut queues = self.lock();
        let queue = queues.entry(counter.clone()).or_default();
        taken.append(queue);
        *queue = taken;
    }

    /// Takes those that need not wait any longer: their deadline has passed, or they waited for as long as one may.
    fn take_over(&self, counter: &CounterKey, longest: Duration) -> Vec<Deferred> {
        let is_over = |deferred: &mut Deferred| {
            deferred.sealed.command.is_late() || deferred.since.elapsed() >= longest
        };
        let mut queues = self.lock();
        let queue = queues.get_mut(counter);
        queue
            .map(|queue| queue.extract_if(.., is_over).collect())
            .unwrap_or_default()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<CounterKey, Vec<Deferred>>> {
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
            Ok(decided) => {
                for (deferred, reply) in taken.into_iter().zip(decided) {
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
