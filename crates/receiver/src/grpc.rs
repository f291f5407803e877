//! OTLP/gRPC: three unary methods over HTTP/2, without a message type in sight.
//!
//! A generic gRPC server decodes a stream of messages; an export is a single one, whose length stands in
//! its first five bytes. Reading it here puts the bytes where they stay, inflates them under the
//! receiver's own bounds, and sees what a generic server lets pass: a call without a message, or with two.

pub(crate) mod streaming;
pub(crate) mod unary;

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use forebay_otlp::response::{PartialSuccess, Status as RpcStatus};
use forebay_pipeline::Signal;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header, request};
use http_body::Body;
use tokio::time::timeout;

use crate::answer::Answer;
use crate::body::{Allowance, Gathering, Payload, Pieces};
use crate::connection::Call;
use crate::inflate::Coding;
use crate::intake::{Intake, Lane};
use crate::reject::{Kind, Reject};

const GRPC: HeaderValue = HeaderValue::from_static("application/grpc");
const GRPC_ENCODING: &str = "grpc-encoding";
const GRPC_ACCEPT_ENCODING: &str = "grpc-accept-encoding";
const ACCEPTED: HeaderValue = HeaderValue::from_static("identity,gzip,deflate,zstd");
/// Whether the message is compressed, and its length.
const PREFIX: usize = 5;

/// The services behind the gRPC endpoint.
pub(crate) struct Services {
    pub(crate) intake: Intake,
    /// How long a message may take to arrive.
    pub(crate) read_timeout: Option<Duration>,
}

impl Services {
    /// Answers one call.
    ///
    /// The head is dealt with before there is a future: thousands of calls may be waiting for their
    /// messages, and none of them needs to keep it.
    pub(crate) fn answer<B>(
        self: Arc<Self>,
        request: Request<B>,
        call: Call,
    ) -> impl Future<Output = Result<Response<Answer>, Infallible>>
    where
        B: Body<Data = Bytes> + Unpin,
        B::Error: std::fmt::Display,
    {
        let (head, body) = request.into_parts();
        let is_call = is_call(&head);
        let lane = self.lane(head.uri.path()).cloned();
        let coding = coding(&head.headers);
        async move {
            let _call = call;
            if !is_call {
                return Ok(not_grpc());
            }
            let lane = match lane {
                Ok(lane) => lane,
                Err(reject) => return Ok(failure(&reject)),
            };
            let outcome = self.export(&lane, coding, body).await;
            self.intake.record(&lane, &outcome);
            Ok(outcome.map_or_else(|reject| failure(&reject), |partial| success(&partial.encode())))
        }
    }

    fn lane(&self, path: &str) -> Result<&Arc<Lane>, Reject> {
        let Some(signal) = Signal::ALL.into_iter().find(|signal| signal.grpc_path() == path) else {
            return Err(Reject::new(Kind::NotServed, format!("unknown method {path}")));
        };
        self.intake.lane(signal).ok_or_else(|| {
            Reject::new(Kind::NotServed, format!("no pipeline with this receiver takes {signal}"))
        })
    }

    async fn export<B>(
        &self,
        lane: &Arc<Lane>,
        coding: Result<Coding, Reject>,
        body: B,
    ) -> Result<PartialSuccess, Reject>
    where
        B: Body<Data = Bytes> + Unpin,
        B::Error: std::fmt::Display,
    {
        let coding = coding?;
        let _memory = self.intake.allowance().enter().await?;
        let payload = receive(self.intake.allowance(), coding, Pieces::new(body), self.read_timeout).await?;
        self.intake.submit(lane, payload).await
    }
}

/// The one message of a unary call, if it arrives in time.
async fn receive<B>(
    allowance: &Allowance,
    coding: Coding,
    pieces: Pieces<B>,
    limit: Option<Duration>,
) -> Result<Payload, Reject>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: std::fmt::Display,
{
    let limit = limit.unwrap_or(Duration::MAX);
    timeout(limit, message(allowance, coding, pieces))
        .await
        .map_err(|_| Reject::new(Kind::TooSlow, format!("the request did not arrive within {limit:?}")))?
}

async fn message<B>(allowance: &Allowance, coding: Coding, mut pieces: Pieces<B>) -> Result<Payload, Reject>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: std::fmt::Display,
{
    let message = next_message(allowance, coding, &mut pieces).await?;
    let message = message
        .ok_or_else(|| Reject::new(Kind::Cardinality, "the call is unary: it has one message, not none"))?;
    if pieces.next().await?.is_some() {
        return Err(Reject::new(Kind::Cardinality, "the call is unary: it has one message, not more"));
    }
    Ok(message)
}

