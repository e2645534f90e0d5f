//! From messages to answers.

use std::collections::BTreeMap;
use std::str::FromStr;
use std::sync::Arc;

use seqid_core::counter::Run;
use seqid_core::definition::Defaults;
use seqid_core::event::Recorded;
use seqid_core::export;
use seqid_core::field::FieldValues;
use seqid_core::mark::NumberState;
use seqid_core::numbering::{
    AdoptedCounter, Adoption, Archived, Closed, Defined, DefinitionVersion, Forecast, Gap, GapPage, Held,
    HoldState, Issued, Listing, MemberChange, Moved, NumberHistory, OpenReservation, ParsedId, Preview,
    Reserved, Sequence, Standing, Status, VoidedNumbers, Warning,
};
use seqid_core::period::Period;
use seqid_core::store::StoreError;
use seqid_core::{Definition, Error, Mode, Number, Tenant};
use seqid_proto as proto;
use serde_json::{Map, Value};

/// An answer has a field that cannot be read: the service is not a seqid, or one from the future.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("the service's answer has a {0} that this client cannot read")]
pub(crate) struct Unreadable(pub(crate) &'static str);

impl From<Unreadable> for Error {
    fn from(unreadable: Unreadable) -> Self {
        StoreError::Corrupt(Arc::new(unreadable)).into()
    }
}

type Read<T> = Result<T, Error>;

fn parsed<T: FromStr>(text: &str, field: &'static str) -> Read<T> {
    text.parse().map_err(|_| Unreadable(field).into())
}

fn optional<T: FromStr>(text: Option<&str>, field: &'static str) -> Read<Option<T>> {
    text.map(|text| parsed(text, field)).transpose()
}

fn present<T>(value: Option<T>, field: &'static str) -> Read<T> {
    value.ok_or_else(|| Unreadable(field).into())
}

fn amount(value: i64, field: &'static str) -> Read<u64> {
    u64::try_from(value).map_err(|_| Unreadable(field).into())
}

fn number(value: i64, field: &'static str) -> Read<Number> {
    Number::new(amount(value, field)?).map_err(|_| Unreadable(field).into())
}

fn optional_number(value: Option<i64>, field: &'static str) -> Read<Option<Number>> {
    value.map(|value| number(value, field)).transpose()
}

/// The run of at least one number.
fn run(first: i64, step: i64, count: i64) -> Read<Run> {
    let at_least_one = |value, field| match amount(value, field)? {
        0 => Err(Error::from(Unreadable(field))),
        value => Ok(value),
    };
    Ok(Run {
        first: number(first, "first")?,
        step: at_least_one(step, "step")?,
        count: at_least_one(count, "count")?,
    })
}

fn mode(word: &str) -> Read<Mode> {
    let mode = Mode::ALL.into_iter().find(|mode| mode.as_str() == word);
    present(mode, "mode")
}

/// A warning that is not known here says nothing here.
fn warnings(words: &[String]) -> Vec<Warning> {
    let warning = |word: &String| Warning::ALL.iter().find(|warning| warning.as_str() == word);
    words.iter().filter_map(warning).copied().collect()
}

fn values(values: BTreeMap<String, String>) -> FieldValues {
    FieldValues::new(values)
}

fn period(text: &str, start: Option<&str>, end: Option<&str>) -> Read<Period> {
    let start = optional(start, "period_start")?;
    let end = optional(end, "period_end")?;
    present(Period::named(text, start.zip(end)), "period")
}

/// The period of a message, which has it in three fields.
macro_rules! period {
    ($message:ident) => {
        period(
            &$message.period,
            $message.period_start.as_deref(),
            $message.period_end.as_deref(),
        )?
    };
}

pub(crate) fn numbers(numbers: proto::Numbers) -> Read<Issued> {
    let run = run(numbers.first, numbers.step, numbers.count)?;
    if numbers.ids.len() as u64 != run.count {
        return Err(Unreadable("list of ids").into());
    }
    Ok(Issued {
        prefix: parsed(&numbers.prefix, "prefix")?,
        run,
        period: period!(numbers),
        date: parsed(&numbers.date, "date")?,
        scope: values(numbers.scope),
        generation: numbers.generation,
        mode: mode(&numbers.mode)?,
        epoch: numbers.epoch,
        definition_version: numbers.definition_version,
        reference: optional(numbers.reference.as_deref(), "reference")?,
        request_id: optional(numbers.request_id.as_deref(), "request_id")?,
        issued_at: parsed(&numbers.issued_at, "issued_at")?,
        warnings: warnings(&numbers.warnings),
        replayed: numbers.replayed,
        numbers_as_text: numbers.numbers_as_text,
        ids: numbers.ids,
    })
}

pub(crate) fn reserved(message: proto::Reservation) -> Read<Reserved> {
    Ok(Reserved {
        reservation: parsed(&message.reservation, "reservation")?,
        expires_at: parsed(&message.expires_at, "expires_at")?,
        numbers: numbers(present(message.numbers, "numbers")?)?,
    })
}

pub(crate) fn held(message: proto::Reservation) -> Read<Held> {
    let state = HoldState::ALL
        .into_iter()
        .find(|state| state.as_str() == message.state);
    Ok(Held {
        reservation: parsed(&message.reservation, "reservation")?,
        state: present(state, "state")?,
        expires_at: parsed(&message.expires_at, "expires_at")?,
        reason: optional(message.reason.as_deref(), "reason")?,
        numbers: numbers(present(message.numbers, "numbers")?)?,
    })
}

pub(crate) fn open_reservation(open: proto::OpenReservation) -> Read<OpenReservation> {
    Ok(OpenReservation {
        reservation: parsed(&open.reservation, "reservation")?,
        run: run(open.first, open.step, open.count)?,
        generation: open.generation,
        period: period!(open),
        scope: values(open.scope),
        expires_at: parsed(&open.expires_at, "expires_at")?,
        due: open.due,
        date: parsed(&open.date, "date")?,
        reference: optional(open.reference.as_deref(), "reference")?,
        numbers_as_text: open.numbers_as_text,
        first_id: open.first_id,
        last_id: open.last_id,
    })
}

pub(crate) fn voided(voided: proto::VoidedNumbers) -> Read<VoidedNumbers> {
    Ok(VoidedNumbers {
        prefix: parsed(&voided.prefix, "prefix")?,
        period: period!(voided),
        scope: values(voided.scope),
        run: run(voided.first, voided.step, voided.count)?,
        generation: voided.generation,
        repeated: voided.repeated,
        numbers_as_text: voided.numbers_as_text,
    })
}

pub(crate) fn moved(old: Option<i64>, at: Option<proto::GetStatusResponse>, replayed: bool) -> Read<Moved> {
    Ok(Moved {
        old_next_number: optional_number(old, "old_next_number")?,
        status: status(present(at, "status")?)?,
        replayed,
    })
}

pub(crate) fn adoption(adoption: proto::AdoptResponse) -> Read<Adoption> {
    let counter = |counter: proto::AdoptedCounter| {
        Ok(AdoptedCounter {
            period: period!(counter),
            scope: values(counter.scope),
            first: number(counter.first, "first")?,
            last: number(counter.last, "last")?,
            adopted: amount(counter.adopted, "adopted")?,
            next_number: optional_number(counter.next_number, "next_number")?,
            next_id: counter.next_id,
        })
    };
    Ok(Adoption {
        prefix: parsed(&adoption.prefix, "prefix")?,
        adopted: amount(adoption.adopted, "adopted")?,
        already_adopted: amount(adoption.already_adopted, "already_adopted")?,
        skipped: amount(adoption.skipped, "skipped")?,
        counters: adoption.counters.into_iter().map(counter).collect::<Read<_>>()?,
        dry_run: adoption.dry_run,
        replayed: adoption.replayed,
        numbers_as_text: adoption.numbers_as_text,
    })
}

pub(crate) fn status(status: proto::GetStatusResponse) -> Read<Status> {
    Ok(Status {
        prefix: parsed(&status.prefix, "prefix")?,
        mode: mode(&status.mode)?,
        period: period!(status),
        scope: values(status.scope),
        opened: status.opened,
        last_number: optional_number(status.last_number, "last_number")?,
        next_number: optional_number(status.next_number, "next_number")?,
        next_id: status.next_id,
        remaining: status.remaining,
        max: number(status.max, "max")?,
        generation: status.generation,
        epoch: status.epoch,
        definition_version: status.definition_version,
        reserved: amount(status.reserved, "reserved")?,
        voided: amount(status.voided, "voided")?,
        events: amount(status.events, "events")?,
        forecast: status.forecast.as_ref().map(forecast).transpose()?,
        archived: status.archived,
        warnings: warnings(&status.warnings),
        numbers_as_text: status.numbers_as_text,
    })
}

fn forecast(forecast: &proto::Forecast) -> Read<Forecast> {
    Ok(Forecast {
        last_day: amount(forecast.last_day, "last_day")?,
        last_week: amount(forecast.last_week, "last_week")?,
        last_month: amount(forecast.last_month, "last_month")?,
        ends_on: optional(forecast.ends_on.as_deref(), "ends_on")?,
    })
}

pub(crate) fn gap_page(
    report: Option<proto::GapReport>,
    gaps: Vec<proto::Gap>,
    next: Option<String>,
) -> Read<GapPage> {
    let report = present(report, "report")?;
    Ok(GapPage {
        start: number(report.start, "start")?,
        step: amount(report.step, "step")?,
        offered: amount(report.offered, "offered")?,
        status: status(present(report.status, "status")?)?,
        at: parsed(&report.at, "at")?,
        gaps: gaps.into_iter().map(gap).collect::<Read<_>>()?,
        next,
    })
}

fn gap(gap: proto::Gap) -> Read<Gap> {
    let state = NumberState::ALL
        .into_iter()
        .find(|state| state.as_str() == gap.state);
    Ok(Gap {
        run: run(gap.first, gap.step, gap.count)?,
        generation: gap.generation,
        first_id: gap.first_id,
        last_id: gap.last_id,
        state: present(state, "state")?,
        reason: optional(gap.reason.as_deref(), "reason")?,
        actor: optional(gap.actor.as_deref(), "actor")?,
        request_id: optional(gap.request_id.as_deref(), "request_id")?,
        reference: optional(gap.reference.as_deref(), "reference")?,
        reservation: optional(gap.reservation.as_deref(), "reservation")?,
        expires_at: optional(gap.expires_at.as_deref(), "expires_at")?,
        date: optional(gap.date.as_deref(), "date")?,
        at: parsed(&gap.at, "at")?,
    })
}

pub(crate) fn number_history(message: proto::GetNumberResponse) -> Read<NumberHistory> {
    let standings = [Standing::Open, Standing::Issued];
    let standing = standings
        .into_iter()
        .chain(NumberState::ALL.map(Standing::Marked))
        .find(|standing| standing.as_str() == message.state);
    Ok(NumberHistory {
        prefix: parsed(&message.prefix, "prefix")?,
        number: number(message.number, "number")?,
        period: period!(message),
        scope: values(message.scope),
        generation: message.generation,
        standing: present(standing, "state")?,
        reason: optional(message.reason.as_deref(), "reason")?,
        reference: optional(message.reference.as_deref(), "reference")?,
        date: optional(message.date.as_deref(), "date")?,
        events: message.events.into_iter().map(event).collect::<Read<_>>()?,
        numbers_as_text: message.numbers_as_text,
        id: message.id,
    })
}

pub(crate) fn preview(preview: proto::PreviewResponse) -> Read<Preview> {
    Ok(Preview {
        prefix: parsed(&preview.prefix, "prefix")?,
        number: optional_number(preview.number, "number")?,
        period: period!(preview),
        date: parsed(&preview.date, "date")?,
        scope: values(preview.scope),
        numbers_as_text: preview.numbers_as_text,
        id: preview.id,
    })
}

pub(crate) fn parsed_id(read: proto::ParseResponse) -> Read<ParsedId> {
    let (start, end) = (read.period_start.as_deref(), read.period_end.as_deref());
    let named = read.period.as_deref().map(|text| period(text, start, end));
    Ok(ParsedId {
        prefix: parsed(&read.prefix, "prefix")?,
        number: number(read.number, "number")?,
        period: named.transpose()?,
        scope: read.scope,
        fields: read.fields,
        definition_version: read.definition_version,
        numbers_as_text: read.numbers_as_text,
    })
}

pub(crate) fn defined(tenant: &Tenant, message: proto::DefineSequenceResponse) -> Read<Defined> {
    Ok(Defined {
        sequence: sequence(tenant, present(message.sequence, "sequence")?)?,
        created: message.created,
        saved: message.saved,
        remarks: message.remarks,
    })
}

pub(crate) fn archived(tenant: &Tenant, message: proto::ArchiveSequenceResponse) -> Read<Archived> {
    Ok(Archived {
        sequence: sequence(tenant, present(message.sequence, "sequence")?)?,
        repeated: message.repeated,
    })
}

pub(crate) fn sequence(tenant: &Tenant, message: proto::Sequence) -> Read<Sequence> {
    let prefix = parsed(&message.prefix, "prefix")?;
    let spec = serde_json::from_str(&message.definition).map_err(|_| Unreadable("definition"))?;
    let definition = Definition::check(tenant, &prefix, spec, &Defaults::default())
        .map_err(|_| Unreadable("definition"))?;
    Ok(Sequence {
        prefix,
        version: message.version,
        definition,
        implicit: message.implicit,
        archived: message.archived,
        closed_through: optional(message.closed_through.as_deref(), "closed_through")?,
        changed_at: parsed(&message.changed_at, "changed_at")?,
        changed_by: optional(message.changed_by.as_deref(), "changed_by")?,
        first_id: message.first_id,
        last_id: message.last_id,
    })
}

pub(crate) fn definition_version(version: proto::SequenceVersion) -> Read<DefinitionVersion> {
    let json = |text: &str| serde_json::from_str(text).map_err(|_| Error::from(Unreadable("change")));
    let change = |change: proto::MemberChange| {
        Ok(MemberChange {
            before: json(&change.before)?,
            after: json(&change.after)?,
            member: change.member,
        })
    };
    Ok(DefinitionVersion {
        version: version.version,
        changed_at: parsed(&version.changed_at, "changed_at")?,
        changed_by: optional(version.changed_by.as_deref(), "changed_by")?,
        definition: serde_json::from_str(&version.definition).map_err(|_| Unreadable("definition"))?,
        changes: version.changes.into_iter().map(change).collect::<Read<_>>()?,
    })
}

pub(crate) fn closed(closed: &proto::CloseDatesResponse) -> Read<Closed> {
    Ok(Closed {
        prefix: optional(closed.prefix.as_deref(), "prefix")?,
        closed_through: optional(closed.closed_through.as_deref(), "closed_through")?,
        changed: closed.changed,
        replayed: closed.replayed,
    })
}

pub(crate) fn listing<M, T>(
    items: Vec<M>,
    next: Option<String>,
    item: impl Fn(M) -> Read<T>,
) -> Read<Listing<T>> {
    let items = items.into_iter().map(item).collect::<Read<_>>()?;
    Ok(Listing { items, next })
}

/// An event, by way of the JSON in which events leave their store: whoever reads that checks all of it.
pub(crate) fn event(event: proto::Event) -> Read<Recorded> {
    let document = serde_json::to_vec(&event_document(event)).map_err(|_| Unreadable("event"))?;
    export::from_json(&document).map_err(|_| Unreadable("event").into())
}

fn event_document(event: proto::Event) -> Map<String, Value> {
    let scope = event.period.as_ref().map(|_| event.scope);
    let mut document = Map::new();
    macro_rules! members {
        ($($name:ident: $value:expr,)*) => {
            $(document.insert(stringify!($name).to_owned(), serde_json::json!($value));)*
        };
    }
    members! {
        event_id: event.event_id,
        authority: event.authority,
        position: event.position,
        kind: event.kind,
        tenant: event.tenant,
        prefix: event.prefix,
        scope: scope,
        period: event.period,
        period_start: event.period_start,
        period_end: event.period_end,
        n: event.n,
        generation: event.generation,
        epoch: event.epoch,
        first: event.first,
        step: event.step,
        count: event.count,
        first_id: event.first_id,
        last_id: event.last_id,
        definition_version: event.definition_version,
        mode: event.mode,
        date: event.date,
        fields: event.fields,
        actor: event.actor,
        client: event.client,
        request_id: event.request_id,
        reference: event.reference,
        relates_to: event.relates_to,
        reason: event.reason,
        idempotency_key: event.idempotency_key,
        fingerprint: event.fingerprint,
        reservation: event.reservation,
        expires_at: event.expires_at,
        on_expiry: event.on_expiry,
        definition: event.definition,
        lease: event.lease,
        at: event.at,
        hash: event.hash,
    }
    document
}
