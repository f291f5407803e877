//! Proves on connections of its own that this kernel redirects, completely, within bounds, and nothing that it must
//! not.
//!
//! The connections are made in this process's own cgroup, and the programs that watch them see their ports only.
//! Version numbers would tell less: what matters was fixed in 2024 (redirected bytes count as received memory) and
//! 2025 (subflows of MPTCP stay out), and is in older kernels of distributions too.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};
use thiserror::Error;

use crate::cgroup;
use crate::options::Options;
use crate::programs::{Programs, ProgramsError};
use crate::stats::Counter;

/// Why a kernel is not to be trusted with acceleration.
#[derive(Debug, Error)]
pub enum SelfTestError {
    /// The process's own cgroup is out of sight.
    #[error("the cgroup of this process cannot be used: {0}")]
    OwnCgroup(io::Error),
    /// The test itself did not work.
    #[error("a connection over loopback failed: {0}")]
    Connection(#[from] io::Error),
    /// The programs do not run.
    #[error(transparent)]
    Programs(#[from] ProgramsError),
    /// Bytes went by TCP.
    #[error("the kernel did not redirect between two sockets of this process")]
    NotRedirected,
    /// Other bytes arrived than were sent.
    #[error("redirected bytes arrived changed: this kernel must not be used")]
    Corrupted,
    /// A receiver may be given memory without bound.
    #[error(
        "unsafe kernel: redirected bytes are not charged to their receiver, so one that does not read would take memory \
         without bound; use Linux 6.13, 6.12.7, 6.6.68 or newer"
    )]
    Unbounded,
    /// Sockets beneath another protocol are taken for TCP.
    #[error(
        "unsafe kernel: subflows of MPTCP are not kept out; use a kernel of 2026, or sysctl net.mptcp.enabled=0"
    )]
    Mptcp,
}

/// What the kernel was seen to do on a connection over which [`MESSAGE`] bytes went each way, and then more than a bound
/// one way.
#[derive(Clone, Copy, Debug)]
struct Seen {
    /// Bytes that were redirected of the first.
    redirected: u64,
    /// Directions that went back to TCP because a receiver did not read.
    bounded: u64,
    /// Sockets of a connection of MPTCP that were tracked; none where there is no MPTCP.
    subflows: Option<u64>,
}

/// What goes each way first.
const MESSAGE: usize = 64 << 10;
/// What the receiver may leave unread, and how much more is written before that is believed to have no effect.
const BOUND: u64 = 256 << 10;
const FLOOD: usize = 2 << 20;
/// Loopback answers at once; a kernel that does not within this time loses bytes.
const PATIENCE: Duration = Duration::from_secs(5);

impl SelfTestError {
    /// Whether somebody with these options goes on all the same: acceleration works, but could do harm, and that is known.
    #[must_use]
    pub fn is_accepted(&self, options: &Options) -> bool {
        options.allow_unsafe_kernel && matches!(self, Self::Unbounded | Self::Mptcp)
    }
}

/// Tests the kernel, in some milliseconds.
///
/// # Errors
/// What is wrong with it, or with this process's rights to test it.
pub fn self_test() -> Result<(), SelfTestError> {
    let own = cgroup::own().ok_or_else(|| io::Error::from(io::ErrorKind::NotFound));
    let own = own.and_then(|path| cgroup::open(&path)).map_err(SelfTestError::OwnCgroup)?;
    let listener = loopback()?;
    let mptcp = mptcp_listener();
    let ports = [listener.local_addr()?].into_iter().chain(mptcp.as_ref().map(|(_, address)| *address));
    let options = Options {
        ports: ports.map(|address| address.port()).collect(),
        max_inflight_bytes: BOUND,
        max_sockets: 16,
        ..Options::default()
    };
    let programs = Programs::attach(&own, &options)?;
    let count = |counter| programs.stats().map(|stats| stats.get(counter));

    let mut client = connect(listener.local_addr()?)?;
    let (mut server, _) = listener.accept()?;
    server.set_read_timeout(Some(PATIENCE))?;
    exchange(&mut client, &mut server)?;
    exchange(&mut server, &mut client)?;
    let redirected = count(Counter::BytesRedirected)?;
    flood(&mut client, &mut server)?;
    let bounded = count(Counter::DemotedUnread)?;
    let subflows = match mptcp {
        Some((listener, address)) => {
            let before = count(Counter::SocketsTracked)?;
            let _client = mptcp_client(address)?;
            let _server = listener.accept()?;
            Some(count(Counter::SocketsTracked)? - before)
        }
        None => None,
    };
    Seen { redirected, bounded, subflows }.verdict()
}

