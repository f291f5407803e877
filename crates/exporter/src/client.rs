//! The HTTP client below both OTLP exporters.
//!
//! Connections are made by the first request that needs one, so nothing fails at start because a backend
//! is down. Names are resolved for every new connection. A peer that is gone without a word is noticed by
//! the kernel: data that nobody acknowledges closes the connection.

use std::error::Error;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use std::{future, io};

use forebay_pipeline::BoxFuture;
use forebay_tls::{ClientTls, TlsError};
use http::Uri;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::{Connected, Connection, HttpConnector};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::UnixStream;
use tokio_rustls::TlsConnector;
use tower_service::Service;

use crate::transport::Payload;

/// Unacknowledged data of this age closes a connection.
const USER_TIMEOUT: Duration = Duration::from_secs(20);
/// An idle connection is probed so often, as Go's dialer does.
const KEEPALIVE: Duration = Duration::from_secs(15);

/// A client that sends [`Payload`]s.
pub(crate) type Client = legacy::Client<Connector, Payload>;

/// A client's builder with the timers it needs.
pub(crate) fn builder() -> legacy::Builder {
    let mut builder = legacy::Client::builder(TokioExecutor::new());
    builder.timer(TokioTimer::new()).pool_timer(TokioTimer::new());
    builder
}

/// Where connections go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    /// To the host and port of each request's URI.
    Request,
    /// To the host and port of this URI, whatever authority a request names.
    Fixed(Uri),
    /// To a Unix domain socket.
    Unix(PathBuf),
}

/// TLS for requests whose scheme is `https`.
#[derive(Clone)]
pub(crate) struct Tls {
    config: Arc<ClientConfig>,
    /// The name to verify instead of the request's host.
    server_name: Option<ServerName<'static>>,
}

impl Tls {
    /// What the settings ask for, offering the protocols `alpn`.
    pub(crate) fn new(settings: &ClientTls, alpn: &[&[u8]]) -> Result<Self, TlsError> {
        let name = settings.server_name().map(str::to_owned);
        Ok(Self {
            config: settings.config(alpn)?,
            // The settings hold no name that is not valid.
            server_name: name.and_then(|name| ServerName::try_from(name).ok()),
        })
    }
}

/// Makes connections over TCP or a Unix socket, with TLS or without.
#[derive(Clone)]
pub(crate) struct Connector {
    target: Target,
    tcp: HttpConnector,
    tls: Tls,
}

impl Connector {
    /// `timeout` bounds how long all addresses of a name are tried.
    pub(crate) fn new(target: Target, tls: Tls, timeout: Option<Duration>) -> Self {
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_keepalive(Some(KEEPALIVE));
        tcp.set_keepalive_interval(Some(KEEPALIVE));
        #[cfg(target_os = "linux")]
        tcp.set_tcp_user_timeout(Some(USER_TIMEOUT));
        tcp.set_connect_timeout(timeout);
        Self { target, tcp, tls }
    }

    async fn connect(mut self, uri: Uri) -> Result<Link, Box<dyn Error + Send + Sync>> {
        let stream: Box<dyn Duplex> = match &self.target {
            Target::Unix(path) => Box::new(UnixStream::connect(path).await?),
            Target::Fixed(address) => Box::new(dial(&mut self.tcp, address.clone()).await?),
            Target::Request => Box::new(dial(&mut self.tcp, uri.clone()).await?),
        };
        if uri.scheme() != Some(&http::uri::Scheme::HTTPS) {
            return Ok(Link { stream: TokioIo::new(stream), h2: false });
        }
        let name = match self.tls.server_name {
            Some(name) => name,
            // An IPv6 address stands in brackets in a URI.
            None => ServerName::try_from(uri.host().unwrap_or_default().trim_matches(['[', ']']).to_owned())?,
        };
        let stream = TlsConnector::from(self.tls.config).connect(name, stream).await?;
        let h2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
        Ok(Link { stream: TokioIo::new(Box::new(stream)), h2 })
    }
}

async fn dial(
    tcp: &mut HttpConnector,
    uri: Uri,
) -> Result<impl AsyncRead + AsyncWrite + Send + Unpin + 'static, Box<dyn Error + Send + Sync>> {
    future::poll_fn(|cx| tcp.poll_ready(cx)).await?;
    Ok(tcp.call(uri).await?.into_inner())
}

impl Service<Uri> for Connector {
    type Response = Link;
    type Error = Box<dyn Error + Send + Sync>;
    type Future = BoxFuture<'static, Result<Link, Self::Error>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        Box::pin(self.clone().connect(uri))
    }
}

/// A stream of bytes in both directions.
trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}

/// A connection, whatever it is made of.
pub(crate) struct Link {
    stream: TokioIo<Box<dyn Duplex>>,
    h2: bool,
}

impl Connection for Link {
    fn connected(&self) -> Connected {
        if self.h2 { Connected::new().negotiated_h2() } else { Connected::new() }
    }
}

impl Read for Link {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl Write for Link {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buffer)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffers: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, buffers)
    }
}
