//! Many callers, one batch in flight in each lane: what waits while a batch is away goes out as the next one.
//!
//! There is no timer: an idle call goes out at once and waits for nobody. Under load a batch takes what came
//! while the one before it was in flight, and the pump gives way to running callers until no more come.

use std::fmt;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::{Notify, mpsc};

use crate::command::{Command, Reply};
use crate::intake::{Intake, Sealed};
use crate::store::{Capabilities, StoreError};

/// What carries out the batches of [`Lanes`].
#[async_trait]
pub trait Serve: Send + Sync + fmt::Debug + 'static {
    /// Carries out what is sealed, in order, and sees to it that each of it is answered. It may leave some of it to be
    /// answered later, so as not to hold up the next batch of the lane.
    async fn serve(&self, batch: Vec<Sealed>);
}

/// Queues of commands, each with a task that serves one batch after the other. The commands of one counter are all in
/// one lane.
#[derive(Debug)]
pub struct Lanes {
    lanes: Vec<Arc<Intake>>,
    /// Closed when every pump has ended.
    ended: tokio::sync::Mutex<mpsc::Receiver<()>>,
}

impl Lanes {
    /// Starts as many lanes as the capabilities say, a task for each on the current tokio runtime.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    #[must_use]
    pub fn start<S: Serve>(server: &Arc<S>, capabilities: &Capabilities) -> Self {
        let (running, ended) = mpsc::channel(1);
        let limit = capabilities.largest_batch;
        let lanes = (0..capabilities.lanes.max(1))
            .map(|_| start_lane(Arc::clone(server), limit, running.clone()))
            .collect();
        Self {
            lanes,
            ended: tokio::sync::Mutex::new(ended),
        }
    }

    fn lane(&self, command: &Command) -> usize {
        let lanes = self.lanes.len() as u64;
        usize::try_from(command.act.lane_hash() % lanes).unwrap_or(0)
    }

    /// Carries out a batch: see [`CounterStore::apply`](crate::store::CounterStore::apply).
    pub async fn apply(&self, batch: Vec<Command>) -> Vec<Result<Reply, StoreError>> {
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

    /// Refuses what comes, and waits until what waits has been served.
    pub async fn close(&self) {
        self.lanes.iter().for_each(|lane| lane.close());
        while self.ended.lock().await.recv().await.is_some() {}
    }

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

impl Drop for Lanes {
    fn drop(&mut self) {
        // The tasks end when what waits has been served.
        self.lanes.iter().for_each(|lane| lane.close());
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

fn start_lane<S: Serve>(server: Arc<S>, limit: usize, running: mpsc::Sender<()>) -> Arc<Intake> {
    let awake = Arc::new(Notify::new());
    let wake = Arc::clone(&awake);
    let intake = Arc::new(Intake::new(move || wake.notify_one()));
    let lane = Arc::clone(&intake);
    tokio::spawn(async move {
        let _running = running;
        loop {
            let pump = Pump {
                server: Arc::clone(&server),
                lane: Arc::clone(&lane),
                awake: Arc::clone(&awake),
                limit,
            };
            match tokio::spawn(AssertUnwindSafe(pump.run())).await {
                Ok(()) => return,
                // A bug in the store: its batch has an unknown outcome, the queue none, and the lane goes on.
                Err(error) => lane.refuse_all(&StoreError::Unavailable(Arc::new(error))),
            }
        }
    });
    intake
}

struct Pump<S> {
    server: Arc<S>,
    lane: Arc<Intake>,
    awake: Arc<Notify>,
    limit: usize,
}

impl<S: Serve> Pump<S> {
    async fn run(self) {
        let mut batch = Vec::new();
        loop {
            self.wait_until_it_stops_growing().await;
            self.lane.take(self.limit, &mut batch);
            if !batch.is_empty() {
                self.server.serve(std::mem::take(&mut batch)).await;
            } else if self.lane.is_closed() && self.lane.is_empty() {
                return;
            } else if self.lane.is_empty() {
                self.awake.notified().await;
            }
        }
    }

    async fn wait_until_it_stops_growing(&self) {
        let mut waiting = self.lane.len();
        while waiting > 0 && waiting < self.limit {
            tokio::task::yield_now().await;
            let now = self.lane.len();
            if now == waiting {
                return;
            }
            waiting = now;
        }
    }
}
