//! Bad input through the whole process: answered as the protocols say, bounded in memory, and harmless to what
//! was accepted before.

mod excessive;
mod flood;
mod malformed;

use bytes::Bytes;
use forebay_otlp::Signal;
use http::header;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceResponse;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;

use crate::harness::{Backend, Forebay, RpcStatus, post, request_of, span};

const MIB: usize = 1 << 20;
const PROTOBUF: (&str, &str) = ("content-type", "application/x-protobuf");
const JSON: (&str, &str) = ("content-type", "application/json");

/// A process that holds what it accepts until it ends, and a backend.
struct Victim {
    process: Forebay,
    backend: Backend,
    accepted: usize,
    input: usize,
    largest: usize,
    /// The process's memory before it got anything bad, most of which is a debug build's own pages.
    idle: usize,
}

impl Victim {
    async fn start() -> Self {
        Self::start_waiting("1h").await
    }

    /// The same, but it holds traces only for `wait`.
    async fn start_waiting(wait: &str) -> Self {
        let backend = Backend::start().await;
        let yaml = format!(
            "
processors: {{tail_sampling: {{decision_wait: {wait}, policies: [{{name: all, type: always_sample}}]}}}}
exporters: {{otlp: {{endpoint: 'http://{}', compression: none}}, file: {{path: out.jsonl}}}}
service: {{pipelines: {{traces: {{receivers: [otlp], processors: [tail_sampling], exporters: [otlp, file]}}}}}}
",
            backend.address
        );
        let process = Forebay::start(&yaml).await;
        let mut victim = Self { process, backend, accepted: 0, input: 0, largest: 0, idle: 0 };
        victim.still_works().await;
        victim.idle = victim.process.peak_memory();
        victim
    }

    /// A good request is accepted.
    async fn still_works(&mut self) {
        self.accepted += 1;
        let good = request_of([span(u128::MAX - self.accepted as u128)]);
        self.process.client().export(Signal::Traces, good).await.unwrap();
    }

    /// Posts traces, and expects this status; the body of what is not accepted is a `google.rpc.Status`.
    async fn post(&mut self, headers: &[(&str, &str)], body: impl Into<Bytes>, status: u16) -> String {
        let body = body.into();
        self.count(body.len());
        let answer = post(self.process.http, "/v1/traces", headers, body).await;
        let message = match answer.headers[header::CONTENT_TYPE].to_str().unwrap() {
            "application/json" => String::from_utf8(answer.body.to_vec()).unwrap(),
            _ if answer.status == 200 => {
                let response = ExportTraceServiceResponse::decode(answer.body).unwrap();
                response.partial_success.map(|partial| partial.error_message).unwrap_or_default()
            }
            _ => RpcStatus::decode(answer.body).unwrap().message,
        };
        assert_eq!(answer.status.as_u16(), status, "{message}");
        assert!(status == 200 || !message.is_empty());
        message
    }

    fn count(&mut self, bytes: usize) {
        self.input += bytes;
        self.largest = self.largest.max(bytes);
    }

    /// The process has not used more memory than its input may cost.
    fn assert_bounded(&self) {
        let bound = self.idle + 64 * MIB + 8 * self.largest + 4 * self.input;
        let peak = self.process.peak_memory();
        assert!(peak <= bound, "{} MiB at most, of {} MiB", peak / MIB, bound / MIB);
    }

    /// Ends the process, and returns what it has delivered beside the good spans, none of which is missing.
    async fn delivered(mut self) -> Vec<Span> {
        self.still_works().await;
        self.assert_bounded();
        self.process.stop().await;
        let is_good = |span: &Span| span.trace_id.starts_with(&[0xff; 8]);
        let (good, others): (Vec<_>, Vec<_>) =
            self.backend.traces().into_spans().into_iter().partition(is_good);
        assert_eq!(good.len(), self.accepted);
        others
    }
}
