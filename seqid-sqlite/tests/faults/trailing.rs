//! Rows of counters are written later than the events that changed them.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use rusqlite::{Connection, OpenFlags};
use seqid_core::names::{Number, Reason};
use seqid_core::numbering::{CounterSelector, DefineRequest, DrawRequest, ResetRequest, SyncRequest};
use seqid_core::store::AuditLog;
use seqid_core::{Code, DefinitionSpec, Numbering, Prefix};

use crate::child::killed_after;
use crate::office::{Office, beside, block_on, name};

/// How many counters' rows are not at their last event, and whether the file says that none is.
fn rows(file: &Path) -> (usize, bool) {
    let connection = Connection::open_with_flags(file, OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
    let behind = "SELECT count(*) FROM counter c \
                  WHERE n < (SELECT max(n) FROM event e WHERE e.counter = c.id)";
    let behind = connection
        .query_row(behind, [], |row| row.get::<_, i64>(0))
        .unwrap();
    let all = "SELECT counters_written = (SELECT max(position) FROM event) FROM progress";
    let all = connection.query_row(all, [], |row| row.get(0)).unwrap();
    (usize::try_from(behind).unwrap(), all)
}

/// What [`rows`] says of a file whose process is dead, without touching it.
fn rows_of_copy(file: &Path) -> (usize, bool) {
    let folder = tempfile::tempdir().unwrap();
    let copy = folder.path().join("copy.db");
    fs::copy(file, &copy).unwrap();
    fs::copy(beside(file, "-wal"), beside(&copy, "-wal")).unwrap();
    drop(Connection::open(&copy).unwrap());
    rows(&copy)
}

#[track_caller]
fn define(office: &Office, prefix: &str, spec: DefinitionSpec) -> Prefix {
    let prefix = name(prefix);
    block_on(office.issuer.define(DefineRequest::new(prefix.clone(), spec))).unwrap();
    prefix
}

#[track_caller]
fn draw(office: &Office, request: DrawRequest) {
    block_on(office.issuer.draw(request)).unwrap();
}

#[track_caller]
fn sync(office: &Office, prefix: &Prefix, last_used: u64) {
    let counter = CounterSelector::new(prefix.clone());
    let request = SyncRequest::new(counter, Number::new(last_used).unwrap());
    block_on(office.issuer.sync(request)).unwrap();
}

#[track_caller]
fn reset(office: &Office, prefix: &Prefix, next: u64) {
    let counter = CounterSelector::new(prefix.clone());
    let reason = Reason::new("a test").unwrap();
    let request = ResetRequest::new(counter, Number::new(next).unwrap(), reason);
    block_on(office.issuer.reset(request)).unwrap();
}

/// All that the store says of every counter.
fn counters(office: &Office) -> String {
    let mut text = String::new();
    for prefix in ["PLAIN", "STEP", "END", "DATED", "SYNCED", "MOVED"] {
        let sequence = seqid_core::counter::SequenceKey::new(Default::default(), name(prefix));
        let counters = block_on(office.store.counters(&sequence, 0, 100)).unwrap();
        text += &format!("{counters:#?}");
    }
    text
}

/// Draws from counters of every kind, so that all rows trail.
fn draw_from_all(office: &Office) {
    office.draw_many("PLAIN", 5);
    let step = DefinitionSpec {
        start: Some(5),
        step: Some(10),
        ..DefinitionSpec::of_format("S-{seq}")
    };
    let step = define(office, "STEP", step);
    let end = DefinitionSpec {
        start: Some(Number::MAX.get() - 2),
        max: Some(Number::MAX.get()),
        ..DefinitionSpec::of_format("E-{seq}")
    };
    let end = define(office, "END", end);
    for count in [3, 4] {
        draw(office, DrawRequest::new(step.clone()).count(count));
    }
    for _ in 0..3 {
        draw(office, DrawRequest::new(end.clone()));
    }
    let dated = DefinitionSpec {
        chronological: Some(true),
        ..DefinitionSpec::of_format("D-{seq}")
    };
    let synced = DefinitionSpec {
        chronological: Some(true),
        ..DefinitionSpec::of_format("X-{seq}")
    };
    let (dated, synced) = (define(office, "DATED", dated), define(office, "SYNCED", synced));
    // Opened without a date.
    sync(office, &synced, 7);
    for date in ["2026-03-01", "2026-03-05"] {
        for prefix in [&dated, &synced] {
            draw(
                office,
                DrawRequest::new(prefix.clone()).date(date.parse().unwrap()),
            );
        }
    }
    office.draw_many("MOVED", 2);
    let moved = name("MOVED");
    sync(office, &moved, 10);
    office.draw_many("MOVED", 2);
    reset(office, &moved, 50);
    office.draw_many("MOVED", 2);
}

#[test]
fn rows_that_trail_when_the_process_is_killed_are_caught_up() {
    let folder = killed_after(|folder| {
        let office = Office::open(&folder.join("seqid.db"));
        draw_from_all(&office);
        fs::write(folder.join("counters"), counters(&office)).unwrap();
        office
    });
    let file = folder.path().join("seqid.db");
    assert_eq!(rows_of_copy(&file), (6, false), "the rows of all counters trail");
    let office = Office::open(&file);
    assert_eq!(rows(&file), (0, true));
    let before = fs::read_to_string(folder.path().join("counters")).unwrap();
    assert_eq!(counters(&office), before);
    office.audit();
    for (prefix, next) in [("PLAIN", 6), ("STEP", 75), ("MOVED", 52)] {
        assert_eq!(office.draw(prefix).unwrap(), next);
    }
    let code = |request| block_on(office.issuer.draw(request)).map_err(|error| error.code());
    assert_eq!(code(DrawRequest::new(name("END"))).unwrap_err(), Code::Exhausted);
    for prefix in ["DATED", "SYNCED"] {
        let earlier = DrawRequest::new(name(prefix)).date("2026-03-04".parse().unwrap());
        assert_eq!(code(earlier).unwrap_err(), Code::DateBeforeLast, "{prefix}");
    }
    office.audit();
}

#[test]
fn a_closed_file_has_the_rows_of_all_counters() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("seqid.db");
    let office = Office::open(&file);
    draw_from_all(&office);
    let before = counters(&office);
    office.close();
    assert_eq!(rows(&file), (0, true));
    assert_eq!(counters(&Office::open(&file)), before);
}

#[test]
fn a_quiet_file_becomes_current_by_itself() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("seqid.db");
    let office = Office::open(&file);
    draw_from_all(&office);
    let before = counters(&office);
    let began = Instant::now();
    while rows(&file) != (0, true) {
        assert!(began.elapsed() < Duration::from_secs(60), "{:?}", rows(&file));
        std::thread::yield_now();
    }
    assert_eq!(counters(&office), before);
    office.audit();
    assert_eq!(office.draw("PLAIN").unwrap(), 6);
}
