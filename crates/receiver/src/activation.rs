//! Sockets that a service manager listens on before the process runs, and hands to it: systemd's `LISTEN_FDS`.
//!
//! Clients then do not find the door closed. While the process starts, is restarted or replaced by a newer one,
//! connections wait in the socket. It also lets a process without privileges have a port below 1024.
//!
//! Nothing in a configuration says which endpoint such a socket is for. An endpoint that it has the address of could
//! not be bound in any case, so the endpoint is the socket; whether it is for `127.0.0.1` or for all addresses is
//! then for the service manager to say. The sockets are kept as long as the process lives, since a configuration
//! that is read again needs them again.

use std::io;
use std::net::TcpListener;
use std::os::unix::net::UnixListener;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use listenfd::ListenFd;

use crate::endpoint::Endpoint;

/// Those of this process, once it has taken them.
static INHERITED: OnceLock<Inherited> = OnceLock::new();

/// The sockets of a service manager.
#[derive(Debug)]
struct Inherited(Vec<Inheritance>);

/// One of them.
#[derive(Debug)]
struct Inheritance {
    endpoint: Endpoint,
    socket: Socket,
    used: AtomicBool,
}

/// A socket that listens. Those that share it share its queue of connections too.
#[derive(Debug)]
pub(crate) enum Socket {
    Tcp(TcpListener),
    Unix(UnixListener),
}

/// Takes the sockets that a service manager has handed to the process, for endpoints that are bound later. It changes
/// the environment, so it has to be called before the process has threads; further calls do nothing.
///
/// # Errors
/// When one of them is neither a TCP socket nor a Unix stream socket with a path.
pub fn inherit_sockets() -> io::Result<()> {
    let mut handed = ListenFd::from_env();
    let sockets = (0..handed.len()).map(|index| Inheritance::take(&mut handed, index));
    let inherited = Inherited(sockets.collect::<io::Result<_>>()?);
    INHERITED.get_or_init(|| inherited);
    Ok(())
}

/// The sockets that nothing listens on so far: who connects to one of them waits for ever.
#[must_use]
pub fn unused_sockets() -> Vec<Endpoint> {
    INHERITED.get().map(Inherited::unused).unwrap_or_default()
}

/// The socket that has the address of `endpoint`, if there is one.
pub(crate) fn find(endpoint: &Endpoint) -> Option<io::Result<Socket>> {
    INHERITED.get()?.find(endpoint)
}

impl Inherited {
    fn find(&self, endpoint: &Endpoint) -> Option<io::Result<Socket>> {
        let found = self.0.iter().find(|inheritance| inheritance.endpoint.clashes_with(endpoint))?;
        found.used.store(true, Ordering::Relaxed);
        Some(found.socket.try_clone())
    }

    fn unused(&self) -> Vec<Endpoint> {
        let unused = self.0.iter().filter(|inheritance| !inheritance.used.load(Ordering::Relaxed));
        unused.map(|inheritance| inheritance.endpoint.clone()).collect()
    }
}

impl Inheritance {
    fn take(handed: &mut ListenFd, index: usize) -> io::Result<Self> {
        if let Ok(Some(listener)) = handed.take_unix_listener(index) {
            return Self::unix(listener);
        }
        match handed.take_tcp_listener(index)? {
            Some(listener) => Self::tcp(listener),
            None => Err(io::Error::new(io::ErrorKind::NotFound, format!("there is no socket {index}"))),
        }
    }

    fn tcp(listener: TcpListener) -> io::Result<Self> {
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let endpoint = Endpoint::Tcp { host: address.ip().to_string(), port: address.port() };
        Ok(Self { endpoint, socket: Socket::Tcp(listener), used: AtomicBool::new(false) })
    }

    fn unix(listener: UnixListener) -> io::Result<Self> {
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let path = address.as_pathname().ok_or_else(|| {
            io::Error::new(
                io::ErrorKind::InvalidInput,
                "a Unix socket without a path, which no endpoint can name",
            )
        })?;
        let endpoint = Endpoint::Unix(path.to_owned());
        Ok(Self { endpoint, socket: Socket::Unix(listener), used: AtomicBool::new(false) })
    }
}

impl Socket {
    fn try_clone(&self) -> io::Result<Self> {
        match self {
            Self::Tcp(listener) => listener.try_clone().map(Self::Tcp),
            Self::Unix(listener) => listener.try_clone().map(Self::Unix),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoint(text: &str) -> Endpoint {
        text.parse().unwrap()
    }

    #[test]
    fn an_endpoint_is_the_socket_that_has_its_address() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("otlp.sock");
        let all = TcpListener::bind("0.0.0.0:0").unwrap();
        let port = all.local_addr().unwrap().port();
        let unix = UnixListener::bind(&path).unwrap();
        let inherited = Inherited(vec![Inheritance::tcp(all).unwrap(), Inheritance::unix(unix).unwrap()]);

        assert!(inherited.find(&endpoint(&format!("localhost:{}", port.wrapping_add(1)))).is_none());
        assert!(inherited.find(&endpoint("unix:///run/other.sock")).is_none());
        assert_eq!(inherited.unused().len(), 2);

        // Again and again, as when configurations are read again.
        for _ in 0..2 {
            let found = inherited.find(&endpoint(&format!("localhost:{port}"))).unwrap().unwrap();
            let Socket::Tcp(listener) = found else { panic!("{found:?}") };
            assert_eq!(listener.local_addr().unwrap().port(), port);
        }
        assert_eq!(inherited.unused(), [Endpoint::Unix(path.clone())]);
        let found = inherited.find(&Endpoint::Unix(path)).unwrap().unwrap();
        assert!(matches!(found, Socket::Unix(_)), "{found:?}");
        assert!(inherited.unused().is_empty());
    }
}
