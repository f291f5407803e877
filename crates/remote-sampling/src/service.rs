//! Answering clients over HTTP and gRPC.

use std::sync::Arc;

use bytes::Bytes;
use forebay_pipeline::Telemetry;
use forebay_receiver::{Get, Unary};
use http::{HeaderValue, Response, StatusCode, header};
use prometheus::IntCounter;
use tonic::Status;

use crate::adaptive::fleet::{COUNTS_PATH, Counts};
use crate::source::Source;
use crate::strategy::Encoded;
use crate::wire::{METHOD, decode_request};

/// Where strategies are, and what Jaeger's own clients and OpenTelemetry's ask for.
const PATHS: [&str; 2] = ["/sampling", "/api/sampling"];

/// What answers over one protocol.
pub(crate) struct Service {
    source: Arc<dyn Source>,
    /// What other gateways may ask for.
    counts: Option<Arc<dyn Counts>>,
    answered: IntCounter,
    mistaken: IntCounter,
    unavailable: IntCounter,
}

/// Why there is no answer.
enum Failure {
    Mistake(String),
    Unavailable(String),
}

impl Service {
    /// Answers on behalf of the extension `id`, over a protocol whose metrics are called `transport`.
    pub(crate) fn new(
        id: &str,
        transport: &str,
        source: Arc<dyn Source>,
        counts: Option<Arc<dyn Counts>>,
        telemetry: &Telemetry,
    ) -> Self {
        let family = telemetry.counters(
            "forebay_remote_sampling_requests",
            "Requests for sampling strategies by outcome: success, mistake (of the client), unavailable.",
            &["extension", "transport", "outcome"],
        );
        let counter = |outcome| family.with_label_values(&[id, transport, outcome]);
        Self {
            source,
            counts,
            answered: counter("success"),
            mistaken: counter("mistake"),
            unavailable: counter("unavailable"),
        }
    }

    async fn strategy(&self, service: Result<&str, String>) -> Result<Encoded, Failure> {
        let answer = match service {
            Ok(service) => {
                self.source.strategy(service).await.map_err(|error| Failure::Unavailable(error.to_string()))
            }
            Err(mistake) => Err(Failure::Mistake(mistake)),
        };
        match &answer {
            Ok(_) => &self.answered,
            Err(Failure::Mistake(_)) => &self.mistaken,
            Err(Failure::Unavailable(_)) => &self.unavailable,
        }
        .inc();
        answer
    }
}

impl Get for Service {
    async fn get(&self, path: &str, query: Option<&str>) -> Response<Bytes> {
        if PATHS.contains(&path) {
            let service = service_of(query.unwrap_or_default());
            let service = service.as_deref().map_err(|mistake| (*mistake).to_owned());
            return match self.strategy(service).await {
                Ok(answer) => json(answer.json),
                Err(Failure::Mistake(mistake)) => text(StatusCode::BAD_REQUEST, mistake),
                Err(Failure::Unavailable(error)) => text(StatusCode::SERVICE_UNAVAILABLE, error),
            };
        }
        match &self.counts {
            Some(counts) if path == COUNTS_PATH => json(counts.counts()),
            _ => text(StatusCode::NOT_FOUND, format!("nothing is served at {path}")),
        }
    }
}

impl Unary for Service {
    async fn call(&self, method: &str, message: Bytes) -> Result<Bytes, Status> {
        if method != METHOD {
            return Err(Status::unimplemented(format!("unknown method {method}")));
        }
        match self.strategy(decode_request(&message).map_err(|error| error.to_string())).await {
            Ok(answer) => Ok(answer.protobuf),
            Err(Failure::Mistake(mistake)) => Err(Status::invalid_argument(mistake)),
            Err(Failure::Unavailable(error)) => Err(Status::unavailable(error)),
        }
    }
}

/// The one `service` that a query names.
fn service_of(query: &str) -> Result<String, &'static str> {
    let mut services = form_urlencoded::parse(query.as_bytes())
        .filter(|(name, _)| name == "service")
        .map(|(_, value)| value);
    match (services.next(), services.next()) {
        (Some(service), None) if !service.is_empty() => Ok(service.into_owned()),
        (Some(_), None) => Err("the parameter `service` is empty"),
        (Some(_), Some(_)) => Err("the parameter `service` must be there only once"),
        (None, _) => Err("the parameter `service` is missing: ask for `/sampling?service=name`"),
    }
}

fn json(body: Bytes) -> Response<Bytes> {
    answer(StatusCode::OK, "application/json", body)
}

fn text(status: StatusCode, text: String) -> Response<Bytes> {
    answer(status, "text/plain; charset=utf-8", Bytes::from(text))
}

fn answer(status: StatusCode, kind: &'static str, body: Bytes) -> Response<Bytes> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_must_be_exactly_one_service() {
        for (query, expected) in [
            ("service=shop", Ok("shop")),
            ("x=1&service=my+shop", Ok("my shop")),
            ("service=my%20shop&x", Ok("my shop")),
            ("service=m%C3%BCnze", Ok("münze")),
            ("", Err("missing")),
            ("Service=shop", Err("missing")),
            ("service=", Err("empty")),
            ("service", Err("empty")),
            ("service=a&service=a", Err("only once")),
        ] {
            match (service_of(query), expected) {
                (Ok(found), Ok(expected)) => assert_eq!(found, expected),
                (Err(found), Err(expected)) => assert!(found.contains(expected), "{query}: {found}"),
                (found, _) => panic!("{query}: {found:?}"),
            }
        }
    }
}
