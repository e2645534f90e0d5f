use seqid_core::numbering::{
    AdoptedCounter, Adoption, Closed, DefinitionVersion, Forecast, Gap, GapPage, Held, HoldState, Issued,
    MemberChange, Moved, NumberHistory, OpenReservation, ParsedId, Preview, Reserved, Sequence, Status,
    VoidedNumbers, Warning,
};
use seqid_proto as proto;

use super::{amount, days, definition_json, figure, shown, values};
use crate::status::Problem;

fn words(warnings: &[Warning]) -> Vec<String> {
    warnings
        .iter()
        .map(|warning| warning.as_str().to_owned())
        .collect()
}

/// What every message about issued numbers says of their counter.
macro_rules! issued {
    ($issued:ident as $message:ident { $($member:ident: $value:expr,)* }) => {{
        let (period_start, period_end) = days(&$issued.period);
        proto::$message {
            $($member: $value,)*
            prefix: $issued.prefix.to_string(),
            step: amount($issued.run.step),
            period: $issued.period.to_string(),
            period_start,
            period_end,
            date: $issued.date.to_string(),
            scope: values(&$issued.scope),
            generation: $issued.generation,
            mode: $issued.mode.as_str().to_owned(),
            epoch: $issued.epoch,
            definition_version: $issued.definition_version,
            reference: shown($issued.reference),
            issued_at: $issued.issued_at.to_string(),
            warnings: words(&$issued.warnings),
            replayed: $issued.replayed,
            numbers_as_text: $issued.numbers_as_text,
        }
    }};
}

/// One number.
pub(crate) fn single(mut issued: Issued) -> proto::GetNextResponse {
    issued!(issued as GetNextResponse {
        id: issued.ids.pop().unwrap_or_default(),
        number: figure(issued.run.first),
        request_id: shown(issued.request_id).unwrap_or_default(),
    })
}

/// Several numbers.
pub(crate) fn batch(issued: Issued) -> proto::GetNextBatchResponse {
    issued!(issued as GetNextBatchResponse {
        ids: issued.ids,
        first: figure(issued.run.first),
        last: figure(issued.run.last()),
        count: i32::try_from(issued.run.count).unwrap_or(i32::MAX),
        request_id: shown(issued.request_id).unwrap_or_default(),
    })
}

/// Numbers of any count.
pub(crate) fn numbers(issued: Issued) -> proto::Numbers {
    issued!(issued as Numbers {
        ids: issued.ids,
        first: figure(issued.run.first),
        count: amount(issued.run.count),
        request_id: shown(issued.request_id),
    })
}

pub(crate) fn reserved(reserved: Reserved) -> proto::Reservation {
    proto::Reservation {
        reservation: reserved.reservation.to_string(),
        state: HoldState::Reserved.as_str().to_owned(),
        expires_at: reserved.expires_at.to_string(),
        reason: None,
        numbers: Some(numbers(reserved.numbers)),
    }
}

pub(crate) fn held(held: Held) -> proto::Reservation {
    proto::Reservation {
        reservation: held.reservation.to_string(),
        state: held.state.as_str().to_owned(),
        expires_at: held.expires_at.to_string(),
        reason: shown(held.reason),
        numbers: Some(numbers(held.numbers)),
    }
}

pub(crate) fn open_reservation(open: OpenReservation) -> proto::OpenReservation {
    let (period_start, period_end) = days(&open.period);
    proto::OpenReservation {
        reservation: open.reservation.to_string(),
        first_id: open.first_id,
        last_id: open.last_id,
        first: figure(open.run.first),
        step: amount(open.run.step),
        count: amount(open.run.count),
        generation: open.generation,
        period: open.period.to_string(),
        period_start,
        period_end,
        scope: values(&open.scope),
        expires_at: open.expires_at.to_string(),
        due: open.due,
        date: open.date.to_string(),
        reference: shown(open.reference),
        numbers_as_text: open.numbers_as_text,
    }
}

