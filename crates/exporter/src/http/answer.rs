//! What the answer to a POST means, by <https://opentelemetry.io/docs/specs/otlp/#otlphttp-response>.

use std::time::{Duration, SystemTime};

use forebay_otlp::response::{PartialSuccess, Status};
use forebay_pipeline::Signal;
use http::{HeaderMap, StatusCode, header, response};

use crate::transport::Outcome;

use super::Encoding;

/// As much of a body that is not a `Status` as goes into an error message.
const MAX_QUOTE: usize = 200;

/// The outcome that an answer received at `now` stands for.
pub(super) fn outcome(signal: Signal, head: &response::Parts, body: &[u8], now: SystemTime) -> Outcome {
    let encoding = Encoding::of(&head.headers);
    if head.status.is_success() {
        return delivered(signal, encoding, body);
    }
    let mut message = head.status.to_string();
    if let Some(detail) = detail(encoding, body) {
        message = format!("{message}: {detail}");
    }
    match head.status {
        StatusCode::TOO_MANY_REQUESTS
        | StatusCode::BAD_GATEWAY
        | StatusCode::SERVICE_UNAVAILABLE
        | StatusCode::GATEWAY_TIMEOUT => Outcome::Failed { message, after: retry_after(&head.headers, now) },
        status if status.is_redirection() => {
            let to = head.headers.get(header::LOCATION).map_or(&b"?"[..], |to| to.as_bytes());
            let to = String::from_utf8_lossy(to);
            Outcome::Rejected(format!("{message}: redirects are not followed; the server points to {to}"))
        }
        _ => Outcome::Rejected(message),
    }
}

fn delivered(signal: Signal, encoding: Option<Encoding>, body: &[u8]) -> Outcome {
    let partial = match encoding {
        Some(Encoding::Proto) => PartialSuccess::decode(body).ok().flatten(),
        Some(Encoding::Json) => PartialSuccess::decode_json(signal, body),
        None => None,
    };
    partial.map_or(Outcome::DELIVERED, |partial| Outcome::Delivered {
        rejected: partial.rejected,
        message: partial.message,
    })
}

/// What the server says about the error.
fn detail(encoding: Option<Encoding>, body: &[u8]) -> Option<String> {
    if encoding == Some(Encoding::Proto) {
        return Status::decode(body).ok().map(|status| status.message).filter(|text| !text.is_empty());
    }
    let text = String::from_utf8_lossy(&body[..body.len().min(MAX_QUOTE)]);
    let text = text.trim().replace(|c: char| c.is_control(), " ");
    (!text.is_empty()).then_some(text)
}

/// `Retry-After` is a number of seconds or a date.
fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let text = headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = httpdate::parse_http_date(text).ok()?;
    Some(date.duration_since(now).unwrap_or_default())
}
