//! Policies: what makes a trace worth keeping.
//!
//! A policy type is one file. It reads its part of the configuration, registers the predicates it needs of
//! single spans, and answers for a whole trace from the [`Digest`] alone. A new type is a new file and a line
//! in `TYPES`.

mod always_sample;
mod and;
mod latency;
mod numeric_attribute;
mod probabilistic;
mod status_code;
mod string_attribute;

use std::collections::HashSet;

use forebay_config::{Cursor, Table, Value};
use forebay_otlp::TraceId;
use forebay_otlp::threshold::{Randomness, Threshold};

use super::digest::Digest;
use super::predicate::{Bits, Predicate, Predicates};
use crate::Compatibility;

/// What a policy sees of a trace.
#[derive(Clone, Copy, Debug)]
pub struct Evidence<'a> {
    /// The trace.
    pub trace_id: TraceId,
    /// Its random number.
    pub randomness: Randomness,
    /// What its spans have shown so far.
    pub digest: &'a Digest,
}

/// What a policy says of a trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The policy does not ask for it.
    NotSampled,
    /// The policy asks for it, as it would for every trace of this kind with at least this threshold's
    /// randomness.
    Sampled(Threshold),
    /// The policy asks for it with a probability that no threshold expresses.
    SampledUnknown,
}

/// One compiled policy.
pub trait Policy: Send + Sync {
    /// Judges a trace by its evidence.
    fn evaluate(&self, trace: &Evidence<'_>) -> Verdict;
}

/// What reading a policy's configuration has at hand.
pub(crate) struct Compiler<'a> {
    predicates: &'a mut Predicates,
    compatibility: Compatibility,
}

/// Reads one policy type's settings: the table is the one named like the type, if it is there.
type Read = fn(&Table<'_>, &mut Compiler<'_>) -> Option<Box<dyn Policy>>;

/// Policy types by their name in `type:`.
const TYPES: &[(&str, Read)] = &[
    ("always_sample", always_sample::read),
    ("and", and::read),
    ("latency", latency::read),
    ("numeric_attribute", numeric_attribute::read),
    ("probabilistic", probabilistic::read),
    ("status_code", status_code::read),
    ("string_attribute", string_attribute::read),
];

/// Types that the Collector has beside these.
const NOT_YET: &[&str] = &[
    "boolean_attribute",
    "bytes_limiting",
    "composite",
    "drop",
    "not",
    "ottl_condition",
    "rate_limiting",
    "span_count",
    "trace_flags",
    "trace_state",
];

/// The policies of one processor, in order.
pub struct Policies {
    names: Vec<String>,
    policies: Vec<Box<dyn Policy>>,
    predicates: Predicates,
}

/// How often a policy has said what.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PolicyCount {
    /// Traces it asked for.
    pub sampled: u64,
    /// Traces it did not ask for.
    pub not_sampled: u64,
}

/// What all policies together say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// No policy asks for the trace.
    Drop,
    /// Some policy does.
    Keep(Kept),
}

/// Why and how a trace is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Kept {
    /// Index of the first policy that asked for it.
    pub policy: u16,
    /// The trace's threshold, the one it came with included; `None` if its probability is not known.
    pub threshold: Option<Threshold>,
}

impl Policies {
    /// Reads the list `policies`, recording every mistake.
    #[must_use]
    pub fn read(table: &Table<'_>, compatibility: Compatibility) -> Self {
        let mut predicates = Predicates::default();
        let mut compiler = Compiler { predicates: &mut predicates, compatibility };
        let (mut names, mut policies, mut taken) = (Vec::new(), Vec::new(), HashSet::new());
        let entries = table.list("policies");
        let missing = table.get("policies").is_none_or(|policies| policies.is_null());
        if missing || entries.as_ref().is_some_and(Vec::is_empty) {
            table.error("policies", "tail_sampling needs policies: without them nothing would be kept");
        }
        for entry in entries.iter().flatten().filter_map(Cursor::table) {
            let name = entry.string("name").unwrap_or_default();
            if name.is_empty() {
                entry.error("name", "a policy needs a name");
            } else if !taken.insert(name.clone()) {
                entry.error("name", format!("two policies are named `{name}`"));
            }
            if let Some(policy) = compiler.policy(&entry, TYPES) {
                names.push(name);
                policies.push(policy);
            }
        }
        if u16::try_from(policies.len()).is_err() {
            table.error("policies", "more than 65535 policies");
        }
        Self { names, policies, predicates }
    }

