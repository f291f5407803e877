//! From what policies say to what is done.
//!
//! Dropping goes before keeping; the first policy that asks for a trace is the one that is recorded; its
//! threshold is the least of all that ask for it, since each would have kept it alone.

use std::collections::HashSet;
use std::ops::{AddAssign, Sub};

use forebay_config::{Cursor, Table};
use forebay_otlp::threshold::Threshold;

use super::limits::{Limits, Rates};
use super::policy::{Compiler, Evidence, Nature, Policy, Verdict};
use super::predicate::Predicates;
use super::store::Nanos;
use crate::Compatibility;

/// The policies of one processor.
pub struct Policies {
    names: Vec<String>,
    /// Those that drop first.
    policies: Vec<Named>,
    predicates: Predicates,
    rates: Rates,
    /// Whether the first policy that asks for a trace ends the matter: later limits are not charged for it.
    first_match: bool,
    /// Whether a trace may have escaped being dropped by chance. Then no threshold tells its probability.
    spared_by_chance: bool,
}

struct Named {
    /// Its place in the configuration.
    index: u16,
    policy: Box<dyn Policy>,
    nature: Nature,
}

/// How often a policy has said what.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PolicyCount {
    /// Traces it asked for.
    pub sampled: u64,
    /// Traces it did not ask for.
    pub not_sampled: u64,
    /// Traces it dropped.
    pub dropped: u64,
    /// Traces it could not judge.
    pub failed: u64,
}

/// What all policies together say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// No policy asks for the trace.
    NotSampled,
    /// A policy drops it.
    Dropped,
    /// Some policy asks for it.
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

/// [`Kept`] in few bytes, and when that was decided.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Remembered {
    /// `u64::MAX` if it is not known.
    threshold: u64,
    /// In hundredths of a second on the sampler's clock; wraps around after a year.
    decided: u32,
    policy: u16,
}

impl Policies {
    /// Reads the list `policies` and `sample_on_first_match`, recording every mistake.
    #[must_use]
    pub fn read(table: &Table<'_>, compatibility: Compatibility) -> Self {
        let (mut predicates, mut rates) = (Predicates::default(), Rates::default());
        let mut compiler = Compiler { predicates: &mut predicates, rates: &mut rates, compatibility };
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
            if let Some(policy) = compiler.policy(&entry) {
                let Ok(index) = u16::try_from(names.len()) else {
                    table.error("policies", "more than 65536 policies");
                    break;
                };
                names.push(name);
                policies.push(Named { index, nature: policy.nature(), policy });
            }
        }
        policies.sort_by_key(|named| !named.nature.drops);
        let spared_by_chance = policies.iter().any(|named| named.nature.drops && named.nature.chance);
        let first_match = table.bool("sample_on_first_match").unwrap_or(false);
        Self { names, policies, predicates, rates, first_match, spared_by_chance }
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

    /// The limits of a shard that begins.
    #[must_use]
    pub fn limits(&self) -> Limits {
        Limits::new(&self.rates)
    }

    /// Whether policies have limits, which choose among all that is decided in a tick.
    pub(crate) fn are_limited(&self) -> bool {
        !self.rates.is_empty()
    }

    /// The name of a policy that needs whole traces, if there is one.
    pub(crate) fn needing_whole_traces(&self) -> Option<&str> {
        let found = self.policies.iter().find(|named| named.nature.whole)?;
        Some(&self.names[usize::from(found.index)])
    }

