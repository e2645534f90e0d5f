//! What an operator's `recover` does to a file that is not the one that was written last.

use std::collections::HashSet;
use std::fs;
use std::path::Path;

use seqid_core::clock::SystemClock;
use seqid_core::event::{EventKind, Recorded};
use seqid_core::names::{Label, Reason};
use seqid_core::numbering::DefineRequest;
use seqid_core::store::StoreError;
use seqid_core::{DefinitionSpec, Numbering};
use seqid_sqlite::{OpenError, Recovery, RecoveryReport, Restored, SqliteConfig, recover};
use tempfile::TempDir;

use crate::office::{Office, beside, block_on, issued, name};

/// A folder with a file that ends at ten numbers of INV and three of CN, which can go up to 5. Another ten and one
/// were given out before it was put back.
fn restored() -> (TempDir, Vec<Recorded>) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("seqid.db");
    let office = Office::open(&file);
    let spec = DefinitionSpec {
        max: Some(5),
        ..DefinitionSpec::of_format("CN-{seq}")
    };
    block_on(office.issuer.define(DefineRequest::new(name("CN"), spec))).unwrap();
    office.draw_many("INV", 10);
    office.draw_many("CN", 3);
    office.close();
    let older = fs::read(&file).unwrap();
    let office = Office::open(&file);
    office.draw_many("INV", 10);
    office.draw_many("CN", 1);
    let lost = office.audit();
    office.close();
    fs::write(&file, older).unwrap();
    assert!(matches!(
        Office::try_open(&file).unwrap_err(),
        OpenError::Restored {
            how: Restored::Behind { .. },
            ..
        }
    ));
    (folder, lost)
}

fn accept(file: &Path, margin: u64) -> RecoveryReport {
    let mut recovery = Recovery::new(Reason::new("restored from a backup").unwrap());
    recovery.actor = Some(Label::new("ann").unwrap());
    recovery.margin = margin;
    recover(&SqliteConfig::new(file), &recovery, &SystemClock).unwrap()
}

/// The recovered event of a sequence's counter.
fn recovered<'a>(events: &'a [Recorded], prefix: &str) -> &'a Recorded {
    let found: Vec<_> = events
        .iter()
        .filter(|recorded| recorded.event.kind == EventKind::Recovered)
        .filter(|recorded| recorded.event.subject.sequence().prefix.as_str() == prefix)
        .collect();
    assert_eq!(found.len(), 1);
    found[0]
}

#[test]
fn the_margin_is_jumped_over_or_what_is_left() {
    let (folder, _) = restored();
    let file = folder.path().join("seqid.db");
    let report = accept(&file, 10);
    assert_eq!((report.incarnation, report.counters), (2, 2));
    let office = Office::open(&file);
    assert_eq!(office.draw("INV").unwrap(), 21);
    assert!(
        matches!(office.draw("CN"), Err(StoreError::Refused(_))),
        "two were left, and are skipped"
    );
    let events = office.audit();
    for (prefix, first, count) in [("INV", 11, 10), ("CN", 4, 2)] {
        let event = &recovered(&events, prefix).event;
        let run = event.run.unwrap();
        assert_eq!((run.first.get(), run.count), (first, count));
        assert_eq!(event.epoch, 2);
        assert_eq!(event.reason.as_ref().unwrap().as_str(), "restored from a backup");
        assert_eq!(event.origin.actor.as_ref().unwrap().as_str(), "ann");
    }
    assert!(
        events
            .iter()
            .filter(|recorded| recorded.position > 17)
            .all(|recorded| recorded.event.epoch == 2)
    );
}

#[test]
fn without_a_margin_the_counters_go_on_where_the_file_ends() {
    let (folder, _) = restored();
    let file = folder.path().join("seqid.db");
    accept(&file, 0);
    let office = Office::open(&file);
    assert_eq!(office.draw("INV").unwrap(), 11);
    assert_eq!(office.draw("CN").unwrap(), 4);
    let events = office.audit();
    assert_eq!(recovered(&events, "INV").event.run, None);
    assert_eq!(issued(&events, "INV"), (1..=11).collect::<Vec<_>>());
}

#[test]
fn events_after_the_recovery_have_names_of_their_own() {
    let (folder, lost) = restored();
    let file = folder.path().join("seqid.db");
    accept(&file, 0);
    let office = Office::open(&file);
    office.draw_many("INV", 10);
    office.draw_many("NEW", 1);
    let events = office.audit();
    let names: HashSet<_> = lost.iter().map(|recorded| recorded.id).collect();
    let known = lost
        .iter()
        .zip(&events)
        .take_while(|(lost, found)| lost == found)
        .count();
    assert_eq!(known, 15, "what the file held is what it was");
    assert!(
        events[known..]
            .iter()
            .all(|recorded| !names.contains(&recorded.id))
    );
}

#[test]
fn a_recovered_file_stays_accepted_and_the_one_before_it_is_not() {
    let (folder, _) = restored();
    let file = folder.path().join("seqid.db");
    let before = fs::read(&file).unwrap();
    accept(&file, 10);
    for number in 21..25 {
        let office = Office::open(&file);
        assert_eq!(office.draw("INV").unwrap(), number);
        office.close();
    }
    fs::write(&file, before).unwrap();
    assert!(matches!(
        Office::try_open(&file).unwrap_err(),
        OpenError::Restored { .. }
    ));
}

#[test]
fn a_file_can_be_recovered_again() {
    let (folder, _) = restored();
    let file = folder.path().join("seqid.db");
    accept(&file, 5);
    assert_eq!(accept(&file, 5).incarnation, 3);
    let office = Office::open(&file);
    assert_eq!(office.draw("INV").unwrap(), 21);
    office.audit();
}

#[test]
fn a_copy_and_a_file_without_sidecar_can_be_recovered() {
    let folder = tempfile::tempdir().unwrap();
    let (file, copy) = (folder.path().join("seqid.db"), folder.path().join("copy.db"));
    let office = Office::open(&file);
    office.draw_many("INV", 5);
    office.close();
    fs::copy(&file, &copy).unwrap();
    fs::remove_file(beside(&file, "-sidecar")).unwrap();
    for path in [&file, &copy] {
        assert!(Office::try_open(path).is_err());
        accept(path, 0);
        let office = Office::open(path);
        assert_eq!(office.draw("INV").unwrap(), 6);
        office.audit();
    }
}

#[test]
fn nothing_is_recovered_from_a_file_that_is_in_use_or_not_there() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("seqid.db");
    let recovery = Recovery::new(Reason::new("try").unwrap());
    let error = recover(&SqliteConfig::new(&file), &recovery, &SystemClock).unwrap_err();
    assert!(matches!(error, OpenError::Folder { .. }), "{error:?}");
    assert!(!file.exists());
    let office = Office::open(&file);
    let error = recover(&SqliteConfig::new(&file), &recovery, &SystemClock).unwrap_err();
    assert!(matches!(error, OpenError::Locked { .. }), "{error:?}");
    assert_eq!(office.draw("INV").unwrap(), 1);
}
