//! Connections that are encrypted, to a service or a proxy that shows a certificate.

use tonic::transport::Endpoint;

use crate::client::InvalidClient;

/// Whether this build has TLS, so that `https` addresses can be asked.
pub const HAS_TLS: bool = cfg!(feature = "tls");

/// What a certificate in PEM begins with.
const BEGIN: &[u8] = b"-----BEGIN CERTIFICATE-----";

/// An instance that is asked by `http`, or by `https` where its certificate is vouched for: by one of the authorities, or by
/// those that the machine trusts where none are named.
pub(crate) fn endpoint(uri: &str, authorities: Option<&[u8]>) -> Result<Endpoint, InvalidClient> {
    if authorities.is_some_and(|pem| !pem.windows(BEGIN.len()).any(|part| part == BEGIN)) {
        return Err(InvalidClient::NoCertificate);
    }
    let endpoint = Endpoint::from_shared(uri.to_owned()).map_err(|source| InvalidClient::Endpoint {
        uri: uri.to_owned(),
        source,
    })?;
    match (endpoint.uri().scheme_str(), endpoint.uri().host()) {
        (Some("http"), Some(_)) => Ok(endpoint),
        (Some("https"), Some(_)) => encrypted(endpoint, uri, authorities),
        _ => Err(InvalidClient::Scheme { uri: uri.to_owned() }),
    }
}

#[cfg(feature = "tls")]
fn encrypted(endpoint: Endpoint, uri: &str, authorities: Option<&[u8]>) -> Result<Endpoint, InvalidClient> {
    use tonic::transport::{Certificate, ClientTlsConfig};

    let tls = ClientTlsConfig::new().timeout(crate::client::CONNECT);
    let tls = match authorities {
        Some(pem) => tls.ca_certificate(Certificate::from_pem(pem)),
        None => tls.with_native_roots(),
    };
    endpoint.tls_config(tls).map_err(|source| InvalidClient::Tls {
        uri: uri.to_owned(),
        source,
    })
}

#[cfg(not(feature = "tls"))]
fn encrypted(_: Endpoint, uri: &str, _: Option<&[u8]>) -> Result<Endpoint, InvalidClient> {
    Err(InvalidClient::NoTls { uri: uri.to_owned() })
}
