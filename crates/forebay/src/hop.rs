//! A hop between processes that counts its bytes: for demonstrations and measurements.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// Passes connections on until it is dropped.
#[derive(Debug)]
pub struct Hop {
    address: SocketAddr,
    counts: Arc<Counts>,
    cut: watch::Sender<bool>,
    _accepting: JoinSet<()>,
}

#[derive(Debug, Default)]
struct Counts {
    up: AtomicU64,
    down: AtomicU64,
}

/// Bytes that are passed on at a time.
const BUFFER: usize = 64 << 10;

impl Hop {
    /// A hop to `target` on a port of its own. Must be called within a Tokio runtime.
    ///
    /// # Errors
    /// When it cannot listen.
    pub async fn to(target: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        let counts = Arc::new(Counts::default());
        let (cut, is_cut) = watch::channel(false);
        let mut accepting = JoinSet::new();
        accepting.spawn(accept(listener, target, Arc::clone(&counts), is_cut));
        Ok(Self { address, counts, cut, _accepting: accepting })
    }

    /// Where it listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Cuts the link, or mends it. While it is cut, connections end, and new ones end at once.
    pub fn set_cut(&self, cut: bool) {
        self.cut.send_replace(cut);
    }

    /// Bytes towards the target, and bytes back, since the last call.
    #[must_use]
    pub fn take(&self) -> (u64, u64) {
        let Counts { up, down } = &*self.counts;
        (up.swap(0, Ordering::Relaxed), down.swap(0, Ordering::Relaxed))
    }
}

async fn accept(
    listener: TcpListener,
    target: SocketAddr,
    counts: Arc<Counts>,
    is_cut: watch::Receiver<bool>,
) {
    let mut connections = JoinSet::new();
    while let Ok((client, _)) = listener.accept().await {
        let (counts, mut is_cut) = (Arc::clone(&counts), is_cut.clone());
        connections.spawn(async move {
            tokio::select! {
                biased;
                // An error says that the hop is gone.
                _ = is_cut.wait_for(|cut| *cut) => {}
                () = connect(client, target, counts) => {}
            }
        });
    }
}

async fn connect(client: TcpStream, target: SocketAddr, counts: Arc<Counts>) {
    let Ok(server) = TcpStream::connect(target).await else { return };
    if client.set_nodelay(true).and_then(|()| server.set_nodelay(true)).is_ok() {
        let ((from_client, to_client), (from_server, to_server)) = (client.into_split(), server.into_split());
        tokio::join!(pass(from_client, to_server, &counts.up), pass(from_server, to_client, &counts.down));
    }
}

async fn pass(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, bytes: &AtomicU64) {
    let mut buffer = vec![0; BUFFER];
    while let Ok(length @ 1..) = from.read(&mut buffer).await {
        bytes.fetch_add(length as u64, Ordering::Relaxed);
        if to.write_all(&buffer[..length]).await.is_err() {
            break;
        }
    }
    // Whoever is gone has no use for a goodbye.
    let _ = to.shutdown().await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_cut_link_carries_nothing_until_it_is_mended() {
        let target = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let hop = Hop::to(target.local_addr().unwrap()).await.unwrap();
        let mut client = TcpStream::connect(hop.address()).await.unwrap();
        let (mut server, _) = target.accept().await.unwrap();
        client.write_all(b"abc").await.unwrap();
        server.read_exact(&mut [0; 3]).await.unwrap();
        assert_eq!(hop.take(), (3, 0));
        hop.set_cut(true);
        assert!(matches!(client.read(&mut [0; 1]).await, Ok(0) | Err(_)));
        let mut refused = TcpStream::connect(hop.address()).await.unwrap();
        assert!(matches!(refused.read(&mut [0; 1]).await, Ok(0) | Err(_)));
        hop.set_cut(false);
        let mut client = TcpStream::connect(hop.address()).await.unwrap();
        let (mut server, _) = target.accept().await.unwrap();
        server.write_all(b"d").await.unwrap();
        client.read_exact(&mut [0; 1]).await.unwrap();
        assert_eq!(hop.take(), (0, 1));
    }
}
