//! What a start says, and what it refuses.
#![allow(clippy::unwrap_used, reason = "a test fails by it")]

mod running;

use std::net::TcpListener;
use std::path::Path;
use std::process::Command;

use running::{Server, program, run};

/// Runs the commands that a banner shows, in their order, and answers what the last one printed.
#[track_caller]
fn run_as_printed(banner: &str) -> serde_json::Value {
    let commands: Vec<&str> = banner
        .lines()
        .map(str::trim)
        .filter(|line| line.starts_with("curl "))
        .collect();
    let mut last = None;
    for command in &commands {
        let ended = run(
            Command::new("sh").args(["-c", &format!("{command} --silent --show-error --fail-with-body")])
        );
        assert_eq!(ended.code, Some(0), "{command}: {}{}", ended.stdout, ended.stderr);
        last = Some(ended.stdout);
    }
    serde_json::from_str(&last.expect("the banner shows a command")).unwrap()
}

#[test]
fn the_printed_command_draws_a_number() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path());
    assert_eq!(run_as_printed(&server.banner)["id"], "INV-001");
    assert_eq!(run_as_printed(&server.banner)["id"], "INV-002");
    assert!(server.banner.contains("seqid-data/seqid.db"), "{}", server.banner);
    assert!(
        server.banner.contains("asks nobody who they are"),
        "{}",
        server.banner
    );
    server.stop();
}

#[test]
fn the_printed_commands_work_where_draws_define_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start_with(
        program(folder.path())
            .env("PORT", "0")
            .env("SEQID_BIND", "0.0.0.0"),
    );
    assert_eq!(run_as_printed(&server.banner)["id"], "INV-001");
    assert_eq!(run_as_printed(&server.banner)["id"], "INV-002");
    server.signal("TERM");
    assert!(server.banner.contains("NO AUTHENTICATION"), "{}", server.banner);
    let (_, log) = server.wait();
    assert!(log.contains("NO AUTHENTICATION"), "{log}");
}

#[test]
fn the_printed_documentation_is_there() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path());
    assert!(server.banner.contains(&format!("http://{}/docs", server.address)));
    assert_eq!(server.client().get("/docs").unwrap().status, 200);
}

#[test]
fn it_is_healthy_ready_and_counted() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path());
    let mut client = server.client();
    assert_eq!(client.get("/health").unwrap().status, 200);
    assert_eq!(client.get("/ready").unwrap().status, 200);
    server.draw();
    client
        .post("/api/v1/batch", Some("k"), r#"{"prefix":"INV","count":5}"#)
        .unwrap();
    client
        .post("/api/v1/batch", Some("k"), r#"{"prefix":"INV","count":5}"#)
        .unwrap();
    client
        .post("/api/v1/batch", Some("k"), r#"{"prefix":"INV","count":6}"#)
        .unwrap();
    let metrics = client.get("/metrics").unwrap();
    for line in [
        r#"seqid_draws_total{mode="gapless",replayed="false"} 2"#,
        r#"seqid_draws_total{mode="gapless",replayed="true"} 1"#,
        r#"seqid_numbers_total{mode="gapless"} 6"#,
        r#"seqid_errors_total{code="idempotency-mismatch"} 1"#,
        r#"seqid_http_answers_total{class="4xx"} 1"#,
        "seqid_batch_commands_count",
        "seqid_commit_seconds_count",
        "process_start_time_seconds",
        "seqid_build_info{version=",
        "seqid_http_connections",
    ] {
        assert!(
            metrics.body.lines().any(|found| found.starts_with(line)),
            "{line} is not in {}",
            metrics.body
        );
    }
    assert!(metrics.body.ends_with("# EOF\n"));
    assert!(!metrics.body.contains("seqid_relay"), "there is no relay");
}

#[test]
fn settings_reach_what_they_set() {
    let folder = tempfile::tempdir().unwrap();
    let zone = "Pacific/Kiritimati";
    let server = Server::start_with(
        program(folder.path())
            .env("PORT", "0")
            .env("SEQID_DATA", "elsewhere")
            .env("SEQID_TIME_ZONE", zone)
            .env("SEQID_IMPLICIT", "until_first_definition")
            .env("SEQID_ALLOW_REPEATS", "false")
            .env("SEQID_LOG_FORMAT", "json")
            .env("LOG_LEVEL", "seqid_server=info"),
    );
    assert!(folder.path().join("elsewhere/seqid.db").exists());
    server.draw();
    let mut client = server.client();
    let repeat = r#"{"prefix":"INV","new_value":1,"reason":"again","repeats":"accepted"}"#;
    let refused = client.post("/api/v1/reset", None, repeat).unwrap();
    assert_eq!(refused.json()["code"], "force-not-allowed", "{}", refused.body);
    let definition = client.get("/api/v1/sequences/INV").unwrap();
    assert!(definition.body.contains(zone), "{}", definition.body);
    let body = r#"{"format":"Q-{seq}"}"#;
    client
        .send(&format!(
            "PUT /api/v1/sequences/Q HTTP/1.1\r\nHost: t\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        ))
        .unwrap();
    assert_eq!(client.answer().unwrap().status, 201);
    let undefined = client.post("/api/v1/next", None, r#"{"prefix":"NEW"}"#).unwrap();
    assert_eq!(
        undefined.json()["code"],
        "sequence-not-found",
        "{}",
        undefined.body
    );
    server.signal("INT");
    let (_, log) = server.wait();
    for line in log.lines() {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        assert!(
            line["target"].as_str().unwrap().starts_with("seqid_server"),
            "{line}"
        );
    }
}

#[test]
fn repeats_are_allowed_where_they_are() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path());
    server.draw();
    let repeat = r#"{"prefix":"INV","new_value":1,"reason":"again","repeats":"accepted"}"#;
    let reset = server.client().post("/api/v1/reset", None, repeat).unwrap();
    assert_eq!(reset.status, 200, "{}", reset.body);
    assert_eq!(server.draw(), 1);
}

#[test]
fn a_port_that_is_taken_is_refused_before_the_data_is_touched() {
    let folder = tempfile::tempdir().unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let ended = run(program(folder.path()).env("PORT", &port));
    ended.refused(&[
        "cannot listen on 127.0.0.1:",
        "is taken by another program",
        "PORT",
    ]);
    assert!(!folder.path().join("seqid-data").exists());
}

#[test]
fn an_address_of_another_machine_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    // An address that documentation has for itself.
    let ended = run(program(folder.path())
        .env("PORT", "0")
        .env("SEQID_BIND", "192.0.2.1"));
    ended.refused(&["192.0.2.1", "SEQID_BIND"]);
}

#[test]
fn a_second_service_on_one_folder_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path());
    assert_eq!(server.draw(), 1);
    let ended = run(program(folder.path()).env("PORT", "0"));
    ended.refused(&["seqid.db", "is in use by another"]);
    assert_eq!(server.draw(), 2, "the first goes on");
    server.stop();
    assert_eq!(
        Server::start(folder.path()).draw(),
        3,
        "the lock ended with its holder"
    );
}

