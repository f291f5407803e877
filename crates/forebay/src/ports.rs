//! Ports that nobody else takes: for who starts processes that are told where to listen.

use std::io;
use std::net::TcpStream;
use std::sync::atomic::{AtomicU16, Ordering};

/// Below the range from which systems give ports to clients, so that no connection takes one between its
/// choice and its use.
const FIRST: u16 = 12_000;
const COUNT: u16 = 18_000;

static NEXT: AtomicU16 = AtomicU16::new(0);

/// Ports of 127.0.0.1 that nobody listens on, and that nobody else in this process gets.
///
/// # Errors
/// When all of 12,000 to 29,999 have been given out or taken.
pub fn free<const N: usize>() -> io::Result<[u16; N]> {
    let mut ports = [0; N];
    for port in &mut ports {
        *port = one()?;
    }
    Ok(ports)
}

fn one() -> io::Result<u16> {
    // Processes that run at the same time begin at different places.
    let offset = std::process::id().wrapping_mul(97) % u32::from(COUNT);
    loop {
        let step = NEXT.fetch_add(1, Ordering::Relaxed);
        if step >= COUNT {
            return Err(io::Error::new(io::ErrorKind::AddrInUse, "no port is free"));
        }
        let place = u16::try_from((offset + u32::from(step)) % u32::from(COUNT)).unwrap_or_default();
        // Asked by connecting: a socket that listens, however briefly, would be copied into a process that is just
        // being started, and held there until its program is loaded.
        if TcpStream::connect(("127.0.0.1", FIRST + place)).is_err() {
            return Ok(FIRST + place);
        }
    }
}
