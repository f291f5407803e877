//! The keys of gRPC clients (`configgrpc`), and of the exporter `otlp`.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use forebay_config::Table;
use forebay_tls::ClientTls;
use http::uri::Authority;
use http::{HeaderMap, HeaderValue};

use crate::compression::Compression;
use crate::settings::SendingConfig;
use crate::{endpoint, headers};

/// `exporters::otlp`, with the Collector's keys and defaults.
#[derive(Clone, Debug)]
pub struct GrpcConfig {
    pub(crate) channel: ChannelConfig,
    pub(crate) compression: Compression,
    /// Timeout, retry and queue.
    pub sending: SendingConfig,
}

/// The settings of a gRPC client.
#[derive(Clone, Debug)]
pub struct ChannelConfig {
    /// Where the server listens.
    pub(super) endpoint: Endpoint,
    pub(super) tls: ClientTls,
    pub(super) headers: HeaderMap,
    pub(super) user_agent: HeaderValue,
    /// Overrides the authority that requests name.
    pub(super) authority: Option<Authority>,
    pub(super) keepalive: Option<Keepalive>,
    /// Bytes of one request that may wait for the connection.
    pub(super) write_buffer_size: usize,
}

/// HTTP/2 pings that find out whether the peer is still there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Keepalive {
    /// After so long without a sign of life a ping is sent; 0: never.
    pub time: Duration,
    /// After so long without an answer the connection is closed.
    pub timeout: Duration,
    /// Also ping while no request is on its way.
    pub permit_without_stream: bool,
}

/// The address of a gRPC server: `host:port`, `http://host:port`, `https://host:port`, `dns:///host:port` or
/// `unix:///path`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Endpoint {
    place: Place,
    /// `true` for `https`, `false` for `http`, if either is written.
    secure: Option<bool>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Place {
    Tcp(Authority),
    Unix(PathBuf),
}

const TIMEOUT: Duration = Duration::from_secs(5);
const WRITE_BUFFER: usize = 512 * 1024;

impl Default for GrpcConfig {
    fn default() -> Self {
        Self {
            channel: ChannelConfig::default(),
            compression: Compression::GZIP,
            sending: SendingConfig::with_timeout(TIMEOUT),
        }
    }
}

impl Default for ChannelConfig {
    fn default() -> Self {
        Self {
            endpoint: Endpoint { place: Place::Tcp(Authority::from_static("localhost:4317")), secure: None },
            tls: ClientTls::default(),
            headers: HeaderMap::new(),
            user_agent: HeaderValue::from_static(headers::USER_AGENT),
            authority: None,
            keepalive: None,
            write_buffer_size: WRITE_BUFFER,
        }
    }
}

impl Default for Keepalive {
    fn default() -> Self {
        Self { time: Duration::from_secs(10), timeout: Duration::from_secs(10), permit_without_stream: false }
    }
}

impl GrpcConfig {
    /// Reads the exporter's mapping.
    #[must_use]
    pub fn read(table: &Table<'_>) -> Self {
        Self::read_with(table, ChannelConfig::read(table))
    }

    /// Reads the mapping of an exporter whose servers are found otherwise.
    #[must_use]
    pub(crate) fn read_settings(table: &Table<'_>) -> Self {
        Self::read_with(table, ChannelConfig::read_settings(table))
    }

    fn read_with(table: &Table<'_>, channel: ChannelConfig) -> Self {
        let known = [
            ("gzip", Compression::GZIP),
            ("zstd", Compression::ZSTD),
            ("none", Compression::None),
            ("", Compression::None),
        ];
        Self {
            channel,
            compression: Compression::read(table, &known),
            sending: SendingConfig::read(table, TIMEOUT),
        }
    }
}

impl ChannelConfig {
    /// Reads a client's mapping, but for `compression`.
    #[must_use]
    pub fn read(table: &Table<'_>) -> Self {
        let endpoint = table.require("endpoint", table.string("endpoint")).and_then(|text| {
            Endpoint::parse(&text)
                .map_err(|problem| {
                    let help = "write host:port, for example backend:4317";
                    table.error_with_help("endpoint", format!("endpoint `{text}` {problem}"), help);
                })
                .ok()
        });
        let settings = Self::read_settings(table);
        Self { endpoint: endpoint.unwrap_or(settings.endpoint), ..settings }
    }

