//! The instances of the service, and which of them is asked.

use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use seqid_proto::SERVICE;
use seqid_proto::sequential_id_service_client::SequentialIdServiceClient;
use tonic::transport::Channel;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

/// The stub of one instance.
pub(crate) type Stub = SequentialIdServiceClient<Channel>;

/// How long an instance may take to say whether it is ready.
const CHECK: Duration = Duration::from_secs(1);

/// The most bytes of an answer: a page of a thousand long definitions is larger than what stubs take unless told.
const MOST_ANSWER: usize = 64 * 1024 * 1024;

/// At least one instance. One is asked at a time, so that its batches are as full as they can be.
pub(crate) struct Endpoints {
    channels: Vec<Channel>,
    current: AtomicUsize,
}

/// An instance that was chosen.
pub(crate) struct Chosen {
    at: usize,
    pub(crate) stub: Stub,
}

impl Endpoints {
    /// `None` where there is no instance.
    pub(crate) fn new(channels: Vec<Channel>) -> Option<Self> {
        (!channels.is_empty()).then(|| Self {
            channels,
            current: AtomicUsize::new(0),
        })
    }

    /// The instance that is asked now.
    pub(crate) fn current(&self) -> Chosen {
        let at = self.current.load(Ordering::Relaxed) % self.channels.len();
        Chosen {
            at,
            stub: Stub::new(self.channels[at].clone()).max_decoding_message_size(MOST_ANSWER),
        }
    }

    /// Leaves an instance that does not carry requests out: for the next that says that it is ready, or else for the next
    /// by turns. Does nothing where somebody has left it already.
    pub(crate) async fn leave(&self, Chosen { at, .. }: &Chosen) {
        let count = self.channels.len();
        if count == 1 || self.current.load(Ordering::Relaxed) % count != *at {
            return;
        }
        let others = (1..count).map(|step| (at + step) % count);
        let mut to = (at + 1) % count;
        for other in others {
            if self.is_ready(other).await {
                to = other;
                break;
            }
        }
        // Somebody who was quicker has chosen as well as this one.
        let _moved = self
            .current
            .compare_exchange(*at, to, Ordering::Relaxed, Ordering::Relaxed);
    }

    async fn is_ready(&self, at: usize) -> bool {
        let mut health = HealthClient::new(self.channels[at].clone());
        let request = HealthCheckRequest {
            service: SERVICE.to_owned(),
        };
        let answer = tokio::time::timeout(CHECK, health.check(request)).await;
        matches!(answer, Ok(Ok(answer)) if answer.get_ref().status() == ServingStatus::Serving)
    }
}

impl fmt::Debug for Endpoints {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Endpoints")
            .field("count", &self.channels.len())
            .field("current", &self.current)
            .finish_non_exhaustive()
    }
}