pub(crate) fn voided(voided: &VoidedNumbers) -> proto::VoidedNumbers {
    let (period_start, period_end) = days(&voided.period);
    proto::VoidedNumbers {
        prefix: voided.prefix.to_string(),
        first: figure(voided.run.first),
        step: amount(voided.run.step),
        count: amount(voided.run.count),
        period: voided.period.to_string(),
        period_start,
        period_end,
        scope: values(&voided.scope),
        generation: voided.generation,
        repeated: voided.repeated,
        numbers_as_text: voided.numbers_as_text,
    }
}

pub(crate) fn reset(moved: Moved) -> proto::ResetCounterResponse {
    let (old, new) = (moved.old_next_number, moved.status.next_number);
    let message = match new {
        Some(next) => format!("the next number is {next}"),
        None => "the counter has ended".to_owned(),
    };
    proto::ResetCounterResponse {
        success: true,
        message,
        old_value: old.map_or(0, figure),
        new_value: new.map_or(0, figure),
        old_next_number: old.map(figure),
        status: Some(status(moved.status)),
        replayed: moved.replayed,
    }
}

pub(crate) fn synced(moved: Moved) -> proto::SyncResponse {
    proto::SyncResponse {
        old_next_number: moved.old_next_number.map(figure),
        status: Some(status(moved.status)),
        replayed: moved.replayed,
    }
}

pub(crate) fn adoption(adoption: Adoption) -> proto::AdoptResponse {
    let counter = |counter: AdoptedCounter| {
        let (period_start, period_end) = days(&counter.period);
        proto::AdoptedCounter {
            period: counter.period.to_string(),
            period_start,
            period_end,
            scope: values(&counter.scope),
            first: figure(counter.first),
            last: figure(counter.last),
            adopted: amount(counter.adopted),
            next_number: counter.next_number.map(figure),
            next_id: counter.next_id,
        }
    };
    proto::AdoptResponse {
        prefix: adoption.prefix.to_string(),
        adopted: amount(adoption.adopted),
        already_adopted: amount(adoption.already_adopted),
        skipped: amount(adoption.skipped),
        counters: adoption.counters.into_iter().map(counter).collect(),
        dry_run: adoption.dry_run,
        replayed: adoption.replayed,
        numbers_as_text: adoption.numbers_as_text,
    }
}

pub(crate) fn status(status: Status) -> proto::GetStatusResponse {
    let (period_start, period_end) = days(&status.period);
    let last = status.last_number.map_or(0, figure);
    proto::GetStatusResponse {
        prefix: status.prefix.to_string(),
        current_counter: last,
        is_active: !status.archived,
        last_generated: String::new(),
        total_generated: last,
        mode: status.mode.as_str().to_owned(),
        period: status.period.to_string(),
        period_start,
        period_end,
        scope: values(&status.scope),
        opened: status.opened,
        last_number: status.last_number.map(figure),
        next_number: status.next_number.map(figure),
        next_id: status.next_id,
        remaining: status.remaining,
        max: figure(status.max),
        generation: status.generation,
        epoch: status.epoch,
        definition_version: status.definition_version,
        reserved: amount(status.reserved),
        voided: amount(status.voided),
        events: amount(status.events),
        forecast: status.forecast.map(forecast),
        archived: status.archived,
        warnings: words(&status.warnings),
        numbers_as_text: status.numbers_as_text,
    }
}

fn forecast(forecast: Forecast) -> proto::Forecast {
    proto::Forecast {
        last_day: amount(forecast.last_day),
        last_week: amount(forecast.last_week),
        last_month: amount(forecast.last_month),
        ends_on: shown(forecast.ends_on),
    }
}