    /// Decides traces together. What each policy says of each is added to its element of `counts`.
    pub fn decide(
        &self,
        traces: &[Evidence<'_>],
        limits: &mut Limits,
        counts: &mut [PolicyCount],
        decisions: &mut Vec<Decision>,
    ) {
        if !self.rates.is_empty() {
            self.choose(traces, limits);
        }
        decisions.extend(traces.iter().map(|trace| self.decide_one(trace, limits, counts)));
    }

    /// Lets limits choose. A trace that is dropped, or that has been asked for where that ends the matter, claims
    /// nothing of what comes later.
    fn choose(&self, traces: &[Evidence<'_>], limits: &mut Limits) {
        let mut open = traces.to_vec();
        for named in &self.policies {
            named.policy.choose(&open, limits);
            if named.nature.drops || self.first_match {
                open.retain(|trace| {
                    matches!(named.policy.evaluate(trace, limits), Verdict::NotSampled | Verdict::Failed)
                });
            }
        }
    }

    fn decide_one(&self, trace: &Evidence<'_>, limits: &Limits, counts: &mut [PolicyCount]) -> Decision {
        let mut kept: Option<Kept> = None;
        for named in &self.policies {
            let verdict = named.policy.evaluate(trace, limits);
            // What comes after the first match is asked for the threshold's sake alone.
            if kept.is_none() || !self.first_match {
                counts[usize::from(named.index)].add(verdict);
            }
            let threshold = match verdict {
                Verdict::NotSampled | Verdict::Failed => continue,
                Verdict::Dropped => return Decision::Dropped,
                Verdict::Sampled(threshold) => Some(threshold),
                Verdict::SampledUnknown => None,
            };
            kept = Some(match kept {
                None => Kept { policy: named.index, threshold },
                Some(first) => Kept { threshold: union(first.threshold, threshold), ..first },
            });
        }
        let Some(mut kept) = kept else { return Decision::NotSampled };
        if self.spared_by_chance {
            kept.threshold = None;
        }
        Decision::Keep(kept.after(trace.digest.head()))
    }

    /// Whether some policy drops traces.
    pub(crate) fn may_drop(&self) -> bool {
        self.policies.first().is_some_and(|named| named.nature.drops)
    }

    /// Whether a trace will be kept whatever spans are still to come. Asks only policies that cannot take it
    /// back; with policies that drop, nothing is ever sure.
    pub(crate) fn is_certain(&self, trace: &Evidence<'_>, limits: &Limits) -> bool {
        // A keep by chance would weigh a trace that another policy is still to keep for certain.
        let certain = Verdict::Sampled(Threshold::ALWAYS);
        let asks = |named: &Named| named.nature.monotone && named.policy.evaluate(trace, limits) == certain;
        !self.may_drop() && self.policies.iter().any(asks)
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

impl Remembered {
    pub(crate) fn new(kept: Kept, now: Nanos) -> Self {
        let threshold = kept.threshold.map_or(u64::MAX, Threshold::get);
        Self { threshold, decided: hundredths(now), policy: kept.policy }
    }

    pub(crate) fn kept(self) -> Kept {
        Kept { policy: self.policy, threshold: Threshold::new(self.threshold) }
    }

    /// How long ago it was decided, in seconds.
    pub(crate) fn age(self, now: Nanos) -> f64 {
        f64::from(hundredths(now).wrapping_sub(self.decided)) / 100.0
    }
}

#[expect(clippy::cast_possible_truncation, reason = "wraps around on purpose")]
fn hundredths(time: Nanos) -> u32 {
    (time / 10_000_000) as u32
}

/// The threshold of what either of two policies keeps. With one unknown it is unknown, unless the other keeps
/// everything of this kind.
fn union(a: Option<Threshold>, b: Option<Threshold>) -> Option<Threshold> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (known, None) | (None, known) => known.filter(|&threshold| threshold == Threshold::ALWAYS),
    }
}

impl AddAssign for PolicyCount {
    fn add_assign(&mut self, other: Self) {
        self.sampled += other.sampled;
        self.not_sampled += other.not_sampled;
        self.dropped += other.dropped;
        self.failed += other.failed;
    }
}

impl Sub for PolicyCount {
    type Output = Self;

    fn sub(self, before: Self) -> Self {
        Self {
            sampled: self.sampled - before.sampled,
            not_sampled: self.not_sampled - before.not_sampled,
            dropped: self.dropped - before.dropped,
            failed: self.failed - before.failed,
        }
    }
}

impl PolicyCount {
    fn add(&mut self, verdict: Verdict) {
        match verdict {
            Verdict::NotSampled => self.not_sampled += 1,
            Verdict::Failed => self.failed += 1,
            Verdict::Sampled(_) | Verdict::SampledUnknown => self.sampled += 1,
            Verdict::Dropped => self.dropped += 1,
        }
    }
}
