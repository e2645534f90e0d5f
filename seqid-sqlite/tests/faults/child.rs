//! Faults that a test cannot do to its own process: the test binary is run again, for the one test.

use std::any::type_name;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use tempfile::TempDir;

const TEST: &str = "SEQID_FAULTS_TEST";
const FOLDER: &str = "SEQID_FAULTS_FOLDER";
/// The signal that `abort` ends a process with.
const SIGABRT: i32 = 6;

/// Runs `body` in a process that is then killed without a chance to tidy up: what `body` answers is still alive.
/// Answers the folder that it was given.
pub(crate) fn killed_after<T, F: FnOnce(&Path) -> T>(body: F) -> TempDir {
    let test = test_of::<F>();
    if let Some(folder) = folder_of(test) {
        let _alive = body(Path::new(&folder));
        std::process::abort();
    }
    let folder = tempfile::tempdir().unwrap();
    let ended = run(Command::new(this_program()), test, folder.path());
    assert_eq!(ended.status.signal(), Some(SIGABRT), "{}", said(&ended));
    folder
}

/// Runs `body` where it may mount file systems that nobody else sees: as root, or in a user namespace.
pub(crate) fn with_own_mounts<F: FnOnce(&Path)>(body: F) {
    let test = test_of::<F>();
    if let Some(folder) = folder_of(test) {
        return body(Path::new(&folder));
    }
    let options = ["-m", "-rm"].into_iter().find(|options| unshares(options)).expect(
        "`unshare` must be installed (util-linux), and either the user be root or user namespaces be allowed",
    );
    let mut command = Command::new("unshare");
    command.arg(options).arg(this_program());
    succeed(command, test);
}

/// Runs `body` where no file can grow beyond a megabyte or two: a write that would is an error.
pub(crate) fn with_small_files<F: FnOnce(&Path)>(body: F) {
    let test = test_of::<F>();
    if let Some(folder) = folder_of(test) {
        return body(Path::new(&folder));
    }
    let mut command = Command::new("sh");
    command
        .args(["-c", "trap '' XFSZ && ulimit -f 2048 && exec \"$0\" \"$@\""])
        .arg(this_program());
    succeed(command, test);
}

/// Runs a program of the system.
#[track_caller]
pub(crate) fn system(program: &str, arguments: &[&str]) {
    let ended = Command::new(program).args(arguments).output().unwrap();
    assert!(
        ended.status.success(),
        "{program} {arguments:?}: {}",
        said(&ended)
    );
}

fn unshares(options: &str) -> bool {
    let ended = Command::new("unshare")
        .args([options, "mount", "-t", "tmpfs", "none", "/tmp"])
        .stderr(Stdio::null())
        .status();
    ended.is_ok_and(|status| status.success())
}

/// The test that a closure stands in, as the test binary calls it.
fn test_of<F>() -> &'static str {
    let path = type_name::<F>().trim_end_matches("::{{closure}}");
    path.split_once("::").unwrap().1
}

/// The folder of this process if it is the child of a test.
fn folder_of(test: &str) -> Option<String> {
    std::env::var(TEST).ok().filter(|of| of == test)?;
    Some(std::env::var(FOLDER).unwrap())
}

fn this_program() -> std::path::PathBuf {
    std::env::current_exe().unwrap()
}

fn run(mut command: Command, test: &str, folder: &Path) -> Output {
    command
        .args(["--exact", test, "--nocapture"])
        .env(TEST, test)
        .env(FOLDER, folder)
        .output()
        .unwrap()
}

fn succeed(command: Command, test: &str) {
    let folder = tempfile::tempdir().unwrap();
    let ended = run(command, test, folder.path());
    assert!(ended.status.success(), "{}", said(&ended));
    let stdout = String::from_utf8_lossy(&ended.stdout);
    assert!(stdout.contains("1 passed"), "the test was not run: {stdout}");
}

fn said(ended: &Output) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    format!(
        "{}\n{}\n{}",
        ended.status,
        text(&ended.stdout),
        text(&ended.stderr)
    )
}
