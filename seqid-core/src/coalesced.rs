//! Many callers, one batch in flight: what waits while a batch is away goes out as the next one.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Instant;

use async_trait::async_trait;
use tokio::sync::{Notify, mpsc};

use crate::checkpoint::Heads;
use crate::command::{Command, Reply};
use crate::counter::{CounterKey, CounterState, SequenceKey};
use crate::event::Recorded;
use crate::intake::{Intake, Sealed};
use crate::names::{Number, Tenant};
use crate::observer::Observer;
use crate::query::{EventPage, EventQuery};
use crate::reservation::ReservationId;
use crate::store::{
    AuditLog, Capabilities, CounterRecord, CounterStore, DefinitionStore, MarkRecord, ReservationRecord,
    SequenceRecord, StoreError,
};

/// A store whose callers' commands go out in batches, one at a time in each lane.
///
/// There is no timer: an idle call goes out at once and waits for nobody. Under load a batch takes what came
/// while the one before it was in flight, and the pump gives way to running callers until no more come.
/// For stores that answer over a network; an embedded one that has a thread of its own does it there.
#[derive(Debug)]
pub struct Coalesced<S> {
    store: Arc<S>,
    lanes: Vec<Arc<Intake>>,
    /// Closed when every pump has ended.
    ended: tokio::sync::Mutex<mpsc::Receiver<()>>,
}

impl<S: CounterStore + 'static> Coalesced<S> {
    /// Wraps a store. Starts one task for each of its lanes on the current tokio runtime.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    #[must_use]
    pub fn new(store: S, observer: &Arc<dyn Observer>) -> Self {
        let store = Arc::new(store);
        let (running, ended) = mpsc::channel(1);
        let lanes = (0..store.capabilities().lanes.max(1))
            .map(|_| start_lane(Arc::clone(&store), Arc::clone(observer), running.clone()))
            .collect();
        Self {
            store,
            lanes,
            ended: tokio::sync::Mutex::new(ended),
        }
    }

    fn lane(&self, command: &Command) -> usize {
        let lanes = self.lanes.len() as u64;
        usize::try_from(command.act.lane_hash() % lanes).unwrap_or(0)
    }
}

fn start_lane<S: CounterStore + 'static>(
    store: Arc<S>,
    observer: Arc<dyn Observer>,
    running: mpsc::Sender<()>,
) -> Arc<Intake> {
    let awake = Arc::new(Notify::new());
    let wake = Arc::clone(&awake);
    let intake = Arc::new(Intake::new(move || wake.notify_one()));
    let lane = Arc::clone(&intake);
    tokio::spawn(async move {
        let _running = running;
        let pump = Pump {
            store,
            lane,
            awake,
            observer,
        };
        loop {
            let pump = pump.clone();
            let lane = Arc::clone(&pump.lane);
            match tokio::spawn(AssertUnwindSafe(pump.run())).await {
                Ok(()) => return,
                // A bug in the store: its batch has an unknown outcome, the queue none, and the lane goes on.
                Err(error) => lane.refuse_all(&StoreError::Unavailable(Arc::new(error))),
            }
        }
    });
    intake
}

#[derive(Debug)]
struct Pump<S> {
    store: Arc<S>,
    lane: Arc<Intake>,
    awake: Arc<Notify>,
    observer: Arc<dyn Observer>,
}

impl<S> Clone for Pump<S> {
    fn clone(&self) -> Self {
        Self {
            store: Arc::clone(&self.store),
            lane: Arc::clone(&self.lane),
            awake: Arc::clone(&self.awake),
            observer: Arc::clone(&self.observer),
        }
    }
}

impl<S: CounterStore> Pump<S> {
    async fn run(self) {
        let limit = self.store.capabilities().largest_batch;
        let mut batch = Vec::new();
        loop {
            self.wait_until_it_stops_growing(limit).await;
            self.lane.take(limit, &mut batch);
            if !batch.is_empty() {
                self.send(std::mem::take(&mut batch)).await;
            } else if self.lane.is_closed() && self.lane.is_empty() {
                return;
            } else if self.lane.is_empty() {
                self.awake.notified().await;
            }
        }
    }

    async fn wait_until_it_stops_growing(&self, limit: usize) {
        let mut waiting = self.lane.len();
        while waiting > 0 && waiting < limit {
            tokio::task::yield_now().await;
            let now = self.lane.len();
            if now == waiting {
                return;
            }
            waiting = now;
        }
    }

    async fn send(&self, batch: Vec<Sealed>) {
        let began = Instant::now();
        let commands = batch.iter().map(|sealed| sealed.command.clone()).collect();
        let answers = self.store.apply(commands).await;
        self.observer.committed(batch.len(), began.elapsed());
        for (sealed, answer) in batch.into_iter().zip(answers) {
            sealed.answer(answer);
        }
    }
}

