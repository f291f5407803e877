//! The keys of the exporter `otlphttp`.

use std::time::Duration;

use forebay_config::{Table, Value};
use forebay_pipeline::Signal;
use forebay_tls::ClientTls;
use http::uri::Scheme;
use http::{HeaderMap, HeaderValue, Uri, header};

use crate::compression::Compression;
use crate::settings::SendingConfig;
use crate::{endpoint, headers};

/// `exporters::otlphttp`, with the Collector's keys and defaults.
#[derive(Clone, Debug)]
pub struct HttpConfig {
    pub(super) urls: Urls,
    pub(super) tls: ClientTls,
    pub(super) encoding: Encoding,
    pub(super) compression: Compression,
    /// What zlib's format is called: some servers know it as `deflate`, its name in RFC 9110, some as `zlib`.
    pub(super) zlib_name: &'static str,
    pub(super) headers: HeaderMap,
    /// An idle connection is closed after so long.
    pub(super) idle_conn_timeout: Option<Duration>,
    pub(super) max_idle_conns_per_host: usize,
    /// Offer HTTP/2 over TLS.
    pub(super) force_attempt_http2: bool,
    /// Ping an HTTP/2 connection that is silent for so long.
    pub(super) http2_read_idle_timeout: Option<Duration>,
    pub(super) http2_ping_timeout: Option<Duration>,
    /// Timeout, retry and queue.
    pub sending: SendingConfig,
}

/// How a request body is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// Protobuf.
    Proto,
    /// OTLP/JSON.
    Json,
}

/// Where each signal is posted; one that has no URL cannot be sent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Urls {
    traces: Option<Uri>,
    metrics: Option<Uri>,
    logs: Option<Uri>,
    /// Signals for which none is given, while there is one for others.
    unserved: Vec<Signal>,
}

const TIMEOUT: Duration = Duration::from_secs(30);
const IDLE_CONN_TIMEOUT: Duration = Duration::from_secs(90);

impl Default for HttpConfig {
    fn default() -> Self {
        Self {
            urls: Urls::default(),
            tls: ClientTls::default(),
            encoding: Encoding::Proto,
            compression: Compression::GZIP,
            zlib_name: "deflate",
            headers: with_user_agent(HeaderMap::new()),
            idle_conn_timeout: Some(IDLE_CONN_TIMEOUT),
            max_idle_conns_per_host: usize::MAX,
            force_attempt_http2: true,
            http2_read_idle_timeout: None,
            http2_ping_timeout: None,
            sending: SendingConfig::with_timeout(TIMEOUT),
        }
    }
}

impl HttpConfig {
    /// Reads the exporter's mapping.
    #[must_use]
    pub fn read(table: &Table<'_>) -> Self {
        let default = Self::default();
        let known = [
            ("gzip", Compression::GZIP),
            ("zstd", Compression::ZSTD),
            ("zlib", Compression::ZLIB),
            ("deflate", Compression::ZLIB),
            ("none", Compression::None),
            ("", Compression::None),
        ];
        let compression = Compression::read(table, &known);
        let is_zlib =
            table.get("compression").and_then(|name| name.string()).is_some_and(|name| name == "zlib");
        for key in ["auth", "middlewares", "cookies", "proxy_url"] {
            table.refuse(key, format!("`{key}` is not supported yet"));
        }
        table.accept("profiles_endpoint", "there are no profiles here");
        for key in ["read_buffer_size", "write_buffer_size"] {
            table.accept(key, "bodies are written without a buffer between");
        }
        for key in ["max_idle_conns", "max_conns_per_host"] {
            table.accept(key, "there are never more connections than `sending_queue::num_consumers`");
        }
        table.accept("disable_keep_alives", "connections are used again");
        Self {
            urls: Urls::read(table),
            tls: table.table("tls").map_or(default.tls, |tls| ClientTls::read(&tls)),
            encoding: table.choice_or(
                "encoding",
                &[("proto", Encoding::Proto), ("json", Encoding::Json)],
                default.encoding,
            ),
            compression: match table.table("compression_params") {
                Some(params) => compression.with_level(&params),
                None => compression,
            },
            zlib_name: if is_zlib { "zlib" } else { default.zlib_name },
            headers: with_user_agent(headers::read(table)),
            idle_conn_timeout: Some(table.duration_or("idle_conn_timeout", IDLE_CONN_TIMEOUT))
                .filter(|timeout| !timeout.is_zero()),
            max_idle_conns_per_host: match table.integer("max_idle_conns_per_host", 0..) {
                None | Some(0) => default.max_idle_conns_per_host,
                Some(connections) => connections,
            },
            force_attempt_http2: table.bool_or("force_attempt_http2", default.force_attempt_http2),
            http2_read_idle_timeout: table.duration("http2_read_idle_timeout").filter(|t| !t.is_zero()),
            http2_ping_timeout: table.duration("http2_ping_timeout").filter(|t| !t.is_zero()),
            sending: SendingConfig::read(table, TIMEOUT),
        }
    }
}

