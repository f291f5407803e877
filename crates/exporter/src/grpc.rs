//! OTLP over gRPC: the exporter `otlp`, or `otlp_grpc`.
//!
//! A unary call is one HTTP/2 request: five bytes of prefix, the message, and a status in the answer's
//! trailers. That is little enough to speak it directly over hyper, which lets the pieces of a batched
//! request go out as DATA frames without being copied into a codec's buffer.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use fastrand::Rng;
use forebay_pipeline::{Consumer, Signal};
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Uri, Version, header};
use http_body_util::{BodyExt, Limited};

use crate::client::{self, Client, Connector, Target, Tls};
use crate::compression::Compression;
use crate::sender::Sender;
use crate::transport::{Outcome, Payload, Transport, explain};
use crate::{BuildError, ExporterContext};

mod answer;
mod config;
#[cfg(test)]
mod tests;

pub use config::{GrpcConfig, Keepalive};

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

struct GrpcTransport {
    client: Client,
    scheme: Scheme,
    authority: Authority,
    headers: HeaderMap,
    compression: Compression,
}

impl GrpcTransport {
    fn new(config: GrpcConfig) -> Result<Self, BuildError> {
        let scheme = if config.plaintext() { Scheme::HTTP } else { Scheme::HTTPS };
        let authority = config.authority();
        let target = match config.endpoint.unix_path() {
            Some(path) => Target::Unix(path.to_owned()),
            None => Target::Fixed(uri(&Scheme::HTTP, config.endpoint.authority(), "/")),
        };
        let tls = Tls::new(&config.tls, &[b"h2"])?;
        let mut builder = client::builder();
        builder.http2_only(true).http2_max_send_buf_size(config.write_buffer_size);
        if let Some(keepalive) = config.keepalive {
            builder
                .http2_keep_alive_interval(Some(keepalive.time).filter(|time| !time.is_zero()))
                .http2_keep_alive_timeout(keepalive.timeout)
                .http2_keep_alive_while_idle(keepalive.permit_without_stream);
        }
        let mut headers = config.headers.clone();
        headers.insert(header::TE, HeaderValue::from_static("trailers"));
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
        headers.insert(header::USER_AGENT, config.user_agent.clone());
        let encoding = match config.compression {
            Compression::Gzip(_) => Some("gzip"),
            Compression::Zstd(_) => Some("zstd"),
            Compression::None | Compression::Zlib(_) => None,
        };
        if let Some(encoding) = encoding {
            headers.insert(GRPC_ENCODING, HeaderValue::from_static(encoding));
        }
        if let Some(timeout) = config.sending.timeout {
            headers.insert(GRPC_TIMEOUT, timeout_value(timeout));
        }
        Ok(Self {
            client: builder.build(Connector::new(target, tls, config.sending.timeout)),
            scheme,
            authority,
            headers,
            compression: config.compression,
        })
    }
}

const GRPC_ENCODING: HeaderName = HeaderName::from_static("grpc-encoding");
const GRPC_TIMEOUT: HeaderName = HeaderName::from_static("grpc-timeout");

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
        let mut request = Request::new(payload);
        *request.method_mut() = Method::POST;
        *request.version_mut() = Version::HTTP_2;
        *request.uri_mut() = uri(&self.scheme, self.authority.clone(), signal.grpc_path());
        *request.headers_mut() = self.headers.clone();
        // Without a status from the backend nothing is known, so all that goes wrong here is worth a retry.
        let response = match self.client.request(request).await {
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

/// At most eight digits and a unit.
fn timeout_value(timeout: Duration) -> HeaderValue {
    let (count, unit) = match timeout.as_millis() {
        millis @ 0..100_000_000 => (millis.max(1), "m"),
        millis => ((millis / 1000).min(99_999_999), "S"),
    };
    HeaderValue::try_from(format!("{count}{unit}")).unwrap_or(HeaderValue::from_static("5000m"))
}

fn uri(scheme: &Scheme, authority: Authority, path: &'static str) -> Uri {
    let mut parts = http::uri::Parts::default();
    parts.scheme = Some(scheme.clone());
    parts.authority = Some(authority);
    parts.path_and_query = Some(PathAndQuery::from_static(path));
    #[expect(clippy::expect_used, reason = "scheme, authority and path are all there")]
    Uri::from_parts(parts).expect("a URI of all three parts is valid")
}
