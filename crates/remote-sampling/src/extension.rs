//! The running extension.

use std::net::SocketAddr;
use std::sync::Arc;

use forebay_exporter::BuildError;
use forebay_pipeline::{Budget, Telemetry};
use forebay_receiver::{Server, StartError as ServerError};
use thiserror::Error;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::adaptive::Adaptive;
use crate::adaptive::fleet::Counts;
use crate::config::{RemoteSamplingConfig, SourceConfig};
use crate::service::Service;
use crate::source::Source;
use crate::source::document::DocumentSource;
use crate::source::remote::RemoteSource;

/// A running sampling server. Dropping it ends it at once; [`Self::shutdown`] is kinder.
pub struct RemoteSampling {
    http_addr: Option<SocketAddr>,
    grpc_addr: Option<SocketAddr>,
    server: Server,
    adaptive: Option<(Adaptive, Recalculation)>,
}

/// Ends when it is dropped.
struct Recalculation(JoinHandle<()>);

/// Why a sampling server does not start.
#[derive(Debug, Error)]
pub enum StartError {
    /// An endpoint cannot be served.
    #[error(transparent)]
    Server(#[from] ServerError),
    /// The source cannot be asked.
    #[error("the source of strategies cannot be used: {0}")]
    Source(#[from] BuildError),
    /// The configuration has a mistake, which was reported when it was read.
    #[error("there is no source of strategies: see `validate`")]
    NoSource,
}

impl RemoteSampling {
    /// Serves strategies from now on. `id` is the extension's, such as `jaegerremotesampling/2`.
    ///
    /// # Errors
    /// When an endpoint cannot be bound or TLS settings cannot be used.
    pub async fn start(
        id: &str,
        config: RemoteSamplingConfig,
        budget: &Budget,
        telemetry: &Telemetry,
    ) -> Result<Self, StartError> {
        let RemoteSamplingConfig { http, grpc, source } = config;
        let mut adaptive = None;
        let mut counts: Option<Arc<dyn Counts>> = None;
        let source: Arc<dyn Source> = match source.ok_or(StartError::NoSource)? {
            SourceConfig::Document(config) => Arc::new(DocumentSource::start(config)?),
            SourceConfig::Remote(config) => Arc::new(RemoteSource::start(&config)?),
            SourceConfig::Adaptive(source) => {
                let recalculation = Recalculation(tokio::spawn(source.start(id, telemetry)?));
                adaptive = Some((source.clone(), recalculation));
                counts = Some(Arc::new(source.clone()));
                Arc::new(source)
            }
        };
        let service = |transport, counts| Service::new(id, transport, Arc::clone(&source), counts, telemetry);
        let (server, owner) = (Server::new(), format!("extension {id}"));
        let http_addr = match &http {
            Some(config) => server.http(&owner, config, budget, service("http", counts)).await?,
            None => None,
        };
        let grpc_addr = match &grpc {
            Some(config) => server.grpc(&owner, config, budget, service("grpc", None)).await?,
            None => None,
        };
        Ok(Self { http_addr, grpc_addr, server, adaptive })
    }

    /// The bound address of the HTTP endpoint, unless it is off or a Unix socket.
    #[must_use]
    pub fn http_addr(&self) -> Option<SocketAddr> {
        self.http_addr
    }

    /// The bound address of the gRPC endpoint, unless it is off or a Unix socket.
    #[must_use]
    pub fn grpc_addr(&self) -> Option<SocketAddr> {
        self.grpc_addr
    }

    /// Answers nobody else, saves what is to survive, and lets calls in flight finish until `deadline`.
    pub async fn shutdown(self, deadline: Instant) {
        if let Some((adaptive, _)) = &self.adaptive {
            adaptive.stop().await;
        }
        self.server.shutdown(deadline).await;
    }
}

impl Drop for Recalculation {
    fn drop(&mut self) {
        self.0.abort();
    }
}
