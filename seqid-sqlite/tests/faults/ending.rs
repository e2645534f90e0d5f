//! How a store ends, and what a bug within it does.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use seqid_core::clock::{Clock, SystemClock};
use seqid_core::command::Command;
use seqid_core::counter::CounterKey;
use seqid_core::definition::Mode;
use seqid_core::numbering::DrawRequest;
use seqid_core::observer::{Observer, Unobserved};
use seqid_core::store::{CounterStore, EventSource, StoreError};
use seqid_core::time::Timestamp;
use seqid_core::{Code, Issuer, Numbering};
use seqid_sqlite::{SqliteConfig, SqliteStore};

use crate::office::{Office, audit, block_on, issued, name};

/// A clock, or an observer, that panics when it is told to.
#[derive(Debug, Default)]
struct Bomb(AtomicBool);

impl Bomb {
    fn arm(&self) {
        self.0.store(true, Ordering::SeqCst);
    }

    fn tick(&self) {
        assert!(
            !self.0.swap(false, Ordering::SeqCst),
            "the bomb went off, as it was told to"
        );
    }
}

impl Clock for Bomb {
    fn now(&self) -> Timestamp {
        self.tick();
        SystemClock.now()
    }
}

impl Observer for Bomb {
    fn near_end(&self, _: &CounterKey) {}
    fn drawn(&self, _: Mode, _: u32, _: bool) {}
    fn refused(&self, _: Code) {}
    fn committed(&self, _: usize, _: Duration) {
        self.tick();
    }
}

fn open(path: &Path, clock: Arc<dyn Clock>, observer: Arc<dyn Observer>) -> (Arc<SqliteStore>, Issuer) {
    let store = Arc::new(SqliteStore::open(SqliteConfig::new(path), clock, observer).unwrap());
    let issuer = Issuer::new(Arc::new(Arc::clone(&store)));
    (store, issuer)
}

#[track_caller]
fn draw(issuer: &Issuer) -> Result<u64, Code> {
    let issued = block_on(issuer.draw(DrawRequest::new(name("INV"))));
    issued
        .map(|issued| issued.run.first.get())
        .map_err(|error| error.code())
}

#[test]
fn a_panic_within_a_batch_leaves_its_callers_in_doubt_and_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    let bomb = Arc::new(Bomb::default());
    let (store, issuer) = open(
        &folder.path().join("seqid.db"),
        bomb.clone(),
        Arc::new(Unobserved),
    );
    assert_eq!(draw(&issuer), Ok(1));
    for number in 2..5 {
        bomb.arm();
        assert_eq!(draw(&issuer), Err(Code::OutcomeUnknown));
        assert_eq!(draw(&issuer), Ok(number));
    }
    assert_eq!(issued(&audit(&store), "INV"), [1, 2, 3, 4]);
}

#[test]
fn a_panic_after_the_commit_leaves_its_callers_in_doubt_and_the_store_alive() {
    let folder = tempfile::tempdir().unwrap();
    let bomb = Arc::new(Bomb::default());
    let (store, issuer) = open(
        &folder.path().join("seqid.db"),
        Arc::new(SystemClock),
        bomb.clone(),
    );
    assert_eq!(draw(&issuer), Ok(1));
    bomb.arm();
    assert_eq!(draw(&issuer), Err(Code::OutcomeUnknown));
    assert_eq!(draw(&issuer), Ok(3), "the draw in doubt has 2");
    assert_eq!(issued(&audit(&store), "INV"), [1, 2, 3]);
    block_on(store.close()).unwrap();
}

/// Futures that were begun take effect, whether or not anybody waits for them.
#[test]
fn dropping_the_store_finishes_what_was_begun() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("seqid.db");
    let office = Arc::new(Office::open(&file));
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .build()
        .unwrap();
    let mut acknowledged = runtime.block_on(async {
        let clerks: Vec<_> = (0..64)
            .map(|_| {
                let office = Arc::clone(&office);
                tokio::spawn(async move {
                    let issued = office.issuer.draw(DrawRequest::new(name("INV"))).await;
                    issued.map(|issued| issued.run.first.get()).ok()
                })
            })
            .collect();
        drop(office);
        let mut numbers = Vec::new();
        for clerk in clerks {
            numbers.extend(clerk.await.unwrap());
        }
        numbers
    });
    acknowledged.sort_unstable();
    assert_eq!(acknowledged, (1..=64).collect::<Vec<_>>());
    let office = Office::open(&file);
    assert_eq!(issued(&office.audit(), "INV"), acknowledged);
    assert_eq!(office.draw("INV").unwrap(), 65);
}

#[test]
fn every_call_is_answered_when_the_store_closes_meanwhile() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_time()
        .build()
        .unwrap();
    for draws in 0..20 {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("seqid.db");
        let office = Arc::new(Office::open(&file));
        office.draw("INV").unwrap();
        let everything = async {
            let clerks: Vec<_> = (0..8)
                .map(|_| {
                    let office = Arc::clone(&office);
                    tokio::spawn(async move {
                        let mut drawn = 0;
                        loop {
                            match office.issuer.draw(DrawRequest::new(name("INV"))).await {
                                Ok(_) => drawn += 1,
                                Err(error) => {
                                    assert_eq!(error.code(), Code::Draining);
                                    return drawn;
                                }
                            }
                        }
                    })
                })
                .collect();
            let relay = {
                let store = Arc::clone(&office.store);
                tokio::spawn(async move {
                    let mut position = 0;
                    loop {
                        position += 1;
                        if let Err(error) = store.acknowledge(position).await {
                            assert!(matches!(error, StoreError::Draining), "{error:?}");
                            return;
                        }
                    }
                })
            };
            for _ in 0..draws {
                office.issuer.draw(DrawRequest::new(name("INV"))).await.unwrap();
            }
            office.store.close().await.unwrap();
            relay.await.unwrap();
            let mut drawn = 1 + draws;
            for clerk in clerks {
                drawn += clerk.await.unwrap();
            }
            drawn
        };
        // A call that is never answered would be waited for without an end.
        let drawn =
            runtime.block_on(async { tokio::time::timeout(Duration::from_secs(60), everything).await });
        let events = Office::open(&file).audit();
        assert_eq!(
            issued(&events, "INV").len(),
            drawn.expect("every call is answered")
        );
    }
}

#[test]
fn a_closed_store_refuses_and_can_be_closed_again() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("seqid.db");
    let office = Office::open(&file);
    assert_eq!(office.draw("INV").unwrap(), 1);
    for _ in 0..2 {
        block_on(office.store.close()).unwrap();
        assert!(matches!(office.draw("INV"), Err(StoreError::Draining)));
        let empty: Vec<Command> = Vec::new();
        assert!(block_on(office.store.apply(empty)).is_empty());
        assert!(matches!(
            block_on(office.store.acknowledge(1)),
            Err(StoreError::Draining)
        ));
    }
    drop(office);
    assert_eq!(Office::open(&file).draw("INV").unwrap(), 2);
}

#[test]
fn a_clean_stop_leaves_an_exact_sidecar_and_an_empty_log() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("seqid.db");
    let office = Office::open(&file);
    office.draw_many("INV", 9);
    office.close();
    let sidecar = std::fs::read_to_string(crate::office::beside(&file, "-sidecar")).unwrap();
    assert!(sidecar.contains("\"position\":10,"), "{sidecar}");
    let log = std::fs::metadata(crate::office::beside(&file, "-wal"));
    assert!(log.map_or(true, |log| log.len() == 0));
}
