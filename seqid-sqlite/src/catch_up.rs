//! Rows of counters are written later than the `issued` events that changed them. What a crash, a fault or a copy left
//! behind is made up for here, before anything is served.

use std::collections::HashMap;

use rusqlite::{CachedStatement, Connection};
use seqid_core::event::EventKind;

use crate::database::Identity;
use crate::error::{Damage, Fault};
use crate::rows::{self, CounterEvent, signed};

/// To read so many events takes more than a moment.
const MANY: u64 = 20_000;

/// What the newest events say of a counter.
#[derive(Debug)]
struct Tail {
    first_n: u64,
    /// The last event that was written together with the row.
    with_row: u64,
    newest: CounterEvent,
}

/// Writes the rows of counters that do not know of their last events. To be called in a transaction.
pub(crate) fn catch_up(connection: &Connection, identity: &Identity) -> Result<(), Fault> {
    let last = identity.last_position;
    let after = rows::counters_written(connection)?;
    if after >= last {
        return Ok(());
    }
    let events = last - after;
    if events >= MANY {
        tracing::info!(events, "rows of counters are brought up to the last events");
    }
    let mut tails: Vec<(i64, Tail)> = read_tails(connection, after)?.into_iter().collect();
    // The order of the file.
    tails.sort_unstable_by_key(|(id, _)| *id);
    let mut find = connection.prepare("SELECT n FROM counter WHERE id = ?1")?;
    let mut advanced = 0_u64;
    for (id, tail) in &tails {
        let n: i64 = find.query_row([id], |row| row.get(0))?;
        if signed(tail.newest.n) <= n {
            continue;
        }
        if n < signed(tail.with_row) || n + 1 < signed(tail.first_n) {
            return Err(damaged(*id).into());
        }
        let advance = tail.newest.advance().ok_or_else(|| damaged(*id))?;
        rows::advance_counter(connection, *id, &advance)?;
        advanced += 1;
    }
    rows::update_progress(connection, last, last)?;
    if events >= MANY {
        tracing::info!(counters = advanced, "rows of counters are current");
    }
    Ok(())
}

fn read_tails(connection: &Connection, after: u64) -> Result<HashMap<i64, Tail>, Fault> {
    let mut tails: HashMap<i64, Tail> = HashMap::new();
    let mut statement: CachedStatement<'_> = connection.prepare_cached(rows::LIST_COUNTER_EVENTS)?;
    let mut found = statement.query([signed(after)])?;
    while let Some(row) = found.next()? {
        let (id, event) = rows::counter_event(row)?;
        let with_row = if event.kind == EventKind::Issued {
            0
        } else {
            event.n
        };
        match tails.get_mut(&id) {
            Some(tail) if event.n != tail.newest.n + 1 => return Err(damaged(id).into()),
            Some(tail) => {
                tail.with_row = tail.with_row.max(with_row);
                tail.newest = event;
            }
            None => {
                let tail = Tail {
                    first_n: event.n,
                    with_row,
                    newest: event,
                };
                tails.insert(id, tail);
            }
        }
    }
    Ok(tails)
}

fn damaged(row: i64) -> Damage {
    Damage {
        table: "counter",
        row,
        what: "its events do not follow from what it knows",
    }
}
