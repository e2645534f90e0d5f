//! What real servers answer when they cannot serve, and what is known then.
#![cfg(unix)]

mod lender;

use std::time::Duration;

use lender::{AUTHORITY, Held, Lender, connect, connect_with, counter};
use seqid_core::clock::Seed;
use seqid_core::store::{Certainty, StoreError};
use seqid_redis::{Drawn, Fault, Fenced, OpenError, RedisConfig};
use seqid_testkit::servers::{RedisCluster, RedisSentinels, RedisServer};

async fn lent(server: &RedisServer) -> (Fenced, Held) {
    let fenced = connect(&server.url()).await;
    let held = Lender::new(counter(), 1).lend(&fenced, 100).await;
    (fenced, held)
}

async fn fault(fenced: &Fenced, held: &Held) -> Fault {
    let drawn = fenced.draw(held.counter.bucket(), &[held.draw(1)]).await;
    drawn.expect_err("the server cannot serve")
}

#[track_caller]
fn not_issued(fault: &Fault, code: &str) {
    let Fault::Redis(error) = fault else {
        panic!("{code} was expected: {fault}");
    };
    assert_eq!(error.code(), Some(code), "{fault}");
    assert_eq!(fault.certainty(), Certainty::NotIssued, "{fault}");
}

#[tokio::test]
async fn readonly_is_not_issued() {
    let server = RedisServer::start().unwrap();
    let (fenced, held) = lent(&server).await;
    let away = server.port() - 1;
    server
        .cli(&["REPLICAOF", "127.0.0.1", &away.to_string()])
        .unwrap();
    not_issued(&fault(&fenced, &held).await, "READONLY");
    // The connection leads to a replica, so it is not used again.
    let later = fault(&fenced, &held).await;
    assert!(matches!(later, Fault::Away(_)), "{later}");
    assert_eq!(later.certainty(), Certainty::NotIssued);
}

#[tokio::test]
async fn masterdown_is_not_issued() {
    let server = RedisServer::start_with(&[("replica-serve-stale-data", "no")]).unwrap();
    let (fenced, held) = lent(&server).await;
    let away = server.port() - 1;
    server.cli(&["CONFIG", "SET", "replica-read-only", "no"]).unwrap();
    server
        .cli(&["REPLICAOF", "127.0.0.1", &away.to_string()])
        .unwrap();
    not_issued(&fault(&fenced, &held).await, "MASTERDOWN");
}

#[tokio::test]
async fn noreplicas_is_not_issued() {
    let server = RedisServer::start().unwrap();
    let (fenced, mut held) = lent(&server).await;
    server
        .cli(&["CONFIG", "SET", "min-replicas-to-write", "1"])
        .unwrap();
    not_issued(&fault(&fenced, &held).await, "NOREPLICAS");
    server
        .cli(&["CONFIG", "SET", "min-replicas-to-write", "0"])
        .unwrap();
    assert_eq!(held.take(&fenced, 1).await, 1);
}

#[tokio::test]
async fn out_of_memory_is_not_issued() {
    let server = RedisServer::start().unwrap();
    let (fenced, mut held) = lent(&server).await;
    server.cli(&["CONFIG", "SET", "maxmemory", "1"]).unwrap();
    let fault = fault(&fenced, &held).await;
    not_issued(&fault, "OOM");
    assert!(matches!(StoreError::from(fault), StoreError::Full(_)));
    server.cli(&["CONFIG", "SET", "maxmemory", "0"]).unwrap();
    assert_eq!(held.take(&fenced, 1).await, 1);
}

#[tokio::test]
async fn a_busy_server_is_not_issued() {
    let server = RedisServer::start_with(&[("busy-reply-threshold", "1")]).unwrap();
    let (fenced, mut held) = lent(&server).await;
    let mut endless = std::process::Command::new(server.program_folder().join("redis-cli"))
        .args(["-p", &server.port().to_string(), "EVAL", "while true do end", "0"])
        .env("REDISCLI_AUTH", server.password())
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    while !server
        .cli(&["PING"])
        .is_err_and(|error| error.to_string().contains("BUSY"))
    {}
    not_issued(&fault(&fenced, &held).await, "BUSY");
    server.cli(&["SCRIPT", "KILL"]).unwrap();
    endless.wait().unwrap();
    assert_eq!(held.take(&fenced, 1).await, 1);
}

