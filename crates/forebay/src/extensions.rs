//! `health_check`: tells probes whether the pipelines are running.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use forebay_config::{Place, Table};
use forebay_pipeline::BoxFuture;
use forebay_receiver::Endpoint;
use http::{Response, StatusCode};
use http_body_util::Full;
use tokio::time::Instant;

use crate::components::Extension;
use crate::http_server::{HttpServer, ListenError, body, status};

/// Settings of `health_check`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct HealthCheckConfig {
    /// Where to listen.
    pub(crate) endpoint: Endpoint,
    /// Where that is said.
    pub(crate) place: Place,
    path: String,
    healthy: Option<String>,
    unhealthy: Option<String>,
}

/// The `health_check` extension.
pub(crate) struct HealthCheck {
    running: Arc<AtomicBool>,
    server: HttpServer,
}

const HOST: &str = "localhost";
const PORT: u16 = 13133;

impl HealthCheckConfig {
    /// Reads the settings, recording every mistake.
    #[must_use]
    pub(crate) fn read(table: &Table<'_>) -> Self {
        let endpoint = table.string("endpoint").and_then(|text| match text.parse() {
            Ok(Endpoint::Unix(_)) => {
                table.error("endpoint", "health_check listens on `host:port`, not on a Unix socket");
                None
            }
            Ok(endpoint) => Some(endpoint),
            Err(error) => {
                table.error("endpoint", error.to_string());
                None
            }
        });
        table.default("endpoint", format!("{HOST}:{PORT}"));
        table.default("path", "/");
        let bodies = table.section("response_body");
        let config = Self {
            endpoint: endpoint.unwrap_or_else(|| Endpoint::Tcp { host: HOST.to_owned(), port: PORT }),
            place: table.place("endpoint"),
            path: table.string("path").unwrap_or_else(|| "/".to_owned()),
            healthy: bodies.string("healthy"),
            unhealthy: bodies.string("unhealthy"),
        };
        if !config.path.starts_with('/') {
            table.error("path", "a path begins with `/`");
        }
        table.refuse("tls", "health_check does not support TLS");
        for key in ["check_collector_pipeline", "transport", "read_header_timeout", "use_v2"] {
            table.accept(key, "what is answered is whether the pipelines run, over HTTP");
        }
        config
    }

    /// What is answered at `path`, depending on whether the pipelines are running.
    fn answer(&self, path: &str, running: bool) -> Response<Full<Bytes>> {
        if path != self.path {
            return status(StatusCode::NOT_FOUND);
        }
        let (code, custom, default) = if running {
            (StatusCode::OK, &self.healthy, r#"{"status":"Server available"}"#)
        } else {
            (StatusCode::SERVICE_UNAVAILABLE, &self.unhealthy, r#"{"status":"Server not available"}"#)
        };
        match custom {
            Some(text) => body(code, "text/plain; charset=utf-8", text.clone()),
            None => body(code, "application/json", default),
        }
    }
}

impl HealthCheck {
    /// Starts answering.
    ///
    /// # Errors
    /// When the endpoint cannot be listened on.
    pub(crate) async fn start(config: HealthCheckConfig) -> Result<Self, ListenError> {
        let running = Arc::new(AtomicBool::new(false));
        let endpoint = config.endpoint.clone();
        let state = Arc::clone(&running);
        let handler = move |path: &str| config.answer(path, state.load(Ordering::Relaxed));
        let server = HttpServer::start("health_check", &endpoint, Arc::new(handler)).await?;
        Ok(Self { running, server })
    }
}

impl Extension for HealthCheck {
    fn pipelines_running(&self, running: bool) {
        self.running.store(running, Ordering::Relaxed);
    }

    fn stop(self: Box<Self>, _deadline: Instant) -> BoxFuture<'static, ()> {
        Box::pin(self.server.stop())
    }
}

#[cfg(test)]
mod tests {
    use forebay_config::read_str;

    use super::*;

    #[test]
    fn the_answer_follows_the_pipelines() {
        let (config, problems) =
            read_str("{path: /ready, response_body: {unhealthy: patience}}", HealthCheckConfig::read);
        assert!(problems.is_empty(), "{}", problems.render(false));
        let starting = config.answer("/ready", false);
        assert_eq!(starting.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(config.answer("/ready", true).status(), StatusCode::OK);
        assert_eq!(config.answer("/", true).status(), StatusCode::NOT_FOUND);
    }

    #[test]
    fn the_default_endpoint_is_the_collectors() {
        let (config, _) = read_str("{}", HealthCheckConfig::read);
        assert_eq!((config.endpoint.to_string().as_str(), config.path.as_str()), ("localhost:13133", "/"));
    }

    #[test]
    fn what_is_not_supported_is_said_once() {
        let (_, problems) = read_str("{tls: {cert_file: a.pem}, use_v2: true}", HealthCheckConfig::read);
        let text = problems.render(false);
        assert!(text.contains("does not support TLS") && text.ends_with("1 error, 1 warning\n"), "{text}");
    }
}
