//! Small documents from HTTP servers, for components whose settings may come from a URL.

use std::time::Duration;

use bytes::Bytes;
use forebay_tls::ClientTls;
use http::{HeaderValue, Method, Request, StatusCode, Uri, header};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use thiserror::Error;
use tokio::time::timeout;

use crate::BuildError;
use crate::client::{self, Client, Connector, Target, Tls};
use crate::headers::USER_AGENT;
use crate::transport::{Payload, explain};

/// Fetches documents of limited size within limited time, over HTTP/1.1 or HTTP/2, with TLS for `https`.
/// Redirects are not followed.
pub struct Fetcher {
    client: Client,
    timeout: Duration,
    limit: usize,
}

/// Why there is no document.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum FetchError {
    /// The server answered with another status than 200.
    #[error("the server answers {0}")]
    Status(StatusCode),
    /// The server cannot be reached, or its answer ends early.
    #[error("{0}")]
    Unreachable(String),
    /// The answer took too long.
    #[error("no answer within {0:?}")]
    Timeout(Duration),
    /// The document is larger than expected.
    #[error("the document is larger than {0} bytes")]
    TooLarge(usize),
}

impl Fetcher {
    /// A fetcher of documents of at most `limit` bytes, each within `timeout`. Must be called inside a runtime.
    ///
    /// # Errors
    /// When the TLS settings cannot be used.
    pub fn new(tls: &ClientTls, timeout: Duration, limit: usize) -> Result<Self, BuildError> {
        let connector = Connector::new(Target::Request, Tls::new(tls, &[b"h2", b"http/1.1"])?, Some(timeout));
        Ok(Self { client: client::builder().build(connector), timeout, limit })
    }

    /// What is at `url` now.
    ///
    /// # Errors
    /// When that is not a document within the limits.
    pub async fn fetch(&self, url: &Uri) -> Result<Bytes, FetchError> {
        let fetched = timeout(self.timeout, self.exchange(url)).await;
        fetched.unwrap_or(Err(FetchError::Timeout(self.timeout)))
    }

    async fn exchange(&self, url: &Uri) -> Result<Bytes, FetchError> {
        let mut request = Request::new(Payload::gather(&[], Vec::new()));
        *request.method_mut() = Method::GET;
        *request.uri_mut() = url.clone();
        request.headers_mut().insert(header::USER_AGENT, HeaderValue::from_static(USER_AGENT));
        let response = self.client.request(request).await;
        let response = response.map_err(|error| FetchError::Unreachable(explain(&error)))?;
        if response.status() != StatusCode::OK {
            return Err(FetchError::Status(response.status()));
        }
        match Limited::new(response.into_body(), self.limit).collect().await {
            Ok(body) => Ok(body.to_bytes()),
            Err(error) if error.is::<LengthLimitError>() => Err(FetchError::TooLarge(self.limit)),
            Err(error) => Err(FetchError::Unreachable(explain(&*error))),
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    /// What a fetcher of at most eight bytes makes of an answer; of none, if the server says nothing.
    async fn fetched(answer: Option<&'static str>) -> Result<Bytes, FetchError> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/a", listener.local_addr().unwrap()).parse().unwrap();
        let server = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = [0; 1024];
            let length = stream.read(&mut request).await.unwrap();
            assert!(request[..length].starts_with(b"GET /a HTTP/1.1\r\n"));
            match answer {
                Some(answer) => stream.write_all(answer.as_bytes()).await.unwrap(),
                None => std::future::pending().await,
            }
        });
        let patience = Duration::from_millis(if answer.is_none() { 50 } else { 10_000 });
        let fetched = Fetcher::new(&ClientTls::default(), patience, 8).unwrap().fetch(&url).await;
        server.abort();
        fetched
    }

    #[tokio::test]
    async fn a_document_is_what_comes_with_status_200_within_the_limits() {
        let answer = "HTTP/1.1 200 OK\r\ncontent-length: 8\r\n\r\n12345678";
        assert_eq!(fetched(Some(answer)).await, Ok(Bytes::from("12345678")));
        let answer = "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n123456789";
        assert_eq!(fetched(Some(answer)).await, Err(FetchError::TooLarge(8)));
        let answer = "HTTP/1.1 302 Found\r\nlocation: /b\r\ncontent-length: 0\r\n\r\n";
        assert_eq!(fetched(Some(answer)).await, Err(FetchError::Status(StatusCode::FOUND)));
        let answer = "HTTP/1.1 200 OK\r\ncontent-length: 8\r\n\r\n1234";
        assert!(matches!(fetched(Some(answer)).await, Err(FetchError::Unreachable(_))));
        assert_eq!(fetched(None).await, Err(FetchError::Timeout(Duration::from_millis(50))));
    }
}
