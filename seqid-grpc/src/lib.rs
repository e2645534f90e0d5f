#![doc = include_str!("../README.md")]

mod calls;
mod convert;
mod health;
mod request;
mod service;
mod status;
mod stream;

use std::sync::Arc;

use seqid_proto::FILE_DESCRIPTOR_SET;
use seqid_proto::sequential_id_service_server::SequentialIdServiceServer;
use tonic::service::Routes;
use tonic_health::pb::health_server::HealthServer;

pub use calls::CALLS;
pub use service::{MOST_IN_FLIGHT, MOST_MESSAGE, NotReady, Service};
pub use status::status;

/// The gRPC interface over a service, with the standard health service and server reflection.
///
/// # Panics
/// Never: the descriptors of reflection are compiled in, and a test reads them.
pub fn routes(service: Service) -> Routes {
    let service = Arc::new(service);
    let calls =
        SequentialIdServiceServer::from_arc(Arc::clone(&service)).max_decoding_message_size(MOST_MESSAGE);
    let reflection = || {
        tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(FILE_DESCRIPTOR_SET)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
    };
    Routes::new(calls)
        .add_service(HealthServer::new(health::Readiness(service)))
        .add_service(reflection().build_v1().expect("the descriptors are whole"))
        .add_service(reflection().build_v1alpha().expect("the descriptors are whole"))
        .prepare()
}
