//! Spans as production has them, laid out over agents.
//!
//! A trace passes through every agent, one SERVER span and two below it at each. A span has about 400 bytes and eight
//! attributes: some are alike everywhere, some say which of a few, and some are random, so that compression finds what
//! it would find.

use bytes::Bytes;
use fastrand::Rng;
use opentelemetry_proto::tonic::{
    collector::trace::v1::ExportTraceServiceRequest,
    common::v1::{AnyValue, InstrumentationScope, KeyValue, any_value::Value},
    resource::v1::Resource,
    trace::v1::{ResourceSpans, ScopeSpans, Span, Status, span::SpanKind, status::StatusCode},
};
use prost::Message as _;

/// Spans of a trace at an agent.
pub const SPANS_PER_PIECE: usize = 3;
/// Traces in a request.
const TRACES_PER_REQUEST: usize = 50;

const MILLISECOND: u64 = 1_000_000;
const ROUTES: [&str; 12] = [
    "/api/v1/cart",
    "/api/v1/cart/{id}/items",
    "/api/v1/checkout",
    "/api/v1/orders/{id}",
    "/api/v1/orders",
    "/api/v1/products",
    "/api/v1/products/{sku}",
    "/api/v1/recommendations",
    "/api/v1/session",
    "/api/v1/shipping/quote",
    "/api/v1/users/{id}",
    "/internal/health",
];
const STATEMENTS: [&str; 4] = [
    "SELECT id, name, price_cents, currency FROM products WHERE sku = $1 AND deleted_at IS NULL",
    "SELECT * FROM carts WHERE user_id = $1 ORDER BY updated_at DESC LIMIT 1",
    "INSERT INTO orders (id, user_id, total_cents, state) VALUES ($1, $2, $3, 'pending')",
    "UPDATE sessions SET last_seen = now() WHERE token = $1",
];

/// What there is to send.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    /// Decides everything.
    pub seed: u64,
    /// Agents.
    pub agents: usize,
    /// Traces.
    pub traces: usize,
    /// Share of the traces with an error at one agent.
    pub errors: f64,
    /// Share of the traces that last longer than 500 ms, as a whole.
    pub slow: f64,
}

/// The requests of each agent, in order.
#[must_use]
pub fn requests(shape: &Shape, start: u64) -> Vec<Vec<Bytes>> {
    let mut rng = Rng::with_seed(shape.seed);
    let mut of_agents = vec![Vec::new(); shape.agents];
    for batch in 0..shape.traces.div_ceil(TRACES_PER_REQUEST) {
        let traces = TRACES_PER_REQUEST.min(shape.traces - batch * TRACES_PER_REQUEST);
        let mut spans = vec![Vec::with_capacity(traces * SPANS_PER_PIECE); shape.agents];
        for _ in 0..traces {
            trace(shape, start + rng.u64(..50 * MILLISECOND), &mut rng, &mut spans);
        }
        for (agent, (requests, spans)) in of_agents.iter_mut().zip(spans).enumerate() {
            requests.push(Bytes::from(request(agent, spans).encode_to_vec()));
        }
    }
    of_agents
}

/// Adds a trace's spans to those of each agent.
fn trace(shape: &Shape, start: u64, rng: &mut Rng, agents: &mut [Vec<Span>]) {
    let trace_id = rng.u128(..).to_be_bytes().to_vec();
    let failing = (rng.f64() < shape.errors).then(|| rng.usize(..agents.len()));
    let slow = rng.f64() < shape.slow;
    let mut parent = Vec::new();
    let whole =
        if slow { 520 + rng.u64(..800) } else { 5 + rng.u64(..300) } * MILLISECOND + rng.u64(..MILLISECOND);
    let (mut begin, mut end) = (start, start + whole);
    for (agent, spans) in agents.iter_mut().enumerate() {
        let server = span(&trace_id, &parent, SpanKind::Server, (begin, end), rng);
        let (id, inner) = (server.span_id.clone(), (end - begin) / 8);
        parent.clone_from(&id);
        spans.push(server);
        for number in 1..SPANS_PER_PIECE as u64 {
            let from = begin + number * inner + rng.u64(..1_000);
            let mut below = span(&trace_id, &id, SpanKind::Client, (from, from + inner), rng);
            if failing == Some(agent) && number == 1 {
                below.status =
                    Some(Status { code: StatusCode::Error.into(), message: "connection reset".into() });
            }
            spans.push(below);
        }
        (begin, end) = (begin + inner + rng.u64(..inner), end - inner);
    }
}

fn span(trace: &[u8], parent: &[u8], kind: SpanKind, (start, end): (u64, u64), rng: &mut Rng) -> Span {
    let route = ROUTES[rng.usize(..ROUTES.len())];
    let text = |text: String| Some(AnyValue { value: Some(Value::StringValue(text)) });
    let number = |number: i64| Some(AnyValue { value: Some(Value::IntValue(number)) });
    let attribute = |key: &str, value| KeyValue { key: key.into(), value, ..KeyValue::default() };
    Span {
        trace_id: trace.to_vec(),
        span_id: rng.u64(1..).to_be_bytes().to_vec(),
        parent_span_id: parent.to_vec(),
        name: format!("GET {route}"),
        kind: kind.into(),
        start_time_unix_nano: start,
        end_time_unix_nano: end,
        attributes: vec![
            attribute("http.request.method", text("GET".into())),
            attribute("http.route", text(route.into())),
            attribute("http.response.status_code", number(if rng.u8(..50) == 0 { 404 } else { 200 })),
            attribute("server.address", text(format!("shop-{}.internal", rng.u8(..20)))),
            attribute("db.query.text", text(STATEMENTS[rng.usize(..STATEMENTS.len())].into())),
            attribute("user.id", text(format!("{:08x}", rng.u32(..)))),
            attribute("http.request.id", text(format!("{:032x}", rng.u128(..)))),
            attribute("thread.id", number(rng.i64(1..64))),
        ],
        ..Span::default()
    }
}

fn request(agent: usize, spans: Vec<Span>) -> ExportTraceServiceRequest {
    let attribute = |key: &str, value: String| KeyValue {
        key: key.into(),
        value: Some(AnyValue { value: Some(Value::StringValue(value)) }),
        ..KeyValue::default()
    };
    let resource = Resource {
        attributes: vec![
            attribute("service.name", format!("service-{agent}")),
            attribute("k8s.pod.name", format!("service-{agent}-7f9c4d5b6-x2x8k")),
            attribute("k8s.namespace.name", "shop".into()),
        ],
        ..Resource::default()
    };
    let scope = InstrumentationScope {
        name: "http".into(),
        version: "1.2.0".into(),
        ..InstrumentationScope::default()
    };
    let scope_spans = vec![ScopeSpans { scope: Some(scope), spans, ..ScopeSpans::default() }];
    ExportTraceServiceRequest {
        resource_spans: vec![ResourceSpans {
            resource: Some(resource),
            scope_spans,
            ..ResourceSpans::default()
        }],
    }
}
