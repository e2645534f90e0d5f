use std::any::Any;
use std::fmt;
use std::future::{IntoFuture, Ready, ready};
use std::sync::Arc;

use seqid_core::clock::{Clock, ManualClock};
use seqid_core::numbering::{
    CounterSelector, DefineRequest, Defined, DrawRequest, Issued, Moved, Status, When,
};
use seqid_core::store::Ledger;
use seqid_core::{DefinitionSpec, Error, IdempotencyKey, Issuer, Numbering};

use super::backend::Backend;
use super::sequence::{day, prefix};

/// Something under test that hands out numbers: an issuer, or a client of a service.
pub struct Desk {
    /// What is asked.
    pub numbering: Arc<dyn Numbering>,
    /// The store behind it, for what only the audit can tell.
    pub ledger: Arc<dyn Ledger>,
    /// The clock that both read.
    pub clock: Arc<ManualClock>,
    /// Dropped last.
    guards: Vec<Box<dyn Any + Send + Sync>>,
}

impl Desk {
    /// A desk over this store, both with this clock. Undefined sequences must be defined by their first draw,
    /// in UTC.
    pub fn new(
        numbering: impl Numbering + 'static,
        ledger: impl Ledger + 'static,
        clock: Arc<ManualClock>,
    ) -> Self {
        Self {
            numbering: Arc::new(numbering),
            ledger: Arc::new(ledger),
            clock,
            guards: Vec::new(),
        }
    }

    /// An issuer over a store.
    #[must_use]
    pub fn issuer(backend: Backend) -> Self {
        let clock: Arc<dyn Clock> = backend.clock.clone();
        let issuer = Issuer::builder(Arc::clone(&backend.ledger)).clock(clock).build();
        Self::new(issuer, Arc::clone(&backend.ledger), Arc::clone(&backend.clock)).guard(backend)
    }

    /// Keeps something until the desk is gone.
    #[must_use]
    pub fn guard(mut self, guard: impl Any + Send + Sync) -> Self {
        self.guards.push(Box::new(guard));
        self
    }
}

impl IntoFuture for Desk {
    type Output = Desk;
    type IntoFuture = Ready<Desk>;

    /// At once: so that a factory need not be `async`.
    fn into_future(self) -> Ready<Desk> {
        ready(self)
    }
}

impl fmt::Debug for Desk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Desk")
            .field("numbering", &self.numbering)
            .finish_non_exhaustive()
    }
}

/// What cases ask.
impl Desk {
    /// Draws, and tells the id, the first and the last id of a batch, or the code of the refusal.
    pub(super) async fn draw(&self, request: DrawRequest) -> String {
        let batch = request.count.is_some();
        match self.numbering.draw(request).await {
            Ok(Issued { ids, .. }) if batch => format!("{}..{}", ids[0], ids[ids.len() - 1]),
            Ok(issued) => {
                assert_eq!(issued.ids.len(), 1);
                issued.id().to_owned()
            }
            Err(error) => error.code().as_str().into(),
        }
    }

    /// Draws one number of today.
    pub(super) async fn next(&self, prefix: &str) -> String {
        self.draw(next(prefix)).await
    }

    pub(super) async fn issued(&self, request: DrawRequest) -> Issued {
        self.numbering
            .draw(request)
            .await
            .unwrap_or_else(|error| panic!("{error}"))
    }

    /// Saves the first version of a definition.
    pub(super) async fn define(&self, prefix: &str, definition: DefinitionSpec) -> Defined {
        self.try_define(prefix, definition, None)
            .await
            .unwrap_or_else(|error| panic!("{error}"))
    }

    /// Saves the version that follows on `version`.
    pub(super) async fn redefine(&self, prefix: &str, definition: DefinitionSpec, version: u32) -> Defined {
        let defined = self.try_define(prefix, definition, Some(version)).await;
        defined.unwrap_or_else(|error| panic!("{error}"))
    }

    pub(super) async fn try_define(
        &self,
        name: &str,
        definition: DefinitionSpec,
        version: Option<u32>,
    ) -> Result<Defined, Error> {
        let mut request = DefineRequest::new(prefix(name), definition);
        request.if_version = version;
        self.numbering.define(request).await
    }

    pub(super) async fn status(&self, counter: CounterSelector) -> Status {
        self.numbering
            .status(counter)
            .await
            .unwrap_or_else(|error| panic!("{error}"))
    }

    pub(super) fn set_clock(&self, now: &str) {
        self.clock.set(now.parse().expect("an instant"));
    }

    /// How many events the store has.
    pub(super) async fn events(&self) -> usize {
        crate::evidence::all_events(&*self.ledger)
            .await
            .expect("the events can be read")
            .len()
    }
}

/// A draw of one number.
pub(super) fn next(name: &str) -> DrawRequest {
    DrawRequest::new(prefix(name))
}

pub(super) fn key(text: &str) -> IdempotencyKey {
    IdempotencyKey::new(text).expect("a key")
}

/// Today's counter.
pub(super) fn counter(name: &str) -> CounterSelector {
    CounterSelector::new(prefix(name))
}

pub(super) fn counter_on(name: &str, date: &str) -> CounterSelector {
    counter_at(name, When::On(day(date)))
}

pub(super) fn counter_in(name: &str, period: &str) -> CounterSelector {
    counter_at(name, When::In(period.into()))
}

fn counter_at(name: &str, when: When) -> CounterSelector {
    let mut selector = counter(name);
    selector.when = when;
    selector
}

/// A move in a few words, or the code of its refusal.
pub(super) fn told(moved: &Result<Moved, Error>) -> String {
    let number =
        |number: Option<seqid_core::Number>| number.map_or("end".into(), |number| number.to_string());
    match moved {
        Ok(moved) => {
            let again = if moved.replayed { "again " } else { "" };
            format!(
                "{again}{} -> {}",
                number(moved.old_next_number),
                number(moved.status.next_number)
            )
        }
        Err(error) => error.code().as_str().into(),
    }
}
