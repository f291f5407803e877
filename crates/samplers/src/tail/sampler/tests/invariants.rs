//! Hours of random traffic under any configuration: what has to hold whatever the policies keep.
//!
//! After every step each trace's spans, those that came since it was last decided, wait together, have left together
//! or are gone together, and the counts say so. What left together has one stamp, nothing has a threshold below the
//! one it came with, and no trace waits longer than it is to. Under rules every trace is decided once, by one rule,
//! and everything that is kept has a weight.

use std::collections::HashMap;

use forebay_otlp::threshold::{Randomness, Threshold};
use forebay_otlp::tracestate::TraceState;
use proptest::option;
use proptest::sample::select;

use super::configurations::configurations;
use super::traffic::{Encoder, Request, TRACES, of_seed, requests};
use super::*;
use crate::tail::stats::PolicyCount;
use crate::testing::model::trace_of;
use crate::testing::{Value, decode};

/// Trace states of which none says what a trace's random number is: that is its id's.
const WITHOUT_RANDOMNESS: &[&str] =
    &["a=1", "ot=th:8", "a=1,ot=th:c", "ot=th:e", "ot=th:XYZ;x:y", "ot=th:0", "=bad"];

/// A run of the sampler: everything that can be set, with values that matter among so few spans.
fn scenario(seed: u64) -> (Settings, Vec<Request>) {
    let strategies =
        select(vec![SamplingStrategy::Complete, SamplingStrategy::Certain, SamplingStrategy::Ingest]);
    let waits = (0..20 * SECOND, option::of(0..5 * SECOND), strategies);
    let bytes = prop_oneof![2 => Just(usize::MAX), 1 => Just(1), 3 => 2 * SEGMENT_BYTES..6 * SEGMENT_BYTES];
    let traces = prop_oneof![3 => Just(usize::MAX), 1 => 1..TRACES];
    let remember = || prop_oneof![1 => Just(usize::MAX), 1 => 1..6_usize].prop_map(remembering);
    let bounds = (bytes, traces, remember(), remember(), prop::bool::weighted(0.2));
    let sizes = (option::of(1..12_u32), option::of(100..60_000_u32), option::of(100..60_000_u32));
    let compatibility = any::<[bool; 3]>();
    let any = (configurations(), compatibility, waits, bounds, sizes, requests(WITHOUT_RANDOMNESS));
    let (configuration, compatibility, waits, bounds, (spans, too_many, crowding), requests) =
        of_seed(&any, seed);
    let (decision_wait, decision_wait_after_root, strategy) = waits;
    let (pending_bytes, pending_traces, remember_kept, remember_dropped, block_on_overflow) = bounds;
    let [attribute_coercion, latency_milliseconds, probabilistic_hash] = compatibility;
    let compatibility = Compatibility { attribute_coercion, latency_milliseconds, probabilistic_hash };
    let read = configuration.settings(compatibility);
    // What can be configured of it.
    let rules = read.policies.are_rules();
    let whole = read.policies.needing_whole_traces().is_some();
    let complete = rules || whole && strategy == SamplingStrategy::Ingest;
    let settings = Settings {
        decision_wait,
        decision_wait_after_root,
        strategy: if complete { SamplingStrategy::Complete } else { strategy },
        maximum_trace_bytes: too_many.filter(|_| !rules),
        trace_bytes: crowding.unwrap_or(u32::MAX),
        trace_spans: spans.unwrap_or(u32::MAX),
        block_on_overflow,
        pending_bytes,
        pending_traces,
        remember_kept,
        remember_dropped,
        record_policy: true,
        ..read
    };
    (settings, requests)
}

fn remembering(decisions: usize) -> Remember {
    if decisions == usize::MAX { Remember::Decisions(1 << 10) } else { Remember::Decisions(decisions) }
}

/// What is known of a trace from outside.
#[derive(Default)]
struct Known {
    /// When the first of its spans came that have neither left nor gone, and how many they are.
    waiting: Option<(Nanos, u64)>,
    /// Whether it was kept when it was last decided.
    kept: Option<bool>,
}

/// A sampler and what is known of its traces.
struct Simulation {
    tail: Tail,
    settings: Settings,
    traces: HashMap<TraceId, Known>,
    /// The thresholds that spans came with, by their ids.
    incoming: HashMap<Vec<u8>, Threshold>,
    taken: u64,
    left: u64,
    gone: u64,
    /// Traces that rules say they have decided.
    decided: u64,
}

impl Simulation {
    fn new(settings: Settings) -> Self {
        Self {
            tail: Tail::with(settings.clone()),
            settings,
            traces: HashMap::new(),
            incoming: HashMap::new(),
            taken: 0,
            left: 0,
            gone: 0,
            decided: 0,
        }
    }

