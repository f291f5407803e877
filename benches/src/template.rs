//! Requests that are encoded once and sent many times.
//!
//! A generator that encodes spans would be slower than the systems it has to saturate. A [`Template`] is an
//! encoded request together with the places of its ids: sending it again as 64 new traces means to overwrite
//! those places, some 12 KB of 206. Which traces fail or are slow is laid out over a whole set of templates,
//! so their shares are exact.
//!
//! The spans are built with the generated OTLP types and the places found with the wire reader, so a mistake
//! in either would show as a malformed request and not as a fast one.

use bytes::BytesMut;
use forebay_otlp::wire::WireError;
use opentelemetry_proto::tonic::{
    collector::trace::v1::ExportTraceServiceRequest,
    common::v1::{AnyValue, InstrumentationScope, KeyValue, any_value},
    resource::v1::Resource,
    trace::v1::{
        ResourceSpans, ScopeSpans, Span, Status,
        span::{Event, SpanKind},
        status::StatusCode,
    },
};
use prost::Message as _;

use crate::walk::{for_each_message, for_each_span};

/// Traces in a request, each of them whole.
pub const TRACES: usize = 64;
/// Spans in a trace.
pub const SPANS_PER_TRACE: usize = 8;
/// Spans in a request.
pub const SPANS: usize = TRACES * SPANS_PER_TRACE;
/// Different templates in a set.
const TEMPLATES: usize = 16;

const MILLISECOND: u64 = 1_000_000;
/// 2026-01-01T00:00:00Z in nanoseconds: where spans start unless the caller says otherwise.
pub const FIXED_TIME: u64 = 1_767_225_600_000_000_000;

/// What the traffic looks like.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    /// Decides which traces fail or are slow, and all ids.
    pub seed: u64,
    /// Share of the traces with a span in error, 0 to 1.
    pub errors: f64,
    /// Share of the traces that last 700 ms or more, 0 to 1; the others end within 120 ms.
    pub slow: f64,
    /// When the first span of each request starts, in nanoseconds since 1970.
    pub start: u64,
}

/// Offsets of one span's ids in the encoded request.
#[derive(Clone, Copy, Debug, Default)]
struct Ids {
    trace: usize,
    span: usize,
    parent: Option<usize>,
}

/// An encoded request whose ids can be replaced.
#[derive(Clone, Debug)]
pub struct Template {
    /// The `ExportTraceServiceRequest`.
    pub bytes: BytesMut,
    ids: Vec<Ids>,
}

impl Template {
    /// Gives every trace of the request new ids: those of the `number`th request under `seed`.
    pub fn renew(&mut self, seed: u64, number: u64) {
        // Requests are numbered across connections, so the ids do not depend on who sends which.
        let mut random =
            fastrand::Rng::with_seed(seed.wrapping_add(number.wrapping_mul(0x9e37_79b9_7f4a_7c15)));
        for trace in self.ids.chunks_exact(SPANS_PER_TRACE) {
            let trace_id = random.u128(1..).to_be_bytes();
            let span_ids: [[u8; 8]; SPANS_PER_TRACE] = std::array::from_fn(|_| random.u64(1..).to_be_bytes());
            for (index, ids) in trace.iter().enumerate() {
                self.bytes[ids.trace..ids.trace + 16].copy_from_slice(&trace_id);
                self.bytes[ids.span..ids.span + 8].copy_from_slice(&span_ids[index]);
                if let Some(parent) = ids.parent {
                    self.bytes[parent..parent + 8].copy_from_slice(&span_ids[parent_of(index)]);
                }
            }
        }
    }
}

/// The templates of `shape`, to be sent in turn.
///
/// # Errors
/// If an encoded request cannot be read back.
pub fn templates(shape: &Shape) -> Result<Vec<Template>, WireError> {
    let mut random = fastrand::Rng::with_seed(shape.seed);
    let traces = TEMPLATES * TRACES;
    let mut failed = spread(&mut random, traces, shape.errors).into_iter();
    let mut slow = spread(&mut random, traces, shape.slow).into_iter();
    (0..TEMPLATES)
        .map(|_| {
            let spans = failed.by_ref().zip(slow.by_ref()).take(TRACES);
            let spans =
                spans.flat_map(|(failed, slow)| trace(&mut random, shape.start, failed, slow)).collect();
            let bytes = request(spans).encode_to_vec();
            Ok(Template { ids: locate(&bytes)?, bytes: bytes.as_slice().into() })
        })
        .collect()
}

/// `count` flags of which a `share` is true, in random order.
fn spread(random: &mut fastrand::Rng, count: usize, share: f64) -> Vec<bool> {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a share of a small count")]
    let marked = (share * count as f64).round() as usize;
    let mut flags: Vec<bool> = (0..count).map(|index| index < marked).collect();
    random.shuffle(&mut flags);
    flags
}

