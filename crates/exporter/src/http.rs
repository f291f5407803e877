//! OTLP over HTTP: the exporter `otlphttp`, or `otlp_http`.
//!
//! HTTP/1.1, or HTTP/2 where TLS negotiates it. Redirects are not followed and proxies named in the
//! environment are not used: telemetry goes where the configuration says.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::{Bytes, BytesMut};
use fastrand::Rng;
use forebay_otlp::json;
use forebay_pipeline::{Consumer, Signal};
use http::{HeaderMap, HeaderValue, Method, Request, header};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use tokio::time::timeout;

use crate::client::{self, Client, Connector, Target, Tls};
use crate::compression::Compression;
use crate::sender::Sender;
use crate::transport::{Outcome, Payload, Transport, explain};
use crate::{BuildError, ExporterContext};

mod answer;
mod config;
#[cfg(test)]
mod tests;

use config::Urls;
pub use config::{Encoding, HttpConfig};

/// As much of an answer as is looked at.
const MAX_ANSWER: usize = 64 * 1024;
/// How long the body of an answer may take after its head.
const PATIENCE: Duration = Duration::from_secs(2);

/// Makes the exporter `id`. Must be called inside a runtime.
///
/// # Errors
/// When the TLS settings cannot be used.
pub fn build(
    id: &str,
    config: HttpConfig,
    context: &ExporterContext,
) -> Result<Arc<dyn Consumer>, BuildError> {
    let sending = config.sending.clone();
    let transport = HttpTransport::new(config)?;
    Ok(Arc::new(Sender::new(id, transport, sending, context, Rng::new())))
}

struct HttpTransport {
    client: Client,
    urls: Urls,
    headers: HeaderMap,
    encoding: Encoding,
    compression: Compression,
}

impl HttpTransport {
    fn new(config: HttpConfig) -> Result<Self, BuildError> {
        let alpn: &[&[u8]] = if config.force_attempt_http2 { &[b"h2", b"http/1.1"] } else { &[b"http/1.1"] };
        let tls = Tls::new(&config.tls, alpn)?;
        let mut builder = client::builder();
        builder
            .pool_idle_timeout(config.idle_conn_timeout)
            .pool_max_idle_per_host(config.max_idle_conns_per_host)
            .http2_keep_alive_interval(config.http2_read_idle_timeout)
            .http2_keep_alive_while_idle(true);
        if let Some(timeout) = config.http2_ping_timeout {
            builder.http2_keep_alive_timeout(timeout);
        }
        let mut headers = config.headers;
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(config.encoding.media_type()));
        let encoding = match config.compression {
            Compression::None => None,
            Compression::Gzip(_) => Some("gzip"),
            Compression::Zlib(_) => Some(config.zlib_name),
            Compression::Zstd(_) => Some("zstd"),
        };
        if let Some(encoding) = encoding {
            headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static(encoding));
        }
        Ok(Self {
            client: builder.build(Connector::new(Target::Request, tls, config.sending.timeout)),
            urls: config.urls,
            headers,
            encoding: config.encoding,
            compression: config.compression,
        })
    }
}

impl Transport for HttpTransport {
    async fn encode(&self, signal: Signal, mut pieces: Vec<Bytes>) -> Result<Payload, String> {
        if self.encoding == Encoding::Json {
            let mut text = Vec::new();
            json::encode(signal, &joined(pieces), &mut text).map_err(|error| error.to_string())?;
            pieces = vec![Bytes::from(text)];
        }
        if self.compression == Compression::None {
            return Ok(Payload::gather(&[], pieces));
        }
        let body = self.compression.append(Vec::new(), &pieces).await;
        body.map(Payload::from).map_err(|error| format!("cannot compress: {error}"))
    }

    async fn send(&self, signal: Signal, payload: Payload) -> Outcome {
        let Some(url) = self.urls.of(signal) else {
            return Outcome::Rejected(format!(
                "no endpoint for {signal}: set `endpoint` or `{signal}_endpoint`"
            ));
        };
        let mut request = Request::new(payload);
        *request.method_mut() = Method::POST;
        *request.uri_mut() = url.clone();
        *request.headers_mut() = self.headers.clone();
        let response = match self.client.request(request).await {
            Ok(response) => response,
            Err(error) => return Outcome::failed(explain(&error)),
        };
        let (head, body) = response.into_parts();
        answer::outcome(signal, &head, &beginning(body).await, SystemTime::now())
    }
}

fn joined(pieces: Vec<Bytes>) -> Bytes {
    match <[Bytes; 1]>::try_from(pieces) {
        Ok([piece]) => piece,
        Err(pieces) => Bytes::from(pieces.concat()),
    }
}

/// What can be had of a body. The status has said already how the request fared, so a body that is too
/// long, too slow or breaks off changes nothing.
async fn beginning(mut body: Incoming) -> Bytes {
    let mut read = BytesMut::new();
    let reading = async {
        while let Some(Ok(frame)) = body.frame().await {
            let Some(data) = frame.data_ref() else { continue };
            let room = MAX_ANSWER - read.len();
            read.extend_from_slice(&data[..data.len().min(room)]);
            if read.len() == MAX_ANSWER {
                break;
            }
        }
    };
    // Whether it was all makes no difference.
    let _ = timeout(PATIENCE, reading).await;
    read.freeze()
}
