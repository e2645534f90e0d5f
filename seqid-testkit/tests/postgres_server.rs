//! Private PostgreSQL servers do what tests rely on, and leave nothing behind.
#![cfg(unix)]

use std::env;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::thread;
use std::time::Duration;

use seqid_testkit::servers::{PostgresServer, ServerError};

/// Asks a test of this program to say which server it has, and to keep it until it is killed.
const HOLD: &str = "SEQID_TEST_HOLD";

/// Runs one test of this program in a process of its own.
fn in_a_process(test: &str) -> Command {
    let mut command = Command::new(env::current_exe().expect("it has a path"));
    command.args(["--exact", test, "--nocapture"]);
    command
}

fn psql(server: &PostgresServer) -> Command {
    Command::new(server.program_folder().join("psql"))
}

/// Over TCP, as drivers do it, and not by the socket that asks for no password.
fn over_tcp(server: &PostgresServer, password: &str) -> Output {
    psql(server)
        .args([
            "-XAtq",
            "-h",
            server.host(),
            "-p",
            &server.port().to_string(),
            "-U",
            server.user(),
            "-d",
            "postgres",
        ])
        .args([
            "-c",
            "SELECT current_setting('fsync'), current_setting('max_connections')",
        ])
        .env("PGPASSWORD", password)
        .output()
        .expect("psql runs")
}

fn answers(port: u16) -> bool {
    TcpStream::connect(("127.0.0.1", port)).is_ok()
}

#[test]
fn it_is_durable_and_asks_for_its_password_over_tcp() {
    let server = PostgresServer::start_with(&[("max_connections", "10")]).unwrap();
    let known = over_tcp(&server, server.password());
    assert_eq!(
        String::from_utf8_lossy(&known.stdout).trim(),
        "on|10",
        "{known:?}"
    );
    assert!(!over_tcp(&server, "guessed").status.success());
    assert_eq!(
        server.url("invoices"),
        format!(
            "postgres://postgres:{}@127.0.0.1:{}/invoices",
            server.password(),
            server.port()
        )
    );

    let folder = server.socket_folder().to_owned();
    let port = server.port();
    assert!(server.data_folder().starts_with(&folder));
    drop(server);
    assert!(!folder.exists());
    assert!(!answers(port));
}

#[test]
fn the_shared_server_is_one_and_databases_on_it_see_nothing_of_each_other() {
    let server = PostgresServer::shared();
    assert!(std::ptr::eq(
        server,
        thread::spawn(PostgresServer::shared).join().unwrap()
    ));
    let (one, other) = (server.database().unwrap(), server.database().unwrap());
    assert_ne!(one.url(), other.url());
    one.psql("CREATE TABLE t (n int); INSERT INTO t VALUES (1), (2)")
        .unwrap();
    assert_eq!(one.psql("SELECT n, n * 2 FROM t ORDER BY n").unwrap(), "1|2\n2|4");
    let error = other.psql("SELECT n FROM t").unwrap_err();
    assert!(
        error.to_string().contains("relation \"t\" does not exist"),
        "{error}"
    );
    drop(one);
    assert_eq!(
        server
            .psql(
                "postgres",
                "SELECT count(*) FROM pg_database WHERE datname LIKE 'test_%'"
            )
            .unwrap(),
        "1"
    );

    if env::var_os(HOLD).is_some() {
        // A child that outlives this process must not hold what the guardian waits for.
        let mut bystander = Command::new("cat")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        println!("\nholding {} {}", server.port(), server.socket_folder().display());
        bystander.wait().unwrap();
    }
}

/// A process with a server, and where that server is.
fn holder() -> (Child, u16, PathBuf) {
    let mut child = in_a_process("the_shared_server_is_one_and_databases_on_it_see_nothing_of_each_other")
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
        .expect("it has a server");
    let (port, folder) = server.split_once(' ').expect("both are said");
    (child, port.parse().expect("a port"), folder.into())
}

#[test]
fn a_killed_test_program_leaves_no_server_and_no_folder() {
    let (mut child, port, folder) = holder();
    assert!(answers(port));
    assert!(folder.exists());
    assert_ne!(processes_in(&folder), "");
    let bystander = child.stdin.take().unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    // As long as it takes: what is never removed ends in the time limit of the whole test run.
    while folder.exists() {
        thread::sleep(Duration::from_millis(10));
    }
    assert!(!answers(port));
    assert_eq!(processes_in(&folder), "");
    drop(bystander);
}

