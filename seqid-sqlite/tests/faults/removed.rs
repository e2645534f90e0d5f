//! Files that are taken away from a running store.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use seqid_core::Numbering;
use seqid_core::clock::SystemClock;
use seqid_core::names::Reason;
use seqid_core::numbering::DrawRequest;
use seqid_core::store::{Certainty, EventSource, StoreError};
use seqid_sqlite::{OpenError, Recovery, Restored, SqliteConfig, recover};

use crate::office::{Office, beside, block_on, issued, name, the_file};

/// The draw in flight is not issued, and later ones are refused until an operator has decided.
#[track_caller]
fn refuses(office: &Office) {
    let error = office.draw("INV").unwrap_err();
    assert!(matches!(error, StoreError::Unavailable(_)), "{error:?}");
    for _ in 0..3 {
        let error = office.draw("INV").unwrap_err();
        assert!(matches!(error, StoreError::Restored(_)), "{error:?}");
    }
}

/// A restart is refused; the rescued file, put back and accepted, goes on exactly.
#[track_caller]
fn goes_on_with_the_rescued_file(file: &Path, last: u64) {
    let error = Office::try_open(file).unwrap_err();
    let missing = matches!(&error, OpenError::Restored { how: Restored::Missing { events }, .. } if *events == last + 1);
    assert!(missing, "{error:?}");
    fs::rename(the_file(file.parent().unwrap(), "seqid.db-rescued-"), file).unwrap();
    let error = Office::try_open(file).unwrap_err();
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
    let recovery = Recovery::new(Reason::new("the file was removed").unwrap());
    recover(&SqliteConfig::new(file), &recovery, &SystemClock).unwrap();
    let office = Office::open(file);
    assert_eq!(office.draw("INV").unwrap(), last + 1);
    assert_eq!(issued(&office.audit(), "INV"), (1..=last + 1).collect::<Vec<_>>());
}

#[test]
fn what_a_removed_file_held_is_rescued() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("seqid.db");
    let office = Office::open(&file);
    let last = office.draw_many("INV", 20);
    fs::remove_file(&file).unwrap();
    refuses(&office);
    drop(office);
    goes_on_with_the_rescued_file(&file, last);
}

#[test]
fn what_a_removed_file_held_is_rescued_with_its_log_removed_too() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("seqid.db");
    let office = Office::open(&file);
    let last = office.draw_many("INV", 20);
    for suffix in ["", "-wal", "-shm"] {
        fs::remove_file(beside(&file, suffix)).unwrap();
    }
    refuses(&office);
    drop(office);
    goes_on_with_the_rescued_file(&file, last);
}

#[test]
fn what_a_removed_folder_held_is_rescued() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("data/seqid.db");
    let office = Office::open(&file);
    let last = office.draw_many("INV", 20);
    fs::remove_dir_all(file.parent().unwrap()).unwrap();
    refuses(&office);
    drop(office);
    goes_on_with_the_rescued_file(&file, last);
}

#[test]
fn what_a_removed_file_held_is_rescued_when_the_store_closes() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("seqid.db");
    let office = Office::open(&file);
    let last = office.draw_many("INV", 20);
    fs::remove_file(&file).unwrap();
    office.close();
    goes_on_with_the_rescued_file(&file, last);
}

#[test]
fn what_a_removed_file_held_is_rescued_while_it_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("seqid.db");
    let office = Office::open(&file);
    let last = office.draw_many("INV", 20);
    office.audit();
    fs::remove_file(&file).unwrap();
    refuses(&office);
    drop(office);
    goes_on_with_the_rescued_file(&file, last);
}

#[test]
fn a_file_that_is_replaced_by_another_is_not_written_to() {
    let folder = tempfile::tempdir().unwrap();
    let (file, other) = (folder.path().join("seqid.db"), folder.path().join("other.db"));
    let office = Office::open(&other);
    office.draw_many("INV", 30);
    office.close();
    let office = Office::open(&file);
    let last = office.draw_many("INV", 20);
    block_on(office.store.acknowledge(3)).unwrap();
    fs::rename(&other, &file).unwrap();
    let content = fs::read(&file).unwrap();
    refuses(&office);
    drop(office);
    assert!(fs::read(&file).unwrap() == content, "the other file is as it was");
    let error = Office::try_open(&file).unwrap_err();
    assert!(matches!(error, OpenError::Restored { .. }), "{error:?}");
    fs::remove_file(&file).unwrap();
    goes_on_with_the_rescued_file(&file, last);
}

#[test]
fn a_file_that_is_replaced_by_its_own_older_copy_is_not_served() {
    let folder = tempfile::tempdir().unwrap();
    let (file, copy) = (folder.path().join("seqid.db"), folder.path().join("copy.db"));
    let office = Office::open(&file);
    office.draw_many("INV", 10);
    office.close();
    fs::copy(&file, &copy).unwrap();
    let office = Office::open(&file);
    let last = office.draw_many("INV", 10);
    fs::rename(&copy, &file).unwrap();
    refuses(&office);
    drop(office);
    assert!(Office::try_open(&file).is_err());
    fs::remove_file(&file).unwrap();
    goes_on_with_the_rescued_file(&file, last);
}

#[test]
fn a_file_that_is_moved_away_and_back_is_served_again() {
    let folder = tempfile::tempdir().unwrap();
    let (file, away) = (folder.path().join("seqid.db"), folder.path().join("away.db"));
    let office = Office::open(&file);
    let last = office.draw_many("INV", 5);
    fs::rename(&file, &away).unwrap();
    refuses(&office);
    fs::rename(&away, &file).unwrap();
    assert_eq!(office.draw("INV").unwrap(), last + 1);
    office.audit();
}

#[test]
fn a_log_that_is_removed_costs_nothing_if_the_store_is_closed() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("seqid.db");
    let office = Office::open(&file);
    office.draw_many("INV", 5);
    fs::remove_file(beside(&file, "-wal")).unwrap();
    let last = office.draw_many("INV", 5);
    office.close();
    let office = Office::open(&file);
    assert_eq!(office.draw("INV").unwrap(), last + 1);
    office.audit();
}

#[test]
fn whatever_was_answered_before_the_file_was_removed_is_rescued() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("seqid.db");
    let office = Arc::new(Office::open(&file));
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .build()
        .unwrap();
    let mut answered = runtime.block_on(async {
        let clerks: Vec<_> = (0..32)
            .map(|_| {
                let office = Arc::clone(&office);
                tokio::spawn(async move {
                    let mut numbers = Vec::new();
                    loop {
                        match office.issuer.draw(DrawRequest::new(name("INV"))).await {
                            Ok(issued) => numbers.push(issued.run.first.get()),
                            Err(error) => {
                                assert_eq!(error.code().certainty(), Certainty::NotIssued, "{error:?}");
                                return numbers;
                            }
                        }
                    }
                })
            })
            .collect();
        let mut answered = Vec::new();
        for _ in 0..20 {
            let issued = office.issuer.draw(DrawRequest::new(name("INV"))).await.unwrap();
            answered.push(issued.run.first.get());
        }
        fs::remove_file(&file).unwrap();
        for clerk in clerks {
            answered.extend(clerk.await.unwrap());
        }
        answered
    });
    drop(office);
    answered.sort_unstable();
    assert_eq!(answered, (1..=answered.len() as u64).collect::<Vec<_>>());
    goes_on_with_the_rescued_file(&file, answered.len() as u64);
}
