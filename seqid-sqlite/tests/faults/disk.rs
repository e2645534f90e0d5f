//! Disks that are full, or may not be written to.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use seqid_core::store::{Certainty, StoreError};
use seqid_sqlite::OpenError;

use crate::child::{system, with_own_mounts, with_small_files};
use crate::office::{Office, issued};

/// Mounts a file system of this size.
fn small_disk(folder: &Path, size: &str) -> PathBuf {
    system(
        "mount",
        &["-t", "tmpfs", "-o", &format!("size={size}"), "none", path(folder)],
    );
    folder.join("seqid.db")
}

fn path(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[test]
fn draws_on_a_full_disk_are_refused_and_go_on_by_themselves_once_there_is_room() {
    with_own_mounts(|folder| {
        let file = small_disk(folder, "3m");
        let ballast = folder.join("ballast");
        let office = Office::open(&file);
        let mut last = 0;
        for _ in 0..3 {
            fs::write(&ballast, vec![0; 256 << 10]).unwrap();
            last += fill_from(&office, last);
            for _ in 0..5 {
                assert!(matches!(office.draw("INV"), Err(StoreError::Full(_))));
                assert_eq!(issued(&office.audit(), "INV").len() as u64, last);
            }
            fs::remove_file(&ballast).unwrap();
            last += 1;
            assert_eq!(
                office.draw("INV").unwrap(),
                last,
                "nothing was lost, and nothing skipped"
            );
        }
        assert_eq!(issued(&office.audit(), "INV"), (1..=last).collect::<Vec<_>>());
        office.close();
        let office = Office::open(&file);
        assert_eq!(office.draw("INV").unwrap(), last + 1);
        assert_eq!(office.audit().len() as u64, last + 2);
    });
}

/// Draws until the disk is full, and answers how many numbers it had room for.
fn fill_from(office: &Office, begin: u64) -> u64 {
    let mut last = begin;
    loop {
        match office.draw("INV") {
            Ok(number) => {
                assert_eq!(number, last + 1);
                last = number;
            }
            Err(StoreError::Full(_)) => return last - begin,
            Err(error) => panic!("{error:?}"),
        }
    }
}

#[test]
fn a_store_that_is_closed_on_a_full_disk_has_all_that_it_answered() {
    with_own_mounts(|folder| {
        let file = small_disk(folder, "3m");
        let ballast = folder.join("ballast");
        fs::write(&ballast, vec![0; 2 << 20]).unwrap();
        let office = Office::open(&file);
        let last = fill_from(&office, 0);
        office.close();
        fs::remove_file(&ballast).unwrap();
        let office = Office::open(&file);
        assert_eq!(issued(&office.audit(), "INV"), (1..=last).collect::<Vec<_>>());
        assert_eq!(office.draw("INV").unwrap(), last + 1);
    });
}

#[test]
fn a_store_is_not_opened_on_a_full_disk() {
    with_own_mounts(|folder| {
        let file = small_disk(folder, "3m");
        let ballast = folder.join("ballast");
        for spare in [0, 4, 16, 64, 96] {
            fs::write(&ballast, vec![0; (3 << 20) - (spare << 10)]).unwrap();
            let error = Office::try_open(&file).unwrap_err();
            assert!(
                matches!(StoreError::from(error), StoreError::Full(_)),
                "with {spare} KiB left"
            );
            fs::remove_file(&ballast).unwrap();
        }
        assert_eq!(Office::open(&file).draw("INV").unwrap(), 1);
    });
}

#[test]
fn a_draw_whose_commit_fails_is_in_doubt_until_its_key_is_sent_again() {
    with_small_files(|folder| {
        let office = Office::open(&folder.join("seqid.db"));
        let mut in_doubt = 0;
        let mut last = 0;
        while in_doubt < 3 {
            let key = format!("key {}", last + 1);
            let drawn = office.draw_keyed("INV", &key).or_else(|error| {
                assert_eq!(error.certainty(), Certainty::Unknown, "{error:?}");
                in_doubt += 1;
                office.draw_keyed("INV", &key)
            });
            last += 1;
            assert_eq!(drawn.unwrap().0, last, "each key has one number");
        }
        assert_eq!(issued(&office.audit(), "INV"), (1..=last).collect::<Vec<_>>());
    });
}

#[test]
fn a_folder_that_may_not_be_written_to_is_refused() {
    with_own_mounts(|folder| {
        small_disk(folder, "3m");
        // Root may write whatever the permissions say, but not here.
        system("mount", &["-o", "remount,ro,bind", path(folder)]);
        let error = Office::try_open(&folder.join("seqid.db")).unwrap_err();
        assert!(matches!(error, OpenError::Folder { .. }), "{error:?}");
        let error = Office::try_open(&folder.join("sub/seqid.db")).unwrap_err();
        assert!(matches!(error, OpenError::Folder { .. }), "{error:?}");
    });
}

#[test]
fn a_file_that_may_not_be_written_to_is_refused_and_served_once_it_may() {
    with_own_mounts(|folder| {
        let file = small_disk(folder, "3m");
        let office = Office::open(&file);
        office.draw_many("INV", 3);
        office.close();
        system("mount", &["--bind", path(&file), path(&file)]);
        system("mount", &["-o", "remount,ro,bind", path(&file)]);
        let error = Office::try_open(&file).unwrap_err();
        assert!(matches!(error, OpenError::Sqlite { .. }), "{error:?}");
        system("umount", &[path(&file)]);
        assert_eq!(Office::open(&file).draw("INV").unwrap(), 4);
    });
}

#[test]
fn a_folder_that_cannot_be_made_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, "a file").unwrap();
    match Office::try_open(&file.join("seqid.db")).unwrap_err() {
        OpenError::Folder { source, .. } => {
            assert!(matches!(
                source.kind(),
                ErrorKind::NotADirectory | ErrorKind::AlreadyExists
            ));
        }
        error => panic!("{error:?}"),
    }
    assert_eq!(fs::read(&file).unwrap(), b"a file");
    let error = Office::try_open(folder.path()).unwrap_err();
    assert!(
        matches!(error, OpenError::Sqlite { .. }),
        "a folder is no file: {error:?}"
    );
}
