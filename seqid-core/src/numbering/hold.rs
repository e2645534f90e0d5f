use std::time::Duration;

use super::{CounterSelector, DrawRequest, Issued, Page};
use crate::command::End;
use crate::counter::Run;
use crate::event::Origin;
use crate::field::FieldValues;
use crate::names::{Prefix, Reason, Reference, Tenant};
use crate::period::Period;
use crate::reservation::ReservationId;
use crate::time::{Date, Timestamp};

/// A reservation to be made.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ReserveRequest {
    /// What is drawn: the ids, the date and the period are fixed now.
    pub draw: DrawRequest,
    /// How long the numbers are held: [`SHORTEST_TTL`](crate::reservation::SHORTEST_TTL) to
    /// [`LONGEST_TTL`](crate::reservation::LONGEST_TTL).
    pub ttl: Duration,
}

impl ReserveRequest {
    /// Holds what a draw would issue.
    #[must_use]
    pub const fn new(draw: DrawRequest, ttl: Duration) -> Self {
        Self { draw, ttl }
    }
}

/// Numbers that are held.
#[derive(Debug, Clone, PartialEq)]
pub struct Reserved {
    /// What they are confirmed or voided by.
    pub reservation: ReservationId,
    /// When the hold ends by itself.
    pub expires_at: Timestamp,
    /// The numbers, with the ids that they will have.
    pub numbers: Issued,
}

/// How a reservation is to end.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct SettleRequest {
    /// The tenant.
    pub tenant: Tenant,
    /// The reservation.
    pub reservation: ReservationId,
    /// Confirmed or voided.
    pub end: End,
    /// Who asks.
    pub origin: Origin,
}

impl SettleRequest {
    /// Issues the numbers of a reservation of the default tenant.
    #[must_use]
    pub fn confirm(reservation: ReservationId) -> Self {
        let end = End::Confirm {
            date: None,
            reference: None,
        };
        Self::new(reservation, end)
    }

    /// Voids the numbers of a reservation of the default tenant.
    #[must_use]
    pub fn void(reservation: ReservationId, reason: Reason) -> Self {
        Self::new(reservation, End::Void { reason })
    }

    fn new(reservation: ReservationId, end: End) -> Self {
        Self {
            tenant: Tenant::default(),
            reservation,
            end,
            origin: Origin::default(),
        }
    }
}

/// A reservation and its numbers.
#[derive(Debug, Clone, PartialEq)]
pub struct Held {
    /// Its name.
    pub reservation: ReservationId,
    /// What became of it.
    pub state: HoldState,
    /// When it ends, or would have ended, by itself.
    pub expires_at: Timestamp,
    /// Why it was voided.
    pub reason: Option<Reason>,
    /// The numbers. `issued_at` is the instant at which the state was reached.
    pub numbers: Issued,
}

/// What became of a reservation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum HoldState {
    /// The numbers are held.
    Reserved,
    /// They were issued.
    Confirmed,
    /// They were voided.
    Voided,
    /// Nobody settled it in time.
    Expired,
}

impl HoldState {
    /// Every state.
    pub const ALL: [HoldState; 4] = [Self::Reserved, Self::Confirmed, Self::Voided, Self::Expired];

    /// The word on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Reserved => "reserved",
            Self::Confirmed => "confirmed",
            Self::Voided => "voided",
            Self::Expired => "expired",
        }
    }
}

/// Which open reservations are asked for.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ReservationsRequest {
    /// The tenant.
    pub tenant: Tenant,
    /// The sequence.
    pub prefix: Prefix,
    /// One counter of the sequence; all of them otherwise.
    pub counter: Option<CounterSelector>,
    /// Which part of the list.
    pub page: Page,
}

impl ReservationsRequest {
    /// The first hundred of all counters of the sequence `prefix` of the default tenant.
    #[must_use]
    pub fn new(prefix: Prefix) -> Self {
        Self {
            tenant: Tenant::default(),
            prefix,
            counter: None,
            page: Page::default(),
        }
    }
}

/// A reservation that nobody has settled, and no write has let go.
#[derive(Debug, Clone, PartialEq)]
pub struct OpenReservation {
    /// Its name.
    pub reservation: ReservationId,
    /// The text of the first number; `None` when it shows the instant of issue.
    pub first_id: Option<String>,
    /// The text of the last number.
    pub last_id: Option<String>,
    /// The numbers.
    pub run: Run,
    /// The generation of the numbers.
    pub generation: u32,
    /// The counter's period.
    pub period: Period,
    /// The counter's scope values.
    pub scope: FieldValues,
    /// When it ends by itself.
    pub expires_at: Timestamp,
    /// Whether it has ended by the clock, so that the next write to its counter lets it go.
    pub due: bool,
    /// The document date.
    pub date: Date,
    /// The caller's key of the document.
    pub reference: Option<Reference>,
    /// Whether the sequence's numbers are written as text on the wire.
    pub numbers_as_text: bool,
}
