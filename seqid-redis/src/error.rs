use std::io;
use std::sync::Arc;

use redis::{ErrorKind, ParsingError, RedisError};
use seqid_core::store::{Certainty, StoreError};

use crate::config::RedisConfig;
use crate::history::History;
use crate::tls::{self, TlsProblem};

/// Why a server cannot be drawn from. The text says what to do.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// Nobody answers there.
    #[error("no Redis server answers for {place}: check host and port, and that the server runs")]
    Unreachable {
        /// The server.
        place: String,
        /// What the system said.
        #[source]
        source: RedisError,
    },
    /// The server ended the connection at once.
    #[error("{place} ends connections before it answers: if it takes TLS alone, name it with rediss://")]
    Hung {
        /// The server.
        place: String,
        /// What the system said.
        #[source]
        source: RedisError,
    },
    /// It cannot be reached by TLS.
    #[error("{place} {problem}")]
    Tls {
        /// The server.
        place: String,
        /// Why not.
        problem: TlsProblem,
        /// What was said of it.
        #[source]
        source: RedisError,
    },
    /// A file that TLS needs cannot be used.
    #[error("what is needed for TLS to {place} cannot be read")]
    TlsFile {
        /// The server.
        place: String,
        /// Which file, and what the system said.
        #[source]
        source: RedisError,
    },
    /// The server does not let the user in.
    #[error("{place} does not let the user in: check user and password, and the ACL of the server")]
    Login {
        /// The server.
        place: String,
        /// What the server said.
        #[source]
        source: RedisError,
    },
    /// The user may not do what seqid needs.
    #[error(
        "{place} does not allow the user what seqid needs: give it the commands that the README of seqid-redis lists"
    )]
    NotAllowed {
        /// The server.
        place: String,
        /// What the server said.
        #[source]
        source: RedisError,
    },
    /// The server is a replica.
    #[error("{place} is a replica: name the primary, or the Sentinels, which know it")]
    Replica {
        /// The server.
        place: String,
    },
    /// The server is a node of a cluster.
    #[error("{place} is a node of a cluster: name it as redis-cluster://{place}")]
    Cluster {
        /// The server.
        place: String,
    },
    /// The server is too old.
    #[error("{place} is Redis {found}; seqid needs {} or newer", OpenError::OLDEST)]
    TooOld {
        /// The server.
        place: String,
        /// Its version.
        found: String,
    },
    /// The server has a history that was [retired](crate::Fenced::retire).
    #[error("{place} goes on with history {history}, which another one has taken the place of")]
    Retired {
        /// The server.
        place: String,
        /// The history.
        history: History,
    },
    /// No Sentinel, or no node of a cluster, knows a primary.
    #[error(
        "nobody names the primary of {place}: check the hosts and the name of the service, and that they run"
    )]
    NoPrimary {
        /// The Sentinels and the service, or the nodes.
        place: String,
        /// What the last one said that failed.
        #[source]
        source: Option<Box<OpenError>>,
    },
    /// The server refused or failed otherwise.
    #[error("{place} could not be opened")]
    Redis {
        /// The server.
        place: String,
        /// What it said.
        #[source]
        source: RedisError,
    },
    /// The connection has failed, and another is being made.
    #[error("the connection to {place} has failed, and there is no other yet")]
    Lost {
        /// The server.
        place: String,
    },
}

impl OpenError {
    /// The oldest version that is served: the first whose scripts are checked as a whole before they run.
    pub(crate) const OLDEST: u32 = 7;

    /// What an operator is told of an error that was met while a server was opened.
    pub(crate) fn of(config: &RedisConfig, place: &str, source: RedisError) -> Self {
        let place = place.to_owned();
        if tls::is_of_file(&source) {
            return Self::TlsFile { place, source };
        }
        let problem = config.tls.as_ref().and_then(|_| tls::problem(&source));
        if let Some(problem) = problem {
            return Self::Tls {
                place,
                problem,
                source,
            };
        }
        match source.code() {
            Some("NOAUTH" | "WRONGPASS") => Self::Login { place, source },
            Some("NOPERM") => Self::NotAllowed { place, source },
            _ => match source.kind() {
                ErrorKind::AuthenticationFailed => Self::Login { place, source },
                ErrorKind::Io if config.tls.is_none() && is_hung_up(&source) => Self::Hung { place, source },
                ErrorKind::Io => Self::Unreachable { place, source },
                _ => Self::Redis { place, source },
            },
        }
    }
}

/// Whether somebody took the connection, and ended it.
fn is_hung_up(error: &RedisError) -> bool {
    let ended = [
        io::ErrorKind::UnexpectedEof,
        io::ErrorKind::BrokenPipe,
        io::ErrorKind::ConnectionReset,
    ];
    tls::io_error(error).is_some_and(|error| ended.contains(&error.kind()))
}

/// Why a call has no answer.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum Fault {
    /// There was no server to send it to.
    #[error(transparent)]
    Away(Arc<OpenError>),
    /// The server refused it, or the connection failed meanwhile.
    #[error(transparent)]
    Redis(#[from] RedisError),
    /// The server refused a command of the script before its first write: the user may not.
    #[error("the server said {message:?}")]
    Denied {
        /// What it said.
        message: String,
    },
    /// The answer was not one that the scripts give.
    #[error("the server answered {answer:?}, which no script of seqid does")]
    Unreadable {
        /// The answer.
        answer: String,
    },
}