impl HttpConfig {
    /// Signals for which no endpoint is given, while there is one for others.
    #[must_use]
    pub fn unserved(&self) -> &[Signal] {
        &self.urls.unserved
    }
}

impl Encoding {
    /// The type of a request body.
    pub(super) fn media_type(self) -> &'static str {
        match self {
            Self::Proto => "application/x-protobuf",
            Self::Json => "application/json",
        }
    }

    /// The encoding of an answer, if it is one of the two.
    pub(super) fn of(headers: &HeaderMap) -> Option<Self> {
        let kind = headers.get(header::CONTENT_TYPE)?.to_str().ok()?;
        let kind = kind.split(';').next().unwrap_or_default().trim();
        [Self::Proto, Self::Json].into_iter().find(|known| kind.eq_ignore_ascii_case(known.media_type()))
    }
}

impl Urls {
    fn read(table: &Table<'_>) -> Self {
        let base = table.string("endpoint").filter(|text| !text.is_empty());
        // A base that is wrong is said once, not for each signal.
        let base_is_good = base.as_deref().is_none_or(|base| checked(table, "endpoint", base).is_some());
        let of = |key: &'static str, signal: Signal| match table.string(key).filter(|text| !text.is_empty()) {
            Some(own) => checked(table, key, &own),
            None if !base_is_good => None,
            None => base.as_deref().and_then(|base| {
                let url = format!("{}{}", base.trim_end_matches('/'), signal.http_path());
                checked(table, "endpoint", &url)
            }),
        };
        Self {
            traces: of("traces_endpoint", Signal::Traces),
            metrics: of("metrics_endpoint", Signal::Metrics),
            logs: of("logs_endpoint", Signal::Logs),
            unserved: unserved(table),
        }
    }

    pub(super) fn of(&self, signal: Signal) -> Option<&Uri> {
        match signal {
            Signal::Traces => self.traces.as_ref(),
            Signal::Metrics => self.metrics.as_ref(),
            Signal::Logs => self.logs.as_ref(),
        }
    }
}

/// The signals for which no endpoint is given, not even a wrong one. That there is none at all is said here.
fn unserved(table: &Table<'_>) -> Vec<Signal> {
    let own = [
        ("traces_endpoint", Signal::Traces),
        ("metrics_endpoint", Signal::Metrics),
        ("logs_endpoint", Signal::Logs),
    ];
    let is_given = |key| {
        table.get(key).is_some_and(|given| {
            !given.is_null() && !matches!(&given.node().value, Value::String(text) if text.is_empty())
        })
    };
    if is_given("endpoint") {
        return Vec::new();
    }
    if !own.iter().any(|(key, _)| is_given(key)) {
        table.error("endpoint", "`endpoint` is required, or an endpoint for each signal");
        return Vec::new();
    }
    own.into_iter().filter(|(key, _)| !is_given(key)).map(|(_, signal)| signal).collect()
}

fn checked(table: &Table<'_>, key: &'static str, text: &str) -> Option<Uri> {
    parse(text)
        .map_err(|problem| {
            let help = "write a URL such as https://backend:4318";
            table.error_with_help(key, format!("endpoint `{text}` {problem}"), help);
        })
        .ok()
}

fn parse(text: &str) -> Result<Uri, &'static str> {
    if text.contains('#') {
        return Err("has a fragment");
    }
    let url = Uri::try_from(text).map_err(|_| "is not a URL")?;
    match url.scheme() {
        None => return Err("has no scheme"),
        Some(scheme) if *scheme != Scheme::HTTP && *scheme != Scheme::HTTPS => {
            return Err("has a scheme other than http and https");
        }
        Some(_) => {}
    }
    endpoint::has_port(url.authority().ok_or("names no host")?)?;
    Ok(url)
}

fn with_user_agent(mut headers: HeaderMap) -> HeaderMap {
    headers.entry(header::USER_AGENT).or_insert(HeaderValue::from_static(headers::USER_AGENT));
    headers
}

#[cfg(test)]
mod tests {
    use forebay_config::read_str;

    use super::*;

    fn url(config: &HttpConfig, signal: Signal) -> String {
        config.urls.of(signal).map(ToString::to_string).unwrap_or_default()
    }

