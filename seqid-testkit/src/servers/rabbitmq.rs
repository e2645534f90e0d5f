use std::env;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::ServerError;
use super::certificates::{Certificates, Shown};
use super::guardian::Guardian;
use super::ports::{HOST, free_port, is_free};
use super::processes::{signal, wait_for};

const USER: &str = "guest";
const PASSWORD: &str = "guest";
/// What nodes and their tools show each other. They are private by their folder and their address.
const COOKIE: &str = "seqid-testkit";

/// A node takes a quarter of a minute of two cores to start, and far longer where others need them too.
const PATIENCE: Duration = Duration::from_secs(300);

/// What each node is set to.
const SETTINGS: [(&str, &str); 4] = [
    ("log.console", "true"),
    ("log.console.level", "warning"),
    ("log.file", "false"),
    ("disk_free_limit.absolute", "50MB"),
];

/// Runs a name server of its own beside the node, and is the parent of both: whichever way the node ends, nothing of the
/// process group is left. A name server that Erlang starts by itself would leave the group and stay. SIGUSR1 kills the node
/// where it stands, SIGTERM stops it in order. SIGQUIT, which the guardian sends, kills it too, but not where a shell started the
/// tests in its background: there it is ignored.
const NODE: &str = r#"
epmd -port "$ERL_EPMD_PORT" -address "$ERL_EPMD_ADDRESS" & names=$!
until epmd -port "$ERL_EPMD_PORT" -names >/dev/null 2>&1; do
    kill -s 0 "$names" || exit 1
    sleep 0.05
done
"$1" & node=$!
trap 'kill -s KILL "$node"' QUIT USR1
trap 'kill -s TERM "$node"' TERM
while kill -s 0 "$node" 2>/dev/null; do wait "$node"; done
kill -s KILL "$names"
wait
"#;

/// A private RabbitMQ node in a temporary folder, reached at 127.0.0.1. It ends and its folder is removed when it is
/// dropped, and also when the process of the test ends, whichever way.
///
/// What disturbs a node needs it mutable: the [shared](Self::shared) one is never disturbed, and tests on it keep to
/// [virtual hosts](Self::virtual_host) of their own. The exception is what [`ctl`](Self::ctl) is told.
#[derive(Debug)]
pub struct RabbitMqServer {
    guardian: Guardian,
    /// The folder of `rabbitmq-server` and `rabbitmqctl`.
    programs: PathBuf,
    /// `None` after [`kill`](Self::kill) and [`stop`](Self::stop).
    process: Option<Child>,
    port: u16,
    /// The port of the name server, and the one at which tools reach the node.
    names_port: u16,
    tools_port: u16,
    settings: String,
    /// What it speaks TLS with, and nothing else then.
    certificates: Option<Certificates>,
    /// What it offers, if not everything.
    features: Option<&'static str>,
}

/// A name space of its own for one test: exchanges, queues and connections of others are not in it.
#[derive(Debug, Clone)]
pub struct VirtualHost {
    name: String,
    url: String,
}

impl VirtualHost {
    /// Its name, which no other of this process has.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Where drivers connect to, password included.
    pub fn url(&self) -> &str {
        &self.url
    }
}

impl RabbitMqServer {
    /// A new node with nothing in it.
    ///
    /// The programs are taken from the folder `SEQID_RABBITMQ_BIN`, and only from there if that is set; else from where
    /// Debian puts them, else from a folder of `PATH`. As root it runs as another user, as all servers do here.
    ///
    /// # Errors
    ///
    /// [`ServerError::Missing`] if it is not installed; else what went wrong, with the end of the node's log.
    pub fn start() -> Result<Self, ServerError> {
        Self::start_with(&[])
    }

    /// A new node with lines of `rabbitmq.conf` of its own: `&[("heartbeat", "5")]`. They count over the usual ones.
    ///
    /// # Errors
    ///
    /// As [`start`](Self::start).
    pub fn start_with(settings: &[(&str, &str)]) -> Result<Self, ServerError> {
        Self::launch(settings, None, None)
    }

