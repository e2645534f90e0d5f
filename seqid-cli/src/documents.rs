//! Answers as JSON, with the members of the REST API (`seqid-http/src/wire`): every member is always there, and null says
//! that it does not apply. Numbers are texts where the sequence's are larger than JSON readers keep exactly.

use std::collections::BTreeMap;
use std::fmt::Display;

use seqid_core::field::FieldValues;
use seqid_core::gap_report::{GapSummary, Head};
use seqid_core::mark::NumberState;
use seqid_core::names::Number;
use seqid_core::numbering::{
    Defined, Forecast, Gap, Held, HoldState, Issued, Moved, ParsedId, Preview, Reserved, Sequence, Status,
    VoidedNumbers, Warning,
};
use seqid_core::period::Period;
use serde_json::{Map, Value, json};

/// Numbers as integers, or as texts.
#[derive(Debug, Clone, Copy)]
struct Figures {
    as_text: bool,
}

impl Figures {
    const fn new(as_text: bool) -> Self {
        Self { as_text }
    }

    fn write(self, value: impl Into<u64>) -> Value {
        let value = value.into();
        if self.as_text {
            Value::String(value.to_string())
        } else {
            value.into()
        }
    }

    fn optional(self, value: Option<Number>) -> Value {
        value.map_or(Value::Null, |value| self.write(value))
    }
}

fn text(value: Option<impl Display>) -> Value {
    value.map_or(Value::Null, |value| Value::String(value.to_string()))
}

fn scope(values: &FieldValues) -> Value {
    let values: BTreeMap<&str, &str> = values.iter().collect();
    json!(values)
}

fn words(warnings: &[Warning]) -> Vec<&'static str> {
    warnings.iter().map(|warning| warning.as_str()).collect()
}

/// The members of an object.
fn members(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(members) => members,
        _ => Map::new(),
    }
}

fn with(base: Value, more: Value) -> Value {
    let mut all = members(base);
    all.extend(members(more));
    Value::Object(all)
}

fn period(period: Option<&Period>) -> Value {
    json!({
        "period": text(period),
        "period_start": text(period.and_then(Period::first)),
        "period_end": text(period.and_then(Period::last)),
    })
}

/// What every answer to a draw says of the counter.
fn drawn(issued: &Issued) -> Value {
    let figures = Figures::new(issued.numbers_as_text);
    let counter = json!({
        "prefix": issued.prefix.as_str(),
        "step": figures.write(issued.run.step),
        "date": issued.date.to_string(),
        "scope": scope(&issued.scope),
        "generation": issued.generation,
        "mode": issued.mode.as_str(),
        "epoch": issued.epoch,
        "definition_version": issued.definition_version,
        "reference": text(issued.reference.as_ref()),
        "request_id": text(issued.request_id.as_ref()),
        "issued_at": issued.issued_at.to_string(),
        "warnings": words(&issued.warnings),
    });
    with(counter, period(Some(&issued.period)))
}

pub(crate) fn next(issued: &Issued) -> Value {
    let number = Figures::new(issued.numbers_as_text).write(issued.run.first);
    with(drawn(issued), json!({"id": issued.id(), "number": number}))
}

pub(crate) fn batch(issued: &Issued) -> Value {
    let figures = Figures::new(issued.numbers_as_text);
    let numbers = json!({
        "ids": issued.ids,
        "first": figures.write(issued.run.first),
        "last": figures.write(issued.run.last()),
        "count": issued.run.count,
    });
    with(drawn(issued), numbers)
}

/// Numbers of a reservation: of one number, both as a draw of one and as a batch.
fn held_numbers(issued: &Issued) -> Value {
    let single = (issued.run.count == 1).then(|| next(issued));
    let single = single.unwrap_or_else(|| json!({"id": null, "number": null}));
    with(batch(issued), single)
}

pub(crate) fn reserved(reserved: &Reserved) -> Value {
    let hold = json!({
        "reservation": reserved.reservation.to_string(),
        "state": HoldState::Reserved.as_str(),
        "expires_at": reserved.expires_at.to_string(),
        "reason": null,
    });
    with(held_numbers(&reserved.numbers), hold)
}

pub(crate) fn held(held: &Held) -> Value {
    let hold = json!({
        "reservation": held.reservation.to_string(),
        "state": held.state.as_str(),
        "expires_at": held.expires_at.to_string(),
        "reason": text(held.reason.as_ref()),
    });
    with(held_numbers(&held.numbers), hold)
}

pub(crate) fn voided(voided: &VoidedNumbers) -> Value {
    let figures = Figures::new(voided.numbers_as_text);
    let numbers = json!({
        "prefix": voided.prefix.as_str(),
        "first": figures.write(voided.run.first),
        "last": figures.write(voided.run.last()),
        "step": figures.write(voided.run.step),
        "count": voided.run.count,
        "scope": scope(&voided.scope),
        "generation": voided.generation,
    });
    with(numbers, period(Some(&voided.period)))
}

