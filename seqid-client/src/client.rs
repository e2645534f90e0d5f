use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use seqid_core::clock::Seed;
use seqid_core::names::Label;
use seqid_core::numbering::LARGEST_BATCH;
use seqid_core::{Error, IdempotencyKey};

use crate::draws::Draws;
use crate::endpoints::Endpoints;
use crate::local::LocalLeases;
use crate::rising::Rising;
use crate::tls;

/// How long a request may wait for its answer unless [`ClientBuilder::patience`] says otherwise.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long a connection may take to be made: a service that is not there must not use up what a request may wait.
pub(crate) const CONNECT: Duration = Duration::from_secs(2);
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
pub struct Client {
    pub(crate) shared: Arc<Shared>,
    /// The numbers that it holds, where it may.
    pub(crate) local: Option<Arc<LocalLeases>>,
}

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
    local_leases: Option<u32>,
    authorities: Option<Vec<u8>>,
}

/// What a client cannot be made of.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidClient {
    /// It is not a URI such as `http://numbers:9090`.
    #[error("{uri:?} is not an address such as http://numbers:9090")]
    Endpoint {
        /// What was given.
        uri: String,
        /// What is wrong with it.
        source: tonic::transport::Error,
    },
    /// It does not say how it is to be asked.
    #[error("{uri:?} is not an address such as http://numbers:9090: it begins with http:// or https://")]
    Scheme {
        /// What was given.
        uri: String,
    },
    /// This build has no TLS: its feature `tls` is off.
    #[error("{uri:?} needs TLS, which this program was built without: build it with the feature `tls`")]
    NoTls {
        /// What was given.
        uri: String,
    },
    /// The certificates that are to be trusted are none, or cannot be read.
    #[error("the certificates of authorities are not in PEM, with at least one BEGIN CERTIFICATE")]
    NoCertificate,
    /// TLS cannot be set up: a certificate of an authority cannot be read, or the machine trusts none.
    #[error("TLS to {uri:?} cannot be set up")]
    Tls {
        /// The address.
        uri: String,
        /// What is wrong.
        source: tonic::transport::Error,
    },
    /// There is none.
    #[error("a client needs the address of a service")]
    NoEndpoint,
    /// No run of so many numbers can be drawn.
    #[error("a client may hold 2 to {LARGEST_BATCH} numbers of a sequence, not {most}")]
    LocalLeases {
        /// What was given.
        most: u32,
    },
}

impl Client {
    /// A client of the service at an address such as `http://numbers:9090`. It connects when it is first asked.
    ///
    /// # Errors
    /// When the address cannot be one.
    pub fn new(endpoint: impl Into<String>) -> Result<Self, InvalidClient> {
        Self::builder().endpoint(endpoint).build()
    }

    /// A client that is put together step by step.
    #[must_use]
    pub const fn builder() -> ClientBuilder {
        ClientBuilder {
            endpoints: Vec::new(),
            patience: PATIENCE,
            keys: true,
            local_leases: None,
            authorities: None,
        }
    }

