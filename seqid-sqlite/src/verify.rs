//! Reading a file's tables one row after another for a [`Verifier`]. Nothing is joined and nothing is taken on trust: an
//! event is read with the counter that its own row names.

use std::collections::{HashMap, HashSet};
use std::ops::RangeInclusive;
use std::path::Path;
use std::sync::Arc;

use rusqlite::types::{FromSql, ValueRef};
use rusqlite::{Connection, OptionalExtension, Row, Statement};
use seqid_core::chain::{Authority, Link};
use seqid_core::counter::{CounterKey, CounterState, Run, SequenceKey};
use seqid_core::definition::OnExpiry;
use seqid_core::event::{Event, EventKind, Fingerprint, Keyed, Origin, Recorded, Subject};
use seqid_core::names::Number;
use seqid_core::reservation::{Hold, ReservationId};
use seqid_core::time::{Date, Timestamp};
use seqid_core::verify::{Fault, FaultKind, Report, SequenceHead, Verifier};

use crate::config::SqliteConfig;
use crate::error::OpenError;
use crate::{database, rows};

#[cfg(test)]
mod tests;

/// How many events lie between two reports of progress.
const PAGE: u64 = 10_000;

/// Verifies a file as of one moment, without writing to it. It may be served meanwhile. `progress` is told the position
/// that was reached, and the last one.
///
/// Holds a read transaction for as long as it takes: the file's log grows meanwhile. Verify a copy of a large file
/// that is busy.
///
/// # Errors
/// [`OpenError`] when the file cannot be read, or is none of seqid's. What is wrong with its content is in the report.
pub fn verify(path: &Path, verifier: Verifier, progress: impl FnMut(u64, u64)) -> Result<Report, OpenError> {
    let config = SqliteConfig::new(path);
    let sqlite = |source| database::sqlite_error(&config, source);
    let connection = database::open_reader(path).map_err(sqlite)?;
    database::require_known_schema(&config, &connection)?;
    let transaction = connection.unchecked_transaction().map_err(sqlite)?;
    verify_tables(&transaction, verifier, progress).map_err(sqlite)
}

/// Verifies what one transaction sees.
fn verify_tables(
    connection: &Connection,
    verifier: Verifier,
    progress: impl FnMut(u64, u64),
) -> rusqlite::Result<Report> {
    let mut tables = Tables::open(connection)?;
    let mut verifier = tables.heads(verifier)?;
    tables.events(&mut verifier, 0..=i64::MAX, progress)?;
    tables.definitions(&mut verifier)?;
    Ok(verifier.finish())
}

/// Where each incarnation begins, the newest first.
fn incarnations(connection: &Connection) -> rusqlite::Result<Vec<(u32, i64)>> {
    connection
        .prepare("SELECT ordinal, first_position FROM incarnation ORDER BY ordinal DESC")?
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect()
}

struct Tables<'a> {
    connection: &'a Connection,
    authority: Authority,
    incarnations: Vec<(u32, i64)>,
    sequences: HashMap<i64, SequenceKey>,
    /// With the row of its sequence.
    counters: HashMap<i64, (i64, CounterKey)>,
    /// How many versions of each sequence's definition the events have saved.
    defined: HashMap<i64, u32>,
}

impl<'a> Tables<'a> {
    fn open(connection: &'a Connection) -> rusqlite::Result<Self> {
        let authority = connection.query_row("SELECT authority FROM store", [], |row| row.get(0))?;
        Ok(Self {
            connection,
            authority: Authority(authority),
            incarnations: incarnations(connection)?,
            sequences: HashMap::new(),
            counters: HashMap::new(),
            defined: HashMap::new(),
        })
    }

    /// Tells a verifier what the tables say of counters and sequences.
    fn heads(&mut self, verifier: Verifier) -> rusqlite::Result<Verifier> {
        let mut verifier = verifier.store(self.authority).dense();
        self.sequences(&mut verifier)?;
        self.counters(&mut verifier)?;
        verifier.expect_heads(rows::counters_written(self.connection)?);
        Ok(verifier)
    }

