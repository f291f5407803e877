//! `rate_limiting_sampler` over the spans of a request.

use forebay_otlp::threshold::{Randomness, Threshold};
use forebay_otlp::{Span, SpanIndex, Splicer};

use super::config::RateConfig;
use super::controller::Controller;
use crate::head::Sampled;
use crate::head::rule::Stamp;
use crate::head::state::{Usual, incoming};
use crate::head::verdict::{Counts, Leaving, Policy, Verdict};
use crate::tail::Nanos;
use crate::tail::recent::RecentSet;

/// Chooses as many spans by their trace's randomness as a limit allows.
#[derive(Debug)]
pub struct RateSampler {
    controller: Controller,
    /// Traces that have been charged, if traces are what is limited.
    charged: Option<RecentSet>,
}

/// Traces that are remembered to be charged once: 190 KiB. Of more than this that are under way at once, some count
/// twice, which keeps less.
const TRACES: usize = 1 << 14;

impl RateSampler {
    /// A sampler with these settings.
    #[must_use]
    pub fn new(config: &RateConfig) -> Self {
        let charged = config.counts_traces.then(|| RecentSet::of_decisions(TRACES));
        Self { controller: Controller::new(config.limit), charged }
    }

    /// Chooses among the spans of a request that comes at `now`, which does not go back, and stamps those that are
    /// kept.
    #[must_use]
    pub fn sample(&mut self, now: Nanos, request: &[u8], index: &SpanIndex) -> Sampled {
        let mut counts = Counts::default();
        let mut kept = Vec::new();
        for span in &index.spans {
            let text = &request[span.trace_state.start as usize..span.trace_state.end as usize];
            let (verdict, before) = decide(self.controller.threshold(now), span, text);
            if self.is_charged(span) {
                self.controller.charge(before);
            }
            counts.add(&verdict);
            kept.extend(verdict.leaving.map(|leaving| (span, text, leaving)));
        }
        // Most leave with the threshold of the end, if it has moved at all.
        let usual = Usual::new(Stamp { threshold: self.controller.threshold(now), randomness: None });
        let mut splicer = Splicer::default();
        for (span, text, leaving) in kept {
            let piece = leaving.piece(Some(&usual), index.body(request, span), text);
            splicer.push(index.envelopes.resource_number(span.envelope), span.envelope, piece);
        }
        let items = splicer.items();
        Sampled { request: splicer.finish_indexed(request, &index.envelopes), items, counts }
    }

    /// Whether the limit counts this span.
    fn is_charged(&mut self, span: &Span) -> bool {
        let Some(charged) = &mut self.charged else { return true };
        let is_new = !charged.contains(span.trace_id);
        if is_new {
            charged.insert(span.trace_id);
        }
        is_new
    }
}

/// Decides on a span with this trace state, and says what it had passed before.
fn decide(threshold: Threshold, span: &Span, text: &[u8]) -> (Verdict, Threshold) {
    let own = Randomness::from_trace_id(span.trace_id.to_bytes());
    let Ok(incoming) = incoming(text) else {
        let leaving = threshold.keeps(own).then_some(Leaving::AsItCame);
        return (Verdict { policy: Policy::MissingRandomness, leaving }, Threshold::ALWAYS);
    };
    let (randomness, policy) = incoming
        .randomness
        .map_or((own, Policy::TraceIdW3c), |explicit| (explicit, Policy::SamplingRandomness));
    let before = incoming.threshold.unwrap_or(Threshold::ALWAYS);
    if !before.keeps(randomness) {
        // A threshold that it has not passed tells nothing.
        let leaving = threshold.keeps(randomness).then_some(Leaving::WithoutThreshold);
        return (Verdict { policy, leaving }, Threshold::ALWAYS);
    }
    let threshold = threshold.max(before);
    let stamped = Leaving::Stamped(Stamp { threshold, randomness: None });
    (Verdict { policy, leaving: threshold.keeps(randomness).then_some(stamped) }, before)
}

#[cfg(test)]
mod tests;
