//! What is compared: TCP, the same redirected, and Unix sockets.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::{UnixListener, UnixStream};

use super::sockets::Sockets;

/// One of the columns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Transport {
    Tcp,
    Redirected,
    Unix,
}

/// Somebody to connect to by each of them.
pub(super) struct Listeners {
    tcp: TcpListener,
    accelerated: TcpListener,
    unix: UnixListener,
    sockets: Sockets,
}

/// One end of a connection.
pub(super) enum End {
    Tcp(TcpStream),
    Unix(UnixStream),
}

/// Both ends of a connection.
pub(super) struct Pair {
    pub(super) client: End,
    pub(super) server: End,
}

const SOCKET: &str = "stream";

impl Transport {
    pub(super) const ALL: [Self; 3] = [Self::Tcp, Self::Redirected, Self::Unix];
    /// Those that leave a network namespace.
    pub(super) const TCP: [Self; 2] = [Self::Tcp, Self::Redirected];
}

impl Listeners {
    /// Listens on loopback and in the directory for temporary files.
    pub(super) fn open() -> io::Result<Self> {
        let sockets = Sockets::new("stream")?;
        let [tcp, accelerated] = [(); 2].map(|()| TcpListener::bind(("127.0.0.1", 0)));
        Ok(Self {
            tcp: tcp?,
            accelerated: accelerated?,
            unix: UnixListener::bind(sockets.path().join(SOCKET))?,
            sockets,
        })
    }

    /// The port that the accelerator is to be told.
    pub(super) fn accelerated_port(&self) -> Vec<u16> {
        self.accelerated.local_addr().iter().map(SocketAddr::port).collect()
    }

    /// A new connection.
    pub(super) fn connect(&self, transport: Transport) -> io::Result<Pair> {
        match transport {
            Transport::Tcp => Pair::through(&self.tcp),
            Transport::Redirected => Pair::through(&self.accelerated),
            Transport::Unix => {
                let client = UnixStream::connect(self.sockets.path().join(SOCKET))?;
                Ok(Pair { client: End::Unix(client), server: End::Unix(self.unix.accept()?.0) })
            }
        }
    }
}

impl Pair {
    /// A connection to a listener.
    pub(super) fn through(listener: &TcpListener) -> io::Result<Self> {
        Self::to(listener, listener.local_addr()?)
    }

    /// A connection to a listener under another address.
    pub(super) fn to(listener: &TcpListener, address: SocketAddr) -> io::Result<Self> {
        let client = TcpStream::connect(address)?;
        Ok(Self { client: End::Tcp(client), server: End::Tcp(listener.accept()?.0) })
    }

    /// Switches Nagle's algorithm, which only TCP has.
    pub(super) fn set_nodelay(&self, nodelay: bool) -> io::Result<()> {
        for end in [&self.client, &self.server] {
            if let End::Tcp(stream) = end {
                stream.set_nodelay(nodelay)?;
            }
        }
        Ok(())
    }
}

impl Read for End {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.read(buffer),
            Self::Unix(stream) => stream.read(buffer),
        }
    }
}

impl Write for End {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.write(bytes),
            Self::Unix(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
