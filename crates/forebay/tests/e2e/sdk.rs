//! OpenTelemetry's own SDK for Rust sends, by every protocol and compression that it has, and the kept traces
//! arrive as it recorded them. `interop/` does the same with the SDKs of other languages.

use std::net::SocketAddr;
use std::time::{Duration, SystemTime};

use opentelemetry::trace::{Link, Span as _, SpanKind, Status, TraceContextExt, Tracer, TracerProvider};
use opentelemetry::{Array, Context, InstrumentationScope, KeyValue, Value};
use opentelemetry_otlp::{
    Compression, Protocol, SpanExporter, WithExportConfig, WithHttpConfig, WithTonicConfig,
};
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans};
use opentelemetry_proto::transform::trace::tonic::group_spans_by_resource_and_scope;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{InMemorySpanExporter, SdkTracer, SdkTracerProvider};

use crate::harness::{Backend, Behaviour, DEADLINE, Forebay};

/// More spans than the SDK puts into one request (512), fewer than it lets wait (2048).
const TRACES: u32 = 300;

/// How a trace is, which decides whether it is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Failed,
    Slow,
    Ordinary,
}

/// How the SDK sends.
#[derive(Clone, Copy, Debug)]
struct Way {
    protocol: Protocol,
    compression: Option<Compression>,
}

/// Where a process listens.
#[derive(Clone, Copy)]
struct Receiver {
    grpc: SocketAddr,
    http: SocketAddr,
}

impl Way {
    fn all() -> impl Iterator<Item = Self> {
        let protocols = [Protocol::Grpc, Protocol::HttpBinary, Protocol::HttpJson];
        protocols.into_iter().flat_map(|protocol| {
            let compressions = [None, Some(Compression::Gzip), Some(Compression::Zstd)];
            compressions.map(|compression| Self { protocol, compression })
        })
    }

    fn exporter(self, receiver: Receiver) -> SpanExporter {
        let exporter = SpanExporter::builder();
        let Self { protocol, compression } = self;
        if protocol == Protocol::Grpc {
            let exporter = exporter.with_tonic().with_timeout(DEADLINE);
            let exporter = exporter.with_endpoint(format!("http://{}", receiver.grpc));
            match compression {
                Some(compression) => exporter.with_compression(compression).build().unwrap(),
                None => exporter.build().unwrap(),
            }
        } else {
            let endpoint = format!("http://{}/v1/traces", receiver.http);
            let exporter =
                exporter.with_http().with_protocol(protocol).with_timeout(DEADLINE).with_endpoint(endpoint);
            match compression {
                Some(compression) => exporter.with_compression(compression).build().unwrap(),
                None => exporter.build().unwrap(),
            }
        }
    }
}

impl From<&Forebay> for Receiver {
    fn from(process: &Forebay) -> Self {
        Self { grpc: process.grpc, http: process.http }
    }
}

fn resource() -> Resource {
    let name = KeyValue::new("service.name", "checkout");
    Resource::builder_empty().with_schema_url([name], "https://opentelemetry.io/schemas/1.30.0").build()
}

/// Sends traces of every kind until the SDK has nothing left, and returns what it has recorded of those
/// that `wanted` is true for: a message for each span, in order of their ids.
async fn send(way: Way, receiver: Receiver, wanted: fn(Kind) -> bool) -> Vec<ResourceSpans> {
    // The SDK blocks.
    let sending = tokio::task::spawn_blocking(move || {
        let recorder = InMemorySpanExporter::default();
        let provider = SdkTracerProvider::builder()
            .with_resource(resource())
            .with_batch_exporter(way.exporter(receiver))
            .with_simple_exporter(recorder.clone())
            .build();
        let scope = InstrumentationScope::builder("e2e").with_version("1").build();
        let tracer = provider.tracer_with_scope(scope);
        let mut recorded = Vec::new();
        for number in 0..TRACES {
            let kind = [Kind::Failed, Kind::Slow, Kind::Ordinary, Kind::Ordinary][number as usize % 4];
            trace(&tracer, number, kind);
            let spans = recorder.get_finished_spans().unwrap();
            recorder.reset();
            recorded.extend(spans.into_iter().filter(|_| wanted(kind)));
        }
        // By default the SDK gives up after five seconds, which is little on a busy machine.
        provider.shutdown_with_timeout(DEADLINE).unwrap();
        recorded
    });
    let recorded = sending.await.unwrap();
    singly(group_spans_by_resource_and_scope(recorded, &(&resource()).into()))
}

