//! `probabilistic_sampler` over the bytes of a request.

use std::borrow::Cow;

use forebay_otlp::attribute::{AnyValue, Attribute, SPAN_ATTRIBUTES, attribute_messages};
use forebay_otlp::threshold::{ProbabilityError, Randomness, Threshold};
use forebay_otlp::tracestate::{TraceState, TraceStateError};
use forebay_otlp::{SpanIndex, SpanPiece, Splicer, TraceId, trace_state_field};
use memchr::memmem::Finder;

use super::config::ProbabilisticConfig;
use super::rule::{Incoming, Rule, Stamp};

/// Chooses spans by their trace's randomness.
#[derive(Debug)]
pub struct ProbabilisticSampler {
    /// `None` keeps nothing.
    rule: Option<Rule>,
    /// The trace state that most kept spans leave with, encoded.
    usual: (Option<Stamp>, Vec<u8>),
    fail_closed: bool,
    priority: Finder<'static>,
}

/// What is left of a request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sampled {
    /// The request of the kept spans.
    pub request: Vec<u8>,
    /// Spans in it.
    pub spans: usize,
    /// How the spans were decided.
    pub counts: Counts,
}

/// Spans by how they were decided; the first of each pair is those kept, the second those dropped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// By randomness.
    pub randomness: (u64, u64),
    /// By `sampling.priority`.
    pub priority: (u64, u64),
    /// Not decidable, and kept or dropped according to `fail_closed`.
    pub failed: (u64, u64),
}

/// The attribute that overrides the choice: zero drops the span, more keeps it.
const PRIORITY_KEY: &[u8] = b"sampling.priority";

/// How one span is decided.
enum Choice {
    /// By the rule.
    Random(Option<Stamp>),
    /// By its priority.
    Priority(bool),
    /// Its trace state cannot be used.
    Failed(Failure),
}

/// Why a span's trace state cannot be used.
#[derive(Clone, Copy)]
enum Failure {
    /// It cannot be read, so nothing can be written into it.
    Malformed,
    /// Its randomness does not reach its threshold, which therefore tells nothing.
    Inconsistent,
}

impl ProbabilisticSampler {
    /// A sampler with these settings.
    ///
    /// # Errors
    /// When the percentage is not zero and below 2^-56.
    pub fn new(config: &ProbabilisticConfig) -> Result<Self, ProbabilityError> {
        let probability = (config.sampling_percentage / 100.0).min(1.0);
        let rule = (probability > 0.0)
            .then(|| Rule::new(config.mode, probability, config.sampling_precision, config.hash_seed))
            .transpose()?;
        let stamp = rule.as_ref().map(Rule::usual_stamp);
        let usual = (stamp, stamp.map_or_else(Vec::new, |stamp| trace_state_field(&stamp.ot())));
        Ok(Self { rule, usual, fail_closed: config.fail_closed, priority: Finder::new(PRIORITY_KEY) })
    }

    /// Chooses among the spans of a request and stamps those that are kept.
    #[must_use]
    pub fn sample(&self, request: &[u8], index: &SpanIndex) -> Sampled {
        // One search of the whole request is cheaper than one of each span's attributes.
        let any_priority = self.priority.find(request).is_some();
        let mut counts = Counts::default();
        let mut splicer = Splicer::default();
        // Spans of one trace come together, mostly.
        let mut last: Option<(TraceId, Option<Stamp>)> = None;
        for span in &index.spans {
            let body = index.body(request, span);
            let text = &request[span.trace_state.start as usize..span.trace_state.end as usize];
            let choice = if let Some(keep) = any_priority.then(|| priority(body)).flatten() {
                Choice::Priority(keep)
            } else if !text.is_empty() {
                self.choose(span.trace_id, text)
            } else if let Some((trace_id, stamp)) = last
                && trace_id == span.trace_id
            {
                Choice::Random(stamp)
            } else {
                let stamp =
                    self.rule.as_ref().and_then(|rule| rule.choose(span.trace_id, Incoming::default()));
                last = Some((span.trace_id, stamp));
                Choice::Random(stamp)
            };
            counts.add(&choice, self.fail_closed);
            if let Some(piece) = self.piece(&choice, span.trace_id, body, text) {
                splicer.push(index.envelopes.resource_number(span.envelope), span.envelope, piece);
            }
        }
        let spans = splicer.items();
        Sampled { request: splicer.finish_indexed(request, &index.envelopes), spans, counts }
    }

    /// Decides a span that has a trace state.
    fn choose(&self, trace_id: TraceId, text: &[u8]) -> Choice {
        match incoming(trace_id, text) {
            Ok(incoming) => {
                Choice::Random(self.rule.as_ref().and_then(|rule| rule.choose(trace_id, incoming)))
            }
            Err(failure) => Choice::Failed(failure),
        }
    }

