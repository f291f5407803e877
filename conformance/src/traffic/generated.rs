//! Traces made to tell policies apart.
//!
//! Some have one property that some policy looks at, by itself and under a name ([`kinds`]), the wrong types and
//! bounds among them; the rest (`mixed`) have any combination of ordinary ones. The spans of all arrive in random
//! order, so most traces come in pieces.

use opentelemetry_proto::tonic::{
    collector::trace::v1::ExportTraceServiceRequest,
    common::v1::{AnyValue, ArrayValue, InstrumentationScope, KeyValue, any_value::Value},
    resource::v1::Resource,
    trace::v1::{ResourceSpans, ScopeSpans, Span, Status, span::Event},
};

use super::{Act, Located, Trace, kinds, random::Random};

/// Changing it makes all golden files stale.
const SEED: u64 = 4;
/// How many traces of each kind there are: ids differ, and so what `probabilistic` makes of them.
const OF_EACH_KIND: usize = 3;
const MIXED: usize = 600;
const SPANS_IN_REQUEST: usize = 100;

/// 2026-01-01T00:00:00Z in nanoseconds.
const START: u64 = 1_767_225_600_000_000_000;
pub(super) const MILLISECOND: u64 = 1_000_000;

/// The services that spans come from.
const SERVICES: [&str; 5] = ["frontend", "checkout", "payment", "shipping", "ledger"];

/// A span before it has ids: what a kind says about it.
#[derive(Clone, Debug)]
pub(super) struct Draft {
    pub(super) act: Act,
    /// Attributes beyond those that every resource has.
    pub(super) resource: Vec<KeyValue>,
    pub(super) scope: Vec<KeyValue>,
    pub(super) service: &'static str,
    pub(super) span: Span,
}

/// A span of 20 ms without any property.
pub(super) fn plain() -> Draft {
    let span = Span {
        name: "work".to_owned(),
        kind: 1,
        start_time_unix_nano: START,
        end_time_unix_nano: START + 20 * MILLISECOND,
        ..Span::default()
    };
    Draft { act: Act::First, resource: Vec::new(), scope: Vec::new(), service: SERVICES[0], span }
}

impl Draft {
    pub(super) fn with(mut self, change: impl FnOnce(&mut Span)) -> Self {
        change(&mut self.span);
        self
    }

    pub(super) fn attribute(self, key: &str, value: Value) -> Self {
        self.with(|span| span.attributes.push(attribute(key, value)))
    }

    pub(super) fn on_resource(mut self, key: &str, value: Value) -> Self {
        self.resource.push(attribute(key, value));
        self
    }

    pub(super) fn on_scope(mut self, key: &str, value: Value) -> Self {
        self.scope.push(attribute(key, value));
        self
    }

    pub(super) fn event(self, name: &str, attributes: Vec<KeyValue>) -> Self {
        let event = Event {
            time_unix_nano: START + MILLISECOND,
            name: name.to_owned(),
            attributes,
            dropped_attributes_count: 0,
        };
        self.with(|span| span.events.push(event))
    }

    pub(super) fn status(self, code: i32) -> Self {
        self.with(|span| span.status = Some(Status { code, message: "as it is".to_owned() }))
    }

    pub(super) fn state(self, trace_state: &str) -> Self {
        self.with(|span| span.trace_state = trace_state.to_owned())
    }

    /// From `start` nanoseconds after the trace began, for `nanoseconds`.
    pub(super) fn lasting(self, start: u64, nanoseconds: u64) -> Self {
        self.with(|span| {
            span.start_time_unix_nano = START + start;
            span.end_time_unix_nano = START + start + nanoseconds;
        })
    }

    pub(super) fn late(mut self) -> Self {
        self.act = Act::Second;
        self
    }

    pub(super) fn located(self) -> Located {
        let mut attributes = vec![
            attribute("service.name", text(self.service)),
            attribute("deployment.environment.name", text("production")),
        ];
        attributes.extend(self.resource);
        let scope = InstrumentationScope {
            name: format!("{}.instrumentation", self.service),
            version: "1.2.3".to_owned(),
            attributes: self.scope,
            dropped_attributes_count: 0,
        };
        Located {
            resource: ResourceSpans {
                resource: Some(Resource { attributes, ..Resource::default() }),
                schema_url: "https://opentelemetry.io/schemas/1.37.0".to_owned(),
                ..ResourceSpans::default()
            },
            scope: ScopeSpans {
                scope: Some(scope),
                schema_url: "https://opentelemetry.io/schemas/1.36.0".to_owned(),
                ..ScopeSpans::default()
            },
            span: self.span,
        }
    }
}

pub(super) fn attribute(key: &str, value: Value) -> KeyValue {
    KeyValue { key: key.to_owned(), value: Some(AnyValue { value: Some(value) }), ..KeyValue::default() }
}

