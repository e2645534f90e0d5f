//! What an operator can set, read from flags, environment and file, and checked before anything is opened.

mod broker;
mod database;
mod redis;
mod sources;

use std::fmt;
use std::io::{self, IsTerminal};
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use clap::ArgMatches;
use seqid_amqp::AmqpConfig;
use seqid_core::ImplicitPolicy;
use seqid_core::time::Zone;
use seqid_postgres::PostgresConfig;
use seqid_redis::RedisConfig;

use crate::telemetry::{self, LogFormat};
use sources::Sources;
pub(crate) use sources::{ConfigError, Effective};

/// The name of the data file in its folder.
const FILE_NAME: &str = "seqid.db";

/// The flags and variables. Every value arrives as text, so that a wrong one can be reported under the name by
/// which it was given, be it flag, variable or key of the file.
#[derive(Debug, clap::Args)]
pub(crate) struct Settings {
    /// TOML file with settings
    #[arg(long, global = true, env = "SEQID_CONFIG", value_name = "PATH")]
    config: Option<String>,

    /// Port of the REST interface; 0 lets the system choose one [default: 8080]
    #[arg(long, global = true, env = "PORT", value_name = "NUMBER")]
    port: Option<String>,

    /// Port of the gRPC interface; 0 lets the system choose one, off serves none [default: 9090]
    #[arg(long, global = true, env = "GRPC_PORT", value_name = "NUMBER")]
    grpc_port: Option<String>,

    /// IP address to listen on. The default is reached from this machine only, because this build asks nobody
    /// who they are; 0.0.0.0 or :: listens to every network [default: 127.0.0.1]
    #[arg(long, global = true, env = "SEQID_BIND", value_name = "ADDRESS")]
    bind: Option<String>,

    /// error, warn, info, debug, trace or off, or a filter such as info,seqid_http=debug [default: info]
    #[arg(long, global = true, env = "LOG_LEVEL", value_name = "LEVEL")]
    log_level: Option<String>,

    /// Form of the log on stderr: text or json [default: text on a terminal, else json]
    #[arg(long, global = true, env = "SEQID_LOG_FORMAT", value_name = "FORMAT")]
    log_format: Option<String>,

    /// Folder of the data file seqid.db, made when there is none. Must be on a local disk [default: seqid-data]
    #[arg(long, global = true, env = "SEQID_DATA", value_name = "FOLDER")]
    data: Option<String>,

