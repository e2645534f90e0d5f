use std::env;
use std::ffi::{OsStr, OsString};
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Child;
use std::sync::OnceLock;

use super::ServerError;
use super::database::{Database, PASSWORD, Psql, USER};
use super::guardian::Guardian;
use super::ports::{HOST, free_port, is_free};
use super::processes::{processes, signal, wait_until};

/// What each server is set to. Commits are as durable as in production: `fsync` stays on.
const SETTINGS: [(&str, &str); 7] = [
    ("listen_addresses", HOST),
    ("max_connections", "100"),
    ("shared_buffers", "32MB"),
    ("fsync", "on"),
    ("synchronous_commit", "on"),
    // In the data folder, so that a server that was killed leaves nothing in /dev/shm.
    ("dynamic_shared_memory_type", "mmap"),
    ("max_wal_size", "256MB"),
];

/// A private PostgreSQL server in a temporary folder, reached at 127.0.0.1 with a password and through a unix socket
/// without one. It ends and its folder is removed when it is dropped, and also when the process of the test ends,
/// whichever way.
///
/// What disturbs a server needs it mutable: the [shared](Self::shared) one is never disturbed.
#[derive(Debug)]
pub struct PostgresServer {
    guardian: Guardian,
    /// The folder of `initdb`, `postgres` and `psql`.
    programs: PathBuf,
    /// `None` after [`kill`](Self::kill) and [`stop`](Self::stop).
    postmaster: Option<Child>,
    port: u16,
}

impl PostgresServer {
    /// A new server with no databases but its own.
    ///
    /// The programs are taken from the folder `SEQID_POSTGRES_BIN`, and only from there if that is set; else from a
    /// folder of `PATH`; else from the newest of `/usr/lib/postgresql/*/bin`. As root, which PostgreSQL refuses, it
    /// runs as `postgres`, or as `nobody` if there is no such user.
    ///
    /// # Errors
    ///
    /// [`ServerError::Missing`] if it is not installed; else what went wrong, with the end of the server's log.
    pub fn start() -> Result<Self, ServerError> {
        Self::start_with(&[])
    }

    /// A new server with lines of `postgresql.conf` of its own: `&[("max_connections", "10")]`.
    ///
    /// # Errors
    ///
    /// As [`start`](Self::start).
    pub fn start_with(settings: &[(&str, &str)]) -> Result<Self, ServerError> {
        let programs = programs()?;
        let mut guardian = Guardian::new()?;
        let password = guardian.folder().join("password");
        fs::write(&password, PASSWORD).map_err(ServerError::file(&password))?;
        guardian.hand_over(&password)?;
        let arguments = [
            "--pgdata=data",
            "--username=postgres",
            "--pwfile=password",
            "--encoding=UTF8",
            "--locale=C.UTF-8",
            "--auth-local=trust",
            "--auth-host=scram-sha-256",
            "--no-sync",
            // What it leaves behind tells the guardian which shared memory to remove.
            "--no-clean",
        ];
        guardian.run(&programs.join("initdb"), &arguments)?;
        let mut server = Self {
            guardian,
            programs,
            postmaster: None,
            port: 0,
        };
        server.set(&SETTINGS)?;
        server.set(settings)?;
        server.start_elsewhere()?;
        Ok(server)
    }

