#![doc = include_str!("../README.md")]

mod adopt;
mod audit;
mod checkpoint;
mod closing;
mod counters;
mod docs;
mod draws;
mod export;
mod gaps;
mod health;
mod ids;
mod numbers;
mod openapi;
mod outermost;
mod problem;
mod request;
mod reservations;
mod sequences;
mod service;
mod voids;
mod wire;

use std::sync::Arc;

use axum::extract::DefaultBodyLimit;
use axum::http::{Method, Uri};
use axum::{Router, middleware};
use seqid_core::Code;

pub use problem::status;
pub use service::{BODY_LIMIT, NotReady, Service, Undelivered};

use problem::Problem;

/// The REST API over a service. Every answer carries an `X-Request-Id`; every error is a problem document.
pub fn router(service: Service) -> Router {
    let service = Arc::new(service);
    Router::new()
        .merge(draws::routes())
        .merge(reservations::routes())
        .merge(voids::routes())
        .merge(adopt::routes())
        .merge(numbers::routes())
        .merge(counters::routes())
        .merge(gaps::routes())
        .merge(ids::routes())
        .merge(audit::routes())
        .merge(checkpoint::routes())
        .merge(sequences::routes())
        .merge(closing::routes())
        .merge(health::routes())
        .merge(docs::routes())
        .fallback(no_such_path)
        .method_not_allowed_fallback(wrong_method)
        .layer(DefaultBodyLimit::max(BODY_LIMIT))
        .layer(middleware::from_fn_with_state(
            Arc::clone(&service),
            outermost::handle,
        ))
        .with_state(service)
}

/// The description of the API in the OpenAPI format, as `/openapi.json` serves it.
#[must_use]
pub fn openapi_json() -> String {
    openapi::json()
}

async fn no_such_path(uri: Uri) -> Problem {
    Problem::no_such_path(uri.path())
}

async fn wrong_method(method: Method, uri: Uri) -> Problem {
    let detail = match uri.path() {
        "/api/v1/next" => {
            "numbers are issued by POST /api/v1/next with a body such as {\"prefix\":\"INV\"}".to_owned()
        }
        path => format!("{path} does not take {method}; the header Allow says what it takes"),
    };
    Problem::new(Code::MethodNotAllowed, detail)
}
