//! What is written onto spans that are kept: the trace's threshold, and the policy if that is wanted.

use std::borrow::Cow;
use std::collections::HashMap;

use foldhash::fast::RandomState;
use forebay_otlp::attribute::{Attribute, SPAN_ATTRIBUTES};
use forebay_otlp::threshold::Threshold;
use forebay_otlp::tracestate::TraceState;
use forebay_otlp::{SpanPiece, SpanView, TraceId, trace_state_field, with_attribute};

use super::decision::Kept;

/// Makes stamps.
#[derive(Debug, Default)]
pub(crate) struct Stamps {
    /// Names of the policies, if they are to be recorded.
    record: Option<Vec<String>>,
}

/// The encoded fields that a kept trace's spans get appended.
#[derive(Debug, Default)]
pub(crate) struct Stamp {
    threshold: Option<Threshold>,
    /// For a span without trace state.
    fields: Vec<u8>,
    /// The attribute alone, for a span that has a trace state to be rewritten.
    attribute: Vec<u8>,
}

/// The span attribute that names the policy which kept a trace, as upstream.
pub const POLICY_ATTRIBUTE: &str = "tailsampling.policy";

impl Stamps {
    /// Stamps that record the policy by name if `record` gives the names.
    pub(crate) fn new(record: Option<Vec<String>>) -> Self {
        Self { record }
    }

    /// The stamp of each of some decisions, of which few differ.
    pub(crate) fn of(&self, decisions: impl Iterator<Item = Kept>) -> HashMap<Kept, Stamp, RandomState> {
        let mut stamps = HashMap::default();
        for kept in decisions {
            stamps.entry(kept).or_insert_with(|| self.stamp(kept));
        }
        stamps
    }

    fn stamp(&self, kept: Kept) -> Stamp {
        let name = self.record.as_ref().and_then(|names| names.get(usize::from(kept.policy)));
        let attribute =
            name.map_or_else(Vec::new, |name| with_attribute(&[], SPAN_ATTRIBUTES, POLICY_ATTRIBUTE, name));
        let mut fields = kept
            .threshold
            .map_or_else(Vec::new, |threshold| trace_state_field(&format!("ot=th:{threshold}")));
        fields.extend_from_slice(&attribute);
        Stamp { threshold: kept.threshold, fields, attribute }
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
            without_attribute: self.replaces_attribute(body).then_some(POLICY_ATTRIBUTE),
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
                suffix.extend_from_slice(&self.attribute);
                SpanPiece { without_trace_state: true, suffix: Cow::Owned(suffix), ..plain }
            }
            Err(_) => SpanPiece { suffix: Cow::Borrowed(&self.attribute), ..plain },
        }
    }

    /// Whether a sampler before this one has recorded its policy, in the attribute that is appended.
    fn replaces_attribute(&self, body: &[u8]) -> bool {
        let is_policy = |attribute: Attribute<'_>| attribute.key == POLICY_ATTRIBUTE.as_bytes();
        !self.attribute.is_empty() && SpanView::new(body).attributes().any(is_policy)
    }
}

#[cfg(test)]
mod tests;
