//! The extension's settings: the Collector's keys, or Jaeger's.

use std::fs;
use std::time::Duration;

use bytes::Bytes;
use forebay_config::{Place, Table};
use forebay_exporter::grpc::ChannelConfig;
use forebay_receiver::{Endpoint, GrpcConfig, HttpConfig};

use crate::adaptive::{Adaptive, AdaptiveConfig};
use crate::source::document::{DocumentConfig, Location};
use crate::source::remote::RemoteConfig;
use crate::strategies::DEFAULT_PROBABILITY;

/// The settings of a sampling server.
pub struct RemoteSamplingConfig {
    pub(crate) http: Option<HttpConfig>,
    pub(crate) grpc: Option<GrpcConfig>,
    /// None after a mistake that has been reported.
    pub(crate) source: Option<SourceConfig>,
}

/// Where its strategies come from.
pub(crate) enum SourceConfig {
    Document(DocumentConfig),
    Remote(Box<RemoteConfig>),
    Adaptive(Adaptive),
}

/// A mistake that has been reported.
struct Reported;

/// A source whose key is there.
type Named = Result<SourceConfig, Reported>;

const HTTP_PORT: u16 = 5778;
const GRPC_PORT: u16 = 14250;
/// Jaeger's own server listens elsewhere than the Collector's.
const JAEGER_GRPC_PORT: u16 = 5779;

impl RemoteSamplingConfig {
    /// Reads the Collector's extension `jaegerremotesampling`, recording every mistake.
    #[must_use]
    pub fn read(table: &Table<'_>) -> Self {
        let source = table.section("source");
        let interval = source.duration_or("reload_interval", Duration::ZERO);
        let file = source.string("file").filter(|file| !file.is_empty()).map(|file| {
            document(&source, "file", &file, interval, DEFAULT_PROBABILITY).map(SourceConfig::Document)
        });
        let remote = source.get("remote").filter(|remote| !remote.is_null()).map(|remote| {
            let channel = channel(&remote.table().ok_or(Reported)?);
            Ok(SourceConfig::Remote(Box::new(RemoteConfig { channel, reload_interval: interval })))
        });
        let sources = [("file", file), ("remote", remote), ("adaptive", adaptive(&source))];
        Self::with(table, one_of(&source, sources), GRPC_PORT)
    }

    /// Reads Jaeger's extension `remote_sampling`, recording every mistake.
    #[must_use]
    pub fn read_jaeger(table: &Table<'_>) -> Self {
        let file = table.get("file").filter(|file| !file.is_null()).map(|file| {
            let file = file.table().ok_or(Reported)?;
            let interval = file.duration_or("reload_interval", Duration::ZERO);
            let fallback = file.float_or("default_sampling_probability", 0.0..=1.0, DEFAULT_PROBABILITY);
            let path = file.require("path", file.string("path")).ok_or(Reported)?;
            document(&file, "path", &path, interval, fallback).map(SourceConfig::Document)
        });
        let sources = [("file", file), ("adaptive", adaptive(table))];
        Self::with(table, one_of(table, sources), JAEGER_GRPC_PORT)
    }

    fn with(table: &Table<'_>, source: Option<SourceConfig>, grpc_port: u16) -> Self {
        let enabled = |table: &Table<'_>| table.bool_or("enabled", true);
        let (http, grpc) = (table.section("http"), table.section("grpc"));
        let (http_enabled, grpc_enabled) = (enabled(&http), enabled(&grpc));
        if !http_enabled && !grpc_enabled {
            table.error("http", "neither `http` nor `grpc` is enabled, so nobody would be told anything");
        }
        if let Some(SourceConfig::Adaptive(adaptive)) = &source
            && adaptive.has_peers()
            && !http_enabled
        {
            table.error("http", "peers ask for counts over HTTP, which is not enabled");
        }
        let http = HttpConfig::read(&http, Endpoint::localhost(HTTP_PORT));
        let grpc = GrpcConfig::read(&grpc, Endpoint::localhost(grpc_port));
        Self { http: http_enabled.then_some(http), grpc: grpc_enabled.then_some(grpc), source }
    }

    /// Where it listens, and where that is said.
    pub fn endpoints(&self) -> impl Iterator<Item = (&Endpoint, &Place)> {
        let http = self.http.as_ref().map(|http| (&http.endpoint, &http.place));
        let grpc = self.grpc.as_ref().map(|grpc| (&grpc.endpoint, &grpc.place));
        http.into_iter().chain(grpc)
    }

    /// The source that processors feed, if it is `adaptive`.
    #[must_use]
    pub fn adaptive(&self) -> Option<&Adaptive> {
        match &self.source {
            Some(SourceConfig::Adaptive(adaptive)) => Some(adaptive),
            _ => None,
        }
    }
}

/// Of the sources, by their keys, the one that is named; none and more than one are mistakes.
fn one_of<const N: usize>(
    table: &Table<'_>,
    sources: [(&'static str, Option<Named>); N],
) -> Option<SourceConfig> {
    let keys = sources.iter().map(|(key, _)| format!("`{key}`")).collect::<Vec<_>>().join(", ");
    let mut named = sources.into_iter().filter_map(|(key, source)| Some((key, source?)));
    match (named.next(), named.next()) {
        (None, _) => {
            table.error("file", format!("there is no source of strategies: set one of {keys}"));
            None
        }
        (Some((_, source)), None) => source.ok(),
        (_, Some((second, _))) => {
            table.error(second, format!("there is more than one of {keys}"));
            None
        }
    }
}

/// All its settings have defaults, so the key alone names it.
fn adaptive(table: &Table<'_>) -> Option<Named> {
    let adaptive = table.get("adaptive")?.table();
    let config = adaptive.map(|adaptive| AdaptiveConfig::read(&adaptive));
    Some(config.map(|config| SourceConfig::Adaptive(Adaptive::new(config))).ok_or(Reported))
}

fn channel(table: &Table<'_>) -> ChannelConfig {
    table.accept("compression", "requests are a few bytes");
    ChannelConfig::read(table)
}

/// A file is read now, so that mistakes in it are mistakes in the configuration.
fn document(
    table: &Table<'_>,
    key: &'static str,
    location: &str,
    interval: Duration,
    fallback: f64,
) -> Result<DocumentConfig, Reported> {
    let reported = |problem| {
        table.error(key, problem);
        Reported
    };
    let location = Location::of(location).map_err(reported)?;
    let text = match &location {
        Location::Url(_) => Bytes::new(),
        Location::File(path) => {
            let name = path.display().to_string();
            let text = fs::read(path).map_err(|error| reported(format!("cannot read `{name}`: {error}")))?;
            DocumentConfig::parse(table.diagnostics(), &name, &text, fallback);
            Bytes::from(text)
        }
    };
    let reload_interval = Some(interval).filter(|interval| !interval.is_zero());
    Ok(DocumentConfig { location, reload_interval, fallback, text })
}

#[cfg(test)]
mod tests;
