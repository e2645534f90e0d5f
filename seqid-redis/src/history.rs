use std::collections::HashMap;
use std::fmt;

/// One life of a server's data. Within it numbers only rise, as long as nobody writes to the keys by hand; another one may
/// have lost any of them.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct History {
    /// The process: `run_id` of `INFO`, new at each start.
    pub run_id: String,
    /// The line of replication: `master_replid` of `INFO`, new at each promotion.
    pub master_replid: String,
}

impl fmt::Display for History {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let start = |text: &str| text.chars().take(8).collect::<String>();
        write!(f, "{}/{}", start(&self.run_id), start(&self.master_replid))
    }
}

/// A primary as it was when it was connected to.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Server {
    /// Its history.
    pub history: History,
    /// Its version, `7.0.15`.
    pub version: String,
    /// Where it is, `127.0.0.1:6379`.
    pub address: String,
    /// How often the Sentinels have changed the primary; 0 without Sentinels. Lower than it once was: the answer is an old
    /// one.
    pub topology: u64,
}

/// The fields of an answer to `INFO`.
pub(crate) struct Info<'a>(HashMap<&'a str, &'a str>);

impl<'a> Info<'a> {
    pub(crate) fn read(text: &'a str) -> Self {
        Self(
            text.lines()
                .filter_map(|line| line.trim_end().split_once(':'))
                .collect(),
        )
    }

    pub(crate) fn field(&self, name: &str) -> &'a str {
        self.0.get(name).copied().unwrap_or_default()
    }

    pub(crate) fn history(&self) -> History {
        History {
            run_id: self.field("run_id").to_owned(),
            master_replid: self.field("master_replid").to_owned(),
        }
    }

    pub(crate) fn is_primary(&self) -> bool {
        self.field("role") == "master"
    }

    /// The first part of its version.
    pub(crate) fn major(&self) -> u32 {
        let version = self.field("redis_version");
        let major = version.split('.').next().unwrap_or_default();
        major.parse().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_info_says_is_read() {
        let text = "# Server\r\nredis_version:7.0.15\r\nrun_id:aa\r\n\r\n# Replication\r\nrole:master\r\nmaster_replid:bb\r\n";
        let info = Info::read(text);
        assert_eq!(info.major(), 7);
        assert!(info.is_primary());
        assert_eq!(info.history().to_string(), "aa/bb");
        assert_eq!(Info::read("").major(), 0);
        assert!(!Info::read("role:slave").is_primary());
    }
}
