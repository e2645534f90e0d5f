//! Who is asked: a service over gRPC, or an issuer over an embedded file. Commands do not know which.

use std::path::Path;
use std::sync::Arc;

use seqid_client::{Client, InvalidClient};
use seqid_core::clock::{Clock, Seed, SystemClock};
use seqid_core::event::Origin;
use seqid_core::names::Label;
use seqid_core::observer::Unobserved;
use seqid_core::store::StoreError;
use seqid_core::{CounterStore, IdempotencyKey, Issuer, Leased, Numbering, Tenant};
use seqid_sqlite::{SqliteConfig, SqliteStore};

use crate::command_line::{DEFAULT_URL, Keys, Shared};
use crate::failure::Failure;

/// The program, as the audit names it.
const CLIENT: &str = "seqid-cli";

/// The holder of leases in a file, of which one process at a time has it: the same for whoever opens it.
const HOLDER: &str = "embedded";

#[derive(Debug)]
pub(crate) struct Desk {
    numbering: Arc<dyn Numbering>,
    embedded: Option<Arc<Leased<SqliteStore>>>,
    tenant: Tenant,
    place: String,
    seeds: (Seed, Seed),
}

impl Desk {
    /// Opens the file that is named, or prepares to ask a service.
    pub(crate) async fn open(shared: &Shared, keys: Keys) -> Result<Self, Failure> {
        let (numbering, embedded, place): (Arc<dyn Numbering>, _, _) = match &shared.file {
            Some(path) => {
                let store = Arc::new(open_file(path, shared.create).await?);
                let issuer = Issuer::builder(Arc::clone(&store) as _)
                    .clock(Arc::new(SystemClock))
                    .build();
                (Arc::new(issuer), Some(store), path.display().to_string())
            }
            None => {
                let client = client(shared, keys)?;
                (Arc::new(client), None, urls(shared).join(", "))
            }
        };
        Ok(Self {
            numbering,
            embedded,
            tenant: shared.tenant.clone(),
            place,
            seeds: (Seed::from_system(), Seed::from_system()),
        })
    }

    pub(crate) const fn numbering(&self) -> &Arc<dyn Numbering> {
        &self.numbering
    }

    pub(crate) const fn tenant(&self) -> &Tenant {
        &self.tenant
    }

    /// Whether it has a data file open, so that nobody else can.
    pub(crate) const fn is_embedded(&self) -> bool {
        self.embedded.is_some()
    }

    /// The service or file, for people.
    pub(crate) fn place(&self) -> &str {
        &self.place
    }

    /// Who asks, for the audit.
    pub(crate) fn origin(&self) -> Origin {
        Origin {
            client: Label::new(CLIENT).ok(),
            ..Origin::default()
        }
    }

    /// The key that was given, or one that no other request has, so that a request whose outcome is unknown can be
    /// repeated.
    pub(crate) fn key(&self, given: Option<&IdempotencyKey>) -> Result<IdempotencyKey, Failure> {
        if let Some(key) = given {
            return Ok(key.clone());
        }
        let (process, other) = self.seeds;
        let made = format!("{}-{:016x}", Label::of_request(process, 0), other.0);
        IdempotencyKey::new(&made)
            .map_err(|error| Failure::usage(format!("a key could not be made: {error}")))
    }

    /// What went wrong with a request that changes nothing, or does the same when it is repeated.
    pub(crate) fn failed(&self) -> impl Fn(seqid_core::Error) -> Failure {
        self.failed_with(None)
    }

    /// What went wrong with a request that bore a key.
    pub(crate) fn failed_with(&self, key: Option<&IdempotencyKey>) -> impl Fn(seqid_core::Error) -> Failure {
        let (key, place) = (key.cloned(), self.place.clone());
        let service = self.embedded.is_none().then_some(place);
        move |error| Failure::request(&error, key.clone(), service.as_deref())
    }

    /// Gives back what was leased, and closes the file.
    pub(crate) async fn close(self) -> Result<(), Failure> {
        let Some(store) = &self.embedded else {
            return Ok(());
        };
        let closed = async {
            store.give_back().await?;
            store.store().close().await
        };
        closed
            .await
            .map_err(|error: StoreError| Failure::unclosed(&error))
    }
}

/// A client of the service that is named. It connects when it is first asked.
fn client(shared: &Shared, keys: Keys) -> Result<Client, Failure> {
    let mut client = Client::builder()
        .patience(shared.timeout)
        .keys(keys == Keys::Made);
    for url in urls(shared) {
        client = client.endpoint(url);
    }
    if let Some(path) = &shared.ca_file {
        let pem = std::fs::read(path)
            .map_err(|error| Failure::usage(format!("--ca-file: cannot read {}: {error}", path.display())))?;
        client = client.authorities(pem);
    }
    client.build().map_err(|error| {
        let option = match error {
            InvalidClient::NoCertificate | InvalidClient::Tls { .. } => "--ca-file",
            _ => "--url",
        };
        Failure::misused(option, &error)
    })
}

/// The instances that are asked.
fn urls(shared: &Shared) -> Vec<String> {
    let named = shared
        .url
        .iter()
        .map(|url| url.trim())
        .filter(|url| !url.is_empty());
    let mut urls: Vec<String> = named.map(ToOwned::to_owned).collect();
    if urls.is_empty() {
        urls.push(DEFAULT_URL.to_owned());
    }
    urls
}

/// A file that is not there is an error unless it is to be made: a name that was mistyped would give numbers anew.
async fn open_file(path: &Path, create: bool) -> Result<Leased<SqliteStore>, Failure> {
    if !create && !path.exists() {
        return Err(Failure::usage(format!(
            "there is no data file {}: check the name, or make it with --create",
            path.display()
        )));
    }
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let (config, of_store) = (SqliteConfig::new(path), Arc::clone(&clock));
    let opened =
        tokio::task::spawn_blocking(move || SqliteStore::open(config, of_store, Arc::new(Unobserved))).await;
    let store = opened
        .map_err(|_| Failure::usage(format!("{} could not be opened", path.display())))?
        .map_err(|error| Failure::file(&error))?;
    let holder = Label::new(HOLDER).map_err(|error| Failure::usage(error.to_string()))?;
    Ok(Leased::new(store, holder, clock, Seed::from_system()))
}
