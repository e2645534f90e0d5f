//! Instances of a service, in this process and behind real connections.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use seqid_client::Client;
use seqid_core::names::Number;
use seqid_core::numbering::{CounterSelector, DrawRequest};
use seqid_core::{Error, Issuer, MemoryStore, Numbering, Prefix};
use seqid_grpc::{Service, routes};
use tokio::net::TcpListener;
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::transport::Server;

/// A machine that is busy with other things must not make a test fail.
pub(crate) const PATIENCE: Duration = Duration::from_secs(100);

/// A client of an instance.
pub(crate) fn client(instance: &Instance) -> Client {
    let client = Client::builder().endpoint(instance.url()).patience(PATIENCE);
    client.build().unwrap()
}

pub(crate) fn issuer() -> Arc<Issuer> {
    Arc::new(Issuer::new(Arc::new(MemoryStore::default())))
}

pub(crate) fn prefix() -> Prefix {
    Prefix::new("INV").unwrap()
}

pub(crate) async fn draw(numbering: &dyn Numbering) -> Result<u64, Error> {
    let issued = numbering.draw(DrawRequest::new(prefix())).await?;
    Ok(issued.run.first.get())
}

/// What a counter of its own would issue next.
pub(crate) async fn next_number(numbering: &dyn Numbering) -> Option<u64> {
    let status = numbering.status(CounterSelector::new(prefix())).await.unwrap();
    status.next_number.map(Number::get)
}

/// An instance that serves until it is told to stop, or dropped.
pub(crate) struct Instance {
    pub(crate) address: SocketAddr,
    pub(crate) calls: Arc<Mutex<Vec<&'static str>>>,
    stop: watch::Sender<bool>,
    close: oneshot::Sender<()>,
    serving: JoinHandle<()>,
}

impl Instance {
    pub(crate) async fn open(numbering: Arc<dyn Numbering>) -> Self {
        Self::open_at("127.0.0.1:0".parse().unwrap(), numbering).await
    }

    pub(crate) async fn open_at(address: SocketAddr, numbering: Arc<dyn Numbering>) -> Self {
        let (stop, stopping) = watch::channel(false);
        let (close, closed) = oneshot::channel();
        let calls = Arc::new(Mutex::new(Vec::new()));
        let noted = Arc::clone(&calls);
        let service = Service::new(numbering)
            .deadline(PATIENCE)
            .stop(stopping)
            .observe(move |call, _, _| noted.lock().unwrap().push(call));
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let serving = Server::builder()
            .add_routes(routes(service))
            .serve_with_incoming_shutdown(TcpListenerStream::new(listener), async {
                let _closed = closed.await;
            });
        let serving = tokio::spawn(async move { serving.await.unwrap() });
        Self {
            address,
            calls,
            stop,
            close,
            serving,
        }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Ends streams, closes connections, and frees the port.
    pub(crate) async fn stop(self) {
        self.stop.send_replace(true);
        self.close.send(()).unwrap();
        self.serving.await.unwrap();
    }
}
