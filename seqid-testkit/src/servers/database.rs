use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::ServerError;
use super::ports::HOST;

pub(super) const USER: &str = "postgres";
pub(super) const PASSWORD: &str = "password";

/// A database of its own for one test, empty at first. Dropping it ends all sessions in it; it is emptied for the next test,
/// which costs a tenth of making one, or removed if it has more than the schema of seqid.
#[derive(Debug)]
pub struct Database {
    name: String,
    psql: Psql,
}

/// Empty databases, each with the folder of its server's socket.
static EMPTY: Mutex<Vec<(PathBuf, String)>> = Mutex::new(Vec::new());

/// Answers `t` if the database is then as it was when it was made.
const EMPTY_IT: &str = "\
    SELECT count(pg_terminate_backend(pid, 10000)) FROM pg_stat_activity \
    WHERE datname = current_database() AND pid <> pg_backend_pid() \\g /dev/null\n\
    SET client_min_messages = error; \
    DROP SCHEMA IF EXISTS seqid CASCADE; \
    SELECT NOT EXISTS (SELECT FROM pg_class WHERE relnamespace = 'public'::regnamespace) \
       AND NOT EXISTS (SELECT FROM pg_proc WHERE pronamespace = 'public'::regnamespace) \
       AND NOT EXISTS (SELECT FROM pg_namespace WHERE nspname !~ '^pg_' AND nspname NOT IN ('public', 'information_schema')) \
       AND NOT EXISTS (SELECT FROM pg_db_role_setting s WHERE s.setdatabase = d.oid) \
       AND (SELECT count(*) = 1 FROM pg_extension) \
       AND d.datacl IS NULL AND d.datdba = 'postgres'::regrole AND t.spcname = 'pg_default' \
    FROM pg_database d JOIN pg_tablespace t ON t.oid = d.dattablespace WHERE d.datname = current_database()";

impl Database {
    pub(super) fn create(psql: Psql) -> Result<Self, ServerError> {
        if let Some(name) = take_empty(&psql) {
            return Ok(Self { name, psql });
        }
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
        if self
            .psql
            .run(&self.name, EMPTY_IT)
            .is_ok_and(|empty| empty == "t")
        {
            let folder = self.psql.socket_folder.clone();
            lock_empty().push((folder, self.name.clone()));
            return;
        }
        let _dropped = self
            .psql
            .run(USER, &format!("DROP DATABASE {} WITH (FORCE)", self.name));
    }
}

fn take_empty(psql: &Psql) -> Option<String> {
    let mut empty = lock_empty();
    let at = empty
        .iter()
        .position(|(folder, _)| *folder == psql.socket_folder)?;
    Some(empty.swap_remove(at).1)
}

fn lock_empty() -> MutexGuard<'static, Vec<(PathBuf, String)>> {
    EMPTY.lock().unwrap_or_else(PoisonError::into_inner)
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
