//! The accounts of every stage, against what was sent and what arrived.

use fastrand::Rng;
use forebay_otlp::Signal;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceResponse;
use prost::Message;
use tonic::Code;

use crate::harness::{
    Backend, Behaviour, Forebay, GrpcClient, free_port, logs_request, metrics_request, post, request_of,
    span_of,
};

/// What the Collector calls what it counts, where Forebay counts the same.
const COLLECTOR_METRICS: &[&str] = &[
    "otelcol_receiver_accepted_spans",
    "otelcol_receiver_refused_spans",
    "otelcol_receiver_accepted_metric_points",
    "otelcol_receiver_accepted_log_records",
    "otelcol_exporter_sent_spans",
    "otelcol_exporter_send_failed_spans",
    "otelcol_exporter_enqueue_failed_spans",
    "otelcol_exporter_sent_metric_points",
    "otelcol_exporter_sent_log_records",
    "otelcol_exporter_queue_size",
    "otelcol_exporter_queue_capacity",
    "otelcol_processor_probabilistic_sampler_count_traces_sampled",
    "otelcol_processor_tail_sampling_count_traces_sampled",
    "otelcol_processor_tail_sampling_global_count_traces_sampled",
    "otelcol_processor_tail_sampling_new_trace_id_received",
    "otelcol_processor_tail_sampling_sampling_traces_on_memory",
    "otelcol_processor_tail_sampling_early_releases_from_cache_decision",
];

struct Sent {
    spans: i64,
    malformed: i64,
    points: i64,
    records: i64,
}

/// Spans of few traces in no order, some of them malformed, between metrics and logs, over both protocols.
async fn random_traffic(process: &Forebay, rng: &mut Rng) -> Sent {
    let client = process.client();
    let mut sent = Sent { spans: 0, malformed: 0, points: 0, records: 0 };
    for _ in 0..100 {
        match rng.u8(0..10) {
            0 => {
                let points = rng.u64(1..5);
                client.export(Signal::Metrics, metrics_request(points)).await.unwrap();
                sent.points += points.cast_signed();
            }
            1 => {
                let records = rng.u64(1..5);
                client.export(Signal::Logs, logs_request(records)).await.unwrap();
                sent.records += records.cast_signed();
            }
            _ => {
                let mut spans: Vec<_> =
                    (0..rng.u64(1..40)).map(|_| span_of(rng.u128(1..64) << 50, rng.u64(1..20))).collect();
                let mut malformed = 0;
                for span in &mut spans {
                    if rng.u8(..) < 10 {
                        span.trace_id.truncate(rng.usize(0..16));
                        malformed += 1;
                    }
                }
                sent.spans += i64::try_from(spans.len()).unwrap();
                sent.malformed += malformed;
                let request = request_of(spans);
                let answer = if rng.bool() {
                    client.export(Signal::Traces, request).await.unwrap()
                } else {
                    post(process.http, "/v1/traces", &[("content-type", "application/x-protobuf")], request)
                        .await
                        .body
                };
                let partial = ExportTraceServiceResponse::decode(answer).unwrap().partial_success;
                assert_eq!(partial.map_or(0, |partial| partial.rejected_spans), malformed);
            }
        }
    }
    sent
}

