//! The index of idempotency keys. The hot path only appends: a key stands in its event's row, and here only a hash
//! of it, first in memory, then in sorted segments.
//!
//! The newest keys are in a map, the tail. A full tail is sorted and written out a slice per commit, so that it
//! lands at the end of the segment table; until it is whole the map is still asked. Each segment has a Bloom filter
//! in memory. A hit is confirmed by the event's own key. A crash loses no key: what no whole segment covers is read
//! from the events again at the next start.

use std::collections::HashMap;

use rusqlite::{Connection, params};
use seqid_core::counter::SequenceKey;
use seqid_core::names::IdempotencyKey;
use sha2::{Digest, Sha256};

use crate::rows::signed;

/// How many keys a segment has. A start reads at most twice as many from the events.
const SEGMENT: usize = 131_072;
/// A tail that stretches over so many events is sealed even if it has few keys or none, so that a start stays short.
const LONGEST_TAIL: u64 = 1_000_000;
/// How many rows of a segment a commit writes for each key that it adds, and at least.
const ROWS_PER_KEY: usize = 2;
const FEWEST_ROWS: usize = 64;
/// How many rows of an outlived segment a commit removes.
const REMOVED_ROWS: i64 = 256;

/// See the [module](self).
#[derive(Debug)]
pub(crate) struct KeyIndex {
    secret: [u8; 16],
    tail: Tail,
    sealing: Option<Sealing>,
    /// The oldest first.
    segments: Vec<Segment>,
    outlived: Vec<i64>,
    next_segment: i64,
}

/// Keys in memory: positions of events by the key's hash.
#[derive(Debug, Default)]
struct Tail {
    positions: HashMap<u64, u64>,
    /// Further positions of a hash that is in the map.
    further: Vec<(u64, u64)>,
    /// The events up to here are covered by segments.
    after: u64,
    last_position: u64,
    last_at: i64,
}

#[derive(Debug)]
struct Sealing {
    id: i64,
    tail: Tail,
    sorted: Vec<(u64, u64)>,
    written: usize,
}

#[derive(Debug)]
struct Segment {
    id: i64,
    last_at: i64,
    filter: Filter,
}

impl Tail {
    fn insert(&mut self, hash: u64, position: u64, at: i64) {
        if let Some(older) = self.positions.insert(hash, position) {
            self.further.push((hash, older));
        }
        self.last_position = position;
        self.last_at = self.last_at.max(at);
    }

    fn find(&self, hash: u64, found: &mut Vec<u64>) {
        if let Some(position) = self.positions.get(&hash) {
            found.push(*position);
            found.extend(
                self.further
                    .iter()
                    .filter(|(other, _)| *other == hash)
                    .map(|(_, position)| *position),
            );
        }
    }

    fn is_full(&self, position: u64) -> bool {
        self.positions.len() >= SEGMENT || position.saturating_sub(self.after) >= LONGEST_TAIL
    }
}