#[test]
fn a_folder_that_cannot_be_made_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("file"), "").unwrap();
    let ended = run(program(folder.path())
        .env("PORT", "0")
        .env("SEQID_DATA", "file/data"));
    ended.refused(&["file/data", "check that the folder"]);
}

#[test]
fn an_events_file_that_cannot_be_made_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let ended = run(program(folder.path())
        .env("PORT", "0")
        .env("SEQID_EVENTS_FILE", "nowhere/events.jsonl"));
    ended.refused(&["nowhere/events.jsonl", "SEQID_EVENTS_FILE"]);
}

#[test]
fn a_file_of_another_program_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("seqid-data")).unwrap();
    std::fs::write(
        folder.path().join("seqid-data/seqid.db"),
        "a shopping list, much longer than a header",
    )
    .unwrap();
    run(program(folder.path()).env("PORT", "0")).refused(&["seqid.db"]);
    let kept = std::fs::read_to_string(folder.path().join("seqid-data/seqid.db")).unwrap();
    assert!(
        kept.starts_with("a shopping list"),
        "what is refused is left alone"
    );
}

/// A folder with five numbers drawn, a backup after the third, and the backup put back.
fn restored(folder: &Path) {
    let server = Server::start(folder);
    for _ in 0..3 {
        server.draw();
    }
    let backup = run(program(folder).args(["backup", "--to", "backup.db"]));
    assert_eq!(backup.code, Some(0), "{}", backup.stderr);
    assert!(backup.stdout.contains("backup.db"), "{}", backup.stdout);
    for _ in 0..2 {
        server.draw();
    }
    server.stop();
    let data = folder.join("seqid-data");
    for file in std::fs::read_dir(&data).unwrap() {
        std::fs::remove_file(file.unwrap().path()).unwrap();
    }
    std::fs::copy(folder.join("backup.db"), data.join("seqid.db")).unwrap();
}

#[test]
fn a_restored_file_is_refused_until_an_operator_accepts_it() {
    let folder = tempfile::tempdir().unwrap();
    restored(folder.path());
    let ended = run(program(folder.path()).env("PORT", "0"));
    ended.refused(&["seqid.db", "seqid-server recover --reason"]);
    let arguments = [
        "recover",
        "--reason",
        "disk failed",
        "--margin",
        "2",
        "--actor",
        "anna",
    ];
    let recovered = run(program(folder.path()).args(arguments));
    assert_eq!(recovered.code, Some(0), "{}", recovered.stderr);
    assert!(
        recovered.stdout.contains("can be served again"),
        "{}",
        recovered.stdout
    );
    let server = Server::start(folder.path());
    assert_eq!(
        server.draw(),
        6,
        "1 to 3 are in the file, the margin covers 4 and 5"
    );
    server.stop();
    assert_eq!(Server::start(folder.path()).draw(), 7);
}

#[test]
fn a_file_in_use_is_not_recovered() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path());
    run(program(folder.path()).args(["recover", "--reason", "x"])).refused(&["is in use"]);
    server.stop();
}

#[test]
fn a_file_that_is_not_there_is_neither_recovered_nor_copied() {
    let folder = tempfile::tempdir().unwrap();
    for arguments in [["recover", "--reason", "x"], ["backup", "--to", "x"]] {
        run(program(folder.path()).args(arguments)).refused(&["there is no data file", "SEQID_DATA"]);
    }
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn a_backup_never_replaces_a_file() {
    let folder = tempfile::tempdir().unwrap();
    Server::start(folder.path()).stop();
    std::fs::write(folder.path().join("precious"), "mine").unwrap();
    run(program(folder.path()).args(["backup", "--to", "precious"])).refused(&["precious exists already"]);
    assert_eq!(
        std::fs::read_to_string(folder.path().join("precious")).unwrap(),
        "mine"
    );
    run(program(folder.path()).args(["backup", "--to", "nowhere/x"])).refused(&["nowhere/x"]);
}
