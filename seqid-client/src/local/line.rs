use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use seqid_core::event::Origin;
use seqid_core::field::RawValues;
use seqid_core::names::Label;
use seqid_core::numbering::{DrawRequest, Issued};
use seqid_core::store::StoreError;
use seqid_core::time::Date;
use seqid_core::{Code, Error, Mode, Prefix, Tenant};
use tokio::sync::OwnedMutexGuard;
use tonic::Status;

use super::LocalLeases;
use super::run::HeldRun;
use crate::failure::{self, Effect};

/// A run that is used up sooner is followed by one twice as long, and one that lasts longer than ten times this by one half
/// as long: asking for a run takes a small part of the time between two.
const SOON: Duration = Duration::from_millis(100);

/// Draws that differ in nothing but who gets which number.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Name {
    pub(super) tenant: Tenant,
    prefix: Prefix,
    date: Option<Date>,
    scope: RawValues,
    pub(super) client: Option<Label>,
}

impl Name {
    /// `None` for a draw that the audit is to have by itself, and for several numbers.
    pub(super) fn of(request: &DrawRequest) -> Option<Self> {
        let alone = request.key.is_some()
            || request.reference.is_some()
            || request.relates_to.is_some()
            || request.origin.request.is_some()
            || request.origin.actor.is_some()
            || !request.fields.is_empty()
            || request.count.is_some_and(|count| count != 1);
        (!alone).then(|| Self {
            tenant: request.tenant.clone(),
            prefix: request.prefix.clone(),
            date: request.date,
            scope: request.scope.clone(),
            client: request.origin.client.clone(),
        })
    }

    pub(super) fn origin(&self) -> Origin {
        Origin {
            client: self.client.clone(),
            ..Origin::default()
        }
    }

    fn request(&self, deadline: Instant) -> DrawRequest {
        let mut request = DrawRequest::new(self.prefix.clone());
        request.tenant = self.tenant.clone();
        request.date = self.date;
        request.scope = self.scope.clone();
        request.origin = self.origin();
        request.deadline = Some(deadline);
        request
    }
}

/// The held numbers of draws of one name.
#[derive(Debug)]
pub(super) struct Line {
    pub(super) name: Name,
    run: Mutex<Option<Arc<HeldRun>>>,
    fill: Arc<tokio::sync::Mutex<Fill>>,
    /// How many draws wait for numbers.
    waiting: AtomicU32,
    /// Whether the counter is of mode leased still.
    leased: AtomicBool,
}

/// What is known to whoever asks for numbers.
#[derive(Debug)]
pub(super) struct Fill {
    size: u32,
    drawn_at: Instant,
    /// Numbers that were not handed out, and are not void yet.
    pub(super) unused: Option<Issued>,
}

impl Line {
    pub(super) fn new(name: Name) -> Self {
        let fill = Fill {
            size: 1,
            drawn_at: Instant::now(),
            unused: None,
        };
        Self {
            name,
            run: Mutex::default(),
            fill: Arc::new(tokio::sync::Mutex::new(fill)),
            waiting: AtomicU32::new(0),
            leased: AtomicBool::new(true),
        }
    }

    fn current(&self) -> MutexGuard<'_, Option<Arc<HeldRun>>> {
        self.run.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn run(&self) -> Option<Arc<HeldRun>> {
        self.current().clone()
    }

    /// The next number. `None` where the sequence is not of mode leased any more.
    pub(super) async fn draw(
        self: &Arc<Self>,
        local: &Arc<LocalLeases>,
        deadline: Instant,
    ) -> Result<Option<Issued>, Error> {
        loop {
            let now = Instant::now();
            if now >= deadline {
                return Err(StoreError::Late.into());
            }
            let run = self.run();
            if let Some(issued) = run.as_ref().and_then(|run| run.take(now)) {
                return Ok(Some(issued));
            }
            if !self.leased.load(Ordering::Relaxed) {
                return Ok(None);
            }
            if let Some(issued) = self.refill(local, run.as_ref(), deadline).await? {
                return Ok(Some(issued));
            }
        }
    }