/// The next message of a call; `None` at its end.
async fn next_message<B>(
    allowance: &Allowance,
    coding: Coding,
    pieces: &mut Pieces<B>,
) -> Result<Option<Payload>, Reject>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: std::fmt::Display,
{
    let prefix = match pieces.exactly::<PREFIX>().await? {
        Ok(prefix) => prefix,
        Err(0) => return Ok(None),
        Err(_) => return Err(truncated()),
    };
    let [compressed, length @ ..] = prefix;
    let length = usize::try_from(u32::from_be_bytes(length)).unwrap_or(usize::MAX);
    let coding = match (compressed, coding) {
        (0, _) => Coding::Identity,
        (1, Coding::Identity) => {
            return Err(Reject::bad_data("the message is compressed but grpc-encoding does not say how"));
        }
        (1, coding) => coding,
        (flag, _) => {
            return Err(Reject::bad_data(format!("{flag} is not a gRPC compression flag")));
        }
    };
    let mut gathering = Gathering::new(allowance, coding, Some(length))?;
    let mut missing = length;
    while missing > 0 {
        let piece = pieces.next_within(missing).await?.ok_or_else(truncated)?;
        gathering.push(&piece).await?;
        missing -= piece.len();
    }
    gathering.finish().await.map(Some)
}

fn is_call(head: &request::Parts) -> bool {
    head.method == Method::POST && is_grpc(&head.headers)
}

fn is_grpc(headers: &HeaderMap) -> bool {
    let Some(kind) = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()) else {
        return false;
    };
    let essence = kind.split(';').next().unwrap_or(kind).trim();
    essence.eq_ignore_ascii_case("application/grpc") || essence.eq_ignore_ascii_case("application/grpc+proto")
}

fn coding(headers: &HeaderMap) -> Result<Coding, Reject> {
    let Some(name) = headers.get(GRPC_ENCODING) else {
        return Ok(Coding::Identity);
    };
    name.to_str().ok().and_then(Coding::named).ok_or_else(|| {
        let message = format!("grpc-encoding {name:?} is not supported: use gzip, deflate, zstd or identity");
        Reject::new(Kind::UnknownCoding, message)
    })
}

fn truncated() -> Reject {
    Reject::bad_data("the call ends within a message")
}

/// What HTTP clients get that do not speak gRPC.
fn not_grpc() -> Response<Answer> {
    let mut response = Response::new(Answer::default());
    *response.status_mut() = StatusCode::UNSUPPORTED_MEDIA_TYPE;
    response
}

fn success(message: &[u8]) -> Response<Answer> {
    let mut trailers = HeaderMap::with_capacity(1);
    trailers.insert("grpc-status", HeaderValue::from_static("0"));
    answered(Answer::with_trailers(framed(message), trailers))
}

/// A message with its prefix.
fn framed(message: &[u8]) -> Vec<u8> {
    let mut data = Vec::with_capacity(PREFIX + message.len());
    data.push(0);
    data.extend_from_slice(&u32::try_from(message.len()).unwrap_or(u32::MAX).to_be_bytes());
    data.extend_from_slice(message);
    data
}

/// The response to a call that is served.
fn answered(answer: Answer) -> Response<Answer> {
    let mut response = Response::new(answer);
    response.headers_mut().insert(header::CONTENT_TYPE, GRPC);
    response.headers_mut().insert(GRPC_ACCEPT_ENCODING, ACCEPTED);
    response
}

fn failure(reject: &Reject) -> Response<Answer> {
    status(&reject.into())
}

impl From<&Reject> for tonic::Status {
    fn from(reject: &Reject) -> Self {
        let code = reject.kind.code();
        match reject.retry_after {
            None => Self::new(code, &reject.message),
            retry_delay => {
                let details = RpcStatus { code: code.into(), message: reject.message.clone(), retry_delay };
                Self::with_details(code, &reject.message, details.encode().into())
            }
        }
    }
}

fn status(status: &tonic::Status) -> Response<Answer> {
    let mut response = status.clone().into_http::<Answer>();
    response.headers_mut().insert(GRPC_ACCEPT_ENCODING, ACCEPTED);
    response
}
