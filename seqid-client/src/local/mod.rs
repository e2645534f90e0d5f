//! Numbers of leased sequences that a client draws in runs and hands out one by one.
//!
//! A run is a draw of several numbers under an idempotency key: the audit has it as issued to the client before any of it is
//! handed out. So nothing of it can be given out again, whatever happens; what nobody needed is voided.

mod line;
mod run;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Instant;

use seqid_core::error::Retry;
use seqid_core::names::Reason;
use seqid_core::numbering::{CounterSelector, DrawRequest, Issued, VoidRequest, VoidTarget, When};
use seqid_core::{Error, Mode, Numbering};
use tokio::runtime::Handle;

use crate::client::Client;
use line::{Fill, Line, Name};
use run::HELD;

/// How many kinds of draws have held numbers at a time. Others are drawn one by one.
const MOST_LINES: usize = 1_000;

/// What is told of numbers that nobody needed.
const UNUSED: &str = "not used by the client that drew it";

/// The numbers that a client holds.
#[derive(Debug)]
pub(crate) struct LocalLeases {
    /// Draws what is held. It holds nothing itself.
    client: Client,
    /// The most numbers of a run.
    most: u32,
    lines: Mutex<Lines>,
}

#[derive(Debug, Default)]
struct Lines {
    by_name: HashMap<Name, Arc<Line>>,
    /// Whether somebody looks after them.
    kept: bool,
}

impl LocalLeases {
    pub(crate) fn new(client: Client, most: u32) -> Self {
        Self {
            client,
            most,
            lines: Mutex::default(),
        }
    }

    pub(crate) async fn draw(self: &Arc<Self>, request: DrawRequest) -> Result<Issued, Error> {
        let Some(name) = Name::of(&request) else {
            return self.client.issue(request).await;
        };
        let line = self.lines().by_name.get(&name).map(Arc::clone);
        if let Some(line) = line {
            let deadline = self.client.shared.deadline(request.deadline);
            if let Some(issued) = line.draw(self, deadline).await? {
                return Ok(issued);
            }
        }
        let issued = self.client.issue(request).await?;
        if issued.mode == Mode::Leased {
            self.begin(&name);
        }
        Ok(issued)
    }

    /// Voids what is held and was not handed out.
    pub(crate) async fn give_back(&self) -> Result<(), Error> {
        let mut outcome = Ok(());
        for line in self.all() {
            let mut fill = line.turn().await;
            line.seal(&mut fill);
            outcome = outcome.and(self.void_unused(&line, &mut fill).await);
        }
        outcome
    }

    fn lines(&self) -> MutexGuard<'_, Lines> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn all(&self) -> Vec<Arc<Line>> {
        self.lines().by_name.values().map(Arc::clone).collect()
    }

    /// Further draws of this name are of a leased sequence.
    fn begin(self: &Arc<Self>, name: &Name) {
        let mut lines = self.lines();
        if lines.by_name.len() < MOST_LINES {
            let line = || Arc::new(Line::new(name.clone()));
            lines.by_name.entry(name.clone()).or_insert_with(line);
            if !lines.kept {
                lines.kept = true;
                tokio::spawn(keep(Arc::downgrade(self)));
            }
        }
    }

    /// Numbers under a key of their own, so that the store has recorded them before anybody gets one.
    async fn issue(&self, mut request: DrawRequest, count: u32) -> Result<Issued, Error> {
        request.count = (count > 1).then_some(count);
        request.key = self.client.shared.new_key();
        let issued = self.client.issue(request).await?;
        // The key is no business of the caller.
        Ok(Issued {
            replayed: false,
            ..issued
        })
    }

    /// Voids numbers that were not handed out. What is refused for good stays issued to this client.
    async fn void_unused(&self, line: &Line, fill: &mut Fill) -> Result<(), Error> {
        if let Some(unused) = &fill.unused {
            void(&self.client, &line.name, unused).await?;
            fill.unused = None;
        }
        Ok(())
    }

    /// Voids what is held too long, and forgets who has stopped drawing. Answers whether somebody is left.
    async fn tidy(&self) -> bool {
        for line in self.all() {
            let mut fill = line.turn().await;
            if !line.is_over(&fill, Instant::now()) {
                continue;
            }
            line.seal(&mut fill);
            if let Err(error) = self.void_unused(&line, &mut fill).await {
                tracing::debug!(%error, "numbers that were not used are voided later");
                break;
            }
        }
        let mut lines = self.lines();
        let now = Instant::now();
        // Whoever draws has found the line under this lock.
        lines
            .by_name
            .retain(|_, line| Arc::strong_count(line) > 1 || !line.is_forgettable(now));
        lines.kept = !lines.by_name.is_empty();
        lines.kept
    }
}

/// Looks after held numbers until there are none, or nobody who could draw them.
async fn keep(leases: Weak<LocalLeases>) {
    loop {
        tokio::time::sleep(HELD).await;
        let Some(leases) = leases.upgrade() else {
            return;
        };
        if !leases.tidy().await {
            return;
        }
    }
}

/// Voids what was not handed out of an answer.
async fn void(client: &Client, name: &Name, unused: &Issued) -> Result<(), Error> {
    let mut counter = CounterSelector::new(unused.prefix.clone());
    counter.tenant = name.tenant.clone();
    counter.scope = unused
        .scope
        .iter()
        .map(|(field, value)| (field.into(), value.into()))
        .collect();
    counter.when = When::In(unused.period.to_string());
    let voided = async {
        let target = VoidTarget::Numbers {
            counter,
            first: unused.run.first,
            last: unused.run.last(),
        };
        let Ok(reason) = Reason::new(UNUSED) else {
            return Ok(());
        };
        let mut request = VoidRequest::new(target, reason);
        // Those of another generation may be in the hands of others by now.
        request.generation = Some(unused.generation);
        request.origin = name.origin();
        client.void(request).await.map(drop)
    };
    match voided.await {
        Err(error) if error.code().retry() == Retry::No => {
            tracing::warn!(%error, first = unused.run.first.get(), count = unused.run.count, "numbers that were not used stay issued");
            Ok(())
        }
        other => other,
    }
}

impl Drop for LocalLeases {
    fn drop(&mut self) {
        let Ok(runtime) = Handle::try_current() else {
            return;
        };
        let lines = self.lines.get_mut().unwrap_or_else(PoisonError::into_inner);
        let unused: Vec<_> = lines
            .by_name
            .drain()
            .filter_map(|(name, line)| Some((name, line.abandoned()?)))
            .collect();
        if unused.is_empty() {
            return;
        }
        let client = self.client.clone();
        runtime.spawn(async move {
            for (name, unused) in unused {
                if let Err(error) = void(&client, &name, &unused).await {
                    tracing::warn!(%error, first = unused.run.first.get(), count = unused.run.count, "numbers that were not used stay issued");
                }
            }
        });
    }
}