    fn decide_due(&mut self, now: Nanos) -> Result<(), TestCaseError> {
        let left = self.tail.decide_due(now);
        self.check(&left)?;
        prop_assert!(self.tail.sampler.next_due().is_none_or(|due| due > now));
        let longest = self.settings.decision_wait + self.settings.tick();
        let patient =
            self.traces.values().filter_map(|known| known.waiting).all(|(since, _)| now < since + longest);
        prop_assert!(patient, "a trace waits longer than {longest} ns");
        Ok(())
    }

    fn accept(&mut self, now: Nanos, request: &[u8]) -> Result<(), TestCaseError> {
        for located in decode(request) {
            let trace_id = trace_of(&located.span);
            let (_, count) = self.traces.entry(trace_id).or_default().waiting.get_or_insert((now, 0));
            *count += 1;
            self.taken += 1;
            if let Some(threshold) = consistent(&located.span) {
                self.incoming.insert(located.span.span_id, threshold);
            }
        }
        let left = self.tail.accept(now, request);
        self.check(&left)?;
        let Settings { pending_traces, pending_bytes, block_on_overflow, .. } = self.settings;
        let sampler = &self.tail.sampler;
        prop_assert!(block_on_overflow || sampler.pending_traces() <= pending_traces);
        let fits = sampler.bytes_in_use() <= pending_bytes || sampler.pending_traces() == 0;
        prop_assert!(block_on_overflow || fits, "{} bytes of {pending_bytes}", sampler.bytes_in_use());
        Ok(())
    }

    /// Checks what has become of every trace in a step after which `left` came out.
    fn check(&mut self, left: &[Span]) -> Result<(), TestCaseError> {
        let mut by_trace = HashMap::<_, Vec<_>>::new();
        left.iter().for_each(|span| by_trace.entry(trace_of(span)).or_default().push(span));
        for (&trace_id, known) in &mut self.traces {
            let spans = by_trace.remove(&trace_id).unwrap_or_default();
            let table = &self.tail.sampler.pending.store.traces;
            let pending = table.find(trace_id).map(|slot| u64::from(table.slot(slot).digest.spans));
            let Some((_, waiting)) = known.waiting else {
                prop_assert!(
                    spans.is_empty() && pending.is_none(),
                    "spans of {trace_id} come out of nowhere"
                );
                continue;
            };
            if let Some(pending) = pending {
                prop_assert!(
                    pending == waiting && spans.is_empty(),
                    "{pending} of {waiting} spans of {trace_id} wait"
                );
                continue;
            }
            known.waiting = None;
            let kept = !spans.is_empty();
            if kept {
                prop_assert_eq!(spans.len() as u64, waiting, "spans of {} leave alone", trace_id);
                if self.settings.policies.are_rules() {
                    ruled(&spans, &self.incoming, known.kept.is_some())?;
                } else {
                    stamps(&spans, &self.incoming)?;
                }
                self.left += waiting;
            } else {
                self.gone += waiting;
            }
            // As long as decisions are remembered they stand.
            let before = known.kept.replace(kept).unwrap_or(kept);
            let Settings { remember_kept, remember_dropped, .. } = self.settings;
            let remembered = [remember_kept, remember_dropped] == [remembering(usize::MAX); 2];
            prop_assert!(before == kept || !remembered, "{trace_id} is kept and is not");
        }
        prop_assert!(by_trace.is_empty(), "spans of traces that nobody has sent");
        let stats = self.tail.sampler.stats();
        prop_assert_eq!(self.taken, self.left + self.gone + stats.pending_spans);
        prop_assert_eq!(self.left, stats.kept_spans + stats.late_kept);
        prop_assert_eq!(self.gone, stats.dropped_spans + stats.late_dropped);
        if self.settings.policies.are_rules() { self.rules_balance() } else { Ok(()) }
    }

    /// Checks that every decided trace has been decided by one rule, or was one that there is none for.
    fn rules_balance(&mut self) -> Result<(), TestCaseError> {
        for decision in self.tail.sampler.take_rule_decisions() {
            self.decided += 1;
            let weight = decision.threshold.map_or(1.0, Threshold::adjusted_count);
            prop_assert!(weight.is_finite() && weight >= 1.0, "{decision:?}");
        }
        let stats = self.tail.sampler.stats();
        let traces = stats.kept_traces + stats.not_sampled_traces;
        let sum = |of: fn(&PolicyCount) -> u64| stats.policies.iter().map(of).sum::<u64>();
        prop_assert_eq!(sum(|rule| rule.sampled.traces), stats.kept_traces);
        prop_assert_eq!(sum(|rule| rule.not_sampled.traces), stats.not_sampled_traces);
        prop_assert_eq!(stats.triggers.iter().sum::<u64>(), traces);
        let names = self.settings.policies.names().iter();
        let unmatched = names.zip(&stats.policies).find(|(name, _)| *name == "_unmatched");
        prop_assert_eq!(unmatched.map(|(_, rule)| self.decided + rule.executions()), Some(traces));
        Ok(())
    }
}

