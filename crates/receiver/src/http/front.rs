//! What every answer of an HTTP endpoint has in common: CORS, the headers that the configuration adds, and
//! the end of a connection whose framing is ambiguous.

use http::{HeaderMap, HeaderValue, Response, Version, header, request};

use super::cors::Cors;
use crate::answer::Answer;
use crate::config::HttpConfig;
use crate::connection::Call;

/// The part of an HTTP endpoint that does not depend on what is asked.
#[derive(Debug)]
pub(crate) struct Front {
    cors: Option<Cors>,
    /// Added to every answer.
    response_headers: HeaderMap,
}

/// A request that is being answered.
pub(crate) struct Entered {
    /// Whether the connection has to end after the answer.
    close: bool,
    /// The whole answer, if the request is a preflight.
    pub(crate) preflight: Option<Response<Answer>>,
}

impl Front {
    pub(crate) fn new(config: &HttpConfig) -> Self {
        Self { cors: config.cors.clone(), response_headers: config.response_headers.clone() }
    }

    /// To be called before the body is read.
    pub(crate) fn enter(&self, head: &request::Parts, call: &Call) -> Entered {
        let close = call.ambiguity.take() && head.headers.contains_key(header::TRANSFER_ENCODING);
        Entered { close, preflight: self.cors.as_ref().and_then(|cors| cors.preflight(head)) }
    }

    /// To be called when there is an answer.
    pub(crate) fn leave(
        &self,
        head: &request::Parts,
        call: &Call,
        entered: &Entered,
        response: &mut Response<Answer>,
    ) {
        if head.version < Version::HTTP_2 {
            call.ambiguity.await_head();
        }
        if let Some(cors) = &self.cors {
            cors.allow(&head.headers, response.headers_mut());
        }
        if entered.close {
            response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        for (name, value) in &self.response_headers {
            response.headers_mut().insert(name, value.clone());
        }
    }
}
