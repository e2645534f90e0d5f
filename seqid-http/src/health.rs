//! What those who run the service ask.

use axum::Json;
use axum::Router;
use axum::extract::State;
use axum::http::header;
use axum::response::IntoResponse;
use axum::routing::get;
use serde::Serialize;
use utoipa::ToSchema;

use crate::problem::Problem;
use crate::service::Shared;

/// The format that Prometheus negotiates by default.
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

pub(crate) fn routes() -> Router<Shared> {
    Router::new()
        .route("/health", get(health))
        .route("/ready", get(ready))
        .route("/metrics", get(metrics))
}

/// How the service is.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Health {
    /// `ok` or `ready`.
    #[schema(examples("ok"))]
    status: &'static str,
    /// Of `/ready`, where events are delivered: those that wait.
    #[serde(skip_serializing_if = "Option::is_none")]
    undelivered: Option<Undelivered>,
}

/// Events that wait to be delivered. Numbers are drawn meanwhile.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Undelivered {
    /// How many wait.
    #[schema(examples(0))]
    events: u64,
    /// The age of the oldest of them in seconds, 0 when none waits.
    #[schema(examples(0.0))]
    oldest_seconds: f64,
    /// How many may wait: beyond that nothing is drawn. Absent when any number may.
    #[serde(skip_serializing_if = "Option::is_none")]
    limit: Option<u64>,
}

/// Whether the process lives. Looks at nothing else.
#[utoipa::path(get, path = "/health", operation_id = "health", tag = "operation",
    responses((status = 200, description = "It lives", body = Health)))]
pub(crate) async fn health() -> Json<Health> {
    Json(Health {
        status: "ok",
        undelivered: None,
    })
}

/// Whether requests should be sent here. A problem document says why not.
#[utoipa::path(get, path = "/ready", operation_id = "ready", tag = "operation",
    responses((status = 200, description = "They should", body = Health)))]
pub(crate) async fn ready(State(service): State<Shared>) -> Result<Json<Health>, Problem> {
    match (service.ready)() {
        Ok(()) => Ok(Json(Health {
            status: "ready",
            undelivered: (service.undelivered)().map(|undelivered| Undelivered {
                events: undelivered.events,
                oldest_seconds: undelivered.age.as_secs_f64(),
                limit: undelivered.most,
            }),
        })),
        Err(obstacle) => Err(Problem::new(obstacle.code, obstacle.reason)),
    }
}

/// Measurements in the OpenMetrics format.
#[utoipa::path(get, path = "/metrics", operation_id = "metrics", tag = "operation",
    responses((status = 200, description = "The measurements", body = String,
        content_type = "application/openmetrics-text")))]
pub(crate) async fn metrics(State(service): State<Shared>) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, OPEN_METRICS)], (service.metrics)())
}