/// Makes a trace of a root and two children, the second of which links to the first.
fn trace(tracer: &SdkTracer, number: u32, kind: Kind) {
    let start = SystemTime::now();
    let at = |milliseconds| start + Duration::from_millis(milliseconds);
    let root = tracer
        .span_builder("GET /cart")
        .with_kind(SpanKind::Server)
        .with_start_time(start)
        .with_attributes([
            KeyValue::new("shop.user", "Zoë ☕"),
            KeyValue::new("shop.number", i64::from(number)),
            KeyValue::new("shop.large", i64::MAX),
            KeyValue::new("shop.discount", 0.1),
            KeyValue::new("shop.returning", true),
            KeyValue::new("shop.tags", Value::Array(Array::String(vec!["a".into(), "b".into()]))),
        ])
        .start(tracer);
    let within = Context::new().with_span(root);

    let query = tracer.span_builder("SELECT cart").with_kind(SpanKind::Client).with_start_time(at(1));
    let mut query = query.start_with_context(tracer, &within);
    query.add_event_with_timestamp("cache.miss", at(2), vec![KeyValue::new("cache.key", "cart")]);
    if kind == Kind::Failed {
        query.set_status(Status::error("no such cart"));
    }
    query.end_with_timestamp(at(6));

    let links = vec![Link::with_context(query.span_context().clone())];
    let render = tracer.span_builder("render").with_start_time(at(7)).with_links(links);
    render.start_with_context(tracer, &within).end_with_timestamp(at(9));

    within.span().end_with_timestamp(at(if kind == Kind::Slow { 600 } else { 10 }));
}

/// A message for each span, in order of their ids.
fn singly(messages: Vec<ResourceSpans>) -> Vec<ResourceSpans> {
    let mut spans = Vec::new();
    for mut resource in messages {
        for mut scope in std::mem::take(&mut resource.scope_spans) {
            for span in std::mem::take(&mut scope.spans) {
                let scope_spans = vec![ScopeSpans { spans: vec![span], ..scope.clone() }];
                spans.push(ResourceSpans { scope_spans, ..resource.clone() });
            }
        }
    }
    spans.sort_by_key(|message| message.scope_spans[0].spans[0].span_id.clone());
    spans
}

#[tokio::test]
async fn kept_traces_arrive_as_the_sdk_recorded_them() {
    for way in Way::all() {
        let backend = Backend::start().await;
        let process = Forebay::start(&format!(
            "
processors:
  tail_sampling:
    decision_wait: 1h
    policies:
      - {{name: errors, type: status_code, status_code: {{status_codes: [ERROR]}}}}
      - {{name: slow, type: latency, latency: {{threshold_ms: 500}}}}
exporters: {{otlp: {{endpoint: 'http://{}'}}}}
service:
  pipelines: {{traces: {{receivers: [otlp], processors: [tail_sampling], exporters: [otlp]}}}}
",
            backend.address
        ))
        .await;
        let mut kept = send(way, Receiver::from(&process), |kind| kind != Kind::Ordinary).await;
        process.stop().await;
        for message in &mut kept {
            message.scope_spans[0].spans[0].trace_state = "ot=th:0".into();
        }
        assert_eq!(kept.len(), TRACES as usize / 2 * 3);
        assert_eq!(singly(backend.traces().0), kept, "{way:?}");
    }
}

#[tokio::test]
async fn the_sdk_delivers_later_what_was_refused() {
    for protocol in [Protocol::Grpc, Protocol::HttpBinary, Protocol::HttpJson] {
        let backend = Backend::start().await;
        backend.behave(Behaviour::Refuse(tonic::Code::Unavailable));
        // Room for one of the SDK's two requests.
        let process = Forebay::start(&format!(
            "
exporters:
  otlp:
    endpoint: 'http://{}'
    sending_queue: {{sizer: items, queue_size: 600}}
    retry_on_failure: {{initial_interval: 10ms, max_interval: 10ms}}
service:
  pipelines: {{traces: {{receivers: [otlp], exporters: [otlp]}}}}
",
            backend.address
        ))
        .await;
        let way = Way { protocol, compression: None };
        let sending = tokio::spawn(send(way, Receiver::from(&process), |_| true));
        process.until("a refusal", |metrics| metrics.sum("otelcol_receiver_refused_spans", &[]) > 0).await;
        backend.behave(Behaviour::Accept);
        let sent = sending.await.unwrap();
        process.stop().await;
        assert_eq!(singly(backend.traces().0), sent, "{protocol:?}");
    }
}
