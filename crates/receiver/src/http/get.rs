//! Pages for others than OTLP clients: what a server answers to GET.

use std::convert::Infallible;
use std::future::Future;
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use hyper::body::Incoming;

use super::Front;
use crate::answer::Answer;
use crate::config::HttpConfig;
use crate::connection::{Call, Serve};

/// What answers GET requests.
pub trait Get: Send + Sync + 'static {
    /// The answer to a request for `path`, with the query after its `?`, still percent-encoded.
    fn get(&self, path: &str, query: Option<&str>) -> impl Future<Output = Response<Bytes>> + Send;
}

/// A [`Get`] behind an endpoint.
pub(crate) struct Pages<S> {
    service: S,
    front: Front,
}

impl<S> Pages<S> {
    pub(crate) fn new(service: S, config: &HttpConfig) -> Self {
        Self { service, front: Front::new(config) }
    }
}

impl<S: Get> Serve for Pages<S> {
    async fn serve(
        self: Arc<Self>,
        request: Request<Incoming>,
        call: Call,
    ) -> Result<Response<Answer>, Infallible> {
        let (head, _) = request.into_parts();
        let mut entered = self.front.enter(&head, &call);
        let mut response = match entered.preflight.take() {
            Some(preflight) => preflight,
            None if matches!(head.method, Method::GET | Method::HEAD) => {
                self.service.get(head.uri.path(), head.uri.query()).await.map(Answer::data)
            }
            None => wrong_method(),
        };
        self.front.leave(&head, &call, &entered, &mut response);
        Ok(response)
    }
}

fn wrong_method() -> Response<Answer> {
    let mut response = Response::new(Answer::default());
    *response.status_mut() = StatusCode::METHOD_NOT_ALLOWED;
    response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET, HEAD"));
    response
}