pub(super) fn text(value: &str) -> Value {
    Value::StringValue(value.to_owned())
}

pub(super) fn list(values: Vec<Value>) -> Value {
    Value::ArrayValue(ArrayValue {
        values: values.into_iter().map(|value| AnyValue { value: Some(value) }).collect(),
    })
}

/// All traces, by number.
pub(super) fn traces() -> Vec<Trace> {
    let mut random = Random::new(SEED);
    let mut traces = Vec::new();
    for (kind, drafts) in kinds::all() {
        for _ in 0..OF_EACH_KIND {
            traces.push(trace(kind, drafts.clone(), &mut random));
        }
    }
    for _ in 0..MIXED {
        let drafts = mixed(&mut random);
        traces.push(trace("mixed", drafts, &mut random));
    }
    traces
}

/// Gives the spans of a trace their ids: the first is the root unless it has a parent already.
fn trace(kind: &str, drafts: Vec<Draft>, random: &mut Random) -> Trace {
    let id = [random.number().to_be_bytes(), random.number().to_be_bytes()].concat();
    let root = random.number().to_be_bytes().to_vec();
    let spans = drafts.into_iter().enumerate().map(|(index, mut draft)| {
        draft.span.trace_id.clone_from(&id);
        if index == 0 {
            draft.span.span_id.clone_from(&root);
        } else {
            draft.span.span_id = random.number().to_be_bytes().to_vec();
            draft.span.parent_span_id.clone_from(&root);
        }
        (draft.act, draft.located())
    });
    Trace { kind: kind.to_owned(), spans: spans.collect() }
}

/// A trace of one to twelve spans with any ordinary properties.
fn mixed(random: &mut Random) -> Vec<Draft> {
    let spans = 1 + random.below(12);
    let flags = [0, 1, 0x100, 0x101][usize::try_from(random.below(4)).unwrap_or(0)];
    let state = random.pick(&["", "", "", "vendor=a", "vendor=b", "other=1,vendor=a"]);
    (0..spans)
        .map(|_| {
            let mut draft = plain().state(state).with(|span| span.flags = flags);
            draft.service = random.pick(&SERVICES);
            draft = draft.lasting(random.below(300) * MILLISECOND, random.below(900) * MILLISECOND);
            draft.span.kind = i32::try_from(random.below(6)).unwrap_or(0);
            draft.span.name = random.pick(&["GET /carts", "POST /orders", "SELECT", "publish"]).to_owned();
            if random.once_in(12) {
                draft = draft.status(2);
            } else if random.once_in(4) {
                draft = draft.status(1);
            }
            if random.once_in(5) {
                let number = i64::try_from(random.below(40)).unwrap_or(0);
                draft = draft.attribute("app.number", Value::IntValue(number));
            }
            if random.once_in(5) {
                draft =
                    draft.attribute("app.tier", text(random.pick(&["gold", "silver", "bronze", "golden"])));
            }
            if random.once_in(8) {
                let flag = random.once_in(2);
                draft = draft.attribute("app.flag", Value::BoolValue(flag));
            }
            if random.once_in(6) {
                let code = i64::try_from(200 + 100 * random.below(4)).unwrap_or(0);
                draft = draft.attribute("http.response.status_code", Value::IntValue(code));
            }
            if random.once_in(15) {
                let name = random.pick(&["exception", "retry", "cache.miss"]);
                draft = draft.event(name, vec![attribute("attempt", Value::IntValue(2))]);
            }
            if random.once_in(40) {
                let length = usize::try_from(random.below(4_000)).unwrap_or(0);
                draft = draft.attribute("payload", text(&"x".repeat(length)));
            }
            draft
        })
        .collect()
}

/// The requests of one act.
pub(super) fn requests(traces: &[Trace], act: Act) -> Vec<ExportTraceServiceRequest> {
    let of_act = |(when, located): &(Act, Located)| (*when == act).then(|| located.clone());
    let mut spans: Vec<_> = traces.iter().flat_map(|trace| trace.spans.iter().filter_map(of_act)).collect();
    Random::new(SEED).shuffle(&mut spans);
    spans.chunks(SPANS_IN_REQUEST).map(request).collect()
}

/// Spans together under the resources and scopes that they share.
fn request(spans: &[Located]) -> ExportTraceServiceRequest {
    let mut resources: Vec<ResourceSpans> = Vec::new();
    for Located { resource, scope, span } in spans {
        let index =
            resources.iter().position(|other| other.resource == resource.resource).unwrap_or_else(|| {
                resources.push(resource.clone());
                resources.len() - 1
            });
        let scopes = &mut resources[index].scope_spans;
        let index = scopes.iter().position(|other| other.scope == scope.scope).unwrap_or_else(|| {
            scopes.push(scope.clone());
            scopes.len() - 1
        });
        scopes[index].spans.push(span.clone());
    }
    ExportTraceServiceRequest { resource_spans: resources }
}
