//! Where to listen: parsed while the configuration is read, bound when the receiver starts.

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};

use forebay_config::Table;
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener, UnixStream, lookup_host};

use crate::activation::{self, Socket};

/// A TCP address or the path of a Unix socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Endpoint {
    /// `host:port`; an empty host is all addresses of the machine, IPv4 and IPv6.
    Tcp {
        /// A name or an address, IPv6 without its brackets.
        host: String,
        /// 0 lets the system choose.
        port: u16,
    },
    /// `unix:///path`, or a path with `transport: unix`.
    Unix(PathBuf),
}

/// Why an endpoint cannot be read.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum EndpointError {
    /// The address has a scheme other than `unix://`.
    #[error("`{0}` is a URL: an endpoint to listen on is `host:port` or `unix:///path`")]
    Url(String),
    /// There is no port.
    #[error("`{0}` has no port: an endpoint is `host:port`, `:port` or `unix:///path`")]
    NoPort(String),
    /// What stands after the last colon is not a port.
    #[error("`{0}` is not a port: expected a number from 0 to 65535")]
    Port(String),
    /// An IPv6 address without brackets cannot be told from its port.
    #[error("`{0}` has too many colons: an IPv6 address is written in brackets, `[::1]:4317`")]
    Brackets(String),
    /// A Unix socket without a path.
    #[error("a unix endpoint needs a path: `unix:///run/otlp.sock`")]
    NoPath,
}

/// Either kind of connection, encrypted or not.
pub(crate) trait Connection: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Connection for T {}

/// A bound socket. Dropping it closes it, and removes the file of a Unix socket that was bound here.
#[derive(Debug)]
pub(crate) enum Listener {
    Tcp(TcpListener),
    Unix { listener: UnixListener, path: PathBuf, inherited: bool },
}

impl Endpoint {
    /// A port of the machine itself, which the Collector's components listen on unless told otherwise.
    #[must_use]
    pub fn localhost(port: u16) -> Self {
        Self::Tcp { host: "localhost".to_owned(), port }
    }

    /// Reads `endpoint` and `transport`; a mistake is reported and reads as absent.
    pub(crate) fn read(table: &Table<'_>, default: Self) -> Self {
        table.default("endpoint", default.to_string());
        let transports = [("tcp", false), ("tcp4", false), ("tcp6", false), ("unix", true)];
        let unix = table.choice_or("transport", &transports, false);
        let Some(endpoint) = table.string("endpoint") else { return default };
        let parsed = if unix { Self::unix(&endpoint) } else { endpoint.parse() };
        parsed.map_err(|error| table.error("endpoint", error.to_string())).unwrap_or(default)
    }

    /// Binds a TCP address; of a name's addresses, the first that can be bound, IPv4 before IPv6. A socket that was
    /// [inherited](crate::inherit_sockets) is bound already.
    ///
    /// # Errors
    /// When none can be bound, or the endpoint is a Unix socket.
    pub async fn bind_tcp(&self) -> io::Result<TcpListener> {
        if let Some(Socket::Tcp(listener)) = activation::find(self).transpose()? {
            return TcpListener::from_std(listener);
        }
        match self {
            Self::Tcp { host, port } if host.is_empty() => {
                // On a machine without IPv6 the first address does not exist.
                let addresses = [SocketAddr::from(([0u16; 8], *port)), SocketAddr::from(([0u8; 4], *port))];
                TcpListener::bind(&addresses[..]).await
            }
            Self::Tcp { host, port } => {
                let mut addresses: Vec<_> = lookup_host((host.as_str(), *port)).await?.collect();
                // As Go does: `localhost` is 127.0.0.1 where it is both.
                addresses.sort_by_key(SocketAddr::is_ipv6);
                TcpListener::bind(&addresses[..]).await
            }
            Self::Unix(_) => Err(io::Error::new(io::ErrorKind::InvalidInput, "a Unix socket, not host:port")),
        }
    }

