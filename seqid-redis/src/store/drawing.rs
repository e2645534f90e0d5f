//! Draws in Redis: those of a bucket go out together, one batch at a time, and a counter that needs a range waits aside.

use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;
use seqid_core::command::{Act, Draw as DrawAct, Granted, Reply};
use seqid_core::counter::{CounterKey, Run};
use seqid_core::intake::Sealed;
use seqid_core::lanes::Serve;
use seqid_core::ledger::Refusal;
use seqid_core::store::{Certainty, Ledger, StoreError};
use seqid_core::time::Timestamp;

use super::Shared;
use super::counter::{Claim, Hold};
use super::obstacle::Obstacle;
use super::record::{Place, Said, Written};
use super::reports::Keyed;
use crate::counter_id::Bucket;
use crate::error::Fault;
use crate::fenced::{Draw, Drawn, Fence, Refused};

/// How often a counter is given a range, or a longer one, for a batch of draws.
const ATTEMPTS: usize = 8;

/// Draws from the counters of one bucket.
#[derive(Debug)]
pub(super) struct Pump<L> {
    pub(super) shared: Arc<Shared<L>>,
    pub(super) bucket: Bucket,
}

#[async_trait]
impl<L: Ledger + 'static> Serve for Pump<L> {
    async fn serve(&self, batch: Vec<Sealed>) {
        if let Some(error) = self.shared.backlog().await {
            return answer_all(batch, &error);
        }
        let mut ready = Vec::new();
        for (key, draws) in by_counter(batch) {
            let counter = self.shared.counter(&key);
            let Some((claim, draws)) = counter.claim_for(draws) else {
                continue;
            };
            let sorted = self.shared.sort(&claim, draws);
            if !sorted.is_plain() {
                let shared = Arc::clone(&self.shared);
                tokio::spawn(shared.serve_aside(claim, sorted.all()));
            } else if let Some(planned) = sorted.planned {
                ready.push((claim, planned));
            } else {
                // All of them came too late.
                self.shared.release(claim);
            }
        }
        if ready.is_empty() {
            return;
        }
        let (claims, planned): (Vec<_>, Vec<_>) = ready.into_iter().unzip();
        let draws: Vec<Draw> = planned.iter().map(|planned| planned.draw.clone()).collect();
        let answers = self.shared.fenced.draw(self.bucket, &draws).await;
        let answers = each(answers, planned.len());
        for ((claim, planned), answer) in claims.into_iter().zip(planned).zip(answers) {
            match self.shared.settle(&claim, planned, answer) {
                None => {
                    self.shared.prefetch(&claim);
                    self.shared.release(claim);
                }
                Some((again, why)) => {
                    let shared = Arc::clone(&self.shared);
                    tokio::spawn(async move {
                        let again = shared.react(&claim, again, why).await;
                        shared.serve_aside(claim, again).await;
                    });
                }
            }
        }
    }
}

fn each(answers: Result<Vec<Drawn>, Fault>, count: usize) -> Vec<Result<Drawn, Fault>> {
    match answers {
        Ok(answers) => answers.into_iter().map(Ok).collect(),
        Err(fault) => vec![Err(fault); count],
    }
}

/// The draws of each counter, in their order.
fn by_counter(batch: Vec<Sealed>) -> Vec<(CounterKey, Vec<Sealed>)> {
    let key_of = |sealed: &Sealed| draw_of(sealed).map(|draw| draw.line.key().clone());
    // Most batches are of one counter.
    if let Some(key) = batch.first().and_then(key_of)
        && batch.iter().all(|sealed| is_of(sealed, &key))
    {
        return vec![(key, batch)];
    }
    let mut places: HashMap<CounterKey, usize> = HashMap::new();
    let mut groups: Vec<(CounterKey, Vec<Sealed>)> = Vec::new();
    for sealed in batch {
        let Some(key) = key_of(&sealed) else {
            sealed.answer(Err(Obstacle::NoAnswer.into()));
            continue;
        };
        let at = *places.entry(key.clone()).or_insert_with(|| {
            groups.push((key, Vec::new()));
            groups.len() - 1
        });
        groups[at].1.push(sealed);
    }
    groups
}

fn is_of(sealed: &Sealed, key: &CounterKey) -> bool {
    draw_of(sealed).is_some_and(|draw| draw.line.key() == key)
}

