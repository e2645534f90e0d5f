//! The stream of draws, which all draws of a client share: those that wait go out together.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use seqid_core::store::StoreError;
use seqid_core::{Error, numbering::Issued};
use seqid_proto::draw_response::Result as Drawn;
use seqid_proto::{DrawRequest, DrawResponse};
use tokio::sync::{mpsc, oneshot};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Status, Streaming};

use crate::decode;
use crate::endpoints::{Chosen, Endpoints};
use crate::failure::{self, Effect};

/// The most draws that are under way on the stream: as many as the service takes of one.
const MOST_IN_FLIGHT: usize = 1_024;
/// The most draws that wait to be sent; further ones are refused.
const MOST_WAITING: usize = 8_192;
/// How long a service that was told of no failure may take to open a stream.
const OPEN: Duration = Duration::from_secs(5);

/// Where draws are put in.
pub(crate) struct Draws {
    endpoints: Arc<Endpoints>,
    /// Begun with the first draw, because that is when there is a runtime.
    lane: std::sync::OnceLock<mpsc::Sender<Waiting>>,
}

/// A draw that waits to be sent, or for its answer.
struct Waiting {
    message: DrawRequest,
    deadline: Instant,
    answer: oneshot::Sender<Result<Issued, Error>>,
}

impl Draws {
    pub(crate) const fn new(endpoints: Arc<Endpoints>) -> Self {
        Self {
            endpoints,
            lane: std::sync::OnceLock::new(),
        }
    }

    /// One draw, once. When the future is dropped before the draw was sent, it is not.
    pub(crate) async fn draw(&self, message: DrawRequest, deadline: Instant) -> Result<Issued, Error> {
        let lane = self.lane.get_or_init(|| {
            let (sender, receiver) = mpsc::channel(MOST_WAITING);
            tokio::spawn(Lane::new(Arc::clone(&self.endpoints), receiver).run());
            sender
        });
        let (answer, answered) = oneshot::channel();
        let waiting = Waiting {
            message,
            deadline,
            answer,
        };
        match lane.try_send(waiting) {
            Ok(()) => {}
            Err(mpsc::error::TrySendError::Full(_)) => return Err(StoreError::Overloaded.into()),
            Err(mpsc::error::TrySendError::Closed(_)) => return Err(stopped()),
        }
        answered.await.unwrap_or_else(|_| Err(lost()))
    }
}

/// The runtime that drives the stream is gone, and the draw was not sent.
fn stopped() -> Error {
    StoreError::Draining.into()
}

/// The runtime that drives the stream is gone, and the draw may have been sent.
fn lost() -> Error {
    let status = Status::cancelled("the runtime of the client stopped");
    failure::of_status(status, Effect::Possible)
}

/// What drives the stream, and opens it anew when it has ended.
struct Lane {
    endpoints: Arc<Endpoints>,
    waiting: mpsc::Receiver<Waiting>,
    /// Draws that were sent, by their call.
    sent: HashMap<u64, oneshot::Sender<Result<Issued, Error>>>,
    calls: u64,
}

impl Lane {
    fn new(endpoints: Arc<Endpoints>, waiting: mpsc::Receiver<Waiting>) -> Self {
        Self {
            endpoints,
            waiting,
            sent: HashMap::new(),
            calls: 0,
        }
    }

    /// Until the last clone of the client is gone.
    async fn run(mut self) {
        while let Some(first) = self.waiting.recv().await {
            let chosen = self.endpoints.current();
            match open(&chosen).await {
                Ok((messages, answers)) => {
                    let ended = self.pump(first, messages, answers).await;
                    self.fail_sent(&ended);
                    if ended.is_some() {
                        self.endpoints.leave(&chosen).await;
                    }
                }
                // Nothing was sent yet.
                Err(status) => {
                    self.endpoints.leave(&chosen).await;
                    let _left = first.answer.send(Err(failure::of_status(status, Effect::None)));
                }
            }
        }
    }

    /// Sends what waits and hands out what is answered. Returns why the stream ended; `None` when nobody can draw any
    /// more and everything was answered.
    async fn pump(
        &mut self,
        first: Waiting,
        messages: mpsc::Sender<DrawRequest>,
        mut answers: Streaming<DrawResponse>,
    ) -> Option<Status> {
        self.send(first, &messages);
        let mut open = true;
        while open || !self.sent.is_empty() {
            tokio::select! {
                biased;
                answer = answers.message() => match answer {
                    Ok(Some(answer)) => self.answered(answer),
                    Ok(None) => return Some(Status::unavailable("the service closed the stream")),
                    Err(status) => return Some(status),
                },
                waiting = self.waiting.recv(), if open && self.sent.len() < MOST_IN_FLIGHT => match waiting {
                    Some(waiting) => self.send(waiting, &messages),
                    None => open = false,
                },
            }
        }
        None
    }

    fn send(&mut self, waiting: Waiting, messages: &mpsc::Sender<DrawRequest>) {
        let Waiting {
            mut message,
            deadline,
            answer,
        } = waiting;
        // Nobody waits for it any more: it is left undone.
        if answer.is_closed() {
            return;
        }
        let patience = deadline.saturating_duration_since(Instant::now());
        if patience.is_zero() {
            let _left = answer.send(Err(StoreError::Late.into()));
            return;
        }
        message.timeout_ms = Some(i64::try_from(patience.as_millis()).unwrap_or(i64::MAX));
        self.calls += 1;
        message.call = self.calls;
        match messages.try_send(message) {
            Ok(()) => drop(self.sent.insert(self.calls, answer)),
            // The stream has ended, which its answers will say; this draw was not sent.
            Err(_) => drop(answer.send(Err(not_sent()))),
        }
    }

    fn answered(&mut self, DrawResponse { call, result }: DrawResponse) {
        let Some(answer) = self.sent.remove(&call) else {
            return;
        };
        let _left = answer.send(match result {
            Some(Drawn::Numbers(numbers)) => decode::numbers(numbers),
            Some(Drawn::Failure(failure)) => Err(failure::of_failure(failure)),
            None => Err(decode::Unreadable("result").into()),
        });
    }

    /// Answers draws whose stream has ended: not drawn where the service says so, otherwise nobody knows.
    fn fail_sent(&mut self, ended: &Option<Status>) {
        for (_, answer) in self.sent.drain() {
            let status = ended
                .clone()
                .unwrap_or_else(|| Status::cancelled("the client is gone"));
            let _left = answer.send(Err(failure::of_status(status, Effect::Possible)));
        }
    }
}

fn not_sent() -> Error {
    let status = Status::unavailable("the stream of draws ended before the draw was sent");
    failure::of_status(status, Effect::None)
}

/// Opens a stream on which nothing was sent yet.
async fn open(chosen: &Chosen) -> Result<(mpsc::Sender<DrawRequest>, Streaming<DrawResponse>), Status> {
    let (sender, receiver) = mpsc::channel(MOST_IN_FLIGHT);
    let mut stub = chosen.stub.clone();
    let opened = tokio::time::timeout(OPEN, stub.draw(ReceiverStream::new(receiver))).await;
    let answers = opened.unwrap_or_else(|_| Err(Status::unavailable("the service did not answer")))?;
    Ok((sender, answers.into_inner()))
}
