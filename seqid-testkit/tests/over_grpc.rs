//! The gRPC interface and its client keep the promises of the issuer behind them, over a real connection.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::sync::Arc;
use std::time::Duration;

use seqid_client::{Client, ClientBuilder};
use seqid_core::clock::{Clock, ManualClock, Seed};
use seqid_core::{Issuer, MemoryStore};
use seqid_grpc::{Service, routes};
use seqid_testkit::suite::Desk;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::transport::Server;

/// A machine that is busy with other things must not make a case fail.
const PATIENCE: Duration = Duration::from_secs(100);

async fn over_grpc(clock: Arc<ManualClock>) -> Desk {
    served(clock, Client::builder()).await
}

/// A client that may hold numbers changes nothing for sequences of other modes.
async fn over_grpc_with_local_leases(clock: Arc<ManualClock>) -> Desk {
    served(clock, Client::builder().local_leases(10_000)).await
}

/// A service on a port of its own until the guard is dropped. The client makes no keys: the cases look at those that they
/// sent.
async fn served(clock: Arc<ManualClock>, client: ClientBuilder) -> Desk {
    let store = Arc::new(MemoryStore::new(clock.clone(), Seed(1)));
    let issuer = Issuer::builder(store.clone())
        .clock(Arc::clone(&clock) as Arc<dyn Clock>)
        .build();
    let service = Service::new(Arc::new(issuer))
        .allow_repeats(true)
        .deadline(PATIENCE);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (guard, dropped) = oneshot::channel::<()>();
    let serving = Server::builder()
        .add_routes(routes(service))
        .serve_with_incoming_shutdown(TcpListenerStream::new(listener), async {
            let _dropped = dropped.await;
        });
    tokio::spawn(serving);
    let client = client
        .endpoint(format!("http://{address}"))
        .patience(PATIENCE)
        .keys(false)
        .build()
        .unwrap();
    Desk::new(client, store, clock).guard(guard)
}

mod asked {
    seqid_testkit::numbering_suite!(crate::over_grpc);
}

mod holding {
    seqid_testkit::numbering_suite!(crate::over_grpc_with_local_leases);
}
