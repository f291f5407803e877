//! `probabilistic_sampler` over the spans of a request.

use forebay_otlp::attribute::{AnyValue, Attribute, SPAN_ATTRIBUTES, attribute_messages};
use forebay_otlp::threshold::{ProbabilityError, Threshold};
use forebay_otlp::{SpanIndex, Splicer, TraceId};
use memchr::memmem::Finder;

use super::Sampled;
use super::config::ProbabilisticConfig;
use super::rule::{Item, Key, Rule};
use super::state::{Usual, incoming};
use super::verdict::{Counts, Priority, Verdict};

/// Chooses spans by their trace's randomness.
#[derive(Debug)]
pub struct SpanSampler {
    rule: Rule,
    usual: Option<Usual>,
    fail_closed: bool,
    priority: Finder<'static>,
}

/// The attribute that overrides the choice: zero drops the span, more keeps it.
const PRIORITY_KEY: &[u8] = b"sampling.priority";

impl SpanSampler {
    /// A sampler with these settings.
    ///
    /// # Errors
    /// When the percentage is not zero and below 2^-56.
    pub fn new(config: &ProbabilisticConfig) -> Result<Self, ProbabilityError> {
        let &ProbabilisticConfig { mode, sampling_percentage, sampling_precision, hash_seed, .. } = config;
        let rule = Rule::new(mode, sampling_percentage, sampling_precision, hash_seed)?;
        Ok(Self {
            usual: rule.usual_stamp().map(Usual::new),
            rule,
            fail_closed: config.fail_closed,
            priority: Finder::new(PRIORITY_KEY),
        })
    }

    /// Chooses among the spans of a request and stamps those that are kept.
    #[must_use]
    pub fn sample(&self, request: &[u8], index: &SpanIndex) -> Sampled {
        // One search of the whole request is cheaper than one of each span's attributes.
        let any_priority = self.priority.find(request).is_some();
        let mut counts = Counts::default();
        let mut splicer = Splicer::default();
        // Spans of one trace come together, mostly.
        let mut last: Option<(TraceId, Verdict)> = None;
        for span in &index.spans {
            let body = index.body(request, span);
            let text = &request[span.trace_state.start as usize..span.trace_state.end as usize];
            let priority = any_priority.then(|| priority(body)).flatten();
            let usual = text.is_empty() && priority.is_none();
            let verdict = match last {
                Some((trace_id, verdict)) if usual && trace_id == span.trace_id => verdict,
                _ => self.decide(span.trace_id, text, priority),
            };
            if usual {
                last = Some((span.trace_id, verdict));
            }
            counts.add(&verdict);
            if let Some(leaving) = verdict.leaving {
                let piece = leaving.piece(self.usual.as_ref(), body, text);
                splicer.push(index.envelopes.resource_number(span.envelope), span.envelope, piece);
            }
        }
        let items = splicer.items();
        Sampled { request: splicer.finish_indexed(request, &index.envelopes), items, counts }
    }

    fn decide(&self, trace_id: TraceId, text: &[u8], priority: Option<Priority>) -> Verdict {
        let item = Item { trace_id: Some(trace_id), key: Some(Key::TraceId(trace_id)) };
        self.rule.decide(item, incoming(text), priority, self.fail_closed)
    }
}

/// What a span asks for, if it does: by a number, or a string that is one.
fn priority(body: &[u8]) -> Option<Priority> {
    let mut attributes = attribute_messages(body, SPAN_ATTRIBUTES)
        .filter_map(|message| Attribute::parse_if(message, |key| key == PRIORITY_KEY).ok().flatten());
    let number = match attributes.next()?.value {
        #[expect(clippy::cast_precision_loss, reason = "only the sign matters")]
        AnyValue::Int(number) => number as f64,
        AnyValue::Double(number) => number,
        AnyValue::String(text) => str::from_utf8(text).ok()?.parse().ok()?,
        _ => return None,
    };
    // A negative or undefined priority says nothing.
    if number > 0.0 {
        Some(Priority::Keep(Threshold::ALWAYS))
    } else {
        (number == 0.0).then_some(Priority::Drop)
    }
}

#[cfg(test)]
mod tests;
