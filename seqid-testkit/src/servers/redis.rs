use std::env;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::sync::OnceLock;

use super::ServerError;
use super::certificates::{Certificates, Shown};
use super::guardian::Guardian;
use super::ports::{HOST, free_port, is_free};
use super::processes::{processes, signal, wait_until};

pub(super) const PASSWORD: &str = "password";

/// What each server is set to: as Redis is recommended for data that matters, and with the commands that tests disturb
/// it with.
const SETTINGS: [(&str, &str); 10] = [
    ("bind", HOST),
    ("dir", "data"),
    ("save", "\"\""),
    ("appendonly", "yes"),
    ("appendfsync", "everysec"),
    ("requirepass", PASSWORD),
    ("masterauth", PASSWORD),
    ("maxmemory-policy", "noeviction"),
    ("repl-diskless-sync-delay", "0"),
    ("enable-debug-command", "yes"),
];

/// A private Redis server in a temporary folder, reached at 127.0.0.1 with a password. It ends and its folder is removed
/// when it is dropped, and also when the process of the test ends, whichever way.
///
/// What disturbs a server needs it mutable: the [shared](Self::shared) one is never disturbed. The exception is what
/// [`cli`](Self::cli) is told.
#[derive(Debug)]
pub struct RedisServer {
    guardian: Guardian,
    /// The folder of `redis-server` and `redis-cli`.
    programs: PathBuf,
    /// `None` after [`kill`](Self::kill) and [`stop`](Self::stop).
    process: Option<Child>,
    port: u16,
    /// Lines of its configuration, without those of ports.
    settings: String,
    kind: Kind,
    /// What it speaks TLS with, and nothing else then.
    certificates: Option<Certificates>,
    dumps: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Data,
    Member,
    Sentinel,
}

/// A copy of a server's data as of one moment.
#[derive(Debug, Clone)]
pub struct RedisDump(PathBuf);

impl RedisServer {
    /// A new and empty server that keeps an append-only file, written to the disk each second.
    ///
    /// The programs are taken from the folder `SEQID_REDIS_BIN`, and only from there if that is set; else from a folder
    /// of `PATH`. As root it runs as another user, as all servers do here.
    ///
    /// # Errors
    ///
    /// [`ServerError::Missing`] if it is not installed; else what went wrong, with the end of the server's log.
    pub fn start() -> Result<Self, ServerError> {
        Self::start_with(&[])
    }

    /// A new server with lines of `redis.conf` of its own: `&[("maxmemory", "10mb")]`. They count over the usual ones.
    ///
    /// # Errors
    ///
    /// As [`start`](Self::start).
    pub fn start_with(settings: &[(&str, &str)]) -> Result<Self, ServerError> {
        let settings: Vec<_> = SETTINGS.iter().chain(settings).copied().collect();
        Self::launch(Kind::Data, &settings, None)
    }

    /// A new server as by [`start_with`](Self::start_with) that speaks TLS alone. It asks for no certificate unless the settings
    /// say `tls-auth-clients yes`.
    ///
    /// # Errors
    ///
    /// As [`start`](Self::start).
    pub fn start_tls(
        certificates: &Certificates,
        shown: Shown,
        settings: &[(&str, &str)],
    ) -> Result<Self, ServerError> {
        let tls = tls_settings(certificates, shown);
        let tls = tls.iter().map(|(name, value)| (*name, value.as_str()));
        let settings: Vec<_> = SETTINGS
            .into_iter()
            .chain(tls)
            .chain(settings.iter().copied())
            .collect();
        Self::launch(Kind::Data, &settings, Some(certificates))
    }

    /// A node of a cluster that it has not joined yet.
    pub(super) fn start_member(
        settings: &[(&str, &str)],
        certificates: Option<&Certificates>,
    ) -> Result<Self, ServerError> {
        let tls = certificates.map(|certificates| tls_settings(certificates, Shown::Sound));
        let tls = tls.iter().flatten().map(|(name, value)| (*name, value.as_str()));
        let settings: Vec<_> = SETTINGS
            .into_iter()
            .chain(tls)
            .chain(settings.iter().copied())
            .collect();
        Self::launch(Kind::Member, &settings, certificates)
    }

