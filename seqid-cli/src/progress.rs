//! How far long work has come, on a terminal alone.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

/// How often a line that says nothing new is drawn again.
const TICK: Duration = Duration::from_millis(200);

/// A line on standard error, which is hidden unless that is a terminal, and gone when it is dropped.
pub(crate) struct Progress(ProgressBar);

impl Progress {
    /// Of work whose end is known.
    pub(crate) fn new(what: &'static str) -> Self {
        let bar = ProgressBar::new(0).with_prefix(what);
        if let Ok(style) = ProgressStyle::with_template("{prefix} {bar:30} {percent} % {msg} {eta}") {
            bar.set_style(style);
        }
        bar.enable_steady_tick(TICK);
        Self(bar)
    }

    pub(crate) fn show(&self, done: u64, all: u64) {
        self.0.set_length(all);
        self.0.set_position(done.min(all));
    }

    pub(crate) fn say(&self, message: String) {
        self.0.set_message(message);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