pub(super) fn draw_of(sealed: &Sealed) -> Option<&DrawAct> {
    match &sealed.command.act {
        Act::Draw(draw) => Some(draw),
        _ => None,
    }
}

pub(super) fn answer_all(batch: Vec<Sealed>, error: &StoreError) {
    for sealed in batch {
        sealed.answer(Err(error.clone()));
    }
}

/// Draws of one counter that Redis is asked for in one go.
#[derive(Debug)]
pub(super) struct Planned {
    hold: Hold,
    draws: Vec<(Sealed, usize)>,
    written: Written,
    draw: Draw,
    at: Timestamp,
}

/// The draws of a counter by what is to be done with them.
#[derive(Debug, Default)]
pub(super) struct Sorted {
    planned: Option<Planned>,
    /// For which there is no range, or no room in it.
    later: Vec<Sealed>,
    /// What the durable store is to say no to.
    forward: Vec<Sealed>,
}

impl Sorted {
    fn is_plain(&self) -> bool {
        self.later.is_empty() && self.forward.is_empty()
    }

    fn all(self) -> Vec<Sealed> {
        let planned = self.planned.into_iter().flat_map(|planned| planned.draws);
        let planned = planned.map(|(sealed, _)| sealed);
        planned.chain(self.later).chain(self.forward).collect()
    }
}

/// Why Redis gave nothing, though it may if asked again.
#[derive(Debug)]
pub(super) enum Why {
    RangeEnd { next: u64, end: u64 },
    StaleVersion,
    Missing,
    Fenced(Refused),
}

