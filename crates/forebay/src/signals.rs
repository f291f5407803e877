//! SIGINT and SIGTERM, which both ask the process to end.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// Both signals, which from now on do nothing but be heard here.
pub(crate) struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    /// Begins to listen. Must be called within a Tokio runtime.
    ///
    /// # Errors
    /// When the system does not let the process handle signals.
    pub(crate) fn listen() -> io::Result<Self> {
        Ok(Self { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
    }

    /// Waits for the next one.
    pub(crate) async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}