    /// The span as it leaves, if it is kept.
    fn piece<'a>(
        &'a self,
        choice: &Choice,
        trace_id: TraceId,
        body: &'a [u8],
        text: &[u8],
    ) -> Option<SpanPiece<'a>> {
        let failed = |failure| match failure {
            Failure::Malformed => SpanPiece::verbatim(body),
            Failure::Inconsistent => restated(body, text, |state| state.with_threshold(None)),
        };
        Some(match choice {
            Choice::Random(None) | Choice::Priority(false) => return None,
            Choice::Failed(_) if self.fail_closed => return None,
            Choice::Random(Some(stamp)) if text.is_empty() => {
                let usual = self.usual.0 == Some(*stamp);
                let own = || Cow::Owned(trace_state_field(&stamp.ot()));
                let suffix = if usual { Cow::Borrowed(self.usual.1.as_slice()) } else { own() };
                SpanPiece { suffix, ..SpanPiece::verbatim(body) }
            }
            Choice::Random(Some(stamp)) => restated(body, text, |state| stamp.write(state)),
            // Kept for certain, so its weight is the one it came with.
            Choice::Priority(true) => match incoming(trace_id, text) {
                Ok(Incoming { threshold, .. }) => {
                    restated(body, text, |state| state.with_threshold(threshold.or(Some(Threshold::ALWAYS))))
                }
                Err(failure) => failed(failure),
            },
            Choice::Failed(failure) => failed(*failure),
        })
    }
}

impl Stamp {
    /// The trace state of a span that had none.
    fn ot(self) -> String {
        match self.randomness {
            None => format!("ot=th:{}", self.threshold),
            Some(randomness) => format!("ot=th:{};rv:{randomness}", self.threshold),
        }
    }

    fn write(self, state: &TraceState<'_>) -> Result<String, TraceStateError> {
        match self.randomness {
            None => state.with_threshold(Some(self.threshold)),
            Some(randomness) => state.with_threshold_and_randomness(Some(self.threshold), randomness),
        }
    }
}

/// A span with another trace state; one that has no room for it, or cannot be read, stays as it is.
fn restated<'a>(
    body: &'a [u8],
    text: &[u8],
    write: impl FnOnce(&TraceState<'_>) -> Result<String, TraceStateError>,
) -> SpanPiece<'a> {
    match TraceState::parse(text).and_then(|state| write(&state)) {
        Ok(value) => {
            let suffix = if value.is_empty() { Vec::new() } else { trace_state_field(&value) };
            SpanPiece { without_trace_state: true, suffix: Cow::Owned(suffix), ..SpanPiece::verbatim(body) }
        }
        Err(_) => SpanPiece::verbatim(body),
    }
}

/// What a trace state says of sampling.
fn incoming(trace_id: TraceId, text: &[u8]) -> Result<Incoming, Failure> {
    let ot = TraceState::parse(text).map_err(|_| Failure::Malformed)?.ot();
    let (Ok(threshold), Ok(randomness)) = (ot.th, ot.rv) else {
        return Err(Failure::Malformed);
    };
    let actual = randomness.unwrap_or_else(|| Randomness::from_trace_id(trace_id.to_bytes()));
    if threshold.is_some_and(|threshold| !threshold.keeps(actual)) {
        return Err(Failure::Inconsistent);
    }
    Ok(Incoming { threshold, randomness })
}

/// Whether the span's priority keeps it, if it has one: a number, or a string that is one.
fn priority(body: &[u8]) -> Option<bool> {
    let mut attributes = attribute_messages(body, SPAN_ATTRIBUTES)
        .filter_map(|message| Attribute::parse_if(message, |key| key == PRIORITY_KEY).ok().flatten());
    let number = match attributes.next()?.value {
        #[expect(clippy::cast_precision_loss, reason = "only the sign matters")]
        AnyValue::Int(number) => number as f64,
        AnyValue::Double(number) => number,
        AnyValue::String(text) => str::from_utf8(text).ok()?.trim().parse().ok()?,
        _ => return None,
    };
    // A negative or undefined priority says nothing.
    if number > 0.0 { Some(true) } else { (number == 0.0).then_some(false) }
}

impl Counts {
    fn add(&mut self, choice: &Choice, fail_closed: bool) {
        let (pair, kept) = match choice {
            Choice::Random(stamp) => (&mut self.randomness, stamp.is_some()),
            Choice::Priority(keep) => (&mut self.priority, *keep),
            Choice::Failed(_) => (&mut self.failed, !fail_closed),
        };
        *if kept { &mut pair.0 } else { &mut pair.1 } += 1;
    }
}

#[cfg(test)]
mod tests;
