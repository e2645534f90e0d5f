//! How a counter comes by a range in Redis, and how it is ended: the protocol of `tests/model/README.md`.

use std::sync::Arc;

use seqid_core::command::{Act, Command, EndLease, ExtendLease, LeaseEnd, Reply, TakeLease};
use seqid_core::counter::{CounterKey, CounterState};
use seqid_core::lease::{Holder, Lease, LeaseId, LeaseState};
use seqid_core::ledger::Refusal;
use seqid_core::line::Line;
use seqid_core::names::Label;
use seqid_core::store::{Ledger, StoreError};
use sha2::{Digest, Sha256};

use super::Shared;
use super::counter::{Claim, Counter, Hold};
use super::obstacle::Obstacle;
use crate::counter_id::CounterId;
use crate::fenced::{Closed, Fence, Grant, Opened, Refused, Seeded};
use crate::history::History;

/// How often a range is asked for in one go: others may be at it, and the server may go on meanwhile.
const ATTEMPTS: usize = 8;

/// How a history is called in the durable store.
fn name_of(history: &History) -> Result<Label, StoreError> {
    let name = format!("{}/{}", history.run_id, history.master_replid);
    Label::new(&name).map_err(|error| StoreError::Corrupt(Arc::new(error)))
}

/// The history of such a name.
fn history_named(name: &str) -> Option<History> {
    let (run_id, master_replid) = name.split_once('/')?;
    Some(History {
        run_id: run_id.to_owned(),
        master_replid: master_replid.to_owned(),
    })
}

/// The history that has a lease.
pub(super) fn history_of(lease: &Lease) -> Result<History, Obstacle> {
    let named = match &lease.holder {
        Holder::History { name, .. } => history_named(name.as_str()),
        Holder::Process(_) => None,
    };
    named.ok_or(Obstacle::NoHistory(lease.id))
}

/// The lease that answers an offer: one, whoever asks for it and however often.
fn lease_of(counter: &CounterId, offer: &str) -> LeaseId {
    let mut hash = Sha256::new();
    for part in ["seqid offer", counter.name(), offer] {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part.as_bytes());
    }
    let digest: [u8; 32] = hash.finalize().into();
    let mut id = [0; 16];
    id.copy_from_slice(&digest[..16]);
    LeaseId(id)
}

