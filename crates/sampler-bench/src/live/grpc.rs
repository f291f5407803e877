//! OTLP/gRPC whose messages are bytes.
//!
//! Neither who sends nor who receives may pay for protobuf in what is measured, so both use tonic with a codec
//! that hands over the bytes of a message as they came.

use std::{
    convert::Infallible,
    future::{Ready, ready},
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use forebay::raw::RawCodec;
use forebay_otlp::Signal;
use http::uri::PathAndQuery;
use tonic::{
    Request, Response, Status,
    client::Grpc as Client,
    codec::CompressionEncoding,
    server::{Grpc as Server, UnaryService},
    transport::{Channel, Endpoint},
};
use tower_service::Service;

use super::Error;

/// A server that has not answered by then will not.
const TIMEOUT: Duration = Duration::from_secs(10);

/// One connection to a server.
#[derive(Clone, Debug)]
pub struct RawClient(Client<Channel>);

impl RawClient {
    /// Connects to `address` in clear text.
    ///
    /// # Errors
    /// If nobody listens there.
    pub async fn connect(address: SocketAddr) -> Result<Self, Error> {
        let channel = Endpoint::from_shared(format!("http://{address}"))?.timeout(TIMEOUT).connect().await?;
        Ok(Self(Client::new(channel)))
    }

    /// Sends one encoded export request of `signal`; the answer is an encoded response.
    ///
    /// # Errors
    /// The server's refusal, or that of the connection.
    pub async fn export(&mut self, signal: Signal, request: Bytes) -> Result<Bytes, Status> {
        self.call(signal.grpc_path(), request).await
    }

    /// Makes a unary call.
    ///
    /// # Errors
    /// The server's refusal, or that of the connection.
    pub async fn call(&mut self, method: &'static str, request: Bytes) -> Result<Bytes, Status> {
        self.0.ready().await.map_err(|error| Status::unavailable(error.to_string()))?;
        let path = PathAndQuery::from_static(method);
        Ok(self.0.unary(Request::new(request), path, RawCodec).await?.into_inner())
    }
}

/// An OTLP service that gives each request, of any signal, to `on_request` and accepts it.
#[derive(Debug)]
pub struct OtlpService<F> {
    on_request: Arc<F>,
    max_message: usize,
}

impl<F: Fn(Bytes)> OtlpService<F> {
    /// Accepts messages up to `max_message` bytes.
    pub fn new(max_message: usize, on_request: F) -> Self {
        Self { on_request: Arc::new(on_request), max_message }
    }
}

impl<F> Clone for OtlpService<F> {
    fn clone(&self) -> Self {
        Self { on_request: Arc::clone(&self.on_request), max_message: self.max_message }
    }
}

impl<F: Fn(Bytes)> UnaryService<Bytes> for OtlpService<F> {
    type Response = Bytes;
    type Future = Ready<Result<Response<Bytes>, Status>>;

    fn call(&mut self, request: Request<Bytes>) -> Self::Future {
        (self.on_request)(request.into_inner());
        // An empty message is the response that accepts everything.
        ready(Ok(Response::new(Bytes::new())))
    }
}

impl<F: Fn(Bytes) + Send + Sync + 'static> Service<http::Request<tonic::body::Body>> for OtlpService<F> {
    type Response = http::Response<tonic::body::Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<tonic::body::Body>) -> Self::Future {
        let service = self.clone();
        Box::pin(async move {
            if Signal::ALL.iter().all(|signal| signal.grpc_path() != request.uri().path()) {
                return Ok(Status::unimplemented("only OTLP is served").into_http());
            }
            let server = Server::new(RawCodec).max_decoding_message_size(service.max_message);
            let mut server = server.accept_compressed(CompressionEncoding::Zstd);
            Ok(server.unary(service, request).await)
        })
    }
}
