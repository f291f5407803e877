//! Cross-origin requests, for browsers that export by themselves (the Fetch standard's CORS protocol).

use forebay_config::Table;
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode, header, request};

use crate::answer::Answer;

/// Headers that may be sent when the configuration names none: those an exporter sends.
const DEFAULT_HEADERS: [&str; 4] = ["accept", "content-type", "content-encoding", "x-requested-with"];

/// The `cors:` mapping of an HTTP endpoint.
#[derive(Clone, Debug)]
pub(crate) struct Cors {
    origins: Vec<String>,
    /// Lower case; `*` stands for all.
    headers: Vec<String>,
    exposed_headers: Option<HeaderValue>,
    max_age: Option<u64>,
}

impl Cors {
    /// `None` without an allowed origin: then no answer speaks of CORS at all.
    pub(crate) fn read(table: &Table<'_>) -> Option<Self> {
        let origins = table.strings("allowed_origins").unwrap_or_default();
        let headers = table.strings("allowed_headers").unwrap_or_default();
        let exposed = table.strings("exposed_headers").unwrap_or_default().join(", ");
        let exposed_headers = HeaderValue::from_str(&exposed).ok().filter(|value| !value.is_empty());
        let max_age = table.integer("max_age", 0..=i64::MAX).and_then(|seconds| u64::try_from(seconds).ok());
        if let Some(origin) = origins.iter().find(|origin| origin.matches('*').count() > 1) {
            table.error("allowed_origins", format!("`{origin}` has more than one wildcard"));
        }
        if origins.is_empty() {
            if !headers.is_empty() {
                table.warning("allowed_headers", "has no effect without `allowed_origins`");
            }
            return None;
        }
        let defaults = DEFAULT_HEADERS.map(str::to_owned);
        let headers = headers.iter().map(|name| name.to_ascii_lowercase()).chain(defaults).collect();
        Some(Self { origins, headers, exposed_headers, max_age: max_age.filter(|age| *age > 0) })
    }

    /// The answer to a preflight request; `None` if the request is something else.
    pub(crate) fn preflight(&self, head: &request::Parts) -> Option<Response<Answer>> {
        let method = head.headers.get(header::ACCESS_CONTROL_REQUEST_METHOD)?;
        if head.method != Method::OPTIONS {
            return None;
        }
        let mut response = Response::new(Answer::default());
        *response.status_mut() = StatusCode::NO_CONTENT;
        let asked = head.headers.get(header::ACCESS_CONTROL_REQUEST_HEADERS);
        if method == "POST" && self.allows_origin(&head.headers) && self.allows_headers(asked) {
            let headers = response.headers_mut();
            headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("POST"));
            if let Some(asked) = asked {
                headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, asked.clone());
            }
            if let Some(max_age) = self.max_age {
                headers.insert(header::ACCESS_CONTROL_MAX_AGE, HeaderValue::from(max_age));
            }
        }
        Some(response)
    }

    /// Adds to an answer what lets a page of an allowed origin read it.
    pub(crate) fn allow(&self, request: &HeaderMap, response: &mut HeaderMap) {
        response.append(header::VARY, HeaderValue::from_static("origin"));
        let Some(origin) = request.get(header::ORIGIN).filter(|_| self.allows_origin(request)) else {
            return;
        };
        response.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
        response.insert(header::ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
        if let Some(exposed) = &self.exposed_headers {
            response.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, exposed.clone());
        }
    }

    fn allows_origin(&self, request: &HeaderMap) -> bool {
        let Some(origin) = request.get(header::ORIGIN).and_then(|origin| origin.to_str().ok()) else {
            return false;
        };
        self.origins.iter().any(|pattern| matches(pattern, origin))
    }

    fn allows_headers(&self, asked: Option<&HeaderValue>) -> bool {
        let Some(asked) = asked else { return true };
        let Ok(asked) = asked.to_str() else {
            return false;
        };
        let allowed =
            |name: &str| self.headers.iter().any(|known| known == "*" || known.eq_ignore_ascii_case(name));
        asked.split(',').map(str::trim).filter(|name| !name.is_empty()).all(allowed)
    }
}

/// Whether `origin` is `pattern`, in which one `*` stands for anything.
fn matches(pattern: &str, origin: &str) -> bool {
    let (pattern, origin) = (pattern.to_ascii_lowercase(), origin.to_ascii_lowercase());
    match pattern.split_once('*') {
        None => pattern == origin,
        Some((start, end)) => {
            origin.len() >= start.len() + end.len() && origin.starts_with(start) && origin.ends_with(end)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_wildcard_stands_for_anything_and_case_does_not_matter() {
        assert!(matches("*", "https://a.example"));
        assert!(matches("https://*.example.com", "https://A.example.COM"));
        assert!(!matches("https://*.example.com", "https://example.com"));
        assert!(!matches("https://a*a", "https://a"));
        assert!(!matches("https://example.com", "https://example.com.evil"));
    }
}
