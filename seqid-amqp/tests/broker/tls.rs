//! By TLS to a broker that speaks nothing else.

use std::path::Path;
use std::time::Duration;

use seqid_amqp::{AmqpConfig, AmqpSink, AmqpSource, InvalidConfig};
use seqid_core::store::AuditSink;
use seqid_testkit::servers::{Certificates, RabbitMqServer, Shown};

use crate::{config, deliver, events, receive, with_causes};

/// What a sink says that cannot record.
async fn complaint(config: AmqpConfig) -> String {
    let sink = AmqpSink::new(config.timeout(Duration::from_secs(10)));
    with_causes(&sink.record(&events(1).await).await.unwrap_err())
}

#[tokio::test]
async fn events_travel_by_tls_from_whom_the_authority_vouches_for() {
    let certificates = Certificates::new().unwrap();
    let server = RabbitMqServer::start_tls(&certificates, Shown::Sound, &[]).unwrap();
    let config = config(&server.url());
    let events = events(50).await;
    assert!(deliver(&AmqpSink::new(config.clone()), &events).await.is_empty());
    assert_eq!(receive(&AmqpSource::new(config, 20), &events).await, 51);

    let other = Certificates::new().unwrap();
    let stranger = server.url().replace(
        &certificates.authority().display().to_string(),
        &other.authority().display().to_string(),
    );
    let said = complaint(self::config(&stranger)).await;
    assert!(said.contains("no RabbitMQ answers at 127.0.0.1"), "{said}");
    assert!(said.contains("certificate"), "{said}");
    let url = server.url();
    let (nobody, _) = url.split_once('?').unwrap();
    let said = complaint(self::config(nobody)).await;
    assert!(said.contains("certificate"), "{said}");
    // In the clear to a port that speaks TLS.
    let clear = nobody.replacen("amqps", "amqp", 1);
    let said = complaint(self::config(&clear)).await;
    assert!(
        said.contains("no RabbitMQ answers") || said.contains("did not answer"),
        "{said}"
    );
}

#[tokio::test]
async fn a_certificate_that_has_expired_or_is_of_another_host_is_refused() {
    let certificates = Certificates::new().unwrap();
    for (shown, word) in [
        (Shown::Expired, "Expired"),
        (Shown::OtherHost, "not valid for name"),
    ] {
        let server = RabbitMqServer::start_tls(&certificates, shown, &[]).unwrap();
        let said = complaint(config(&server.url())).await;
        assert!(said.contains(word), "{shown:?}: {said}");
    }
}

#[tokio::test]
async fn a_broker_that_asks_for_a_certificate_is_shown_one() {
    let certificates = Certificates::new().unwrap();
    let asks = [
        ("ssl_options.verify", "verify_peer"),
        ("ssl_options.fail_if_no_peer_cert", "true"),
    ];
    let server = RabbitMqServer::start_tls(&certificates, Shown::Sound, &asks).unwrap();
    let said = complaint(config(&server.url())).await;
    assert!(said.contains("no RabbitMQ answers"), "{said}");
    let [certificate, key] = certificates
        .files(Shown::Sound)
        .map(|file| file.display().to_string());
    let url = format!("{}&certfile={certificate}&keyfile={key}", server.url());
    let events = events(3).await;
    assert!(deliver(&AmqpSink::new(config(&url)), &events).await.is_empty());
}

#[test]
fn files_that_cannot_be_used_are_named() {
    let certificates = Certificates::new().unwrap();
    let refused = |query: &str| AmqpConfig::new(&format!("amqps://broker?{query}"), "q").unwrap_err();
    for (parameter, path) in [
        ("cacertfile", Path::new("/nowhere/ca.pem")),
        ("certfile", &certificates.files(Shown::Sound)[1]),
        ("keyfile", &certificates.files(Shown::Sound)[0]),
    ] {
        let error = refused(&format!("{parameter}={}", path.display()));
        let InvalidConfig::File { parameter: named, .. } = &error else {
            panic!("{error}");
        };
        assert_eq!(*named, parameter);
        assert!(error.to_string().contains(&path.display().to_string()), "{error}");
    }
    let [certificate, key] = certificates.files(Shown::Sound);
    for half in [("certfile", certificate), ("keyfile", key)] {
        let query = format!("{}={}", half.0, half.1.display());
        assert_eq!(refused(&query), InvalidConfig::HalfIdentity);
    }
}