impl<L: Ledger + 'static> Shared<L> {
    /// Gives a counter back to whoever wants it next.
    pub(super) fn release(self: &Arc<Self>, claim: Claim) {
        if let Some((claim, draws)) = claim.next() {
            tokio::spawn(Arc::clone(self).serve_aside(claim, draws));
        }
    }

    /// Fetches the next range before this one has ended.
    pub(super) fn prefetch(self: &Arc<Self>, claim: &Claim) {
        let counter = claim.counter();
        let few = {
            let state = counter.state();
            let few = state.pace.few();
            if state.hold.as_ref().is_none_or(|hold| hold.room() >= few) {
                return;
            }
            few
        };
        if counter.extending.try_lock().is_err() {
            return;
        }
        let (shared, counter) = (Arc::clone(self), Arc::clone(counter));
        tokio::spawn(async move {
            // Whoever finds the range used up is told of the error.
            if let Err(error) = shared.extend(&counter, few).await {
                tracing::debug!(counter = %counter.key, %error, "the next range could not be fetched yet");
            }
        });
    }

    /// Carries out draws of a counter, and those that come meanwhile.
    pub(super) async fn serve_aside(self: Arc<Self>, mut claim: Claim, mut draws: Vec<Sealed>) {
        loop {
            self.carry_out(&claim, draws).await;
            match claim.next() {
                Some((same, more)) => (claim, draws) = (same, more),
                None => return,
            }
        }
    }

    async fn carry_out(self: &Arc<Self>, claim: &Claim, mut draws: Vec<Sealed>) {
        for _ in 0..ATTEMPTS {
            draws = not_late(draws);
            let Some(first) = draws.first().and_then(draw_of).cloned() else {
                return;
            };
            match self.make_room(claim, &first).await {
                Ok(true) => {}
                Ok(false) => return self.forward(draws),
                Err(error) => return answer_all(draws, &not_issued(error)),
            }
            let Sorted {
                planned,
                later,
                forward,
            } = self.sort(claim, draws);
            self.forward(forward);
            draws = later;
            let Some(planned) = planned else { continue };
            let mut answers = each(
                self.fenced
                    .draw(planned.hold.id.bucket(), std::slice::from_ref(&planned.draw))
                    .await,
                1,
            );
            let answer = answers.pop().unwrap_or(Ok(Drawn::Missing));
            if let Some((mut again, why)) = self.settle(claim, planned, answer) {
                again.append(&mut draws);
                draws = self.react(claim, again, why).await;
            }
        }
        answer_all(draws, &Obstacle::Unsteady.into());
    }

    /// Sees to it that there is a range with room for a draw. Answers whether there is: else the durable store is to say so.
    async fn make_room(&self, claim: &Claim, draw: &DrawAct) -> Result<bool, StoreError> {
        let counter = claim.counter();
        let count = u64::from(draw.count);
        // Twice, since a range may turn out to have ended when it is to be lengthened.
        for _ in 0..2 {
            if counter.state().hold.is_none() {
                match self.acquire(claim, &draw.line).await {
                    Ok(()) => {}
                    Err(StoreError::Refused(_)) => return Ok(false),
                    Err(error) => return Err(error),
                }
            }
            match self.extend(counter, count).await {
                Ok(()) | Err(StoreError::Refused(Refusal::Exhausted { .. })) => {}
                Err(StoreError::Refused(_)) => return Ok(false),
                Err(error) => return Err(error),
            }
            let hold = counter.state().hold.clone();
            match hold {
                Some(hold) if hold.room() >= count => return Ok(true),
                Some(hold) if is_at_its_end(&hold) => {
                    self.leave(claim, None).await?;
                    return Ok(false);
                }
                _ => {}
            }
        }
        // The next draw tells what Redis knows of it.
        Ok(counter.state().hold.is_some())
    }

    /// What of these draws there is room for, in their order.
    pub(super) fn sort(&self, claim: &Claim, draws: Vec<Sealed>) -> Sorted {
        let mut sorted = Sorted::default();
        let Some(hold) = claim.counter().state().hold.clone() else {
            sorted.later = draws;
            return sorted;
        };
        let at = self.clock.now();
        let mut room = hold.room();
        let mut taken = 0;
        let mut written = Written::new();
        let mut planned = Vec::with_capacity(draws.len());
        for sealed in not_late(draws) {
            let Some(draw) = draw_of(&sealed) else { continue };
            let count = u64::from(draw.count);
            let is_closed = hold.closed_through.is_some_and(|last| draw.line.date() <= last);
            if is_closed || draw.line.head() < hold.line.head() {
                sorted.forward.push(sealed);
            } else if draw.line.head() > hold.line.head() {
                // So the range has ended: definitions do not change while it is lent.
                claim.counter().state().hold = None;
                sorted.later.push(sealed);
            } else if count > room || !sorted.later.is_empty() {
                sorted.later.push(sealed);
            } else {
                room -= count;
                taken += count;
                let said = Said {
                    at,
                    origin: Arc::clone(&sealed.command.origin),
                    key: sealed.command.key.clone(),
                    reference: draw.reference.clone(),
                    relates_to: draw.relates_to.clone(),
                };
                let record = written.add(&draw.line, count, said);
                planned.push((sealed, record));
            }
        }
        if taken > 0 {
            let step = hold.line.definition().step();
            sorted.planned = Some(Planned {
                draw: Draw {
                    counter: hold.id.clone(),
                    epoch: hold.lease.epoch,
                    version: hold.line.head(),
                    advance: taken * step,
                    floor: hold.floor,
                    events: written.encode(&claim.counter().key, &hold.lease, step),
                },
                draws: planned,
                written,
                hold,
                at,
            });
        }
        sorted
    }

    /// Answers draws. Those that may be carried out yet are handed back, with what stands in their way.
    pub(super) fn settle(
        self: &Arc<Self>,
        claim: &Claim,
        planned: Planned,
        answer: Result<Drawn, Fault>,
    ) -> Option<(Vec<Sealed>, Why)> {
        let why = match answer {
            Ok(Drawn::Granted { first, next, entry }) => {
                if let Some(hold) = &mut claim.counter().state().hold {
                    hold.floor = hold.floor.max(next);
                }
                self.grant(planned, first.get(), entry);
                return None;
            }
            Ok(Drawn::RangeEnd { next, end }) => Why::RangeEnd { next, end },
            Ok(Drawn::StaleVersion { .. }) => Why::StaleVersion,
            Ok(Drawn::Missing) => Why::Missing,
            Ok(Drawn::Fenced(refused)) => Why::Fenced(refused),
            Ok(Drawn::StreamFull { entries }) => {
                self.reports.hurry();
                return planned.refuse(&Obstacle::StreamFull { entries }.into());
            }
            Ok(Drawn::Denied { message }) => return planned.refuse(&Obstacle::Denied(message).into()),
            Err(fault) => return planned.refuse(&fault.into()),
        };
        let draws = planned.draws.into_iter().map(|(sealed, _)| sealed).collect();
        Some((draws, why))
    }

    /// Acknowledges what was drawn; what has a key once that is durable too.
    fn grant(self: &Arc<Self>, planned: Planned, first: u64, entry: String) {
        let Planned {
            hold,
            draws,
            written,
            at,
            ..
        } = planned;
        let step = hold.line.definition().step();
        let place = Place::new(hold.id.bucket(), hold.history.clone(), entry, written.len());
        let Ok(number) = seqid_core::Number::new(first) else {
            return;
        };
        let mut records = written.records(&hold.lease, number, step, &place);
        let mut next = first;
        let mut keyed: Vec<Keyed> = Vec::new();
        for (sealed, record) in draws {
            let count = draw_of(&sealed).map_or(1, |draw| u64::from(draw.count));
            let first = seqid_core::Number::new(next).unwrap_or(seqid_core::Number::MAX);
            next = next.saturating_add(count * step);
            let granted = Granted {
                run: Run { first, step, count },
                generation: hold.lease.generation,
                epoch: hold.lease.epoch,
                // Its event comes later.
                n: 0,
                at,
                expires_at: None,
            };
            if sealed.command.key.is_some() {
                let record = records[record].clone();
                keyed.push(Keyed {
                    sealed,
                    record,
                    granted,
                });
            } else {
                sealed.answer(Ok(Reply::Granted(granted)));
            }
        }
        // Those under a key are recorded with the question whose it is.
        records.retain(|record| record.said.key.is_none());
        self.reports.add(records);
        if !keyed.is_empty() {
            tokio::spawn(Arc::clone(self).report_keyed(keyed));
        }
    }

    /// Removes what stands in the way of draws. Answers those that may be carried out yet.
    pub(super) async fn react(&self, claim: &Claim, draws: Vec<Sealed>, why: Why) -> Vec<Sealed> {
        let left = match why {
            Why::RangeEnd { next, end } => {
                if let Some(hold) = &mut claim.counter().state().hold {
                    hold.floor = hold.floor.max(next);
                    hold.end = end;
                }
                Ok(())
            }
            Why::StaleVersion => {
                claim.counter().state().hold = None;
                Ok(())
            }
            Why::Missing => self.leave(claim, None).await,
            Why::Fenced(refused) if matches!(refused.fence, Fence::Role | Fence::Authority) => {
                Err(self.fenced_off(&refused))
            }
            Why::Fenced(refused) => self.leave(claim, Some(&refused)).await,
        };
        match left {
            Ok(()) => draws,
            Err(error) => {
                answer_all(draws, &not_issued(error));
                Vec::new()
            }
        }
    }

    /// Lets the durable store carry out draws. Not by whoever has the counter: it may have to be taken from them.
    fn forward(self: &Arc<Self>, draws: Vec<Sealed>) {
        for sealed in draws {
            let shared = Arc::clone(self);
            tokio::spawn(async move {
                let answer = shared.pass_on(sealed.command.clone()).await;
                sealed.answer(answer);
            });
        }
    }
}

/// Whether the counter has no numbers behind a range.
fn is_at_its_end(hold: &Hold) -> bool {
    hold.end > hold.line.max().get()
}

impl Planned {
    fn refuse(self, error: &StoreError) -> Option<(Vec<Sealed>, Why)> {
        for (sealed, _) in self.draws {
            sealed.answer(Err(error.clone()));
        }
        None
    }
}

fn not_late(draws: Vec<Sealed>) -> Vec<Sealed> {
    if !draws.iter().any(|sealed| sealed.command.is_late()) {
        return draws;
    }
    let mut in_time = Vec::with_capacity(draws.len());
    for sealed in draws {
        if sealed.command.is_late() {
            sealed.answer(Err(StoreError::Late));
        } else {
            in_time.push(sealed);
        }
    }
    in_time
}

/// Fetching a range draws nothing, however it ends.
fn not_issued(error: StoreError) -> StoreError {
    match error {
        StoreError::Unknown(cause) => StoreError::Unavailable(cause),
        StoreError::Away { part, cause, .. } => StoreError::Away {
            part,
            certainty: Certainty::NotIssued,
            cause,
        },
        other => other,
    }
}
