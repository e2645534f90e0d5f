//! A service on a port of its own, and who calls it.

use std::net::SocketAddr;
use std::sync::Arc;

use prost::Message;
use seqid_core::{Issuer, MemoryStore, Numbering};
use seqid_grpc::{Service, routes};
use seqid_proto::sequential_id_service_client::SequentialIdServiceClient;
use seqid_proto::{DOMAIN, Failure, GetNextRequest, GetStatusRequest};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::transport::{Channel, Server};
use tonic::{Request, Status};
use tonic_types::StatusExt;

pub(crate) struct Desk {
    pub(crate) client: SequentialIdServiceClient<Channel>,
    pub(crate) channel: Channel,
    pub(crate) address: SocketAddr,
    stop: watch::Sender<bool>,
}

impl Desk {
    /// An issuer over a store in memory.
    pub(crate) async fn open() -> Self {
        Self::with(|service| service).await
    }

    pub(crate) async fn with(set: impl FnOnce(Service) -> Service) -> Self {
        Self::over(Arc::new(Issuer::new(Arc::new(MemoryStore::default()))), set).await
    }

    pub(crate) async fn over(numbering: Arc<dyn Numbering>, set: impl FnOnce(Service) -> Service) -> Self {
        let (stop, stopping) = watch::channel(false);
        let routes = routes(set(Service::new(numbering).stop(stopping)));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let serving = Server::builder()
            .add_routes(routes)
            .serve_with_incoming(TcpListenerStream::new(listener));
        tokio::spawn(serving);
        let channel = Channel::from_shared(format!("http://{address}"))
            .unwrap()
            .connect()
            .await
            .unwrap();
        Self {
            client: SequentialIdServiceClient::new(channel.clone()),
            channel,
            address,
            stop,
        }
    }

    pub(crate) fn stop(&self) {
        self.stop.send_replace(true);
    }

    pub(crate) async fn next(&self, prefix: &str) -> Result<String, Status> {
        let answer = self.client.clone().get_next(next(prefix)).await?;
        Ok(answer.into_inner().id)
    }

    /// The next number of a sequence that gives only what it was asked for.
    pub(crate) async fn next_number(&self, prefix: &str) -> Option<i64> {
        let request = GetStatusRequest {
            prefix: prefix.into(),
            ..GetStatusRequest::default()
        };
        let status = self.client.clone().get_status(request).await.unwrap();
        status.into_inner().next_number
    }
}

pub(crate) fn next(prefix: &str) -> GetNextRequest {
    GetNextRequest {
        prefix: prefix.into(),
        ..GetNextRequest::default()
    }
}

/// A message with a metadatum.
pub(crate) fn with<T>(message: T, name: &'static str, value: &str) -> Request<T> {
    let mut request = Request::new(message);
    request.metadata_mut().insert(name, value.parse().unwrap());
    request
}

/// The status code, our code, and what to do next.
pub(crate) fn told(status: &Status) -> (tonic::Code, String, String) {
    let info = status.get_details_error_info().expect("a status of ours");
    assert_eq!(info.domain, DOMAIN);
    (status.code(), info.reason, info.metadata["retry"].clone())
}

/// All of it in one message.
pub(crate) fn failure(status: &Status) -> Failure {
    let whole = tonic_types::pb::Status::decode(status.details()).unwrap();
    let mut details = whole.details.iter();
    let ours = details
        .find(|detail| detail.type_url == seqid_proto::FAILURE_TYPE)
        .unwrap();
    Failure::decode(ours.value.as_slice()).unwrap()
}
