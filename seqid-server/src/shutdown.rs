//! How the service is told to stop: once to finish what it does, twice to stop at once.

use std::io;
use std::process::ExitCode;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

/// SIGINT and SIGTERM.
#[derive(Debug)]
pub(crate) struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

/// A signal that asks for the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Asked {
    /// Ctrl-C.
    Interrupt,
    /// A service manager.
    Terminate,
}

impl Asked {
    /// The exit code of a process that such a signal ended, as shells have it.
    pub(crate) fn exit_code(self) -> ExitCode {
        ExitCode::from(match self {
            Self::Interrupt => 130,
            Self::Terminate => 143,
        })
    }
}

impl Signals {
    /// Takes both signals over from their default, which is to end the process. Must be called in a runtime.
    pub(crate) fn listen() -> io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    async fn next(&mut self) -> Asked {
        tokio::select! {
            _ = self.interrupt.recv() => Asked::Interrupt,
            _ = self.terminate.recv() => Asked::Terminate,
        }
    }

    /// Tells `stop` of the first signal, and returns with the second.
    pub(crate) async fn second(mut self, stop: &watch::Sender<bool>) -> Asked {
        let first = self.next().await;
        tracing::info!(signal = ?first, "stopping: requests in flight are finished; a second signal stops at once");
        stop.send_replace(true);
        let second = self.next().await;
        tracing::warn!(signal = ?second, "stopping at once");
        second
    }
}

/// Waits until the stop is asked for.
pub(crate) async fn stopped(stop: &mut watch::Receiver<bool>) {
    // An error means that whoever could ask is gone, which is a stop as well.
    let _asked = stop.wait_for(|stop| *stop).await;
}
