//! The Redis server in which ordered numbers are drawn, if one is named.

use seqid_redis::{InvalidUrl, RedisConfig, Servers};

use super::parsed;
use super::sources::Sources;

/// The server that the sources name.
pub(super) fn read(sources: &mut Sources<'_>) -> Option<RedisConfig> {
    // Kept from sight, for a URL may have a password in it.
    let address = sources.read_secret(
        "redis_addr",
        "host:port, or a URL: redis://user:password@host:6379/0, redis-sentinel://:password@host:26379,host:26379/service/0 \
         or redis-cluster://:password@host:6379,host:6379, with rediss in place of redis for TLS",
        |text| {
            let named = RedisConfig::from_parts(text, None, None);
            // These say more than what it must be.
            let is_told = |error: &InvalidUrl| {
                matches!(
                    error,
                    InvalidUrl::NoTls | InvalidUrl::NotTls { .. } | InvalidUrl::HalfIdentity
                )
            };
            (named.is_ok() || named.as_ref().is_err_and(is_told)).then(|| text.to_owned())
        },
    );
    let password = sources.read_secret("redis_password", "a password", |text| {
        (!text.is_empty()).then(|| text.to_owned())
    });
    let database = sources.read_optional("redis_db", "a whole number from 0 to 65535", parsed::<u16>);
    let Some(address) = address else {
        if password.is_some() || database.is_some() {
            sources.refuse(
                "REDIS_PASSWORD or REDIS_DB is set, and REDIS_ADDR is not: set it to the server, or unset the others"
                    .to_owned(),
            );
        }
        return None;
    };
    let config = match RedisConfig::from_parts(&address, password.as_deref(), database) {
        Ok(config) => config,
        Err(InvalidUrl::NoTls) => {
            sources.refuse(
                "REDIS_ADDR asks for TLS, which this build lacks: build it with the feature `redis-tls`, or use redis in \
                 place of rediss"
                    .to_owned(),
            );
            return None;
        }
        Err(error) => {
            sources.refuse(format!("REDIS_ADDR: {error}"));
            return None;
        }
    };
    if matches!(config.servers, Servers::Cluster { .. }) && config.database != 0 {
        sources.refuse("REDIS_DB is set, but a cluster has no other database than 0: unset it".to_owned());
    }
    Some(config)
}

/// Refuses what has no place beside a Redis server without a durable store.
pub(super) fn require_alone(sources: &mut Sources<'_>, server: bool, database: bool, events: bool) {
    if !server {
        sources.refuse("REDIS_UNFENCED is true, and REDIS_ADDR is not set: set it to the server".to_owned());
    }
    if database {
        sources.refuse(
            "REDIS_UNFENCED gives numbers from Redis alone, and DATABASE_URL or DB_HOST names a database: unset \
             REDIS_UNFENCED, so that the database fences them"
                .to_owned(),
        );
    }
    if events {
        sources.refuse(
            "REDIS_UNFENCED keeps no audit, so there is nothing for RABBITMQ_URL, SEQID_EVENTS_FILE or \
             SEQID_CHECKPOINT_FILE: unset them"
                .to_owned(),
        );
    }
}
