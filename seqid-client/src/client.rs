use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use seqid_core::IdempotencyKey;
use seqid_core::clock::Seed;
use seqid_core::names::Label;
use tonic::transport::Endpoint;

use crate::draws::Draws;
use crate::endpoints::Endpoints;
use crate::rising::Rising;

/// How long a request may wait for its answer unless [`ClientBuilder::patience`] says otherwise.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long a connection may take to be made: a service that is not there must not use up what a request may wait.
const CONNECT: Duration = Duration::from_secs(2);
/// How often a connection is asked whether its other end is still there, and how long that may take to answer.
const KEEPALIVE: Duration = Duration::from_secs(20);
const KEEPALIVE_ANSWER: Duration = Duration::from_secs(5);

/// A client of a seqid service, which is asked as a linked issuer is: see [`Numbering`](seqid_core::Numbering).
///
/// Cheap to clone; clones share connections and the stream of draws. It needs a tokio runtime.
///
/// # Cancel safety
/// A future that is dropped leaves its request either undone or done, as with any numbering.
#[derive(Clone)]
pub struct Client(pub(crate) Arc<Shared>);

/// What clones of a client share.
pub(crate) struct Shared {
    pub(crate) endpoints: Arc<Endpoints>,
    pub(crate) draws: Draws,
    pub(crate) rising: Rising,
    pub(crate) patience: Duration,
    keys: bool,
    seeds: (Seed, Seed),
    made: AtomicU64,
}

/// A client that is being put together.
#[derive(Debug, Clone)]
pub struct ClientBuilder {
    endpoints: Vec<String>,
    patience: Duration,
    keys: bool,
}

/// An address that cannot be one of a service.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidEndpoint {
    /// It is not a URI such as `http://numbers:9090`.
    #[error("{uri:?} is not an address such as http://numbers:9090")]
    Uri {
        /// What was given.
        uri: String,
        /// What is wrong with it.
        source: tonic::transport::Error,
    },
    /// There is none.
    #[error("a client needs the address of a service")]
    None,
}

impl Client {
    /// A client of the service at an address such as `http://numbers:9090`. It connects when it is first asked.
    ///
    /// # Errors
    /// When the address cannot be one.
    pub fn new(endpoint: impl Into<String>) -> Result<Self, InvalidEndpoint> {
        Self::builder().endpoint(endpoint).build()
    }

    /// A client that is put together step by step.
    #[must_use]
    pub const fn builder() -> ClientBuilder {
        ClientBuilder {
            endpoints: Vec::new(),
            patience: PATIENCE,
            keys: true,
        }
    }
}

impl ClientBuilder {
    /// Adds an instance of the service. All must be of one service: they share its database. The first that is ready is
    /// asked, and another when it is not any more.
    #[must_use]
    pub fn endpoint(mut self, endpoint: impl Into<String>) -> Self {
        self.endpoints.push(endpoint.into());
        self
    }

    /// How long a request may take, repetitions included, where it names no deadline of its own.
    #[must_use]
    pub const fn patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// Whether requests that bear no idempotency key get one, so that one whose answer was lost can be asked for again. They
    /// do unless told otherwise; it costs the store about a fifth of its rate.
    #[must_use]
    pub const fn keys(mut self, keys: bool) -> Self {
        self.keys = keys;
        self
    }

    /// The client.
    ///
    /// # Errors
    /// When an address cannot be one, or there is none.
    pub fn build(self) -> Result<Client, InvalidEndpoint> {
        let channel = |uri: String| {
            let endpoint =
                Endpoint::from_shared(uri.clone()).map_err(|source| InvalidEndpoint::Uri { uri, source })?;
            let endpoint = endpoint
                .connect_timeout(CONNECT)
                .http2_keep_alive_interval(KEEPALIVE)
                .keep_alive_timeout(KEEPALIVE_ANSWER)
                .keep_alive_while_idle(true);
            Ok(endpoint.connect_lazy())
        };
        let channels = self
            .endpoints
            .into_iter()
            .map(channel)
            .collect::<Result<Vec<_>, _>>()?;
        let endpoints = Arc::new(Endpoints::new(channels).ok_or(InvalidEndpoint::None)?);
        Ok(Client(Arc::new(Shared {
            draws: Draws::new(Arc::clone(&endpoints)),
            endpoints,
            rising: Rising::default(),
            patience: self.patience,
            keys: self.keys,
            seeds: (Seed::from_system(), Seed::from_system()),
            made: AtomicU64::new(0),
        })))
    }
}

impl Shared {
    /// A key that no other request has, where keys are made.
    pub(crate) fn key(&self) -> Option<IdempotencyKey> {
        if !self.keys {
            return None;
        }
        let (process, other) = self.seeds;
        let n = self.made.fetch_add(1, Ordering::Relaxed);
        IdempotencyKey::new(&format!("{}-{:016x}", Label::of_request(process, n), other.0)).ok()
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("endpoints", &self.0.endpoints)
            .field("patience", &self.0.patience)
            .finish_non_exhaustive()
    }
}
