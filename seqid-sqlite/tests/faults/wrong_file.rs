//! Files that are not the store's, or that are damaged.

use std::fs;
use std::path::{Path, PathBuf};

use rusqlite::Connection;
use seqid_core::chain::Link;
use seqid_core::clock::SystemClock;
use seqid_core::command::Reply;
use seqid_core::names::Reason;
use seqid_core::store::{CounterStore, EventSource, StoreError};
use seqid_sqlite::{OpenError, Recovery, SqliteConfig, recover};
use seqid_testkit::evidence::all_events;
use tempfile::TempDir;

use crate::keys::Keys;
use crate::office::{Office, block_on};

/// A closed file with so many events.
fn closed(events: usize) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("seqid.db");
    let office = Office::open(&file);
    office.draw_many("INV", events - 1);
    office.close();
    (folder, file)
}

/// Opens a file, which is refused and left as it is.
#[track_caller]
fn refused(file: &Path) -> OpenError {
    let before = fs::read(file).unwrap();
    let error = Office::try_open(file).unwrap_err();
    assert!(fs::read(file).unwrap() == before, "a refused file is not changed");
    error
}

#[test]
fn a_text_file_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("seqid.db");
    fs::write(&file, "Dear diary, ".repeat(100)).unwrap();
    assert!(matches!(refused(&file), OpenError::Foreign { .. }));
}

#[test]
fn a_database_of_another_program_is_refused() {
    for statements in [
        "CREATE TABLE store (id INTEGER)",
        "PRAGMA application_id = 7",
        "PRAGMA application_id = 7; PRAGMA journal_mode = WAL; CREATE TABLE store (id INTEGER)",
    ] {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("seqid.db");
        Connection::open(&file)
            .unwrap()
            .execute_batch(statements)
            .unwrap();
        assert!(
            matches!(refused(&file), OpenError::Foreign { .. }),
            "{statements}"
        );
    }
}

#[test]
fn an_empty_file_becomes_a_store() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("seqid.db");
    fs::write(&file, "").unwrap();
    assert_eq!(Office::open(&file).draw("INV").unwrap(), 1);
}

#[test]
fn a_file_of_another_application_id_is_refused() {
    let (_folder, file) = closed(3);
    Connection::open(&file)
        .unwrap()
        .pragma_update(None, "application_id", 1)
        .unwrap();
    assert!(matches!(refused(&file), OpenError::Foreign { .. }));
}

#[test]
fn a_file_of_a_newer_schema_is_refused() {
    let (_folder, file) = closed(3);
    Connection::open(&file)
        .unwrap()
        .pragma_update(None, "user_version", 3)
        .unwrap();
    match refused(&file) {
        OpenError::NewerSchema { found, known, .. } => assert_eq!((found, known), (3, 2)),
        error => panic!("{error:?}"),
    }
}

#[test]
fn a_truncated_file_is_refused() {
    let (_folder, file) = closed(300);
    let whole = fs::read(&file).unwrap();
    for length in [whole.len() / 2, whole.len() - 4096, 4096, 512, 100] {
        fs::write(&file, &whole[..length]).unwrap();
        let error = refused(&file);
        let expected = matches!(error, OpenError::Corrupt { .. } | OpenError::Foreign { .. });
        assert!(expected, "{length} of {} bytes: {error:?}", whole.len());
        let recovery = Recovery::new(Reason::new("try").unwrap());
        recover(&SqliteConfig::new(&file), &recovery, &SystemClock).unwrap_err();
    }
    fs::write(&file, &whole).unwrap();
    assert_eq!(Office::open(&file).draw("INV").unwrap(), 300);
}

#[test]
fn a_file_that_was_emptied_is_refused() {
    let (_folder, file) = closed(3);
    fs::write(&file, "").unwrap();
    assert!(matches!(refused(&file), OpenError::Restored { .. }));
}

