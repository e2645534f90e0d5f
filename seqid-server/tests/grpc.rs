//! gRPC beside REST: one process, one issuer, one end.
#![allow(clippy::unwrap_used, reason = "a test fails by it")]

mod running;

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use running::{Server, program, run};
use seqid_proto::draw_response::Result as Drawn;
use seqid_proto::sequential_id_service_client::SequentialIdServiceClient;
use seqid_proto::{DrawRequest, GetNextRequest, SERVICE};
use tokio::sync::mpsc;
use tokio_stream::wrappers::UnboundedReceiverStream;
use tonic::transport::Channel;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

type Client = SequentialIdServiceClient<Channel>;

async fn channel(server: &Server) -> Channel {
    let address = server.grpc.expect("it serves gRPC");
    let endpoint = Channel::from_shared(format!("http://{address}")).unwrap();
    endpoint.connect().await.unwrap()
}

async fn client(server: &Server) -> Client {
    Client::new(channel(server).await)
}

fn next() -> GetNextRequest {
    GetNextRequest {
        prefix: "INV".into(),
        ..GetNextRequest::default()
    }
}

#[tokio::test]
async fn both_interfaces_draw_from_one_counter() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path());
    let mut client = client(&server).await;
    for round in 0..5 {
        assert_eq!(server.draw(), 2 * round + 1);
        let drawn = client.get_next(next()).await.unwrap().into_inner();
        assert_eq!(drawn.number, i64::try_from(2 * round + 2).unwrap());
    }
    server.stop();
}

#[tokio::test]
async fn calls_and_connections_are_counted() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path());
    let mut client = client(&server).await;
    client.get_next(next()).await.unwrap();
    client.get_next(GetNextRequest::default()).await.unwrap_err();
    let metrics = server.client().get("/metrics").unwrap().body;
    for line in [
        "seqid_grpc_calls_total{call=\"GetNext\",status=\"OK\"} 1",
        "seqid_grpc_calls_total{call=\"GetNext\",status=\"INVALID_ARGUMENT\"} 1",
        "seqid_grpc_calls_total{call=\"Draw\",status=\"OK\"} 0",
        "seqid_grpc_connections 1",
        "seqid_grpc_call_seconds_count 2",
    ] {
        assert!(
            metrics.lines().any(|found| found == line),
            "{line} is not in\n{metrics}"
        );
    }
}

#[tokio::test]
async fn a_stop_ends_streams_with_what_they_were_answered() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path());
    let mut client = client(&server).await;
    let mut health = HealthClient::new(channel(&server).await);
    let request = HealthCheckRequest {
        service: SERVICE.into(),
    };
    let mut watch = health.watch(request).await.unwrap().into_inner();
    assert_eq!(
        watch.message().await.unwrap().unwrap().status(),
        ServingStatus::Serving
    );
    let (sender, receiver) = mpsc::unbounded_channel();
    let mut answers = client
        .draw(UnboundedReceiverStream::new(receiver))
        .await
        .unwrap()
        .into_inner();
    let mut drawn = 0;
    let send = |call| {
        let draw = DrawRequest {
            call,
            prefix: "INV".into(),
            ..DrawRequest::default()
        };
        // The stream may have ended, which its answers tell.
        let _ended = sender.send(draw);
    };
    send(0);
    let ended = loop {
        match answers.message().await {
            Ok(Some(answer)) => {
                assert!(matches!(answer.result, Some(Drawn::Numbers(_))), "{answer:?}");
                drawn += 1;
                if drawn == 100 {
                    server.signal("TERM");
                }
                send(drawn);
            }
            Ok(None) => panic!("the stream ends with a status"),
            Err(status) => break status,
        }
    };
    assert_eq!(ended.code(), tonic::Code::Unavailable);
    assert!(ended.message().contains("was not drawn"), "{ended:?}");
    assert_eq!(
        watch.message().await.unwrap().unwrap().status(),
        ServingStatus::NotServing
    );
    let (status, log) = server.wait();
    assert_eq!(status.code(), Some(0), "{log}");
    assert_eq!(
        Server::start(folder.path()).draw(),
        drawn + 1,
        "what was not answered was not drawn"
    );
}

#[tokio::test]
async fn unused_and_garbled_connections_hold_nobody_up() {
    use std::io::Write;
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path());
    let address = server.grpc.unwrap();
    let unused = TcpStream::connect(address).unwrap();
    let mut half = TcpStream::connect(address).unwrap();
    half.write_all(b"PRI * HTTP/2.0\r\n").unwrap();
    let mut garbled = TcpStream::connect(address).unwrap();
    garbled.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
    let mut client = client(&server).await;
    assert_eq!(client.get_next(next()).await.unwrap().into_inner().number, 1);
    server.stop();
    drop((unused, half, garbled));
}

#[tokio::test]
async fn a_service_without_grpc_says_nothing_of_it() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start_with(program(folder.path()).env("PORT", "0").env("GRPC_PORT", "off"));
    assert_eq!(server.grpc, None, "{}", server.banner);
    assert_eq!(server.draw(), 1);
    server.stop();
}

#[test]
fn a_port_that_is_taken_is_named_by_its_variable() {
    let folder = tempfile::tempdir().unwrap();
    let taken = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let ended = run(program(folder.path()).env("PORT", "0").env("GRPC_PORT", &port));
    ended.refused(&[&port, "GRPC_PORT", "taken by another program"]);
    assert!(
        !folder.path().join("seqid-data").exists(),
        "the store was not touched"
    );
}

/// More calls at a time than a connection may have are not refused: they wait.
#[tokio::test]
async fn calls_beyond_the_bound_of_a_connection_wait() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = program(folder.path());
    // A machine that is busy with other things must not make the test fail.
    let server = Server::start_with(command.env("PORT", "0").env("SEQID_DEADLINE_MS", "100000"));
    let client = client(&server).await;
    let calls: Vec<_> = (0..2_000)
        .map(|_| {
            let mut client = client.clone();
            tokio::spawn(async move { client.get_next(next()).await })
        })
        .collect();
    let mut numbers = Vec::new();
    for call in calls {
        let answer = tokio::time::timeout(Duration::from_secs(120), call)
            .await
            .unwrap()
            .unwrap();
        numbers.push(answer.unwrap().into_inner().number);
    }
    numbers.sort_unstable();
    assert_eq!(numbers, (1..=2_000).collect::<Vec<i64>>());
}