    /// A Sentinel, which asks for no password.
    pub(super) fn start_sentinel(
        settings: &[(&str, &str)],
        certificates: Option<&Certificates>,
    ) -> Result<Self, ServerError> {
        let usual = [("bind", HOST), ("dir", "data")];
        let tls = certificates.map(|certificates| tls_settings(certificates, Shown::Sound));
        let tls = tls.iter().flatten().map(|(name, value)| (*name, value.as_str()));
        let settings: Vec<_> = usual
            .into_iter()
            .chain(tls)
            .chain(settings.iter().copied())
            .collect();
        Self::launch(Kind::Sentinel, &settings, certificates)
    }

    fn launch(
        kind: Kind,
        settings: &[(&str, &str)],
        certificates: Option<&Certificates>,
    ) -> Result<Self, ServerError> {
        let mut server = Self {
            guardian: Guardian::new()?,
            programs: programs()?,
            process: None,
            port: 0,
            settings: settings
                .iter()
                .map(|(name, value)| format!("{name} {value}\n"))
                .collect(),
            kind,
            certificates: certificates.cloned(),
            dumps: 0,
        };
        server.make_data_folder()?;
        loop {
            server.port = free_port()?;
            let bus = free_port()?;
            server.configure(bus)?;
            match server.start_again() {
                // Somebody else took it between the look and the start.
                Err(ServerError::Failed { .. }) if !(is_free(server.port) && is_free(bus)) => {}
                ended => return ended.map(|()| server),
            }
        }
    }