impl KeyIndex {
    /// Reads the index of a database whose last event is at `last_position`.
    pub(crate) fn open(connection: &Connection) -> rusqlite::Result<Self> {
        let secret = connection.query_row("SELECT key_secret FROM store", [], |row| row.get(0))?;
        let mut segments = Vec::new();
        let mut sealed_up_to = 0;
        let mut statement =
            connection.prepare("SELECT id, last_at, filter, last_position FROM segment ORDER BY id")?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            segments.push(Segment {
                id: row.get(0)?,
                last_at: row.get(1)?,
                filter: Filter(row.get(2)?),
            });
            sealed_up_to = row.get::<_, i64>(3)?;
        }
        let whole = segments.last().map_or(0, |segment| segment.id);
        // Slices of a segment that a crash left unfinished; its keys are in the tail again.
        connection.execute("DELETE FROM segment_key WHERE segment > ?1", [whole])?;
        let mut index = Self {
            secret,
            tail: Tail::default(),
            sealing: None,
            segments,
            outlived: Vec::new(),
            next_segment: whole + 1,
        };
        index.tail.after = u64::try_from(sealed_up_to).unwrap_or_default();
        index.read_tail(connection, sealed_up_to)?;
        Ok(index)
    }

    fn read_tail(&mut self, connection: &Connection, after: i64) -> rusqlite::Result<()> {
        let mut statement = connection.prepare(
            "SELECT e.position, e.at, e.key, s.tenant, s.prefix FROM event e JOIN sequence s ON s.id = e.sequence \
             WHERE e.position > ?1 AND e.key IS NOT NULL ORDER BY e.position",
        )?;
        let mut rows = statement.query([after])?;
        while let Some(row) = rows.next()? {
            let (tenant, prefix): (String, String) = (row.get(3)?, row.get(4)?);
            let hash = self.hash_of([tenant.as_str(), prefix.as_str(), row.get_ref(2)?.as_str()?]);
            let position = u64::try_from(row.get::<_, i64>(0)?).unwrap_or_default();
            self.tail.insert(hash, position, row.get(1)?);
        }
        Ok(())
    }

    /// The hash of a key: the same for ever, and not to be guessed without the file's secret.
    pub(crate) fn hash(&self, sequence: &SequenceKey, key: &IdempotencyKey) -> u64 {
        self.hash_of([sequence.tenant.as_str(), sequence.prefix.as_str(), key.as_str()])
    }

    fn hash_of(&self, parts: [&str; 3]) -> u64 {
        let mut hash = Sha256::new();
        hash.update(self.secret);
        for part in parts {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        }
        let digest: [u8; 32] = hash.finalize().into();
        let mut first = [0; 8];
        first.copy_from_slice(&digest[..8]);
        u64::from_be_bytes(first)
    }

    /// Positions of events whose key may have this hash.
    pub(crate) fn find(&self, connection: &Connection, hash: u64) -> rusqlite::Result<Vec<u64>> {
        let mut found = Vec::new();
        self.tail.find(hash, &mut found);
        if let Some(sealing) = &self.sealing {
            sealing.tail.find(hash, &mut found);
        }
        for segment in self
            .segments
            .iter()
            .rev()
            .filter(|segment| segment.filter.may_contain(hash))
        {
            let mut statement = connection
                .prepare_cached("SELECT position FROM segment_key WHERE segment = ?1 AND hash = ?2")?;
            let mut rows = statement.query(params![segment.id, hash.cast_signed()])?;
            while let Some(row) = rows.next()? {
                found.push(u64::try_from(row.get::<_, i64>(0)?).unwrap_or_default());
            }
        }
        Ok(found)
    }

    /// Adds the key of an event. To be undone by opening anew when the transaction is not committed.
    pub(crate) fn insert(&mut self, hash: u64, position: u64, at: i64) {
        self.tail.insert(hash, position, at);
    }

    /// Writes this commit's share of the work: a slice of the segment that is being sealed, and removal of what is
    /// older than `oldest`. `added` keys came with the commit, whose last event is at `position`.
    pub(crate) fn write_slice(
        &mut self,
        connection: &Connection,
        added: usize,
        position: u64,
        oldest: i64,
    ) -> rusqlite::Result<()> {
        if self.sealing.is_none() && self.tail.is_full(position) {
            self.begin_sealing(position);
        }
        self.write_sorted(connection, (added * ROWS_PER_KEY).max(FEWEST_ROWS))?;
        self.remove_outlived(connection, oldest)
    }

    fn begin_sealing(&mut self, position: u64) {
        let empty = Tail {
            after: position,
            ..Tail::default()
        };
        let mut tail = std::mem::replace(&mut self.tail, empty);
        tail.last_position = position;
        let mut sorted: Vec<(u64, u64)> = tail
            .positions
            .iter()
            .map(|(hash, at)| (*hash, *at))
            .chain(tail.further.iter().copied())
            .collect();
        // The order of the table, whose integers have a sign.
        sorted.sort_unstable_by_key(|(hash, at)| (hash.cast_signed(), *at));
        self.sealing = Some(Sealing {
            id: self.next_segment,
            tail,
            sorted,
            written: 0,
        });
        self.next_segment += 1;
    }

    fn write_sorted(&mut self, connection: &Connection, rows: usize) -> rusqlite::Result<()> {
        let Some(sealing) = &mut self.sealing else {
            return Ok(());
        };
        let end = (sealing.written + rows).min(sealing.sorted.len());
        let mut insert = connection
            .prepare_cached("INSERT INTO segment_key (segment, hash, position) VALUES (?1, ?2, ?3)")?;
        for (hash, position) in &sealing.sorted[sealing.written..end] {
            insert.execute(params![sealing.id, hash.cast_signed(), signed(*position)])?;
        }
        sealing.written = end;
        if end < sealing.sorted.len() {
            return Ok(());
        }
        let filter = Filter::of(sealing.sorted.iter().map(|(hash, _)| *hash), sealing.sorted.len());
        connection
            .prepare_cached(
                "INSERT INTO segment (id, last_position, last_at, filter) VALUES (?1, ?2, ?3, ?4)",
            )?
            .execute(params![
                sealing.id,
                signed(sealing.tail.last_position),
                sealing.tail.last_at,
                filter.0
            ])?;
        self.segments.push(Segment {
            id: sealing.id,
            last_at: sealing.tail.last_at,
            filter,
        });
        self.sealing = None;
        Ok(())
    }

    fn remove_outlived(&mut self, connection: &Connection, oldest: i64) -> rusqlite::Result<()> {
        // The newest whole segment stays: it says up to where the events are covered.
        while self.segments.len() > 1 && self.segments[0].last_at < oldest {
            self.outlived.push(self.segments.remove(0).id);
        }
        let Some(id) = self.outlived.last().copied() else {
            return Ok(());
        };
        let removed = connection
            .prepare_cached(
                "DELETE FROM segment_key WHERE (segment, hash, position) IN \
                 (SELECT segment, hash, position FROM segment_key WHERE segment = ?1 LIMIT ?2)",
            )?
            .execute(params![id, REMOVED_ROWS])?;
        if removed == 0 {
            connection
                .prepare_cached("DELETE FROM segment WHERE id = ?1")?
                .execute([id])?;
            self.outlived.pop();
        }
        Ok(())
    }

    /// How many keys are in memory.
    #[cfg(test)]
    fn in_memory(&self) -> usize {
        self.tail.positions.len() + self.sealing.as_ref().map_or(0, |sealing| sealing.sorted.len())
    }
}