pub(crate) fn status(status: &Status) -> Value {
    let figures = Figures::new(status.numbers_as_text);
    let counter = json!({
        "prefix": status.prefix.as_str(),
        "mode": status.mode.as_str(),
        "scope": scope(&status.scope),
        "opened": status.opened,
        "last_number": figures.optional(status.last_number),
        "next_number": figures.optional(status.next_number),
        "next_id": status.next_id,
        "remaining": figures.write(status.remaining),
        "max": figures.write(status.max),
        "generation": status.generation,
        "epoch": status.epoch,
        "definition_version": status.definition_version,
        "reserved": status.reserved,
        "voided": status.voided,
        "events": status.events,
        "forecast": status.forecast.as_ref().map(forecast),
        "archived": status.archived,
        "warnings": words(&status.warnings),
    });
    with(counter, period(Some(&status.period)))
}

fn forecast(forecast: &Forecast) -> Value {
    json!({
        "last_day": forecast.last_day,
        "last_week": forecast.last_week,
        "last_month": forecast.last_month,
        "ends_on": text(forecast.ends_on),
    })
}

pub(crate) fn moved(moved: &Moved) -> Value {
    let figures = Figures::new(moved.status.numbers_as_text);
    let old = figures.optional(moved.old_next_number);
    with(status(&moved.status), json!({"old_next_number": old}))
}

pub(crate) fn preview(preview: &Preview) -> Value {
    let figures = Figures::new(preview.numbers_as_text);
    let id = json!({
        "prefix": preview.prefix.as_str(),
        "id": preview.id,
        "number": figures.optional(preview.number),
        "date": preview.date.to_string(),
        "scope": scope(&preview.scope),
    });
    with(id, period(Some(&preview.period)))
}

pub(crate) fn parsed(parsed: &ParsedId) -> Value {
    let id = json!({
        "prefix": parsed.prefix.as_str(),
        "number": Figures::new(parsed.numbers_as_text).write(parsed.number),
        "scope": parsed.scope,
        "fields": parsed.fields,
        "definition_version": parsed.definition_version,
    });
    with(id, period(parsed.period.as_ref()))
}

/// The members of a definition, of which those that it does not have are null.
const DEFINITION: [&str; 24] = [
    "format",
    "mode",
    "start",
    "step",
    "max",
    "ranges",
    "successor",
    "reset",
    "fiscal_year_start",
    "fiscal_label",
    "time_zone",
    "scope",
    "fields",
    "window",
    "max_length",
    "charset",
    "profile",
    "repeats",
    "chronological",
    "days_ahead",
    "on_expiry",
    "largest_gap",
    "warn_at",
    "description",
];

pub(crate) fn sequence(sequence: &Sequence) -> Value {
    let definition = &sequence.definition;
    let mut spec: Map<String, Value> = DEFINITION
        .iter()
        .map(|name| ((*name).to_owned(), Value::Null))
        .collect();
    spec.insert("language".to_owned(), Value::Null);
    spec.extend(members(
        serde_json::to_value(definition.spec()).unwrap_or_default(),
    ));
    json!({
        "prefix": sequence.prefix.as_str(),
        "version": sequence.version,
        "definition": spec,
        "implicit": sequence.implicit,
        "archived": sequence.archived,
        "closed_through": text(sequence.closed_through),
        "changed_at": sequence.changed_at.to_string(),
        "changed_by": text(sequence.changed_by.as_ref()),
        "first_id": sequence.first_id,
        "last_id": sequence.last_id,
        "longest": definition.longest(),
        "max": Figures::new(definition.numbers_as_text()).write(definition.max()),
    })
}

pub(crate) fn defined(defined: &Defined) -> Value {
    let outcome = json!({
        "created": defined.created,
        "saved": defined.saved,
        "remarks": defined.remarks,
    });
    with(sequence(&defined.sequence), outcome)
}

/// The counter of a gap report.
pub(crate) fn gaps_head(head: &Head) -> Map<String, Value> {
    let status = &head.status;
    let figures = Figures::new(status.numbers_as_text);
    let counter = json!({
        "prefix": status.prefix.as_str(),
        "scope": scope(&status.scope),
        "start": figures.write(head.start),
        "step": figures.write(head.step),
        "next_number": figures.optional(status.next_number),
        "generation": status.generation,
        "made_at": head.at.to_string(),
    });
    members(with(counter, period(Some(&status.period))))
}

pub(crate) fn gap(gap: &Gap, as_text: bool) -> Value {
    let figures = Figures::new(as_text);
    json!({
        "first": figures.write(gap.run.first),
        "last": figures.write(gap.run.last()),
        "step": figures.write(gap.run.step),
        "count": figures.write(gap.run.count),
        "first_id": gap.first_id,
        "last_id": gap.last_id,
        "state": gap.state.as_str(),
        "reason": text(gap.reason.as_ref()),
        "actor": text(gap.actor.as_ref()),
        "request_id": text(gap.request_id.as_ref()),
        "reference": text(gap.reference.as_ref()),
        "reservation": text(gap.reservation.as_ref()),
        "expires_at": text(gap.expires_at.as_ref()),
        "date": text(gap.date.as_ref()),
        "at": gap.at.to_string(),
        "generation": gap.generation,
    })
}

pub(crate) fn gap_summary(summary: &GapSummary, as_text: bool) -> Value {
    let figures = Figures::new(as_text);
    let mut counts = members(json!({
        "from": figures.write(summary.from),
        "to": figures.optional(summary.to),
        "count": figures.write(summary.count),
        "issued": figures.write(summary.issued),
    }));
    for state in NumberState::ALL {
        counts.insert(state.as_str().to_owned(), figures.write(summary.of(state)));
    }
    Value::Object(counts)
}
