use seqid_core::gap_report::{GapSummary, Head};
use seqid_core::numbering::Gap;
use serde::Serialize;

use super::sheet::Sheet;
use crate::wire::{GapAnswer, GapsHead, SummaryAnswer};

/// The members of `GapsAnswer`, one after the other.
#[derive(Debug, Default)]
pub(super) struct Document {
    has_gaps: bool,
}

impl Sheet for Document {
    fn begin(&mut self, out: &mut String, head: &Head) {
        let members = text(&GapsHead::from(head));
        out.push_str(members.trim_end_matches('}'));
        out.push_str(",\"gaps\":[");
    }

    fn gap(&mut self, out: &mut String, head: &Head, gap: &Gap) {
        out.push_str(if self.has_gaps { ",\n" } else { "\n" });
        out.push_str(&text(&GapAnswer::new(gap, head.status.numbers_as_text)));
        self.has_gaps = true;
    }

    fn end(&mut self, out: &mut String, head: &Head, summary: &GapSummary) {
        out.push_str("],\n\"summary\":");
        out.push_str(&text(&SummaryAnswer::new(summary, head.status.numbers_as_text)));
        out.push_str("}\n");
    }
}

/// Structures of texts and numbers can always be written.
fn text(value: &impl Serialize) -> String {
    serde_json::to_string(value).unwrap_or_default()
}
