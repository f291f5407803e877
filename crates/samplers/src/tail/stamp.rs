//! What is written onto spans that are kept: the trace's threshold, and who has decided if that is wanted.

mod label;

use std::borrow::Cow;
use std::collections::HashMap;

use foldhash::fast::RandomState;
use forebay_otlp::attribute::{Attribute, SPAN_ATTRIBUTES};
use forebay_otlp::threshold::Threshold;
use forebay_otlp::tracestate::TraceState;
use forebay_otlp::{SpanPiece, SpanView, TraceId, bool_attribute_field, trace_state_field, with_attribute};

use self::label::Labels;
pub(crate) use self::label::{Label, Trigger};
use super::decision::{Kept, PolicyNames};

/// Makes stamps.
#[derive(Debug, Default)]
pub(crate) struct Stamps {
    recording: Recording,
}

/// What is recorded of a decision.
#[derive(Debug, Default)]
enum Recording {
    #[default]
    Nothing,
    /// The policy, and its part.
    Policies(Vec<PolicyNames>),
    /// The rule, and its label, whose number is the decision's part.
    Rules { names: Vec<String>, labels: Labels },
}

/// The encoded fields that a kept trace's spans get appended.
#[derive(Debug, Default)]
pub(crate) struct Stamp {
    threshold: Option<Threshold>,
    /// For a span without trace state.
    fields: Vec<u8>,
    /// The attributes alone, for a span that has a trace state to be rewritten.
    attributes: Vec<u8>,
    /// The keys of attributes that a sampler before this one may have recorded, and that these replace.
    replaced: &'static [&'static str],
}

/// The span attribute that names the policy which kept a trace, as upstream.
pub const POLICY_ATTRIBUTE: &str = "tailsampling.policy";
/// The span attribute that names the part of that policy, as upstream: the sub-policy of a `composite`.
const PART_ATTRIBUTE: &str = "tailsampling.composite_policy";
/// The span attribute, true, of spans that came after their trace had been decided, as upstream.
const LATE_ATTRIBUTE: &str = "tailsampling.cached_decision";
/// What a sampler before this one may have recorded, which is replaced as a whole.
const OF_POLICIES: &[&str] = &[POLICY_ATTRIBUTE, PART_ATTRIBUTE, LATE_ATTRIBUTE];
/// The span attribute that names the rule which selected a trace, as upstream.
const RULE_ATTRIBUTE: &str = "otelcol.processor.adaptive_tail_sampling.rule";
/// The span attribute that says what led to a rule's decision, as upstream.
const TRIGGER_ATTRIBUTE: &str = "otelcol.processor.adaptive_tail_sampling.trigger";
/// The span attribute with the fingerprint of a trace, as upstream.
const FINGERPRINT_ATTRIBUTE: &str = "otelcol.processor.adaptive_tail_sampling.fingerprint";
/// The same for rules.
const OF_RULES: &[&str] = &[RULE_ATTRIBUTE, TRIGGER_ATTRIBUTE, FINGERPRINT_ATTRIBUTE];

impl Stamps {
    /// Stamps that record the policy by name if `record` gives the names.
    pub(crate) fn new(record: Option<Vec<PolicyNames>>) -> Self {
        Self { recording: record.map_or(Recording::Nothing, Recording::Policies) }
    }

    /// Stamps that record the rule by name.
    pub(crate) fn of_rules(names: Vec<String>) -> Self {
        Self { recording: Recording::Rules { names, labels: Labels::default() } }
    }

    /// The number of a label, if labels are recorded.
    pub(crate) fn label(&mut self, label: impl FnOnce() -> Label) -> Option<u16> {
        match &mut self.recording {
            Recording::Rules { labels, .. } => labels.number(label()),
            Recording::Nothing | Recording::Policies(_) => None,
        }
    }

    /// The stamp of each of some decisions, of which few differ; `late` if it is for spans that came afterwards.
    pub(crate) fn of(
        &self,
        decisions: impl Iterator<Item = Kept>,
        late: bool,
    ) -> HashMap<Kept, Stamp, RandomState> {
        let mut stamps = HashMap::default();
        for kept in decisions {
            stamps.entry(kept).or_insert_with(|| self.stamp(kept, late));
        }
        stamps
    }

