//! Headers that an exporter adds to its requests.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use forebay_config::Table;
use http::{HeaderMap, HeaderName, HeaderValue};

/// Headers that the protocol itself sets.
const RESERVED: [&str; 8] = [
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "host",
    "te",
    "trailer",
    "transfer-encoding",
];

/// How Forebay names itself to backends.
pub(crate) const USER_AGENT: &str = concat!("forebay/", env!("CARGO_PKG_VERSION"));

/// Reads a key whose value is sent as a header.
pub(crate) fn read_value(table: &Table<'_>, key: &'static str) -> Option<HeaderValue> {
    let text = table.string(key)?;
    HeaderValue::try_from(&text)
        .map_err(|_| table.error(key, format!("`{text}` cannot be sent in a header")))
        .ok()
}

/// Reads `headers`, a mapping or a list of names and values.
pub(crate) fn read(table: &Table<'_>) -> HeaderMap {
    collect(table, |_, value| value.to_owned())
}

/// Reads `headers` as gRPC metadata: values of names that end in `-bin` travel as base64.
pub(crate) fn read_metadata(table: &Table<'_>) -> HeaderMap {
    collect(table, |name, value| {
        if name.as_str().ends_with("-bin") { STANDARD_NO_PAD.encode(value) } else { value.to_owned() }
    })
}

fn collect(table: &Table<'_>, encode: impl Fn(&HeaderName, &str) -> String) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in table.map("headers").unwrap_or_default() {
        match header(&name, |name| encode(name, &value)) {
            Ok((name, value)) => {
                headers.append(name, value);
            }
            Err(problem) => table.error("headers", format!("header `{name}` {problem}")),
        }
    }
    headers
}

fn header(
    name: &str,
    value: impl FnOnce(&HeaderName) -> String,
) -> Result<(HeaderName, HeaderValue), &'static str> {
    let name = HeaderName::try_from(name).map_err(|_| "has a name that HTTP does not allow")?;
    if RESERVED.contains(&name.as_str()) || name.as_str().starts_with("grpc-") {
        return Err("is set by the exporter itself");
    }
    let mut value =
        HeaderValue::try_from(value(&name)).map_err(|_| "has a value that HTTP does not allow")?;
    // Most are credentials: keeps them out of HTTP/2's compression tables and of debug output.
    value.set_sensitive(true);
    Ok((name, value))
}

#[cfg(test)]
mod tests {
    use forebay_config::read_str;

    use super::*;

    #[test]
    fn headers_are_read_from_a_mapping_or_a_list() {
        for yaml in [
            "headers: {x-token: secret, X-Scope: a}",
            "headers: [{name: x-token, value: secret}, {name: X-Scope, value: a}]",
        ] {
            let (headers, diagnostics) = read_str(yaml, read);
            assert!(diagnostics.is_empty(), "{}", diagnostics.render(false));
            assert_eq!(
                (&headers["x-token"], &headers["x-scope"]),
                (&"secret".parse().unwrap(), &"a".parse().unwrap())
            );
        }
    }

    #[test]
    fn binary_metadata_is_base64_in_grpc_only() {
        let yaml = "headers: {trace-bin: abcd}";
        assert_eq!(read_str(yaml, read_metadata).0["trace-bin"], "YWJjZA");
        assert_eq!(read_str(yaml, read).0["trace-bin"], "abcd");
    }

    #[test]
    fn names_and_values_that_cannot_be_sent_are_errors() {
        let (headers, diagnostics) =
            read_str("headers: {'a b': x, ok: \"a\\nb\", grpc-timeout: 1S, ':authority': x}", read);
        assert!(headers.is_empty());
        let text = diagnostics.render(false);
        for name in ["a b", "ok", "grpc-timeout", ":authority"] {
            assert!(text.contains(&format!("header `{name}`")), "{text}");
        }
    }
}
