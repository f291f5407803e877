//! The store of a run in real time: what listens for what strategies and peers keep.
//!
//! It takes OTLP over gRPC, and, at the same address, Honeycomb's batches of events over HTTP, since that is all that
//! Refinery sends (<https://docs.honeycomb.io/api/events>). An event that stands for a span has its trace's id as
//! `trace.trace_id`, and stands for `samplerate` traces; others are annotations of spans. Refinery asks for the name of
//! its key's environment, too.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use forebay_otlp::threshold::Threshold;
use forebay_otlp::{SpanIndex, TraceId};
use forebay_pipeline::Batch;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use http::{Request, Response};
use http_body_util::{BodyExt as _, Limited};
use serde::Deserialize;
use serde::de::IgnoredAny;
use tokio::net::TcpListener;
use tonic::body::Body;
use tonic::transport::{Server, server::TcpIncoming};
use tower_service::Service;

use super::Error;
use super::grpc::OtlpService;
use crate::Workload;
use crate::simulate::{Store, StoredSpan};

/// A store that listens, and what keeps count of what it is sent.
pub(super) struct Listening {
    pub(super) store: Arc<Store>,
    pub(super) address: SocketAddr,
}

/// Takes both kinds of requests.
#[derive(Clone)]
struct Both<F> {
    otlp: OtlpService<F>,
    store: Arc<Store>,
}

/// An event of Honeycomb's.
#[derive(Deserialize)]
struct Event {
    #[serde(default = "Event::one")]
    samplerate: u32,
    #[serde(default, rename = "time")]
    _time: IgnoredAny,
    data: Data,
}

#[derive(Deserialize)]
struct Data {
    #[serde(rename = "trace.trace_id")]
    trace_id: Option<String>,
    /// What it is if it is no span.
    #[serde(rename = "meta.annotation_type")]
    annotation: Option<String>,
}

/// A batch of the Collector has no upper bound by default.
const MAX_MESSAGE: usize = 64 << 20;
const EVENTS: &str = "/1/batch/";
/// Refinery asks it once for each key.
const KEY: &str = "/1/auth";
const KEY_NAMES: &str =
    r#"{"environment":{"name":"bench","slug":"bench"},"team":{"name":"bench","slug":"bench"}}"#;
/// As precise as the Collector's samplers are.
const PRECISION: u32 = 4;

impl Listening {
    /// A store for `workload`. Must be called within a Tokio runtime.
    pub(super) async fn start(workload: &Workload, seed: u64) -> Result<Self, Error> {
        let store = Arc::new(Store::new(workload, seed));
        let otlp = OtlpService::new(MAX_MESSAGE, {
            let store = Arc::clone(&store);
            move |request: Bytes| {
                // What does not parse is missing afterwards.
                if let Ok(index) = SpanIndex::scan(&request) {
                    let _ = store.take(&Batch::scanned(request, index));
                }
            }
        });
        let both = Both { otlp, store: Arc::clone(&store) };
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let server = Server::builder().accept_http1(true);
        tokio::spawn(server.serve_with_incoming(both, TcpIncoming::from(listener)));
        Ok(Self { store, address })
    }
}

impl<F: Fn(Bytes) + Send + Sync + 'static> Service<Request<Body>> for Both<F> {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.otlp.poll_ready(context)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let path = request.uri().path();
        if path == KEY {
            return Box::pin(async { Ok(json(KEY_NAMES.to_owned())) });
        }
        if !path.starts_with(EVENTS) {
            return self.otlp.call(request);
        }
        let store = Arc::clone(&self.store);
        Box::pin(async move { Ok(take(&store, request).await.unwrap_or_else(|_| unreadable())) })
    }
}