    /// Whether at most one of the two can be listened on: the same socket, or the same port of addresses of
    /// which one includes the other. Port 0 is another one each time. Names are not looked up.
    #[must_use]
    pub fn clashes_with(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Unix(a), Self::Unix(b)) => a == b,
            (Self::Tcp { host: a, port: one }, Self::Tcp { host: b, port: other }) => {
                *one != 0 && one == other && hosts_overlap(a, b)
            }
            _ => false,
        }
    }

    fn unix(endpoint: &str) -> Result<Self, EndpointError> {
        let path = endpoint.strip_prefix("unix://").or(endpoint.strip_prefix("unix:")).unwrap_or(endpoint);
        if path.is_empty() { Err(EndpointError::NoPath) } else { Ok(Self::Unix(path.into())) }
    }

    /// Binds; a Unix socket that nobody listens on any more is replaced.
    pub(crate) async fn bind(&self) -> io::Result<Listener> {
        match self {
            Self::Tcp { .. } => self.bind_tcp().await.map(Listener::Tcp),
            Self::Unix(path) => {
                if let Some(Socket::Unix(listener)) = activation::find(self).transpose()? {
                    let listener = UnixListener::from_std(listener)?;
                    return Ok(Listener::Unix { listener, path: path.clone(), inherited: true });
                }
                remove_stale(path).await?;
                let listener = UnixListener::bind(path)?;
                Ok(Listener::Unix { listener, path: path.clone(), inherited: false })
            }
        }
    }
}

fn hosts_overlap(a: &str, b: &str) -> bool {
    // The unspecified IPv6 address listens for IPv4 too, as it is bound here.
    let includes = |all: IpAddr, one: IpAddr| all.is_unspecified() && (all.is_ipv6() || one.is_ipv4());
    match (address(a), address(b)) {
        (Some(a), Some(b)) => a == b || includes(a, b) || includes(b, a),
        (Some(address), None) | (None, Some(address)) => address.is_unspecified(),
        (None, None) => a.eq_ignore_ascii_case(b),
    }
}

/// The address that a host is bound as, as far as that can be told without looking it up.
fn address(host: &str) -> Option<IpAddr> {
    match host {
        "" => Some(Ipv6Addr::UNSPECIFIED.into()),
        "localhost" => Some(Ipv4Addr::LOCALHOST.into()),
        _ => host.parse().ok().map(|address: IpAddr| address.to_canonical()),
    }
}

async fn remove_stale(path: &Path) -> io::Result<()> {
    match std::fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
        Ok(found) if !found.file_type().is_socket() => {
            Err(io::Error::new(io::ErrorKind::AlreadyExists, "the file exists and is not a socket"))
        }
        Ok(_) => match UnixStream::connect(path).await {
            Ok(_) => Err(io::Error::new(io::ErrorKind::AddrInUse, "another process listens on the socket")),
            Err(_) => std::fs::remove_file(path),
        },
    }
}

impl std::str::FromStr for Endpoint {
    type Err = EndpointError;

    fn from_str(endpoint: &str) -> Result<Self, EndpointError> {
        if endpoint.starts_with("unix:") {
            return Self::unix(endpoint);
        }
        if endpoint.contains("://") {
            return Err(EndpointError::Url(endpoint.to_owned()));
        }
        let (host, port) =
            endpoint.rsplit_once(':').ok_or_else(|| EndpointError::NoPort(endpoint.to_owned()))?;
        let host = match host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
            Some(address) => address,
            None if host.contains(':') => return Err(EndpointError::Brackets(endpoint.to_owned())),
            None => host,
        };
        let port = port.parse().map_err(|_| EndpointError::Port(port.to_owned()))?;
        Ok(Self::Tcp { host: host.to_owned(), port })
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { host, port } if host.contains(':') => write!(f, "[{host}]:{port}"),
            Self::Tcp { host, port } => write!(f, "{host}:{port}"),
            Self::Unix(path) => write!(f, "unix://{}", path.display()),
        }
    }
}

impl Listener {
    /// The next connection, and the address of its client; there is none at a Unix socket.
    pub(crate) async fn accept(&self) -> io::Result<(Box<dyn Connection>, Option<IpAddr>)> {
        match self {
            Self::Tcp(listener) => {
                let (stream, client) = listener.accept().await?;
                stream.set_nodelay(true)?;
                Ok((Box::new(stream), Some(client.ip())))
            }
            Self::Unix { listener, .. } => Ok((Box::new(listener.accept().await?.0), None)),
        }
    }

    /// The bound address; none for a Unix socket.
    pub(crate) fn address(&self) -> Option<SocketAddr> {
        match self {
            Self::Tcp(listener) => listener.local_addr().ok(),
            Self::Unix { .. } => None,
        }
    }
}

