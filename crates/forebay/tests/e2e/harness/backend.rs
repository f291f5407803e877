//! An OTLP backend that remembers what it got, over gRPC by tonic and over HTTP by hyper, on one port.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::future::pending;
use std::io::Read;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use forebay::raw::RawCodec;
use forebay_otlp::Signal;
use http::{HeaderMap, Response, header};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use opentelemetry_proto::tonic::trace::v1::Span;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio::time::sleep;
use tonic::body::Body;
use tonic::codec::CompressionEncoding;
use tonic::server::{Grpc, UnaryService};
use tonic::{Code, Status};

use super::{Traces, eventually};

/// A backend that listens until it is dropped.
pub(crate) struct Backend {
    pub(crate) address: SocketAddr,
    state: Arc<State>,
    _accepting: JoinSet<()>,
}

/// What the backend does with requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Behaviour {
    /// Takes them.
    Accept,
    /// Never answers.
    Hang,
    /// Takes them, each after this time.
    Delay(Duration),
    /// Answers with this status.
    Refuse(Code),
}

/// A request that was taken.
#[derive(Clone, Debug)]
pub(crate) struct Received {
    pub(crate) signal: Signal,
    pub(crate) message: Bytes,
    pub(crate) headers: HeaderMap,
}

struct State {
    behaviour: Mutex<Behaviour>,
    received: Mutex<Vec<Received>>,
}

impl Backend {
    /// A backend on a port of its own.
    pub(crate) async fn start() -> Self {
        Self::on(super::free_port()).await
    }

    /// A backend on this port.
    pub(crate) async fn on(port: u16) -> Self {
        Self::at(SocketAddr::from(([127, 0, 0, 1], port))).await
    }

    /// A backend at this address.
    pub(crate) async fn at(address: SocketAddr) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let state = Arc::new(State { behaviour: Mutex::new(Behaviour::Accept), received: Mutex::default() });
        let mut accepting = JoinSet::new();
        accepting.spawn(accept(listener, Arc::clone(&state)));
        Self { address, state, _accepting: accepting }
    }

    /// Does something else from now on.
    pub(crate) fn behave(&self, behaviour: Behaviour) {
        *self.state.behaviour.lock().unwrap() = behaviour;
    }

    /// The messages of a signal, in order of arrival.
    pub(crate) fn messages(&self, signal: Signal) -> Vec<Bytes> {
        self.received()
            .into_iter()
            .filter(|received| received.signal == signal)
            .map(|received| received.message)
            .collect()
    }

    /// Everything that was taken, in order of arrival.
    pub(crate) fn received(&self) -> Vec<Received> {
        self.state.received.lock().unwrap().clone()
    }

    /// The spans so far.
    pub(crate) fn traces(&self) -> Traces {
        self.messages(Signal::Traces).iter().map(|message| Traces::decode(message)).collect()
    }

    /// Waits for as many spans, and returns them.
    pub(crate) async fn until_spans(&self, count: usize) -> Vec<Span> {
        let what = format!("{count} spans at the backend");
        eventually(&what, async || Some(self.traces().into_spans()).filter(|spans| spans.len() >= count))
            .await
    }

    /// The ids of the traces so far.
    pub(crate) fn trace_ids(&self) -> BTreeSet<u128> {
        self.traces().ids()
    }
}

async fn accept(listener: TcpListener, state: Arc<State>) {
    // Dropped with this task, so that a backend that stops also cuts its connections.
    let mut connections = JoinSet::new();
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        let state = Arc::clone(&state);
        connections.spawn(async move {
            let service = service_fn(|request: http::Request<Incoming>| {
                let state = Arc::clone(&state);
                async move { Ok::<_, Infallible>(answer(state, request).await) }
            });
            // A client that goes away is no failure.
            let _ = auto::Builder::new(TokioExecutor::new())
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
    }
}

async fn answer(state: Arc<State>, request: http::Request<Incoming>) -> Response<Body> {
    let is = |kind: &str| request.headers().get(header::CONTENT_TYPE).is_some_and(|found| found == kind);
    let path = request.uri().path();
    let (signal_of, over_grpc): (fn(Signal) -> &'static str, _) =
        if is("application/grpc") { (Signal::grpc_path, true) } else { (Signal::http_path, false) };
    let signal = Signal::ALL.into_iter().find(|signal| signal_of(*signal) == path).expect("a path of OTLP");
    if over_grpc {
        let codings = [CompressionEncoding::Gzip, CompressionEncoding::Zstd];
        let grpc = codings.into_iter().fold(Grpc::new(RawCodec), Grpc::accept_compressed);
        return grpc.max_decoding_message_size(64 << 20).unary(Export { state, signal }, request).await;
    }
    let (head, body) = request.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    let mut inflated = Vec::new();
    match head.headers.get(header::CONTENT_ENCODING).map(|coding| coding.to_str().unwrap()) {
        None => inflated.extend_from_slice(&body),
        Some("gzip") => _ = flate2::read::GzDecoder::new(&*body).read_to_end(&mut inflated).unwrap(),
        Some("zstd") => _ = zstd::Decoder::new(&*body).unwrap().read_to_end(&mut inflated).unwrap(),
        Some(other) => panic!("{other} was not asked for"),
    }
    let status = match state.take(signal, inflated.into(), head.headers).await {
        Ok(()) => 200,
        Err(status) if status.code() == Code::Unavailable => 503,
        Err(_) => 400,
    };
    Response::builder().status(status).body(Body::empty()).unwrap()
}

struct Export {
    state: Arc<State>,
    signal: Signal,
}

impl UnaryService<Bytes> for Export {
    type Response = Bytes;
    type Future = Pin<Box<dyn Future<Output = Result<tonic::Response<Bytes>, Status>> + Send>>;

    fn call(&mut self, request: tonic::Request<Bytes>) -> Self::Future {
        let (state, signal) = (Arc::clone(&self.state), self.signal);
        Box::pin(async move {
            let (metadata, _, message) = request.into_parts();
            state.take(signal, message, metadata.into_headers()).await?;
            Ok(tonic::Response::new(Bytes::new()))
        })
    }
}

impl State {
    async fn take(&self, signal: Signal, message: Bytes, headers: HeaderMap) -> Result<(), Status> {
        let behaviour = *self.behaviour.lock().unwrap();
        match behaviour {
            Behaviour::Accept => {}
            Behaviour::Delay(time) => sleep(time).await,
            Behaviour::Hang => pending().await,
            Behaviour::Refuse(code) => return Err(Status::new(code, "as told")),
        }
        self.received.lock().unwrap().push(Received { signal, message, headers });
        Ok(())
    }
}
