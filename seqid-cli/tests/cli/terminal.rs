//! Colours and progress are for terminals.

use std::process::Command;

use crate::audit::many_events;
use crate::running::{Ended, Place, run};

const ESCAPE: char = '\u{1b}';

/// Runs a command on a terminal of its own. Standard output has what the terminal was sent.
fn on_a_terminal(place: &Place, arguments: &str, set: &[(&str, &str)]) -> Ended {
    let mut script = Command::new("script");
    let program = env!("CARGO_BIN_EXE_seqid");
    script
        .args([
            "--quiet",
            "--return",
            "--command",
            &format!("{program} {arguments}"),
            "/dev/null",
        ])
        .current_dir(place.folder())
        .env("SEQID_URL", place.served().url())
        .env("TERM", "xterm")
        .env_remove("NO_COLOR")
        .envs(set.iter().copied());
    run(&mut script)
}

#[test]
fn colours_are_for_terminals_of_people_who_want_them() {
    let place = Place::service();
    place.prints(&["next", "INV"]);
    let coloured = |set: &[(&str, &str)]| {
        let ended = on_a_terminal(&place, "status INV", set);
        assert_eq!(ended.code, Some(0), "{ended:?}");
        assert!(ended.stdout.contains("INV-002"), "{ended:?}");
        ended.stdout.contains(ESCAPE)
    };
    assert!(coloured(&[]));
    assert!(coloured(&[("NO_COLOR", "")]), "an empty NO_COLOR is none");
    assert!(!coloured(&[("NO_COLOR", "1")]));
    assert!(!coloured(&[("TERM", "dumb")]));
    assert!(
        !place.prints(&["status", "INV"]).contains(ESCAPE),
        "a pipe has no colours"
    );
    let json = on_a_terminal(&place, "--json status INV", &[]);
    assert!(!json.stdout.contains(ESCAPE), "JSON has no colours");
}

#[test]
fn progress_is_shown_on_a_terminal_alone() {
    let place = Place::service();
    many_events(&place);
    for (arguments, word) in [
        ("audit --export ndjson --output shown.jsonl", "exporting"),
        ("verify", "verifying"),
        ("bench --duration 1s --callers 2", "a second"),
    ] {
        let ended = on_a_terminal(&place, arguments, &[]);
        assert_eq!(ended.code, Some(0), "{ended:?}");
        assert!(
            ended.stdout.contains(word) && ended.stdout.contains(" %"),
            "{arguments}: {ended:?}"
        );
    }
    let ended = place.run(&["audit", "--export", "ndjson", "--output", "unseen.jsonl"]);
    assert_eq!((ended.stdout.as_str(), ended.stderr.as_str()), ("", ""));
}
