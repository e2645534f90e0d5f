//! Reservations and voids, as callers ask for them.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::draw::{WrongReply, issued};
use super::sequences::changed;
use super::{Issuer, fingerprint};
use crate::clock::Seed;
use crate::command::{Act, Command, Granted, Reply, Settle, Settled, Void};
use crate::counter::{CounterKey, SequenceKey};
use crate::definition::Mode;
use crate::error::{Error, InvalidRequest};
use crate::event::{Event, EventKind, Keyed};
use crate::ledger::Refusal;
use crate::line::Line;
use crate::names::{Number, Tenant};
use crate::numbering::{
    CounterSelector, Held, HoldState, ReserveRequest, Reserved, SettleRequest, VoidRequest, VoidTarget,
    VoidedNumbers, When,
};
use crate::reservation::{LONGEST_TTL, ReservationId, SHORTEST_TTL};
use crate::store::StoreError;
use crate::time::Timestamp;

/// How often a void follows a definition that changes under it.
const ATTEMPTS: usize = 8;

/// Makes names for reservations, and remembers where the newest of them are: most are settled soon, through the
/// process that made them.
#[derive(Debug)]
pub(super) struct Reservations {
    seed: Seed,
    made: AtomicU64,
    places: Mutex<HashMap<ReservationId, Place>>,
}

/// Where a reservation's numbers are.
#[derive(Debug, Clone)]
struct Place {
    counter: CounterKey,
    generation: u32,
    first: Number,
}

impl Reservations {
    /// The most places that are remembered: 64 bytes each.
    const KEPT: usize = 100_000;

    pub(super) fn new(seed: Seed) -> Self {
        Self {
            seed,
            made: AtomicU64::new(0),
            places: Mutex::default(),
        }
    }

    fn next(&self, now: Timestamp) -> ReservationId {
        ReservationId::nth(self.seed, self.made.fetch_add(1, Ordering::Relaxed), now)
    }

    fn keep(&self, id: ReservationId, place: Place) {
        let mut places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        if places.len() >= Self::KEPT {
            places.clear();
        }
        places.insert(id, place);
    }

    fn take(&self, id: &ReservationId) -> Option<Place> {
        let mut places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        places.remove(id)
    }
}

impl Issuer {
    pub(super) async fn reserve_numbers(&self, request: ReserveRequest) -> Result<Reserved, Error> {
        let ReserveRequest { mut draw, ttl } = request;
        require_ttl(ttl)?;
        let key = SequenceKey::new(draw.tenant.clone(), draw.prefix.clone());
        if let Some(sequence) = self.find(&key).await? {
            require_gapless(sequence.head().definition.mode())?;
        }
        let id = self.reservations.next(self.clock.now());
        let held = Some((id, ttl));
        let (issued, line, hold) = self.draw_or_hold(&mut &*self, &mut draw, held).await?;
        let Some((reservation, expires_at)) = hold else {
            return Err(StoreError::Unknown(Arc::new(WrongReply)).into());
        };
        if !issued.replayed {
            let place = Place {
                counter: line.key().clone(),
                generation: issued.generation,
                first: issued.run.first,
            };
            self.reservations.keep(id, place);
        }
        Ok(Reserved {
            reservation,
            expires_at,
            numbers: issued,
        })
    }

    pub(super) async fn settle_numbers(&self, request: SettleRequest) -> Result<Held, Error> {
        let SettleRequest {
            tenant,
            reservation,
            end,
            origin,
        } = request;
        let place = match self.reservations.take(&reservation) {
            Some(place) => place,
            None => self.find_place(&reservation).await?,
        };
        if place.counter.sequence().tenant != tenant {
            self.reservations.keep(reservation, place);
            return Err(Refusal::NoReservation(reservation).into());
        }
        let settle = Settle {
            counter: place.counter,
            generation: place.generation,
            first: place.first,
            reservation,
            end,
        };
        let command = Command::new(Act::Settle(settle), self.origin(origin));
        match self.apply(command).await? {
            Reply::Settled(Settled { event, repeated }) => self.held(&event, repeated).await,
            _ => Err(StoreError::Unknown(Arc::new(WrongReply)).into()),
        }
    }

    async fn find_place(&self, id: &ReservationId) -> Result<Place, Error> {
        let record = self.store.reservation(id).await?;
        let began = record.ok_or(Refusal::NoReservation(*id))?.began;
        let (Some(counter), Some(run)) = (began.subject.counter(), began.run) else {
            return Err(Refusal::NoReservation(*id).into());
        };
        Ok(Place {
            counter: counter.clone(),
            generation: began.generation,
            first: run.first,
        })
    }

    pub(super) async fn show_reservation(&self, tenant: Tenant, id: ReservationId) -> Result<Held, Error> {
        let record = self
            .store
            .reservation(&id)
            .await?
            .filter(|record| record.began.subject.sequence().tenant == tenant)
            .ok_or(Refusal::NoReservation(id))?;
        match &record.ended {
            Some(ended) => self.held(ended, false).await,
            None => {
                let mut held = self.held(&record.began, false).await?;
                if held.expires_at <= self.clock.now() {
                    held.state = HoldState::Expired;
                }
                Ok(held)
            }
        }
    }

