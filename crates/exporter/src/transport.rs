//! What the sending pipeline asks of a protocol.

use std::convert::Infallible;
use std::error::Error;
use std::fmt::Write as _;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use forebay_pipeline::Signal;
use http_body::{Body, Frame, SizeHint};

/// A protocol that carries requests to a destination.
pub(crate) trait Transport: Send + Sync + 'static {
    /// Makes what goes over the wire of a request that lies in pieces; done once for all attempts.
    ///
    /// An error says why this request can never be sent.
    fn encode(
        &self,
        signal: Signal,
        pieces: Vec<Bytes>,
    ) -> impl Future<Output = Result<Payload, String>> + Send;

    /// Makes one attempt. The caller sets its time limit and drops it when that is over.
    fn send(&self, signal: Signal, payload: Payload) -> impl Future<Output = Outcome> + Send;
}

/// How an attempt went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The destination took the request, but for `rejected` items, for the reason in `message`.
    Delivered { rejected: u64, message: String },
    /// The destination will never take it.
    Rejected(String),
    /// It may take it later, not before `after` where it said so.
    Failed { message: String, after: Option<Duration> },
    /// Of several destinations some have settled `items`, `rejected` of them by refusing them for good. The others may
    /// take the `rest` later, as [`Self::Failed`].
    Partly { items: usize, rejected: u64, rest: Vec<Bytes>, message: String, after: Option<Duration> },
}

impl Outcome {
    /// Everything was taken.
    pub(crate) const DELIVERED: Self = Self::Delivered { rejected: 0, message: String::new() };

    /// A failure without a word on when to come back.
    pub(crate) fn failed(message: impl Into<String>) -> Self {
        Self::Failed { message: message.into(), after: None }
    }
}

/// A body of given frames, cheap to send again.
#[derive(Clone, Debug)]
pub(crate) struct Payload {
    frames: Arc<[Bytes]>,
    next: usize,
    remaining: usize,
}

/// Pieces below this are copied together: a DATA frame and its bookkeeping cost more than the copy.
const SMALL: usize = 8 * 1024;

impl Payload {
    /// A body of `prefix` and `pieces`. Large pieces are not copied.
    pub(crate) fn gather(prefix: &[u8], pieces: Vec<Bytes>) -> Self {
        let mut frames = Vec::with_capacity(pieces.len() + 1);
        let mut run = prefix.to_vec();
        for piece in pieces {
            if piece.len() < SMALL {
                run.extend_from_slice(&piece);
                continue;
            }
            if !run.is_empty() {
                frames.push(Bytes::from(std::mem::take(&mut run)));
            }
            frames.push(piece);
        }
        if !run.is_empty() {
            frames.push(Bytes::from(run));
        }
        Self::of(frames)
    }

    /// What it consists of: the prefix, if there is one, and pieces, of which small ones are joined.
    pub(crate) fn frames(&self) -> &[Bytes] {
        &self.frames
    }

    fn of(frames: Vec<Bytes>) -> Self {
        let remaining = frames.iter().map(Bytes::len).sum();
        Self { frames: frames.into(), next: 0, remaining }
    }
}

impl From<Vec<u8>> for Payload {
    fn from(body: Vec<u8>) -> Self {
        Self::of(vec![Bytes::from(body)])
    }
}

impl Body for Payload {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let Some(frame) = self.frames.get(self.next).cloned() else { return Poll::Ready(None) };
        self.next += 1;
        self.remaining -= frame.len();
        Poll::Ready(Some(Ok(Frame::data(frame))))
    }

    fn is_end_stream(&self) -> bool {
        self.next == self.frames.len()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.remaining as u64)
    }
}

/// An error with all that caused it, in one line.
pub(crate) fn explain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        // Some errors repeat their cause.
        let cause_text = cause.to_string();
        if !text.ends_with(&cause_text) {
            let _ = write!(text, ": {cause_text}");
        }
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;

    use super::*;

    #[tokio::test]
    async fn a_payload_is_its_prefix_and_pieces_in_order() {
        let large = Bytes::from(vec![7; SMALL]);
        let pieces = vec![Bytes::from("ab"), large.clone(), Bytes::from("c"), Bytes::from("d")];
        let payload = Payload::gather(b"12345", pieces);
        let frames: Vec<&[u8]> = payload.frames.iter().map(|frame| &frame[..]).collect();
        assert_eq!(frames, [b"12345ab", &large[..], b"cd"]);
        assert_eq!(payload.frames[1].as_ptr(), large.as_ptr(), "a large piece is not copied");
        let size = payload.size_hint().exact();
        let sent = payload.collect().await.unwrap().to_bytes();
        assert_eq!(size, Some(sent.len() as u64));
    }

    #[tokio::test]
    async fn an_empty_payload_has_no_frame() {
        let payload = Payload::gather(b"", vec![]);
        assert!(payload.is_end_stream());
        assert!(payload.collect().await.unwrap().to_bytes().is_empty());
    }
}
