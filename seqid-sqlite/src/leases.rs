//! Leases: the rows of numbers that holders give out.

use rusqlite::{Connection, OptionalExtension, Row, params};
use seqid_core::counter::{CounterKey, SequenceKey};
use seqid_core::lease::{Lease, LeaseId};
use seqid_core::ledger::LeaseChange;
use seqid_core::names::Label;
use seqid_core::store::LeaseRecord;

use crate::error::Fault;
use crate::rows::{self, signed};

/// The columns of [`rows::lease`], of a lease `l`.
macro_rules! lease {
    () => {
        "l.id, l.generation, l.epoch, l.first, l.step, l.last, l.holder, l.topology, l.state"
    };
}

const NEEDED: &str = concat!(
    "SELECT ",
    lease!(),
    " FROM lease l WHERE l.counter = ?1 AND (l.state = 1 OR (l.state = 3 AND l.holder = ?3) OR l.id = ?2 \
      OR (?3 IS NOT NULL AND l.id = (SELECT o.id FROM lease o WHERE o.counter = ?1 AND o.last IS NOT NULL \
                                     ORDER BY o.generation DESC, o.last DESC LIMIT 1)))"
);

/// The open leases of a sequence: prefix `*` stands for all of the tenant's.
const OPEN: &str = concat!(
    "SELECT s.tenant, s.prefix, c.scope, c.period, c.period_kind, c.period_first, c.period_last, ",
    lease!(),
    " FROM lease l JOIN counter c ON c.id = l.counter JOIN sequence s ON s.id = c.sequence \
     WHERE s.tenant = ?1 AND (?2 = '*' OR s.prefix = ?2) AND l.state = 1 AND (?3 IS NULL OR l.id > ?3) \
     ORDER BY l.id LIMIT ?4"
);

/// The leases of the counter with this row that are open, and the one with a name; for a holder also those that it lost, and the
/// one of the highest numbers of the last generation.
pub(crate) fn needed(
    connection: &Connection,
    row: i64,
    id: Option<LeaseId>,
    holder: Option<&Label>,
) -> rusqlite::Result<Vec<Lease>> {
    connection
        .prepare_cached(NEEDED)?
        .query_map(
            params![row, id.map(|id| id.0), holder.map(|name| name.as_str())],
            |row| rows::lease(row, 0),
        )?
        .collect()
}

/// A page of open leases.
pub(crate) fn open(
    connection: &Connection,
    sequence: &SequenceKey,
    after: Option<LeaseId>,
    limit: usize,
) -> Result<Vec<LeaseRecord>, Fault> {
    let record = |row: &Row<'_>| {
        let sequence = rows::sequence_key(row, 0)?;
        Ok(LeaseRecord {
            counter: rows::counter_key(row, 2, sequence)?,
            lease: rows::lease(row, 7)?,
        })
    };
    let parameters = params![
        sequence.tenant.as_str(),
        sequence.prefix.as_str(),
        after.map(|id| id.0),
        signed(limit as u64),
    ];
    let records = connection
        .prepare_cached(OPEN)?
        .query_map(parameters, record)?
        .collect::<rusqlite::Result<_>>()?;
    Ok(records)
}

/// Writes changed leases, each with the row of its counter.
pub(crate) fn write(
    connection: &Connection,
    changes: &[LeaseChange],
    row_of: impl Fn(&CounterKey) -> Option<i64>,
) -> rusqlite::Result<()> {
    for LeaseChange { counter, lease } in changes {
        let Some(row) = row_of(counter) else {
            return Err(rusqlite::Error::QueryReturnedNoRows);
        };
        let changed = connection
            .prepare_cached(
                "UPDATE lease SET first = ?2, last = ?3, state = ?4, before = iif(?2 IS NULL, NULL, before) \
                 WHERE id = ?1 AND counter = ?5",
            )?
            .execute(params![
                lease.id.0,
                lease.run.map(|run| signed(run.first.get())),
                lease.run.map(|run| signed(run.last().get())),
                lease.state as u8,
                row,
            ])?;
        if changed == 0 {
            insert(connection, row, lease)?;
        }
    }
    Ok(())
}

fn insert(connection: &Connection, row: i64, lease: &Lease) -> rusqlite::Result<()> {
    let before: Option<i64> = connection
        .prepare_cached("SELECT max(last) FROM lease WHERE counter = ?1 AND generation = ?2")?
        .query_row(params![row, lease.generation], |row| row.get(0))
        .optional()?
        .flatten();
    connection
        .prepare_cached(
            "INSERT INTO lease (id, counter, generation, epoch, first, step, last, before, holder, topology, state) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
        )?
        .execute(params![
            lease.id.0,
            row,
            lease.generation,
            lease.epoch,
            lease.run.map(|run| signed(run.first.get())),
            lease.run.map(|run| signed(run.step)),
            lease.run.map(|run| signed(run.last().get())),
            before,
            lease.holder.name().as_str(),
            lease.holder.topology().map(signed),
            lease.state as u8,
        ])
        .map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A counter with the leases 1..10 and 11..20.
    fn database() -> Connection {
        let connection = Connection::open_in_memory().unwrap();
        for schema in [include_str!("schema/1.sql"), include_str!("schema/2.sql")] {
            connection.execute_batch(schema).unwrap();
        }
        connection
            .execute_batch(
                "PRAGMA foreign_keys = ON; \
                 INSERT INTO sequence (id, tenant, prefix, prefix_folded, head, implicit, archived, opened, n, hash) \
                 VALUES (1, 't', 'INV', 'inv', 1, 0, 0, 1, 1, zeroblob(32)); \
                 INSERT INTO counter (id, sequence, scope, scope_folded, period, period_kind, version, generation, epoch, \
                                      status, n, hash) \
                 VALUES (1, 1, '', '', 'all', 'never', 1, 1, 3, 'open', 2, zeroblob(32)); \
                 INSERT INTO lease (id, counter, generation, epoch, first, step, last, before, holder, state) \
                 VALUES (x'01', 1, 1, 2, 1, 1, 10, NULL, 'a', 3), (x'02', 1, 1, 3, 11, 1, 20, 10, 'b', 1)",
            )
            .unwrap();
        connection
    }

    #[test]
    fn the_table_itself_keeps_the_ranges_of_leases_apart() {
        let connection = database();
        let insert = |range: &str| {
            let sql = format!(
                "INSERT INTO lease (id, counter, generation, epoch, first, step, last, before, holder, state) \
                 VALUES (x'03', 1, 1, 4, {range}, 'c', 1)"
            );
            connection.execute(&sql, [])
        };
        for range in [
            "11, 1, 30, 20",   // begins where another does
            "21, 1, 20, 20",   // ends before it begins
            "15, 1, 30, 20",   // begins within the one that it follows
            "21, 1, 30, 10",   // follows one that another follows already
            "21, 1, 30, 19",   // follows none that there is
            "21, 1, 30, NULL", // a second one that follows none
            "NULL, 1, 30, 20", // ends and does not begin
        ] {
            assert!(insert(range).is_err(), "{range}");
        }
        assert_eq!(insert("21, 1, 30, 20").unwrap(), 1);
        let shrink = "UPDATE lease SET last = 15 WHERE id = x'02'";
        assert!(connection.execute(shrink, []).is_err(), "another follows it");
    }
}
