//! gRPC by tonic, whose HTTP/2, framing and compression are not Forebay's; messages stay bytes.

use std::net::SocketAddr;

use bytes::{Buf, BufMut, Bytes};
use forebay_otlp::Signal;
use http::uri::PathAndQuery;
use tonic::client::Grpc;
use tonic::codec::{Codec, CompressionEncoding, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Status};

/// Messages as bytes.
#[derive(Clone, Copy, Default)]
pub(crate) struct Raw;

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

    async fn call(&self, mut grpc: Grpc<Channel>, signal: Signal, message: Bytes) -> Result<Bytes, Status> {
        grpc.ready().await.map_err(|error| Status::unavailable(format!("no connection: {error:?}")))?;
        let path = PathAndQuery::from_static(signal.grpc_path());
        Ok(grpc.unary(Request::new(message), path, Raw).await?.into_inner())
    }
}

impl Codec for Raw {
    type Encode = Bytes;
    type Decode = Bytes;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, item: Bytes, out: &mut EncodeBuf<'_>) -> Result<(), Status> {
        out.put(item);
        Ok(())
    }
}

impl Decoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, message: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        Ok(Some(message.copy_to_bytes(message.remaining())))
    }
}
