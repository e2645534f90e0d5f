use std::fmt::Write as _;

use seqid_core::gap_report::{GapSummary, Head};
use seqid_core::numbering::Gap;

use super::sheet::Sheet;

/// The gaps as a table (RFC 4180). The summary has an address of its own.
pub(super) struct Table;

const HEADER: &str = "first,last,step,count,first_id,last_id,state,reason,actor,request_id,reference,reservation,\
    expires_at,date,at,generation\r\n";

impl Sheet for Table {
    fn begin(&mut self, out: &mut String, _: &Head) {
        out.push_str(HEADER);
    }

    fn gap(&mut self, out: &mut String, _: &Head, gap: &Gap) {
        let run = gap.run;
        // Writing to a string does not fail.
        let _ = write!(out, "{},{},{},{},", run.first, run.last(), run.step, run.count);
        text(out, gap.first_id.as_deref());
        text(out, gap.last_id.as_deref());
        let _ = write!(out, "{},", gap.state.as_str());
        text(out, gap.reason.as_ref().map(|reason| reason.as_str()));
        text(out, gap.actor.as_ref().map(|actor| actor.as_str()));
        text(out, gap.request_id.as_ref().map(|request| request.as_str()));
        text(out, gap.reference.as_ref().map(|reference| reference.as_str()));
        plain(out, gap.reservation);
        plain(out, gap.expires_at);
        plain(out, gap.date);
        let _ = write!(out, "{},{}\r\n", gap.at, gap.generation);
    }

    fn end(&mut self, _: &mut String, _: &Head, _: &GapSummary) {}
}

/// A cell of digits, letters and hyphens, and the comma behind it.
fn plain(out: &mut String, value: Option<impl std::fmt::Display>) {
    if let Some(value) = value {
        let _ = write!(out, "{value}");
    }
    out.push(',');
}

/// A cell with a text that somebody sent, and the comma behind it.
fn text(out: &mut String, value: Option<&str>) {
    let value = value.unwrap_or_default();
    // A spreadsheet would take the text for a formula and run it.
    let guard = if value.starts_with(['=', '+', '-', '@', '\t', '\r']) {
        "'"
    } else {
        ""
    };
    if value.contains(['"', ',', '\r', '\n']) {
        let _ = write!(out, "\"{guard}{}\"", value.replace('"', "\"\""));
    } else {
        let _ = write!(out, "{guard}{value}");
    }
    out.push(',');
}
