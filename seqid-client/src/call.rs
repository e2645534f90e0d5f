//! One request, repeated where that is safe.

use std::future::Future;
use std::time::{Duration, Instant};

use seqid_core::Error;
use seqid_core::error::Retry;
use seqid_core::event::Origin;
use seqid_core::store::StoreError;
use seqid_proto::REQUEST_ID;
use tonic::{Request, Response, Status};

use crate::client::{Client, Shared};
use crate::endpoints::Stub;
use crate::failure::{self, Effect};

/// How often a request is sent at most.
const ATTEMPTS: u32 = 5;
/// How much longer than the deadline an answer is waited for: the service still tells then what became of the request.
const GRACE: Duration = Duration::from_secs(2);

/// Whether a request may be sent again although it may have been carried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Again {
    /// It asks and changes nothing.
    Always,
    /// It bears an idempotency key: whatever became of it, its answer comes again.
    SameKey,
    /// Only where it was certainly not carried out.
    NotIssued,
}

impl Again {
    /// Of a request that changes something.
    pub(crate) const fn with_key(keyed: bool) -> Self {
        if keyed { Self::SameKey } else { Self::NotIssued }
    }

    const fn effect(self) -> Effect {
        match self {
            Self::Always => Effect::None,
            Self::SameKey | Self::NotIssued => Effect::Possible,
        }
    }

    fn allows(self, error: &Error) -> bool {
        match error.code().retry() {
            Retry::No => false,
            Retry::SameRequest => true,
            Retry::SameKey => self != Self::NotIssued,
        }
    }
}

impl Client {
    /// Makes a unary call.
    pub(crate) async fn call<Q, A, F>(
        &self,
        again: Again,
        origin: Option<&Origin>,
        message: Q,
        send: impl Fn(Stub, Request<Q>) -> F + Send + Sync,
    ) -> Result<A, Error>
    where
        Q: Clone + Send + Sync,
        F: Future<Output = Result<Response<A>, Status>> + Send,
        A: Send,
    {
        let shared = &self.shared;
        let deadline = shared.deadline(None);
        shared
            .repeated(again, deadline, || async {
                let mut request = Request::new(message.clone());
                if let Some(name) = origin.and_then(|origin| origin.request.as_ref())
                    && let Ok(name) = name.as_str().parse()
                {
                    request.metadata_mut().insert(REQUEST_ID, name);
                }
                let chosen = shared.endpoints.current();
                let sent = send(chosen.stub.clone(), request);
                let answer = within(deadline, async { Ok(sent.await) }, again.effect()).await?;
                match answer {
                    Ok(answer) => Ok(answer.into_inner()),
                    Err(status) => {
                        let error = failure::of_status(status, again.effect());
                        if error.code().retry() != Retry::No {
                            shared.endpoints.leave(&chosen).await;
                        }
                        Err(error)
                    }
                }
            })
            .await
    }
}

impl Shared {
    /// When a request that begins now is given up.
    pub(crate) fn deadline(&self, asked: Option<Instant>) -> Instant {
        let now = Instant::now();
        asked.unwrap_or_else(|| now.checked_add(self.patience).unwrap_or(now))
    }

    /// Sends a request until it is answered, or may not or need not be sent again.
    pub(crate) async fn repeated<T, F>(
        &self,
        again: Again,
        deadline: Instant,
        attempt: impl Fn() -> F + Send + Sync,
    ) -> Result<T, Error>
    where
        F: Future<Output = Result<T, Error>> + Send,
    {
        let mut sent = 1;
        loop {
            let error = match attempt().await {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            let pause = error.code().retry_after().unwrap_or(FIRST_PAUSE).min(FIRST_PAUSE) * sent;
            let late = Instant::now()
                .checked_add(pause)
                .is_none_or(|then| then >= deadline);
            if sent == ATTEMPTS || late || !again.allows(&error) {
                return Err(error);
            }
            tracing::debug!(%error, sent, "a request is sent again");
            tokio::time::sleep(pause).await;
            sent += 1;
        }
    }
}

/// The pause before a request is sent for the second time; later ones are longer by as much each.
const FIRST_PAUSE: Duration = Duration::from_millis(50);

/// Waits for an answer until somewhat after the deadline.
pub(crate) async fn within<T>(
    deadline: Instant,
    answer: impl Future<Output = Result<T, Error>>,
    effect: Effect,
) -> Result<T, Error> {
    let end = deadline.checked_add(GRACE).unwrap_or(deadline);
    match tokio::time::timeout_at(end.into(), answer).await {
        Ok(answer) => answer,
        Err(_) if effect == Effect::None => {
            Err(StoreError::Unavailable(std::sync::Arc::new(NoAnswer)).into())
        }
        Err(_) => Err(StoreError::Unknown(std::sync::Arc::new(NoAnswer)).into()),
    }
}

/// The service did not answer in time.
#[derive(Debug, thiserror::Error)]
#[error("the service did not answer in time")]
struct NoAnswer;