    fn sequences(&mut self, verifier: &mut Verifier) -> rusqlite::Result<()> {
        let mut statement = self.connection.prepare(
            "SELECT tenant, prefix, id, head, n, hash, archived, closed_through, prefix_folded, opened, \
             EXISTS (SELECT 1 FROM counter c WHERE c.sequence = s.id) FROM sequence s ORDER BY id",
        )?;
        let mut found = statement.query([])?;
        while let Some(row) = found.next()? {
            let id: i64 = row.get(2)?;
            let (key, head) = match (rows::sequence_key(row, 0), sequence_head(row, 3)) {
                (Ok(key), Ok(head)) => (key, head),
                (key, head) => {
                    let error = key.err().or(head.err()).map(|error| error.to_string());
                    verifier.fault(table(
                        None,
                        "sequence",
                        id,
                        "a row that seqid writes",
                        error.unwrap_or_default(),
                    ));
                    continue;
                }
            };
            let (folded, opened, counters): (String, bool, bool) = (row.get(8)?, row.get(9)?, row.get(10)?);
            let subject = || Some(Subject::Sequence(key.clone()));
            if folded != key.folded_prefix() {
                let expected = format!("prefix_folded {}", key.folded_prefix());
                verifier.fault(table(subject(), "sequence", id, &expected, folded));
            }
            if opened != counters {
                let expected = format!("opened {counters}");
                verifier.fault(table(subject(), "sequence", id, &expected, opened.to_string()));
            }
            verifier.expect_sequence(key.clone(), head);
            self.sequences.insert(id, key);
        }
        Ok(())
    }

    fn counters(&mut self, verifier: &mut Verifier) -> rusqlite::Result<()> {
        let mut statement = self.connection.prepare(rows::ALL_COUNTERS)?;
        let mut found = statement.query([])?;
        while let Some(row) = found.next()? {
            let (id, sequence): (i64, i64) = (row.get(0)?, row.get(1)?);
            let (key, state, folded) = match self.counter(row, sequence) {
                Ok(counter) => counter,
                Err(error) => {
                    verifier.fault(table(
                        None,
                        "counter",
                        id,
                        "a row that seqid writes",
                        error.to_string(),
                    ));
                    continue;
                }
            };
            let lower = key.scope().to_string().to_lowercase();
            if folded != lower {
                let subject = Some(Subject::Counter(key.clone()));
                verifier.fault(table(
                    subject,
                    "counter",
                    id,
                    &format!("scope_folded {lower:?}"),
                    folded,
                ));
            }
            verifier.expect_counter(key.clone(), state);
            self.counters.insert(id, (sequence, key));
        }
        Ok(())
    }

    fn counter(&self, row: &Row<'_>, sequence: i64) -> rusqlite::Result<(CounterKey, CounterState, String)> {
        let sequence = self.sequences.get(&sequence).ok_or_else(|| {
            let what = format!("there is no sequence {sequence}");
            rusqlite::Error::FromSqlConversionFailure(1, rusqlite::types::Type::Integer, what.into())
        })?;
        let key = rows::counter_key(row, 2, sequence.clone())?;
        Ok((key, rows::counter_state(row, 7)?, row.get(21)?))
    }

    fn events(
        &mut self,
        verifier: &mut Verifier,
        positions: RangeInclusive<i64>,
        mut progress: impl FnMut(u64, u64),
    ) -> rusqlite::Result<()> {
        let last: i64 =
            self.connection
                .query_row("SELECT coalesce(max(position), 0) FROM event", [], |row| {
                    row.get(0)
                })?;
        let columns = rows::EVENT_COLUMNS.join(", ");
        let mut statement = self.connection.prepare(&format!(
            "SELECT {columns} FROM event WHERE position BETWEEN ?1 AND ?2 ORDER BY position"
        ))?;
        let mut spec = self
            .connection
            .prepare("SELECT spec, at, actor FROM definition WHERE sequence = ?1 AND version = ?2")?;
        let mut found = statement.query([positions.start(), positions.end()])?;
        while let Some(row) = found.next()? {
            let position: i64 = row.get(0)?;
            self.event(row, position.cast_unsigned(), &mut spec, verifier)?;
            if position.cast_unsigned().is_multiple_of(PAGE) {
                progress(position.cast_unsigned(), last.cast_unsigned());
            }
        }
        progress(last.cast_unsigned(), last.cast_unsigned());
        Ok(())
    }

    fn event(
        &mut self,
        row: &Row<'_>,
        position: u64,
        spec: &mut Statement<'_>,
        verifier: &mut Verifier,
    ) -> rusqlite::Result<()> {
        let cells = Cells(row);
        let subject = match self.subject(&cells) {
            Ok(subject) => subject,
            Err(bad) => {
                verifier.unreadable(position, None, bad.column, bad.found);
                return Ok(());
            }
        };
        let (mut event, hash) = match event(&cells, subject.clone()) {
            Ok(event) => event,
            Err(bad) => {
                verifier.unreadable(position, Some(subject), bad.column, bad.found);
                return Ok(());
            }
        };
        if event.kind == EventKind::Defined {
            let sequence: i64 = row.get(1)?;
            *self.defined.entry(sequence).or_default() += 1;
            // The definition stands in its own table, and nowhere else.
            if let Some(detail) = event.detail {
                verifier.unreadable(position, Some(subject), "detail", detail.to_string());
                return Ok(());
            }
            event.detail = definition(spec, sequence, &event, position, verifier)?;
        }
        let began = self
            .incarnations
            .iter()
            .find(|(_, first)| first.cast_unsigned() <= position);
        let incarnation = began.map_or(1, |(ordinal, _)| *ordinal);
        verifier.event(&Recorded::new(
            self.authority,
            incarnation,
            position,
            hash,
            event,
            None,
        ));
        Ok(())
    }

