//! Numbers from a Redis server alone: they may repeat whenever it loses a write.

mod forms;
mod tables;

use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;
use seqid_core::chain::Authority;
use seqid_core::checkpoint::Heads;
use seqid_core::clock::Clock;
use seqid_core::command::{Act, Command, Reply};
use seqid_core::counter::{CounterKey, CounterState, SequenceKey};
use seqid_core::event::Recorded;
use seqid_core::intake::Sealed;
use seqid_core::lanes::{Lanes, Serve};
use seqid_core::lease::LeaseId;
use seqid_core::ledger::{Refusal, Snapshot};
use seqid_core::names::{Number, Tenant};
use seqid_core::query::{EventPage, EventQuery};
use seqid_core::reservation::ReservationId;
use seqid_core::store::{
    AuditLog, Backlog, Capabilities, Certainty, CounterRecord, CounterStore, DefinitionStore, EventSource,
    LeaseRecord, MarkRecord, ReservationRecord, SequenceRecord, StoreError,
};

use crate::config::RedisConfig;
use crate::connection::Connections;
use crate::counter_id::Bucket;
use crate::error::{Fault, OpenError};
use crate::history::Server;
use tables::Tables;

/// How often a batch is decided anew because another instance wrote meanwhile. Each time, that one has got on.
const ATTEMPTS: usize = 64;

const CAPABILITIES: Capabilities = {
    let mut capabilities = Capabilities::new("redis-unfenced").unfenced();
    // While one batch is on its way, others are not held up by it.
    capabilities.lanes = 4;
    capabilities
};

/// Sequences of mode ordered in a Redis server, without a durable store behind it.
///
/// As long as the server loses no write, no number is given twice, numbers rise over all instances, and there is no gap. When it
/// loses some - at a failover, at a restart, by `FLUSHALL`, eviction or an old dump - **numbers repeat, and nobody is told**.
/// Every answer warns of it.
///
/// Kept are definitions and where counters stand, and nothing else: no audit, no idempotency keys, no reservations. What needs
/// them is [refused](Refusal::NotKept).
#[derive(Debug)]
pub struct UnfencedStore {
    server: Arc<Alone>,
    lanes: Lanes,
}

/// The server that has everything.
#[derive(Debug)]
struct Alone {
    config: Arc<RedisConfig>,
    connections: Connections,
    clock: Arc<dyn Clock>,
}

/// Why an [`UnfencedStore`] could not be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum UnfencedStoreError {
    /// Redis cannot be drawn from.
    #[error(transparent)]
    Redis(#[from] OpenError),
    /// The server refused to say what it has.
    #[error("it cannot be told what the server has")]
    Fault(#[from] Fault),
    /// Numbers of a durable store are drawn there.
    #[error(
        "numbers that a durable store lends are drawn in {place} under the namespace {namespace}, and would repeat: name the \
         store, or another namespace with ?namespace="
    )]
    Fenced {
        /// The server.
        place: String,
        /// The namespace.
        namespace: String,
    },
}

impl UnfencedStore {
    /// Gives numbers from a Redis server alone.
    ///
    /// # Errors
    /// What keeps it from being drawn from, with what to do.
    pub async fn open(config: RedisConfig, clock: Arc<dyn Clock>) -> Result<Self, UnfencedStoreError> {
        let config = Arc::new(config);
        let connections = Connections::open(&config).await?;
        for bucket in Bucket::all() {
            let mut command = redis::cmd("GET");
            command.arg(bucket.marker(&config.namespace));
            let authority: Option<String> = connections.of(bucket).wait().await?.send(&command).await?;
            if authority.is_some() {
                return Err(UnfencedStoreError::Fenced {
                    place: config.place(),
                    namespace: config.namespace.clone(),
                });
            }
        }
        let server = Arc::new(Alone {
            config,
            connections,
            clock,
        });
        Ok(Self {
            lanes: Lanes::start(&server, &CAPABILITIES),
            server,
        })
    }

    /// The server that the first bucket is on, once there is one that can be drawn from.
    ///
    /// # Errors
    /// When the runtime is ending.
    pub async fn server(&self) -> Result<Server, Fault> {
        Ok(self.server.connections.first().wait().await?.server.clone())
    }

