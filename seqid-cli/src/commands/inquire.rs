//! `preview` and `parse`.

use std::path::PathBuf;

use seqid_core::Prefix;
use seqid_core::names::Number;
use seqid_core::numbering::PreviewRequest;
use serde_json::Value;

use super::define;
use crate::desk::Desk;
use crate::failure::{Ended, Failure};
use crate::given::DateAndValues;
use crate::printer::Printer;
use crate::{documents, given};

pub(crate) const PREVIEW: &str = "\
With --format or --from it shows what a definition would print that need not be saved.

Examples:
  seqid preview INV
  seqid preview INV --number 1000 --date 2027-01-01
  seqid preview INV --format 'INV-{yyyy}-{seq:5}' --reset year";

pub(crate) const PARSE: &str = "\
Examples:
  seqid parse INV-2026-00042
  seqid parse 2026/0042 --prefix INV --json";

#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Preview {
    /// Sequence
    #[arg(value_name = "PREFIX")]
    prefix: Prefix,

    /// The number; the next one unless given
    #[arg(long, value_name = "NUMBER", value_parser = given::number)]
    number: Option<Number>,

    #[command(flatten)]
    values: DateAndValues,

    /// TOML file with a definition, as `define` reads it; - is standard input
    #[arg(long, value_name = "PATH")]
    from: Option<PathBuf>,

    /// Template of the ids of a definition
    #[arg(long, value_name = "TEMPLATE")]
    format: Option<String>,

    /// When a new counter of that definition begins
    #[arg(long, value_name = "PERIOD")]
    reset: Option<String>,
}

impl Preview {
    pub(crate) async fn run(self, desk: &Desk, printer: &mut Printer) -> Result<Ended, Failure> {
        let mut request = PreviewRequest::new(self.prefix);
        request.tenant = desk.tenant().clone();
        let flags = [("format", self.format), ("reset", self.reset)];
        let flags = flags.map(|(name, text)| (name, text.map(Value::String)));
        request.definition = define::definition(self.from.as_deref(), flags)?;
        request.number = self.number;
        request.date = self.values.date;
        request.scope = self.values.scope()?;
        request.fields = self.values.fields()?;
        let preview = desk.numbering().preview(request).await.map_err(desk.failed())?;
        if printer.json() {
            printer.document(&documents::preview(&preview))?;
        } else {
            match &preview.id {
                Some(id) => printer.line(id)?,
                None => printer.remark("the counter has ended: there is no next number"),
            }
        }
        Ok(Ended::Done)
    }
}

#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Parse {
    /// The id
    #[arg(value_name = "ID")]
    id: String,

    /// Sequence; every one of the tenant is tried unless given
    #[arg(long, value_name = "PREFIX")]
    prefix: Option<Prefix>,
}

impl Parse {
    pub(crate) async fn run(self, desk: &Desk, printer: &mut Printer) -> Result<Ended, Failure> {
        let parsed = desk
            .numbering()
            .parse(desk.tenant().clone(), self.prefix, self.id)
            .await;
        let parsed = parsed.map_err(desk.failed())?;
        if printer.json() {
            printer.document(&documents::parsed(&parsed))?;
            return Ok(Ended::Done);
        }
        let period = parsed
            .period
            .map_or_else(|| "not told".to_owned(), |period| period.to_string());
        let mut facts = vec![
            ("sequence", parsed.prefix.to_string()),
            ("number", parsed.number.to_string()),
            ("period", period),
            ("definition", format!("version {}", parsed.definition_version)),
        ];
        for (name, value) in parsed.scope.iter().chain(&parsed.fields) {
            facts.push((name, value.clone()));
        }
        printer.facts(&facts)?;
        Ok(Ended::Done)
    }
}
