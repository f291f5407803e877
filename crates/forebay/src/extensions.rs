//! `health_check`: tells probes whether the pipelines are running.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use forebay_config::Table;
use forebay_receiver::Endpoint;
use http::StatusCode;

use crate::components::Extension;
use crate::http_server::{HttpServer, ListenError, body, status};

/// Settings of `health_check`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct HealthCheckConfig {
    endpoint: Endpoint,
    path: String,
    healthy: Option<String>,
    unhealthy: Option<String>,
}

/// The `health_check` extension.
pub(crate) struct HealthCheck {
    running: Arc<AtomicBool>,
    _server: HttpServer,
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
        let bodies = table.section("response_body");
        let config = Self {
            endpoint: endpoint.unwrap_or_else(|| Endpoint::Tcp { host: HOST.to_owned(), port: PORT }),
            path: table.string("path").unwrap_or_else(|| "/".to_owned()),
            healthy: bodies.string("healthy"),
            unhealthy: bodies.string("unhealthy"),
        };
        if !config.path.starts_with('/') {
            table.error("path", "a path begins with `/`");
        }
        if table.has("tls") {
            table.get("tls");
            table.error("tls", "health_check does not support TLS");
        }
        for key in ["check_collector_pipeline", "transport", "read_header_timeout", "use_v2"] {
            table.accept(key, "has no effect here");
        }
        config
    }
}

impl HealthCheck {
    /// Starts answering.
    ///
    /// # Errors
    /// When the endpoint cannot be listened on.
    pub(crate) async fn start(config: HealthCheckConfig) -> Result<Self, ListenError> {
        let running = Arc::new(AtomicBool::new(false));
        let HealthCheckConfig { endpoint, path, healthy, unhealthy } = config;
        let state = Arc::clone(&running);
        let handler = move |requested: &str| {
            if requested != path {
                return status(StatusCode::NOT_FOUND);
            }
            let (code, custom, default) = if state.load(Ordering::Relaxed) {
                (StatusCode::OK, &healthy, r#"{"status":"Server available"}"#)
            } else {
                (StatusCode::SERVICE_UNAVAILABLE, &unhealthy, r#"{"status":"Server not available"}"#)
            };
            match custom {
                Some(text) => body(code, "text/plain; charset=utf-8", text.clone()),
                None => body(code, "application/json", default),
            }
        };
        let server = HttpServer::start("health_check", &endpoint, Arc::new(handler)).await?;
        Ok(Self { running, _server: server })
    }
}

impl Extension for HealthCheck {
    fn pipelines_running(&self, running: bool) {
        self.running.store(running, Ordering::Relaxed);
    }
}
