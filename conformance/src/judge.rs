//! What Forebay did, held against what the Collector did and against what is right.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::RangeInclusive,
};

use prost::Message as _;

use crate::case::{Case, Difference, Expectation, Unit};
use crate::outcome::{Arrivals, Outcome, WHOLE, ot};
use crate::traffic::{Act, Trace, Traffic};

/// How many objections of one sort are told.
const TOLD: usize = 5;
/// The greatest randomness and one.
const RANGE: u64 = 1 << 56;
const DIGITS: usize = 14;
/// In a millisecond.
const NANOSECONDS: u64 = 1_000_000;

/// What the Collector did.
#[derive(Clone, Debug, Default)]
pub struct Measure {
    /// In the case at hand.
    pub own: Outcome,
    /// In the case that it refers to, or in itself.
    pub other: Outcome,
}

/// What is wrong with `arrivals`, the spans that came out of Forebay; nothing if all is well, or wrong as it is known
/// to be.
#[must_use]
pub fn judge(case: &Case, traffic: &Traffic, measure: &Measure, arrivals: &Arrivals) -> Vec<String> {
    let mut objections = integrity(case, traffic, arrivals);
    let missed = missed(case, traffic, measure, arrivals);
    match &case.pending {
        None => objections.extend(missed),
        Some(why) if missed.is_empty() => objections.push(format!("is no longer pending: {why}")),
        Some(_) => {}
    }
    objections
}

/// What was to come of the case and did not.
fn missed(case: &Case, traffic: &Traffic, measure: &Measure, arrivals: &Arrivals) -> Vec<String> {
    let outcome = arrivals.outcome(traffic, case.aspects);
    match &case.expectation {
        Expectation::Equal(differences) | Expectation::Like { differences, .. } => {
            equal(traffic, &measure.other, &outcome, differences)
        }
        Expectation::Between { .. } => between(traffic, measure, &outcome),
        Expectation::Consistent { percentage } => {
            let threshold = RANGE as f64 * (1.0 - percentage / 100.0);
            exactly(traffic, &outcome, |trace| randomness(trace) as f64 >= threshold)
        }
        Expectation::Lasting { above_ms, at_most_ms } => exactly(traffic, &outcome, |trace| {
            let lasts = duration(trace);
            lasts > above_ms * NANOSECONDS && at_most_ms.is_none_or(|most| lasts <= most * NANOSECONDS)
        }),
        Expectation::Limited { unit, bounds, .. } => {
            within(traffic, arrivals, *unit, bounds).into_iter().collect()
        }
    }
}

/// If the case has limits, whether `arrivals`, the spans that came out of the Collector, exceed them.
#[must_use]
pub fn collector_within_limits(case: &Case, traffic: &Traffic, arrivals: &Arrivals) -> Option<String> {
    match &case.expectation {
        Expectation::Limited { unit, collector, .. } => within(traffic, arrivals, *unit, collector),
        _ => None,
    }
}

fn within(
    traffic: &Traffic,
    arrivals: &Arrivals,
    unit: Unit,
    bounds: &RangeInclusive<usize>,
) -> Option<String> {
    let size = |(number, arrivals): (&usize, &Vec<_>)| match unit {
        Unit::Spans => arrivals.len(),
        Unit::Bytes => traffic.traces[*number].spans.iter().map(|(_, sent)| sent.span.encoded_len()).sum(),
    };
    let kept: usize = arrivals.traces.iter().map(size).sum();
    (!bounds.contains(&kept)).then(|| format!("{kept} {unit:?} kept, not {bounds:?}"))
}

/// What has to hold whatever is kept.
fn integrity(case: &Case, traffic: &Traffic, arrivals: &Arrivals) -> Vec<String> {
    let mut objections = Vec::new();
    if !arrivals.strangers.is_empty() {
        objections.push(format!(
            "{} spans came out changed: {:?}",
            arrivals.strangers.len(),
            told(&arrivals.strangers)
        ));
    }
    if arrivals.without_schema > 0 {
        objections.push(format!("{} spans lost a schema URL", arrivals.without_schema));
    }
    let torn = arrivals.torn(traffic);
    if case.decides_whole_traces() && !torn.is_empty() {
        objections.push(format!("{} traces came out in part or repeatedly: {:?}", torn.len(), told(&torn)));
    }
    let untrue: BTreeSet<_> =
        arrivals.traces.keys().filter(|&&number| has_untrue(traffic, arrivals, number)).collect();
    if !untrue.is_empty() {
        let kinds: BTreeSet<_> = untrue.iter().map(|&&number| traffic.traces[number].kind.as_str()).collect();
        objections.push(format!("{} traces left with an untrue th: {kinds:?}", untrue.len()));
    }
    objections
}