    fn stamp(&self, kept: Kept, late: bool) -> Stamp {
        let attributes = self.recording.attributes(kept, late);
        let mut fields = kept
            .threshold
            .map_or_else(Vec::new, |threshold| trace_state_field(&format!("ot=th:{threshold}")));
        fields.extend_from_slice(&attributes);
        Stamp { threshold: kept.threshold, fields, attributes, replaced: self.recording.keys() }
    }
}

impl Recording {
    const fn keys(&self) -> &'static [&'static str] {
        match self {
            Self::Nothing => &[],
            Self::Policies(_) => OF_POLICIES,
            Self::Rules { .. } => OF_RULES,
        }
    }

    /// The encoded attributes that say who has decided.
    fn attributes(&self, kept: Kept, late: bool) -> Vec<u8> {
        let index = usize::from(kept.policy);
        match self {
            Self::Nothing => Vec::new(),
            Self::Policies(names) => {
                names.get(index).map_or_else(Vec::new, |names| names.attributes(kept.part, late))
            }
            Self::Rules { names, labels } => {
                let label = kept.part.and_then(|number| labels.get(number));
                let values = [
                    names.get(index).map(String::as_str),
                    label.map(|label| label.trigger.name()),
                    label.and_then(|label| label.fingerprint.as_deref()),
                ];
                let attribute = |(key, value): (&&str, Option<&str>)| {
                    value.map(|value| with_attribute(&[], SPAN_ATTRIBUTES, key, value))
                };
                OF_RULES.iter().zip(values).filter_map(attribute).flatten().collect()
            }
        }
    }
}

impl PolicyNames {
    /// The encoded attributes that say who has decided.
    fn attributes(&self, part: Option<u16>, late: bool) -> Vec<u8> {
        let mut attributes = with_attribute(&[], SPAN_ATTRIBUTES, POLICY_ATTRIBUTE, &self.policy);
        if let Some(part) = part.and_then(|part| self.parts.get(usize::from(part))) {
            attributes.extend(with_attribute(&[], SPAN_ATTRIBUTES, PART_ATTRIBUTE, part));
        }
        if late {
            attributes.extend(bool_attribute_field(SPAN_ATTRIBUTES, LATE_ATTRIBUTE, true));
        }
        attributes
    }
}

impl Stamp {
    /// A span as it leaves. `trace_id` is given where the body lacks it; `has_trace_state` may be true for a span
    /// that has none, not false for one that has.
    pub(crate) fn apply<'a>(
        &'a self,
        trace_id: Option<TraceId>,
        body: &'a [u8],
        has_trace_state: bool,
    ) -> SpanPiece<'a> {
        let plain = SpanPiece {
            trace_id,
            without_attributes: if self.replaces_attributes(body) {
                self.replaced.to_vec()
            } else {
                Vec::new()
            },
            suffix: Cow::Borrowed(&self.fields),
            ..SpanPiece::verbatim(body)
        };
        if !has_trace_state {
            return plain;
        }
        let trace_state = SpanView::new(body).trace_state();
        if trace_state.is_empty() {
            return plain;
        }
        // One that nobody can read, or that has no room, is not ours to destroy: it leaves as it came.
        let rewritten = TraceState::parse(trace_state).and_then(|state| state.with_threshold(self.threshold));
        match rewritten {
            Ok(value) => {
                let mut suffix = if value.is_empty() { Vec::new() } else { trace_state_field(&value) };
                suffix.extend_from_slice(&self.attributes);
                SpanPiece { without_trace_state: true, suffix: Cow::Owned(suffix), ..plain }
            }
            Err(_) => SpanPiece { suffix: Cow::Borrowed(&self.attributes), ..plain },
        }
    }

    /// Whether a sampler before this one has recorded something where this one does.
    fn replaces_attributes(&self, body: &[u8]) -> bool {
        let is_recorded =
            |attribute: Attribute<'_>| self.replaced.iter().any(|key| attribute.key == key.as_bytes());
        !self.replaced.is_empty() && SpanView::new(body).attributes().any(is_recorded)
    }
}

#[cfg(test)]
mod tests;
