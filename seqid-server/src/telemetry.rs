//! The log: structured, on stderr.

use std::io::{self, IsTerminal};

use tracing_subscriber::EnvFilter;

/// What a level may be, in words.
pub(crate) const LEVELS: &str =
    "error, warn, info, debug, trace or off, or a filter such as info,seqid_http=debug";

/// The form of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LogFormat {
    /// Lines for people.
    Text,
    /// One JSON object a line.
    Json,
}

impl LogFormat {
    /// The form of this name.
    pub(crate) fn from_name(name: &str) -> Option<Self> {
        match name {
            "text" => Some(Self::Text),
            "json" => Some(Self::Json),
            _ => None,
        }
    }
}

/// Takes a text that is a level or a filter. A bare word is taken for a level alone, since a filter would read
/// a misspelt level as the name of a module and log nothing.
pub(crate) fn level(text: &str) -> Option<String> {
    let is_level = |word: &str| {
        ["error", "warn", "info", "debug", "trace", "off"]
            .iter()
            .any(|level| word.eq_ignore_ascii_case(level))
    };
    let plain = text.split(',').all(|part| part.contains('=') || is_level(part));
    (plain && EnvFilter::try_new(text).is_ok()).then(|| text.to_owned())
}

/// Starts the log of this process, panics included.
pub(crate) fn start(level: &str, format: LogFormat) {
    let builder = tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::new(level))
        .with_writer(io::stderr)
        .with_ansi(io::stderr().is_terminal());
    match format {
        LogFormat::Text => builder.init(),
        LogFormat::Json => builder.json().flatten_event(true).init(),
    }
    std::panic::set_hook(Box::new(|panic| tracing::error!(%panic, "a task failed")));
}
