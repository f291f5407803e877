use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue as ProtoValue, KeyValue};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span as ProtoSpan};
use prost::Message;
use tokio::sync::mpsc;

use super::*;
use crate::adaptive::AdaptiveConfig;

fn attribute(key: &str, value: Value) -> KeyValue {
    let value = Some(ProtoValue { value: Some(value) });
    KeyValue { key: key.to_owned(), value, ..KeyValue::default() }
}

fn string(text: &str) -> Value {
    Value::StringValue(text.to_owned())
}

fn span(name: &str, trace_state: &str, attributes: Vec<KeyValue>) -> ProtoSpan {
    ProtoSpan {
        trace_id: vec![1; 16],
        span_id: vec![2; 8],
        name: name.to_owned(),
        trace_state: trace_state.to_owned(),
        attributes,
        ..ProtoSpan::default()
    }
}

fn request(service: Option<&str>, spans: Vec<ProtoSpan>) -> Vec<u8> {
    let attributes = service.map(|service| attribute("service.name", string(service))).into_iter().collect();
    let resource = Resource { attributes, ..Resource::default() };
    let scope_spans = vec![ScopeSpans { spans, ..ScopeSpans::default() }];
    let resource = ResourceSpans { resource: Some(resource), scope_spans, ..ResourceSpans::default() };
    ExportTraceServiceRequest { resource_spans: vec![resource] }.encode_to_vec()
}

/// Service, operation, threshold and tag of each root.
fn found(request: &[u8]) -> Vec<(String, String, Option<f64>, Option<f64>)> {
    let index = SpanIndex::scan(request).unwrap();
    let row =
        |root: Root<'_>| (root.service.to_owned(), root.operation.to_owned(), root.threshold, root.tagged);
    roots(request, &index).map(row).collect()
}

#[test]
fn roots_say_how_they_were_sampled() {
    let tags = |prefix: &str, kind: &str, param: Value| {
        vec![attribute(&format!("{prefix}.type"), string(kind)), attribute(&format!("{prefix}.param"), param)]
    };
    let child = ProtoSpan { parent_span_id: vec![3; 8], ..span("child", "ot=th:8", vec![]) };
    let all = tags("sampler", "probabilistic", Value::DoubleValue(0.25));
    let request = request(
        Some("shop"),
        vec![
            span("half", "x=y,ot=rv:00000000000001;th:8", all.clone()),
            child,
            span("tagged", "", all),
            span("go", "", tags("jaeger.sampler", "probabilistic", Value::DoubleValue(0.5))),
            span("limited", "", tags("sampler", "ratelimiting", Value::DoubleValue(1.0))),
            span("wrong", "", tags("sampler", "probabilistic", Value::DoubleValue(f64::NAN))),
            span("zero", "", tags("sampler", "probabilistic", Value::DoubleValue(0.0))),
            span("one", "", tags("sampler", "probabilistic", Value::IntValue(1))),
            span("broken", "ot=th:", vec![]),
        ],
    );
    let row =
        |operation: &str, threshold, tagged| ("shop".to_owned(), operation.to_owned(), threshold, tagged);
    assert_eq!(
        found(&request),
        [
            row("half", Some(0.5), None),
            row("tagged", None, Some(0.25)),
            row("go", None, Some(0.5)),
            row("limited", None, None),
            row("wrong", None, None),
            row("zero", None, None),
            row("one", None, Some(1.0)),
            row("broken", None, None),
        ]
    );
}

#[test]
fn a_resource_without_a_name_is_the_nameless_service() {
    assert_eq!(found(&request(None, vec![span("a", "", vec![])]))[0].0, "");
}

/// Takes what it gets, or refuses it.
struct Next(mpsc::UnboundedSender<Batch>, Result<(), Refusal>);

impl Consumer for Next {
    fn consume(&self, batch: Batch) -> BoxFuture<'_, Result<(), Refusal>> {
        self.0.send(batch).unwrap();
        Box::pin(std::future::ready(self.1.clone()))
    }
}

#[tokio::test]
async fn what_is_refused_does_not_count_and_what_passes_is_unchanged() {
    let adaptive = Adaptive::new(AdaptiveConfig::default());
    let bytes = request(Some("shop"), vec![span("a", "", vec![])]);
    for (answer, operations) in [(Err(Refusal::retryable("full")), 0), (Ok(()), 1)] {
        let (sender, mut passed) = mpsc::unbounded_channel();
        let next = Arc::new(Next(sender, answer.clone()));
        let processor =
            AdaptiveProcessor::new("adaptive_sampling", adaptive.clone(), &Telemetry::new(), next);
        let batch = Batch::new(Signal::Traces, bytes.clone().into(), 1);
        assert_eq!(processor.consume(batch).await, answer);
        assert_eq!(passed.try_recv().unwrap().bytes, bytes);
        assert_eq!(adaptive.controller().operations(), operations);
    }
}
