//! Streaming calls: messages both ways for as long as both sides want.
//!
//! Few messages wait to be sent, and few bytes to be read: a peer that is behind is felt as a stream that does not
//! move.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::response;
use http_body::{Body, Frame};
use http_body_util::BodyExt;
use hyper::body;
use thiserror::Error;
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::channel::{CallError, Caller};
use super::config::ChannelConfig;
use super::{PREFIX, answer, prefix};
use crate::BuildError;
use crate::transport::explain;

/// Messages that wait to be sent on a stream.
const QUEUE: usize = 4;
/// How long the oldest of them waits for the server.
const PATIENCE: Duration = Duration::from_secs(30);

/// Makes streaming calls to one server. Connections are made when one is needed.
pub struct StreamChannel {
    caller: Caller<Messages>,
    timeout: Duration,
    max_message: usize,
}

/// Sends the server messages. The call's other half ends it when it is dropped; this one says that there are no more.
#[derive(Clone, Debug)]
pub struct Outgoing(mpsc::Sender<Bytes>);

/// What the server sends. Dropping it ends the call.
#[derive(Debug)]
pub struct Incoming {
    head: response::Parts,
    body: body::Incoming,
    read: BytesMut,
    max_message: usize,
}

/// The server is gone, or has not taken messages for too long.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("the peer is gone or does not read")]
pub struct StalledError;

/// The body of a request: messages as they come.
struct Messages(mpsc::Receiver<Bytes>);

impl StreamChannel {
    /// A channel whose calls may take `timeout` to be answered, and whose servers may send messages of `max_message`
    /// bytes. Must be called inside a runtime.
    ///
    /// # Errors
    /// When the TLS settings cannot be used.
    pub fn new(config: &ChannelConfig, timeout: Duration, max_message: usize) -> Result<Self, BuildError> {
        Ok(Self { caller: Caller::new(config, Some(timeout))?, timeout, max_message })
    }

    /// Calls `method` (`/package.Service/Method`).
    ///
    /// # Errors
    /// When there is no answer in time, or one that is not a stream.
    pub async fn open(&self, method: &'static str) -> Result<(Outgoing, Incoming), CallError> {
        let (queue, messages) = mpsc::channel(QUEUE);
        let answered = timeout(self.timeout, self.caller.send(method, Messages(messages))).await;
        let response = answered
            .map_err(|_| CallError(format!("no answer within {:?}", self.timeout)))?
            .map_err(|error| CallError(explain(&error)))?;
        let (head, body) = response.into_parts();
        if head.headers.contains_key("grpc-status") || head.status != http::StatusCode::OK {
            answer::check(&head, None).map_err(|failure| CallError(failure.to_string()))?;
        }
        let read = BytesMut::new();
        Ok((Outgoing(queue), Incoming { head, body, read, max_message: self.max_message }))
    }
}

impl Outgoing {
    /// Sends a message, waiting for those before it.
    ///
    /// # Errors
    /// When the server is gone, or has taken none for half a minute.
    pub async fn send(&self, message: &[u8]) -> Result<(), StalledError> {
        let mut framed = prefix(false, message.len()).map_err(|_| StalledError)?.to_vec();
        framed.extend_from_slice(message);
        self.0.send_timeout(framed.into(), PATIENCE).await.map_err(|_| StalledError)
    }
}

impl Incoming {
    /// Waits for the next message; `None` when the server has ended the call and all is well. Nothing is lost when
    /// this is dropped before it returns.
    ///
    /// # Errors
    /// When the call has ended with another status, a message is too large, or the connection is gone.
    pub async fn next(&mut self) -> Result<Option<Bytes>, CallError> {
        loop {
            if let Some(message) = self.take()? {
                return Ok(Some(message));
            }
            let trailers = match self.body.frame().await {
                None => None,
                Some(Err(error)) => return Err(CallError(explain(&error))),
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => {
                        self.read.extend_from_slice(&data);
                        continue;
                    }
                    Err(frame) => frame.into_trailers().ok(),
                },
            };
            let ended = answer::check(&self.head, trailers.as_ref());
            return ended.map(|()| None).map_err(|failure| CallError(failure.to_string()));
        }
    }

    /// A message that is there.
    fn take(&mut self) -> Result<Option<Bytes>, CallError> {
        let Some(&[compressed, ref length @ ..]) = self.read.first_chunk::<PREFIX>() else { return Ok(None) };
        if compressed != 0 {
            return Err(CallError("a message is compressed, which nobody has asked for".to_owned()));
        }
        let length = usize::try_from(u32::from_be_bytes(*length)).unwrap_or(usize::MAX);
        if length > self.max_message {
            let message = format!("a message has {length} bytes, more than {}", self.max_message);
            return Err(CallError(message));
        }
        if self.read.len() - PREFIX < length {
            return Ok(None);
        }
        let message = self.read.split_to(PREFIX + length).freeze();
        Ok(Some(message.slice(PREFIX..)))
    }
}

impl Body for Messages {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.0.poll_recv(cx).map(|message| message.map(|message| Ok(Frame::data(message))))
    }
}
