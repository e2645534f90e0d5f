//! A service in this process, on ports of its own, and the command as a child.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use seqid_core::clock::{Clock, Seed, SystemClock};
use seqid_core::names::Label;
use seqid_core::observer::Unobserved;
use seqid_core::{CounterStore, Issuer, Leased, Numbering};
use seqid_sqlite::{SqliteConfig, SqliteStore};
use seqid_testkit::programs;
pub use seqid_testkit::programs::{Ended, run};
use serde_json::Value;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio_stream::wrappers::TcpListenerStream;

/// A machine that is busy with other things must not make a test fail.
const PATIENCE: Duration = Duration::from_secs(300);

/// The command, with nothing of the machine's settings. It waits for a busy machine.
pub fn seqid() -> Command {
    programs::program(env!("CARGO_BIN_EXE_seqid"))
}

/// Where numbers are kept: behind a service, or in a file that the command opens.
pub struct Place {
    folder: TempDir,
    service: Option<Service>,
}

impl Place {
    pub fn service() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let service = Some(Service::start(&folder.path().join("seqid.db")));
        Self { folder, service }
    }

    pub fn file() -> Self {
        let place = Self {
            folder: tempfile::tempdir().unwrap(),
            service: None,
        };
        assert_eq!(place.run(&["--create", "list"]).code, Some(0));
        place
    }

    pub fn both() -> [Self; 2] {
        [Self::service(), Self::file()]
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub fn data_file(&self) -> PathBuf {
        self.folder.path().join("seqid.db")
    }

    pub fn served(&self) -> &Service {
        self.service.as_ref().unwrap()
    }

    /// The command, told where to ask.
    pub fn command(&self) -> Command {
        let mut command = seqid();
        command.current_dir(self.folder.path());
        match &self.service {
            Some(service) => command.env("SEQID_URL", service.url()).args(["--timeout", "5m"]),
            None => command.arg("--file").arg(self.data_file()),
        };
        command
    }

    pub fn run(&self, arguments: &[&str]) -> Ended {
        run(self.command().args(arguments))
    }

    /// What a command prints that does all that it is asked for.
    #[track_caller]
    pub fn prints(&self, arguments: &[&str]) -> String {
        let ended = self.run(arguments);
        assert_eq!(ended.code, Some(0), "{arguments:?}: {ended:?}");
        ended.stdout
    }

    /// The one document that a command prints.
    #[track_caller]
    pub fn json(&self, arguments: &[&str]) -> Value {
        let text = self.prints(&[&["--json"], arguments].concat());
        assert_eq!(text.lines().count(), 1, "one document is one line: {text}");
        serde_json::from_str(&text).unwrap()
    }

    /// Ends the service; the data stays.
    pub fn without_service(&mut self) {
        self.service.take().unwrap().stop();
    }

    /// Serves the data.
    pub fn with_service(&mut self) {
        self.service = Some(Service::start(&self.data_file()));
    }
}

/// REST and gRPC from one issuer over a data file, as the service composes them.
pub struct Service {
    runtime: Runtime,
    store: Arc<Leased<SqliteStore>>,
    pub issuer: Arc<Issuer>,
    rest: SocketAddr,
    grpc: SocketAddr,
}

impl Service {
    fn start(path: &Path) -> Self {
        let runtime = Runtime::new().unwrap();
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let store =
            SqliteStore::open(SqliteConfig::new(path), Arc::clone(&clock), Arc::new(Unobserved)).unwrap();
        let holder = Label::new("embedded").unwrap();
        let store = Arc::new(Leased::new(store, holder, clock, Seed::from_system()));
        let issuer = Arc::new(Issuer::new(Arc::clone(&store) as _));
        let numbering: Arc<dyn Numbering> = Arc::clone(&issuer) as _;
        let rest = seqid_http::router(seqid_http::Service::new(Arc::clone(&numbering)).deadline(PATIENCE));
        let grpc = seqid_grpc::routes(seqid_grpc::Service::new(numbering).deadline(PATIENCE));
        let (rest, grpc) = runtime.block_on(async {
            let listen = || async { TcpListener::bind("127.0.0.1:0").await.unwrap() };
            let (for_rest, for_grpc) = (listen().await, listen().await);
            let addresses = (for_rest.local_addr().unwrap(), for_grpc.local_addr().unwrap());
            tokio::spawn(async move { axum::serve(for_rest, rest).await.unwrap() });
            let server = tonic::transport::Server::builder().add_routes(grpc);
            tokio::spawn(server.serve_with_incoming(TcpListenerStream::new(for_grpc)));
            addresses
        });
        Self {
            runtime,
            store,
            issuer,
            rest,
            grpc,
        }
    }

    fn stop(self) {
        self.runtime.block_on(async {
            self.store.give_back().await.unwrap();
            self.store.store().close().await.unwrap();
        });
        self.runtime.shutdown_background();
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.grpc)
    }

    /// Serves gRPC over TLS too, for the name `localhost`. Answers the address.
    #[cfg(feature = "tls")]
    pub fn encrypted(&self, certificate: &str, key: &str) -> String {
        use tonic::transport::{Identity, Server, ServerTlsConfig};

        let numbering: Arc<dyn Numbering> = Arc::clone(&self.issuer) as _;
        let grpc = seqid_grpc::routes(seqid_grpc::Service::new(numbering).deadline(PATIENCE));
        let tls = ServerTlsConfig::new().identity(Identity::from_pem(certificate, key));
        self.within(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let port = listener.local_addr().unwrap().port();
            let server = Server::builder().tls_config(tls).unwrap().add_routes(grpc);
            tokio::spawn(server.serve_with_incoming(TcpListenerStream::new(listener)));
            format!("https://localhost:{port}")
        })
    }

    /// Does something within the service's process.
    pub fn within<T>(&self, future: impl Future<Output = T>) -> T {
        self.runtime.block_on(future)
    }

    #[track_caller]
    pub fn get(&self, path: &str) -> Value {
        let (status, body) = self.ask(&format!(
            "GET {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n"
        ));
        assert_eq!(status, 200, "{path}: {body}");
        serde_json::from_str(&body).unwrap()
    }

    /// The answer to a request with a JSON body, whatever its status.
    pub fn send(&self, method: &str, path: &str, body: &Value) -> Value {
        let body = body.to_string();
        let (_, body) = self.ask(&format!(
            "{method} {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\n\r\n{body}",
            body.len()
        ));
        serde_json::from_str(&body).unwrap()
    }

    fn ask(&self, request: &str) -> (u16, String) {
        let mut stream = TcpStream::connect(self.rest).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        if !head.to_lowercase().contains("transfer-encoding: chunked") {
            return (status, body.to_owned());
        }
        let mut whole = String::new();
        let mut rest = body;
        while let Some((length, more)) = rest.split_once("\r\n") {
            let length = usize::from_str_radix(length, 16).unwrap();
            whole += &more[..length];
            rest = more[length..].trim_start_matches("\r\n");
        }
        (status, whole)
    }
}
