//! The PostgreSQL database that numbers are kept in, if one is named.

use std::path::Path;
use std::time::Duration;

use seqid_postgres::{PgConnectOptions, PgSslMode, PostgresConfig};

use super::sources::Sources;
use super::{parsed, path, within};

/// The modes of TLS, as libpq names them.
const MODES: &str = "disable, allow, prefer, require, verify-ca or verify-full";

/// The name of the state file in the data folder.
const STATE_FILE: &str = "postgres.state";

/// The database that the sources name. `data` is the folder of the state file.
pub(super) fn read(
    sources: &mut Sources<'_>,
    data: &Path,
    key_retention: Duration,
) -> Option<PostgresConfig> {
    let url = sources.read_secret(
        "database_url",
        "a URL such as postgres://user:password@host:5432/name",
        |url| {
            url.starts_with("postgres")
                .then(|| url.parse::<PgConnectOptions>().ok())
                .flatten()
        },
    );
    let host = sources.read_optional(
        "db_host",
        "a host name, an address or a folder with a socket",
        text,
    );
    let port = sources.read("db_port", "5432", "a whole number from 1 to 65535", |text| {
        parsed::<u16>(text).filter(|port| *port > 0)
    });
    let name = sources.read("db_name", "seqid", "the name of a database", text);
    let user = sources.read("db_user", "seqid", "the name of a role", text);
    let password = sources.read_secret("db_password", "a password", text);
    let mode = sources.read_optional("db_sslmode", MODES, parsed::<PgSslMode>);
    let root = sources.read_optional("db_sslrootcert", "a path", path);
    let lanes = sources.read_optional("db_lanes", "a whole number from 1 to 64", |text| {
        within(text, 1, 64).and_then(|lanes| usize::try_from(lanes).ok())
    });
    let readers = sources.read("db_readers", "4", "a whole number from 1 to 64", |text| {
        within(text, 1, 64).and_then(|readers| usize::try_from(readers).ok())
    });
    let timeout = sources.read(
        "db_timeout_ms",
        "10000",
        "a whole number from 100 to 600000",
        |text| within(text, 100, 600_000).map(Duration::from_millis),
    );
    let mut connect = match (url, host) {
        (Some(_), Some(_)) => {
            sources.refuse(
                "DATABASE_URL and DB_HOST are both set: set the one that names the database".to_owned(),
            );
            return None;
        }
        (Some(url), None) => url,
        (None, Some(host)) => {
            let named = PgConnectOptions::new_without_pgpass();
            let named = if host.starts_with('/') {
                named.socket(host)
            } else {
                named.host(&host)
            };
            let named = named.port(port).database(&name).username(&user);
            match password {
                Some(password) => named.password(&password),
                None => named,
            }
        }
        (None, None) => return None,
    };
    if let Some(mode) = mode {
        connect = connect.ssl_mode(mode);
    }
    if let Some(root) = root {
        connect = connect.ssl_root_cert(root);
    }
    let mode = connect.get_ssl_mode();
    let needs_tls = !matches!(mode, PgSslMode::Disable | PgSslMode::Allow | PgSslMode::Prefer);
    if needs_tls && !seqid_postgres::HAS_TLS {
        sources.refuse(
            "the database is to be reached by TLS, which this build lacks: build it with the feature `tls`, or set \
             DB_SSLMODE to prefer"
                .to_owned(),
        );
    }
    let mut config = PostgresConfig::new(connect)
        .key_retention(key_retention)
        .timeout(timeout)
        .state_file(data.join(STATE_FILE));
    config.readers = readers;
    Some(match lanes {
        Some(lanes) => config.lanes(lanes),
        None => config,
    })
}

fn text(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}