impl fmt::Display for Listener {
    /// The endpoint as it is bound, with the port that the system has chosen.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(listener) => match listener.local_addr() {
                Ok(address) => write!(f, "{address}"),
                Err(error) => write!(f, "{error}"),
            },
            Self::Unix { path, .. } => write!(f, "unix://{}", path.display()),
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        if let Self::Unix { path, inherited: false, .. } = self
            && let Err(error) = std::fs::remove_file(&*path)
        {
            tracing::warn!(%error, path = %path.display(), "cannot remove the socket");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_and_paths_are_read_and_written_alike() {
        for (text, endpoint) in [
            ("localhost:4317", Endpoint::Tcp { host: "localhost".into(), port: 4317 }),
            (":4317", Endpoint::Tcp { host: String::new(), port: 4317 }),
            ("[::1]:0", Endpoint::Tcp { host: "::1".into(), port: 0 }),
            ("unix:///run/otlp.sock", Endpoint::Unix("/run/otlp.sock".into())),
        ] {
            assert_eq!(text.parse(), Ok(endpoint.clone()));
            assert_eq!(endpoint.to_string(), text);
        }
    }

    #[test]
    fn what_is_wrong_with_an_endpoint_is_said() {
        for (text, expected) in [
            ("http://localhost:4318", "is a URL"),
            ("localhost", "has no port"),
            ("localhost:otlp", "is not a port"),
            ("localhost:65536", "is not a port"),
            ("::1:4317", "in brackets"),
            ("unix://", "needs a path"),
        ] {
            let error = text.parse::<Endpoint>().unwrap_err().to_string();
            assert!(error.contains(expected), "{text}: {error}");
        }
    }

    #[test]
    fn what_cannot_be_bound_together_clashes() {
        let clash = |a: &str, b: &str| {
            let (a, b): (Endpoint, Endpoint) = (a.parse().unwrap(), b.parse().unwrap());
            assert_eq!(a.clashes_with(&b), b.clashes_with(&a));
            a.clashes_with(&b)
        };
        for (a, b) in [
            ("127.0.0.1:4317", "127.0.0.1:4317"),
            ("localhost:4317", "127.0.0.1:4317"),
            ("0.0.0.0:4317", "127.0.0.1:4317"),
            ("0.0.0.0:4317", "collector.local:4317"),
            (":4317", "0.0.0.0:4317"),
            ("[::]:4317", "127.0.0.1:4317"),
            ("[::]:4317", "[::1]:4317"),
            ("[::ffff:127.0.0.1]:4317", "127.0.0.1:4317"),
            ("Collector.local:4317", "collector.local:4317"),
            ("unix:///run/otlp.sock", "unix:///run/./otlp.sock"),
        ] {
            assert!(clash(a, b), "{a} {b}");
        }
        for (a, b) in [
            ("127.0.0.1:4317", "127.0.0.1:4318"),
            ("127.0.0.1:4317", "127.0.0.2:4317"),
            ("0.0.0.0:4317", "[::1]:4317"),
            ("localhost:4317", "[::1]:4317"),
            ("localhost:4317", "collector.local:4317"),
            (":0", ":0"),
            ("unix:///run/otlp.sock", "unix:///run/other.sock"),
            ("unix:///run/otlp.sock", ":4317"),
        ] {
            assert!(!clash(a, b), "{a} {b}");
        }
    }

    #[tokio::test]
    async fn a_listener_is_called_by_what_it_is_bound_to() {
        let tcp = "localhost:0".parse::<Endpoint>().unwrap().bind().await.unwrap();
        assert_eq!(tcp.to_string(), tcp.address().unwrap().to_string());
        assert_ne!(tcp.address().unwrap().port(), 0);
        let dir = tempfile::tempdir().unwrap();
        let endpoint = Endpoint::Unix(dir.path().join("otlp.sock"));
        assert_eq!(endpoint.bind().await.unwrap().to_string(), endpoint.to_string());
    }

    #[tokio::test]
    async fn a_socket_that_is_in_use_is_not_replaced_and_a_file_never() {
        let dir = tempfile::tempdir().unwrap();
        let endpoint = Endpoint::Unix(dir.path().join("otlp.sock"));
        let first = endpoint.bind().await.unwrap();
        assert_eq!(endpoint.bind().await.unwrap_err().kind(), io::ErrorKind::AddrInUse);
        drop(first);
        drop(endpoint.bind().await.unwrap());

        let stale = std::os::unix::net::UnixListener::bind(dir.path().join("otlp.sock")).unwrap();
        drop(stale);
        assert!(endpoint.bind().await.is_ok());

        std::fs::write(dir.path().join("file"), "precious").unwrap();
        let error = Endpoint::Unix(dir.path().join("file")).bind().await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
    }
}
