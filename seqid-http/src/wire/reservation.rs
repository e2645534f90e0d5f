use seqid_core::Tenant;
use seqid_core::command::End;
use seqid_core::field::FieldValues;
use seqid_core::names::{Label, Reason, Reference};
use seqid_core::numbering::{Held, HoldState, Listing, OpenReservation, Reserved, SettleRequest};
use seqid_core::period::Period;
use seqid_core::reservation::ReservationId;
use seqid_core::time::{Date, Timestamp};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Figure, ReservedNumbers, Shown};
use crate::problem::Problem;
use crate::request::Caller;

/// The end of a reservation whose numbers are used.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"reference": "SO-4711"}))]
pub(crate) struct ConfirmBody {
    /// The tenant, where the header `Seqid-Tenant` does not name it.
    #[schema(value_type = Option<String>)]
    tenant: Option<Tenant>,
    /// The document date. It was fixed by the reservation: another one is refused.
    #[schema(value_type = Option<String>, format = Date)]
    date: Option<Date>,
    /// Your key of the document, kept with its number.
    #[schema(value_type = Option<String>, max_length = 255)]
    reference: Option<Reference>,
    /// The program that asks, for the audit.
    #[schema(value_type = Option<String>, max_length = 255)]
    client_id: Option<Label>,
}

impl ConfirmBody {
    pub(crate) fn into_request(self, caller: &Caller, id: ReservationId) -> Result<SettleRequest, Problem> {
        let mut request = SettleRequest::confirm(id);
        request.tenant = caller.tenant(self.tenant)?;
        request.origin = caller.origin(self.client_id);
        request.end = End::Confirm {
            date: self.date,
            reference: self.reference,
        };
        Ok(request)
    }
}

/// The end of a reservation whose numbers are not used.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"reason": "the draft was discarded"}))]
pub(crate) struct VoidReservationBody {
    /// The tenant, where the header `Seqid-Tenant` does not name it.
    #[schema(value_type = Option<String>)]
    tenant: Option<Tenant>,
    /// Why, for the audit.
    #[schema(value_type = String, max_length = 500)]
    reason: Reason,
    /// The program that asks, for the audit.
    #[schema(value_type = Option<String>, max_length = 255)]
    client_id: Option<Label>,
}

impl VoidReservationBody {
    pub(crate) fn into_request(self, caller: &Caller, id: ReservationId) -> Result<SettleRequest, Problem> {
        let mut request = SettleRequest::void(id, self.reason);
        request.tenant = caller.tenant(self.tenant)?;
        request.origin = caller.origin(self.client_id);
        Ok(request)
    }
}

/// A reservation and its numbers.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Reservation)]
pub(crate) struct ReservationAnswer {
    /// What it is confirmed or voided by: 32 hex digits, not to be guessed.
    #[schema(value_type = String, examples("5f1d7a3c9b2e4860a7c1d9e3f5b70824"))]
    reservation: Shown<ReservationId>,
    /// What became of it: `reserved`, `confirmed`, `voided` or `expired`.
    #[schema(examples("reserved"))]
    state: &'static str,
    /// When it ends, or would have ended, by itself.
    #[schema(value_type = String, format = DateTime)]
    expires_at: Shown<Timestamp>,
    /// Why it was voided; null unless it was.
    #[schema(value_type = Option<String>, required)]
    reason: Option<Shown<Reason>>,
    #[serde(flatten)]
    numbers: ReservedNumbers,
}

/// Open reservations of a sequence.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = OpenReservations)]
pub(crate) struct OpenReservationsAnswer {
    /// This part of the list.
    items: Vec<OpenReservationAnswer>,
    /// What to send as `after` for the next part; null at the end.
    #[schema(required)]
    next: Option<String>,
}

/// A reservation that nobody has settled.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = OpenReservation)]
pub(crate) struct OpenReservationAnswer {
    /// What it is confirmed or voided by.
    #[schema(value_type = String, examples("5f1d7a3c9b2e4860a7c1d9e3f5b70824"))]
    reservation: Shown<ReservationId>,
    /// The text of the first number; null when it shows the instant of issue.
    #[schema(required)]
    first_id: Option<String>,
    /// The text of the last number.
    #[schema(required)]
    last_id: Option<String>,
    /// The first number.
    first: Figure,
    /// The last number.
    last: Figure,
    /// How many.
    count: u64,
    /// When it ends by itself.
    #[schema(value_type = String, format = DateTime)]
    expires_at: Shown<Timestamp>,
    /// Whether it has ended by the clock: it cannot be confirmed any more, and the next write to its counter lets it go.
    due: bool,
    /// Your key of the document.
    #[schema(value_type = Option<String>, required)]
    reference: Option<Shown<Reference>>,
    /// The document date.
    #[schema(value_type = String, format = Date)]
    date: Shown<Date>,
    /// The counter's period.
    #[schema(value_type = String, examples("all"))]
    period: Shown<Period>,
    /// The counter's scope values, normalised.
    #[schema(value_type = BTreeMap<String, String>)]
    scope: FieldValues,
    /// The generation of the numbers.
    generation: u32,
}

impl From<Listing<OpenReservation>> for OpenReservationsAnswer {
    fn from(listing: Listing<OpenReservation>) -> Self {
        let item = |open: OpenReservation| OpenReservationAnswer {
            reservation: Shown(open.reservation),
            first_id: open.first_id,
            last_id: open.last_id,
            first: Figure::new(open.run.first, open.numbers_as_text),
            last: Figure::new(open.run.last(), open.numbers_as_text),
            count: open.run.count,
            expires_at: Shown(open.expires_at),
            due: open.due,
            reference: open.reference.map(Shown),
            date: Shown(open.date),
            period: Shown(open.period),
            scope: open.scope,
            generation: open.generation,
        };
        Self {
            items: listing.items.into_iter().map(item).collect(),
            next: listing.next,
        }
    }
}

impl From<Reserved> for ReservationAnswer {
    fn from(reserved: Reserved) -> Self {
        Self {
            reservation: Shown(reserved.reservation),
            state: HoldState::Reserved.as_str(),
            expires_at: Shown(reserved.expires_at),
            reason: None,
            numbers: reserved.numbers.into(),
        }
    }
}

impl From<Held> for ReservationAnswer {
    fn from(held: Held) -> Self {
        Self {
            reservation: Shown(held.reservation),
            state: held.state.as_str(),
            expires_at: Shown(held.expires_at),
            reason: held.reason.map(Shown),
            numbers: held.numbers.into(),
        }
    }
}