/// Where in the file some of the events stand.
fn event_pages(file: &Path) -> Vec<usize> {
    let connection = Connection::open(file).unwrap();
    let root: i64 = connection
        .query_row(
            "SELECT rootpage FROM sqlite_schema WHERE name = 'event'",
            [],
            |row| row.get(0),
        )
        .unwrap();
    let root = usize::try_from(root).unwrap();
    // The root is an inner page, whose cells begin with a child's number.
    let bytes = fs::read(file).unwrap();
    let page = &bytes[(root - 1) * 4096..root * 4096];
    assert_eq!(page[0], 5, "there are enough events for an inner page");
    let cells = usize::from(u16::from_be_bytes([page[3], page[4]]));
    (0..cells)
        .map(|cell| {
            let at = usize::from(u16::from_be_bytes([page[12 + 2 * cell], page[13 + 2 * cell]]));
            let child = u32::from_be_bytes(page[at..at + 4].try_into().unwrap());
            (child as usize - 1) * 4096
        })
        .collect()
}

#[test]
fn a_page_that_was_overwritten_is_found() {
    let (folder, file) = closed(300);
    let pages = event_pages(&file);
    let mut bytes = fs::read(&file).unwrap();
    bytes[pages[1]..pages[1] + 4096].fill(0xA5);
    fs::write(&file, &bytes).unwrap();
    let config = SqliteConfig::new(&file);
    assert!(matches!(refused(&file), OpenError::Corrupt { .. }));
    let recovery = Recovery::new(Reason::new("try").unwrap());
    let error = recover(&config, &recovery, &SystemClock).unwrap_err();
    assert!(matches!(error, OpenError::Corrupt { .. }), "{error:?}");
    let copy = folder.path().join("copy.db");
    let error = seqid_sqlite::backup(&config, &copy).unwrap_err();
    assert!(matches!(error, OpenError::Corrupt { .. }), "{error:?}");
    assert!(!copy.exists(), "a damaged copy would look like a backup");
}

#[test]
fn a_changed_event_breaks_its_chain() {
    let (_folder, file) = closed(300);
    let mut changed = 0;
    for page in event_pages(&file) {
        let whole = fs::read(&file).unwrap();
        let mut bytes = whole.clone();
        // The end of a page is the body of its first row: hash, instant, request.
        bytes[page + 4096 - 40] ^= 1;
        fs::write(&file, &bytes).unwrap();
        match Office::try_open(&file) {
            Err(error) => assert!(matches!(error, OpenError::Corrupt { .. }), "{error:?}"),
            Ok(office) => {
                assert!(!chains_hold(&office), "page at {page}");
                changed += 1;
                drop(office);
            }
        }
        fs::write(&file, &whole).unwrap();
    }
    assert!(changed > 0);
    assert!(chains_hold(&Office::open(&file)));
}

fn chains_hold(office: &Office) -> bool {
    let Ok(events) = block_on(all_events(&*office.store)) else {
        return false;
    };
    let mut heads = std::collections::HashMap::new();
    events.iter().all(|recorded| {
        let head = heads
            .entry(recorded.event.subject.clone())
            .or_insert(Link::GENESIS);
        *head = head.follow(&recorded.authority, &recorded.event);
        head.hash == recorded.hash
    })
}

#[test]
fn a_damaged_counter_holds_up_no_other() {
    let (_folder, file) = closed(3);
    let office = Office::open(&file);
    office.draw_many("ORD", 3);
    let (damaged, sound) = (Keys::of(&office, "INV"), Keys::of(&office, "ORD"));
    office.close();
    let damage = "UPDATE counter SET last_date = 99999999999 WHERE id = 1";
    Connection::open(&file).unwrap().execute_batch(damage).unwrap();
    let office = Office::open(&file);
    let batch = vec![sound.command(1), damaged.command(2), sound.command(3)];
    let together = async {
        let acknowledged = office.store.acknowledge(2);
        let (replies, acknowledged) = tokio::join!(office.store.apply(batch), acknowledged);
        acknowledged.unwrap();
        replies
    };
    let replies = block_on(together);
    assert!(matches!(replies[0], Ok(Reply::Granted(_))), "{:?}", replies[0]);
    assert!(
        matches!(replies[1], Err(StoreError::Corrupt(_))),
        "{:?}",
        replies[1]
    );
    assert!(matches!(replies[2], Ok(Reply::Granted(_))), "{:?}", replies[2]);
    assert_eq!(office.draw("ORD").unwrap(), 6);
    office.close();
    let office = Office::open(&file);
    assert_eq!(
        block_on(office.store.take(1)).unwrap()[0].position,
        3,
        "what was acknowledged stays so"
    );
}
