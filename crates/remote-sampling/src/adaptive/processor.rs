//! `adaptive_sampling`: shows the adaptive source the traces that pass.
//!
//! What matters is the first span of a trace, because that is where clients decide; all other spans follow it.

use std::sync::Arc;

use forebay_config::{ComponentId, Table};
use forebay_otlp::attribute::{AnyValue, Attribute, resource_attribute_messages};
use forebay_otlp::tracestate::TraceState;
use forebay_otlp::{Signal, Span, SpanIndex, SpanView};
use forebay_pipeline::{Batch, BoxFuture, Consumer, Ledger, Refusal, Telemetry};

use super::Adaptive;
use super::controller::Root;

/// The settings of the processor `adaptive_sampling`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AdaptiveProcessorConfig {
    /// The extension that serves what is learned; without it, the only one that there is.
    pub extension: Option<ComponentId>,
}

/// The processor `adaptive_sampling`, which changes nothing.
pub struct AdaptiveProcessor {
    adaptive: Adaptive,
    next: Arc<dyn Consumer>,
    ledger: Ledger,
}

impl AdaptiveProcessorConfig {
    /// Reads the settings, recording every mistake.
    #[must_use]
    pub fn read(table: &Table<'_>) -> Self {
        let extension = table.get("extension").filter(|cursor| !cursor.is_null());
        Self { extension: extension.and_then(|cursor| cursor.component_id()) }
    }
}

impl AdaptiveProcessor {
    /// The processor called `id`, which hands on to `next`.
    #[must_use]
    pub fn new(id: &str, adaptive: Adaptive, telemetry: &Telemetry, next: Arc<dyn Consumer>) -> Self {
        let ledger = telemetry.ledger(&format!("processor/{id}"), Signal::Traces);
        Self { adaptive, next, ledger }
    }
}

impl Consumer for AdaptiveProcessor {
    fn consume(&self, batch: Batch) -> BoxFuture<'_, Result<(), Refusal>> {
        Box::pin(async move {
            let index = batch.index().map_err(|error| Refusal::Permanent(error.to_string()))?;
            let roots: Vec<_> = roots(&batch.bytes, &index).collect();
            // What is refused comes again, so it counts only once it is taken.
            self.next.consume(batch.clone()).await?;
            self.adaptive.observe(&roots);
            self.ledger.incoming.inc_by(batch.items as u64);
            self.ledger.outgoing.inc_by(batch.items as u64);
            Ok(())
        })
    }
}

/// The first spans of traces, with what says how they were sampled.
fn roots<'a>(request: &'a [u8], index: &'a SpanIndex) -> impl Iterator<Item = Root<'a>> {
    let mut last = None;
    index.spans.iter().filter(|span| span.root).map(move |span| {
        // Spans of one resource come together.
        let service = match last {
            Some((envelope, service)) if envelope == span.envelope => service,
            _ => service_name(request, index, span.envelope),
        };
        last = Some((span.envelope, service));
        root(request, span, service)
    })
}

fn root<'a>(request: &'a [u8], span: &Span, service: &'a str) -> Root<'a> {
    let at = |range: &std::ops::Range<u32>| &request[range.start as usize..range.end as usize];
    let view = SpanView::new(at(&span.body));
    let threshold = TraceState::parse(at(&span.trace_state)).ok().and_then(|state| state.ot().th.ok()?);
    let threshold = threshold.map(|threshold| threshold.probability());
    let tagged = if threshold.is_none() { tagged(view) } else { None };
    Root { service, operation: text(view.name()), threshold, tagged }
}

/// The resource's `service.name`; empty without one.
fn service_name<'a>(request: &'a [u8], index: &SpanIndex, envelope: u32) -> &'a str {
    let attributes = index.envelopes.resource_parts(request, envelope).flat_map(resource_attribute_messages);
    let named = |message| Attribute::parse_if(message, |key| key == b"service.name").ok().flatten();
    match attributes.filter_map(named).next() {
        Some(Attribute { value: AnyValue::String(name), .. }) => text(name),
        _ => "",
    }
}

/// The probability in the attributes that Jaeger's clients, and OpenTelemetry's for Go, add to first spans.
fn tagged(span: SpanView<'_>) -> Option<f64> {
    let (mut probabilistic, mut param) = (false, None);
    for Attribute { key, value } in span.attributes() {
        match (key, value) {
            (b"sampler.type" | b"jaeger.sampler.type", AnyValue::String(kind)) => {
                probabilistic = kind == b"probabilistic";
            }
            (b"sampler.param" | b"jaeger.sampler.param", AnyValue::Double(value)) => param = Some(value),
            (b"sampler.param" | b"jaeger.sampler.param", AnyValue::Int(1)) => param = Some(1.0),
            _ => {}
        }
    }
    param.filter(|&param| probabilistic && param > 0.0 && param <= 1.0)
}

/// What clients are told has to be text.
fn text(bytes: &[u8]) -> &str {
    str::from_utf8(bytes).unwrap_or_default()
}

#[cfg(test)]
mod tests;