#[tokio::test]
async fn what_the_acl_denies_is_not_issued_and_takes_nothing() {
    let server = RedisServer::start().unwrap();
    let (fenced, mut held) = lent(&server).await;
    let user = |rule: &str| server.cli(&["ACL", "SETUSER", "default", rule]).unwrap();
    user("-fcall");
    not_issued(&fault(&fenced, &held).await, "NOPERM");
    user("+fcall");
    // In the middle of the script, before and after its first write.
    for command in ["xadd", "hset", "hmget", "xlen", "get", "info"] {
        user(&format!("-{command}"));
        let drawn = held.try_take(&fenced, 1).await;
        assert!(matches!(drawn, Drawn::Denied { .. }), "{command}: {drawn:?}");
        user(&format!("+{command}"));
    }
    assert_eq!(held.take(&fenced, 1).await, 1);
    let page = fenced
        .events(held.counter.bucket())
        .older_than(Duration::ZERO, None, 10)
        .await
        .unwrap();
    assert_eq!(page.entries.len(), 1, "{page:?}");
}

#[tokio::test]
async fn a_user_with_the_listed_rights_can_do_all_of_it() {
    let server = RedisServer::start().unwrap();
    let readme = include_str!("../README.md");
    let listed = readme.split("A user of its own needs").nth(1).unwrap();
    let listed = listed.split("and in a cluster").next().unwrap();
    let mut command = vec!["ACL", "SETUSER", "erp", "on", ">s@cret", "resetchannels"];
    command.extend(
        listed
            .split(['`', ' ', '\n', ','])
            .filter(|word| word.starts_with(['+', '~'])),
    );
    server.cli(&command).unwrap();
    let url = format!("redis://erp:s%40cret@127.0.0.1:{}", server.port());
    let fenced = connect(&url).await;
    let mut lender = Lender::new(counter(), 1);
    let mut held = lender.lend(&fenced, 10).await;
    held.take(&fenced, 1).await;
    fenced.extend(&counter(), 1, 11, 21).await.unwrap();
    let events = fenced.events(counter().bucket());
    let page = events.older_than(Duration::ZERO, None, 10).await.unwrap();
    let entry = page.entries[0].as_ref().unwrap();
    assert_eq!(
        events
            .remove(&page.history, std::slice::from_ref(&entry.id))
            .await
            .unwrap(),
        1
    );
    events
        .older_than(Duration::from_secs(30), None, 10)
        .await
        .unwrap();
    fenced.close(&counter(), 1, 0).await.unwrap();
    lender.lend(&fenced, 10).await;
}

#[tokio::test]
async fn a_server_that_does_not_let_in_is_told_from_one_that_is_away() {
    let mut server = RedisServer::start().unwrap();
    let open = async |url: String| {
        let config: RedisConfig = url.parse().unwrap();
        Fenced::connect(config, AUTHORITY, Seed(1)).await.unwrap_err()
    };
    let port = server.port();
    let error = open(format!("redis://:guessed@127.0.0.1:{port}")).await;
    assert!(matches!(error, OpenError::Login { .. }), "{error}");
    let error = open(format!("redis://127.0.0.1:{port}")).await;
    assert!(matches!(error, OpenError::Login { .. }), "{error}");
    server
        .cli(&["ACL", "SETUSER", "weak", "on", ">weak", "+ping"])
        .unwrap();
    let error = open(format!("redis://weak:weak@127.0.0.1:{port}")).await;
    assert!(matches!(error, OpenError::NotAllowed { .. }), "{error}");
    server.kill().unwrap();
    let error = open(server.url()).await;
    assert!(matches!(error, OpenError::Unreachable { .. }), "{error}");
}

#[tokio::test]
async fn what_a_paused_server_does_not_answer_is_unknown() {
    let mut server = RedisServer::start().unwrap();
    let config: RedisConfig = server.url().parse().unwrap();
    let fenced = connect_with(config.timeout(Duration::from_millis(300))).await;
    let mut held = Lender::new(counter(), 1).lend(&fenced, 100).await;
    server.pause().unwrap();
    let sent = fault(&fenced, &held).await;
    assert_eq!(sent.certainty(), Certainty::Unknown, "{sent}");
    let not_sent = fault(&fenced, &held).await;
    assert_eq!(not_sent.certainty(), Certainty::NotIssued, "{not_sent}");
    server.resume().unwrap();
    fenced.server(held.counter.bucket()).await.unwrap();
    // It was carried out all the same.
    assert_eq!(held.take(&fenced, 1).await, 2);
}