    fn subject(&self, cells: &Cells<'_>) -> Result<Subject, Bad> {
        let (sequence, counter): (i64, Option<i64>) = (cells.get(1)?, cells.get(2)?);
        let key = self.sequences.get(&sequence).ok_or_else(|| cells.bad(1))?;
        match counter {
            None => Ok(Subject::Sequence(key.clone())),
            Some(counter) => match self.counters.get(&counter) {
                Some((of, key)) if *of == sequence => Ok(Subject::Counter(key.clone())),
                _ => Err(cells.bad(2)),
            },
        }
    }

    /// Rows of definitions that no event saved.
    fn definitions(&self, verifier: &mut Verifier) -> rusqlite::Result<()> {
        let mut seen = HashSet::new();
        let mut statement = self
            .connection
            .prepare("SELECT sequence, version FROM definition ORDER BY sequence, version")?;
        let mut found = statement.query([])?;
        while let Some(row) = found.next()? {
            let (sequence, version): (i64, i64) = (row.get(0)?, row.get(1)?);
            let saved = self.defined.get(&sequence).copied().unwrap_or_default();
            if !(1..=i64::from(saved)).contains(&version) && seen.insert(sequence) {
                let subject = self.sequences.get(&sequence).cloned().map(Subject::Sequence);
                let expected = format!("versions 1 to {saved}, which events saved");
                verifier.fault(table(
                    subject,
                    "definition",
                    sequence,
                    &expected,
                    version.to_string(),
                ));
            }
        }
        Ok(())
    }
}

fn sequence_head(row: &Row<'_>, at: usize) -> rusqlite::Result<SequenceHead> {
    Ok(SequenceHead {
        version: row.get(at)?,
        archived: row.get(at + 3)?,
        closed_through: rows::optional_date(row, at + 4)?,
        chain: Link {
            n: row.get::<_, i64>(at + 1)?.cast_unsigned(),
            hash: row.get(at + 2)?,
        },
    })
}

/// The text that an event saved, from its table; what else stands there must be the event's.
fn definition(
    spec: &mut Statement<'_>,
    sequence: i64,
    event: &Event,
    position: u64,
    verifier: &mut Verifier,
) -> rusqlite::Result<Option<Arc<str>>> {
    let found: Option<(String, i64, Option<String>)> = spec
        .query_row((sequence, event.version), |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?))
        })
        .optional()?;
    let Some((spec, at, actor)) = found else {
        return Ok(None);
    };
    let of_event = (
        event.at.as_micros(),
        event.origin.actor.as_ref().map(ToString::to_string),
    );
    if of_event != (at, actor.clone()) {
        let text = |at: i64, actor: Option<String>| {
            format!("at {at} by {}", actor.unwrap_or_else(|| "nobody".to_owned()))
        };
        let expected = text(of_event.0, of_event.1);
        let mut fault = table(
            Some(event.subject.clone()),
            "definition",
            i64::from(event.version),
            &expected,
            text(at, actor),
        );
        fault.position = Some(position);
        verifier.fault(fault);
    }
    Ok(Some(spec.into()))
}

/// A row that contradicts the events.
fn table(subject: Option<Subject>, table: &str, row: i64, expected: &str, found: String) -> Fault {
    Fault {
        kind: FaultKind::Table,
        position: None,
        subject,
        n: None,
        expected: format!("in row {row} of {table} {expected}"),
        found,
    }
}

/// A column that seqid did not write so.
struct Bad {
    column: &'static str,
    found: String,
}

/// The columns of an event's row, in the order of [`rows::EVENT_COLUMNS`].
struct Cells<'a>(&'a Row<'a>);

