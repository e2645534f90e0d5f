//! Standard output: texts and tables for people, one JSON document a line for programs.

use std::io::{self, BufWriter, IsTerminal, Stdout, Write};

use anstyle::{AnsiColor, Style};
use comfy_table::{ColumnConstraint, ContentArrangement, Table, presets};
use serde_json::Value;

use crate::failure::Failure;

pub(crate) struct Printer {
    out: BufWriter<Stdout>,
    json: bool,
    colour: bool,
}

const HEAD: Style = Style::new().bold();
const GOOD: Style = AnsiColor::Green.on_default();
const BAD: Style = AnsiColor::Red.on_default().bold();

impl Printer {
    pub(crate) fn new(json: bool) -> Self {
        Self {
            out: BufWriter::new(io::stdout()),
            json,
            colour: !json && wants_colour(io::stdout().is_terminal()),
        }
    }

    /// Whether programs are to read it.
    pub(crate) const fn json(&self) -> bool {
        self.json
    }

    pub(crate) fn document(&mut self, document: &Value) -> Result<(), Failure> {
        Ok(writeln!(self.out, "{document}")?)
    }

    pub(crate) fn line(&mut self, line: &str) -> Result<(), Failure> {
        Ok(writeln!(self.out, "{line}")?)
    }

    /// A text as it is.
    pub(crate) fn text(&mut self, text: &str) -> Result<(), Failure> {
        Ok(self.out.write_all(text.as_bytes())?)
    }

    /// A verdict: good or bad news in one line.
    pub(crate) fn verdict(&mut self, good: bool, line: &str) -> Result<(), Failure> {
        let style = if good { GOOD } else { BAD };
        let line = self.styled(style, line);
        self.line(&line)
    }

    /// Names and values, one pair a line.
    pub(crate) fn facts(&mut self, facts: &[(&str, String)]) -> Result<(), Failure> {
        let width = facts.iter().map(|(name, _)| name.len()).max().unwrap_or_default();
        for (name, value) in facts {
            let name = self.styled(HEAD, &format!("{name:width$}"));
            self.line(format!("{name}  {value}").trim_end())?;
        }
        Ok(())
    }

    /// Rows below a header. Long cells are not broken, so that a row is a line for `grep` too.
    pub(crate) fn table(&mut self, header: &[&str], rows: Vec<Vec<String>>) -> Result<(), Failure> {
        let mut table = Table::new();
        table
            .load_style(presets::NOTHING)
            .set_content_arrangement(ContentArrangement::Disabled)
            .set_header(header.iter().copied());
        for row in rows {
            table.add_row(row);
        }
        for column in table.column_iter_mut() {
            column.set_padding((0, 2));
            column.set_constraint(ColumnConstraint::ContentWidth);
        }
        let table = table.trim_fmt();
        let mut lines = table.lines();
        if let Some(header) = lines.next() {
            let header = self.styled(HEAD, header);
            self.line(&header)?;
        }
        lines.try_for_each(|line| self.line(line))
    }

    /// What a person should look at, beside the answer.
    pub(crate) fn remark(&mut self, remark: &str) {
        let _unread = self.out.flush();
        let _unread = writeln!(io::stderr(), "seqid: {remark}");
    }

    pub(crate) fn flush(&mut self) -> Result<(), Failure> {
        Ok(self.out.flush()?)
    }

    fn styled(&self, style: Style, text: &str) -> String {
        if self.colour {
            format!("{style}{text}{style:#}")
        } else {
            text.to_owned()
        }
    }
}

/// On a terminal that has colours, and for a person who wants them (<https://no-color.org>).
fn wants_colour(terminal: bool) -> bool {
    let set = |name| std::env::var_os(name).filter(|value| !value.is_empty());
    terminal && set("NO_COLOR").is_none() && set("TERM").is_some_and(|term| term != "dumb")
}