    #[test]
    fn an_endpoint_is_completed_by_the_path_of_each_signal() {
        for endpoint in ["https://backend:4318", "https://backend:4318/"] {
            let (config, diagnostics) = read_str(&format!("endpoint: {endpoint}"), HttpConfig::read);
            assert!(diagnostics.is_empty(), "{}", diagnostics.render(false));
            assert_eq!(url(&config, Signal::Traces), "https://backend:4318/v1/traces");
            assert_eq!(url(&config, Signal::Metrics), "https://backend:4318/v1/metrics");
            assert_eq!(url(&config, Signal::Logs), "https://backend:4318/v1/logs");
        }
        let yaml = "{endpoint: 'http://a/otlp', traces_endpoint: 'http://b/in?x=1'}";
        let (config, _) = read_str(yaml, HttpConfig::read);
        assert_eq!(url(&config, Signal::Traces), "http://b/in?x=1");
        assert_eq!(url(&config, Signal::Logs), "http://a/otlp/v1/logs");
    }

    #[test]
    fn one_signal_may_stand_alone() {
        let (config, diagnostics) = read_str("traces_endpoint: http://b/in", HttpConfig::read);
        assert!(diagnostics.is_empty());
        assert!(config.urls.of(Signal::Metrics).is_none());
        assert_eq!(config.unserved(), [Signal::Metrics, Signal::Logs]);
        let (config, _) = read_str("{metrics_endpoint: http://b, traces_endpoint: 5}", HttpConfig::read);
        assert_eq!(config.unserved(), [Signal::Logs], "what is wrong is said once");
        let (config, _) = read_str("{endpoint: http://a, logs_endpoint: ''}", HttpConfig::read);
        assert_eq!(config.unserved(), []);
    }

    #[test]
    fn what_is_no_url_is_one_error_at_the_endpoint() {
        for (endpoint, problem) in [
            ("backend:4318", "scheme"),
            ("backend", "has no scheme"),
            ("ftp://backend", "has a scheme other"),
            ("http://a:b@backend", "has credentials"),
            ("http://backend:99999", "has a port"),
            ("http://", "is not a URL"),
            ("http://backend/#x", "has a fragment"),
        ] {
            let (_, diagnostics) = read_str(&format!("endpoint: '{endpoint}'"), HttpConfig::read);
            let text = diagnostics.render(false);
            assert!(text.contains(problem), "{endpoint}: {text}");
            assert!(text.contains("1 error\n"), "{text}");
        }
        for nothing in ["{}", "endpoint: ''", "{endpoint: , traces_endpoint: ''}"] {
            let (config, diagnostics) = read_str(nothing, HttpConfig::read);
            assert!(diagnostics.render(false).contains("`endpoint` is required"), "{nothing}");
            assert_eq!(config.unserved(), []);
        }
    }

    #[test]
    fn keys_of_the_collector_are_known() {
        let yaml = "
endpoint: https://backend
encoding: json
compression: zstd
compression_params: {level: 11}
headers: {x-token: secret, user-agent: mine}
timeout: 1m
max_idle_conns: 10
max_idle_conns_per_host: 5
max_conns_per_host: 5
idle_conn_timeout: 10s
disable_keep_alives: false
http2_read_idle_timeout: 10s
http2_ping_timeout: 5s
force_attempt_http2: false
read_buffer_size: 1
write_buffer_size: 1
retry_on_failure: {enabled: false}
sending_queue: {enabled: false}
";
        let (config, diagnostics) = read_str(yaml, HttpConfig::read);
        assert!(!diagnostics.has_errors(), "{}", diagnostics.render(false));
        assert_eq!((config.encoding, config.compression), (Encoding::Json, Compression::Zstd(11)));
        assert_eq!(config.headers[header::USER_AGENT], "mine");
        assert_eq!(config.sending.timeout, Some(Duration::from_secs(60)));
        assert!(config.sending.retry.is_none() && config.sending.queue.is_none());
    }

    #[test]
    fn zlib_keeps_the_name_it_was_given() {
        for (name, sent) in [("zlib", "zlib"), ("deflate", "deflate")] {
            let (config, _) =
                read_str(&format!("{{endpoint: 'http://a', compression: {name}}}"), HttpConfig::read);
            assert_eq!((config.compression, config.zlib_name), (Compression::ZLIB, sent));
        }
    }

    #[test]
    fn what_is_not_supported_is_said() {
        for yaml in ["proxy_url: http://p", "auth: {authenticator: x}", "cookies: {}", "compression: lz4"] {
            let (_, diagnostics) = read_str(&format!("endpoint: http://a\n{yaml}"), HttpConfig::read);
            assert!(diagnostics.render(false).contains("not supported"), "{yaml}");
        }
    }
}
