//! OTLP/HTTP: protobuf and JSON, over HTTP/1.1 and HTTP/2.

mod answer;
pub(crate) mod cors;
pub(crate) mod framing;
mod front;
pub(crate) mod get;

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use forebay_otlp::json;
use forebay_otlp::response::PartialSuccess;
use forebay_pipeline::Signal;
use http::{HeaderMap, Method, Request, Response, Version, header, request};
use http_body::Body;
use tokio::time::timeout;

use crate::answer::Answer;
use crate::body::{Gathering, Payload, Pieces};
use crate::connection::Call;
use crate::inflate::Coding;
use crate::intake::{Intake, Lane};
use crate::reject::{Kind, Reject};
use answer::Encoding;
pub(crate) use front::Front;

/// A JSON body beyond this size is decoded on a thread of its own.
const JSON_INLINE: usize = 128 << 10;
/// How much of a rejected HTTP/1 body is read and thrown away, and for how long: a client that is cut off
/// while it still sends sees a broken pipe instead of the answer.
const DRAIN_BYTES: usize = 32 << 20;
const DRAIN_TIME: Duration = Duration::from_secs(5);

/// The service behind the HTTP endpoint.
pub(crate) struct Service {
    pub(crate) intake: Intake,
    /// The paths of [`Signal::ALL`].
    pub(crate) paths: [String; 3],
    pub(crate) front: Front,
    pub(crate) codings: Vec<Coding>,
    /// How long a body may take to arrive.
    pub(crate) read_timeout: Option<Duration>,
}

impl Service {
    /// Answers one request.
    pub(crate) async fn answer<B>(
        self: Arc<Self>,
        request: Request<B>,
        call: Call,
    ) -> Result<Response<Answer>, Infallible>
    where
        B: Body<Data = Bytes> + Unpin,
        B::Error: std::fmt::Display,
    {
        let (head, body) = request.into_parts();
        let mut entered = self.front.enter(&head, &call);
        let mut response = match entered.preflight.take() {
            Some(preflight) => preflight,
            None => self.post(&head, body).await,
        };
        self.front.leave(&head, &call, &entered, &mut response);
        Ok(response)
    }

    async fn post<B>(&self, head: &request::Parts, body: B) -> Response<Answer>
    where
        B: Body<Data = Bytes> + Unpin,
        B::Error: std::fmt::Display,
    {
        let mut pieces = Pieces::new(body);
        let content = Encoding::of(&head.headers);
        let encoding = *content.as_ref().unwrap_or(&Encoding::Protobuf);
        let outcome = match self.lane(head) {
            Ok(lane) => {
                let outcome = self.export(lane, content, &head.headers, &mut pieces).await;
                self.intake.record(lane, &outcome);
                outcome.map(|partial| encoding.success(lane.signal(), &partial))
            }
            Err(reject) => Err(reject),
        };
        match outcome {
            Ok(response) => response,
            Err(reject) => {
                if may_drain(head, &reject) {
                    drain(&mut pieces).await;
                }
                encoding.failure(&reject, &self.codings)
            }
        }
    }

    fn lane(&self, head: &request::Parts) -> Result<&Arc<Lane>, Reject> {
        let path = head.uri.path();
        let signal = self.paths.iter().zip(Signal::ALL).find(|(known, _)| *known == path);
        let Some((_, signal)) = signal else {
            return Err(Reject::new(Kind::NotServed, format!("nothing is served at {path}")));
        };
        let Some(lane) = self.intake.lane(signal) else {
            return Err(Reject::new(
                Kind::NotServed,
                format!("no pipeline with this receiver takes {signal}"),
            ));
        };
        if head.method != Method::POST {
            return Err(Reject::new(
                Kind::WrongMethod,
                format!("{} is not supported here: use POST", head.method),
            ));
        }
        Ok(lane)
    }

    async fn export<B>(
        &self,
        lane: &Arc<Lane>,
        content: Result<Encoding, Reject>,
        headers: &HeaderMap,
        pieces: &mut Pieces<B>,
    ) -> Result<PartialSuccess, Reject>
    where
        B: Body<Data = Bytes> + Unpin,
        B::Error: std::fmt::Display,
    {
        let encoding = content?;
        let _memory = self.intake.allowance().enter().await?;
        let coding = self.coding(headers)?;
        let limit = self.read_timeout.unwrap_or(Duration::MAX);
        let payload = timeout(limit, self.body(coding, headers, pieces))
            .await
            .map_err(|_| Reject::new(Kind::TooSlow, format!("the body did not arrive within {limit:?}")))??;
        let payload = match encoding {
            Encoding::Protobuf => payload,
            Encoding::Json => from_json(lane.signal(), payload).await?,
        };
        self.intake.submit(lane, payload).await
    }

    async fn body<B>(
        &self,
        coding: Coding,
        headers: &HeaderMap,
        pieces: &mut Pieces<B>,
    ) -> Result<Payload, Reject>
    where
        B: Body<Data = Bytes> + Unpin,
        B::Error: std::fmt::Display,
    {
        let mut gathering = Gathering::new(self.intake.allowance(), coding, content_length(headers))?;
        while let Some(piece) = pieces.next().await? {
            gathering.push(&piece).await?;
        }
        gathering.finish().await
    }

    fn coding(&self, headers: &HeaderMap) -> Result<Coding, Reject> {
        let mut codings = headers.get_all(header::CONTENT_ENCODING).into_iter();
        let Some(name) = codings.next() else {
            return Ok(Coding::Identity);
        };
        let coding =
            name.to_str().ok().and_then(Coding::named).filter(|coding| self.codings.contains(coding));
        match coding {
            Some(coding) if codings.next().is_none() => Ok(coding),
            _ => Err(Reject::new(
                Kind::UnknownCoding,
                format!("content-encoding {name:?} is not supported here"),
            )),
        }
    }
}

/// Decodes a JSON body, which goes with its charge as soon as the protobuf is there.
async fn from_json(signal: Signal, payload: Payload) -> Result<Payload, Reject> {
    let Payload { bytes: text, mut charge } = payload;
    let held = text.len();
    let decode = move || json::decode(signal, &text);
    // The text is still there while its meaning is written down.
    charge.resize(2 * held);
    let decoded = if held <= JSON_INLINE {
        decode()
    } else {
        tokio::task::spawn_blocking(decode).await.map_err(|error| Reject::bad_data(error.to_string()))?
    };
    let bytes = decoded.map_err(|error| Reject::bad_data(error.to_string()))?;
    charge.resize(bytes.capacity());
    Ok(Payload { bytes: Bytes::from(bytes), charge })
}

fn content_length(headers: &HeaderMap) -> Option<usize> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// HTTP/2 can stop a stream by itself, who waits for `100 Continue` has not sent anything yet, and who did
/// not send in time will not now.
fn may_drain(head: &request::Parts, reject: &Reject) -> bool {
    head.version < Version::HTTP_2
        && !head.headers.contains_key(header::EXPECT)
        && !matches!(reject.kind, Kind::TooSlow | Kind::Gone)
}

async fn drain<B>(pieces: &mut Pieces<B>)
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: std::fmt::Display,
{
    let read = async {
        let mut drained = 0;
        while drained < DRAIN_BYTES
            && let Ok(Some(piece)) = pieces.next().await
        {
            drained += piece.len();
        }
    };
    // Whether everything was read or not: the answer follows, and hyper closes what is out of step.
    let _ = timeout(DRAIN_TIME, read).await;
}
