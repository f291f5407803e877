//! Policies: what makes a trace worth keeping.
//!
//! A policy type is one file. It reads its part of the configuration, registers the predicates it needs of
//! single spans and the rates it has to keep, and answers for a whole trace from the [`Digest`] and the state of
//! the [`Limits`] alone. A new type is a new file and a line in `TYPES`.

mod adaptive;
mod always_sample;
mod and;
mod boolean_attribute;
mod composite;
mod drop;
mod latency;
mod limiting;
mod not;
mod numeric_attribute;
mod ottl_condition;
mod probabilistic;
mod rule;
mod span_count;
mod status_code;
mod string_attribute;
mod sufficient;
mod trace_flags;
mod trace_state;

pub(crate) use self::ottl_condition::condition;
pub(crate) use self::rule::{Rule, sampling_percentage};
pub use self::sufficient::Sufficient;

use forebay_allocators::Key;
use forebay_config::Table;
use forebay_otlp::TraceId;
use forebay_otlp::threshold::{Randomness, Threshold};

use super::allocation::BudgetNumber;
use super::digest::Digest;
use super::limits::{Limits, Rates};
use super::predicate::{Bits, Predicate, Predicates};
use crate::Compatibility;
use crate::retroactive::program::Columns;

/// What a policy sees of a trace.
#[derive(Clone, Copy, Debug)]
pub struct Evidence<'a> {
    /// The trace.
    pub trace_id: TraceId,
    /// Its random number.
    pub randomness: Randomness,
    /// What its spans have shown so far.
    pub digest: &'a Digest,
    /// The keys of its fingerprints, if policies ask for some.
    pub keys: &'a [Key],
}

impl<'a> Evidence<'a> {
    /// What `digest` says of a trace.
    #[must_use]
    pub fn new(trace_id: TraceId, digest: &'a Digest) -> Self {
        Self { trace_id, randomness: digest.randomness(trace_id), digest, keys: &[] }
    }
}

/// What a policy says of a trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The policy does not ask for it.
    NotSampled,
    /// The policy could not judge it, which counts as not asking for it.
    Failed,
    /// The policy asks for it, as it would for every trace of this kind with at least this threshold's
    /// randomness.
    Sampled(Threshold),
    /// The policy asks for it with a probability that no threshold expresses.
    SampledUnknown,
    /// The trace is dropped, whatever other policies ask for.
    Dropped,
}

/// One compiled policy.
pub trait Policy: Send + Sync {
    /// Whether the trace is one that it is for.
    fn applies(&self, _trace: &Evidence<'_>) -> bool {
        true
    }

    /// Judges a trace by its evidence.
    fn evaluate(&self, trace: &Evidence<'_>, limits: &Limits) -> Verdict;

    /// Lets the policy's limits choose among traces that are decided together, all of which it is to judge.
    fn choose(&self, _traces: &[Evidence<'_>], _limits: &mut Limits) {}

    /// What its answers are made of.
    fn nature(&self) -> Nature;

    /// What it asks of digests beside bits, head thresholds and fingerprints.
    fn columns(&self) -> Columns {
        Columns::NONE
    }

    /// Conditions each of which suffices for it to ask for a trace: none if nothing does, or none is known.
    fn sufficient(&self) -> Vec<Sufficient> {
        Vec::new()
    }

    /// The threshold by which it judges a trace, if it judges by one.
    fn threshold(&self, _trace: &Evidence<'_>, _limits: &Limits) -> Option<Threshold> {
        None
    }

    /// The budget that it divides among kinds of traces.
    fn budget(&self) -> Option<BudgetNumber> {
        None
    }

    /// The names of its parts, where it is worth recording which of them has kept a trace.
    fn parts(&self) -> Vec<String> {
        Vec::new()
    }

    /// Which of [`Self::parts`] has asked for a trace that the policy asks for.
    fn part(&self, _trace: &Evidence<'_>, _limits: &Limits) -> Option<u16> {
        None
    }
}

/// What a policy's answers are made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Nature {
    /// Having asked for a trace it does so whatever spans are still to come.
    pub monotone: bool,
    /// It needs the whole trace, or other traces: an answer on a part of one means nothing.
    pub whole: bool,
    /// It answers by chance, so that what it does not ask for says nothing of what there is.
    pub chance: bool,
    /// It keeps a rate, so that traces that are decided together have to be shown to it together.
    pub limited: bool,
    /// It drops what it asks for.
    pub drops: bool,
}

/// What reading a policy's configuration has at hand.
pub(crate) struct Compiler<'a> {
    pub(crate) predicates: &'a mut Predicates,
    pub(crate) rates: &'a mut Rates,
    /// What the policy is called that is being read.
    pub(crate) name: String,
    pub(crate) compatibility: Compatibility,
}

/// Reads one policy type's settings: the table is the one named like the type, if it is there.
type Read = fn(&Table<'_>, &mut Compiler<'_>) -> Option<Box<dyn Policy>>;

/// Policy types by their name in `type:`.
const TYPES: &[(&str, Read)] = &[
    ("adaptive_percentage", adaptive::read_percentage),
    ("adaptive_throughput", adaptive::read_throughput),
    ("always_sample", always_sample::read),
    ("and", and::read),
    ("boolean_attribute", boolean_attribute::read),
    ("bytes_limiting", limiting::read_bytes),
    ("composite", composite::read),
    ("drop", drop::read),
    ("latency", latency::read),
    ("not", not::read),
    ("numeric_attribute", numeric_attribute::read),
    ("ottl_condition", ottl_condition::read),
    ("probabilistic", probabilistic::read),
    ("rate_limiting", limiting::read_spans),
    ("span_count", span_count::read),
    ("status_code", status_code::read),
    ("string_attribute", string_attribute::read),
    ("trace_flags", trace_flags::read),
    ("trace_state", trace_state::read),
];

/// The types that are made of others. The Collector lets `and` and `drop` contain `not` and the simple ones,
/// `composite` `and` and the simple ones, and `not` the simple ones.
const COMPOUND: &[&str] = &["and", "composite", "drop", "not"];

impl Nature {
    /// Of a policy of which nothing of it holds.
    const PLAIN: Self = Self { monotone: false, whole: false, chance: false, limited: false, drops: false };

