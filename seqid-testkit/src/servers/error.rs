use std::io;
use std::path::PathBuf;

/// Why a server of a test did not do as it was told.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServerError {
    /// No folder holds all of the programs that are needed.
    #[error(
        "{name} is missing: {programs} are together in none of {}; install it with \
         `apt-get install {package}`, or name the folder of its programs in {variable}",
        list(searched)
    )]
    Missing {
        /// What is not installed.
        name: &'static str,
        /// The programs that were looked for.
        programs: &'static str,
        /// The package that has them.
        package: &'static str,
        /// The variable that names their folder.
        variable: &'static str,
        /// The folders that were looked into, in order.
        searched: Vec<PathBuf>,
    },
    /// Servers of tests do not run as root, and there is no other account to run them as.
    #[error("servers do not run as root, and this machine has neither a user postgres nor nobody")]
    NoAccount,
    /// A program could not be run, or its pipes broke.
    #[error("{program} could not be run")]
    Run {
        /// Its name.
        program: String,
        /// What the system said.
        source: io::Error,
    },
    /// A program ended and said that it failed.
    #[error("{program} failed: {output}")]
    Failed {
        /// Its name.
        program: String,
        /// What it printed about it, or the end of its log.
        output: String,
    },
    /// Something did not come to pass within a minute, or five of a RabbitMQ node.
    #[error("{what} took too long: {output}")]
    TooLong {
        /// What was waited for.
        what: &'static str,
        /// The end of the server's log.
        output: String,
    },
    /// A file of the server could not be read or written.
    #[error("{} could not be used", path.display())]
    File {
        /// Which one.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// No port of 127.0.0.1 is free between 20000 and 32000.
    #[error("no port of 127.0.0.1 is free between 20000 and 32000")]
    NoPort,
}

impl ServerError {
    pub(super) fn run(program: &str) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Run {
            program: program.to_owned(),
            source,
        }
    }

    pub(super) fn file(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::File {
            path: path.into(),
            source,
        }
    }
}

fn list(folders: &[PathBuf]) -> String {
    let folders: Vec<_> = folders.iter().map(|folder| folder.to_string_lossy()).collect();
    folders.join(", ")
}