    /// The policies' names, in order.
    #[must_use]
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// What has to be asked of single spans.
    #[must_use]
    pub fn predicates(&self) -> &Predicates {
        &self.predicates
    }

    /// Decides a trace. It is kept if some policy asks for it; its threshold is the least of those policies,
    /// since each would have kept it alone, raised to the one it came with. What each policy said is added to
    /// its element of `counts`.
    #[must_use]
    pub fn decide(&self, trace_id: TraceId, digest: &Digest, counts: &mut [PolicyCount]) -> Decision {
        let trace = Evidence { trace_id, randomness: digest.randomness(trace_id), digest };
        let mut decision = Decision::Drop;
        for ((policy, count), index) in self.policies.iter().zip(counts).zip(0..) {
            let verdict = policy.evaluate(&trace);
            count.add(verdict);
            let threshold = match verdict {
                Verdict::NotSampled => continue,
                Verdict::Sampled(threshold) => Some(threshold),
                Verdict::SampledUnknown => None,
            };
            decision = Decision::Keep(match decision {
                Decision::Drop => Kept { policy: index, threshold },
                Decision::Keep(first) => Kept { threshold: union(first.threshold, threshold), ..first },
            });
        }
        match decision {
            Decision::Keep(kept) => Decision::Keep(kept.after(digest.head())),
            Decision::Drop => Decision::Drop,
        }
    }
}

impl Kept {
    /// The same for spans that have passed the threshold `head` before, which is never lowered.
    pub(crate) fn after(self, head: Option<Threshold>) -> Self {
        Self {
            threshold: self.threshold.map(|threshold| threshold.max(head.unwrap_or(Threshold::ALWAYS))),
            ..self
        }
    }
}

/// The threshold of what either of two policies keeps. With one unknown it is unknown, unless the other keeps
/// everything of this kind.
fn union(a: Option<Threshold>, b: Option<Threshold>) -> Option<Threshold> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (known, None) | (None, known) => known.filter(|&threshold| threshold == Threshold::ALWAYS),
    }
}

impl PolicyCount {
    fn add(&mut self, verdict: Verdict) {
        match verdict {
            Verdict::NotSampled => self.not_sampled += 1,
            Verdict::Sampled(_) | Verdict::SampledUnknown => self.sampled += 1,
        }
    }
}

impl Verdict {
    /// Certain, if `condition` holds.
    fn certain_if(condition: bool) -> Self {
        if condition { Self::Sampled(Threshold::ALWAYS) } else { Self::NotSampled }
    }
}

impl Compiler<'_> {
    /// Reads the policy in `entry`, whose `type` is one of `types`.
    fn policy(&mut self, entry: &Table<'_>, types: &[(&'static str, Read)]) -> Option<Box<dyn Policy>> {
        let Some((name, read)) = chosen(entry, types) else {
            // Which settings are unknown depends on the type.
            entry.entries();
            return None;
        };
        // A setting of another policy type would silently do nothing.
        read(&entry.section(name), self)
    }

    /// The bit of `predicate`; a mistake is recorded at `key`.
    fn predicate(&mut self, settings: &Table<'_>, key: &'static str, predicate: Predicate) -> Option<Bits> {
        self.predicates.add(predicate).map_err(|error| settings.error(key, error.to_string())).ok()
    }
}

/// The one of `types` that is the `type` of `entry`.
fn chosen(entry: &Table<'_>, types: &[(&'static str, Read)]) -> Option<(&'static str, Read)> {
    if let Some(kind) = entry.get("type")
        && let Value::String(name) = &kind.node().value
        && NOT_YET.contains(&name.as_str())
    {
        let known: Vec<_> = types.iter().map(|(name, _)| *name).collect();
        kind.error_with_help(
            format!("policy type `{name}` exists in the Collector but not yet in Forebay"),
            format!("known: {}", known.join(", ")),
        );
        return None;
    }
    let choices: Vec<_> = types.iter().map(|&(name, read)| (name, (name, read))).collect();
    entry.require("type", entry.choice("type", &choices))
}

/// A policy that asks for traces by one predicate.
struct Existential {
    bit: Bits,
    /// Whether it asks for the traces in which no span satisfies the predicate.
    invert: bool,
}

impl Policy for Existential {
    fn evaluate(&self, trace: &Evidence<'_>) -> Verdict {
        Verdict::certain_if(trace.digest.predicates.contains(self.bit) != self.invert)
    }
}

#[cfg(test)]
mod tests;
