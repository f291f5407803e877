//! One span from an application to Forebay, as SDKs export it: OTLP over gRPC.

use std::io;
use std::net::TcpListener;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use bytes::Bytes;
use forebay_config::read_str;
use forebay_exporter::grpc::{Channel, ChannelConfig};
use forebay_exporter::{ExporterContext, nop};
use forebay_otlp::{Signal, json};
use forebay_pipeline::{Budget, Telemetry};
use forebay_receiver::{OtlpConfig, OtlpReceiver, Outputs};

use super::arena::Arena;
use super::report::{Cell, Table, median};
use super::take_turns;
use super::transport::Transport;
use crate::components::StartError;
use crate::run::runtime;

const EXPORT: &str = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";
const EXPORTS: usize = 1000;
const TIMEOUT: Duration = Duration::from_secs(10);
const BUDGET: usize = 64 << 20;
const SPAN: &str = r#"{"resourceSpans":[{"resource":{"attributes":[{"key":"service.name","value":{"stringValue":"checkout"}}]},
  "scopeSpans":[{"scope":{"name":"http"},"spans":[{"traceId":"5b8efff798038103d269b633813fc60c",
  "spanId":"eee19b7ec3c1b174","name":"GET /cart","kind":2,"startTimeUnixNano":"1544712660000000000",
  "endTimeUnixNano":"1544712661000000000","attributes":[{"key":"http.response.status_code","value":{"intValue":"200"}}]}]}]}]}"#;

/// A receiver of Forebay's for each transport, and where it listens.
struct Receivers {
    endpoints: [String; 3],
    receivers: Vec<OtlpReceiver>,
}

/// The median time of an export, by transport.
pub(super) fn export(arena: &Arena, rounds: usize) -> Result<Table, StartError> {
    let span = Bytes::from(json::decode(Signal::Traces, SPAN.as_bytes())?);
    let server = runtime(2)?;
    let (plain, accelerated) = free_ports()?;
    let _accelerated = arena.accelerate([accelerated], &[])?;
    let receivers = server.block_on(Receivers::start(plain, accelerated))?;
    let values = thread::scope(|scope| {
        let client = scope.spawn(|| {
            take_turns(rounds, |transport| {
                let endpoint = &receivers.endpoints[transport as usize];
                runtime(1)?.block_on(exports(endpoint, &span))
            })
        });
        client.join().unwrap_or_else(|_| Err("a measuring thread has panicked".into()))
    })?;
    server.block_on(receivers.stop());
    let mut table = Table::new("Export of one span over OTLP/gRPC to Forebay, median", "µs");
    table.row("1 span", values.map(Cell::Measured));
    Ok(table)
}

/// Two ports that nobody listens on.
fn free_ports() -> io::Result<(u16, u16)> {
    // Both are held until both are known, or they might be the same.
    let (first, second) = (TcpListener::bind(("127.0.0.1", 0))?, TcpListener::bind(("127.0.0.1", 0))?);
    Ok((first.local_addr()?.port(), second.local_addr()?.port()))
}

impl Receivers {
    async fn start(plain: u16, accelerated: u16) -> Result<Self, StartError> {
        let socket = std::env::temp_dir().join(format!("forebay-sockaccel-otlp-{}", std::process::id()));
        let endpoints = [
            format!("127.0.0.1:{plain}"),
            format!("127.0.0.1:{accelerated}"),
            format!("unix://{}", socket.display()),
        ];
        let (telemetry, budget) = (Telemetry::new(), Budget::new(BUDGET));
        let (config, _) = read_str("{}", nop::NopConfig::read);
        let context = ExporterContext { budget: budget.clone(), telemetry: telemetry.clone() };
        let sink = nop::build("nop", config, &context)?;
        let mut receivers = Vec::new();
        for (endpoint, transport) in endpoints.iter().zip(Transport::ALL) {
            let transport = if transport == Transport::Unix { "unix" } else { "tcp" };
            let address = endpoint.trim_start_matches("unix://");
            let yaml = format!("{{protocols: {{grpc: {{endpoint: '{address}', transport: {transport}}}}}}}");
            let (config, _) = read_str(&yaml, OtlpConfig::read);
            let outputs = Outputs { traces: Some(Arc::clone(&sink)), metrics: None, logs: None };
            receivers.push(OtlpReceiver::start("otlp", config, outputs, budget.clone(), &telemetry).await?);
        }
        Ok(Self { endpoints, receivers })
    }

    async fn stop(self) {
        for receiver in self.receivers {
            receiver.shutdown(tokio::time::Instant::now()).await;
        }
    }
}

/// The median time of an export to a receiver, in microseconds.
async fn exports(endpoint: &str, span: &Bytes) -> Result<f64, StartError> {
    let yaml = format!("{{endpoint: '{endpoint}', tls: {{insecure: true}}}}");
    let (config, _) = read_str(&yaml, ChannelConfig::read);
    let channel = Channel::new(&config, Some(TIMEOUT))?;
    let mut times = Vec::with_capacity(EXPORTS);
    for _ in 0..EXPORTS {
        let begin = Instant::now();
        channel.call(EXPORT, span.clone()).await?;
        times.push(begin.elapsed().as_secs_f64() * 1e6);
    }
    Ok(median(times))
}