    /// The one server of a whole test program, started by whoever asks first.
    ///
    /// # Panics
    ///
    /// When it cannot be started: a test that needs a server is never skipped.
    #[track_caller]
    pub fn shared() -> &'static Self {
        static SHARED: OnceLock<PostgresServer> = OnceLock::new();
        SHARED.get_or_init(|| {
            Self::start().unwrap_or_else(|error| panic!("the shared server did not start: {error}"))
        })
    }

    /// A new and empty database.
    ///
    /// # Errors
    ///
    /// [`ServerError::Failed`] with what `psql` printed.
    pub fn database(&self) -> Result<Database, ServerError> {
        Database::create(self.client())
    }

    /// Runs SQL in a database, each statement a transaction of its own; answers rows as lines, columns apart by `|`.
    /// Goes through the unix socket.
    ///
    /// # Errors
    ///
    /// [`ServerError::Failed`] with what `psql` printed; what follows the statement that failed is not run.
    pub fn psql(&self, database: &str, sql: &str) -> Result<String, ServerError> {
        self.client().run(database, sql)
    }

    /// Where drivers connect to, password included.
    pub fn url(&self, database: &str) -> String {
        self.client().url(database)
    }

    /// The address that it listens at, without the port.
    pub fn host(&self) -> &'static str {
        HOST
    }

    /// The port that it listens at, the same for all its life.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Its superuser.
    pub fn user(&self) -> &'static str {
        USER
    }

    /// The superuser's password.
    pub fn password(&self) -> &'static str {
        PASSWORD
    }

    /// The folder of its unix socket, which asks for no password.
    pub fn socket_folder(&self) -> &Path {
        self.guardian.folder()
    }

    /// The folder of its data.
    pub fn data_folder(&self) -> PathBuf {
        self.guardian.folder().join("data")
    }

    /// The folder of `psql`, `pg_dump` and the like, of the server's own version.
    pub fn program_folder(&self) -> &Path {
        &self.programs
    }

    /// Kills all of its processes at once, as a crash of the machine would. Does nothing if it is down.
    ///
    /// # Errors
    ///
    /// When a process could not be signalled or outlived it by a minute.
    pub fn kill(&mut self) -> Result<(), ServerError> {
        let Some(postmaster) = self.postmaster_id() else {
            return Ok(());
        };
        let children = self.freeze(postmaster)?;
        signal("KILL", &children)?;
        signal("KILL", &[postmaster])?;
        self.wait_for_end()?;
        // They hold the shared memory until they are gone, and no server starts over it.
        let gone = wait_until(|| {
            Ok(!processes()?
                .iter()
                .any(|process| children.contains(&process.id) && !process.has_ended()))
        })?;
        self.in_time(gone, "killing the server")
    }

    /// Shuts it down in order: sessions are ended, what they had not committed is undone. Does nothing if it is down.
    ///
    /// # Errors
    ///
    /// When it could not be signalled or took more than a minute.
    pub fn stop(&mut self) -> Result<(), ServerError> {
        let Some(postmaster) = self.postmaster_id() else {
            return Ok(());
        };
        self.resume()?;
        signal("INT", &[postmaster])?;
        self.wait_for_end()
    }

    /// Starts it on its folder and port after [`kill`](Self::kill) or [`stop`](Self::stop), and waits until it
    /// answers. Does nothing if it runs.
    ///
    /// # Errors
    ///
    /// [`ServerError::Failed`] with the end of its log.
    pub fn start_again(&mut self) -> Result<(), ServerError> {
        if self.postmaster_id().is_some() {
            return Ok(());
        }
        // The whole path, so that a listing of processes tells servers apart.
        let arguments = [OsString::from("-D"), self.data_folder().into()];
        let postmaster = self.guardian.start(&self.programs.join("postgres"), &arguments)?;
        let id = postmaster.id();
        self.postmaster = Some(postmaster);
        let ready = wait_until(|| {
            if self.postmaster_id().is_none() {
                return Err(ServerError::Failed {
                    program: "postgres".to_owned(),
                    output: self.guardian.log(),
                });
            }
            Ok(says_ready(&self.data_folder(), id))
        })?;
        self.in_time(ready, "starting the server")
    }

    /// Stops all of its processes where they stand: connections stay open and nothing answers, until
    /// [`resume`](Self::resume).
    ///
    /// # Errors
    ///
    /// When a process could not be signalled, or did not stop within a minute.
    pub fn pause(&mut self) -> Result<(), ServerError> {
        let Some(postmaster) = self.postmaster_id() else {
            return Ok(());
        };
        let children = self.freeze(postmaster)?;
        signal("STOP", &children)?;
        self.wait_for_stop(&children)
    }

    /// Lets it go on after [`pause`](Self::pause).
    ///
    /// # Errors
    ///
    /// When a process could not be signalled.
    pub fn resume(&mut self) -> Result<(), ServerError> {
        let Some(postmaster) = self.postmaster_id() else {
            return Ok(());
        };
        signal("CONT", &children_of(postmaster)?)?;
        signal("CONT", &[postmaster])
    }

    /// Another server, on another port, with a copy of this one's data. This one is stopped for the copy and runs
    /// again afterwards.
    ///
    /// # Errors
    ///
    /// As [`stop`](Self::stop) and [`start`](Self::start).
    pub fn copy_to_new_server(&mut self) -> Result<Self, ServerError> {
        self.stop()?;
        let mut guardian = Guardian::new()?;
        let copied = guardian.run(
            Path::new("cp"),
            &[
                OsStr::new("-Rp"),
                self.data_folder().as_os_str(),
                OsStr::new("data"),
            ],
        );
        self.start_again()?;
        copied?;
        let mut copy = Self {
            guardian,
            programs: self.programs.clone(),
            postmaster: None,
            port: 0,
        };
        copy.start_elsewhere()?;
        Ok(copy)
    }

    fn client(&self) -> Psql {
        Psql {
            program: self.programs.join("psql"),
            socket_folder: self.socket_folder().to_owned(),
            port: self.port,
        }
    }

    /// Adds lines to `postgresql.conf`; of two with one name the later counts.
    fn set(&self, settings: &[(&str, &str)]) -> Result<(), ServerError> {
        let path = self.data_folder().join("postgresql.conf");
        let lines: String = settings
            .iter()
            .map(|(name, value)| format!("{name} = '{}'\n", value.replace('\'', "''")))
            .collect();
        OpenOptions::new()
            .append(true)
            .open(&path)
            .and_then(|mut file| file.write_all(lines.as_bytes()))
            .map_err(ServerError::file(path))
    }

    /// Starts it for the first time on this folder, on a port that is free.
    fn start_elsewhere(&mut self) -> Result<(), ServerError> {
        loop {
            self.port = free_port()?;
            let folder = self.socket_folder().to_string_lossy().into_owned();
            self.set(&[
                ("port", &self.port.to_string()),
                ("unix_socket_directories", &folder),
            ])?;
            match self.start_again() {
                // Somebody else took it between the look and the start.
                Err(ServerError::Failed { .. }) if !is_free(self.port) => {}
                ended => return ended,
            }
        }
    }

    /// The process id of the postmaster, `None` when it has ended.
    fn postmaster_id(&mut self) -> Option<u32> {
        let postmaster = self.postmaster.as_mut()?;
        matches!(postmaster.try_wait(), Ok(None)).then(|| postmaster.id())
    }

    /// Stops the postmaster, which from then on starts no process, and answers those that it has.
    fn freeze(&self, postmaster: u32) -> Result<Vec<u32>, ServerError> {
        signal("STOP", &[postmaster])?;
        self.wait_for_stop(&[postmaster])?;
        children_of(postmaster)
    }

    fn wait_for_stop(&self, ids: &[u32]) -> Result<(), ServerError> {
        let stopped = wait_until(|| {
            let all = processes()?;
            let mut these = all.iter().filter(|process| ids.contains(&process.id));
            Ok(these.all(|process| process.is_stopped() || process.has_ended()))
        })?;
        self.in_time(stopped, "stopping a process")
    }

    fn wait_for_end(&mut self) -> Result<(), ServerError> {
        let ended = wait_until(|| Ok(self.postmaster_id().is_none()))?;
        self.in_time(ended, "ending the server")?;
        self.postmaster = None;
        self.guardian.forget()
    }

    fn in_time(&self, so: bool, what: &'static str) -> Result<(), ServerError> {
        if so {
            Ok(())
        } else {
            Err(ServerError::TooLong {
                what,
                output: self.guardian.log(),
            })
        }
    }
}

