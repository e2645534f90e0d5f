//! The API as its callers see it, over an issuer with a memory store.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod adopt;
mod audit;
mod closing;
mod counters;
mod docs;
mod draws;
mod faults;
mod gaps;
mod ids;
mod numbers;
mod operation;
mod pages;
mod ranges;
mod refusals;
mod reservations;
mod sequences;
mod voids;

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Request, StatusCode};
use http_body_util::BodyExt;
use seqid_core::clock::{ManualClock, Seed};
use seqid_core::{Issuer, MemoryStore};
use seqid_http::{Service, router};
use serde_json::Value;
use tower::ServiceExt;

/// The API at noon of 7 March 2026.
pub(crate) fn api() -> Api {
    Api(router(service()))
}

/// The same with its clock.
pub(crate) fn api_with_clock() -> (Api, Arc<ManualClock>) {
    let clock = Arc::new(noon());
    (Api(router(service_at(Arc::clone(&clock)))), clock)
}

pub(crate) fn service() -> Service {
    service_at(Arc::new(noon()))
}

fn noon() -> ManualClock {
    ManualClock::new("2026-03-07T12:00:00Z".parse().unwrap())
}

fn service_at(clock: Arc<ManualClock>) -> Service {
    let store = Arc::new(MemoryStore::new(clock.clone(), Seed(1)));
    Service::new(Arc::new(Issuer::builder(store).clock(clock).build())).seed(Seed(2))
}

pub(crate) struct Api(pub(crate) Router);

pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("not JSON: {}", self.text()))
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// A success with this status.
    #[track_caller]
    pub(crate) fn ok(self, status: u16) -> Value {
        assert_eq!(self.status.as_u16(), status, "{}", self.text());
        self.json()
    }

    /// A complete problem document with this status and code.
    #[track_caller]
    pub(crate) fn problem(&self, status: u16, code: &str) -> Value {
        let document = self.json();
        assert_eq!(
            (self.status.as_u16(), document["code"].as_str()),
            (status, Some(code)),
            "{}",
            self.text()
        );
        assert_eq!(self.header("content-type"), "application/problem+json");
        assert_eq!(document["type"], format!("urn:seqid:problem:{code}"));
        assert_eq!(document["status"], status);
        assert_eq!(
            document["instance"],
            format!("urn:seqid:request:{}", self.header("x-request-id"))
        );
        for member in ["title", "detail", "outcome", "retry"] {
            assert!(
                document[member].as_str().is_some_and(|text| !text.is_empty()),
                "{member}: {}",
                self.text()
            );
        }
        for member in ["retry_after_ms", "remaining", "errors"] {
            assert!(document.get(member).is_some(), "{member}: {}", self.text());
        }
        document
    }

    /// The pointer of the only member that a problem blames.
    #[track_caller]
    pub(crate) fn blames(&self, pointer: &str) {
        let errors = self.json()["errors"].clone();
        assert_eq!(errors.as_array().map(Vec::len), Some(1), "{}", self.text());
        assert_eq!(errors[0]["pointer"], pointer, "{}", self.text());
    }
}

impl Api {
    pub(crate) async fn send(&self, request: Request<Body>) -> Answer {
        let response = self.0.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let body = body.collect().await.unwrap().to_bytes().to_vec();
        Answer {
            status: parts.status,
            headers: parts.headers,
            body,
        }
    }

    pub(crate) async fn call(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Answer {
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.send(request.body(Body::from(body.to_owned())).unwrap())
            .await
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.call("GET", path, &[], "").await
    }

    pub(crate) async fn post(&self, path: &str, body: &str) -> Answer {
        self.call("POST", path, &[JSON], body).await
    }

    pub(crate) async fn put(&self, path: &str, body: &str) -> Answer {
        self.call("PUT", path, &[JSON], body).await
    }

    /// Defines a sequence.
    pub(crate) async fn define(&self, prefix: &str, definition: &str) {
        self.put(&format!("/api/v1/sequences/{prefix}"), definition)
            .await
            .ok(201);
    }
}

pub(crate) const JSON: (&str, &str) = ("content-type", "application/json");
