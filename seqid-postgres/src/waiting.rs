//! Commands of counters that another session has locked: an ERP that drew a number in a transaction of its own, mostly.
//! They wait apart, so that they hold up no other counter.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use seqid_core::command::Command;
use seqid_core::counter::CounterKey;
use seqid_core::intake::Sealed;
use seqid_core::store::StoreError;

use crate::engine::{Engine, Failure, How, refuse};

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

    /// Takes what waits for a counter. Once nothing does, the next one starts anew.
    fn take(&self, counter: &CounterKey) -> Option<Vec<Deferred>> {
        let mut queues = self.lock();
        let queue = queues.get_mut(counter)?;
        if queue.is_empty() {
            queues.remove(counter);
            return None;
        }
        Some(std::mem::take(queue))
    }

    fn put_back(&self, counter: &CounterKey, mut deferred: Vec<Deferred>) {
        let mut queues = self.lock();
        let queue = queues.entry(counter.clone()).or_default();
        deferred.append(queue);
        *queue = deferred;
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<CounterKey, Vec<Deferred>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn serve(engine: Arc<Engine>, counter: CounterKey) {
    while let Some(waiting) = engine.waiting.take(&counter) {
        let (late, waiting): (Vec<_>, Vec<_>) = waiting
            .into_iter()
            .partition(|deferred| deferred.sealed.command.is_late());
        for deferred in late {
            deferred.sealed.answer(Err(StoreError::Late));
        }
        if waiting.is_empty() {
            continue;
        }
        let commands: Vec<&Command> = waiting.iter().map(|deferred| &deferred.sealed.command).collect();
        match engine.transact(&commands, How::Patiently).await {
            Ok(decided) => {
                for (deferred, reply) in waiting.into_iter().zip(decided) {
                    let reply = reply.unwrap_or(Err(seqid_core::ledger::Refusal::NotDefined));
                    deferred.sealed.answer(reply.map_err(StoreError::from));
                }
            }
            Err(Failure::Undone(fault)) if fault.is_of_a_lock() => {
                let (over, waiting): (Vec<_>, Vec<_>) = waiting
                    .into_iter()
                    .partition(|deferred| deferred.since.elapsed() >= engine.config.timeout);
                engine.waiting.put_back(&counter, waiting);
                if !over.is_empty() {
                    let over = over.into_iter().map(|deferred| deferred.sealed).collect();
                    refuse(over, Failure::Undone(fault));
                }
            }
            Err(failure) => {
                let waiting = waiting.into_iter().map(|deferred| deferred.sealed).collect();
                refuse(waiting, failure);
            }
        }
    }
}
