//! What finds events without reading all of them: by counter, by sequence and by time. The writer adds to it with each
//! commit; nothing in it is written at random.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use rusqlite::{Connection, OptionalExtension, params};
use seqid_core::event::{Event, EventKind};

use crate::rows::signed;
use crate::runs::{RunIndex, RunReader};
use crate::segments::{self, Names};

pub(crate) const COUNTERS: Names = segments::names!("counter_segment", "counter_segment_part");
const SEQUENCES: Names = segments::names!("sequence_segment", "sequence_segment_part");

/// How many events a block has whose earliest and latest instant are kept.
pub(crate) const BLOCK: u64 = 4_096;

/// With more turns than this a counter's numbers are looked for in all of its events, so that no more are kept.
pub(crate) const MOST_TURNS: usize = 100;

/// The block that a position lies in.
pub(crate) const fn block(position: u64) -> u64 {
    (position - 1) / BLOCK
}

/// The writer's side of the index. After a transaction that is not committed it must be opened anew.
#[derive(Debug)]
pub(crate) struct EventIndex {
    counters: RunIndex,
    sequences: RunIndex,
    /// The instants of the block that is not full.
    begun: Option<Instants>,
    full: Vec<(u64, Instants)>,
    turns: Turns,
}

/// Events of the transaction behind which a counter's numbers may not rise.
#[derive(Debug, Default)]
struct Turns {
    begun: Vec<(i64, u64)>,
    /// How many counters have, of those that had one lately.
    kept: HashMap<i64, usize>,
}

impl Turns {
    /// The most counters that are remembered.
    const MOST: usize = 10_000;

    fn write(&mut self, connection: &Connection) -> rusqlite::Result<()> {
        for (counter, position) in self.begun.drain(..) {
            if self.kept.len() >= Self::MOST {
                self.kept.clear();
            }
            let kept = match self.kept.entry(counter) {
                Entry::Occupied(entry) => entry.into_mut(),
                Entry::Vacant(entry) => entry.insert(count(connection, counter)?),
            };
            if *kept <= MOST_TURNS {
                connection
                    .prepare_cached("INSERT INTO turn (counter, position) VALUES (?1, ?2)")?
                    .execute(params![counter, signed(position)])?;
                *kept += 1;
            }
        }
        Ok(())
    }
}

fn count(connection: &Connection, counter: i64) -> rusqlite::Result<usize> {
    connection
        .prepare_cached("SELECT count(*) FROM turn WHERE counter = ?1")?
        .query_row([counter], |row| row.get::<_, i64>(0))
        .map(|count| usize::try_from(count).unwrap_or(usize::MAX))
}

#[derive(Debug, Clone, Copy)]
struct Instants {
    earliest: i64,
    latest: i64,
}

impl Instants {
    fn with(self, at: i64) -> Self {
        Self {
            earliest: self.earliest.min(at),
            latest: self.latest.max(at),
        }
    }
}

/// The readers' side of the index.
#[derive(Debug, Clone)]
pub(crate) struct IndexReader {
    pub(crate) counters: RunReader,
    pub(crate) sequences: RunReader,
}

/// Whether such an event can have lower numbers than those before it.
const fn is_turn(event: &Event) -> bool {
    if matches!(event.kind, EventKind::Skipped) && event.detail.is_some() {
        // The rest of a lease that was given back.
        return true;
    }
    matches!(
        event.kind,
        EventKind::Returned
            | EventKind::Restarted
            | EventKind::Confirmed
            | EventKind::Voided
            | EventKind::Expired
            | EventKind::Reported
            | EventKind::Lost
    )
}

impl EventIndex {
    /// Reads the index. Events that no segment covers are read from their rows: at most half a million, a third of a
    /// second.
    pub(crate) fn open(connection: &Connection) -> rusqlite::Result<Self> {
        let mut index = Self {
            counters: RunIndex::open(connection, &COUNTERS)?,
            sequences: RunIndex::open(connection, &SEQUENCES)?,
            begun: None,
            full: Vec::new(),
            turns: Turns::default(),
        };
        let (counters, sequences) = (index.counters.covered(), index.sequences.covered());
        let mut last = counters.max(sequences);
        let mut statement = connection
            .prepare("SELECT position, sequence, counter FROM event WHERE position > ?1 ORDER BY position")?;
        let mut rows = statement.query([signed(counters.min(sequences))])?;
        while let Some(row) = rows.next()? {
            let position = row.get::<_, i64>(0)?.cast_unsigned();
            if position > sequences {
                index.sequences.insert(row.get(1)?, position);
            }
            if let Some(counter) = row.get(2)?
                && position > counters
            {
                index.counters.insert(counter, position);
            }
            last = last.max(position);
        }
        index.show(last);
        index.begun = begun_block(connection, last)?;
        Ok(index)
    }

    /// Adds an event of the transaction.
    pub(crate) fn insert(&mut self, position: u64, sequence: i64, counter: Option<i64>, event: &Event) {
        self.sequences.insert(sequence, position);
        if let Some(counter) = counter {
            self.counters.insert(counter, position);
            if is_turn(event) {
                self.turns.begun.push((counter, position));
            }
        }
        let at = event.at.as_micros();
        let only = Instants {
            earliest: at,
            latest: at,
        };
        let instants = self.begun.map_or(only, |instants| instants.with(at));
        self.begun = Some(instants);
        if position.is_multiple_of(BLOCK) {
            self.full.push((block(position), instants));
            self.begun = None;
        }
    }

    /// Writes the transaction's share of the work.
    pub(crate) fn write_slice(&mut self, connection: &Connection) -> rusqlite::Result<()> {
        for (id, Instants { earliest, latest }) in self.full.drain(..) {
            connection
                .prepare_cached("INSERT INTO event_block (id, earliest, latest) VALUES (?1, ?2, ?3)")?
                .execute(params![signed(id), earliest, latest])?;
        }
        self.turns.write(connection)?;
        self.counters.write_slice(connection)?;
        self.sequences.write_slice(connection)
    }

    /// Shows readers what was committed, up to this position.
    pub(crate) fn show(&mut self, position: u64) {
        self.counters.show(position);
        self.sequences.show(position);
    }

    /// What readers read.
    pub(crate) fn reader(&self) -> IndexReader {
        IndexReader {
            counters: self.counters.reader(),
            sequences: self.sequences.reader(),
        }
    }
}

fn begun_block(connection: &Connection, last: u64) -> rusqlite::Result<Option<Instants>> {
    let after = last / BLOCK * BLOCK;
    let instants = connection
        .query_row(
            "SELECT min(at), max(at) FROM event WHERE position > ?1",
            [signed(after)],
            |row| {
                let (earliest, latest): (Option<i64>, Option<i64>) = (row.get(0)?, row.get(1)?);
                Ok(earliest.zip(latest))
            },
        )
        .optional()?;
    Ok(instants
        .flatten()
        .map(|(earliest, latest)| Instants { earliest, latest }))
}
