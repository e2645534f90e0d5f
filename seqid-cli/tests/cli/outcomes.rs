//! Exit codes by outcome class, and what is said.

use std::fs::OpenOptions;
use std::net::TcpListener;
use std::process::Stdio;

use serde_json::json;

use crate::running::{Place, run, seqid};

/// A port at which nobody listens.
fn nobody() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    format!("http://{}", listener.local_addr().unwrap())
}

#[test]
fn what_is_refused_ends_with_1() {
    for place in Place::both() {
        place.prints(&["define", "S", "--format", "S{seq}", "--max", "2"]);
        let ended = place.run(&["batch", "S", "3", "--json"]);
        let problem = ended.problem();
        assert_eq!(ended.code, Some(1));
        assert_eq!(problem["code"], "batch-does-not-fit");
        assert_eq!((&problem["remaining"], &problem["exit"]), (&json!(2), &json!(1)));
        assert_eq!(
            (&problem["outcome"], &problem["retry"]),
            (&json!("not_issued"), &json!("no"))
        );
        place.prints(&["batch", "S", "2"]);
        place.run(&["next", "S"]).told(1, &["seqid: "]);
        place.run(&["status", "NONE"]).told(1, &["seqid define --help"]);
    }
}

#[test]
fn what_is_wrong_on_the_command_line_ends_with_2_and_asks_nobody() {
    let url = nobody();
    for arguments in [
        &[][..],
        &["draw", "INV"],
        &["next"],
        &["next", "I V"],
        &["next", "INV", "--date", "tomorrow"],
        &["next", "INV", "--scope", "branch"],
        &["batch", "INV", "-1"],
        &["reset", "INV", "9223372036854775808", "--reason", "too large"],
        &["reserve", "INV", "--ttl", "soon"],
        &["next", "INV", "--timeout", "99ms"],
        &["next", "INV", "--timeout", "11m"],
        &["next", "INV", "--url", "not an address"],
        &["next", "INV", "--url", "127.0.0.1:9090"],
        &["next", "INV", "--ca-file", "missing.pem"],
        &["next", "INV", "--url", "http://127.0.0.1:1", "--file", "seqid.db"],
        &["next", "INV", "--create"],
        &["next", "INV", "--file", "missing.db"],
        &["audit", "--limit", "0"],
        &["audit", "--limit", "100001"],
        &["audit", "--period", "2026"],
        &["audit", "--kind", "burnt"],
        &["audit", "--follow", "--export", "csv"],
        &["bench", "--callers", "0"],
        &["bench", "--callers", "10001"],
        &["bench", "--batch", "10001"],
        &["bench", "--duration", "999ms"],
        &["completions", "klingon"],
        &["man", "draw"],
        &["verify", "--export", "missing.jsonl"],
        &["verify", "--checkpoint", "missing.jsonl"],
    ] {
        let folder = tempfile::tempdir().unwrap();
        let ended = run(seqid()
            .current_dir(&folder)
            .env("SEQID_URL", &url)
            .args(arguments));
        assert_eq!(ended.code, Some(2), "{arguments:?}: {ended:?}");
        assert!(!ended.stderr.is_empty(), "{arguments:?}");
        assert_eq!(
            folder.path().read_dir().unwrap().count(),
            0,
            "{arguments:?} made a file"
        );
    }
}

#[test]
fn a_service_that_is_away_ends_with_3_and_nothing_was_issued() {
    let ended = run(seqid().args(["--url", &nobody(), "--timeout", "100ms", "next", "INV"]));
    ended.told(3, &["does not answer", "--url", "--file", "Nothing was issued"]);
    let ended = run(seqid().args(["--url", &nobody(), "--timeout", "100ms", "--json", "next", "INV"]));
    assert_eq!(ended.problem()["retry"], "same_request");
}

