//! Streaming calls: messages both ways for as long as both sides want.
//!
//! A message is read when somebody asks for the next, so a service that is behind is felt by its client as a stream
//! that does not move; it is bounded as the message of a unary call is. Few messages wait to be sent. A client
//! that does not take them for a while loses its connection: hyper does not look at a stream without window, so
//! nothing less would get rid of it.

use std::convert::Infallible;
use std::future::Future;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use forebay_pipeline::{Budget, Charge};
use http::{HeaderMap, Request, Response};
use http_body::Frame;
use hyper::body;
use thiserror::Error;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tonic::Status;

use super::{answered, coding, failure, framed, is_call, next_message, not_grpc, status};
use crate::answer::Answer;
use crate::auth::BearerTokens;
use crate::body::{Allowance, Pieces};
use crate::config::GrpcConfig;
use crate::connection::{Call, Life, Serve};
use crate::inflate::Coding;
use crate::reject::{Kind, Reject};

/// Messages that wait to be sent on a stream.
const QUEUE: usize = 4;
/// How long the oldest of them waits for the client.
const PATIENCE: Duration = Duration::from_secs(30);

/// What serves streaming calls.
pub trait Streams: Send + Sync + 'static {
    /// Serves a call of `method` (`/package.Service/Method`) for as long as it lasts. It is dropped when the server
    /// stops.
    ///
    /// # Errors
    /// The status that the call ends with; [`tonic::Code::Unimplemented`] if there is no such method.
    fn serve(
        &self,
        method: &str,
        incoming: Incoming,
        outgoing: Outgoing,
    ) -> impl Future<Output = Result<(), Status>> + Send;
}

/// What a client sends on a stream.
pub struct Incoming {
    client: Option<IpAddr>,
    allowance: Allowance,
    coding: Coding,
    pieces: Pieces<body::Incoming>,
    /// How long a message may take to arrive once it has begun.
    read_timeout: Option<Duration>,
}

/// A message, and what it holds of the budget.
#[derive(Debug)]
pub struct Received {
    /// The message.
    pub message: Bytes,
    /// To be kept as long as the message is.
    pub charge: Charge,
}

/// Sends a client messages.
#[derive(Clone, Debug)]
pub struct Outgoing(mpsc::Sender<Frame<Bytes>>);

/// The client is gone, or has not taken messages for too long.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("the peer is gone or does not read")]
pub struct StalledError;

/// [`Streams`] behind an endpoint.
pub(crate) struct StreamMethods<S> {
    service: S,
    tokens: Option<BearerTokens>,
    allowance: Allowance,
    read_timeout: Option<Duration>,
    life: Life,
}

impl Incoming {
    /// The address of the client; there is none at a Unix socket.
    #[must_use]
    pub const fn client(&self) -> Option<IpAddr> {
        self.client
    }

    /// Waits for the next message; `None` when the client has no more.
    ///
    /// # Errors
    /// When the message is malformed, too large, or does not arrive in time; and when the client is gone.
    pub async fn next(&mut self) -> Result<Option<Received>, Status> {
        let received = async {
            if self.pieces.are_over().await? {
                return Ok(None);
            }
            let limit = self.read_timeout.unwrap_or(Duration::MAX);
            let message = timeout(limit, next_message(&self.allowance, self.coding, &mut self.pieces));
            message.await.map_err(|_| {
                Reject::new(Kind::TooSlow, format!("a message did not arrive within {limit:?}"))
            })?
        };
        match received.await {
            Ok(payload) => {
                Ok(payload.map(|payload| Received { message: payload.bytes, charge: payload.charge }))
            }
            Err(reject) => Err((&reject).into()),
        }
    }
}

impl Outgoing {
    /// Sends a message, waiting for those before it.
    ///
    /// # Errors
    /// When the client is gone, or has taken none for half a minute.
    pub async fn send(&self, message: &[u8]) -> Result<(), StalledError> {
        self.frame(Frame::data(framed(message).into())).await
    }

    async fn frame(&self, frame: Frame<Bytes>) -> Result<(), StalledError> {
        match self.0.send_timeout(frame, PATIENCE).await {
            Ok(()) => Ok(()),
            Err(_) => Err(StalledError),
        }
    }
}

impl<S: Streams> StreamMethods<S> {
    pub(crate) fn new(
        service: S,
        config: &GrpcConfig,
        tokens: Option<BearerTokens>,
        budget: &Budget,
        life: &Life,
    ) -> Self {
        let allowance = Allowance::new(budget.clone(), config.max_recv_msg_size, "max_recv_msg_size_mib");
        Self { service, tokens, allowance, read_timeout: config.read_timeout, life: life.clone() }
    }

    /// Serves a call and tells the client how it has ended.
    async fn run(&self, method: &str, incoming: Incoming, outgoing: Outgoing, call: &Call) {
        let ended = tokio::select! {
            ended = self.service.serve(method, incoming, outgoing.clone()) => ended,
            () = self.life.stop.cancelled() => Err(Status::unavailable("the server stops")),
        };
        let mut trailers = HeaderMap::new();
        let told = match ended.err().unwrap_or_else(|| Status::ok("")).add_header(&mut trailers) {
            Ok(()) => outgoing.frame(Frame::trailers(trailers)).await,
            Err(_) => Err(StalledError),
        };
        if told.is_err() {
            call.cut_connection();
        }
    }
}

impl<S: Streams> Serve for StreamMethods<S> {
    async fn serve(
        self: Arc<Self>,
        request: Request<body::Incoming>,
        call: Call,
    ) -> Result<Response<Answer>, Infallible> {
        let (head, body) = request.into_parts();
        if !is_call(&head) {
            return Ok(not_grpc());
        }
        if !self.tokens.as_ref().is_none_or(|tokens| tokens.admit(&head.headers)) {
            return Ok(status(&Status::unauthenticated("no bearer token that is known here")));
        }
        let begun = async { Ok((coding(&head.headers)?, self.allowance.enter().await?)) };
        let (coding, memory) = match begun.await {
            Ok(begun) => begun,
            Err(reject) => return Ok(failure(&reject)),
        };
        let incoming = Incoming {
            client: call.client,
            allowance: self.allowance.clone(),
            coding,
            pieces: Pieces::new(body),
            read_timeout: self.read_timeout,
        };
        let (queue, frames) = mpsc::channel(QUEUE);
        let life = self.life.clone();
        life.tasks.spawn(life.cut.run_until_cancelled_owned(async move {
            let _memory = memory;
            self.run(head.uri.path(), incoming, Outgoing(queue), &call).await;
        }));
        Ok(answered(Answer::Stream(frames)))
    }
}