/// Takes a batch of events, and accepts each of them.
async fn take(store: &Store, request: Request<Body>) -> Result<Response<Body>, Error> {
    let (head, body) = request.into_parts();
    let is = |name, value| head.headers.get(name).is_some_and(|found| found == value);
    let (compressed, packed) = (is(CONTENT_ENCODING, "zstd"), is(CONTENT_TYPE, "application/msgpack"));
    let body = Limited::new(body, MAX_MESSAGE).collect().await?.to_bytes();
    let body = if compressed { zstd::bulk::decompress(&body, MAX_MESSAGE)?.into() } else { body };
    let events: Vec<Event> =
        if packed { rmp_serde::from_slice(&body)? } else { serde_json::from_slice(&body)? };
    // Events have no lengths of their own once they are read.
    let bytes = body.len() as u64 / events.len().max(1) as u64;
    store.add(events.iter().filter_map(|event| event.span(bytes)));
    let accepted = vec![r#"{"status":202}"#; events.len()];
    Ok(json(format!("[{}]", accepted.join(","))))
}

impl Event {
    fn one() -> u32 {
        1
    }

    /// The span that it stands for.
    fn span(&self, bytes: u64) -> Option<StoredSpan> {
        let id = self.data.trace_id.as_ref().filter(|_| self.data.annotation.is_none())?;
        let trace_id = TraceId(u128::from_str_radix(id, 16).ok()?);
        let threshold = Threshold::from_probability(1.0 / f64::from(self.samplerate.max(1)), PRECISION).ok();
        Some(StoredSpan { trace_id, bytes, threshold })
    }
}

fn json(text: String) -> Response<Body> {
    let mut response = Response::new(Body::new(text));
    response.headers_mut().insert(CONTENT_TYPE, http::HeaderValue::from_static("application/json"));
    response
}

fn unreadable() -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = http::StatusCode::BAD_REQUEST;
    response
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde::Serialize;
    use tokio::time::Instant;

    use super::*;
    use crate::generate::Description;

    #[derive(Serialize)]
    struct Packed<'a> {
        time: &'a str,
        samplerate: u32,
        data: std::collections::BTreeMap<&'a str, String>,
    }

    fn event(trace: &str, annotation: Option<&str>) -> Packed<'static> {
        let mut data = std::collections::BTreeMap::from([("trace.trace_id", trace.to_owned())]);
        data.extend(annotation.map(|kind| ("meta.annotation_type", kind.to_owned())));
        Packed { time: "2026-01-01T00:00:00Z", samplerate: 20, data }
    }

    fn request(body: Vec<u8>, packed: bool) -> Request<Body> {
        let mut request = Request::new(Body::new(http_body_util::Full::new(Bytes::from(body))));
        let value = |text| http::HeaderValue::from_static(text);
        if packed {
            request.headers_mut().insert(CONTENT_TYPE, value("application/msgpack"));
            request.headers_mut().insert(CONTENT_ENCODING, value("zstd"));
        }
        request
    }

    #[tokio::test]
    async fn an_event_is_a_span_that_says_for_how_many_traces_it_stands() {
        let workload = Description { duration: Duration::from_secs(1), ..Description::load("shop").unwrap() }
            .generate(1, usize::MAX);
        let sent = workload.requests[0].with_ids_of(5, &workload.population);
        let id = format!("{:032x}", sent.index().unwrap().spans[0].trace_id.0);
        let events = [event(&id, None), event(&id, None), event(&id, Some("span_event")), event("77", None)];
        let packed = zstd::bulk::compress(&rmp_serde::to_vec_named(&events).unwrap(), 0).unwrap();
        for request in [request(packed, true), request(serde_json::to_vec(&events).unwrap(), false)] {
            let store = Store::new(&workload, 5);
            let answer = take(&store, request).await.unwrap();
            let answer = answer.into_body().collect().await.unwrap().to_bytes();
            let accepted: Vec<serde_json::Value> = serde_json::from_slice(&answer).unwrap();
            assert!(accepted.len() == 4 && accepted.iter().all(|answer| answer["status"] == 202));
            let kept = store.kept(Instant::now());
            assert_eq!((kept.len(), kept[0].spans), (1, 2));
            assert!((kept[0].weight.unwrap() - 20.0).abs() < 0.01, "{kept:?}");
        }
    }

    #[tokio::test]
    async fn what_is_no_batch_of_events_is_refused() {
        let store = Store::new(&Workload::default(), 5);
        assert!(take(&store, request(b"[{}]".to_vec(), false)).await.is_err());
        assert!(take(&store, request(b"x".to_vec(), true)).await.is_err());
    }
}