    /// Why numbers cannot be drawn now, if so. Asks nobody.
    #[must_use]
    pub fn obstacle(&self) -> Option<Fault> {
        self.server.connections.obstacle()
    }
}

impl Alone {
    fn tables(&self) -> Tables<'_> {
        Tables {
            connections: &self.connections,
            namespace: &self.config.namespace,
        }
    }

    /// Carries out commands, those of each bucket in their order.
    async fn apply(&self, batch: &[Command]) -> Vec<Result<Reply, StoreError>> {
        let mut answers: Vec<Option<Result<Reply, StoreError>>> = Vec::new();
        let mut of_bucket: HashMap<Bucket, Vec<usize>> = HashMap::new();
        for (at, command) in batch.iter().enumerate() {
            let refused = not_kept(command);
            if refused.is_none() {
                of_bucket
                    .entry(Bucket::of(command.act.sequence()))
                    .or_default()
                    .push(at);
            }
            answers.push(refused.map(|refusal| Err(refusal.into())));
        }
        for (bucket, places) in of_bucket {
            let commands: Vec<&Command> = places.iter().map(|at| &batch[*at]).collect();
            for (at, answer) in places.into_iter().zip(self.carry_out(bucket, &commands).await) {
                answers[at] = Some(answer);
            }
        }
        let answered =
            |answer: Option<_>| answer.unwrap_or_else(|| Err(StoreError::Unknown(Arc::new(NoReply))));
        answers.into_iter().map(answered).collect()
    }

    /// Carries out commands on sequences of one bucket.
    async fn carry_out(&self, bucket: Bucket, commands: &[&Command]) -> Vec<Result<Reply, StoreError>> {
        let mut last = StoreError::Overloaded;
        for _ in 0..ATTEMPTS {
            match self.try_once(bucket, commands).await {
                Ok(Some(replies)) => return replies,
                Ok(None) => {}
                Err(error) => {
                    last = error;
                    break;
                }
            }
        }
        commands.iter().map(|_| Err(last.clone())).collect()
    }

    /// The same, unless somebody else wrote meanwhile.
    async fn try_once(
        &self,
        bucket: Bucket,
        commands: &[&Command],
    ) -> Result<Option<Vec<Result<Reply, StoreError>>>, StoreError> {
        let late: Vec<bool> = commands.iter().map(|command| command.is_late()).collect();
        let in_time = || commands.iter().zip(&late).filter(|(_, late)| !**late);
        let asked: Vec<&Command> = in_time().map(|(command, _)| *command).collect();
        // Nothing is chained: the name stands in no event that is kept.
        let mut snapshot = Snapshot::new(Authority([0; 16]));
        let read = self
            .tables()
            .load(&mut snapshot, &asked)
            .await
            .map_err(nothing_done)?;
        let mut replies = snapshot.decide(&asked, self.clock.now()).into_iter();
        let decided = late.iter().map(|late| {
            if *late {
                return Err(StoreError::Late);
            }
            match replies.next() {
                Some(reply) => reply.map_err(StoreError::from),
                None => Err(StoreError::Unknown(Arc::new(NoReply))),
            }
        });
        let decided: Vec<_> = decided.collect();
        match self.tables().write(bucket, snapshot, &read).await {
            Ok(true) => Ok(Some(decided)),
            Ok(false) => Ok(None),
            // What was refused is so whatever became of the others.
            Err(error) => Ok(Some(
                decided
                    .into_iter()
                    .map(|reply| reply.and(Err(error.clone())))
                    .collect(),
            )),
        }
    }
}

/// What was read without a write behind it did nothing.
fn nothing_done(error: StoreError) -> StoreError {
    match error {
        StoreError::Away { part, cause, .. } => StoreError::Away {
            part,
            certainty: Certainty::NotIssued,
            cause,
        },
        other => other,
    }
}

/// The ledger gave fewer answers than it was asked for.
#[derive(Debug, thiserror::Error)]
#[error("the command was not answered")]
struct NoReply;