#[tokio::test]
async fn every_item_is_accounted_for_at_every_stage() {
    let (backend, rejecting) = (Backend::start().await, Backend::start().await);
    rejecting.behave(Behaviour::Refuse(Code::InvalidArgument));
    let yaml = format!(
        "
processors:
  probabilistic_sampler: {{mode: equalizing, sampling_percentage: 60}}
  tail_sampling: {{decision_wait: 20ms, policies: [{{name: part, type: probabilistic, probabilistic: {{sampling_percentage: 30}}}}]}}
  tail_sampling/patient: {{decision_wait: 1h, policies: [{{name: all, type: always_sample}}]}}
  batch: {{timeout: 20ms, send_batch_size: 50, send_batch_max_size: 50}}
exporters:
  otlp: {{endpoint: 'http://{}'}}
  otlp/rejecting: {{endpoint: 'http://{}'}}
  file: {{path: out.jsonl}}
  debug:
  nop:
service:
  telemetry: {{logs: {{level: error}}}}
  pipelines:
    traces: {{receivers: [otlp], processors: [probabilistic_sampler, tail_sampling, batch], exporters: [otlp, file]}}
    traces/patient: {{receivers: [otlp], processors: [tail_sampling/patient], exporters: [nop]}}
    traces/rejected: {{receivers: [otlp], exporters: [otlp/rejecting, debug]}}
    metrics: {{receivers: [otlp], processors: [batch], exporters: [otlp]}}
    logs: {{receivers: [otlp], exporters: [otlp]}}
",
        backend.address, rejecting.address
    );
    let process = Forebay::start(&yaml).await;
    let sent = random_traffic(&process, &mut Rng::with_seed(20_261_121)).await;
    assert!(sent.malformed > 0 && sent.points > 0 && sent.records > 0);

    let good = sent.spans - sent.malformed;
    let metrics = process
        .until("rest", |metrics| {
            let at_rest = |(stage, signal): &(String, String)| {
                stage == "processor/tail_sampling/patient" || metrics.stage(stage, signal, "buffered") == 0
            };
            metrics.unbalanced().is_empty()
                && metrics.stages().iter().all(at_rest)
                && metrics.stage("processor/tail_sampling", "traces", "incoming") > 0
                && metrics.dropped("exporter/otlp/rejecting", "rejected") == good
        })
        .await;
    let spans = |stage, figure| metrics.stage(stage, "traces", figure);

    assert_eq!(spans("receiver/otlp", "incoming"), sent.spans);
    assert_eq!(metrics.dropped("receiver/otlp", "malformed"), sent.malformed);
    assert_eq!(metrics.sum("otelcol_receiver_accepted_spans", &[]), good);
    assert_eq!(metrics.sum("otelcol_receiver_refused_spans", &[]), sent.malformed);
    // Each stage has what the one before it has handed on.
    assert_eq!(spans("processor/probabilistic_sampler", "incoming"), good);
    for [from, to] in [
        ["processor/probabilistic_sampler", "processor/tail_sampling"],
        ["processor/tail_sampling", "processor/batch"],
        ["processor/batch", "exporter/otlp"],
        ["processor/batch", "exporter/file"],
    ] {
        assert_eq!(spans(from, "outgoing"), spans(to, "incoming"), "{from} to {to}");
    }
    assert_eq!(
        spans("exporter/otlp", "outgoing"),
        i64::try_from(backend.traces().into_spans().len()).unwrap()
    );
    assert_eq!(
        metrics.sum("otelcol_exporter_sent_spans", &[("exporter", "otlp")]),
        spans("exporter/otlp", "outgoing")
    );
    let lines = std::fs::read_to_string(process.directory().join("out.jsonl")).unwrap();
    assert_eq!(
        i64::try_from(lines.matches("\"spanId\"").count()).unwrap(),
        spans("exporter/file", "outgoing")
    );
    // Some are kept at each stage, and some are not.
    for stage in ["processor/probabilistic_sampler", "processor/tail_sampling"] {
        assert!(spans(stage, "outgoing") > 0 && metrics.dropped(stage, "not_sampled") > 0, "{stage}");
    }
    assert_eq!(spans("processor/tail_sampling/patient", "buffered"), good);
    assert_eq!(spans("exporter/debug", "outgoing"), good);
    assert_eq!(metrics.sum("otelcol_exporter_send_failed_spans", &[("exporter", "otlp/rejecting")]), good);

    assert_eq!(metrics.stage("exporter/otlp", "metrics", "outgoing"), sent.points);
    assert_eq!(metrics.stage("processor/batch", "metrics", "outgoing"), sent.points);
    assert_eq!(metrics.sum("otelcol_exporter_sent_metric_points", &[]), sent.points);
    assert_eq!(metrics.sum("otelcol_exporter_sent_log_records", &[]), sent.records);
    for name in COLLECTOR_METRICS {
        assert!(metrics.has(name), "{name}");
    }
    process.stop().await;
}

#[tokio::test]
async fn what_is_refused_stays_the_clients_and_is_counted_so() {
    let backend = Backend::start().await;
    backend.behave(Behaviour::Refuse(Code::Unavailable));
    let second = std::net::SocketAddr::from(([127, 0, 0, 1], free_port()));
    let yaml = format!(
        "
receivers:
  otlp/direct: {{protocols: {{grpc: {{endpoint: '{second}'}}}}}}
processors:
  probabilistic_sampler: {{mode: equalizing, sampling_percentage: 100}}
exporters:
  otlp/direct: {{endpoint: 'http://{backend}', sending_queue: {{enabled: false}}, retry_on_failure: {{enabled: false}}}}
  otlp/waiting: {{endpoint: 'http://{backend}', sending_queue: {{wait_for_result: true}}, retry_on_failure: {{enabled: false}}}}
service:
  pipelines:
    traces/direct: {{receivers: [otlp/direct], processors: [probabilistic_sampler], exporters: [otlp/direct]}}
    traces/waiting: {{receivers: [otlp], exporters: [otlp/waiting]}}
",
        backend = backend.address
    );
    let process = Forebay::start(&yaml).await;
    let direct = GrpcClient::new(second);
    for client in [&direct, &process.client()] {
        let status =
            client.export(Signal::Traces, request_of([span_of(1, 1), span_of(1, 2)])).await.unwrap_err();
        assert_eq!(status.code(), Code::Unavailable);
    }
    backend.behave(Behaviour::Refuse(Code::PermissionDenied));
    for client in [&direct, &process.client()] {
        let status =
            client.export(Signal::Traces, request_of([span_of(1, 1), span_of(1, 2)])).await.unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument, "not to be sent again");
    }
    backend.behave(Behaviour::Accept);
    for client in [&direct, &process.client()] {
        client.export(Signal::Traces, request_of([span_of(1, 1), span_of(1, 2)])).await.unwrap();
    }
    assert_eq!(backend.traces().into_spans().len(), 4);

    let metrics = process.metrics().await;
    assert_eq!(metrics.unbalanced(), [""; 0]);
    for receiver in ["receiver/otlp", "receiver/otlp/direct"] {
        assert_eq!(metrics.stage(receiver, "traces", "outgoing"), 2, "{receiver}");
        assert_eq!(metrics.dropped(receiver, "refused"), 4, "{receiver}");
    }
    // Stages count what they have taken, so the refused spans are the receivers' alone.
    for stage in ["processor/probabilistic_sampler", "exporter/otlp/direct", "exporter/otlp/waiting"] {
        assert_eq!(metrics.stage(stage, "traces", "incoming"), 2, "{stage}");
    }
    process.stop().await;
}
