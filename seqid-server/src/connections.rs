//! Connections, from accept to close: those of REST over HTTP/1, and those of gRPC over HTTP/2.

use std::convert::Infallible;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::Request;
use axum::http::HeaderValue;
use axum::http::header::CONNECTION;
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;
use tower::ServiceExt;

use crate::metrics::Metrics;
use crate::reader::WithReader;
use crate::shutdown::stopped;

/// The most connections at a time of either kind; more wait to be accepted. Twice as many as requests may wait for the store:
/// most connections of a large installation are idle.
pub(crate) const MOST: usize = 16_384;
/// How many connections may wait to be accepted.
pub(crate) const BACKLOG: u32 = 1_024;
/// How long a connection may be idle, take to send its headers, or leave an answer unread. Longer than the minute after which proxies
/// commonly drop idle connections, so that it is they who drop them and never with a request under way.
const IDLE: Duration = Duration::from_secs(75);
/// How long an idle connection stays open after the stop was asked for. A request that crosses the stop on its way is
/// answered, and told to close; were the connection closed at once, its client could not know what became of it.
const LINGER: Duration = Duration::from_millis(250);
/// The most calls at a time on one gRPC connection; a client that has more waits. Enough for any that does not use a
/// stream of draws, few enough that a connection cannot take the whole queue of the store.
pub(crate) const MOST_CALLS: u32 = 1_024;
/// How often a gRPC connection is asked whether its other end is still there, and how long that may take to answer.
const KEEPALIVE: Duration = Duration::from_secs(30);
const KEEPALIVE_ANSWER: Duration = Duration::from_secs(20);
/// The most bytes of a gRPC call's metadata.
const MOST_METADATA: u32 = 16 * 1024;

/// The pause after a connection could not be accepted, for want of file descriptors as a rule.
const PAUSE: Duration = Duration::from_millis(100);

/// What a connection speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Protocol {
    /// REST over HTTP/1.
    Rest,
    /// gRPC over HTTP/2.
    Grpc,
}

/// What answers on connections.
#[derive(Debug, Clone)]
pub(crate) struct Answering {
    pub(crate) protocol: Protocol,
    pub(crate) router: Router,
    pub(crate) metrics: Arc<Metrics>,
}

/// Serves connections until the stop is asked for; then no more are accepted, each is closed after its next answer,
/// idle ones soon, and requests in flight have `patience` to finish.
pub(crate) async fn serve(
    listener: TcpListener,
    answering: Answering,
    stop: watch::Receiver<bool>,
    patience: Duration,
) {
    let places = Arc::new(Semaphore::new(MOST));
    let mut open = JoinSet::new();
    let spawn = |open: &mut JoinSet<()>, (stream, place)| {
        open.spawn(connection(stream, place, answering.clone(), stop.clone()));
    };
    let mut asked = stop.clone();
    loop {
        tokio::select! {
            biased;
            () = stopped(&mut asked) => break,
            Some(_closed) = open.join_next() => {}
            accepted = accept(&listener, &places) => spawn(&mut open, accepted),
        }
    }
    // Those who connected before the stop may have sent a request already.
    for _ in 0..BACKLOG {
        tokio::select! {
            biased;
            accepted = accept(&listener, &places) => spawn(&mut open, accepted),
            () = std::future::ready(()) => break,
        }
    }
    drop(listener);
    let all_closed = async { while open.join_next().await.is_some() {} };
    if tokio::time::timeout(patience, all_closed).await.is_err() {
        tracing::warn!(
            connections = open.len(),
            "requests took too long to finish and were cut off"
        );
        open.shutdown().await;
    }
}

async fn accept(
    listener: &TcpListener,
    places: &Arc<Semaphore>,
) -> (TcpStream, Option<OwnedSemaphorePermit>) {
    // The semaphore is never closed.
    let place = Arc::clone(places).acquire_owned().await.ok();
    loop {
        match listener.accept().await {
            Ok((stream, _)) => return (stream, place),
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

async fn connection(
    stream: TcpStream,
    _place: Option<OwnedSemaphorePermit>,
    Answering {
        protocol,
        router,
        metrics,
    }: Answering,
    stop: watch::Receiver<bool>,
) {
    let _connected = metrics.connected(protocol);
    // Small answers must not wait for the acknowledgement of earlier ones.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "TCP_NODELAY cannot be set");
    }
    match protocol {
        Protocol::Rest => rest(stream, router, metrics, stop).await,
        Protocol::Grpc => grpc(stream, router, stop).await,
    }
}

async fn rest(stream: TcpStream, router: Router, metrics: Arc<Metrics>, mut stop: watch::Receiver<bool>) {
    let stopping = stop.clone();
    let service = service_fn(|request: Request<Incoming>| {
        let (router, metrics, stopping) = (router.clone(), Arc::clone(&metrics), stopping.clone());
        async move {
            let begun = Instant::now();
            let Ok(mut response) = router.oneshot(request).await;
            if *stopping.borrow() {
                response
                    .headers_mut()
                    .insert(CONNECTION, HeaderValue::from_static("close"));
            }
            metrics.answered(response.status(), begun.elapsed());
            Ok::<_, Infallible>(response)
        }
    });
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(IDLE);
    let mut connection = pin!(builder.serve_connection(TokioIo::new(WithReader::new(stream, IDLE)), service));
    let lingered = async {
        stopped(&mut stop).await;
        tokio::time::sleep(LINGER).await;
    };
    let ended = tokio::select! {
        biased;
        ended = connection.as_mut() => ended,
        () = lingered => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection ended early");
    }
}

/// Streams end by themselves when the stop is asked for, and other calls are finished: the client is told to begin no
/// more, which cannot cross one on its way.
async fn grpc(stream: TcpStream, router: Router, mut stop: watch::Receiver<bool>) {
    let begun = AtomicBool::new(false);
    let service = service_fn(|request: Request<Incoming>| {
        begun.store(true, Ordering::Relaxed);
        router.clone().oneshot(request)
    });
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder
        .timer(TokioTimer::new())
        .keep_alive_interval(KEEPALIVE)
        .keep_alive_timeout(KEEPALIVE_ANSWER)
        .max_concurrent_streams(MOST_CALLS)
        .max_header_list_size(MOST_METADATA);
    let mut connection = pin!(builder.serve_connection(TokioIo::new(stream), service));
    // Over once nobody has called for so long; never where somebody has.
    let unused = |patience| {
        let begun = &begun;
        async move {
            tokio::time::sleep(patience).await;
            if begun.load(Ordering::Relaxed) {
                std::future::pending::<()>().await;
            }
        }
    };
    let ended = tokio::select! {
        biased;
        ended = connection.as_mut() => ended,
        // Somebody who connected and never called: perhaps one who does not speak HTTP/2 at all.
        () = unused(IDLE) => return,
        () = stopped(&mut stop) => {
            connection.as_mut().graceful_shutdown();
            tokio::select! {
                biased;
                ended = connection => ended,
                () = unused(LINGER) => return,
            }
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection ended early");
    }
}
