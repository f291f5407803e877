//! The Collector's TLS settings (`configtls`) as rustls configurations.
//!
//! [`ServerTls`] and [`ClientTls`] read the `tls:` mapping of a receiver, an exporter or an extension.
//! Certificates and keys are read and parsed while the configuration is read, so that `validate` says
//! which file is missing or broken, at its key, and what starts is what was validated.
//!
//! Every configuration names *ring* as its cryptography: nothing depends on which provider happens to
//! be the process's default. rustls has neither TLS 1.0 and 1.1 nor suites without forward secrecy,
//! hence a configuration that asks for these is refused rather than silently made stronger.
//!
//! With `reload_interval` the certificate and key files are read again, at most that often, by the
//! handshake that finds them due. A renewed pair serves from then on; a broken one is logged and
//! the last good one stays.

mod client;
mod identity;
mod options;
mod pem;
mod reload;
mod server;
#[cfg(test)]
mod tests;
mod verify;

pub use client::ClientTls;
pub use server::ServerTls;

use std::io;
use std::path::PathBuf;

use rustls::server::VerifierBuilderError;
use thiserror::Error;

/// Why certificates or a configuration cannot be used.
#[derive(Debug, Error)]
pub enum TlsError {
    /// A file cannot be read.
    #[error("cannot read `{}`: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// What was read is not what was expected there.
    #[error("{origin} {problem}")]
    Content {
        /// The file, or that the text stands in the configuration.
        origin: String,
        /// What is wrong with it.
        problem: String,
    },
    /// The set of CA certificates cannot verify clients.
    #[error("the client CA cannot be used: {0}")]
    ClientCa(#[from] VerifierBuilderError),
    /// rustls refuses the combination of settings.
    #[error("unusable TLS settings: {0}")]
    Settings(#[from] rustls::Error),
}
