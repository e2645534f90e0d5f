//! A connection that is known to lead to a primary. One that failed in any way is dropped and never used again, and nothing
//! is sent twice: the driver would go on with an empty server that was started in the place of the one before.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{FromRedisValue, RedisError, cmd};
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;

use crate::config::{RedisConfig, Servers};
use crate::counter_id::Bucket;
use crate::discovery;
use crate::error::{Fault, OpenError};
use crate::history::{History, Info, Server};
use crate::scripts::{self, Script};

/// How often a connection that nobody uses is looked after.
const PROBE: Duration = Duration::from_secs(1);

/// How long to wait before the second attempt to connect; each wait is twice the one before.
const FIRST_WAIT: Duration = Duration::from_millis(50);
const LONGEST_WAIT: Duration = Duration::from_secs(2);

/// Histories that others have taken the place of, each with the topology of that time: one that was chosen anew is none of them.
#[derive(Debug, Default, Clone)]
pub(crate) struct Retired(Arc<Mutex<HashMap<History, u64>>>);

impl Retired {
    pub(crate) fn add(&self, history: History, topology: u64) {
        let mut retired = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let known = retired.entry(history).or_default();
        *known = topology.max(*known);
    }

    fn has(&self, history: &History, topology: u64) -> bool {
        let retired = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        retired.get(history).is_some_and(|known| topology <= *known)
    }
}

/// A connection to a server that was a primary when it was made.
#[derive(Debug)]
pub(crate) struct Verified {
    connection: MultiplexedConnection,
    pub(crate) server: Server,
    is_condemned: AtomicBool,
    condemned: Notify,
}

impl Verified {
    /// Runs a function. One that the server does not have had no effect, so it is given all of them and asked once more.
    pub(crate) async fn run<T: FromRedisValue>(
        &self,
        script: Script,
        keys: &[String],
        arguments: &[Vec<u8>],
    ) -> Result<T, Fault> {
        let answer = match self.run_once(script, keys, arguments).await {
            Err(fault) if fault.is_no_function() => {
                scripts::load(&mut self.connection.clone())
                    .await
                    .map_err(Fault::from)
                    .inspect_err(|fault| self.judge(fault))?;
                self.run_once(script, keys, arguments).await
            }
            answer => answer,
        };
        answer.inspect_err(|fault| self.judge(fault))
    }

    async fn run_once<T: FromRedisValue>(
        &self,
        script: Script,
        keys: &[String],
        arguments: &[Vec<u8>],
    ) -> Result<T, Fault> {
        let mut command = cmd("FCALL");
        command.arg(scripts::name(script)).arg(keys.len()).arg(keys);
        for argument in arguments {
            command.arg(argument);
        }
        Ok(command.query_async(&mut self.connection.clone()).await?)
    }

    /// Sends one command.
    pub(crate) async fn send<T: FromRedisValue>(&self, command: &redis::Cmd) -> Result<T, Fault> {
        let answer = command.query_async(&mut self.connection.clone()).await;
        answer.map_err(Fault::from).inspect_err(|fault| self.judge(fault))
    }

    fn judge(&self, fault: &Fault) {
        if fault.condemns_connection() {
            self.condemn();
        }
    }

    /// Lets nobody use it any more.
    pub(crate) fn condemn(&self) {
        self.is_condemned.store(true, Ordering::SeqCst);
        self.condemned.notify_one();
    }

    fn is_condemned(&self) -> bool {
        self.is_condemned.load(Ordering::SeqCst)
    }

    /// Looks after it until it must not be used any more.
    async fn outlive(&self) {
        while !self.is_condemned() {
            let silence = tokio::time::timeout(PROBE, self.condemned.notified());
            if silence.await.is_err() && !self.is_the_same().await {
                self.condemn();
            }
        }
    }

    async fn is_the_same(&self) -> bool {
        let found = info(&mut self.connection.clone()).await;
        found.is_ok_and(|text| {
            let info = Info::read(&text);
            info.is_primary() && info.history() == self.server.history
        })
    }
}

type Current = Result<Arc<Verified>, Arc<OpenError>>;

/// The way to the primary of a bucket, made anew whenever it ends.
#[derive(Debug)]
pub(crate) struct Connection {
    current: watch::Receiver<Current>,
    keeper: JoinHandle<()>,
    retired: Retired,
}

impl Connection {
    /// Connects for the first time.
    pub(crate) async fn open(config: Arc<RedisConfig>, bucket: Bucket) -> Result<Self, OpenError> {
        let retired = Retired::default();
        let first = Arc::new(connect(&config, bucket, &retired).await?);
        let (publish, current) = watch::channel(Ok(Arc::clone(&first)));
        let keeper = tokio::spawn(keep(config, bucket, retired.clone(), first, publish));
        Ok(Self {
            current,
            keeper,
            retired,
        })
    }

    /// Never uses a history again, unless it is chosen anew.
    pub(crate) fn retire(&self, history: &History, topology: u64) {
        self.retired.add(history.clone(), topology);
        if let Ok(verified) = self.get()
            && verified.server.history == *history
            && verified.server.topology <= topology
        {
            verified.condemn();
        }
    }

