//! Many connections, and clients that do not read or are not there any more: memory is bounded and others are served.
#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a test fails by it, and says what it measured"
)]

mod running;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use running::{Server, program};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use seqid_proto::sequential_id_service_client::SequentialIdServiceClient;
use seqid_proto::{DrawRequest, GetNextRequest};
use tokio::sync::mpsc;
use tokio_stream::wrappers::UnboundedReceiverStream;
use tonic::transport::Channel;

const CONNECTIONS: usize = 10_000;
/// What a client of HTTP/2 sends first: the preface, and settings that leave everything as it is.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
const MEBIBYTE: u64 = 1_024 * 1_024;

/// A machine that is busy with other things must not make a test fail.
const PATIENCE: Duration = Duration::from_secs(400);

type Client = SequentialIdServiceClient<Channel>;

async fn client(server: &Server) -> Client {
    let address = format!("http://{}", server.grpc.expect("it serves gRPC"));
    Client::new(Channel::from_shared(address).unwrap().connect().await.unwrap())
}

fn next() -> GetNextRequest {
    GetNextRequest {
        prefix: "INV".into(),
        ..GetNextRequest::default()
    }
}

/// The service as most systems start it: with 1,024 files, and the right to have more.
fn with_few_files(folder: &Path) -> Command {
    let ordinary = program(folder);
    let mut command = Command::new("bash");
    command
        .args([
            "-c",
            "ulimit -Sn 1024 && exec \"$0\"",
            env!("CARGO_BIN_EXE_seqid-server"),
        ])
        .env_clear()
        .envs(
            ordinary
                .get_envs()
                .filter_map(|(name, value)| Some((name, value?))),
        )
        .env("PATH", std::env::var_os("PATH").unwrap())
        .env("PORT", "0")
        .current_dir(folder)
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped());
    command
}

/// Lets this process have so many files open.
fn allow_files(wanted: u64) {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    assert!(
        maximum.is_none_or(|maximum| maximum >= wanted),
        "this machine lets a process have {maximum:?} files, the test needs {wanted}: raise the hard limit (ulimit -Hn)"
    );
    if current.is_some_and(|current| current < wanted) {
        let limit = Rlimit {
            current: Some(wanted),
            maximum,
        };
        setrlimit(Resource::Nofile, limit).unwrap();
    }
}

/// A connection that the service has accepted and answered on, and that stays idle.
fn idle_over_grpc(address: SocketAddr) -> TcpStream {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(PREFACE).unwrap();
    // The header of its settings, which it sends once it has the preface.
    let mut header = [0; 9];
    stream.read_exact(&mut header).unwrap();
    assert_eq!(header[3], 4, "settings come first");
    stream
}

#[tokio::test]
async fn ten_thousand_idle_connections_cost_little_and_hold_nobody_up() {
    allow_files(CONNECTIONS as u64 + 200);
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start_with(&mut with_few_files(folder.path()));
    let mut before = client(&server).await;
    before.get_next(next()).await.unwrap();
    let resident = server.resident();
    let address = server.grpc.unwrap();
    let idle: Vec<TcpStream> = (0..CONNECTIONS).map(|_| idle_over_grpc(address)).collect();
    let each = (server.resident() - resident) / CONNECTIONS as u64;
    eprintln!("an idle gRPC connection takes {each} bytes of the service's memory");
    assert!(each < 48 * 1_024, "{each} bytes each");

    let counted = open_connections(&server, "seqid_grpc_connections ");
    assert!(counted > CONNECTIONS as u64, "all of them are open");
    let drawn = before.get_next(next()).await.unwrap().into_inner();
    assert_eq!(drawn.number, 2);
    let drawn = client(&server).await.get_next(next()).await.unwrap().into_inner();
    assert_eq!(drawn.number, 3);
    assert_eq!(server.draw(), 4);
    drop(idle);
    server.stop();
}

/// An audit of so many events, each a draw.
async fn fill(client: &mut Client, draws: u64) {
    let (sender, receiver) = mpsc::unbounded_channel();
    let answers = client.draw(UnboundedReceiverStream::new(receiver)).await.unwrap();
    let mut answers = answers.into_inner();
    for call in 0..draws {
        let draw = DrawRequest {
            call,
            prefix: "INV".into(),
            ..DrawRequest::default()
        };
        sender.send(draw).unwrap();
    }
    drop(sender);
    let mut answered = 0;
    while answers.message().await.unwrap().is_some() {
        answered += 1;
    }
    assert_eq!(answered, draws);
}

