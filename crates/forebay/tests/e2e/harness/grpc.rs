//! gRPC by tonic, whose HTTP/2, framing and compression are not Forebay's; messages stay bytes.

use std::net::SocketAddr;

use bytes::Bytes;
use forebay::raw::RawCodec;
use forebay_otlp::Signal;
use futures_util::{StreamExt, stream};
use http::uri::PathAndQuery;
use tonic::client::Grpc;
use tonic::codec::CompressionEncoding;
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Status};

/// A client of one endpoint, which connects when it is used.
#[derive(Clone)]
pub(crate) struct GrpcClient(Channel);

impl GrpcClient {
    pub(crate) fn new(address: SocketAddr) -> Self {
        Self(Endpoint::from_shared(format!("http://{address}")).unwrap().connect_lazy())
    }

    /// One export.
    pub(crate) async fn export(&self, signal: Signal, message: impl Into<Bytes>) -> Result<Bytes, Status> {
        self.call(Grpc::new(self.0.clone()), signal, message.into()).await
    }

    /// One export, compressed.
    pub(crate) async fn export_compressed(
        &self,
        signal: Signal,
        message: impl Into<Bytes>,
        coding: CompressionEncoding,
    ) -> Result<Bytes, Status> {
        self.call(Grpc::new(self.0.clone()).send_compressed(coding), signal, message.into()).await
    }

    /// How a stream of messages both ways ends on which this is said.
    pub(crate) async fn stream(&self, method: &'static str, messages: Vec<Bytes>) -> Status {
        let mut grpc = Grpc::new(self.0.clone());
        grpc.ready().await.unwrap();
        let path = PathAndQuery::from_static(method);
        // The stream stays open: it is the other side that ends it.
        let messages = stream::iter(messages).chain(stream::pending());
        let answers = grpc.streaming(Request::new(messages), path, RawCodec).await;
        let mut answers = match answers {
            Ok(answers) => answers.into_inner(),
            Err(status) => return status,
        };
        loop {
            match answers.message().await {
                Ok(Some(_)) => {}
                Ok(None) => return Status::ok("the stream has ended"),
                Err(status) => return status,
            }
        }
    }

    async fn call(&self, mut grpc: Grpc<Channel>, signal: Signal, message: Bytes) -> Result<Bytes, Status> {
        grpc.ready().await.map_err(|error| Status::unavailable(format!("no connection: {error:?}")))?;
        let path = PathAndQuery::from_static(signal.grpc_path());
        Ok(grpc.unary(Request::new(message), path, RawCodec).await?.into_inner())
    }
}
