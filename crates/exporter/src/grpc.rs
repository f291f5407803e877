//! OTLP over gRPC: the exporter `otlp`, or `otlp_grpc`.
//!
//! A unary call is one HTTP/2 request: five bytes of prefix, the message, and a status in the answer's
//! trailers. That is little enough to speak it directly over hyper, which lets the pieces of a batched
//! request go out as DATA frames without being copied into a codec's buffer.

use std::sync::Arc;

use bytes::Bytes;
use fastrand::Rng;
use forebay_pipeline::{Consumer, Signal};
use http::{HeaderName, HeaderValue};
use http_body_util::{BodyExt, Limited};

use crate::compression::Compression;
use crate::sender::Sender;
use crate::transport::{Outcome, Payload, Transport, explain};
use crate::{BuildError, ExporterContext};

mod answer;
mod channel;
mod config;
mod stream;
#[cfg(test)]
mod tests;

pub use channel::{CallError, Channel};
pub use config::{ChannelConfig, GrpcConfig, Keepalive};
pub use stream::{Incoming, Outgoing, StalledError, StreamChannel};

/// Flag and length before each message.
const PREFIX: usize = 5;
/// More than any answer to an export should take.
const MAX_ANSWER: usize = 1024 * 1024;

/// Makes the exporter `id`. Must be called inside a runtime.
///
/// # Errors
/// When the TLS settings cannot be used.
pub fn build(
    id: &str,
    config: GrpcConfig,
    context: &ExporterContext,
) -> Result<Arc<dyn Consumer>, BuildError> {
    let sending = config.sending.clone();
    let transport = GrpcTransport::new(config)?;
    Ok(Arc::new(Sender::new(id, transport, sending, context, Rng::new())))
}

pub(crate) struct GrpcTransport {
    channel: Channel,
    compression: Compression,
}

const GRPC_ENCODING: HeaderName = HeaderName::from_static("grpc-encoding");

impl GrpcTransport {
    pub(crate) fn new(config: GrpcConfig) -> Result<Self, BuildError> {
        let mut channel = Channel::new(&config.channel, config.sending.timeout)?;
        let encoding = match config.compression {
            Compression::Gzip(_) => Some("gzip"),
            Compression::Zstd(_) => Some("zstd"),
            Compression::None | Compression::Zlib(_) => None,
        };
        if let Some(encoding) = encoding {
            channel.add_header(GRPC_ENCODING, HeaderValue::from_static(encoding));
        }
        Ok(Self { channel, compression: config.compression })
    }
}

impl Transport for GrpcTransport {
    async fn encode(&self, _: Signal, pieces: Vec<Bytes>) -> Result<Payload, String> {
        if self.compression == Compression::None {
            let length = pieces.iter().map(Bytes::len).sum();
            return Ok(Payload::gather(&prefix(false, length)?, pieces));
        }
        let message = self.compression.append(vec![0; PREFIX], &pieces).await;
        let mut message = message.map_err(|error| format!("cannot compress: {error}"))?;
        let prefix = prefix(true, message.len() - PREFIX)?;
        message[..PREFIX].copy_from_slice(&prefix);
        Ok(Payload::from(message))
    }

    async fn send(&self, signal: Signal, payload: Payload) -> Outcome {
        // Without a status from the backend nothing is known, so all that goes wrong here is worth a retry.
        let response = match self.channel.send(signal.grpc_path(), payload).await {
            Ok(response) => response,
            Err(error) => return Outcome::failed(explain(&error)),
        };
        let (head, body) = response.into_parts();
        match Limited::new(body, MAX_ANSWER).collect().await {
            Ok(body) => {
                let trailers = body.trailers().cloned();
                answer::outcome(&head, trailers.as_ref(), &body.to_bytes())
            }
            Err(error) if error.is::<http_body_util::LengthLimitError>() => {
                Outcome::Rejected(format!("the answer is larger than {MAX_ANSWER} bytes"))
            }
            Err(error) => Outcome::failed(explain(&*error)),
        }
    }
}

fn prefix(compressed: bool, length: usize) -> Result<[u8; PREFIX], String> {
    let length =
        u32::try_from(length).map_err(|_| format!("a message of {length} bytes is too large for gRPC"))?;
    let [a, b, c, d] = length.to_be_bytes();
    Ok([u8::from(compressed), a, b, c, d])
}
