//! Files that went back in time, and copies.

use std::fs;
use std::path::Path;

use seqid_sqlite::{OpenError, Restored};

use crate::child::killed_after;
use crate::office::{Office, beside, issued};

#[track_caller]
fn refused(file: &Path) -> Restored {
    let before = fs::read(file).unwrap();
    let error = Office::try_open(file).unwrap_err();
    assert!(fs::read(file).unwrap() == before, "a refused file is not changed");
    match error {
        OpenError::Restored { how, .. } => how,
        error => panic!("{error:?}"),
    }
}

/// Draws, and waits until the sidecar says so.
fn draw_until_the_sidecar_knows(office: &Office, file: &Path) {
    let before = fs::read(beside(file, "-sidecar")).unwrap();
    office.draw_many("INV", 5);
    while fs::read(beside(file, "-sidecar")).unwrap() == before {
        std::thread::yield_now();
    }
}

#[test]
fn a_killed_process_loses_nothing_that_it_answered() {
    let folder = killed_after(|folder| {
        let office = Office::open(&folder.join("seqid.db"));
        office.draw_many("INV", 50);
        office
    });
    let office = Office::open(&folder.path().join("seqid.db"));
    assert_eq!(issued(&office.audit(), "INV"), (1..=50).collect::<Vec<_>>());
    assert_eq!(office.draw("INV").unwrap(), 51);
}

#[test]
fn a_lost_log_is_noticed() {
    let folder = killed_after(|folder| {
        let file = folder.join("seqid.db");
        let office = Office::open(&file);
        office.draw_many("INV", 5);
        office.close();
        let office = Office::open(&file);
        draw_until_the_sidecar_knows(&office, &file);
        office
    });
    let file = folder.path().join("seqid.db");
    let log = beside(&file, "-wal");
    assert!(fs::metadata(&log).unwrap().len() > 0);
    let kept = folder.path().join("kept");
    fs::rename(&log, &kept).unwrap();
    match refused(&file) {
        // The sidecar may have been written after any of the last five.
        Restored::Behind { expected, found } => assert!(found == 6 && expected > 6, "{expected} {found}"),
        how => panic!("{how:?}"),
    }
    // With its log back the file is whole.
    fs::rename(&kept, &log).unwrap();
    Office::open(&file).audit();
}

#[test]
fn an_older_copy_in_the_place_of_the_file_is_noticed() {
    let folder = tempfile::tempdir().unwrap();
    let (file, copy) = (folder.path().join("seqid.db"), folder.path().join("copy.db"));
    let office = Office::open(&file);
    office.draw_many("INV", 5);
    office.close();
    fs::copy(&file, &copy).unwrap();
    let office = Office::open(&file);
    office.draw_many("INV", 5);
    office.close();
    let newest = fs::read(&file).unwrap();
    // Into the same file, so that only its content tells.
    fs::write(&file, fs::read(&copy).unwrap()).unwrap();
    assert_eq!(
        refused(&file),
        Restored::Behind {
            expected: 11,
            found: 6
        }
    );
    fs::write(&file, newest).unwrap();
    drop(Office::open(&file));
    fs::rename(&copy, &file).unwrap();
    assert_eq!(refused(&file), Restored::Copied);
}

#[test]
fn an_older_copy_that_went_on_by_itself_is_noticed() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("seqid.db");
    let sidecar = beside(&file, "-sidecar");
    let office = Office::open(&file);
    office.draw_many("INV", 5);
    office.close();
    let (older, older_sidecar) = (fs::read(&file).unwrap(), fs::read(&sidecar).unwrap());
    let office = Office::open(&file);
    office.draw_many("INV", 5);
    office.close();
    let newer_sidecar = fs::read(&sidecar).unwrap();
    fs::write(&file, older).unwrap();
    fs::write(&sidecar, older_sidecar).unwrap();
    let office = Office::open(&file);
    office.draw_many("INV", 5);
    office.close();
    fs::write(&sidecar, newer_sidecar).unwrap();
    assert_eq!(refused(&file), Restored::Diverged { position: 11 });
}

#[test]
fn an_older_copy_beside_the_log_of_the_newer_file_is_refused() {
    let folder = killed_after(|folder| {
        let (file, copy) = (folder.join("seqid.db"), folder.join("copy.db"));
        let office = Office::open(&file);
        // So many that the counters do not fit into one page.
        for sequence in 0..100 {
            office.draw(&format!("S{sequence}")).unwrap();
        }
        office.close();
        fs::copy(&file, &copy).unwrap();
        let office = Office::open(&file);
        assert_eq!(office.draw("S0").unwrap(), 2, "this is in the file alone");
        office.close();
        let office = Office::open(&file);
        assert_eq!(office.draw("S99").unwrap(), 2, "this is in the log alone");
        office
    });
    let (file, copy) = (folder.path().join("seqid.db"), folder.path().join("copy.db"));
    fs::write(&file, fs::read(&copy).unwrap()).unwrap();
    let error = Office::try_open(&file).unwrap_err();
    assert!(matches!(error, OpenError::Corrupt { .. }), "{error:?}");
    assert!(
        fs::read(&file).unwrap() == fs::read(&copy).unwrap(),
        "the copy is as it was"
    );
    let config = seqid_sqlite::SqliteConfig::new(&file);
    let recovery = seqid_sqlite::Recovery::new(seqid_core::names::Reason::new("try").unwrap());
    seqid_sqlite::recover(&config, &recovery, &seqid_core::clock::SystemClock).unwrap_err();
    fs::remove_file(beside(&file, "-wal")).unwrap();
    assert!(matches!(refused(&file), Restored::Behind { .. }));
}

