//! The index of idempotency keys. The hot path only appends: a key stands in its event's row, and here only a hash
//! of it, first in memory, then in sorted [segments](crate::segments).
//!
//! The newest keys are in a map, the tail. A full tail is sealed; until its segment is whole the map is still asked.
//! Each segment has a Bloom filter. A hit is confirmed by the event's own key.

use std::collections::HashMap;
use std::sync::Arc;

use rusqlite::{Connection, params};
use seqid_core::event::KeyName;

use crate::rows;
use crate::segments::{self, Names, Pair, Sealing, Segment, part_id};

/// How many keys a segment has. A start reads at most twice as many from the events.
const SEGMENT: usize = 131_072;
/// A tail that stretches over so many events is sealed even if it has few keys or none, so that a start stays short.
const LONGEST_TAIL: u64 = 1_000_000;
/// How many parts of an outlived segment a commit removes.
const REMOVED_PARTS: i64 = 2;

const NAMES: Names = segments::names!("segment", "segment_part");

/// See the [module](self).
#[derive(Debug)]
pub(crate) struct KeyIndex {
    tail: Tail,
    sealing: Option<(Tail, Sealing)>,
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
    last_at: i64,
}

impl Tail {
    fn insert(&mut self, hash: u64, position: u64, at: i64) {
        if let Some(older) = self.positions.insert(hash, position) {
            self.further.push((hash, older));
        }
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
        let segments = Segment::load_all(connection, &NAMES)?;
        let (whole, sealed_up_to) = segments
            .last()
            .map_or((0, 0), |segment| (segment.id, segment.last_position));
        let mut index = Self {
            tail: Tail::default(),
            sealing: None,
            segments,
            outlived: Vec::new(),
            next_segment: whole + 1,
        };
        index.tail.after = sealed_up_to;
        index.read_tail(connection, rows::signed(sealed_up_to))?;
        Ok(index)
    }

    fn read_tail(&mut self, connection: &Connection, after: i64) -> rusqlite::Result<()> {
        let mut statement = connection.prepare(
            "SELECT e.position, e.at, e.key, s.tenant, s.prefix FROM event e JOIN sequence s ON s.id = e.sequence \
             WHERE e.position > ?1 AND e.key IS NOT NULL ORDER BY e.position",
        )?;
        let mut rows = statement.query([after])?;
        while let Some(row) = rows.next()? {
            let name = KeyName::of(&rows::sequence_key(row, 3)?, &rows::idempotency_key(row, 2)?);
            let position = u64::try_from(row.get::<_, i64>(0)?).unwrap_or_default();
            self.insert(name, position, row.get(1)?);
        }
        Ok(())
    }

    /// Positions of events whose key may have this name.
    pub(crate) fn find(&self, connection: &Connection, name: KeyName) -> rusqlite::Result<Vec<u64>> {
        let hash = name.hash();
        let mut found = Vec::new();
        self.tail.find(hash, &mut found);
        if let Some((tail, _)) = &self.sealing {
            tail.find(hash, &mut found);
        }
        for segment in self.segments.iter().rev() {
            if filter::may_contain(&segment.filter, hash) {
                segment.find(connection, &NAMES, hash, &mut found)?;
            }
        }
        Ok(found)
    }

    /// Adds the key of an event. To be undone by opening anew when the transaction is not committed.
    pub(crate) fn insert(&mut self, name: KeyName, position: u64, at: i64) {
        self.tail.insert(name.hash(), position, at);
    }

    /// Writes this commit's share of the work: parts of the segment that is being sealed, and removal of what is
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
        self.write_parts(connection, added)?;
        self.remove_outlived(connection, oldest)
    }

    fn begin_sealing(&mut self, position: u64) {
        let empty = Tail {
            after: position,
            ..Tail::default()
        };
        let tail = std::mem::replace(&mut self.tail, empty);
        let mut sorted: Vec<Pair> = tail
            .positions
            .iter()
            .map(|(hash, at)| (*hash, *at))
            .chain(tail.further.iter().copied())
            .collect();
        sorted.sort_unstable();
        let sealing = Sealing::new(self.next_segment, position, Arc::new(sorted));
        self.sealing = Some((tail, sealing));
        self.next_segment += 1;
    }

    fn write_parts(&mut self, connection: &Connection, added: usize) -> rusqlite::Result<()> {
        let Some((_, sealing)) = &mut self.sealing else {
            return Ok(());
        };
        if sealing.write_parts(connection, &NAMES, added)?
            && let Some((tail, sealing)) = self.sealing.take()
        {
            let filter = filter::of(sealing.sorted.iter().map(|(hash, _)| *hash), sealing.sorted.len());
            let segment = sealing.finish(connection, &NAMES, tail.last_at, filter)?;
            self.segments.push(segment);
        }
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
                "DELETE FROM segment_part WHERE id IN \
                 (SELECT id FROM segment_part WHERE id >= ?1 AND id < ?2 LIMIT ?3)",
            )?
            .execute(params![part_id(id, 0), part_id(id + 1, 0), REMOVED_PARTS])?;
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
        self.tail.positions.len()
            + self
                .sealing
                .as_ref()
                .map_or(0, |(_, sealing)| sealing.sorted.len())
    }
}

