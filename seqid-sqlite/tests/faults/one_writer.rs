//! One process writes.

use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};

use seqid_sqlite::OpenError;

use crate::child::killed_after;
use crate::office::{Office, beside, issued};

#[test]
fn a_second_store_on_a_file_is_refused_until_the_first_is_closed() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("seqid.db");
    let first = Office::open(&file);
    assert_eq!(first.draw("INV").unwrap(), 1);
    for _ in 0..3 {
        let error = Office::try_open(&file).unwrap_err();
        assert!(matches!(error, OpenError::Locked { .. }), "{error:?}");
    }
    assert_eq!(first.draw("INV").unwrap(), 2);
    first.close();
    assert_eq!(Office::open(&file).draw("INV").unwrap(), 3);
}

#[test]
fn a_store_that_was_closed_and_is_still_held_does_not_hold_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("seqid.db");
    let first = Office::open(&file);
    assert_eq!(first.draw("INV").unwrap(), 1);
    crate::office::block_on(seqid_core::CounterStore::close(&*first.store)).unwrap();
    let second = Office::open(&file);
    assert_eq!(second.draw("INV").unwrap(), 2);
    // Until then the second's counters may be ahead of their rows.
    second.close();
    assert_eq!(first.audit().len(), 3, "it may still be read");
}

/// A child has the files of its parent open until it runs its own program.
#[test]
fn a_closed_file_is_free_although_children_are_being_spawned() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("seqid.db");
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                std::process::Command::new("true").status().unwrap();
            }
        });
        for _ in 0..200 {
            match Office::try_open(&file) {
                Ok(office) => office.close(),
                Err(error) => {
                    done.store(true, Ordering::Relaxed);
                    panic!("{error:?}");
                }
            }
        }
        done.store(true, Ordering::Relaxed);
    });
}

#[test]
fn a_second_process_is_refused_until_the_first_ends_however_it_ends() {
    let folder = killed_after(|folder| {
        let file = folder.join("seqid.db");
        let office = Office::open(&file);
        office.draw_many("INV", 3);
        // Another process, which holds nothing of this one's.
        let lock = format!("{}-lock", file.display());
        let taken = std::process::Command::new("flock")
            .args(["-n", &lock, "true"])
            .status()
            .unwrap();
        assert_eq!(taken.code(), Some(1), "the lock is held");
        office
    });
    let file = folder.path().join("seqid.db");
    assert!(fs::exists(&file).unwrap());
    assert_eq!(Office::open(&file).draw("INV").unwrap(), 4);
}

/// Whoever deletes the lock of a running store lets a second one in. They get into one another's way, and no further.
#[test]
fn two_stores_on_one_file_never_share_a_number() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("seqid.db");
    let first = Office::open(&file);
    assert_eq!(first.draw("INV").unwrap(), 1);
    fs::remove_file(beside(&file, "-lock")).unwrap();
    let second = Office::open(&file);
    let mut drawn = vec![1];
    let mut keyed = 0;
    for round in 0..20 {
        for office in [&first, &second, &second, &first] {
            drawn.extend(office.draw("INV"));
            if let Ok((number, replayed)) = office.draw_keyed("INV", &format!("key {round}")) {
                keyed += 1;
                assert!(replayed || !drawn.contains(&number));
                if !replayed {
                    drawn.push(number);
                }
            }
        }
    }
    assert!(drawn.len() > 20 && keyed > 20, "{drawn:?}");
    // Each knows what it drew before it writes the counter's row; only who opens the file then knows of both.
    drop((first, second));
    let office = Office::open(&file);
    assert_eq!(issued(&office.audit(), "INV"), drawn);
}
