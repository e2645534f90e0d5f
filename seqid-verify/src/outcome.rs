use std::fmt::Write as _;

use seqid_core::checkpoint::Checkpoint;
use seqid_core::export::Lines;
use seqid_core::verify::Report;
use serde_json::{Value, json};

use crate::kept::{COMPARED, Kept};

/// What is told of a verification.
#[derive(Debug)]
pub struct Outcome {
    source: String,
    report: Report,
    lines: Option<Lines>,
    kept: Kept,
}

impl Outcome {
    /// What was found in `source` with the verifier of these checkpoints.
    #[must_use]
    pub const fn new(source: String, report: Report, kept: Kept) -> Self {
        Self {
            source,
            report,
            lines: None,
            kept,
        }
    }

    /// The lines of the export that was read.
    #[must_use]
    pub const fn lines(mut self, lines: Lines) -> Self {
        self.lines = Some(lines);
        self
    }

    /// Whether nothing is wrong.
    #[must_use]
    pub const fn is_clean(&self) -> bool {
        self.report.is_clean()
    }

    /// For people: a few sentences, each on a line.
    #[must_use]
    pub fn text(&self) -> String {
        let Report {
            events,
            counters,
            heads,
            found,
            ..
        } = &self.report;
        let source = &self.source;
        let verdict = match found {
            0 => "nothing is wrong".to_owned(),
            1 => "SOMETHING IS WRONG, 1 fault".to_owned(),
            more => format!("SOMETHING IS WRONG, {more} faults"),
        };
        let mut text = format!(
            "{source}: {verdict}. Checked were {events} events up to position {}; counters: {counters}.\n",
            heads.position
        );
        for (fault, place) in self.report.faults.iter().zip(1..) {
            let _infallible = writeln!(text, "{place}. {fault}");
        }
        if self.report.faults.len() as u64 != *found {
            text += "The others are not listed.\n";
        }
        if let Some(remark) = self.report.remarks.first() {
            let _infallible = writeln!(
                text,
                "Worth a look, and no proof of anything: {remark}. There are {} of these.",
                self.report.remarked
            );
        }
        if let Some(lines) = self.lines {
            if lines.repeated > 0 {
                let _infallible = writeln!(
                    text,
                    "{} lines were delivered twice, which happens after a crash.",
                    lines.repeated
                );
            }
            if lines.unfinished {
                text += "The last line has no end and was not read: it is being written, or its writer was killed.\n";
            }
        }
        text + &self.about_checkpoints()
    }

    fn about_checkpoints(&self) -> String {
        let Some(newest) = self.kept.newest() else {
            return "No checkpoint was given, so it is not shown that nothing was cut off at the end, and that not all was \
                    written anew: keep checkpoints elsewhere and give them with --checkpoint.\n"
                .to_owned();
        };
        let given = self.kept.given();
        format!(
            "Checkpoints: {given} given, {} compared, {} agree. The newest is of {} and covers the events up to position {}.\n",
            given.min(COMPARED),
            self.report.checkpoints,
            newest.at,
            newest.heads.position
        )
    }

    /// For programs: one object.
    #[must_use]
    pub fn json(&self) -> Value {
        let report = &self.report;
        let heads = Checkpoint::new(report.heads, seqid_core::time::Timestamp::from_micros(0));
        let heads = serde_json::to_value(&heads).unwrap_or_default();
        let remarks: Vec<_> = report
            .remarks
            .iter()
            .map(|remark| json!({"position": remark.position, "at": remark.at, "before": remark.before}))
            .collect();
        let given = self.kept.given();
        json!({
            "clean": report.is_clean(),
            "source": self.source,
            "authority": heads["authority"],
            "incarnation": heads["incarnation"],
            "position": heads["position"],
            "events": report.events,
            "counters": report.counters,
            "chains": heads["chains"],
            "heads": heads["heads"],
            "checkpoints": {"given": given, "compared": given.min(COMPARED), "agree": report.checkpoints},
            "found": report.found,
            "faults": report.faults,
            "remarked": report.remarked,
            "remarks": remarks,
            "repeated_lines": self.lines.map(|lines| lines.repeated),
            "unfinished": self.lines.map(|lines| lines.unfinished),
        })
    }
}