impl Cells<'_> {
    fn bad(&self, at: usize) -> Bad {
        let found = match self.0.get_ref(at) {
            Ok(ValueRef::Null) => "NULL".to_owned(),
            Ok(ValueRef::Integer(value)) => value.to_string(),
            Ok(ValueRef::Real(value)) => value.to_string(),
            Ok(ValueRef::Text(text)) => format!("{:?}", String::from_utf8_lossy(text)),
            Ok(ValueRef::Blob(bytes)) => format!("{} bytes", bytes.len()),
            Err(error) => error.to_string(),
        };
        Bad {
            column: rows::EVENT_COLUMNS[at],
            found,
        }
    }

    fn get<T: FromSql>(&self, at: usize) -> Result<T, Bad> {
        self.0.get(at).map_err(|_| self.bad(at))
    }

    fn parse<S: FromSql, T>(&self, at: usize, parse: impl FnOnce(S) -> Option<T>) -> Result<T, Bad> {
        parse(self.get(at)?).ok_or_else(|| self.bad(at))
    }

    fn optional<S: FromSql, T>(
        &self,
        at: usize,
        parse: impl FnOnce(S) -> Option<T>,
    ) -> Result<Option<T>, Bad> {
        match self.get::<Option<S>>(at)? {
            Some(value) => parse(value).map(Some).ok_or_else(|| self.bad(at)),
            None => Ok(None),
        }
    }

    fn text<T: std::str::FromStr>(&self, at: usize) -> Result<Option<T>, Bad> {
        self.optional(at, |text: String| text.parse().ok())
    }

    fn count(&self, at: usize) -> Result<u64, Bad> {
        self.parse(at, |count: i64| u64::try_from(count).ok())
    }

    fn run(&self) -> Result<Option<Run>, Bad> {
        let number = |number: i64| Number::new(u64::try_from(number).ok()?).ok();
        let positive = |value: i64| u64::try_from(value).ok().filter(|value| *value > 0);
        let first = self.optional(7, number)?;
        let (step, count) = (self.optional(8, positive)?, self.optional(9, positive)?);
        match (first, step, count) {
            (Some(first), Some(step), Some(count)) => Ok(Some(Run { first, step, count })),
            (None, None, None) => Ok(None),
            (None, ..) => Err(self.bad(7)),
            (_, None, _) => Err(self.bad(8)),
            (_, _, None) => Err(self.bad(9)),
        }
    }

    fn hold(&self) -> Result<Option<Hold>, Bad> {
        let id = self.optional(24, |id: [u8; 16]| Some(ReservationId(id)))?;
        let expires_at = self.optional(25, instant)?;
        let on_expiry = self.optional(26, |code: i64| OnExpiry::from_code(code.try_into().ok()?))?;
        match (id, expires_at, on_expiry) {
            (Some(id), Some(expires_at), Some(on_expiry)) => Ok(Some(Hold {
                id,
                expires_at,
                on_expiry,
            })),
            (None, None, None) => Ok(None),
            (None, ..) => Err(self.bad(24)),
            (_, None, _) => Err(self.bad(25)),
            (_, _, None) => Err(self.bad(26)),
        }
    }
}

fn instant(micros: i64) -> Option<Timestamp> {
    Some(Timestamp::from_micros(micros)).filter(|instant| instant.as_micros() == micros)
}

fn event(cells: &Cells<'_>, subject: Subject) -> Result<(Event, [u8; 32]), Bad> {
    let run = cells.run()?;
    let key = match (
        cells.text(21)?,
        cells.optional(22, |digest: [u8; 16]| Some(Fingerprint(digest)))?,
    ) {
        (Some(key), Some(fingerprint)) => Some(Keyed::new(subject.sequence(), key, fingerprint)),
        (None, None) => None,
        (None, Some(_)) => return Err(cells.bad(21)),
        (Some(_), None) => return Err(cells.bad(22)),
    };
    // No value is stored where there are none.
    let fields = cells.optional(14, |text: String| text.parse().ok().filter(|_| !text.is_empty()))?;
    let event = Event {
        kind: cells.parse(3, EventKind::from_code)?,
        subject,
        n: cells.count(4)?,
        generation: cells.get(5)?,
        epoch: cells.get(6)?,
        run,
        version: cells.get(10)?,
        mode: cells.parse(11, rows::mode_of)?,
        at: cells.parse(12, instant)?,
        date: cells.optional(13, Date::from_days_since_epoch)?,
        fields: fields.unwrap_or_default(),
        origin: Arc::new(Origin {
            actor: cells.text(15)?,
            client: cells.text(16)?,
            request: cells.text(17)?,
        }),
        reference: cells.text(18)?,
        relates_to: cells.text(19)?,
        reason: cells.text(20)?,
        key,
        hold: cells.hold()?.map(Box::new),
        detail: cells.get::<Option<String>>(23)?.map(Into::into),
    };
    Ok((event, cells.get(27)?))
}
