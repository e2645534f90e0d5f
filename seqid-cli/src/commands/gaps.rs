//! `gaps`.

use std::sync::Arc;

use seqid_core::Prefix;
use seqid_core::gap_report::{GapReport, GapSummary};
use seqid_core::mark::NumberState;
use seqid_core::numbering::Gap;

use crate::desk::Desk;
use crate::documents;
use crate::failure::{Ended, Failure};
use crate::given::Which;
use crate::printer::Printer;

pub(crate) const GAPS: &str = "\
Every number from the first to the last that is not listed was issued; the counts add up to all of them.

Examples:
  seqid gaps INV
  seqid gaps SINV --scope branch=DEL --period FY2026-27
  seqid gaps INV --json | jq .summary";

#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Gaps {
    /// Sequence
    #[arg(value_name = "PREFIX")]
    prefix: Prefix,

    #[command(flatten)]
    which: Which,
}

impl Gaps {
    pub(crate) async fn run(self, desk: &Desk, printer: &mut Printer) -> Result<Ended, Failure> {
        let counter = self.which.counter(desk.tenant(), &self.prefix)?;
        let report = GapReport::begin(Arc::clone(desk.numbering()), counter).await;
        let mut report = report.map_err(desk.failed())?;
        if printer.json() {
            write_document(&mut report, desk, printer).await?;
        } else {
            print(&mut report, desk, printer).await?;
        }
        Ok(Ended::Done)
    }
}

/// One object on one line, written as its parts come: a report may have more gaps than memory has room for.
async fn write_document(report: &mut GapReport, desk: &Desk, printer: &mut Printer) -> Result<(), Failure> {
    let as_text = report.head().status.numbers_as_text;
    let head = serde_json::Value::Object(documents::gaps_head(report.head())).to_string();
    printer.text(head.trim_end_matches('}'))?;
    printer.text(",\"gaps\":[")?;
    let mut separator = "";
    while let Some(gaps) = report.next().await.map_err(desk.failed())? {
        for gap in &gaps {
            printer.text(separator)?;
            printer.text(&documents::gap(gap, as_text).to_string())?;
            separator = ",";
        }
    }
    let summary = documents::gap_summary(report.summary(), as_text);
    printer.text(&format!("],\"summary\":{summary}}}\n"))
}

/// How many rows are a table. Its columns are as wide as its widest cells, so that all of it must be known.
const ROWS: usize = 1_000;

async fn print(report: &mut GapReport, desk: &Desk, printer: &mut Printer) -> Result<(), Failure> {
    let mut rows = Vec::new();
    while let Some(gaps) = report.next().await.map_err(desk.failed())? {
        rows.extend(gaps.iter().map(row));
        if rows.len() >= ROWS {
            printer.table(&HEADER, std::mem::take(&mut rows))?;
        }
    }
    if !rows.is_empty() {
        printer.table(&HEADER, rows)?;
    }
    printer.line(&sentence(report.summary()))
}

const HEADER: [&str; 7] = ["FIRST", "LAST", "COUNT", "STATE", "SINCE", "REFERENCE", "REASON"];

fn row(gap: &Gap) -> Vec<String> {
    let name = |id: &Option<String>, number: String| id.clone().unwrap_or(number);
    vec![
        name(&gap.first_id, gap.run.first.to_string()),
        name(&gap.last_id, gap.run.last().to_string()),
        gap.run.count.to_string(),
        gap.state.as_str().to_owned(),
        gap.at.to_string(),
        gap.reference
            .as_ref()
            .map(ToString::to_string)
            .unwrap_or_default(),
        gap.reason.as_ref().map(ToString::to_string).unwrap_or_default(),
    ]
}

fn sentence(summary: &GapSummary) -> String {
    let Some(to) = summary.to else {
        return "No number was offered yet.".to_owned();
    };
    let mut parts = vec![format!("issued {}", summary.issued)];
    for state in NumberState::ALL {
        if summary.of(state) > 0 {
            parts.push(format!("{} {}", state.as_str(), summary.of(state)));
        }
    }
    format!(
        "{} to {to}: {} numbers, {}.",
        summary.from,
        summary.count,
        parts.join(", ")
    )
}
