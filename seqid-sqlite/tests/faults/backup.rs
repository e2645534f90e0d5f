//! Copies of a file that is in use.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rusqlite::Connection;
use seqid_core::Numbering;
use seqid_core::clock::SystemClock;
use seqid_core::names::Reason;
use seqid_core::numbering::DrawRequest;
use seqid_sqlite::{OpenError, Recovery, Restored, SqliteConfig, recover};

use crate::office::{Office, name};

#[test]
fn a_copy_that_was_made_while_numbers_were_drawn_is_a_prefix_of_the_history() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("seqid.db");
    let copies = [1, 2, 3].map(|copy| folder.path().join(format!("copy{copy}.db")));
    let office = Arc::new(Office::open(&file));
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .build()
        .unwrap();
    runtime.block_on(async {
        let stop = Arc::new(AtomicBool::new(false));
        let clerks: Vec<_> = (0..32)
            .map(|clerk| {
                let (office, stop) = (Arc::clone(&office), Arc::clone(&stop));
                tokio::spawn(async move {
                    while !stop.load(Ordering::Relaxed) {
                        office
                            .issuer
                            .draw(DrawRequest::new(name(&format!("S{}", clerk % 5))))
                            .await
                            .unwrap();
                    }
                })
            })
            .collect();
        for copy in &copies {
            let before = office.store_position().await;
            while office.store_position().await < before + 200 {
                tokio::task::yield_now().await;
            }
            office.store.backup(copy).await.unwrap();
        }
        stop.store(true, Ordering::Relaxed);
        for clerk in clerks {
            clerk.await.unwrap();
        }
    });
    let original = office.audit();
    for copy in &copies {
        let verdict: String = Connection::open(copy)
            .unwrap()
            .query_row("PRAGMA integrity_check", [], |row| row.get(0))
            .unwrap();
        assert_eq!(verdict, "ok");
        let error = Office::try_open(copy).unwrap_err();
        assert!(
            matches!(
                error,
                OpenError::Restored {
                    how: Restored::Copied,
                    ..
                }
            ),
            "{error:?}"
        );
        let recovery = Recovery::new(Reason::new("a rehearsal").unwrap());
        let report = recover(&SqliteConfig::new(copy), &recovery, &SystemClock).unwrap();
        let events = Office::open(copy).audit();
        let copied = events.len() - usize::try_from(report.counters).unwrap();
        assert!(copied >= 200);
        assert_eq!(events[..copied], original[..copied]);
    }
}

impl Office {
    async fn store_position(&self) -> u64 {
        use seqid_core::store::AuditLog;
        let mut position = 0;
        while let Some(last) = self.store.events(position, 1_000).await.unwrap().last() {
            position = last.position;
        }
        position
    }
}

#[test]
fn a_backup_never_replaces_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("seqid.db");
    let office = Office::open(&file);
    office.draw_many("INV", 3);
    office.close();
    let copy = folder.path().join("copy.db");
    fs::write(&copy, "precious").unwrap();
    let error = seqid_sqlite::backup(&SqliteConfig::new(&file), &copy).unwrap_err();
    assert!(matches!(error, OpenError::Folder { .. }), "{error:?}");
    assert_eq!(fs::read(&copy).unwrap(), b"precious");
}

#[test]
fn a_backup_of_nothing_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let copy = folder.path().join("copy.db");
    let config = SqliteConfig::new(folder.path().join("seqid.db"));
    seqid_sqlite::backup(&config, &copy).unwrap_err();
    assert!(!copy.exists());
    assert!(!config.path.exists());
}
