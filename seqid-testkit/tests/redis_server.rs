//! Private Redis servers do what tests rely on, and leave nothing behind.
#![cfg(unix)]

use std::env;
use std::net::TcpStream;
use std::process::Command;

use seqid_testkit::servers::{RedisCluster, RedisSentinels, RedisServer, ServerError};

fn answers(port: u16) -> bool {
    TcpStream::connect(("127.0.0.1", port)).is_ok()
}

#[test]
fn it_asks_for_its_password_and_is_gone_when_it_is_dropped() {
    let server = RedisServer::start_with(&[("maxclients", "50")]).unwrap();
    assert_eq!(
        server.cli(&["CONFIG", "GET", "maxclients"]).unwrap(),
        "maxclients\n50"
    );
    assert_eq!(
        server.cli(&["CONFIG", "GET", "appendonly"]).unwrap(),
        "appendonly\nyes"
    );
    assert_eq!(server.info("role").unwrap(), "master");
    let stranger = Command::new(server.program_folder().join("redis-cli"))
        .args(["-p", &server.port().to_string(), "DBSIZE"])
        .output()
        .unwrap();
    assert!(
        String::from_utf8_lossy(&stranger.stdout).starts_with("NOAUTH"),
        "{stranger:?}"
    );
    assert_eq!(
        server.url(),
        format!("redis://:password@127.0.0.1:{}/0", server.port())
    );

    let (folder, port) = (server.folder().to_owned(), server.port());
    assert!(server.data_folder().starts_with(&folder));
    drop(server);
    assert!(!folder.exists());
    assert!(!answers(port));
}

#[test]
fn a_refused_command_is_an_error() {
    let error = RedisServer::shared().cli(&["NOSUCH"]).unwrap_err();
    assert!(error.to_string().contains("unknown command"), "{error}");
}

#[test]
fn it_starts_again_with_its_data_with_none_and_with_an_old_dump() {
    let mut server = RedisServer::start_with(&[("appendfsync", "always")]).unwrap();
    let port = server.port();
    server.cli(&["SET", "n", "1"]).unwrap();
    let dump = server.dump().unwrap();
    server.cli(&["SET", "n", "2"]).unwrap();
    server.kill().unwrap();
    assert!(!answers(port));
    server.kill().expect("it is down already");
    server.start_again().unwrap();
    assert_eq!(server.cli(&["GET", "n"]).unwrap(), "2");
    server.start_with_dump(&dump).unwrap();
    assert_eq!(server.cli(&["GET", "n"]).unwrap(), "1");
    server.start_empty().unwrap();
    assert_eq!(server.cli(&["DBSIZE"]).unwrap(), "0");
    assert_eq!(server.port(), port);
    server.stop().unwrap();
    assert!(!answers(port));
}

#[test]
fn a_paused_server_answers_when_it_is_resumed() {
    let mut server = RedisServer::start().unwrap();
    server.pause().unwrap();
    let mut client = Command::new(server.program_folder().join("redis-cli"));
    let client = client
        .args(["-p", &server.port().to_string(), "PING"])
        .env("REDISCLI_AUTH", server.password())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    server.resume().unwrap();
    assert_eq!(client.wait_with_output().unwrap().stdout, b"PONG\n");
    // Neither dropping nor stopping it waits for a process that stands still.
    server.pause().unwrap();
    server.stop().unwrap();
    server.start_again().unwrap();
    server.pause().unwrap();
}

#[test]
fn what_keeps_a_server_from_starting_is_in_the_error() {
    let error = RedisServer::start_with(&[("maxclients", "many")]).unwrap_err();
    assert!(error.to_string().contains("maxclients many"), "{error}");
}

#[test]
fn sentinels_promote_a_replica_when_the_primary_is_killed() {
    let mut group = RedisSentinels::start().unwrap();
    assert_eq!(group.primary_by(0).unwrap(), Some(0));
    group.servers[0].cli(&["SET", "n", "1"]).unwrap();
    assert_eq!(group.servers[0].cli(&["WAIT", "2", "0"]).unwrap(), "2");
    group.servers[0].kill().unwrap();
    let primary = group.wait_for_other_than(0).unwrap();
    assert_ne!(primary, 0);
    assert_eq!(group.servers[primary].cli(&["GET", "n"]).unwrap(), "1");
}

#[test]
fn a_cluster_moves_a_slot_with_its_keys() {
    let cluster = RedisCluster::start().unwrap();
    let slot = cluster.slot("{one}n").unwrap();
    let from = cluster.primary_of(slot, 0).unwrap();
    cluster.nodes[from].cli(&["SET", "{one}n", "1"]).unwrap();
    let to = (0..6)
        .find(|node| *node != from && cluster.nodes[*node].info("role").unwrap() == "master")
        .unwrap();
    cluster.move_slot(slot, to).unwrap();
    assert_eq!(cluster.primary_of(slot, to).unwrap(), to);
    assert_eq!(cluster.nodes[to].cli(&["GET", "{one}n"]).unwrap(), "1");
    let moved = cluster.nodes[from].cli(&["GET", "{one}n"]).unwrap_err();
    assert!(moved.to_string().contains("MOVED"), "{moved}");
}

#[test]
fn missing_programs_are_an_error_that_says_what_to_install() {
    let Err(error @ ServerError::Missing { .. }) = RedisServer::start() else {
        // This process has them; one that is told to look elsewhere has not.
        let output = Command::new(env::current_exe().unwrap())
            .args([
                "--exact",
                "missing_programs_are_an_error_that_says_what_to_install",
                "--nocapture",
            ])
            .env("SEQID_REDIS_BIN", "/nowhere")
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(text.contains("apt-get install redis-server"), "{text}");
        assert!(text.contains("in none of /nowhere;"), "{text}");
        return;
    };
    println!("{error}");
}