/// Spans form a binary tree in the order in which they are numbered.
fn parent_of(index: usize) -> usize {
    index.saturating_sub(1) / 2
}

fn request(spans: Vec<Span>) -> ExportTraceServiceRequest {
    let resource = [
        ("service.name", "checkout"),
        ("service.namespace", "shop"),
        ("service.version", "4.18.2"),
        ("deployment.environment.name", "production"),
        ("k8s.pod.name", "checkout-6d5f8b7c9-x2lqp"),
        ("k8s.node.name", "node-17.europe-west4.internal"),
        ("telemetry.sdk.name", "opentelemetry"),
        ("telemetry.sdk.language", "java"),
    ];
    ExportTraceServiceRequest {
        resource_spans: vec![ResourceSpans {
            resource: Some(Resource {
                attributes: resource.map(|(key, value)| text(key, value)).into(),
                ..Resource::default()
            }),
            scope_spans: vec![ScopeSpans {
                scope: Some(InstrumentationScope {
                    name: "io.opentelemetry.netty-4.1".into(),
                    version: "2.10.0-alpha".into(),
                    ..InstrumentationScope::default()
                }),
                spans,
                schema_url: String::new(),
            }],
            schema_url: "https://opentelemetry.io/schemas/1.37.0".into(),
        }],
    }
}

fn trace(random: &mut fastrand::Rng, start: u64, failed: bool, slow: bool) -> [Span; SPANS_PER_TRACE] {
    let lasts = if slow { random.u64(700..2_000) } else { random.u64(20..120) } * MILLISECOND;
    // The root never fails by itself: a policy has to look at every span.
    let failing = failed.then(|| random.usize(1..SPANS_PER_TRACE));
    std::array::from_fn(|index| {
        let depth = (index + 1).ilog2();
        // Each level lies within its parent's.
        let inset = u64::from(depth) * lasts / 10;
        span(random, index, start + inset, start + lasts - inset, failing == Some(index))
    })
}

fn span(random: &mut fastrand::Rng, index: usize, start: u64, end: u64, failed: bool) -> Span {
    let path = format!("/carts/{:08x}/items", random.u32(..));
    let mut attributes = vec![
        text("http.request.method", "POST"),
        text("url.full", &format!("https://checkout.shop.example{path}")),
        text("http.route", "/carts/{cart}/items"),
        text("server.address", "checkout.shop.example"),
        text("user_agent.original", "okhttp/4.12.0"),
        text("app.customer.tier", ["free", "silver", "gold"][random.usize(..3)]),
    ];
    attributes.push(number("server.port", 8443));
    attributes.push(number("http.response.status_code", if failed { 503 } else { 200 }));
    let events = (index == 0).then(|| Event {
        time_unix_nano: start + MILLISECOND,
        name: "cart.loaded".into(),
        attributes: vec![number("cart.items", random.i64(1..40)), text("cart.id", &path[7..15])],
        dropped_attributes_count: 0,
    });
    Span {
        trace_id: vec![0xff; 16],
        span_id: vec![0xff; 8],
        parent_span_id: if index == 0 { Vec::new() } else { vec![0xff; 8] },
        flags: 0x101,
        name: "POST /carts/{cart}/items".into(),
        kind: if index == 0 { SpanKind::Server } else { SpanKind::Client }.into(),
        start_time_unix_nano: start,
        end_time_unix_nano: end,
        attributes,
        events: events.into_iter().collect(),
        status: failed
            .then(|| Status { message: "upstream unavailable".into(), code: StatusCode::Error.into() }),
        ..Span::default()
    }
}

fn text(key: &str, value: &str) -> KeyValue {
    key_value(key, any_value::Value::StringValue(value.into()))
}

fn number(key: &str, value: i64) -> KeyValue {
    key_value(key, any_value::Value::IntValue(value))
}

fn key_value(key: &str, value: any_value::Value) -> KeyValue {
    KeyValue { key: key.into(), value: Some(AnyValue { value: Some(value) }), ..KeyValue::default() }
}

/// Finds the ids of every span.
fn locate(request: &[u8]) -> Result<Vec<Ids>, WireError> {
    let mut found = Vec::with_capacity(SPANS);
    for_each_span(request, |offset, span| {
        let mut ids = Ids::default();
        for_each_message(offset, span, |field, at, _| {
            match field {
                1 => ids.trace = at,
                2 => ids.span = at,
                4 => ids.parent = Some(at),
                _ => {}
            }
            Ok(())
        })?;
        found.push(ids);
        Ok(())
    })?;
    Ok(found)
}

#[cfg(test)]
mod tests;
