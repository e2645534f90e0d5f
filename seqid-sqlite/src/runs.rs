//! An index of events by the row that they belong to: a counter or a sequence. Events of one row that follow one
//! another are one entry, so that a busy counter costs next to nothing.
//!
//! The newest entries are in memory, the tail, in the order of their positions. A full tail is sorted and sealed into a
//! [segment](crate::segments). Segments are never removed, so that readers in other threads need to share no more
//! than the tail and the list of segments with the writer, who adds to them after each commit.

use std::sync::{Arc, PoisonError, RwLock};

use rusqlite::Connection;

use crate::segments::{Names, Pair, Sealing, Segment};

/// How many entries a tail has before it is sealed.
const SEGMENT: usize = 65_536;
/// A tail that stretches over so many events is sealed however few entries it has: a start reads at most twice as
/// many events.
const LONGEST_TAIL: u64 = 262_144;

/// Events of one row at consecutive positions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Run {
    pub(crate) first: u64,
    pub(crate) last: u64,
}

impl Run {
    /// The bits of an entry that hold how many events follow the first.
    const LENGTH_BITS: u32 = 16;

    fn of(entry: u64) -> Self {
        let first = entry >> Self::LENGTH_BITS;
        let last = first + (entry & ((1 << Self::LENGTH_BITS) - 1));
        Self { first, last }
    }

    fn entry(self) -> u64 {
        (self.first << Self::LENGTH_BITS) | (self.last - self.first)
    }

    /// Both as one, if they follow one another and an entry can hold them.
    fn joined(self, next: Self) -> Option<Self> {
        let fits = next.last - self.first < (1 << Self::LENGTH_BITS);
        (self.last + 1 == next.first && fits).then_some(Self {
            first: self.first,
            last: next.last,
        })
    }
}

/// What readers see: everything that is committed.
#[derive(Debug, Default)]
struct Shown {
    segments: Arc<Vec<Arc<Segment>>>,
    /// Entries that are being sealed.
    sealing: Arc<Vec<Pair>>,
    tail: Vec<Pair>,
    /// The events up to here are covered by segments or are being sealed.
    tail_after: u64,
    last_position: u64,
}

/// The writer's side of the index.
#[derive(Debug)]
pub(crate) struct RunIndex {
    names: &'static Names,
    shown: Arc<RwLock<Shown>>,
    sealing: Option<Sealing>,
    next_segment: i64,
    uncommitted: Uncommitted,
}

/// What the transaction added. It is shown once it is committed.
#[derive(Debug, Default)]
struct Uncommitted {
    entries: Vec<Pair>,
    begun: Option<Arc<Vec<Pair>>>,
    whole: Option<Segment>,
}

impl RunIndex {
    /// Reads the whole segments. The events behind [`covered`](Self::covered) must be inserted.
    pub(crate) fn open(connection: &Connection, names: &'static Names) -> rusqlite::Result<Self> {
        let segments = Segment::load_all(connection, names)?;
        let (whole, covered) = segments
            .last()
            .map_or((0, 0), |segment| (segment.id, segment.last_position));
        let shown = Shown {
            segments: Arc::new(segments.into_iter().map(Arc::new).collect()),
            tail_after: covered,
            last_position: covered,
            ..Shown::default()
        };
        Ok(Self {
            names,
            shown: Arc::new(RwLock::new(shown)),
            sealing: None,
            next_segment: whole + 1,
            uncommitted: Uncommitted::default(),
        })
    }

    /// Up to where whole segments cover the events.
    pub(crate) fn covered(&self) -> u64 {
        self.shown()
            .segments
            .last()
            .map_or(0, |segment| segment.last_position)
    }

    /// Adds an event of the transaction.
    pub(crate) fn insert(&mut self, row: i64, position: u64) {
        let run = Run {
            first: position,
            last: position,
        };
        append(&mut self.uncommitted.entries, row.cast_unsigned(), run);
    }

    /// Writes the transaction's share of the segment that is being sealed.
    pub(crate) fn write_slice(&mut self, connection: &Connection) -> rusqlite::Result<()> {
        if self.sealing.is_none() {
            self.begin_sealing_if_full();
        }
        let Some(sealing) = &mut self.sealing else {
            return Ok(());
        };
        if sealing.write_parts(connection, self.names, self.uncommitted.entries.len())?
            && let Some(sealing) = self.sealing.take()
        {
            self.uncommitted.whole = Some(sealing.finish(connection, self.names, 0, Vec::new())?);
        }
        Ok(())
    }

    fn begin_sealing_if_full(&mut self) {
        let shown = self.shown();
        if shown.tail.len() < SEGMENT && shown.last_position - shown.tail_after < LONGEST_TAIL {
            return;
        }
        let (tail, position) = (shown.tail.clone(), shown.last_position);
        drop(shown);
        let sorted = Arc::new(sorted_by_row(tail));
        self.uncommitted.begun = Some(Arc::clone(&sorted));
        self.sealing = Some(Sealing::new(self.next_segment, position, sorted));
        self.next_segment += 1;
    }

