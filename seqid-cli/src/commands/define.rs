//! `define`, and reading a definition from flags and a TOML file.

use std::io::Read;
use std::path::{Path, PathBuf};

use seqid_core::numbering::{DefineRequest, Defined};
use seqid_core::{DefinitionSpec, Prefix};
use serde_json::{Map, Value};

use crate::desk::Desk;
use crate::documents;
use crate::failure::{Ended, Failure};
use crate::printer::Printer;

pub(crate) const DEFINE: &str = "\
The file has the members of a definition by the names of the REST API, and flags take precedence:

  format = \"{branch}/{fy}/{seq:4}\"
  reset = \"fiscal_year\"
  fiscal_year_start = \"04-01\"
  scope = [\"branch\"]

A definition is saved only if it is proved that two counters never print the same id. A change holds for counters that open \
later. The same definition again changes nothing.

Examples:
  seqid define INV --format 'INV-{yyyy}-{seq:5}' --reset year
  seqid define SINV --from sinv.toml --check
  seqid define INV --format 'INV-{yyyy}-{seq:6}' --reset year --if-version 1";

/// The members of a definition.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Definition")]
struct Members {
    /// TOML file with the definition; - is standard input
    #[arg(long, value_name = "PATH")]
    from: Option<PathBuf>,

    /// Template of the ids
    #[arg(long, value_name = "TEMPLATE")]
    format: Option<String>,

    /// Guarantee: gapless, ordered or leased
    #[arg(long, value_name = "MODE")]
    mode: Option<String>,

    /// First number of every counter
    #[arg(long, value_name = "NUMBER")]
    start: Option<u64>,

    /// From one number to the next
    #[arg(long, value_name = "NUMBER")]
    step: Option<u64>,

    /// Largest number
    #[arg(long, value_name = "NUMBER")]
    max: Option<u64>,

    /// When a new counter begins: never, day, week, month, quarter, half_year, year, fiscal_year, fiscal_quarter,
    /// fiscal_period
    #[arg(long, value_name = "PERIOD")]
    reset: Option<String>,

    /// First day of every fiscal year
    #[arg(long, value_name = "MM-DD")]
    fiscal_year_start: Option<String>,

    /// IANA zone in which today is read
    #[arg(long, value_name = "ZONE")]
    time_zone: Option<String>,

    /// Field that splits the sequence into counters; may be repeated
    #[arg(long = "scope", value_name = "NAME")]
    scope: Vec<String>,

    /// Field that is printed; may be repeated
    #[arg(long = "field", value_name = "NAME")]
    fields: Vec<String>,

    /// Most characters of an id
    #[arg(long, value_name = "NUMBER")]
    max_length: Option<u64>,

    /// What becomes of expired reservations: void or reuse
    #[arg(long, value_name = "WORD")]
    on_expiry: Option<String>,

    /// Sequence that goes on when a counter of this one has ended
    #[arg(long, value_name = "PREFIX")]
    successor: Option<String>,

    /// What the sequence is for
    #[arg(long, value_name = "TEXT")]
    description: Option<String>,
}

impl Members {
    /// The definition that file and flags make; `None` where there are neither.
    fn definition(&self) -> Result<Option<DefinitionSpec>, Failure> {
        let text = |text: &Option<String>| text.clone().map(Value::String);
        let number = |number: Option<u64>| number.map(Value::from);
        let names = |names: &[String]| (!names.is_empty()).then(|| Value::from(names.to_vec()));
        let flags = [
            ("format", text(&self.format)),
            ("mode", text(&self.mode)),
            ("start", number(self.start)),
            ("step", number(self.step)),
            ("max", number(self.max)),
            ("reset", text(&self.reset)),
            ("fiscal_year_start", text(&self.fiscal_year_start)),
            ("time_zone", text(&self.time_zone)),
            ("scope", names(&self.scope)),
            ("fields", names(&self.fields)),
            ("max_length", number(self.max_length)),
            ("on_expiry", text(&self.on_expiry)),
            ("successor", text(&self.successor)),
            ("description", text(&self.description)),
        ];
        definition(self.from.as_deref(), flags)
    }
}

/// The definition that a file and flags make; `None` where there are neither.
pub(super) fn definition(
    from: Option<&Path>,
    flags: impl IntoIterator<Item = (&'static str, Option<Value>)>,
) -> Result<Option<DefinitionSpec>, Failure> {
    let mut members = match from {
        Some(path) => read(path)?,
        None => Map::new(),
    };
    for (name, value) in flags {
        if let Some(value) = value {
            members.insert(name.to_owned(), value);
        }
    }
    if members.is_empty() && from.is_none() {
        return Ok(None);
    }
    if !members.contains_key("format") {
        let detail =
            "a definition needs a format: --format 'INV-{yyyy}-{seq:5}', or the member `format` of the file";
        return Err(Failure::usage(detail.to_owned()));
    }
    let definition = serde_json::from_value(Value::Object(members));
    let definition = definition.map_err(|error| Failure::usage(format!("the definition: {error}")))?;
    Ok(Some(definition))
}

/// The members in a TOML file.
fn read(path: &Path) -> Result<Map<String, Value>, Failure> {
    let name = path.display();
    let text = if path == Path::new("-") {
        let mut text = String::new();
        std::io::stdin().read_to_string(&mut text).map(|_| text)
    } else {
        std::fs::read_to_string(path)
    };
    let text = text.map_err(|error| Failure::usage(format!("cannot read {name}: {error}")))?;
    let table: toml::Table = toml::from_str(&text)
        .map_err(|error| Failure::usage(format!("{name} is not TOML: {}", error.to_string().trim_end())))?;
    match serde_json::to_value(table) {
        Ok(Value::Object(members)) => Ok(members),
        _ => Err(Failure::usage(format!("{name} is not a table of members"))),
    }
}

#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Define {
    /// Sequence
    #[arg(value_name = "PREFIX")]
    prefix: Prefix,

    #[command(flatten)]
    members: Members,

    /// Say what is wrong with it and what it would print, and save nothing
    #[arg(long)]
    check: bool,

    /// The version that is changed
    #[arg(long, value_name = "NUMBER")]
    if_version: Option<u32>,
}

impl Define {
    pub(crate) async fn run(self, desk: &Desk, printer: &mut Printer) -> Result<Ended, Failure> {
        let definition = self.members.definition()?;
        let definition = definition.ok_or_else(|| {
            Failure::usage(
                "a definition needs a format: give --format or --from, and see `seqid define --help`"
                    .to_owned(),
            )
        })?;
        let mut request = DefineRequest::new(self.prefix, definition);
        request.tenant = desk.tenant().clone();
        request.if_version = self.if_version;
        request.dry_run = self.check;
        request.origin = desk.origin();
        let defined = desk.numbering().define(request).await.map_err(desk.failed())?;
        if printer.json() {
            printer.document(&documents::defined(&defined))?;
        } else {
            print(&defined, self.check, printer)?;
        }
        Ok(Ended::Done)
    }
}

fn print(defined: &Defined, check: bool, printer: &mut Printer) -> Result<(), Failure> {
    let sequence = &defined.sequence;
    let (prefix, version) = (&sequence.prefix, sequence.version);
    let verdict = match (check, defined.saved, defined.created) {
        (true, ..) => format!("{prefix}: the definition can be saved"),
        (false, true, true) => format!("{prefix} is defined"),
        (false, true, false) => {
            format!("{prefix} has version {version} now, for counters that open from here on")
        }
        (false, false, _) => format!("{prefix} is defined so already, by version {version}"),
    };
    printer.verdict(true, &verdict)?;
    let unknown = || "depends on a field without a default".to_owned();
    let definition = &sequence.definition;
    let longest = definition.longest().map_or_else(
        || "no bound".to_owned(),
        |longest| format!("{longest} characters"),
    );
    printer.facts(&[
        ("first id", sequence.first_id.clone().unwrap_or_else(unknown)),
        ("last id", sequence.last_id.clone().unwrap_or_else(unknown)),
        ("longest id", longest),
        ("largest number", definition.max().to_string()),
    ])?;
    for remark in &defined.remarks {
        printer.remark(remark);
    }
    Ok(())
}
