//! The configuration of servers (`configgrpc`, `confighttp`) and of the `otlp` receiver: the Collector's keys
//! and defaults, with these deviations.
//!
//! - `read_timeout`, `read_header_timeout` and `idle_timeout` are not "none" when unset: a client that
//!   stalls must not hold a connection for ever. Zero, said explicitly, is none. HTTP/1 connections that
//!   are kept alive end after the shorter of `idle_timeout` and `read_header_timeout`.
//! - gRPC connections that never carry a call end too, after `max_connection_idle`, and messages have to
//!   arrive within the same time as HTTP bodies.
//! - `max_concurrent_streams` is bounded when unset.
//! - `auth` is an error: to ignore it would open what is meant to be closed.

use std::time::Duration;

use forebay_config::{Place, Table};
use forebay_pipeline::Signal;
use forebay_tls::ServerTls;
use http::{HeaderMap, HeaderName, HeaderValue};

use crate::connection::Lifetime;
use crate::endpoint::Endpoint;
use crate::http::cors::Cors;
use crate::inflate::Coding;

const GRPC_PORT: u16 = 4317;
const HTTP_PORT: u16 = 4318;
const MIB: usize = 1 << 20;
/// What grpc-go takes and clients expect to be able to send.
const GRPC_MESSAGE: usize = 4 * MIB;
const HTTP_BODY: u32 = 20 << 20;
/// The busiest SDK has 30 exports under way at once.
const STREAMS: u32 = 100;
const READ_TIMEOUT: Duration = Duration::from_secs(60);
/// `confighttp`'s own defaults, which the Collector's `otlp` receiver sets back to none.
const HEADER_TIMEOUT: Duration = Duration::from_secs(60);
const IDLE_TIMEOUT: Duration = Duration::from_secs(60);
/// Longer than any export interval that is in use; gRPC clients reconnect with their next call.
const GRPC_IDLE: Duration = Duration::from_secs(15 * 60);
/// grpc-go's.
const KEEPALIVE_TIME: Duration = Duration::from_secs(2 * 60 * 60);
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(20);

/// The configuration of an `otlp` receiver.
#[derive(Clone, Debug, Default)]
pub struct OtlpConfig {
    /// `protocols.grpc`
    pub grpc: Option<GrpcConfig>,
    /// `protocols.http`
    pub http: Option<OtlpHttpConfig>,
}

/// `protocols.http`
#[derive(Clone, Debug)]
pub struct OtlpHttpConfig {
    /// What it has in common with other HTTP servers.
    pub server: HttpConfig,
    /// The paths of [`Signal::ALL`].
    pub(crate) paths: [String; 3],
}

/// The settings of a gRPC server.
#[derive(Clone, Debug)]
pub struct GrpcConfig {
    /// Where to listen.
    pub endpoint: Endpoint,
    /// Where that is said.
    pub place: Place,
    /// Without it, connections are not encrypted.
    pub tls: Option<ServerTls>,
    /// The largest message in bytes, decoded.
    pub max_recv_msg_size: usize,
    /// Calls in flight on one connection.
    pub max_concurrent_streams: u32,
    /// How long a message may take to arrive.
    pub read_timeout: Option<Duration>,
    pub(crate) keepalive: Keepalive,
    pub(crate) lifetime: Lifetime,
}

/// When to ask whether a silent client is still there, and how long to wait for its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Keepalive {
    pub(crate) time: Option<Duration>,
    pub(crate) timeout: Duration,
}

/// The settings of an HTTP server.
#[derive(Clone, Debug)]
pub struct HttpConfig {
    /// Where to listen.
    pub endpoint: Endpoint,
    /// Where that is said.
    pub place: Place,
    /// Without it, connections are not encrypted.
    pub tls: Option<ServerTls>,
    /// The largest body in bytes, decoded.
    pub max_request_body_size: usize,
    /// Requests in flight on one HTTP/2 connection.
    pub max_concurrent_streams: u32,
    /// How long a body may take to arrive.
    pub read_timeout: Option<Duration>,
    /// How long the head of an HTTP/1 request may take to arrive.
    pub read_header_timeout: Option<Duration>,
    /// How long a connection may be without a request.
    pub idle_timeout: Option<Duration>,
    /// Whether an HTTP/1 connection serves more than one request.
    pub keep_alives_enabled: bool,
    pub(crate) cors: Option<Cors>,
    pub(crate) codings: Vec<Coding>,
    /// Added to every answer.
    pub(crate) response_headers: HeaderMap,
}