/// What a span has recorded under a key, which it has once at most.
fn recorded(span: &Span, key: &str) -> Option<Value> {
    let mut found = span.attributes.iter().filter(|attribute| attribute.key == key);
    let value = found.next().and_then(|attribute| attribute.value.clone()?.value);
    assert!(found.next().is_none(), "recorded once");
    value
}

/// Checks what policies have stamped on spans of one trace, which left together.
fn stamps(spans: &[&Span], incoming: &HashMap<Vec<u8>, Threshold>) -> Result<(), TestCaseError> {
    let policy =
        |span: &Span| ["tailsampling.policy", "tailsampling.composite_policy"].map(|key| recorded(span, key));
    let late = |span: &Span| recorded(span, "tailsampling.cached_decision") == Some(Value::BoolValue(true));
    let first = spans[0];
    prop_assert!(policy(first)[0].is_some());
    for span in spans {
        prop_assert_eq!(policy(span), policy(first));
        prop_assert_eq!(late(span), late(first));
    }
    thresholds(spans, incoming, late(first)).map(drop)
}

/// The same of rules; `again` if the trace has been decided before.
fn ruled(spans: &[&Span], incoming: &HashMap<Vec<u8>, Threshold>, again: bool) -> Result<(), TestCaseError> {
    let label = |span: &Span| {
        ["rule", "trigger", "fingerprint"]
            .map(|key| recorded(span, &format!("otelcol.processor.adaptive_tail_sampling.{key}")))
    };
    let [rule, trigger, _] = label(spans[0]);
    prop_assert!(rule.is_some() && trigger.is_some());
    for span in spans {
        prop_assert_eq!(label(span), label(spans[0]));
    }
    let weighed = thresholds(spans, incoming, again)?.iter().all(Option::is_some);
    prop_assert!(weighed, "what {rule:?} has kept has no weight");
    Ok(())
}

/// The thresholds of spans of one trace whose trace state can be read, checked. Spans that come late may have passed
/// more than those that decided.
fn thresholds(
    spans: &[&Span],
    incoming: &HashMap<Vec<u8>, Threshold>,
    late: bool,
) -> Result<Vec<Option<Threshold>>, TestCaseError> {
    let readable = spans.iter().filter(|span| span.trace_state != "=bad");
    let thresholds: Vec<_> = readable.clone().map(|span| threshold(span)).collect();
    for span in readable {
        let (own, randomness) = (threshold(span), Randomness::from_trace_id(trace_of(span).to_bytes()));
        prop_assert!(own.is_none_or(|own| own.keeps(randomness)), "{} is not reached", span.trace_state);
        let before = incoming.get(&span.span_id);
        prop_assert!(own.is_none() || own.as_ref() >= before, "{} was {before:?}", span.trace_state);
    }
    let alike = thresholds.windows(2).all(|pair| pair[0] == pair[1]);
    prop_assert!(alike || late, "{thresholds:?} within one decision");
    Ok(thresholds)
}

fn threshold(span: &Span) -> Option<Threshold> {
    TraceState::parse(span.trace_state.as_bytes()).ok()?.ot().th.ok().flatten()
}

/// The threshold that a span may have passed.
fn consistent(span: &Span) -> Option<Threshold> {
    let randomness = Randomness::from_trace_id(trace_of(span).to_bytes());
    threshold(span).filter(|threshold| threshold.keeps(randomness))
}

fn run(seed: u64) -> Result<(), TestCaseError> {
    let (settings, requests) = scenario(seed);
    let mut encoder = Encoder::new(seed);
    let mut simulation = Simulation::new(settings);
    let mut now = 0;
    for Request { gap, spans } in &requests {
        now += gap;
        simulation.decide_due(now)?;
        // Whoever makes senders wait gives more only when there is room.
        while simulation.tail.sampler.is_full() {
            let Some(due) = simulation.tail.sampler.next_due() else { break };
            now = now.max(due);
            simulation.decide_due(now)?;
        }
        simulation.accept(now, &encoder.request(spans))?;
    }
    let left = simulation.tail.decide_all();
    simulation.check(&left)?;
    let sampler = &simulation.tail.sampler;
    prop_assert_eq!((sampler.pending_traces(), sampler.stats().pending_spans), (0, 0));
    prop_assert!(sampler.pending.store.envelopes.is_empty() && sampler.pending.store.fingerprints.is_empty());
    Ok(())
}

proptest! {
    // A seed cannot be made simpler.
    #![proptest_config(ProptestConfig {
        cases: 256,
        max_shrink_iters: 0,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn no_trace_is_torn_lost_or_stamped_wrongly(seed: u64) {
        run(seed)?;
    }
}
