//! Servers that speak TLS alone.
#![cfg(all(unix, feature = "tls"))]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod lender;

use std::error::Error;
use std::path::Path;
use std::time::Duration;

use lender::{AUTHORITY, Lender, connect, counter};
use seqid_core::clock::Seed;
use seqid_redis::{Fenced, OpenError, RedisConfig, TlsProblem};
use seqid_testkit::servers::{Certificates, RedisCluster, RedisSentinels, RedisServer, Shown};

async fn draws(url: &str) {
    let fenced = connect(url).await;
    let mut held = Lender::new(counter(), 1).lend(&fenced, 100).await;
    assert_eq!(held.take(&fenced, 3).await, 1);
    assert_eq!(held.take(&fenced, 1).await, 4);
}

async fn refused(url: &str) -> OpenError {
    let config: RedisConfig = url.parse().unwrap();
    // Where nothing is answered at all, it ends the test; elsewhere it is enough for a busy machine.
    let patience = Duration::from_secs(5);
    Fenced::connect(config.timeout(patience), AUTHORITY, Seed::from_system())
        .await
        .expect_err(url)
}

async fn refused_by_tls(url: &str, expected: TlsProblem) {
    match refused(url).await {
        OpenError::Tls { problem, .. } => assert_eq!(problem, expected, "{url}"),
        other => panic!("{url}: {other}"),
    }
}

fn url(server: &RedisServer, authority: &Path) -> String {
    let authority = authority.display();
    format!(
        "rediss://:{}@{}:{}/0?tls_ca={authority}",
        server.password(),
        server.host(),
        server.port()
    )
}

#[tokio::test]
async fn numbers_are_drawn_by_tls() {
    let certificates = Certificates::new().unwrap();
    let server = RedisServer::start_tls(&certificates, Shown::Sound, &[]).unwrap();
    draws(&server.url()).await;
    // By name, and as a user that may do no more than is asked for.
    let rights =
        "+fcall +function|load +info +get +set +hmget +hset +del +xadd +xlen +xdel +xrange +time ~seqid:*";
    let mut user: Vec<&str> = vec!["ACL", "SETUSER", "erp", "on", ">s3cret"];
    user.extend(rights.split(' '));
    server.cli(&["FLUSHALL"]).unwrap();
    server.cli(&user).unwrap();
    let url = server
        .url()
        .replace(":password@127.0.0.1", "erp:s3cret@localhost");
    draws(&url).await;
    let wrong = refused(&url.replace("s3cret", "guess")).await;
    assert!(matches!(wrong, OpenError::Login { .. }), "{wrong}");
}

#[tokio::test]
async fn sentinels_and_their_servers_are_reached_by_tls() {
    let group = RedisSentinels::start_tls(&Certificates::new().unwrap()).unwrap();
    draws(&group.url()).await;
    // What one of them says by TLS is what is told of all.
    let other = Certificates::new().unwrap();
    let (known, _) = group
        .url()
        .split_once('?')
        .map(|(url, files)| (url.to_owned(), files.to_owned()))
        .unwrap();
    let error = refused(&format!("{known}?tls_ca={}", other.authority().display())).await;
    let OpenError::NoPrimary {
        source: Some(source), ..
    } = error
    else {
        panic!("{error}");
    };
    assert!(
        matches!(
            *source,
            OpenError::Tls {
                problem: TlsProblem::Authority,
                ..
            }
        ),
        "{source}"
    );
}

#[tokio::test]
async fn the_nodes_of_a_cluster_are_reached_by_tls() {
    let cluster = RedisCluster::start_tls(&Certificates::new().unwrap()).unwrap();
    draws(&cluster.url()).await;
}

