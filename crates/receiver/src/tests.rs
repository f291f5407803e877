//! The receiver over real sockets.

mod grpc;
mod http;
mod lifecycle;
mod limits;

use std::collections::VecDeque;
use std::convert::Infallible;
use std::io::Write;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use ::http::{HeaderMap, Request, StatusCode};
use bytes::Bytes;
use forebay_config::read_str;
use forebay_otlp::response;
use forebay_pipeline::{Batch, BoxFuture, Budget, Consumer, Refusal, Signal, Telemetry};
use http_body::{Body, Frame};
use http_body_util::BodyExt;
use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use prost::Message;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::time::Instant;

use crate::{OtlpConfig, OtlpReceiver, Outputs};

const TRACES: &str = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";
const BOTH: &str = "protocols: {grpc: {endpoint: '127.0.0.1:0'}, http: {endpoint: '127.0.0.1:0'}}";

/// A consumer that keeps what it gets, refuses as told, and can be held up.
struct Sink {
    taken: Mutex<Vec<Batch>>,
    refusals: Mutex<VecDeque<Refusal>>,
    /// A batch needs a permit.
    gate: Semaphore,
    /// Told for every batch that arrives.
    arrived: Semaphore,
}

impl Sink {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            taken: Mutex::default(),
            refusals: Mutex::default(),
            gate: Semaphore::new(1_000_000),
            arrived: Semaphore::new(0),
        })
    }

    fn bytes(&self) -> Vec<Bytes> {
        self.taken.lock().unwrap().iter().map(|batch| batch.bytes.clone()).collect()
    }
}

impl Consumer for Sink {
    fn consume(&self, batch: Batch) -> BoxFuture<'_, Result<(), Refusal>> {
        Box::pin(async move {
            self.arrived.add_permits(1);
            self.gate.acquire().await.unwrap().forget();
            if let Some(refusal) = self.refusals.lock().unwrap().pop_front() {
                return Err(refusal);
            }
            self.taken.lock().unwrap().push(batch);
            Ok(())
        })
    }
}

/// A receiver with one sink for traces and metrics, and none for logs.
struct Fixture {
    receiver: OtlpReceiver,
    sink: Arc<Sink>,
    budget: Budget,
    telemetry: Telemetry,
}

impl Fixture {
    async fn start(yaml: &str) -> Self {
        Self::with_budget(yaml, 256 << 20).await
    }

    async fn with_budget(yaml: &str, budget: usize) -> Self {
        let (config, diagnostics) = read_str(yaml, OtlpConfig::read);
        assert!(!diagnostics.has_errors(), "{}", diagnostics.render(false));
        Self::with_config(config, budget).await
    }

    async fn with_config(config: OtlpConfig, budget: usize) -> Self {
        let sink = Sink::new();
        let consumer: Arc<dyn Consumer> = sink.clone();
        let outputs = Outputs { traces: Some(consumer.clone()), metrics: Some(consumer), logs: None };
        let (budget, telemetry) = (Budget::new(budget), Telemetry::new());
        let receiver =
            OtlpReceiver::start("otlp", config, outputs, budget.clone(), &telemetry).await.unwrap();
        Self { receiver, sink, budget, telemetry }
    }

    async fn grpc(&self) -> Client {
        Client::over(TcpStream::connect(self.receiver.grpc_addr().unwrap()).await.unwrap()).await
    }

    async fn http2(&self) -> Client {
        Client::over(TcpStream::connect(self.receiver.http_addr().unwrap()).await.unwrap()).await
    }

    async fn http1(&self) -> TcpStream {
        TcpStream::connect(self.receiver.http_addr().unwrap()).await.unwrap()
    }

    async fn shut_down(self) {
        self.receiver.shutdown(Instant::now() + Duration::from_secs(10)).await;
    }

    /// The value of a sample, such as `name{label="value"}`, in the text format.
    fn metric(&self, sample: &str) -> u64 {
        let families = self.telemetry.registry().gather();
        let text = prometheus::TextEncoder::new().encode_to_string(&families).unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix(sample));
        line.map_or(0, |value| value.trim().parse().unwrap())
    }
}

/// An HTTP/2 connection without opinions.
#[derive(Clone)]
struct Client(SendRequest<TestBody>);

