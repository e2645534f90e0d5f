//! `seqid-server verify`, run as an auditor does.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod running;

use std::fs;
use std::path::Path;

use running::{Ended, Server, program, run};
use seqid_core::checkpoint::Checkpoint;
use serde_json::Value;

/// Draws five numbers, and leaves a data file, an export and checkpoints in the folder.
fn served(folder: &Path) {
    let server = Server::start_with(
        program(folder)
            .env("PORT", "0")
            .env("SEQID_EVENTS_FILE", "events.jsonl")
            .env("SEQID_CHECKPOINT_FILE", "checkpoints.jsonl"),
    );
    for _ in 0..5 {
        server.draw();
    }
    let answer = server.client().get("/api/v1/audit/checkpoint").unwrap();
    assert_eq!(answer.status, 200, "{}", answer.body);
    assert_eq!(Checkpoint::from_json(&answer.body).unwrap().heads.position, 6);
    fs::write(folder.join("answer.json"), answer.body).unwrap();
    assert_eq!(verify(folder, &[]).code, Some(0), "it may be served meanwhile");
    server.stop();
}

fn verify(folder: &Path, arguments: &[&str]) -> Ended {
    run(program(folder).arg("verify").args(arguments))
}

fn edit(folder: &Path, statements: &str) {
    let connection = rusqlite::Connection::open(folder.join("seqid-data/seqid.db")).unwrap();
    connection.execute_batch(statements).unwrap();
}

const CHECKPOINTS: [&str; 4] = ["--checkpoint", "checkpoints.jsonl", "--checkpoint", "answer.json"];

#[test]
fn what_was_recorded_is_in_order_with_and_without_the_store() {
    let folder = tempfile::tempdir().unwrap();
    served(folder.path());
    for source in [
        &[][..],
        &["--export", "events.jsonl"],
        &["--file", "seqid-data/seqid.db"],
    ] {
        let ended = verify(folder.path(), &[source, &CHECKPOINTS, &["--json"]].concat());
        assert_eq!(ended.code, Some(0), "{ended:?}");
        let report: Value = serde_json::from_str(&ended.stdout).unwrap();
        assert_eq!((&report["events"], &report["clean"]), (&6.into(), &true.into()));
        assert_eq!(report["checkpoints"]["agree"], report["checkpoints"]["given"]);
        let ended = verify(folder.path(), source);
        assert!(ended.stdout.contains("nothing is wrong"), "{ended:?}");
        assert!(ended.stdout.contains("No checkpoint was given"), "{ended:?}");
    }
}

#[test]
fn an_edited_row_is_named() {
    let folder = tempfile::tempdir().unwrap();
    served(folder.path());
    edit(
        folder.path(),
        "UPDATE event SET reference = 'SO-1' WHERE position = 4",
    );
    let ended = verify(folder.path(), &[]);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(
        ended.stdout.contains("1. position 4, default/INV all, n 3, "),
        "{ended:?}"
    );
}

#[test]
fn a_log_that_was_cut_off_with_all_that_tells_of_it_shows_from_a_checkpoint() {
    let folder = tempfile::tempdir().unwrap();
    served(folder.path());
    edit(
        folder.path(),
        "DELETE FROM event WHERE position = 6; \
         UPDATE counter SET n = 4, next = 5, last = 4, hash = (SELECT hash FROM event WHERE position = 5)",
    );
    assert_eq!(verify(folder.path(), &[]).code, Some(0));
    let ended = verify(folder.path(), &CHECKPOINTS);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.stdout.contains("the log ends at position 5"), "{ended:?}");
}

#[test]
fn a_checkpoint_that_was_edited_shows() {
    let folder = tempfile::tempdir().unwrap();
    served(folder.path());
    let path = folder.path().join("checkpoints.jsonl");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(
        &path,
        text.replacen(r#""incarnation":1"#, r#""incarnation":2"#, 1),
    )
    .unwrap();
    let ended = verify(folder.path(), &CHECKPOINTS[..2]);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.stdout.contains("do not belong together"), "{ended:?}");
}

#[test]
fn what_cannot_be_read_is_told_from_what_is_wrong() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("text"), "no database\n").unwrap();
    for arguments in [
        &[][..],
        &["--file", "text"],
        &["--export", "missing"],
        &["--export", "text", "--checkpoint", "missing"],
        &["--export", "text", "--checkpoint", "text"],
        &["--export", "text", "--checkpoint", "text", "--public-key", "text"],
        &["--file", "text", "--export", "text"],
    ] {
        let ended = verify(folder.path(), arguments);
        assert_eq!(ended.code, Some(2), "{arguments:?}: {ended:?}");
        assert!(!ended.stderr.is_empty());
    }
    assert_eq!(
        verify(folder.path(), &["--export", "text"]).code,
        Some(1),
        "a line is no event"
    );
}