    /// Voids the numbers that are held and were not handed out: see [`ClientBuilder::local_leases`]. For a clean stop, and for
    /// a program that rests; further draws hold numbers again. Does nothing where none are held.
    ///
    /// Dropping the last clone of a client does the same behind your back, as long as its runtime goes on.
    ///
    /// # Errors
    /// When numbers could not be voided now. They are still issued to this client, and voided the next time.
    pub async fn give_back(&self) -> Result<(), Error> {
        match &self.local {
            Some(local) => local.give_back().await,
            None => Ok(()),
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

    /// Trusts an `https` service whose certificate one of these authorities vouches for, in PEM; otherwise those that the
    /// machine trusts are. The name in the address must be one that the certificate is for.
    #[must_use]
    pub fn authorities(mut self, pem: impl Into<Vec<u8>>) -> Self {
        self.authorities = Some(pem.into());
        self
    }

    /// How long a request may take, repetitions included, where it names no deadline of its own.
    #[must_use]
    pub fn patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// Whether requests that bear no idempotency key get one, so that one whose answer was lost can be asked for again. They
    /// do unless told otherwise; it costs the store about a fifth of its rate.
    #[must_use]
    pub fn keys(mut self, keys: bool) -> Self {
        self.keys = keys;
        self
    }

    /// Lets the client hold numbers of `leased` sequences: it draws several at a time and hands them out from memory. It does
    /// not unless told. `most` is how many it holds at a time of one counter, 2 to 10,000; how many it asks for follows the
    /// rate, so that a run lasts about a tenth of a second, and a caller who draws now and then is never given more than one.
    ///
    /// - **What the audit says.** A run is one event `issued` to the client that the draws name
    ///   ([`Origin::client`](seqid_core::event::Origin)), at the instant at which the run was drawn; so are the answers.
    ///   After a clean stop ([`Client::give_back`]) what was not handed out is voided, with a reason. After a crash it stays
    ///   issued to that client: it is never given out again.
    /// - **How old a number can be.** A second: what is left then is voided. A draw may be given a number that was issued
    ///   shortly before the draw began, as if its answer had come late; so a date that was closed meanwhile, or a changed
    ///   definition, holds from a second later. A draw for today is never given a number of yesterday.
    /// - **What is drawn by itself.** Whatever the audit is to have by itself: draws with a key, a reference, fields or the
    ///   name of a request; draws of several numbers; and whatever more than 1,000 combinations of sequence, scope, date and
    ///   client draw at a time.
    #[must_use]
    pub fn local_leases(mut self, most: u32) -> Self {
        self.local_leases = Some(most);
        self
    }

    /// The client.
    ///
    /// # Errors
    /// When an address cannot be one, there is none, or something else that was given cannot be.
    pub fn build(self) -> Result<Client, InvalidClient> {
        let channel = |uri: &String| {
            let endpoint = tls::endpoint(uri, self.authorities.as_deref())?
                .connect_timeout(CONNECT)
                .http2_keep_alive_interval(KEEPALIVE)
                .keep_alive_timeout(KEEPALIVE_ANSWER)
                .keep_alive_while_idle(true);
            Ok(endpoint.connect_lazy())
        };
        let channels = self
            .endpoints
            .iter()
            .map(channel)
            .collect::<Result<Vec<_>, _>>()?;
        let endpoints = Arc::new(Endpoints::new(channels).ok_or(InvalidClient::NoEndpoint)?);
        let client = Client {
            shared: Arc::new(Shared {
                draws: Draws::new(Arc::clone(&endpoints)),
                endpoints,
                rising: Rising::default(),
                patience: self.patience,
                keys: self.keys,
                seeds: (Seed::from_system(), Seed::from_system()),
                made: AtomicU64::new(0),
            }),
            local: None,
        };
        let holding = |most| match most {
            2..=LARGEST_BATCH => Ok(Arc::new(LocalLeases::new(client.clone(), most))),
            _ => Err(InvalidClient::LocalLeases { most }),
        };
        let local = self.local_leases.map(holding).transpose()?;
        Ok(Client { local, ..client })
    }
}

impl Shared {
    /// A key that no other request has, where keys are made.
    pub(crate) fn key(&self) -> Option<IdempotencyKey> {
        self.keys.then(|| self.new_key()).flatten()
    }

    /// A key that no other request has.
    pub(crate) fn new_key(&self) -> Option<IdempotencyKey> {
        let (process, other) = self.seeds;
        let n = self.made.fetch_add(1, Ordering::Relaxed);
        IdempotencyKey::new(&format!("{}-{:016x}", Label::of_request(process, n), other.0)).ok()
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("endpoints", &self.shared.endpoints)
            .field("patience", &self.shared.patience)
            .finish_non_exhaustive()
    }
}
