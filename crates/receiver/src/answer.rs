//! The body of an answer: at most one piece of data, then perhaps trailers; or frames as they come.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};
use tokio::sync::mpsc;

/// Both protocols answer with it, so that one kind of connection serves both.
#[derive(Debug)]
pub(crate) enum Answer {
    /// What is known at once.
    Whole { data: Bytes, trailers: Option<HeaderMap> },
    /// What comes while the call lasts.
    Stream(mpsc::Receiver<Frame<Bytes>>),
}

impl Answer {
    /// HTTP: data and nothing after it.
    pub(crate) fn data(data: impl Into<Bytes>) -> Self {
        Self::Whole { data: data.into(), trailers: None }
    }

    /// gRPC: a message and the status after it.
    pub(crate) fn with_trailers(data: impl Into<Bytes>, trailers: HeaderMap) -> Self {
        Self::Whole { data: data.into(), trailers: Some(trailers) }
    }
}

impl Default for Answer {
    fn default() -> Self {
        Self::data(Bytes::new())
    }
}

impl Body for Answer {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        match &mut *self {
            Self::Whole { data, .. } if !data.is_empty() => {
                Poll::Ready(Some(Ok(Frame::data(std::mem::take(data)))))
            }
            Self::Whole { trailers, .. } => {
                Poll::Ready(trailers.take().map(|trailers| Ok(Frame::trailers(trailers))))
            }
            Self::Stream(frames) => frames.poll_recv(cx).map(|frame| frame.map(Ok)),
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self, Self::Whole { data, trailers: None } if data.is_empty())
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole { data, .. } => SizeHint::with_exact(data.len() as u64),
            Self::Stream(_) => SizeHint::default(),
        }
    }
}
