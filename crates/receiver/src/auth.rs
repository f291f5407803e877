//! Who may call: clients that know a token (the Collector's `bearertokenauth`).

use std::fs;

use forebay_config::Table;
use http::{HeaderMap, HeaderName, header};
use subtle::{Choice, ConstantTimeEq};

/// The tokens any of which a client must have.
#[derive(Clone)]
pub struct BearerTokens {
    header: HeaderName,
    /// Values of the header, each with its scheme.
    values: Vec<Vec<u8>>,
}

impl BearerTokens {
    /// Reads `header`, `scheme`, and of `token`, `tokens` and `filename` (a token on each line) those that there
    /// are. `None` after a reported mistake.
    #[must_use]
    pub fn read(table: &Table<'_>) -> Option<Self> {
        let header = match table.string("header").filter(|name| !name.is_empty()) {
            None => Some(header::AUTHORIZATION),
            Some(name) => HeaderName::try_from(&name)
                .map_err(|_| table.error("header", format!("`{name}` is not the name of a header")))
                .ok(),
        };
        let scheme = table.string("scheme").unwrap_or_else(|| "Bearer".to_owned());
        let mut tokens = table.strings("tokens").unwrap_or_default();
        tokens.extend(table.string("token"));
        if let Some(name) = table.string("filename") {
            match fs::read_to_string(&name) {
                Ok(text) => tokens.extend(text.lines().map(|line| line.trim().to_owned())),
                Err(error) => table.error("filename", format!("cannot read `{name}`: {error}")),
            }
        }
        tokens.retain(|token| !token.is_empty());
        if tokens.is_empty() {
            table.error_with_help("tokens", "there is no token", "set `token`, `tokens` or `filename`");
            return None;
        }
        let value =
            |token: &String| if scheme.is_empty() { token.clone() } else { format!("{scheme} {token}") };
        Some(Self { header: header?, values: tokens.iter().map(|token| value(token).into_bytes()).collect() })
    }

    /// Whether a request has one of the tokens. How long that takes tells nothing but their lengths.
    pub(crate) fn admit(&self, headers: &HeaderMap) -> bool {
        let given = headers.get(&self.header).map(|value| value.as_bytes()).unwrap_or_default();
        let equal = |value: &Vec<u8>| value.as_slice().ct_eq(given);
        self.values.iter().map(equal).fold(Choice::from(0), |any, equal| any | equal).into()
    }
}

#[cfg(test)]
mod tests {
    use forebay_config::read_str;
    use http::HeaderValue;

    use super::*;

    #[test]
    fn any_of_the_tokens_opens_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("tokens");
        fs::write(&file, "third\n\nfourth\n").unwrap();
        let yaml = format!("{{token: first, tokens: [second], filename: {}}}", file.display());
        let (tokens, diagnostics) = read_str(&yaml, BearerTokens::read);
        assert!(diagnostics.is_empty(), "{}", diagnostics.render(false));
        let tokens = tokens.unwrap();
        let admits = |value: &'static str| {
            let value = HeaderValue::from_static(value);
            tokens.admit(&HeaderMap::from_iter([(header::AUTHORIZATION, value)]))
        };
        for token in ["Bearer first", "Bearer second", "Bearer third", "Bearer fourth"] {
            assert!(admits(token), "{token}");
        }
        for token in ["Bearer fifth", "first", "Bearer ", "", "bearer first", "Bearer first "] {
            assert!(!admits(token), "{token}");
        }
        assert!(!tokens.admit(&HeaderMap::new()));
    }

    #[test]
    fn scheme_and_header_can_be_others() {
        let (tokens, _) = read_str("{header: x-key, scheme: '', token: a}", BearerTokens::read);
        let headers =
            HeaderMap::from_iter([(HeaderName::from_static("x-key"), HeaderValue::from_static("a"))]);
        assert!(tokens.unwrap().admit(&headers));
    }

    #[test]
    fn no_token_is_a_mistake() {
        for yaml in ["{}", "tokens: []", "token: ''", "filename: /nowhere/tokens"] {
            let (tokens, diagnostics) = read_str(yaml, BearerTokens::read);
            assert!(tokens.is_none() && diagnostics.has_errors(), "{yaml}");
        }
    }
}
