use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use super::ServerError;

/// A process of this machine.
pub(super) struct Process {
    pub(super) id: u32,
    pub(super) parent: u32,
    state: char,
}

impl Process {
    pub(super) fn has_ended(&self) -> bool {
        self.state == 'Z'
    }

    pub(super) fn is_stopped(&self) -> bool {
        self.state == 'T'
    }
}

/// Every process of this machine.
pub(super) fn processes() -> Result<Vec<Process>, ServerError> {
    let output = Command::new("ps")
        .args(["-A", "-o", "pid=", "-o", "ppid=", "-o", "stat="])
        .output()
        .map_err(ServerError::run("ps"))?;
    Ok(String::from_utf8_lossy(&output.stdout)
        .lines()
        .filter_map(process)
        .collect())
}

fn process(line: &str) -> Option<Process> {
    let mut words = line.split_whitespace();
    Some(Process {
        id: words.next()?.parse().ok()?,
        parent: words.next()?.parse().ok()?,
        state: words.next()?.chars().next()?,
    })
}

/// Sends a signal, `KILL` say, to all of these that still run.
pub(super) fn signal(name: &str, processes: &[u32]) -> Result<(), ServerError> {
    let ids = processes.iter().map(u32::to_string);
    // The shell's own `kill`: the program is not installed everywhere. It complains of those that have ended.
    Command::new("sh")
        .args(["-c", r#"kill -s "$@" 2>/dev/null"#, "kill", name])
        .args(ids)
        .status()
        .map(|_some_had_ended| ())
        .map_err(ServerError::run("sh"))
}

/// Waits until it is so; false after a minute.
pub(super) fn wait_until(so: impl FnMut() -> Result<bool, ServerError>) -> Result<bool, ServerError> {
    wait_for(Duration::from_secs(60), so)
}

/// Waits until it is so; false after that long.
pub(super) fn wait_for(
    patience: Duration,
    mut so: impl FnMut() -> Result<bool, ServerError>,
) -> Result<bool, ServerError> {
    let started = Instant::now();
    while !so()? {
        if started.elapsed() > patience {
            return Ok(false);
        }
        thread::sleep(Duration::from_millis(10));
    }
    Ok(true)
}
