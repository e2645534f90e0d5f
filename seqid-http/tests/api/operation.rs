use std::time::Duration;

use seqid_core::Code;
use seqid_http::{NotReady, Undelivered, router};
use serde_json::json;

use crate::{Api, api, service};

#[tokio::test]
async fn the_process_is_healthy_and_ready() {
    assert_eq!(api().get("/health").await.ok(200)["status"], "ok");
    assert_eq!(api().get("/ready").await.ok(200)["status"], "ready");
}

#[tokio::test]
async fn a_service_that_is_not_ready_says_why_and_stays_healthy() {
    let stopping = || {
        Err(NotReady {
            code: Code::Draining,
            reason: "the service is stopping".to_owned(),
        })
    };
    let api = Api(router(service().ready(stopping)));
    assert_eq!(
        api.get("/ready").await.problem(503, "draining")["detail"],
        "the service is stopping"
    );
    api.get("/health").await.ok(200);
}

#[tokio::test]
async fn a_service_that_is_ready_says_what_was_not_delivered() {
    let undelivered = |most| {
        move || {
            Some(Undelivered {
                events: 7,
                age: Duration::from_millis(2_500),
                most,
            })
        }
    };
    for (most, said) in [
        (None, json!({"events": 7, "oldest_seconds": 2.5})),
        (Some(9), json!({"events": 7, "oldest_seconds": 2.5, "limit": 9})),
    ] {
        let api = Api(router(service().undelivered(undelivered(most))));
        assert_eq!(api.get("/ready").await.ok(200)["undelivered"], said);
        assert!(api.get("/health").await.ok(200).get("undelivered").is_none());
    }
    assert!(api().get("/ready").await.ok(200).get("undelivered").is_none());
}

#[tokio::test]
async fn metrics_are_given_as_they_come_from_the_provider() {
    let api = Api(router(
        service().metrics(|| "numbers_total 1\n# EOF\n".to_owned()),
    ));
    let answer = api.get("/metrics").await;
    assert_eq!(
        (answer.status.as_u16(), answer.text().as_str()),
        (200, "numbers_total 1\n# EOF\n")
    );
    assert!(
        answer
            .header("content-type")
            .starts_with("application/openmetrics-text; version=1.0.0")
    );
}

#[tokio::test]
async fn answers_are_not_to_be_stored() {
    for path in ["/api/v1/sequences", "/health", "/nothing"] {
        assert_eq!(api().get(path).await.header("cache-control"), "no-store");
    }
}
