//! The reference of definitions says what happens: each of its examples is tried, each of its tables compared.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

use seqid_core::clock::{ManualClock, Seed};
use seqid_core::command::{Act, Command, Define, Expected};
use seqid_core::counter::SequenceKey;
use seqid_core::definition::{Defaults, Definition, DefinitionSpec};
use seqid_core::event::Origin;
use seqid_core::field::{FieldDeclaration, is_reserved};
use seqid_core::names::{Number, Prefix, Reason, Tenant};
use seqid_core::numbering::{
    CounterSelector, DefineRequest, DrawRequest, Issued, PreviewRequest, ResetRequest, When,
};
use seqid_core::period::{Calendar, MonthDay, Reset};
use seqid_core::refusal::{DefinitionRefused, RefusalCode};
use seqid_core::template::Repeats;
use seqid_core::template::check_digit::CheckAlgorithm;
use seqid_core::time::Date;
use seqid_core::{CounterStore, Issuer, MemoryStore, Numbering};
use serde_json::Value;

/// As many as there are, rounded down: fewer would mean that they are no longer found.
const ACCEPTED_AT_LEAST: usize = 25;
const REFUSED_AT_LEAST: usize = 20;
const DRAWS_AT_LEAST: usize = 80;
const TOKENS_AT_LEAST: usize = 80;

/// The instant at which the examples are drawn.
const NOW: &str = "2026-03-07T10:15:30Z";
/// The document date of the tables.
const DATE: &str = "2026-03-07";
/// Refusals that need a sequence with a history: the check of one definition never gives them.
const OF_HISTORY: [&str; 2] = ["overlaps", "successor-cycle"];