    /// Of a policy that looks for something in single spans.
    const EXISTENTIAL: Self = Self { monotone: true, ..Self::PLAIN };

    /// Of a policy that has an upper bound, or only a lower one, on what grows with a trace.
    const fn growing(bounded: bool) -> Self {
        Self { monotone: !bounded, whole: bounded, ..Self::PLAIN }
    }

    /// Of a policy that keeps a rate.
    const LIMITED: Self = Self { whole: true, chance: true, limited: true, ..Self::PLAIN };

    /// Of a policy that needs all of several others.
    fn all(parts: &[Box<dyn Policy>]) -> Self {
        let of = |test: fn(Self) -> bool| parts.iter().map(move |part| test(part.nature()));
        Self {
            monotone: of(|part| part.monotone).all(|monotone| monotone),
            whole: of(|part| part.whole).any(|whole| whole),
            chance: of(|part| part.chance).any(|chance| chance),
            limited: of(|part| part.limited).any(|limited| limited),
            drops: false,
        }
    }
}

impl Verdict {
    /// What two policies that both have to ask for a trace say together.
    ///
    /// All look at the same random number, so together they keep what the stricter keeps.
    fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Failed, _) | (_, Self::Failed) => Self::Failed,
            (Self::Sampled(a), Self::Sampled(b)) => Self::Sampled(a.max(b)),
            (Self::Sampled(_) | Self::SampledUnknown, Self::Sampled(_) | Self::SampledUnknown) => {
                Self::SampledUnknown
            }
            _ => Self::NotSampled,
        }
    }

    /// Of a choice by threshold; without one, nothing is chosen.
    pub(crate) fn above(threshold: Option<Threshold>, randomness: Randomness) -> Self {
        match threshold {
            Some(threshold) if threshold.keeps(randomness) => Self::Sampled(threshold),
            _ => Self::NotSampled,
        }
    }

    /// Whether the trace is asked for.
    pub(crate) const fn is_sampled(self) -> bool {
        matches!(self, Self::Sampled(_) | Self::SampledUnknown)
    }

    /// Certain, if `condition` holds.
    fn certain_if(condition: bool) -> Self {
        if condition { Self::Sampled(Threshold::ALWAYS) } else { Self::NotSampled }
    }
}

impl<'a> Compiler<'a> {
    pub(crate) fn new(
        predicates: &'a mut Predicates,
        rates: &'a mut Rates,
        compatibility: Compatibility,
    ) -> Self {
        Self { predicates, rates, compatibility, name: String::new() }
    }

    /// Reads a policy of a processor's list.
    pub(crate) fn policy(&mut self, entry: &Table<'_>) -> Option<Box<dyn Policy>> {
        self.one_of(entry, |_| true)
    }

    /// Reads a policy within another: a simple one, or one of the `compound` types that may stand there.
    fn part(&mut self, entry: &Table<'_>, compound: &[&str]) -> Option<Box<dyn Policy>> {
        entry.string("name");
        self.one_of(entry, |name| compound.contains(&name) || !COMPOUND.contains(&name))
    }

    /// Reads the policies in the list `key`, of which there has to be one.
    fn parts(
        &mut self,
        settings: &Table<'_>,
        key: &'static str,
        compound: &[&str],
    ) -> Option<Vec<Box<dyn Policy>>> {
        let entries = settings.tables(key);
        if entries.is_empty() {
            settings.error(key, "name at least one sub-policy");
            return None;
        }
        let parts: Vec<_> = entries.iter().map(|entry| self.part(entry, compound)).collect();
        parts.into_iter().collect()
    }

    fn one_of(&mut self, entry: &Table<'_>, allowed: impl Fn(&str) -> bool) -> Option<Box<dyn Policy>> {
        let types = TYPES.iter().filter(|(name, _)| allowed(name));
        let choices: Vec<_> = types.map(|&(name, read)| (name, (name, read))).collect();
        let Some((name, read)) = entry.require("type", entry.choice("type", &choices)) else {
            // Which settings are unknown depends on the type.
            entry.give_up();
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

/// A policy that asks for traces by one predicate.
struct Existential {
    bit: Bits,
    /// Whether it asks for the traces in which no span satisfies the predicate.
    invert: bool,
}

impl Policy for Existential {
    fn evaluate(&self, trace: &Evidence<'_>, _limits: &Limits) -> Verdict {
        Verdict::certain_if(trace.digest.predicates.contains(self.bit) != self.invert)
    }

    fn nature(&self) -> Nature {
        Nature { monotone: !self.invert, ..Nature::EXISTENTIAL }
    }

    fn sufficient(&self) -> Vec<Sufficient> {
        if self.invert { Vec::new() } else { vec![Sufficient { bits: self.bit, ..Sufficient::ANY }] }
    }
}

#[cfg(test)]
mod tests;
