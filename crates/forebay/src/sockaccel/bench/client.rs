//! An application's exporter: tonic's own client, with whose transport the SDKs for Rust export.

use std::time::Instant;

use bytes::{Buf, BufMut, Bytes};
use http::uri::PathAndQuery;
use tonic::client::Grpc;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::transport::Endpoint;
use tonic::{Request, Status};

use super::report::median;
use crate::components::StartError;

const EXPORT: PathAndQuery =
    PathAndQuery::from_static("/opentelemetry.proto.collector.trace.v1.TraceService/Export");
const EXPORTS: usize = 1000;
/// Before it counts: the connection is made, and both ends have seen what they will see.
const WARM_UP: usize = 50;

/// The median time of an export to `http://HOST:PORT` or `unix:PATH`, in microseconds.
pub(super) async fn exports(endpoint: &str, request: &Bytes) -> Result<f64, StartError> {
    let channel = Endpoint::from_shared(endpoint.to_owned())?.connect().await?;
    let mut client = Grpc::new(channel);
    let mut times = Vec::with_capacity(WARM_UP + EXPORTS);
    for _ in 0..WARM_UP + EXPORTS {
        let begin = Instant::now();
        client.ready().await?;
        client.unary(Request::new(request.clone()), EXPORT, Encoded).await?;
        times.push(begin.elapsed().as_secs_f64() * 1e6);
    }
    Ok(median(times.split_off(WARM_UP)))
}

/// Messages are encoded already: what is measured is what carries them.
struct Encoded;

impl Codec for Encoded {
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

impl Encoder for Encoded {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, message: Bytes, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        buffer.put(message);
        Ok(())
    }
}

impl Decoder for Encoded {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        Ok(Some(buffer.copy_to_bytes(buffer.remaining())))
    }
}
