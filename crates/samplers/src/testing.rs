//! What the tests share: requests made of `prost` messages, samplers made of YAML, and what leaves them as `prost`
//! messages again.

pub(crate) mod model;
pub(crate) mod pipeline;
pub(crate) mod raw;

use forebay_config::{Diagnostics, Table, read_str};
use forebay_otlp::{SpanIndex, TraceId};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
pub(crate) use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::resource::v1::Resource;
pub(crate) use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, Status};
use prost::Message;

use crate::Compatibility;
use crate::tail::{Nanos, Output, Settings, TailConfig, TailSampler};

pub(crate) const MILLISECOND: Nanos = 1_000_000;
pub(crate) const SECOND: Nanos = 1_000 * MILLISECOND;

/// A span and what stood around it: a resource and a scope with nothing below.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Located {
    pub(crate) resource: ResourceSpans,
    pub(crate) scope: ScopeSpans,
    pub(crate) span: Span,
}

/// A tail sampler that takes requests and gives back spans.
pub(crate) struct Tail {
    pub(crate) sampler: TailSampler,
    /// What the last call let out.
    pub(crate) outputs: Vec<Output>,
}

/// Random numbers, the same for the same seed (SplitMix64).
pub(crate) fn random(seed: u64) -> impl Iterator<Item = u64> {
    (1..).map(move |index: u64| {
        let mut bits = seed.wrapping_add(index.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        bits = (bits ^ bits >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ bits >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^ bits >> 31
    })
}

/// The trace with this number and this randomness.
pub(crate) fn trace(number: u64, randomness: u64) -> TraceId {
    TraceId(u128::from(number) << 64 | u128::from(randomness))
}

/// The `number`th span, of one millisecond.
pub(crate) fn span(trace: TraceId, number: u64) -> Span {
    Span {
        trace_id: trace.to_bytes().to_vec(),
        span_id: number.to_be_bytes().to_vec(),
        name: format!("span {number}"),
        start_time_unix_nano: SECOND,
        end_time_unix_nano: SECOND + MILLISECOND,
        ..Span::default()
    }
}

/// A span with this `tracestate`.
pub(crate) fn span_with_state(trace: TraceId, number: u64, trace_state: &str) -> Span {
    Span { trace_state: trace_state.to_owned(), ..span(trace, number) }
}

pub(crate) fn attribute(key: &str, value: Value) -> KeyValue {
    KeyValue { key: key.to_owned(), value: Some(AnyValue { value: Some(value) }), ..KeyValue::default() }
}

pub(crate) fn text(value: &str) -> Value {
    Value::StringValue(value.to_owned())
}

/// Spans under a resource with these attributes.
pub(crate) fn under(attributes: Vec<KeyValue>, spans: Vec<Span>) -> ResourceSpans {
    let scope = Some(InstrumentationScope { name: "test".to_owned(), ..InstrumentationScope::default() });
    ResourceSpans {
        resource: Some(Resource { attributes, ..Resource::default() }),
        scope_spans: vec![ScopeSpans { scope, spans, schema_url: "https://scope".to_owned() }],
        schema_url: "https://resource".to_owned(),
    }
}

/// A request of one resource.
pub(crate) fn request(spans: Vec<Span>) -> Vec<u8> {
    encode(vec![under(vec![attribute("service.name", text("shop"))], spans)])
}

pub(crate) fn encode(resource_spans: Vec<ResourceSpans>) -> Vec<u8> {
    ExportTraceServiceRequest { resource_spans }.encode_to_vec()
}

/// The spans of a request, each with its surroundings.
pub(crate) fn decode(request: &[u8]) -> Vec<Located> {
    let mut located = Vec::new();
    for mut resource in ExportTraceServiceRequest::decode(request).unwrap().resource_spans {
        for mut scope in std::mem::take(&mut resource.scope_spans) {
            for span in std::mem::take(&mut scope.spans) {
                located.push(Located { resource: resource.clone(), scope: scope.clone(), span });
            }
        }
    }
    located
}

/// What was found in a component's YAML, as `severity: path: message (help)`.
pub(crate) fn findings(diagnostics: &Diagnostics) -> Vec<String> {
    let found = diagnostics.sorted().into_iter().map(|finding| match &finding.help {
        Some(help) => format!("{finding} ({help})"),
        None => finding.to_string(),
    });
    found.collect()
}

/// What `read` makes of YAML without a mistake.
pub(crate) fn configured<T>(yaml: &str, read: impl FnOnce(&Table<'_>) -> T) -> T {
    let (value, diagnostics) = read_str(yaml, read);
    assert!(!diagnostics.has_errors(), "{}", diagnostics.render(false));
    value
}

/// The settings of a `tail_sampling` processor without bounds.
pub(crate) fn settings(yaml: &str, compatibility: Compatibility) -> Settings {
    configured(yaml, |table| TailConfig::read(table, compatibility)).settings()
}

impl Tail {
    /// A sampler without bounds that follows the specifications.
    pub(crate) fn new(yaml: &str) -> Self {
        Self::with(settings(yaml, Compatibility::default()))
    }

    pub(crate) fn with(settings: Settings) -> Self {
        Self { sampler: TailSampler::new(settings), outputs: Vec::new() }
    }

    pub(crate) fn accept(&mut self, now: Nanos, request: &[u8]) -> Vec<Span> {
        let index = SpanIndex::scan(request).unwrap();
        assert!(index.rejected.is_empty(), "{}", index.rejected);
        self.outputs.clear();
        self.sampler.accept(request, &index.envelopes, &index.spans, now, &mut self.outputs);
        self.spans()
    }

    pub(crate) fn decide_due(&mut self, now: Nanos) -> Vec<Span> {
        self.outputs.clear();
        self.sampler.decide_due(now, &mut self.outputs);
        self.spans()
    }

    pub(crate) fn decide_all(&mut self) -> Vec<Span> {
        self.outputs.clear();
        self.sampler.decide_all(&mut self.outputs);
        self.spans()
    }

    /// What the last call let out.
    pub(crate) fn located(&self) -> Vec<Located> {
        let requests = self.outputs.iter();
        requests
            .flat_map(|output| {
                let spans = decode(&output.request);
                assert_eq!(spans.len(), output.spans);
                spans
            })
            .collect()
    }

    fn spans(&self) -> Vec<Span> {
        self.located().into_iter().map(|located| located.span).collect()
    }
}
