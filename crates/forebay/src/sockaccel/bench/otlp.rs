//! Spans from an application to Forebay, as SDKs export them: OTLP over gRPC.

use std::sync::Arc;
use std::thread;

use bytes::Bytes;
use forebay_config::read_str;
use forebay_exporter::{ExporterContext, nop};
use forebay_otlp::{Signal, json};
use forebay_pipeline::{Budget, Telemetry};
use forebay_receiver::{OtlpConfig, OtlpReceiver, Outputs};
use tokio::runtime::Builder;

use super::arena::Arena;
use super::client::exports;
use super::report::Table;
use super::sockets::Sockets;
use super::take_turns;
use super::traffic::{Cpus, Placement};
use super::transport::Transport;
use crate::components::StartError;
use crate::ports;
use crate::run::runtime;

/// An application exports single spans when it has little to do, and batches otherwise.
const SPANS: [usize; 2] = [1, 100];
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

/// The median time of an export, by transport. Client and receiver have a thread each.
pub(super) fn export(arena: &Arena, placement: Placement, rounds: usize) -> Result<Table, StartError> {
    let [plain, accelerated] = ports::free()?;
    let _accelerated = arena.accelerate([accelerated], &[])?;
    let sockets = Sockets::new("otlp")?;
    let (here, there) = Cpus::allowed()?.of(placement);
    let mut server = Builder::new_multi_thread();
    server.worker_threads(1).enable_all().on_thread_start(move || drop(there.pin()));
    let server = server.build()?;
    let receivers = server.block_on(Receivers::start(plain, accelerated, &sockets))?;
    let title = format!("Export over OTLP/gRPC to Forebay, by tonic's client, median, {placement}");
    let table = thread::scope(|scope| {
        let client = scope.spawn(|| {
            here.pin()?;
            let client = runtime(1)?;
            by_spans(&title, rounds, |request, transport| {
                client.block_on(exports(&receivers.endpoints[transport as usize], request))
            })
        });
        client.join().unwrap_or_else(|_| Err("a measuring thread has panicked".into()))
    })?;
    server.block_on(receivers.stop());
    Ok(table)
}

/// A table of what exporting takes, by the number of spans.
pub(super) fn by_spans(
    title: &str,
    rounds: usize,
    mut measure: impl FnMut(&Bytes, Transport) -> Result<f64, StartError>,
) -> Result<Table, StartError> {
    let span = json::decode(Signal::Traces, SPAN.as_bytes())?;
    let mut table = Table::new(title, "µs");
    for spans in SPANS {
        // Requests one after another are one request.
        let request = Bytes::from(span.repeat(spans));
        let samples = take_turns(rounds, &Transport::ALL, |transport| measure(&request, transport))?;
        let name = if spans == 1 { "1 span".to_owned() } else { format!("{spans} spans") };
        table.row(&name, samples);
    }
    Ok(table)
}

impl Receivers {
    async fn start(plain: u16, accelerated: u16, sockets: &Sockets) -> Result<Self, StartError> {
        let endpoints = [
            format!("http://127.0.0.1:{plain}"),
            format!("http://127.0.0.1:{accelerated}"),
            sockets.endpoint("receiver"),
        ];
        let (telemetry, budget) = (Telemetry::new(), Budget::new(BUDGET));
        let (config, _) = read_str("{}", nop::NopConfig::read);
        let context = ExporterContext { budget: budget.clone(), telemetry: telemetry.clone() };
        let sink = nop::build("nop", config, &context)?;
        let mut receivers = Vec::new();
        for endpoint in &endpoints {
            let (transport, address) = match endpoint.strip_prefix("unix:") {
                Some(path) => ("unix", path),
                None => ("tcp", endpoint.trim_start_matches("http://")),
            };
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