    /// Shows readers what was committed, up to this position.
    pub(crate) fn show(&mut self, position: u64) {
        let mut shown = self.shown.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(begun) = self.uncommitted.begun.take() {
            shown.sealing = begun;
            shown.tail_after = shown.last_position;
            shown.tail.clear();
        }
        if let Some(segment) = self.uncommitted.whole.take() {
            Arc::make_mut(&mut shown.segments).push(Arc::new(segment));
            shown.sealing = Arc::default();
        }
        for (row, entry) in self.uncommitted.entries.drain(..) {
            append(&mut shown.tail, row, Run::of(entry));
        }
        shown.last_position = position;
    }

    fn shown(&self) -> std::sync::RwLockReadGuard<'_, Shown> {
        self.shown.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// What readers read.
    pub(crate) fn reader(&self) -> RunReader {
        RunReader {
            names: self.names,
            shown: Arc::clone(&self.shown),
        }
    }
}

/// Sorts entries by their row, byte by byte from the lowest: rows are small integers, and every caller waits meanwhile.
/// Those of one row are in order and stay so.
fn sorted_by_row(mut entries: Vec<Pair>) -> Vec<Pair> {
    let largest = entries.iter().map(|(row, _)| *row).max().unwrap_or(0);
    let mut sorted = entries.clone();
    for shift in (0..u64::BITS).step_by(8).take_while(|shift| largest >> shift > 0) {
        let byte = |(row, _): &Pair| usize::from((row >> shift).to_le_bytes()[0]);
        let mut places = [0; 256];
        entries.iter().for_each(|entry| places[byte(entry)] += 1);
        let mut before = 0;
        for place in &mut places {
            before += std::mem::replace(place, before);
        }
        for entry in &entries {
            let place = &mut places[byte(entry)];
            sorted[*place] = *entry;
            *place += 1;
        }
        std::mem::swap(&mut entries, &mut sorted);
    }
    entries
}

/// Adds a run behind the others, to the last of them where it goes on.
fn append(entries: &mut Vec<Pair>, row: u64, run: Run) {
    if let Some((last, entry)) = entries.last_mut()
        && *last == row
        && let Some(joined) = Run::of(*entry).joined(run)
    {
        *entry = joined.entry();
    } else {
        entries.push((row, run.entry()));
    }
}

/// The readers' side of the index.
#[derive(Debug, Clone)]
pub(crate) struct RunReader {
    names: &'static Names,
    shown: Arc<RwLock<Shown>>,
}

impl RunReader {
    /// The runs of a row that are committed now.
    pub(crate) fn runs(&self, row: i64) -> Runs {
        let row = row.cast_unsigned();
        let shown = self.shown.read().unwrap_or_else(PoisonError::into_inner);
        let sealing = &shown.sealing;
        let first = sealing.partition_point(|(other, _)| *other < row);
        let sealing = sealing[first..].iter().take_while(|(other, _)| *other == row);
        let tail = shown.tail.iter().filter(|(other, _)| *other == row);
        Runs {
            names: self.names,
            row,
            segments: Arc::clone(&shown.segments),
            recent: sealing.chain(tail).map(|(_, entry)| Run::of(*entry)).collect(),
            read: Vec::new(),
        }
    }

    /// The position of the newest event that is committed.
    pub(crate) fn last_position(&self) -> u64 {
        self.shown
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .last_position
    }
}

/// How many segments' runs are kept while a row's runs are looked through.
const KEPT: usize = 4;

/// The runs of one row, as they were when they were asked for. Those of the segments looked at last are kept.
#[derive(Debug)]
pub(crate) struct Runs {
    names: &'static Names,
    row: u64,
    segments: Arc<Vec<Arc<Segment>>>,
    /// The runs behind the segments.
    recent: Vec<Run>,
    read: Vec<(usize, Vec<Run>)>,
}

impl Runs {
    /// The first run at a position or behind it, without what lies before.
    pub(crate) fn at_or_behind(
        &mut self,
        connection: &Connection,
        position: u64,
    ) -> rusqlite::Result<Option<Run>> {
        for place in self.place(position)..=self.segments.len() {
            let runs = self.of_place(connection, place)?;
            let at = runs.partition_point(|run| run.last < position);
            if let Some(run) = runs.get(at) {
                let first = run.first.max(position);
                return Ok(Some(Run {
                    first,
                    last: run.last,
                }));
            }
        }
        Ok(None)
    }

    /// The last run at a position or before it, without what lies behind.
    pub(crate) fn at_or_before(
        &mut self,
        connection: &Connection,
        position: u64,
    ) -> rusqlite::Result<Option<Run>> {
        for place in (0..=self.place(position)).rev() {
            let runs = self.of_place(connection, place)?;
            let behind = runs.partition_point(|run| run.first <= position);
            if let Some(run) = behind.checked_sub(1).map(|at| runs[at]) {
                let last = run.last.min(position);
                return Ok(Some(Run {
                    first: run.first,
                    last,
                }));
            }
        }
        Ok(None)
    }

