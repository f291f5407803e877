//! Requests that say twice where they end.
//!
//! A request with `Content-Length` and `Transfer-Encoding` is chunked, and may be an attempt at smuggling
//! another one past a proxy that believed the length: the server must close the connection after its
//! answer (RFC 9112, 6.1). hyper takes the right meaning but drops the length before anybody sees it, so
//! request heads are watched on their way in.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

const NAME: &[u8] = b"content-length:";

/// What was seen of the request head that came last on one connection.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ambiguity(Arc<Seen>);

#[derive(Debug)]
struct Seen {
    /// Whether the next bytes are a head.
    awaited: AtomicBool,
    content_length: AtomicBool,
}

/// A connection whose request heads are watched.
pub(crate) struct Watched<I> {
    io: I,
    seen: Ambiguity,
    line: Line,
}

/// Where in a line of the head the next byte belongs.
#[derive(Clone, Copy)]
enum Line {
    Start,
    /// So many bytes were those of [`NAME`].
    Name(usize),
    Other,
}

impl Ambiguity {
    /// Whether the head had a `Content-Length`. Until [`Self::await_head`] nothing is watched.
    pub(crate) fn take(&self) -> bool {
        self.0.awaited.store(false, Ordering::Relaxed);
        self.0.content_length.swap(false, Ordering::Relaxed)
    }

    /// The body has been read: what comes next is a head.
    pub(crate) fn await_head(&self) {
        self.0.awaited.store(true, Ordering::Relaxed);
    }
}

impl Default for Seen {
    fn default() -> Self {
        Self { awaited: AtomicBool::new(true), content_length: AtomicBool::new(false) }
    }
}

impl<I> Watched<I> {
    pub(crate) fn new(io: I, seen: Ambiguity) -> Self {
        Self { io, seen, line: Line::Other }
    }

    fn watch(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.line = match (self.line, byte.to_ascii_lowercase()) {
                (Line::Start, b'\n') => {
                    self.seen.0.awaited.store(false, Ordering::Relaxed);
                    self.line = Line::Other;
                    return;
                }
                (_, b'\n') => Line::Start,
                (Line::Start, b'\r') => Line::Start,
                (Line::Start, byte) if byte == NAME[0] => Line::Name(1),
                (Line::Name(matched), byte) if byte == NAME[matched] && matched + 1 < NAME.len() => {
                    Line::Name(matched + 1)
                }
                (Line::Name(matched), byte) if byte == NAME[matched] => {
                    self.seen.0.content_length.store(true, Ordering::Relaxed);
                    Line::Other
                }
                _ => Line::Other,
            };
        }
    }
}

impl<I: AsyncRead + Unpin> AsyncRead for Watched<I> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.io).poll_read(context, buffer))?;
        if self.seen.0.awaited.load(Ordering::Relaxed) {
            self.watch(&buffer.filled()[before..]);
        }
        Poll::Ready(Ok(()))
    }
}

impl<I: AsyncWrite + Unpin> AsyncWrite for Watched<I> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(pieces: &[&[u8]]) -> bool {
        let seen = Ambiguity::default();
        let mut watched = Watched::new((), seen.clone());
        for piece in pieces {
            watched.watch(piece);
        }
        seen.take()
    }

    #[test]
    fn a_content_length_line_is_seen_in_any_case_and_however_it_is_cut() {
        assert!(seen(&[b"POST / HTTP/1.1\r\nhost: a\r\nContent-LENGTH: 5\r\n\r\n"]));
        assert!(seen(&[b"POST / HTTP/1.1\ncont", b"ent-length", b": 5\n\n"]));
        assert!(!seen(&[
            b"POST /content-length: HTTP/1.1\r\nx: content-length: 5\r\nx-content-length: 1\r\n\r\n"
        ]));
    }

    #[test]
    fn a_body_is_not_a_head() {
        let seen = Ambiguity::default();
        let mut watched = Watched::new((), seen.clone());
        watched.watch(b"POST / HTTP/1.1\r\n\r\nx\ncontent-length: 5\n");
        assert!(!seen.0.awaited.load(Ordering::Relaxed));
        assert!(!seen.take());
    }
}
