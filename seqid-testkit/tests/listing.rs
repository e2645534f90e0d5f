//! The suite leaves no case out.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::BTreeSet;
use std::path::Path;

use seqid_testkit::suite::{durable_cases, ledger_cases, numbering_cases, outbox_cases};

/// The names of the cases that are written in the files of the suite.
fn written() -> BTreeSet<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/suite/cases");
    let mut names = BTreeSet::new();
    for file in std::fs::read_dir(folder).unwrap() {
        let path = file.unwrap().path();
        let property = path.file_stem().unwrap().to_str().unwrap();
        let source = std::fs::read_to_string(&path).unwrap();
        let functions = source
            .lines()
            .filter_map(|line| line.strip_prefix("pub async fn "));
        names.extend(functions.map(|rest| format!("{property}::{}", rest.split_once('(').unwrap().0)));
    }
    names
}

#[test]
fn every_case_that_is_written_is_in_a_suite() {
    let mut listed = BTreeSet::new();
    for cases in [ledger_cases(), outbox_cases(), durable_cases()] {
        listed.extend(cases.iter().map(|case| case.name.to_owned()));
    }
    listed.extend(numbering_cases().iter().map(|case| case.name.to_owned()));
    assert_eq!(listed, written());
}
