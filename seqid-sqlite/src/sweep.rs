//! Rows of counters that trail behind their events, written later and in the order of the file.
//!
//! A cycle takes the counters that trail when it begins, and each commit writes the next of them, as many as are
//! needed to be through within [`TRAIL`] events: at most two for each event. Then every row knows of the events up to
//! where the cycle began, and the file says so in `progress.counters_written`. So no row is ever more than twice
//! `TRAIL` events behind, no start reads more of them, and no more states are in memory; what one batch has comes on
//! top.

use rusqlite::Connection;

use crate::newest::{Newest, Row};
use crate::rows;

/// How many events a cycle takes. With more of them more rows of a page are due together, but more states are in
/// memory, and a start after a crash takes longer. Up to 400,000 states take 42 MB. With a million counters in use half
/// as many made a draw of 64 callers a tenth dearer.
pub(crate) const TRAIL: u64 = 200_000;

/// See the [module](self). To be undone by opening anew when a transaction is not committed.
#[derive(Debug)]
pub(crate) struct Sweep {
    trail: u64,
    /// Every row knows of the events up to here.
    written_to: u64,
    cycle: Option<Cycle>,
}

#[derive(Debug)]
struct Cycle {
    /// The store's last event when the cycle began.
    began: u64,
    /// The rows that trailed then, in the order of the file.
    ids: Vec<i64>,
    written: usize,
}

impl Sweep {
    /// Sweeps a file whose rows know of the events up to a position.
    pub(crate) fn new(trail: u64, written_to: u64) -> Self {
        Self {
            trail,
            written_to,
            cycle: None,
        }
    }

    /// Every row knows of the events up to here, once the transaction is committed.
    pub(crate) fn written_to(&self) -> u64 {
        self.written_to
    }

    /// Writes the rows that are due in a transaction whose last event is at `position`. Answers them.
    pub(crate) fn write_due(
        &mut self,
        connection: &Connection,
        newest: &Newest,
        position: u64,
    ) -> rusqlite::Result<Vec<Row>> {
        let trail = self.trail;
        let cycle = self.cycle(newest);
        let passed = position.saturating_sub(cycle.began).min(trail);
        let due = cycle.ids.len() as u64 * passed / trail;
        let due = usize::try_from(due).unwrap_or(usize::MAX);
        let written = cycle.write(connection, newest, due.saturating_sub(cycle.written))?;
        if passed == trail {
            self.end_cycle();
        }
        Ok(written)
    }

    /// Writes so many rows, due or not. Answers them.
    pub(crate) fn write(
        &mut self,
        connection: &Connection,
        newest: &Newest,
        rows: usize,
    ) -> rusqlite::Result<Vec<Row>> {
        let cycle = self.cycle(newest);
        let written = cycle.write(connection, newest, rows)?;
        if cycle.written == cycle.ids.len() {
            self.end_cycle();
        }
        Ok(written)
    }

    fn cycle(&mut self, newest: &Newest) -> &mut Cycle {
        self.cycle.get_or_insert_with(|| {
            let (began, ids) = newest.trailing();
            Cycle {
                began,
                ids,
                written: 0,
            }
        })
    }

    fn end_cycle(&mut self) {
        if let Some(cycle) = self.cycle.take() {
            self.written_to = cycle.began;
        }
    }
}

