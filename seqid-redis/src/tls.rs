//! Connections by TLS.

use std::error::Error;
use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use redis::{Client, ConnectionInfo, RedisError};

use crate::config::Address;

/// How a server is known by TLS, and how it knows seqid. The files are read at each connection, so that a new certificate
/// needs no restart.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Tls {
    /// PEM file with the certificates that the server's may be signed by: those that the system trusts unless set.
    pub authorities: Option<PathBuf>,
    /// PEM file with the certificate that seqid shows, and those between it and its authority: none unless set.
    pub certificate: Option<PathBuf>,
    /// PEM file with the private key of that certificate.
    pub key: Option<PathBuf>,
}

/// What keeps a connection by TLS from being made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum TlsProblem {
    /// No authority that is trusted has signed the server's certificate.
    Authority,
    /// The server's certificate is not valid at this time.
    Time,
    /// The server's certificate is of another host.
    Host,
    /// Nothing answers by TLS: most likely the server does not speak it.
    NotSpoken,
    /// The server does not take the certificate that it was shown, or was shown none.
    NotAccepted,
    /// Anything else.
    Other,
}

impl fmt::Display for TlsProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Authority => {
                "shows a certificate that no trusted authority has signed: name the file of the authority's with ?tls_ca="
            }
            Self::Time => "shows a certificate that has expired, or is not valid yet: renew it, and check the clocks",
            Self::Host => "shows a certificate of another host: connect to it by a name that the certificate has",
            Self::NotSpoken => {
                "does not answer by TLS: check that it runs, and that it speaks TLS at this port; if it does not, name it with redis://"
            }
            Self::NotAccepted => {
                "does not take the certificate that it was shown, if any: name one that it trusts with ?tls_cert= and &tls_key="
            }
            Self::Other => "cannot be reached by TLS",
        })
    }
}

/// A file that TLS needs cannot be used.
#[cfg(feature = "tls")]
#[derive(Debug, thiserror::Error)]
#[error("{} cannot be used", path.display())]
struct UnusableFile {
    path: PathBuf,
    #[source]
    source: io::Error,
}

/// A client of a server by TLS.
#[cfg(feature = "tls")]
pub(crate) async fn client(
    tls: &Tls,
    address: &Address,
    set: impl FnOnce(ConnectionInfo) -> ConnectionInfo,
) -> Result<Client, RedisError> {
    use redis::IntoConnectionInfo;

    // With several providers below one program, rustls would ask for a choice.
    if rustls::crypto::CryptoProvider::get_default().is_none() {
        let _another_was_first = rustls::crypto::aws_lc_rs::default_provider().install_default();
    }
    let client_tls = match (&tls.certificate, &tls.key) {
        (Some(certificate), Some(key)) => Some(redis::ClientTlsConfig {
            client_cert: read(certificate).await?,
            client_key: read(key).await?,
        }),
        _ => None,
    };
    let root_cert = match &tls.authorities {
        Some(path) => Some(read(path).await?),
        None => None,
    };
    let place = redis::ConnectionAddr::TcpTls {
        host: address.host.clone(),
        port: address.port,
        insecure: false,
        tls_params: None,
    };
    let certificates = redis::TlsCertificates {
        client_tls,
        root_cert,
    };
    Client::build_with_tls(set(place.into_connection_info()?), certificates)
}

#[cfg(feature = "tls")]
async fn read(path: &std::path::Path) -> Result<Vec<u8>, RedisError> {
    let path = path.to_owned();
    let reading = tokio::task::spawn_blocking(move || {
        std::fs::read(&path).map_err(|source| io::Error::other(UnusableFile { path, source }))
    });
    Ok(reading.await.map_err(io::Error::other)??)
}

/// There is none in this build. A URL that asks for it is refused before.
#[cfg(not(feature = "tls"))]
#[expect(clippy::unused_async, reason = "as with the feature")]
pub(crate) async fn client(
    _tls: &Tls,
    _address: &Address,
    _set: impl FnOnce(ConnectionInfo) -> ConnectionInfo,
) -> Result<Client, RedisError> {
    let (kind, text) = (
        redis::ErrorKind::InvalidClientConfig,
        "this build has no TLS, the feature `tls`",
    );
    Err((kind, text).into())
}

/// What the system said.
pub(crate) fn io_error(error: &RedisError) -> Option<&io::Error> {
    let shared = error.source()?.downcast_ref::<Arc<dyn Error + Send + Sync>>()?;
    shared.downcast_ref()
}

/// Whether a file cannot be used.
#[cfg(feature = "tls")]
pub(crate) fn is_of_file(error: &RedisError) -> bool {
    let beneath = io_error(error).and_then(io::Error::get_ref);
    beneath.is_some_and(|error| error.is::<UnusableFile>())
}

#[cfg(not(feature = "tls"))]
pub(crate) fn is_of_file(_error: &RedisError) -> bool {
    false
}

/// What kept a connection by TLS from being made; `None` when it did not come as far.
#[cfg(feature = "tls")]
pub(crate) fn problem(error: &RedisError) -> Option<TlsProblem> {
    use rustls::{AlertDescription, CertificateError, Error as TlsError};

    let io = io_error(error)?;
    let Some(tls) = io.get_ref().and_then(|inner| inner.downcast_ref::<TlsError>()) else {
        return match io.kind() {
            // It waits for the end of what it takes for a command, or has enough of it.
            io::ErrorKind::TimedOut
            | io::ErrorKind::UnexpectedEof
            | io::ErrorKind::BrokenPipe
            | io::ErrorKind::ConnectionReset => Some(TlsProblem::NotSpoken),
            // A file is not what it should be.
            io::ErrorKind::Other => Some(TlsProblem::Other),
            _ => None,
        };
    };
    Some(match tls {
        TlsError::InvalidCertificate(problem) => match problem {
            CertificateError::UnknownIssuer | CertificateError::BadSignature => TlsProblem::Authority,
            CertificateError::Expired
            | CertificateError::ExpiredContext { .. }
            | CertificateError::NotValidYet
            | CertificateError::NotValidYetContext { .. } => TlsProblem::Time,
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                TlsProblem::Host
            }
            _ => TlsProblem::Other,
        },
        TlsError::InvalidMessage(_) => TlsProblem::NotSpoken,
        TlsError::AlertReceived(
            AlertDescription::CertificateRequired
            | AlertDescription::BadCertificate
            | AlertDescription::UnsupportedCertificate
            | AlertDescription::CertificateRevoked
            | AlertDescription::CertificateExpired
            | AlertDescription::CertificateUnknown
            | AlertDescription::UnknownCA,
        ) => TlsProblem::NotAccepted,
        _ => TlsProblem::Other,
    })
}

#[cfg(not(feature = "tls"))]
pub(crate) fn problem(_error: &RedisError) -> Option<TlsProblem> {
    None
}
