//! What changes a counter beside its draws has to wait until no range of it is lent: the range is closed in Redis, what was drawn
//! is recorded, and the rest is given back.

use std::sync::Arc;
use std::time::Duration;

use seqid_core::command::{Act, Command, EndLease, LeaseEnd, Reply};
use seqid_core::counter::CounterKey;
use seqid_core::lease::{Holder, Lease};
use seqid_core::ledger::Refusal;
use seqid_core::store::{LeaseRecord, Ledger, StoreError};

use super::Shared;
use super::counter::Claim;
use super::holding::history_of;
use crate::counter_id::CounterId;
use crate::fenced::Closed;

/// How often ranges are fetched back for one command: other instances may lend new ones meanwhile.
const ATTEMPTS: usize = 16;
/// How many leases are read at a time.
const PAGE: usize = 1_000;

impl<L: Ledger + 'static> Shared<L> {
    /// Has the durable store carry out a command, for which ranges are fetched back if it must be.
    pub(super) async fn pass_on(self: &Arc<Self>, command: Command) -> Result<Reply, StoreError> {
        match self.tell(command.clone()).await {
            Err(StoreError::Refused(Refusal::OpenLeases { .. })) => {
                let shared = Arc::clone(self);
                // Whoever asked may go away in the middle.
                let behind = tokio::spawn(async move { shared.behind_barrier(command).await });
                let ended = behind.await;
                ended.unwrap_or_else(|error| Err(StoreError::Unknown(Arc::new(error))))
            }
            answer => answer,
        }
    }

    async fn behind_barrier(self: &Arc<Self>, command: Command) -> Result<Reply, StoreError> {
        let _one = self.barrier.lock().await;
        let mut answer = Err(StoreError::Overloaded);
        for _ in 0..ATTEMPTS {
            let leases = self.leases_before(&command.act).await?;
            let mut claims = Vec::with_capacity(leases.len());
            for LeaseRecord { counter, .. } in &leases {
                if !claims.iter().any(|claim: &Claim| claim.counter().key == *counter) {
                    claims.push(self.counter(counter).claim().await);
                }
            }
            let ended = self.fetch_back(&leases, command.clone()).await;
            for claim in claims {
                claim.counter().state().hold = None;
                self.release(claim);
            }
            answer = ended;
            if !matches!(answer, Err(StoreError::Refused(Refusal::OpenLeases { .. }))) || leases.is_empty() {
                break;
            }
        }
        answer
    }

    /// Ends leases, and carries out the command in the same breath.
    async fn fetch_back(
        self: &Arc<Self>,
        leases: &[LeaseRecord],
        command: Command,
    ) -> Result<Reply, StoreError> {
        self.report_all().await?;
        let count = leases.len() as u64;
        let mut batch = Vec::with_capacity(leases.len() + 1);
        let mut lost = Vec::new();
        for LeaseRecord { counter, lease } in leases {
            let end = self.end_of(counter, lease).await;
            let end = end.map_err(|error| match error {
                // Whoever has the numbers cannot be reached.
                StoreError::Unavailable(cause) | StoreError::Away { cause, .. } => {
                    tracing::warn!(%counter, %cause, "a range cannot be fetched back");
                    Refusal::OpenLeases { count }.into()
                }
                other => other,
            })?;
            if let LeaseEnd::Lost = end.end {
                lost.push((counter, lease));
            }
            batch.push(Command::new(Act::EndLease(end), Arc::clone(&self.origin)));
        }
        batch.push(command);
        let mut replies = self.ledger.apply(batch).await;
        for (counter, lease) in lost {
            self.count_lost(counter, lease).await;
        }
        replies
            .pop()
            .unwrap_or_else(|| Err(super::obstacle::Obstacle::NoAnswer.into()))
    }

    /// How a lease ends: as Redis vouches for it, else as one that is lost.
    async fn end_of(&self, counter: &CounterKey, lease: &Lease) -> Result<EndLease, StoreError> {
        // Of a holder that is nothing of ours.
        history_of(lease).map_err(|_| Refusal::OpenLeases { count: 1 })?;
        let id = CounterId::new(counter, lease.generation);
        let hold = self.counter(counter).state().hold.clone();
        let mine = hold.filter(|hold| hold.lease.id == lease.id);
        let floor = mine.as_ref().map_or(0, |hold| hold.floor);
        let line = match mine {
            Some(hold) => hold.line,
            None => self.lines.of_lease(&self.ledger, counter, lease).await?,
        };
        let end = match self.fenced.close(&id, lease.epoch, floor).await {
            Ok(Closed::Done { next }) => LeaseEnd::Unused { from: next },
            Ok(Closed::Missing | Closed::Fenced(_)) => LeaseEnd::Lost,
            Err(fault) => return Err(StoreError::Unavailable(Arc::new(fault))),
        };
        // Draws of others too: nothing is added to an epoch that is closed.
        self.take_over(id.bucket(), Duration::ZERO, Some(&id)).await?;
        Ok(EndLease {
            line,
            lease: lease.clone(),
            end,
        })
    }

    /// The ranges that stand in the way of a command.
    async fn leases_before(&self, act: &Act) -> Result<Vec<LeaseRecord>, StoreError> {
        let (mut found, mut after) = (Vec::new(), None);
        loop {
            let page = self.ledger.leases(act.sequence(), after, PAGE).await?;
            after = page.last().map(|record| record.lease.id);
            let is_whole = page.len() == PAGE;
            found.extend(page.into_iter().filter(|record| {
                let of_history = matches!(record.lease.holder, Holder::History { .. });
                of_history && act.counter().is_none_or(|counter| *counter == record.counter)
            }));
            if !is_whole {
                return Ok(found);
            }
        }
    }

    /// Records what was drawn here, and gives back the ranges that were drawn from.
    pub(super) async fn give_back(self: &Arc<Self>) -> Result<(), StoreError> {
        let _one = self.barrier.lock().await;
        let mut ended = Ok(());
        for counter in self.all_counters() {
            let claim = counter.claim().await;
            let hold = claim.counter().state().hold.take();
            if let Some(hold) = hold
                && let Err(error) = self.end_by_close(&hold).await
            {
                ended = Err(error);
            }
            self.release(claim);
        }
        self.report_all().await?;
        ended
    }
}
