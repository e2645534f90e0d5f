//! Real servers for tests: private, started by the test itself, and gone when its process has ended, whichever way.
//!
//! Everything here blocks its thread, and is for unix systems with `sh`, `ps` and `pkill`.

mod certificates;
mod database;
mod error;
mod guardian;
mod ports;
mod postgres;
mod processes;
mod rabbitmq;
mod redis;
mod redis_cluster;
mod redis_sentinels;

pub use certificates::{Certificates, Shown};
pub use database::Database;
pub use error::ServerError;
pub use postgres::PostgresServer;
pub use rabbitmq::{RabbitMqServer, VirtualHost};
pub use redis::{RedisDump, RedisServer};
pub use redis_cluster::RedisCluster;
pub use redis_sentinels::RedisSentinels;
