//! A client of one gRPC server, for whatever is called there.

use std::error::Error;
use std::time::Duration;

use bytes::Bytes;
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, Uri, Version, header};
use http_body::Body;
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use hyper_util::client::legacy;
use thiserror::Error;
use tokio::time::timeout;

use super::config::ChannelConfig;
use super::{MAX_ANSWER, answer, prefix};
use crate::BuildError;
use crate::client::{self, Connector, Target, Tls};
use crate::transport::{Payload, explain};

/// Makes unary calls to one server. Connections are made when one is needed.
pub struct Channel {
    caller: Caller<Payload>,
    timeout: Option<Duration>,
}

/// Sends requests to one server, with bodies of one type.
pub(super) struct Caller<B> {
    client: legacy::Client<Connector, B>,
    scheme: Scheme,
    authority: Authority,
    headers: HeaderMap,
}

/// Why a call has no answer.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("{0}")]
pub struct CallError(pub(super) String);

const GRPC_TIMEOUT: HeaderName = HeaderName::from_static("grpc-timeout");

impl<B> Caller<B>
where
    B: Body<Data: Send> + Send + Unpin + 'static,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    /// A caller whose connection attempts may take `timeout` each. Must be called inside a runtime.
    pub(super) fn new(config: &ChannelConfig, timeout: Option<Duration>) -> Result<Self, BuildError> {
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
        let client = builder.build(Connector::new(target, tls, timeout));
        Ok(Self { client, scheme, authority, headers })
    }

    /// Sends a request to `method` (`/package.Service/Method`).
    pub(super) async fn send(
        &self,
        method: &'static str,
        body: B,
    ) -> Result<Response<Incoming>, legacy::Error> {
        let mut request = Request::new(body);
        *request.method_mut() = Method::POST;
        *request.version_mut() = Version::HTTP_2;
        *request.uri_mut() = uri(&self.scheme, self.authority.clone(), method);
        *request.headers_mut() = self.headers.clone();
        self.client.request(request).await
    }
}

impl Channel {
    /// A channel whose calls and connection attempts may take `timeout` each. Must be called inside a runtime.
    ///
    /// # Errors
    /// When the TLS settings cannot be used.
    pub fn new(config: &ChannelConfig, timeout: Option<Duration>) -> Result<Self, BuildError> {
        let mut caller = Caller::new(config, timeout)?;
        if let Some(timeout) = timeout {
            caller.headers.insert(GRPC_TIMEOUT, timeout_value(timeout));
        }
        Ok(Self { caller, timeout })
    }

    /// What every request carries beside the usual.
    pub(super) fn add_header(&mut self, name: HeaderName, value: HeaderValue) {
        self.caller.headers.insert(name, value);
    }

    /// Sends a message with its prefix to `method` (`/package.Service/Method`).
    pub(super) async fn send(
        &self,
        method: &'static str,
        payload: Payload,
    ) -> Result<Response<Incoming>, legacy::Error> {
        self.caller.send(method, payload).await
    }

    /// Makes a unary call of `method` (`/package.Service/Method`) and returns the message of its answer.
    ///
    /// # Errors
    /// When no answer comes in time, or one with another status than OK.
    pub async fn call(&self, method: &'static str, message: Bytes) -> Result<Bytes, CallError> {
        let limit = self.timeout.unwrap_or(Duration::MAX);
        let answered = timeout(limit, self.exchange(method, message)).await;
        answered.unwrap_or_else(|_| Err(CallError(format!("no answer within {limit:?}"))))
    }

    async fn exchange(&self, method: &'static str, message: Bytes) -> Result<Bytes, CallError> {
        let prefix = prefix(false, message.len()).map_err(CallError)?;
        let response = self.send(method, Payload::gather(&prefix, vec![message])).await;
        let (head, body) = response.map_err(|error| CallError(explain(&error)))?.into_parts();
        let body = Limited::new(body, MAX_ANSWER).collect().await;
        let body = body.map_err(|error| CallError(explain(&*error)))?;
        let trailers = body.trailers().cloned();
        let bytes = body.to_bytes();
        answer::check(&head, trailers.as_ref()).map_err(|failure| CallError(failure.to_string()))?;
        answer::message(&bytes)
            .map(|message| bytes.slice_ref(message))
            .ok_or_else(|| CallError("the answer is not one uncompressed gRPC message".to_owned()))
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timeouts_are_written_with_at_most_eight_digits() {
        for (timeout, text) in [
            (Duration::from_secs(5), "5000m"),
            (Duration::from_nanos(1), "1m"),
            (Duration::from_secs(100_000), "100000S"),
            (Duration::MAX, "99999999S"),
        ] {
            assert_eq!(timeout_value(timeout), text);
        }
    }
}
