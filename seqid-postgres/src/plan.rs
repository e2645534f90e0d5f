//! A definition as `schema/draw.sql` reads it: compiled once when it is saved, so that SQL has no template to understand.

use std::fmt::Write as _;

use seqid_core::charset::CharSet;
use seqid_core::definition::{Defaults, Definition, DefinitionSpec, Mode};
use seqid_core::event::Event;
use seqid_core::field::{Case, FieldDeclaration};
use seqid_core::period::{MonthDay, Reset};
use seqid_core::template::Part;
use seqid_core::time::Date;
use serde::Serialize;

use crate::rows::mode_code;

/// More days than there are in the years 1 to 9999.
const ALL_DAYS: u64 = 3_652_059;

#[derive(Serialize)]
struct Plan<'a> {
    mode: i16,
    start: u64,
    step: u64,
    max: u64,
    largest_printable: u64,
    chronological: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    days_ahead: Option<u64>,
    time_zone: &'a str,
    reset: Reset,
    fiscal_year_start: MonthDay,
    #[serde(skip_serializing_if = "Option::is_none")]
    window: Option<(Date, Date)>,
    scope: Vec<Field<'a>>,
    fields: Vec<Field<'a>>,
    parts: Vec<Part>,
    /// Why SQL cannot draw.
    #[serde(skip_serializing_if = "Option::is_none")]
    not_in_sql: Option<&'static str>,
}

#[derive(Serialize)]
struct Field<'a> {
    name: &'a str,
    /// A regular expression for the whole value.
    pattern: String,
    min: u16,
    max: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    case: Option<Case>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pad: Option<u16>,
    values: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    default: Option<&'a str>,
}

/// The plan of the definition that an event saved, as JSON.
pub(crate) fn of(event: &Event) -> String {
    let sequence = event.subject.sequence();
    let spec = event.detail.as_deref().map(DefinitionSpec::from_json);
    let definition = spec.and_then(Result::ok).and_then(|spec| {
        Definition::check(&sequence.tenant, &sequence.prefix, spec, &Defaults::default()).ok()
    });
    let plan = definition.map(|definition| serde_json::to_string(&Plan::of(&definition)));
    match plan {
        Some(Ok(json)) => json,
        // It was checked before it came here.
        _ => r#"{"not_in_sql":"the definition has no plan"}"#.to_owned(),
    }
}

impl<'a> Plan<'a> {
    fn of(definition: &'a Definition) -> Self {
        let fields = |declared: &'a [FieldDeclaration]| declared.iter().map(Field::of).collect();
        Self {
            mode: mode_code(definition.mode()),
            start: definition.start().get(),
            step: definition.step(),
            max: definition.max().get(),
            largest_printable: definition.largest_printable().get(),
            chronological: definition.chronological(),
            days_ahead: definition.days_ahead().filter(|days| *days < ALL_DAYS),
            time_zone: definition.zone().name(),
            reset: definition.calendar().reset(),
            fiscal_year_start: definition.calendar().fiscal_year_start(),
            window: definition.template().window(),
            scope: fields(definition.scope()),
            fields: fields(definition.fields()),
            parts: definition.template().outline(),
            not_in_sql: not_in_sql(definition),
        }
    }
}

fn not_in_sql(definition: &Definition) -> Option<&'static str> {
    if definition.mode() == Mode::Leased {
        Some("the sequence is leased")
    } else if !definition.ranges().is_empty() {
        Some("the sequence has number ranges")
    } else if definition.successor().is_some() {
        Some("the sequence has a successor")
    } else {
        None
    }
}

impl<'a> Field<'a> {
    fn of(declared: &'a FieldDeclaration) -> Self {
        Self {
            name: &declared.name,
            pattern: pattern(&declared.chars),
            min: declared.min,
            max: declared.max,
            case: declared.case,
            pad: declared.pad,
            values: &declared.values,
            default: declared.default.as_deref(),
        }
    }
}

/// A regular expression for texts of these characters.
fn pattern(chars: &CharSet) -> String {
    let mut pattern = "^[".to_owned();
    for (first, last) in chars.ranges() {
        let _infallible = write!(pattern, "\\U{:08x}-\\U{:08x}", u32::from(first), u32::from(last));
    }
    pattern + "]*$"
}
