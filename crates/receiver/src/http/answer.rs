//! Answers in the encoding of their request (OTLP, "OTLP/HTTP Response").

use bytes::Bytes;
use forebay_otlp::response::{PartialSuccess, Status as RpcStatus};
use forebay_pipeline::Signal;
use http::{HeaderMap, HeaderValue, Response, header};

use crate::answer::Answer;
use crate::inflate::Coding;
use crate::reject::{Kind, Reject};

const PROTOBUF: &str = "application/x-protobuf";
const JSON: &str = "application/json";

/// How a request's message is written down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Encoding {
    Protobuf,
    Json,
}

impl Encoding {
    /// What `Content-Type` says; its parameters, such as a charset, say nothing here.
    pub(super) fn of(headers: &HeaderMap) -> Result<Self, Reject> {
        let kind = headers.get(header::CONTENT_TYPE).map_or(Ok(""), HeaderValue::to_str).unwrap_or("");
        let essence = kind.split(';').next().unwrap_or(kind).trim();
        if essence.eq_ignore_ascii_case(PROTOBUF) {
            Ok(Self::Protobuf)
        } else if essence.eq_ignore_ascii_case(JSON) {
            Ok(Self::Json)
        } else {
            let message = format!("content type {essence:?} is not supported: use {PROTOBUF} or {JSON}");
            Err(Reject::new(Kind::UnknownContent, message))
        }
    }

    /// 200, with what was rejected in part.
    pub(super) fn success(self, signal: Signal, partial: &PartialSuccess) -> Response<Answer> {
        self.response(match self {
            Self::Protobuf => partial.encode(),
            Self::Json => partial.encode_json(signal),
        })
    }

    /// A status of 4xx or 5xx, whose body is a `google.rpc.Status`.
    pub(super) fn failure(self, reject: &Reject, codings: &[Coding]) -> Response<Answer> {
        let status = RpcStatus {
            code: reject.kind.code().into(),
            message: reject.message.clone(),
            retry_delay: reject.retry_after,
        };
        let mut response = self.response(match self {
            Self::Protobuf => status.encode(),
            Self::Json => status.encode_json(),
        });
        *response.status_mut() = reject.kind.status();
        let headers = response.headers_mut();
        match reject.kind {
            Kind::WrongMethod => {
                headers.insert(header::ALLOW, HeaderValue::from_static("POST"));
            }
            Kind::UnknownCoding => {
                headers.insert(header::ACCEPT_ENCODING, accept_encoding(codings));
            }
            Kind::TooSlow => {
                headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
            }
            _ => {}
        }
        if let Some(delay) = reject.retry_after {
            // Whole seconds, and a delay of none would be an invitation to hammer.
            let seconds = (delay.as_secs() + u64::from(delay.subsec_nanos() > 0)).max(1);
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }

    fn response(self, body: impl Into<Bytes>) -> Response<Answer> {
        let kind = match self {
            Self::Protobuf => HeaderValue::from_static(PROTOBUF),
            Self::Json => HeaderValue::from_static(JSON),
        };
        let mut response = Response::new(Answer::data(body));
        response.headers_mut().insert(header::CONTENT_TYPE, kind);
        response
    }
}

fn accept_encoding(codings: &[Coding]) -> HeaderValue {
    let names: Vec<&str> = codings.iter().map(|coding| coding.name()).collect();
    HeaderValue::from_str(&names.join(", ")).unwrap_or(HeaderValue::from_static("identity"))
}
