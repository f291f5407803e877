//! The running receiver: its endpoints from start to shutdown.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use forebay_pipeline::{Budget, Consumer, Signal, Telemetry};
use forebay_tls::{ServerTls, TlsError};
use http::{Request, Response};
use hyper::body::Incoming;
use thiserror::Error;
use tokio::time::{Instant, timeout_at};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::DropGuard;

use crate::answer::Answer;
use crate::config::{GrpcConfig, HttpConfig, OtlpConfig};
use crate::connection::{self, Call, Life, Lifetime, Serve};
use crate::endpoint::{Endpoint, Listener};
use crate::grpc::Services;
use crate::http::Service;
use crate::intake::{Intake, Surroundings};
use crate::metrics::Transport;

/// Flow control: a request of 200 KB, or several at once, must not wait for window updates.
const STREAM_WINDOW: u32 = 1 << 20;
const CONNECTION_WINDOW: u32 = 4 << 20;
/// Few pieces per message; beyond this it makes no difference.
const MAX_FRAME: u32 = 64 << 10;
/// Answers are small; more than this waits for the client to take them.
const SEND_BUFFER: usize = 64 << 10;
/// What an export needs is a tenth of it.
const MAX_HEADERS: u32 = 16 << 10;
/// The same for HTTP/1, together with what is read of the body at a time.
const HTTP1_BUFFER: usize = 128 << 10;

/// Where the requests of each signal go. A signal without a consumer is not served.
#[derive(Clone, Default)]
pub struct Outputs {
    /// Takes spans.
    pub traces: Option<Arc<dyn Consumer>>,
    /// Takes metrics.
    pub metrics: Option<Arc<dyn Consumer>>,
    /// Takes log records.
    pub logs: Option<Arc<dyn Consumer>>,
}

/// A running `otlp` receiver. Dropping it cuts its connections; [`Self::shutdown`] is kinder.
#[derive(Debug)]
pub struct OtlpReceiver {
    grpc_addr: Option<SocketAddr>,
    http_addr: Option<SocketAddr>,
    life: Life,
    _cut_when_dropped: DropGuard,
}

/// Why a receiver does not start.
#[derive(Debug, Error)]
pub enum StartError {
    /// The endpoint cannot be listened on.
    #[error("receiver {receiver} cannot listen on {endpoint} for {protocol}: {source}{}", hint(source))]
    Bind {
        /// The receiver's id.
        receiver: String,
        /// `grpc` or `http`.
        protocol: &'static str,
        /// As it stands in the configuration.
        endpoint: Endpoint,
        /// Why.
        source: io::Error,
    },
    /// The TLS settings cannot be used together.
    #[error("receiver {receiver}: {source}")]
    Tls {
        /// The receiver's id.
        receiver: String,
        /// Why.
        source: TlsError,
    },
}

impl Outputs {
    pub(crate) fn of(&self, signal: Signal) -> Option<&Arc<dyn Consumer>> {
        match signal {
            Signal::Traces => self.traces.as_ref(),
            Signal::Metrics => self.metrics.as_ref(),
            Signal::Logs => self.logs.as_ref(),
        }
    }
}

impl OtlpReceiver {
    /// Binds every endpoint of `config` and serves from then on.
    ///
    /// `id` is the component's, such as `otlp` or `otlp/2`: metrics and logs carry it.
    ///
    /// # Errors
    /// When an endpoint cannot be bound; then none is.
    pub async fn start(
        id: &str,
        config: OtlpConfig,
        outputs: Outputs,
        budget: Budget,
        telemetry: &Telemetry,
    ) -> Result<Self, StartError> {
        let life = Life::default();
        let surroundings = Surroundings {
            receiver: id,
            outputs: &outputs,
            budget: &budget,
            telemetry,
            deliveries: &life.deliveries,
        };
        let OtlpConfig { grpc, http } = config;
        let grpc = match grpc {
            Some(config) => Some(grpc_endpoint(config, &surroundings, &life).await?),
            None => None,
        };
        let http = match http {
            Some(config) => Some(http_endpoint(config, &surroundings, &life).await?),
            None => None,
        };
        let grpc_addr = grpc.as_ref().and_then(|endpoint| endpoint.listener.address());
        let http_addr = http.as_ref().and_then(|endpoint| endpoint.listener.address());
        if let Some(endpoint) = grpc {
            life.tasks.spawn(life.cut.clone().run_until_cancelled_owned(endpoint.run()));
        }
        if let Some(endpoint) = http {
            life.tasks.spawn(life.cut.clone().run_until_cancelled_owned(endpoint.run()));
        }
        let cut_when_dropped = life.cut.clone().drop_guard();
        Ok(Self { grpc_addr, http_addr, life, _cut_when_dropped: cut_when_dropped })
    }

    /// The bound address of the gRPC endpoint, unless it is off or a Unix socket.
    #[must_use]
    pub fn grpc_addr(&self) -> Option<SocketAddr> {
        self.grpc_addr
    }