impl Seen {
    fn verdict(self) -> Result<(), SelfTestError> {
        if self.redirected != 2 * MESSAGE as u64 {
            return Err(SelfTestError::NotRedirected);
        }
        if self.bounded == 0 {
            return Err(SelfTestError::Unbounded);
        }
        if self.subflows.is_some_and(|subflows| subflows > 0) {
            return Err(SelfTestError::Mptcp);
        }
        Ok(())
    }
}

fn loopback() -> io::Result<TcpListener> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).or_else(|_| TcpListener::bind((Ipv6Addr::LOCALHOST, 0)))
}

fn connect(address: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    Ok(stream)
}

/// Bytes that are not the same at any two places near each other.
fn pattern(length: usize) -> Vec<u8> {
    (0_u32..).flat_map(u32::to_le_bytes).take(length).collect()
}

fn exchange(from: &mut TcpStream, to: &mut TcpStream) -> Result<(), SelfTestError> {
    let sent = pattern(MESSAGE);
    from.write_all(&sent)?;
    expect(to, &sent)
}

fn expect(from: &mut TcpStream, sent: &[u8]) -> Result<(), SelfTestError> {
    let mut received = vec![0; sent.len()];
    from.read_exact(&mut received)?;
    if received == sent { Ok(()) } else { Err(SelfTestError::Corrupted) }
}

/// Writes more than the receiver may leave unread, as far as it is taken, and then reads it.
fn flood(from: &mut TcpStream, to: &mut TcpStream) -> Result<(), SelfTestError> {
    let sent = pattern(FLOOD);
    from.set_nonblocking(true)?;
    let mut taken = 0;
    // Pieces, since the bound is looked at before each.
    for piece in sent.chunks(MESSAGE) {
        match from.write(piece) {
            Ok(written) => taken += written,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
            Err(error) => return Err(error.into()),
        }
        if taken % MESSAGE != 0 {
            break;
        }
    }
    from.set_nonblocking(false)?;
    expect(to, sent.get(..taken).unwrap_or_default())
}

/// None where the kernel has no MPTCP, and nothing can go wrong with it.
fn mptcp_listener() -> Option<(Socket, SocketAddr)> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::MPTCP)).ok()?;
    socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into()).ok()?;
    socket.listen(1).ok()?;
    let address = socket.local_addr().ok()?.as_socket()?;
    Some((socket, address))
}

fn mptcp_client(address: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::MPTCP))?;
    socket.connect_timeout(&address.into(), PATIENCE)?;
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAFE: Seen = Seen { redirected: 2 * MESSAGE as u64, bounded: 1, subflows: Some(0) };

    #[test]
    fn a_kernel_is_unsafe_that_bounds_nothing_or_lets_subflows_in() {
        assert!(SAFE.verdict().is_ok());
        assert!(Seen { subflows: None, ..SAFE }.verdict().is_ok(), "there is no MPTCP");
        let verdict = |seen: Seen| seen.verdict().unwrap_err().to_string();
        let lost = verdict(Seen { redirected: MESSAGE as u64, ..SAFE });
        assert_eq!(lost, "the kernel did not redirect between two sockets of this process");
        let unbounded = verdict(Seen { bounded: 0, ..SAFE });
        assert!(unbounded.starts_with("unsafe kernel: redirected bytes are not charged"), "{unbounded}");
        let subflows = verdict(Seen { subflows: Some(2), ..SAFE });
        assert!(subflows.starts_with("unsafe kernel: subflows of MPTCP"), "{subflows}");
    }

    #[test]
    fn only_what_is_unsafe_can_be_accepted_and_only_by_who_says_so() {
        let (careful, careless) =
            (Options::default(), Options { allow_unsafe_kernel: true, ..Options::default() });
        for error in [SelfTestError::Unbounded, SelfTestError::Mptcp] {
            assert!(!error.is_accepted(&careful) && error.is_accepted(&careless), "{error}");
        }
        for error in [SelfTestError::Corrupted, SelfTestError::NotRedirected] {
            assert!(!error.is_accepted(&careful) && !error.is_accepted(&careless), "{error}");
        }
    }
}
