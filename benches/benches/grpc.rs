//! Draws over gRPC. Single calls from leases in memory, beside a bare handler that answers the same message from an atomic
//! counter; and the stream of draws of seqid-client, beside single calls, both of a sequence without gaps on the disk.

use std::convert::Infallible;
use std::future::{Future, Ready, ready};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use anyhow::Result;
use axum::http;
use seqid_benches::{
    Bar, Folder, Serving, Table, Unit, Until, closed_loop, interleaved, is_bench_run, multi_thread,
};
use seqid_client::Client;
use seqid_core::numbering::DrawRequest;
use seqid_core::{Numbering, Prefix};
use seqid_grpc::{Service, routes};
use seqid_proto::sequential_id_service_client::SequentialIdServiceClient;
use seqid_proto::{GetNextRequest, GetNextResponse};
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::body::Body;
use tonic::server::{Grpc, NamedService, UnaryService};
use tonic::transport::{Channel, Endpoint, Server};
use tonic::{Request, Response, Status};
use tonic_prost::ProstCodec;

const ROUNDS: usize = 9;
const TIME: Duration = Duration::from_secs(1);
const CALLERS: usize = 64;
const MANY: usize = 512;

type Stub = SequentialIdServiceClient<Channel>;

/// What tonic alone costs: the generated service of one call.
#[derive(Debug, Clone)]
struct Bare(Arc<Numbers>);

#[derive(Debug)]
struct Numbers {
    next: AtomicU64,
    answer: GetNextResponse,
}

impl NamedService for Bare {
    const NAME: &'static str = seqid_proto::SERVICE;
}

impl tower::Service<http::Request<Body>> for Bare {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let bare = self.clone();
        Box::pin(async move { Ok(Grpc::new(ProstCodec::default()).unary(bare, request).await) })
    }
}

impl UnaryService<GetNextRequest> for Bare {
    type Response = GetNextResponse;
    type Future = Ready<Result<Response<GetNextResponse>, Status>>;

    fn call(&mut self, request: Request<GetNextRequest>) -> Self::Future {
        let Numbers { next, answer } = &*self.0;
        let number = next.fetch_add(1, Ordering::Relaxed);
        let prefix = request.into_inner().prefix;
        ready(Ok(Response::new(GetNextResponse {
            id: format!("{prefix}-{number:09}"),
            prefix,
            number: number.cast_signed(),
            ..answer.clone()
        })))
    }
}

/// Serves on a port of its own for as long as the process lives, and answers the address.
async fn listen() -> Result<(TcpListenerStream, String)> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}", listener.local_addr()?);
    Ok((TcpListenerStream::new(listener), url))
}

async fn connect(url: &str) -> Result<Stub> {
    Ok(Stub::new(Endpoint::from_shared(url.to_owned())?.connect().await?))
}

/// Single calls a second.
async fn unary(stub: &Stub, prefix: &'static str, callers: usize) -> Result<f64> {
    let stub = stub.clone();
    let call = move |_| {
        let mut stub = stub.clone();
        async move {
            let request = GetNextRequest {
                prefix: prefix.to_owned(),
                ..GetNextRequest::default()
            };
            stub.get_next(request).await?;
            Ok(())
        }
    };
    Ok(closed_loop(callers, Until::Elapsed(TIME), call).await?.rate())
}

/// Draws a second through the client, which puts them on its stream.
async fn stream(client: &Client, sequence: &str, callers: usize) -> Result<f64> {
    let (client, prefix) = (client.clone(), Prefix::new(sequence)?);
    let call = move |_| {
        let (client, draw) = (client.clone(), DrawRequest::new(prefix.clone()));
        async move {
            client.draw(draw).await?;
            Ok(())
        }
    };
    Ok(closed_loop(callers, Until::Elapsed(TIME), call).await?.rate())
}

fn main() -> Result<()> {
    if !is_bench_run() {
        return Ok(());
    }
    let runtime = multi_thread()?;
    let scratch = Folder::from_env_or(env!("CARGO_TARGET_TMPDIR"))?.scratch()?;
    let serving = runtime.block_on(Serving::open(&scratch.path().join("grpc.db")))?;
    let (ours, bare, client, holding) = runtime.block_on(async {
        let (connections, url) = listen().await?;
        let service = Service::new(Arc::clone(&serving.issuer) as _);
        tokio::spawn(
            Server::builder()
                .add_routes(routes(service))
                .serve_with_incoming(connections),
        );
        let mut ours = connect(&url).await?;
        let request = GetNextRequest {
            prefix: Serving::LEASED.to_owned(),
            ..GetNextRequest::default()
        };
        let answer = ours.get_next(request).await?.into_inner();
        let (connections, bare_url) = listen().await?;
        let numbers = Arc::new(Numbers {
            next: AtomicU64::new(1),
            answer,
        });
        tokio::spawn(
            Server::builder()
                .add_service(Bare(numbers))
                .serve_with_incoming(connections),
        );
        let holding = Client::builder().endpoint(&url).local_leases(10_000).build()?;
        let client = Client::builder().endpoint(url).keys(false).build()?;
        anyhow::Ok((ours, connect(&bare_url).await?, client, holding))
    })?;

    // Leases grow from the smallest to their full length, and connections have their windows.
    runtime.block_on(unary(&ours, Serving::LEASED, CALLERS))?;
    runtime.block_on(unary(&bare, Serving::LEASED, CALLERS))?;
    let mut drawn = || runtime.block_on(unary(&ours, Serving::LEASED, CALLERS));
    let mut counted = || runtime.block_on(unary(&bare, Serving::LEASED, CALLERS));
    let [rates, baseline] = interleaved(ROUNDS, [&mut drawn, &mut counted])?;
    let mut table =
        Table::new("Single calls a second over gRPC; the baseline answers from an atomic counter");
    let bar = Some(Bar::AtLeast(0.85));
    table.compare(
        "GetNext, leased, 64 callers",
        Unit::PerSecond,
        &rates,
        &baseline,
        bar,
    );
    table.print();

    let mut table =
        Table::new("Draws a second of a gapless sequence; the baseline is a single call for each");
    // The stream is for clients that have many draws under way: with few, callers wait for the disk either way.
    for (callers, bar) in [(CALLERS, None), (MANY, Some(Bar::AtLeast(3.0)))] {
        let mut streamed = || runtime.block_on(stream(&client, Serving::GAPLESS, callers));
        let mut called = || runtime.block_on(unary(&ours, Serving::GAPLESS, callers));
        let [rates, baseline] = interleaved(ROUNDS, [&mut streamed, &mut called])?;
        let name = format!("Draw stream, {callers} callers");
        table.compare(&name, Unit::PerSecond, &rates, &baseline, bar);
    }
    table.print();

    let mut table = Table::new("Draws a second of a leased sequence; the baseline is a single call for each");
    // Runs grow from one number to their full length.
    runtime.block_on(stream(&holding, Serving::LEASED, CALLERS))?;
    let mut held = || runtime.block_on(stream(&holding, Serving::LEASED, CALLERS));
    let mut called = || runtime.block_on(unary(&ours, Serving::LEASED, CALLERS));
    let [rates, baseline] = interleaved(ROUNDS, [&mut held, &mut called])?;
    table.compare(
        "numbers held by the client, 64 callers",
        Unit::PerSecond,
        &rates,
        &baseline,
        None,
    );
    table.print();
    runtime.block_on(holding.give_back())?;
    runtime.block_on(serving.close())
}