pub(crate) fn number_history(number: NumberHistory) -> proto::GetNumberResponse {
    let (period_start, period_end) = days(&number.period);
    proto::GetNumberResponse {
        prefix: number.prefix.to_string(),
        number: figure(number.number),
        id: number.id,
        period: number.period.to_string(),
        period_start,
        period_end,
        scope: values(&number.scope),
        generation: number.generation,
        state: number.standing.as_str().to_owned(),
        reason: shown(number.reason),
        reference: shown(number.reference),
        date: shown(number.date),
        events: number.events.into_iter().map(super::event).collect(),
        numbers_as_text: number.numbers_as_text,
    }
}

/// A page of gaps, with its head where it is the first.
pub(crate) fn gaps(page: GapPage) -> proto::ListGapsResponse {
    proto::ListGapsResponse {
        report: Some(proto::GapReport {
            start: figure(page.start),
            step: amount(page.step),
            offered: amount(page.offered),
            status: Some(status(page.status)),
            at: page.at.to_string(),
        }),
        gaps: page.gaps.into_iter().map(gap).collect(),
        next: page.next,
    }
}

fn gap(gap: Gap) -> proto::Gap {
    proto::Gap {
        first: figure(gap.run.first),
        step: amount(gap.run.step),
        count: amount(gap.run.count),
        generation: gap.generation,
        first_id: gap.first_id,
        last_id: gap.last_id,
        state: gap.state.as_str().to_owned(),
        reason: shown(gap.reason),
        actor: shown(gap.actor),
        request_id: shown(gap.request_id),
        reference: shown(gap.reference),
        reservation: shown(gap.reservation),
        expires_at: shown(gap.expires_at),
        date: shown(gap.date),
        at: gap.at.to_string(),
    }
}

pub(crate) fn preview(preview: Preview) -> proto::PreviewResponse {
    let (period_start, period_end) = days(&preview.period);
    proto::PreviewResponse {
        prefix: preview.prefix.to_string(),
        id: preview.id,
        number: preview.number.map(figure),
        period: preview.period.to_string(),
        period_start,
        period_end,
        date: preview.date.to_string(),
        scope: values(&preview.scope),
        numbers_as_text: preview.numbers_as_text,
    }
}

pub(crate) fn parsed_id(parsed: ParsedId) -> proto::ParseResponse {
    let (period_start, period_end) = parsed.period.as_ref().map(days).unwrap_or_default();
    proto::ParseResponse {
        prefix: parsed.prefix.to_string(),
        number: figure(parsed.number),
        period: shown(parsed.period),
        period_start,
        period_end,
        scope: parsed.scope,
        fields: parsed.fields,
        definition_version: parsed.definition_version,
        numbers_as_text: parsed.numbers_as_text,
    }
}

pub(crate) fn sequence(sequence: Sequence) -> Result<proto::Sequence, Problem> {
    let definition = &sequence.definition;
    let longest = definition.longest().map(|longest| amount(longest as u64));
    Ok(proto::Sequence {
        prefix: sequence.prefix.to_string(),
        version: sequence.version,
        definition: definition_json(definition.spec())?,
        longest,
        max: figure(definition.max()),
        implicit: sequence.implicit,
        archived: sequence.archived,
        closed_through: shown(sequence.closed_through),
        changed_at: sequence.changed_at.to_string(),
        changed_by: shown(sequence.changed_by),
        first_id: sequence.first_id,
        last_id: sequence.last_id,
    })
}

pub(crate) fn definition_version(version: DefinitionVersion) -> Result<proto::SequenceVersion, Problem> {
    let change = |change: MemberChange| proto::MemberChange {
        member: change.member,
        before: change.before.to_string(),
        after: change.after.to_string(),
    };
    Ok(proto::SequenceVersion {
        version: version.version,
        changed_at: version.changed_at.to_string(),
        changed_by: shown(version.changed_by),
        definition: definition_json(&version.definition)?,
        changes: version.changes.into_iter().map(change).collect(),
    })
}

pub(crate) fn closed(closed: Closed) -> proto::CloseDatesResponse {
    proto::CloseDatesResponse {
        prefix: shown(closed.prefix),
        closed_through: shown(closed.closed_through),
        changed: closed.changed,
        replayed: closed.replayed,
    }
}