#[test]
fn a_much_older_copy_beside_the_log_of_the_newer_file_is_refused() {
    let folder = killed_after(|folder| {
        let (file, copy) = (folder.join("seqid.db"), folder.join("copy.db"));
        let office = Office::open(&file);
        office.draw_many("INV", 50);
        office.close();
        fs::copy(&file, &copy).unwrap();
        let office = Office::open(&file);
        office.draw_many("INV", 300);
        office.draw_many("ORD", 100);
        office.close();
        let office = Office::open(&file);
        office.draw_many("ORD", 10);
        office
    });
    let (file, copy) = (folder.path().join("seqid.db"), folder.path().join("copy.db"));
    fs::write(&file, fs::read(&copy).unwrap()).unwrap();
    let error = Office::try_open(&file).unwrap_err();
    assert!(matches!(error, OpenError::Corrupt { .. }), "{error:?}");
    assert!(
        fs::read(&file).unwrap() == fs::read(&copy).unwrap(),
        "the copy is as it was"
    );
}

#[test]
fn a_copy_in_another_folder_is_noticed() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("seqid.db");
    let office = Office::open(&file);
    office.draw_many("INV", 5);
    office.close();
    let copy = folder.path().join("copy/seqid.db");
    fs::create_dir(copy.parent().unwrap()).unwrap();
    fs::copy(&file, &copy).unwrap();
    assert_eq!(refused(&copy), Restored::Copied);
    fs::copy(beside(&file, "-sidecar"), beside(&copy, "-sidecar")).unwrap();
    assert_eq!(refused(&copy), Restored::Copied);
    assert_eq!(Office::open(&file).draw("INV").unwrap(), 6);
}

#[test]
fn a_file_that_is_moved_with_its_sidecar_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let (file, moved) = (folder.path().join("seqid.db"), folder.path().join("moved.db"));
    let office = Office::open(&file);
    office.draw_many("INV", 5);
    office.close();
    fs::rename(&file, &moved).unwrap();
    fs::rename(beside(&file, "-sidecar"), beside(&moved, "-sidecar")).unwrap();
    assert_eq!(Office::open(&moved).draw("INV").unwrap(), 6);
}

#[test]
fn a_file_without_its_sidecar_is_noticed() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("seqid.db");
    let office = Office::open(&file);
    office.draw_many("INV", 5);
    office.close();
    let sidecar = beside(&file, "-sidecar");
    for content in [None, Some(""), Some("{\"authority\":")] {
        match content {
            None => fs::remove_file(&sidecar).unwrap(),
            Some(content) => fs::write(&sidecar, content).unwrap(),
        }
        assert_eq!(refused(&file), Restored::NoSidecar, "{content:?}");
    }
}

#[test]
fn a_file_that_is_gone_is_missed_as_long_as_there_is_a_sidecar() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("seqid.db");
    let office = Office::open(&file);
    office.draw_many("INV", 5);
    office.close();
    fs::remove_file(&file).unwrap();
    let missing = |file: &Path| match Office::try_open(file).unwrap_err() {
        OpenError::Restored {
            how: Restored::Missing { events },
            ..
        } => events,
        error => panic!("{error:?}"),
    };
    assert_eq!(missing(&file), 6);
    fs::write(beside(&file, "-sidecar"), "half a sid").unwrap();
    assert_eq!(missing(&file), 0, "how many is not known");
    assert!(!file.exists());
    fs::remove_file(beside(&file, "-sidecar")).unwrap();
    assert_eq!(
        Office::open(&file).draw("INV").unwrap(),
        1,
        "whoever removes both begins anew"
    );
}

#[test]
fn the_sidecar_of_another_file_is_noticed() {
    let folder = tempfile::tempdir().unwrap();
    let (file, other) = (folder.path().join("seqid.db"), folder.path().join("other.db"));
    for path in [&file, &other] {
        let office = Office::open(path);
        office.draw_many("INV", 5);
        office.close();
    }
    fs::copy(beside(&other, "-sidecar"), beside(&file, "-sidecar")).unwrap();
    assert_eq!(refused(&file), Restored::Diverged { position: 6 });
}
