//! The standard health service: whether the service would carry out a draw now.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::Stream;
use futures_util::stream::unfold;
use seqid_proto::SERVICE;
use tonic::{Request, Response, Status};
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_server::Health;
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse};

use crate::service::Service;

/// How often a watcher's answer is looked at again.
const LOOK: Duration = Duration::from_secs(1);

/// The readiness of a service.
#[derive(Debug)]
pub(crate) struct Readiness(pub(crate) Arc<Service>);

impl Readiness {
    /// Of the whole process (an empty name) or of the one service that it has; `None` of any other.
    fn of(service: &Service, name: &str) -> Option<ServingStatus> {
        ["", SERVICE].contains(&name).then(|| match (service.ready)() {
            Ok(()) if !service.is_stopping() => ServingStatus::Serving,
            _ => ServingStatus::NotServing,
        })
    }
}

fn answer(status: ServingStatus) -> HealthCheckResponse {
    HealthCheckResponse {
        status: status as i32,
    }
}

#[tonic::async_trait]
impl Health for Readiness {
    async fn check(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<HealthCheckResponse>, Status> {
        match Self::of(&self.0, &request.get_ref().service) {
            Some(status) => Ok(Response::new(answer(status))),
            None => Err(Status::not_found("there is no such service")),
        }
    }

    type WatchStream = Pin<Box<dyn Stream<Item = Result<HealthCheckResponse, Status>> + Send>>;

    async fn watch(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        let (service, name) = (Arc::clone(&self.0), request.into_inner().service);
        let changes = unfold((service, name, None), |(service, name, told)| async move {
            loop {
                let now = Self::of(&service, &name).unwrap_or(ServingStatus::ServiceUnknown);
                if told != Some(now) {
                    return Some((Ok(answer(now)), (service, name, Some(now))));
                }
                // The last that a watcher hears of a service that stops is that it does not serve.
                if service.is_stopping() {
                    return None;
                }
                tokio::select! {
                    () = tokio::time::sleep(LOOK) => {}
                    () = Service::stopped(service.stop.clone()) => {}
                }
            }
        });
        Ok(Response::new(Box::pin(changes)))
    }
}
