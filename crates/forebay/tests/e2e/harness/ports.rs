//! Ports that nobody else takes.

use std::net::TcpStream;
use std::sync::atomic::{AtomicU16, Ordering};

/// Below the range from which systems give ports to clients, so that no connection takes one between its
/// choice and its use.
const FIRST: u16 = 12_000;
const COUNT: u16 = 18_000;

static NEXT: AtomicU16 = AtomicU16::new(0);

/// A port of 127.0.0.1 that nobody listens on, and that no other test of this process gets.
pub(crate) fn free_port() -> u16 {
    // Test processes that run at the same time begin at different places.
    let offset = u16::try_from(std::process::id() * 97 % u32::from(COUNT)).unwrap();
    loop {
        let step = NEXT.fetch_add(1, Ordering::Relaxed);
        assert!(step < COUNT, "no port is free");
        let port = FIRST + (offset + step) % COUNT;
        // Asked by connecting: a socket that listens, however briefly, would be copied into a process that
        // another test is just starting, and held there until its program is loaded.
        if TcpStream::connect(("127.0.0.1", port)).is_err() {
            return port;
        }
    }
}