#[tokio::test]
async fn a_killed_server_is_never_confused_with_an_empty_one_in_its_place() {
    let mut server = RedisServer::start().unwrap();
    let (fenced, mut held) = lent(&server).await;
    held.take(&fenced, 1).await;
    server.start_empty().unwrap();
    let fault = fault(&fenced, &held).await;
    println!("{fault}");
    fenced.server(held.counter.bucket()).await.unwrap();
    assert_eq!(held.try_take(&fenced, 1).await, Drawn::Missing);
}

#[tokio::test]
async fn after_a_failover_the_new_primary_is_found_and_has_another_history() {
    let mut group = RedisSentinels::start().unwrap();
    let fenced = connect(&group.url()).await;
    let mut lender = Lender::new(counter(), 1);
    let mut held = lender.lend(&fenced, 100).await;
    held.take(&fenced, 3).await;
    let bucket = counter().bucket();
    let former = fenced.server(bucket).await.unwrap();
    assert_eq!(former.address, format!("127.0.0.1:{}", group.servers[0].port()));
    group.servers[0].kill().unwrap();
    println!("{}", fault(&fenced, &held).await);
    group.wait_for_other_than(0).unwrap();
    let found = fenced.server(bucket).await.unwrap();
    // On a machine that is busy, Sentinels may choose again at once.
    assert_ne!(found.address, former.address);
    assert_ne!(found.history, former.history);
    assert!(found.topology > former.topology, "{found:?} {former:?}");
    fenced.retire(bucket, &former.history, found.topology);
    match held.try_take(&fenced, 1).await {
        Drawn::Fenced(_) | Drawn::Missing => {}
        other => panic!("{other:?}"),
    }
    assert!(lender.lend(&fenced, 100).await.take(&fenced, 1).await > 100);
}

#[tokio::test]
async fn in_a_cluster_a_moving_bucket_is_not_issued_and_goes_on_where_it_went() {
    let cluster = RedisCluster::start().unwrap();
    let fenced = connect(&cluster.url()).await;
    let mut lender = Lender::new(counter(), 1);
    let mut held = lender.lend(&fenced, 100).await;
    assert_eq!(held.take(&fenced, 3).await, 1);
    let tag = format!("seqid:{{{}}}:", counter().bucket());
    let slot = cluster.slot(&format!("{tag}bucket")).unwrap();
    let from = cluster.primary_of(slot, 0).unwrap();
    let to = (0..6)
        .find(|node| *node != from && cluster.nodes[*node].info("role").unwrap() == "master")
        .unwrap();
    cluster.begin_move(slot, from, to).unwrap();
    cluster.move_key(&format!("{tag}bucket"), from, to).unwrap();
    not_issued(&fault(&fenced, &held).await, "TRYAGAIN");
    cluster.move_key(&format!("{tag}events"), from, to).unwrap();
    cluster
        .move_key(&format!("{tag}c:{}", counter().name()), from, to)
        .unwrap();
    not_issued(&fault(&fenced, &held).await, "ASK");
    cluster.end_move(slot, to).unwrap();
    not_issued(&fault(&fenced, &held).await, "MOVED");
    let found = loop {
        let found = fenced.server(counter().bucket()).await.unwrap();
        if found.address.ends_with(&cluster.nodes[to].port().to_string()) {
            break found;
        }
        // A node that was asked had not heard of the move.
        not_issued(&fault(&fenced, &held).await, "MOVED");
    };
    println!("{found:?}");
    // Another server, so another history: the range stays behind.
    assert!(matches!(held.try_take(&fenced, 1).await, Drawn::Fenced(_)));
    assert!(lender.lend(&fenced, 100).await.take(&fenced, 1).await > 100);
}

#[tokio::test]
async fn a_cluster_that_has_lost_a_part_is_not_issued() {
    let mut cluster = RedisCluster::start().unwrap();
    let fenced = connect(&cluster.url()).await;
    let held = Lender::new(counter(), 1).lend(&fenced, 100).await;
    let slot = cluster.slot(&format!("{{{}}}", counter().bucket())).unwrap();
    let primary = cluster.primary_of(slot, 0).unwrap();
    for node in (0..6).filter(|node| *node != primary) {
        cluster.nodes[node].kill().unwrap();
    }
    while !cluster.nodes[primary]
        .cli(&["CLUSTER", "INFO"])
        .unwrap()
        .contains("cluster_state:fail")
    {
        std::thread::yield_now();
    }
    not_issued(&fault(&fenced, &held).await, "CLUSTERDOWN");
}