fn read(path: &str) -> String {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// What the page shows, in its order.
#[derive(Default)]
struct Page {
    examples: Vec<Example>,
    tables: Vec<Table>,
    /// Blocks that no example claims.
    strays: Vec<String>,
}

/// A definition and what is said to become of it.
struct Example {
    /// Of its first line, from 1.
    line: usize,
    definition: String,
    /// The paragraphs of the quotation below it: refusals and remarks.
    said: Vec<String>,
    /// Documents and their ids.
    draws: Vec<String>,
}

struct Table {
    header: Vec<String>,
    rows: Vec<Vec<String>>,
}

impl Page {
    fn read() -> Self {
        Self::parse(&read("../docs/definitions.md"))
    }

    fn parse(text: &str) -> Self {
        let mut page = Page::default();
        let mut lines = text.lines().enumerate().peekable();
        // Whether what comes next can still belong to the last definition.
        let mut open = false;
        while let Some((index, line)) = lines.next() {
            if let Some(language) = line.strip_prefix("```") {
                let block: Vec<&str> = lines
                    .by_ref()
                    .map(|(_, line)| line)
                    .take_while(|line| *line != "```")
                    .collect();
                match (language, page.examples.last_mut().filter(|_| open)) {
                    ("json", _) => {
                        page.examples.push(Example {
                            line: index + 1,
                            definition: block.join("\n"),
                            said: Vec::new(),
                            draws: Vec::new(),
                        });
                        open = true;
                    }
                    ("text", Some(example)) => example.draws.extend(block.into_iter().map(str::to_owned)),
                    _ => page
                        .strays
                        .push(format!("line {}: a block that is not checked", index + 1)),
                }
            } else if line.starts_with('>') {
                let mut quoted = vec![line];
                while let Some((_, more)) = lines.next_if(|(_, line)| line.starts_with('>')) {
                    quoted.push(more);
                }
                match page.examples.last_mut().filter(|_| open) {
                    Some(example) => example.said.extend(paragraphs(&quoted)),
                    None => page
                        .strays
                        .push(format!("line {}: a quotation that is not checked", index + 1)),
                }
            } else if line.starts_with('|') {
                let header = cells(line);
                let mut rows = Vec::new();
                while let Some((_, row)) = lines.next_if(|(_, line)| line.starts_with('|')) {
                    rows.push(cells(row));
                }
                page.tables.push(Table {
                    header,
                    rows: rows.split_off(1),
                });
                open = false;
            } else if !line.is_empty() {
                open = false;
            }
        }
        page
    }

    /// The rows of every table whose first column has this title; there is at least one.
    fn rows(&self, first: &str) -> Vec<&Vec<String>> {
        let rows: Vec<_> = self
            .tables
            .iter()
            .filter(|table| table.header[0] == first)
            .flat_map(|table| &table.rows)
            .collect();
        assert!(!rows.is_empty(), "there is no table of {first}");
        rows
    }

    /// The tokens of the tables, without braces.
    fn tokens(&self) -> Vec<String> {
        let rows = self.rows("Token").into_iter();
        let written = rows.map(|row| code(&row[0]).unwrap().to_owned());
        let inside = |format: String| -> Vec<String> {
            let tokens = format.split('{').skip(1);
            tokens
                .map(|token| token.split('}').next().unwrap().to_owned())
                .collect()
        };
        written.flat_map(inside).collect()
    }
}

/// The paragraphs of a quotation, each on one line.
fn paragraphs(quoted: &[&str]) -> Vec<String> {
    let plain: Vec<&str> = quoted.iter().map(|line| line[1..].trim()).collect();
    plain
        .split(|line| line.is_empty())
        .map(|lines| lines.join(" "))
        .collect()
}

/// The cells of a row, in which `\|` is a bar.
fn cells(row: &str) -> Vec<String> {
    let inner = row
        .trim()
        .trim_start_matches('|')
        .trim_end_matches('|')
        .replace("\\|", "\u{0}");
    inner
        .split('|')
        .map(|cell| cell.trim().replace('\u{0}', "|"))
        .collect()
}

/// The first thing written as code.
fn code(cell: &str) -> Option<&str> {
    cell.split('`').nth(1)
}

fn prefix() -> Prefix {
    Prefix::new("INV").unwrap()
}

fn spec(definition: &str) -> DefinitionSpec {
    serde_json::from_str(definition).unwrap_or_else(|error| panic!("{definition}: {error}"))
}

fn check(definition: &str) -> Result<Definition, DefinitionRefused> {
    Definition::check(
        &Tenant::default(),
        &prefix(),
        spec(definition),
        &Defaults::default(),
    )
}

fn issuer() -> Issuer {
    store_and_issuer().1
}

fn store_and_issuer() -> (Arc<MemoryStore>, Issuer) {
    let clock = Arc::new(ManualClock::new(NOW.parse().unwrap()));
    let store = Arc::new(MemoryStore::new(clock.clone(), Seed(1)));
    let issuer = Issuer::builder(store.clone()).clock(clock).seed(Seed(2)).build();
    (store, issuer)
}

/// An issuer of one sequence. Its definition is not checked again, which takes most of the time.
async fn issuer_of(definition: Definition) -> Issuer {
    let (store, issuer) = store_and_issuer();
    let define = Define {
        sequence: SequenceKey::new(Tenant::default(), prefix()),
        definition,
        expected: Expected::Nothing,
        objections: Vec::new(),
        implicit: None,
    };
    let command = Command::new(Act::Define(define), Arc::new(Origin::default()));
    assert!(store.apply(vec![command]).await.iter().all(Result::is_ok));
    issuer
}

/// `2026-03-07 branch=JKT 42 -> INV-JKT-2026-00042`
struct Document<'a> {
    date: Date,
    scope: BTreeMap<String, String>,
    fields: BTreeMap<String, String>,
    /// Where the counter had come before.
    number: Option<Number>,
    gets: &'a str,
}

