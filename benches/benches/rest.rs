//! Draws over REST, beside a bare handler with the same layers that reads and writes the same JSON and counts in memory.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::{HeaderValue, header};
use axum::middleware::{self, Next};
use axum::response::Response;
use axum::routing::post;
use axum::{Json, Router};
use seqid_benches::{Bar, Folder, Serving, Table, Unit, interleaved, is_bench_run, multi_thread};
use seqid_http::{BODY_LIMIT, Service};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

const ROUNDS: usize = 9;
const TIME: Duration = Duration::from_secs(1);

/// What a draw is asked with.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "reading them is what is measured")]
struct Body {
    tenant: Option<String>,
    prefix: String,
    date: Option<String>,
    #[serde(default)]
    scope: BTreeMap<String, String>,
    #[serde(default)]
    fields: BTreeMap<String, String>,
    reference: Option<String>,
    relates_to: Option<String>,
    client_id: Option<String>,
}

/// What a draw is answered with: a member more or less in the service's answer is an error.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Answer {
    prefix: String,
    id: String,
    number: u64,
    step: u64,
    period: String,
    period_start: Option<String>,
    period_end: Option<String>,
    date: String,
    scope: BTreeMap<String, String>,
    generation: u32,
    mode: String,
    epoch: u32,
    definition_version: u32,
    reference: Option<String>,
    request_id: Option<String>,
    issued_at: String,
    warnings: Vec<String>,
}

#[derive(Debug)]
struct Numbers {
    next: AtomicU64,
    answer: Answer,
}

async fn next(State(numbers): State<Arc<Numbers>>, Json(body): Json<Body>) -> Json<Answer> {
    let number = numbers.next.fetch_add(1, Ordering::Relaxed);
    Json(Answer {
        id: format!("{}-{number:09}", body.prefix),
        prefix: body.prefix,
        number,
        reference: body.reference,
        ..numbers.answer.clone()
    })
}

/// The headers that every answer has.
async fn outermost(State(numbers): State<Arc<Numbers>>, request: Request, next: Next) -> Response {
    let id = format!("{:025}", numbers.next.load(Ordering::Relaxed));
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    if let Ok(id) = HeaderValue::try_from(id) {
        headers.insert("x-request-id", id);
    }
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

fn bare(numbers: Arc<Numbers>) -> Router {
    Router::new()
        .route("/api/v1/next", post(next))
        .layer(DefaultBodyLimit::max(BODY_LIMIT))
        .layer(middleware::from_fn_with_state(Arc::clone(&numbers), outermost))
        .with_state(numbers)
}

/// Serves on a port of its own for as long as the process lives.
async fn serve(router: Router) -> Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move { axum::serve(listener, router).await });
    Ok(address)
}

/// A connection that is kept, with the one request that it sends.
struct Caller {
    stream: TcpStream,
    request: String,
    answer: Vec<u8>,
}

impl Caller {
    async fn connect(address: SocketAddr, prefix: &str) -> Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let body = format!("{{\"prefix\":\"{prefix}\"}}");
        let request = format!(
            "POST /api/v1/next HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        Ok(Self {
            stream,
            request,
            answer: Vec::with_capacity(4096),
        })
    }

    /// The body of the answer to one draw.
    async fn call(&mut self) -> Result<&[u8]> {
        self.stream.write_all(self.request.as_bytes()).await?;
        self.answer.clear();
        loop {
            ensure!(
                self.stream.read_buf(&mut self.answer).await? > 0,
                "the connection was closed"
            );
            if let Some((head, length)) = head(&self.answer)?
                && self.answer.len() == head + length
            {
                return Ok(&self.answer[head..]);
            }
        }
    }
}

/// Where the body begins, and how long it is; `None` before all of the head has come.
fn head(answer: &[u8]) -> Result<Option<(usize, usize)>> {
    let Some(end) = answer.windows(4).position(|part| part == b"\r\n\r\n") else {
        return Ok(None);
    };
    let text = std::str::from_utf8(&answer[..end])?;
    ensure!(text.starts_with("HTTP/1.1 200 "), "{text}");
    let mut headers = text.lines().filter_map(|line| line.split_once(": "));
    let length = headers.find(|(name, _)| name.eq_ignore_ascii_case("content-length"));
    let (_, length) = length.context("the answer has no length")?;
    Ok(Some((end + 4, length.parse()?)))
}

/// Draws a second of so many callers, each on a connection of its own.
async fn load(address: SocketAddr, prefix: &'static str, connections: usize) -> Result<f64> {
    let stop = Arc::new(AtomicBool::new(false));
    let mut callers = JoinSet::new();
    for _ in 0..connections {
        let mut caller = Caller::connect(address, prefix).await?;
        let stop = Arc::clone(&stop);
        callers.spawn(async move {
            let mut calls = 0_u64;
            while !stop.load(Ordering::Relaxed) {
                caller.call().await?;
                calls += 1;
            }
            anyhow::Ok(calls)
        });
    }
    let began = Instant::now();
    tokio::time::sleep(TIME).await;
    stop.store(true, Ordering::Relaxed);
    let mut calls = 0;
    while let Some(caller) = callers.join_next().await {
        calls += caller.context("a caller panicked")??;
    }
    Ok(calls as f64 / began.elapsed().as_secs_f64())
}

fn main() -> Result<()> {
    if !is_bench_run() {
        return Ok(());
    }
    let runtime = multi_thread()?;
    let scratch = Folder::from_env_or(env!("CARGO_TARGET_TMPDIR"))?.scratch()?;
    let serving = runtime.block_on(Serving::open(&scratch.path().join("rest.db")))?;
    let (ours, counter) = runtime.block_on(async {
        let service = Service::new(Arc::clone(&serving.issuer) as _);
        let ours = serve(seqid_http::router(service)).await?;
        let mut first = Caller::connect(ours, Serving::LEASED).await?;
        let answer = serde_json::from_slice(first.call().await?)?;
        let next = AtomicU64::new(1);
        anyhow::Ok((ours, serve(bare(Arc::new(Numbers { next, answer }))).await?))
    })?;
    let mut table = Table::new("POST /next a second; the baseline answers from an atomic counter");
    for connections in [64, 512] {
        for (mode, prefix, bar) in [
            ("leased", Serving::LEASED, 0.85),
            ("gapless", Serving::GAPLESS, 0.5),
        ] {
            let load = |address| runtime.block_on(load(address, prefix, connections));
            // Leases grow from the smallest to their full length.
            load(ours)?;
            let [rates, baseline] = interleaved(ROUNDS, [&mut || load(ours), &mut || load(counter)])?;
            let name = format!("connections: {connections}, {mode}");
            table.compare(&name, Unit::PerSecond, &rates, &baseline, Some(Bar::AtLeast(bar)));
        }
    }
    table.print();
    runtime.block_on(serving.close())
}
