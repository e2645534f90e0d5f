//! One transaction from its locks to its last row: what is needed is locked and read, `ledger` decides, and what changed is
//! written. A handful of statements, however many commands there are.
//!
//! # Locks
//! Sequences are in groups. A draw shares the lock of its sequence's group; whoever changes a definition, closes dates or
//! archives has it alone, so that a change holds from its commit on. A counter's row is locked from reading it to the end.
//! Rows that others hold are skipped, so that a transaction that has a row waits for no other: it cannot be part of a
//! deadlock. Everything else is read in later statements: one that waits for a lock goes on with what was there before.

use std::collections::{HashMap, HashSet};

use seqid_core::chain::Link;
use seqid_core::command::{Command, Reply};
use seqid_core::counter::{CounterKey, SequenceKey};
use seqid_core::ledger::{Refusal, Snapshot};
use seqid_core::time::Timestamp;
use sqlx::PgConnection;

use crate::encoding::signed32;
use crate::engine::{Engine, Month};
use crate::error::Fault;

/// How many groups there are. A transaction of many sequences takes a lock for each group, and the server has room for some
/// thousands of locks; a change of a definition holds up the draws of one group for a moment.
pub(crate) const GROUPS: i32 = 64;

/// What a transaction does about a counter that another one has locked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Locked {
    /// Leaves its commands for later.
    Skip,
    /// Waits for it.
    Wait,
}

/// A decided command, or `None` where its counter was skipped.
pub(crate) type Decided = Option<Result<Reply, Refusal>>;

/// What is there once a transaction is committed.
#[derive(Debug, Default)]
pub(crate) struct Written {
    /// Counters that opened, with their rows.
    pub(crate) opened: Vec<(CounterKey, i64)>,
    /// The partitions of these months were added.
    pub(crate) months: Vec<Month>,
    /// The last event: its chain, and that chain's head.
    pub(crate) head: Option<(i64, Link)>,
}

/// A transaction on its way.
pub(crate) struct Batch<'a> {
    pub(crate) engine: &'a Engine,
    pub(crate) connection: &'a mut PgConnection,
    pub(crate) snapshot: Snapshot,
    pub(crate) locked: Locked,
    /// It is part of a caller's transaction, which ends when the caller likes: events get their positions when it
    /// commits, and what it opened is not to be relied on before.
    pub(crate) is_callers: bool,
    /// Rows of sequences and counters.
    pub(crate) sequences: HashMap<SequenceKey, i64>,
    pub(crate) counters: HashMap<CounterKey, i64>,
    /// The next number of each counter before anything was decided.
    pub(crate) next_before: HashMap<i64, u64>,
    /// Counters that others have locked.
    pub(crate) skipped: HashSet<CounterKey>,
    pub(crate) written: Written,
    pub(crate) now: Timestamp,
}

impl<'a> Batch<'a> {
    /// Begins within a transaction that was begun on this connection.
    pub(crate) fn new(engine: &'a Engine, connection: &'a mut PgConnection, locked: Locked) -> Self {
        Self {
            engine,
            connection,
            snapshot: Snapshot::new(engine.identity.authority),
            locked,
            is_callers: false,
            sequences: HashMap::new(),
            counters: HashMap::new(),
            next_before: HashMap::new(),
            skipped: HashSet::new(),
            written: Written::default(),
            now: Timestamp::from_micros(0),
        }
    }

    /// Decides commands and writes what changed. The transaction is then ready to be committed.
    pub(crate) async fn apply(&mut self, commands: &[&Command]) -> Result<Vec<Decided>, Fault> {
        let needs = self.snapshot.needs(commands.iter().copied());
        self.load(&needs).await?;
        let is_skipped = |command: &Command| {
            let counter = command.act.counter();
            counter.is_some_and(|counter| self.skipped.contains(counter))
        };
        let skipped: Vec<bool> = commands.iter().map(|command| is_skipped(command)).collect();
        let open: Vec<&Command> = commands
            .iter()
            .zip(&skipped)
            .filter(|(_, skipped)| !**skipped)
            .map(|(command, _)| *command)
            .collect();
        self.load_marks(&open).await?;
        let next = |(key, row): (&CounterKey, &i64)| Some((*row, self.snapshot.counter_state(key)?.next));
        self.next_before = self.counters.iter().filter_map(next).collect();
        let mut replies = self.snapshot.decide(&open, self.now).into_iter();
        self.write().await?;
        let reply = |skipped| if skipped { None } else { replies.next() };
        Ok(skipped.into_iter().map(reply).collect())
    }

    /// What is there once the transaction is committed.
    pub(crate) fn written(self) -> Written {
        self.written
    }
}

/// The groups of sequences, in the order in which their locks are taken.
pub(crate) fn groups<'k>(sequences: impl IntoIterator<Item = &'k SequenceKey>) -> Vec<i32> {
    let mut groups: Vec<i32> = sequences.into_iter().map(group).collect();
    groups.sort_unstable();
    groups.dedup();
    groups
}

/// The group of a sequence: the sum of the bytes of its folded prefix, so that SQL can tell it too.
fn group(sequence: &SequenceKey) -> i32 {
    let sum: u32 = sequence.folded_prefix().bytes().map(u32::from).sum();
    signed32(sum) % GROUPS
}
