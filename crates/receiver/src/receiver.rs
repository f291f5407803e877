//! The running receiver: its endpoints from start to shutdown.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;

use forebay_pipeline::{Budget, Consumer, Signal, Telemetry};
use http::{Request, Response};
use hyper::body::Incoming;
use tokio::time::Instant;

use crate::StartError;
use crate::answer::Answer;
use crate::config::{GrpcConfig, OtlpConfig, OtlpHttpConfig};
use crate::connection::{self, Call, Life, Serve};
use crate::grpc::Services;
use crate::http::{Front, Service};
use crate::intake::{Intake, Surroundings};
use crate::metrics::Transport;
use crate::server::{self, Server};

/// Where the requests of each signal go. A signal without a consumer is not served.
#[derive(Clone, Default)]
pub struct Outputs {
    /// Takes spans.
    pub traces: Option<Arc<dyn Consumer>>,
    /// Takes metrics.
    pub metrics: Option<Arc<dyn Consumer>>,
    /// Takes log records.
    pub logs: Option<Arc<dyn Consumer>>,
}

/// A running `otlp` receiver. Dropping it cuts its connections; [`Self::shutdown`] is kinder.
#[derive(Debug)]
pub struct OtlpReceiver {
    grpc_addr: Option<SocketAddr>,
    http_addr: Option<SocketAddr>,
    server: Server,
}

impl Outputs {
    pub(crate) fn of(&self, signal: Signal) -> Option<&Arc<dyn Consumer>> {
        match signal {
            Signal::Traces => self.traces.as_ref(),
            Signal::Metrics => self.metrics.as_ref(),
            Signal::Logs => self.logs.as_ref(),
        }
    }
}

impl OtlpReceiver {
    /// Binds every endpoint of `config` and serves from then on.
    ///
    /// `id` is the component's, such as `otlp` or `otlp/2`: metrics and logs carry it.
    ///
    /// # Errors
    /// When an endpoint cannot be bound; then none is.
    pub async fn start(
        id: &str,
        config: OtlpConfig,
        outputs: Outputs,
        budget: Budget,
        telemetry: &Telemetry,
    ) -> Result<Self, StartError> {
        let server = Server::new();
        let surroundings = Surroundings {
            receiver: id,
            outputs: &outputs,
            budget: &budget,
            telemetry,
            deliveries: &server.life().deliveries,
        };
        let OtlpConfig { grpc, http } = config;
        let grpc = match grpc {
            Some(config) => Some(grpc_endpoint(config, &surroundings, server.life()).await?),
            None => None,
        };
        let http = match http {
            Some(config) => Some(http_endpoint(config, &surroundings, server.life()).await?),
            None => None,
        };
        let grpc_addr = grpc.and_then(|endpoint| server.run(endpoint));
        let http_addr = http.and_then(|endpoint| server.run(endpoint));
        Ok(Self { grpc_addr, http_addr, server })
    }

    /// The bound address of the gRPC endpoint, unless it is off or a Unix socket.
    #[must_use]
    pub fn grpc_addr(&self) -> Option<SocketAddr> {
        self.grpc_addr
    }

    /// The bound address of the HTTP endpoint, unless it is off or a Unix socket.
    #[must_use]
    pub fn http_addr(&self) -> Option<SocketAddr> {
        self.http_addr
    }

    /// Stops, as [`Server::shutdown`].
    pub async fn shutdown(self, deadline: Instant) {
        self.server.shutdown(deadline).await;
    }
}

async fn grpc_endpoint(
    config: GrpcConfig,
    surroundings: &Surroundings<'_>,
    life: &Life,
) -> Result<connection::Endpoint<Services>, StartError> {
    let intake =
        Intake::new(surroundings, Transport::Grpc, config.max_recv_msg_size, "max_recv_msg_size_mib");
    let services = Services { intake, read_timeout: config.read_timeout };
    server::grpc_endpoint(&owner(surroundings), &config, surroundings.budget, life, services).await
}

async fn http_endpoint(
    config: OtlpHttpConfig,
    surroundings: &Surroundings<'_>,
    life: &Life,
) -> Result<connection::Endpoint<Service>, StartError> {
    let OtlpHttpConfig { server: config, paths } = config;
    let intake =
        Intake::new(surroundings, Transport::Http, config.max_request_body_size, "max_request_body_size");
    let service = Service {
        intake,
        paths,
        front: Front::new(&config),
        codings: config.codings.clone(),
        read_timeout: config.read_timeout,
    };
    server::http_endpoint(&owner(surroundings), &config, surroundings.budget, life, service).await
}

fn owner(surroundings: &Surroundings<'_>) -> String {
    format!("receiver {}", surroundings.receiver)
}

impl Serve for Services {
    fn serve(
        self: Arc<Self>,
        request: Request<Incoming>,
        call: Call,
    ) -> impl Future<Output = Result<Response<Answer>, Infallible>> + Send {
        self.answer(request, call)
    }
}

impl Serve for Service {
    fn serve(
        self: Arc<Self>,
        request: Request<Incoming>,
        call: Call,
    ) -> impl Future<Output = Result<Response<Answer>, Infallible>> + Send {
        self.answer(request, call)
    }
}