    /// URL of a PostgreSQL database to keep the numbers in, instead of the data file: postgres://user:password@host/name.
    /// Several instances may share one [default: none]
    #[arg(
        long,
        global = true,
        env = "DATABASE_URL",
        value_name = "URL",
        hide_env_values = true
    )]
    database_url: Option<String>,

    /// Host of that database, in place of a URL: a name, an address or the folder of a socket [default: none]
    #[arg(long, global = true, env = "DB_HOST", value_name = "HOST")]
    db_host: Option<String>,

    /// Its port [default: 5432]
    #[arg(long, global = true, env = "DB_PORT", value_name = "NUMBER")]
    db_port: Option<String>,

    /// Its name [default: seqid]
    #[arg(long, global = true, env = "DB_NAME", value_name = "NAME")]
    db_name: Option<String>,

    /// The role that connects [default: seqid]
    #[arg(long, global = true, env = "DB_USER", value_name = "NAME")]
    db_user: Option<String>,

    /// Its password. Better set by the variable or the file: other users of the machine can read command lines
    /// [default: none]
    #[arg(
        long,
        global = true,
        env = "DB_PASSWORD",
        value_name = "TEXT",
        hide_env_values = true
    )]
    db_password: Option<String>,

    /// TLS to the database: disable, allow, prefer, require, verify-ca or verify-full [default: prefer]
    #[arg(long, global = true, env = "DB_SSLMODE", value_name = "MODE")]
    db_sslmode: Option<String>,

    /// File with the certificates that the database's may be signed by [default: those of the web]
    #[arg(long, global = true, env = "DB_SSLROOTCERT", value_name = "PATH")]
    db_sslrootcert: Option<String>,

    /// How many batches may be in flight to the database at a time, each on a connection of its own
    /// [default: as many as there are cores, at most 4]
    #[arg(long, global = true, env = "SEQID_DB_LANES", value_name = "NUMBER")]
    db_lanes: Option<String>,

    /// How many connections read from the database beside them [default: 4]
    #[arg(long, global = true, env = "SEQID_DB_READERS", value_name = "NUMBER")]
    db_readers: Option<String>,

    /// How long to wait for a connection to the database, and for the answer to one statement [default: 10000]
    #[arg(long, global = true, env = "SEQID_DB_TIMEOUT_MS", value_name = "MILLISECONDS")]
    db_timeout_ms: Option<String>,

    /// Redis server in which numbers of mode ordered are drawn: host:port, or a URL that begins with redis://,
    /// redis-sentinel:// or redis-cluster://, with rediss in place of redis for TLS. They are recorded in the data file or the database [default: none]
    #[arg(
        long,
        global = true,
        env = "REDIS_ADDR",
        value_name = "ADDRESS",
        hide_env_values = true
    )]
    redis_addr: Option<String>,

    /// Its password. Better set by the variable or the file: other users of the machine can read command lines
    /// [default: none]
    #[arg(
        long,
        global = true,
        env = "REDIS_PASSWORD",
        value_name = "TEXT",
        hide_env_values = true
    )]
    redis_password: Option<String>,

    /// The number of its database [default: that of the URL, else 0]
    #[arg(long, global = true, env = "REDIS_DB", value_name = "NUMBER")]
    redis_db: Option<String>,

    /// Whether numbers are given out from Redis alone, with no data file or database behind it: true or false. THEY REPEAT once
    /// the server loses a write, at a failover or a restart, and there is no audit [default: false]
    #[arg(long, global = true, env = "REDIS_UNFENCED", value_name = "BOOL")]
    redis_unfenced: Option<String>,

    /// Zone whose calendar decides "today" in definitions that name no zone [default: UTC]
    #[arg(long, global = true, env = "SEQID_TIME_ZONE", value_name = "ZONE")]
    time_zone: Option<String>,

    /// When a draw on a prefix that was never defined defines it as {prefix}-{seq:3}: always,
    /// until_first_definition or never [default: always on a loopback address, else never]
    #[arg(long, global = true, env = "SEQID_IMPLICIT", value_name = "POLICY")]
    implicit: Option<String>,

    /// Whether a reset may make numbers repeat that were issued before: true or false
    /// [default: true on a loopback address, else false]
    #[arg(long, global = true, env = "SEQID_ALLOW_REPEATS", value_name = "BOOL")]
    allow_repeats: Option<String>,

    /// For how many days a repeated idempotency key is answered with its first answer [default: 30]
    #[arg(long, global = true, env = "SEQID_KEY_RETENTION_DAYS", value_name = "DAYS")]
    key_retention_days: Option<String>,

    /// How long a request may wait for the store before it is refused with nothing issued [default: 10000]
    #[arg(long, global = true, env = "SEQID_DEADLINE_MS", value_name = "MILLISECONDS")]
    deadline_ms: Option<String>,

    /// URL of a RabbitMQ broker that every event is published to: amqp://user:password@host:5672/virtual-host. `worker` takes
    /// them from there [default: none]
    #[arg(
        long,
        global = true,
        env = "RABBITMQ_URL",
        value_name = "URL",
        hide_env_values = true
    )]
    rabbitmq_url: Option<String>,

    /// Name of the exchange that events are published to, and of the queue that workers take them from
    /// [default: seqid.events]
    #[arg(long, global = true, env = "QUEUE_NAME", value_name = "NAME")]
    queue_name: Option<String>,

    /// File to which every event is appended as a line of JSON; not beside RABBITMQ_URL [default: none]
    #[arg(long, global = true, env = "SEQID_EVENTS_FILE", value_name = "PATH")]
    events_file: Option<String>,

    /// How many events may wait to be delivered, to RABBITMQ_URL or SEQID_EVENTS_FILE: 1 to 10^12. Beyond that nothing is drawn
    /// [default: any number]
    #[arg(long, global = true, env = "SEQID_LARGEST_BACKLOG", value_name = "EVENTS")]
    largest_backlog: Option<String>,

    /// File to which a checkpoint of the audit is appended as a line of JSON whenever something was recorded. To be
    /// kept where nobody who can write the data file can write [default: none]
    #[arg(long, global = true, env = "SEQID_CHECKPOINT_FILE", value_name = "PATH")]
    checkpoint_file: Option<String>,

    /// Seconds from one checkpoint to the next [default: 60]
    #[arg(long, global = true, env = "SEQID_CHECKPOINT_SECONDS", value_name = "SECONDS")]
    checkpoint_seconds: Option<String>,

    /// Ed25519 private key, in PKCS#8 PEM, that checkpoints are signed with [default: none]
    #[arg(long, global = true, env = "SEQID_CHECKPOINT_KEY", value_name = "PATH")]
    checkpoint_key: Option<String>,

    /// How long requests in flight may take to finish after SIGTERM or SIGINT [default: 30]
    #[arg(long, global = true, env = "SEQID_SHUTDOWN_SECONDS", value_name = "SECONDS")]
    shutdown_seconds: Option<String>,
}

