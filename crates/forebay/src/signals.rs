//! The signals that the process listens to: SIGINT and SIGTERM ask it to end, SIGHUP to read its configuration
//! again.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// All of them, which from now on do nothing but be heard here.
pub(crate) struct Signals {
    interrupt: Signal,
    terminate: Signal,
    hangup: Signal,
}

/// What a signal asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Request {
    /// To end.
    End,
    /// To go on with the configuration as it is now.
    Reload,
}

impl Signals {
    /// Begins to listen. Must be called within a Tokio runtime.
    ///
    /// # Errors
    /// When the system does not let the process handle signals.
    pub(crate) fn listen() -> io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    /// Waits for the next one.
    pub(crate) async fn next(&mut self) -> Request {
        tokio::select! {
            _ = self.interrupt.recv() => Request::End,
            _ = self.terminate.recv() => Request::End,
            _ = self.hangup.recv() => Request::Reload,
        }
    }

    /// Waits for the next one that asks the process to end.
    pub(crate) async fn end(&mut self) {
        while self.next().await != Request::End {}
    }
}