/// A command that concerns more than one counter comes after what stands before it in the batch, and before what stands
/// behind it.
fn stretches(batch: Vec<Command>) -> Vec<Vec<Command>> {
    let mut stretches: Vec<Vec<Command>> = Vec::new();
    let mut joins = false;
    for command in batch {
        let of_one = command.act.counter().is_some();
        match stretches.last_mut() {
            Some(stretch) if joins && of_one => stretch.push(command),
            _ => stretches.push(vec![command]),
        }
        joins = of_one;
    }
    stretches
}

impl<S: CounterStore + 'static> Coalesced<S> {
    /// Commands of several lanes go out at the same time, each lane's in their order.
    async fn side_by_side(&self, batch: Vec<Command>) -> Vec<Result<Reply, StoreError>> {
        let mut places: Vec<Vec<usize>> = vec![Vec::new(); self.lanes.len()];
        let mut parts: Vec<Vec<Command>> = vec![Vec::new(); self.lanes.len()];
        for (place, command) in batch.into_iter().enumerate() {
            let lane = self.lane(&command);
            places[lane].push(place);
            parts[lane].push(command);
        }
        let submitted: Vec<_> = self
            .lanes
            .iter()
            .zip(parts)
            .map(|(lane, part)| {
                let lane = Arc::clone(lane);
                tokio::spawn(async move { lane.submit(part).await })
            })
            .collect();
        let mut answers: Vec<(usize, Result<Reply, StoreError>)> = Vec::new();
        for (task, places) in submitted.into_iter().zip(places) {
            match task.await {
                Ok(part) => answers.extend(places.into_iter().zip(part)),
                Err(error) => {
                    let error = StoreError::Unknown(Arc::new(error));
                    answers.extend(places.into_iter().map(|place| (place, Err(error.clone()))));
                }
            }
        }
        answers.sort_unstable_by_key(|(place, _)| *place);
        answers.into_iter().map(|(_, answer)| answer).collect()
    }
}

#[async_trait]
impl<S: CounterStore + 'static> CounterStore for Coalesced<S> {
    fn capabilities(&self) -> Capabilities {
        self.store.capabilities()
    }

    async fn apply(&self, batch: Vec<Command>) -> Vec<Result<Reply, StoreError>> {
        let Some(first) = batch.first().map(|command| self.lane(command)) else {
            return Vec::new();
        };
        if batch.iter().all(|command| self.lane(command) == first) {
            return self.lanes[first].submit(batch).await;
        }
        let mut answers = Vec::with_capacity(batch.len());
        for stretch in stretches(batch) {
            answers.extend(self.side_by_side(stretch).await);
        }
        answers
    }

    async fn counter(&self, key: &CounterKey) -> Result<Option<CounterState>, StoreError> {
        self.store.counter(key).await
    }

    async fn close(&self) -> Result<(), StoreError> {
        self.lanes.iter().for_each(|lane| lane.close());
        while self.ended.lock().await.recv().await.is_some() {}
        self.store.close().await
    }
}

#[async_trait]
impl<S: DefinitionStore> DefinitionStore for Coalesced<S> {
    async fn sequence(&self, key: &SequenceKey) -> Result<Option<SequenceRecord>, StoreError> {
        self.store.sequence(key).await
    }

    async fn sequences(
        &self,
        tenant: &Tenant,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<SequenceRecord>, StoreError> {
        self.store.sequences(tenant, after, limit).await
    }
}

#[async_trait]
impl<S: AuditLog> AuditLog for Coalesced<S> {
    async fn counters(
        &self,
        sequence: &SequenceKey,
        after: u64,
        limit: usize,
    ) -> Result<Vec<CounterRecord>, StoreError> {
        self.store.counters(sequence, after, limit).await
    }

    async fn reservation(&self, id: &ReservationId) -> Result<Option<ReservationRecord>, StoreError> {
        self.store.reservation(id).await
    }

    async fn marks(
        &self,
        counter: &CounterKey,
        after: Option<(u32, Number)>,
        limit: usize,
    ) -> Result<Vec<MarkRecord>, StoreError> {
        self.store.marks(counter, after, limit).await
    }

    async fn events(&self, after: u64, limit: usize) -> Result<Vec<Recorded>, StoreError> {
        self.store.events(after, limit).await
    }

    async fn query(&self, query: &EventQuery) -> Result<EventPage, StoreError> {
        self.store.query(query).await
    }

    async fn heads(&self) -> Result<Heads, StoreError> {
        self.store.heads().await
    }
}