    /// What an event of a hold says of it.
    async fn held(&self, event: &Event, repeated: bool) -> Result<Held, Error> {
        let corrupt = || StoreError::Corrupt(Arc::new(WrongReply));
        let (Some(run), Some(key), Some(date), Some(hold)) = (
            event.run,
            event.subject.counter(),
            event.date,
            event.hold.as_deref(),
        ) else {
            return Err(corrupt().into());
        };
        let mut sequence = self.require(key.sequence()).await?;
        if sequence.version(event.version).is_none() {
            sequence = self.reload(key.sequence()).await?.unwrap_or(sequence);
        }
        let line = self.line_of(&sequence, event, key.clone(), date)?;
        let granted = Granted {
            run,
            generation: event.generation,
            epoch: event.epoch,
            n: event.n,
            at: event.at,
            expires_at: Some(hold.expires_at),
        };
        let (reference, request) = (event.reference.clone(), event.origin.request.clone());
        let mut numbers = issued(&sequence, &line, granted, reference, request)?;
        numbers.replayed = repeated;
        Ok(Held {
            reservation: hold.id,
            expires_at: hold.expires_at,
            state: match event.kind {
                EventKind::Confirmed => HoldState::Confirmed,
                EventKind::Voided => HoldState::Voided,
                EventKind::Expired => HoldState::Expired,
                _ => HoldState::Reserved,
            },
            reason: event.reason.clone(),
            numbers,
        })
    }

    pub(super) async fn void_numbers(&self, request: VoidRequest) -> Result<VoidedNumbers, Error> {
        let (counter, first, last) = self.named_numbers(request.target).await?;
        let key = SequenceKey::new(counter.tenant.clone(), counter.prefix.clone());
        let keyed = request.key.map(|name| {
            Keyed::new(
                &key,
                name,
                fingerprint::of_void(&counter, (first, last), request.generation),
            )
        });
        let origin = self.origin(request.origin);
        let mut sequence = self.require(&key).await?;
        let mut opened = sequence.head().number;
        for _ in 0..ATTEMPTS {
            let line = Arc::new(self.counter_line(&sequence, &counter, opened)?);
            let void = Void {
                line: Arc::clone(&line),
                first,
                count: count(&line, first, last)?,
                generation: request.generation,
                reason: request.reason.clone(),
            };
            let command = Command::new(Act::Void(void), Arc::clone(&origin)).with_key(keyed.clone());
            let voided = |run, generation, repeated| VoidedNumbers {
                prefix: key.prefix.clone(),
                period: *line.key().period(),
                scope: line.key().scope().clone(),
                run,
                generation,
                repeated,
                numbers_as_text: line.definition().numbers_as_text(),
            };
            match self.apply(command).await {
                Ok(Reply::Voided(done)) => return Ok(voided(done.run, done.generation, done.repeated)),
                Ok(Reply::Replayed(event)) => {
                    let run = event.run.ok_or(Refusal::KeyMismatch)?;
                    return Ok(voided(run, event.generation, true));
                }
                Ok(_) => return Err(StoreError::Unknown(Arc::new(WrongReply)).into()),
                Err(error) => {
                    let (head, version) = changed(&error).ok_or(error)?;
                    sequence = self.catch_up(sequence, head).await?;
                    opened = version;
                }
            }
        }
        Err(StoreError::Overloaded.into())
    }

    /// The counter of numbers with the first and the last of them.
    pub(super) async fn named_numbers(
        &self,
        target: VoidTarget,
    ) -> Result<(CounterSelector, Number, Number), Error> {
        match target {
            VoidTarget::Numbers { counter, first, last } => Ok((counter, first, last)),
            VoidTarget::Id { tenant, prefix, id } => {
                let parsed = self.parse_id(tenant.clone(), prefix, id).await?;
                let period = parsed.period.ok_or(Error::Invalid {
                    pointer: "/id",
                    reason: InvalidRequest::Contradiction(
                        "the id does not tell its period: send number and period",
                    ),
                })?;
                let counter = CounterSelector {
                    tenant,
                    prefix: parsed.prefix,
                    scope: parsed.scope.into_iter().collect(),
                    when: When::In(period.to_string()),
                };
                Ok((counter, parsed.number, parsed.number))
            }
        }
    }
}

fn require_gapless(mode: Mode) -> Result<(), Error> {
    if mode == Mode::Gapless {
        return Ok(());
    }
    Err(Error::Invalid {
        pointer: "/prefix",
        reason: InvalidRequest::Contradiction("numbers can be reserved of gapless sequences only"),
    })
}

fn require_ttl(ttl: Duration) -> Result<(), Error> {
    if (SHORTEST_TTL..=LONGEST_TTL).contains(&ttl) {
        return Ok(());
    }
    Err(Error::range(
        "/ttl_seconds",
        SHORTEST_TTL.as_secs(),
        LONGEST_TTL.as_secs(),
        ttl.as_secs(),
    ))
}

/// How many numbers of a line's counter lie from `first` to `last`, both of which must be such.
fn count(line: &Line, first: Number, last: Number) -> Result<u64, Error> {
    let (step, distance) = (line.definition().step(), last.get().checked_sub(first.get()));
    match distance.filter(|distance| distance.is_multiple_of(step)) {
        Some(distance) => Ok(distance / step + 1),
        None => Err(Error::Invalid {
            pointer: "/last",
            reason: InvalidRequest::Contradiction("last must be first, or a later number of the counter"),
        }),
    }
}
