//! A small HTTP server for what the process says about itself.

use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use forebay_receiver::Endpoint;
use http::{Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use thiserror::Error;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

/// Answers GET requests by their path until it is dropped.
pub(crate) struct HttpServer {
    task: JoinHandle<()>,
}

/// The server's endpoint cannot be used.
#[derive(Debug, Error)]
#[error("{what} cannot listen on {endpoint}: {error}")]
pub(crate) struct ListenError {
    what: &'static str,
    endpoint: Endpoint,
    error: io::Error,
}

/// What is answered to a path.
pub(crate) type Handler = Arc<dyn Fn(&str) -> Response<Full<Bytes>> + Send + Sync>;

/// Scrapers and probes are few; more connections wait.
const CONNECTIONS: usize = 64;
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);

impl HttpServer {
    /// Listens on a TCP endpoint on behalf of `what`.
    ///
    /// # Errors
    /// When the endpoint cannot be listened on.
    pub(crate) async fn start(
        what: &'static str,
        endpoint: &Endpoint,
        handler: Handler,
    ) -> Result<Self, ListenError> {
        let failed = |error| ListenError { what, endpoint: endpoint.clone(), error };
        let listener = endpoint.bind_tcp().await.map_err(failed)?;
        let task = tokio::spawn(serve(listener, handler));
        Ok(Self { task })
    }

    /// Stops, and gives the endpoint free.
    pub(crate) async fn stop(mut self) {
        self.task.abort();
        // What is left of it is that it was aborted.
        let _ = (&mut self.task).await;
    }
}

impl Drop for HttpServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(listener: TcpListener, handler: Handler) {
    let connections = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let Ok(permit) = Arc::clone(&connections).acquire_owned().await else { return };
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                // Out of file descriptors, mostly: better again a little later than never.
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(HEADER_TIMEOUT / 10).await;
                continue;
            }
        };
        let handler = Arc::clone(&handler);
        tokio::spawn(async move {
            let _permit = permit;
            let service = service_fn(|request: Request<Incoming>| {
                let get = matches!(*request.method(), Method::GET | Method::HEAD);
                let answer =
                    if get { handler(request.uri().path()) } else { status(StatusCode::METHOD_NOT_ALLOWED) };
                std::future::ready(Ok::<_, Infallible>(answer))
            });
            let mut connection = http1::Builder::new();
            connection.timer(TokioTimer::new()).header_read_timeout(HEADER_TIMEOUT);
            // A client that goes away is no concern of ours.
            let _ = connection.serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

/// An answer without a body.
pub(crate) fn status(code: StatusCode) -> Response<Full<Bytes>> {
    body(code, "text/plain; charset=utf-8", Bytes::new())
}

/// An answer with a body.
pub(crate) fn body(
    code: StatusCode,
    content_type: &'static str,
    body: impl Into<Bytes>,
) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = code;
    response.headers_mut().insert(http::header::CONTENT_TYPE, http::HeaderValue::from_static(content_type));
    response
}
