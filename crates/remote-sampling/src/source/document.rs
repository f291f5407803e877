//! Strategies from a file or a URL, read again now and then.
//!
//! A document counts as a whole: one with a mistake in it is told once and changes nothing, and so does a
//! server that cannot be reached. A file is read together with the configuration, so a service does not start
//! with a broken one; a server may come later, and until it does everybody is told the default.

use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use bytes::Bytes;
use forebay_config::{Diagnostic, Diagnostics, read_document};
use forebay_exporter::BuildError;
use forebay_exporter::fetch::Fetcher;
use forebay_pipeline::{BoxFuture, Throttle};
use forebay_tls::ClientTls;
use http::Uri;
use tokio::task::JoinHandle;

use super::{Source, Unavailable};
use crate::strategies::Strategies;
use crate::strategy::Encoded;

/// Beyond this a document is not what it should be.
const MOST: usize = 8 << 20;
/// How long a server may take.
const TIMEOUT: Duration = Duration::from_secs(5);
/// How often a server is asked that has not answered yet, if nothing else is said.
const RETRY: Duration = Duration::from_secs(10);

/// A document of strategies.
#[derive(Clone, Debug)]
pub(crate) struct DocumentConfig {
    pub(crate) location: Location,
    /// How often it is read again; `None` never.
    pub(crate) reload_interval: Option<Duration>,
    /// The probability where the document names none.
    pub(crate) fallback: f64,
    /// What it said when the configuration was read; empty if it is at a URL.
    pub(crate) text: Bytes,
}

/// Where a document is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Location {
    File(PathBuf),
    Url(Uri),
}

/// The source `file`.
pub(crate) struct DocumentSource {
    current: Arc<RwLock<Arc<Strategies>>>,
    reloading: JoinHandle<()>,
}

/// The last document that was looked at, and what is served.
struct Reloader {
    name: String,
    fallback: f64,
    text: Bytes,
    current: Arc<RwLock<Arc<Strategies>>>,
}

impl Location {
    /// What `text` means: a URL of `http` or `https`, or the path of a file.
    pub(crate) fn of(text: &str) -> Result<Self, String> {
        if !text.starts_with("http://") && !text.starts_with("https://") {
            return Ok(Self::File(text.into()));
        }
        match text.parse::<Uri>() {
            Ok(url) if url.host().is_some_and(|host| !host.is_empty()) => Ok(Self::Url(url)),
            Ok(_) => Err(format!("`{text}` names no host")),
            Err(error) => Err(format!("`{text}` is not a URL: {error}")),
        }
    }
}

impl DocumentConfig {
    /// Reads the strategies that `text` holds, and what is wrong with it.
    pub(crate) fn parse(diagnostics: &Diagnostics, name: &str, text: &[u8], fallback: f64) -> Strategies {
        match str::from_utf8(text) {
            Ok(text) => read_document(diagnostics, name, text, |table| Strategies::read(table, fallback)),
            Err(error) => {
                diagnostics.add(Diagnostic::error("", format!("`{name}` is not UTF-8: {error}")));
                Strategies::all(fallback)
            }
        }
    }
}

impl DocumentSource {
    /// Serves a document from now on. Must be called inside a runtime.
    ///
    /// # Errors
    /// When there is no way to make TLS connections.
    pub(crate) fn start(config: DocumentConfig) -> Result<Self, BuildError> {
        let DocumentConfig { location, reload_interval, fallback, text } = config;
        let current = Arc::new(RwLock::new(Arc::new(Strategies::all(fallback))));
        let name = match &location {
            Location::File(path) => path.display().to_string(),
            Location::Url(url) => url.to_string(),
        };
        let mut reloader = Reloader { name, fallback, text: Bytes::new(), current: Arc::clone(&current) };
        let loaded = !text.is_empty();
        if loaded {
            reloader.offer(text);
        }
        let fetcher = Fetcher::new(&ClientTls::default(), TIMEOUT, MOST)?;
        let reloading = tokio::spawn(reloader.run(location, fetcher, reload_interval, loaded));
        Ok(Self { current, reloading })
    }
}

impl Drop for DocumentSource {
    fn drop(&mut self) {
        self.reloading.abort();
    }
}

impl Source for DocumentSource {
    fn strategy<'a>(&'a self, service: &'a str) -> BoxFuture<'a, Result<Encoded, Unavailable>> {
        let current = Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner));
        Box::pin(std::future::ready(Ok(current.of(service).clone())))
    }
}

impl Reloader {
    async fn run(
        mut self,
        location: Location,
        fetcher: Fetcher,
        interval: Option<Duration>,
        mut loaded: bool,
    ) {
        let failures = Throttle::new();
        let mut pause = if loaded { interval } else { Some(Duration::ZERO) };
        while let Some(wait) = pause {
            tokio::time::sleep(wait).await;
            match read(&location, &fetcher).await {
                Ok(text) => loaded |= self.offer(text),
                Err(error) => {
                    if let Some(withheld) = failures.pass() {
                        let name = &self.name;
                        tracing::warn!(error, withheld, "cannot read `{name}`: strategies stay as they are");
                    }
                }
            }
            pause = interval.or((!loaded).then_some(RETRY));
        }
    }

    /// Serves what a document says, unless something is wrong with it. Whether it is served.
    fn offer(&mut self, text: Bytes) -> bool {
        if text == self.text {
            return false;
        }
        let diagnostics = Diagnostics::new();
        let strategies = DocumentConfig::parse(&diagnostics, &self.name, &text, self.fallback);
        let first = self.text.is_empty();
        self.text = text;
        let name = &self.name;
        if diagnostics.has_errors() {
            let findings = diagnostics.render(false);
            tracing::error!("`{name}` cannot be used, strategies stay as they are:\n{findings}");
            return false;
        }
        if !diagnostics.is_empty() {
            tracing::warn!("strategies of `{name}`:\n{}", diagnostics.render(false));
        }
        if !first {
            tracing::info!("new strategies from `{name}`");
        }
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(strategies);
        true
    }
}

async fn read(location: &Location, fetcher: &Fetcher) -> Result<Bytes, String> {
    match location {
        Location::Url(url) => fetcher.fetch(url).await.map_err(|error| error.to_string()),
        Location::File(path) => {
            tokio::fs::read(path).await.map(Bytes::from).map_err(|error| error.to_string())
        }
    }
}

#[cfg(test)]
mod tests;