/// Some bytes, after which a body may be waited for in vain.
struct TestBody {
    data: Option<Bytes>,
    stalls: bool,
}

impl Body for TestBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        match self.data.take() {
            Some(data) => Poll::Ready(Some(Ok(Frame::data(data)))),
            None if self.stalls => Poll::Pending,
            None => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.data.is_none() && !self.stalls
    }
}

struct Answered {
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
    trailers: HeaderMap,
}

impl Client {
    async fn over(io: impl AsyncRead + AsyncWrite + Send + Unpin + 'static) -> Self {
        let (sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(io)).await.unwrap();
        tokio::spawn(connection);
        Self(sender)
    }

    async fn post(&self, path: &str, headers: &[(&str, &str)], body: impl Into<Bytes>) -> Answered {
        self.send(path, headers, body, false).await.unwrap()
    }

    /// Posts some bytes and never ends.
    async fn stall(
        &self,
        path: &str,
        content_type: &str,
        start: impl Into<Bytes>,
    ) -> hyper::Result<Answered> {
        self.send(path, &[("content-type", content_type)], start, true).await
    }

    async fn send(
        &self,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
        stalls: bool,
    ) -> hyper::Result<Answered> {
        let mut request = Request::post(format!("http://receiver{path}"));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let data = Some(body.into()).filter(|data| !data.is_empty());
        let request = request.body(TestBody { data, stalls }).unwrap();
        let (head, body) = self.0.clone().send_request(request).await?.into_parts();
        let collected = body.collect().await?;
        let trailers = collected.trailers().cloned().unwrap_or_default();
        Ok(Answered { status: head.status, headers: head.headers, body: collected.to_bytes(), trailers })
    }

    /// A gRPC call whose body is `body`, frames and all.
    async fn call(&self, path: &str, encoding: Option<&str>, body: impl Into<Bytes>) -> Outcome {
        let mut headers = vec![("content-type", "application/grpc"), ("te", "trailers")];
        headers.extend(encoding.map(|encoding| ("grpc-encoding", encoding)));
        let answered = self.post(path, &headers, body).await;
        Outcome::of(answered)
    }
}

/// What came of a gRPC call.
#[derive(Debug)]
struct Outcome {
    code: tonic::Code,
    message: String,
    details: response::Status,
    headers: HeaderMap,
    body: Bytes,
}

impl Outcome {
    fn of(answered: Answered) -> Self {
        assert_eq!(answered.status, StatusCode::OK);
        let status = if answered.trailers.is_empty() { &answered.headers } else { &answered.trailers };
        let status = tonic::Status::from_header_map(status).unwrap();
        Self {
            code: status.code(),
            message: status.message().to_owned(),
            details: response::Status::decode(status.details()).unwrap(),
            headers: answered.headers,
            body: answered.body,
        }
    }
}

/// A gRPC message: flag, length, data.
fn framed(compressed: bool, message: &[u8]) -> Vec<u8> {
    let length = u32::try_from(message.len()).unwrap().to_be_bytes();
    [&[u8::from(compressed)], &length[..], message].concat()
}

fn span(trace_id: &[u8]) -> Span {
    Span { trace_id: trace_id.to_vec(), span_id: vec![7; 8], name: "work".into(), ..Span::default() }
}

/// A request of spans with these trace ids.
fn request(trace_ids: &[&[u8]]) -> Vec<u8> {
    let spans = trace_ids.iter().map(|id| span(id)).collect();
    let scope_spans = vec![ScopeSpans { spans, ..ScopeSpans::default() }];
    let resource_spans = vec![ResourceSpans { scope_spans, ..ResourceSpans::default() }];
    ExportTraceServiceRequest { resource_spans }.encode_to_vec()
}

fn gzip(data: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(data).unwrap();
    encoder.finish().unwrap()
}

fn deflate(data: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(data).unwrap();
    encoder.finish().unwrap()
}

fn zstd(data: &[u8]) -> Vec<u8> {
    zstd::encode_all(data, 3).unwrap()
}

/// `data` in every coding there is.
fn encoded(data: &[u8]) -> [(&'static str, Vec<u8>); 3] {
    [("gzip", gzip(data)), ("deflate", deflate(data)), ("zstd", zstd(data))]
}
