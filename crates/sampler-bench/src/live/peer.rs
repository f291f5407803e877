//! Peers as commands: any program that takes OTLP over gRPC at one address and sends what it keeps to another.
//!
//! `collector=otelcol --config rules.yaml --set receivers.otlp.protocols.grpc.endpoint={listen} …`: a name, and a
//! command of which `{listen}`, `{store}` and each `{free}` become addresses. It runs without a shell, so that the
//! process that is measured is the peer's; `env A={listen} …` gives addresses to a program that wants them in its
//! environment.

use std::ffi::OsString;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;

use thiserror::Error;

use super::process::free_addresses;

/// A program that samples in a way of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// What it is called in reports.
    pub name: String,
    program: String,
    arguments: Vec<String>,
}

/// A text is no peer.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("`{text}` is no peer: {why}; expected `NAME=COMMAND … {{listen}} … {{store}}`")]
pub struct PeerError {
    text: String,
    why: &'static str,
}

const LISTEN: &str = "{listen}";
const STORE: &str = "{store}";
const FREE: &str = "{free}";

impl FromStr for Peer {
    type Err = PeerError;

    fn from_str(text: &str) -> Result<Self, PeerError> {
        let error = |why| PeerError { text: text.to_owned(), why };
        let (name, command) = text.split_once('=').ok_or(error("it has no name"))?;
        let mut words = shlex::split(command).ok_or(error("a quotation does not end"))?.into_iter();
        let program = words.next().ok_or(error("it has no command"))?;
        let arguments: Vec<_> = words.collect();
        let says = |address| arguments.iter().any(|word| word.contains(address));
        if !says(LISTEN) {
            return Err(error("its command does not say where to listen"));
        }
        if !says(STORE) {
            return Err(error("its command does not say where to send"));
        }
        Ok(Self { name: name.to_owned(), program, arguments })
    }
}

impl Peer {
    /// What to run, so that it listens and sends there.
    ///
    /// # Errors
    /// If no more addresses are free.
    pub(super) fn command(
        &self,
        listen: SocketAddr,
        store: SocketAddr,
    ) -> io::Result<(PathBuf, Vec<OsString>)> {
        let filled = self.arguments.iter().map(|word| {
            let mut word = word.replace(LISTEN, &listen.to_string()).replace(STORE, &store.to_string());
            while word.contains(FREE) {
                let [free] = free_addresses()?;
                word = word.replacen(FREE, &free.to_string(), 1);
            }
            Ok(word.into())
        });
        Ok((self.program.clone().into(), filled.collect::<io::Result<_>>()?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(port: u16) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], port))
    }

    #[test]
    fn a_command_gets_its_addresses() {
        let peer: Peer =
            "a=env X='two words' b --in={listen} --out=http://{store} {free} {free}".parse().unwrap();
        assert_eq!(peer.name, "a");
        let (program, arguments) = peer.command(address(1), address(2)).unwrap();
        assert_eq!(program, PathBuf::from("env"));
        assert_eq!(arguments[..4], ["X=two words", "b", "--in=127.0.0.1:1", "--out=http://127.0.0.1:2"]);
        let free: Vec<SocketAddr> =
            arguments[4..].iter().map(|word| word.to_str().unwrap().parse().unwrap()).collect();
        assert!(free.len() == 2 && free.iter().all(|free| free.port() != 0));
    }

    #[test]
    fn what_is_none_is_told_why() {
        for (text, why) in [
            ("a", "no name"),
            ("a=", "no command"),
            ("a=b 'c {listen} {store}", "quotation"),
            ("a=b {store}", "where to listen"),
            ("a=b {listen}", "where to send"),
        ] {
            let error = text.parse::<Peer>().unwrap_err().to_string();
            assert!(error.contains(why) && error.contains(text), "{error}");
        }
    }
}
