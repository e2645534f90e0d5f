use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use rusqlite::{Connection, params};
use seqid_core::clock::{Clock, SystemClock};
use seqid_core::numbering::DrawRequest;
use seqid_core::time::Zone;
use seqid_core::{DefinitionSpec, Numbering};

use crate::callers::{Done, current_thread};
use crate::embedded::Embedded;

/// A plain loop that commits the rows of draws without drawing: what the disk and SQLite cost by themselves.
///
/// One connection, tuned as the store tunes its own, prepared statements, and the counter's state in variables. The
/// rows go into a file that the store made, and every column that a draw fills is given as a parameter.
#[derive(Debug)]
pub struct HandMade {
    connection: Connection,
    sequence: i64,
    counter: i64,
    position: i64,
    next: i64,
    n: i64,
    date: i32,
}

/// As long as the names that an issuer gives to requests.
const REQUEST: &str = "0123456789abcdef-01234567";
const HASH: [u8; 32] = [0x5a; 32];

impl HandMade {
    /// Makes a store with one counter in this file and takes it over.
    ///
    /// # Errors
    /// Those of the store and of SQLite.
    pub fn open(path: &Path) -> Result<Self> {
        current_thread()?.block_on(async {
            let made = Embedded::open(path)?;
            let prefix = made
                .define("INV", DefinitionSpec::of_format("INV-{seq:5}"))
                .await?;
            made.issuer.draw(DrawRequest::new(prefix)).await?;
            made.close().await
        })?;
        let connection = Connection::open(path)?;
        connection.execute_batch(
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA cache_size = -65536; \
             PRAGMA foreign_keys = ON; PRAGMA temp_store = MEMORY;",
        )?;
        let (sequence, counter, next, n) = connection
            .query_row("SELECT sequence, id, next, n FROM counter", [], |row| {
                Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))
            })
            .context("the store left no counter")?;
        let position = connection.query_row("SELECT max(position) FROM event", [], |row| row.get(0))?;
        Ok(Self {
            connection,
            sequence,
            counter,
            position,
            next,
            n,
            date: Zone::UTC.date_at(SystemClock.now()).days_since_epoch(),
        })
    }

    /// Commits the rows of so many draws.
    ///
    /// # Errors
    /// Those of SQLite.
    pub fn commit(&mut self, draws: usize) -> Result<()> {
        let at = SystemClock.now().as_micros();
        self.connection.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
        let mut insert = self.connection.prepare_cached(
            "INSERT INTO event (position, sequence, counter, kind, n, generation, epoch, first, step, count, \
             version, mode, at, date, request, hash) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16)",
        )?;
        for _ in 0..draws {
            self.position += 1;
            self.n += 1;
            insert.execute(params![
                self.position,
                self.sequence,
                self.counter,
                1,
                self.n,
                1,
                1,
                self.next,
                1,
                1,
                1,
                1,
                at,
                self.date,
                REQUEST,
                HASH,
            ])?;
            self.next += 1;
        }
        self.connection
            .prepare_cached(
                "UPDATE counter SET version = ?2, generation = ?3, epoch = ?4, next = ?5, last = ?6, \
                 last_date = ?7, status = ?8, n = ?9, hash = ?10 WHERE id = ?1",
            )?
            .execute(params![
                self.counter,
                1,
                1,
                1,
                self.next,
                self.next - 1,
                None::<i32>,
                "open",
                self.n,
                HASH,
            ])?;
        self.connection.prepare_cached("COMMIT")?.execute([])?;
        Ok(())
    }

    /// Commits the rows of so many draws at a time, for so long.
    ///
    /// # Errors
    /// Those of SQLite.
    pub fn run(&mut self, draws: usize, time: Duration) -> Result<Done> {
        let began = Instant::now();
        let mut calls = 0;
        while began.elapsed() < time {
            self.commit(draws)?;
            calls += draws as u64;
        }
        Ok(Done {
            calls,
            took: began.elapsed(),
        })
    }
}