    /// The same for the server at `endpoint`.
    ///
    /// # Errors
    /// What is wrong with the endpoint, to be put after it.
    pub fn with_endpoint(&self, endpoint: &str) -> Result<Self, &'static str> {
        Ok(Self { endpoint: Endpoint::parse(endpoint)?, ..self.clone() })
    }

    /// The same for one of the addresses of the server that is called `name` (`host:port`) in requests and
    /// certificates.
    ///
    /// # Errors
    /// What is wrong with the name, to be put after it.
    pub fn with_address(&self, name: &str, address: SocketAddr) -> Result<Self, &'static str> {
        let named = self.with_endpoint(name)?;
        let authority = Some(named.authority());
        Ok(Self { authority, ..named.with_endpoint(&address.to_string())? })
    }

    /// Reads what a client's mapping has beside `endpoint` and `compression`.
    #[must_use]
    pub fn read_settings(table: &Table<'_>) -> Self {
        let default = Self::default();
        table.accept("balancer_name", "there is one connection, to the first address that answers");
        table.accept("wait_for_ready", "a call that finds no connection is retried");
        table.accept("read_buffer_size", "answers are a few bytes");
        for key in ["auth", "middlewares"] {
            table.refuse(key, format!("`{key}` is not supported yet"));
        }
        Self {
            endpoint: default.endpoint,
            tls: table.table("tls").map_or(default.tls, |tls| ClientTls::read(&tls)),
            headers: headers::read_metadata(table),
            user_agent: headers::read_value(table, "user_agent").unwrap_or(default.user_agent),
            authority: table.string("authority").filter(|text| !text.is_empty()).and_then(|text| {
                Authority::try_from(text.as_str())
                    .map_err(|error| table.error("authority", format!("authority `{text}`: {error}")))
                    .ok()
            }),
            keepalive: table.table("keepalive").map(|keepalive| Keepalive::read(&keepalive)),
            write_buffer_size: match table.integer_or(
                "write_buffer_size",
                0..=u32::MAX as usize,
                WRITE_BUFFER,
            ) {
                0 => WRITE_BUFFER,
                size => size,
            },
        }
    }

    /// Whether to go without TLS: a scheme says so or not, else `tls::insecure`.
    pub(super) fn plaintext(&self) -> bool {
        self.endpoint.secure.map_or_else(|| self.tls.insecure(), |secure| !secure)
    }

    /// What requests name as their authority.
    pub(super) fn authority(&self) -> Authority {
        self.authority.clone().unwrap_or_else(|| self.endpoint.authority())
    }
}

impl Keepalive {
    fn read(table: &Table<'_>) -> Self {
        let default = Self::default();
        Self {
            time: table.duration_or("time", default.time),
            timeout: table.duration_or("timeout", default.timeout),
            permit_without_stream: table.bool_or("permit_without_stream", default.permit_without_stream),
        }
    }
}

impl Endpoint {
    fn parse(text: &str) -> Result<Self, &'static str> {
        if let Some(path) = text.strip_prefix("unix:") {
            let path = path.strip_prefix("//").unwrap_or(path);
            if path.is_empty() {
                return Err("names no socket");
            }
            return Ok(Self { place: Place::Unix(PathBuf::from(path)), secure: None });
        }
        let (rest, secure) = if let Some(rest) = text.strip_prefix("http://") {
            (rest, Some(false))
        } else if let Some(rest) = text.strip_prefix("https://") {
            (rest, Some(true))
        } else {
            (text.strip_prefix("dns:///").unwrap_or(text), None)
        };
        if rest.contains("://") {
            return Err("has a scheme other than http, https, dns and unix");
        }
        // A lone slash is what some tools add to a URL.
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        if rest.contains(['/', '?', '#']) {
            return Err("has a path, which gRPC has no use for");
        }
        let authority = Authority::try_from(rest).map_err(|_| "is not a host and a port")?;
        if !endpoint::has_port(&authority)? {
            return Err("has no port");
        }
        Ok(Self { place: Place::Tcp(authority), secure })
    }

    /// The socket, if it is one.
    pub(super) fn unix_path(&self) -> Option<&Path> {
        match &self.place {
            Place::Unix(path) => Some(path),
            Place::Tcp(_) => None,
        }
    }

    /// Host and port; `localhost` for a socket, as in gRPC.
    pub(super) fn authority(&self) -> Authority {
        match &self.place {
            Place::Tcp(authority) => authority.clone(),
            Place::Unix(_) => Authority::from_static("localhost"),
        }
    }
}