/// The configuration in effect.
#[derive(Debug, Clone)]
pub(crate) struct Config {
    /// Where to listen.
    pub(crate) listen: SocketAddr,
    /// Where to listen for gRPC, if at all.
    pub(crate) grpc_listen: Option<SocketAddr>,
    /// What to log.
    pub(crate) log_level: String,
    /// The log's form.
    pub(crate) log_format: LogFormat,
    /// The data folder.
    pub(crate) data: PathBuf,
    /// The database that is served in place of the data file.
    pub(crate) database: Option<PostgresConfig>,
    /// The Redis server in which ordered numbers are drawn.
    pub(crate) redis: Option<RedisConfig>,
    /// Whether that server is all that numbers are kept in.
    pub(crate) unfenced: bool,
    /// The zone of definitions that name none.
    pub(crate) time_zone: Zone,
    /// When draws define sequences.
    pub(crate) implicit: ImplicitPolicy,
    /// Whether resets may make numbers repeat.
    pub(crate) allow_repeats: bool,
    /// How long idempotency keys are remembered.
    pub(crate) key_retention: Duration,
    /// How long a request may wait for the store.
    pub(crate) deadline: Duration,
    /// The broker that events are published to.
    pub(crate) broker: Option<AmqpConfig>,
    /// Where events are appended.
    pub(crate) events_file: Option<PathBuf>,
    /// How many events may wait to be delivered.
    pub(crate) largest_backlog: Option<u64>,
    /// Where checkpoints are appended.
    pub(crate) checkpoint_file: Option<PathBuf>,
    /// How often.
    pub(crate) checkpoint_every: Duration,
    /// The key that signs them.
    pub(crate) checkpoint_key: Option<PathBuf>,
    /// How long requests may take to finish at a stop.
    pub(crate) shutdown: Duration,
    effective: Vec<Effective>,
}