#[tokio::test]
async fn readers_of_exports_that_do_not_read_cost_a_page_each() {
    const EVENTS: u64 = 20_000;
    const READERS: usize = 60;
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start_with(program(folder.path()).env("PORT", "0"));
    let mut client = client(&server).await;
    fill(&mut client, EVENTS).await;
    let export = server_export(&server);
    let resident = server.resident();
    let mut slow: Vec<TcpStream> = Vec::new();
    for _ in 0..READERS {
        let mut stream = TcpStream::connect(server.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.write_all(EXPORT).unwrap();
        // Its first bytes show that the export has begun.
        stream.read_exact(&mut [0; 100]).unwrap();
        slow.push(stream);
    }
    // What the service had to do for others meanwhile shows that it had its chance to run ahead.
    for _ in 0..200 {
        client.get_next(next()).await.unwrap();
    }
    let gained = server.resident().saturating_sub(resident);
    let whole = READERS as u64 * export;
    eprintln!("{READERS} readers that do not read take {gained} bytes; their exports have {whole}");
    assert!(whole > 600 * MEBIBYTE, "{whole}");
    assert!(gained < 200 * MEBIBYTE, "{gained}");
    drop(slow);
    server.stop();
}

const EXPORT: &[u8] = b"GET /api/v1/audit?format=ndjson HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n";

/// How many bytes a whole export has.
fn server_export(server: &Server) -> u64 {
    let mut stream = TcpStream::connect(server.address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(EXPORT).unwrap();
    std::io::copy(&mut stream, &mut std::io::sink()).unwrap()
}

#[tokio::test]
async fn a_stream_whose_answers_nobody_reads_draws_no_further() {
    const SENT: u64 = 500_000;
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start_with(program(folder.path()).env("PORT", "0"));
    let mut slow = client(&server).await;
    let mut other = client(&server).await;
    other.get_next(next()).await.unwrap();
    let resident = server.resident();
    let (sender, receiver) = mpsc::unbounded_channel();
    let unread = slow.draw(UnboundedReceiverStream::new(receiver)).await.unwrap();
    for call in 0..SENT {
        let draw = DrawRequest {
            call,
            prefix: "SLOW".into(),
            ..DrawRequest::default()
        };
        sender.send(draw).unwrap();
    }
    // It has come to a stand once others get everything that is drawn between two looks.
    let mut drawn = 0;
    let begun = Instant::now();
    loop {
        for _ in 0..100 {
            other.get_next(next()).await.unwrap();
        }
        let path = "/api/v1/status/SLOW";
        let status = server.client().get(path).unwrap().json();
        let now = status["last_number"].as_u64().unwrap_or_default();
        if now == drawn && now > 0 {
            break;
        }
        drawn = now;
        assert!(begun.elapsed() < PATIENCE, "it goes on drawing");
    }
    let gained = server.resident().saturating_sub(resident);
    eprintln!("a stream that nobody reads has drawn {drawn} numbers and takes {gained} bytes");
    assert!(drawn < SENT / 10, "{drawn} of {SENT} were drawn for nobody");
    assert!(gained < 64 * MEBIBYTE, "{gained}");
    drop((unread, sender));
    // To stop in the ordinary way it would wait for this reader as long as for any.
    server.kill();
}

/// How many connections of a kind the service says are open.
fn open_connections(server: &Server, gauge: &str) -> u64 {
    let metrics = server.client().get("/metrics").unwrap().body;
    let line = metrics.lines().find_map(|line| line.strip_prefix(gauge));
    line.unwrap().trim().parse().unwrap()
}

/// Peers over REST that say nothing, half of something, or do not read: each is let go in the end, and nobody waits for it.
#[tokio::test]
async fn silent_peers_over_rest_cost_little_and_are_let_go() {
    const EACH: u64 = 500;
    /// More than the buffers of both machines hold, so that the service waits for a reader.
    const EVENTS: u64 = 20_000;
    const UNREAD: u64 = 10;
    allow_files(4 * EACH + 200);
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start_with(&mut with_few_files(folder.path()));
    fill(&mut client(&server).await, EVENTS).await;
    let drawn = server.draw();
    let resident = server.resident();
    let half_a_head = "POST /api/v1/next HTTP/1.1\r\nHost: t\r\nContent-";
    let half_a_body = "POST /api/v1/next HTTP/1.1\r\nHost: t\r\nContent-Type: application/json\r\n\
        Content-Length: 16\r\n\r\n{\"prefix\":";
    let mut silent = Vec::new();
    for _ in 0..EACH {
        for begun in ["", half_a_head, half_a_body] {
            let mut stream = TcpStream::connect(server.address).unwrap();
            stream.set_read_timeout(Some(PATIENCE)).unwrap();
            stream.write_all(begun.as_bytes()).unwrap();
            silent.push(stream);
        }
    }
    let mut unread = Vec::new();
    for _ in 0..UNREAD {
        let mut stream = TcpStream::connect(server.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.write_all(EXPORT).unwrap();
        stream.read_exact(&mut [0; 100]).unwrap();
        unread.push(stream);
    }
    // This one asks behind all of them.
    assert_eq!(server.draw(), drawn + 1);
    let gained = server.resident().saturating_sub(resident);
    eprintln!(
        "{} silent peers and {UNREAD} that do not read take {gained} bytes",
        silent.len()
    );
    assert!(gained < 100 * MEBIBYTE, "{gained}");

    // The service closes all but the connection that asks.
    let begun = Instant::now();
    while open_connections(&server, "seqid_http_connections ") > 1 {
        assert!(begun.elapsed() < PATIENCE, "connections stay open");
        server.draw();
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    for (at, mut stream) in silent.into_iter().enumerate() {
        let mut told = String::new();
        let _reset = stream.read_to_string(&mut told);
        match at % 3 {
            // A body that does not come is told of; before there is a request nobody is spoken to.
            2 => assert!(told.contains("the body did not arrive in time"), "{told}"),
            _ => assert!(told.is_empty() || told.starts_with("HTTP/1.1 408"), "{told}"),
        }
    }
    // What they were sent is not the whole export.
    let whole = server_export(&server);
    for mut stream in unread {
        let mut sent = Vec::new();
        let _reset = stream.read_to_end(&mut sent);
        assert!((sent.len() as u64) < whole, "it was read to the end");
    }
    server.stop();
}

/// A call that has begun and never ends: `GetNext` without its message.
fn begun_call() -> Vec<u8> {
    let mut fields = vec![0x83, 0x86];
    for (name, value) in [
        (":path", "/sequentialid.SequentialIDService/GetNext"),
        (":authority", "test"),
        ("content-type", "application/grpc"),
        ("te", "trailers"),
    ] {
        fields.push(0);
        for text in [name, value] {
            fields.push(u8::try_from(text.len()).unwrap());
            fields.extend(text.as_bytes());
        }
    }
    // A frame of headers that ends them, on stream 1.
    let mut frame = vec![0, 0, u8::try_from(fields.len()).unwrap(), 1, 4, 0, 0, 0, 1];
    frame.extend(fields);
    frame
}

/// The other end is gone without a word, as when its machine lost power: it never answers whether it is still there.
#[tokio::test]
async fn a_connection_whose_other_end_is_gone_is_closed() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path());
    let mut gone = idle_over_grpc(server.grpc.unwrap());
    gone.write_all(&begun_call()).unwrap();
    let open = || open_connections(&server, "seqid_grpc_connections ");
    assert_eq!(open(), 1);
    let begun = Instant::now();
    while open() > 0 {
        assert!(begun.elapsed() < PATIENCE, "the connection stays open");
        server.draw();
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    // Closed it is, after what it had sent: the question whether anybody is there among it.
    let mut sent = Vec::new();
    let _reset = gone.read_to_end(&mut sent);
    assert!(
        sent.windows(9).any(|frame| frame == [0, 0, 8, 6, 0, 0, 0, 0, 0]),
        "it asked: {sent:?}"
    );
    server.stop();
}
