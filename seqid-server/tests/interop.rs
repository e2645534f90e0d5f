//! Clients in other languages, made from the packages of their registries, as their guides say.
//!
//! `scripts/install-test-needs.sh` puts the packages below the target folder.
#![allow(clippy::unwrap_used, reason = "a test fails by it")]

mod running;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use running::{Server, run};
use serde_json::{Value, json};

const PROTO: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../seqid-proto/proto");

/// What was installed for a language.
#[track_caller]
fn installed(language: &str, needs: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"))
        .join("../interop")
        .join(language);
    let wanted = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/clients")
        .join(language);
    let found = fs::read_to_string(folder.join(needs)).unwrap_or_default();
    assert_eq!(
        found,
        fs::read_to_string(wanted.join(needs)).unwrap(),
        "run scripts/install-test-needs.sh: the packages of {language} are not in {}",
        folder.display()
    );
    folder.canonicalize().unwrap()
}

/// The program in a guide.
fn program_of(guide: &str, language: &str) -> String {
    let (_, rest) = guide
        .split_once(&format!("```{language}\n"))
        .expect("the guide has a program");
    rest.split_once("```").expect("it has an end").0.to_owned()
}

/// What a program of a guide prints, of which only the stream may be in any order.
#[track_caller]
fn prints(command: &mut Command, server: &Server, refusal: &str) {
    let ended = run(command.arg(server.grpc.unwrap().to_string()));
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let lines: Vec<&str> = ended.stdout.lines().collect();
    let [invoice, refused, orders @ ..] = &lines[..] else {
        panic!("{ended:?}");
    };
    assert_eq!(*invoice, "INV-001");
    assert!(refused.starts_with(refusal), "{refused}");
    let mut orders: Vec<(&str, &str)> = orders.iter().map(|line| line.split_once(' ').unwrap()).collect();
    orders.sort_by_key(|(_, id)| *id);
    let ids: Vec<&str> = orders.iter().map(|(_, id)| *id).collect();
    assert_eq!(ids, ["ORD-001", "ORD-002", "ORD-003"]);
    orders.sort_unstable();
    let calls: Vec<&str> = orders.iter().map(|(call, _)| *call).collect();
    assert_eq!(calls, ["1", "2", "3"]);
}

#[test]
fn the_guide_of_python_works() {
    let python = installed("python", "requirements.txt").join("bin/python");
    let (data, folder) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let stubs = run(Command::new(&python)
        .current_dir(&folder)
        .args(["-m", "grpc_tools.protoc", "-I", PROTO])
        .args(["--python_out=.", "--grpc_python_out=.", "sequentialid.proto"]));
    assert_eq!(stubs.code, Some(0), "{stubs:?}");
    let program = program_of(include_str!("../../docs/python.md"), "python");
    fs::write(folder.path().join("invoice.py"), program).unwrap();
    let server = Server::start(data.path());
    let mut command = Command::new(&python);
    command.current_dir(&folder).arg("invoice.py");
    prints(&mut command, &server, "invalid-request not_issued no");
    server.stop();
}

#[test]
fn the_guide_of_node_works() {
    let modules = installed("node", "package.json").join("node_modules");
    let (data, folder) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    fs::copy(
        Path::new(PROTO).join("sequentialid.proto"),
        folder.path().join("sequentialid.proto"),
    )
    .unwrap();
    let program = program_of(include_str!("../../docs/node.md"), "javascript");
    fs::write(folder.path().join("invoice.js"), program).unwrap();
    let server = Server::start(data.path());
    let mut command = Command::new("node");
    command
        .current_dir(&folder)
        .env("NODE_PATH", modules)
        .arg("invoice.js");
    prints(&mut command, &server, "INVALID_ARGUMENT /date");
    server.stop();
}

#[test]
fn the_guide_of_curl_works() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start(data.path());
    let script = program_of(include_str!("../../docs/curl.md"), "bash");
    let mut command = Command::new("bash");
    command.args(["-euo", "pipefail", "-c", &script, "bash"]);
    let ended = run(command.arg(server.address.to_string()));
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""), "{ended:?}");
    let answers: Vec<Value> = ended
        .stdout
        .lines()
        .filter(|line| !line.is_empty())
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let [first, again, batch, refused, status] = &answers[..] else {
        panic!("{ended:?}");
    };
    assert_eq!(
        (&first["id"], &first["reference"]),
        (&json!("INV-001"), &json!("SO-4711"))
    );
    assert_eq!(again, first);
    assert_eq!(batch["ids"], json!(["INV-002", "INV-003", "INV-004"]));
    assert_eq!(
        (&refused["code"], &refused["retry"]),
        (&json!("invalid-request"), &json!("no"))
    );
    assert_eq!(status["next_number"], 5);
    server.stop();
}
