//! The endpoints of a server from start to shutdown, whatever it is that they answer.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use forebay_pipeline::Budget;
use forebay_tls::{ServerTls, TlsError};
use thiserror::Error;
use tokio::time::{Instant, timeout_at};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::DropGuard;

use crate::auth::BearerTokens;
use crate::config::{GrpcConfig, HttpConfig};
use crate::connection::{self, Life, Lifetime, Serve};
use crate::endpoint::{Endpoint, Listener};
use crate::grpc::streaming::{StreamMethods, Streams};
use crate::grpc::unary::{Methods, Unary};
use crate::http::get::{Get, Pages};

/// The head of a request over HTTP/1, together with what is read of the body at a time.
const HTTP1_BUFFER: usize = 128 << 10;

/// Endpoints that are served until it is dropped, which cuts their connections; [`Self::shutdown`] is kinder.
#[derive(Debug)]
pub struct Server {
    life: Life,
    _cut_when_dropped: DropGuard,
}

/// Why a server does not start.
#[derive(Debug, Error)]
pub enum StartError {
    /// The endpoint cannot be listened on.
    #[error("{owner} cannot listen on {endpoint} for {protocol}: {source}{}", hint(source))]
    Bind {
        /// Whose endpoint it is: `receiver otlp`.
        owner: String,
        /// `grpc` or `http`.
        protocol: &'static str,
        /// As it stands in the configuration.
        endpoint: Endpoint,
        /// Why.
        source: io::Error,
    },
    /// The TLS settings cannot be used together.
    #[error("{owner}: {source}")]
    Tls {
        /// Whose settings they are: `receiver otlp`.
        owner: String,
        /// Why.
        source: TlsError,
    },
}

impl Server {
    /// A server without endpoints.
    #[must_use]
    pub fn new() -> Self {
        let life = Life::default();
        let cut_when_dropped = life.cut.clone().drop_guard();
        Self { life, _cut_when_dropped: cut_when_dropped }
    }

    /// Serves unary calls on behalf of `owner` (`extension name`). The address is none for a Unix socket.
    ///
    /// # Errors
    /// When the endpoint cannot be bound.
    pub async fn grpc(
        &self,
        owner: &str,
        config: &GrpcConfig,
        budget: &Budget,
        service: impl Unary,
    ) -> Result<Option<SocketAddr>, StartError> {
        let methods = Methods::new(service, config, budget);
        Ok(self.run(grpc_endpoint(owner, config, budget, &self.life, methods).await?))
    }

    /// Serves streaming calls on behalf of `owner` (`extension name`), of clients that have one of `tokens` if some
    /// are given. The address is none for a Unix socket.
    ///
    /// # Errors
    /// When the endpoint cannot be bound.
    pub async fn streams(
        &self,
        owner: &str,
        config: &GrpcConfig,
        tokens: Option<BearerTokens>,
        budget: &Budget,
        service: impl Streams,
    ) -> Result<Option<SocketAddr>, StartError> {
        let methods = StreamMethods::new(service, config, tokens, budget, &self.life);
        Ok(self.run(grpc_endpoint(owner, config, budget, &self.life, methods).await?))
    }

    /// Serves GET requests on behalf of `owner` (`extension name`). The address is none for a Unix socket.
    ///
    /// # Errors
    /// When the endpoint cannot be bound.
    pub async fn http(
        &self,
        owner: &str,
        config: &HttpConfig,
        budget: &Budget,
        service: impl Get,
    ) -> Result<Option<SocketAddr>, StartError> {
        let pages = Pages::new(service, config);
        Ok(self.run(http_endpoint(owner, config, budget, &self.life, pages).await?))
    }

    /// Serves an endpoint from now on.
    pub(crate) fn run<S: Serve>(&self, endpoint: connection::Endpoint<S>) -> Option<SocketAddr> {
        let address = endpoint.listener.address();
        self.life.tasks.spawn(self.life.cut.clone().run_until_cancelled_owned(endpoint.run()));
        address
    }

    /// When its connections end.
    pub(crate) fn life(&self) -> &Life {
        &self.life
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

impl Default for Server {
    fn default() -> Self {
        Self::new()
    }
}

/// Binds a gRPC endpoint.
pub(crate) async fn grpc_endpoint<S>(
    owner: &str,
    config: &GrpcConfig,
    budget: &Budget,
    life: &Life,
    service: S,
) -> Result<connection::Endpoint<S>, StartError> {
    let mut protocol = connection::protocol(life, config.max_concurrent_streams).http2_only();
    protocol.http2().keep_alive_interval(config.keepalive.time).keep_alive_timeout(config.keepalive.timeout);
    Ok(connection::Endpoint {
        listener: bind(owner, "grpc", &config.endpoint).await?,
        tls: acceptor(owner, config.tls.as_ref(), &[b"h2"])?,
        protocol,
        lifetime: config.lifetime,
        life: life.clone(),
        max_connections: connection::most(budget),
        service: Arc::new(service),
    })
}

/// Binds an HTTP endpoint.
pub(crate) async fn http_endpoint<S>(
    owner: &str,
    config: &HttpConfig,
    budget: &Budget,
    life: &Life,
    service: S,
) -> Result<connection::Endpoint<S>, StartError> {
    let mut protocol = connection::protocol(life, config.max_concurrent_streams);
    protocol
        .http1()
        .keep_alive(config.keep_alives_enabled)
        .header_read_timeout(config.read_header_timeout)
        .max_buf_size(HTTP1_BUFFER);
    Ok(connection::Endpoint {
        listener: bind(owner, "http", &config.endpoint).await?,
        tls: acceptor(owner, config.tls.as_ref(), &[b"h2", b"http/1.1"])?,
        protocol,
        lifetime: Lifetime { idle: config.idle_timeout, ..Lifetime::default() },
        life: life.clone(),
        max_connections: connection::most(budget),
        service: Arc::new(service),
    })
}

async fn bind(owner: &str, protocol: &'static str, endpoint: &Endpoint) -> Result<Listener, StartError> {
    let listener = endpoint.bind().await.map_err(|source| StartError::Bind {
        owner: owner.to_owned(),
        protocol,
        endpoint: endpoint.clone(),
        source,
    })?;
    tracing::info!(owner, protocol, endpoint = %listener, "listening");
    Ok(listener)
}

fn acceptor(owner: &str, tls: Option<&ServerTls>, alpn: &[&[u8]]) -> Result<Option<TlsAcceptor>, StartError> {
    tls.map(|tls| tls.config(alpn).map(TlsAcceptor::from))
        .transpose()
        .map_err(|source| StartError::Tls { owner: owner.to_owned(), source })
}

fn hint(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::AddrInUse => "; stop the process that listens there or choose another port",
        io::ErrorKind::AddrNotAvailable => "; no interface of this machine has that address",
        io::ErrorKind::PermissionDenied => "; ports below 1024 and foreign directories need privileges",
        _ => "",
    }
}
