use std::sync::{Arc, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Mutex;

use super::Lessee;
use super::run::LeasedRun;
use crate::command::{Act, EndLease, ExtendLease, LeaseEnd, Report, TakeLease};
use crate::counter::Run;
use crate::lease::{Lease, LeaseId};
use crate::ledger::Refusal;
use crate::line::Line;
use crate::names::Number;
use crate::store::{Certainty, Ledger, StoreError};
use crate::time::Timestamp;

/// How many numbers the first lease has.
const SMALLEST: u64 = 16;
/// A lease that is used up sooner is followed by one twice as long, and one that lasts longer than ten times this by one half as
/// long: a commit takes a small part of the time between two.
const SOON: Duration = Duration::from_millis(100);

/// The leased numbers of one counter for documents of one date.
#[derive(Debug)]
pub(super) struct Stock {
    /// What numbers are taken from. Locked after `fill`, where both are.
    run: std::sync::Mutex<Option<Arc<LeasedRun>>>,
    fill: Mutex<Fill>,
}

#[derive(Debug)]
struct Fill {
    /// The line with which the numbers were drawn.
    line: Arc<Line>,
    lease: Option<Lease>,
    /// Asked for before, with an outcome that is not known.
    asked: Option<LeaseId>,
    /// The numbers behind the run that is in use, which nobody has taken from yet.
    ahead: Option<Arc<LeasedRun>>,
    /// Drawn, and not recorded yet.
    unreported: Vec<(LeaseId, Run, Timestamp)>,
    /// The first number of the lease that was not drawn, where nothing is drawn from it any more.
    undrawn: Option<u64>,
    /// Whether leases of an earlier process of the name were looked for.
    cleared: bool,
    size: u64,
    leased_at: Timestamp,
}

impl Stock {
    pub(super) fn new(line: &Arc<Line>) -> Self {
        Self {
            run: std::sync::Mutex::default(),
            fill: Mutex::new(Fill {
                line: Arc::clone(line),
                lease: None,
                asked: None,
                ahead: None,
                unreported: Vec::new(),
                undrawn: None,
                cleared: false,
                size: SMALLEST,
                leased_at: Timestamp::from_micros(0),
            }),
        }
    }

    fn current(&self) -> MutexGuard<'_, Option<Arc<LeasedRun>>> {
        self.run.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The run that numbers are taken from, if there is one.
    pub(super) fn run(&self) -> Option<Arc<LeasedRun>> {
        self.current().clone()
    }

    /// Sees to it that there are `count` numbers, unless others did meanwhile. Answers whether leases have so many.
    pub(super) async fn refill<S: Ledger>(
        &self,
        lessee: &Lessee<S>,
        line: &Arc<Line>,
        count: u64,
        used_up: Option<&Arc<LeasedRun>>,
    ) -> Result<bool, StoreError> {
        let most = line.definition().largest_gap();
        if count > most {
            return Ok(false);
        }
        let mut fill = self.fill.lock().await;
        let is_used_up = |run: &Arc<LeasedRun>| used_up.is_some_and(|used_up| Arc::ptr_eq(run, used_up));
        if self.run().is_some_and(|run| !is_used_up(&run)) {
            return Ok(true);
        }
        if self.goes_on_ahead(lessee, &mut fill) {
            // Others draw from it meanwhile. What cannot be recorded now is before anything more is leased.
            let _tried_again = fill.report(lessee).await;
            return Ok(true);
        }
        if !fill.cleared {
            lessee.lose_earlier(line).await?;
            fill.cleared = true;
        }
        self.seal(lessee, &mut fill);
        fill.report(lessee).await?;
        if let Some(from) = fill.undrawn {
            // The numbers of a batch are next to one another: what is left of the run is too few.
            fill.end(lessee, from).await?;
        }
        fill.resize(lessee.clock.now(), most);
        let wanted = fill.size.max(count);
        let run = fill.lease(lessee, line, wanted).await?;
        if run.count() < count {
            // The counter ends: the store is to say so.
            fill.undrawn = Some(run.first());
            fill.end(lessee, run.first()).await?;
            return Ok(false);
        }
        *self.current() = Some(Arc::new(run));
        Ok(true)
    }

    /// Leases the numbers behind a run while it is in use, so that nobody waits when it is used up. What was drawn before is
    /// recorded first: no more than `largest_gap` numbers are ever of unknown use.
    pub(super) async fn follow<S: Ledger>(
        &self,
        lessee: &Lessee<S>,
        run: &Arc<LeasedRun>,
    ) -> Result<(), StoreError> {
        let Ok(mut fill) = self.fill.try_lock() else {
            return Ok(());
        };
        if fill.ahead.is_some() || !self.run().is_some_and(|current| Arc::ptr_eq(&current, run)) {
            return Ok(());
        }
        fill.report(lessee).await?;
        let most = fill.line.definition().largest_gap();
        fill.resize(lessee.clock.now(), most);
        let wanted = fill.size.min(most.saturating_sub(run.count()));
        if wanted > 0 {
            fill.ahead = fill.extend(lessee, wanted).await?.map(Arc::new);
        }
        Ok(())
    }

    /// Takes the run that is ahead into use, if there is one and nothing is left of the one before it.
    fn goes_on_ahead<S>(&self, lessee: &Lessee<S>, fill: &mut Fill) -> bool {
        if fill.ahead.is_none() || self.run().is_some_and(|run| !run.is_used_up()) {
            return false;
        }
        let ahead = fill.ahead.take();
        let before = std::mem::replace(&mut *self.current(), ahead);
        if let Some(before) = before {
            fill.note(&before, lessee.clock.now());
        }
        true
    }

    /// Records what was drawn, and gives back the rest.
    pub(super) async fn flush<S: Ledger>(&self, lessee: &Lessee<S>) -> Result<(), StoreError> {
        let mut fill = self.fill.lock().await;
        self.seal(lessee, &mut fill);
        fill.report(lessee).await?;
        let behind = fill.lease.as_ref().and_then(|lease| Some(lease.run?.next()));
        match fill.undrawn.or(behind) {
            Some(from) => fill.end(lessee, from).await,
            None => Ok(()),
        }
    }

    /// Takes no more from the run. What was drawn and what was not is remembered until the store knows it.
    fn seal<S>(&self, lessee: &Lessee<S>, fill: &mut Fill) {
        let ahead = fill.ahead.take().map(|ahead| ahead.first());
        let Some(run) = self.current().take() else {
            return;
        };
        let left = fill.note(&run, lessee.clock.now());
        fill.undrawn = left.or(ahead);
    }
}

impl Fill {
    /// Remembers what was drawn from a run, which gives no more. Answers the first number that was not.
    fn note(&mut self, run: &LeasedRun, now: Timestamp) -> Option<u64> {
        let (drawn, left) = run.seal();
        self.unreported
            .extend(drawn.map(|drawn| (run.lease(), drawn, now)));
        left.map(|left| left.first.get())
    }

    async fn report<S: Ledger>(&mut self, lessee: &Lessee<S>) -> Result<(), StoreError> {
        while let Some((lease, run, at)) = self.unreported.first().copied() {
            let report = Report {
                line: Arc::clone(&self.line),
                lease,
                run,
                at,
                reference: None,
                relates_to: None,
            };
            match lessee.apply(Act::Report(report)).await {
                // Recorded before, with an answer that was lost.
                Ok(_) | Err(StoreError::Refused(Refusal::NotPending { .. })) => {
                    self.unreported.remove(0);
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Ends the lease, of which none was drawn from this number on.
    async fn end<S: Ledger>(&mut self, lessee: &Lessee<S>, from: u64) -> Result<(), StoreError> {
        while let Some(lease) = self.lease.clone() {
            let end = EndLease {
                line: Arc::clone(&self.line),
                end: LeaseEnd::Unused { from },
                lease: lease.clone(),
            };
            match lessee.apply(Act::EndLease(end)).await {
                Ok(_) => {
                    self.undrawn = None;
                    self.lease = None;
                    lessee.forget(lease.id);
                }
                // It was lengthened, with an answer that was lost.
                Err(StoreError::Refused(Refusal::LeaseChanged {
                    current: Some(current),
                })) if current.id == lease.id && *current != lease => self.lease = Some(*current),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// The numbers behind those of the lease. `None` where it cannot go on.
    async fn extend<S: Ledger>(
        &mut self,
        lessee: &Lessee<S>,
        count: u64,
    ) -> Result<Option<LeasedRun>, StoreError> {
        let Some((id, run)) = self.lease.as_ref().and_then(|lease| Some((lease.id, lease.run?))) else {
            return Ok(None);
        };
        let extend = ExtendLease {
            line: Arc::clone(&self.line),
            id,
            last: run.last(),
            count,
        };
        match lessee.lease(Act::Extend(extend)).await {
            Ok(extended) => Ok(Some(self.goes_on(extended, Some(run)))),
            Err(StoreError::Refused(Refusal::LeaseBuried(_))) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The numbers behind those of the lease, or those of another one.
    async fn lease<S: Ledger>(
        &mut self,
        lessee: &Lessee<S>,
        line: &Arc<Line>,
        count: u64,
    ) -> Result<LeasedRun, StoreError> {
        if let Some(run) = self.extend(lessee, count).await? {
            return Ok(run);
        }
        if let Some(run) = self.lease.as_ref().and_then(|lease| lease.run) {
            self.end(lessee, run.next()).await?;
        }
        self.line = Arc::clone(line);
        let id = *self.asked.get_or_insert_with(|| lessee.next_id());
        lessee.remember(id);
        let take = TakeLease {
            line: Arc::clone(line),
            id,
            holder: lessee.holder.clone(),
            count,
            replaces: None,
        };
        let taken = lessee.lease(Act::Lease(take)).await;
        if !taken
            .as_ref()
            .is_err_and(|error| error.certainty() == Certainty::Unknown)
        {
            self.asked = None;
        }
        Ok(self.goes_on(taken?, None))
    }

    /// The numbers that a lease has gained.
    fn goes_on(&mut self, lease: Lease, before: Option<Run>) -> LeasedRun {
        let all = lease.run.unwrap_or(Run {
            first: Number::MAX,
            step: 1,
            count: 0,
        });
        let gained = match before {
            Some(before) => Run {
                first: Number::new(before.next()).unwrap_or(all.first),
                count: all.count.saturating_sub(before.count),
                ..all
            },
            None => all,
        };
        let run = LeasedRun::new(&lease, gained);
        self.lease = Some(lease);
        run
    }

    /// As long as the pace asks for, and at most half of what may be of unknown use: there is one run in use, and one ahead.
    fn resize(&mut self, now: Timestamp, most: u64) {
        let most = most.div_ceil(2);
        let lasted = Duration::from_micros(now.as_micros().abs_diff(self.leased_at.as_micros()));
        if lasted < SOON {
            self.size = self.size.saturating_mul(2);
        } else if lasted > SOON * 10 {
            self.size /= 2;
        }
        self.size = self.size.clamp(SMALLEST.min(most), most);
        self.leased_at = now;
    }
}
