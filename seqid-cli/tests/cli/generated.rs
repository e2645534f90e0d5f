//! Completions and manual pages.

use std::fs;

use crate::running::{run, seqid};

const COMMANDS: [&str; 18] = [
    "next",
    "batch",
    "reserve",
    "confirm",
    "void",
    "status",
    "preview",
    "parse",
    "define",
    "list",
    "reset",
    "sync",
    "gaps",
    "audit",
    "verify",
    "bench",
    "completions",
    "man",
];

#[test]
fn every_shell_has_completions_of_every_command() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let ended = run(seqid().args(["completions", shell]));
        assert_eq!(ended.code, Some(0), "{ended:?}");
        for command in COMMANDS {
            assert!(ended.stdout.contains(command), "{shell} has no {command}");
        }
        assert!(ended.stdout.contains("accept-repeats"), "{shell} has no options");
    }
}

#[test]
fn every_command_has_a_manual_page_with_its_examples() {
    let folder = tempfile::tempdir().unwrap();
    let ended = run(seqid().args(["man", "--output"]).arg(folder.path()));
    assert_eq!((ended.code, ended.stdout.as_str()), (Some(0), ""), "{ended:?}");
    assert_eq!(folder.path().read_dir().unwrap().count(), COMMANDS.len() + 1);
    for command in COMMANDS {
        let page = run(seqid().args(["man", command])).stdout;
        assert!(
            page.contains(".TH") && page.contains("Examples:"),
            "{command}: {page}"
        );
        let written = fs::read_to_string(folder.path().join(format!("seqid-{command}.1"))).unwrap();
        assert!(written.contains("Examples:"), "{command}");
    }
    let page = run(seqid().arg("man")).stdout;
    assert!(page.contains("Exit codes:"), "{page}");
}

#[test]
fn help_names_every_command_and_every_exit_code() {
    let help = run(seqid().arg("--help")).stdout;
    for command in COMMANDS {
        assert!(help.contains(&format!("\n  {command} ")), "{command}: {help}");
    }
    for code in 0..=5 {
        assert!(help.contains(&format!("\n  {code}  ")), "{code}: {help}");
    }
}