    /// A new node without quorum queues, as one was before RabbitMQ 3.8. From 3.12 on a node has them all the same.
    ///
    /// # Errors
    ///
    /// As [`start`](Self::start).
    pub fn start_without_quorum_queues() -> Result<Self, ServerError> {
        Self::launch(&[], None, Some("virtual_host_metadata"))
    }

    /// A new node as by [`start_with`](Self::start_with) that speaks TLS alone. It asks for no certificate unless the settings say
    /// `ssl_options.verify` is `verify_peer`.
    ///
    /// # Errors
    ///
    /// As [`start`](Self::start).
    pub fn start_tls(
        certificates: &Certificates,
        shown: Shown,
        settings: &[(&str, &str)],
    ) -> Result<Self, ServerError> {
        let files = certificates.files(shown);
        let [certificate, key] = files.map(|file| file.display().to_string());
        let authority = certificates.authority().display().to_string();
        let tls = [
            ("ssl_options.cacertfile", authority.as_str()),
            ("ssl_options.certfile", &certificate),
            ("ssl_options.keyfile", &key),
        ];
        Self::launch(&[&tls, settings].concat(), Some(certificates), None)
    }

    fn launch(
        settings: &[(&str, &str)],
        certificates: Option<&Certificates>,
        features: Option<&'static str>,
    ) -> Result<Self, ServerError> {
        let settings = SETTINGS.iter().chain(settings);
        let mut server = Self {
            guardian: Guardian::new()?,
            programs: programs()?,
            process: None,
            port: 0,
            names_port: 0,
            tools_port: 0,
            settings: settings
                .map(|(name, value)| format!("{name} = {value}\n"))
                .collect(),
            certificates: certificates.cloned(),
            features,
        };
        loop {
            server.port = free_port()?;
            server.names_port = free_port()?;
            server.tools_port = free_port()?;
            server.configure()?;
            match server.start_again() {
                // Somebody else took one between the look and the start.
                Err(ServerError::Failed { .. }) if !server.has_its_ports() => {}
                ended => return ended.map(|()| server),
            }
        }
    }

