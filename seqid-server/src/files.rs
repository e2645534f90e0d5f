//! How many files may be open. Every connection is one, and systems let a program have 1,024 until it asks for more.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::connections::MOST;

/// As many as all connections are, and what the store and its threads have open besides.
const NEEDED: u64 = 2 * MOST as u64 + 1_024;

/// Asks for as many as are needed, or as many as the system lets this program have.
pub(crate) fn allow() {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let Some(has) = current.filter(|has| *has < NEEDED) else {
        return;
    };
    let files = maximum.map_or(NEEDED, |most| most.min(NEEDED)).max(has);
    let limit = Rlimit {
        current: Some(files),
        maximum,
    };
    match setrlimit(Resource::Nofile, limit) {
        Err(error) => tracing::warn!(%error, files = has, "the limit of open files cannot be raised"),
        Ok(()) if files < NEEDED => {
            tracing::info!(
                files,
                needed = NEEDED,
                "the limit of open files is below that of connections"
            );
        }
        Ok(()) => {}
    }
}
