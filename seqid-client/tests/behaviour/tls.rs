//! Services that are asked over TLS. Their certificates are in `certificates`, valid for a hundred years: `service.pem` is for
//! `localhost`, and `authority.pem` vouches for it, whose key nobody has any more.

use seqid_client::{Client, HAS_TLS, InvalidClient};

use crate::hall::PATIENCE;

const AUTHORITY: &str = include_str!("certificates/authority.pem");

#[tokio::test]
async fn what_is_trusted_must_be_certificates() {
    let client = |pem: &str| {
        let client = Client::builder().endpoint("http://localhost:1").authorities(pem);
        client.build()
    };
    assert!(client(AUTHORITY).is_ok());
    for wrong in ["", "authority.pem", "-----BEGIN PRIVATE KEY-----"] {
        assert!(matches!(client(wrong), Err(InvalidClient::NoCertificate)));
    }
}

#[tokio::test]
async fn an_address_that_needs_tls_is_refused_by_a_build_without_it() {
    let client = Client::builder()
        .endpoint("https://localhost:1")
        .authorities(AUTHORITY)
        .patience(PATIENCE)
        .build();
    if HAS_TLS {
        assert!(client.is_ok());
    } else {
        let refused = client.unwrap_err();
        assert!(matches!(refused, InvalidClient::NoTls { .. }));
        assert!(refused.to_string().contains("the feature `tls`"));
    }
}

#[cfg(feature = "tls")]
mod encrypted {
    use std::net::SocketAddr;
    use std::time::Duration;

    use seqid_client::{Client, ClientBuilder, InvalidClient};
    use seqid_core::names::Reason;
    use seqid_core::numbering::{CounterSelector, ResetRequest};
    use seqid_core::{Code, Error, Number, Numbering};
    use seqid_grpc::{Service, routes};
    use tokio::net::TcpListener;
    use tokio_stream::wrappers::TcpListenerStream;
    use tonic::transport::{Identity, Server, ServerTlsConfig};

    use super::AUTHORITY;
    use crate::hall::{Instance, PATIENCE, draw, issuer, prefix};

    async fn serve() -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let identity = Identity::from_pem(
            include_str!("certificates/service.pem"),
            include_str!("certificates/service-key.pem"),
        );
        let serving = Server::builder()
            .tls_config(ServerTlsConfig::new().identity(identity))
            .unwrap()
            .add_routes(routes(Service::new(issuer()).deadline(PATIENCE)))
            .serve_with_incoming(TcpListenerStream::new(listener));
        tokio::spawn(serving);
        address
    }

    fn asking(host: &str, port: u16) -> ClientBuilder {
        Client::builder().endpoint(format!("https://{host}:{port}"))
    }

    /// Nothing was asked, and the message says why.
    async fn refused(client: Client, why: &str) {
        let drawn = draw(&client).await.unwrap_err();
        let looked_up = client.status(CounterSelector::new(prefix())).await.unwrap_err();
        let reason = Reason::new("a test").unwrap();
        let reset = ResetRequest::new(CounterSelector::new(prefix()), Number::new(5).unwrap(), reason);
        let changed = client.reset(reset).await.unwrap_err();
        for error in [drawn, looked_up, changed] {
            assert_eq!(error.code(), Code::StoreUnavailable, "{error}");
            assert!(causes(&error).contains(why), "{}", causes(&error));
        }
    }

    fn causes(error: &Error) -> String {
        let mut told = error.to_string();
        let mut below = std::error::Error::source(error);
        while let Some(cause) = below {
            told = format!("{told}: {cause}");
            below = cause.source();
        }
        told
    }

    #[tokio::test]
    async fn a_service_whose_certificate_is_vouched_for_is_asked() {
        let port = serve().await.port();
        let client = asking("localhost", port)
            .authorities(AUTHORITY)
            .patience(PATIENCE);
        let client = client.build().unwrap();
        for number in 1..=3 {
            assert_eq!(draw(&client).await.unwrap(), number);
        }
        client.status(CounterSelector::new(prefix())).await.unwrap();
    }

    #[tokio::test]
    async fn a_certificate_that_nobody_vouches_for_is_refused_and_nothing_is_asked() {
        let port = serve().await.port();
        let other = include_str!("certificates/other-authority.pem");
        let client = asking("localhost", port).authorities(other);
        refused(
            client.patience(Duration::from_secs(3)).build().unwrap(),
            "UnknownIssuer",
        )
        .await;
    }

    #[tokio::test]
    async fn a_certificate_for_another_name_is_refused() {
        let port = serve().await.port();
        let client = asking("127.0.0.1", port).authorities(AUTHORITY);
        refused(
            client.patience(Duration::from_secs(3)).build().unwrap(),
            "certificate not valid for name",
        )
        .await;
    }

    #[tokio::test]
    async fn a_service_that_speaks_no_tls_is_not_asked() {
        let plain = Instance::open(issuer()).await;
        let client = asking("localhost", plain.address.port()).authorities(AUTHORITY);
        let client = client.patience(Duration::from_secs(3)).build().unwrap();
        assert_eq!(draw(&client).await.unwrap_err().code(), Code::StoreUnavailable);
        assert!(plain.calls.lock().unwrap().is_empty());
    }

    #[tokio::test]
    async fn a_certificate_that_cannot_be_read_is_told_of_when_the_client_is_built() {
        let broken = AUTHORITY.replace("MII", "!!!");
        let client = asking("localhost", 1).authorities(broken).build();
        assert!(matches!(client, Err(InvalidClient::Tls { .. })));
    }
}
