//! How pipelines share components, and what named components are called.

use forebay_otlp::Signal;
use opentelemetry_proto::tonic::trace::v1::Span;

use crate::harness::{Backend, Forebay, logs_request, metrics_request, request_of, span};

#[tokio::test]
async fn pipelines_share_receivers_and_exporters_but_not_processors() {
    let (kept, everything) = (Backend::start().await, Backend::start().await);
    let yaml = format!(
        "
processors:
  probabilistic_sampler/half: {{mode: equalizing, sampling_percentage: 50}}
  batch:
exporters:
  otlp/kept: {{endpoint: 'http://{}'}}
  otlp/everything: {{endpoint: 'http://{}'}}
service:
  pipelines:
    traces: {{receivers: [otlp], processors: [probabilistic_sampler/half, batch], exporters: [otlp/kept]}}
    traces/audit: {{receivers: [otlp], processors: [batch], exporters: [otlp/everything]}}
    metrics: {{receivers: [otlp], processors: [batch], exporters: [otlp/kept, otlp/everything]}}
    logs: {{receivers: [otlp], exporters: [otlp/everything]}}
",
        kept.address, everything.address
    );
    let process = Forebay::start(&yaml).await;
    let client = process.client();
    let spans = [0_u128, 0x7f, 0x80, 0xff].map(|randomness| span(1 << 64 | randomness << 48));
    client.export(Signal::Traces, request_of(spans.clone())).await.unwrap();
    client.export(Signal::Metrics, metrics_request(2)).await.unwrap();
    client.export(Signal::Logs, logs_request(3)).await.unwrap();
    kept.until_spans(2).await;
    everything.until_spans(4).await;
    let metrics = process
        .until("everything to have left", |metrics| {
            let sent = |exporter, signal| metrics.stage(exporter, signal, "outgoing");
            let logs = sent("exporter/otlp/everything", "logs");
            logs == 3
                && sent("exporter/otlp/everything", "metrics") == 2
                && sent("exporter/otlp/kept", "metrics") == 2
        })
        .await;
    assert_eq!(metrics.unbalanced(), [""; 0]);
    // One instance in each of two pipelines of traces.
    assert_eq!(metrics.stage("processor/batch", "traces", "incoming"), 2 + 4);
    assert_eq!(metrics.stage("processor/batch", "metrics", "incoming"), 2);
    assert_eq!(metrics.stage("processor/probabilistic_sampler/half", "traces", "incoming"), 4);
    assert_eq!(metrics.dropped("processor/probabilistic_sampler/half", "not_sampled"), 2);
    assert_eq!(metrics.sum("otelcol_exporter_sent_log_records", &[("exporter", "otlp/everything")]), 3);
    assert_eq!(metrics.sum("otelcol_exporter_sent_log_records", &[("exporter", "otlp/kept")]), 0);
    process.stop().await;

    // The pipeline without a sampler has spans as they came; the other one its stamps.
    let states = |spans: Vec<Span>| spans.into_iter().map(|span| span.trace_state).collect::<Vec<_>>();
    assert_eq!(states(kept.traces().into_spans()), ["ot=th:8", "ot=th:8"]);
    assert_eq!(everything.messages(Signal::Traces), [request_of(spans)]);
    assert_eq!(everything.messages(Signal::Metrics), [metrics_request(2)]);
    assert_eq!(kept.messages(Signal::Logs).len(), 0);
}

