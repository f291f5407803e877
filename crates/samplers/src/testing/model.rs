//! The tail sampler as one writes it without a care for cost: whole traces as `prost` messages in a map, and policies
//! that look through all spans when a trace is decided. What it lets out is what the sampler has to let out.

mod rule;

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::fmt::Write as _;

use forebay_otlp::TraceId;
use forebay_otlp::threshold::{Randomness, Threshold};
use forebay_otlp::tracestate::TraceState;
use prost::Message;

use self::rule::Answer;
pub(crate) use self::rule::{Code, Condition, Rule};
use super::{Located, MILLISECOND, Span};
use crate::tail::Nanos;

/// Pending traces and decisions.
pub(crate) struct Model {
    rules: Vec<Rule>,
    wait: Nanos,
    pending: VecDeque<Pending>,
    decisions: HashMap<TraceId, Decision>,
    pub(crate) dropped_spans: usize,
}

struct Pending {
    trace_id: TraceId,
    due: Nanos,
    spans: Vec<Located>,
}

/// What becomes of a trace: nothing, or it is kept, with its threshold if that is known.
type Decision = Option<Option<Threshold>>;

/// Spans by trace and surroundings, in order within each.
pub(crate) type Grouped = BTreeMap<(TraceId, Vec<u8>), Vec<Span>>;

/// What is compared: the sampler may order traces, resources and scopes as it likes.
pub(crate) fn grouped(spans: impl IntoIterator<Item = Located>) -> Grouped {
    let mut groups = Grouped::new();
    for Located { resource, scope, span } in spans {
        let surroundings = [resource.encode_to_vec(), scope.encode_to_vec()].concat();
        groups.entry((trace_of(&span), surroundings)).or_default().push(span);
    }
    groups
}

pub(crate) fn trace_of(span: &Span) -> TraceId {
    TraceId(u128::from_be_bytes(span.trace_id.as_slice().try_into().unwrap()))
}

impl Model {
    pub(crate) fn new(rules: Vec<Rule>, wait: Nanos) -> Self {
        Self { rules, wait, pending: VecDeque::new(), decisions: HashMap::new(), dropped_spans: 0 }
    }

    /// The configuration of the sampler that behaves like this.
    pub(crate) fn yaml(rules: &[Rule]) -> String {
        let mut yaml = "policies:\n".to_owned();
        for (index, rule) in rules.iter().enumerate() {
            writeln!(yaml, "  - {{name: p{index}, {}}}", rule.yaml()).unwrap();
        }
        yaml
    }

    /// Takes spans, and lets out those that are late.
    pub(crate) fn accept(&mut self, now: Nanos, spans: Vec<Located>) -> Vec<Located> {
        let mut late = Vec::new();
        for located in spans {
            let trace_id = trace_of(&located.span);
            if let Some(pending) = self.pending.iter_mut().find(|pending| pending.trace_id == trace_id) {
                pending.spans.push(located);
            } else if let Some(&decision) = self.decisions.get(&trace_id) {
                late.extend(self.leave(decision, vec![located]));
            } else {
                let due = (now + self.wait).next_multiple_of(10 * MILLISECOND);
                self.pending.push_back(Pending { trace_id, due, spans: vec![located] });
            }
        }
        late
    }

    pub(crate) fn decide_due(&mut self, now: Nanos) -> Vec<Located> {
        let due = self.pending.iter().filter(|pending| pending.due <= now).count();
        self.decide_oldest(due)
    }

    pub(crate) fn decide_oldest(&mut self, count: usize) -> Vec<Located> {
        let decided: Vec<_> = self.pending.drain(..count).collect();
        decided
            .into_iter()
            .flat_map(|Pending { trace_id, spans, .. }| {
                let decision = self.decide(trace_id, &spans);
                self.decisions.insert(trace_id, decision);
                self.leave(decision, spans)
            })
            .collect()
    }

    pub(crate) fn pending_traces(&self) -> usize {
        self.pending.len()
    }

    pub(crate) fn pending_spans(&self) -> usize {
        self.pending.iter().map(|pending| pending.spans.len()).sum()
    }

    fn decide(&self, trace_id: TraceId, spans: &[Located]) -> Decision {
        let own = Randomness::from_trace_id(trace_id.to_bytes());
        let randomness = spans.iter().filter_map(|located| ot(&located.span).1).min().unwrap_or(own);
        let (dropping, keeping): (Vec<_>, Vec<_>) = self.rules.iter().partition(|rule| rule.drops());
        let asks = |rule: &&Rule| rule.asks(spans, randomness);
        if dropping.iter().map(asks).any(|answer| answer != Answer::No) {
            return None;
        }
        let answers: Vec<_> = keeping.iter().map(asks).filter(|answer| *answer != Answer::No).collect();
        let least = answers.iter().filter_map(|answer| answer.threshold()).min();
        // What one policy keeps with an unknown probability is known only if another one keeps all of its kind.
        let unknown = answers.contains(&Answer::Unknown) && least != Some(Threshold::ALWAYS)
            || dropping.iter().any(|rule| rule.is_chance());
        let raised = |least| spans.iter().map(|located| ot(&located.span).0).fold(least, Threshold::max);
        (!answers.is_empty()).then(|| least.filter(|_| !unknown).map(raised))
    }

    fn leave(&mut self, decision: Decision, mut spans: Vec<Located>) -> Vec<Located> {
        let Some(threshold) = decision else {
            self.dropped_spans += spans.len();
            return Vec::new();
        };
        for Located { span, .. } in &mut spans {
            let threshold = threshold.map(|threshold| threshold.max(ot(span).0));
            if let Ok(state) = TraceState::parse(span.trace_state.as_bytes()) {
                span.trace_state = state.with_threshold(threshold).unwrap();
            }
        }
        spans
    }
}

/// The consistent threshold and the explicit randomness that a span came with.
fn ot(span: &Span) -> (Threshold, Option<Randomness>) {
    let Ok(state) = TraceState::parse(span.trace_state.as_bytes()) else {
        return (Threshold::ALWAYS, None);
    };
    let explicit = state.ot().rv.ok().flatten();
    let randomness = explicit.unwrap_or(Randomness::from_trace_id(trace_of(span).to_bytes()));
    let threshold = state.ot().th.ok().flatten().filter(|threshold| threshold.keeps(randomness));
    (threshold.unwrap_or(Threshold::ALWAYS), explicit)
}