impl Cycle {
    fn write(&mut self, connection: &Connection, newest: &Newest, rows: usize) -> rusqlite::Result<Vec<Row>> {
        let end = self.written.saturating_add(rows).min(self.ids.len());
        let slice = self.written..end;
        self.written = end;
        let mut written = Vec::with_capacity(slice.len());
        for (id, state) in newest.states(&self.ids[slice]) {
            rows::advance_counter(connection, id, &state)?;
            written.push((id, state.n()));
        }
        Ok(written)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

    use rusqlite::params;
    use seqid_core::chain::Link;
    use seqid_core::clock::SystemClock;
    use seqid_core::counter::{CounterKey, CounterState, CounterStatus, SequenceKey};
    use seqid_core::field::FieldDeclaration;
    use seqid_core::numbering::{DefineRequest, DrawRequest};
    use seqid_core::observer::Unobserved;
    use seqid_core::store::{AuditLog, CounterStore};
    use seqid_core::{DefinitionSpec, Issuer, Number, Numbering, Prefix};

    use super::*;
    use crate::newest::Committed;
    use crate::rows::Advance;
    use crate::{SqliteConfig, SqliteStore};

    const COUNTERS: u64 = 50;

    fn database() -> Connection {
        let connection = Connection::open_in_memory().unwrap();
        connection.execute_batch(include_str!("schema/1.sql")).unwrap();
        connection
            .execute(
                "INSERT INTO sequence (id, tenant, prefix, prefix_folded, head, implicit, archived, opened, n, hash) \
                 VALUES (1, 't', 'INV', 'inv', 1, 0, 0, 1, 1, zeroblob(32))",
                [],
            )
            .unwrap();
        for id in 1..=COUNTERS {
            connection
                .execute(
                    "INSERT INTO counter (id, sequence, scope, scope_folded, period, period_kind, version, generation, \
                     epoch, next, status, n, hash) \
                     VALUES (?1, 1, ?1, ?1, 'all', 'never', 1, 1, 1, 1, 'open', 0, zeroblob(32))",
                    params![rows::signed(id)],
                )
                .unwrap();
        }
        connection
    }

    fn state(n: u64) -> CounterState {
        CounterState {
            version: 1,
            generation: 1,
            epoch: 1,
            next: n + 1,
            last: Number::new(n).ok(),
            last_date: None,
            status: CounterStatus::Open,
            reserved: 0,
            voided: 0,
            free: 0,
            next_expiry: None,
            leases: 0,
            chain: Link { n, hash: [0; 32] },
        }
    }

    fn row(connection: &Connection, id: i64) -> u64 {
        connection
            .query_row("SELECT n FROM counter WHERE id = ?1", [id], |row| {
                row.get::<_, i64>(0)
            })
            .unwrap()
            .cast_unsigned()
    }

    /// Counters in an order without a pattern.
    fn drawn_from(position: u64) -> i64 {
        (position.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32) as i64 % COUNTERS.cast_signed() + 1
    }

    #[test]
    fn no_row_is_further_behind_than_the_file_says_nor_than_two_cycles() {
        const TRAIL: u64 = 100;
        for batch in [1, 7, 64, 300] {
            let connection = database();
            let newest = Newest::default();
            let mut sweep = Sweep::new(TRAIL, 0);
            let mut events: HashMap<i64, Vec<u64>> = HashMap::new();
            let (mut position, mut most, mut writes) = (0, 0, 0);
            while position < 5_000 {
                let mut trailing = HashMap::new();
                for _ in 0..batch {
                    position += 1;
                    let of_counter = events.entry(drawn_from(position)).or_default();
                    of_counter.push(position);
                    trailing.insert(
                        drawn_from(position),
                        Advance::from(&state(of_counter.len() as u64)),
                    );
                }
                let written = sweep.write_due(&connection, &newest, position).unwrap();
                most = most.max(written.len());
                writes += written.len();
                newest.commit(Committed {
                    position,
                    trailing: trailing.into_iter().collect(),
                    written,
                });
                assert!(
                    position - sweep.written_to() <= 2 * (TRAIL + batch),
                    "at {position}"
                );
                for (id, positions) in &events {
                    let known = row(&connection, *id);
                    let needed = positions.iter().filter(|event| **event <= sweep.written_to());
                    assert!(known >= needed.count() as u64, "{id} at {position}");
                }
            }
            let even = usize::try_from(COUNTERS * batch / TRAIL).unwrap() + 1;
            assert!(most <= even, "{most} rows in a commit of {batch} events");
            assert!(writes > 0 && writes < 5_000);
        }
    }

    #[test]
    fn a_quiet_file_is_written_in_slices() {
        let connection = database();
        let newest = Newest::default();
        let mut sweep = Sweep::new(1_000, 0);
        let commit = |position, ids: std::ops::RangeInclusive<i64>, written| {
            newest.commit(Committed {
                position,
                trailing: ids.map(|id| (id, Advance::from(&state(1)))).collect(),
                written,
            });
        };
        commit(30, 1..=30, Vec::new());
        // In the middle of a cycle.
        let written = sweep.write_due(&connection, &newest, 30).unwrap();
        commit(50, 31..=50, written);
        let mut slices = 0;
        while sweep.written_to() < 50 {
            let written = sweep.write(&connection, &newest, 10).unwrap();
            assert!(written.len() <= 10);
            newest.commit(Committed {
                position: 50,
                written,
                ..Committed::default()
            });
            slices += 1;
        }
        assert!((5..=6).contains(&slices), "{slices}");
        assert!((1..=50).all(|id| row(&connection, id) == 1));
        assert_eq!(newest.trailing(), (50, vec![]));
    }

    #[test]
    fn a_row_is_never_set_back() {
        let connection = database();
        rows::advance_counter(&connection, 1, &Advance::from(&state(7))).unwrap();
        rows::advance_counter(&connection, 1, &Advance::from(&state(6))).unwrap();
        assert_eq!(row(&connection, 1), 7);
    }

    async fn read(store: &SqliteStore, key: &CounterKey) -> (u64, u64) {
        let alone = store.counter(key).await.unwrap().map_or(0, |state| state.chain.n);
        let listed = store.counters(key.sequence(), 0, 1_000).await.unwrap();
        let listed = listed.iter().find(|record| record.key == *key);
        (alone, listed.map_or(0, |record| record.state.chain.n))
    }

    #[test]
    fn readers_see_every_draw_that_was_answered_while_rows_are_swept() {
        const BRANCHES: usize = 40;
        let folder = tempfile::tempdir().unwrap();
        let mut config = SqliteConfig::new(folder.path().join("seqid.db"));
        config.trail = 32;
        let store = SqliteStore::open(config.clone(), Arc::new(SystemClock), Arc::new(Unobserved));
        let store = Arc::new(store.unwrap());
        let issuer = Arc::new(Issuer::new(Arc::new(Arc::clone(&store))));
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(4)
            .build()
            .unwrap();
        let prefix = Prefix::new("INV").unwrap();
        let definition = DefinitionSpec {
            scope: Some(vec![FieldDeclaration::new("branch")]),
            ..DefinitionSpec::of_format("INV-{branch}-{seq}")
        };
        let request = DefineRequest::new(prefix.clone(), definition);
        runtime.block_on(issuer.define(request)).unwrap();
        let answered: Arc<Vec<AtomicU64>> = Arc::new((0..BRANCHES).map(|_| AtomicU64::new(0)).collect());
        let done = Arc::new(AtomicBool::new(false));
        runtime.block_on(async {
            let clerks: Vec<_> = (0..8_usize)
                .map(|clerk| {
                    let (issuer, answered, prefix) =
                        (Arc::clone(&issuer), Arc::clone(&answered), prefix.clone());
                    tokio::spawn(async move {
                        for n in 0..500 {
                            let branch = (clerk + 8 * n) % BRANCHES;
                            let draw =
                                DrawRequest::new(prefix.clone()).scope("branch", &format!("B{branch}"));
                            let issued = issuer.draw(draw).await.unwrap();
                            answered[branch].fetch_max(issued.run.last().get(), Ordering::SeqCst);
                        }
                    })
                })
                .collect();
            let auditors: Vec<_> = (0..3_usize)
                .map(|auditor| {
                    let (store, answered, done) =
                        (Arc::clone(&store), Arc::clone(&answered), Arc::clone(&done));
                    let sequence = SequenceKey::new(Default::default(), prefix.clone());
                    tokio::spawn(async move {
                        let mut keys = Vec::new();
                        for at in 0.. {
                            if done.load(Ordering::SeqCst) {
                                return at;
                            }
                            if keys.len() < BRANCHES {
                                let listed = store.counters(&sequence, 0, 1_000).await.unwrap();
                                keys = listed.into_iter().map(|record| record.key).collect();
                                continue;
                            }
                            let key = &keys[(auditor + at) % BRANCHES];
                            let branch = key.scope().to_string();
                            let branch: usize = branch.rsplit('B').next().unwrap().parse().unwrap();
                            let before = answered[branch].load(Ordering::SeqCst);
                            let (alone, listed) = read(&store, key).await;
                            assert!(alone >= before, "{key}: {alone} of {before}");
                            assert!(listed >= alone, "{key}: {listed} of {alone}");
                        }
                        0
                    })
                })
                .collect();
            for clerk in clerks {
                clerk.await.unwrap();
            }
            done.store(true, Ordering::SeqCst);
            for auditor in auditors {
                assert!(auditor.await.unwrap() > 0);
            }
            store.close().await.unwrap();
        });
        let connection = Connection::open(&config.path).unwrap();
        let sum: i64 = connection
            .query_row("SELECT sum(n) FROM counter", [], |row| row.get(0))
            .unwrap();
        assert_eq!(sum, 4_000, "a closed file has all rows");
    }
}
