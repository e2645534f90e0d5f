//! Programs that tests run to their end, as a person would who knows nothing of this machine's settings.

use std::ffi::OsStr;
use std::process::{Command, Output, Stdio};

use serde_json::Value;

/// A program without the settings of this machine, that nobody types into.
#[must_use]
pub fn program(path: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(path);
    command
        .env_clear()
        .envs(std::env::vars_os().filter(|(name, _)| is_of_the_machine(name)))
        .stdin(Stdio::null());
    command
}

fn is_of_the_machine(variable: &OsStr) -> bool {
    ["PATH", "HOME", "LD_LIBRARY_PATH", "LLVM_PROFILE_FILE"]
        .iter()
        .any(|kept| variable == *kept)
}

/// Runs a command to its end.
///
/// # Panics
/// When it cannot be run, panics itself, or prints what is not text.
#[track_caller]
pub fn run(command: &mut Command) -> Ended {
    let Output {
        status,
        stdout,
        stderr,
    } = command.output().expect("the program runs");
    let ended = Ended {
        code: status.code(),
        stdout: String::from_utf8(stdout).expect("it prints text"),
        stderr: String::from_utf8(stderr).expect("it prints text"),
    };
    assert!(!ended.stderr.contains("panicked"), "{ended:?}");
    ended
}

/// How a program ended, and what it printed.
#[derive(Debug)]
pub struct Ended {
    /// The exit code; `None` when a signal ended it.
    pub code: Option<i32>,
    /// What it printed.
    pub stdout: String,
    /// What it said on standard error.
    pub stderr: String,
}

impl Ended {
    /// It ended with this code, printed nothing, and told these words.
    ///
    /// # Panics
    /// When it did not.
    #[track_caller]
    pub fn told(&self, code: i32, words: &[&str]) {
        assert_eq!((self.code, self.stdout.as_str()), (Some(code), ""), "{self:?}");
        self.says(words);
    }

    /// It failed with a message for people that has these words.
    ///
    /// # Panics
    /// When it did not.
    #[track_caller]
    pub fn refused(&self, words: &[&str]) {
        assert_eq!(self.code, Some(1), "{self:?}");
        self.says(words);
    }

    /// Its message has these words, and nothing of its insides.
    #[track_caller]
    fn says(&self, words: &[&str]) {
        for word in words {
            assert!(self.stderr.contains(word), "{word:?} is not in {}", self.stderr);
        }
        for word in ["backtrace", "stack"] {
            assert!(!self.stderr.contains(word), "{}", self.stderr);
        }
    }

    /// The document that was told on standard error.
    ///
    /// # Panics
    /// When it is not one JSON document of one line.
    #[must_use]
    #[track_caller]
    pub fn problem(&self) -> Value {
        assert_eq!(self.stderr.lines().count(), 1, "{self:?}");
        serde_json::from_str(&self.stderr).expect("it is JSON")
    }
}