    /// What may be used now.
    pub(crate) fn get(&self) -> Result<Arc<Verified>, Fault> {
        match &*self.current.borrow() {
            Ok(verified) if verified.is_condemned() => {
                let place = verified.server.address.clone();
                Err(Fault::Away(Arc::new(OpenError::Lost { place })))
            }
            Ok(verified) => Ok(Arc::clone(verified)),
            Err(error) => Err(Fault::Away(Arc::clone(error))),
        }
    }

    /// Waits until there is one that may be used.
    pub(crate) async fn wait(&self) -> Result<Arc<Verified>, Fault> {
        let mut current = self.current.clone();
        let is_of_use = |current: &Current| current.as_ref().is_ok_and(|verified| !verified.is_condemned());
        // The keeper lives as long as this does, unless its runtime has ended.
        let _ended = current.wait_for(is_of_use).await;
        self.get()
    }
}

/// The ways to the primaries of all buckets: one for all of them, or one for each, as in a cluster they are on different servers.
#[derive(Debug)]
pub(crate) struct Connections(Vec<Connection>);

impl Connections {
    /// Connects for the first time.
    pub(crate) async fn open(config: &Arc<RedisConfig>) -> Result<Self, OpenError> {
        let shares = match config.servers {
            Servers::Cluster { .. } => Bucket::COUNT,
            Servers::One(_) | Servers::Sentinels { .. } => 1,
        };
        let mut connections = Vec::new();
        for bucket in Bucket::all().take(shares.into()) {
            connections.push(Connection::open(Arc::clone(config), bucket).await?);
        }
        Ok(Self(connections))
    }

    pub(crate) fn of(&self, bucket: Bucket) -> &Connection {
        &self.0[bucket.index() % self.0.len()]
    }

    pub(crate) fn first(&self) -> &Connection {
        &self.0[0]
    }

    /// Why nothing can be drawn from some of the buckets, if so.
    pub(crate) fn obstacle(&self) -> Option<Fault> {
        self.0.iter().find_map(|connection| connection.get().err())
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.keeper.abort();
    }
}

async fn keep(
    config: Arc<RedisConfig>,
    bucket: Bucket,
    retired: Retired,
    mut verified: Arc<Verified>,
    publish: watch::Sender<Current>,
) {
    loop {
        verified.outlive().await;
        let place = verified.server.address.clone();
        tracing::warn!(place, history = %verified.server.history, "the connection to Redis has ended");
        publish.send_modify(|current| *current = Err(Arc::new(OpenError::Lost { place })));
        let mut wait = FIRST_WAIT;
        verified = loop {
            match connect(&config, bucket, &retired).await {
                Ok(verified) => break Arc::new(verified),
                Err(error) => publish.send_modify(|current| *current = Err(Arc::new(error))),
            };
            tokio::time::sleep(wait).await;
            wait = (2 * wait).min(LONGEST_WAIT);
        };
        let Server { address, history, .. } = &verified.server;
        tracing::info!(place = address, %history, "connected to Redis again");
        publish.send_modify(|current| *current = Ok(Arc::clone(&verified)));
    }
}

/// Finds the primary, connects to it, and makes sure that it is one that may be drawn from.
async fn connect(config: &RedisConfig, bucket: Bucket, retired: &Retired) -> Result<Verified, OpenError> {
    let candidate = discovery::find(config, bucket).await?;
    let place = candidate.address.to_string();
    let of = |source: RedisError| OpenError::of(config, &place, source);
    let mut connection = discovery::connect(config, &candidate.address, discovery::login(config))
        .await
        .map_err(of)?;
    let text = info(&mut connection).await.map_err(of)?;
    let info = Info::read(&text);
    let of_cluster = matches!(config.servers, Servers::Cluster { .. });
    require(&info, &place, of_cluster)?;
    let history = info.history();
    let topology = if of_cluster {
        config_epoch(&mut connection).await.map_err(of)?
    } else {
        candidate.topology
    };
    if retired.has(&history, topology) {
        return Err(OpenError::Retired { place, history });
    }
    scripts::load(&mut connection).await.map_err(of)?;
    Ok(Verified {
        connection,
        server: Server {
            history,
            version: info.field("redis_version").to_owned(),
            address: place,
            topology,
        },
        is_condemned: AtomicBool::new(false),
        condemned: Notify::new(),
    })
}

fn require(info: &Info<'_>, place: &str, of_cluster: bool) -> Result<(), OpenError> {
    let place = place.to_owned();
    if info.major() < OpenError::OLDEST {
        let found = info.field("redis_version").to_owned();
        Err(OpenError::TooOld { place, found })
    } else if !info.is_primary() {
        Err(OpenError::Replica { place })
    } else if !of_cluster && info.field("redis_mode") == "cluster" {
        Err(OpenError::Cluster { place })
    } else {
        Ok(())
    }
}

/// Version, history and role.
async fn info(connection: &mut MultiplexedConnection) -> Result<String, RedisError> {
    let server: String = cmd("INFO").arg("server").query_async(connection).await?;
    let replication: String = cmd("INFO").arg("replication").query_async(connection).await?;
    Ok(server + &replication)
}

async fn config_epoch(connection: &mut MultiplexedConnection) -> Result<u64, RedisError> {
    let text: String = cmd("CLUSTER").arg("INFO").query_async(connection).await?;
    let epoch = Info::read(&text).field("cluster_my_epoch");
    Ok(epoch.parse().unwrap_or_default())
}