impl From<ParsingError> for Fault {
    fn from(error: ParsingError) -> Self {
        Self::Redis(error.into())
    }
}

impl Fault {
    pub(crate) fn unreadable(answer: &[String]) -> Self {
        Self::Unreadable {
            answer: answer.join(" "),
        }
    }

    /// Whether the call may have had effect. What the server says with a code is told by the code alone; whatever else
    /// happens after sending leaves it unknown.
    #[must_use]
    pub fn certainty(&self) -> Certainty {
        match self {
            Self::Away(_) | Self::Denied { .. } => Certainty::NotIssued,
            Self::Redis(_) if self.is_no_function() => Certainty::NotIssued,
            Self::Redis(error) => match (error.code(), error.kind()) {
                (Some(code), _) => certainty_of(code),
                (None, ErrorKind::Client | ErrorKind::InvalidClientConfig) => Certainty::NotIssued,
                (None, _) => Certainty::Unknown,
            },
            Self::Unreadable { .. } => Certainty::Unknown,
        }
    }

    /// Whether the connection must not be used again: it has failed, or leads to a server that cannot serve.
    pub(crate) fn condemns_connection(&self) -> bool {
        match self {
            Self::Away(_) | Self::Denied { .. } => false,
            Self::Redis(error) => match error.code() {
                Some(code) => matches!(code, "READONLY" | "MASTERDOWN" | "LOADING" | "NOAUTH" | "MOVED"),
                None => true,
            },
            Self::Unreadable { .. } => true,
        }
    }

    /// Whether the server does not have the function that it was to run.
    pub(crate) fn is_no_function(&self) -> bool {
        matches!(self, Self::Redis(error) if error.detail() == Some("Function not found"))
    }
}

/// Whether a command that a server answered with an error of this code may have had effect.
///
/// All codes of this list are given before the first write of a script: by the server, which looks at scripts as a whole, or
/// by the checks of the script itself. `ERR` may be anything.
#[must_use]
pub fn certainty_of(code: &str) -> Certainty {
    match code {
        // The key is elsewhere, or on its way.
        "MOVED" | "ASK" | "TRYAGAIN" | "CLUSTERDOWN" | "CROSSSLOT"
        // The server does not take writes.
        | "READONLY" | "LOADING" | "MASTERDOWN" | "NOREPLICAS" | "MISCONF" | "OOM" | "BUSY"
        // The user may not.
        | "NOPERM" | "NOAUTH" | "WRONGPASS" => Certainty::NotIssued,
        _ => Certainty::Unknown,
    }
}

/// What callers are told is away.
pub(crate) const PART: &str = "Redis, where the numbers of this sequence are drawn,";

/// What callers are told.
impl From<Fault> for StoreError {
    fn from(fault: Fault) -> Self {
        let code = match &fault {
            Fault::Redis(error) => error.code(),
            _ => None,
        };
        match (fault.certainty(), code) {
            (Certainty::NotIssued, Some("OOM")) => Self::Full(Arc::new(fault)),
            (certainty, _) => Self::Away {
                part: PART,
                certainty,
                cause: Arc::new(fault),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_its_class() {
        let refused = [
            "MOVED",
            "ASK",
            "TRYAGAIN",
            "CLUSTERDOWN",
            "CROSSSLOT",
            "READONLY",
            "LOADING",
            "MASTERDOWN",
            "NOREPLICAS",
            "MISCONF",
            "OOM",
            "BUSY",
            "NOPERM",
            "NOAUTH",
            "WRONGPASS",
        ];
        for code in refused {
            assert_eq!(certainty_of(code), Certainty::NotIssued, "{code}");
        }
        for code in [
            "ERR",
            "EXECABORT",
            "UNKILLABLE",
            "WRONGTYPE",
            "",
            "moved",
            "NEVERHEARD",
        ] {
            assert_eq!(certainty_of(code), Certainty::Unknown, "{code}");
        }
    }

    #[test]
    fn a_connection_that_fails_after_sending_leaves_it_unknown() {
        for kind in [
            io::ErrorKind::BrokenPipe,
            io::ErrorKind::ConnectionReset,
            io::ErrorKind::TimedOut,
            io::ErrorKind::UnexpectedEof,
        ] {
            let fault = Fault::Redis(io::Error::from(kind).into());
            assert_eq!(fault.certainty(), Certainty::Unknown, "{kind:?}");
            assert!(fault.condemns_connection(), "{kind:?}");
            assert_eq!(
                StoreError::from(fault).certainty(),
                Certainty::Unknown,
                "{kind:?}"
            );
        }
    }

    #[test]
    fn what_was_never_sent_is_not_issued() {
        let place = "127.0.0.1:6379".to_owned();
        let fault = Fault::Away(Arc::new(OpenError::Lost { place }));
        assert_eq!(fault.certainty(), Certainty::NotIssued);
        let told = StoreError::from(fault);
        assert_eq!(told.certainty(), Certainty::NotIssued);
        assert!(told.to_string().starts_with("Redis"), "{told}");
    }

    #[test]
    fn an_answer_that_cannot_be_read_is_unknown() {
        let fault = Fault::unreadable(&["granted".to_owned()]);
        assert_eq!(fault.certainty(), Certainty::Unknown);
    }
}