impl OtlpConfig {
    /// Reads the receiver's mapping.
    #[must_use]
    pub fn read(table: &Table<'_>) -> Self {
        let Some(protocols) = table.table("protocols") else {
            table.error_with_help(
                "protocols",
                "`protocols` is required",
                "for the defaults: `protocols: {grpc: , http: }`",
            );
            return Self::default();
        };
        let config = Self {
            grpc: protocols
                .table("grpc")
                .map(|table| GrpcConfig::read(&table, Endpoint::localhost(GRPC_PORT))),
            http: protocols.table("http").map(|table| OtlpHttpConfig::read(&table)),
        };
        if config.grpc.is_none() && config.http.is_none() {
            protocols.error("grpc", "at least one of `grpc` and `http` is required");
        }
        config
    }

    /// Where it listens, and where that is said.
    pub fn endpoints(&self) -> impl Iterator<Item = (&Endpoint, &Place)> {
        let grpc = self.grpc.as_ref().map(|grpc| (&grpc.endpoint, &grpc.place));
        let http = self.http.as_ref().map(|http| (&http.server.endpoint, &http.server.place));
        grpc.into_iter().chain(http)
    }
}

impl OtlpHttpConfig {
    fn read(table: &Table<'_>) -> Self {
        let [traces, metrics, logs] = Signal::ALL.map(|signal| signal.http_path().to_owned());
        Self {
            server: HttpConfig::read(table, Endpoint::localhost(HTTP_PORT)),
            paths: [
                path(table, "traces_url_path", traces),
                path(table, "metrics_url_path", metrics),
                path(table, "logs_url_path", logs),
            ],
        }
    }
}

impl GrpcConfig {
    /// Reads the server's mapping; without `endpoint` it listens on `default`.
    #[must_use]
    pub fn read(table: &Table<'_>, default: Endpoint) -> Self {
        refuse_auth(table);
        table.accept("read_buffer_size", "buffers grow with what is read");
        table.accept("write_buffer_size", "answers are a few bytes");
        let defaults = Self::at(default);
        let keepalive = table.table("keepalive");
        if let Some(enforcement) =
            keepalive.as_ref().and_then(|keepalive| keepalive.table("enforcement_policy"))
        {
            enforcement.accept("min_time", "clients may ping as often as they like");
            enforcement.accept("permit_without_stream", "clients may ping as often as they like");
        }
        let parameters = keepalive.as_ref().and_then(|keepalive| keepalive.table("server_parameters"));
        let (keepalive, lifetime) = parameters.map_or((defaults.keepalive, defaults.lifetime), |table| {
            (Keepalive::read(&table), lifetime(&table))
        });
        Self {
            endpoint: Endpoint::read(table, defaults.endpoint),
            place: table.place("endpoint"),
            tls: tls(table),
            max_recv_msg_size: match table.integer_or("max_recv_msg_size_mib", 0..=4095, GRPC_MESSAGE / MIB) {
                0 => GRPC_MESSAGE,
                size => size * MIB,
            },
            max_concurrent_streams: streams(table),
            read_timeout: defaults.read_timeout,
            keepalive,
            lifetime,
        }
    }

    /// The defaults, and an endpoint.
    #[must_use]
    pub fn at(endpoint: Endpoint) -> Self {
        Self {
            endpoint,
            place: Place::default(),
            tls: None,
            max_recv_msg_size: GRPC_MESSAGE,
            max_concurrent_streams: STREAMS,
            read_timeout: Some(READ_TIMEOUT),
            keepalive: Keepalive { time: Some(KEEPALIVE_TIME), timeout: KEEPALIVE_TIMEOUT },
            lifetime: Lifetime { idle: Some(GRPC_IDLE), age: None, grace: None },
        }
    }
}

impl Keepalive {
    fn read(table: &Table<'_>) -> Self {
        Self {
            time: timeout(table, "time", Some(KEEPALIVE_TIME)).or(Some(KEEPALIVE_TIME)),
            timeout: timeout(table, "timeout", Some(KEEPALIVE_TIMEOUT)).unwrap_or(KEEPALIVE_TIMEOUT),
        }
    }
}