/// Whether a span of a trace left with a threshold that the trace does not reach, or lower than one it came with.
fn has_untrue(traffic: &Traffic, arrivals: &Arrivals, number: usize) -> bool {
    let trace = &traffic.traces[number];
    let randomness = randomness(trace);
    arrivals.traces[&number].iter().any(|arrival| {
        let came = ot(&trace.spans[arrival.span].1.span.trace_state, "th");
        // What nobody can read stays as it came.
        let Some(left) = arrival.threshold.as_deref().and_then(number_of) else {
            return false;
        };
        let unread = came == arrival.threshold.as_deref();
        let lowered = came.and_then(number_of).is_some_and(|came| came <= randomness && left < came);
        let randomness = arrival.randomness.as_deref().and_then(number_of).unwrap_or(randomness);
        lowered || left > randomness && !unread
    })
}

/// The randomness of a trace: `rv` of a span that has one, else of the id.
fn randomness(trace: &Trace) -> u64 {
    let explicit = trace.spans.iter().find_map(|(_, located)| {
        let rv = ot(&located.span.trace_state, "rv")?;
        number_of(rv).filter(|_| rv.len() == DIGITS)
    });
    let id = || trace.id().iter().fold(0_u64, |bits, &byte| bits << 8 | u64::from(byte)) % RANGE;
    explicit.unwrap_or_else(id)
}

/// How long a trace lasts by the spans that come before it is decided, in nanoseconds.
fn duration(trace: &Trace) -> u64 {
    let in_time =
        || trace.spans.iter().filter(|(act, _)| *act == decisive(trace)).map(|(_, located)| &located.span);
    let start = in_time().map(|span| span.start_time_unix_nano).min();
    let end = in_time().map(|span| span.end_time_unix_nano).max();
    end.zip(start).map_or(0, |(end, start)| end.saturating_sub(start))
}

/// The act whose spans decide a trace.
fn decisive(trace: &Trace) -> Act {
    if trace.spans.iter().any(|(act, _)| *act == Act::First) { Act::First } else { Act::Second }
}

/// The number that hex digits after the point stand for, of 2^56.
fn number_of(digits: &str) -> Option<u64> {
    let lower = |digit: u8| matches!(digit, b'0'..=b'9' | b'a'..=b'f');
    let readable = (1..=DIGITS).contains(&digits.len()) && digits.bytes().all(lower);
    readable.then(|| u64::from_str_radix(&format!("{digits:0<DIGITS$}"), 16).ok()).flatten()
}

fn equal(
    traffic: &Traffic,
    collector: &Outcome,
    forebay: &Outcome,
    differences: &[Difference],
) -> Vec<String> {
    let mut other = BTreeMap::<_, Vec<usize>>::new();
    let mut missing: BTreeSet<_> = differences
        .iter()
        .flat_map(|difference| difference.kinds.iter().map(|kind| (kind.as_str(), difference.fate.as_ref())))
        .collect();
    let told_of = missing.clone();
    for (number, trace) in traffic.traces.iter().enumerate() {
        let [theirs, ours] = [collector, forebay].map(|outcome| outcome.fates.get(&number));
        let kind = trace.kind.as_str();
        if theirs == ours {
            continue;
        }
        missing.remove(&(kind, ours));
        if !told_of.contains(&(kind, ours)) {
            other.entry((kind, theirs, ours)).or_default().push(number);
        }
    }
    let mut objections: Vec<_> = missing
        .into_iter()
        .map(|(kind, fate)| format!("no trace ({kind}) differs by {}", word(fate)))
        .collect();
    objections.extend(other.into_iter().map(|((kind, theirs, ours), numbers)| {
        let (count, numbers) = (numbers.len(), told(&numbers));
        format!("{count} traces ({kind}) {numbers:?}: Collector {}, Forebay {}", word(theirs), word(ours))
    }));
    objections
}

/// Whether no less was kept than in the other case and no more than the Collector did in this.
fn between(traffic: &Traffic, measure: &Measure, forebay: &Outcome) -> Vec<String> {
    let missing = measure.other.fates.keys().filter(|number| !forebay.fates.contains_key(number));
    let surplus = forebay.fates.keys().filter(|number| !measure.own.fates.contains_key(number));
    let wrong: Vec<_> =
        missing.chain(surplus).map(|&number| format!("{number} ({})", traffic.traces[number].kind)).collect();
    if wrong.is_empty() {
        return Vec::new();
    }
    vec![format!("{} traces are not between the two: {:?}", wrong.len(), told(&wrong))]
}

/// Whether exactly the traces were kept that `has_to_be`.
fn exactly(traffic: &Traffic, forebay: &Outcome, has_to_be: impl Fn(&Trace) -> bool) -> Vec<String> {
    let wrong = traffic.traces.iter().enumerate().filter(|(number, trace)| {
        let kept = forebay.fates.get(number).is_some_and(|fate| fate.starts_with(WHOLE));
        kept != has_to_be(trace)
    });
    let wrong: Vec<_> = wrong.map(|(number, trace)| format!("{number} ({})", trace.kind)).collect();
    if wrong.is_empty() {
        return Vec::new();
    }
    vec![format!("{} traces were decided wrongly: {:?}", wrong.len(), told(&wrong))]
}

fn word(fate: Option<&String>) -> &str {
    fate.map_or("dropped", String::as_str)
}

fn told<T>(all: &[T]) -> &[T] {
    &all[..all.len().min(TOLD)]
}

#[cfg(test)]
mod tests;