    /// Asks for numbers, unless others did meanwhile. Answers the first of them: the others are held.
    async fn refill(
        self: &Arc<Self>,
        local: &Arc<LocalLeases>,
        used_up: Option<&Arc<HeldRun>>,
        deadline: Instant,
    ) -> Result<Option<Issued>, Error> {
        let waits = Waits::new(&self.waiting);
        let turn = Arc::clone(&self.fill).lock_owned();
        let Ok(fill) = tokio::time::timeout_at(deadline.into(), turn).await else {
            return Err(StoreError::Late.into());
        };
        let run = self.run();
        if run.as_ref().map(Arc::as_ptr) != used_up.map(Arc::as_ptr) {
            return Ok(None);
        }
        let waiting = self.waiting.load(Ordering::Relaxed);
        drop(waits);
        // In a task of its own: a caller who goes away leaves the others their numbers.
        let (line, local) = (Arc::clone(self), Arc::clone(local));
        let filling = tokio::spawn(async move { line.fill(&local, fill, waiting, deadline).await });
        filling.await.unwrap_or_else(|_| Err(lost())).map(Some)
    }

    async fn fill(
        &self,
        local: &LocalLeases,
        mut fill: OwnedMutexGuard<Fill>,
        waiting: u32,
        deadline: Instant,
    ) -> Result<Issued, Error> {
        self.seal(&mut fill);
        // What cannot be voided now is voided later.
        let _later = local.void_unused(self, &mut fill).await;
        let begun = Instant::now();
        fill.resize(begun, local.most);
        let count = match fill.unused {
            // The service does not void them now: it is given no more to void.
            Some(_) => 1,
            None => fill.size.max(waiting).min(local.most),
        };
        let answer = match local.issue(self.name.request(deadline), count).await {
            Err(error) if count > 1 && error.code() == Code::BatchDoesNotFit => {
                fill.size = 1;
                local.issue(self.name.request(deadline), 1).await?
            }
            answer => answer?,
        };
        if answer.mode != Mode::Leased {
            self.leased.store(false, Ordering::Relaxed);
        }
        let (first, others) = HeldRun::divide(answer, begun, self.name.date.is_some());
        *self.current() = others.map(Arc::new);
        Ok(first)
    }

    /// Hands out no more of the run. What is left of it is to be voided.
    pub(super) fn seal(&self, fill: &mut Fill) {
        if let Some(unused) = self.current().take().and_then(|run| run.seal()) {
            fill.unused = Some(unused);
        }
    }

    /// Whether there is something that is too late to be handed out, or was not voided yet.
    pub(super) fn is_over(&self, fill: &Fill, now: Instant) -> bool {
        fill.unused.is_some() || self.run().is_some_and(|run| run.is_over(now))
    }

    /// Whether nothing of it needs to be remembered.
    pub(super) fn is_forgettable(&self, now: Instant) -> bool {
        let idle = |fill: &Fill| {
            fill.unused.is_none() && now.saturating_duration_since(fill.drawn_at) > super::run::HELD
        };
        self.run().is_none() && self.fill.try_lock().is_ok_and(|fill| idle(&fill))
    }

    pub(super) async fn turn(&self) -> OwnedMutexGuard<Fill> {
        Arc::clone(&self.fill).lock_owned().await
    }

    /// What nobody will get any more, when there are no callers left.
    pub(super) fn abandoned(&self) -> Option<Issued> {
        let mut fill = self.fill.try_lock().ok()?;
        self.seal(&mut fill);
        fill.unused.take()
    }
}

impl Fill {
    fn resize(&mut self, now: Instant, most: u32) {
        let lasted = now.saturating_duration_since(self.drawn_at);
        if lasted < SOON {
            self.size = self.size.saturating_mul(2).min(most);
        } else if lasted > SOON * 10 {
            self.size = (self.size / 2).max(1);
        }
        self.drawn_at = now;
    }
}

/// Counts a draw as waiting until it is dropped.
struct Waits<'a>(&'a AtomicU32);

impl<'a> Waits<'a> {
    fn new(waiting: &'a AtomicU32) -> Self {
        waiting.fetch_add(1, Ordering::Relaxed);
        Self(waiting)
    }
}

impl Drop for Waits<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The runtime is gone, and the draw may have been sent.
fn lost() -> Error {
    let status = Status::cancelled("the runtime of the client stopped");
    failure::of_status(status, Effect::Possible)
}