impl HttpConfig {
    /// Reads the server's mapping; without `endpoint` it listens on `default`.
    #[must_use]
    pub fn read(table: &Table<'_>, default: Endpoint) -> Self {
        refuse_auth(table);
        table.accept("write_timeout", "a client that does not take its answer is cut off by `idle_timeout`");
        let defaults = Self::at(default);
        Self {
            endpoint: Endpoint::read(table, defaults.endpoint),
            place: table.place("endpoint"),
            tls: tls(table),
            max_request_body_size: table
                .integer_or("max_request_body_size", ..=i64::from(u32::MAX), i64::from(HTTP_BODY))
                .try_into()
                .ok()
                .filter(|size| *size > 0)
                .unwrap_or(defaults.max_request_body_size),
            max_concurrent_streams: defaults.max_concurrent_streams,
            read_timeout: timeout(table, "read_timeout", defaults.read_timeout),
            read_header_timeout: timeout(table, "read_header_timeout", defaults.read_header_timeout),
            idle_timeout: timeout(table, "idle_timeout", defaults.idle_timeout),
            keep_alives_enabled: table.bool_or("keep_alives_enabled", defaults.keep_alives_enabled),
            cors: table.table("cors").and_then(|table| Cors::read(&table)),
            codings: codings(table).unwrap_or(defaults.codings),
            response_headers: response_headers(table),
        }
    }

    /// The defaults, and an endpoint.
    #[must_use]
    pub fn at(endpoint: Endpoint) -> Self {
        Self {
            endpoint,
            place: Place::default(),
            tls: None,
            max_request_body_size: HTTP_BODY as usize,
            max_concurrent_streams: STREAMS,
            read_timeout: Some(READ_TIMEOUT),
            read_header_timeout: Some(HEADER_TIMEOUT),
            idle_timeout: Some(IDLE_TIMEOUT),
            keep_alives_enabled: true,
            cors: None,
            codings: vec![Coding::Identity, Coding::Gzip, Coding::Zstd, Coding::Deflate],
            response_headers: HeaderMap::new(),
        }
    }
}

/// Keys of both protocols that mean nothing here, and the one that must not be ignored.
fn refuse_auth(table: &Table<'_>) {
    let help = "use mTLS (`tls::client_ca_file`), or an authenticating proxy in front";
    table.refuse_with_help("auth", "authenticators are not supported yet", help);
    table.accept("include_metadata", "nothing reads the metadata of requests");
    table.accept("middlewares", "there are no middleware extensions");
}

fn tls(table: &Table<'_>) -> Option<ServerTls> {
    table.table("tls").and_then(|tls| ServerTls::read(&tls))
}

fn streams(table: &Table<'_>) -> u32 {
    match table.integer_or("max_concurrent_streams", 0..=u32::MAX, STREAMS) {
        0 => STREAMS,
        streams => streams,
    }
}

/// Zero is none, as in the Collector.
fn timeout(table: &Table<'_>, key: &'static str, default: Option<Duration>) -> Option<Duration> {
    Some(table.duration_or(key, default.unwrap_or_default())).filter(|limit| !limit.is_zero())
}

fn lifetime(table: &Table<'_>) -> Lifetime {
    Lifetime {
        idle: timeout(table, "max_connection_idle", Some(GRPC_IDLE)),
        age: timeout(table, "max_connection_age", None),
        grace: timeout(table, "max_connection_age_grace", None),
    }
}

/// The codings to decode. The Collector has some that no SDK sends.
fn codings(table: &Table<'_>) -> Option<Vec<Coding>> {
    const KEY: &str = "compression_algorithms";
    let mut codings = Vec::new();
    for name in table.strings(KEY)?.iter().map(|name| name.trim()) {
        match (Coding::named(name), name) {
            (Some(coding), _) => codings.push(coding),
            (None, "snappy" | "x-snappy-framed" | "lz4") => {
                table.warning(KEY, format!("`{name}` is not supported: such requests are answered 415"));
            }
            (None, _) => {
                let help = "supported: \"\", gzip, zstd, zlib, deflate";
                table.error_with_help(KEY, format!("unknown compression algorithm `{name}`"), help);
            }
        }
    }
    Some(codings)
}

fn response_headers(table: &Table<'_>) -> HeaderMap {
    const KEY: &str = "response_headers";
    let mut headers = HeaderMap::new();
    for (name, value) in table.map(KEY).unwrap_or_default() {
        match (HeaderName::try_from(&name), HeaderValue::try_from(&value)) {
            (Ok(name), Ok(value)) => {
                headers.insert(name, value);
            }
            _ => table.error(KEY, format!("`{name}` and its value do not make an HTTP header")),
        }
    }
    headers
}

fn path(table: &Table<'_>, key: &'static str, default: String) -> String {
    table.default(key, default.as_str());
    match table.string(key).filter(|path| !path.is_empty()) {
        None => default,
        Some(path) if path.starts_with('/') => path,
        Some(path) => format!("/{path}"),
    }
}

#[cfg(test)]
mod tests;