/// A Bloom filter of sixteen bits a key and seven probes: one in a thousand of other keys passes. Bloom, "Space/time
/// trade-offs in hash coding with allowable errors", 1970; two hashes as by Kirsch and Mitzenmacher, 2006.
mod filter {
    const BITS_PER_KEY: usize = 16;
    const PROBES: u64 = 7;

    pub(super) fn of(hashes: impl Iterator<Item = u64>, count: usize) -> Vec<u8> {
        let mut bytes = vec![0; (count * BITS_PER_KEY).div_ceil(8).max(8)];
        let bits = bytes.len() as u64 * 8;
        for hash in hashes {
            for bit in places(hash, bits) {
                bytes[bit / 8] |= 1 << (bit % 8);
            }
        }
        bytes
    }

    pub(super) fn may_contain(filter: &[u8], hash: u64) -> bool {
        let bits = filter.len() as u64 * 8;
        bits > 0 && places(hash, bits).all(|bit| filter[bit / 8] & (1 << (bit % 8)) != 0)
    }

    fn places(hash: u64, bits: u64) -> impl Iterator<Item = usize> {
        let stride = (hash >> 32) | 1;
        (0..PROBES).map(move |probe| {
            usize::try_from(hash.wrapping_add(probe.wrapping_mul(stride)) % bits).unwrap_or_default()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::segments::PART;

    fn database() -> Connection {
        let connection = Connection::open_in_memory().unwrap();
        connection.execute_batch(include_str!("schema/1.sql")).unwrap();
        connection
            .execute("INSERT INTO store (id, authority) VALUES (1, zeroblob(16))", [])
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
        // The finaliser of splitmix64: names are well mixed.
        let mut hash = n.wrapping_mul(0x9E37_79B9_7F4A_7C15);
        hash = (hash ^ (hash >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        hash = (hash ^ (hash >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        hash ^ (hash >> 31)
    }

    fn name(hash: u64) -> KeyName {
        let mut name = [0; 16];
        name[..8].copy_from_slice(&hash.to_be_bytes());
        KeyName(name)
    }

    fn fill(index: &mut KeyIndex, connection: &Connection, from: u64, to: u64) {
        for n in from..to {
            index.insert(name(hash(n)), n, 0);
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
                assert_eq!(index.find(&connection, name(hash(n))).unwrap(), [n], "of {end}");
            }
            assert!(index.find(&connection, name(hash(end + 1))).unwrap().is_empty());
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
        index.insert(name(7), 2 * LONGEST_TAIL + 1, 0);
        assert_eq!(index.find(&connection, name(7)).unwrap(), [2 * LONGEST_TAIL + 1]);
        assert_eq!(KeyIndex::open(&connection).unwrap().tail.after, 2 * LONGEST_TAIL);
    }

    #[test]
    fn equal_hashes_are_all_found() {
        let connection = database();
        let mut index = KeyIndex::open(&connection).unwrap();
        index.insert(name(7), 1, 0);
        index.insert(name(7), 2, 0);
        index.insert(name(7), 3, 0);
        let mut found = index.find(&connection, name(7)).unwrap();
        found.sort_unstable();
        assert_eq!(found, [1, 2, 3]);
    }

    #[test]
    fn equal_hashes_are_found_in_all_the_parts_that_they_fill() {
        let connection = database();
        let mut index = KeyIndex::open(&connection).unwrap();
        let full = SEGMENT as u64;
        let equal = 1_000..1_000 + 2 * PART as u64;
        for n in 0..full {
            index.insert(name(if equal.contains(&n) { 7 } else { hash(n) }), n, 0);
        }
        let mut n = full - 1;
        while index.segments.is_empty() {
            // The map holds each hash once, so the tail is not yet full.
            n += 1;
            index.insert(name(hash(n)), n, 0);
            index.write_slice(&connection, SEGMENT, n, i64::MIN).unwrap();
        }
        let mut found = index.find(&connection, name(7)).unwrap();
        found.sort_unstable();
        assert_eq!(found, equal.collect::<Vec<_>>());
        for n in [0, 999, 2_000, full - 1] {
            assert_eq!(index.find(&connection, name(hash(n))).unwrap(), [n]);
        }
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
                .query_row("SELECT count(*) FROM segment_part", [], |row| row.get(0))
                .unwrap()
        };
        let before = rows(&connection);
        index.write_slice(&connection, 0, 0, 1).unwrap();
        assert_eq!(index.segments.len(), 1);
        assert_eq!(rows(&connection), before - REMOVED_PARTS);
        assert!(index.find(&connection, name(hash(5))).unwrap().is_empty());
        while !index.outlived.is_empty() {
            index.write_slice(&connection, 0, 0, 1).unwrap();
        }
        assert_eq!(rows(&connection), before - SEGMENT.div_ceil(PART) as i64);
    }

    #[test]
    fn a_filter_passes_its_own_keys_and_few_others() {
        let filter = filter::of((0..10_000).map(hash), 10_000);
        assert!((0..10_000).all(|n| filter::may_contain(&filter, hash(n))));
        let passed = (10_000..110_000)
            .filter(|n| filter::may_contain(&filter, hash(*n)))
            .count();
        assert!(passed < 200, "{passed} of 100000 passed");
    }
}