    /// The segment that covers a position, or the place behind all segments.
    fn place(&self, position: u64) -> usize {
        self.segments
            .partition_point(|segment| segment.last_position < position)
    }

    fn of_place(&mut self, connection: &Connection, place: usize) -> rusqlite::Result<&[Run]> {
        let Some(segment) = self.segments.get(place) else {
            return Ok(&self.recent);
        };
        let kept = match self.read.iter().position(|(read, _)| *read == place) {
            Some(kept) => kept,
            None => {
                let mut entries = Vec::new();
                segment.find(connection, self.names, self.row, &mut entries)?;
                if self.read.len() == KEPT {
                    self.read.remove(0);
                }
                self.read
                    .push((place, entries.into_iter().map(Run::of).collect()));
                self.read.len() - 1
            }
        };
        Ok(&self.read[kept].1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::index::COUNTERS;

    fn database() -> Connection {
        let connection = Connection::open_in_memory().unwrap();
        connection.execute_batch(include_str!("schema/1.sql")).unwrap();
        connection
    }

    /// Adds events of rows in turn and commits after each, beginning behind the last.
    fn fill(index: &mut RunIndex, connection: &Connection, from: u64, to: u64, row: impl Fn(u64) -> i64) {
        for position in from..=to {
            index.insert(row(position), position);
            index.write_slice(connection).unwrap();
            index.show(position);
        }
    }

    fn positions(runs: &mut Runs, connection: &Connection) -> Vec<u64> {
        let (mut found, mut at) = (Vec::new(), 0);
        while let Some(run) = runs.at_or_behind(connection, at).unwrap() {
            found.extend(run.first..=run.last);
            at = run.last + 1;
        }
        found
    }

    fn positions_backwards(runs: &mut Runs, connection: &Connection) -> Vec<u64> {
        let (mut found, mut at) = (Vec::new(), u64::MAX);
        while let Some(run) = runs.at_or_before(connection, at).unwrap() {
            found.extend((run.first..=run.last).rev());
            at = run.first - 1;
        }
        found.reverse();
        found
    }

    #[test]
    fn every_event_is_found_before_while_and_after_its_tail_is_sealed() {
        let connection = database();
        let mut index = RunIndex::open(&connection, &COUNTERS).unwrap();
        let row = |position: u64| (position % 3).cast_signed() + 5;
        let full = SEGMENT as u64;
        let mut from = 1;
        for to in [full - 1, full + 10, full + full / 2, 2 * full + 10] {
            fill(&mut index, &connection, from, to, row);
            from = to + 1;
            for key in 4..9 {
                let expected: Vec<u64> = (1..=to).filter(|position| row(*position) == key).collect();
                assert_eq!(
                    positions(&mut index.reader().runs(key), &connection),
                    expected,
                    "{key} of {to}"
                );
                assert_eq!(
                    positions_backwards(&mut index.reader().runs(key), &connection),
                    expected
                );
            }
        }
        assert!(index.covered() >= full);
    }

    #[test]
    fn a_busy_row_has_few_entries_and_is_sealed_in_time() {
        let connection = database();
        let mut index = RunIndex::open(&connection, &COUNTERS).unwrap();
        let end = LONGEST_TAIL + 3_000;
        for first in (1..=end).step_by(1_000) {
            let last = (first + 999).min(end);
            (first..=last).for_each(|position| index.insert(7, position));
            index.write_slice(&connection).unwrap();
            index.show(last);
        }
        assert!(index.covered() >= LONGEST_TAIL);
        let found = positions(&mut index.reader().runs(7), &connection);
        assert!(found.into_iter().eq(1..=end));
        let bytes: i64 = connection
            .query_row("SELECT sum(length(pairs)) FROM counter_segment_part", [], |row| {
                row.get(0)
            })
            .unwrap();
        assert!(bytes < 8_192, "{bytes}");
    }

    #[test]
    fn entries_are_sorted_by_row_and_otherwise_stay_in_order() {
        let entries: Vec<Pair> = (0..5_000_u64).map(|n| (n * 7_919 % 70_001, n)).collect();
        for divisor in [1, 300, 100_000] {
            let entries: Vec<Pair> = entries.iter().map(|(row, to)| (row / divisor, *to)).collect();
            let mut expected = entries.clone();
            expected.sort_unstable();
            assert_eq!(sorted_by_row(entries), expected);
        }
    }

    #[test]
    fn what_is_not_committed_is_not_shown() {
        let connection = database();
        let mut index = RunIndex::open(&connection, &COUNTERS).unwrap();
        index.insert(7, 1);
        assert!(positions(&mut index.reader().runs(7), &connection).is_empty());
        index.show(1);
        assert_eq!(positions(&mut index.reader().runs(7), &connection), [1]);
    }
}
