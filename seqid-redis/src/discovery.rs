//! Where the primary is.

use std::collections::HashMap;

use redis::aio::MultiplexedConnection;
use redis::io::tcp::TcpSettings;
use redis::{
    AsyncConnectionConfig, Client, ConnectionAddr, ConnectionInfo, IntoConnectionInfo, RedisConnectionInfo,
    RedisError, Value, cmd, from_redis_value,
};

use crate::config::{Address, RedisConfig, Servers};
use crate::counter_id::Bucket;
use crate::error::OpenError;
use crate::tls;

/// A server that is said to be the primary.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Candidate {
    pub(crate) address: Address,
    /// As [`Server::topology`](crate::Server::topology).
    pub(crate) topology: u64,
}

/// Asks for the primary of a bucket.
pub(crate) async fn find(config: &RedisConfig, bucket: Bucket) -> Result<Candidate, OpenError> {
    match &config.servers {
        Servers::One(address) => Ok(Candidate {
            address: address.clone(),
            topology: 0,
        }),
        Servers::Sentinels { sentinels, service } => ask_sentinels(config, sentinels, service).await,
        Servers::Cluster { nodes } => ask_nodes(config, nodes, bucket).await,
    }
}

/// All are asked: one that was cut off still names the primary that was, by a lower epoch.
async fn ask_sentinels(
    config: &RedisConfig,
    sentinels: &[Address],
    service: &str,
) -> Result<Candidate, OpenError> {
    let mut found: Option<Candidate> = None;
    let mut last = None;
    for sentinel in sentinels {
        match ask_sentinel(config, sentinel, service).await {
            Ok(Some(candidate))
                if found
                    .as_ref()
                    .is_none_or(|best| best.topology < candidate.topology) =>
            {
                found = Some(candidate);
            }
            Ok(_) => {}
            Err(error) => last = Some(OpenError::of(config, &sentinel.to_string(), error)),
        }
    }
    found.ok_or_else(|| OpenError::NoPrimary {
        place: config.place(),
        source: last.map(Box::new),
    })
}

async fn ask_sentinel(
    config: &RedisConfig,
    sentinel: &Address,
    service: &str,
) -> Result<Option<Candidate>, RedisError> {
    let login = match &config.sentinel_password {
        Some(password) => RedisConnectionInfo::default().set_password(password),
        None => RedisConnectionInfo::default(),
    };
    let mut connection = connect(config, sentinel, login).await?;
    let fields: HashMap<String, String> = cmd("SENTINEL")
        .arg("MASTER")
        .arg(service)
        .query_async(&mut connection)
        .await?;
    let number = |name: &str| fields.get(name).and_then(|value| value.parse().ok());
    let (Some(host), Some(port)) = (fields.get("ip"), number("port")) else {
        return Ok(None);
    };
    Ok(Some(Candidate {
        address: Address {
            host: host.clone(),
            port: u16::try_from(port).unwrap_or_default(),
        },
        topology: number("config-epoch").unwrap_or_default(),
    }))
}

/// The first node that answers is believed: if the slot has moved, the server that it names says so.
async fn ask_nodes(config: &RedisConfig, nodes: &[Address], bucket: Bucket) -> Result<Candidate, OpenError> {
    let mut last = None;
    for node in nodes {
        match ask_node(config, node, bucket).await {
            Ok(Some(candidate)) => return Ok(candidate),
            Ok(None) => {}
            Err(error) => last = Some(OpenError::of(config, &node.to_string(), error)),
        }
    }
    Err(OpenError::NoPrimary {
        place: config.place(),
        source: last.map(Box::new),
    })
}

async fn ask_node(
    config: &RedisConfig,
    node: &Address,
    bucket: Bucket,
) -> Result<Option<Candidate>, RedisError> {
    let mut connection = connect(config, node, login(config)).await?;
    let slot: u16 = cmd("CLUSTER")
        .arg("KEYSLOT")
        .arg(bucket.marker(&config.namespace))
        .query_async(&mut connection)
        .await?;
    let ranges: Vec<Value> = cmd("CLUSTER").arg("SLOTS").query_async(&mut connection).await?;
    for range in ranges {
        let Value::Array(parts) = range else { continue };
        let Ok([first, last, primary, ..]) =
            <[Value; 3]>::try_from(parts.into_iter().take(3).collect::<Vec<_>>())
        else {
            continue;
        };
        let (first, last): (u16, u16) = (from_redis_value(first)?, from_redis_value(last)?);
        if (first..=last).contains(&slot) {
            let Value::Array(primary) = primary else {
                return Ok(None);
            };
            let mut primary = primary.into_iter();
            let (Some(host), Some(port)) = (primary.next(), primary.next()) else {
                return Ok(None);
            };
            let host: Option<String> = from_redis_value(host)?;
            // A node that does not know its own address is the one that was asked.
            let host = host
                .filter(|host| !host.is_empty())
                .unwrap_or_else(|| node.host.clone());
            let port = from_redis_value(port)?;
            return Ok(Some(Candidate {
                address: Address { host, port },
                topology: 0,
            }));
        }
    }
    Ok(None)
}

/// Who connects to a server that has data.
pub(crate) fn login(config: &RedisConfig) -> RedisConnectionInfo {
    let mut login = RedisConnectionInfo::default().set_db(config.database.into());
    if let Some(user) = &config.user {
        login = login.set_username(user);
    }
    if let Some(password) = &config.password {
        login = login.set_password(password);
    }
    login
}

/// Connects, and neither reconnects nor sends anything twice ever after.
pub(crate) async fn connect(
    config: &RedisConfig,
    address: &Address,
    login: RedisConnectionInfo,
) -> Result<MultiplexedConnection, RedisError> {
    let set = |info: ConnectionInfo| {
        info.set_redis_settings(login.set_skip_set_lib_name())
            .set_tcp_settings(TcpSettings::default().set_nodelay(true))
    };
    let client = match &config.tls {
        Some(tls) => tls::client(tls, address, set).await?,
        None => {
            let place = ConnectionAddr::Tcp(address.host.clone(), address.port);
            Client::open(set(place.into_connection_info()?))?
        }
    };
    let settings = AsyncConnectionConfig::new()
        .set_connection_timeout(Some(config.timeout))
        .set_response_timeout(Some(config.timeout))
        // Every lane may have a batch in flight, and every caller a look at a counter.
        .set_pipeline_buffer_size(1024);
    client
        .get_multiplexed_async_connection_with_config(&settings)
        .await
}