/// The lines of `ps` that name the folder.
fn processes_in(folder: &Path) -> String {
    let output = Command::new("ps")
        .args(["-A", "-o", "args="])
        .output()
        .expect("ps runs");
    let all = String::from_utf8_lossy(&output.stdout).into_owned();
    let folder = folder.to_string_lossy();
    all.lines().filter(|line| line.contains(&*folder)).collect()
}

#[test]
fn after_a_kill_it_starts_with_what_was_committed_and_nothing_else() {
    let mut server = PostgresServer::start().unwrap();
    let database = server.database().unwrap();
    database
        .psql("CREATE TABLE t (n int); INSERT INTO t VALUES (1)")
        .unwrap();
    let port = server.port();
    let url = database.url();
    let mut session = psql(&server)
        .args(["-Xq", &url])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let statements = "BEGIN; INSERT INTO t VALUES (2);\n\\echo inserted\nSELECT pg_sleep(600);\n";
    session
        .stdin
        .as_mut()
        .unwrap()
        .write_all(statements.as_bytes())
        .unwrap();
    BufReader::new(session.stdout.as_mut().unwrap())
        .read_line(&mut String::new())
        .unwrap();

    server.kill().unwrap();
    session.stdin = None;
    assert!(!session.wait().unwrap().success(), "its session was killed too");
    assert!(!answers(port));
    server.kill().expect("it is down already");
    assert!(matches!(
        database.psql("SELECT 1"),
        Err(ServerError::Failed { .. })
    ));

    server.start_again().unwrap();
    assert_eq!(server.port(), port);
    assert_eq!(database.psql("SELECT n FROM t").unwrap(), "1");
    server.stop().unwrap();
    assert!(!answers(port));
    server.start_again().unwrap();
    assert_eq!(database.psql("SELECT n FROM t").unwrap(), "1");
}

#[test]
fn a_paused_server_answers_when_it_is_resumed() {
    let mut server = PostgresServer::start().unwrap();
    server.pause().unwrap();
    let states = format!(
        "ps -o stat= -p $(sed -n 1p {}/postmaster.pid)",
        server.data_folder().display()
    );
    let states = Command::new("sh").args(["-c", &states]).output().unwrap();
    assert!(states.stdout.starts_with(b"T"), "{states:?}");
    let query = psql(&server)
        .args(["-XAtq", &server.url("postgres"), "-c", "SELECT 7"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    server.resume().unwrap();
    assert_eq!(query.wait_with_output().unwrap().stdout, b"7\n");
    // Neither dropping nor stopping it waits for processes that stand still.
    server.pause().unwrap();
    server.stop().unwrap();
    server.start_again().unwrap();
    server.pause().unwrap();
}

#[test]
fn a_copy_has_the_data_of_its_moment_and_goes_its_own_way() {
    let mut server = PostgresServer::start().unwrap();
    let database = server.database().unwrap();
    database
        .psql("CREATE TABLE t (n int); INSERT INTO t VALUES (1)")
        .unwrap();
    let copy = server.copy_to_new_server().unwrap();
    database.psql("INSERT INTO t VALUES (2)").unwrap();
    copy.psql(database.name(), "INSERT INTO t VALUES (3)").unwrap();
    let rows = "SELECT string_agg(n::text, ' ' ORDER BY n) FROM t";
    assert_eq!(database.psql(rows).unwrap(), "1 2");
    assert_eq!(copy.psql(database.name(), rows).unwrap(), "1 3");
    assert_ne!(copy.port(), server.port());
    let id = "SELECT system_identifier FROM pg_control_system()";
    assert_eq!(
        copy.psql("postgres", id).unwrap(),
        server.psql("postgres", id).unwrap()
    );
    assert_ne!(copy.database().unwrap().name(), database.name());
}

#[test]
fn what_keeps_a_server_from_starting_is_in_the_error() {
    let error = PostgresServer::start_with(&[("shared_buffers", "a lot")]).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("invalid value for parameter \"shared_buffers\": \"a lot\""),
        "{error}"
    );
}

#[test]
fn missing_programs_are_an_error_that_says_what_to_install() {
    let Err(error @ ServerError::Missing { .. }) = PostgresServer::start() else {
        // This process has them; one that is told to look elsewhere has not.
        let output = in_a_process("missing_programs_are_an_error_that_says_what_to_install")
            .env("SEQID_POSTGRES_BIN", "/nowhere")
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(text.contains("apt-get install postgresql"), "{text}");
        assert!(text.contains("in none of /nowhere;"), "{text}");
        return;
    };
    println!("{error}");
}