#[tokio::test]
async fn a_certificate_that_does_not_hold_is_refused_at_the_start() {
    let certificates = Certificates::new().unwrap();
    let sound = RedisServer::start_tls(&certificates, Shown::Sound, &[]).unwrap();
    let other = Certificates::new().unwrap();
    refused_by_tls(&url(&sound, &other.authority()), TlsProblem::Authority).await;
    let by_the_system = url(&sound, Path::new("")).replace("?tls_ca=", "");
    refused_by_tls(&by_the_system, TlsProblem::Authority).await;
    for (shown, problem) in [
        (Shown::Expired, TlsProblem::Time),
        (Shown::OtherHost, TlsProblem::Host),
    ] {
        let server = RedisServer::start_tls(&certificates, shown, &[]).unwrap();
        refused_by_tls(&server.url(), problem).await;
    }
}

#[tokio::test]
async fn tls_to_a_port_in_the_clear_and_the_reverse_are_told() {
    let certificates = Certificates::new().unwrap();
    let clear = RedisServer::start().unwrap();
    refused_by_tls(&url(&clear, &certificates.authority()), TlsProblem::NotSpoken).await;
    let server = RedisServer::start_tls(&certificates, Shown::Sound, &[]).unwrap();
    let url = format!(
        "redis://:{}@{}:{}/0",
        server.password(),
        server.host(),
        server.port()
    );
    let error = refused(&url).await;
    assert!(matches!(error, OpenError::Hung { .. }), "{error}");
    assert!(error.to_string().contains("rediss://"), "{error}");
}

#[tokio::test]
async fn a_server_that_asks_for_a_certificate_is_shown_it() {
    let certificates = Certificates::new().unwrap();
    let asks = [("tls-auth-clients", "yes")];
    let server = RedisServer::start_tls(&certificates, Shown::Sound, &asks).unwrap();
    refused_by_tls(&server.url(), TlsProblem::NotAccepted).await;
    let named = |of: &Certificates| {
        let [certificate, key] = of.files(Shown::Sound);
        format!(
            "{}&tls_cert={}&tls_key={}",
            server.url(),
            certificate.display(),
            key.display()
        )
    };
    refused_by_tls(&named(&Certificates::new().unwrap()), TlsProblem::NotAccepted).await;
    draws(&named(&certificates)).await;
}

#[tokio::test]
async fn a_file_that_cannot_be_used_is_named() {
    let certificates = Certificates::new().unwrap();
    let server = RedisServer::start_tls(&certificates, Shown::Sound, &[]).unwrap();
    let error = refused(&url(&server, Path::new("/nowhere/ca.pem"))).await;
    assert!(matches!(error, OpenError::TlsFile { .. }), "{error}");
    assert!(
        error.source().unwrap().to_string().contains("/nowhere/ca.pem"),
        "{error:?}"
    );
    let [certificate, _] = certificates.files(Shown::Sound);
    let no_key = format!("{}&tls_cert={1}&tls_key={1}", server.url(), certificate.display());
    refused_by_tls(&no_key, TlsProblem::Other).await;
}

#[tokio::test]
async fn a_new_certificate_needs_no_restart() {
    let (before, after) = (Certificates::new().unwrap(), Certificates::new().unwrap());
    let folder = tempfile::tempdir().unwrap();
    let authority = folder.path().join("ca.pem");
    std::fs::copy(before.authority(), &authority).unwrap();
    let server = RedisServer::start_tls(&before, Shown::Sound, &[]).unwrap();
    let fenced = connect(&url(&server, &authority)).await;
    let mut held = Lender::new(counter(), 1).lend(&fenced, 100).await;
    assert_eq!(held.take(&fenced, 1).await, 1);

    let [certificate, key] = after.files(Shown::Sound).map(|path| path.display().to_string());
    let set = [
        "CONFIG",
        "SET",
        "tls-cert-file",
        &certificate,
        "tls-key-file",
        &key,
    ];
    server.cli(&set).unwrap();
    std::fs::copy(after.authority(), &authority).unwrap();
    server.cli(&["CLIENT", "KILL", "TYPE", "normal"]).unwrap();
    fenced.look_again(counter().bucket());
    fenced.server(counter().bucket()).await.unwrap();
    assert_eq!(held.take(&fenced, 1).await, 2);
}