#[cfg(test)]
mod tests {
    use forebay_config::read_str;

    use super::*;

    #[test]
    fn endpoints_are_addresses_with_a_port() {
        for (text, authority, secure) in [
            ("localhost:4317", "localhost:4317", None),
            ("http://backend:4317", "backend:4317", Some(false)),
            ("https://backend:443/", "backend:443", Some(true)),
            ("dns:///backend:4317", "backend:4317", None),
            ("[::1]:4317", "[::1]:4317", None),
            ("unix:///run/otlp.sock", "localhost", None),
        ] {
            let endpoint = Endpoint::parse(text).unwrap();
            assert_eq!((endpoint.authority().as_str(), endpoint.secure), (authority, secure), "{text}");
        }
        assert_eq!(
            Endpoint::parse("unix:///run/otlp.sock").unwrap().unix_path(),
            Some(Path::new("/run/otlp.sock"))
        );
        assert_eq!(Endpoint::parse("unix:otlp.sock").unwrap().unix_path(), Some(Path::new("otlp.sock")));
    }

    #[test]
    fn what_could_not_be_dialled_is_an_error_at_the_endpoint() {
        for (text, problem) in [
            ("backend", "has no port"),
            ("backend:0", "has a port that is not"),
            ("backend:431700", "has a port that is not"),
            ("http://backend:4317/v1/traces", "has a path"),
            ("ftp://backend:4317", "has a scheme"),
            ("user:secret@backend:4317", "has credentials"),
            ("unix://", "names no socket"),
            ("a b:4317", "is not a host"),
        ] {
            let (_, diagnostics) = read_str(&format!("endpoint: '{text}'"), GrpcConfig::read);
            assert!(diagnostics.render(false).contains(problem), "{text}: {}", diagnostics.render(false));
        }
        let (_, diagnostics) = read_str("{}", GrpcConfig::read);
        assert!(diagnostics.render(false).contains("`endpoint` is required"));
    }

    #[test]
    fn plaintext_needs_to_be_asked_for() {
        for (yaml, plaintext) in [
            ("endpoint: a:1", false),
            ("{endpoint: a:1, tls: {insecure: true}}", true),
            ("endpoint: http://a:1", true),
            ("{endpoint: https://a:1, tls: {insecure: true}}", false),
        ] {
            let (config, diagnostics) = read_str(yaml, GrpcConfig::read);
            assert!(!diagnostics.has_errors(), "{}", diagnostics.render(false));
            assert_eq!(config.channel.plaintext(), plaintext, "{yaml}");
        }
    }

    #[test]
    fn keys_of_the_collector_are_known() {
        let yaml = "
endpoint: backend:4317
compression: zstd
headers: {x-tenant: a}
timeout: 10s
keepalive: {time: 20s, timeout: 5s, permit_without_stream: true}
wait_for_ready: true
balancer_name: round_robin
authority: other
user_agent: mine/1
read_buffer_size: 123
write_buffer_size: 65536
retry_on_failure: {initial_interval: 1s, max_interval: 10s, max_elapsed_time: 60s}
sending_queue:
  num_consumers: 4
  queue_size: 50000
  sizer: items
  block_on_overflow: true
  wait_for_result: true
  batch: {flush_timeout: 1s, min_size: 100, max_size: 1000, sizer: items}
";
        let (config, diagnostics) = read_str(yaml, GrpcConfig::read);
        assert!(!diagnostics.has_errors(), "{}", diagnostics.render(false));
        assert_eq!(config.compression, Compression::ZSTD);
        assert_eq!(config.sending.timeout, Some(Duration::from_secs(10)));
        assert_eq!(config.channel.authority().as_str(), "other");
        assert_eq!(config.channel.write_buffer_size, 65536);
        let queue = config.sending.queue.unwrap();
        assert_eq!((queue.num_consumers, queue.queue_size), (4, 50000));
        assert_eq!(queue.batch.unwrap().max_size, 1000);
        assert_eq!(config.sending.retry.unwrap().max_interval, Duration::from_secs(10));
    }

    #[test]
    fn what_is_not_supported_is_said() {
        for yaml in ["compression: snappy", "auth: {authenticator: x}", "sending_queue: {storage: file}"] {
            let (_, diagnostics) = read_str(&format!("endpoint: a:1\n{yaml}"), GrpcConfig::read);
            assert!(diagnostics.render(false).contains("not supported"), "{yaml}");
        }
    }
}