    /// The bound address of the HTTP endpoint, unless it is off or a Unix socket.
    #[must_use]
    pub fn http_addr(&self) -> Option<SocketAddr> {
        self.http_addr
    }

    /// Stops: no new connections from now on, calls in flight may finish until `deadline`, and what is
    /// still there then is cut. A delivery that has begun ends when the consumer lets it.
    pub async fn shutdown(self, deadline: Instant) {
        let Life { stop, cut, tasks, deliveries } = &self.life;
        stop.cancel();
        tasks.close();
        deliveries.close();
        let finished = async {
            tasks.wait().await;
            deliveries.wait().await;
        };
        if timeout_at(deadline, finished).await.is_err() {
            let (tasks, deliveries) = (tasks.len(), deliveries.len());
            tracing::warn!(tasks, deliveries, "cutting connections that did not finish in time");
            cut.cancel();
            self.life.tasks.wait().await;
        }
    }
}

async fn grpc_endpoint(
    config: GrpcConfig,
    surroundings: &Surroundings<'_>,
    life: &Life,
) -> Result<connection::Endpoint<Services>, StartError> {
    let mut protocol = connection::protocol(life).http2_only();
    protocol
        .http2()
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_frame_size(MAX_FRAME)
        .max_send_buf_size(SEND_BUFFER)
        .max_header_list_size(MAX_HEADERS)
        .max_concurrent_streams(config.max_concurrent_streams)
        .keep_alive_interval(config.keepalive.time)
        .keep_alive_timeout(config.keepalive.timeout);
    let intake =
        Intake::new(surroundings, Transport::Grpc, config.max_recv_msg_size, "max_recv_msg_size_mib");
    Ok(connection::Endpoint {
        listener: bind(surroundings.receiver, "grpc", &config.endpoint).await?,
        tls: acceptor(surroundings.receiver, config.tls.as_ref(), &[b"h2"])?,
        protocol,
        lifetime: config.lifetime,
        life: life.clone(),
        max_connections: connection::most(surroundings.budget),
        service: Arc::new(Services { intake, read_timeout: config.read_timeout }),
    })
}

async fn http_endpoint(
    config: HttpConfig,
    surroundings: &Surroundings<'_>,
    life: &Life,
) -> Result<connection::Endpoint<Service>, StartError> {
    let mut protocol = connection::protocol(life);
    protocol
        .http2()
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_frame_size(MAX_FRAME)
        .max_send_buf_size(SEND_BUFFER)
        .max_header_list_size(MAX_HEADERS)
        .max_concurrent_streams(config.max_concurrent_streams);
    protocol
        .http1()
        .keep_alive(config.keep_alives_enabled)
        .header_read_timeout(config.read_header_timeout)
        .max_buf_size(HTTP1_BUFFER);
    let intake =
        Intake::new(surroundings, Transport::Http, config.max_request_body_size, "max_request_body_size");
    Ok(connection::Endpoint {
        listener: bind(surroundings.receiver, "http", &config.endpoint).await?,
        tls: acceptor(surroundings.receiver, config.tls.as_ref(), &[b"h2", b"http/1.1"])?,
        protocol,
        lifetime: Lifetime { idle: config.idle_timeout, ..Lifetime::default() },
        life: life.clone(),
        max_connections: connection::most(surroundings.budget),
        service: Arc::new(Service {
            intake,
            paths: config.paths,
            cors: config.cors,
            codings: config.codings,
            response_headers: config.response_headers,
            read_timeout: config.read_timeout,
        }),
    })
}

async fn bind(receiver: &str, protocol: &'static str, endpoint: &Endpoint) -> Result<Listener, StartError> {
    let listener = endpoint.bind().await.map_err(|source| StartError::Bind {
        receiver: receiver.to_owned(),
        protocol,
        endpoint: endpoint.clone(),
        source,
    })?;
    tracing::info!(receiver, protocol, endpoint = %listener, "listening");
    Ok(listener)
}

fn acceptor(
    receiver: &str,
    tls: Option<&ServerTls>,
    alpn: &[&[u8]],
) -> Result<Option<TlsAcceptor>, StartError> {
    tls.map(|tls| tls.config(alpn).map(TlsAcceptor::from))
        .transpose()
        .map_err(|source| StartError::Tls { receiver: receiver.to_owned(), source })
}

fn hint(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::AddrInUse => "; stop the process that listens there or choose another port",
        io::ErrorKind::AddrNotAvailable => "; no interface of this machine has that address",
        io::ErrorKind::PermissionDenied => "; ports below 1024 and foreign directories need privileges",
        _ => "",
    }
}

impl Serve for Services {
    fn serve(
        self: Arc<Self>,
        request: Request<Incoming>,
        call: Call,
    ) -> impl Future<Output = Result<Response<Answer>, Infallible>> + Send {
        self.answer(request, call)
    }
}

impl Serve for Service {
    fn serve(
        self: Arc<Self>,
        request: Request<Incoming>,
        call: Call,
    ) -> impl Future<Output = Result<Response<Answer>, Infallible>> + Send {
        self.answer(request, call)
    }
}