    /// The one node of a whole test program, started by whoever asks first.
    ///
    /// # Panics
    ///
    /// When it cannot be started: a test that needs a server is never skipped.
    #[track_caller]
    pub fn shared() -> &'static Self {
        static SHARED: OnceLock<RabbitMqServer> = OnceLock::new();
        SHARED.get_or_init(|| {
            Self::start().unwrap_or_else(|error| panic!("the shared server did not start: {error}"))
        })
    }

    /// A new and empty name space.
    ///
    /// # Errors
    ///
    /// As [`ctl`](Self::ctl).
    pub fn virtual_host(&self) -> Result<VirtualHost, ServerError> {
        static CREATED: AtomicU64 = AtomicU64::new(0);
        let name = format!("test_{}", CREATED.fetch_add(1, Ordering::Relaxed) + 1);
        // In one call: each starts a virtual machine of its own.
        let create = format!(
            "rabbit_vhost:add(<<\"{name}\">>, <<\"test\">>), rabbit_auth_backend_internal:set_permissions(<<\"{USER}\">>, \
             <<\"{name}\">>, <<\".*\">>, <<\".*\">>, <<\".*\">>, <<\"test\">>)."
        );
        self.ctl(&["eval", &create])?;
        let url = self.url_of(&name);
        Ok(VirtualHost { name, url })
    }

    /// Runs `rabbitmqctl`; answers what it printed, tables with a first line that names their columns.
    ///
    /// # Errors
    ///
    /// [`ServerError::Failed`] with what it printed, or when the node is down.
    pub fn ctl<S: AsRef<OsStr>>(&self, arguments: &[S]) -> Result<String, ServerError> {
        // With the node its name server is gone, and the tool would start another, which stays.
        if TcpStream::connect((HOST, self.port)).is_err() {
            return Err(ServerError::Failed {
                program: "rabbitmqctl".to_owned(),
                output: "the node is down".to_owned(),
            });
        }
        let output = Command::new(self.programs.join("rabbitmqctl"))
            .args(["--quiet", "--erlang-cookie", COOKIE])
            .args(arguments)
            .current_dir(self.guardian.folder())
            .envs(self.environment())
            .output()
            .map_err(ServerError::run("rabbitmqctl"))?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim_end().to_owned();
        if output.status.success() {
            Ok(text(&output.stdout))
        } else {
            Err(ServerError::Failed {
                program: "rabbitmqctl".to_owned(),
                output: text(&output.stdout) + &text(&output.stderr),
            })
        }
    }

    /// Where drivers connect to for the virtual host `/`, password included, and the authority of a node that speaks TLS.
    pub fn url(&self) -> String {
        self.url_of("%2f")
    }

    /// The address that it listens at, without the port.
    pub fn host(&self) -> &'static str {
        HOST
    }

    /// The port that it listens at, the same for all its life.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The folder that goes with it.
    pub fn folder(&self) -> &Path {
        self.guardian.folder()
    }

    /// Kills it at once. Does nothing if it is down.
    ///
    /// # Errors
    ///
    /// When it could not be signalled or outlived it by five minutes.
    pub fn kill(&mut self) -> Result<(), ServerError> {
        self.end("USR1")
    }

    /// Shuts it down in order. Does nothing if it is down.
    ///
    /// # Errors
    ///
    /// When it could not be signalled or took more than five minutes.
    pub fn stop(&mut self) -> Result<(), ServerError> {
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
        let mut arguments: Vec<OsString> = self
            .environment()
            .into_iter()
            .map(|(name, value)| OsString::from(format!("{name}={value}")))
            .collect();
        arguments.extend(["sh", "-c", NODE, "node"].map(OsString::from));
        arguments.push(self.programs.join("rabbitmq-server").into());
        self.process = Some(self.guardian.start(Path::new("env"), &arguments)?);
        let ready = wait_for(PATIENCE, || {
            if self.process_id().is_none() {
                return Err(ServerError::Failed {
                    program: "rabbitmq-server".to_owned(),
                    output: self.complaint(),
                });
            }
            // The last thing that a node does when it starts is to listen.
            Ok(TcpStream::connect((HOST, self.port)).is_ok())
        })?;
        self.in_time(ready, "starting the server")
    }

    fn url_of(&self, host: &str) -> String {
        let rest = format!("{USER}:{PASSWORD}@{HOST}:{}/{host}", self.port);
        match &self.certificates {
            None => format!("amqp://{rest}"),
            Some(certificates) => {
                let authority = certificates.authority();
                format!("amqps://{rest}?cacertfile={}", authority.display())
            }
        }
    }

    fn environment(&self) -> Vec<(&'static str, String)> {
        let folder = self.guardian.folder();
        let inside = |name: &str| folder.join(name).to_string_lossy().into_owned();
        let features = self
            .features
            .map(|features| ("RABBITMQ_FEATURE_FLAGS", features.to_owned()));
        let mut environment = vec![
            ("HOME", folder.to_string_lossy().into_owned()),
            ("ERL_EPMD_PORT", self.names_port.to_string()),
            ("ERL_EPMD_ADDRESS", HOST.to_owned()),
            ("RABBITMQ_NODENAME", format!("seqid-{}@localhost", self.port)),
            ("RABBITMQ_DIST_PORT", self.tools_port.to_string()),
            ("RABBITMQ_MNESIA_BASE", inside("data")),
            ("RABBITMQ_LOG_BASE", inside("logs")),
            ("RABBITMQ_CONFIG_FILE", inside("rabbitmq.conf")),
            ("RABBITMQ_ADVANCED_CONFIG_FILE", inside("advanced.config")),
            ("RABBITMQ_ENABLED_PLUGINS_FILE", inside("enabled_plugins")),
            ("RABBITMQ_CONF_ENV_FILE", inside("rabbitmq-env.conf")),
            // Threads that spin while they wait take the cores from what is tested.
            (
                "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS",
                "+sbwt none +sbwtdcpu none +sbwtdio none".to_owned(),
            ),
            // As under a service manager: the node is the process that was started, and no shell stands between.
            ("NOTIFY_SOCKET", inside("nobody-listens")),
        ];
        environment.extend(features);
        environment
    }

    /// Writes the configuration.
    fn configure(&self) -> Result<(), ServerError> {
        let listener = match self.certificates {
            None => format!("listeners.tcp.default = {HOST}:{}\n", self.port),
            Some(_) => format!(
                "listeners.tcp = none\nlisteners.ssl.default = {HOST}:{}\n",
                self.port
            ),
        };
        for (name, text) in [
            ("rabbitmq.conf", self.settings.clone() + &listener),
            ("enabled_plugins", "[].\n".to_owned()),
        ] {
            let path = self.guardian.folder().join(name);
            fs::write(&path, text).map_err(ServerError::file(&path))?;
            self.guardian.hand_over(&path)?;
        }
        let path = self.guardian.folder().join(".erlang.cookie");
        if !path.exists() {
            fs::write(&path, COOKIE).map_err(ServerError::file(&path))?;
            // Erlang refuses one that others may read.
            fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o400))
                .map_err(ServerError::file(&path))?;
            self.guardian.hand_over(&path)?;
        }
        Ok(())
    }

    /// What is wrong stands first in the log, and a long account of what ended because of it follows.
    fn complaint(&self) -> String {
        let log = fs::read(self.guardian.folder().join("log")).unwrap_or_default();
        let log = String::from_utf8_lossy(&log);
        let errors: Vec<&str> = log
            .lines()
            .filter(|line| line.contains("[error]"))
            .take(10)
            .collect();
        if errors.is_empty() {
            self.guardian.log()
        } else {
            errors.join("\n")
        }
    }

    fn has_its_ports(&self) -> bool {
        [self.port, self.names_port, self.tools_port]
            .into_iter()
            .all(is_free)
    }

    fn end(&mut self, name: &str) -> Result<(), ServerError> {
        let Some(id) = self.process_id() else {
            return Ok(());
        };
        signal(name, &[id])?;
        let ended = wait_for(PATIENCE, || Ok(self.process_id().is_none()))?;
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

impl Drop for RabbitMqServer {
    fn drop(&mut self) {
        self.guardian.end();
        // Until it is waited for, a process that has ended looks to the guardian as if it ran.
        if let Some(mut process) = self.process.take() {
            let _ended = process.wait();
        }
    }
}

/// The folder that holds all of the programs. Those of `/usr/sbin` switch to the account of the machine's own node, or
/// refuse; the ones that they call come first.
fn programs() -> Result<PathBuf, ServerError> {
    let searched = match env::var_os("SEQID_RABBITMQ_BIN") {
        Some(folder) => vec![folder.into()],
        None => {
            let path = env::var_os("PATH").unwrap_or_default();
            let debian = PathBuf::from("/usr/lib/rabbitmq/bin");
            [debian].into_iter().chain(env::split_paths(&path)).collect()
        }
    };
    let holds_all = |folder: &&PathBuf| {
        ["rabbitmq-server", "rabbitmqctl"]
            .iter()
            .all(|name| folder.join(name).is_file())
    };
    match searched.iter().find(holds_all) {
        Some(folder) => Ok(folder.clone()),
        None => Err(ServerError::Missing {
            name: "RabbitMQ",
            programs: "rabbitmq-server and rabbitmqctl",
            package: "rabbitmq-server",
            variable: "SEQID_RABBITMQ_BIN",
            searched,
        }),
    }
}