impl Config {
    /// Reads flags, environment and file.
    ///
    /// # Errors
    /// Lists everything that is wrong, not the first fault alone.
    pub(crate) fn read(matches: &ArgMatches) -> Result<Self, ConfigError> {
        let mut sources = Sources::open(matches)?;
        let bind = sources.read(
            "bind",
            "127.0.0.1",
            "an IP address, such as 127.0.0.1 or 0.0.0.0",
            parsed::<IpAddr>,
        );
        let port = sources.read("port", "8080", "a whole number from 0 to 65535", parsed::<u16>);
        let grpc_port = sources.read(
            "grpc_port",
            "9090",
            "a whole number from 0 to 65535, or off",
            grpc_port,
        );
        let loopback = bind.is_loopback();
        let format = if io::stderr().is_terminal() {
            "text"
        } else {
            "json"
        };

        let log_level = sources.read("log_level", "info", telemetry::LEVELS, telemetry::level);
        let log_format = sources.read("log_format", format, "text or json", LogFormat::from_name);
        let data = sources.read("data", "seqid-data", "a path", path);
        let time_zone = sources.read(
            "time_zone",
            "UTC",
            "a time zone such as Asia/Jakarta",
            parsed::<Zone>,
        );
        let implicit = sources.read(
            "implicit",
            if loopback { "always" } else { "never" },
            "always, until_first_definition or never",
            policy,
        );
        let allow_repeats = sources.read(
            "allow_repeats",
            if loopback { "true" } else { "false" },
            "true or false",
            parsed::<bool>,
        );
        let retention = sources.read(
            "key_retention_days",
            "30",
            "a whole number from 1 to 36500",
            |text| within(text, 1, 36_500).map(|days| Duration::from_secs(days * 24 * 60 * 60)),
        );
        let database = database::read(&mut sources, &data, retention);
        let redis = redis::read(&mut sources);
        let unfenced = sources.read("redis_unfenced", "false", "true or false", parsed::<bool>);
        let deadline = sources.read(
            "deadline_ms",
            "10000",
            "a whole number from 1 to 600000",
            |text| within(text, 1, 600_000).map(Duration::from_millis),
        );
        let broker = broker::read(&mut sources);
        let events_file = sources.read_optional("events_file", "a path", path);
        if broker.is_some() && events_file.is_some() {
            // An event is acknowledged once: with two readers, what one has not taken would be gone with the other's word.
            sources.refuse(
                "RABBITMQ_URL and SEQID_EVENTS_FILE are both set, and each event is delivered to one place: set one of them"
                    .to_owned(),
            );
        }
        let largest_backlog = sources.read_optional(
            "largest_backlog",
            "a whole number from 1 to 1000000000000",
            |text| within(text, 1, 1_000_000_000_000),
        );
        if largest_backlog.is_some() && broker.is_none() && events_file.is_none() {
            sources.refuse(
                "SEQID_LARGEST_BACKLOG bounds the events that wait to be delivered, and none are: set RABBITMQ_URL or \
                 SEQID_EVENTS_FILE too"
                    .to_owned(),
            );
        }
        let checkpoint_file = sources.read_optional("checkpoint_file", "a path", path);
        let checkpoint_every = sources.read(
            "checkpoint_seconds",
            "60",
            "a whole number from 1 to 86400",
            |text| within(text, 1, 86_400).map(Duration::from_secs),
        );
        let checkpoint_key = sources.read_optional("checkpoint_key", "a path", path);
        let shutdown = sources.read(
            "shutdown_seconds",
            "30",
            "a whole number from 0 to 3600",
            |text| within(text, 0, 3_600).map(Duration::from_secs),
        );

        if unfenced {
            let other_stores = database.is_some();
            let events = broker.is_some() || events_file.is_some() || checkpoint_file.is_some();
            redis::require_alone(&mut sources, redis.is_some(), other_stores, events);
        }

        let effective = sources.finish()?;
        Ok(Self {
            listen: SocketAddr::new(bind, port),
            grpc_listen: grpc_port.map(|port| SocketAddr::new(bind, port)),
            log_level,
            log_format,
            data,
            database,
            redis,
            unfenced,
            time_zone,
            // A definition that a draw makes is gapless, which is not to be had there.
            implicit: if unfenced { ImplicitPolicy::Never } else { implicit },
            allow_repeats,
            key_retention: retention,
            deadline,
            broker,
            events_file,
            largest_backlog,
            checkpoint_file,
            checkpoint_every,
            checkpoint_key,
            shutdown,
            effective,
        })
    }

    /// Where the numbers are kept, for people.
    pub(crate) fn place(&self) -> String {
        if let Some(redis) = self.redis.as_ref().filter(|_| self.unfenced) {
            return format!("the Redis server {}, UNFENCED", redis.place());
        }
        match &self.database {
            Some(database) => format!("the PostgreSQL database {}", database.place()),
            None => {
                let file = self.file();
                std::path::absolute(&file).unwrap_or(file).display().to_string()
            }
        }
    }

    /// The data file.
    pub(crate) fn file(&self) -> PathBuf {
        self.data.join(FILE_NAME)
    }
}

impl fmt::Display for Config {
    /// TOML that can be used as a configuration file, each line with where its value comes from.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.effective
            .iter()
            .try_for_each(|setting| writeln!(f, "{setting}"))
    }
}

fn parsed<T: std::str::FromStr>(text: &str) -> Option<T> {
    text.parse().ok()
}

/// A port, or none.
#[expect(clippy::option_option, reason = "off is as good a value as a port")]
fn grpc_port(text: &str) -> Option<Option<u16>> {
    match text {
        "off" => Some(None),
        port => parsed(port).map(Some),
    }
}

fn within(text: &str, least: u64, most: u64) -> Option<u64> {
    parsed(text).filter(|value| (least..=most).contains(value))
}

fn path(text: &str) -> Option<PathBuf> {
    (!text.is_empty()).then(|| text.into())
}

fn policy(text: &str) -> Option<ImplicitPolicy> {
    match text {
        "always" => Some(ImplicitPolicy::Always),
        "until_first_definition" => Some(ImplicitPolicy::UntilFirstDefinition),
        "never" => Some(ImplicitPolicy::Never),
        _ => None,
    }
}