/// A Bloom filter of ten bits a key and seven probes: one in a hundred of other keys passes. Bloom, "Space/time
/// trade-offs in hash coding with allowable errors", 1970; two hashes as by Kirsch and Mitzenmacher, 2006.
#[derive(Debug)]
struct Filter(Vec<u8>);

impl Filter {
    const BITS_PER_KEY: usize = 10;
    const PROBES: u64 = 7;

    fn of(hashes: impl Iterator<Item = u64>, count: usize) -> Self {
        let mut bytes = vec![0; (count * Self::BITS_PER_KEY).div_ceil(8).max(8)];
        let bits = bytes.len() as u64 * 8;
        for hash in hashes {
            for bit in Self::bits(hash, bits) {
                bytes[bit / 8] |= 1 << (bit % 8);
            }
        }
        Self(bytes)
    }

    fn may_contain(&self, hash: u64) -> bool {
        let bits = self.0.len() as u64 * 8;
        bits > 0 && Self::bits(hash, bits).all(|bit| self.0[bit / 8] & (1 << (bit % 8)) != 0)
    }

    fn bits(hash: u64, bits: u64) -> impl Iterator<Item = usize> {
        let stride = (hash >> 32) | 1;
        (0..Self::PROBES).map(move |probe| {
            usize::try_from(hash.wrapping_add(probe.wrapping_mul(stride)) % bits).unwrap_or_default()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn database() -> Connection {
        let connection = Connection::open_in_memory().unwrap();
        connection.execute_batch(include_str!("schema/1.sql")).unwrap();
        connection
            .execute(
                "INSERT INTO store (id, authority, key_secret) VALUES (1, zeroblob(16), randomblob(16))",
                [],
            )
            .unwrap();
        connection
            .execute(
                "INSERT INTO sequence (tenant, prefix, prefix_folded, head, implicit, archived, opened, n, hash) \
                 VALUES ('t', 'INV', 'inv', 1, 0, 0, 1, 1, zeroblob(32))",
                [],
            )
            .unwrap();
        connection
    }

    fn hash(n: u64) -> u64 {
        n.wrapping_mul(0x9E37_79B9_7F4A_7C15)
    }

    fn fill(index: &mut KeyIndex, connection: &Connection, from: u64, to: u64) {
        for n in from..to {
            index.insert(hash(n), n, 0);
            index.write_slice(connection, 1, n, i64::MIN).unwrap();
        }
    }

    #[test]
    fn every_key_is_found_before_while_and_after_its_tail_is_sealed() {
        let connection = database();
        let mut index = KeyIndex::open(&connection).unwrap();
        let full = SEGMENT as u64;
        for end in [full - 1, full + 10, full * 3 / 2, full * 2 + 10] {
            let start = index.segments.len() as u64 * full + index.in_memory() as u64;
            fill(&mut index, &connection, start, end);
            for n in [0, 1, end / 2, end - 1] {
                assert_eq!(index.find(&connection, hash(n)).unwrap(), [n], "of {end}");
            }
            assert!(index.find(&connection, hash(end + 1)).unwrap().is_empty());
        }
        assert_eq!(index.segments.len(), 1);
        assert!(
            index.in_memory() <= 2 * SEGMENT,
            "sealing keeps up with what is added"
        );
    }

    #[test]
    fn a_start_reads_few_events_even_if_none_has_a_key() {
        let connection = database();
        let mut index = KeyIndex::open(&connection).unwrap();
        for (position, segments) in [
            (LONGEST_TAIL - 1, 0),
            (LONGEST_TAIL, 1),
            (LONGEST_TAIL + 1, 1),
            (2 * LONGEST_TAIL, 2),
        ] {
            index.write_slice(&connection, 0, position, i64::MIN).unwrap();
            assert_eq!(index.segments.len(), segments, "at {position}");
        }
        index.insert(7, 2 * LONGEST_TAIL + 1, 0);
        assert_eq!(index.find(&connection, 7).unwrap(), [2 * LONGEST_TAIL + 1]);
        assert_eq!(KeyIndex::open(&connection).unwrap().tail.after, 2 * LONGEST_TAIL);
    }

    #[test]
    fn equal_hashes_are_all_found() {
        let connection = database();
        let mut index = KeyIndex::open(&connection).unwrap();
        index.insert(7, 1, 0);
        index.insert(7, 2, 0);
        index.insert(7, 3, 0);
        let mut found = index.find(&connection, 7).unwrap();
        found.sort_unstable();
        assert_eq!(found, [1, 2, 3]);
    }

    #[test]
    fn outlived_segments_are_removed_a_slice_at_a_time() {
        let connection = database();
        let mut index = KeyIndex::open(&connection).unwrap();
        fill(
            &mut index,
            &connection,
            0,
            2 * SEGMENT as u64 + SEGMENT as u64 / 2 + 200,
        );
        assert_eq!(index.segments.len(), 2);
        let rows = |connection: &Connection| -> i64 {
            connection
                .query_row("SELECT count(*) FROM segment_key", [], |row| row.get(0))
                .unwrap()
        };
        let before = rows(&connection);
        index.write_slice(&connection, 0, 0, 1).unwrap();
        assert_eq!(index.segments.len(), 1);
        assert_eq!(rows(&connection), before - REMOVED_ROWS);
        assert!(index.find(&connection, hash(5)).unwrap().is_empty());
        while !index.outlived.is_empty() {
            index.write_slice(&connection, 0, 0, 1).unwrap();
        }
        assert_eq!(rows(&connection), before - SEGMENT as i64);
    }

    #[test]
    fn a_filter_passes_its_own_keys_and_few_others() {
        let filter = Filter::of((0..10_000).map(hash), 10_000);
        assert!((0..10_000).all(|n| filter.may_contain(hash(n))));
        let passed = (10_000..110_000).filter(|n| filter.may_contain(hash(*n))).count();
        assert!(passed < 2_000, "{passed} of 100000 passed");
    }
}
