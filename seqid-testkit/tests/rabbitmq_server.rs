//! Private RabbitMQ nodes do what tests rely on, and leave nothing behind.
#![cfg(unix)]

use std::env;
use std::io::{BufRead, BufReader};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use seqid_testkit::servers::{RabbitMqServer, ServerError};

/// Asks a test of this program to say which node it has, and to keep it until it is killed.
const HOLD: &str = "SEQID_TEST_HOLD";

fn answers(port: u16) -> bool {
    TcpStream::connect(("127.0.0.1", port)).is_ok()
}

/// The lines of `ps` that name the word.
fn processes_with(word: &str) -> String {
    let output = Command::new("ps")
        .args(["-A", "-o", "args="])
        .output()
        .expect("ps runs");
    let all = String::from_utf8_lossy(&output.stdout).into_owned();
    all.lines()
        .filter(|line| line.contains(word))
        .collect::<Vec<_>>()
        .join("\n")
}

/// The port of a node's name server.
fn names_port(server: &RabbitMqServer) -> u16 {
    let output = server
        .ctl(&["eval", "os:getenv(\"ERL_EPMD_PORT\")."])
        .expect("it answers");
    output.trim_matches('"').parse().expect("a port")
}

#[test]
fn it_keeps_what_is_durable_and_is_gone_when_it_is_dropped() {
    let mut server = RabbitMqServer::start_with(&[("heartbeat", "7")]).unwrap();
    let port = server.port();
    assert_eq!(server.url(), format!("amqp://guest:guest@127.0.0.1:{port}/%2f"));
    let heartbeat = ["eval", "application:get_env(rabbit, heartbeat)."];
    assert_eq!(server.ctl(&heartbeat).unwrap(), "{ok,7}");
    let names = names_port(&server);
    assert!(answers(names));
    // The node writes its log of declarations behind: a kill may come before.
    let declare = "rabbit_amqqueue:declare(rabbit_misc:r(<<\"/\">>, queue, <<\"kept\">>), true, false, [], none, <<\"t\">>), mnesia:sync_log(), ok.";
    server.ctl(&["eval", declare]).unwrap();

    server.kill().unwrap();
    assert!(!answers(port));
    assert!(!answers(names));
    server.kill().expect("it is down already");
    assert!(matches!(
        server.ctl(&["list_queues"]),
        Err(ServerError::Failed { .. })
    ));
    assert!(!answers(names), "nor do tools start a name server");

    server.start_again().unwrap();
    assert_eq!(server.port(), port);
    assert_eq!(server.ctl(&["list_queues", "name"]).unwrap(), "name\nkept");
    server.stop().unwrap();
    assert!(!answers(port));
    server.start_again().unwrap();
    assert_eq!(server.ctl(&["list_queues", "name"]).unwrap(), "name\nkept");

    let folder = server.folder().to_owned();
    drop(server);
    assert!(!folder.exists());
    assert!(!answers(port));
    assert!(!answers(names));
    assert_eq!(processes_with(&folder.to_string_lossy()), "");
}

#[test]
fn the_shared_node_is_one_and_virtual_hosts_on_it_see_nothing_of_each_other() {
    let server = RabbitMqServer::shared();
    assert!(std::ptr::eq(
        server,
        thread::spawn(RabbitMqServer::shared).join().unwrap()
    ));
    let (one, other) = (server.virtual_host().unwrap(), server.virtual_host().unwrap());
    assert_ne!(one.name(), other.name());
    assert!(one.url().ends_with(one.name()), "{}", one.url());
    let permissions = server.ctl(&["list_permissions", "-p", one.name()]).unwrap();
    assert!(permissions.ends_with("\nguest\t.*\t.*\t.*"), "{permissions}");

    if env::var_os(HOLD).is_some() {
        // A child that outlives this process must not hold what the guardian waits for.
        let mut bystander = Command::new("cat")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        println!("\nholding {} {}", server.port(), server.folder().display());
        bystander.wait().unwrap();
    }
}

/// A process with a node, and where that node is.
fn holder() -> (Child, u16, PathBuf) {
    let test = "the_shared_node_is_one_and_virtual_hosts_on_it_see_nothing_of_each_other";
    let mut child = Command::new(env::current_exe().expect("it has a path"))
        .args(["--exact", test, "--nocapture"])
        .env(HOLD, "1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("it runs");
    let lines = BufReader::new(child.stdout.take().expect("it is piped")).lines();
    let server = lines
        .map_while(Result::ok)
        .find_map(|line| Some(line.strip_prefix("holding ")?.to_owned()))
        .expect("it has a node");
    let (port, folder) = server.split_once(' ').expect("both are said");
    (child, port.parse().expect("a port"), folder.into())
}

#[test]
fn a_killed_test_program_leaves_no_node_and_no_folder() {
    let (mut child, port, folder) = holder();
    assert!(answers(port));
    let name = Path::new(&folder).to_string_lossy().into_owned();
    assert_ne!(processes_with(&name), "");
    let bystander = child.stdin.take().unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    // As long as it takes: what is never removed ends in the time limit of the whole test run.
    while folder.exists() {
        thread::sleep(Duration::from_millis(10));
    }
    assert!(!answers(port));
    assert_eq!(processes_with(&name), "");
    drop(bystander);
}

#[test]
fn what_keeps_a_node_from_starting_is_in_the_error() {
    let error = RabbitMqServer::start_with(&[("heartbeat", "often")]).unwrap_err();
    assert!(error.to_string().contains("heartbeat"), "{error}");
}

#[test]
fn missing_programs_are_an_error_that_says_what_to_install() {
    let Err(error @ ServerError::Missing { .. }) = RabbitMqServer::start() else {
        // This process has them; one that is told to look elsewhere has not.
        let output = Command::new(env::current_exe().unwrap())
            .args([
                "--exact",
                "missing_programs_are_an_error_that_says_what_to_install",
                "--nocapture",
            ])
            .env("SEQID_RABBITMQ_BIN", "/nowhere")
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(text.contains("apt-get install rabbitmq-server"), "{text}");
        assert!(text.contains("in none of /nowhere;"), "{text}");
        return;
    };
    println!("{error}");
}