#[test]
fn of_several_instances_one_that_is_there_is_asked() {
    let place = Place::service();
    let urls = format!("{},{}", nobody(), place.served().url());
    let ended = run(place.command().env("SEQID_URL", urls).args(["next", "INV"]));
    assert_eq!(
        (ended.code, ended.stdout.as_str()),
        (Some(0), "INV-001\n"),
        "{ended:?}"
    );
}

#[test]
fn a_file_that_is_served_ends_with_3_and_names_the_way_out() {
    let place = Place::service();
    place.prints(&["next", "INV"]);
    let file = place.data_file();
    let ended = run(seqid().arg("--file").arg(&file).args(["next", "INV"]));
    ended.told(3, &["in use by another", "--url"]);
    let ended = run(seqid().arg("--file").arg(&file).arg("verify"));
    assert_eq!(ended.code, Some(0), "it can be verified meanwhile: {ended:?}");
}

#[test]
fn a_file_on_the_command_line_comes_before_an_address_in_the_environment() {
    let place = Place::file();
    let ended = run(place.command().env("SEQID_URL", nobody()).args(["next", "INV"]));
    assert_eq!(
        (ended.code, ended.stdout.as_str()),
        (Some(0), "INV-001\n"),
        "{ended:?}"
    );
}

/// A service that takes requests and never answers: nobody knows what became of them.
#[test]
fn an_unknown_outcome_ends_with_4_and_names_the_key_that_settles_it() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", silent.local_addr().unwrap());
    let taken = std::thread::spawn(move || {
        let mut taken = Vec::new();
        while let Ok((stream, _)) = silent.accept() {
            taken.push(stream);
        }
    });
    let asked = ["--timeout", "300ms", "--json", "next", "INV"];
    let ended = run(seqid().args(["--url", &url]).args(asked));
    assert_eq!((ended.code, ended.stdout.as_str()), (Some(4), ""), "{ended:?}");
    let problem = ended.problem();
    assert_eq!(
        (&problem["outcome"], &problem["retry"]),
        (&json!("unknown"), &json!("same_key"))
    );
    let key = problem["key"].as_str().unwrap();

    let place = Place::service();
    let first = place.prints(&["next", "INV", "--key", key]);
    assert_eq!(
        place.prints(&["next", "INV", "--key", key]),
        first,
        "the key settles it"
    );

    let asked = ["--timeout", "300ms", "next", "INV", "--key", "order-7"];
    run(seqid().args(["--url", &url]).args(asked)).told(4, &["may have been carried out", "--key order-7"]);
    let reservation = "5f1d7a3c9b2e4860a7c1d9e3f5b70824";
    let asked = ["--timeout", "300ms", "confirm", reservation];
    run(seqid().args(["--url", &url]).args(asked)).told(4, &["Repeat it as it is"]);
    drop(taken);
}

#[test]
fn an_answer_that_cannot_be_written_ends_with_5() {
    for place in Place::both() {
        let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
        let child = place
            .command()
            .args(["next", "INV"])
            .stdout(full)
            .stderr(Stdio::piped())
            .spawn();
        let output = child.unwrap().wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(5));
        assert!(
            String::from_utf8(output.stderr)
                .unwrap()
                .contains("cannot write the answer")
        );
        assert_eq!(place.prints(&["next", "INV"]), "INV-002\n", "it was carried out");
    }
}

#[test]
fn a_reader_that_goes_away_is_no_fault() {
    let place = Place::service();
    for _ in 0..3 {
        place.prints(&["batch", "INV", "2000"]);
    }
    let script = "\"$0\" batch INV 10000 | head -1; echo ${PIPESTATUS[0]}";
    let mut shell = std::process::Command::new("bash");
    shell
        .args(["-c", script, env!("CARGO_BIN_EXE_seqid")])
        .env("SEQID_URL", place.served().url());
    let ended = run(&mut shell);
    assert_eq!(ended.stdout, "INV-6001\n0\n", "{ended:?}");
    assert!(!ended.stderr.contains("write"), "{ended:?}");
}
