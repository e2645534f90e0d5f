use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};

use super::ServerError;
use super::ports::HOST;

pub(super) const USER: &str = "postgres";
pub(super) const PASSWORD: &str = "password";

/// A database of its own for one test, empty at first. Dropping it ends all sessions in it and removes it.
#[derive(Debug)]
pub struct Database {
    name: String,
    psql: Psql,
}

impl Database {
    pub(super) fn create(psql: Psql) -> Result<Self, ServerError> {
        // One count for all servers of the process: a copy of a server already has databases of the first.
        static CREATED: AtomicU64 = AtomicU64::new(0);
        let name = format!("test_{}", CREATED.fetch_add(1, Ordering::Relaxed) + 1);
        psql.run(USER, &format!("CREATE DATABASE {name}"))?;
        Ok(Self { name, psql })
    }

    /// Its name, which no other database of this process has.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Where drivers connect to, password included.
    pub fn url(&self) -> String {
        self.psql.url(&self.name)
    }

    /// Runs SQL as [`PostgresServer::psql`](super::PostgresServer::psql) does.
    ///
    /// # Errors
    ///
    /// [`ServerError::Failed`] with what `psql` printed.
    pub fn psql(&self, sql: &str) -> Result<String, ServerError> {
        self.psql.run(&self.name, sql)
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        // The server may be down, or gone with its folder.
        let _dropped = self
            .psql
            .run(USER, &format!("DROP DATABASE {} WITH (FORCE)", self.name));
    }
}

/// The program `psql`, and the server that it talks to.
#[derive(Debug, Clone)]
pub(super) struct Psql {
    pub(super) program: PathBuf,
    pub(super) socket_folder: PathBuf,
    pub(super) port: u16,
}

impl Psql {
    pub(super) fn url(&self, database: &str) -> String {
        format!("postgres://{USER}:{PASSWORD}@{HOST}:{}/{database}", self.port)
    }

    pub(super) fn run(&self, database: &str, sql: &str) -> Result<String, ServerError> {
        let failed = ServerError::run;
        // Statements come by standard input, so that each is a transaction of its own. A paused server takes
        // connections and never answers: the timeout is for tests that fail meanwhile.
        let mut process = Command::new(&self.program)
            .args(["-XAtq", "-v", "ON_ERROR_STOP=1", "-U", USER, "-d", database])
            .arg("-h")
            .arg(&self.socket_folder)
            .args(["-p", &self.port.to_string()])
            .env("PGCONNECT_TIMEOUT", "20")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(failed("psql"))?;
        if let Some(mut input) = process.stdin.take() {
            // A psql that cannot connect does not read: its own message says more than a broken pipe.
            let _read = input.write_all(sql.as_bytes());
        }
        let output = process.wait_with_output().map_err(failed("psql"))?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim_end().to_owned();
        if output.status.success() {
            Ok(text(&output.stdout))
        } else {
            Err(ServerError::Failed {
                program: "psql".to_owned(),
                output: text(&output.stderr),
            })
        }
    }
}
