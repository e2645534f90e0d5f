use std::sync::Arc;

use seqid_core::lease::LeaseId;
use seqid_core::store::{Certainty, StoreError};

use crate::error::PART;
use crate::fenced::Fence;
use crate::history::History;

/// Why a draw has no numbers, although Redis and the durable store both answer. Nothing was taken.
#[derive(Debug, thiserror::Error)]
pub(super) enum Obstacle {
    #[error("{entries} events wait to be recorded in the durable store, which is as many as may")]
    StreamFull { entries: u64 },
    #[error(
        "{records} draws of this instance wait to be recorded in the durable store, which is as many as may"
    )]
    Backlog { records: usize },
    #[error("the server went on without the counter's range each time that one was lent")]
    Unsteady,
    #[error("the server is fenced off: {0:?}")]
    Fenced(Fence),
    #[error("the server said {0:?}")]
    Denied(String),
    #[error("another history has taken over from {0}")]
    Retired(History),
    #[error("what is known of the servers is out of date")]
    OldTopology,
    #[error(
        "the counter is in epoch {found} in Redis, and in epoch {known} in the durable store, which went back in time"
    )]
    StoreBehind { found: u32, known: u32 },
    #[error("the durable store gave another answer than one to what it was asked")]
    NoAnswer,
    #[error("the lease {0} is of a holder that is no history of Redis")]
    NoHistory(LeaseId),
    #[error("the sequence has no definition that its counter could have opened with")]
    NoDefinition,
    #[error("the task that drew ended")]
    Abandoned,
}

impl From<Obstacle> for StoreError {
    fn from(obstacle: Obstacle) -> Self {
        match obstacle {
            Obstacle::StoreBehind { .. } => Self::Restored(Arc::new(obstacle)),
            Obstacle::NoAnswer => Self::Unknown(Arc::new(obstacle)),
            Obstacle::NoDefinition | Obstacle::NoHistory(_) => Self::Corrupt(Arc::new(obstacle)),
            Obstacle::StreamFull { .. } | Obstacle::Backlog { .. } | Obstacle::Abandoned => {
                Self::Unavailable(Arc::new(obstacle))
            }
            Obstacle::Unsteady
            | Obstacle::Fenced(_)
            | Obstacle::Denied(_)
            | Obstacle::Retired(_)
            | Obstacle::OldTopology => Self::Away {
                part: PART,
                certainty: Certainty::NotIssued,
                cause: Arc::new(obstacle),
            },
        }
    }
}
