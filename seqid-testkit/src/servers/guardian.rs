use std::env;
use std::ffi::OsStr;
use std::fs::{self, OpenOptions};
use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};

use super::ServerError;

/// Makes the folder, then reads who runs in it, one process group a line and an empty line for nobody. The end of the
/// file is the end of the test: by then it is the only one left to clean up. Shared memory outlives a server that was
/// killed; its id is in the seventh line of the file that the server leaves behind.
const GUARD: &str = r#"
trap '' HUP INT TERM PIPE
folder=$(mktemp -d "$1/seqid-server-XXXXXXXX") || exit
echo "$folder"
group=
while read -r line; do group=$line; done
if [ -n "$group" ]; then
    pkill -CONT -P "$group"
    kill -s CONT -- "-$group"
    kill -s QUIT -- "-$group"
    turns=0
    while kill -s 0 -- "-$group" && [ "$turns" -lt 200 ]; do
        turns=$((turns + 1))
        sleep 0.05
    done
    kill -s KILL -- "-$group"
fi
if [ -f "$folder/data/postmaster.pid" ]; then
    ipcrm -m "$(sed -n '7s/.* //p' "$folder/data/postmaster.pid")"
fi
rm -rf "$folder" || { sleep 1; rm -rf "$folder"; }
"#;

/// Waits for a line, and becomes the program: what was not reported to the guardian never runs.
const GATE: &str = r#"read -r go && exec "$@""#;

/// A process that outlives the test's by a moment: it holds the reading end of a pipe that only the test's process
/// writes to, so it notices when that ends, ends what runs in its folder at once, and removes the folder.
#[derive(Debug)]
pub(super) struct Guardian {
    process: Child,
    /// `None` once the guardian was told to end.
    pipe: Option<ChildStdin>,
    folder: PathBuf,
    account: Option<Account>,
}

impl Guardian {
    /// A guardian with a new, empty folder.
    pub(super) fn new() -> Result<Self, ServerError> {
        let account = Account::other_than_root()?;
        // A group of its own: a terminal's Ctrl-C, or who ends the group of a test, does not reach it.
        let mut process = Command::new("sh")
            .args(["-c", GUARD, "guardian"])
            .arg(env::temp_dir())
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .map_err(ServerError::run("sh"))?;
        let pipe = process.stdin.take();
        let mut folder = String::new();
        if let Some(answer) = process.stdout.take() {
            BufReader::new(answer)
                .read_line(&mut folder)
                .map_err(ServerError::run("sh"))?;
        }
        let guardian = Self {
            process,
            pipe,
            folder: PathBuf::from(folder.trim_end()),
            account,
        };
        if guardian.folder.as_os_str().is_empty() {
            let output = format!("no folder could be made in {}", env::temp_dir().display());
            return Err(ServerError::Failed {
                program: "mktemp".to_owned(),
                output,
            });
        }
        guardian.hand_over(&guardian.folder)?;
        Ok(guardian)
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Gives a file to the account that the programs run as.
    pub(super) fn hand_over(&self, path: &Path) -> Result<(), ServerError> {
        match self.account {
            Some(Account { user, group }) => {
                chown(path, Some(user), Some(group)).map_err(ServerError::file(path))
            }
            None => Ok(()),
        }
    }

    /// Starts a program in the folder, in a process group of its own; what it prints is added to [`log`](Self::log).
    pub(super) fn start<S: AsRef<OsStr>>(
        &mut self,
        program: &Path,
        arguments: &[S],
    ) -> Result<Child, ServerError> {
        let name = program.display().to_string();
        let log = self.log_file();
        let output = OpenOptions::new()
            .create(true)
            .append(true)
            .open(&log)
            .map_err(ServerError::file(&log))?;
        let mut command = Command::new("sh");
        command
            .args(["-c", GATE, "gate"])
            .arg(program)
            .args(arguments)
            .current_dir(&self.folder);
        if let Some(Account { user, group }) = self.account {
            command.uid(user).gid(group);
        }
        let mut process = command
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(output.try_clone().map_err(ServerError::file(&log))?)
            .stderr(output)
            .spawn()
            .map_err(ServerError::run(&name))?;
        self.report(&process.id().to_string())
            .map_err(ServerError::run("sh"))?;
        if let Some(mut gate) = process.stdin.take() {
            gate.write_all(b"\n").map_err(ServerError::run(&name))?;
        }
        Ok(process)
    }

    /// Runs a program to its end.
    pub(super) fn run<S: AsRef<OsStr>>(
        &mut self,
        program: &Path,
        arguments: &[S],
    ) -> Result<(), ServerError> {
        let name = program.display().to_string();
        let mut process = self.start(program, arguments)?;
        let status = process.wait().map_err(ServerError::run(&name))?;
        self.forget()?;
        if status.success() {
            Ok(())
        } else {
            Err(ServerError::Failed {
                program: name,
                output: self.log(),
            })
        }
    }

    /// What was started has ended, and its process id may be given to another.
    pub(super) fn forget(&mut self) -> Result<(), ServerError> {
        self.report("").map_err(ServerError::run("sh"))
    }

    fn report(&mut self, line: &str) -> io::Result<()> {
        match &mut self.pipe {
            Some(pipe) => writeln!(pipe, "{line}"),
            None => Err(io::ErrorKind::BrokenPipe.into()),
        }
    }

    /// The last lines of what the programs printed.
    pub(super) fn log(&self) -> String {
        let bytes = fs::read(self.log_file()).unwrap_or_default();
        let text = String::from_utf8_lossy(&bytes);
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(20)..].join("\n")
    }

    fn log_file(&self) -> PathBuf {
        self.folder.join("log")
    }

    /// Ends what runs, and removes the folder once the caller has waited for it and dropped the guardian.
    pub(super) fn end(&mut self) {
        self.pipe = None;
    }
}

impl Drop for Guardian {
    fn drop(&mut self) {
        self.end();
        let _ended = self.process.wait();
    }
}

/// Whom servers run as when the tests run as root.
#[derive(Debug, Clone, Copy)]
struct Account {
    user: u32,
    group: u32,
}

impl Account {
    /// `None` when the tests do not run as root: then servers run as who runs the tests.
    fn other_than_root() -> Result<Option<Self>, ServerError> {
        if id(&["-u"])? != Some(0) {
            return Ok(None);
        }
        for name in ["postgres", "nobody"] {
            if let (Some(user), Some(group)) = (id(&["-u", name])?, id(&["-g", name])?) {
                return Ok(Some(Self { user, group }));
            }
        }
        Err(ServerError::NoAccount)
    }
}

fn id(arguments: &[&str]) -> Result<Option<u32>, ServerError> {
    let output = Command::new("id")
        .args(arguments)
        .output()
        .map_err(ServerError::run("id"))?;
    Ok(String::from_utf8_lossy(&output.stdout).trim().parse().ok())
}
