//! The real program, run in a folder of its own, and a small HTTP client to talk to it.
#![allow(
    dead_code,
    unreachable_pub,
    unused_imports,
    clippy::unwrap_used,
    reason = "each test program uses a part, and fails by it"
)]

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use seqid_testkit::programs;
pub use seqid_testkit::programs::{Ended, run};
use serde_json::Value;

/// How long anything may take before a test fails.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// The program with nothing configured but its folder, in which the data is.
pub fn program(folder: &Path) -> Command {
    let mut command = programs::program(env!("CARGO_BIN_EXE_seqid-server"));
    command
        .current_dir(folder)
        .env("GRPC_PORT", "0")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// A serving program. Killed when it is dropped.
#[derive(Debug)]
pub struct Server {
    child: Child,
    stdout: BufReader<ChildStdout>,
    pub address: SocketAddr,
    /// Where it listens for gRPC.
    pub grpc: Option<SocketAddr>,
    pub banner: String,
}

impl Server {
    /// Serves the data of a folder on a free port.
    #[track_caller]
    pub fn start(folder: &Path) -> Self {
        Self::start_with(program(folder).env("PORT", "0"))
    }

    /// Serves what is configured, and waits until it does.
    #[track_caller]
    pub fn start_with(command: &mut Command) -> Self {
        let mut child = command.spawn().expect("the program runs");
        let mut stdout = BufReader::new(child.stdout.take().expect("stdout is piped"));
        let mut banner = String::new();
        // The banner of a service ends with the address of the documentation, that of a worker with that of the metrics.
        while !(banner.contains("/docs") || banner.contains("/metrics")) {
            if stdout.read_line(&mut banner).expect("the banner can be read") == 0 {
                let output = child.wait_with_output().expect("the program ends");
                panic!(
                    "did not start: {}{}",
                    banner,
                    String::from_utf8_lossy(&output.stderr)
                );
            }
        }
        let (_, url) = banner.split_once("http://").expect("the banner names an address");
        let address = url
            .split_whitespace()
            .next()
            .unwrap()
            .parse()
            .expect("the address is one");
        let grpc = banner.split_once("gRPC it listens on ").map(|(_, rest)| {
            let address = rest.lines().next().unwrap().trim_end_matches('.');
            address.parse().expect("the address is one")
        });
        Self {
            child,
            stdout,
            address,
            grpc,
            banner,
        }
    }

    pub fn client(&self) -> Client {
        Client::connect(self.address).expect("the service accepts")
    }

    /// Draws one `INV`.
    #[track_caller]
    pub fn draw(&self) -> u64 {
        let answer = self
            .client()
            .post("/api/v1/next", None, r#"{"prefix":"INV"}"#)
            .expect("an answer");
        assert_eq!(answer.status, 200, "{}", answer.body);
        answer.json()["number"].as_u64().expect("a number")
    }

    /// Bytes of memory that it has in use.
    #[track_caller]
    pub fn resident(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kibibytes = line.unwrap().trim().trim_end_matches(" kB");
        kibibytes.parse::<u64>().unwrap() * 1_024
    }

    /// Sends SIGTERM, SIGINT and such.
    pub fn signal(&self, name: &str) {
        let status = Command::new("sh")
            .args(["-c", &format!("kill -{name} {}", self.child.id())])
            .status();
        assert!(status.expect("sh runs").success());
    }

    pub fn kill(mut self) {
        self.child.kill().expect("it can be killed");
        self.child.wait().expect("it ends");
    }

    /// Waits for the end; answers the exit status and what was logged.
    #[track_caller]
    pub fn wait(mut self) -> (ExitStatus, String) {
        // Draining stderr keeps a talkative program from blocking; it ends when the program does.
        let mut stderr = self.child.stderr.take().expect("stderr is piped");
        let log = std::thread::spawn(move || {
            let mut log = String::new();
            stderr.read_to_string(&mut log).map(|_| log)
        });
        let begun = Instant::now();
        let status = loop {
            if let Some(status) = self.child.try_wait().expect("its state is known") {
                break status;
            }
            assert!(begun.elapsed() < PATIENCE, "the service did not end");
            std::thread::sleep(Duration::from_millis(5));
        };
        (status, log.join().unwrap().expect("the log can be read"))
    }

    /// Stops it in the ordinary way.
    #[track_caller]
    pub fn stop(self) {
        self.signal("TERM");
        let (status, log) = self.wait();
        assert_eq!(status.code(), Some(0), "{log}");
    }

    /// Waits until no connection is accepted any more.
    #[track_caller]
    pub fn wait_until_refusing(&self) {
        let begun = Instant::now();
        while TcpStream::connect(self.address).is_ok() {
            assert!(begun.elapsed() < PATIENCE, "it still accepts connections");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Most tests have ended it already.
        let _ended = self.child.kill().and_then(|()| self.child.wait());
    }
}

/// An HTTP connection that is kept alive.
#[derive(Debug)]
pub struct Client {
    stream: BufReader<TcpStream>,
}

#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: String,
}

impl Answer {
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }
}

impl Answer {
    /// Whether the service closes the connection after it.
    pub fn closes(&self) -> bool {
        self.head.to_lowercase().contains("\r\nconnection: close\r\n")
    }
}

impl Client {
    pub fn connect(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        Ok(Self {
            stream: BufReader::new(stream),
        })
    }

    pub fn get(&mut self, path: &str) -> io::Result<Answer> {
        self.send(&format!("GET {path} HTTP/1.1\r\nHost: test\r\n\r\n"))?;
        self.answer()
    }

    pub fn put(&mut self, path: &str, body: &str) -> io::Result<Answer> {
        self.call("PUT", path, None, body)
    }

    pub fn post(&mut self, path: &str, key: Option<&str>, body: &str) -> io::Result<Answer> {
        self.call("POST", path, key, body)
    }

    fn call(&mut self, method: &str, path: &str, key: Option<&str>, body: &str) -> io::Result<Answer> {
        let key = key
            .map(|key| format!("Idempotency-Key: {key}\r\n"))
            .unwrap_or_default();
        self.send(&format!(
            "{method} {path} HTTP/1.1\r\nHost: test\r\nContent-Type: application/json\r\nContent-Length: {}\r\n{key}\r\n{body}",
            body.len()
        ))?;
        self.answer()
    }

    /// Sends bytes as they are, such as half a request.
    pub fn send(&mut self, text: &str) -> io::Result<()> {
        self.stream.get_mut().write_all(text.as_bytes())
    }

    pub fn answer(&mut self) -> io::Result<Answer> {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if self.stream.read_line(&mut head)? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        let malformed = || io::Error::from(io::ErrorKind::InvalidData);
        let status = head
            .split(' ')
            .nth(1)
            .and_then(|status| status.parse().ok())
            .ok_or_else(malformed)?;
        let lower = head.to_lowercase();
        let length = lower
            .lines()
            .find_map(|line| line.strip_prefix("content-length: "));
        let length: usize = length
            .and_then(|length| length.trim().parse().ok())
            .ok_or_else(malformed)?;
        let mut body = vec![0; length];
        self.stream.read_exact(&mut body)?;
        let body = String::from_utf8(body).map_err(|_| malformed())?;
        Ok(Answer { status, head, body })
    }
}