    /// The one server of a whole test program, started by whoever asks first. Tests on it keep to keys of their own.
    ///
    /// # Panics
    ///
    /// When it cannot be started: a test that needs a server is never skipped.
    #[track_caller]
    pub fn shared() -> &'static Self {
        static SHARED: OnceLock<RedisServer> = OnceLock::new();
        SHARED.get_or_init(|| {
            Self::start().unwrap_or_else(|error| panic!("the shared server did not start: {error}"))
        })
    }

    /// Sends one command with `redis-cli`; answers its reply as text, elements of arrays as lines.
    ///
    /// # Errors
    ///
    /// [`ServerError::Failed`] with what `redis-cli` printed, also when the server answers with an error.
    pub fn cli<S: AsRef<OsStr>>(&self, command: &[S]) -> Result<String, ServerError> {
        let mut program = Command::new(self.programs.join("redis-cli"));
        program.args(["-h", HOST, "-e", "-p", &self.port.to_string()]);
        if self.kind != Kind::Sentinel {
            program.env("REDISCLI_AUTH", PASSWORD);
        }
        if let Some(certificates) = &self.certificates {
            let [certificate, key] = certificates.files(Shown::Sound);
            // What the server shows may be wrong on purpose.
            program.args(["--tls", "--insecure"]);
            program.arg("--cert").arg(certificate).arg("--key").arg(key);
        }
        let output = program
            .args(command)
            .output()
            .map_err(ServerError::run("redis-cli"))?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim_end().to_owned();
        if output.status.success() {
            Ok(text(&output.stdout))
        } else {
            Err(ServerError::Failed {
                program: "redis-cli".to_owned(),
                output: text(&output.stdout) + &text(&output.stderr),
            })
        }
    }

    /// One field of `INFO`, empty when the server does not have it.
    ///
    /// # Errors
    ///
    /// As [`cli`](Self::cli).
    pub fn info(&self, field: &str) -> Result<String, ServerError> {
        let text = self.cli(&["INFO", "everything"])?;
        let value = text
            .lines()
            .find_map(|line| line.trim_end().strip_prefix(field)?.strip_prefix(':'));
        Ok(value.unwrap_or_default().to_owned())
    }

    /// Where drivers connect to, password included, and the authority of a server that speaks TLS.
    pub fn url(&self) -> String {
        let place = format!("://:{PASSWORD}@{HOST}:{}/0", self.port);
        url_of("redis", &place, self.certificates.as_ref())
    }

    /// The address that it listens at, without the port.
    pub fn host(&self) -> &'static str {
        HOST
    }

    /// The port that it listens at, the same for all its life.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The password of its default user.
    pub fn password(&self) -> &'static str {
        PASSWORD
    }

    /// The folder that goes with it.
    pub fn folder(&self) -> &Path {
        self.guardian.folder()
    }

    /// The folder of its data.
    pub fn data_folder(&self) -> PathBuf {
        self.guardian.folder().join("data")
    }

    /// The folder of `redis-cli`, `redis-benchmark` and the like, of the server's own version.
    pub fn program_folder(&self) -> &Path {
        &self.programs
    }

    /// Kills it at once. Does nothing if it is down. With `appendfsync everysec` it may lose the last two seconds, since a
    /// busy disk makes it wait with writing; with `always` it loses nothing.
    ///
    /// # Errors
    ///
    /// When it could not be signalled or outlived it by a minute.
    pub fn kill(&mut self) -> Result<(), ServerError> {
        self.end("KILL")
    }

    /// Shuts it down in order. Does nothing if it is down.
    ///
    /// # Errors
    ///
    /// When it could not be signalled or took more than a minute.
    pub fn stop(&mut self) -> Result<(), ServerError> {
        self.resume()?;
        self.end("TERM")
    }

    /// Starts it with its data and on its port after [`kill`](Self::kill) or [`stop`](Self::stop), and waits until it
    /// answers. Does nothing if it runs.
    ///
    /// # Errors
    ///
    /// [`ServerError::Failed`] with the end of its log.
    pub fn start_again(&mut self) -> Result<(), ServerError> {
        if self.process_id().is_some() {
            return Ok(());
        }
        // The whole path, so that a listing of processes tells servers apart.
        let mut arguments = vec![self.configuration().into_os_string()];
        if self.kind == Kind::Sentinel {
            arguments.push("--sentinel".into());
        }
        let program = self.programs.join("redis-server");
        self.process = Some(self.guardian.start(&program, &arguments)?);
        let ready = wait_until(|| {
            if self.process_id().is_none() {
                return Err(ServerError::Failed {
                    program: "redis-server".to_owned(),
                    output: self.guardian.log(),
                });
            }
            Ok(self.cli(&["PING"]).is_ok_and(|answer| answer == "PONG"))
        })?;
        self.in_time(ready, "starting the server")
    }

    /// Starts it on its port with nothing in it.
    ///
    /// # Errors
    ///
    /// As [`kill`](Self::kill) and [`start_again`](Self::start_again).
    pub fn start_empty(&mut self) -> Result<(), ServerError> {
        self.kill()?;
        self.remove_data()?;
        self.make_data_folder()?;
        self.start_again()
    }

    /// Copies its data as it is now.
    ///
    /// # Errors
    ///
    /// When the copy fails.
    pub fn dump(&mut self) -> Result<RedisDump, ServerError> {
        self.dumps += 1;
        let dump = self.guardian.folder().join(format!("dump-{}", self.dumps));
        copy(&self.data_folder(), &dump)?;
        Ok(RedisDump(dump))
    }

    /// Starts it on its port with data that it had before, or that another server had.
    ///
    /// # Errors
    ///
    /// As [`kill`](Self::kill) and [`start_again`](Self::start_again).
    pub fn start_with_dump(&mut self, dump: &RedisDump) -> Result<(), ServerError> {
        self.kill()?;
        self.remove_data()?;
        copy(&dump.0, &self.data_folder())?;
        self.start_again()
    }

    /// Stops it where it stands: connections stay open and nothing answers, until [`resume`](Self::resume).
    ///
    /// # Errors
    ///
    /// When it could not be signalled, or did not stop within a minute.
    pub fn pause(&mut self) -> Result<(), ServerError> {
        let Some(id) = self.process_id() else {
            return Ok(());
        };
        signal("STOP", &[id])?;
        let stopped = wait_until(|| {
            let all = processes()?;
            Ok(all.iter().any(|process| process.id == id && process.is_stopped()))
        })?;
        self.in_time(stopped, "stopping a process")
    }

    /// Lets it go on after [`pause`](Self::pause).
    ///
    /// # Errors
    ///
    /// When it could not be signalled.
    pub fn resume(&mut self) -> Result<(), ServerError> {
        match self.process_id() {
            Some(id) => signal("CONT", &[id]),
            None => Ok(()),
        }
    }

    pub(super) fn until(
        &self,
        what: &'static str,
        so: impl FnMut() -> Result<bool, ServerError>,
    ) -> Result<(), ServerError> {
        let so = wait_until(so)?;
        self.in_time(so, what)
    }

    fn configuration(&self) -> PathBuf {
        self.guardian.folder().join("redis.conf")
    }

    /// Writes the configuration, which a Sentinel adds what it learns to.
    fn configure(&self, bus: u16) -> Result<(), ServerError> {
        let bus = match self.kind {
            Kind::Member => format!("cluster-port {bus}\n"),
            Kind::Data | Kind::Sentinel => String::new(),
        };
        let port = match &self.certificates {
            Some(_) => format!("port 0\ntls-port {}\n", self.port),
            None => format!("port {}\n", self.port),
        };
        let text = format!("{}{port}{bus}", self.settings);
        let path = self.configuration();
        fs::write(&path, text).map_err(ServerError::file(&path))?;
        self.guardian.hand_over(&path)
    }

    fn make_data_folder(&self) -> Result<(), ServerError> {
        let folder = self.data_folder();
        fs::create_dir(&folder).map_err(ServerError::file(&folder))?;
        self.guardian.hand_over(&folder)
    }

    fn remove_data(&self) -> Result<(), ServerError> {
        let folder = self.data_folder();
        fs::remove_dir_all(&folder).map_err(ServerError::file(folder))
    }

    fn end(&mut self, name: &str) -> Result<(), ServerError> {
        let Some(id) = self.process_id() else {
            return Ok(());
        };
        signal(name, &[id])?;
        let ended = wait_until(|| Ok(self.process_id().is_none()))?;
        self.in_time(ended, "ending the server")?;
        self.process = None;
        self.guardian.forget()
    }

    /// Its process id, `None` when it has ended.
    fn process_id(&mut self) -> Option<u32> {
        let process = self.process.as_mut()?;
        matches!(process.try_wait(), Ok(None)).then(|| process.id())
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

impl Drop for RedisServer {
    fn drop(&mut self) {
        self.guardian.end();
        // Until it is waited for, a process that has ended looks to the guardian as if it ran.
        if let Some(mut process) = self.process.take() {
            let _ended = process.wait();
        }
    }
}

/// A URL of a scheme, or of the one by TLS with the authority.
pub(super) fn url_of(scheme: &str, rest: &str, certificates: Option<&Certificates>) -> String {
    match certificates {
        Some(certificates) => {
            let scheme = scheme.replacen("redis", "rediss", 1);
            format!("{scheme}{rest}?tls_ca={}", certificates.authority().display())
        }
        None => format!("{scheme}{rest}"),
    }
}

fn tls_settings(certificates: &Certificates, shown: Shown) -> [(&'static str, String); 6] {
    let [certificate, key] = certificates.files(shown).map(|path| path.display().to_string());
    [
        ("tls-cert-file", certificate),
        ("tls-key-file", key),
        ("tls-ca-cert-file", certificates.authority().display().to_string()),
        ("tls-auth-clients", "no".to_owned()),
        ("tls-replication", "yes".to_owned()),
        ("tls-cluster", "yes".to_owned()),
    ]
}

fn copy(from: &Path, to: &Path) -> Result<(), ServerError> {
    let output = Command::new("cp")
        .arg("-Rp")
        .args([from, to])
        .output()
        .map_err(ServerError::run("cp"))?;
    if output.status.success() {
        Ok(())
    } else {
        Err(ServerError::Failed {
            program: "cp".to_owned(),
            output: String::from_utf8_lossy(&output.stderr).into_owned(),
        })
    }
}

/// The folder that holds all of the programs. Not the one that links lead to: Debian's `redis-server` is a link to a
/// program of another name, which goes by the name that it is called by.
fn programs() -> Result<PathBuf, ServerError> {
    let searched = match env::var_os("SEQID_REDIS_BIN") {
        Some(folder) => vec![folder.into()],
        None => env::split_paths(&env::var_os("PATH").unwrap_or_default()).collect(),
    };
    let holds_all = |folder: &&PathBuf| {
        ["redis-server", "redis-cli"]
            .iter()
            .all(|name| folder.join(name).is_file())
    };
    match searched.iter().find(holds_all) {
        Some(folder) => fs::canonicalize(folder).map_err(ServerError::file(folder)),
        None => Err(ServerError::Missing {
            name: "Redis",
            programs: "redis-server and redis-cli",
            package: "redis-server",
            variable: "SEQID_REDIS_BIN",
            searched,
        }),
    }
}