impl Drop for PostgresServer {
    fn drop(&mut self) {
        self.guardian.end();
        // Until it is waited for, a process that has ended looks to the guardian as if it ran.
        if let Some(mut postmaster) = self.postmaster.take() {
            let _ended = postmaster.wait();
        }
    }
}

/// The folder that holds all of the programs.
fn programs() -> Result<PathBuf, ServerError> {
    let searched = folders();
    let holds_all = |folder: &Path| {
        ["initdb", "postgres", "psql"]
            .iter()
            .all(|name| folder.join(name).is_file())
    };
    for folder in &searched {
        // On PATH may be links to single programs.
        let programs = fs::canonicalize(folder.join("postgres"));
        if let Some(programs) = programs
            .ok()
            .as_deref()
            .and_then(Path::parent)
            .filter(|folder| holds_all(folder))
        {
            return Ok(programs.to_owned());
        }
    }
    Err(ServerError::Missing {
        name: "PostgreSQL",
        programs: "initdb, postgres and psql",
        package: "postgresql",
        variable: "SEQID_POSTGRES_BIN",
        searched,
    })
}

fn folders() -> Vec<PathBuf> {
    if let Some(folder) = env::var_os("SEQID_POSTGRES_BIN") {
        return vec![folder.into()];
    }
    let path = env::var_os("PATH").unwrap_or_default();
    let mut folders: Vec<PathBuf> = env::split_paths(&path).collect();
    let root = Path::new("/usr/lib/postgresql");
    let mut versions: Vec<u32> = fs::read_dir(root)
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .collect();
    versions.sort_unstable_by(|one, other| other.cmp(one));
    folders.extend(
        versions
            .iter()
            .map(|version| root.join(version.to_string()).join("bin")),
    );
    if versions.is_empty() {
        folders.push(root.join("*/bin"));
    }
    folders
}

fn children_of(parent: u32) -> Result<Vec<u32>, ServerError> {
    Ok(processes()?
        .iter()
        .filter(|process| process.parent == parent)
        .map(|process| process.id)
        .collect())
}

/// Whether the postmaster has written that it takes connections, a standby those that only read: the eighth line of its
/// file, as `pg_ctl` reads it.
fn says_ready(data_folder: &Path, postmaster: u32) -> bool {
    let text = fs::read_to_string(data_folder.join("postmaster.pid")).unwrap_or_default();
    let mut lines = text.lines();
    lines.next() == Some(&postmaster.to_string())
        && lines
            .nth(6)
            .is_some_and(|status| matches!(status.trim(), "ready" | "standby"))
}