impl<'a> Document<'a> {
    fn parse(line: &'a str, definition: &Definition) -> Self {
        let (document, gets) = line.split_once(" -> ").unwrap();
        let mut words = document.split_whitespace();
        let mut parsed = Self {
            date: words.next().unwrap().parse().unwrap(),
            scope: BTreeMap::new(),
            fields: BTreeMap::new(),
            number: None,
            gets: gets.trim(),
        };
        for word in words {
            let Some((name, value)) = word.split_once('=') else {
                parsed.number = Some(Number::new(word.parse().unwrap()).unwrap());
                continue;
            };
            let free = definition.fields().iter().any(|declared| declared.name == name);
            let values = if free {
                &mut parsed.fields
            } else {
                &mut parsed.scope
            };
            values.insert(name.to_owned(), value.to_owned());
        }
        parsed
    }

    async fn draw(&self, issuer: &Issuer) -> Result<Issued, seqid_core::Error> {
        if let Some(number) = self.number {
            let mut counter = CounterSelector::new(prefix());
            counter.scope = self.scope.clone();
            counter.when = When::On(self.date);
            let reason = Reason::new("the example begins here").unwrap();
            issuer.reset(ResetRequest::new(counter, number, reason)).await?;
        }
        let mut request = DrawRequest::new(prefix()).date(self.date);
        request.scope = self.scope.clone();
        request.fields = self.fields.clone();
        issuer.draw(request).await
    }
}

impl Example {
    fn is_refused(&self) -> bool {
        self.said.iter().any(|said| said.starts_with("refused: "))
    }

    /// Differences between what is said and what happens.
    async fn faults(&self) -> Vec<String> {
        let (said, faults) = match check(&self.definition) {
            Err(refused) => {
                let refusal = |refusal: &seqid_core::refusal::Refusal| {
                    format!(
                        "refused: `{}` at `{}`: {}",
                        refusal.code, refusal.pointer, refusal.detail
                    )
                };
                let draws = self
                    .draws
                    .iter()
                    .map(|draw| format!("drawn though refused: {draw}"));
                (refused.refusals().iter().map(refusal).collect(), draws.collect())
            }
            Ok(definition) => {
                let remarks = definition
                    .warnings()
                    .iter()
                    .map(|warning| format!("remark: {warning}"));
                let mut faults = self.faults_of_draws(&definition).await;
                if self.draws.is_empty() {
                    faults.push("an accepted definition without a document".to_owned());
                }
                (remarks.collect::<Vec<_>>(), faults)
            }
        };
        let told = (said != self.said).then(|| format!("says {:#?}\nis   {said:#?}", self.said));
        told.into_iter()
            .chain(faults)
            .map(|fault| format!("line {}: {fault}", self.line))
            .collect()
    }

    async fn faults_of_draws(&self, definition: &Definition) -> Vec<String> {
        let issuer = issuer_of(definition.clone()).await;
        let mut faults = Vec::new();
        for line in &self.draws {
            let document = Document::parse(line, definition);
            let got = match document.draw(&issuer).await {
                Err(error) => format!("refused: {}", error.code().as_str()),
                Ok(issued) => {
                    faults.extend(unread(&issuer, definition, &issued).await);
                    issued.id().to_owned()
                }
            };
            if got != document.gets {
                faults.push(format!("{line}: is {got}"));
            }
        }
        faults
    }
}

/// What is read back from an id other than what it was made from.
async fn unread(issuer: &Issuer, definition: &Definition, issued: &Issued) -> Option<String> {
    let id = issued.id();
    let read = issuer
        .parse(Tenant::default(), Some(prefix()), id.to_owned())
        .await;
    let Ok(read) = read else {
        return Some(format!("{id} cannot be read back"));
    };
    let scope = || {
        issued
            .scope
            .iter()
            .all(|(name, value)| read.scope.get(name).is_some_and(|read| read == value))
    };
    let counter = || read.period == Some(issued.period) && scope();
    let same = read.number == issued.run.first && (definition.repeats() == Repeats::Accepted || counter());
    (!same).then(|| format!("{id} is read as {read:?}"))
}

