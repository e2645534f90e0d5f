//! From messages to requests and from answers to messages. An empty text of a request is an absent one.

mod answers;
mod audit;
mod requests;

use std::collections::BTreeMap;
use std::fmt::Display;
use std::str::FromStr;

use seqid_core::field::FieldValues;
use seqid_core::numbering::{Page, When};
use seqid_core::period::Period;
use seqid_core::{DefinitionSpec, Number};
use serde_json::error::Category;

use crate::status::Problem;

pub(crate) use answers::{
    adoption, batch, closed, definition_version, gaps, held, number_history, numbers, open_reservation,
    parsed_id, preview, reserved, reset, sequence, single, status, synced, voided,
};
pub(crate) use audit::event;
pub(crate) use requests::{
    Drawing, audit_request, counter, drawing, number_target, reset_counter, status_counter, void_target,
};

/// A text that must be there.
pub(crate) fn parsed<T: FromStr<Err: Display>>(text: &str, pointer: &str) -> Result<T, Problem> {
    if text.is_empty() {
        return Err(Problem::invalid(pointer, "is missing"));
    }
    text.parse()
        .map_err(|error: T::Err| Problem::invalid(pointer, error.to_string()))
}

/// A text that need not be there.
pub(crate) fn optional<T: FromStr<Err: Display>>(text: &str, pointer: &str) -> Result<Option<T>, Problem> {
    (!text.is_empty()).then(|| parsed(text, pointer)).transpose()
}

/// A number of a counter.
pub(crate) fn number(value: i64, pointer: &str) -> Result<Number, Problem> {
    let number = u64::try_from(value)
        .ok()
        .and_then(|value| Number::new(value).ok());
    number.ok_or_else(|| Problem::invalid(pointer, format!("must be 0 to {}, is {value}", Number::MAX)))
}

/// A count; the issuer knows its upper bound.
pub(crate) fn count(value: i32) -> Result<u32, Problem> {
    u32::try_from(value).map_err(|_| Problem::invalid("/count", format!("must be at least 1, is {value}")))
}

/// Which part of a list; the issuer knows how large one may be.
pub(crate) fn page(page: Option<seqid_proto::Page>) -> Result<Page, Problem> {
    let page = page.unwrap_or_default();
    Ok(Page {
        after: page.after,
        limit: page.limit.map_or(Ok(Page::default().limit), |limit| {
            self::limit(limit, "/page/limit")
        })?,
    })
}

/// How many of a list are asked for.
pub(crate) fn limit(value: i32, pointer: &str) -> Result<usize, Problem> {
    let limit = usize::try_from(value)
        .ok()
        .filter(|limit| (1..=Page::LARGEST).contains(limit));
    limit.ok_or_else(|| Problem::invalid(pointer, format!("must be 1 to {}, is {value}", Page::LARGEST)))
}

/// How a counter's period is named.
pub(crate) fn when(date: &str, period: Option<String>) -> Result<When, Problem> {
    match (optional(date, "/date")?, period) {
        (Some(_), Some(_)) => Err(Problem::invalid(
            "/period",
            "name the date or the period, not both",
        )),
        (Some(date), None) => Ok(When::On(date)),
        (None, Some(period)) => Ok(When::In(period)),
        (None, None) => Ok(When::Today),
    }
}

/// A definition: a JSON object, the same as over REST.
pub(crate) fn definition(json: &str) -> Result<DefinitionSpec, Problem> {
    if json.trim_start().starts_with('[') {
        return Err(Problem::invalid("/definition", "must be a JSON object"));
    }
    let mut reader = serde_json::Deserializer::from_str(json);
    let read = serde_path_to_error::deserialize(&mut reader).map_err(|error| {
        let place: String = error.path().iter().map(|segment| format!("/{segment}")).collect();
        match error.inner().classify() {
            Category::Data => Problem::invalid(format!("/definition{place}"), error.inner().to_string()),
            _ => Problem::invalid("/definition", format!("is not JSON: {}", error.inner())),
        }
    })?;
    reader
        .end()
        .map_err(|error| Problem::invalid("/definition", format!("is not JSON: {error}")))?;
    Ok(read)
}

/// A definition as JSON.
pub(crate) fn definition_json(spec: &DefinitionSpec) -> Result<String, Problem> {
    serde_json::to_string(spec).map_err(|error| Problem::internal(error.to_string()))
}

/// A number of an answer. None is larger than an `int64` holds.
pub(crate) fn figure(number: Number) -> i64 {
    amount(number.get())
}

/// A count of an answer.
pub(crate) fn amount(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

pub(crate) fn shown<T: Display>(value: Option<T>) -> Option<String> {
    value.map(|value| value.to_string())
}

pub(crate) fn values(values: &FieldValues) -> BTreeMap<String, String> {
    let owned = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
    values.iter().map(owned).collect()
}

/// A period's first and last day.
pub(crate) fn days(period: &Period) -> (Option<String>, Option<String>) {
    (shown(period.first()), shown(period.last()))
}
