//! Everything that the guide shows can be run, and prints what it says.

use std::fs;
use std::process::Command;

use crate::running::{Place, run};

/// A program of the guide, and what it says that it prints.
fn programs(guide: &str) -> Vec<(String, Option<String>)> {
    let mut programs: Vec<(String, Option<String>)> = Vec::new();
    let mut parts = guide.split("```");
    let _prose = parts.next();
    while let (Some(block), prose) = (parts.next(), parts.next()) {
        let (language, body) = block.split_once('\n').unwrap();
        match (language, programs.last_mut()) {
            ("sh", _) => programs.push((body.to_owned(), None)),
            ("text", Some((_, printed))) => *printed = Some(body.to_owned()),
            _ => panic!("a block in {language:?} is not run"),
        }
        assert!(prose.is_some(), "a block has no end");
    }
    programs
}

#[test]
fn the_guide_works() {
    let place = Place::service();
    let programs = programs(include_str!("../../../docs/cli.md"));
    assert!(programs.len() >= 9);
    let folder = std::path::Path::new(env!("CARGO_BIN_EXE_seqid"))
        .parent()
        .unwrap();
    let path = format!("{}:{}", folder.display(), std::env::var("PATH").unwrap());
    for (program, printed) in programs {
        let ended = run(Command::new("bash")
            .args(["-euo", "pipefail", "-c", &program])
            .current_dir(place.folder())
            .env("PATH", &path)
            .env("SEQID_URL", place.served().url()));
        assert_eq!(ended.code, Some(0), "{program}: {ended:?}");
        if let Some(printed) = printed {
            assert_eq!(ended.stdout, printed, "{program}");
        }
    }
    let written = |name: &str| fs::read_to_string(place.folder().join(name)).unwrap();
    assert!(written("confirmed.txt").contains("confirmed"));
    assert!(written("load.svg").contains("<polyline"));
    assert!(written("load.json").contains("\"latency_us\""));
    assert!(written("seqid.bash").contains("_seqid"));
    assert!(written("seqid-audit.1").contains(".TH"));
    assert!(written("man1/seqid-next.1").contains(".TH"));
}