fn assert_none(faults: &[String]) {
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[tokio::test]
async fn every_definition_does_what_is_said_below_it() {
    let page = Page::read();
    let mut faults = page.strays.clone();
    for example in &page.examples {
        faults.extend(example.faults().await);
    }
    assert_none(&faults);
    let refused = page
        .examples
        .iter()
        .filter(|example| example.is_refused())
        .count();
    let draws: usize = page.examples.iter().map(|example| example.draws.len()).sum();
    assert!(page.examples.len() - refused >= ACCEPTED_AT_LEAST);
    assert!(refused >= REFUSED_AT_LEAST);
    assert!(draws >= DRAWS_AT_LEAST);
    let tries = page
        .examples
        .into_iter()
        .map(|example| tokio::spawn(async move { example.faults().await }));
    let mut faults = page.strays;
    for tried in tries.collect::<Vec<_>>() {
        faults.extend(tried.await.unwrap());
    }
    assert_none(&faults);
}

#[tokio::test]
async fn an_example_that_is_wrong_or_unchecked_is_noticed() {
    let definition = "```json\n{\"format\":\"A{seq:2}\"}\n```\n";
    for (below, faults) in [
        ("```text\n2026-03-07 -> A01\n2026-03-07 41 -> A41\n```", 0),
        ("```text\n2026-03-07 -> A1\n```", 1),
        ("```text\n2026-03-07 -> A01\n```\n> remark: it is short", 1),
        ("> refused: `no-seq` at `/format`: there is none", 2),
        ("", 1),
    ] {
        let page = Page::parse(&format!("{definition}\n{below}"));
        assert_eq!(page.examples[0].faults().await.len(), faults, "{below}");
    }
    for stray in [
        "```sh\nls\n```",
        "```text\n2026-03-07 -> A01\n```",
        "> remark: of nothing",
    ] {
        assert_eq!(Page::parse(stray).strays.len(), 1, "{stray}");
    }
    let page = Page::parse(&format!("{definition}\nText.\n\n```text\n2026-03-07 -> A01\n```"));
    assert_eq!(page.strays.len(), 1);
}

#[test]
fn every_code_of_the_check_has_an_example() {
    // The message lists them all: there is no other way to ask for the members of the enum.
    let codes = serde_json::from_str::<RefusalCode>(r#""?""#)
        .unwrap_err()
        .to_string();
    let codes: BTreeSet<&str> = codes.split('`').skip(3).step_by(2).collect();
    assert!(codes.len() >= 19, "{codes:?}");
    let text = read("../docs/definitions.md");
    let unsaid: Vec<_> = codes
        .iter()
        .filter(|code| !OF_HISTORY.contains(code))
        .filter(|code| !text.contains(&format!("> refused: `{code}` at ")))
        .collect();
    assert!(unsaid.is_empty(), "without an example: {unsaid:?}");
    assert!(text.contains("### overlaps\n"));
}

#[tokio::test]
async fn every_token_prints_what_its_table_says() {
    let page = Page::read();
    let (issuer, rows) = (issuer(), page.rows("Token"));
    let mut faults = Vec::new();
    for row in &rows {
        let (token, says) = (code(&row[0]).unwrap(), code(&row[2]).unwrap());
        let (format, before) = if token.contains("{seq") {
            (token.to_owned(), "")
        } else {
            (format!("{{seq}}#{token}"), "42#")
        };
        let definition = serde_json::json!({
            "format": format, "reset": "month", "fiscal_year_start": "04-01", "repeats": "accepted",
            "scope": ["branch"], "fields": ["customer"], "window": [2020, 2029],
        });
        let mut request = PreviewRequest::new(prefix());
        request.definition = Some(spec(&definition.to_string()));
        request.number = Number::new(42).ok();
        request.date = DATE.parse().ok();
        request.scope.insert("branch".into(), "JKT".into());
        request.fields.insert("customer".into(), "Lovelace".into());
        let prints = match issuer.preview(request).await {
            Ok(preview) => preview.id.unwrap(),
            Err(error) => format!("{before}{error}"),
        };
        if prints != format!("{before}{says}") {
            faults.push(format!("{token} prints {prints}, not {says}"));
        }
    }
    assert_none(&faults);
    assert!(rows.len() >= TOKENS_AT_LEAST);
}

#[test]
fn every_word_of_the_language_has_its_row() {
    let source = read("src/field.rs");
    let reserved = source.split("const RESERVED").nth(1).unwrap();
    let reserved = reserved.split("];").next().unwrap();
    let words: Vec<&str> = reserved.split('"').skip(1).step_by(2).collect();
    assert!(words.len() >= 34 && words.iter().all(|word| is_reserved(word)));
    let tokens = Page::read().tokens();
    let known: BTreeSet<&str> = tokens
        .iter()
        .map(|token| token.split([':', '|']).next().unwrap())
        .collect();
    // The first is kept for later, the second a word of `over=`.
    let unsaid: Vec<_> = words
        .iter()
        .filter(|word| !["attr", "before"].contains(word) && !known.contains(*word))
        .collect();
    assert!(unsaid.is_empty(), "without a row: {unsaid:?}");
}

#[test]
fn every_option_of_a_token_has_its_row() {
    let tokens = Page::read().tokens();
    let mut wanted: Vec<String> = Vec::new();
    for algorithm in CheckAlgorithm::ALL {
        wanted.push(format!("check:{algorithm}"));
    }
    // A token that is not understood is answered with those that would be.
    for (wrong, at_least, before) in [
        ("{mm|?}{seq}", 3, "mm|"),
        ("{yyyy|era=?}{seq}", 3, "era="),
        ("{branch|?}{seq}", 4, "|"),
        ("{yyyy|?}{seq}", 2, "yyyy|"),
        ("{seq|?}", 2, "|"),
    ] {
        let detail = refusal(wrong);
        let expected = detail.split("expected ").nth(1).unwrap();
        let options: Vec<&str> = expected.split('`').skip(1).step_by(2).collect();
        assert!(options.len() >= at_least, "{detail}");
        wanted.extend(options.iter().map(|option| format!("{before}{option}")));
    }
    let detail = refusal("{now:%?}{seq}");
    let conversions = detail.split("one of ").nth(1).unwrap();
    assert!(conversions.split(' ').count() >= 23, "{detail}");
    wanted.extend(conversions.split(' ').map(|letter| format!("%{letter}")));
    // Of these the value is an example.
    let values = ["first=", "last=", "base=", "alphabet="];
    let unsaid: Vec<_> = wanted
        .iter()
        .map(|option| {
            let value = values.iter().find(|value| option.contains(**value));
            value.map_or(option.as_str(), |value| value)
        })
        .filter(|option| !tokens.iter().any(|token| token.contains(option)))
        .collect();
    assert!(unsaid.is_empty(), "without a row: {unsaid:?}");
}

fn refusal(format: &str) -> String {
    let definition = serde_json::json!({ "format": format, "fields": ["branch"] });
    let refused = check(&definition.to_string()).unwrap_err();
    refused.refusals()[0].detail.clone()
}

#[test]
fn every_reset_has_its_text_and_its_days() {
    let page = Page::read();
    let rows = page.rows("Reset");
    let words: Vec<&str> = rows.iter().map(|row| code(&row[0]).unwrap()).collect();
    assert_eq!(words, Reset::ALL.map(Reset::as_str));
    for (row, reset) in rows.iter().zip(Reset::ALL) {
        let period = Calendar::new(reset, MonthDay::new(4, 1).unwrap()).period(DATE.parse().unwrap());
        let day = |day: Option<Date>| day.map(|day| day.to_string());
        assert_eq!(code(&row[2]), Some(period.to_string().as_str()), "{reset}");
        assert_eq!(code(&row[3]), day(period.first()).as_deref(), "{reset}");
        assert_eq!(code(&row[4]), day(period.last()).as_deref(), "{reset}");
    }
}

/// Every member, with a value other than its default.
const ALL_MEMBERS: &str = r#"{"format":"{fy}/{branch}/{seq:3}","mode":"ordered","start":2,"step":2,"max":500,
    "ranges":[{"first":2,"last":400}],"successor":"NEXT","reset":"fiscal_year","fiscal_year_start":"04-01","fiscal_label":"end","time_zone":"Asia/Jakarta",
    "scope":["branch"],"fields":["customer"],"window":[2000,2099],"max_length":60,"charset":"A-Za-z0-9/-",
    "repeats":"accepted","chronological":true,"days_ahead":3,"on_expiry":"void","largest_gap":2,"warn_at":7,
    "description":"x","language":1,"profile":null}"#;

fn members(definition: &impl serde::Serialize) -> BTreeMap<String, Value> {
    serde_json::from_value(serde_json::to_value(definition).unwrap()).unwrap()
}

/// Compares a column of defaults with an object whose members are all at their defaults.
fn assert_defaults(rows: &[&Vec<String>], defaults: &BTreeMap<String, Value>) {
    for row in rows {
        let (member, says) = (code(&row[0]).unwrap(), row[2].as_str());
        let default = defaults.get(member).map(|value| match value {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        });
        if says != "required" {
            assert_eq!(code(says).map(str::to_owned), default, "the default of {member}");
        }
    }
}

#[test]
fn every_member_has_its_row_and_default() {
    let page = Page::read();
    let rows = page.rows("Member");
    let mut known = members(&check(ALL_MEMBERS).unwrap().spec());
    known.insert("profile".to_owned(), Value::Null);
    let said: BTreeSet<&str> = rows.iter().map(|row| code(&row[0]).unwrap()).collect();
    assert_eq!(said, known.keys().map(String::as_str).collect());
    assert!(said.len() == rows.len() && said.len() >= 23);
    assert_defaults(
        &rows,
        &members(&check(r#"{"format":"INV-{seq}"}"#).unwrap().spec()),
    );

    let rows = page.rows("Declaration");
    let all = r#"{"name":"a","case":"upper","pad":2,"values":["AB"],"default":"AB"}"#;
    let known = members(&serde_json::from_str::<FieldDeclaration>(all).unwrap());
    let said: BTreeSet<&str> = rows.iter().map(|row| code(&row[0]).unwrap()).collect();
    assert_eq!(said, known.keys().map(String::as_str).collect());
    assert_defaults(&rows, &members(&FieldDeclaration::new("a")));
}

/// Each member that a change can name, changed.
const CHANGES: &str = r#"{"format":"{fy_start}/{branch}/{seq:4}","mode":"ordered","start":2,"step":2,"max":9999,"reset":"never",
    "ranges":[{"first":1,"last":900}],"successor":"NEXT",
    "fiscal_year_start":"05-01","fiscal_label":"end","time_zone":"Asia/Jakarta","fields":["customer"],
    "scope":[{"name":"branch","values":["A","B","C"]}],"window":[2020,2028],"max_length":60,
    "charset":"A-Z0-9/-","profile":"in-gst","repeats":"accepted","chronological":true,"days_ahead":3,
    "on_expiry":"reuse","largest_gap":2,"warn_at":7,"description":"x"}"#;

#[tokio::test]
async fn a_member_changes_after_the_first_number_as_its_row_says() {
    let base = serde_json::json!({
        "format": "{fy_start}/{branch}/{seq:3}", "reset": "fiscal_year", "fiscal_year_start": "04-01", "max": 999,
        "window": [2020, 2029], "scope": [{"name": "branch", "values": ["A", "B"]}],
    });
    let changes = members(&serde_json::from_str::<Value>(CHANGES).unwrap());
    let page = Page::read();
    for row in page.rows("Member") {
        let (member, says) = (code(&row[0]).unwrap(), row[4].as_str());
        let Some(value) = changes.get(member) else {
            assert_eq!(member, "language", "not tried");
            continue;
        };
        let issuer = issuer();
        let define = |definition: &Value| DefineRequest::new(prefix(), spec(&definition.to_string()));
        issuer.define(define(&base)).await.unwrap();
        let mut next = base.clone();
        next["format"] = "NEXT/{fy_start}/{branch}/{seq:3}".into();
        let next = DefineRequest::new(Prefix::new("NEXT").unwrap(), spec(&next.to_string()));
        issuer.define(next).await.unwrap();
        issuer
            .draw(DrawRequest::new(prefix()).scope("branch", "A"))
            .await
            .unwrap();
        let mut changed = base.clone();
        changed[member] = value.clone();
        let mut request = define(&changed);
        request.if_version = Some(1);
        let result = issuer.define(request).await;
        match says {
            "never" => assert!(
                result.is_err_and(|error| error.refusals()[0].pointer == format!("/{member}")),
                "{member} changed"
            ),
            "new counters" | "at any time" => assert!(result.is_ok_and(|defined| defined.saved), "{member}"),
            other => panic!("{member} changes {other:?}"),
        }
    }
}

#[test]
fn the_limits_are_those_of_the_check() {
    let format = |format: String| serde_json::json!({ "format": format }).to_string();
    let fields =
        |declaration: Value| serde_json::json!({"format": "{seq}", "fields": declaration}).to_string();
    let names = |count: u64| -> Vec<String> { (0..count).map(|n| format!("f{n}")).collect() };
    let text = |length: u64| "x".repeat(usize::try_from(length).unwrap());
    type Made<'a> = &'a dyn Fn(u64) -> String;
    let made: [(&str, Made<'_>); 12] = [
        ("characters of a format", &|n| {
            format(format!("{{seq}}{}", text(n - 5)))
        }),
        ("tokens of a format", &|n| {
            format("{seq}.".repeat(usize::try_from(n).unwrap()))
        }),
        ("width of `{seq}`", &|n| format(format!("{{seq:{n}}}"))),
        ("base of `{seq}`", &|n| format(format!("{{seq|base={n}}}"))),
        ("characters of an alphabet of `{seq}`", &|n| {
            let alphabet = ('A'..='Z').chain('a'..='z').chain('0'..='9').cycle();
            let alphabet: String = alphabet.take(usize::try_from(n).unwrap()).collect();
            format(format!("{{seq|alphabet={alphabet}}}"))
        }),
        ("names in `scope`, and in `fields`", &|n| fields(names(n).into())),
        ("characters of a name", &|n| fields(vec![text(n)].into())),
        ("characters of a value", &|n| {
            fields(serde_json::json!([{"name": "a", "max": n}]))
        }),
        ("characters of a description", &|n| {
            serde_json::json!({"format": "{seq}", "description": text(n)}).to_string()
        }),
        ("ranges", &|n| {
            let ranges: Vec<_> = (0..n)
                .map(|at| serde_json::json!({"first": at, "last": at}))
                .collect();
            serde_json::json!({"format": "{seq}", "ranges": ranges}).to_string()
        }),
        ("years of a window where one digit is printed", &|n| {
            let window = [2020, 2019 + n];
            serde_json::json!({"format": "{y}-{seq}", "reset": "year", "window": window}).to_string()
        }),
        ("the largest number", &|n| {
            serde_json::json!({"format": "{seq}", "max": n.to_string()}).to_string()
        }),
    ];
    let page = Page::read();
    let rows = page.rows("Limit");
    for row in &rows {
        let limit: u64 = row[1].parse().unwrap();
        let (name, made) = made.iter().find(|(name, _)| *name == row[0]).unwrap();
        assert!(check(&made(limit)).is_ok(), "{name}: {limit} is refused");
        assert!(check(&made(limit + 1)).is_err(), "{name}: more is accepted");
    }
    assert_eq!(rows.len(), made.len());
}
