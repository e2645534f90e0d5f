//! Events as a table: comma-separated values by RFC 4180 with a header row, for people with a spreadsheet.

use std::fmt::Write;

use serde_json::Value;

use crate::event::Recorded;
use crate::field::FieldValues;

/// The columns: the members of an event.
const COLUMNS: [&str; 37] = [
    "event_id",
    "authority",
    "position",
    "kind",
    "tenant",
    "prefix",
    "scope",
    "period",
    "period_start",
    "period_end",
    "n",
    "generation",
    "epoch",
    "first",
    "step",
    "count",
    "first_id",
    "last_id",
    "definition_version",
    "mode",
    "date",
    "fields",
    "actor",
    "client",
    "request_id",
    "reference",
    "relates_to",
    "reason",
    "idempotency_key",
    "fingerprint",
    "reservation",
    "expires_at",
    "on_expiry",
    "definition",
    "lease",
    "at",
    "hash",
];

/// The header row, with its end of line.
#[must_use]
pub fn header() -> String {
    format!("{}\r\n", COLUMNS.join(","))
}

/// Appends the row of an event, with its end of line.
///
/// # Errors
/// When the event cannot be written as JSON, which no event of a store is.
pub fn write_row(recorded: &Recorded, text: &mut String) -> serde_json::Result<()> {
    let event = serde_json::to_value(recorded)?;
    for (index, column) in COLUMNS.iter().enumerate() {
        if index > 0 {
            text.push(',');
        }
        write_cell(&event[column], text);
    }
    text.push_str("\r\n");
    Ok(())
}

/// Values of fields are one text, `branch=JKT&dept=A`. A text that a spreadsheet would take for a formula gets an
/// apostrophe in front.
fn write_cell(value: &Value, text: &mut String) {
    let cell = match value {
        Value::Null => return,
        Value::String(text) => text.clone(),
        Value::Object(values) => {
            let values = values
                .iter()
                .filter_map(|(name, value)| Some((name.as_str(), value.as_str()?)));
            FieldValues::new(values).to_string()
        }
        number => {
            let _infallible = write!(text, "{number}");
            return;
        }
    };
    let guard = if cell.starts_with(['=', '+', '-', '@', '\t', '\r']) {
        "'"
    } else {
        ""
    };
    if cell.contains([',', '"', '\r', '\n']) {
        let _infallible = write!(text, "\"{guard}{}\"", cell.replace('"', "\"\""));
    } else {
        let _infallible = write!(text, "{guard}{cell}");
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[track_caller]
    fn cell(value: &Value, expected: &str) {
        let mut text = String::new();
        write_cell(value, &mut text);
        assert_eq!(text, expected);
    }

    #[test]
    fn cells_are_quoted_where_they_must_be() {
        cell(&json!(null), "");
        cell(&json!(42), "42");
        cell(&json!("plain"), "plain");
        cell(&json!("a,b"), "\"a,b\"");
        cell(&json!("say \"no\""), "\"say \"\"no\"\"\"");
        cell(&json!("two\nlines"), "\"two\nlines\"");
        cell(&json!({"branch": "JKT", "dept": "A"}), "branch=JKT&dept=A");
        cell(&json!({}), "");
    }

    #[test]
    fn no_text_is_a_formula() {
        for text in ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1"] {
            cell(&json!(text), &format!("'{text}"));
        }
        cell(&json!("=A1,B1"), "\"'=A1,B1\"");
        cell(&json!("\r=1"), "\"'\r=1\"");
        cell(&json!("INV-1"), "INV-1");
    }
}
