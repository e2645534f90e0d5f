//! Sorted pairs of integers on disk, written once and never changed: segments of parts that each fill a page.
//!
//! A segment is written some parts per commit, so that it lands at the end of its table, and is whole when its own row
//! is there. The first key of each part is in memory, so that a look reads one row. What no whole segment covers is
//! read from the events again at the next start.

use std::sync::Arc;

use rusqlite::{Connection, params};

use crate::rows::signed;

/// How many pairs a part has: its row fills a page.
pub(crate) const PART: usize = 250;
/// A segment's parts are numbered below this.
const PARTS: i64 = 65_536;
/// How many pairs of a segment a commit writes for each pair that it adds. It writes one part at least.
const WRITTEN_PER_PAIR: usize = 2;

/// A key, and where it leads.
pub(crate) type Pair = (u64, u64);

/// The tables of one index.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Names {
    /// Removes the parts from an id on.
    pub(crate) remove_parts: &'static str,
    /// The whole segments, oldest first.
    pub(crate) list: &'static str,
    pub(crate) insert: &'static str,
    pub(crate) insert_part: &'static str,
    pub(crate) find_part: &'static str,
}

/// The statements of an index whose segments are in one table and their parts in another.
macro_rules! names {
    ($segment:literal, $part:literal) => {
        $crate::segments::Names {
            remove_parts: concat!("DELETE FROM ", $part, " WHERE id >= ?1"),
            list: concat!(
                "SELECT id, last_position, last_at, filter, firsts FROM ",
                $segment,
                " ORDER BY id"
            ),
            insert: concat!(
                "INSERT INTO ",
                $segment,
                " (id, last_position, last_at, filter, firsts) VALUES (?1, ?2, ?3, ?4, ?5)"
            ),
            insert_part: concat!("INSERT INTO ", $part, " (id, pairs) VALUES (?1, ?2)"),
            find_part: concat!("SELECT pairs FROM ", $part, " WHERE id = ?1"),
        }
    };
}
pub(crate) use names;

/// A whole segment.
#[derive(Debug)]
pub(crate) struct Segment {
    pub(crate) id: i64,
    /// The events up to here are covered by this segment and those before it.
    pub(crate) last_position: u64,
    /// The latest instant of its events; 0 where nobody asks.
    pub(crate) last_at: i64,
    /// The Bloom filter of its keys; empty where there is none.
    pub(crate) filter: Vec<u8>,
    /// The first key of each part.
    firsts: Vec<u64>,
}

impl Segment {
    /// Reads the whole segments, and removes the parts of one that a crash left unfinished.
    pub(crate) fn load_all(connection: &Connection, names: &Names) -> rusqlite::Result<Vec<Self>> {
        let mut segments = Vec::new();
        let mut statement = connection.prepare(names.list)?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            segments.push(Self {
                id: row.get(0)?,
                last_position: row.get::<_, i64>(1)?.cast_unsigned(),
                last_at: row.get(2)?,
                filter: row.get(3)?,
                firsts: integers(row.get_ref(4)?.as_blob()?).collect(),
            });
        }
        let whole = segments.last().map_or(0, |segment| segment.id);
        connection.execute(names.remove_parts, [part_id(whole + 1, 0)])?;
        Ok(segments)
    }

    /// Appends where a key leads, in order.
    pub(crate) fn find(
        &self,
        connection: &Connection,
        names: &Names,
        key: u64,
        found: &mut Vec<u64>,
    ) -> rusqlite::Result<()> {
        // The part before the first that begins with it may end with it.
        let first = self
            .firsts
            .partition_point(|first| *first < key)
            .saturating_sub(1);
        let end = self.firsts.partition_point(|first| *first <= key);
        for part in first..end {
            connection
                .prepare_cached(names.find_part)?
                .query_row([part_id(self.id, part)], |row| {
                    let integers: Vec<u64> = integers(row.get_ref(0)?.as_blob()?).collect();
                    let pairs = integers.as_chunks::<2>().0;
                    let first = pairs.partition_point(|[other, _]| *other < key);
                    let equal = pairs[first..].iter().take_while(|[other, _]| *other == key);
                    found.extend(equal.map(|[_, to]| *to));
                    Ok(())
                })?;
        }
        Ok(())
    }
}

/// A segment that is being written.
#[derive(Debug)]
pub(crate) struct Sealing {
    id: i64,
    pub(crate) last_position: u64,
    pub(crate) sorted: Arc<Vec<Pair>>,
    firsts: Vec<u64>,
}

impl Sealing {
    /// Begins to write sorted pairs, which cover the events up to a position.
    pub(crate) fn new(id: i64, last_position: u64, sorted: Arc<Vec<Pair>>) -> Self {
        Self {
            id,
            last_position,
            sorted,
            firsts: Vec::new(),
        }
    }

    /// Writes the share of a commit that adds so many pairs, and tells whether all parts are written.
    pub(crate) fn write_parts(
        &mut self,
        connection: &Connection,
        names: &Names,
        added: usize,
    ) -> rusqlite::Result<bool> {
        let mut insert = connection.prepare_cached(names.insert_part)?;
        for _ in 0..(added * WRITTEN_PER_PAIR).div_ceil(PART).max(1) {
            let place = self.firsts.len();
            let rest = &self.sorted[self.sorted.len().min(place * PART)..];
            let pairs = &rest[..rest.len().min(PART)];
            let Some((first, _)) = pairs.first() else { break };
            let mut bytes = Vec::with_capacity(size_of_val(pairs));
            for (key, to) in pairs {
                bytes.extend_from_slice(&key.to_be_bytes());
                bytes.extend_from_slice(&to.to_be_bytes());
            }
            insert.execute(params![part_id(self.id, place), bytes])?;
            self.firsts.push(*first);
        }
        Ok(self.firsts.len() * PART >= self.sorted.len())
    }

    /// Makes the segment whole.
    pub(crate) fn finish(
        self,
        connection: &Connection,
        names: &Names,
        last_at: i64,
        filter: Vec<u8>,
    ) -> rusqlite::Result<Segment> {
        let firsts: Vec<u8> = self.firsts.iter().copied().flat_map(u64::to_be_bytes).collect();
        connection.prepare_cached(names.insert)?.execute(params![
            self.id,
            signed(self.last_position),
            last_at,
            filter,
            firsts
        ])?;
        Ok(Segment {
            id: self.id,
            last_position: self.last_position,
            last_at,
            filter,
            firsts: self.firsts,
        })
    }
}

/// The id of a part. A segment has as many parts as its index fills, and one batch more, which are far fewer than
/// `PARTS`.
pub(crate) fn part_id(segment: i64, place: usize) -> i64 {
    segment * PARTS + i64::try_from(place).unwrap_or(PARTS - 1)
}

fn integers(bytes: &[u8]) -> impl Iterator<Item = u64> {
    bytes.as_chunks().0.iter().map(|bytes| u64::from_be_bytes(*bytes))
}