#[tokio::test]
async fn named_samplers_keep_accounts_of_their_own() {
    let backend = Backend::start().await;
    let yaml = format!(
        "
receivers:
  otlp/second: {{protocols: {{grpc: {{endpoint: '127.0.0.1:0'}}}}}}
processors:
  tail_sampling/all: {{decision_wait: 10ms, policies: [{{name: keep, type: always_sample}}]}}
  tail_sampling/errors: {{decision_wait: 10ms, policies: [{{name: errors, type: status_code, status_code: {{status_codes: [ERROR]}}}}]}}
exporters: {{otlp: {{endpoint: 'http://{}'}}}}
service:
  pipelines:
    traces/all: {{receivers: [otlp, otlp/second], processors: [tail_sampling/all], exporters: [otlp]}}
    traces/errors: {{receivers: [otlp], processors: [tail_sampling/errors], exporters: [otlp]}}
",
        backend.address
    );
    let process = Forebay::start(&yaml).await;
    process.client().export(Signal::Traces, request_of([span(1), span(2)])).await.unwrap();
    backend.until_spans(2).await;
    let metrics = process
        .until("the decisions", |metrics| {
            metrics.dropped("processor/tail_sampling/errors", "not_sampled") == 2
        })
        .await;
    let sampled = |processor, policy, sampled| {
        let labels = [("processor", processor), ("policy", policy), ("sampled", sampled)];
        metrics.sum("otelcol_processor_tail_sampling_count_traces_sampled", &labels)
    };
    assert_eq!(sampled("tail_sampling/all", "all.keep", "true"), 2);
    assert_eq!(sampled("tail_sampling/errors", "errors.errors", "false"), 2);
    assert_eq!(metrics.stage("processor/tail_sampling/all", "traces", "outgoing"), 2);
    assert_eq!(metrics.stages().len(), 5, "{:?}", metrics.stages());
    process.stop().await;
}

#[tokio::test]
async fn processors_act_in_the_order_in_which_they_are_named() {
    let backend = Backend::start().await;
    let yaml = format!(
        "
processors:
  memory_limiter: {{check_interval: 1s, limit_mib: 200}}
  probabilistic_sampler: {{mode: proportional, sampling_percentage: 50}}
  tail_sampling: {{decision_wait: 10ms, policies: [{{name: quarter, type: probabilistic, probabilistic: {{sampling_percentage: 25}}}}]}}
  batch: {{timeout: 10ms}}
exporters: {{otlp: {{endpoint: 'http://{}'}}}}
service:
  pipelines:
    traces: {{receivers: [otlp], processors: [memory_limiter, probabilistic_sampler, tail_sampling, batch], exporters: [otlp]}}
",
        backend.address
    );
    let process = Forebay::start(&yaml).await;
    let spans = [0x7f_u128, 0x80, 0xbf, 0xc0, 0xff].map(|randomness| span(1 << 64 | randomness << 48));
    process.client().export(Signal::Traces, request_of(spans)).await.unwrap();
    let spans = backend.until_spans(2).await;
    let metrics =
        process.until("rest", |metrics| metrics.stage("exporter/otlp", "traces", "outgoing") == 2).await;
    let incoming = |stage| metrics.stage(stage, "traces", "incoming");
    assert_eq!(incoming("processor/probabilistic_sampler"), 5);
    assert_eq!(incoming("processor/tail_sampling"), 4);
    assert_eq!(incoming("processor/batch"), 2);
    assert!(spans.iter().all(|span| span.trace_state == "ot=th:c"));
    let log = process.stop().await;
    assert!(log.contains("memory_limit_mib=200"), "{log}");
}

#[tokio::test]
async fn what_is_named_twice_gets_everything_once() {
    let backend = Backend::start().await;
    let yaml = format!(
        "{{exporters: {{otlp: {{endpoint: 'http://{}'}}}}, \
          service: {{pipelines: {{traces: {{receivers: [otlp, otlp], exporters: [otlp, otlp]}}}}}}}}",
        backend.address
    );
    let process = Forebay::start(&yaml).await;
    process.client().export(Signal::Traces, request_of([span(1)])).await.unwrap();
    process.stop().await;
    assert_eq!(backend.traces().into_spans().len(), 1);
}

#[tokio::test]
async fn what_no_pipeline_uses_is_not_started() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let yaml = format!(
        "{{receivers: {{otlp/unused: {{protocols: {{grpc: {{endpoint: '{}'}}}}}}}}, exporters: {{nop: , file: {{path: unused.jsonl}}}}, \
          service: {{pipelines: {{traces: {{receivers: [otlp], exporters: [nop]}}}}}}}}",
        taken.local_addr().unwrap()
    );
    let process = Forebay::start(&yaml).await;
    assert!(!process.directory().join("unused.jsonl").exists());
    process.stop().await;
}