impl<L: Ledger + 'static> Shared<L> {
    /// Gives a counter a range that is believed to be drawn from: one that is there already, else a new one.
    ///
    /// # Errors
    /// [`StoreError::Refused`] where the durable store is to say what becomes of draws.
    pub(super) async fn acquire(&self, claim: &Claim, line: &Arc<Line>) -> Result<(), StoreError> {
        let counter = claim.counter();
        let mut replaces: Option<Lease> = None;
        for _ in 0..ATTEMPTS {
            let known = self.ledger.counter(&counter.key).await?;
            let id = CounterId::new(&counter.key, known.as_ref().map_or(1, |state| state.generation));
            let spent = counter.state().spent.clone();
            let opened = match self.fenced.open(&id, spent.as_deref()).await? {
                Ok(opened) => opened,
                Err(refused) => return Err(self.fenced_off(&refused)),
            };
            self.require_no_later_epoch(counter, &opened, known.as_ref())
                .await?;
            if let Some(lease) = &replaces {
                // Else what was answered already would be unknown until it is.
                self.report_all().await?;
                tracing::warn!(counter = %counter.key, former = %lease.holder.name(), now = %opened.history,
                    "a range is lost with the history that it was lent to, and another one is lent");
            }
            let take = TakeLease {
                line: Arc::clone(line),
                id: lease_of(&id, &opened.offer),
                holder: Holder::History {
                    name: name_of(&opened.history)?,
                    topology: opened.topology,
                },
                count: counter
                    .state()
                    .pace
                    .next(self.clock.now(), line.definition().largest_gap()),
                replaces: replaces.clone(),
            };
            match self.lease(Act::Lease(take)).await {
                Ok(lease) if lease.state == LeaseState::Open && !self.is_distrusted(counter, &lease) => {
                    if self.seed(&id, line, &opened, &lease).await? {
                        self.note_lost(&counter.key, &id, replaces.as_ref(), &opened)
                            .await;
                        counter.state().spent = Some(opened.offer);
                        return self.hold(counter, id, line, lease, opened.history).await;
                    }
                }
                Ok(_) | Err(StoreError::Refused(Refusal::LeaseTaken(_))) => {
                    counter.state().spent = Some(opened.offer);
                }
                Err(StoreError::Refused(Refusal::LeaseChanged { current })) => {
                    let current = current.map(|lease| *lease);
                    let former = current.as_ref().map(history_of).transpose();
                    // Of a holder that is nothing of ours.
                    let former = former.map_err(|_| Refusal::OpenLeases { count: 1 })?;
                    match current {
                        Some(lease)
                            if former.as_ref() == Some(&opened.history)
                                && !self.is_distrusted(counter, &lease) =>
                        {
                            return self.hold(counter, id, line, lease, opened.history).await;
                        }
                        other => replaces = other,
                    }
                }
                Err(StoreError::Refused(Refusal::HistoryGone { .. })) => {
                    self.fenced.retire(id.bucket(), &opened.history, opened.topology);
                    return Err(Obstacle::Retired(opened.history).into());
                }
                Err(StoreError::Refused(Refusal::OldTopology { .. })) => {
                    self.fenced.look_again(id.bucket());
                    return Err(Obstacle::OldTopology.into());
                }
                Err(error) => return Err(error),
            }
        }
        Err(Obstacle::Unsteady.into())
    }

    fn is_distrusted(&self, counter: &Counter, lease: &Lease) -> bool {
        counter.state().distrusted == Some(lease.id)
    }

    /// A history that another has taken the place of is not drawn from again, unless it is chosen anew.
    async fn note_lost(&self, key: &CounterKey, id: &CounterId, replaced: Option<&Lease>, now: &Opened) {
        let Some(replaced) = replaced else { return };
        self.count_lost(key, replaced).await;
        if let Ok(former) = history_of(replaced)
            && former != now.history
        {
            self.fenced.retire(id.bucket(), &former, now.topology);
        }
    }

    /// A key that is ahead of the durable store shows that the store went back in time.
    async fn require_no_later_epoch(
        &self,
        counter: &Counter,
        opened: &Opened,
        known: Option<&CounterState>,
    ) -> Result<(), StoreError> {
        let Some(found) = opened.epoch else { return Ok(()) };
        if known.is_some_and(|state| found <= state.epoch) {
            return Ok(());
        }
        // Somebody else may have leased meanwhile.
        let now = self.ledger.counter(&counter.key).await?;
        match now.map_or(0, |state| state.epoch) {
            known if found > known => Err(Obstacle::StoreBehind { found, known }.into()),
            _ => Ok(()),
        }
    }

    async fn seed(
        &self,
        id: &CounterId,
        line: &Line,
        opened: &Opened,
        lease: &Lease,
    ) -> Result<bool, StoreError> {
        let run = lease.run.ok_or(Obstacle::NoAnswer)?;
        let grant = Grant {
            offer: opened.offer.clone(),
            history: opened.history.clone(),
            epoch: lease.epoch,
            version: line.head(),
            first: run.first,
            end: run.next(),
        };
        match self.fenced.seed(id, &grant).await? {
            Seeded::Done { .. } => Ok(true),
            Seeded::Fenced(refused) if matches!(refused.fence, Fence::Role | Fence::Authority) => {
                Err(self.fenced_off(&refused))
            }
            Seeded::Fenced(_) => Ok(false),
        }
    }

    /// Draws from a lease from now on.
    async fn hold(
        &self,
        counter: &Counter,
        id: CounterId,
        line: &Arc<Line>,
        lease: Lease,
        history: History,
    ) -> Result<(), StoreError> {
        // While it is open, neither dates nor definitions change.
        let sequence = self.ledger.sequence(counter.key.sequence()).await?;
        let run = lease.run.ok_or(Obstacle::NoAnswer)?;
        self.figures
            .leased
            .fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        counter.state().hold = Some(Hold {
            id,
            floor: run.first.get(),
            end: run.next(),
            lease,
            history,
            line: Arc::clone(line),
            closed_through: sequence.and_then(|sequence| sequence.last_closed()),
        });
        Ok(())
    }

    /// Lengthens a counter's range, so that it has room for at least `count` numbers if the counter has them.
    ///
    /// # Errors
    /// As [`acquire`](Self::acquire). The range may have ended meanwhile: then the counter has none.
    pub(super) async fn extend(&self, counter: &Counter, count: u64) -> Result<(), StoreError> {
        let _one = counter.extending.lock().await;
        let Some(hold) = counter.state().hold.clone() else {
            return Ok(());
        };
        if hold.room() >= count {
            return Ok(());
        }
        let run = hold.lease.run.ok_or(Obstacle::NoAnswer)?;
        let lease = if run.next() > hold.end {
            // Lent before, and not brought to Redis.
            hold.lease.clone()
        } else {
            let most = hold.line.definition().largest_gap();
            let wanted = counter.state().pace.next(self.clock.now(), most);
            let extend = ExtendLease {
                line: Arc::clone(&hold.line),
                id: hold.lease.id,
                last: run.last(),
                // So that never more than the largest gap lies between the next number and the end.
                count: wanted.max(count).min(most.saturating_sub(hold.room())).max(1),
            };
            match self.lease(Act::Extend(extend)).await {
                Ok(lease) => lease,
                Err(StoreError::Refused(
                    Refusal::LeaseEnded(_) | Refusal::NoLease(_) | Refusal::LeaseBuried(_),
                )) => {
                    drop_hold(counter, &hold);
                    return Ok(());
                }
                Err(error) => return Err(error),
            }
        };
        if lease.state != LeaseState::Open {
            drop_hold(counter, &hold);
            return Ok(());
        }
        self.bring(counter, &hold, lease).await
    }

    /// Brings the end of a lease to Redis.
    async fn bring(&self, counter: &Counter, hold: &Hold, lease: Lease) -> Result<(), StoreError> {
        let to = lease.run.ok_or(Obstacle::NoAnswer)?.next();
        let mut from = hold.end;
        for _ in 0..ATTEMPTS {
            match self.fenced.extend(&hold.id, lease.epoch, from, to).await? {
                Seeded::Done { .. } => {
                    reach(counter, lease, to);
                    return Ok(());
                }
                Seeded::Fenced(Refused {
                    fence: Fence::Range,
                    end: Some(end),
                    ..
                }) if end >= to => {
                    reach(counter, lease, end);
                    return Ok(());
                }
                Seeded::Fenced(Refused {
                    fence: Fence::Range,
                    end: Some(end),
                    ..
                }) => from = end,
                // The next draw meets it too, and sees to it.
                Seeded::Fenced(_) => return Ok(()),
            }
        }
        Err(Obstacle::Unsteady.into())
    }

    /// Leaves a range that Redis does not draw from as it is known here. If Redis vouches for where it ended, the rest is
    /// given back; else it is lost when the next one is lent.
    pub(super) async fn leave(&self, claim: &Claim, refused: Option<&Refused>) -> Result<(), StoreError> {
        let counter = claim.counter();
        let Some(hold) = counter.state().hold.clone() else {
            return Ok(());
        };
        let later = refused
            .is_some_and(|refused| refused.fence == Fence::Epoch && refused.epoch > Some(hold.lease.epoch));
        if !later && !self.end_by_close(&hold).await? {
            counter.state().distrusted = Some(hold.lease.id);
        }
        counter.state().hold = None;
        Ok(())
    }

    /// Closes a range in Redis, and gives back what was not drawn. Answers whether Redis could tell what that is.
    pub(super) async fn end_by_close(&self, hold: &Hold) -> Result<bool, StoreError> {
        let closed = self.fenced.close(&hold.id, hold.lease.epoch, hold.floor).await?;
        let Closed::Done { next } = closed else {
            return Ok(false);
        };
        let mut lease = hold.lease.clone();
        for _ in 0..ATTEMPTS {
            let end = EndLease {
                line: Arc::clone(&hold.line),
                lease,
                end: LeaseEnd::Unused { from: next },
            };
            match self.lease(Act::EndLease(end)).await {
                Ok(_) => return Ok(true),
                Err(StoreError::Refused(Refusal::LeaseChanged {
                    current: Some(current),
                })) if current.id == hold.lease.id => lease = *current,
                // Another one has seen to it.
                Err(StoreError::Refused(Refusal::LeaseChanged { .. } | Refusal::LeaseEnded(_))) => {
                    return Ok(true);
                }
                Err(StoreError::Refused(Refusal::NotPending { .. } | Refusal::NoLease(_))) => {
                    return Ok(false);
                }
                Err(error) => return Err(error),
            }
        }
        Ok(false)
    }

    /// What whoever draws is told of a fence that no new range helps against.
    pub(super) fn fenced_off(&self, refused: &Refused) -> StoreError {
        Obstacle::Fenced(refused.fence).into()
    }

    /// Asks the durable store for a lease.
    pub(super) async fn lease(&self, act: Act) -> Result<Lease, StoreError> {
        match self.tell(Command::new(act, Arc::clone(&self.origin))).await? {
            Reply::Leased(lease) => Ok(*lease),
            _ => Err(Obstacle::NoAnswer.into()),
        }
    }

    /// Has the durable store carry out a command.
    pub(super) async fn tell(&self, command: Command) -> Result<Reply, StoreError> {
        let mut replies = self.ledger.apply(vec![command]).await;
        replies.pop().unwrap_or_else(|| Err(Obstacle::NoAnswer.into()))
    }
}

fn drop_hold(counter: &Counter, hold: &Hold) {
    let mut state = counter.state();
    if state
        .hold
        .as_ref()
        .is_some_and(|now| now.lease.id == hold.lease.id)
    {
        state.hold = None;
    }
}

/// A range reaches so far.
fn reach(counter: &Counter, lease: Lease, end: u64) {
    let mut state = counter.state();
    if let Some(hold) = &mut state.hold
        && hold.lease.id == lease.id
    {
        hold.lease = lease;
        hold.end = hold.end.max(end);
    }
}