/// What a command needs that is not kept.
fn not_kept(command: &Command) -> Option<Refusal> {
    let what = match &command.act {
        _ if command.key.is_some() => "idempotency keys",
        Act::Draw(draw) if draw.hold.is_some() => "reservations",
        Act::Define(define) if define.implicit.is_some() => return Some(Refusal::ImplicitEnded),
        Act::Draw(_) | Act::Shift(_) | Act::Define(_) | Act::Archive(_) => return None,
        Act::Settle(_) | Act::Expire(_) => "reservations",
        Act::Close(_) => "closed dates",
        Act::Void(_) | Act::Adopt(_) | Act::Freeze(_) => "audit",
        Act::Lease(_) | Act::Extend(_) | Act::Report(_) | Act::EndLease(_) => "leases",
        _ => "audit",
    };
    Some(Refusal::NotKept { what })
}

fn no_audit<T>() -> Result<T, StoreError> {
    Err(Refusal::NotKept { what: "audit" }.into())
}

#[async_trait]
impl Serve for Alone {
    async fn serve(&self, batch: Vec<Sealed>) {
        let commands: Vec<Command> = batch.iter().map(|sealed| sealed.command.clone()).collect();
        let answers = self.apply(&commands).await;
        for (sealed, answer) in batch.into_iter().zip(answers) {
            sealed.answer(answer);
        }
    }
}

#[async_trait]
impl CounterStore for UnfencedStore {
    fn capabilities(&self) -> Capabilities {
        CAPABILITIES
    }

    async fn apply(&self, batch: Vec<Command>) -> Vec<Result<Reply, StoreError>> {
        self.lanes.apply(batch).await
    }

    async fn counter(&self, key: &CounterKey) -> Result<Option<CounterState>, StoreError> {
        self.server.tables().counter(key).await
    }

    async fn close(&self) -> Result<(), StoreError> {
        self.lanes.close().await;
        Ok(())
    }
}

#[async_trait]
impl DefinitionStore for UnfencedStore {
    async fn sequence(&self, key: &SequenceKey) -> Result<Option<SequenceRecord>, StoreError> {
        if key.is_whole() {
            return Ok(None);
        }
        let found = self.server.tables().sequence(key).await?;
        Ok(found.filter(|record| record.key == *key))
    }

    async fn sequences(
        &self,
        tenant: &Tenant,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<SequenceRecord>, StoreError> {
        self.server.tables().sequences(tenant, after, limit).await
    }
}

#[async_trait]
impl AuditLog for UnfencedStore {
    async fn counters(
        &self,
        sequence: &SequenceKey,
        after: u64,
        limit: usize,
    ) -> Result<Vec<CounterRecord>, StoreError> {
        self.server.tables().counters(sequence, after, limit).await
    }

    async fn reservation(&self, _id: &ReservationId) -> Result<Option<ReservationRecord>, StoreError> {
        Ok(None)
    }

    async fn marks(
        &self,
        _counter: &CounterKey,
        _after: Option<(u32, Number)>,
        _limit: usize,
    ) -> Result<Vec<MarkRecord>, StoreError> {
        no_audit()
    }

    async fn leases(
        &self,
        _sequence: &SequenceKey,
        _after: Option<LeaseId>,
        _limit: usize,
    ) -> Result<Vec<LeaseRecord>, StoreError> {
        Ok(Vec::new())
    }

    async fn events(&self, _after: u64, _limit: usize) -> Result<Vec<Recorded>, StoreError> {
        no_audit()
    }

    async fn query(&self, _query: &EventQuery) -> Result<EventPage, StoreError> {
        no_audit()
    }

    async fn heads(&self) -> Result<Heads, StoreError> {
        no_audit()
    }
}

/// There are no events to deliver.
#[async_trait]
impl EventSource for UnfencedStore {
    async fn take(&self, _limit: usize) -> Result<Vec<Recorded>, StoreError> {
        std::future::pending().await
    }

    async fn acknowledge(&self, _position: u64) -> Result<(), StoreError> {
        Ok(())
    }

    async fn backlog(&self) -> Result<Backlog, StoreError> {
        Ok(Backlog::default())
    }
}
